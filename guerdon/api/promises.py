"""`/v1/members/{member}/unlocks`: waiting points made regular, before their time or because a trigger was pulled."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from guerdon.api.call import Call
from guerdon.api.refs import PLACED_ERRORS, Placed, Ref, program_of, program_ref, program_selector, where
from guerdon.api.routing import Routes
from guerdon.api.values import (
    Metadata,
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
from guerdon.core.results import Unlocked

routes = Routes("Promises")


class UnlockIn(Placed, frozen=True, kw_only=True):
    """Which points: those of a purchase (or of one of its lines), those that wait for a trigger, or all that wait."""

    purchase: Annotated[Selector | None, Meta(description="`pur_…` or `number:…`")] = None
    line: Annotated[int, Meta(ge=0, le=100_000, description="A line of the purchase, from 0")] | None = None
    trigger: Annotated[str, Meta(max_length=64, description="The trigger that was pulled")] = ""
    program: Annotated[Selector | None, Meta(description="Without it every program")] = None
    reason: Text = ""
    metadata: Metadata = msgspec.field(default_factory=dict)


class ConversionOut(Shown, frozen=True, kw_only=True):
    event_log_id: int
    program: Ref
    points_category: str
    points: str


class UnlockOut(Shown, frozen=True, kw_only=True):
    """One conversion per program and category; each took from the waiting points what it gave to the regular ones."""

    id: str
    conversions: tuple[ConversionOut, ...]


@routes.post(
    "/v1/members/{member}/unlocks",
    scope="points:write",
    summary="Unlock promised points",
    example={"purchase": "number:B-1001", "reason": "Review written"},
    errors=(
        "member_not_found",
        "member_blocked",
        "program_not_found",
        "purchase_not_found",
        "already_unlocked",
        "nothing_promised",
        *PLACED_ERRORS,
    ),
)
async def unlock_points(call: Call, member: str, body: UnlockIn) -> UnlockOut:
    """Books `PromisedPointsConversion` or `TriggerPointsConversion`, both lines in one event."""
    if body.program is not None:
        await program_of(call, body.program, None)
    command = commands.UnlockPoints(
        member=member_selector(member),
        program=None if body.program is None else program_selector(body.program),
        purchase=None if body.purchase is None else purchase_selector(body.purchase),
        line=body.line,
        trigger=body.trigger,
        where=where(body),
        reason=body.reason,
        meta=meta_text(body.metadata, call.services.settings),
        **call.common(),
    )
    result: Unlocked = await call.submit(command)
    directory = await call.directory()
    return UnlockOut(
        id=public("ulk", result.id),
        conversions=tuple(
            ConversionOut(
                event_log_id=each.event_no,
                program=program_ref(directory, each.program_no),
                points_category=each.category,
                points=points(each.points, directory.scale(directory.programs[each.program_no].asset)),
            )
            for each in result.conversions
        ),
    )
