"""Months, leap days and clock changes: points end at the local midnight after their last day."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.core.dates import add_months, end_of_day_after, local_midnight, midnight_after_months

days = st.dates(date(1970, 1, 2), date(2100, 1, 1))
zones = st.sampled_from(
    ("UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "America/Havana", "Asia/Kolkata", "Pacific/Apia",
     "Africa/Cairo", "Australia/Lord_Howe")
).map(ZoneInfo)  # fmt: skip


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        ("2027-01-31", 1, "2027-02-28"),
        ("2028-01-31", 1, "2028-02-29"),
        ("2028-02-29", 12, "2029-02-28"),
        ("2028-02-29", 48, "2032-02-29"),
        ("2027-03-31", 1, "2027-04-30"),
        ("2027-12-31", 2, "2028-02-29"),
        ("2027-12-15", 1, "2028-01-15"),
        ("2027-01-01", 1200, "2127-01-01"),
    ],
)
def test_a_month_later_is_the_same_day_or_the_months_last(day: str, months: int, expected: str) -> None:
    assert add_months(date.fromisoformat(day), months) == date.fromisoformat(expected)


@given(day=days, months=st.integers(0, 240))
def test_adding_months_keeps_the_day_or_clamps_it(day: date, months: int) -> None:
    later = add_months(day, months)
    assert (later.year - day.year) * 12 + later.month - day.month == months
    assert later.day == day.day or (later.day < day.day and (later + timedelta(days=1)).day == 1)


APIA_SKIPPED = datetime(2011, 12, 30, 10, tzinfo=UTC)
"""When Samoa went from 29 to 31 December."""


@given(day=days, zone=zones)
def test_midnight_is_the_first_instant_of_a_local_day(day: date, zone: ZoneInfo) -> None:
    instant = local_midnight(day, zone)
    assert instant.tzinfo is UTC
    if zone.key != "Pacific/Apia" or day != APIA_SKIPPED.date():
        assert instant.astimezone(zone).date() == day
    assert (instant - timedelta(microseconds=1)).astimezone(zone).date() < day


@given(day=days, minute=st.integers(0, 1439), zone=zones,
       count=st.integers(1, 400))  # fmt: skip
def test_days_added_are_exclusive_of_the_day_itself(day: date, minute: int, zone: ZoneInfo, count: int) -> None:
    moment = datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=UTC)
    ends = end_of_day_after(moment, count, zone)
    assert ends == local_midnight(moment.astimezone(zone).date() + timedelta(days=count + 1), zone)
    skipped = timedelta(days=1 if zone.key == "Pacific/Apia" and moment < APIA_SKIPPED <= ends else 0)
    assert timedelta(days=count) - timedelta(hours=2) < ends + skipped - moment <= timedelta(days=count + 2)


def test_a_day_of_23_and_one_of_25_hours_are_days() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    spring = datetime(2027, 3, 27, 12, tzinfo=UTC)
    assert end_of_day_after(spring, 1, berlin) == datetime(2027, 3, 28, 22, tzinfo=UTC)
    autumn = datetime(2027, 10, 30, 12, tzinfo=UTC)
    assert end_of_day_after(autumn, 1, berlin) == datetime(2027, 10, 31, 23, tzinfo=UTC)


def test_a_midnight_that_a_clock_change_skips_is_the_first_instant_that_exists() -> None:
    skipped = local_midnight(date(2018, 11, 4), ZoneInfo("America/Sao_Paulo"))
    assert skipped == datetime(2018, 11, 4, 3, tzinfo=UTC)


def test_months_count_from_the_local_day() -> None:
    late_in_utc = datetime(2027, 1, 31, 23, 30, tzinfo=UTC)
    assert midnight_after_months(late_in_utc, 1, ZoneInfo("UTC")) == datetime(2027, 3, 1, tzinfo=UTC)
    assert midnight_after_months(late_in_utc, 1, ZoneInfo("Europe/Berlin")) == datetime(2027, 3, 1, 23, tzinfo=UTC)
