"""Conditions: a boolean tree of typed questions, answered one by one so that the answer can say what is missing.

Money is in minor units, quantities in thousandths. `original` is before all discounts, `running` what earlier
promotions have left.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from guerdon.core.promotions.carts import Shopper
from guerdon.core.promotions.past import Past
from guerdon.core.promotions.products import Basket, Products, positions, words
from guerdon.core.promotions.windows import Window, open_at
from guerdon.core.state import NotLoaded

Operator = Literal["equals", "more_than", "at_least", "less_than", "at_most"]
Base = Literal["original", "running"]
Measure = Literal["", "money", "quantity", "items", "count", "days"]
HistoryKpi = Literal["purchases", "spent", "bought", "days_since_purchase", "days_since_joined"]


class _Node(Struct, frozen=True, kw_only=True, tag_field="type", forbid_unknown_fields=True):
    """One question, told apart by its `type`."""


class All(_Node, frozen=True, kw_only=True, tag="all"):
    """Every one of them holds. A combination of products is an `all` of `products`."""

    of: tuple[Condition, ...]


class Any_(_Node, frozen=True, kw_only=True, tag="any"):  # noqa: N801  # `Any` is typing's
    """At least one of them holds."""

    of: tuple[Condition, ...]


class Not(_Node, frozen=True, kw_only=True, tag="not"):
    """It does not hold."""

    of: Condition


class CartIs(_Node, frozen=True, kw_only=True, tag="cart"):
    """The whole cart: its `subtotal`, the number of different skus (`item_count`), or the `quantity` of everything."""

    kpi: Literal["subtotal", "item_count", "quantity"] = "subtotal"
    operator: Operator = "at_least"
    value: int
    base: Base = "original"


class ProductsAre(_Node, frozen=True, kw_only=True, tag="products"):
    """Amount or quantity of certain products."""

    products: Products
    kpi: Literal["amount", "quantity"] = "quantity"
    operator: Operator = "at_least"
    value: int = 1
    base: Base = "original"


class TenderIs(_Node, frozen=True, kw_only=True, tag="tender"):
    """At least `amount` is paid by one of these kinds (and, where given, identifiers: card ranges, schemes)."""

    kinds: frozenset[str]
    identifiers: frozenset[str] = frozenset()
    amount: int = 1


class MemberIs(_Node, frozen=True, kw_only=True, tag="member"):
    """The shopper is a member, and where an `attribute` is named, it is one of `values`."""

    attribute: str = ""
    values: frozenset[str] = frozenset()


class TierIs(_Node, frozen=True, kw_only=True, tag="tier"):
    """The member's tier is one of these."""

    values: frozenset[str]


class SegmentIs(_Node, frozen=True, kw_only=True, tag="segment"):
    """The member is in one of these segments."""

    values: frozenset[str]


class HistoryIs(_Node, frozen=True, kw_only=True, tag="history"):
    """A figure of what the member did before this cart: how many purchases, what was paid in the cart's currency (less
    what was given back), in how many purchases there was one of certain `products`, whole days of 24 hours since the
    last purchase or since the member joined. The first three may be of the last `days` only. A first purchase is
    `purchases` equals 0.
    """

    kpi: HistoryKpi
    operator: Operator = "at_least"
    value: int
    days: int | None = None
    products: Products = ()


class TimeIs(_Node, frozen=True, kw_only=True, tag="time"):
    """It is one of these times, in the organisation's zone."""

    windows: tuple[Window, ...]


Condition = All | Any_ | Not | CartIs | ProductsAre | TenderIs | MemberIs | TierIs | SegmentIs | HistoryIs | TimeIs


class Check(Struct, frozen=True, gc=False):
    """How one question was answered. `missing` is what would have to be added (negative: taken away) for it to hold;
    None where a figure is not what is missing.
    """

    path: str
    type: str
    met: bool
    about: str = ""
    measure: Measure = ""
    operator: str = ""
    required: int | None = None
    actual: int | None = None
    missing: int | None = None


class Facts:
    """What conditions are asked about. `left` is what remains of each line after the promotions so far."""

    __slots__ = ("basket", "left", "local", "shopper")

    def __init__(self, basket: Basket, left: list[int], shopper: Shopper | None, local: datetime) -> None:
        self.basket = basket
        self.left = left
        self.shopper = shopper
        self.local = local


