"""The three routes."""

from __future__ import annotations

from guerdon.api.call import Call
from guerdon.api.points_ledger import ClosingQuery, get_closing_balance, page_of, view_of
from guerdon.api.routing import Routes
from guerdon.api.v2.asked import (
    SECOND,
    LedgerRefused,
    asked_events,
    bounds,
    choice,
    chosen,
    customer,
    date,
    flag,
    paging,
    points_hidden,
    zone_of,
)
from guerdon.api.v2.exploded import exploded
from guerdon.api.v2.names import CATEGORIES
from guerdon.api.v2.shapes import (
    BalanceDetails,
    CustomerLedgerBalance,
    CustomerLedgerInfo,
    ExplodeQuery,
    InfoQuery,
    LedgerClosingBalance,
    LedgerDetails,
    LedgerExplodeInfo,
    V2Failure,
    ViewQuery,
)
from guerdon.api.v2.told import details, entry, three

routes = Routes("Points ledger, other names")

_CUSTOMER = {"firstName": "Ada", "lastName": "Lovelace", "userId": 1, "externalId": "C-17", "entityType": "CUSTOMER"}
_FIGURES = {"pageNumber": 0, "pageSize": 10, "totalEntries": 1, "pageCount": 1}


@routes.get(
    "/v2/pointsLedger/getCustomerLedgerInfo",
    scope="points:read",
    summary="Ledger entries of a customer",
    answer={
        "customerDetails": _CUSTOMER,
        "ledgerDetails": _FIGURES
        | {
            "ledgerEntries": [
                {
                    "eventLogId": 42,
                    "eventName": "TransactionAdd",
                    "customerId": 1,
                    "ledgerCreatedDate": "2026-11-21 10:00:00.0",
                    "ledgerCreatedDateISO": "2026-11-21T10:00:00+00:00",
                    "entryDetails": [
                        {
                            "ledgerEntryType": "CREDIT",
                            "points": "120.000",
                            "pointsCategory": "Main",
                            "programId": 1,
                            "programName": "Classic",
                        }
                    ],
                    "netPointsOnEvent": "120.000",
                    "netAlternateCurrenciesOnEvent": {},
                    "transactionDetails": {"transactionId": 7, "transactionNumber": "B-1001"},
                    "store": "Main Street",
                    "storeCode": "main",
                    "tillCode": "main-1",
                    "eventDetails": {"eventDate": "2026-11-21 10:00:00.0"},
                    "sourceProgramId": 1,
                    "sourceProgramName": "Classic",
                    "orgId": 1,
                }
            ]
        },
    },
    failure=V2Failure,
)
async def get_customer_ledger_info(call: Call, query: InfoQuery) -> CustomerLedgerInfo:
    """Of the last seven days unless told otherwise, newest first, at most ten events a page; `offset` is the number of
    the page, from 0."""
    row = await customer(call, query)
    directory = await call.directory()
    size, number = paging(query)
    zone = zone_of(directory)
    since, until = bounds(query, zone, call.services.now())
    given = chosen(directory, query, {"since": since, "until": until})
    view = await view_of(call, row, ClosingQuery(**given))
    total = 0 if points_hidden(query) else await call.services.reader.event_count(call.org_id, view.filter)
    if number * size >= total:
        raise LedgerRefused(11003)
    oldest_first = choice(query.order or query.sort or query.sort_order, {"ASC": True, "DESC": False}, 11001, False)
    events = await call.services.reader.events(
        call.org_id, view.filter, None, size, oldest_first=oldest_first, skip=number * size
    )
    page = await page_of(call, view, row, events, ("purchase",))
    returns = await call.services.reader.return_numbers(call.org_id, {event.purchase_no for event in events})
    concept = flag(query.include_concept_details)
    return CustomerLedgerInfo(
        customer_details=details(row),
        ledger_details=LedgerDetails(
            page_number=number,
            page_size=size,
            total_entries=total,
            page_count=-(-total // size),
            ledger_entries=tuple(
                entry(call.org_id, directory, zone, row, page, event, returns, concept) for event in events
            ),
        ),
    )


@routes.get(
    "/v2/pointsLedger/getCustomerLedgerBalance",
    scope="points:read",
    summary="Closing balance of a customer's ledger",
    answer={
        "customerDetails": _CUSTOMER,
        "ledgerDetails": _FIGURES
        | {
            "ledgerClosingBalance": [
                {"pointsCategory": "Main", "programName": "Classic", "programId": 1, "closingBalance": "320.000"}
            ]
        },
    },
    failure=V2Failure,
)
async def get_customer_ledger_balance(call: Call, query: ViewQuery) -> CustomerLedgerBalance:
    """Without a filter the current balance, else that after the last event of the filtered view."""
    row = await customer(call, query)
    directory = await call.directory()
    size, number = paging(query)
    until = date(query.end_date, zone_of(directory))
    given = chosen(directory, query, {"until": None if until is None else until + SECOND})
    asked = ClosingQuery(**given)
    view = await view_of(call, row, asked)
    total = await call.services.reader.event_count(call.org_id, view.filter)
    closing = await get_closing_balance(call, f"number:{row.no}", asked)
    lines = () if points_hidden(query) else closing.balances
    return CustomerLedgerBalance(
        customer_details=details(row),
        ledger_details=BalanceDetails(
            page_number=number,
            page_size=size,
            total_entries=total,
            page_count=-(-total // size),
            ledger_closing_balance=tuple(
                LedgerClosingBalance(
                    points_category=CATEGORIES[line.category],
                    program_name=line.program.name,
                    program_id=line.program.number,
                    closing_balance=three(line.balance),
                )
                for line in lines
                if line.program is not None
            ),
        ),
    )


@routes.get(
    "/v2/pointsLedger/getLedgerExplodeInfo",
    scope="points:read",
    summary="What made some events of a customer's ledger",
    answer={"events": [{"eventLogId": 42, "eventName": "TransactionAdd", "eventReferenceId": "7"}, None]},
    failure=V2Failure,
)
async def get_ledger_explode_info(call: Call, query: ExplodeQuery) -> LedgerExplodeInfo:
    """Bill, lots and promotions of up to ten events, by `eventIds` or by `eventName` with `eventReferenceIds`."""
    row = await customer(call, query)
    directory = await call.directory()
    rows = await asked_events(call, row, query)
    if not any(rows):
        raise LedgerRefused(11016)
    view = await view_of(call, row, ClosingQuery())
    known = [event for event in rows if event is not None]
    page = await page_of(call, view, row, known, ("lots", "purchase"))
    zone = zone_of(directory)
    made = {event.seq: await exploded(call, directory, zone, page, event, query) for event in known}
    return LedgerExplodeInfo(events=tuple(None if event is None else made[event.seq] for event in rows))
