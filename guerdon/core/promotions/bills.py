"""The bill as it runs: what is left of each line while promotions are applied one after the other."""

from __future__ import annotations

from guerdon.core.promotions.effects import End
from guerdon.core.promotions.limits import CounterKey
from guerdon.core.promotions.products import Basket, positions
from guerdon.core.promotions.units import Pieces, pieces_of, sorted_from, take


class Bill:
    """`left` of each line, `gone` pieces of it that this lane may not use again and `gone_left` what is left on
    those; shipping; what vouchers paid; and what this purchase adds to counters. Copied for every trial.
    """

    __slots__ = ("basket", "gone", "gone_left", "held", "left", "shipping", "vouchers")

    def __init__(self, basket: Basket) -> None:
        self.basket = basket
        self.left = list(basket.amounts)
        self.shipping = max(0, basket.cart.shipping)
        self.vouchers = 0
        self.held: dict[CounterKey, int] = {}
        self.clear()

    def clear(self) -> None:
        """A new lane: all pieces are there again."""
        self.gone = [0] * len(self.left)
        self.gone_left = [0] * len(self.left)

    def copy(self) -> Bill:
        other = object.__new__(Bill)
        other.basket = self.basket
        other.left = self.left.copy()
        other.gone = self.gone.copy()
        other.gone_left = self.gone_left.copy()
        other.shipping = self.shipping
        other.vouchers = self.vouchers
        other.held = self.held.copy()
        return other

    @property
    def payable(self) -> int:
        return sum(self.left) + self.shipping - self.vouchers

    def room(self, line: int) -> int:
        """How much may still come off a line."""
        return max(0, min(self.left[line] - self.basket.floors[line], self.left[line] - self.gone_left[line]))

    def there(self, mask: int) -> list[int]:
        """The lines of a mask that have pieces left in this lane."""
        return [i for i in positions(mask) if self.gone[i] < self.basket.units[i]]

    def price(self, line: int, original: bool) -> int:
        """What a percentage of a line is taken of. Where pieces are used once, only of those still there."""
        if self.gone[line]:
            return self.left[line] - self.gone_left[line]
        return self.basket.amounts[line] if original else self.left[line]

    def pieces(self, mask: int, original: bool) -> list[Pieces]:
        """The pieces of a mask that are there, by price."""
        found: list[Pieces] = []
        for i in self.there(mask):
            found += pieces_of(i, self.price(i, original), self.basket.units[i] - self.gone[i])
        return found

    def chosen(self, mask: int, original: bool, units: int, end: End) -> list[Pieces]:
        """At most `units` pieces of a mask, from one end of the prices."""
        return take(sorted_from(self.pieces(mask, original), end), units)

    def use(self, used: dict[int, int], before: list[int]) -> None:
        """Set pieces aside: `used` per line, whose prices were those of `before` they were discounted."""
        for line, count in used.items():
            free = self.basket.units[line] - self.gone[line]
            worth = before[line] - self.gone_left[line]
            off = before[line] - self.left[line]
            price, dearer = divmod(worth, free)
            self.gone[line] += count
            self.gone_left[line] += max(0, price * count + min(dearer, count) - off)