class Answer(Struct, frozen=True, gc=False):
    """Whether it holds; how many times over, where that can be counted; and the fewest questions that stand in the
    way.
    """

    met: bool
    times: int | None
    misses: tuple[Check, ...]


def ask(condition: Condition, facts: Facts, path: str, checks: list[Check]) -> Answer:
    """Answer a tree. Every question is answered, in order, into `checks`, also those that decide nothing any more."""
    kind = type(condition)
    if kind is All:
        return _all(condition, facts, path, checks)  # type: ignore[arg-type]
    if kind is Any_:
        return _any(condition, facts, path, checks)  # type: ignore[arg-type]
    if kind is Not:
        return _not(condition, facts, path, checks)  # type: ignore[arg-type]
    check = _LEAVES[kind](condition, facts, path)
    checks.append(check)
    if check.met:
        return Answer(True, _times(check), ())
    return Answer(False, None, (check,))


def _all(condition: All, facts: Facts, path: str, checks: list[Check]) -> Answer:
    met, times = True, None
    misses: tuple[Check, ...] = ()
    for i, each in enumerate(condition.of):
        answer = ask(each, facts, f"{path}.of[{i}]", checks)
        met = met and answer.met
        misses += answer.misses
        if answer.times is not None:
            times = answer.times if times is None else min(times, answer.times)
    return Answer(met, times if met else None, misses)


def _any(condition: Any_, facts: Facts, path: str, checks: list[Check]) -> Answer:
    answers = [ask(each, facts, f"{path}.of[{i}]", checks) for i, each in enumerate(condition.of)]
    met = [answer for answer in answers if answer.met]
    if met:
        counted = [answer.times for answer in met if answer.times is not None]
        return Answer(True, max(counted, default=None), ())
    return Answer(False, None, min((answer.misses for answer in answers), key=distance))


def _not(condition: Not, facts: Facts, path: str, checks: list[Check]) -> Answer:
    inner: list[Check] = []
    answer = ask(condition.of, facts, f"{path}.of", inner)
    checks.extend(inner)
    if not answer.met:
        return Answer(True, None, ())
    said = next((check.about for check in inner if check.met), "")
    miss = Check(path, "not", False, said)
    checks.append(miss)
    return Answer(False, None, (miss,))


def distance(misses: tuple[Check, ...]) -> tuple[int, int, int]:
    """How far off: what no figure can mend counts most, then the number of questions, then their figures."""
    hopeless = sum(1 for miss in misses if miss.missing is None)
    return hopeless, len(misses), sum(abs(miss.missing or 0) for miss in misses)


# -- questions ------------------------------------------------------------------------------------------------------


def _cart(condition: CartIs, facts: Facts, path: str) -> Check:
    basket = facts.basket
    if condition.kpi == "subtotal":
        actual = sum(facts.left if condition.base == "running" else basket.amounts)
        return _compared(path, "cart", "subtotal", "money", condition.operator, condition.value, actual)
    if condition.kpi == "quantity":
        return _compared(
            path, "cart", "quantity", "quantity", condition.operator, condition.value, sum(basket.quantities)
        )
    items = len({line.sku for line in basket.cart.lines if line.counts})
    return _compared(path, "cart", "item_count", "items", condition.operator, condition.value, items)


def _products(condition: ProductsAre, facts: Facts, path: str) -> Check:
    basket = facts.basket
    found = positions(basket.select(condition.products))
    about = words(condition.products)
    if condition.kpi == "quantity":
        actual = sum([basket.quantities[i] for i in found])
        return _compared(path, "products", about, "quantity", condition.operator, condition.value, actual)
    figures = facts.left if condition.base == "running" else basket.amounts
    actual = sum([figures[i] for i in found])
    return _compared(path, "products", about, "money", condition.operator, condition.value, actual)


def _tender(condition: TenderIs, facts: Facts, path: str) -> Check:
    actual = sum(
        tender.amount
        for tender in facts.basket.cart.tenders
        if paid_by(condition.kinds, condition.identifiers, tender.kind, tender.identifier)
    )
    about = " or ".join(sorted(condition.kinds))
    return _compared(path, "tender", about, "money", "at_least", condition.amount, actual)


