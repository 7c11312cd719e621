"""Recurring times: weekdays, days of the month, hours of the day, all in the organisation's time zone."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

DAY_MINUTES = 24 * 60


class Window(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Times at which something holds. `weekdays` 1 (Monday) to 7, `days` of the month 1 to 31 (-1 is the last), and
    minutes after midnight: from `start` up to but not at `end`. A window that ends before it starts runs past midnight
    and belongs to the day on which it began. Empty sets mean every day.
    """

    weekdays: frozenset[int] = frozenset()
    days: frozenset[int] = frozenset()
    start: int = 0
    end: int = DAY_MINUTES


def open_at(windows: tuple[Window, ...], local: datetime) -> bool:
    """Whether one of the windows is open at a local time; with no windows it always is."""
    return not windows or any(_open(window, local) for window in windows)


def overlapping(windows: tuple[Window, ...]) -> tuple[int, int] | None:
    """The first two windows (positions) that are ever open at the same minute; found by going through four years."""
    if len(windows) < 2:
        return None
    for day in range(_FOUR_YEARS):
        noon = _LEAP_YEAR + timedelta(days=day)
        for j, later in enumerate(windows):
            for i, earlier in enumerate(windows[:j]):
                if _on(later, noon) and _same_minutes(earlier, later, noon):
                    return i, j
    return None


_LEAP_YEAR = datetime(2028, 1, 1, 12)  # noqa: DTZ001  # local times of no zone
_FOUR_YEARS = 1461


def _same_minutes(one: Window, other: Window, day: datetime) -> bool:
    """Whether `one` is open at a minute of the window that `other` has on a day, or the other way about."""
    begin = day.replace(hour=other.start // 60, minute=other.start % 60)
    if _open(one, begin):
        return True
    length = (other.end - other.start) % DAY_MINUTES or DAY_MINUTES
    starts = [day + timedelta(days=days) for days in (0, 1)]
    begins = [at.replace(hour=one.start // 60, minute=one.start % 60) for at in starts if _on(one, at)]
    return any(begin <= at < begin + timedelta(minutes=length) for at in begins)


def _open(window: Window, local: datetime) -> bool:
    minute = local.hour * 60 + local.minute
    if window.start < window.end:
        return window.start <= minute < window.end and _on(window, local)
    if minute >= window.start:
        return _on(window, local)
    return minute < window.end and _on(window, local - timedelta(days=1))


def _on(window: Window, day: datetime) -> bool:
    if window.weekdays and day.isoweekday() not in window.weekdays:
        return False
    if not window.days:
        return True
    last = (day + timedelta(days=1)).day == 1
    return day.day in window.days or (last and -1 in window.days)
