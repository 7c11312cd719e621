"""`/v1/programs`: a scheme with its asset, earning rules, redemption rate and expiry."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from guerdon.api.call import Call
from guerdon.api.problem import Problem
from guerdon.api.refs import find, program_selector
from guerdon.api.routing import Routes
from guerdon.api.values import Body, Code, Minor, Name, Points, Shown, instant, minor, points, public
from guerdon.core import commands
from guerdon.core.assets import Rounding
from guerdon.core.programs import (
    Activity,
    Cap,
    Expiry,
    Follow,
    LowPool,
    Policies,
    RedemptionRate,
    ReferralPoints,
    Returning,
    Rule,
    Stacking,
    TransferLimits,
    internal_name,
)
from guerdon.core.promotions.windows import Window
from guerdon.store.read import Directory, ProgramRow

routes = Routes("Programs")

_FACTOR_DECIMALS = 6
FIELDS = {
    "policies.rules": "earning_rules",
    "policies.transfers": "transfer_limits",
    "policies.follow.": "",
    "policies.follow": "existing_points",
    "policies.": "",
}
"""What parts of policies are called in requests."""
Category = Literal["regular", "promised", "trigger_based"]
Words = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=100)], ...], Meta(max_length=1000)]


class ExpiryPolicyIn(Body, frozen=True, kw_only=True):
    """Points end at the end of their last day: never; after `count` days or months; `yearly` with the first such `day`
    of a `month` on or after the day they were earned, and `count` years on; or `count` of a `unit` after the member's
    last activity. `rolling`: each lot counts from its earning or from the last of the `activities` after it.
    `inactivity`: points that come without activity end with those that are there. `rounding` `month` lets points live
    through the month in which they would end.
    """

    kind: Literal["never", "days", "months", "yearly", "rolling", "inactivity"] = "never"
    count: Annotated[int, Meta(ge=0, le=36_500)] = 0
    unit: Literal["days", "months"] = "months"
    rounding: Literal["exact", "month"] = "exact"
    month: Annotated[int, Meta(ge=1, le=12)] = 12
    day: Annotated[int, Meta(ge=1, le=31)] = 31
    activities: tuple[Activity, ...] = ("purchase", "redemption")


class RateIn(Body, frozen=True, kw_only=True):
    """`points` buy `money_minor`: 10 points for 100 cents."""

    points: Points
    money_minor: Annotated[Minor, Meta(gt=0)]


_Limit = Annotated[int, Meta(ge=0)] | None


class TransferLimitsIn(Body, frozen=True, kw_only=True):
    """What a member may send to others, per calendar day and month of the program's time zone; null is no limit."""

    minimum: Points = Decimal(0)
    points_per_day: Points | None = None
    count_per_day: _Limit = None
    points_per_month: Points | None = None
    count_per_month: _Limit = None


class ReferralIn(Body, frozen=True, kw_only=True):
    """What a referral gives to who referred and to who was referred."""

    referrer: Points = Decimal(0)
    referred: Points = Decimal(0)


class CapIn(Body, frozen=True, kw_only=True):
    """At most so many `points`: per purchase, or by one member per calendar day, week, month or year, in the last
    `days` (`rolling`), or ever (`member`). What is beyond it is not given; a return gives its part of it back.
    """

    code: Code
    points: Points
    per: Literal["purchase", "day", "week", "month", "year", "rolling", "member"] = "purchase"
    days: Annotated[int, Meta(ge=0, le=36_500)] = 0


class StackingIn(Body, frozen=True, kw_only=True):
    """How the rules of a `group` ("" for those that name none) go together where several give: `all` of them, the
    `best`, or the `first` by priority. Multipliers are compared with multipliers, the others with one another.
    """

    group: Annotated[str, Meta(max_length=64)] = ""
    mode: Literal["all", "best", "first"] = "all"


Caps = Annotated[tuple[CapIn, ...], Meta(max_length=20)]
Stackings = Annotated[tuple[StackingIn, ...], Meta(max_length=200)]


