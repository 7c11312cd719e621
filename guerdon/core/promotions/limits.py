"""Limits: how often and how much, over whom, in which window; and which counters a use raises by how much.

The caller keeps the counters and hands in their values; nothing here counts by itself. A key that was not handed in
raises `NotLoaded`, so that a limit is never passed by because somebody forgot to look.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from msgspec import Struct

from guerdon.core.state import NotLoaded

Kpi = Literal["uses", "purchases", "discount", "points"]
Per = Literal["code", "issue", "customer", "promotion", "cart", "store"]

CounterKey = tuple[str, str, str, str, str]
"""`counter`, whose (a promotion's id, or "budget:" and its code), the limit's code, the subject, the period."""


class Limit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At most `limit` of a kpi per subject and window; with a time between uses, or that alone (`limit` None).

    *Uses* are applications, of which a purchase may hold several; *purchases* are purchases that used it; discount and
    points are minor units. A rolling window has a length in `days`. `partial` gives what is left, `reject` nothing.
    """

    code: str
    kpi: Kpi = "uses"
    limit: int | None = None
    per: Per = "promotion"
    window: Literal["none", "day", "week", "month", "rolling"] = "none"
    days: int = 0
    min_seconds_between: int = 0
    on_exceed: Literal["reject", "partial"] = "reject"


class Budget(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sum that one or more promotions may give together, for ever."""

    code: str
    limit: int
    kpi: Literal["discount", "points"] = "discount"
    on_exceed: Literal["reject", "partial"] = "reject"


class Counter(Struct, frozen=True):
    """A counter's value: what was `used` in its window (for a rolling one, the sum of the last days), and when last."""

    used: int = 0
    last_at: datetime | None = None


Usage = Mapping[CounterKey, Counter]


class Raise(Struct, frozen=True, gc=False):
    """What a use does to one counter, to be done in the commit that books it: `by`, from the value `read`, which must
    not pass `limit`. A rolling counter keeps a row until `until`.
    """

    key: CounterKey
    by: int
    read: int
    limit: int | None
    until: datetime | None = None


class LimitState(Struct, frozen=True, gc=False):
    """How a limit stands: `used` before this cart, `held` by it so far, `wanted` by what did not fit."""

    code: str
    kpi: str
    per: str
    window: str
    subject: str
    limit: int
    used: int
    held: int = 0
    wanted: int = 0
    free_at: datetime | None = None

    @property
    def left(self) -> int:
        return max(0, self.limit - self.used - self.held)


class Subjects(Struct, frozen=True):
    """Over whom a use counts. "" where there is none: a guest has no customer, a cart may have no store."""

    code: str
    customer: str
    store: str
    issue: str = ""

    def of(self, per: Per) -> str:
        if per == "customer":
            return self.customer
        if per == "issue":
            return self.issue
        return self.code if per == "code" else self.store if per == "store" else ""

    def lacks(self, per: Per) -> bool:
        return per in ("code", "issue", "customer", "store") and not self.of(per)


def as_limit(budget: Budget) -> Limit:
    return Limit(code=f"budget:{budget.code}", kpi=budget.kpi, limit=budget.limit, on_exceed=budget.on_exceed)


def owner(promotion: str, limit: Limit) -> str:
    """Whose counter it is: budgets are shared."""
    return limit.code if limit.code.startswith("budget:") else promotion


def counter_key(promotion: str, limit: Limit, subjects: Subjects, at: str) -> CounterKey:
    """The counter that a use in a period counts on; a return frees the one in which the use fell."""
    return "counter", owner(promotion, limit), limit.code, subjects.of(limit.per), at


def last_use_key(promotion: str, limit: Limit, subjects: Subjects) -> CounterKey:
    """The counter that knows the last use, whatever the window."""
    return "counter", owner(promotion, limit), limit.code, subjects.of(limit.per), "last"


def period(limit: Limit, local: datetime) -> str:
    """The calendar window a local time falls in: "2026-11-21", "2026-W47" (ISO), "2026-11", "rolling", or ""."""
    if limit.window == "day":
        return f"{local:%Y-%m-%d}"
    if limit.window == "week":
        year, week, _ = local.isocalendar()
        return f"{year}-W{week:02}"
    if limit.window == "month":
        return f"{local:%Y-%m}"
    return "rolling" if limit.window == "rolling" else ""


class Counted(NamedTuple):
    """What a limit counts on for one cart: `key` its counter (None where it needs none, per cart say), `last` the one
    that knows the last use, where that matters. `nobody` where there is no subject to count over.
    """

    limit: Limit
    subject: str
    nobody: bool
    key: CounterKey | None
    last: CounterKey | None


class Periods(dict[str, str]):
    """The calendar windows that a local time falls in."""

    def __init__(self, local: datetime) -> None:
        self._local = local

    def of(self, limit: Limit) -> str:
        found = self.get(limit.window)
        if found is None:
            found = self[limit.window] = period(limit, self._local)
        return found


def counted_on(promotion: str, limit: Limit, subjects: Subjects, periods: Periods) -> Counted:
    """What an evaluation may ask for of a limit."""
    if subjects.lacks(limit.per):
        return Counted(limit, "", True, None, None)
    key = last = None
    if limit.per != "cart":
        if limit.limit is not None:
            key = counter_key(promotion, limit, subjects, periods.of(limit))
        if limit.min_seconds_between:
            last = last_use_key(promotion, limit, subjects)
    return Counted(limit, subjects.of(limit.per), False, key, last)


def counted(usage: Usage, key: CounterKey) -> Counter:
    counter = usage.get(key)
    if counter is None:
        raise NotLoaded(key)
    return counter


def until(limit: Limit, now: datetime) -> datetime | None:
    """When a use falls out of a rolling window."""
    return now + timedelta(days=limit.days) if limit.window == "rolling" else None


def free_again(limit: Limit, usage: Usage, key: CounterKey, now: datetime) -> datetime | None:
    """The moment from which it may be used again after the last use; None where that is past."""
    last = counted(usage, key).last_at
    if last is None:
        return None
    moment = last + timedelta(seconds=limit.min_seconds_between)
    return moment if moment > now else None
