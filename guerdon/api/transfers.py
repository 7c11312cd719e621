"""`/v1/members/{member}/transfers`: points that a member sends to another."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from guerdon.api.call import Call
from guerdon.api.refs import PLACED_ERRORS, Placed, Ref, program_of, program_ref, where
from guerdon.api.routing import Routes
from guerdon.api.values import (
    Metadata,
    Points,
    Selector,
    Shown,
    Text,
    member_selector,
    meta_text,
    minor,
    points,
    public,
)
from guerdon.core import commands
from guerdon.core.results import Transferred

routes = Routes("Transfers")


class TransferIn(Placed, frozen=True, kw_only=True):
    recipient: Annotated[Selector, Meta(description="`mem_…`, `number:…` or an identifier")]
    points: Points
    program: Annotated[Selector | None, Meta(description="Without it the till's, or the first program")] = None
    reason: Text = ""
    metadata: Metadata = msgspec.field(default_factory=dict)


class TransferOut(Shown, frozen=True, kw_only=True):
    """`balance` is the sender's regular balance after it."""

    id: str
    event_log_id: int
    program: Ref
    points: str
    balance: str


@routes.post(
    "/v1/members/{member}/transfers",
    scope="points:write",
    summary="Send points to another member",
    example={"recipient": "external_id:C-18", "points": "50"},
    answer={
        "id": "evt_0199b1f0-2c3e-7c11-9a52-5b7d3c000000",
        "event_log_id": 45,
        "program": {
            "id": "prg_0199b1f0-2c3e-7c11-9a52-5b7d3c000000",
            "number": 1,
            "code": "classic",
            "name": "Classic",
        },
        "points": "50",
        "balance": "250",
    },
    errors=(
        "member_not_found",
        "member_blocked",
        "member_merged",
        "same_member",
        "not_enrolled",
        "program_not_found",
        "wrong_scale",
        "amount_not_positive",
        "amount_out_of_range",
        "transfer_below_minimum",
        "transfer_limit_exceeded",
        "insufficient_points",
        *PLACED_ERRORS,
    ),
)
async def create_transfer(call: Call, member: str, body: TransferIn) -> TransferOut:
    """The points that end first go first, and end for the recipient when they would have ended for the sender. Books
    `PointsTransfer` in both points ledgers, each with its own side."""
    program, scale, directory = await program_of(call, body.program, body.till)
    command = commands.TransferPoints(
        member=member_selector(member),
        recipient=member_selector(body.recipient, "recipient"),
        points=minor(body.points, scale, "points"),
        program=program,
        where=where(body),
        reason=body.reason,
        meta=meta_text(body.metadata, call.services.settings),
        **call.common(),
    )
    result: Transferred = await call.submit(command, scale)
    return TransferOut(
        id=public("evt", result.id),
        event_log_id=result.event_no,
        program=program_ref(directory, result.program_no),
        points=points(result.points, scale),
        balance=points(result.balance, scale),
    )
