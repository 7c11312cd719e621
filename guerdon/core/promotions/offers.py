"""Which promotions could apply to a cart: an index, so that the rest of them cost nothing.

Every promotion is filed under what it cannot do without: a code, an issue, one of some products, an audience, a store,
or a subtotal. What has nothing of the kind is looked at for every cart.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator

from msgspec import Struct

from guerdon.core.promotions.carts import Issue, Presented, Shopper
from guerdon.core.promotions.conditions import All, Any_, CartIs, Condition, ProductsAre, SegmentIs, TierIs, asks
from guerdon.core.promotions.effects import Amount, FixedPrice, Free, Multiplier, Percent
from guerdon.core.promotions.products import Basket, Products
from guerdon.core.promotions.terms import Lane, Promotion

NEAREST = 5
"""How many promotions with a subtotal beyond the cart's are looked at too, to tell what is nearly reached."""

Anchor = tuple[str, str, str]
"""One thing to be found at a cart or its shopper: what kind, an attribute's name, the value."""


Order = tuple[int, int, int, str, str]
"""The total order in which things are decided: phase, lane, priority, id, and the code or the issue's end."""


class Offer(Struct, frozen=True):
    """One promotion that could apply: by itself, by a code, or because it was issued. A code that names no promotion
    is an offer too, so that it gets an answer.
    """

    order: Order
    promotion: Promotion | None
    presented: Presented | None = None
    issue: Issue | None = None


def offer(promotion: Promotion | None, presented: Presented | None = None, issue: Issue | None = None) -> Offer:
    code = presented.code if presented else ""
    if promotion is None:
        return Offer((9, 0, 0, "", code), None, presented)
    if issue is not None:
        code = f"{'~' if issue.ends_at is None else issue.ends_at.isoformat()} {issue.id}"
    order = promotion.phase, promotion.lane, promotion.priority, promotion.id, code
    return Offer(order, promotion, presented, issue)


_NO_ISSUE: list[Issue | None] = [None]


class Catalogue:
    """An organisation's promotions, made ready once per configuration. Only the active ones are indexed; the others are
    known so that their codes get the right answer. `asks` is what the active ones need to know of a member's past;
    `multiply` are those that look at what lines earn by the earning rules.
    """

    __slots__ = (
        "_anchored", "_everywhere", "_subtotals", "_values", "asks", "exclusive", "lanes", "multiply", "promotions",
    )  # fmt: skip

    def __init__(self, promotions: Iterable[Promotion], lanes: Iterable[Lane] = ()) -> None:
        self.promotions = {promotion.id: promotion for promotion in promotions}
        self.lanes = {lane.number: lane for lane in lanes}
        self._anchored: dict[tuple[str, str], dict[str, list[Offer]]] = {}
        self._everywhere: list[Offer] = []
        subtotals: list[tuple[int, Order, Offer]] = []
        for promotion in self.promotions.values():
            if promotion.status != "active" or promotion.kind in ("code", "member"):
                continue
            made = offer(promotion)
            anchors = anchors_of(promotion)
            if anchors:
                for kind, name, value in anchors:
                    self._anchored.setdefault((kind, name), {}).setdefault(value, []).append(made)
                continue
            subtotal = least_subtotal(promotion.condition)
            if subtotal is None:
                self._everywhere.append(made)
            else:
                subtotals.append((subtotal, made.order, made))
        subtotals.sort(key=lambda each: each[:2])
        self._values = [value for value, _, _ in subtotals]
        self._subtotals = [made for _, _, made in subtotals]
        self.multiply = frozenset(
            id for id, each in self.promotions.items() if any(isinstance(effect, Multiplier) for effect in each.effects)
        )
        running = [each.condition for each in self.promotions.values() if each.status == "active"]
        self.asks = frozenset[str]().union(*map(asks, running))
        self.exclusive = frozenset(lane.number for lane in self.lanes.values() if lane.mode == "exclusive")

    def lane(self, number: int) -> Lane:
        return self.lanes.get(number) or Lane(number=number)

    def offers(self, basket: Basket, shopper: Shopper | None, presented: Iterable[Presented] = ()) -> list[Offer]:
        """Everything that could apply, and a few that are a subtotal away."""
        found = {id(each): each for each in self._by_anchor(basket, shopper)}
        reach = bisect_right(self._values, sum(basket.amounts)) + NEAREST
        offers = [*self._everywhere, *found.values(), *self._subtotals[:reach]]
        for issue in shopper.issues if shopper else ():
            issued = self.promotions.get(issue.promotion)
            if issued is not None:
                offers.append(offer(issued, issue=issue))
        offers += [offer(self.promotions.get(each.promotion), each) for each in presented]
        return offers

    def every_offer(self, shopper: Shopper | None, presented: Iterable[Presented] = ()) -> list[Offer]:
        """All that is live, index or no index: for dry runs that want an answer about each."""
        issues: dict[str, list[Issue | None]] = {}
        for issue in shopper.issues if shopper else ():
            issues.setdefault(issue.promotion, []).append(issue)
        offers = [
            offer(promotion, issue=issue)
            for promotion in self.promotions.values()
            if promotion.status == "active" and promotion.kind != "code"
            for issue in issues.get(promotion.id, _NO_ISSUE)
        ]
        return offers + [offer(self.promotions.get(each.promotion), each) for each in presented]

    def _by_anchor(self, basket: Basket, shopper: Shopper | None) -> Iterator[Offer]:
        for where, table in self._anchored.items():
            there: Iterable[str] = basket.masks.get(where, ())
            if where[0] == "store":
                there = (basket.cart.store,)
            elif where[0] == "channel":
                there = (basket.cart.channel,)
            elif shopper is not None and where[0] == "member":
                there = (shopper.id,)
            elif shopper is not None and where[0] == "segment":
                there = shopper.segments
            elif shopper is not None and where[0] == "tier":
                there = (shopper.tier,)
            for value in there:
                yield from table.get(value, ())


