"""`/v1/reward-lists` and `/v1/rewards`: the catalogue, and what of it a member can afford."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from guerdon.api.call import Call
from guerdon.api.members import found as found_member
from guerdon.api.problem import Problem
from guerdon.api.refs import Ref, program_of, program_ref
from guerdon.api.routing import Routes
from guerdon.api.values import (
    Body,
    Cursor,
    Minor,
    Name,
    PageQuery,
    Points,
    Selector,
    Shown,
    cursor,
    instant,
    minor,
    named_id,
    page,
    place,
    place_id,
    points,
    private,
    public,
)
from guerdon.core import catalogue, commands
from guerdon.core.catalogue import (
    PIECES_MAX,
    Claimed,
    Kind,
    ListTerms,
    Reward,
    RewardList,
    RewardTerms,
    Visibility,
)
from guerdon.store.read import Directory, MemberRow

routes = Routes("Rewards")

Count = Annotated[int, Meta(ge=1, le=PIECES_MAX)]
Stock = Annotated[int, Meta(ge=0, le=PIECES_MAX, description="Pieces left; null is without end")]
LowStock = Annotated[
    int,
    Meta(ge=0, le=PIECES_MAX, description="`reward.stock_low` and `reward.codes_low` are told when so few are left"),
]
Price = Annotated[Points, Meta(description="Points for one piece; 0 is free")]
Priority = Annotated[int, Meta(ge=-1_000_000, le=1_000_000, description="A lower one comes first")]
Picture = Annotated[str, Meta(min_length=9, max_length=2000, pattern=r"^https?://[^\s]+$")]
Pictures = Annotated[tuple[Picture, ...], Meta(max_length=20)]
Description = Annotated[str, Meta(max_length=5000)]
Codes = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...],
    Meta(max_length=50, description="Codes: only for members of one of these; empty is for everybody"),
]
Starts = Annotated[datetime | None, Meta(description="Claims are open from here on")]
Ends = Annotated[datetime | None, Meta(description="Claims are open until before this")]
_CHUNK = 500
"""How many rewards are read at a time where a page needs more than it shows."""


class RewardListIn(Body, frozen=True, kw_only=True):
    """`price` is for every reward of the list that has none of its own; `limit_per_member` counts all of them
    together.
    """

    name: Name
    price: Price
    program: Annotated[Selector | None, Meta(description="Without it the first program")] = None
    priority: Priority = 0
    visibility: Annotated[Visibility, Meta(description="What becomes of rewards that a member cannot claim now")] = (
        "hide"
    )
    starts_at: Starts = None
    ends_at: Ends = None
    limit_per_member: Count | None = None
    active: bool = True
    tiers: Codes = ()
    segments: Codes = ()


class RewardListChange(Body, frozen=True, kw_only=True):
    """What is left out stays as it is."""

    name: Name | UnsetType = UNSET
    price: Price | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    visibility: Visibility | UnsetType = UNSET
    starts_at: datetime | UnsetType | None = UNSET
    ends_at: datetime | UnsetType | None = UNSET
    limit_per_member: Count | UnsetType | None = UNSET
    active: bool | UnsetType = UNSET
    tiers: Codes | UnsetType = UNSET
    segments: Codes | UnsetType = UNSET


class RewardListOut(Shown, frozen=True, kw_only=True):
    id: str
    version: int
    name: str
    program: Ref
    price: str
    priority: int
    visibility: Visibility
    starts_at: datetime | None
    ends_at: datetime | None
    limit_per_member: int | None
    active: bool
    tiers: tuple[str, ...]
    segments: tuple[str, ...]
    created_at: datetime


class RewardLists(Shown, frozen=True, kw_only=True):
    data: tuple[RewardListOut, ...]


class RewardIn(Body, frozen=True, kw_only=True):
    """Without `price` it costs what its list says, without `stock` there is no end of it. A `wallet_credit` has `asset`
    and `amount_minor`: what is put into a wallet of the member. A `discount_code` has `code_batch`: each claim takes
    its next free code.
    """

    list: Annotated[str, Meta(max_length=100, description="The list's id (`rwl_…`)")]
    name: Name
    kind: Kind = "product"
    description: Description = ""
    pictures: Pictures = ()
    price: Price | None = None
    stock: Stock | None = None
    starts_at: Starts = None
    ends_at: Ends = None
    limit_per_member: Count | None = None
    asset: Annotated[str, Meta(max_length=64)] = ""
    amount_minor: Minor = 0
    code_batch: Annotated[str, Meta(max_length=100, description="A batch of a promotion's codes (`cbt_…`)")] = ""
    low_stock: LowStock | None = None
    active: bool = True


class RewardChange(Body, frozen=True, kw_only=True):
    """What is left out stays as it is. `stock` says how many pieces there are from now on, whatever was claimed."""

    name: Name | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    pictures: Pictures | UnsetType = UNSET
    price: Price | UnsetType | None = UNSET
    stock: Stock | UnsetType | None = UNSET
    starts_at: datetime | UnsetType | None = UNSET
    ends_at: datetime | UnsetType | None = UNSET
    limit_per_member: Count | UnsetType | None = UNSET
    amount_minor: Minor | UnsetType = UNSET
    low_stock: LowStock | UnsetType | None = UNSET
    active: bool | UnsetType = UNSET


class RewardOut(Shown, frozen=True, kw_only=True):
    """`own_price` is null where the list's `price` counts; `claimed` are the pieces that are out. `stock` of a discount
    code counts the codes after the last one that was claimed.
    """

    id: str
    version: int
    list: str
    name: str
    kind: Kind
    description: str
    pictures: tuple[str, ...]
    price: str
    own_price: str | None
    stock: int | None
    claimed: int
    starts_at: datetime | None
    ends_at: datetime | None
    limit_per_member: int | None
    asset: str
    amount_minor: int
    code_batch: str | None
    low_stock: int | None
    active: bool
    created_at: datetime


class RewardPage(Shown, frozen=True, kw_only=True):
    data: tuple[RewardOut, ...]
    next_cursor: str | None


_LIST_ID = "rwl_0199b1f0-2c3e-7c11-9a52-5b7d3c000000"
_REWARD_ID = "rwd_0199b1f0-2c3e-7c11-9a52-5b7d3c000001"
_PROGRAM = {"id": "prg_0199b1f0-2c3e-7c11-9a52-5b7d3c000000", "number": 1, "code": "classic", "name": "Classic"}
_MADE = "2026-11-21T10:00:00Z"
_LIST = {"name": "Small things", "price": "10", "visibility": "lock"}
_LISTED: dict[str, Any] = {
    **_LIST,
    "id": _LIST_ID,
    "version": 1,
    "program": _PROGRAM,
    "priority": 0,
    "starts_at": None,
    "ends_at": None,
    "limit_per_member": None,
    "active": True,
    "tiers": [],
    "segments": [],
    "created_at": _MADE,
}
_REWARD = {"list": _LIST_ID, "name": "Mug", "stock": 20, "pictures": ["https://cdn.example.com/mug.jpg"]}
_SHOWN = {
    **_REWARD,
    "id": _REWARD_ID,
    "version": 1,
    "kind": "product",
    "description": "",
    "price": "10",
    "own_price": None,
    "claimed": 0,
    "starts_at": None,
    "ends_at": None,
    "limit_per_member": None,
    "asset": "",
    "amount_minor": 0,
    "code_batch": None,
    "low_stock": None,
    "active": True,
    "created_at": _MADE,
}
_TERMS_ERRORS = ("wrong_scale", "amount_out_of_range")


# -- lists ------------------------------------------------------------------------------------------------------------


@routes.post(
    "/v1/reward-lists",
    scope="rewards:write",
    summary="Make a list of rewards",
    example=_LIST,
    answer=_LISTED,
    errors=("program_not_found", *_TERMS_ERRORS),
)
async def create_reward_list(call: Call, body: RewardListIn) -> RewardListOut:
    """Rewards that share a price, dates and a limit."""
    program, scale, _ = await program_of(call, body.program, None)
    terms = ListTerms(
        name=body.name,
        price=minor(body.price, scale, "price"),
        priority=body.priority,
        visibility=body.visibility,
        starts_at=instant(body.starts_at, "starts_at"),
        ends_at=instant(body.ends_at, "ends_at"),
        limit=body.limit_per_member,
        active=body.active,
        tiers=body.tiers,
        segments=body.segments,
    )
    result = await call.submit(commands.CreateRewardList(terms=terms, program=program, **call.common()), scale)
    return _listed(await call.directory(), await _list(call, public("rwl", result.id)))


@routes.get("/v1/reward-lists", scope="rewards:read", summary="List the lists of rewards")
async def list_reward_lists(call: Call) -> RewardLists:
    """All of them, in the order in which members see them."""
    directory = await call.directory()
    rows = await call.services.reader.reward_lists(call.org_id)
    return RewardLists(data=tuple(_listed(directory, row) for row in sorted(rows, key=_order)))


@routes.get(
    "/v1/reward-lists/{reward_list}",
    scope="rewards:read",
    summary="Look up a list of rewards",
    errors=("reward_list_not_found",),
)
async def get_reward_list(call: Call, reward_list: str) -> RewardListOut:
    """One list by its id."""
    return _listed(await call.directory(), await _list(call, reward_list))


@routes.patch(
    "/v1/reward-lists/{reward_list}",
    scope="rewards:write",
    summary="Change a list of rewards",
    example={"visibility": "show"},
    answer={**_LISTED, "version": 2, "visibility": "show"},
    errors=("reward_list_not_found", *_TERMS_ERRORS),
)
async def change_reward_list(call: Call, reward_list: str, body: RewardListChange) -> RewardListOut:
    """Claims keep what they cost; every version of the terms is kept."""
    row = await _list(call, reward_list)
    directory = await call.directory()
    scale = _scale(directory, row)
    terms = ListTerms(
        name=_or(body.name, row.terms.name),
        price=row.terms.price if body.price is UNSET else minor(body.price, scale, "price"),
        priority=_or(body.priority, row.terms.priority),
        visibility=_or(body.visibility, row.terms.visibility),
        starts_at=instant(_or(body.starts_at, row.terms.starts_at), "starts_at"),
        ends_at=instant(_or(body.ends_at, row.terms.ends_at), "ends_at"),
        limit=_or(body.limit_per_member, row.terms.limit),
        active=_or(body.active, row.terms.active),
        tiers=_or(body.tiers, row.terms.tiers),
        segments=_or(body.segments, row.terms.segments),
    )
    await call.submit(commands.ChangeRewardList(list=row.id, terms=terms, **call.common()), scale)
    return _listed(directory, await _list(call, reward_list))


# -- rewards ----------------------------------------------------------------------------------------------------------


@routes.post(
    "/v1/rewards",
    scope="rewards:write",
    summary="Make a reward",
    example=_REWARD,
    answer=_SHOWN,
    errors=("reward_list_not_found", "asset_not_found", "code_batch_not_found", "amount_not_positive", *_TERMS_ERRORS),
)
async def create_reward(call: Call, body: RewardIn) -> RewardOut:
    """A thing that can be claimed, in one list."""
    listed = await _list(call, body.list, "list")
    scale = _scale(await call.directory(), listed)
    terms = RewardTerms(
        name=body.name,
        kind=body.kind,
        description=body.description,
        pictures=body.pictures,
        price=None if body.price is None else minor(body.price, scale, "price"),
        starts_at=instant(body.starts_at, "starts_at"),
        ends_at=instant(body.ends_at, "ends_at"),
        limit=body.limit_per_member,
        asset=body.asset,
        amount=body.amount_minor,
        codes=_batch(body.code_batch),
        low_stock=body.low_stock,
        active=body.active,
    )
    command = commands.CreateReward(list=listed.id, terms=terms, stock=body.stock, **call.common())
    result = await call.submit(command, scale)
    return _shown(await _reward(call, public("rwd", result.id)), listed, scale)


class RewardsQuery(PageQuery, frozen=True, kw_only=True):
    list: Annotated[str | None, Meta(description="Only those of this list (`rwl_…`)")] = None


@routes.get(
    "/v1/rewards", scope="rewards:read", summary="List rewards", errors=("invalid_cursor", "reward_list_not_found")
)
async def list_rewards(call: Call, query: RewardsQuery) -> RewardPage:
    """Newest first, whether or not they can be claimed now."""
    named = None if query.list is None else (await _list(call, query.list, "list")).id
    before = place_id("rwd", query.cursor, "rewards", named)
    rows = await call.services.reader.rewards(call.org_id, named, before, query.limit + 1)
    rows, next_cursor = page(rows, query.limit, lambda row: public("rwd", row.id), "rewards", named)
    lists = {row.id: row for row in await call.services.reader.reward_lists(call.org_id)}
    directory = await call.directory()
    data = [_shown(row, lists[row.list_id], _scale(directory, lists[row.list_id])) for row in rows]
    return RewardPage(data=tuple(data), next_cursor=next_cursor)


@routes.get("/v1/rewards/{reward}", scope="rewards:read", summary="Look up a reward", errors=("reward_not_found",))
async def get_reward(call: Call, reward: str) -> RewardOut:
    """One reward by its id."""
    row = await _reward(call, reward)
    listed = await _list(call, public("rwl", row.list_id))
    return _shown(row, listed, _scale(await call.directory(), listed))


@routes.patch(
    "/v1/rewards/{reward}",
    scope="rewards:write",
    summary="Change a reward",
    example={"stock": 50},
    answer={**_SHOWN, "version": 2, "stock": 50},
    errors=("reward_not_found", "amount_not_positive", *_TERMS_ERRORS),
)
async def change_reward(call: Call, reward: str, body: RewardChange) -> RewardOut:
    """Claims keep what they cost; every version of the terms is kept."""
    row = await _reward(call, reward)
    listed = await _list(call, public("rwl", row.list_id))
    scale = _scale(await call.directory(), listed)
    old = row.terms
    terms = RewardTerms(
        name=_or(body.name, old.name),
        kind=old.kind,
        description=_or(body.description, old.description),
        pictures=_or(body.pictures, old.pictures),
        price=old.price if body.price is UNSET else None if body.price is None else minor(body.price, scale, "price"),
        starts_at=instant(_or(body.starts_at, old.starts_at), "starts_at"),
        ends_at=instant(_or(body.ends_at, old.ends_at), "ends_at"),
        limit=_or(body.limit_per_member, old.limit),
        asset=old.asset,
        amount=_or(body.amount_minor, old.amount),
        codes=old.codes,
        low_stock=_or(body.low_stock, old.low_stock),
        active=_or(body.active, old.active),
    )
    restock = body.stock is not UNSET
    stock = None if body.stock is UNSET else body.stock
    command = commands.ChangeReward(reward=row.id, terms=terms, restock=restock, stock=stock, **call.common())
    await call.submit(command, scale)
    return _shown(await _reward(call, reward), listed, scale)


# -- what a member sees -----------------------------------------------------------------------------------------------


class MemberRewardsQuery(Struct, frozen=True, kw_only=True):
    limit: Annotated[int, Meta(ge=1, le=500, description="How many at most")] = 50
    cursor: Cursor = None


class ListRef(Shown, frozen=True, kw_only=True):
    id: str
    name: str


class MemberReward(Shown, frozen=True, kw_only=True):
    """`affordable_count` is how many pieces the member could claim one after the other, by points, stock and limits;
    null is without end. A `locked` one cannot be claimed now, `reason` says why, and `shortfall` how many points are
    missing. `limit_left` is null without a limit.
    """

    id: str
    list: ListRef
    name: str
    kind: Kind
    description: str
    pictures: tuple[str, ...]
    price: str
    affordable_count: int | None
    locked: bool
    reason: str | None
    shortfall: str | None
    stock: int | None
    limit_left: int | None
    ends_at: datetime | None
    asset: str
    amount_minor: int


class MemberRewards(Shown, frozen=True, kw_only=True):
    data: tuple[MemberReward, ...]
    next_cursor: str | None


@routes.get(
    "/v1/members/{member}/rewards",
    scope="rewards:read",
    own=True,
    summary="Rewards of a member",
    answer={
        "data": [
            {
                "id": _REWARD_ID,
                "list": {"id": _LIST_ID, "name": "Small things"},
                "name": "Mug",
                "kind": "product",
                "description": "",
                "pictures": ["https://cdn.example.com/mug.jpg"],
                "price": "10",
                "affordable_count": 4,
                "locked": False,
                "reason": None,
                "shortfall": None,
                "stock": 20,
                "limit_left": None,
                "ends_at": None,
                "asset": "",
                "amount_minor": 0,
            }
        ],
        "next_cursor": None,
    },
    errors=("member_not_found", "invalid_cursor"),
)
async def list_rewards_of_member(call: Call, member: str, query: MemberRewardsQuery) -> MemberRewards:
    """What this member sees now, list by list. What cannot be claimed is left out, told with what is missing, or told
    like the rest, as its list's `visibility` says (`hide`, `lock`, `show`)."""
    return await rewards_of(call, await found_member(call, member), query.limit, query.cursor)


