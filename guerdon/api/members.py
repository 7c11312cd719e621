"""`/v1/members`: who holds points, how they are known, what they hold, and points given for goodwill."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from guerdon.api.call import Call
from guerdon.api.problem import Problem
from guerdon.api.refs import PLACED_ERRORS, Placed, Ref, program_of, program_ref, where
from guerdon.api.routing import Routes
from guerdon.api.values import (
    Body,
    Metadata,
    PageQuery,
    Points,
    Selector,
    Shown,
    last_moment,
    member_selector,
    meta_shown,
    meta_text,
    minor,
    page,
    place_no,
    points,
    public,
)
from guerdon.core import commands
from guerdon.core.members import IDENTIFIER_KINDS, normalise
from guerdon.store.read import BalanceRow, Directory, MemberRow

routes = Routes("Members")

Identifier = Annotated[str, Meta(min_length=1, max_length=200)]
_Line = Annotated[str, Meta(max_length=200)]


class Profile(Body, frozen=True, kw_only=True, omit_defaults=True):
    """Personal data. It stands apart from the ledger, so that it can be erased without touching history."""

    first_name: _Line = ""
    last_name: _Line = ""
    other_names: _Line = ""
    gender: _Line = ""
    dob: Annotated[str, Meta(max_length=40, description="Date of birth")] = ""
    nationality: _Line = ""
    street: _Line = ""
    city: _Line = ""
    state: _Line = ""
    country: _Line = ""
    post_code: _Line = ""


class MemberIn(Placed, frozen=True, kw_only=True):
    """At least one of `external_id`, `email`, `mobile` and `card`; each is unique in the organisation."""

    external_id: Identifier | None = None
    email: Identifier | None = None
    mobile: Identifier | None = None
    card: Identifier | None = None
    profile: Profile = Profile()
    metadata: Metadata = msgspec.field(default_factory=dict)


class MemberChange(Body, frozen=True, kw_only=True):
    """What is left out stays as it is; an identifier of null is taken away."""

    external_id: Identifier | UnsetType | None = UNSET
    email: Identifier | UnsetType | None = UNSET
    mobile: Identifier | UnsetType | None = UNSET
    card: Identifier | UnsetType | None = UNSET
    profile: Profile | UnsetType = UNSET
    status: Literal["active", "blocked"] | UnsetType = UNSET


class MemberOut(Shown, frozen=True, kw_only=True):
    """`email`, `mobile` and `card` in the form in which they are unique. `survivor` is whom a merged member was merged
    into, as a selector.
    """

    id: str
    number: int
    status: str
    registered_at: datetime
    external_id: str | None
    email: str | None
    mobile: str | None
    card: str | None
    profile: dict[str, Any]
    metadata: dict[str, Any]
    survivor: str | None = None


class MemberPage(Shown, frozen=True, kw_only=True):
    data: tuple[MemberOut, ...]
    next_cursor: str | None


_MEMBER = {"external_id": "C-17", "email": "ada@example.com", "profile": {"first_name": "Ada"}}
_MEMBER_ID = "mem_0199b1f0-2c3e-7c11-9a52-5b7d3c000000"


@routes.post(
    "/v1/members",
    scope="members:write",
    summary="Register a member",
    example=_MEMBER,
    answer={
        "id": _MEMBER_ID,
        "number": 1,
        "status": "active",
        "registered_at": "2026-11-21T10:00:00Z",
        "mobile": None,
        "card": None,
        "metadata": {},
        "survivor": None,
        **_MEMBER,
    },
    errors=("identifier_missing", "identifier_taken", *PLACED_ERRORS),
)
async def create_member(call: Call, body: MemberIn) -> MemberOut:
    """Opens the member's accounts in every program and books `CustomerRegistration`."""
    identifiers = _identifiers({kind: getattr(body, kind) for kind in IDENTIFIER_KINDS})
    if not identifiers:
        raise Problem("identifier_missing", field="external_id")
    profile = msgspec.to_builtins(body.profile)
    at = where(body)
    command = commands.RegisterMember(
        identifiers=identifiers,
        profile=msgspec.json.encode(profile).decode() if profile else "",
        meta=meta_text(body.metadata, call.services.settings),
        event_at=at.event_at,
        source=at.source,
        store=at.store,
        till=at.till,
        **call.common(),
    )
    result = await call.submit(command)
    known = dict(identifiers)
    return MemberOut(
        id=public("mem", result.id),
        number=result.number,
        status="active",
        registered_at=result.registered_at,
        external_id=known.get("external_id"),
        email=known.get("email"),
        mobile=known.get("mobile"),
        card=known.get("card"),
        profile=profile,
        metadata=body.metadata,
    )


