"""Programs: a scheme's asset, pool, policies and earning rules, and where purchases happen (stores, tills, sources).

Policies are versioned: changing them makes the next version, and every lot keeps the version it was made under.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Literal, TypeVar
from zoneinfo import ZoneInfo

from msgspec import Struct

from guerdon.core.assets import Asset, Rounding
from guerdon.core.dates import add_months, local_midnight, month_end, yearly_on
from guerdon.core.promotions.windows import Window

if TYPE_CHECKING:
    from guerdon.core.promotions.shelf import Shelf
    from guerdon.core.segments import Segment
    from guerdon.core.tiers import Structure

ROLES = ("pool", "returned", "reversed", "expired", "opening", "adjusted")
"""The internal accounts of a program, by what they stand for; see `internal_name`."""

_BASE_NAMES = {
    "pool": "@PointsPool",
    "returned": "@PointsReturned",
    "reversed": "@PointsReversed",
    "expired": "@PointsExpired",
    "opening": "@PointsOpening",
    "adjusted": "@PointsAdjusted",
}

CATEGORIES = ("regular", "promised", "trigger_based")

Returning = Literal["proportional", "reevaluate"]
"""How part of a bill is taken back: its frozen share of what was earned, or what the rest would not have earned."""


Activity = Literal["purchase", "redemption", "claim", "transfer", "award", "referral"]
"""What a member can do, or be given, that may count as activity: see `endings.ACTIVITIES`."""


class Expiry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When points end: never; after `count` days or months (31 Jan + 1 month = last day of February); `yearly` with the
    first such `day` of a `month` on or after the day they were earned and `count` years on (29 February is the last
    of February); or so long (`count` of a `unit`) after the member's last activity.

    With `rolling`, each lot counts from its earning or from the last of the `activities` after it, whichever is later.
    With `inactivity`, points that come without activity end with those that are there, so that all end together.
    `rounding` lets points live through the month in which they would end.

    Points end at the local midnight after their last day: a lot of 30 days earned on 1 June lives through 1 July.
    """

    kind: Literal["never", "days", "months", "yearly", "rolling", "inactivity"] = "never"
    count: int = 0
    unit: Literal["days", "months"] = "months"
    rounding: Literal["exact", "month"] = "exact"
    month: int = 12
    day: int = 31
    activities: tuple[Activity, ...] = ("purchase", "redemption")

    @property
    def renews(self) -> bool:
        """Whether activity puts off the end."""
        return self.kind in ("rolling", "inactivity")

    def end(self, moment: datetime, timezone: str) -> datetime | None:
        """The exclusive end of points that count from a moment: the local midnight after their last day."""
        if self.kind == "never":
            return None
        zone = ZoneInfo(timezone)
        day = moment.astimezone(zone).date()
        if self.kind == "yearly":
            last = yearly_on(day, self.count, self.month, self.day)
        elif self.kind == "days" or (self.renews and self.unit == "days"):
            last = day + timedelta(days=self.count)
        else:
            last = add_months(day, self.count)
        if self.rounding == "month":
            last = month_end(last)
        return local_midnight(last + timedelta(days=1), zone)


class Follow(Struct, frozen=True, kw_only=True):
    """A version whose expiry counts for the points that are there as well (otherwise they keep theirs). None of them
    ends before the end of the day of the change and `grace_days` more, unless it would have anyway.
    """

    grace_days: int = 0


class Cap(Struct, frozen=True, kw_only=True):
    """At most so many `points` (minor units): per purchase, or by one member per calendar day, week, month or year of
    the program's time zone, in the last `days` (`rolling`), or ever (`member`). What is beyond it is not given.

    A cap goes by its `code`: one that is raised or lowered goes on counting where it was.
    """

    code: str
    points: int
    per: Literal["purchase", "day", "week", "month", "year", "rolling", "member"] = "purchase"
    days: int = 0


