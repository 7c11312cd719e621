"""`/v1/referrals`: points for who brought a member, and for the member brought."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from guerdon.api.call import Call
from guerdon.api.problem import Problem
from guerdon.api.refs import PLACED_ERRORS, Placed, Ref, program_of, program_ref, where
from guerdon.api.routing import Routes
from guerdon.api.values import Body, Selector, Shown, Text, member_selector, points, private, public
from guerdon.core import commands
from guerdon.core.results import ReferralReturned, Referred
from guerdon.store.read import ReferralRow

routes = Routes("Referrals")

_ID = "ref_0199b1f0-2c3e-7c11-9a52-5b7d3c000000"
_PROGRAM = {
    "id": "prg_0199b1f0-2c3e-7c11-9a52-5b7d3c000000",
    "number": 1,
    "code": "classic",
    "name": "Classic",
}


class ReferralRequest(Placed, frozen=True, kw_only=True):
    referrer: Annotated[Selector, Meta(description="Who brought the other: `mem_…`, `number:…` or an identifier")]
    referred: Annotated[Selector, Meta(description="Who was brought")]
    program: Annotated[Selector | None, Meta(description="Without it the till's, or the first program")] = None


class ReferralOut(Shown, frozen=True, kw_only=True):
    """Event numbers are null for a side that gets nothing."""

    id: str
    program: Ref
    referrer_points: str
    referred_points: str
    referrer_event_log_id: int | None
    referred_event_log_id: int | None


class ReferralFound(Shown, frozen=True, kw_only=True):
    id: str
    program: Ref
    referrer: str
    referred: str
    referrer_event_log_id: int | None
    referred_event_log_id: int | None
    returned: bool


class ReferralReturnIn(Body, frozen=True, kw_only=True):
    reason: Text = ""


class ReferralReturnOut(Shown, frozen=True, kw_only=True):
    """Of both sides together: what went back to the program, and what was no longer there."""

    id: str
    referral: str
    points_returned: str
    points_written_off: str
    event_log_ids: tuple[int, ...]


@routes.post(
    "/v1/referrals",
    scope="points:write",
    summary="Award a referral",
    example={"referrer": "external_id:C-17", "referred": "external_id:C-18"},
    answer={
        "id": _ID,
        "program": _PROGRAM,
        "referrer_points": "100",
        "referred_points": "50",
        "referrer_event_log_id": 47,
        "referred_event_log_id": 49,
    },
    errors=(
        "member_not_found",
        "member_blocked",
        "member_merged",
        "same_member",
        "program_not_found",
        "referral_points_missing",
        "already_referred",
        *PLACED_ERRORS,
    ),
)
async def create_referral(call: Call, body: ReferralRequest) -> ReferralOut:
    """Gives both sides what the program's `referral` says; a member can be referred once. Books `ReferralAward`."""
    program, scale, directory = await program_of(call, body.program, body.till)
    command = commands.Refer(
        referrer=member_selector(body.referrer, "referrer"),
        referred=member_selector(body.referred, "referred"),
        program=program,
        where=where(body),
        **call.common(),
    )
    result: Referred = await call.submit(command, scale)
    return ReferralOut(
        id=public("ref", result.id),
        program=program_ref(directory, result.program_no),
        referrer_points=points(result.referrer_points, scale),
        referred_points=points(result.referred_points, scale),
        referrer_event_log_id=result.referrer_event or None,
        referred_event_log_id=result.referred_event or None,
    )


@routes.get(
    "/v1/referrals/{referral}", scope="points:read", summary="Look up a referral", errors=("referral_not_found",)
)
async def get_referral(call: Call, referral: str) -> ReferralFound:
    """With whether it was taken back."""
    row = await _found(call, referral)
    return ReferralFound(
        id=public("ref", row.id),
        program=program_ref(await call.directory(), row.program_no),
        referrer=public("mem", row.referrer),
        referred=public("mem", row.referred),
        referrer_event_log_id=row.referrer_event or None,
        referred_event_log_id=row.referred_event or None,
        returned=row.taken_back,
    )


@routes.post(
    "/v1/referrals/{referral}/returns",
    scope="points:write",
    summary="Take a referral back",
    example={"reason": "The purchase was returned"},
    answer={
        "id": "rrt_0199b1f0-2c3e-7c11-9a52-5b7d3c000000",
        "referral": _ID,
        "points_returned": "150",
        "points_written_off": "0",
        "event_log_ids": [51, 53],
    },
    errors=("referral_not_found", "referral_already_returned"),
)
async def return_referral(call: Call, referral: str, body: ReferralReturnIn) -> ReferralReturnOut:
    """On both sides. What was spent meanwhile is taken from other points; for what is missing the program decides as
    for the return of a purchase. Books `ReferralReturn`."""
    row = await _found(call, referral)
    directory = await call.directory()
    scale = directory.scale(directory.programs[row.program_no].asset)
    command = commands.ReturnReferral(referral=row.id, reason=body.reason, **call.common())
    result: ReferralReturned = await call.submit(command, scale)
    return ReferralReturnOut(
        id=public("rrt", result.id),
        referral=public("ref", result.referral_id),
        points_returned=points(result.returned_points, scale),
        points_written_off=points(result.written_off, scale),
        event_log_ids=result.events,
    )


async def _found(call: Call, referral: str) -> ReferralRow:
    identifier = private("ref", referral)
    row = None if identifier is None else await call.services.reader.referral(call.org_id, identifier)
    if row is None:
        raise Problem("referral_not_found", field="referral")
    return row
