"""What a member did before a cart: figures that conditions over the past ask for, from facts that never change.

Facts count by when they happened, whenever they were told: those of a window of days end at the moment that a cart is
judged at, and begin so many times 24 hours before it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from guerdon.core.promotions.carts import Cart, CartLine
from guerdon.core.promotions.products import Basket, Products, positions


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


class Past:
    """The facts of one member, in any order. Figures are reckoned when they are asked for, each once a moment."""

    __slots__ = ("_basket", "_bought", "_facts", "_figures", "_of", "_times", "joined_at")

    def __init__(self, joined_at: datetime, facts: Sequence[Fact], bought: Sequence[Bought] | None = None) -> None:
        self.joined_at = joined_at
        self._facts = sorted(facts, key=lambda fact: fact.at)
        self._times = [fact.at for fact in self._facts]
        self._bought = bought
        self._basket: Basket | None = None
        self._of: list[int] = []
        self._figures: dict[object, int] = {}

    def purchases(self, now: datetime, days: int | None) -> int:
        """How many there were."""
        return self._once(("purchases", now, days), lambda: sum(fact.purchase for fact in self._within(now, days)))

    def spent(self, now: datetime, days: int | None, currency: str) -> int:
        """What was paid in a currency, less what was given back; never below zero."""
        return self._once(
            ("spent", now, days, currency),
            lambda: max(0, sum(fact.paid for fact in self._within(now, days) if fact.currency == currency)),
        )

    def last(self, now: datetime) -> datetime | None:
        """When the last purchase was."""
        return max((fact.at for fact in self._within(now, None) if fact.purchase), default=None)

    def bought(self, products: Products, now: datetime, days: int | None) -> int | None:
        """In how many purchases there was one of these products; None where the lines were not handed in."""
        if self._bought is None:
            return None
        return self._once(("bought", products, now, days), lambda: self._with(products, now, days))

    def _with(self, products: Products, now: datetime, days: int | None) -> int:
        if self._basket is None:
            assert self._bought is not None, "asked about by `bought` only"
            lines = [(number, line) for number, each in enumerate(self._bought) for line in each.lines]
            self._basket = Basket(Cart(currency="", lines=tuple([line for _, line in lines])))
            self._of = [number for number, _ in lines]
        assert self._bought is not None, "as above"
        found = {self._of[i] for i in positions(self._basket.select(products))}
        since = None if days is None else now - timedelta(days=days)
        times = [self._bought[number].at for number in found]
        return sum(at <= now and (since is None or at > since) for at in times)

    def _within(self, now: datetime, days: int | None) -> list[Fact]:
        first = 0 if days is None else bisect_right(self._times, now - timedelta(days=days))
        return self._facts[first : bisect_right(self._times, now)]

    def _once(self, key: object, reckon: Callable[[], int]) -> int:
        known = self._figures.get(key)
        if known is None:
            known = self._figures[key] = reckon()
        return known