async def rewards_of(call: Call, row: MemberRow, limit: int, after: str | None = None) -> MemberRewards:
    """A page of what a member sees."""
    reader, now = call.services.reader, call.services.now()
    lists = sorted(await reader.reward_lists(call.org_id), key=_order)
    lists = [listed for listed in lists if catalogue.is_open(listed.terms, now)]
    by_id = {listed.id: listed for listed in lists}
    balances = await reader.balances(call.org_id, row.no, now, now)
    spendable = {each.program_no: each.spendable for each in balances if each.category == "regular"}
    claimed = await reader.claimed(call.org_id, row.no)
    meant = await _meant(call, row, lists)
    directory = await call.directory()
    lists, last = _resume(lists, after, row.no)
    data: list[MemberReward] = []
    shown: Reward | None = None
    chunk = limit + 1
    while lists:
        rows = await reader.rewards_of_lists(call.org_id, [each.id for each in lists], last, chunk)
        for reward in rows:
            listed = by_id[reward.list_id]
            done = Claimed(claimed.get(listed.id, 0), claimed.get(reward.id, 0))
            made = catalogue.offer(
                listed, reward, spendable.get(listed.program_no, 0), done, now, meant=listed.id in meant
            )
            if not catalogue.is_shown(listed, made):
                continue
            if shown is not None and len(data) == limit:
                return MemberRewards(data=tuple(data), next_cursor=cursor(_at(shown), "member_rewards", row.no))
            data.append(_offered(listed, reward, made, done, _scale(directory, listed)))
            shown = reward
        if len(rows) < chunk:
            break
        last = rows[-1].id
        lists = lists[lists.index(by_id[rows[-1].list_id]) :]
        chunk = _CHUNK
    return MemberRewards(data=tuple(data), next_cursor=None)


