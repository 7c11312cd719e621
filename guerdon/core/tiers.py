"""Tiers: what standing a member's past gives at a moment. Pure arithmetic over deeds and calendars.

A tier is a function of the terms, the member's deeds and the moment, and of nothing else: neither of when a job ran nor
of the order in which deeds became known. What was returned was never bought, from its return on; what a merge brought
was bought by the survivor, from the merge on (`activity.Deed.at`). `standings.py` writes down what this says.

A figure is looked at in a window:

* `calendar`: periods of some months of the year, and `since_join`: of some months since the member's day of joining
  (29 February + 12 months = 28 February). A tier is reached as soon as the figure of the period that runs reaches its
  threshold, and it is held until the end of the period after the last one that reached it.
* `rolling`: a deed counts through the day that is so many days or months after its own. A tier is held while the figure
  reaches its threshold.
* `since_join` without months: all there ever was.

When a tier is not held any more, and that is so for all of the days of grace too, the member falls: not at all
(`none`), to the tier that the figure holds (`fitting`), or by one (`one`) and by one again a window later.

Under a structure that keeps tiers (`TierTerms.keep`), a tier that was reached under the structure before is held for as
long as that one would have left it without another purchase, and there is no grace after that: it had its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from msgspec import Struct

from guerdon.core.activity import Activity, Deed
from guerdon.core.dates import add_months, local_midnight

Figure = Literal["spend", "points", "visits", "attribute"]
Downgrade = Literal["none", "one", "fitting"]
Reason = Literal["reached", "lapsed", "returned", "merged", "structure", "late"]
"""Why a tier is another than before: the figure reached it; it lapsed; something was returned; members were merged; the
structure is a new one; or something became known late.
"""


class Window(Struct, frozen=True, kw_only=True):
    """`calendar` and `since_join` have `months`, the latter none for all of time; `rolling` has days or months.
    Calendar periods begin with `first_month`.
    """

    kind: Literal["calendar", "rolling", "since_join"]
    months: int = 0
    days: int = 0
    first_month: int = 1


class Level(Struct, frozen=True, kw_only=True):
    """A tier, from a figure of `at_least` (see `TierTerms`). `below`, where said, is where the next one begins."""

    code: str
    name: str
    at_least: int
    below: int | None = None


class TierTerms(Struct, frozen=True, kw_only=True):
    """A structure: its tiers, lowest first, and how they are reached and lost.

    Figures: `spend` is what was really paid in `currency`, in its minor units; `points` those earned on purchases, in
    minor units; `visits` purchases that were not returned as a whole; `attribute` the sum of that numeric attribute of
    the lines, in thousandths. `notice_days` before a tier falls, the member is told; 0 is no notice. With `keep`, who
    reached a tier of the same code under the structure before has it until that would have let it go.
    """

    figure: Figure
    window: Window
    levels: tuple[Level, ...]
    timezone: str
    downgrade: Downgrade = "fitting"
    grace_days: int = 0
    notice_days: int = 0
    currency: str = ""
    attribute: str = ""
    keep: bool = False

    def level(self, figure: int) -> int:
        """The index of the highest tier that a figure reaches, -1 for none."""
        found = -1
        for i, level in enumerate(self.levels):
            if figure >= level.at_least:
                found = i
        return found

    def code(self, level: int) -> str:
        return "" if level < 0 else self.levels[level].code

    def index(self, code: str) -> int:
        """The index of a tier, -1 where there is none of that code."""
        return next((i for i, level in enumerate(self.levels) if level.code == code), -1)

    def worth(self, deed: Deed) -> int:
        """What a deed adds to the figure."""
        if self.figure == "spend":
            return deed.paid if deed.currency == self.currency else 0
        if self.figure == "points":
            return deed.points
        if self.figure == "visits":
            return deed.visits
        return deed.attributes.get(self.attribute, 0)


class Structure(Struct, frozen=True, kw_only=True):
    """A version of a program's tiers. Of those that have started the highest is in force."""

    program_no: int
    version: int
    starts_at: datetime
    recorded_at: datetime
    terms: TierTerms


class Change(Struct, frozen=True):
    """From one tier (index, -1 for none) to another, at a moment."""

    at: datetime
    before: int
    after: int
    reason: Reason