def paid_by(kinds: frozenset[str], identifiers: frozenset[str], kind: str, identifier: str) -> bool:
    """Whether a tender is of these kinds and, where identifiers are named, one of those."""
    return kind in kinds and (not identifiers or identifier in identifiers)


def _member(condition: MemberIs, facts: Facts, path: str) -> Check:
    shopper = facts.shopper
    if shopper is None or not condition.attribute:
        return Check(path, "member", shopper is not None, condition.attribute)
    return Check(path, "member", shopper.attributes.get(condition.attribute) in condition.values, condition.attribute)


def _tier(condition: TierIs, facts: Facts, path: str) -> Check:
    met = facts.shopper is not None and facts.shopper.tier in condition.values
    return Check(path, "tier", met, " or ".join(sorted(condition.values)))


def _segment(condition: SegmentIs, facts: Facts, path: str) -> Check:
    met = facts.shopper is not None and not condition.values.isdisjoint(facts.shopper.segments)
    return Check(path, "segment", met, " or ".join(sorted(condition.values)))


_MEASURES: dict[str, Measure] = {
    "purchases": "count",
    "spent": "money",
    "bought": "count",
    "days_since_purchase": "days",
    "days_since_joined": "days",
}


def _history(condition: HistoryIs, facts: Facts, path: str) -> Check:
    measure = _MEASURES[condition.kpi]
    about = f"bought {words(condition.products)}" if condition.products else condition.kpi
    if condition.days is not None:
        about += f" in {condition.days} days"
    if facts.shopper is None:
        return Check(path, "history", False, about, measure, condition.operator, condition.value)
    actual = _past_figure(condition, facts, facts.shopper)
    if actual is None:
        return Check(path, "history", False, about, measure, condition.operator, condition.value)
    return _compared(path, "history", about, measure, condition.operator, condition.value, actual)


def _past_figure(condition: HistoryIs, facts: Facts, shopper: Shopper) -> int | None:
    """None where there is no such figure: days since the last purchase of somebody who never bought."""
    past: Past | None = shopper.past
    if past is None:
        raise NotLoaded(("past", shopper.id))
    now = facts.local
    if condition.kpi == "purchases":
        return past.purchases(now, condition.days)
    if condition.kpi == "spent":
        return past.spent(now, condition.days, facts.basket.cart.currency)
    if condition.kpi == "bought":
        found = past.bought(condition.products, now, condition.days)
        if found is None:
            raise NotLoaded(("past_lines", shopper.id))
        return found
    since = past.last(now) if condition.kpi == "days_since_purchase" else past.joined_at
    return None if since is None else max(0, (now - since).days)


def asks(condition: Condition | None) -> frozenset[str]:
    """What a condition needs to know of the past: "past", and "past_lines" where it asks about products."""
    if isinstance(condition, All | Any_):
        return frozenset().union(*map(asks, condition.of))
    if isinstance(condition, Not):
        return asks(condition.of)
    if not isinstance(condition, HistoryIs):
        return frozenset()
    return frozenset({"past", "past_lines"} if condition.kpi == "bought" else {"past"})


def _time(condition: TimeIs, facts: Facts, path: str) -> Check:
    return Check(path, "time", open_at(condition.windows, facts.local))


_LEAVES: dict[type, Callable[[Any, Facts, str], Check]] = {
    CartIs: _cart,
    ProductsAre: _products,
    TenderIs: _tender,
    MemberIs: _member,
    TierIs: _tier,
    SegmentIs: _segment,
    HistoryIs: _history,
    TimeIs: _time,
}


def _compared(
    path: str, kind: str, about: str, measure: Measure, operator: Operator, required: int, actual: int
) -> Check:
    if operator == "at_least":
        wanted = max(actual, required)
    elif operator == "more_than":
        wanted = max(actual, required + 1)
    elif operator == "at_most":
        wanted = min(actual, required)
    elif operator == "less_than":
        wanted = min(actual, required - 1)
    else:
        wanted = required
    return Check(path, kind, wanted == actual, about, measure, operator, required, actual, wanted - actual)


def _times(check: Check) -> int | None:
    """How often what is asked for is there: 7 shirts where 3 are asked for are 2 times."""
    if check.type not in ("cart", "products") or check.actual is None or not check.required or check.required < 0:
        return None
    if check.operator == "at_least":
        return check.actual // check.required
    if check.operator == "more_than":
        return (check.actual - 1) // check.required
    return None