class Holding(Body, frozen=True, kw_only=True):
    """When and where a rule holds: from `starts_at` until just before `ends_at`, while one of its `windows` is open in
    the program's time zone, at these `stores` (codes) and over these `sources`; what is left out is no condition. Of
    the rules that could give, `group`, `priority` (the highest first) and `exclusive` (no other rule gives then) say
    which do; `caps` say how much.
    """

    starts_at: datetime | None = None
    ends_at: datetime | None = None
    windows: Annotated[tuple[Window, ...], Meta(max_length=20)] = ()
    stores: Words = ()
    sources: Words = ()
    tiers: Words = ()
    segments: Words = ()
    group: Annotated[str, Meta(max_length=64)] = ""
    priority: Annotated[int, Meta(ge=-1_000_000, le=1_000_000)] = 0
    exclusive: bool = False
    caps: Caps = ()


class Release(Holding, frozen=True, kw_only=True):
    """When points that are not regular become so: `release_days` after the day they were earned or on `release_on`
    (promised points), or by the `trigger` of that name (trigger-based ones); without any of these, when somebody
    unlocks them. `expires_from` says what their expiry counts from.
    """

    release_days: Annotated[int, Meta(ge=0, le=36_500, description="N: at the start of that day + N + 1")] | None = None
    release_on: Annotated[date | None, Meta(description="From the start of this day, in the program's time zone")] = (
        None
    )
    trigger: Annotated[str, Meta(max_length=64)] = ""
    expires_from: Literal["earning", "release"] = "earning"


class FixedRule(Release, frozen=True, kw_only=True, tag="fixed", tag_field="kind"):
    """`points` per purchase, or per purchase with a matching line."""

    code: Code
    points: Points
    points_category: Category = "regular"
    minimum_minor: Annotated[Minor, Meta(ge=0, description="Only where the basis is at least this")] = 0
    skus: Words = ()
    categories: Words = ()
    brands: Words = ()


class PerAmountRule(Release, frozen=True, kw_only=True, tag="per_amount", tag_field="kind"):
    """`points` for every `amount_minor` of what was paid, in whole steps or in proportion."""

    code: Code
    points: Points
    amount_minor: Annotated[Minor, Meta(gt=0)]
    mode: Literal["step", "proportional"] = "step"
    rounding: Rounding | None = None
    points_category: Category = "regular"
    minimum_minor: Annotated[Minor, Meta(ge=0)] = 0
    skus: Words = ()
    categories: Words = ()
    brands: Words = ()


class MultiplierRule(Release, frozen=True, kw_only=True, tag="multiplier", tag_field="kind"):
    """Multiplies what the other rules gave, on the matching lines."""

    code: Code
    factor: Annotated[Decimal, Meta(description="2 doubles; at most 6 decimals", examples=["2"])]
    points_category: Category = "regular"
    minimum_minor: Annotated[Minor, Meta(ge=0)] = 0
    skus: Words = ()
    categories: Words = ()
    brands: Words = ()


RuleIn = FixedRule | PerAmountRule | MultiplierRule
Rules = Annotated[tuple[RuleIn, ...], Meta(max_length=200)]
ReturnsPolicy = Annotated[
    Returning,
    Meta(description="A part returned gives back its share of what was earned, or what the rest would not have earned"),
]


class LowPoolIn(Body, frozen=True, kw_only=True):
    """Tell (`points.pool_low`) when the pool falls to so many `points`, which may be below zero; and again only after
    it was `filled` to so many or more (null: to any more than `points`).
    """

    points: Points
    filled: Points | None = None


NoticeDays = Annotated[
    tuple[Annotated[int, Meta(ge=1, le=366)], ...],
    Meta(max_length=5, description="Tell of points so many days before the day on which they end (`points.expiring`)"),
]


