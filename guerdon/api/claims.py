"""Claims of rewards: taking a piece for points, and moving its fulfilment."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from guerdon.api.call import Call
from guerdon.api.members import found as found_member
from guerdon.api.problem import Problem
from guerdon.api.refs import Ref, program_ref, store_selector, till_selector, wallet_in
from guerdon.api.rewards import MemberRewards, rewards_of
from guerdon.api.routing import Routes
from guerdon.api.values import (
    Body,
    PageQuery,
    Selector,
    Shown,
    Text,
    member_selector,
    named_id,
    page,
    place_id,
    points,
    private,
    public,
)
from guerdon.core import commands
from guerdon.core.catalogue import Status
from guerdon.core.promotions import codes as texts
from guerdon.core.results import ClaimMoved, RewardClaimed
from guerdon.store.read import ClaimRow, Directory

routes = Routes("Claims")

Wallet = Annotated[str, Meta(max_length=100)]


class ClaimIn(Body, frozen=True, kw_only=True):
    """`wallet` is where a wallet credit goes: an account of the member, of the reward's asset."""

    reward: Annotated[str, Meta(max_length=100, description="The reward's id (`rwd_…`)")]
    wallet: Annotated[Wallet | None, Meta(description="A money account (`bln_…`)")] = None
    source: Annotated[str, Meta(max_length=64, description="The channel, as registered at /v1/sources")] = ""
    store: Annotated[Selector | None, Meta(description="Id, `number:…` or code")] = None
    till: Annotated[Selector | None, Meta(description="Id, `number:…` or code")] = None


class ClaimQuery(Struct, frozen=True, kw_only=True):
    rewards: Annotated[int, Meta(ge=0, le=500, description="How many rewards to show as they look now")] = 20


class ClaimOut(Shown, frozen=True, kw_only=True):
    """`balance` are the regular points after it; `code` is the one that was handed out, null for other kinds; `rewards`
    is the first page of what the member sees now, null where none was asked for.
    """

    id: str
    event_log_id: int
    reward: str
    list: str
    program: Ref
    status: Status
    points: str
    balance: str
    code: str | None
    claimed_at: datetime
    rewards: MemberRewards | None


class ClaimFound(Shown, frozen=True, kw_only=True):
    """`reward_name` as it was when it was claimed; `reason` is that of the last move."""

    id: str
    event_log_id: int
    member: str
    reward: str
    reward_name: str
    list: str
    program: Ref
    status: Status
    points: str
    wallet: str | None
    code: str | None
    claimed_at: datetime
    moved_at: datetime
    reason: str


class ClaimPage(Shown, frozen=True, kw_only=True):
    data: tuple[ClaimFound, ...]
    next_cursor: str | None


class ClaimsQuery(PageQuery, frozen=True, kw_only=True):
    status: Annotated[Status | None, Meta(description="Only those that stand here")] = None


class ClaimChange(Body, frozen=True, kw_only=True):
    status: Literal["processing", "completed", "denied", "cancelled"]
    reason: Text = ""


class ClaimChanged(Shown, frozen=True, kw_only=True):
    """`points` were given back, of which `expired` had ended meanwhile and expired at once, and `written_off` went to
    the program, as for the reversal of a redemption.
    """

    id: str
    event_log_id: int
    status: Status
    points: str
    expired: str
    written_off: str
    balance: str


_ID = "clm_0199b1f0-2c3e-7c11-9a52-5b7d3c000000"
_REWARD = "rwd_0199b1f0-2c3e-7c11-9a52-5b7d3c000001"
_LIST = "rwl_0199b1f0-2c3e-7c11-9a52-5b7d3c000000"
_PROGRAM = {"id": "prg_0199b1f0-2c3e-7c11-9a52-5b7d3c000000", "number": 1, "code": "classic", "name": "Classic"}


@routes.post(
    "/v1/members/{member}/claims",
    scope="claims:write",
    own=True,
    summary="Claim a reward",
    example={"reward": _REWARD},
    answer={
        "id": _ID,
        "event_log_id": 61,
        "reward": _REWARD,
        "list": _LIST,
        "program": _PROGRAM,
        "status": "pending",
        "points": "10",
        "balance": "35",
        "code": None,
        "claimed_at": "2026-11-21T10:00:00Z",
        "rewards": {"data": [], "next_cursor": None},
    },
    errors=(
        "member_not_found",
        "reward_not_found",
        "source_not_found",
        "store_not_found",
        "till_not_found",
        "account_not_found",
        "asset_mismatch",
        "amount_out_of_range",
        "member_blocked",
        "member_merged",
        "wallet_not_of_member",
        "list_not_active",
        "reward_not_active",
        "out_of_stock",
        "limit_reached",
        "insufficient_points",
    ),
)
async def create_claim(call: Call, member: str, body: ClaimIn, query: ClaimQuery) -> ClaimOut:
    """One piece, for its price in regular points, those that end first; points, stock and limits are taken together or
    not at all. Books `RewardClaim`."""
    reward = named_id("rwd", body.reward, "reward_not_found", "reward")
    selector = member_selector(member)
    directory = await call.directory()
    command = commands.ClaimReward(
        member=selector,
        reward=reward,
        wallet=wallet_in(body.wallet),
        where=commands.Where(
            source=body.source,
            store=None if body.store is None else store_selector(body.store),
            till=None if body.till is None else till_selector(body.till),
        ),
        **call.common(),
    )
    result: RewardClaimed = await call.submit(command, await _scale_of(call, directory, reward))
    shown = None
    if query.rewards:
        shown = await rewards_of(call, await found_member(call, member), query.rewards)
    scale = directory.scale(directory.programs[result.program_no].asset)
    return ClaimOut(
        id=public("clm", result.id),
        event_log_id=result.event_no,
        reward=public("rwd", result.reward_id),
        list=public("rwl", result.list_id),
        program=program_ref(directory, result.program_no),
        status=result.status,
        points=points(result.points, scale),
        balance=points(result.balance, scale),
        code=await _printed(call, result),
        claimed_at=result.claimed_at,
        rewards=shown,
    )


