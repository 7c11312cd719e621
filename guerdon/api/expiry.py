"""Expiry on demand: posts now what has ended. It changes when that is booked, never what can be spent."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from msgspec import Meta

from guerdon.api.call import Call
from guerdon.api.members import found
from guerdon.api.refs import program_of
from guerdon.api.routing import Routes
from guerdon.api.values import Body, Selector, Shown, points
from guerdon.core import commands

routes = Routes("Expiry")


class ExpiryIn(Body, frozen=True, kw_only=True):
    program: Annotated[Selector | None, Meta(description="Without it the organisation's first program")] = None


class ExpiryOut(Shown, frozen=True, kw_only=True):
    """How many lots were booked as expired, and what was left in them."""

    lots: int
    points: str


@routes.post(
    "/v1/members/{member}/expiries",
    scope="points:write",
    status=200,
    summary="Post what has expired",
    example={"program": "classic"},
    answer={"lots": 2, "points": "120"},
    errors=("member_not_found", "program_not_found"),
)
async def expire_points(call: Call, member: str, body: ExpiryIn) -> ExpiryOut:
    """Books `PointsExpiry` for what has ended in one program; nothing to book is no error."""
    (_, number), scale, _ = await program_of(call, body.program, None)
    row = await found(call, member)
    now = call.services.now()
    rows = await call.services.reader.balances(call.org_id, row.no, now, now + timedelta(days=1))
    accounts = tuple(account.no for account in rows if account.program_no == int(number))
    result = await call.submit(commands.ExpireLots(accounts=accounts, **call.common()))
    return ExpiryOut(lots=result.lots, points=points(result.points, scale))