class ProgramIn(Body, frozen=True, kw_only=True):
    """`asset` is what the program gives, `currency` what purchases are paid in; both are assets made before.

    A redemption takes at least `minimum_redemption` points and at most `maximum_redemption`, a multiple of
    `redemption_multiple`, by a member who has earned `minimum_lifetime` points; 0 is no such condition. A manual
    adjustment of more than `adjustment_limit` points needs two persons; null is no limit. `caps` bound what all earning
    rules give together.
    """

    code: Code
    name: Name
    asset: Code
    currency: Code
    timezone: Annotated[str, Meta(max_length=64)] = "UTC"
    rounding: Rounding = Rounding.HALF_UP
    expiry: ExpiryPolicyIn = ExpiryPolicyIn()
    earning_rules: Rules = ()
    caps: Caps = ()
    stacking: Stackings = ()
    redemption_rate: RateIn | None = None
    minimum_redemption: Points = Decimal(0)
    maximum_redemption: Points = Decimal(0)
    redemption_multiple: Points = Decimal(0)
    minimum_lifetime: Points = Decimal(0)
    on_shortfall: Literal["below_zero", "write_off"] = "below_zero"
    returns: ReturnsPolicy = "proportional"
    transfer_limits: TransferLimitsIn = TransferLimitsIn()
    adjustment_limit: Points | None = None
    referral: ReferralIn | None = None
    notice_days: NoticeDays = ()
    low_pool: LowPoolIn | None = None


class ProgramChange(Body, frozen=True, kw_only=True):
    """What is left out stays as it is. A change makes a new version. Points keep the terms they were earned under, or
    with `existing_points` `follow` end as the new version says; none of them ends before the end of the day of the
    change and `grace_days` more, unless it would have anyway.
    """

    starts_at: Annotated[datetime | UnsetType, Meta(description="From when on, when not from now on")] = UNSET
    existing_points: Literal["keep", "follow"] = "keep"
    grace_days: Annotated[int, Meta(ge=0, le=36_500)] = 0
    name: Name | UnsetType = UNSET
    currency: Code | UnsetType = UNSET
    timezone: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET
    rounding: Rounding | UnsetType = UNSET
    expiry: ExpiryPolicyIn | UnsetType = UNSET
    earning_rules: Rules | UnsetType = UNSET
    caps: Caps | UnsetType = UNSET
    stacking: Stackings | UnsetType = UNSET
    redemption_rate: RateIn | UnsetType | None = UNSET
    minimum_redemption: Points | UnsetType = UNSET
    maximum_redemption: Points | UnsetType = UNSET
    redemption_multiple: Points | UnsetType = UNSET
    minimum_lifetime: Points | UnsetType = UNSET
    on_shortfall: Literal["below_zero", "write_off"] | UnsetType = UNSET
    returns: ReturnsPolicy | UnsetType = UNSET
    transfer_limits: TransferLimitsIn | UnsetType = UNSET
    adjustment_limit: Points | UnsetType | None = UNSET
    notice_days: NoticeDays | UnsetType = UNSET
    low_pool: LowPoolIn | UnsetType | None = UNSET
    referral: ReferralIn | UnsetType | None = UNSET


class RateOut(Shown, frozen=True, kw_only=True):
    points: str
    money_minor: int


class TransferLimitsOut(Shown, frozen=True, kw_only=True):
    minimum: str
    points_per_day: str | None
    count_per_day: int | None
    points_per_month: str | None
    count_per_month: int | None


class ReferralShown(Shown, frozen=True, kw_only=True):
    referrer: str
    referred: str


class LowPoolShown(Shown, frozen=True, kw_only=True):
    points: str
    filled: str | None


class ExpiryPolicy(Shown, frozen=True, kw_only=True, omit_defaults=True):
    """As it was given; `unit` and `activities` for what activity renews, `month` and `day` for `yearly`."""

    kind: str
    count: int
    rounding: str = "exact"
    unit: str | None = None
    activities: tuple[str, ...] | None = None
    month: int | None = None
    day: int | None = None


class CapOut(Shown, frozen=True, kw_only=True):
    code: str
    points: str
    per: str
    days: int


class StackingOut(Shown, frozen=True, kw_only=True):
    group: str
    mode: str


class RuleOut(Shown, frozen=True, kw_only=True, omit_defaults=True):
    """As it was given; `points` and `amount_minor`, or `factor` for a multiplier."""

    code: str
    kind: str
    points: str | None = None
    amount_minor: int | None = None
    factor: str | None = None
    mode: str | None = None
    rounding: str | None = None
    points_category: str = ""
    minimum_minor: int = 0
    skus: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    brands: tuple[str, ...] = ()
    release_days: int | None = None
    release_on: date | None = None
    trigger: str = ""
    expires_from: str = "earning"
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    windows: tuple[Window, ...] = ()
    stores: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    group: str = ""
    priority: int = 0
    exclusive: bool = False
    caps: tuple[CapOut, ...] = ()


