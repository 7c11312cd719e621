"""Forecasts: what another version of a program's policies would do to the points that are there. Pure.

Promises that the figures are those of the change itself, made when it says: each lot is asked the same question
(`endings.follow`), also about versions that are to be followed before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from msgspec import Struct

from guerdon.core.endings import follow, version_of
from guerdon.core.lots import Lot
from guerdon.core.programs import Planned, Policies

Direction = Literal["sooner", "later", "same"]


class Foreseen(Struct, frozen=True, gc=False):
    """One lot of a member: the points that remain of it, when they end, and when they would."""

    lot: int
    member: str
    category: str
    points: int
    ends_at: datetime | None
    would_end_at: datetime | None

    @property
    def direction(self) -> Direction:
        return direction(self.ends_at, self.would_end_at)


def direction(now: datetime | None, then: datetime | None) -> Direction:
    """None is never, and so later than any time."""
    if now == then:
        return "same"
    return "sooner" if then is not None and (now is None or then < now) else "later"


class Foresight:
    """Looks at lots one by one. `versions` are the program's policies so far, by version, `followed` those of them that
    points follow before the change, first to last; `change` would be the next version.
    """

    def __init__(self, versions: Mapping[int, Policies], followed: Sequence[Planned], change: Planned) -> None:
        self._versions = versions
        self._followed = followed
        self._change = change
        self._zone = ZoneInfo(change.policies.timezone)
        self._known: dict[tuple[object, ...], tuple[datetime | None, datetime | None]] = {}

    def ends(self, lot: Lot) -> tuple[datetime | None, datetime | None]:
        """When a lot ends without the change, and with it. Lots of one day that stand alike are reckoned once."""
        version = version_of(lot)
        if not version:
            return lot.expires_at, lot.expires_at
        day = lot.earned_at.astimezone(self._zone).date()
        key = (version, day, lot.expires_at, lot.releases_at, lot.promise)
        if key not in self._known:
            for each in self._followed:
                lot = self._follow(lot, each)
            without = lot.expires_at
            if self._change.policies.follow is not None:
                lot = self._follow(lot, self._change)
            self._known[key] = without, lot.expires_at
        return self._known[key]

    def _follow(self, lot: Lot, plan: Planned) -> Lot:
        version = version_of(lot)
        if version >= plan.version:
            return lot
        return follow(lot, self._versions[version], plan.policies, plan.version, plan.starts_at)


class Sum(Struct):
    """Members, lots and points of one kind."""

    members: int = 0
    lots: int = 0
    points: int = 0


class Forecast:
    """The sums over all that was foreseen: by direction, and by the month in which points end now and would end."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._members: dict[str, set[str]] = {}
        self._months: dict[datetime | None, str] = {None: ""}
        self.sums: dict[str, Sum] = {name: Sum() for name in ("all", "sooner", "later", "same")}
        self.months: dict[str, list[int]] = {}

    def add(self, found: Iterable[Foreseen]) -> None:
        for each in found:
            for name in ("all", each.direction):
                total = self.sums[name]
                total.lots += 1
                total.points += each.points
                self._members.setdefault(name, set()).add(each.member)
            for place, ends in enumerate((each.ends_at, each.would_end_at)):
                self.months.setdefault(self._month(ends), [0, 0])[place] += each.points
        for name, members in self._members.items():
            self.sums[name].members = len(members)

    def _month(self, ends: datetime | None) -> str:
        """The month of the last day, "" for never."""
        month = self._months.get(ends)
        if month is None:
            assert ends is not None
            month = self._months[ends] = f"{last_day(ends, self._zone):%Y-%m}"
        return month


def last_day(ends: datetime, zone: ZoneInfo) -> date:
    """The last day on which points live that end at a moment."""
    return datetime.fromtimestamp(ends.timestamp() - 1, zone).date()
