"""No division loses anything unnamed: rounding agrees with `decimal`, and parts always add up to the whole."""

from __future__ import annotations

import decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.core.assets import AMOUNT_MAX, Rounding, allocate, decimal_text, divide, rounded

MODES = {
    Rounding.HALF_UP: decimal.ROUND_HALF_UP,
    Rounding.HALF_EVEN: decimal.ROUND_HALF_EVEN,
    Rounding.HALF_DOWN: decimal.ROUND_HALF_DOWN,
    Rounding.DOWN: decimal.ROUND_DOWN,
    Rounding.UP: decimal.ROUND_UP,
    Rounding.FLOOR: decimal.ROUND_FLOOR,
    Rounding.CEILING: decimal.ROUND_CEILING,
}
amounts = st.integers(-AMOUNT_MAX, AMOUNT_MAX)
weights = st.lists(st.integers(0, 10**20), min_size=1, max_size=12)


@given(thousandths=st.integers(-(10**12), 10**12), mode=st.sampled_from(Rounding))
def test_rounding_is_what_decimal_says(thousandths: int, mode: Rounding) -> None:
    exact = decimal.Decimal(thousandths).scaleb(-3)
    assert divide(thousandths, 1000, mode) == int(exact.to_integral_value(MODES[mode]))


@given(numerator=amounts, denominator=st.integers(1, 10**20), mode=st.sampled_from(Rounding))
def test_rounding_stays_within_one_of_the_exact_value(numerator: int, denominator: int, mode: Rounding) -> None:
    found = divide(numerator, denominator, mode)
    distance = abs(found - Fraction(numerator, denominator))
    assert distance < 1
    assert found == rounded(Fraction(numerator, denominator), mode)
    if mode.value.startswith("half"):
        assert distance <= Fraction(1, 2)


@given(numerator=amounts, denominator=st.integers(1, 10**20), mode=st.sampled_from(Rounding))
def test_rounding_treats_both_signs_alike_but_for_floor_and_ceiling(
    numerator: int, denominator: int, mode: Rounding
) -> None:
    other = {Rounding.FLOOR: Rounding.CEILING, Rounding.CEILING: Rounding.FLOOR}.get(mode, mode)
    assert divide(-numerator, denominator, mode) == -divide(numerator, denominator, other)


def test_half_up_at_two_and_three_decimals() -> None:
    assert divide(503_458, 100, Rounding.HALF_UP) == 5_035, "50.3458 is 50.35"
    assert divide(503_458, 10, Rounding.HALF_UP) == 50_346, "50.3458 is 50.346"


@given(total=amounts, weights=weights)
def test_parts_add_up_to_the_whole(total: int, weights: list[int]) -> None:
    parts = allocate(total, weights)
    assert sum(parts) == total
    assert len(parts) == len(weights)
    assert all(part * total >= 0 for part in parts), "no part has another sign"
    assert allocate(-total, weights) == [-part for part in parts]


@given(total=amounts, weights=weights)
def test_a_part_is_within_one_of_its_exact_share(total: int, weights: list[int]) -> None:
    whole = sum(weights)
    if whole:
        for part, weight in zip(allocate(total, weights), weights, strict=True):
            assert abs(part - Fraction(total * weight, whole)) < 1
            assert weight or not part, "what weighs nothing gets nothing"


def test_what_is_left_goes_to_the_largest_remainder_and_on_a_tie_to_the_first() -> None:
    assert allocate(10, [1, 1, 1]) == [4, 3, 3]
    assert allocate(11, [1, 1, 1]) == [4, 4, 3]
    assert allocate(-10, [1, 1, 1]) == [-4, -3, -3]
    assert allocate(10, [1, 2, 3]) == [2, 3, 5]
    assert allocate(5, [0, 0]) == [5, 0]
    assert allocate(5, []) == []


@given(minor=amounts, scale=st.integers(0, 18))
def test_the_text_of_an_amount_is_exact(minor: int, scale: int) -> None:
    text = decimal_text(minor, scale)
    assert Fraction(text) == Fraction(minor, 10**scale)
    assert "e" not in text.lower()
    assert len(text.partition(".")[2]) == scale


@pytest.mark.parametrize(
    ("minor", "text"), [(5, "0.05"), (-5, "-0.05"), (0, "0.00"), (100, "1.00"), (-12345, "-123.45")]
)
def test_small_amounts_keep_their_zeros(minor: int, text: str) -> None:
    assert decimal_text(minor, 2) == text