class PlannedOut(Shown, frozen=True, kw_only=True):
    """A version that is still to begin."""

    version: int
    starts_at: datetime


class ProgramOut(Shown, frozen=True, kw_only=True):
    """`pool` is the internal account that points come from; `version` counts the changes. `following` is the version
    that points which were there are being made to follow at the moment, null when all do. `planned` are versions that
    are to begin later.
    """

    id: str
    number: int
    code: str
    name: str
    asset: str
    scale: int
    currency: str
    pool: str
    version: int
    following: int | None
    planned: tuple[PlannedOut, ...]
    timezone: str
    rounding: str
    expiry: ExpiryPolicy
    earning_rules: tuple[RuleOut, ...]
    caps: tuple[CapOut, ...]
    stacking: tuple[StackingOut, ...]
    redemption_rate: RateOut | None
    minimum_redemption: str
    maximum_redemption: str
    redemption_multiple: str
    minimum_lifetime: str
    on_shortfall: str
    returns: str
    transfer_limits: TransferLimitsOut
    adjustment_limit: str | None
    referral: ReferralShown | None
    notice_days: tuple[int, ...]
    low_pool: LowPoolShown | None
    created_at: datetime


class ProgramList(Shown, frozen=True, kw_only=True):
    data: tuple[ProgramOut, ...]


_PROGRAM: dict[str, Any] = {
    "code": "classic",
    "name": "Classic",
    "asset": "POINTS",
    "currency": "USD",
    "timezone": "America/New_York",
    "expiry": {"kind": "months", "count": 12},
    "earning_rules": [{"kind": "per_amount", "code": "base", "points": "1", "amount_minor": 100}],
    "redemption_rate": {"points": "10", "money_minor": 100},
}


@routes.post(
    "/v1/programs",
    scope="programs:write",
    summary="Make a program",
    example=_PROGRAM,
    errors=(
        "code_taken",
        "asset_not_found",
        "store_not_found",
        "source_not_found",
        "window_never_open",
        "windows_overlap",
        "wrong_scale",
        "amount_out_of_range",
    ),
)
async def create_program(call: Call, body: ProgramIn) -> ProgramOut:
    """Every member gets three accounts in it: regular, promised and trigger-based points."""
    directory = await call.directory()
    scale = _scale(directory, body.asset)
    policies = Policies(
        rounding=body.rounding,
        timezone=body.timezone,
        expiry=_expiry(body.expiry),
        rules=rules_in(body.earning_rules, scale),
        caps=_caps(body.caps, scale, "caps"),
        stacking=_stacking(body.stacking),
        currency=body.currency,
        redemption_rate=_rate(body.redemption_rate, scale),
        minimum_redemption=minor(body.minimum_redemption, scale, "minimum_redemption"),
        maximum_redemption=minor(body.maximum_redemption, scale, "maximum_redemption"),
        redemption_multiple=minor(body.redemption_multiple, scale, "redemption_multiple"),
        minimum_lifetime=minor(body.minimum_lifetime, scale, "minimum_lifetime"),
        on_shortfall=body.on_shortfall,
        returns=body.returns,
        transfers=_limits(body.transfer_limits, scale),
        adjustment_limit=_maybe(body.adjustment_limit, scale, "adjustment_limit"),
        referral=_referral(body.referral, scale),
        notice_days=body.notice_days,
        low_pool=_low_pool(body.low_pool, scale),
    )
    command = commands.CreateProgram(
        code=body.code, name=body.name, asset=body.asset, policies=policies, **call.common()
    )
    result = await call.submit(command, scale, FIELDS)
    row = ProgramRow(
        no=result.number,
        id=result.id,
        code=body.code,
        name=body.name,
        asset=body.asset,
        first=all(x.asset != body.asset or x.no >= result.number for x in directory.programs.values()),
        version=1,
        policies=policies,
        created_at=result.created_at,
    )
    return _shown(directory, row)


