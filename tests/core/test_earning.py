"""What a purchase is worth in points: reference cases, and what must hold of any rules and lines."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.core.assets import Rounding
from guerdon.core.commands import Line
from guerdon.core.earning import Occasion, earnings
from guerdon.core.programs import Cap, Policies, Program, Rule, Stacking
from guerdon.core.promotions.windows import Window


def program(*rules: Rule, rounding: Rounding = Rounding.HALF_UP, **policies_: Any) -> Program:
    policies = Policies(rules=rules, rounding=rounding, **policies_)
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


def worth(of: Program, *lines: Line, on: Occasion | None = None) -> list[int]:
    return [earning.points for earning in earnings(of, lines, [each.amount for each in lines], on or Occasion())]


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
    found = earnings(program(per(1, 100, skus=("S",))), (line(100), line(500, sku="S")), [100, 500], Occasion())
    assert [(e.rule, e.version, e.basis, e.line, e.points) for e in found] == [("1/100", 3, 500, 1, 5)]


def test_what_points_paid_earns_nothing() -> None:
    found = earnings(program(per(1, 100)), (line(1000), line(1000)), [800, 1000], Occasion())
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


# -- when and where ----------------------------------------------------------------------------------------------------


def at(text: str, **fields: Any) -> Occasion:
    return Occasion(at=datetime.fromisoformat(text).replace(tzinfo=UTC), **fields)


def test_a_rule_holds_while_one_of_its_windows_is_open_in_the_zone_of_the_program() -> None:
    """Saturday and Sunday, and Wednesday from 18:00 to 02:00 of Thursday."""
    windows = (Window(weekdays=frozenset({6, 7})), Window(weekdays=frozenset({3}), start=18 * 60, end=2 * 60))
    rules = program(per(1, 100, windows=windows), timezone="America/New_York")
    open_then = {
        "2027-06-05 03:59": False,  # Friday 23:59 in New York
        "2027-06-05 04:00": True,
        "2027-06-07 03:59": True,
        "2027-06-07 04:00": False,
        "2027-06-09 21:59": False,
        "2027-06-09 22:00": True,
        "2027-06-10 05:59": True,
        "2027-06-10 06:00": False,
    }
    assert {time: bool(worth(rules, line(100), on=at(time))) for time in open_then} == open_then


def test_a_rule_holds_from_its_start_until_just_before_its_end() -> None:
    dated = per(1, 100, starts_at=datetime(2027, 6, 1, tzinfo=UTC), ends_at=datetime(2027, 7, 1, tzinfo=UTC))
    found = [bool(worth(program(dated), line(100), on=at(f"{day} 00:00"))) for day in ("2027-06-01", "2027-07-01")]
    assert found == [True, False]
    assert not worth(program(dated), line(100), on=at("2027-05-31 23:59:59"))


def test_a_rule_of_some_stores_or_sources_gives_nothing_elsewhere() -> None:
    rules = program(per(1, 100, stores=("main", "port"), sources=("WEBSITE",)))
    assert worth(rules, line(100), on=Occasion(store="port", source="WEBSITE")) == [1]
    for elsewhere in (Occasion(store="port"), Occasion(source="WEBSITE"), Occasion(store="x", source="WEBSITE")):
        assert worth(rules, line(100), on=elsewhere) == []


# -- stacking ----------------------------------------------------------------------------------------------------------


def test_of_a_group_the_best_rule_gives_and_the_first_of_the_best() -> None:
    best = (Stacking(mode="best"),)
    assert worth(program(per(1, 100), per(1, 200), stacking=best), line(1000)) == [10]
    tie = program(per(1, 100, code="a"), per(1, 100, code="b"), per(1, 100, code="c", priority=1), stacking=best)
    assert [each.rule for each in earnings(tie, (line(1000),), [1000], Occasion())] == ["c"]


def test_of_a_group_the_first_by_priority_that_gives_anything_gives() -> None:
    rules = (per(1, 100, code="a"), per(1, 200, code="b", priority=5), per(9, 100, code="c", priority=9, minimum=5000))
    first = program(*rules, stacking=(Stacking(mode="first"),))
    assert [each.rule for each in earnings(first, (line(1000),), [1000], Occasion())] == ["b"]
    assert [each.rule for each in earnings(first, (line(5000),), [5000], Occasion())] == ["c"]


def test_groups_stand_beside_one_another_and_multipliers_beside_the_rest() -> None:
    rules = (per(1, 100), per(2, 100, group="bonus"), per(3, 100, group="bonus"), times(2, 1), times(3, 1, code="x3"))
    stacking = (Stacking(mode="best"), Stacking(group="bonus", mode="best"))
    assert worth(program(*rules, stacking=stacking), line(1000)) == [10, 30, 80]


def test_where_an_exclusive_rule_gives_no_other_does() -> None:
    alone = per(1, 200, exclusive=True, categories=("tea",))
    assert worth(program(per(1, 100), alone), line(1000, "tea"), line(1000)) == [5]
    assert worth(program(per(1, 100), alone), line(1000)) == [10]


# -- caps --------------------------------------------------------------------------------------------------------------


def test_a_cap_of_a_rule_and_one_of_the_program_cut_what_is_beyond_them() -> None:
    rules = program(
        per(1, 100, caps=(Cap(code="c", points=8),)), per(1, 50, code="twice"), caps=(Cap(code="all", points=20),)
    )
    found = earnings(rules, (line(1000), line(500)), [1000, 500], Occasion())
    assert [(each.points, each.capped, each.parts) for each in found] == [(8, 7, (5, 3)), (12, 18, (8, 4))]


def test_what_is_left_of_a_cap_is_what_passes_and_nothing_left_is_no_earning() -> None:
    daily = Cap(code="day", points=8, per="day")
    rules = program(per(1, 100, code="a", caps=(daily,)), per(1, 100, code="b", caps=(daily,)))
    assert worth(rules, line(1000), on=Occasion(left=(("a", "day", 3), ("b", "day", 0)))) == [3]


def test_a_multiplier_multiplies_what_is_left_after_caps() -> None:
    assert worth(program(per(1, 100, caps=(Cap(code="c", points=4),)), times(2, 1)), line(1000)) == [4, 4]


@given(
    amounts=st.lists(st.integers(0, 10**6), min_size=1, max_size=5),
    caps=st.lists(st.integers(1, 5_000), max_size=3),
    all_caps=st.lists(st.integers(1, 5_000), max_size=2),
)
def test_caps_take_away_and_never_add(amounts: list[int], caps: list[int], all_caps: list[int]) -> None:
    own = tuple(Cap(code=str(i), points=points) for i, points in enumerate(caps))
    every = tuple(Cap(code=str(i), points=points) for i, points in enumerate(all_caps))
    free = worth(program(per(1, 100), per(1, 300)), *map(line, amounts))
    found = earnings(
        program(per(1, 100, caps=own), per(1, 300), caps=every), [line(a) for a in amounts], amounts, Occasion()
    )
    assert all(sum(each.parts) == each.points > 0 for each in found)
    first = min([free[0], *caps]) if free else 0
    expected = [first, *free[1:]]
    assert sum(each.points for each in found) == min([sum(expected), *all_caps])
    if not every:
        assert [each.points + each.capped for each in found] == free
