"""`/v1/segments`: named lists of members, and conditions over what they are, did and hold."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from guerdon.api.call import Call
from guerdon.api.members import found as found_member
from guerdon.api.problem import Problem
from guerdon.api.routing import Routes
from guerdon.api.values import Body, Name, PageQuery, Selector, Shown, member_selector, page, place_no, public
from guerdon.core import commands
from guerdon.core.segments import Condition, Segment

routes = Routes("Segments")

Code = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


class SegmentIn(Body, frozen=True, kw_only=True):
    """Without a `condition` it is a list."""

    code: Code
    name: Name
    condition: Condition | None = None


class SegmentChange(Body, frozen=True, kw_only=True):
    """What is left out stays as it is."""

    name: Name | None = None
    condition: Condition | None = None


class SegmentOut(Shown, frozen=True, kw_only=True):
    code: str
    version: int
    name: str
    kind: str
    condition: dict[str, Any] | None


class SegmentList(Shown, frozen=True, kw_only=True):
    data: tuple[SegmentOut, ...]


class MembersIn(Body, frozen=True, kw_only=True):
    """Members by any of their names. All of them, or where one is not known none, are put on the list."""

    members: Annotated[tuple[Selector, ...], Meta(min_length=1, max_length=1000)]


class ListedOut(Shown, frozen=True, kw_only=True):
    """How many of those that were named were not there (or gone) already."""

    segment: str
    members: int
    changed: int


class MemberRef(Shown, frozen=True, kw_only=True):
    id: str
    number: int
    listed_at: datetime


class MemberRefs(Shown, frozen=True, kw_only=True):
    data: tuple[MemberRef, ...]
    next_cursor: str | None


class SegmentsOfMember(Shown, frozen=True, kw_only=True):
    member: str
    as_of: datetime
    segments: tuple[str, ...]


_CONDITION = {
    "type": "all",
    "of": [
        {"type": "attribute", "name": "city", "values": ["Bern"]},
        {"type": "activity", "kpi": "purchases", "operator": "at_least", "value": 3, "within_days": 90},
    ],
}
_ERRORS = ("program_not_found", "segment_not_found", "asset_not_found", "unknown_attribute", "segments_in_a_circle")


@routes.post(
    "/v1/segments",
    scope="members:write",
    summary="Make a segment",
    example={"code": "bern-regulars", "name": "Regulars in Bern", "condition": _CONDITION},
    errors=("code_taken", *_ERRORS),
)
async def create_segment(call: Call, body: SegmentIn) -> SegmentOut:
    """A list to put members on, or a condition that holds of them or does not."""
    command = commands.CreateSegment(code=body.code, name=body.name, condition=body.condition, **call.common())
    result = await call.submit(command)
    return await _found(call, result.code)


@routes.get("/v1/segments", scope="members:read", summary="List segments")
async def list_segments(call: Call) -> SegmentList:
    """All of them by code."""
    found = await call.services.reader.segments(call.org_id)
    return SegmentList(data=tuple(_shown(segment) for _, segment in sorted(found.items())))


@routes.get("/v1/segments/{segment}", scope="members:read", summary="Look up a segment", errors=("segment_not_found",))
async def get_segment(call: Call, segment: str) -> SegmentOut:
    """By its code."""
    return await _found(call, segment)


@routes.patch(
    "/v1/segments/{segment}",
    scope="members:write",
    summary="Change a segment",
    example={"name": "Regulars"},
    errors=_ERRORS,
)
async def change_segment(call: Call, segment: str, body: SegmentChange) -> SegmentOut:
    """Its next version. A list stays a list."""
    command = commands.ChangeSegment(segment=segment, name=body.name or "", condition=body.condition, **call.common())
    await call.submit(command)
    return await _found(call, segment)


@routes.post(
    "/v1/segments/{segment}/members",
    scope="members:write",
    status=200,
    summary="Put members on a list",
    example={"members": ["external_id:C-17", "email:ada@example.com"]},
    errors=("segment_not_found", "segment_is_no_list", "member_not_found"),
)
async def add_segment_members(call: Call, segment: str, body: MembersIn) -> ListedOut:
    """Who is on it already stays on it."""
    return await _list(call, segment, body, present=True)


@routes.post(
    "/v1/segments/{segment}/removals",
    scope="members:write",
    status=200,
    summary="Take members off a list",
    example={"members": ["external_id:C-17"]},
    errors=("segment_not_found", "segment_is_no_list", "member_not_found"),
)
async def remove_segment_members(call: Call, segment: str, body: MembersIn) -> ListedOut:
    """Who is not on it is no error."""
    return await _list(call, segment, body, present=False)


@routes.get(
    "/v1/segments/{segment}/members",
    scope="members:read",
    summary="Members on a list",
    errors=("segment_not_found", "segment_is_no_list", "invalid_cursor"),
)
async def list_segment_members(call: Call, segment: str, query: PageQuery) -> MemberRefs:
    """By number. Who a condition holds of is told per member."""
    if (await _segment(call, segment)).condition is not None:
        raise Problem("segment_is_no_list", field="segment")
    after = place_no(query.cursor, "segment", segment) or 0
    rows = await call.services.reader.listed(call.org_id, segment, after, query.limit + 1)
    rows, next_cursor = page(rows, query.limit, lambda row: row.no, "segment", segment)
    data = tuple(MemberRef(id=public("mem", row.id), number=row.no, listed_at=row.listed_at) for row in rows)
    return MemberRefs(data=data, next_cursor=next_cursor)


@routes.get(
    "/v1/members/{member}/segments",
    scope="members:read",
    summary="Segments of a member",
    errors=("member_not_found",),
)
async def get_member_segments(call: Call, member: str) -> SegmentsOfMember:
    """Every list and condition that the member is in now."""
    row = await found_member(call, member)
    now = call.services.now()
    every = await call.services.reader.segments(call.org_id)
    _, there = await call.services.reader.audience(call.org_id, row, every, now)
    return SegmentsOfMember(member=public("mem", row.id), as_of=now, segments=tuple(sorted(there)))


async def _list(call: Call, segment: str, body: MembersIn, *, present: bool) -> ListedOut:
    selectors = tuple(member_selector(text, f"members[{i}]") for i, text in enumerate(body.members))
    command = commands.ListMembers(segment=segment, members=selectors, present=present, **call.common())
    result = await call.submit(command)
    return ListedOut(segment=result.code, members=result.members, changed=result.changed)


async def _segment(call: Call, code: str) -> Segment:
    found = (await call.services.reader.segments(call.org_id)).get(code)
    if found is None:
        raise Problem("segment_not_found", field="segment")
    return found


async def _found(call: Call, code: str) -> SegmentOut:
    return _shown(await _segment(call, code))


def _shown(segment: Segment) -> SegmentOut:
    return SegmentOut(
        code=segment.code,
        version=segment.version,
        name=segment.name,
        kind="list" if segment.condition is None else "condition",
        condition=None if segment.condition is None else msgspec.to_builtins(segment.condition),
    )
