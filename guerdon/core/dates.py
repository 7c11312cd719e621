"""Days and months in a time zone, for policies that end at a local midnight."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


def local_midnight(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of a local day, as UTC. Where a clock change skips midnight, the first instant that exists."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def end_of_day_after(moment: datetime, days: int, zone: ZoneInfo) -> datetime:
    """The end of the day that is `days` after a moment's local day: exclusive, so the midnight that follows it."""
    return local_midnight(moment.astimezone(zone).date() + timedelta(days=days + 1), zone)


def month_end(day: date) -> date:
    """The last day of a day's month."""
    return day.replace(day=monthrange(day.year, day.month)[1])


def yearly_on(day: date, years: int, month: int, of_month: int) -> date:
    """The first such day of a year on or after a day, and so many years on; 29 February is the last of February."""
    for year in (day.year, day.year + 1):
        found = _of_year(year, month, of_month)
        if found >= day:
            return _of_year(year + years, month, of_month)
    raise AssertionError("a year has every day")


def _of_year(year: int, month: int, of_month: int) -> date:
    return date(year, month, min(of_month, monthrange(year, month)[1]))


def add_months(day: date, months: int) -> date:
    """The same day some months on, or the month's last: 31 January + 1 month = 28 or 29 February."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def midnight_after_months(moment: datetime, months: int, zone: ZoneInfo) -> datetime:
    """The end of the day that is `months` after a moment's local day: exclusive."""
    return local_midnight(add_months(moment.astimezone(zone).date(), months) + timedelta(days=1), zone)