@routes.get("/v1/programs", scope="programs:read", summary="List programs")
async def list_programs(call: Call) -> ProgramList:
    """All programs by number."""
    directory = await call.directory()
    return ProgramList(data=tuple(_shown(directory, row) for row in directory.programs.values()))


@routes.get(
    "/v1/programs/{program}",
    scope="programs:read",
    summary="Look up a program",
    errors=("program_not_found",),
)
async def get_program(call: Call, program: str) -> ProgramOut:
    """One program by id, number or code."""
    directory = await call.directory()
    return _shown(directory, found_program(directory, program))


@routes.patch(
    "/v1/programs/{program}",
    scope="programs:write",
    summary="Change a program",
    example={"earning_rules": [{"kind": "fixed", "code": "visit", "points": "5"}]},
    errors=(
        "program_not_found",
        "policy_in_the_past",
        "asset_not_found",
        "code_taken",
        "store_not_found",
        "source_not_found",
        "window_never_open",
        "windows_overlap",
        "wrong_scale",
        "amount_out_of_range",
    ),
)
async def change_program(call: Call, program: str, body: ProgramChange) -> ProgramOut:
    """What is left out stays as it is. Points keep the terms they were earned under. With `starts_at` the new version
    begins then; a later change that begins no later replaces it.
    """
    directory = await call.directory()
    row = found_program(directory, program)
    scale = directory.scale(row.asset)
    await call.submit(change_of(row, body, scale, call.common()), scale, FIELDS)
    return _shown(*(await _again(call, row.id)))


def change_of(row: ProgramRow, body: ProgramChange, scale: int, envelope: dict[str, Any]) -> commands.ChangeProgram:
    """The change that is asked for. `envelope` has the command's id, time and actor."""
    if body.grace_days and body.existing_points == "keep":
        raise Problem("invalid_value", "Points that keep their terms need no grace.", field="grace_days")
    given: dict[str, Any] = {
        name: value
        for name, value in msgspec.structs.asdict(body).items()
        if value is not UNSET
        and name not in ("name", "starts_at", "earning_rules", "transfer_limits", "existing_points", "grace_days")
    }
    given["follow"] = Follow(grace_days=body.grace_days) if body.existing_points == "follow" else None
    if body.earning_rules is not UNSET:
        given["rules"] = rules_in(body.earning_rules, scale)
    if body.caps is not UNSET:
        given["caps"] = _caps(body.caps, scale, "caps")
    if body.stacking is not UNSET:
        given["stacking"] = _stacking(body.stacking)
    if body.expiry is not UNSET:
        given["expiry"] = _expiry(body.expiry)
    if body.redemption_rate is not UNSET:
        given["redemption_rate"] = _rate(body.redemption_rate, scale)
    for name in ("minimum_redemption", "maximum_redemption", "redemption_multiple", "minimum_lifetime"):
        if name in given:
            given[name] = minor(given[name], scale, name)
    if body.transfer_limits is not UNSET:
        given["transfers"] = _limits(body.transfer_limits, scale)
    if body.adjustment_limit is not UNSET:
        given["adjustment_limit"] = _maybe(body.adjustment_limit, scale, "adjustment_limit")
    if body.low_pool is not UNSET:
        given["low_pool"] = _low_pool(body.low_pool, scale)
    if body.referral is not UNSET:
        given["referral"] = _referral(body.referral, scale)
    return commands.ChangeProgram(
        program=("id", row.id),
        policies=msgspec.structs.replace(row.policies, **given),
        name="" if body.name is UNSET else body.name,
        starts_at=None if body.starts_at is UNSET else instant(body.starts_at, "starts_at"),
        **envelope,
    )


async def _again(call: Call, program_id: str) -> tuple[Directory, ProgramRow]:
    directory = await call.directory()
    return directory, find(directory.programs, ("id", program_id))


def found_program(directory: Directory, text: str) -> ProgramRow:
    row: ProgramRow | None = find(directory.programs, program_selector(text))
    if row is None:
        raise Problem("program_not_found", field="program")
    return row