class Stacking(Struct, frozen=True, kw_only=True):
    """How the rules of a `group` go together where several give: all of them, the one that gives `best`, or the
    `first` by priority. Multipliers are compared with multipliers, the others with one another.
    """

    group: str = ""
    mode: Literal["all", "best", "first"] = "all"


class Rule(Struct, frozen=True, kw_only=True):
    """One earning rule.

    `fixed` gives `points` per purchase (or per matching line's purchase); `per_amount` gives `points` (minor units of
    the program's asset) for every `amount` (minor units of money) of the basis, in whole steps or in proportion;
    `multiplier` multiplies what the other rules gave (on matching lines) by `points / amount`.
    A rule with `skus`, `categories` or `brands` looks only at the lines that match one of them.

    Points of the `promised` category become regular `release_days` after the day they were earned (at the start of
    day + N + 1: 28 September + 1 = 30 September) or at the start of `release_on`; those of `trigger_based` when the
    `trigger` of that name is pulled; without any of these, when somebody unlocks them. `expires_from` says whether
    their expiry counts from the day they were earned or from the day they were released.

    A rule holds from `starts_at` until just before `ends_at`, while one of its `windows` is open in the program's time
    zone, at its `stores` and over its `sources` (codes), for members of its `tiers` and `segments` (codes);
    empty or None is no such condition. `group`, `priority` (the
    highest first, then the order of the rules) and `exclusive` say which rules give where several could: where an
    exclusive one gives, no other does.
    """

    code: str
    kind: Literal["fixed", "per_amount", "multiplier"]
    points: int
    amount: int = 1
    mode: Literal["step", "proportional"] = "step"
    rounding: Rounding | None = None
    skus: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    brands: tuple[str, ...] = ()
    category: Literal["regular", "promised", "trigger_based"] = "regular"
    minimum: int = 0
    release_days: int | None = None
    release_on: date | None = None
    trigger: str = ""
    expires_from: Literal["earning", "release"] = "earning"
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
    caps: tuple[Cap, ...] = ()

    @property
    def narrow(self) -> bool:
        """Whether the rule looks at some lines only."""
        return bool(self.skus or self.categories or self.brands)


class RedemptionRate(Struct, frozen=True):
    """`points` (minor units of the asset) buy `money` (minor units): 10 points : 100 cents."""

    points: int
    money: int


class TransferLimits(Struct, frozen=True, kw_only=True):
    """What a member may send to others: at least `minimum` points at a time, and at most so many points and so many
    transfers per calendar day and month of the program's time zone; None is no limit.
    """

    minimum: int = 0
    points_per_day: int | None = None
    count_per_day: int | None = None
    points_per_month: int | None = None
    count_per_month: int | None = None


class ReferralPoints(Struct, frozen=True):
    """What a referral gives to who referred and to who was referred."""

    referrer: int
    referred: int


class LowPool(Struct, frozen=True, kw_only=True):
    """The pool is low at so many `points` or fewer, which may be below zero; told then, and again only after it was
    `filled` to so many or more (None: to any more than `points`).
    """

    points: int
    filled: int | None = None


class Policies(Struct, frozen=True, kw_only=True):
    """Everything about a program that may change over time.

    A redemption takes at least `minimum_redemption` points, at most `maximum_redemption`, a multiple of
    `redemption_multiple`, by a member who has earned at least `minimum_lifetime` points; 0 is no such condition.
    A manual adjustment of more than `adjustment_limit` points needs two persons; None is no limit. `caps` bound what
    all earning rules give together, the first of them giving first; `stacking` has the groups of rules that do not
    simply add up. `follow` is said of one version and not handed on to the next.
    Members are told of points that are about to end so many `notice_days` before the day on which they do, and the
    organisation of a `low_pool`.
    """

    rounding: Rounding = Rounding.HALF_UP
    timezone: str = "UTC"
    expiry: Expiry = Expiry()
    rules: tuple[Rule, ...] = ()
    caps: tuple[Cap, ...] = ()
    stacking: tuple[Stacking, ...] = ()
    currency: str = ""
    redemption_rate: RedemptionRate | None = None
    minimum_redemption: int = 0
    maximum_redemption: int = 0
    redemption_multiple: int = 0
    minimum_lifetime: int = 0
    transfers: TransferLimits = TransferLimits()
    adjustment_limit: int | None = None
    referral: ReferralPoints | None = None
    on_shortfall: Literal["below_zero", "write_off"] = "below_zero"
    returns: Returning = "proportional"
    follow: Follow | None = None
    notice_days: tuple[int, ...] = ()
    low_pool: LowPool | None = None


