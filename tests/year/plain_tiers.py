"""Tiers of the same year on paper: the bills of the raw file, less what came back, looked at day by day.

Nothing here is Guerdon's: the file is read by column, and a tier is found anew from the first day for every question.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

Days = list[tuple[date, int]]
"""What was spent on which days, oldest first, in cents."""


class Bill(NamedTuple):
    """A bill of a household: its day, and what its lines came to by product, in cents."""

    household: int
    day: date
    products: dict[int, int]


class Back(NamedTuple):
    """When some products of a bill came back, all of them."""

    at: datetime
    products: frozenset[int]


def bills(path: Path, zone: ZoneInfo) -> dict[int, Bill]:
    """The bills of the raw file, by number."""
    from pyarrow import parquet  # an extra, like the data

    names = ["basket_id", "household_id", "product_id", "sales_value", "transaction_timestamp"]
    table = parquet.read_table(path, columns=names)
    found: dict[int, Bill] = {}
    for number, household, product, value, at in zip(*(table.column(n).to_pylist() for n in names), strict=True):
        bill = found.get(number)
        if bill is None:
            day = at.replace(tzinfo=UTC).astimezone(zone).date()
            bill = found[number] = Bill(household, day, defaultdict(int))
        bill.products[product] += round(value * 100)
    return found


class Past:
    """What households spent, and by which day they were known to have taken some of it back."""

    def __init__(self, found: Mapping[int, Bill], returns: Mapping[int, Back]) -> None:
        self._bills: dict[int, list[tuple[date, int, datetime | None, int]]] = defaultdict(list)
        for number, bill in sorted(found.items(), key=lambda each: each[1].day):
            back, cents = returns.get(number), sum(bill.products.values())
            gone = sum(bill.products[product] for product in back.products) if back else 0
            self._bills[bill.household].append((bill.day, cents, back.at if back else None, gone))

    def counts(self, tier: Callable[[Days, date], str], end: datetime, day: date) -> Counter[str]:
        """How many households are in each tier when a day begins, at a moment `end`."""
        found: Counter[str] = Counter()
        for bought in self._bills.values():
            left: dict[date, int] = defaultdict(int)
            for when, cents, came_back, gone in bought:
                if when < day:
                    left[when] += cents - gone if came_back is not None and came_back <= end else cents
            found[tier(list(left.items()), day)] += 1
        return found


def _of(cents: int, tiers: tuple[tuple[str, int], ...]) -> int:
    return sum(1 for _, at_least in tiers if cents >= at_least) - 1


def by_quarters(tiers: tuple[tuple[str, int], ...]) -> Callable[[Days, date], str]:
    """Where the spend of a quarter reaches a tier it is held through the next, and who is not held falls to what the
    last quarter's spend reaches: so the better of two quarters counts.
    """

    def quarter(day: date) -> int:
        return day.year * 4 + (day.month - 1) // 3

    def tier(days: Days, today: date) -> str:
        sums = [sum(cents for day, cents in days if quarter(day) == quarter(today) - ago) for ago in (0, 1)]
        return tiers[_of(max(sums), tiers)][0]

    return tier


def by_last_days(
    window: int, grace: int, tiers: tuple[tuple[str, int], ...], first: date
) -> Callable[[Days, date], str]:
    """What was spent today and on so many days before counts. A tier is reached at once. When it is not held through
    the days of grace one is lost, and the next one not before the window has gone by again.
    """

    def tier(days: Days, today: date) -> str:
        spent = dict(days)
        level, falls, day = 0, None, first
        total = 0
        while True:
            total -= spent.get(day - timedelta(window + 1), 0)
            reached = _of(total, tiers)
            if reached >= level:
                level, falls = reached, None
            else:
                falls = falls or day + timedelta(grace)
                if falls <= day:
                    level -= 1
                    falls = day + timedelta(window) if level > reached else None
            if day == today:
                return tiers[level][0]
            total += spent.get(day, 0)
            reached = _of(total, tiers)
            if reached >= level:
                level, falls = reached, None
            day += timedelta(1)

    return tier
