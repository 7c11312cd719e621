"""Authoring: a promotion as it was written becomes a record, or a list of what is wrong with it and where.

Shape first (unknown fields, wrong types: the first one found), then everything that could never work.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from guerdon.core.assets import AMOUNT_MAX
from guerdon.core.promotions.conditions import (
    All,
    Any_,
    CartIs,
    Condition,
    HistoryIs,
    MemberIs,
    Not,
    ProductsAre,
    SegmentIs,
    TenderIs,
    TierIs,
    TimeIs,
)
from guerdon.core.promotions.effects import (
    WHOLE,
    Amount,
    Effect,
    FixedPrice,
    Free,
    Multiplier,
    Percent,
    Points,
    Shipping,
    Tendered,
    Voucher,
)
from guerdon.core.promotions.limits import Limit, Per
from guerdon.core.promotions.products import Products
from guerdon.core.promotions.terms import Issuing, Promotion
from guerdon.core.promotions.windows import DAY_MINUTES, Window

DEPTH_MAX = 8
QUESTIONS_MAX = 64
VALUES_MAX = 1_000
EFFECTS_MAX = 10
LIMITS_MAX = 20
UNITS_MAX = 1_000_000
DAYS_MAX, HISTORY_DAYS_MAX = 366, 36_600
ISSUES_MAX, ISSUE_DAYS_MAX = 50, 3_660
MULTIPLIER_MAX = 100 * WHOLE
SECONDS_MAX = 366 * 86_400

_WHERE = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?$", re.DOTALL)
_NAMED = re.compile(r"(?:unknown field|required field) `([^`]*)`")


class Fault(Struct, frozen=True):
    """One thing that is wrong: the `path` of the place ("condition.of[1].value"), a stable code, and the figures."""

    path: str
    code: str
    detail: dict[str, Any] = {}


def read(document: dict[str, Any]) -> Promotion | tuple[Fault, ...]:
    """The promotion, or its faults. One with codes and no limit over a code gets the usual one: once per code.
    So does one that is issued, per issue.
    """
    try:
        promotion = msgspec.convert(document, Promotion)
    except msgspec.ValidationError as error:
        return (_shape(document, str(error)),)
    except RecursionError:
        return (Fault("condition", "too_deep", {"maximum": DEPTH_MAX}),)
    faults = tuple(check(promotion))
    return faults or _with_usual_limit(promotion)


def _with_usual_limit(promotion: Promotion) -> Promotion:
    per: Per | None = "code" if promotion.kind == "code" else "issue" if promotion.kind == "member" else None
    if per is None or any(limit.per == per for limit in promotion.limits):
        return promotion
    once = Limit(code="once", kpi="purchases", limit=1, per=per)
    return msgspec.structs.replace(promotion, limits=(*promotion.limits, once))


def _shape(document: dict[str, Any], message: str) -> Fault:
    """What msgspec says, taken apart; a field that is unknown or missing belongs to the path."""
    found = _WHERE.match(message)
    what, path = (found["what"], found["path"] or "") if found else (message, "")
    named = _NAMED.search(what)
    path = _indexed(document, message, path)
    if named:
        path = f"{path}.{named[1]}" if path else named[1]
        return Fault(path, "unknown_field" if "unknown" in what else "missing_field")
    return Fault(path, "wrong_type", {"message": what})


def _indexed(document: Any, message: str, path: str) -> str:
    """The path with the positions that msgspec leaves out: it fails at the first element that is wrong, so that is the
    last one of the shortest beginning of the list that fails in the same way.
    """
    keys: list[str | int] = []
    written = ""
    for i, names in enumerate(path.split("[...]")):
        if i:
            elements = _at(document, keys)
            if not isinstance(elements, list | tuple):
                return written
            position = bisect_left(
                range(len(elements)), True, key=lambda k: _fails(_with(document, keys, elements[: k + 1]), message)
            )
            keys.append(position)
            written += f"[{position}]"
        keys += [name for name in names.split(".") if name]
        written += names
    return written.lstrip(".")


def _fails(document: Any, message: str) -> bool:
    try:
        msgspec.convert(document, Promotion)
    except msgspec.ValidationError as error:
        return str(error) == message
    return False


def _at(document: Any, keys: list[str | int]) -> Any:
    for key in keys:
        document = document[key]
    return document


def _with(document: Any, keys: list[str | int], value: Any) -> Any:
    """A copy with something else in one place."""
    if not keys:
        return value
    first, *rest = keys
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[first] = _with(document[first], rest, value)  # type: ignore[index]
    return copy


def check(promotion: Promotion) -> Iterator[Fault]:
    """Everything that could never work, place by place."""
    if not 1 <= len(promotion.name.strip()) <= 100:
        yield Fault("name", "invalid_value", {"minimum": 1, "maximum": 100})
    if promotion.starts_at and promotion.starts_at.tzinfo is None:
        yield Fault("starts_at", "time_without_zone")
    elif promotion.ends_at and promotion.ends_at.tzinfo is None:
        yield Fault("ends_at", "time_without_zone")
    elif promotion.starts_at and promotion.ends_at and promotion.ends_at <= promotion.starts_at:
        yield Fault("ends_at", "ends_before_it_starts", {"starts_at": promotion.starts_at.isoformat()})
    yield from _between("repeat", promotion.repeat, 1, UNITS_MAX)
    yield from _windows("windows", promotion.windows)
    if promotion.condition is not None:
        yield from _size(promotion.condition)
        yield from _condition("condition", promotion.condition, 1)
        yield from _contradictions("condition", promotion.condition)
    yield from _effects(promotion)
    yield from _limits(promotion)


def _between(path: str, value: int | None, least: int, most: int) -> Iterator[Fault]:
    if value is not None and not least <= value <= most:
        yield Fault(path, "out_of_range", {"minimum": least, "maximum": most})


# -- conditions -----------------------------------------------------------------------------------------------------


def _size(condition: Condition) -> Iterator[Fault]:
    questions, stack = 0, [condition]
    while stack:
        each = stack.pop()
        questions += 1
        stack += each.of if isinstance(each, All | Any_) else [each.of] if isinstance(each, Not) else []
    if questions > QUESTIONS_MAX:
        yield Fault("condition", "too_many_questions", {"maximum": QUESTIONS_MAX})


def _condition(path: str, condition: Condition, depth: int) -> Iterator[Fault]:
    if depth > DEPTH_MAX:
        yield Fault(path, "too_deep", {"maximum": DEPTH_MAX})
        return
    if isinstance(condition, All | Any_):
        if not condition.of:
            yield Fault(f"{path}.of", "empty")
        for i, each in enumerate(condition.of):
            yield from _condition(f"{path}.of[{i}]", each, depth + 1)
    elif isinstance(condition, Not):
        yield from _condition(f"{path}.of", condition.of, depth + 1)
    elif isinstance(condition, HistoryIs):
        yield from _between(f"{path}.value", condition.value, 0, AMOUNT_MAX)
        yield from _between(f"{path}.days", condition.days, 1, HISTORY_DAYS_MAX)
        if condition.days is not None and condition.kpi.startswith("days_since"):
            yield Fault(f"{path}.days", "has_no_window")
        if condition.products and condition.kpi != "bought":
            yield Fault(f"{path}.products", "only_bought")
        yield from _products(f"{path}.products", condition.products, empty=condition.kpi != "bought")
    elif isinstance(condition, CartIs):
        yield from _between(f"{path}.value", condition.value, 0, AMOUNT_MAX)
    elif isinstance(condition, ProductsAre):
        yield from _between(f"{path}.value", condition.value, 0, AMOUNT_MAX)
        yield from _products(f"{path}.products", condition.products, empty=False)
    elif isinstance(condition, TenderIs):
        yield from _values(f"{path}.kinds", condition.kinds)
        yield from _between(f"{path}.amount", condition.amount, 1, AMOUNT_MAX)
    elif isinstance(condition, TierIs | SegmentIs):
        yield from _values(f"{path}.values", condition.values)
    elif isinstance(condition, MemberIs):
        if condition.attribute:
            yield from _values(f"{path}.values", condition.values)
        elif condition.values:
            yield Fault(f"{path}.attribute", "missing_field")
    elif isinstance(condition, TimeIs):
        if not condition.windows:
            yield Fault(f"{path}.windows", "empty")
        yield from _windows(f"{path}.windows", condition.windows)


def _values(path: str, values: frozenset[str]) -> Iterator[Fault]:
    if not values:
        yield Fault(path, "empty")
    if len(values) > VALUES_MAX:
        yield Fault(path, "too_many_values", {"maximum": VALUES_MAX})


def _products(path: str, products: Products, empty: bool = True) -> Iterator[Fault]:
    if not products and not empty:
        yield Fault(path, "empty")
    for i, criterion in enumerate(products):
        yield from _values(f"{path}[{i}].values", criterion.values)
        if (criterion.entity == "attribute") != bool(criterion.name):
            yield Fault(f"{path}[{i}].name", "missing_field" if not criterion.name else "not_an_attribute")


def _windows(path: str, windows: tuple[Window, ...]) -> Iterator[Fault]:
    for i, window in enumerate(windows):
        if any(not 1 <= day <= 7 for day in window.weekdays):
            yield Fault(f"{path}[{i}].weekdays", "out_of_range", {"minimum": 1, "maximum": 7})
        if any(not 1 <= day <= 31 and day != -1 for day in window.days):
            yield Fault(f"{path}[{i}].days", "out_of_range", {"minimum": 1, "maximum": 31})
        yield from _between(f"{path}[{i}].start", window.start, 0, DAY_MINUTES - 1)
        yield from _between(f"{path}[{i}].end", window.end, 0, DAY_MINUTES)
        if window.start == window.end:
            yield Fault(f"{path}[{i}].end", "never_open")


def _contradictions(path: str, condition: Condition) -> Iterator[Fault]:
    """Questions of one `all` about the same figure that no figure can meet together."""
    if isinstance(condition, Any_):
        for i, each in enumerate(condition.of):
            yield from _contradictions(f"{path}.of[{i}]", each)
    if not isinstance(condition, All):
        return
    ranges: dict[Any, tuple[int, int]] = {}
    for i, each in enumerate(condition.of):
        yield from _contradictions(f"{path}.of[{i}]", each)
        if not isinstance(each, CartIs | ProductsAre | HistoryIs):
            continue
        about = (
            type(each),
            each.kpi,
            getattr(each, "base", ""),
            getattr(each, "products", ()),
            getattr(each, "days", None),
        )
        low, high = ranges.get(about, (0, AMOUNT_MAX))
        least, most = {
            "at_least": (each.value, AMOUNT_MAX),
            "more_than": (each.value + 1, AMOUNT_MAX),
            "at_most": (0, each.value),
            "less_than": (0, each.value - 1),
            "equals": (each.value, each.value),
        }[each.operator]
        ranges[about] = max(low, least), min(high, most)
        if max(low, least) > min(high, most):
            yield Fault(f"{path}.of[{i}].value", "never_met", {"least": max(low, least), "most": min(high, most)})


# -- effects --------------------------------------------------------------------------------------------------------


def _effects(promotion: Promotion) -> Iterator[Fault]:
    if not promotion.effects:
        yield Fault("effects", "empty")
    if len(promotion.effects) > EFFECTS_MAX:
        yield Fault("effects", "too_many", {"maximum": EFFECTS_MAX})
    phases = {type(effect) for effect in promotion.effects} & {Tendered, Voucher}
    if len(phases) > 1 or (phases and len(promotion.effects) > 1):
        yield Fault("effects", "stands_alone", {"types": sorted(kind.__struct_config__.tag for kind in phases)})
    for i, effect in enumerate(promotion.effects):
        path = f"effects[{i}]"
        yield from _effect(path, effect)
        yield from _against_condition(path, effect, promotion.condition)
        if promotion.kind == "points" and not isinstance(effect, Points | Multiplier):
            yield Fault(f"{path}.type", "points_only")


def _effect(path: str, effect: Effect) -> Iterator[Fault]:
    if not isinstance(effect, Voucher):
        yield from _between(f"{path}.cap", effect.cap, 1, AMOUNT_MAX)
    if isinstance(effect, Percent | Amount | FixedPrice | Free | Multiplier):
        yield from _products(f"{path}.products", effect.products)
    if isinstance(effect, Percent):
        yield from _between(f"{path}.ppm", effect.ppm, 1, WHOLE)
        yield from _between(f"{path}.units", effect.units, 1, UNITS_MAX)
    elif isinstance(effect, Amount):
        yield from _between(f"{path}.amount", effect.amount, 1, AMOUNT_MAX)
        yield from _between(f"{path}.units", effect.units, 1, UNITS_MAX)
        if effect.units is not None and effect.per != "unit":
            yield Fault(f"{path}.units", "only_per_unit")
    elif isinstance(effect, FixedPrice):
        yield from _between(f"{path}.price", effect.price, 0, AMOUNT_MAX)
        yield from _between(f"{path}.size", effect.size, 1, UNITS_MAX)
        yield from _between(f"{path}.sets", effect.sets, 1, UNITS_MAX)
    elif isinstance(effect, Free):
        yield from _free(path, effect)
    elif isinstance(effect, Tendered):
        yield from _values(f"{path}.kinds", effect.kinds)
        if (effect.ppm is None) == (effect.amount is None):
            yield Fault(path, "ppm_or_amount")
        yield from _between(f"{path}.ppm", effect.ppm, 1, WHOLE)
        yield from _between(f"{path}.amount", effect.amount, 1, AMOUNT_MAX)
    elif isinstance(effect, Shipping):
        yield from _between(f"{path}.ppm", effect.ppm, 1, WHOLE)
    elif isinstance(effect, Points):
        yield from _between(f"{path}.points", effect.points, 1, AMOUNT_MAX)
    elif isinstance(effect, Multiplier):
        yield from _between(f"{path}.ppm", effect.ppm, WHOLE + 1, MULTIPLIER_MAX)
    else:
        yield from _between(f"{path}.value", effect.value, 1, AMOUNT_MAX)


def _free(path: str, effect: Free) -> Iterator[Fault]:
    yield from _between(f"{path}.buy", effect.buy, 0, UNITS_MAX)
    yield from _between(f"{path}.get", effect.get, 1, UNITS_MAX)
    yield from _between(f"{path}.ppm", effect.ppm, 1, WHOLE)
    yield from _between(f"{path}.amount", effect.amount, 1, AMOUNT_MAX)
    yield from _between(f"{path}.sets", effect.sets, 1, UNITS_MAX)
    yield from _between(f"{path}.skip", effect.skip, 0, effect.buy)
    if effect.get_products is not None:
        yield from _products(f"{path}.get_products", effect.get_products)
        if effect.skip:
            yield Fault(f"{path}.skip", "only_among_the_same")


def _against_condition(path: str, effect: Effect, condition: Condition | None) -> Iterator[Fault]:
    """An effect on products that the condition says must not be in the cart."""
    if not isinstance(effect, Percent | Amount | FixedPrice | Free | Multiplier):
        return
    for banned in _banned(condition):
        for i, criterion in enumerate(effect.products):
            if criterion.operator == "in" and any(
                (criterion.entity, criterion.name) == (other.entity, other.name) and criterion.values <= other.values
                for other in banned
            ):
                yield Fault(f"{path}.products[{i}]", "contradicts_condition")


def _banned(condition: Condition | None) -> Iterator[Products]:
    """Single criteria that no line may meet for the condition to hold."""
    if isinstance(condition, All):
        for each in condition.of:
            yield from _banned(each)
        return
    none = (
        condition.of
        if isinstance(condition, Not) and _asks_for_any(condition.of)
        else condition
        if _asks_for_none(condition)
        else None
    )
    if isinstance(none, ProductsAre) and len(none.products) == 1 and none.products[0].operator == "in":
        yield none.products


def _asks_for_any(condition: Condition) -> bool:
    return isinstance(condition, ProductsAre) and (condition.operator, condition.value) in (
        ("at_least", 1),
        ("more_than", 0),
    )


def _asks_for_none(condition: Condition | None) -> bool:
    return isinstance(condition, ProductsAre) and (condition.operator, condition.value) in (
        ("at_most", 0),
        ("less_than", 1),
        ("equals", 0),
    )


# -- limits ---------------------------------------------------------------------------------------------------------


def _limits(promotion: Promotion) -> Iterator[Fault]:
    if len(promotion.limits) > LIMITS_MAX:
        yield Fault("limits", "too_many", {"maximum": LIMITS_MAX})
    seen: set[str] = set()
    for i, limit in enumerate(promotion.limits):
        path = f"limits[{i}]"
        if not limit.code or limit.code.startswith("budget:"):
            yield Fault(f"{path}.code", "invalid_value")
        if limit.code in seen:
            yield Fault(f"{path}.code", "code_taken")
        seen.add(limit.code)
        yield from _limit(path, limit, promotion)
    issuing = promotion.issuing
    if promotion.kind != "member" and issuing != Issuing():
        yield Fault("issuing", "promotion_is_not_issued")
    yield from _between("issuing.per_member", issuing.per_member, 1, ISSUES_MAX)
    yield from _between("issuing.days", issuing.days, 0, ISSUE_DAYS_MAX)
    if promotion.budget is not None:
        if not promotion.budget.code:
            yield Fault("budget.code", "invalid_value")
        yield from _between("budget.limit", promotion.budget.limit, 1, AMOUNT_MAX)


def _limit(path: str, limit: Limit, promotion: Promotion) -> Iterator[Fault]:
    yield from _between(f"{path}.limit", limit.limit, 1, AMOUNT_MAX)
    yield from _between(f"{path}.min_seconds_between", limit.min_seconds_between, 0, SECONDS_MAX)
    if limit.limit is None and not limit.min_seconds_between:
        yield Fault(f"{path}.limit", "missing_field")
    if limit.window == "rolling":
        yield from _between(f"{path}.days", limit.days, 1, DAYS_MAX)
    elif limit.days:
        yield Fault(f"{path}.days", "only_rolling")
    if limit.per == "code" and promotion.kind != "code":
        yield Fault(f"{path}.per", "promotion_has_no_codes")
    if limit.per == "issue" and promotion.kind != "member":
        yield Fault(f"{path}.per", "promotion_is_not_issued")
    if limit.per == "cart":
        if limit.window != "none":
            yield Fault(f"{path}.window", "a_cart_has_no_window")
        if limit.min_seconds_between:
            yield Fault(f"{path}.min_seconds_between", "a_cart_has_no_window")
