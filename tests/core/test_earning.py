"""What a purchase is worth in points: reference cases, and what must hold of any rules and lines."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.core.assets import Rounding
from guerdon.core.commands import Line
from guerdon.core.earning import earnings
from guerdon.core.programs import Policies, Program, Rule


def program(*rules: Rule, rounding: Rounding = Rounding.HALF_UP) -> Program:
    policies = Policies(rules=rules, rounding=rounding)
    return Program(
        no=1, id="p", ledger_no=2, code="club", name="Club", asset="POINTS", first=True, version=3, policies=policies
    )


def per(points: int, amount: int, **fields: Any) -> Rule:
    return Rule(
        code=fields.pop("code", f"{points}/{amount}"), kind="per_amount", points=points, amount=amount, **fields
    )


def times(points: int, amount: int, **fields: Any) -> Rule:
    return Rule(code=fields.pop("code", "times"), kind="multiplier", points=points, amount=amount, **fields)


def line(amount: int, category: str = "", **fields: Any) -> Line:
    return Line(
        sku=fields.pop("sku", "A"), quantity=1000, amount=amount, categories=(category,) if category else (), **fields
    )


def worth(of: Program, *lines: Line) -> list[int]:
    return [earning.points for earning in earnings(of, lines, [each.amount for each in lines])]


def test_two_step_rules_add_up() -> None:
    """Reference case F11: basis 19.99, 1 per 1.00 and 1 per 2.00."""
    assert worth(program(per(1, 100), per(1, 200)), line(1999)) == [19, 9]


@pytest.mark.parametrize(
    ("rounding", "total"), [(Rounding.FLOOR, 28), (Rounding.HALF_UP, 29), (Rounding.CEILING, 29), (Rounding.DOWN, 28)]
)
def test_one_and_a_half_times_nineteen_is_rounded_as_the_program_says(rounding: Rounding, total: int) -> None:
    """Reference case F11: x1.5 on 19."""
    assert sum(worth(program(per(1, 100), times(3, 2), rounding=rounding), line(1999))) == total


def test_ten_a_point() -> None:
    """Reference case F13: 1 point per 10.00, 105.00 spent."""
    assert worth(program(per(1, 1000)), line(10_500)) == [10]


def test_a_step_is_whole_and_a_proportion_is_rounded() -> None:
    assert worth(program(per(10, 10_000)), line(19_999)) == [10]
    assert worth(program(per(10, 10_000, mode="proportional")), line(19_999)) == [20]
    assert worth(program(per(10, 10_000, mode="proportional", rounding=Rounding.DOWN)), line(19_999)) == [19]


def test_a_basis_of_nothing_or_less_or_below_the_least_earns_nothing() -> None:
    rules = program(per(1, 100), Rule(code="bonus", kind="fixed", points=5, minimum=1000))
    assert worth(rules, line(0)) == []
    assert worth(rules, line(100), line(-200)) == []
    assert worth(rules, line(999)) == [9]
    assert worth(rules, line(1000)) == [10, 5]


def test_a_rule_looks_at_lines_of_its_sku_category_or_brand() -> None:
    narrow = per(1, 100, skus=("S",), categories=("coffee",), brands=("Acme",))
    lines = (line(100, sku="S"), line(200, "coffee"), line(400, brand="Acme"), line(800, "tea"), line(1600, brand=""))
    assert worth(program(narrow), *lines) == [7]


def test_a_multiplier_counts_only_the_share_of_its_lines() -> None:
    assert worth(program(per(1, 100), times(3, 1, categories=("tea",))), line(1000, "tea"), line(1000)) == [20, 20]
    assert worth(program(per(1, 100), times(3, 1, categories=("tea",))), line(1000)) == [10]


def test_multipliers_add_up() -> None:
    assert sum(worth(program(per(1, 100), times(2, 1, code="x2"), times(3, 1, code="x3")), line(1000))) == 40


def test_an_earning_names_its_rule_version_and_line() -> None:
    found = earnings(program(per(1, 100, skus=("S",))), (line(100), line(500, sku="S")), [100, 500])
    assert [(e.rule, e.version, e.basis, e.line, e.points) for e in found] == [("1/100", 3, 500, 1, 5)]


def test_what_points_paid_earns_nothing() -> None:
    found = earnings(program(per(1, 100)), (line(1000), line(1000)), [800, 1000])
    assert [e.points for e in found] == [18]


money = st.integers(-(10**12), 10**12)


@given(amounts=st.lists(money, min_size=1, max_size=8), points=st.integers(1, 10**6), amount=st.integers(1, 10**6),
       rounding=st.sampled_from(Rounding))  # fmt: skip
def test_proportional_earning_is_the_exact_fraction_rounded_once(
    amounts: list[int], points: int, amount: int, rounding: Rounding
) -> None:
    found = worth(program(per(points, amount, mode="proportional"), rounding=rounding), *map(line, amounts))
    exact = Fraction(sum(amounts) * points, amount)
    assert abs(sum(found) - max(Fraction(), exact)) < 1


@given(amounts=st.lists(st.integers(0, 10**9), min_size=1, max_size=8), factor=st.integers(11, 50))
def test_a_multiplier_over_all_lines_is_exact(amounts: list[int], factor: int) -> None:
    found = worth(program(per(1, 100), times(factor, 10), rounding=Rounding.FLOOR), *map(line, amounts))
    base = sum(amounts) // 100
    assert sum(found) == base + (base * (factor - 10)) // 10