def anchors_of(promotion: Promotion) -> list[Anchor]:
    """Things of which one at least must be there, the fewest that can be found; none where it needs nothing."""
    groups = _needed(promotion.condition)
    groups += _needed_by_effects(promotion)
    if not groups:
        audience = promotion.audience
        for kind, values in (
            ("member", audience.members),
            ("segment", audience.segments),
            ("tier", audience.tiers),
            ("store", promotion.stores),
            ("channel", promotion.channels),
        ):
            if values:
                return [(kind, "", value) for value in sorted(values)]
    return min(groups, key=len, default=[])


def _needed(condition: Condition | None) -> list[list[Anchor]]:
    """Groups of anchors: for the condition to hold, one of each group must be there."""
    if isinstance(condition, All):
        return [group for each in condition.of for group in _needed(each)]
    if isinstance(condition, Any_):
        branches = [_needed(each) for each in condition.of]
        if all(branches):
            return [[anchor for groups in branches for anchor in min(groups, key=len)]]
        return []
    if isinstance(condition, ProductsAre) and _needs_some(condition):
        group = _of_products(condition.products)
        return [group] if group else []
    if isinstance(condition, TierIs):
        return [[("tier", "", value) for value in sorted(condition.values)]]
    if isinstance(condition, SegmentIs):
        return [[("segment", "", value) for value in sorted(condition.values)]]
    return []


def _needs_some(condition: ProductsAre) -> bool:
    if condition.operator in ("at_least", "equals"):
        return condition.value > 0
    return condition.operator == "more_than" and condition.value >= 0


def _of_products(products: Products) -> list[Anchor]:
    narrow = [each for each in products if each.operator == "in"]
    if not narrow:
        return []
    fewest = min(narrow, key=lambda each: len(each.values))
    return [(fewest.entity, fewest.name, value) for value in sorted(fewest.values)]


def _needed_by_effects(promotion: Promotion) -> list[list[Anchor]]:
    """Without a line to work on, effects give nothing; if all of them name products, one of those must be there."""
    together: list[Anchor] = []
    for effect in promotion.effects:
        if not isinstance(effect, Percent | Amount | FixedPrice | Free | Multiplier):
            return []
        products = effect.products
        if isinstance(effect, Free) and effect.get_products is not None:
            products = effect.get_products
        group = _of_products(products)
        if not group:
            return []
        together += group
    return [together]


def least_subtotal(condition: Condition | None) -> int | None:
    """A subtotal below which the condition cannot hold, where there is one."""
    if isinstance(condition, CartIs) and condition.kpi == "subtotal":
        return condition.value if condition.operator in ("at_least", "more_than", "equals") else None
    if isinstance(condition, All):
        return max((v for v in map(least_subtotal, condition.of) if v is not None), default=None)
    return None