@routes.get("/v1/members", scope="members:read", summary="List members")
async def list_members(call: Call, query: PageQuery) -> MemberPage:
    """In the order of registration."""
    after = place_no(query.cursor, "members") or 0
    rows = await call.services.reader.members(call.org_id, after, query.limit + 1)
    rows, next_cursor = page(rows, query.limit, lambda row: row.no, "members")
    return MemberPage(data=tuple(shown(row) for row in rows), next_cursor=next_cursor)


@routes.get("/v1/members/{member}", scope="members:read", summary="Look up a member", errors=("member_not_found",))
async def get_member(call: Call, member: str) -> MemberOut:
    """By our id, number or any identifier."""
    return shown(await found(call, member))


@routes.patch(
    "/v1/members/{member}",
    scope="members:write",
    summary="Change a member",
    example={"status": "blocked"},
    errors=("member_not_found", "member_merged", "identifier_missing", "identifier_taken"),
)
async def change_member(call: Call, member: str, body: MemberChange) -> MemberOut:
    """What is left out stays as it is. A blocked member neither earns nor spends."""
    row = await found(call, member)
    given = {kind: getattr(body, kind) for kind in IDENTIFIER_KINDS}
    identifiers = None
    if any(value is not UNSET for value in given.values()):
        kept = tuple((kind, value) for kind, value in row.identifiers if given[kind] is UNSET)
        identifiers = kept + _identifiers({kind: value for kind, value in given.items() if value is not UNSET})
        if not identifiers:
            raise Problem("identifier_missing", field="external_id")
    command = commands.ChangeMember(
        member=("id", row.id),
        profile=None if body.profile is UNSET else _profile_text(row, body.profile),
        identifiers=identifiers,
        status=None if body.status is UNSET else body.status,
        **call.common(),
    )
    await call.submit(command)
    return shown(await found(call, public("mem", row.id)))


class BalancesQuery(Shown, frozen=True, kw_only=True):
    expiring_within_days: Annotated[int, Meta(ge=0, le=3650, description="What counts as expiring soon")] = 30


class ExpiringSoon(Shown, frozen=True, kw_only=True):
    """`next_at` is the last moment of the points that end first, whenever that is."""

    points: str
    within_days: int
    next_at: datetime | None


class RegularPoints(Shown, frozen=True, kw_only=True):
    """`spendable` = `balance` less what is on hold. What has ended is in neither, whether or not that has been posted;
    `expired_unposted` tells how much has ended and is not posted yet."""

    account: str
    balance: str
    spendable: str
    on_hold: str
    expired_unposted: str
    expiring_soon: ExpiringSoon


class WaitingPoints(Shown, frozen=True, kw_only=True):
    """Points that cannot be spent yet. `next_at` is when the first of them can, where that is a matter of time."""

    account: str
    balance: str
    next_at: datetime | None


class ProgramBalances(Shown, frozen=True, kw_only=True):
    program: Ref
    asset: str
    regular: RegularPoints
    promised: WaitingPoints
    trigger_based: WaitingPoints


class OtherBalance(Shown, frozen=True, kw_only=True):
    """An account of another asset, such as a wallet, in minor units."""

    account: str
    asset: str
    balance_minor: int
    on_hold_minor: int
    available_minor: int


class Balances(Shown, frozen=True, kw_only=True):
    member: str
    as_of: datetime
    programs: tuple[ProgramBalances, ...]
    other: tuple[OtherBalance, ...]


@routes.get(
    "/v1/members/{member}/balances",
    scope="members:read",
    summary="Balances of a member",
    errors=("member_not_found",),
)
async def get_balances(call: Call, member: str, query: BalancesQuery) -> Balances:
    """Per program what is spendable, promised, on hold and expiring soon: four different figures."""
    row = await found(call, member)
    now = call.services.now()
    until = now + timedelta(days=query.expiring_within_days)
    rows = await call.services.reader.balances(call.org_id, row.no, now, until)
    directory = await call.directory()
    by_program: dict[int, dict[str, BalanceRow]] = {}
    for account in rows:
        if account.program_no:
            by_program.setdefault(account.program_no, {})[account.category] = account
    return Balances(
        member=public("mem", row.id),
        as_of=now,
        programs=tuple(
            _program_balances(directory, no, accounts, query.expiring_within_days)
            for no, accounts in by_program.items()
        ),
        other=tuple(_other(account) for account in rows if not account.program_no),
    )