class Kept(Struct, frozen=True, kw_only=True):
    """A tier (index) that a member had `since` under the structure before, and has in this one from its beginning `at`
    until the old one would have let it go, None if it never would have.
    """

    level: int
    since: datetime
    at: datetime
    until: datetime | None


class Reckoning(Struct, frozen=True, array_like=True):
    """Where the deeds up to the last one lead, without anything that time does after it.

    `level` since when and why; the figures of the `period` that ran then (its first instant) and of the one before, or
    `parts` of a rolling window (until when, how much), soonest first; when the level falls, where it is not held; and
    the level that is `kept` from the structure before (-1 for none), until when.
    """

    level: int
    since: datetime
    reason: Reason = "reached"
    period: datetime | None = None
    current: int = 0
    previous: int = 0
    parts: tuple[tuple[datetime, int], ...] = ()
    falls_at: datetime | None = None
    kept: int = -1
    kept_until: datetime | None = None

    @property
    def figure(self) -> int:
        """What counts towards the next tier."""
        return self.current + sum(amount for _, amount in self.parts)


class Progress(Struct, frozen=True, kw_only=True):
    """A member's standing at a moment, as it is told. Figures as the terms count.

    `missing` are to the `next_code` ("" at the top), as the figure stands until `by` (None where it does not end by
    itself). Without another deed the tier falls to `falls_to` at `falls_at`; `to_keep` more would keep it, None where
    nothing that is done now would.
    """

    code: str
    since: datetime
    reason: Reason
    figure: int
    next_code: str = ""
    missing: int = 0
    by: datetime | None = None
    falls_at: datetime | None = None
    falls_to: str = ""
    to_keep: int | None = None


def in_force(structures: Sequence[Structure], at: datetime) -> Structure | None:
    """The structure that counts at a moment, None before the first."""
    return next((each for each in reversed(structures) if each.starts_at <= at), None)


def net(terms: TierTerms, deeds: Iterable[Deed], at: datetime) -> list[tuple[datetime, int]]:
    """What counts at a moment: per purchase when, and how much is left of it; oldest first."""
    sums: dict[int, list[int]] = {}
    when: dict[int, datetime] = {}
    for deed in deeds:
        if deed.at <= at:
            sums.setdefault(deed.purchase_no, []).append(terms.worth(deed))
            when[deed.purchase_no] = deed.counts_at
    amounts = [(when[no], no, sum(parts)) for no, parts in sums.items()]
    return [(counts_at, amount) for counts_at, _, amount in sorted(amounts) if amount]


def reckon(terms: TierTerms, activity: Activity, at: datetime, kept: Kept | None = None) -> Reckoning:
    """Where all deeds that count at a moment lead, up to the last of them and to where something was kept."""
    joined_at = activity.joined_at(at)
    reckoner = Reckoner(terms, joined_at, first(terms, joined_at))
    for counts_at, amount in net(terms, activity.deeds, at):
        if kept is not None and kept.at <= counts_at:
            reckoner.keep(kept)
            kept = None
        reckoner.add(counts_at, amount)
    if kept is not None:
        reckoner.keep(kept)
    return reckoner.reckoning()


def reckon_under(structures: Sequence[Structure], structure: Structure, activity: Activity, at: datetime) -> Reckoning:
    """The same under one of a program's structures that has started, with what is kept from the one before."""
    return reckon(structure.terms, activity, at, kept_from_before(structures, structure, activity, at))


def kept_from_before(
    structures: Sequence[Structure], structure: Structure, activity: Activity, at: datetime
) -> Kept | None:
    """The tier that a structure leaves to a member, by what is known at a moment of what was bought before it began."""
    starts_at = structure.starts_at
    before = in_force([each for each in structures if each.version < structure.version], starts_at)
    if not structure.terms.keep or before is None:
        return None
    past = activity.before(starts_at)
    joined_at = past.joined_at(at)
    had, _ = lapse(before.terms, joined_at, reckon_under(structures, before, past, at), starts_at)
    level = structure.terms.index(before.terms.code(had.level))
    if had.level <= before.terms.level(0) or level < 0:
        return None  # where everybody begins is nothing that was reached
    fall = next_fall(before.terms, joined_at, had)
    return Kept(level=level, since=had.since, at=starts_at, until=None if fall is None else fall[0].at)


