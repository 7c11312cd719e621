"""`/v1/member-tokens`: short-lived tokens for a member's own browser."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from msgspec import Meta

from guerdon.api.call import Call
from guerdon.api.members import found as found_member
from guerdon.api.routing import Routes
from guerdon.api.values import Body, Selector, Shown, public

routes = Routes("Member tokens")

LIFETIME_S = 900
LIFETIME_MAX_S = 86_400


class MemberTokenIn(Body, frozen=True, kw_only=True):
    member: Annotated[Selector, Meta(description="`mem_…`, `number:…`, `external_id:…`, `email:…` ...")]
    lifetime_s: Annotated[int, Meta(ge=10, le=LIFETIME_MAX_S, description="How many seconds it lives")] = LIFETIME_S


class MemberTokenOut(Shown, frozen=True, kw_only=True):
    """`token` goes where a key would: `Authorization: Bearer`."""

    token: str
    member: str
    expires_at: datetime


@routes.post(
    "/v1/member-tokens",
    scope="member-tokens:write",
    summary="Make a member token",
    example={"member": "external_id:C-17"},
    answer={
        "token": "gd_member_…",
        "member": "mem_0199b1f0-2c3e-7c11-9a52-5b7d3c000000",
        "expires_at": "2026-11-21T10:15:00Z",
    },
    errors=("member_not_found",),
)
async def create_member_token(call: Call, body: MemberTokenIn) -> MemberTokenOut:
    """For the member's own browser: with it one may read this member's balances, points ledger, rewards and claims
    (as `/v1/members/me/...`), and claim, and nothing else. Nothing is stored, so an `Idempotency-Key` has no effect;
    the token ends with its time or with the key that made it."""
    row = await found_member(call, body.member)
    ends = (call.services.now() + timedelta(seconds=body.lifetime_s)).replace(microsecond=0)
    assert call.principal is not None, "the route needs a key"
    token = call.services.auth.member_token(call.org_id, row.id, call.principal.key_id, ends)
    return MemberTokenOut(token=token, member=public("mem", row.id), expires_at=ends)
