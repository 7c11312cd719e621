"""A split adds up to the whole, whatever its legs, and its ties are broken by position."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.core.commands import Leg
from guerdon.core.splits import PERCENT_WHOLE, split

ONE = PERCENT_WHOLE // 100


def fixed(*values: int) -> list[Leg]:
    return [Leg(f"bln_{i}", "fixed", value) for i, value in enumerate(values)]


@st.composite
def distributions(draw: st.DrawFn) -> tuple[int, list[Leg]]:
    """A total, and legs of every kind that may or may not fit it."""
    total = draw(st.integers(1, 10**30))
    legs: list[Leg] = []
    left = PERCENT_WHOLE
    for i in range(draw(st.integers(1, 6))):
        share: Literal["percent", "fixed", "left"] = draw(st.sampled_from(("percent", "fixed", "left")))
        if share == "percent":
            value = draw(st.integers(0, left))
            left -= value
        elif share == "fixed":
            value = draw(st.integers(0, max(1, total // 4)))
        else:
            value = 0
        legs.append(Leg(f"bln_{i}", share, value))
    return total, legs


@given(distributions())
def test_the_legs_add_up_to_the_whole_and_none_is_negative(drawn: tuple[int, list[Leg]]) -> None:
    total, legs = drawn
    amounts = split(total, legs)
    if amounts is not None:
        assert sum(amounts) == total
        assert min(amounts) >= 0
        assert len(amounts) == len(legs)


@given(total=st.integers(1, 10**30), shares=st.lists(st.integers(1, 100), min_size=1, max_size=8))
def test_a_percentage_leg_is_within_one_per_leg_of_its_share(total: int, shares: list[int]) -> None:
    legs = [Leg(f"bln_{i}", "percent", share * PERCENT_WHOLE // sum(shares)) for i, share in enumerate(shares)]
    amounts = split(total, legs)
    assert amounts is not None
    for amount, leg in zip(amounts, legs, strict=True):
        assert abs(amount - total * leg.value / PERCENT_WHOLE) <= len(legs) + total * 1e-11 * len(legs)


def test_fixed_legs_that_are_the_whole() -> None:
    assert split(10_000, fixed(9_733, 267)) == [9_733, 267]


def test_fixed_legs_that_fall_short_leave_the_rest_to_the_largest() -> None:
    assert split(1_000_000, fixed(9_733, 267)) == [999_733, 267]
    assert split(1_000_000, fixed(267, 9_733)) == [267, 999_733]


def test_a_tie_is_the_firsts() -> None:
    half = 50 * ONE
    assert split(1, [Leg("a", "percent", half), Leg("b", "percent", half)]) == [1, 0]
    assert split(101, [Leg("a", "percent", half), Leg("b", "percent", half)]) == [51, 50]
    assert split(10, fixed(3, 3)) == [7, 3]


def test_fixed_before_percent_before_what_is_left() -> None:
    legs = [Leg("a", "percent", 10 * ONE), Leg("b", "left"), Leg("c", "fixed", 2_000)]
    assert split(10_000, legs) == [1_000, 7_000, 2_000]


@pytest.mark.parametrize(
    "legs",
    [
        fixed(60, 41),
        [Leg("a", "percent", 60 * ONE), Leg("b", "percent", 41 * ONE)],
        [Leg("a", "percent", 60 * ONE), Leg("b", "fixed", 41)],
        [Leg("a", "left"), Leg("b", "left")],
        [Leg("a", "fixed", 10), Leg("a", "fixed", 10)],
        fixed(-5, 105),
        [Leg("a", "percent", -ONE), Leg("b", "left")],
    ],
    ids=[
        "fixed over",
        "percent over",
        "together over",
        "two rests",
        "twice the same",
        "fixed below 0",
        "percent below 0",
    ],
)
def test_what_cannot_be_divided_is_refused(legs: list[Leg]) -> None:
    assert split(100, legs) is None
