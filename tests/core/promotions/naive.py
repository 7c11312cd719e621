"""A second evaluator: slow, piece by piece, without index, classes or copies, to hold the real one against.

Shares the records with the real one and none of its arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import floor
from typing import Any

from guerdon.core.promotions.carts import Cart, Shopper
from guerdon.core.promotions.conditions import All, Any_, CartIs, Not, ProductsAre
from guerdon.core.promotions.effects import Amount, FixedPrice, Free, Percent, Points, Shipping
from guerdon.core.promotions.limits import Limit
from guerdon.core.promotions.terms import Lane, Promotion

MILLION = 1_000_000


@dataclass
class Given:
    """What one promotion gives on a state."""

    parts: list[int]
    shipping: int = 0
    points: int = 0
    uses: int = 0
    raises: dict[str, int] = field(default_factory=dict)

    @property
    def money(self) -> int:
        return sum(self.parts) + self.shipping


@dataclass
class Bill:
    left: list[int]
    shipping: int
    spent: dict[str, int] = field(default_factory=dict)


@dataclass
class Result:
    applied: list[tuple[str, int, int, int]] = field(default_factory=list)
    others: dict[str, str] = field(default_factory=dict)
    raised: dict[str, int] = field(default_factory=dict)
    left: list[int] = field(default_factory=list)
    shipping: int = 0


def half_up(value: Fraction) -> int:
    return floor(value + Fraction(1, 2))


def shares(total: int, weights: list[int]) -> list[int]:
    """Largest remainder, one cent at a time."""
    exact = [Fraction(total * weight, sum(weights)) for weight in weights]
    parts = [floor(each) for each in exact]
    while sum(parts) < total:
        best = max(range(len(parts)), key=lambda i: (exact[i] - parts[i], -i))
        parts[best] += 1
    return parts


def fill(total: int, weights: dict[int, int], rooms: dict[int, int]) -> dict[int, int]:
    """Split under rooms: whoever would get too much gets its room, and the others share again."""
    fixed: dict[int, int] = {}
    while True:
        open_ = [i for i in sorted(weights) if i not in fixed and weights[i] > 0 and rooms[i] > 0]
        rest = total - sum(fixed.values())
        if not open_ or rest <= 0:
            return fixed
        rest = min(rest, sum(rooms[i] for i in open_))
        tried = dict(zip(open_, shares(rest, [weights[i] for i in open_]), strict=True))
        over = [i for i in open_ if tried[i] > rooms[i]]
        if not over:
            return {**fixed, **tried}
        for i in over:
            fixed[i] = rooms[i]


class Naive:
    def __init__(self, cart: Cart, lanes: dict[int, Lane], usage: dict[str, int], shopper: Shopper | None) -> None:
        self.cart = cart
        self.lanes = lanes
        self.usage = usage
        self.shopper = shopper
        self.amounts = [each.amount if each.counts else 0 for each in cart.lines]

    # -- lines and pieces

    def lines(self, products: Any) -> list[int]:
        return [
            i for i, each in enumerate(self.cart.lines) if each.counts and all(self.meets(each, c) for c in products)
        ]

    def meets(self, line: Any, criterion: Any) -> bool:
        has = {"sku": [line.sku], "category": list(line.categories), "brand": [line.brand], "tag": list(line.tags)}
        found = any(value in criterion.values for value in has[criterion.entity])
        return bool(found == (criterion.operator == "in"))

    def pieces(self, products: Any, prices: list[int]) -> list[tuple[int, int]]:
        found = []
        for i in self.lines(products):
            number = self.cart.lines[i].quantity // 1000
            found += [(prices[i] // number + (1 if n < prices[i] % number else 0), i) for n in range(number)]
        return found

    # -- conditions

    def holds(self, condition: Any, bill: Bill) -> tuple[bool, int | None]:
        if condition is None:
            return True, None
        if isinstance(condition, All):
            answers = [self.holds(each, bill) for each in condition.of]
            counted = [times for _, times in answers if times is not None]
            return all(met for met, _ in answers), min(counted, default=None)
        if isinstance(condition, Any_):
            answers = [self.holds(each, bill) for each in condition.of]
            return any(met for met, _ in answers), max((t for m, t in answers if m and t is not None), default=None)
        if isinstance(condition, Not):
            return not self.holds(condition.of, bill)[0], None
        prices = bill.left if condition.base == "running" else self.amounts
        if isinstance(condition, ProductsAre):
            lines = self.lines(condition.products)
            actual = sum(self.cart.lines[i].quantity if condition.kpi == "quantity" else prices[i] for i in lines)
        else:
            assert isinstance(condition, CartIs)
            counting = self.lines(())
            actual = {
                "subtotal": sum(prices),
                "quantity": sum(self.cart.lines[i].quantity for i in counting),
                "item_count": len({self.cart.lines[i].sku for i in counting}),
            }[condition.kpi]
        value = condition.value
        met = {
            "at_least": actual >= value,
            "more_than": actual > value,
            "at_most": actual <= value,
            "less_than": actual < value,
            "equals": actual == value,
        }[condition.operator]
        times = None
        if met and value > 0 and condition.operator in ("at_least", "more_than"):
            times = 1
            while (actual if condition.operator == "at_least" else actual - 1) >= (times + 1) * value:
                times += 1
            if condition.operator == "more_than" and actual - 1 < value:
                times = 0
        return met, times

    # -- effects

    def give(self, promotion: Promotion, bill: Bill, times: int, most: int | None) -> Given:
        left = list(bill.left)
        given = Given([0] * len(left))
        for effect in promotion.effects:
            prices = self.amounts if promotion.base == "original" else left
            rooms = {i: max(0, left[i] - each.floor) for i, each in enumerate(self.cart.lines)}
            parts, uses = self.effect(effect, prices, rooms, times, most)
            if isinstance(effect, Shipping):
                there = bill.shipping - given.shipping
                off = half_up(Fraction(there * effect.ppm, MILLION))
                given.shipping += off if effect.cap is None else min(off, effect.cap)
            if isinstance(effect, Points):
                if self.shopper is None:
                    continue
                points = effect.points * times
                given.points += points if effect.cap is None else min(points, effect.cap)
            given.uses = max(given.uses, uses)
            for i, part in parts.items():
                left[i] -= part
                given.parts[i] += part
        return given

    def effect(
        self, effect: Any, prices: list[int], rooms: dict[int, int], times: int, most: int | None
    ) -> tuple[dict[int, int], int]:
        if isinstance(effect, Percent):
            if effect.units is None:
                worth = {i: prices[i] for i in self.lines(effect.products)}
                return self.capped(effect, fraction(worth, effect.ppm), worth, rooms), times
            chosen = self.ordered(effect, prices)[: effect.units * times]
            worth = by_line(chosen)
            tight = {i: min(rooms[i], worth[i]) for i in worth}
            return self.capped(effect, fraction(worth, effect.ppm), worth, tight), times
        if isinstance(effect, Amount):
            return self.amount(effect, prices, rooms, times), times
        if isinstance(effect, FixedPrice):
            return self.fixed_price(effect, prices, rooms, most)
        if isinstance(effect, Free):
            given, count = self.free(effect, prices, least(effect.sets, most))
            if not count:
                return {}, 0
            if effect.amount is not None:
                return self.each(effect, given, rooms), count
            worth = by_line(given)
            tight = {i: min(rooms[i], worth[i]) for i in worth}
            return self.capped(effect, fraction(worth, effect.ppm), worth, tight), count
        return {}, times

    def ordered(self, effect: Any, prices: list[int]) -> list[tuple[int, int]]:
        pool = self.pieces(effect.products, prices)
        return sorted(pool) if effect.choose == "cheapest" else sorted(pool, key=lambda p: (-p[0], p[1]))

    def capped(self, effect: Any, total: int, weights: dict[int, int], rooms: dict[int, int]) -> dict[int, int]:
        return fill(total if effect.cap is None else min(total, effect.cap), weights, rooms)

    def each(self, effect: Any, pieces: list[tuple[int, int]], rooms: dict[int, int]) -> dict[int, int]:
        off: dict[int, int] = {}
        for price, i in pieces:
            off[i] = min(rooms[i], off.get(i, 0) + min(price, effect.amount))
        return shrunk(off, effect.cap)

    def amount(self, effect: Amount, prices: list[int], rooms: dict[int, int], times: int) -> dict[int, int]:
        lines = self.lines(effect.products)
        if effect.per == "unit":
            pieces = self.ordered(effect, prices)
            return self.each(effect, pieces if effect.units is None else pieces[: effect.units * times], rooms)
        if effect.per == "line":
            return shrunk({i: min(rooms[i], effect.amount * times) for i in lines}, effect.cap)
        weights = {i: self.cart.lines[i].quantity if effect.spread == "quantity" else prices[i] for i in lines}
        return self.capped(effect, effect.amount * times, weights, rooms)

    def fixed_price(
        self, effect: FixedPrice, prices: list[int], rooms: dict[int, int], most: int | None
    ) -> tuple[dict[int, int], int]:
        pool = self.ordered(effect, prices)
        sets = [pool]
        if effect.size is not None:
            bound = least(effect.sets, most)
            sets = [pool[n : n + effect.size] for n in range(0, len(pool) - effect.size + 1, effect.size)][:bound]
        cheaper = [each for each in sets if sum(price for price, _ in each) > effect.price]
        worth = by_line([piece for each in cheaper for piece in each])
        saved = sum(worth.values()) - effect.price * len(cheaper)
        if not cheaper:
            return {}, 0
        tight = {i: min(rooms[i], worth[i]) for i in worth}
        return self.capped(effect, saved, worth, tight), len(cheaper)

    def free(self, effect: Free, prices: list[int], bound: int | None) -> tuple[list[tuple[int, int]], int]:
        bought = self.pieces(effect.products, prices)
        if effect.get_products is not None:
            return self.free_of_other(effect, bought, self.pieces(effect.get_products, prices), bound)
        size = effect.buy + effect.get
        count = len(bought) // size
        count = count if bound is None else min(count, bound)
        ordered = self.ordered(effect, prices)
        flat = ordered[effect.skip * count :][: effect.get * count]
        down = sorted(bought, key=lambda p: (-p[0], p[1]))
        first = effect.skip if effect.choose == "dearest" else size - effect.skip - effect.get
        grouped = [piece for n in range(count) for piece in down[n * size :][first : first + effect.get]]
        if effect.strategy == "horizontal":
            return flat, count
        if effect.strategy == "vertical":
            return grouped, count
        return max((grouped, flat), key=lambda given: sum(price for price, _ in given)), count

    def free_of_other(
        self, effect: Free, bought: list[tuple[int, int]], offered: list[tuple[int, int]], bound: int | None
    ) -> tuple[list[tuple[int, int]], int]:
        """The most sets that can be made, by trying; a piece is given as long as enough stays to be bought."""
        both = {i for _, i in bought} & {i for _, i in offered}
        offered = sorted(offered) if effect.choose == "cheapest" else sorted(offered, key=lambda p: (-p[0], p[1]))
        most = len(offered) if bound is None else min(bound, len(offered))
        for count in range(most, 0, -1):
            there = len(bought)
            given: list[tuple[int, int]] = []
            for price, i in offered:
                if len(given) == count * effect.get:
                    break
                if i not in both:
                    given.append((price, i))
                elif there - 1 >= count * effect.buy:
                    given.append((price, i))
                    there -= 1
            if len(given) == count * effect.get and there >= count * effect.buy:
                return given, count
        return [], 0

    # -- limits

    def limits(self, promotion: Promotion) -> list[tuple[str, Any]]:
        named: list[tuple[str, Any]] = [
            (f"{promotion.id}/{each.code}" if each.per != "cart" else "", each) for each in promotion.limits
        ]
        if promotion.budget is not None:
            named.append((f"budget/{promotion.budget.code}", promotion.budget))
        return named

    def attempt(self, promotion: Promotion, bill: Bill) -> tuple[str, Given]:
        nothing = Given([0] * len(bill.left))
        rooms = []
        for name, limit in self.limits(promotion):
            if isinstance(limit, Limit) and limit.per == "customer" and self.shopper is None:
                return "member_required", nothing
            room = limit.limit - (self.usage.get(name, 0) + bill.spent.get(name, 0) if name else 0)
            if room <= 0:
                return "limit_reached", nothing
            rooms.append((name, limit, room))
        met, counted = self.holds(promotion.condition, bill)
        if not met:
            return "condition_not_met", nothing
        times = max(1, min(promotion.repeat, counted or 1))
        given = self.give(promotion, bill, times, None)
        if not (given.money or given.points):
            return "nothing_to_give", nothing
        partial = {
            kpi: min((r for _, each, r in rooms if each.kpi == kpi and each.on_exceed == "partial"), default=None)
            for kpi in ("uses", "discount", "points")
        }
        uses = partial["uses"]
        if uses is not None and given.uses > uses:
            given = self.give(promotion, bill, min(times, uses), uses)
        if partial["points"] is not None:
            given.points = min(given.points, partial["points"])
        if partial["discount"] is not None and given.money > partial["discount"]:
            *given.parts, given.shipping = shares(partial["discount"], [*given.parts, given.shipping])
        for name, limit, room in rooms:
            asked = {"uses": given.uses, "purchases": 1, "discount": given.money, "points": given.points}[limit.kpi]
            if asked > room:
                return "limit_reached", nothing
            if name and asked:
                given.raises[name] = asked
        return ("applied" if given.money or given.points else "nothing_to_give"), given

    # -- lanes

    def evaluate(self, promotions: list[Promotion]) -> Result:
        result = Result()
        bill = Bill(list(self.amounts), self.cart.shipping)
        queue = sorted(promotions, key=lambda p: (p.lane, p.priority, p.id))
        for each in list(queue):
            if self.shopper is None and all(isinstance(effect, Points) for effect in each.effects):
                result.others[each.id] = "member_required"
                queue.remove(each)
        alone = [p for p in queue if self.mode(p) == "exclusive"]
        for each in alone:
            said, given = self.attempt(each, bill)
            if said == "applied":
                for other in queue:
                    if other is not each:
                        said = self.attempt(other, bill)[0]
                        result.others[other.id] = "exclusive_applied" if said == "applied" else said
                self.book(result, bill, each, given)
                return self.done(result, bill)
            result.others[each.id] = said
        for lane in sorted({p.lane for p in queue if p not in alone}):
            members = [p for p in queue if p.lane == lane]
            mode = self.mode(members[0])
            if mode == "stack":
                for each in members:
                    said, given = self.attempt(each, bill)
                    if said == "applied":
                        self.book(result, bill, each, given)
                    else:
                        result.others[each.id] = said
                continue
            tried = [(each, *self.attempt(each, bill)) for each in members]
            able = [(each, given) for each, said, given in tried if said == "applied"]
            if mode == "best":
                able.sort(key=lambda pair: (-pair[1].money, -pair[1].points))
            lost = "other_was_better" if mode == "best" else "other_came_first"
            result.others.update((each.id, lost if said == "applied" else said) for each, said, _ in tried)
            if able:
                winner, given = able[0]
                del result.others[winner.id]
                self.book(result, bill, winner, given)
        return self.done(result, bill)

    def mode(self, promotion: Promotion) -> str:
        return self.lanes[promotion.lane].mode if promotion.lane in self.lanes else "stack"

    def book(self, result: Result, bill: Bill, promotion: Promotion, given: Given) -> None:
        bill.left = [left - part for left, part in zip(bill.left, given.parts, strict=True)]
        bill.shipping -= given.shipping
        for name, by in given.raises.items():
            bill.spent[name] = bill.spent.get(name, 0) + by
            result.raised[name] = result.raised.get(name, 0) + by
        result.applied.append((promotion.id, given.money, given.points, given.uses))

    def done(self, result: Result, bill: Bill) -> Result:
        result.left, result.shipping = bill.left, bill.shipping
        return result


def fraction(worth: dict[int, int], ppm: int) -> int:
    return half_up(Fraction(sum(worth.values()) * ppm, MILLION))


def by_line(pieces: list[tuple[int, int]]) -> dict[int, int]:
    worth: dict[int, int] = {}
    for price, i in pieces:
        worth[i] = worth.get(i, 0) + price
    return worth


def least(*bounds: int | None) -> int | None:
    return min((bound for bound in bounds if bound is not None), default=None)


def shrunk(parts: dict[int, int], cap: int | None) -> dict[int, int]:
    if cap is None or sum(parts.values()) <= cap:
        return parts
    lines = sorted(parts)
    return dict(zip(lines, shares(cap, [parts[i] for i in lines]), strict=True))
