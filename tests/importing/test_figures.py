"""Figures from cells: exact or refused, never rounded."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.core.assets import decimal_text
from guerdon.importing.faults import Fault
from guerdon.importing.figures import figure_reader, minor_units


@pytest.mark.parametrize(
    ("text", "scale", "units"),
    [
        ("12.5", 2, 1250),
        ("-0.01", 2, -1),
        ("+3", 2, 300),
        (".5", 2, 50),
        ("7.", 0, 7),
        ("1.50000", 2, 150),
        ("1e2", 2, 10_000),
        ("2.5E-1", 2, 25),
        ("0.000", 0, 0),
        ("0e9999", 2, 0),
        ("0.1", 18, 10**17),
        ("9" * 36 + ".99", 2, int("9" * 38)),
    ],
)
def test_a_decimal_becomes_its_exact_minor_units(text: str, scale: int, units: int) -> None:
    assert minor_units(text, scale) == units


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("1.005", "too_many_decimals"),
        ("1e-9999", "too_many_decimals"),
        ("1e9999", "amount_out_of_range"),
        ("1" * 37, "amount_out_of_range"),
        ("1e99999", "not_a_number"),
        ("1" * 101, "not_a_number"),
        ("NaN", "not_a_number"),
        ("inf", "not_a_number"),
        ("1_000", "not_a_number"),
        ("1,000.00", "not_a_number"),
        ("0x10", "not_a_number"),
        ("٣", "not_a_number"),
        (".", "not_a_number"),
        ("e5", "not_a_number"),
        ("--1", "not_a_number"),
        ("1\x00", "not_a_number"),
        ("", "not_a_number"),
    ],
)
def test_what_is_no_such_decimal_is_refused_with_its_code(text: str, code: str) -> None:
    with pytest.raises(Fault) as refused:
        minor_units(text, 2)
    assert refused.value.code == code


@given(st.integers(min_value=-(10**12), max_value=10**12))
def test_every_amount_of_cents_survives_the_way_through_a_float(cents: int) -> None:
    assert figure_reader(2)(cents / 100) == cents


@given(st.integers(min_value=-(10**37), max_value=10**37), st.integers(min_value=0, max_value=18))
def test_every_amount_survives_the_way_through_its_text(units: int, scale: int) -> None:
    assert minor_units(decimal_text(units, scale), scale) == units


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        (float("nan"), "not_a_number"),
        (float("inf"), "not_a_number"),
        (1.005, "too_many_decimals"),
        (0.1 + 0.2, "too_many_decimals"),
        (1e300, "amount_out_of_range"),
        (None, "value_missing"),
        ("  ", "value_missing"),
        (True, "not_a_number"),
        (b"1", "not_a_number"),
    ],
)
def test_a_cell_that_is_no_exact_amount_is_refused(cell: Any, code: str) -> None:
    with pytest.raises(Fault) as refused:
        figure_reader(2)(cell)
    assert refused.value.code == code


def test_float_noise_is_taken_away_only_where_the_mapping_says_so() -> None:
    tolerant = figure_reader(2, float_noise="0.000000001")
    assert tolerant(1.776357e-15) == 0
    assert tolerant(0.1 + 0.2) == 30
    with pytest.raises(Fault):
        tolerant(1.001)
    with pytest.raises(Fault):
        tolerant("0.30000000000000004")  # text means what it says


def test_a_decimal_comma_is_read_where_the_mapping_says_so() -> None:
    assert figure_reader(2, decimal=",")("12,50") == 1250
    with pytest.raises(Fault):
        figure_reader(2, decimal=",")("12.50")


def test_integers_and_decimals_count_whole_units() -> None:
    assert figure_reader(2)(3) == 300
    assert figure_reader(2)(Decimal("3.10")) == 310
