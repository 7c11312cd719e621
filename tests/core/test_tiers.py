"""What a tier is: a function of the terms, the deeds and the moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.core.activity import Activity, Deed
from guerdon.core.tiers import (
    Level,
    Reckoner,
    Structure,
    TierTerms,
    Window,
    first,
    lapse,
    net,
    next_fall,
    progress,
    reckon,
    tier_at,
)
from tests.model.naive_tiers import Bought, tier

BERLIN = ZoneInfo("Europe/Berlin")
JOINED = datetime(2023, 1, 15, 9, tzinfo=BERLIN)
LEVELS = (Level(code="blue", name="Blue", at_least=0), Level(code="silver", name="Silver", at_least=10_000),
          Level(code="gold", name="Gold", at_least=30_000))  # fmt: skip
YEAR = Window(kind="calendar", months=12)


def terms(window: Window = YEAR, **fields: Any) -> TierTerms:
    values = {"figure": "spend", "levels": LEVELS, "timezone": "Europe/Berlin", "currency": "USD", **fields}
    return TierTerms(window=window, **values)


def local(year: int, month: int, day: int, hour: int = 12, zone: ZoneInfo = BERLIN) -> datetime:
    return datetime(year, month, day, hour, tzinfo=zone).astimezone(UTC)


def spent(*bought: Bought, joined: datetime = JOINED) -> Activity:
    deeds: list[Deed] = []
    for no, each in enumerate(bought, 1):
        for at, amount in ((each.at, each.amount), *((max(when, each.at), -part) for when, part in each.back)):
            deed = Deed(
                purchase_no=no, program_no=1, at=at, counts_at=each.at, currency="USD", paid=amount, points=0, visits=0
            )
            deeds.append(deed)
    return Activity(joined=((joined, joined),), deeds=tuple(deeds))


def at(rules: TierTerms, activity: Activity, moment: datetime) -> str:
    begun = datetime(1990, 1, 1, tzinfo=UTC)
    return tier_at(
        [Structure(program_no=1, version=1, starts_at=begun, recorded_at=begun, terms=rules)], activity, moment
    )


# -- reaching ---------------------------------------------------------------------------------------------------------


def test_a_tier_is_reached_at_the_moment_of_the_purchase_that_reaches_it() -> None:
    rules, bought = terms(), spent(Bought(local(2024, 3, 1), 9_999), Bought(local(2024, 4, 1), 1))
    assert at(rules, bought, local(2024, 4, 1) - timedelta(microseconds=1)) == "blue"
    assert at(rules, bought, local(2024, 4, 1)) == "silver"


def test_below_the_first_threshold_there_is_no_tier() -> None:
    rules = terms(levels=LEVELS[1:])
    assert at(rules, spent(), local(2024, 1, 1)) == ""


def test_one_purchase_may_reach_the_highest_tier() -> None:
    assert at(terms(), spent(Bought(local(2024, 3, 1), 30_000)), local(2024, 3, 1)) == "gold"


# -- windows ----------------------------------------------------------------------------------------------------------


def test_a_tier_of_a_calendar_year_is_held_until_the_end_of_the_next() -> None:
    bought = spent(Bought(local(2024, 3, 1), 10_000))
    assert at(terms(), bought, local(2025, 12, 31, 23)) == "silver"
    assert at(terms(), bought, local(2026, 1, 1, 0)) == "blue"


def test_spend_on_both_sides_of_a_year_s_end_does_not_add_up() -> None:
    bought = spent(Bought(local(2024, 12, 31, 23), 6_000), Bought(local(2025, 1, 1, 0), 6_000))
    assert at(terms(), bought, local(2025, 1, 1)) == "blue"


def test_the_year_ends_in_the_time_zone_of_the_structure() -> None:
    bought = spent(Bought(local(2024, 12, 31, 23), 6_000), Bought(local(2025, 1, 1, 0), 6_000))
    assert at(terms(timezone="America/New_York"), bought, local(2025, 1, 1)) == "silver"


def test_a_fiscal_year_begins_with_its_first_month() -> None:
    rules = terms(Window(kind="calendar", months=12, first_month=4))
    bought = spent(Bought(local(2024, 12, 31), 6_000), Bought(local(2025, 1, 1), 6_000))
    assert at(rules, bought, local(2025, 1, 1)) == "silver"
    assert at(rules, bought, local(2026, 3, 31, 23)) == "silver"
    assert at(rules, bought, local(2026, 4, 1, 0)) == "blue"


def test_a_deed_of_a_rolling_year_counts_through_the_day_a_year_later() -> None:
    rules, bought = terms(Window(kind="rolling", months=12)), spent(Bought(local(2024, 3, 10), 10_000))
    assert at(rules, bought, local(2025, 3, 10, 23)) == "silver"
    assert at(rules, bought, local(2025, 3, 11, 0)) == "blue"


def test_a_rolling_year_from_a_leap_day_ends_with_28_february() -> None:
    rules, bought = terms(Window(kind="rolling", months=12)), spent(Bought(local(2024, 2, 29), 10_000))
    assert at(rules, bought, local(2025, 2, 28, 23)) == "silver"
    assert at(rules, bought, local(2025, 3, 1, 0)) == "blue"


def test_rolling_days_are_calendar_days_also_when_the_clocks_change() -> None:
    rules, bought = terms(Window(kind="rolling", days=30)), spent(Bought(local(2024, 3, 10, 23), 10_000))
    assert at(rules, bought, local(2024, 4, 9, 23)) == "silver"
    assert at(rules, bought, local(2024, 4, 10, 0)) == "blue"


def test_a_member_of_a_leap_day_has_anniversaries_on_28_february_and_on_leap_days() -> None:
    rules = terms(Window(kind="since_join", months=12))
    bought = spent(Bought(local(2024, 3, 10), 10_000), joined=local(2024, 2, 29))
    assert at(rules, bought, local(2026, 2, 27, 23)) == "silver"
    assert at(rules, bought, local(2026, 2, 28, 0)) == "blue"
    late = spent(Bought(local(2027, 3, 1), 10_000), joined=local(2024, 2, 29))
    assert at(rules, late, local(2029, 2, 27, 23)) == "silver"
    assert at(rules, late, local(2029, 2, 28, 0)) == "blue"


def test_a_membership_year_begins_on_the_day_of_joining() -> None:
    rules = terms(Window(kind="since_join", months=12))
    bought = spent(Bought(local(2024, 1, 14), 6_000), Bought(local(2024, 1, 15), 6_000))
    assert at(rules, bought, local(2024, 1, 16)) == "blue"


def test_since_joining_without_months_all_that_ever_was_counts() -> None:
    rules = terms(Window(kind="since_join"))
    bought = spent(Bought(local(2023, 2, 1), 6_000), Bought(local(2033, 2, 1), 6_000))
    assert at(rules, bought, local(2033, 2, 1)) == "silver"
    assert at(rules, bought, local(2099, 1, 1)) == "silver"


# -- falling ----------------------------------------------------------------------------------------------------------


def test_without_a_downgrade_nobody_falls() -> None:
    assert at(terms(downgrade="none"), spent(Bought(local(2024, 3, 1), 30_000)), local(2050, 1, 1)) == "gold"


def test_one_by_one_takes_a_window_for_each_tier() -> None:
    bought = spent(Bought(local(2024, 3, 1), 30_000))
    fitting, one = terms(), terms(downgrade="one")
    assert at(fitting, bought, local(2026, 1, 1, 0)) == "blue"
    assert at(one, bought, local(2026, 1, 1, 0)) == "silver"
    assert at(one, bought, local(2026, 12, 31, 23)) == "silver"
    assert at(one, bought, local(2027, 1, 1, 0)) == "blue"


def test_a_fall_to_the_fitting_tier_stops_where_the_figure_holds() -> None:
    bought = spent(Bought(local(2024, 3, 1), 30_000), Bought(local(2025, 3, 1), 10_000))
    assert at(terms(), bought, local(2026, 1, 1, 0)) == "silver"


def test_grace_puts_the_fall_off_and_a_purchase_in_it_cancels_it() -> None:
    rules = terms(grace_days=30)
    gone = spent(Bought(local(2024, 3, 1), 10_000))
    assert at(rules, gone, local(2026, 1, 30, 23)) == "silver"
    assert at(rules, gone, local(2026, 1, 31, 0)) == "blue"
    saved = spent(Bought(local(2024, 3, 1), 10_000), Bought(local(2026, 1, 30), 10_000))
    assert at(rules, saved, local(2026, 2, 1)) == "silver"
    assert at(rules, saved, local(2027, 12, 31)) == "silver"


def test_grace_after_a_rolling_window() -> None:
    rules = terms(Window(kind="rolling", days=30), grace_days=10)
    bought = spent(Bought(local(2024, 3, 1), 10_000))
    assert at(rules, bought, local(2024, 4, 10, 23)) == "silver"
    assert at(rules, bought, local(2024, 4, 11, 0)) == "blue"


def test_one_by_one_in_a_rolling_window_falls_again_a_window_later() -> None:
    rules = terms(Window(kind="rolling", days=30), downgrade="one")
    bought = spent(Bought(local(2024, 3, 1), 30_000))
    assert at(rules, bought, local(2024, 4, 1, 0)) == "silver"
    assert at(rules, bought, local(2024, 4, 30, 23)) == "silver"
    assert at(rules, bought, local(2024, 5, 1, 0)) == "blue"


# -- returns and merges -----------------------------------------------------------------------------------------------


def test_what_was_returned_was_never_bought_from_its_return_on() -> None:
    bought = spent(Bought(local(2024, 3, 1), 10_000, ((local(2024, 5, 1), 1),)))
    assert at(terms(), bought, local(2024, 4, 30)) == "silver"
    assert at(terms(), bought, local(2024, 5, 1)) == "blue"
    assert at(terms(downgrade="none"), bought, local(2024, 5, 1)) == "blue"


def test_a_return_takes_from_the_window_of_the_purchase_not_from_its_own() -> None:
    bought = spent(
        Bought(local(2024, 12, 20), 10_000, ((local(2025, 1, 5), 10_000),)), Bought(local(2025, 2, 1), 10_000)
    )
    assert at(terms(), bought, local(2025, 1, 6)) == "blue"
    assert at(terms(), bought, local(2025, 2, 1)) == "silver"


def test_what_a_merge_brings_counts_from_the_merge_on_at_its_own_time() -> None:
    one = spent(Bought(local(2024, 3, 1), 6_000))
    other = spent(Bought(local(2024, 4, 1), 6_000), joined=local(2020, 1, 1))
    other = Activity(joined=other.joined, deeds=tuple(
        Deed(**{name: getattr(d, name) for name in Deed.__struct_fields__ if name != "purchase_no"}, purchase_no=9)
        for d in other.deeds))  # fmt: skip
    both = one.join(other, local(2024, 6, 1))
    assert at(terms(), both, local(2024, 5, 31)) == "blue"
    assert at(terms(), both, local(2024, 6, 1)) == "silver"
    assert both.joined_at(local(2024, 5, 31)) == JOINED
    assert both.joined_at(local(2024, 6, 1)) == local(2020, 1, 1)


# -- progress ---------------------------------------------------------------------------------------------------------


def told(rules: TierTerms, activity: Activity, moment: datetime) -> Any:
    return progress(rules, activity.joined_at(moment), reckon(rules, activity, moment), moment)


def test_progress_says_what_is_missing_and_by_when() -> None:
    found = told(terms(), spent(Bought(local(2024, 3, 1), 25_875)), local(2024, 6, 1))
    assert (found.code, found.next_code, found.missing) == ("silver", "gold", 4_125)
    assert found.by == local(2025, 1, 1, 0)
    assert (found.falls_at, found.falls_to, found.to_keep) == (local(2026, 1, 1, 0), "blue", None)


def test_progress_in_a_new_year_says_what_keeps_the_tier() -> None:
    found = told(terms(), spent(Bought(local(2024, 3, 1), 25_875)), local(2025, 6, 1))
    assert (found.figure, found.missing, found.to_keep) == (0, 30_000, 10_000)
    assert found.falls_at == local(2026, 1, 1, 0)


def test_progress_at_the_top_has_nothing_above() -> None:
    found = told(terms(), spent(Bought(local(2024, 3, 1), 40_000)), local(2024, 6, 1))
    assert (found.code, found.next_code, found.missing) == ("gold", "", 0)


def test_progress_of_a_rolling_window_counts_until_the_figure_falls() -> None:
    rules = terms(Window(kind="rolling", days=30))
    bought = spent(Bought(local(2024, 3, 1), 7_000), Bought(local(2024, 3, 20), 5_000))
    found = told(rules, bought, local(2024, 3, 25))
    assert (found.missing, found.by) == (18_000, local(2024, 4, 1, 0))
    assert (found.falls_at, found.to_keep) == (local(2024, 4, 1, 0), 5_000)


# -- any history ------------------------------------------------------------------------------------------------------

windows = st.sampled_from(
    [
        YEAR,
        Window(kind="calendar", months=3),
        Window(kind="calendar", months=6, first_month=4),
        Window(kind="calendar", months=1),
        Window(kind="rolling", days=30),
        Window(kind="rolling", days=1),
        Window(kind="rolling", months=3),
        Window(kind="rolling", months=12),
        Window(kind="since_join", months=12),
        Window(kind="since_join", months=1),
        Window(kind="since_join"),
    ]
)
structures = st.builds(
    terms,
    windows,
    downgrade=st.sampled_from(["none", "one", "fitting"]),
    grace_days=st.sampled_from([0, 0, 1, 13]),
    levels=st.sampled_from([LEVELS, LEVELS[1:], LEVELS[:1], LEVELS[2:]]),
    timezone=st.sampled_from(["Europe/Berlin", "America/Santiago", "UTC", "Pacific/Apia"]),
)
DAYS = (datetime(2025, 6, 30, tzinfo=UTC) - JOINED).days
moments = st.integers(-20 * 86_400, DAYS * 86_400).map(
    lambda seconds: (JOINED + timedelta(seconds=seconds)).astimezone(UTC)
)


@st.composite
def purchases(draw: st.DrawFn) -> Bought:
    when, amount = draw(moments), draw(st.integers(1, 32_000))
    back = draw(st.lists(st.tuples(st.integers(0, 200 * 86_400), st.integers(1, 12_000)), max_size=2))
    parts: list[tuple[datetime, int]] = []
    for seconds, part in back:
        if sum(p for _, p in parts) + part <= amount:
            parts.append((when + timedelta(seconds=seconds), part))
    return Bought(when, amount, tuple(parts))


histories = st.lists(purchases(), max_size=6)


@settings(max_examples=150, deadline=None)
@given(structures, histories, moments)
def test_a_tier_is_what_day_by_day_reckoning_finds(rules: TierTerms, bought: list[Bought], moment: datetime) -> None:
    expected = tier(rules, JOINED, bought, moment)
    assert at(rules, spent(*bought), moment) == rules.code(expected)


@settings(deadline=None)
@given(structures, histories, moments, st.integers(0, 10**6))
def test_the_order_in_which_deeds_become_known_changes_nothing(
    rules: TierTerms, bought: list[Bought], moment: datetime, seed: int
) -> None:
    activity = spent(*bought)
    shuffled = list(activity.deeds)
    Random(seed).shuffle(shuffled)
    other = Activity(joined=activity.joined, deeds=tuple(shuffled))
    assert reckon(rules, activity, moment) == reckon(rules, other, moment)


@settings(deadline=None)
@given(structures, histories, moments, st.lists(moments, max_size=4))
def test_looking_in_between_changes_nothing(
    rules: TierTerms, bought: list[Bought], moment: datetime, looks: list[datetime]
) -> None:
    """Deed by deed from what was kept, with reviews at any time, is the same as all at once."""
    activity = spent(*bought)
    reckoner = Reckoner(rules, JOINED, first(rules, JOINED))
    at_once = reckon(rules, activity, moment)
    for when, amount in net(rules, activity.deeds, moment):
        reckoner = Reckoner(rules, JOINED, reckoner.reckoning())
        reckoner.add(when, amount)
        for look in sorted(looks):
            later, _ = lapse(rules, JOINED, reckoner.reckoning(), look)
            assert lapse(rules, JOINED, later, max(look, moment)) [0] == lapse(
                rules, JOINED, reckoner.reckoning(), max(look, moment))[0]  # fmt: skip
    assert reckoner.reckoning() == at_once


@settings(deadline=None)
@given(structures, histories, moments)
def test_a_fall_comes_when_it_was_said_to_come(rules: TierTerms, bought: list[Bought], moment: datetime) -> None:
    activity = spent(*bought)
    now, _ = lapse(rules, JOINED, reckon(rules, activity, moment), moment)
    fall = next_fall(rules, JOINED, now)
    known = [each for each in bought if each.at <= moment]
    seen = [Bought(each.at, each.amount, tuple(b for b in each.back if b[0] <= moment)) for each in known]
    if fall is None:
        assert tier(rules, JOINED, seen, datetime(2029, 1, 1, tzinfo=UTC)) == now.level
        return
    change = fall[0]
    assert change.at > moment
    assert tier(rules, JOINED, seen, change.at - timedelta(microseconds=1)) == now.level
    assert tier(rules, JOINED, seen, change.at) == change.after < now.level