async def _meant(call: Call, row: MemberRow, lists: Iterable[RewardList]) -> set[str]:
    """The lists that are for a member."""
    named = [listed for listed in lists if listed.terms.tiers or listed.terms.segments]
    everybody = {listed.id for listed in lists} - {listed.id for listed in named}
    if not named:
        return everybody
    wanted = {code for listed in named for code in listed.terms.segments}
    tiers, there = await call.services.reader.audience(call.org_id, row, wanted, call.services.now())
    return everybody | {
        listed.id for listed in named if catalogue.is_for(listed.terms, tiers.get(listed.program_no, ""), there)
    }


def _at(reward: Reward) -> str:
    return f"{reward.list_id}/{reward.id}"


def _resume(lists: list[RewardList], after: str | None, member_no: int) -> tuple[list[RewardList], str | None]:
    """The lists from the cursor's on, and the reward in its list after which to go on."""
    text = place(after, "member_rewards", member_no)
    if text is None:
        return lists, None
    named, _, last = text.partition("/")
    if private("rwl", f"rwl_{named}") is None or private("rwd", f"rwd_{last}") is None:
        raise Problem("invalid_cursor", field="cursor")
    start = next((position for position, listed in enumerate(lists) if listed.id == named), None)
    if start is None:  # the list was closed meanwhile
        raise Problem("invalid_cursor", "The list this cursor stood in is closed by now.", field="cursor")
    return lists[start:], last


