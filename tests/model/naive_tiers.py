"""Tiers by brute force: day by day from the first to the last, every figure summed anew from plain lists.

Nothing of the real thing is used but the words in which terms are said.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from guerdon.core.tiers import TierTerms


class Bought(NamedTuple):
    """What was bought when, and what of it came back when: (time, amount)."""

    at: datetime
    amount: int
    back: tuple[tuple[datetime, int], ...] = ()


class Kept(NamedTuple):
    """A tier that is left to a member from a moment on, and until when."""

    level: int
    since: datetime
    until: datetime | None


Bills = Callable[[TierTerms], Sequence[Bought]]
"""What was bought, by what structures count: the amounts are those of their figure."""


class Started(NamedTuple):
    """A structure, of which the last of those that have started counts."""

    starts_at: datetime
    terms: TierTerms


def months_on(day: date, months: int) -> date:
    month = day.month - 1 + months
    year = day.year + month // 12
    month = month % 12 + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))


def tier_under(structures: Sequence[Started], joined: datetime, bought: Bills, at: datetime) -> str:
    """The code of the tier at a moment under the last of a program's structures that has started, "" for none."""
    begun = [n for n, each in enumerate(structures, 1) if each.starts_at <= at]
    if not begun:
        return ""
    terms = structures[begun[-1] - 1].terms
    level = course_under(structures[: begun[-1]], joined, bought, at)[-1][1]
    return terms.levels[level].code if level >= 0 else ""


def course_under(
    structures: Sequence[Started], joined: datetime, bought: Bills, at: datetime
) -> list[tuple[datetime, int]]:
    """The course under the last of these structures, with what it leaves of the one before."""
    starts_at, terms = structures[-1]
    earlier = [n for n, each in enumerate(structures[:-1], 1) if each.starts_at <= starts_at]
    if not terms.keep or not earlier:
        return course(terms, joined, bought(terms), at)
    old = structures[: earlier[-1]]
    before = course_under(old, joined, lambda of: [each for each in bought(of) if each.at < starts_at], at)
    levels = old[-1].terms.levels
    had = [level for when, level in before if when <= starts_at]
    everybody = sum(1 for each in levels if each.at_least <= 0) - 1
    if not had or had[-1] <= everybody:
        return course(terms, joined, bought(terms), at)
    same = [n for n, level in enumerate(terms.levels) if level.code == levels[had[-1]].code]
    if not same:
        return course(terms, joined, bought(terms), at)
    lost = [when for when, level in before if when > starts_at and level < had[-1]]
    return course(terms, joined, bought(terms), at, Kept(same[0], starts_at, lost[0] if lost else None))


def tier(terms: TierTerms, joined: datetime, bought: Sequence[Bought], at: datetime) -> int:
    """The index of the tier at a moment, -1 for none."""
    return course(terms, joined, bought, at)[-1][1]


def course(
    terms: TierTerms, joined: datetime, bought: Sequence[Bought], at: datetime, kept: Kept | None = None
) -> list[tuple[datetime, int]]:
    """The index of the tier, -1 for none, at every moment at which it may have become another, until one."""
    zone = ZoneInfo(terms.timezone)
    window, levels = terms.window, terms.levels
    left = [
        (each.at, amount)
        for each in bought
        if each.at <= at and (amount := each.amount - sum(part for when, part in each.back if when <= at))
    ]

    def local(moment: datetime) -> date:
        return moment.astimezone(zone).date()

    def midnight(day: date) -> datetime:
        return datetime.combine(day, time(), zone)

    def period(day: date) -> int:
        """The number of the period that a day lies in."""
        if window.kind == "calendar":
            return (day.year * 12 + day.month - window.first_month) // window.months
        first, n = local(joined), 0
        while months_on(first, n * window.months) > day:
            n -= 1
        while months_on(first, (n + 1) * window.months) <= day:
            n += 1
        return n

    def held(now: datetime) -> int:
        """The figure that holds a tier."""
        known = [(when, amount) for when, amount in left if when <= now]
        if window.kind == "rolling":
            total = 0
            for when, amount in known:
                last = months_on(local(when), window.months) if window.months else local(when) + timedelta(window.days)
                total += amount if local(now) <= last else 0
            return total
        if not window.months:
            return sum(amount for _, amount in known)
        this = period(local(now))
        return max(sum(amount for when, amount in known if period(local(when)) == n) for n in (this, this - 1))

    def fits(now: datetime) -> int:
        figure: int = held(now)
        by_figure = len([level for level in levels if figure >= level.at_least]) - 1
        leaves = kept is not None and kept.since <= now and (kept.until is None or now < kept.until)
        return max(by_figure, kept.level) if kept is not None and leaves else by_figure

    def later(now: datetime) -> datetime:
        if window.kind == "rolling":
            day = local(now)
            return midnight(months_on(day, window.months) if window.months else day + timedelta(window.days))
        day = local(now)
        this = period(day)
        while period(day) == this:
            day += timedelta(1)
        return midnight(day + timedelta(terms.grace_days))

    first = min([local(joined), *(local(when) for when, _ in left)])
    days = [midnight(first + timedelta(n)) for n in range((local(at) - first).days + 1)]
    level, falls = sum(1 for each in levels if each.at_least <= 0) - 1, None
    found = [(midnight(first), level)]
    extra = [moment for moment in (kept.since, kept.until) if moment is not None] if kept is not None else []
    for now in sorted({moment for moment in (*days, *(when for when, _ in left), *extra) if moment <= at}):
        there = fits(now)
        if there >= level:
            level, falls = there, None
        elif terms.downgrade != "none":
            if falls is None:
                grace = 0 if kept is not None and now == kept.until and level <= kept.level else terms.grace_days
                falls = midnight(local(now) + timedelta(grace)) if grace else now
            if falls <= now:
                level = there if terms.downgrade == "fitting" else level - 1
                falls = later(now) if level > there else None
        found.append((now, level))
    return found
