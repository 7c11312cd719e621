"""What must hold of any cart and any promotions; and that a second, naive evaluator comes to the same."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.core.assets import Rounding
from guerdon.core.promotions.carts import Cart, Shopper
from guerdon.core.promotions.discounts import percent_of, reduced, returned_share, spread
from guerdon.core.promotions.evaluating import counters, evaluate
from guerdon.core.promotions.explaining import sentence
from guerdon.core.promotions.limits import Counter
from guerdon.core.promotions.offers import Catalogue
from guerdon.core.promotions.taxes import taxed
from guerdon.core.promotions.terms import Lane, Promotion
from guerdon.core.promotions.units import Pieces, free_of_same
from guerdon.core.promotions.verdicts import Evaluation, Reason
from tests.core.promotions import worlds
from tests.core.promotions.naive import Naive
from tests.core.promotions.till import NOW, Unused

SYMMETRIC = st.sampled_from([mode for mode in Rounding if mode not in (Rounding.FLOOR, Rounding.CEILING)])
figures = st.integers(-(10**12), 10**12)


def run(
    cart: Cart,
    promotions: list[Promotion],
    lanes: tuple[Lane, ...],
    used: dict[str, int] | None = None,
    shopper: Shopper | None = None,
    **options: Any,
) -> Evaluation:
    usage = Unused()
    for name, value in (used or {}).items():
        whose, code = name.split("/")
        key = (
            ("counter", "budget:shared", "budget:shared", "", "")
            if whose == "budget"
            else ("counter", whose, code, "", "")
        )
        usage[key] = Counter(value)
    return evaluate(cart, Catalogue(promotions, lanes), now=NOW, usage=usage, shopper=shopper, **options)


def named(key: tuple[str, ...]) -> str:
    return "budget/shared" if key[1].startswith("budget:") else f"{key[1]}/{key[2]}"


# -- against the second evaluator -------------------------------------------------------------------------------------


@settings(max_examples=250, deadline=None)
@given(
    cart=worlds.carts,
    promotions=worlds.promotions(),
    lanes=worlds.lane_sets(),
    used=worlds.used,
    shopper=worlds.shoppers,
)
def test_a_naive_evaluator_comes_to_the_same(
    cart: Cart, promotions: list[Promotion], lanes: tuple[Lane, ...], used: dict[str, int], shopper: Shopper | None
) -> None:
    found = run(cart, promotions, lanes, used, shopper, everything=True)
    naive = Naive(cart, {lane.number: lane for lane in lanes}, used, shopper).evaluate(promotions)
    assert [(v.promotion, v.discount, v.points, v.times) for v in found.applied] == naive.applied
    assert {v.promotion: str(v.reason) for v in found.others} == naive.others
    left = [(line.amount if line.counts else 0) - part for line, part in zip(cart.lines, found.discounts, strict=True)]
    assert left == naive.left
    assert found.shipping - found.shipping_discount == naive.shipping
    raised: dict[str, int] = {}
    for each in found.raises:
        raised[named(each.key)] = raised.get(named(each.key), 0) + each.by
    assert raised == naive.raised


# -- of any evaluation ------------------------------------------------------------------------------------------------

worlds_of = {
    "cart": worlds.carts,
    "promotions": worlds.promotions(),
    "lanes": worlds.lane_sets(once=True),
    "used": worlds.used,
    "shopper": worlds.shoppers,
}


@settings(max_examples=80, deadline=None)
@given(**worlds_of)
def test_parts_add_up_and_nothing_falls_below_its_floor(
    cart: Cart, promotions: list[Promotion], lanes: tuple[Lane, ...], used: dict[str, int], shopper: Shopper | None
) -> None:
    found = run(cart, promotions, lanes, used, shopper)
    off = [0] * len(cart.lines)
    for verdict in found.applied:
        assert verdict.discount == sum(part.discount for part in verdict.parts) + verdict.shipping
        assert verdict.desired >= 0
        for part in verdict.parts:
            assert part.discount > 0
            off[part.line] += part.discount
    assert tuple(off) == found.discounts
    assert found.discount == sum(verdict.discount for verdict in found.applied)
    for line, taken in zip(cart.lines, found.discounts, strict=True):
        assert 0 <= taken <= max(0, line.amount - max(0, line.floor))
        assert line.counts or taken == 0
    assert 0 <= found.shipping_discount <= found.shipping
    assert found.payable == found.subtotal + found.shipping - found.discount - found.vouchers


@settings(max_examples=80, deadline=None)
@given(**worlds_of)
def test_no_limit_is_passed(
    cart: Cart, promotions: list[Promotion], lanes: tuple[Lane, ...], used: dict[str, int], shopper: Shopper | None
) -> None:
    found = run(cart, promotions, lanes, used, shopper)
    sums: dict[Any, int] = {}
    for each in found.raises:
        assert each.by > 0
        sums[each.key] = sums.get(each.key, 0) + each.by
        assert each.limit is not None
        assert each.read + sums[each.key] <= each.limit
    read = dict(found.read)
    assert all(read[each.key] == each.read for each in found.raises)


@settings(max_examples=60, deadline=None)
@given(order=st.randoms(use_true_random=False), **worlds_of)
def test_the_order_in_which_promotions_are_handed_in_changes_nothing(
    order: Any,
    cart: Cart,
    promotions: list[Promotion],
    lanes: tuple[Lane, ...],
    used: dict[str, int],
    shopper: Shopper | None,
) -> None:
    shuffled = list(promotions)
    order.shuffle(shuffled)
    assert run(cart, shuffled, lanes, used, shopper) == run(cart, promotions, lanes, used, shopper)


@settings(max_examples=80, deadline=None)
@given(**worlds_of)
def test_the_index_leaves_out_only_what_cannot_apply(
    cart: Cart, promotions: list[Promotion], lanes: tuple[Lane, ...], used: dict[str, int], shopper: Shopper | None
) -> None:
    indexed = run(cart, promotions, lanes, used, shopper)
    whole = run(cart, promotions, lanes, used, shopper, everything=True)
    assert indexed.applied == whole.applied
    assert set(indexed.others) <= set(whole.others)
    looked_at = {v.promotion for v in (*indexed.applied, *indexed.others)}
    left_out = [v for v in whole.others if v.promotion not in looked_at]
    assert {v.reason for v in left_out} <= {
        Reason.CONDITION_NOT_MET, Reason.NOTHING_TO_GIVE, Reason.LIMIT_REACHED, Reason.MEMBER_REQUIRED
    }  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(**worlds_of)
def test_the_explanation_agrees_with_the_outcome(
    cart: Cart, promotions: list[Promotion], lanes: tuple[Lane, ...], used: dict[str, int], shopper: Shopper | None
) -> None:
    found = run(cart, promotions, lanes, used, shopper, everything=True)
    told = [v.promotion for v in (*found.applied, *found.others)]
    assert sorted(told) == sorted(each.id for each in promotions), "each has one verdict"
    applied = {v.promotion for v in found.applied}
    for verdict in (*found.applied, *found.others):
        assert sentence(verdict, 2)
        assert (verdict.status == "applied") == (verdict.reason is None) == (verdict.promotion in applied)
        assert bool(verdict.misses) == (verdict.reason is Reason.CONDITION_NOT_MET)
        assert (verdict.limit is not None) == (verdict.reason is Reason.LIMIT_REACHED)
        assert (verdict.status == "parked") == bool(verdict.winner)
        assert not verdict.winner or verdict.winner in applied
        assert all(not miss.met for miss in verdict.misses)
        assert all(check.met == (check.missing == 0) for check in verdict.checks if check.missing is not None)


@settings(max_examples=80, deadline=None)
@given(cart=worlds.carts, condition=worlds.leaves, effect=worlds.effects)
def test_what_is_missing_is_enough_and_no_more(cart: Cart, condition: Any, effect: Any) -> None:
    """Moving the question by the figure that is missing makes it hold; one less does not."""
    one = Promotion(id="p", name="p", condition=condition, effects=(effect,))
    found = run(cart, [one], (), shopper=Shopper(id="anna"), everything=True)
    for verdict in found.others:
        for miss in verdict.misses:
            assert miss.missing
            step = 1 if miss.missing > 0 else -1
            for distance, met in ((miss.missing, True), (miss.missing - step, False)):
                eased = msgspec.structs.replace(condition, value=condition.value - distance)
                again = run(
                    cart,
                    [msgspec.structs.replace(one, condition=eased)],
                    (),
                    shopper=Shopper(id="anna"),
                    everything=True,
                )
                missed = any(v.reason is Reason.CONDITION_NOT_MET for v in again.others)
                assert missed != met


@settings(max_examples=50, deadline=None)
@given(**worlds_of)
def test_the_counters_that_are_named_beforehand_are_all_that_is_asked(
    cart: Cart, promotions: list[Promotion], lanes: tuple[Lane, ...], used: dict[str, int], shopper: Shopper | None
) -> None:
    catalogue = Catalogue(promotions, lanes)
    usage = {key: Counter() for key in counters(cart, catalogue, now=NOW, shopper=shopper)}
    evaluate(cart, catalogue, now=NOW, usage=usage, shopper=shopper)


@settings(max_examples=50, deadline=None)
@given(**worlds_of)
def test_an_evaluation_can_be_kept_and_read_again(
    cart: Cart, promotions: list[Promotion], lanes: tuple[Lane, ...], used: dict[str, int], shopper: Shopper | None
) -> None:
    found = run(cart, promotions, lanes, used, shopper)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Evaluation) == found


# -- the arithmetic ---------------------------------------------------------------------------------------------------


@given(total=figures, pairs=st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1, max_size=8))
def test_a_spread_keeps_to_its_rooms_and_loses_nothing_that_fits(total: int, pairs: list[tuple[int, int]]) -> None:
    weights, rooms = [list(each) for each in zip(*pairs, strict=True)]
    parts = spread(total, weights, rooms)
    fits = sum(room for weight, room in pairs if weight)
    assert sum(parts) == (min(total, fits) if total >= 0 else -min(-total, fits))
    assert all(0 <= abs(part) <= room and part * total >= 0 for part, room in zip(parts, rooms, strict=True))
    assert spread(-total, weights, rooms) == [-part for part in parts]


@given(amount=figures, ppm=st.integers(0, 10**6), mode=SYMMETRIC, included=st.booleans())
def test_percentages_and_taxes_mirror_their_sign(amount: int, ppm: int, mode: Rounding, included: bool) -> None:
    assert percent_of(-amount, ppm, mode) == -percent_of(amount, ppm, mode)
    assert abs(percent_of(amount, ppm, mode)) <= abs(amount)
    there, back = taxed(amount, ppm, included, mode), taxed(-amount, ppm, included, mode)
    assert (back.net, back.tax, back.gross) == (-there.net, -there.tax, -there.gross)
    assert there.net + there.tax == there.gross


@given(
    whole=figures,
    returns=st.lists(st.integers(1, 50), min_size=1, max_size=8),
    kept=st.integers(0, 20),
    mode=st.sampled_from(Rounding),
)
def test_partial_returns_in_any_steps_add_up(whole: int, returns: list[int], kept: int, mode: Rounding) -> None:
    quantity = sum(returns) + kept
    before, given_back = 0, 0
    for now in returns:
        given_back += returned_share(whole, quantity, before, now, mode)
        before += now
    assert given_back == returned_share(whole, quantity, 0, sum(returns), mode)
    assert given_back + returned_share(whole, quantity, before, kept, mode) == whole


@given(parts=st.lists(st.integers(0, 10**9), max_size=8), most=st.integers(0, 10**9))
def test_reduced_parts_never_grow(parts: list[int], most: int) -> None:
    found = reduced(parts, most)
    assert sum(found) == min(sum(parts), most)
    assert all(0 <= after <= before for after, before in zip(found, parts, strict=True))


@settings(max_examples=80, deadline=None)
@given(
    prices=st.lists(st.integers(1, 9), min_size=1, max_size=7),
    buy=st.integers(0, 3),
    get=st.integers(1, 2),
    choose=st.sampled_from(["cheapest", "dearest"]),
)
def test_what_is_called_optimal_is_the_best_of_all_ways_to_make_groups(
    prices: list[int], buy: int, get: int, choose: Any
) -> None:
    pool = [Pieces(price, i, 1) for i, price in enumerate(prices)]
    found = free_of_same(pool, buy + get, get, 0, choose, "optimal", None)
    assert sum(price * count for price, _, count in found.given) == _best(tuple(prices), buy + get, get, choose)


def _best(prices: tuple[int, ...], size: int, get: int, choose: str) -> int:
    """All ways to make groups, one after another; what is given in each is its cheapest or dearest."""
    best = 0
    for group in combinations(range(len(prices)), size):
        rest = tuple(price for i, price in enumerate(prices) if i not in group)
        given_here = sorted((prices[i] for i in group), reverse=choose == "dearest")[:get]
        best = max(best, sum(given_here) + _best(rest, size, get, choose))
    return best
