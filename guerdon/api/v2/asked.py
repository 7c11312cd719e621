"""What is asked: parameters read with the other system's defaults, limits and error codes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from guerdon.api.call import Call
from guerdon.api.members import found as found_member
from guerdon.api.problem import Problem
from guerdon.api.v2.names import CATEGORY_FILTERS, CODES, ENTRY_TYPES, IDENTIFIERS, SOURCES, ours
from guerdon.api.v2.shapes import CustomerQuery, ExplodeQuery, InfoQuery, V2Error, V2Failure, ViewQuery
from guerdon.core.events import Name
from guerdon.store.read import Directory, EventRow, MemberRow

PAGE_MAX = 10
RANGE_DEFAULT = timedelta(days=7)
RANGE_MAX = timedelta(days=90)
RANGE_YEAR = timedelta(days=366)
EVENTS_MAX = 10
SECOND = timedelta(seconds=1)


class LedgerRefused(Problem):
    """A refusal in the other system's shape, with one of its codes."""

    media_type = b"application/json"

    def __init__(self, code: int, detail: str = "") -> None:
        super().__init__("invalid_value", detail)
        self.number = code

    @property
    def status(self) -> int:
        return CODES[self.number][0]

    def document(self, request_id: str) -> bytes:
        message = ". ".join(part for part in (CODES[self.number][1], self.detail) if part)
        error = V2Error(code=self.number, message=message)
        return msgspec.json.encode(V2Failure(errors=(error,), request_id=request_id))


async def customer(call: Call, query: CustomerQuery) -> MemberRow:
    kind = IDENTIFIERS.get(query.identifier_name)
    if kind is None or query.source not in SOURCES:
        raise LedgerRefused(8013)
    if query.type not in (None, "CUSTOMER"):
        raise LedgerRefused(11001, "There are no groups here")
    if not query.identifier_value.strip():
        raise LedgerRefused(11013)
    if query.alternate_currency_names:
        raise LedgerRefused(9005)
    try:
        return await found_member(call, f"{kind}:{query.identifier_value}")
    except Problem:
        raise LedgerRefused(11012) from None


def paging(query: ViewQuery) -> tuple[int, int]:
    """The size of a page and its number."""
    size, number = whole(query.limit, 11006, PAGE_MAX), whole(query.offset, 11003, 0)
    if not 0 < size <= PAGE_MAX:
        raise LedgerRefused(11006)
    return size, number


def chosen(directory: Directory, query: ViewQuery, times: dict[str, datetime | None]) -> dict[str, Any]:
    """The filter of `/v1` that is meant."""
    given: dict[str, Any] = dict(times)
    places = (query.till_id, query.till_ids, query.store_id, query.store_code)
    if sum(place is not None for place in places) > 1:
        raise LedgerRefused(11028)
    if query.till_id is not None:
        given["till"] = _tills(directory, (query.till_id,), 11004)
    elif query.till_ids is not None:
        given["till"] = _tills(directory, tuple(query.till_ids.split(",")), 11027)
    elif query.store_id is not None or query.store_code is not None:
        given["store"] = (_store(directory, query.store_id, query.store_code),)
    if query.program_id is not None:
        if whole(query.program_id, 11005) not in directory.programs:
            raise LedgerRefused(11005)
        given["program"] = f"number:{int(query.program_id)}"
    if flag(query.include_till_concept_events):
        if query.program_id is None:
            raise LedgerRefused(11001, "includeTillConceptEvents needs programId")
        given["include_till_concept_events"] = True
    if query.ledger_entry_type is not None:
        given["entry_type"] = (choice(query.ledger_entry_type, ENTRY_TYPES, 11007, ""),)
    if query.point_category_type is not None:
        given["category"] = (choice(query.point_category_type, CATEGORY_FILTERS, 11008, ""),)
    return given


def points_hidden(query: ViewQuery) -> bool:
    """Alternate currencies alone are asked for, and there are none."""
    return flag(query.include_alternate_currencies) and flag(query.exclude_point_categories)


