"""Expiry on demand, which posts now what has ended and never changes what can be spent; and changes of when points
end.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from guerdon.api.call import Call
from guerdon.api.members import found
from guerdon.api.refs import PLACED_ERRORS, Placed, program_of, program_selector, where
from guerdon.api.routing import Routes
from guerdon.api.values import (
    Body,
    Metadata,
    Number,
    Selector,
    Shown,
    Text,
    member_selector,
    meta_text,
    points,
    public,
    purchase_selector,
)
from guerdon.core import commands
from guerdon.core.results import Redated
from guerdon.core.state import DUE_LOTS

routes = Routes("Expiry")


class ExpiryIn(Body, frozen=True, kw_only=True):
    program: Annotated[Selector | None, Meta(description="Without it the organisation's first program")] = None


class ExpiryOut(Shown, frozen=True, kw_only=True):
    """How many lots were booked as expired, and what was left in them; `more` where there may be others, for the next
    request.
    """

    lots: int
    points: str
    more: bool


@routes.post(
    "/v1/members/{member}/expiries",
    scope="points:write",
    status=200,
    summary="Post what has expired",
    example={"program": "classic"},
    answer={"lots": 2, "points": "120", "more": False},
    errors=("member_not_found", "program_not_found"),
)
async def expire_points(call: Call, member: str, body: ExpiryIn) -> ExpiryOut:
    """Books `PointsExpiry` for what has ended in one program, 400 lots at most; nothing to book is no error."""
    (_, number), scale, _ = await program_of(call, body.program, None)
    row = await found(call, member)
    now = call.services.now()
    rows = await call.services.reader.balances(call.org_id, row.no, now, now + timedelta(days=1))
    accounts = tuple(account.no for account in rows if account.program_no == int(number))
    result = await call.submit(commands.ExpireLots(accounts=accounts, at_most=DUE_LOTS, **call.common()))
    return ExpiryOut(lots=result.lots, points=points(result.points, scale), more=result.more)


Lots = Annotated[tuple[Annotated[int, Meta(ge=1)], ...], Meta(max_length=1000)]


class ExpiryChangeIn(Placed, frozen=True, kw_only=True):
    """Which points: some lots (as `expand=lots` of the points ledger numbers them), those of a purchase, or all. And
    when they end now: with `last_day`, `days` later (earlier where negative), or `never`; exactly one of these.
    """

    lots: Lots = ()
    purchase: Annotated[Selector | None, Meta(description="`pur_…` or `number:…`")] = None
    program: Annotated[Selector | None, Meta(description="Without it every program")] = None
    last_day: Annotated[date | None, Meta(description="In the program's time zone")] = None
    days: Annotated[int, Meta(ge=-36_500, le=36_500)] | None = None
    never: bool = False
    reference: Annotated[Number | None, Meta(description="Your own, once")] = None
    reason: Text = ""
    metadata: Metadata = msgspec.field(default_factory=dict)


class ExpiryChangeOut(Shown, frozen=True, kw_only=True):
    id: str
    event_log_id: int
    lots: tuple[int, ...]


@routes.post(
    "/v1/members/{member}/expiry-changes",
    scope="points:write",
    summary="Change when points end",
    example={"purchase": "number:B-1001", "last_day": "2030-06-30", "reason": "Store closed"},
    errors=(
        "member_not_found",
        "member_blocked",
        "program_not_found",
        "purchase_not_found",
        "lot_not_found",
        "expiry_in_the_past",
        "reference_taken",
        "invalid_value",
        *PLACED_ERRORS,
    ),
)
async def change_expiry(call: Call, member: str, body: ExpiryChangeIn) -> ExpiryChangeOut:
    """Books `PointsExpiryChange`, which moves no points. What has ended stays ended."""
    command = commands.ChangeExpiry(
        member=member_selector(member),
        program=None if body.program is None else program_selector(body.program),
        lots=body.lots,
        purchase=None if body.purchase is None else purchase_selector(body.purchase),
        last_day=body.last_day,
        days=body.days,
        never=body.never,
        reference=body.reference or "",
        where=where(body),
        reason=body.reason,
        meta=meta_text(body.metadata, call.services.settings),
        **call.common(),
    )
    result: Redated = await call.submit(command)
    return ExpiryChangeOut(
        id=public("xpc", result.id), event_log_id=result.event_no, lots=tuple(no for no, _, _ in result.lots)
    )