def _scale(directory: Directory, asset: str) -> int:
    found = directory.assets.get(asset)
    if found is None:
        raise Problem("asset_not_found", field="asset")
    return found.scale


def _expiry(given: ExpiryPolicyIn) -> Expiry:
    return Expiry(**msgspec.structs.asdict(given))


def expiry_shown(expiry: Expiry) -> ExpiryPolicy:
    yearly = expiry.kind == "yearly"
    return ExpiryPolicy(
        kind=expiry.kind,
        count=expiry.count,
        rounding=expiry.rounding,
        unit=expiry.unit if expiry.renews else None,
        activities=expiry.activities if expiry.renews else None,
        month=expiry.month if yearly else None,
        day=expiry.day if yearly else None,
    )


def _rate(given: RateIn | None, scale: int) -> RedemptionRate | None:
    if given is None:
        return None
    return RedemptionRate(minor(given.points, scale, "redemption_rate.points"), given.money_minor)


def _maybe(given: Decimal | None, scale: int, field: str) -> int | None:
    return None if given is None else minor(given, scale, field)


def _low_pool(given: LowPoolIn | None, scale: int) -> LowPool | None:
    if given is None:
        return None
    return LowPool(
        points=minor(given.points, scale, "low_pool.points"), filled=_maybe(given.filled, scale, "low_pool.filled")
    )


def _limits(given: TransferLimitsIn, scale: int) -> TransferLimits:
    return TransferLimits(
        minimum=minor(given.minimum, scale, "transfer_limits.minimum"),
        points_per_day=_maybe(given.points_per_day, scale, "transfer_limits.points_per_day"),
        count_per_day=given.count_per_day,
        points_per_month=_maybe(given.points_per_month, scale, "transfer_limits.points_per_month"),
        count_per_month=given.count_per_month,
    )


def _referral(given: ReferralIn | None, scale: int) -> ReferralPoints | None:
    if given is None:
        return None
    return ReferralPoints(
        minor(given.referrer, scale, "referral.referrer"), minor(given.referred, scale, "referral.referred")
    )


def _caps(given: tuple[CapIn, ...], scale: int, field: str) -> tuple[Cap, ...]:
    return tuple(
        Cap(code=cap.code, points=minor(cap.points, scale, f"{field}[{i}].points"), per=cap.per, days=cap.days)
        for i, cap in enumerate(given)
    )


def _stacking(given: tuple[StackingIn, ...]) -> tuple[Stacking, ...]:
    return tuple(Stacking(group=each.group, mode=each.mode) for each in given)


def rules_in(given: tuple[RuleIn, ...], scale: int) -> tuple[Rule, ...]:
    """Earning rules as the core has them; `scale` is that of the points."""
    return tuple(_rule(rule, scale, f"earning_rules[{position}]") for position, rule in enumerate(given))


def _rule(given: RuleIn, scale: int, field: str) -> Rule:
    common: dict[str, Any] = {
        "code": given.code,
        "skus": given.skus,
        "categories": given.categories,
        "brands": given.brands,
        "category": given.points_category,
        "minimum": given.minimum_minor,
        "release_days": given.release_days,
        "release_on": given.release_on,
        "trigger": given.trigger,
        "expires_from": given.expires_from,
        "starts_at": given.starts_at,
        "ends_at": given.ends_at,
        "windows": given.windows,
        "stores": given.stores,
        "sources": given.sources,
        "tiers": given.tiers,
        "segments": given.segments,
        "group": given.group,
        "priority": given.priority,
        "exclusive": given.exclusive,
        "caps": _caps(given.caps, scale, f"{field}.caps"),
    }
    if isinstance(given, FixedRule):
        return Rule(kind="fixed", points=minor(given.points, scale, f"{field}.points"), **common)
    if isinstance(given, PerAmountRule):
        return Rule(
            kind="per_amount",
            points=minor(given.points, scale, f"{field}.points"),
            amount=given.amount_minor,
            mode=given.mode,
            rounding=given.rounding,
            **common,
        )
    factor = minor(given.factor, _FACTOR_DECIMALS, f"{field}.factor")
    return Rule(kind="multiplier", points=factor, amount=10**_FACTOR_DECIMALS, **common)


