"""`/v1/members/{member}/merges`: two members who turn out to be one person."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from guerdon.api.call import Call
from guerdon.api.refs import Ref, program_ref
from guerdon.api.routing import Routes
from guerdon.api.values import Body, Metadata, Selector, Shown, Text, member_selector, meta_text, points, public
from guerdon.core import commands
from guerdon.core.results import Merged

routes = Routes("Merges")


class MergeIn(Body, frozen=True, kw_only=True):
    survivor: Annotated[Selector, Meta(description="Who stays: `mem_…`, `number:…` or an identifier")]
    reason: Text = ""
    metadata: Metadata = msgspec.field(default_factory=dict)


class MovedOut(Shown, frozen=True, kw_only=True):
    """Points that the survivor got; below zero what the survivor owes now in the other's place."""

    program: Ref
    category: str
    points: str


class MergeOut(Shown, frozen=True, kw_only=True):
    id: str
    event_log_id: int
    survivor: str
    moved: tuple[MovedOut, ...]


@routes.post(
    "/v1/members/{member}/merges",
    scope="members:write",
    summary="Merge a member into another",
    example={"survivor": "external_id:C-18", "reason": "Same person"},
    answer={
        "id": "evt_0199b1f0-2c3e-7c11-9a52-5b7d3c000000",
        "event_log_id": 46,
        "survivor": "mem_0199b1f0-2c3e-7c11-9a52-5b7d3c000000",
        "moved": [
            {
                "program": {
                    "id": "prg_0199b1f0-2c3e-7c11-9a52-5b7d3c000000",
                    "number": 1,
                    "code": "classic",
                    "name": "Classic",
                },
                "category": "regular",
                "points": "120",
            }
        ],
    },
    errors=("member_not_found", "member_blocked", "member_merged", "same_member", "not_enrolled", "member_has_holds"),
)
async def create_merge(call: Call, member: str, body: MergeIn) -> MergeOut:
    """All points of the member in the path go to the survivor, with their ends; identifiers name the survivor from then
    on. Books `CustomerMerge` in both points ledgers, the last event of the merged one."""
    command = commands.MergeMembers(
        victim=member_selector(member),
        survivor=member_selector(body.survivor, "survivor"),
        reason=body.reason,
        meta=meta_text(body.metadata, call.services.settings),
        **call.common(),
    )
    result: Merged = await call.submit(command)
    directory = await call.directory()
    return MergeOut(
        id=public("evt", result.id),
        event_log_id=result.event_no,
        survivor=public("mem", result.survivor_id),
        moved=tuple(
            MovedOut(
                program=program_ref(directory, no),
                category=category,
                points=points(moved, directory.scale(directory.programs[no].asset)),
            )
            for no, category, moved in result.moved
        ),
    )