def _offered(listed: RewardList, reward: Reward, made: catalogue.Offer, done: Claimed, scale: int) -> MemberReward:
    terms = reward.terms
    locked = made.refusal is not None and listed.terms.visibility == "lock"
    ends = [end for end in (listed.terms.ends_at, terms.ends_at) if end is not None]
    return MemberReward(
        id=public("rwd", reward.id),
        list=ListRef(id=public("rwl", listed.id), name=listed.terms.name),
        name=terms.name,
        kind=terms.kind,
        description=terms.description,
        pictures=terms.pictures,
        price=points(made.price, scale),
        affordable_count=made.affordable,
        locked=locked,
        reason=str(made.refusal) if locked else None,
        shortfall=points(made.shortfall, scale) if locked and made.shortfall else None,
        stock=reward.stock,
        limit_left=catalogue.limit_left(listed, reward, done),
        ends_at=min(ends, default=None),
        asset=terms.asset,
        amount_minor=terms.amount,
    )


# -- looking up -------------------------------------------------------------------------------------------------------


def _or(given: Any, old: Any) -> Any:
    """What a change gives, or what was there."""
    return old if given is UNSET else given


def _order(listed: RewardList) -> tuple[int, str]:
    """Lists as members see them: by priority, older first on a tie."""
    return listed.terms.priority, listed.id