class Program(Struct, frozen=True, kw_only=True):
    """A scheme. `first` is true for the first program of its asset, whose internal accounts carry the plain names."""

    no: int
    id: str
    ledger_no: int
    code: str
    name: str
    asset: str
    first: bool
    version: int
    policies: Policies


class Planned(Struct, frozen=True, kw_only=True):
    """A version of a program's policies, and from when on it holds: unless a later one is made before that and starts
    no later.
    """

    version: int
    starts_at: datetime
    policies: Policies


class Store(Struct, frozen=True, kw_only=True):
    no: int
    id: str
    code: str
    name: str


class Till(Struct, frozen=True, kw_only=True):
    no: int
    id: str
    code: str
    name: str
    store_no: int
    program_no: int


def internal_name(role: str, first: bool, code: str) -> str:
    """`@PointsPool` for an asset's first program, `@PointsPool:<code>` for the others; the same for every role."""
    base = _BASE_NAMES[role]
    return base if first else f"{base}:{code}"


class Config(Struct, frozen=True, kw_only=True):
    """What changes rarely and is kept per process, by the configuration version on the head row. `since` says per
    program when each of its versions begins, the first one first (one that another has replaced, when that does), and
    `planned` those that have not begun, in the order in which they will; `timezone` is the organisation's, by whose
    calendar promotions count; `low_pools` are programs whose pool was told to be low and not filled since; `renewing`
    are programs with a version whose points activity renews; `follows` has of each program the last version that the
    points which were there follow too, and `following` those that not all points follow yet, in their order
    (`endings`); `promotions` is None where there are none; `tiers` are all versions of a program's, first to last.
    """

    version: int = 0
    assets: dict[str, Asset] = {}
    programs: dict[int, Program] = {}
    since: dict[int, tuple[datetime, ...]] = {}
    stores: dict[int, Store] = {}
    tills: dict[int, Till] = {}
    sources: frozenset[str] = frozenset()
    timezone: str = "UTC"
    renewing: frozenset[int] = frozenset()
    follows: dict[int, int] = {}
    following: dict[int, tuple[int, ...]] = {}
    planned: dict[int, tuple[Planned, ...]] = {}
    low_pools: frozenset[int] = frozenset()
    promotions: Shelf | None = None
    tiers: dict[int, tuple[Structure, ...]] = {}
    segments: dict[str, Segment] = {}

    def program(self, selector: tuple[str, str]) -> Program | None:
        return _select(self.programs.values(), selector)

    def store(self, selector: tuple[str, str]) -> Store | None:
        return _select(self.stores.values(), selector)

    def till(self, selector: tuple[str, str]) -> Till | None:
        return _select(self.tills.values(), selector)


_Thing = TypeVar("_Thing", Program, Store, Till)


def _select(things: Iterable[_Thing], selector: tuple[str, str]) -> _Thing | None:
    """By `id`, `number` or `code`; organisations have few of these, so a walk is all it takes."""
    by, value = selector
    for thing in things:
        if (by == "id" and thing.id == value) or (by == "code" and thing.code == value):
            return thing
        if by == "number" and str(thing.no) == value:
            return thing
    return None
