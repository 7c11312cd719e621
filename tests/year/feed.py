"""What is fed in: a grocer's real purchases, with returns and redemptions from a seed, in the order they are told.

The purchases are those of the Complete Journey year, 2017, read by the reader and the mapping of `guerdon import`. Some
are told late, as tills do; one in twenty comes back in part.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

from guerdon.importing.mapping import load_mapping, resolve_file
from guerdon.importing.reader import Purchase, read_purchases

NAME = "complete-journey"
ZONE = ZoneInfo("America/New_York")
"""Where the grocer's midnight is."""

FIRST_DAY = datetime(2017, 1, 1, tzinfo=ZONE).astimezone(UTC)
LAST_DAY = datetime(2019, 1, 1, tzinfo=ZONE).astimezone(UTC)
"""Exclusive: the year and the one after it, in which its points end."""

RETURNED = 0.05
TOLD_LATE = 0.03
LATE_H = 60
"""A till that was offline tells at most so many hours later, which is less than `LATE_MAX`."""


@dataclass(frozen=True)
class Back:
    """Part of a purchase that comes back: (line from 1, thousandths of a piece)."""

    number: str
    purchase: Purchase
    lines: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Spend:
    """A member spends a share of what it can."""

    member: str
    share: float


@dataclass(frozen=True)
class Fact:
    """What happened, when, and when it was told."""

    told_at: datetime
    at: datetime
    what: Purchase | Back | Spend


def households() -> list[int]:
    from pyarrow import parquet  # an extra, like the data

    column = parquet.read_table(resolve_file(NAME, load_mapping(NAME)), columns=["household_id"]).column(0)
    return sorted(column.unique().to_pylist())


def purchases(place: Path, chosen: list[int] | None = None) -> Iterator[Purchase]:
    """The purchases of all households or of those chosen, by time."""
    mapping = load_mapping(NAME)
    path = resolve_file(NAME, mapping)
    if chosen is not None:
        from pyarrow import parquet

        found = parquet.read_table(path, filters=[("household_id", "in", chosen)])
        path = place / "chosen.parquet"
        parquet.write_table(found, path)
    for purchase in read_purchases(path, mapping):
        assert purchase.fault is None, purchase
        yield purchase


def facts(bought: list[Purchase], random: Random) -> list[Fact]:
    """Everything that happens, in the order in which it is told."""
    told: list[Fact] = []
    for purchase in bought:
        late = timedelta(hours=random.uniform(0, LATE_H)) if random.random() < TOLD_LATE else timedelta()
        told.append(Fact(purchase.at + late, purchase.at, purchase))
        if random.random() < RETURNED:
            # up to 30 days on mostly; some so late that the points were spent or have ended
            days = random.uniform(3, 30) if random.random() < 0.9 else random.uniform(30, 500)
            at = purchase.at + timedelta(days=days)
            lines = _some_lines(purchase, random)
            if lines and at < LAST_DAY:
                told.append(Fact(at, at, Back(f"R-{purchase.number}", purchase, lines)))
    for member in sorted({purchase.member for purchase in bought}):
        # some spend every month, most now and then a little, and some let everything end
        often, share = random.choice(((1.0, 1.0), (0.4, 0.3), (0.4, 0.3), (0.0, 0.0)))
        for month in range(24):
            at = FIRST_DAY + timedelta(days=30.4 * month + random.uniform(1, 29))
            if random.random() < often and at < LAST_DAY:
                told.append(Fact(at, at, Spend(member, share)))
    told.sort(key=lambda fact: fact.told_at)  # stable, so that the same seed tells the same story
    return told


def job_runs(random: Random) -> Iterator[datetime]:
    """Once a day early in the morning; on some days late, twice, or not at all."""
    day = FIRST_DAY
    while day < LAST_DAY:
        early = day + timedelta(hours=3)
        chance = random.random()
        if chance < 0.80:
            yield early
        elif chance < 0.87:
            yield early + timedelta(hours=random.uniform(1, 20))
        elif chance < 0.94:
            yield early
            yield early + timedelta(hours=random.uniform(0, 20))
        day += timedelta(days=1)


def _some_lines(purchase: Purchase, random: Random) -> tuple[tuple[int, int], ...]:
    """A part of the bill: some of its lines, of some of these only some pieces."""
    able = [(i, line.quantity) for i, line in enumerate(purchase.lines, 1) if line.quantity > 0]
    if not able:
        return ()
    chosen = random.sample(able, random.randint(1, max(1, len(able) // 2)))
    return tuple((i, random.randint(1, many)) for i, many in sorted(chosen))
