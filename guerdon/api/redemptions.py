"""Spending points without a purchase, and giving them back."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from guerdon.api.call import Call
from guerdon.api.members import found as found_member
from guerdon.api.problem import Problem
from guerdon.api.refs import PLACED_ERRORS, Placed, Ref, program_of, program_ref, where
from guerdon.api.routing import Routes
from guerdon.api.values import (
    Metadata,
    PageQuery,
    Points,
    Selector,
    Shown,
    Text,
    member_selector,
    meta_text,
    minor,
    page,
    place_no,
    points,
    private,
    public,
)
from guerdon.core import commands
from guerdon.core.results import Redeemed, Reversed
from guerdon.store.read import Directory, RedemptionRow

routes = Routes("Redemptions")


class RedemptionIn(Placed, frozen=True, kw_only=True):
    """`reference` is your own: the same redemption sent again with it is answered again."""

    points: Points
    program: Annotated[Selector | None, Meta(description="Without it the till's, or the first program")] = None
    group: Annotated[bool, Meta(description="From all programs of its asset; the program says what the points buy")] = (
        False
    )
    reference: Annotated[str, Meta(max_length=100)] = ""
    reason: Text = ""
    metadata: Metadata = msgspec.field(default_factory=dict)


class Part(Shown, frozen=True, kw_only=True):
    """What one program gave."""

    program: Ref
    points: str


class RedemptionOut(Shown, frozen=True, kw_only=True):
    """`money_minor` is what the points are worth at the program's rate; `balance` the regular balance after it; `parts`
    what each program gave, more than one for a group redemption.
    """

    id: str
    event_log_id: int
    program: Ref
    points: str
    money_minor: int
    balance: str
    parts: tuple[Part, ...]


class TakenLot(Shown, frozen=True, kw_only=True):
    """A lot by its number, and what it would give."""

    lot: int
    points: str


class RedemptionPreview(Shown, frozen=True, kw_only=True):
    """What the redemption would answer. `lots` are in the order in which they would be taken: soonest end first."""

    program: Ref
    points: str
    money_minor: int
    balance: str
    parts: tuple[Part, ...]
    lots: tuple[TakenLot, ...]


class RedemptionFound(Shown, frozen=True, kw_only=True):
    """`remaining` is what can still be reversed; `purchase` where it was spent at a checkout."""

    id: str
    event_log_id: int
    member: str
    purchase: str | None
    program: Ref
    points: str
    reversed: str
    remaining: str
    reference: str
    event_at: datetime


class RedemptionPage(Shown, frozen=True, kw_only=True):
    data: tuple[RedemptionFound, ...]
    next_cursor: str | None


_REF = {"id": "prg_0199b1f0-2c3e-7c11-9a52-5b7d3c000000", "number": 1, "code": "classic", "name": "Classic"}
_REDEMPTION = "rdm_0199b1f0-2c3e-7c11-9a52-5b7d3c000001"


_ERRORS = (
    "member_not_found",
    "member_blocked",
    "member_merged",
    "program_not_found",
    "reference_taken",
    "wrong_scale",
    "amount_not_positive",
    "amount_out_of_range",
    "redemption_below_minimum",
    "redemption_above_maximum",
    "redemption_not_a_multiple",
    "lifetime_points_too_low",
    "insufficient_points",
    *PLACED_ERRORS,
)


@routes.post(
    "/v1/members/{member}/redemptions",
    scope="points:write",
    summary="Spend points",
    example={"points": "200", "reference": "voucher-9"},
    answer={
        "id": _REDEMPTION,
        "event_log_id": 43,
        "program": _REF,
        "points": "200",
        "money_minor": 2000,
        "balance": "300",
        "parts": [{"program": _REF, "points": "200"}],
    },
    errors=_ERRORS,
)
async def create_redemption(call: Call, member: str, body: RedemptionIn) -> RedemptionOut:
    """Takes the points that end first. Books `PointsRedemption`."""
    command, scale, directory = await _redeem(call, member, body, call.common())
    result: Redeemed = await call.submit(command, scale)
    return RedemptionOut(
        id=public("rdm", result.id),
        event_log_id=result.event_no,
        program=program_ref(directory, result.program_no),
        points=points(result.points, scale),
        money_minor=result.money,
        balance=points(result.balance, scale),
        parts=_parts(directory, result, scale),
    )


@routes.post(
    "/v1/members/{member}/redemptions/preview",
    scope="points:read",
    status=200,
    summary="See what spending points would do",
    example={"points": "200"},
    answer={
        "program": _REF,
        "points": "200",
        "money_minor": 2000,
        "balance": "300",
        "parts": [{"program": _REF, "points": "200"}],
        "lots": [{"lot": 7, "points": "120"}, {"lot": 9, "points": "80"}],
    },
    errors=_ERRORS,
)
async def preview_redemption(call: Call, member: str, body: RedemptionIn) -> RedemptionPreview:
    """Decided exactly like the redemption itself, and refused alike, but nothing is written: no idempotency key and no
    reference is taken."""
    envelope = {name: value for name, value in call.common().items() if name not in ("key", "fingerprint")}
    redeem, scale, directory = await _redeem(call, member, body, envelope)
    result: Redeemed = await call.submit(commands.PreviewRedemption(of=redeem, **envelope), scale)
    return RedemptionPreview(
        program=program_ref(directory, result.program_no),
        points=points(result.points, scale),
        money_minor=result.money,
        balance=points(result.balance, scale),
        parts=_parts(directory, result, scale),
        lots=tuple(TakenLot(lot=no, points=points(taken, scale)) for no, taken in result.taken),
    )


async def _redeem(
    call: Call, member: str, body: RedemptionIn, envelope: dict[str, Any]
) -> tuple[commands.Redeem, int, Directory]:
    """The redemption that a body asks for, and the decimals of its points."""
    program, scale, directory = await program_of(call, body.program, body.till)
    command = commands.Redeem(
        member=member_selector(member),
        points=minor(body.points, scale, "points"),
        program=program,
        group=body.group,
        reference=body.reference,
        where=where(body),
        reason=body.reason,
        meta=meta_text(body.metadata, call.services.settings),
        **envelope,
    )
    return command, scale, directory


def _parts(directory: Directory, result: Redeemed, scale: int) -> tuple[Part, ...]:
    return tuple(Part(program=program_ref(directory, no), points=points(gave, scale)) for no, gave in result.parts)


@routes.get(
    "/v1/members/{member}/redemptions",
    scope="points:read",
    summary="Redemptions of a member",
    errors=("member_not_found",),
)
async def list_redemptions(call: Call, member: str, query: PageQuery) -> RedemptionPage:
    """Newest first, those at a checkout too."""
    row = await found_member(call, member)
    before = place_no(query.cursor, "redemptions", row.no)
    rows = await call.services.reader.redemptions(call.org_id, row.no, before, query.limit + 1)
    rows, next_cursor = page(rows, query.limit, lambda each: each.no, "redemptions", row.no)
    directory = await call.directory()
    return RedemptionPage(data=tuple(_shown(directory, each) for each in rows), next_cursor=next_cursor)


@routes.get(
    "/v1/redemptions/{redemption}",
    scope="points:read",
    summary="Look up a redemption",
    errors=("redemption_not_found",),
)
async def get_redemption(call: Call, redemption: str) -> RedemptionFound:
    """With what is left of it to reverse."""
    return _shown(await call.directory(), await _found(call, redemption))


class ReversalIn(Placed, frozen=True, kw_only=True):
    """Without `points`, all that is left."""

    points: Points | None = None
    reason: Text = ""
    metadata: Metadata = msgspec.field(default_factory=dict)


class ReversalOut(Shown, frozen=True, kw_only=True):
    """`expired` is the part whose end had passed meanwhile: given back and expired at once. `written_off` is the part
    that the program forgave when the purchase that earned it was returned: it goes to the program, not to the member.
    """

    id: str
    event_log_id: int
    redemption: str
    points: str
    expired: str
    written_off: str
    balance: str


@routes.post(
    "/v1/redemptions/{redemption}/reversals",
    scope="points:write",
    summary="Reverse a redemption",
    example={"points": "50"},
    answer={
        "id": "rvs_0199b1f0-2c3e-7c11-9a52-5b7d3c000000",
        "event_log_id": 44,
        "redemption": _REDEMPTION,
        "points": "50",
        "expired": "0",
        "written_off": "0",
        "balance": "350",
    },
    errors=(
        "redemption_not_found",
        "reversal_is_final",
        "already_reversed",
        "reversal_exceeds_redemption",
        "wrong_scale",
        "amount_not_positive",
        *PLACED_ERRORS,
    ),
)
async def reverse_redemption(call: Call, redemption: str, body: ReversalIn) -> ReversalOut:
    """In whole or in part, as often as something is left; the points return with the end they had."""
    if private("rvs", redemption) is not None:
        raise Problem("reversal_is_final", field="redemption")
    row = await _found(call, redemption)
    directory = call.known_directory()
    if directory is None or row.program_no not in directory.programs:
        directory = await call.directory()
    scale = directory.scale(directory.programs[row.program_no].asset)
    command = commands.ReverseRedemption(
        redemption=row.id,
        points=None if body.points is None else minor(body.points, scale, "points"),
        where=where(body),
        reason=body.reason,
        meta=meta_text(body.metadata, call.services.settings),
        **call.common(),
    )
    result: Reversed = await call.submit(command, scale)
    return ReversalOut(
        id=public("rvs", result.id),
        event_log_id=result.event_no,
        redemption=public("rdm", result.redemption_id),
        points=points(result.points, scale),
        expired=points(result.expired, scale),
        written_off=points(result.written_off, scale),
        balance=points(result.balance, scale),
    )


async def _found(call: Call, redemption: str) -> RedemptionRow:
    identifier = private("rdm", redemption)
    row = None if identifier is None else await call.services.reader.redemption(call.org_id, identifier)
    if row is None:
        raise Problem("redemption_not_found", field="redemption")
    return row


def _shown(directory: Directory, row: RedemptionRow) -> RedemptionFound:
    scale = directory.scale(directory.programs[row.program_no].asset)
    return RedemptionFound(
        id=public("rdm", row.id),
        event_log_id=row.event_seq,
        member=public("mem", row.member),
        purchase=None if row.purchase is None else public("pur", row.purchase),
        program=program_ref(directory, row.program_no),
        points=points(row.points, scale),
        reversed=points(row.reversed, scale),
        remaining=points(row.points - row.reversed, scale),
        reference=row.reference,
        event_at=row.event_at,
    )
