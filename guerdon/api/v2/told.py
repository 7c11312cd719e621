"""What is answered: events as `/v1` tells them, in the other system's words."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET

from guerdon.api.points_ledger import EntryOut, EventOut, Page
from guerdon.api.v2.names import CATEGORIES, ENTRY_TYPES, theirs
from guerdon.api.v2.shapes import CustomerDetails, EntryDetail, LedgerEntry
from guerdon.api.values import points
from guerdon.store.read import Directory, EventRow, MemberRow

_DECIMALS = 3
_TYPES = {mine: name for name, mine in ENTRY_TYPES.items()}


def details(row: MemberRow) -> CustomerDetails:
    first, last = full_name(row.profile)
    external = dict(row.identifiers).get("external_id", "")
    return CustomerDetails(first_name=first, last_name=last, user_id=row.no, external_id=external)


def full_name(profile: str | None) -> tuple[str, str]:
    known = msgspec.json.decode(profile) if profile else {}
    return str(known.get("first_name") or ""), str(known.get("last_name") or "")


def three(text: str) -> str:
    """Points with three decimals at least."""
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.ljust(_DECIMALS, '0')}"


def clock(at: datetime, zone: ZoneInfo) -> str:
    local = at.astimezone(zone)
    return f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 100_000}"


def iso(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).isoformat(timespec="seconds")


def entry(
    org_id: int,
    directory: Directory,
    zone: ZoneInfo,
    row: MemberRow,
    page: Page,
    event_row: EventRow,
    returns: dict[str, int],
    concept: bool,
) -> LedgerEntry:
    event = page.event(event_row)
    details: dict[str, Any] = {"eventDate": clock(event.event_at, zone), "eventDateISO": iso(event.event_at, zone)}
    if event.reason:
        details["reason"] = event.reason
    return LedgerEntry(
        event_log_id=event.event_log_id,
        event_name=theirs(event.name),
        customer_id=row.no,
        ledger_created_date=clock(event.recorded_at, zone),
        ledger_created_date_iso=iso(event.recorded_at, zone),
        entry_details=tuple(line(entry) for entry in event.entries if entry.program is not None),
        net_points_on_event=three(event.points_on_event),
        net_alternate_currencies_on_event={},
        transaction_details=transaction(directory, zone, page, event_row, event, returns),
        store=event.store.name if event.store else "",
        store_code=event.store.code if event.store else "",
        till_code=event.till.code if event.till else "",
        event_details=details,
        source_program_id=event.program.number if event.program else None,
        source_program_name=event.program.name if event.program else None,
        org_id=org_id,
        concept_id=-1 if concept else UNSET,
        concept_name="" if concept else UNSET,
    )


def line(entry: EntryOut) -> EntryDetail:
    assert entry.program is not None
    return EntryDetail(
        ledger_entry_type=_TYPES[entry.type],
        points=three(entry.points),
        points_category=CATEGORIES[entry.category],
        program_id=entry.program.number,
        program_name=entry.program.name,
    )


def transaction(
    directory: Directory, zone: ZoneInfo, page: Page, row: EventRow, event: EventOut, returns: dict[str, int]
) -> dict[str, Any]:
    """Of a purchase its own number; of a return the return's, with the purchase's beside it."""
    purchase = page.purchases.get(row.purchase_no)
    if purchase is None or not (event.transaction or event.purchase_return):
        return {}
    scale = directory.scale_or_zero(purchase.currency)
    found: dict[str, Any] = {
        "transactionId": purchase.no,
        "transactionNumber": purchase.number,
        "date": clock(event.event_at, zone),
        "dateISO": iso(event.event_at, zone),
        "amount": points(purchase.paid, scale),
        "grossBillAmount": points(purchase.amount, scale),
        "source": event.source,
    }
    if event.purchase_return:
        found |= {
            "transactionId": returns.get(event.purchase_return.id.removeprefix("ret_")),
            "transactionNumber": event.purchase_return.number,
            "originalTransactionId": purchase.no,
            "originalTransactionNumber": purchase.number,
        }
    return found