def _shown(directory: Directory, row: ProgramRow) -> ProgramOut:
    scale, policies = directory.scale(row.asset), row.policies
    rate = policies.redemption_rate
    return ProgramOut(
        id=public("prg", row.id),
        number=row.no,
        code=row.code,
        name=row.name,
        asset=row.asset,
        scale=scale,
        currency=policies.currency,
        pool=internal_name("pool", row.first, row.code),
        version=row.version,
        following=row.following,
        planned=tuple(PlannedOut(version=each.version, starts_at=each.starts_at) for each in row.planned),
        timezone=policies.timezone,
        rounding=policies.rounding.value,
        expiry=expiry_shown(policies.expiry),
        earning_rules=tuple(_rule_shown(rule, scale) for rule in policies.rules),
        caps=_caps_shown(policies.caps, scale),
        stacking=tuple(StackingOut(group=each.group, mode=each.mode) for each in policies.stacking),
        redemption_rate=None if rate is None else RateOut(points=points(rate.points, scale), money_minor=rate.money),
        minimum_redemption=points(policies.minimum_redemption, scale),
        maximum_redemption=points(policies.maximum_redemption, scale),
        redemption_multiple=points(policies.redemption_multiple, scale),
        minimum_lifetime=points(policies.minimum_lifetime, scale),
        on_shortfall=policies.on_shortfall,
        returns=policies.returns,
        transfer_limits=_limits_shown(policies.transfers, scale),
        adjustment_limit=_shown_or_none(policies.adjustment_limit, scale),
        referral=None
        if policies.referral is None
        else ReferralShown(
            referrer=points(policies.referral.referrer, scale), referred=points(policies.referral.referred, scale)
        ),
        notice_days=policies.notice_days,
        low_pool=None
        if policies.low_pool is None
        else LowPoolShown(
            points=points(policies.low_pool.points, scale), filled=_shown_or_none(policies.low_pool.filled, scale)
        ),
        created_at=row.created_at,
    )


def _shown_or_none(given: int | None, scale: int) -> str | None:
    return None if given is None else points(given, scale)


def _limits_shown(limits: TransferLimits, scale: int) -> TransferLimitsOut:
    return TransferLimitsOut(
        minimum=points(limits.minimum, scale),
        points_per_day=_shown_or_none(limits.points_per_day, scale),
        count_per_day=limits.count_per_day,
        points_per_month=_shown_or_none(limits.points_per_month, scale),
        count_per_month=limits.count_per_month,
    )


def _rule_shown(rule: Rule, scale: int) -> RuleOut:
    per_amount, multiplier = rule.kind == "per_amount", rule.kind == "multiplier"
    return RuleOut(
        code=rule.code,
        kind=rule.kind,
        points=None if multiplier else points(rule.points, scale),
        amount_minor=rule.amount if per_amount else None,
        factor=_factor(rule) if multiplier else None,
        mode=rule.mode if per_amount else None,
        rounding=rule.rounding.value if rule.rounding else None,
        points_category=rule.category,
        minimum_minor=rule.minimum,
        skus=rule.skus,
        categories=rule.categories,
        brands=rule.brands,
        release_days=rule.release_days,
        release_on=rule.release_on,
        trigger=rule.trigger,
        expires_from=rule.expires_from,
        starts_at=rule.starts_at,
        ends_at=rule.ends_at,
        windows=rule.windows,
        stores=rule.stores,
        sources=rule.sources,
        tiers=rule.tiers,
        segments=rule.segments,
        group=rule.group,
        priority=rule.priority,
        exclusive=rule.exclusive,
        caps=_caps_shown(rule.caps, scale),
    )


def _caps_shown(caps: tuple[Cap, ...], scale: int) -> tuple[CapOut, ...]:
    return tuple(CapOut(code=cap.code, points=points(cap.points, scale), per=cap.per, days=cap.days) for cap in caps)


def _factor(rule: Rule) -> str:
    """A multiplier as a plain decimal: 2, 1.5."""
    scaled = rule.points * 10**_FACTOR_DECIMALS // rule.amount
    return points(scaled, _FACTOR_DECIMALS).rstrip("0").rstrip(".")
