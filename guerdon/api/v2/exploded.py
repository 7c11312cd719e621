"""What made an event: its bill, its lots, the other side of a transfer."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from guerdon.api.call import Call
from guerdon.api.points_ledger import EventOut, Page
from guerdon.api.v2.asked import SECOND, flag, zone_of
from guerdon.api.v2.names import CATEGORIES, theirs
from guerdon.api.v2.shapes import ExplodeQuery
from guerdon.api.v2.told import full_name, iso, three
from guerdon.api.values import points
from guerdon.core.events import Name
from guerdon.store.read import Directory, EventRow

_TWO_SIDED = ("PointsTransfer", "CustomerMerge", "LedgerTransaction")
"""Events that may have another member on their other side."""


async def exploded(
    call: Call,
    directory: Directory,
    zone: ZoneInfo,
    page: Page,
    event_row: EventRow,
    query: ExplodeQuery,
) -> dict[str, Any]:
    event = page.event(event_row)
    found: dict[str, Any] = {
        "eventLogId": event.event_log_id,
        "eventName": theirs(event.name),
        "eventDetails": {
            "eventTime": iso(event.event_at, zone),
            "tillId": event.till.number if event.till else None,
            "eventDisplayName": event.name,
            "reason": event.reason,
        },
        "eventReferenceId": str(event_row.purchase_no or event_row.reference),
        "uniqueId": event.id,
        "orgId": call.org_id,
        "warnings": [],
    }
    earned = _earned(directory, page, event_row)
    if any(earned.values()):
        found["pointsEarned"] = earned
    if event.name == Name.POINTS_REDEMPTION:
        found["pointsBreakup"] = [
            {"points": three(entry.points), "programId": entry.program.number, "programName": entry.program.name}
            for entry in event.entries
            if entry.program is not None
        ]
    if event.name in _TWO_SIDED:
        found["transferredTo"] = await _counterpart(call, directory, page, event_row, credited=False)
        found["transferredFrom"] = await _counterpart(call, directory, page, event_row, credited=True)
    if flag(query.get_bill_details) and event_row.purchase_no:
        found["billDetails"] = await _bill(call, directory, zone, event)
        if flag(query.get_points_earned_breakup) and event.transaction:
            found["billDetails"]["pointsEarnedBreakup"] = {"regular": _breakup(directory, zone, page, event_row)}
    return found


def _opened(directory: Directory, page: Page, row: EventRow) -> list[tuple[str, dict[str, Any]]]:
    """The lots that an event opened for the member: their category, and what is told of each everywhere."""
    found = []
    for lot, account, move in page.opened(row):
        program = directory.programs[account.program_no]
        scale = directory.scale_or_zero(account.asset)
        told = {
            "value": three(points(move.amount, scale)),
            "programId": program.no,
            "programName": program.name,
            "rule": move.rule,
            "returned": three(points(lot.returned, scale)),
            "expires_at": lot.expires_at,
            "earned_at": move.earned_at,
        }
        found.append((account.category, told))
    return found


def _earned(directory: Directory, page: Page, row: EventRow) -> dict[str, Any]:
    zone = zone_of(directory)
    earned: dict[str, Any] = {"regular": [], "promo": [], "promised": []}
    for category, lot in _opened(directory, page, row):
        told = {name: lot[name] for name in ("value", "programId", "programName")}
        if category == "regular":
            told |= {"expiresOn": _ends(lot, zone), "expiryType": "fixed", "isTransferable": True}
            told |= {"returnPoints": lot["returned"]}
        else:
            told |= {"conversionDate": None}
        earned["regular" if category == "regular" else "promised"].append(told)
    return earned


def _ends(lot: dict[str, Any], zone: ZoneInfo) -> str | None:
    return None if lot["expires_at"] is None else iso(lot["expires_at"] - SECOND, zone)


def _breakup(directory: Directory, zone: ZoneInfo, page: Page, row: EventRow) -> list[dict[str, Any]]:
    return [
        {
            "value": lot["value"],
            "expiresOn": _ends(lot, zone),
            "awardedOn": None if lot["earned_at"] is None else iso(lot["earned_at"], zone),
            "programId": lot["programId"],
            "allocationStrategyName": lot["rule"],
            "pointsCategoryName": CATEGORIES[category],
            "expiryType": "fixed",
            "returnPoints": lot["returned"],
        }
        for category, lot in _opened(directory, page, row)
    ]


async def _bill(call: Call, directory: Directory, zone: ZoneInfo, event: EventOut) -> dict[str, Any]:
    purchase = event.purchase
    assert purchase is not None
    booked = await call.services.reader.purchase(call.org_id, ("number", purchase.number))
    assert booked is not None
    scale = directory.scale_or_zero(booked.currency)
    store, till = directory.stores.get(booked.store_no), directory.tills.get(booked.till_no)
    found = {
        "type": "REGULAR",
        "billNumber": booked.number,
        "grossAmount": points(booked.amount, scale),
        "discount": points(booked.amount - booked.paid, scale),
        "billAmount": points(booked.paid, scale),
        "source": booked.source,
        "storeCode": store.code if store else "",
        "tillCode": till.code if till else "",
        "billDate": iso(booked.event_at, zone),
        "lineItems": [
            {
                "id": position,
                "itemCode": line["sku"],
                "amount": points(line["amount"], scale),
                "qty": points(line["quantity"], 3),
            }
            for position, line in enumerate(msgspec.json.decode(booked.lines), 1)
        ],
    }
    if event.purchase_return:
        found |= {"returnDate": iso(event.event_at, zone), "returnBillId": event.purchase_return.number}
    return found


async def _counterpart(call: Call, directory: Directory, page: Page, row: EventRow, *, credited: bool) -> Any:
    """Who is on the other side of a transfer, where the member is on this one."""
    moved = page.across(row, credited=credited)
    parties = await call.services.reader.parties(call.org_id, [other for other, _, _ in moved])
    if not parties:
        return None
    party = next(iter(parties.values()))
    first, last = full_name(party.profile)
    return {
        "userId": party.member,
        "firstName": first,
        "lastName": last,
        "transferType": "POINTS",
        "pointsTransferDetails": [
            {
                "points": three(points(amount, directory.scale_or_zero(mine.asset))),
                "programId": mine.program_no,
                "programName": directory.programs[mine.program_no].name,
            }
            for _, mine, amount in moved
        ],
        "notes": row.reason,
    }