def _tills(directory: Directory, given: tuple[str, ...], unknown: int) -> tuple[str, ...]:
    missing = [text for text in given if whole(text, 11025) not in directory.tills]
    if missing:
        raise LedgerRefused(unknown, f"[{', '.join(missing)[:200]}]" if unknown == 11027 else "")
    return tuple(f"number:{int(text)}" for text in given)


def _store(directory: Directory, number: str | None, code: str | None) -> str:
    for store in directory.stores.values():
        if str(store.no) == number or (number is None and store.code == code):
            return f"number:{store.no}"
    raise LedgerRefused(11026)


def zone_of(directory: Directory) -> ZoneInfo:
    """Times without an offset are those of the first program's place."""
    first = next(iter(directory.programs.values()), None)
    return ZoneInfo("UTC" if first is None else first.policies.timezone)


def bounds(query: InfoQuery, zone: ZoneInfo, now: datetime) -> tuple[datetime | None, datetime | None]:
    """From and before when; both days are in it."""
    if not flag(query.is_filter_based_on_date, given=True):
        return None, None
    start, end = date(query.start_date, zone), date(query.end_date, zone)
    year = flag(query.include_last_one_year_data)
    try:
        if start is None and end is None:
            return now - RANGE_DEFAULT, None
        if start is None and end is not None:
            start = end - (RANGE_YEAR if year else RANGE_DEFAULT)
        elif start is not None and end is None:
            end = start + (RANGE_YEAR if year else RANGE_DEFAULT)
        assert start is not None
        assert end is not None
        if start > end:
            raise LedgerRefused(11009)
        if end - start > (RANGE_YEAR if year else RANGE_MAX):
            raise LedgerRefused(11010)
        return start, end + SECOND
    except OverflowError:
        raise LedgerRefused(11011) from None


def date(text: str | None, zone: ZoneInfo) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=zone)
    except ValueError:
        raise LedgerRefused(11011) from None
    if not 1900 < at.year < 9999:
        raise LedgerRefused(11011)
    return at


def flag(text: str | None, *, given: bool = False) -> bool:
    return bool(choice(None if text is None else text.lower(), {"true": True, "false": False}, 11001, given))


def choice(text: str | None, known: dict[str, Any], code: int, otherwise: Any) -> Any:
    if text is None:
        return otherwise
    if text not in known:
        raise LedgerRefused(code)
    return known[text]


def whole(text: str | None, code: int, otherwise: int = 0) -> int:
    if text is None:
        return otherwise
    if not (text.isascii() and text.isdecimal() and len(text) < 18):
        raise LedgerRefused(code)
    return int(text)


async def asked_events(call: Call, row: MemberRow, query: ExplodeQuery) -> list[EventRow | None]:
    """In the order asked for, None for those that are not there."""
    reader, org_id = call.services.reader, call.org_id
    if (query.event_ids is None) == (query.event_reference_ids is None):
        raise LedgerRefused(11001, "Give eventIds, or eventName with eventReferenceIds")
    texts = (query.event_ids or query.event_reference_ids or "").split(",")
    if len(texts) > EVENTS_MAX:
        raise LedgerRefused(11014)
    if query.event_ids is not None:
        seqs = [whole(text, 11017) for text in texts]
        found = {event.seq: event for event in await reader.events_named(org_id, row.no, seqs)}
        return [found.get(seq) for seq in seqs]
    names = ours(query.event_name or "")
    if not names:
        raise LedgerRefused(11014)
    numbers = [whole(text, 11017) if text.isdecimal() else 0 for text in texts]
    events: list[EventRow] = []
    for name in names:
        purchases = [number for number in numbers if number] if name == Name.TRANSACTION_ADD else []
        events += await reader.events_named(org_id, row.no, [], name.value, purchases, texts)
    by_reference = {reference: event for event in events for reference in (str(event.purchase_no), event.reference)}
    return [by_reference.get(text) for text in texts]
