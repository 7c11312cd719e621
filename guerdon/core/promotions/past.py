"""What a member did before a cart: figures that conditions over the past ask for, from facts that never change.

Facts count by when they happened, whenever they were told: those of a window of days end at the moment that a cart is
judged at, and begin so many times 24 hours before it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import accumulate

from msgspec import Struct

from guerdon.core.promotions.carts import Cart, CartLine
from guerdon.core.promotions.products import Basket, Entity, Products, positions


class Fact(Struct, frozen=True, array_like=True, gc=False):
    """A purchase with what was paid for it; or something brought back, with what was given back, below zero."""

    at: datetime
    paid: int
    currency: str
    purchase: bool = True


class Bought(Struct, frozen=True, array_like=True):
    """The lines of a purchase."""

    at: datetime
    lines: tuple[CartLine, ...]


_VALUES: dict[Entity, Callable[[CartLine, str], tuple[str, ...]]] = {
    "sku": lambda line, _: (line.sku,),
    "category": lambda line, _: line.categories,
    "brand": lambda line, _: (line.brand,) if line.brand else (),
    "tag": lambda line, _: line.tags,
    "attribute": lambda line, name: (line.attributes[name],) if name in line.attributes else (),
}
"""What each entity of a criterion is of a line; the same as `products.facets`, which a test compares."""


class Past:
    """The facts of one member, in any order. Figures are differences of running totals, and purchases with certain
    products bits of a number, so that a question costs little however long the past is. Which products were in them is
    looked at as far back as anybody asks.
    """

    __slots__ = ("_basket", "_bought", "_days", "_of", "_tables", "_times", "_totals", "joined_at")

    def __init__(self, joined_at: datetime, facts: Sequence[Fact], bought: Sequence[Bought] | None = None) -> None:
        self.joined_at = joined_at
        facts = sorted(facts, key=lambda fact: fact.at)
        self._times = [fact.at for fact in facts]
        self._totals: dict[str, list[int]] = {
            "": [0, *accumulate(fact.purchase for fact in facts)],
            **{
                currency: [0, *accumulate(fact.paid if fact.currency == currency else 0 for fact in facts)]
                for currency in {fact.currency for fact in facts}
            },
        }
        self._bought = None if bought is None else sorted(bought, key=lambda each: each.at)
        self._days = [each.at for each in self._bought or ()]
        self._basket: Basket | None = None
        self._of: list[int] = []
        self._tables: dict[tuple[Entity, str], tuple[dict[str, int], int]] = {}

    def purchases(self, now: datetime, days: int | None) -> int:
        """How many there were."""
        return self._total("", now, days)

    def spent(self, now: datetime, days: int | None, currency: str) -> int:
        """What was paid in a currency, less what was given back; never below zero."""
        return max(0, self._total(currency, now, days))

    def last(self, now: datetime) -> datetime | None:
        """When the last purchase was."""
        counts = self._totals[""]
        known = counts[bisect_right(self._times, now)]
        return self._times[bisect_left(counts, known) - 1] if known else None

    def bought(self, products: Products, now: datetime, days: int | None) -> int | None:
        """In how many purchases there was one of these products; None where the lines were not handed in."""
        if self._bought is None:
            return None
        first, last = _window(self._days, now, days)
        found = self._purchases_with(products, self._bought, first) >> first
        return (found & ((1 << max(0, last - first)) - 1)).bit_count()

    def _total(self, of: str, now: datetime, days: int | None) -> int:
        totals = self._totals.get(of)
        if totals is None:
            return 0
        first, last = _window(self._times, now, days)
        return totals[last] - totals[min(first, last)]

    def _purchases_with(self, products: Products, bought: Sequence[Bought], first: int) -> int:
        """The purchases from the first that matters, as bits, by time; one criterion is looked up, several are matched
        line by line.
        """
        found = 0
        if len(products) == 1 and products[0].operator == "in":
            (only,) = products
            table = self._table(only.entity, only.name, bought, first)
            for value in table.keys() & only.values:
                found |= table[value]
            return found
        if self._basket is None:
            lines = [(number, line) for number, each in enumerate(bought) for line in each.lines]
            self._basket = Basket(Cart(currency="", lines=tuple([line for _, line in lines])))
            self._of = [number for number, _ in lines]
        for line in positions(self._basket.select(products)):
            found |= 1 << self._of[line]
        return found

    def _table(self, entity: Entity, name: str, bought: Sequence[Bought], first: int) -> dict[str, int]:
        """Purchases by one thing that a criterion may ask of a line, from the first that matters or before."""
        known, begins = self._tables.get((entity, name)) or ({}, len(bought))
        if first < begins:
            value_of = _VALUES[entity]
            for number in range(first, begins):
                bit = 1 << number
                for line in bought[number].lines:
                    if line.counts:
                        for value in value_of(line, name):
                            known[value] = known.get(value, 0) | bit
            self._tables[entity, name] = known, first
        return known


def _window(times: Sequence[datetime], now: datetime, days: int | None) -> tuple[int, int]:
    """The places, from the first up to but not at the last, of what lies in a window."""
    first = 0 if days is None else bisect_right(times, now - timedelta(days=days))
    return first, bisect_right(times, now)
