"""The same year on paper: one list of lots per member, one dictionary of months, nothing of Guerdon's code.

It never hears of jobs. What a lot is at a moment follows from its own three dates.
"""

from __future__ import annotations

from calendar import monthrange
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

PROMISED_DAYS = 14


@dataclass
class Lot:
    number: str
    place: int
    at: datetime
    points: int
    left: int
    spent: int
    expired: int
    releases: datetime
    ends: datetime
    released: bool = False


class Member:
    def __init__(self) -> None:
        self.lots: dict[str, Lot] = {}
        self.owes = 0


class Paper:
    """Points of one program: 1 for each whole 1.00, promised for 14 days, gone after the same day a year later; or,
    once that was changed, after the same day some months later.
    """

    def __init__(self, zone: ZoneInfo) -> None:
        self.zone = zone
        self.changed: tuple[datetime, int, datetime] | None = None
        self.members: dict[str, Member] = defaultdict(Member)
        self.months: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self.places = 0
        self.figures: dict[str, int] = defaultdict(int)

    # -- what happens

    def buy(self, member: str, number: str, cents: int, at: datetime, told_at: datetime) -> int:
        self.pass_to(member, told_at)
        points = cents // 100
        self.places += 1
        if points:
            day = at.astimezone(self.zone).date()
            lot = Lot(
                number, self.places, at, points, points, 0, 0,
                releases=self.midnight(day + timedelta(days=PROMISED_DAYS + 1)), ends=self.end(at),
            )  # fmt: skip
            self.members[member].lots[number] = lot
            self.book("issued", at, points)
        return points

    def spend(self, member: str, points: int, at: datetime) -> None:
        self.pass_to(member, at)
        missing = self.take(member, points, at)
        assert not missing
        self.book("redeemed", at, points)

    def bring_back(self, member: str, number: str, points: int, at: datetime) -> tuple[int, int]:
        """(taken back, expired before)."""
        self.pass_to(member, at)
        who = self.members[member]
        lot = who.lots.get(number)
        if lot is None:
            return 0, 0
        there = min(points, lot.left)
        lot.left -= there
        spent = min(points - there, lot.spent)
        lot.spent -= spent
        expired = points - there - spent
        lot.expired -= expired
        assert lot.expired >= 0
        short = self.take(member, spent, at)
        who.owes += short
        self.figures["fell below zero"] += short
        self.book("returned", at, there + spent)
        return there + spent, expired

    def change(self, at: datetime, months: int, grace_days: int) -> None:
        """Points last so many months from now on. Those that are there as well, though nothing that would have lived
        on ends before so many days are over.
        """
        for member in self.members:
            self.pass_to(member, at)
        self.changed = (at, months, self.midnight(at.astimezone(self.zone).date() + timedelta(days=grace_days + 1)))
        for who in self.members.values():
            for lot in who.lots.values():
                if lot.ends > at:
                    lot.ends = self.end(lot.at)

    def end(self, at: datetime) -> datetime:
        """When points end that were earned at a moment."""
        day = at.astimezone(self.zone).date()
        year_on = self.midnight(later(day, 12) + timedelta(days=1))
        if self.changed is None:
            return year_on
        changed_at, months, earliest = self.changed
        anew = self.midnight(later(day, months) + timedelta(days=1))
        return anew if at >= changed_at else max(anew, min(year_on, earliest))

    # -- what there is

    def spendable(self, member: str, at: datetime) -> int:
        self.pass_to(member, at)
        who = self.members[member]
        return sum(lot.left for lot in who.lots.values() if lot.released) - who.owes

    def promised(self, member: str, at: datetime) -> int:
        self.pass_to(member, at)
        return sum(lot.left for lot in self.members[member].lots.values() if not lot.released)

    def outstanding(self, at: datetime) -> tuple[int, int]:
        """(held by members above zero, owed by those below it), account by account."""
        held = owed = 0
        for member in self.members:
            spendable = self.spendable(member, at)
            held += max(0, spendable) + self.promised(member, at)
            owed += max(0, -spendable)
        return held, owed

    def report(self, at: datetime) -> dict[str, dict[str, int]]:
        """Columns by month, up to a moment."""
        for member in self.members:
            self.pass_to(member, at)
        return {month: dict(columns) for month, columns in self.months.items()}

    # -- the passing of time

    def pass_to(self, member: str, now: datetime) -> None:
        """Release and end what has come due, each at its own instant."""
        who = self.members[member]
        due = [(lot.releases, 0, lot.place, lot) for lot in who.lots.values() if not lot.released and lot.left]
        due += [(lot.ends, 1, lot.place, lot) for lot in who.lots.values() if lot.left]
        for instant, what, _, lot in sorted(entry for entry in due if entry[0] <= now):
            if what == 0:
                lot.released = True
                paid = min(who.owes, lot.left)
                lot.left -= paid
                lot.spent += paid
                who.owes -= paid
            elif lot.left:
                self.book("expired", instant, lot.left)
                lot.expired += lot.left
                lot.left = 0

    def take(self, member: str, points: int, at: datetime) -> int:
        able = [lot for lot in self.members[member].lots.values() if lot.released and lot.left and lot.ends > at]
        for lot in sorted(able, key=lambda lot: (lot.ends, lot.place)):
            part = min(points, lot.left)
            lot.left -= part
            lot.spent += part
            points -= part
        return points

    def book(self, column: str, at: datetime, points: int) -> None:
        if points:
            self.months[f"{at.astimezone(self.zone):%Y-%m}"][column] += points
            self.figures[column] += points

    def midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), self.zone).astimezone(UTC)


def later(day: date, months: int) -> date:
    """The same day some months later, or the last one of that month."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def shares(points: int, cents: Sequence[int]) -> list[int]:
    """Points divided over lines by what was paid for each: whole parts, and what is left to those cut short most."""
    total = sum(cents)
    if not total or not points:
        return [0] * len(cents)
    parts = [points * each // total for each in cents]
    order = sorted(range(len(cents)), key=lambda i: -(points * cents[i] % total))
    for i in order[: points - sum(parts)]:
        parts[i] += 1
    return parts
