"""Months of a liability report: what was left is what the next one opens with."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from guerdon.core.liability import Flow, column, months
from guerdon.core.programs import ROLES

FLOWS = st.builds(
    Flow,
    month=st.sampled_from(["2025-11", "2025-12", "2026-01", "2026-04"]),
    role=st.sampled_from(["", *ROLES]),
    points=st.integers(-(10**38), 10**38),
)


@given(st.lists(FLOWS))
def test_months_follow_one_another_and_end_with_the_sum_of_all_flows(flows: list[Flow]) -> None:
    told = months(flows, {})
    assert [month.opening for month in told] == [0, *(month.outstanding for month in told)][: len(told)]
    assert (told[-1].outstanding if told else 0) == sum(flow.points for flow in flows)
    assert [month.month for month in told] == sorted({month.month for month in told})


@given(st.lists(FLOWS))
def test_months_asked_for_are_those_of_the_whole_report(flows: list[Flow]) -> None:
    whole = {month.month: month for month in months(flows, {})}
    for month in months(flows, {}, "2025-12", "2026-05"):
        assert "2025-12" <= month.month <= "2026-05"
        if month.month in whole:
            assert month == whole[month.month]


def test_what_goes_into_the_pool_is_redeemed_and_what_comes_from_it_issued() -> None:
    assert [column("pool", points) for points in (5, -5)] == ["issued", "redeemed"]
    assert [column(role, -5) for role in ("returned", "expired", "adjusted", "opening", "")] == [
        "returned", "expired", "adjusted", "opened", "transferred",
    ]  # fmt: skip


def test_a_month_in_which_only_returns_were_written_off_is_shown_and_owes_nothing() -> None:
    (month,) = months([], {"2026-02": 7})
    assert (month.written_off, month.outstanding) == (7, 0)
