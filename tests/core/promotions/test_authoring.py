"""Promotions as they are written: what is wrong is told with its place."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from guerdon.core.promotions.authoring import Fault, read
from guerdon.core.promotions.limits import Limit
from guerdon.core.promotions.terms import Promotion

SOUND: dict[str, Any] = {
    "id": "p",
    "name": "Shoes",
    "condition": {
        "type": "all",
        "of": [
            {"type": "cart", "value": 5000},
            {"type": "any", "of": [{"type": "tier", "values": ["gold"]}, {"type": "not", "of": {"type": "member"}}]},
            {"type": "products", "products": [{"entity": "category", "values": ["shoes"]}]},
        ],
    },
    "effects": [{"type": "percent", "ppm": 100_000, "products": [{"entity": "category", "values": ["shoes"]}]}],
}


def faults(**changed: Any) -> list[tuple[str, str]]:
    found = read({**SOUND, **changed})
    return [] if isinstance(found, Promotion) else [(fault.path, fault.code) for fault in found]


def effect(**fields: Any) -> dict[str, Any]:
    return {"effects": [fields]}


def condition(**fields: Any) -> dict[str, Any]:
    return {"condition": fields}


def test_a_sound_promotion_is_read() -> None:
    assert isinstance(read(SOUND), Promotion)


def test_what_is_read_can_be_written_and_read_again() -> None:
    promotion = read(SOUND)
    assert read(msgspec.to_builtins(promotion, builtin_types=())) == promotion


SHOES = {"entity": "category", "values": ["shoes"]}
NESTED: dict[str, Any] = {"type": "member"}
for _ in range(9):
    NESTED = {"type": "not", "of": NESTED}
DEEP: dict[str, Any] = {"type": "member"}
for _ in range(5000):
    DEEP = {"type": "not", "of": DEEP}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"colour": "red"}, ("colour", "unknown_field")),
        ({"effects": []}, ("effects", "empty")),
        ({"name": " "}, ("name", "invalid_value")),
        (condition(type="cart", value=1, currency="USD"), ("condition.currency", "unknown_field")),
        (condition(type="cart"), ("condition.value", "missing_field")),
        (condition(type="cart", value="50"), ("condition.value", "wrong_type")),
        (condition(type="moon", value=1), ("condition.type", "wrong_type")),
        (condition(type="cart", value=1, operator="around"), ("condition.operator", "wrong_type")),
        (condition(type="all", of=[{"type": "cart", "value": 1.5}]), ("condition.of[0].value", "wrong_type")),
        (
            condition(type="any", of=[{"type": "member"}, {"type": "all", "of": [{"type": "member"}, {"type": 3}]}]),
            ("condition.of[1].of[1].type", "wrong_type"),
        ),
        ({"limits": [{"code": "a", "limit": 1}, {"code": "b", "limits": 1}]}, ("limits[1].limits", "unknown_field")),
        (condition(type="all", of=[]), ("condition.of", "empty")),
        (condition(type="cart", value=-1), ("condition.value", "out_of_range")),
        (condition(type="products", products=[]), ("condition.products", "empty")),
        (
            condition(type="products", products=[{"entity": "attribute", "values": ["red"]}]),
            ("condition.products[0].name", "missing_field"),
        ),
        (
            condition(type="products", products=[{"entity": "sku", "values": []}]),
            ("condition.products[0].values", "empty"),
        ),
        (
            condition(type="products", products=[{"entity": "sku", "values": [f"{n}" for n in range(1001)]}]),
            ("condition.products[0].values", "too_many_values"),
        ),
        (condition(type="not", of=NESTED), ("condition" + ".of" * 8, "too_deep")),
        (condition(type="not", of=DEEP), ("condition", "too_deep")),
        (condition(type="any", of=[{"type": "member"}] * 64), ("condition", "too_many_questions")),
        (
            condition(
                type="all",
                of=[{"type": "cart", "value": 100}, {"type": "cart", "operator": "less_than", "value": 100}],
            ),
            ("condition.of[1].value", "never_met"),
        ),
        (
            condition(type="time", windows=[{"start": 60, "end": 60}]),
            ("condition.windows[0].end", "never_open"),
        ),
        (condition(type="time", windows=[{"weekdays": [8]}]), ("condition.windows[0].weekdays", "out_of_range")),
        (effect(type="percent", ppm=1_000_001), ("effects[0].ppm", "out_of_range")),
        (effect(type="percent", ppm=0), ("effects[0].ppm", "out_of_range")),
        (effect(type="percent", ppm=True), ("effects[0].ppm", "wrong_type")),
        (effect(type="amount", amount=-5), ("effects[0].amount", "out_of_range")),
        (effect(type="amount", amount=5, units=3), ("effects[0].units", "only_per_unit")),
        (effect(type="amount", amount=5, cap=0), ("effects[0].cap", "out_of_range")),
        (effect(type="free", buy=2, get=0), ("effects[0].get", "out_of_range")),
        (effect(type="free", buy=2, skip=3), ("effects[0].skip", "out_of_range")),
        (effect(type="fixed_price", price=5, size=0), ("effects[0].size", "out_of_range")),
        (effect(type="points_multiplier", ppm=1_000_000), ("effects[0].ppm", "out_of_range")),
        (effect(type="tender", kinds=["CARD"]), ("effects[0]", "ppm_or_amount")),
        ({"effects": [{"type": "voucher", "value": 5}, {"type": "points", "points": 5}]}, ("effects", "stands_alone")),
        ({"kind": "points"}, ("effects[0].type", "points_only")),
        (
            {
                "condition": {"type": "not", "of": {"type": "products", "products": [SHOES]}},
            },
            ("effects[0].products[0]", "contradicts_condition"),
        ),
        (
            {"starts_at": "2026-02-01T00:00:00Z", "ends_at": "2026-01-01T00:00:00Z"},
            ("ends_at", "ends_before_it_starts"),
        ),
        ({"starts_at": "2026-02-01T00:00:00"}, ("starts_at", "time_without_zone")),
        ({"limits": [{"code": "a", "limit": 0}]}, ("limits[0].limit", "out_of_range")),
        ({"limits": [{"code": "a"}]}, ("limits[0].limit", "missing_field")),
        ({"limits": [{"code": "a", "limit": 1}] * 2}, ("limits[1].code", "code_taken")),
        ({"limits": [{"code": "budget:x", "limit": 1}]}, ("limits[0].code", "invalid_value")),
        ({"limits": [{"code": "a", "limit": 1, "window": "rolling"}]}, ("limits[0].days", "out_of_range")),
        ({"limits": [{"code": "a", "limit": 1, "per": "code"}]}, ("limits[0].per", "promotion_has_no_codes")),
        (
            {"limits": [{"code": "a", "limit": 1, "per": "cart", "window": "day"}]},
            ("limits[0].window", "a_cart_has_no_window"),
        ),
        ({"budget": {"code": "b", "limit": 0}}, ("budget.limit", "out_of_range")),
        ({"repeat": 0}, ("repeat", "out_of_range")),
    ],
)
def test_what_is_wrong_is_told_with_its_place(changed: dict[str, Any], expected: tuple[str, str]) -> None:
    assert faults(**changed) == [expected]


def test_everything_that_is_wrong_is_told_at_once() -> None:
    found = faults(repeat=0, limits=[{"code": "a", "limit": 0}], **effect(type="percent", ppm=0))
    assert found == [
        ("repeat", "out_of_range"),
        ("effects[0].ppm", "out_of_range"),
        ("limits[0].limit", "out_of_range"),
    ]


def test_a_code_is_good_once_unless_its_promotion_says_otherwise() -> None:
    usual = read({**SOUND, "kind": "code"})
    assert isinstance(usual, Promotion)
    assert usual.limits == (Limit(code="once", kpi="purchases", limit=1, per="code"),)
    shared = read({**SOUND, "kind": "code", "limits": [{"code": "many", "limit": 1000, "per": "code"}]})
    assert isinstance(shared, Promotion)
    assert [limit.limit for limit in shared.limits] == [1000]


def test_a_fault_has_its_figures() -> None:
    assert read({**SOUND, "repeat": 0}) == (Fault("repeat", "out_of_range", {"minimum": 1, "maximum": 1_000_000}),)