async def _printed(call: Call, result: RewardClaimed) -> str | None:
    """The code as it is printed."""
    row = await call.services.reader.claim(call.org_id, result.id) if result.code else None
    return None if row is None else _code(row)


def _code(row: ClaimRow) -> str | None:
    if not row.code:
        return None
    return row.code if row.form is None else texts.shown(row.form, row.code)


async def _scale_of(call: Call, directory: Directory, reward_id: str) -> int:
    """The decimals of the points that a reward costs, for telling a refusal; they never change."""
    program_no = await call.services.reader.program_of_reward(call.org_id, reward_id)
    return 0 if program_no is None else directory.scale(directory.programs[program_no].asset)


@routes.get(
    "/v1/members/{member}/claims",
    scope="claims:read",
    own=True,
    summary="Claims of a member",
    errors=("member_not_found", "invalid_cursor"),
)
async def list_claims_of_member(call: Call, member: str, query: ClaimsQuery) -> ClaimPage:
    """Newest first."""
    return await _page(call, query, (await found_member(call, member)).no)


@routes.get("/v1/claims", scope="claims:read", summary="List claims", errors=("invalid_cursor",))
async def list_claims(call: Call, query: ClaimsQuery) -> ClaimPage:
    """Of all members, newest first."""
    return await _page(call, query, None)


@routes.get("/v1/claims/{claim}", scope="claims:read", summary="Look up a claim", errors=("claim_not_found",))
async def get_claim(call: Call, claim: str) -> ClaimFound:
    """With where its fulfilment stands."""
    return _found(await call.directory(), await _row(call, claim))


@routes.patch(
    "/v1/claims/{claim}",
    scope="claims:write",
    summary="Move a fulfilment",
    example={"status": "denied", "reason": "Broken in the warehouse"},
    answer={
        "id": _ID,
        "event_log_id": 64,
        "status": "denied",
        "points": "10",
        "expired": "0",
        "written_off": "0",
        "balance": "45",
    },
    errors=("claim_not_found", "fulfilment_not_forward", "code_already_used"),
)
async def change_claim(call: Call, claim: str, body: ClaimChange) -> ClaimChanged:
    """Forward only: pending, processing, then completed, denied or cancelled; a claim that handed out a code is
    completed at once, and can be denied or cancelled while the code is not used, which switches it off. Denied and
    cancelled give the points back, with the end they had, and the piece (`RewardClaimReversal`); other moves book
    `RewardFulfilment`."""
    row = await _row(call, claim)
    directory = await call.directory()
    scale = directory.scale(directory.programs[row.program_no].asset)
    command = commands.MoveClaim(claim=row.id, status=body.status, reason=body.reason, **call.common())
    result: ClaimMoved = await call.submit(command, scale)
    return ClaimChanged(
        id=public("clm", result.id),
        event_log_id=result.event_no,
        status=result.status,
        points=points(result.points, scale),
        expired=points(result.expired, scale),
        written_off=points(result.written_off, scale),
        balance=points(result.balance, scale),
    )


async def _page(call: Call, query: ClaimsQuery, member_no: int | None) -> ClaimPage:
    bound = ("claims", member_no, query.status)
    before = place_id("clm", query.cursor, *bound)
    rows = await call.services.reader.claims(call.org_id, member_no, query.status, before, query.limit + 1)
    rows, next_cursor = page(rows, query.limit, lambda row: public("clm", row.id), *bound)
    directory = await call.directory()
    return ClaimPage(data=tuple(_found(directory, row) for row in rows), next_cursor=next_cursor)


async def _row(call: Call, claim: str) -> ClaimRow:
    identifier = private("clm", claim)
    row = None if identifier is None else await call.services.reader.claim(call.org_id, identifier)
    if row is None:
        raise Problem("claim_not_found", field="claim")
    return row


def _found(directory: Directory, row: ClaimRow) -> ClaimFound:
    return ClaimFound(
        id=public("clm", row.id),
        event_log_id=row.event_seq,
        member=public("mem", row.member),
        reward=public("rwd", row.reward_id),
        reward_name=row.reward_name,
        list=public("rwl", row.list_id),
        program=program_ref(directory, row.program_no),
        status=row.status,
        points=points(row.points, directory.scale(directory.programs[row.program_no].asset)),
        wallet=None if row.wallet is None else public("bln", row.wallet),
        code=_code(row),
        claimed_at=row.claimed_at,
        moved_at=row.moved_at,
        reason=row.reason,
    )