class AwardIn(Placed, frozen=True, kw_only=True):
    points: Points
    reason: Annotated[str, Meta(min_length=1, max_length=500)]
    program: Annotated[Selector | None, Meta(description="Without it the till's, or the first program")] = None
    metadata: Metadata = msgspec.field(default_factory=dict)


class AwardOut(Shown, frozen=True, kw_only=True):
    """`balance` is the regular balance after it."""

    id: str
    event_log_id: int
    points: str
    balance: str


@routes.post(
    "/v1/members/{member}/awards",
    scope="points:write",
    summary="Give points for goodwill",
    example={"points": "200", "reason": "Broken eggs"},
    answer={
        "id": "evt_0199b1f0-2c3e-7c11-9a52-5b7d3c000000",
        "event_log_id": 42,
        "points": "200",
        "balance": "320",
    },
    errors=(
        "member_not_found",
        "member_blocked",
        "program_not_found",
        "wrong_scale",
        "amount_not_positive",
        "amount_out_of_range",
        *PLACED_ERRORS,
    ),
)
async def create_award(call: Call, member: str, body: AwardIn) -> AwardOut:
    """Books `GoodwillAward`."""
    program, scale, _ = await program_of(call, body.program, body.till)
    command = commands.Award(
        member=member_selector(member),
        points=minor(body.points, scale, "points"),
        reason=body.reason,
        program=program,
        where=where(body),
        meta=meta_text(body.metadata, call.services.settings),
        **call.common(),
    )
    result = await call.submit(command)
    return AwardOut(
        id=public("evt", result.id),
        event_log_id=result.event_no,
        points=points(result.points, scale),
        balance=points(result.balance, scale),
    )


async def found(call: Call, member: str) -> MemberRow:
    """The member a path names."""
    row = await call.services.reader.member(call.org_id, member_selector(member))
    if row is None:
        raise Problem("member_not_found", f"`{member[:80]}` names no member here.", field="member")
    return row


def _identifiers(given: dict[str, str | None]) -> tuple[tuple[str, str], ...]:
    """(kind, value) pairs in normal form; refuses what is empty in it."""
    pairs = []
    for kind, value in given.items():
        if value is None:
            continue
        normal = normalise(kind, value)
        if not normal or (kind == "email" and "@" not in normal):
            raise Problem("invalid_value", f"`{value[:80]}` is not a usable {kind}.", field=kind)
        pairs.append((kind, normal))
    return tuple(pairs)


def _profile_text(row: MemberRow, change: Profile) -> str:
    return msgspec.json.encode(meta_shown(row.profile) | msgspec.to_builtins(change)).decode()


def shown(row: MemberRow) -> MemberOut:
    known = dict(row.identifiers)
    return MemberOut(
        id=public("mem", row.id),
        number=row.no,
        status=row.status,
        registered_at=row.registered_at,
        external_id=known.get("external_id"),
        email=known.get("email"),
        mobile=known.get("mobile"),
        card=known.get("card"),
        profile=meta_shown(row.profile),
        metadata=meta_shown(row.meta),
        survivor=f"number:{row.survivor_no}" if row.survivor_no else None,
    )


def _program_balances(
    directory: Directory, no: int, accounts: dict[str, BalanceRow], within_days: int
) -> ProgramBalances:
    program = directory.programs[no]
    scale = directory.scale(program.asset)
    regular = accounts["regular"]
    return ProgramBalances(
        program=program_ref(directory, no),
        asset=program.asset,
        regular=RegularPoints(
            account=public("bln", regular.id),
            balance=points(regular.balance, scale),
            spendable=points(regular.spendable, scale),
            on_hold=points(regular.on_hold, scale),
            expired_unposted=points(regular.overdue, scale),
            expiring_soon=ExpiringSoon(
                points=points(regular.ending, scale),
                within_days=within_days,
                next_at=last_moment(regular.first_end, program.policies.timezone),
            ),
        ),
        promised=_waiting(accounts["promised"], scale),
        trigger_based=_waiting(accounts["trigger_based"], scale),
    )


def _waiting(row: BalanceRow, scale: int) -> WaitingPoints:
    return WaitingPoints(account=public("bln", row.id), balance=points(row.balance, scale), next_at=row.first_release)


def _other(row: BalanceRow) -> OtherBalance:
    return OtherBalance(
        account=public("bln", row.id),
        asset=row.asset,
        balance_minor=row.balance,
        on_hold_minor=row.on_hold,
        available_minor=row.balance - row.on_hold,
    )