def first(terms: TierTerms, since: datetime) -> Reckoning:
    """Where everybody begins."""
    return Reckoning(terms.level(0), since)


def tier_at(structures: Sequence[Structure], activity: Activity, at: datetime) -> str:
    """The code of a member's tier at a moment, "" for none: what everything else here must agree with."""
    structure = in_force(structures, at)
    if structure is None:
        return ""
    terms, reckoning = structure.terms, reckon_under(structures, structure, activity, at)
    return terms.code(lapse(terms, activity.joined_at(at), reckoning, at)[0].level)


def lapse(
    terms: TierTerms, joined_at: datetime, reckoning: Reckoning, at: datetime
) -> tuple[Reckoning, tuple[Change, ...]]:
    """What time alone makes of a reckoning by a moment, and the changes on the way."""
    reckoner = Reckoner(terms, joined_at, reckoning)
    reckoner.go(at)
    return reckoner.reckoning(), tuple(reckoner.changes)


def next_fall(terms: TierTerms, joined_at: datetime, reckoning: Reckoning) -> tuple[Change, Reckoning] | None:
    """When the tier falls without another deed, and the reckoning then; None if it never does."""
    reckoner = Reckoner(terms, joined_at, reckoning)
    while (at := reckoner.due()) is not None:
        reckoner.go(at)
        if reckoner.changes:
            return reckoner.changes[0], reckoner.reckoning()
    return None


def progress(terms: TierTerms, joined_at: datetime, reckoning: Reckoning, at: datetime) -> Progress:
    """What there is to tell about a reckoning at a moment."""
    now, _ = lapse(terms, joined_at, reckoning, at)
    calendar = _calendar(terms, joined_at)
    figure, by = now.figure, now.parts[0][0] if now.parts else None
    if calendar is not None:
        start, by = calendar.period(at)
        figure = now.current if now.period == start else 0
    above = now.level + 1
    fall = next_fall(terms, joined_at, now)
    to_keep: int | None = None
    if fall is not None:
        held = fall[1].figure if calendar is None else figure
        to_keep = terms.levels[now.level].at_least - held
    return Progress(
        code=terms.code(now.level),
        since=now.since,
        reason=now.reason,
        figure=figure,
        next_code="" if above == len(terms.levels) else terms.levels[above].code,
        missing=0 if above == len(terms.levels) else max(0, terms.levels[above].at_least - figure),
        by=by,
        falls_at=None if fall is None else fall[0].at,
        falls_to="" if fall is None else terms.code(fall[0].after),
        to_keep=to_keep if to_keep is not None and to_keep > 0 else None,
    )


