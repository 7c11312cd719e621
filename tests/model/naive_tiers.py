"""Tiers by brute force: day by day from the first to the last, every figure summed anew from plain lists.

Nothing of the real thing is used but the words in which terms are said.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from guerdon.core.tiers import TierTerms


class Bought(NamedTuple):
    """What was bought when, and what of it came back when: (time, amount)."""

    at: datetime
    amount: int
    back: tuple[tuple[datetime, int], ...] = ()


def months_on(day: date, months: int) -> date:
    month = day.month - 1 + months
    year = day.year + month // 12
    month = month % 12 + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))


def tier(terms: TierTerms, joined: datetime, bought: Sequence[Bought], at: datetime) -> int:
    """The index of the tier at a moment, -1 for none."""
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
        return len([level for level in levels if figure >= level.at_least]) - 1

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
    for now in sorted({moment for moment in (*days, *(when for when, _ in left)) if moment <= at}):
        there = fits(now)
        if there >= level:
            level, falls = there, None
        elif terms.downgrade != "none":
            if falls is None:
                falls = midnight(local(now) + timedelta(terms.grace_days)) if terms.grace_days else now
            if falls <= now:
                level = there if terms.downgrade == "fitting" else level - 1
                falls = later(now) if level > there else None
    return level
