"""`/v1/members/{member}/points-ledger.csv`: a member's statement, one row per entry, for a spreadsheet."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Literal

from guerdon.api.call import Call
from guerdon.api.members import found
from guerdon.api.points_ledger import ERRORS, EventOut, FilterQuery, View, page_of, view_of
from guerdon.api.routing import Routes
from guerdon.api.sheets import Csv, Figure, lines
from guerdon.store.read import MemberRow

routes = Routes("Points ledger")

COLUMNS = (
    "event_log_id", "recorded_at", "event_at", "event", "entry_type", "points", "balance_after", "asset", "program",
    "category", "source", "store", "till", "transaction_number", "return_number", "reference", "reason",
)  # fmt: skip
_EVENTS_AT_ONCE = 200


class StatementQuery(FilterQuery, frozen=True, kw_only=True):
    order: Literal["newest_first", "oldest_first"] = "oldest_first"


@routes.get(
    "/v1/members/{member}/points-ledger.csv",
    scope="points:read",
    summary="Statement of a member as CSV",
    errors=ERRORS,
)
async def get_statement(call: Call, member: str, query: StatementQuery) -> Csv:
    """The whole view, whatever its length, one row per entry: debits with a minus sign, each with the balance after it.
    An event that moved no points has one row without an entry."""
    row = await found(call, member)
    view = await view_of(call, row, query)
    return Csv(_rows(call, view, row, oldest_first=query.order == "oldest_first"), f"points-ledger-{row.no}.csv")


async def _rows(call: Call, view: View, row: MemberRow, *, oldest_first: bool) -> AsyncIterator[bytes]:
    yield lines([COLUMNS])
    place: int | None = None
    while True:
        events = await call.services.reader.events(
            call.org_id, view.filter, place, _EVENTS_AT_ONCE, oldest_first=oldest_first
        )
        page = await page_of(call, view, row, events, ())
        yield lines(cells for event in events for cells in _cells(page.event(event)))
        if len(events) < _EVENTS_AT_ONCE:
            return
        place = events[-1].seq


def _cells(event: EventOut) -> Iterator[tuple[str, ...]]:
    before = (
        Figure(event.event_log_id),
        Figure(event.recorded_at.isoformat()),
        Figure(event.event_at.isoformat()),
        event.name,
    )
    taken_back = event.purchase_return
    after = (
        event.source,
        event.store.code if event.store else "",
        event.till.code if event.till else "",
        event.transaction.number if event.transaction else taken_back.purchase.number if taken_back else "",
        taken_back.number if taken_back else "",
        event.reference,
        event.reason,
    )
    for entry in event.entries:
        sign = "-" if entry.type == "debit" else ""
        yield (
            *before,
            entry.type,
            Figure(sign + entry.points),
            Figure(entry.balance_after),
            entry.asset,
            entry.program.code if entry.program else "",
            entry.category,
            *after,
        )
    if not event.entries:
        yield (*before, *[""] * 6, *after)