class Reckoner:
    """Goes through a member's deeds and the days between them, oldest first."""

    def __init__(self, terms: TierTerms, joined_at: datetime, start: Reckoning) -> None:
        self.changes: list[Change] = []
        self._terms = terms
        self._zone = ZoneInfo(terms.timezone)
        self._calendar = _calendar(terms, joined_at)
        self._level, self._since, self._reason = start.level, start.since, start.reason
        self._period, self._current, self._previous = start.period, start.current, start.previous
        self._parts = list(start.parts)
        self._falls_at = start.falls_at
        self._kept, self._kept_until = start.kept, start.kept_until
        self._ends = None if self._period is None or self._calendar is None else self._calendar.period(self._period)[1]

    def reckoning(self) -> Reckoning:
        return Reckoning(
            self._level,
            self._since,
            self._reason,
            self._period,
            self._current,
            self._previous,
            tuple(self._parts),
            self._falls_at,
            self._kept,
            self._kept_until,
        )

    def add(self, at: datetime, amount: int) -> None:
        """One more deed, not before the last."""
        self.go(at)
        if self._calendar is not None:
            start, self._ends = self._calendar.period(at)
            if self._period != start:
                self._period, self._current, self._previous = start, 0, 0
            self._current += amount
        elif self._terms.window.kind == "rolling":
            until = self._end(at)
            if self._parts and self._parts[-1][0] == until:
                amount += self._parts.pop()[1]
            self._parts.append((until, amount))
        else:
            self._current += amount
        self._judge(at, "reached")

    def keep(self, kept: Kept) -> None:
        """A structure begins that leaves a tier as it was, not before the last deed."""
        self.go(kept.at)
        self._kept, self._kept_until = kept.level, kept.until
        if self._level < kept.level:
            self._change(kept.at, kept.level, "structure")
            self._since = kept.since
        self._judge(kept.at, "structure")

    def go(self, until: datetime) -> None:
        """Let time pass, through a moment."""
        while (at := self.due()) is not None and at <= until:
            if self._ends is not None and self._ends <= at:
                assert self._calendar is not None
                self._period, self._ends = self._calendar.period(at)
                self._previous, self._current = self._current, 0
            while self._parts and self._parts[0][0] <= at:
                self._parts.pop(0)
            if self._kept_until is not None and self._kept_until <= at:
                no_grace = self._falls_at is None and self._level <= self._kept
                self._kept, self._kept_until = -1, None
                if no_grace and self._terms.level(self._held()) < self._level:
                    self._falls_at = at
            self._judge(at, "lapsed")

    def due(self) -> datetime | None:
        """When something happens by itself, None if nothing will."""
        moments = [self._falls_at] if self._falls_at is not None else []
        if self._parts:
            moments.append(self._parts[0][0])
        if self._ends is not None and (self._current or self._previous):
            moments.append(self._ends)
        if self._kept_until is not None:
            moments.append(self._kept_until)
        return min(moments, default=None)

    def _judge(self, at: datetime, reason: Reason) -> None:
        fits = max(self._terms.level(self._held()), self._kept)
        if fits >= self._level:
            self._falls_at = None
            if fits > self._level:
                self._change(at, fits, reason)
            return
        if self._terms.downgrade == "none":
            return
        if self._falls_at is None:
            self._falls_at = self._after_grace(at)
        if self._falls_at <= at:
            falls_to = fits if self._terms.downgrade == "fitting" else self._level - 1
            self._change(at, falls_to, "lapsed")
            self._falls_at = self._window_later(at) if falls_to > fits else None

    def _held(self) -> int:
        """The figure that holds a tier."""
        if self._calendar is not None:
            return max(self._current, self._previous)
        return self._current + sum(amount for _, amount in self._parts)

    def _change(self, at: datetime, level: int, reason: Reason) -> None:
        self.changes.append(Change(at, self._level, level, reason))
        self._level, self._since, self._reason = level, at, reason

    def _day(self, at: datetime) -> date:
        return at.astimezone(self._zone).date()

    def _end(self, at: datetime) -> datetime:
        """Until when a deed counts in a rolling window: exclusive, the midnight after its last day."""
        window, day = self._terms.window, self._day(at)
        last = add_months(day, window.months) if window.months else day + timedelta(days=window.days)
        return local_midnight(last + timedelta(days=1), self._zone)

    def _after_grace(self, at: datetime) -> datetime:
        if not self._terms.grace_days:
            return at
        return local_midnight(self._day(at) + timedelta(days=self._terms.grace_days), self._zone)

    def _window_later(self, at: datetime) -> datetime:
        """When the next tier may be lost after one was."""
        if self._calendar is not None:
            return self._after_grace(self._calendar.period(at)[1])
        window, day = self._terms.window, self._day(at)
        later = add_months(day, window.months) if window.months else day + timedelta(days=window.days)
        return local_midnight(later, self._zone)


class _Calendar:
    """Periods of some months, counted from a day."""

    def __init__(self, anchor: date, months: int, zone: ZoneInfo) -> None:
        self._anchor, self._months, self._zone = anchor, months, zone

    def period(self, at: datetime) -> tuple[datetime, datetime]:
        """The first instant of the period that a moment lies in, and that of the next."""
        day = at.astimezone(self._zone).date()
        between = (day.year - self._anchor.year) * 12 + day.month - self._anchor.month
        k = between // self._months
        if add_months(self._anchor, k * self._months) > day:
            k -= 1
        starts, ends = [add_months(self._anchor, n * self._months) for n in (k, k + 1)]
        return local_midnight(starts, self._zone), local_midnight(ends, self._zone)


def _calendar(terms: TierTerms, joined_at: datetime) -> _Calendar | None:
    """The periods of a window that has any."""
    window, zone = terms.window, ZoneInfo(terms.timezone)
    if window.kind == "rolling" or not window.months:
        return None
    anchor = date(2000, window.first_month, 1) if window.kind == "calendar" else joined_at.astimezone(zone).date()
    return _Calendar(anchor, window.months, zone)
