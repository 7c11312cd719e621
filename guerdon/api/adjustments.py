"""`/v1/members/{member}/adjustments`, `/v1/adjustments`: points corrected by hand, and the second person's say."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta

from guerdon.api.call import Call
from guerdon.api.members import found as found_member
from guerdon.api.problem import Problem
from guerdon.api.refs import Ref, program_of, program_ref
from guerdon.api.routing import Routes
from guerdon.api.values import (
    Body,
    PageQuery,
    Points,
    Selector,
    Shown,
    Text,
    member_selector,
    minor,
    page,
    place_id,
    points,
    private,
    public,
)
from guerdon.core import commands
from guerdon.core.results import Adjusted
from guerdon.store.read import AdjustmentRow, Directory

routes = Routes("Adjustments")

Status = Literal["booked", "pending", "rejected", "expired"]


class AdjustmentIn(Body, frozen=True, kw_only=True):
    """`points` above zero are given, below zero taken."""

    points: Points
    reason: Annotated[str, Meta(min_length=1, max_length=500)]
    program: Annotated[Selector | None, Meta(description="Without it the first program")] = None


class AdjustmentOut(Shown, frozen=True, kw_only=True):
    """`status` is `pending` where a second person must agree, until `expires_at`; `balance` the regular balance now."""

    id: str
    status: Status
    event_log_id: int | None
    program: Ref
    points: str
    balance: str
    expires_at: datetime | None


class AdjustmentFound(Shown, frozen=True, kw_only=True):
    """`asked_by` and `decided_by` are owners of keys. What was booked at once has no decision."""

    id: str
    status: Status
    event_log_id: int | None
    member: str
    program: Ref
    points: str
    reason: str
    asked_by: str
    asked_at: datetime
    expires_at: datetime | None
    decided_by: str | None
    decided_at: datetime | None
    decision_reason: str | None


class AdjustmentPage(Shown, frozen=True, kw_only=True):
    data: tuple[AdjustmentFound, ...]
    next_cursor: str | None


class AdjustmentsQuery(PageQuery, frozen=True, kw_only=True):
    pending: Annotated[bool, Meta(description="Only those that wait for a second person")] = False


class DecisionIn(Body, frozen=True, kw_only=True):
    reason: Text = ""


_ID = "adj_0199b1f0-2c3e-7c11-9a52-5b7d3c000000"
_BOOKED = {
    "id": _ID,
    "status": "booked",
    "event_log_id": 55,
    "program": {
        "id": "prg_0199b1f0-2c3e-7c11-9a52-5b7d3c000000",
        "number": 1,
        "code": "classic",
        "name": "Classic",
    },
    "points": "-30",
    "balance": "140",
    "expires_at": None,
}
_DECIDED_ERRORS = (
    "adjustment_not_found",
    "already_decided",
    "adjustment_expired",
    "same_person",
)


def _person(call: Call) -> str:
    """Who asks: the owner of the key, so that two keys of one person are one person."""
    assert call.principal is not None
    return call.principal.owner or call.principal.credential


@routes.post(
    "/v1/members/{member}/adjustments",
    scope="points:write",
    summary="Adjust points by hand",
    example={"points": "-30", "reason": "Counted twice"},
    answer=_BOOKED,
    errors=(
        "member_not_found",
        "member_blocked",
        "member_merged",
        "program_not_found",
        "wrong_scale",
        "amount_out_of_range",
        "insufficient_points",
    ),
)
async def create_adjustment(call: Call, member: str, body: AdjustmentIn) -> AdjustmentOut:
    """Books `ManualAdjustment`; above the program's `adjustment_limit` it waits for another person's approval. What is
    taken is at most what can be spent, and counts as if it had not been earned."""
    program, scale, directory = await program_of(call, body.program, None)
    command = commands.AdjustPoints(
        member=member_selector(member),
        points=minor(body.points, scale, "points"),
        reason=body.reason,
        person=_person(call),
        program=program,
        **call.common(),
    )
    return _out(directory, await call.submit(command, scale), scale)


@routes.get(
    "/v1/members/{member}/adjustments",
    scope="points:read",
    summary="Adjustments of a member",
    errors=("member_not_found", "invalid_cursor"),
)
async def list_adjustments_of(call: Call, member: str, query: AdjustmentsQuery) -> AdjustmentPage:
    """Newest first."""
    return await _list(call, query, (await found_member(call, member)).no)


@routes.get("/v1/adjustments", scope="points:read", summary="List adjustments", errors=("invalid_cursor",))
async def list_adjustments(call: Call, query: AdjustmentsQuery) -> AdjustmentPage:
    """Of all members, newest first."""
    return await _list(call, query, None)


@routes.get(
    "/v1/adjustments/{adjustment}",
    scope="points:read",
    summary="Look up an adjustment",
    errors=("adjustment_not_found",),
)
async def get_adjustment(call: Call, adjustment: str) -> AdjustmentFound:
    """With what was decided about it."""
    return _found(call, await call.directory(), await _row(call, adjustment))


@routes.post(
    "/v1/adjustments/{adjustment}/approvals",
    scope="points:write",
    summary="Approve an adjustment",
    example={},
    answer=_BOOKED,
    errors=(*_DECIDED_ERRORS, "member_blocked", "member_merged", "insufficient_points"),
)
async def approve_adjustment(call: Call, adjustment: str, body: DecisionIn) -> AdjustmentOut:
    """By another person than the one who asked. Books `ManualAdjustment` on what the member has now."""
    return await _decide(call, adjustment, body, approve=True)


@routes.post(
    "/v1/adjustments/{adjustment}/rejections",
    scope="points:write",
    summary="Reject an adjustment",
    example={"reason": "No such complaint"},
    answer={**_BOOKED, "status": "rejected", "event_log_id": None, "balance": "170"},
    errors=_DECIDED_ERRORS,
)
async def reject_adjustment(call: Call, adjustment: str, body: DecisionIn) -> AdjustmentOut:
    """By another person than the one who asked. Nothing is booked."""
    return await _decide(call, adjustment, body, approve=False)


async def _decide(call: Call, adjustment: str, body: DecisionIn, *, approve: bool) -> AdjustmentOut:
    row = await _row(call, adjustment)
    directory = await call.directory()
    scale = directory.scale(directory.programs[row.program_no].asset)
    command = commands.DecideAdjustment(
        adjustment=row.id, approve=approve, person=_person(call), reason=body.reason, **call.common()
    )
    return _out(directory, await call.submit(command, scale), scale)


async def _list(call: Call, query: AdjustmentsQuery, member_no: int | None) -> AdjustmentPage:
    bound = ("adjustments", member_no, query.pending)
    before = place_id("adj", query.cursor, *bound)
    pending_at = call.services.now() if query.pending else None
    rows = await call.services.reader.adjustments(call.org_id, member_no, pending_at, before, query.limit + 1)
    rows, next_cursor = page(rows, query.limit, lambda row: public("adj", row.id), *bound)
    directory = await call.directory()
    return AdjustmentPage(data=tuple(_found(call, directory, row) for row in rows), next_cursor=next_cursor)


async def _row(call: Call, adjustment: str) -> AdjustmentRow:
    identifier = private("adj", adjustment)
    row = None if identifier is None else await call.services.reader.adjustment(call.org_id, identifier)
    if row is None:
        raise Problem("adjustment_not_found", field="adjustment")
    return row


def _out(directory: Directory, result: Adjusted, scale: int) -> AdjustmentOut:
    return AdjustmentOut(
        id=public("adj", result.id),
        status=result.status,
        event_log_id=result.event_no or None,
        program=program_ref(directory, result.program_no),
        points=points(result.points, scale),
        balance=points(result.balance, scale),
        expires_at=result.expires_at,
    )


def _found(call: Call, directory: Directory, row: AdjustmentRow) -> AdjustmentFound:
    status: Status = "booked" if row.event_seq else "pending"
    if row.approved is False:
        status = "rejected"
    elif status == "pending" and row.expires_at is not None and row.expires_at <= call.services.now():
        status = "expired"
    return AdjustmentFound(
        id=public("adj", row.id),
        status=status,
        event_log_id=row.event_seq or None,
        member=public("mem", row.member),
        program=program_ref(directory, row.program_no),
        points=points(row.points, directory.scale(directory.programs[row.program_no].asset)),
        reason=row.reason,
        asked_by=row.person,
        asked_at=row.recorded_at,
        expires_at=row.expires_at,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        decision_reason=row.decision_reason,
    )
