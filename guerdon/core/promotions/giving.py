"""Effects at work: what each takes off the bill, adds in points or pays.

Promises that no line falls below its floor, shipping and vouchers not below zero, and that what is told per line adds
up to what is told in all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from guerdon.core.assets import Rounding
from guerdon.core.promotions.bills import Bill
from guerdon.core.promotions.carts import Shopper
from guerdon.core.promotions.conditions import paid_by
from guerdon.core.promotions.discounts import percent_of, reduced, spread
from guerdon.core.promotions.effects import (
    WHOLE,
    Amount,
    FixedPrice,
    Free,
    Multiplier,
    Percent,
    Points,
    Shipping,
    Tendered,
    Voucher,
)
from guerdon.core.promotions.terms import Promotion
from guerdon.core.promotions.units import Pieces, at_fixed_price, free_of_other, free_of_same
from guerdon.core.state import NotLoaded


class Gift:
    """What one promotion gives, gathered effect by effect on a bill of its own."""

    __slots__ = (
        "bill", "desired", "method", "most", "once", "original", "parts", "points", "rounding", "shipping", "shopper",
        "times", "units", "used", "uses", "voucher",
    )  # fmt: skip

    def __init__(
        self,
        bill: Bill,
        promotion: Promotion,
        *,
        times: int,
        most: int | None,
        once: bool,
        rounding: Rounding,
        shopper: Shopper | None,
    ) -> None:
        self.bill = bill
        self.original = promotion.base == "original"
        self.times = times
        self.most = most
        self.once = once
        self.rounding = rounding
        self.shopper = shopper
        self.parts = [0] * len(bill.left)
        self.units: dict[int, int | None] = {}
        self.used: dict[int, int] = {}
        self.desired = self.shipping = self.voucher = self.points = self.uses = 0
        self.method: str = ""

    @property
    def discount(self) -> int:
        return sum(self.parts) + self.shipping

    @property
    def empty(self) -> bool:
        return not (self.discount or self.voucher or self.points)

    def off(self, lines: Sequence[int], parts: Sequence[int], units: dict[int, int] | None) -> None:
        """Take parts off lines."""
        for line, part in zip(lines, parts, strict=True):
            if part:
                self.bill.left[line] -= part
                self.parts[line] += part
                self.units[line] = None if units is None else units[line]

    def spread(self, total: int, weights: dict[int, int], cap: int | None, units: dict[int, int] | None) -> None:
        """Spread a total over lines by weight, within their rooms."""
        self.desired += total
        lines = sorted(weights)
        rooms = [self.bill.room(i) if units is None else min(self.bill.room(i), weights[i]) for i in lines]
        total = total if cap is None else min(total, cap)
        self.off(lines, spread(total, [weights[i] for i in lines], rooms), units)

    def fixed(self, wanted: dict[int, int], cap: int | None, units: dict[int, int] | None) -> None:
        """Take a sum of its own off each line, within its room."""
        lines = sorted(wanted)
        parts = [min(wanted[i], self.bill.room(i)) for i in lines]
        self.off(lines, parts if cap is None else reduced(parts, cap), units)

    def used_up(self, pieces: Iterable[Pieces]) -> None:
        if self.once:
            for _, line, count in pieces:
                self.used[line] = self.used.get(line, 0) + count


def give(promotion: Promotion, gift: Gift) -> None:
    """All effects in turn, each on what the one before it left."""
    before = gift.bill.left.copy() if gift.once else []
    for effect in promotion.effects:
        _GIVERS[type(effect)](effect, gift)
    if gift.once:
        bill = gift.bill
        free = {i: bill.basket.units[i] - bill.gone[i] for i in gift.used}
        bill.use({i: min(count, free[i]) for i, count in gift.used.items() if free[i]}, before)


def _per_line(pieces: Iterable[Pieces]) -> tuple[dict[int, int], dict[int, int]]:
    """Worth and number of pieces, by line."""
    worth: dict[int, int] = {}
    count: dict[int, int] = {}
    for price, line, number in pieces:
        worth[line] = worth.get(line, 0) + price * number
        count[line] = count.get(line, 0) + number
    return worth, count


def _whole_lines(gift: Gift, mask: int) -> dict[int, int]:
    lines = gift.bill.there(mask)
    if gift.once:
        for i in lines:
            gift.used[i] = gift.bill.basket.units[i]
    return {i: gift.bill.price(i, gift.original) for i in lines}


def _percent(effect: Percent, gift: Gift) -> None:
    mask = gift.bill.basket.select(effect.products)
    gift.uses = max(gift.uses, gift.times)
    if effect.units is None:
        weights, units = _whole_lines(gift, mask), None
    else:
        pieces = gift.bill.chosen(mask, gift.original, effect.units * gift.times, effect.choose)
        weights, units = _per_line(pieces)
        gift.used_up(pieces)
    total = percent_of(sum(weights.values()), effect.ppm, gift.rounding)
    gift.spread(total, weights, effect.cap, units)


def _amount(effect: Amount, gift: Gift) -> None:
    bill = gift.bill
    mask = bill.basket.select(effect.products)
    gift.uses = max(gift.uses, gift.times)
    if effect.per == "unit":
        pieces = bill.pieces(mask, gift.original)
        if effect.units is not None:
            pieces = bill.chosen(mask, gift.original, effect.units * gift.times, effect.choose)
        _each(gift, pieces, effect.amount, effect.cap)
        gift.used_up(pieces)
        return
    weights = _whole_lines(gift, mask)
    if effect.per == "line":
        gift.desired += effect.amount * gift.times * len(weights)
        gift.fixed(dict.fromkeys(weights, effect.amount * gift.times), effect.cap, None)
        return
    if effect.spread == "quantity":
        weights = {i: bill.basket.quantities[i] for i in weights}
    gift.spread(effect.amount * gift.times, weights, effect.cap, None)


def _each(gift: Gift, pieces: Iterable[Pieces], amount: int, cap: int | None) -> None:
    """The same sum off each piece, but no more than it costs."""
    wanted: dict[int, int] = {}
    units: dict[int, int] = {}
    for price, line, count in pieces:
        gift.desired += amount * count
        wanted[line] = wanted.get(line, 0) + min(amount, price) * count
        units[line] = units.get(line, 0) + count
    gift.fixed(wanted, cap, units)


def _least(*bounds: int | None) -> int | None:
    return min((bound for bound in bounds if bound is not None), default=None)


def _fixed_price(effect: FixedPrice, gift: Gift) -> None:
    bill = gift.bill
    mask = bill.basket.select(effect.products)
    pool = bill.pieces(mask, gift.original)
    if effect.size is None:
        worth, units = _per_line(pool)
        saved, used, made = max(0, sum(worth.values()) - effect.price), pool, 1
    else:
        saved, used, made = at_fixed_price(
            pool, effect.size, effect.price, effect.choose, _least(effect.sets, gift.most)
        )
        worth, units = _per_line(used)
        gift.method = gift.method or "greedy"
    if not saved:
        return
    gift.uses = max(gift.uses, made)
    gift.used_up(used)
    gift.spread(saved, worth, effect.cap, units)


def _free(effect: Free, gift: Gift) -> None:
    bill = gift.bill
    pool = bill.pieces(bill.basket.select(effect.products), gift.original)
    most = _least(effect.sets, gift.most)
    if effect.get_products is None:
        size = effect.buy + effect.get
        sets = free_of_same(pool, size, effect.get, effect.skip, effect.choose, effect.strategy, most)
    else:
        other = bill.pieces(bill.basket.select(effect.get_products), gift.original)
        sets = free_of_other(pool, other, effect.buy, effect.get, effect.choose, most)
    gift.method = "greedy" if gift.method == "greedy" or effect.strategy != "optimal" else "optimal"
    if not sets.made:
        return
    gift.uses = max(gift.uses, sets.made)
    gift.used_up(sets.used)
    if effect.amount is not None:
        _each(gift, sets.given, effect.amount, effect.cap)
        return
    worth, units = _per_line(sets.given)
    gift.spread(percent_of(sum(worth.values()), effect.ppm, gift.rounding), worth, effect.cap, units)


def _tender(effect: Tendered, gift: Gift) -> None:
    bill = gift.bill
    paid = sum(
        tender.amount
        for tender in bill.basket.cart.tenders
        if paid_by(effect.kinds, effect.identifiers, tender.kind, tender.identifier)
    )
    paid = min(max(0, paid), sum(bill.left))
    gift.uses = max(gift.uses, gift.times)
    total = effect.amount if effect.ppm is None else percent_of(paid, effect.ppm, gift.rounding)
    weights = {i: bill.left[i] for i in bill.there(bill.basket.all)}
    gift.spread(total or 0, weights, paid if effect.cap is None else min(paid, effect.cap), None)


def _shipping(effect: Shipping, gift: Gift) -> None:
    bill = gift.bill
    total = percent_of(bill.shipping, effect.ppm, gift.rounding)
    gift.uses = max(gift.uses, gift.times)
    gift.desired += total
    off = total if effect.cap is None else min(total, effect.cap)
    bill.shipping -= off
    gift.shipping += off


def _points(effect: Points, gift: Gift) -> None:
    """Guests have nowhere to keep points."""
    if gift.shopper is None:
        return
    gift.uses = max(gift.uses, gift.times)
    total = effect.points * gift.times
    gift.points += total if effect.cap is None else min(total, effect.cap)


def _multiplier(effect: Multiplier, gift: Gift) -> None:
    if gift.shopper is None:
        return
    earned = gift.bill.basket.points
    if len(earned) != len(gift.parts):
        raise NotLoaded(("points_of_lines",))
    gift.uses = max(gift.uses, gift.times)
    lines = gift.bill.there(gift.bill.basket.select(effect.products))
    total = percent_of(sum([earned[i] for i in lines]), effect.ppm - WHOLE, gift.rounding)
    gift.points += total if effect.cap is None else min(total, effect.cap)


def _voucher(effect: Voucher, gift: Gift) -> None:
    gift.uses = max(gift.uses, gift.times)
    paid = min(effect.value, gift.bill.payable)
    gift.bill.vouchers += paid
    gift.voucher += paid


_GIVERS: dict[type, Callable[[Any, Gift], None]] = {
    Percent: _percent,
    Amount: _amount,
    FixedPrice: _fixed_price,
    Free: _free,
    Tendered: _tender,
    Shipping: _shipping,
    Points: _points,
    Multiplier: _multiplier,
    Voucher: _voucher,
}


def shrink(gift: Gift, bill: Bill, money: int | None, points: int | None) -> None:
    """Give at most so much money (lines, shipping and voucher together) and so many points; what is too much goes back
    in proportion.
    """
    if points is not None:
        gift.points = min(gift.points, points)
    if money is None or gift.discount + gift.voucher <= money:
        return
    *parts, shipping, voucher = reduced([*gift.parts, gift.shipping, gift.voucher], money)
    fresh = gift.bill = bill.copy()
    fresh.left = [left - part for left, part in zip(fresh.left, parts, strict=True)]
    fresh.shipping -= shipping
    fresh.vouchers += voucher
    if gift.once and gift.used:
        free = {i: bill.basket.units[i] - bill.gone[i] for i in gift.used}
        fresh.use({i: min(count, free[i]) for i, count in gift.used.items() if free[i]}, bill.left)
    gift.parts, gift.shipping, gift.voucher = parts, shipping, voucher
    gift.units = {i: count for i, count in gift.units.items() if parts[i]}