def _scale(directory: Directory, listed: RewardList) -> int:
    return directory.scale(directory.programs[listed.program_no].asset)


def _batch(text: str) -> str:
    return named_id("cbt", text, "code_batch_not_found", "code_batch") if text else ""


async def _list(call: Call, text: str, field: str = "reward_list") -> RewardList:
    identifier = private("rwl", text)
    rows = await call.services.reader.reward_lists(call.org_id)
    found = next((row for row in rows if row.id == identifier), None)
    if found is None:
        raise Problem("reward_list_not_found", field=field)
    return found


async def _reward(call: Call, text: str) -> Reward:
    identifier = private("rwd", text)
    row = None if identifier is None else await call.services.reader.reward(call.org_id, identifier)
    if row is None:
        raise Problem("reward_not_found", field="reward")
    return row


def _listed(directory: Directory, row: RewardList) -> RewardListOut:
    terms = row.terms
    return RewardListOut(
        id=public("rwl", row.id),
        version=row.version,
        name=terms.name,
        program=program_ref(directory, row.program_no),
        price=points(terms.price, _scale(directory, row)),
        priority=terms.priority,
        visibility=terms.visibility,
        starts_at=terms.starts_at,
        ends_at=terms.ends_at,
        limit_per_member=terms.limit,
        active=terms.active,
        tiers=terms.tiers,
        segments=terms.segments,
        created_at=row.created_at,
    )


def _shown(row: Reward, listed: RewardList, scale: int) -> RewardOut:
    terms = row.terms
    return RewardOut(
        id=public("rwd", row.id),
        version=row.version,
        list=public("rwl", row.list_id),
        name=terms.name,
        kind=terms.kind,
        description=terms.description,
        pictures=terms.pictures,
        price=points(catalogue.price_of(listed, row), scale),
        own_price=None if terms.price is None else points(terms.price, scale),
        stock=row.stock,
        claimed=row.claimed,
        starts_at=terms.starts_at,
        ends_at=terms.ends_at,
        limit_per_member=terms.limit,
        asset=terms.asset,
        amount_minor=terms.amount,
        code_batch=public("cbt", terms.codes) if terms.codes else None,
        low_stock=terms.low_stock,
        active=terms.active,
        created_at=row.created_at,
    )
