"""Discount cases from other engines' own suites, by their number in the reference; where engines disagree, ours.

Figures are facts, restated by hand; `docs/explanation/promotions.md` tells what was chosen and why. Money is in
cents unless the case says otherwise.
"""

from __future__ import annotations

from typing import Any

import pytest

from guerdon.core.assets import Rounding, allocate
from guerdon.core.promotions.conditions import All
from guerdon.core.promotions.discounts import percent_of, reduced, returned_share, spread
from guerdon.core.promotions.effects import WHOLE, Effect, FixedPrice, Free, Shipping
from guerdon.core.promotions.taxes import Taxed, taxed
from guerdon.core.promotions.terms import Lane, Promotion
from tests.core.promotions.till import cart, evaluated, line, of, off, percent, pieces, promotion, spend

HALF_UP = Rounding.HALF_UP
NO_BOUND = 10**9

# -- A: allocation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "weights", "total", "parts"),
    [
        ("A1", [4000, 2000, 2000], 300, [150, 75, 75]),
        ("A2", [4000, 2000, 2000], -300, [-150, -75, -75]),
        ("A4", [1000, 1000, 1000], 299, [100, 100, 99]),
        ("A5", [10, 20, 10, 30, 50, 20, 10, 40], 93, [5, 10, 5, 15, 24, 10, 5, 19]),
        ("A7", [10, 0], 40, [40, 0]),
        ("A10", [1, 1, 1, 1], 1000, [250, 250, 250, 250]),
        ("A10", [1, 1, 1], 1000, [334, 333, 333]),
        ("A10", [1, 1, 1], -1000, [-334, -333, -333]),
        ("A11", [150, 50, 100], 1500, [750, 250, 500]),
        ("A13", [2000, 4500, 6000], 1000, [160, 360, 480]),
        ("A14", [2, 3, 3], 1000, [250, 375, 375]),
        ("A16", [3000, 1000], 1377, [1033, 344]),
        ("A19", [200, 600], 400, [100, 300]),
        ("Sylius 162/52/86", [4300, 1400, 2300], 300, [161, 53, 86]),
        ("Sylius 110/218/545/327", [1000, 2000, 5000, 3000], 1200, [109, 218, 546, 327]),
        ("Solidus 9.24/17.69/23.07", [12000, 23000, 30000], 5000, [923, 1769, 2308]),
    ],
)
def test_a_total_is_split_by_the_largest_remainder(case: str, weights: list[int], total: int, parts: list[int]) -> None:
    assert spread(total, weights, [NO_BOUND] * len(weights)) == parts
    assert allocate(total, weights) == parts


def test_a8_what_has_no_weight_gets_no_discount() -> None:
    """Vendure halves 10 over two weights of 0. A line worth nothing has no room for a discount, so we give none."""
    assert spread(10, [0, 0], [5, 5]) == [0, 0]
    assert spread(0, [0, 0], [0, 0]) == [0, 0]


def test_a17_a_part_stops_at_its_line() -> None:
    assert spread(100, [30, 10], [30, 10]) == [30, 10]
    assert spread(20, [0, 10], [0, 10]) == [0, 10]


def test_a20_one_sum_after_another() -> None:
    found = evaluated(cart(line(5000), line(15000)), promotion("a", off(3000)), promotion("b", off(5000)))
    assert [[part.discount for part in each.parts] for each in found.applied] == [[750, 2250], [1250, 3750]]


@pytest.mark.parametrize(
    ("case", "amounts", "floors", "total", "parts"),
    [
        ("A22", [5000, 6000], [4500, 0], 2500, [500, 2000]),
        ("A23", [5000, 6000], [4500, 4500], 2500, [500, 1500]),
        ("A25", [10000, 4000, 3000, 1000], [9000, 3000, 0, 0], 3600, [1000, 1000, 1200, 400]),
    ],
)
def test_a_sum_off_fills_up_to_the_floors_and_goes_on_with_the_rest(
    case: str, amounts: list[int], floors: list[int], total: int, parts: list[int]
) -> None:
    lines = [
        line(amount, floor=floor, sku=f"{i}") for i, (amount, floor) in enumerate(zip(amounts, floors, strict=True))
    ]
    found = evaluated(cart(*lines), promotion("a", off(total)))
    assert list(found.discounts) == parts
    assert found.applied[0].desired == total


def test_a22_units_of_a_line_differ_by_at_most_a_cent() -> None:
    assert allocate(2000, [1, 1, 1]) == [667, 667, 666]


def test_a26_a_percentage_that_one_line_cannot_give_is_given_by_the_others() -> None:
    found = evaluated(cart(line(5000, floor=4500), line(2000)), promotion("a", percent(20)))
    assert (found.discounts, found.payable) == ((500, 900), 5600)


# -- B: percent, caps, tiers, rounding --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "amount", "share", "left"),
    [
        ("B1", 2000, 15, 1700),
        ("B1", 2025, 15, 1721),
        ("B1", 994, 15, 845),
        ("B4", 10, 10, 9),
        ("B5 in dollars", 3108, 10, 3108 - 311),
        ("B5 in yen", 31, 10, 28),
        ("B7 in yen", 15, 10, 13),
        ("B10", 1995, 50, 997),
        ("B13", 1150 + 173, 100, 0),
    ],
)
def test_a_percentage_is_rounded_half_up_on_the_discount(case: str, amount: int, share: int, left: int) -> None:
    assert evaluated(cart(line(amount)), promotion("a", percent(share))).payable == left


def test_b1_where_the_price_is_rounded_up_instead_the_discount_is_rounded_half_down() -> None:
    """15 % of 10.50 is 1.575: Sylius rounds the price to 8.93; half-up on the discount leaves 8.92."""
    assert evaluated(cart(line(1050)), promotion("a", percent(15))).payable == 892
    assert evaluated(cart(line(1050)), promotion("a", percent(15)), rounding=Rounding.HALF_DOWN).payable == 893


def test_b2_a_percentage_is_rounded_once_for_all_lines() -> None:
    """Line by line it would be 1.04; on the whole it is 1.02."""
    found = evaluated(cart(line(106), line(206), line(306), line(406)), promotion("a", percent(10)))
    assert (found.discount, found.discounts) == (102, (11, 21, 30, 40))


@pytest.mark.parametrize(
    ("lines", "discounts"),
    [([1000], (100,)), ([1000, 1000], (150, 150)), ([1000] * 3, (200,) * 3), ([2000], (300,)), ([3000], (600,))],
)
def test_b8_tiers_are_a_lane_in_which_the_best_wins(lines: list[int], discounts: tuple[int, ...]) -> None:
    tiers = [
        promotion("ten", percent(10)),
        promotion("fifteen", percent(15), condition=spend(2000)),
        promotion("twenty", percent(20), condition=spend(3000)),
    ]
    found = evaluated(cart(*map(line, lines)), *tiers, lanes=(Lane(number=0, mode="best"),))
    assert found.discounts == discounts


def test_b11_a_capped_percentage_and_the_tax_on_what_is_left() -> None:
    found = evaluated(cart(line(10000)), promotion("a", percent(50, cap=3000)))
    assert found.payable == 7000
    assert taxed(7000, 200_000, included=True).net == 5833


def test_b13_and_b14_everything_off_is_everything() -> None:
    found = evaluated(cart(line(1150, sku="a"), line(1150, sku="b")), promotion("a", percent(100)))
    assert sum(taxed(1150 - part, 150_000, included=False).gross for part in found.discounts) == 0
    weighed = line(14450)
    assert evaluated(cart(weighed), promotion("a", percent(100))).payable == 0


def test_a_cap_is_spread_like_any_sum() -> None:
    """Solidus gives 9.24/17.69/23.07."""
    found = evaluated(cart(line(12000), line(23000), line(30000)), promotion("a", percent(50, cap=5000)))
    assert found.discounts == (923, 1769, 2308)


# -- C: stacking and order --------------------------------------------------------------------------------------------

TEN_OFF = promotion("ten-off", off(1000), priority=1)
TWENTY_PERCENT = promotion("twenty", percent(20), priority=2)


def test_c2_one_after_the_other_by_priority() -> None:
    assert evaluated(cart(line(10000)), TWENTY_PERCENT, TEN_OFF).payable == 7200


def test_c3_an_exclusive_one_is_alone() -> None:
    exclusive = promotion("twenty", percent(20), lane=5)
    found = evaluated(cart(line(10000)), TEN_OFF, exclusive, lanes=(Lane(number=5, mode="exclusive"),))
    assert found.payable == 8000
    assert (found.others[0].status, found.others[0].winner, found.others[0].discount) == ("parked", "twenty", 1000)


@pytest.mark.parametrize(("quantity", "payable"), [(1, 7000), (2, 12000)])
def test_c5_a_condition_may_look_at_what_is_left(quantity: int, payable: int) -> None:
    half = promotion("half", percent(50), priority=1)
    free = promotion("free", Shipping(), condition=spend(10000, base="running"), priority=2)
    assert evaluated(cart(line(12000, quantity), shipping=1000), half, free).payable == payable


def test_c6_four_in_a_row() -> None:
    row: list[Effect] = [off(1000), percent(50), off(500), percent(25)]
    found = evaluated(cart(line(10000)), *(promotion(f"{i}", effect, priority=i) for i, effect in enumerate(row)))
    assert found.payable == 3000


def test_c8_an_item_and_the_order() -> None:
    jacket = promotion("jacket", percent(10, products=of("sku", "jacket")), priority=1)
    order = promotion("order", off(2000), priority=2)
    found = evaluated(cart(line(10000, sku="jacket"), line(8000, sku="shirt")), jacket, order)
    assert (found.payable, found.discount) == (15000, 3000)


def test_c9_nothing_falls_below_zero() -> None:
    found = evaluated(cart(line(10000)), promotion("a", off(20000)))
    assert (found.payable, found.discount, found.applied[0].desired) == (0, 10000, 20000)


TENNER_AND_FIVER = cart(line(1000, 3, sku="tenner"), line(500, 3, sku="fiver"))


def test_c12_parallel_percentages_look_at_the_original_prices() -> None:
    thirty = promotion("thirty", percent(30, units=5, choose="dearest"), priority=2, base="original")
    twenty = promotion("twenty", percent(20), priority=1, base="original")
    assert evaluated(TENNER_AND_FIVER, thirty, twenty).discount == 2100


def test_c12_sequential_percentages_look_at_what_is_left() -> None:
    thirty = promotion("thirty", percent(30, units=5, choose="dearest"), priority=2)
    assert evaluated(TENNER_AND_FIVER, thirty, promotion("twenty", percent(20), priority=1)).discount == 1860


@pytest.mark.parametrize(("units", "discount"), [(None, 3900), (3, 3000), (5, 3360)])
def test_c14_a_sum_off_each_piece_is_no_more_than_it_costs(units: int | None, discount: int) -> None:
    each = promotion("ten", off(1000, per="unit", units=units, choose="dearest"))
    assert evaluated(cart(line(1395, 3), line(180, 5)), each).discount == discount


def test_c15_pieces_used_once_serve_one_promotion_each() -> None:
    three = [
        promotion("a", off(1000, per="unit", units=1)),
        promotion("b", off(1000, per="unit", units=1)),
        promotion("c", percent(100, units=1)),
    ]
    found = evaluated(cart(line(1000, 4)), *three, lanes=(Lane(number=0, once=True),))
    assert found.discount == 3000
    assert [each.discount for each in found.applied] == [1000, 1000, 1000]


def test_c17_a_gift_then_a_percentage_then_a_sum() -> None:
    row: list[Effect] = [off(100), percent(20), off(8000)]
    found = evaluated(cart(line(200_000)), *(promotion(f"{i}", effect, priority=i) for i, effect in enumerate(row)))
    assert (found.payable, found.discount) == (151_920, 48_080)


def test_c18_two_percentages_across_lines() -> None:
    found = evaluated(cart(line(5000), line(15000)), promotion("a", percent(10)), promotion("b", percent(10)))
    assert [[part.discount for part in each.parts] for each in found.applied] == [[500, 1500], [450, 1350]]


def test_c20_two_conditions_and_their_tax() -> None:
    spender = promotion("spender", percent(10), condition=spend(1000), priority=1)
    three = promotion("three", percent(50), condition=pieces(3, of("sku", "a")), priority=2)
    two = evaluated(cart(line(800, 2, sku="a")), spender, three).payable
    assert (two, taxed(two, 200_000, included=False).gross) == (1440, 1728)
    all_three = evaluated(cart(line(800, 3, sku="a")), spender, three).payable
    assert (all_three, taxed(all_three, 200_000, included=False).gross) == (1080, 1296)


@pytest.mark.parametrize(("quantity", "payable"), [(2, 900), (3, 750)])
def test_c21_one_promotion_may_undo_what_another_asks_for(quantity: int, payable: int) -> None:
    three = promotion("three", percent(50), condition=pieces(3, of("sku", "a")), priority=1)
    spender = promotion("spender", percent(10), condition=spend(1000, base="running"), priority=2)
    assert evaluated(cart(line(500, quantity, sku="a")), spender, three).payable == payable


def test_c23_the_taxable_base_stays_at_or_above_zero() -> None:
    found = evaluated(cart(line(420)), promotion("a", percent(10), priority=1), promotion("b", off(500), priority=2))
    assert found.payable == 0
    assert taxed(found.payable, 200_000, included=True) == Taxed(0, 0, 0)


def test_two_percentages_one_after_the_other() -> None:
    """10 % then 20 % on 18.00 and 41.85: WooCommerce takes off 16.75, rounding half down."""
    found = evaluated(
        cart(line(1800), line(4185)), promotion("a", percent(10), priority=1), promotion("b", percent(20), priority=2)
    )
    assert found.discount == 1676


@pytest.mark.parametrize(("first", "payable"), [(True, 5985), (False, 5800)])
def test_a_fixed_sum_before_or_after_two_percentages(first: bool, payable: int) -> None:
    """CubeCart's 59.15 is a slip of the pen: 95 less 10 % is 85.50, and less 30 % of that 59.85."""
    lanes = [promotion("ten", percent(10), lane=1), promotion("thirty", percent(30), lane=2)]
    five = promotion("five", off(500), lane=0 if first else 3)
    assert evaluated(cart(line(10000)), *lanes, five).payable == payable


# -- D: multi-buy, bundles, sets --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("quantity", "left"), [(2, 120), (3, 96), (6, 96)])
def test_d1_three_or_more_are_cheaper(quantity: int, left: int) -> None:
    three = promotion("three", percent(20), condition=pieces(3, of("sku", "a")))
    assert evaluated(cart(line(120, quantity, sku="a")), three).payable == left * quantity


@pytest.mark.parametrize(("strategy", "discount"), [("horizontal", 3), ("vertical", 5), ("optimal", 5)])
def test_d3_three_for_two(strategy: Any, discount: int) -> None:
    """pretix frees the two cheapest; the customer's best is 5."""
    found = evaluated(cart(*(line(price) for price in range(1, 7))), promotion("a", Free(buy=2, strategy=strategy)))
    assert found.discount == discount
    assert found.applied[0].method == ("optimal" if strategy == "optimal" else "greedy")


@pytest.mark.parametrize(("quantity", "payable"), [(4, 480), (5, 480)])
def test_d4_a_minimum_value(quantity: int, payable: int) -> None:
    assert evaluated(cart(line(120, quantity)), promotion("a", percent(20), condition=spend(500))).payable == payable


@pytest.mark.parametrize(("strategy", "discount"), [("horizontal", 8), ("optimal", 10)])
def test_d6_two_groups_of_three_for_two(strategy: Any, discount: int) -> None:
    found = evaluated(cart(line(4, 3), line(6, 3)), promotion("a", Free(buy=2, strategy=strategy)))
    assert found.discount == discount


def test_d9_what_one_rule_used_is_gone_for_the_next() -> None:
    first = promotion("a", percent(20), condition=pieces(2, of("sku", "x")), priority=1)
    found = evaluated(
        cart(line(100, 3, sku="x")), first, promotion("b", percent(50), priority=2), lanes=(Lane(number=0, once=True),)
    )
    assert found.payable == 240
    assert [each.promotion for each in found.others] == ["b"]


def test_d10_of_another_product() -> None:
    effect = Free(buy=5, products=of("sku", "two"), get_products=of("sku", "one"))
    found = evaluated(cart(line(100, 12, sku="two"), line(90, 3, sku="one")), promotion("a", effect))
    assert (found.discount, found.applied[0].times) == (180, 2)


@pytest.mark.parametrize(("quantity", "discount"), [(4, 500), (3, 0)])
def test_d12_buy_two_get_two(quantity: int, discount: int) -> None:
    assert evaluated(cart(line(250, quantity)), promotion("a", Free(buy=2, get=2))).discount == discount


def test_d13_more_free_than_bought_and_what_is_left_for_the_next() -> None:
    """2.5 each, in tenths."""
    first = promotion("fifty", Free(buy=50, get=1000), priority=1)
    second = promotion("ten", Free(buy=10, get=20), priority=2)
    found = evaluated(cart(line(25, 1080)), first, second, lanes=(Lane(number=0, once=True),))
    assert [each.discount for each in found.applied] == [25_000, 500]


def test_d15_the_dear_ones_qualify() -> None:
    found = evaluated(cart(line(500, 2), line(1000, 2)), promotion("a", Free(buy=2, get=2)))
    assert found.discounts == (1000, 0)


@pytest.mark.parametrize(("lines", "discount"), [([(12, 3)], 12), ([(4, 4), (2, 4)], 2)])
def test_d16_the_cheapest_of_three_once(lines: list[tuple[int, int]], discount: int) -> None:
    found = evaluated(cart(*(line(*each) for each in lines)), promotion("a", Free(buy=2, sets=1)))
    assert found.discount == discount


@pytest.mark.parametrize(("price", "quantity", "discount"), [(6, 3, 0), (8, 4, 4), (7, 3, 1)])
def test_d18_three_for_twenty(price: int, quantity: int, discount: int) -> None:
    found = evaluated(cart(line(price, quantity)), promotion("a", FixedPrice(price=20, size=3)))
    assert found.discount == discount


def test_d19_a_third_each() -> None:
    """oscar leaves the odd cent to the last; the largest remainder to the first."""
    found = evaluated(cart(*(line(200, sku=f"{i}") for i in range(3))), promotion("a", off(400)))
    assert found.discounts == (134, 133, 133)


def test_d21_at_most_one_piece_and_no_more_than_it_costs() -> None:
    found = evaluated(cart(line(200, 2), line(100, 2)), promotion("a", off(300, per="unit", units=1)))
    assert found.discount == 100


@pytest.mark.parametrize(("quantity", "discount"), [(1, 0), (2, 10), (3, 10), (4, 20)])
def test_d22_full_groups_only(quantity: int, discount: int) -> None:
    effect = Free(buy=0, get=2, amount=5)
    assert evaluated(cart(line(10, quantity)), promotion("a", effect)).discount == discount


@pytest.mark.parametrize(("strategy", "discount"), [("horizontal", 30), ("vertical", 60), ("optimal", 60)])
def test_d24_nine_tees_three_for_two(strategy: Any, discount: int) -> None:
    tees = cart(*(line(price) for price in range(5, 50, 5)))
    assert evaluated(tees, promotion("a", Free(buy=2, strategy=strategy))).discount == discount


@pytest.mark.parametrize(
    ("strategy", "discounts"), [("vertical", [80, 80, 70, 70]), ("horizontal", [100, 100, 50, 50])]
)
def test_d25_ten_percent_off_the_nth_dearest_of_four(strategy: Any, discounts: list[int]) -> None:
    """In tenths: 10 x 10.0 and 10 x 20.0."""
    found = [
        evaluated(
            cart(line(100, 10), line(200, 10)),
            promotion("a", Free(buy=3, ppm=WHOLE // 10, choose="dearest", skip=skip, strategy=strategy)),
        ).discount
        for skip in range(4)
    ]
    assert found == discounts


@pytest.mark.parametrize(("bought", "free"), [(75, 25), (6, 2)])
def test_d27_one_of_another_for_every_three(bought: int, free: int) -> None:
    effect = Free(buy=3, products=of("sku", "small"), get_products=of("sku", "large"))
    found = evaluated(cart(line(10, bought, sku="small"), line(100, 30, sku="large")), promotion("a", effect))
    assert found.discount == 100 * free


@pytest.mark.parametrize(("per", "discount"), [("line", 3000), ("unit", 8000)])
def test_d28_per_line_or_per_piece(per: Any, discount: int) -> None:
    found = evaluated(cart(line(1000, 2), line(1500, 3), line(2000, 3)), promotion("a", off(1000, per=per)))
    assert found.discount == discount


def test_d30_a_bundle_twice_and_its_mice() -> None:
    """One mouse for each bundle (40), or every mouse (60); a line split in three gains nothing by it."""
    bundle = All(of=(pieces(1, of("sku", "laptop")), pieces(1, of("sku", "mouse"))))
    mouse = of("sku", "mouse")

    def offer(units: int | None) -> Promotion:
        return promotion("a", off(20, per="unit", units=units, products=mouse), condition=bundle, repeat=99)

    whole = cart(line(500, 2, sku="laptop"), line(25, 3, sku="mouse"))
    split = cart(line(500, 2, sku="laptop"), *[line(25, 1, sku="mouse")] * 3)
    assert [evaluated(each, offer(1)).discount for each in (whole, split)] == [40, 40]
    assert [evaluated(each, offer(None)).discount for each in (whole, split)] == [60, 60]
    assert evaluated(whole, offer(1)).applied[0].times == 2


def test_d31_no_half_sets() -> None:
    effect = Free(buy=10, products=of("sku", "a"), get_products=of("sku", "b"))
    found = evaluated(cart(line(10, 15, sku="a"), line(7, 5, sku="b")), promotion("a", effect))
    assert (found.applied[0].times, found.discount) == (1, 7)


def test_every_thousand_is_a_hundred_off() -> None:
    """Capillary's per-unit action: a condition that may be met over and over."""
    every = promotion("a", off(100), condition=spend(1000), repeat=10_000)
    assert evaluated(cart(line(3999)), every).discount == 300


# -- E: tax -----------------------------------------------------------------------------------------------------------


def test_t1_tax_by_line_or_by_piece() -> None:
    assert taxed(3 * 108, 190_000, included=False).gross == 386
    assert 3 * taxed(108, 190_000, included=False).gross == 387


def test_t2_a_fifth_off_before_tax() -> None:
    found = evaluated(cart(line(1000, 2)), promotion("a", percent(20)))
    before, after = taxed(2000, 200_000, included=False), taxed(found.payable, 200_000, included=False)
    assert (before.net - after.net, before.gross - after.gross) == (400, 480)


def test_t3_tax_follows_the_discounted_base() -> None:
    half = evaluated(cart(line(25000)), promotion("a", percent(50))).payable
    assert taxed(half, 100_000, included=False) == Taxed(12500, 1250, 13750)
    flat = evaluated(cart(line(25000)), promotion("a", off(5000))).payable
    assert taxed(flat, 100_000, included=False).gross == 22000


def test_t4_a_sum_off_prices_with_tax() -> None:
    found = evaluated(cart(line(6000, 2)), promotion("a", off(4500)))
    assert taxed(found.payable, 170_000, included=True) == Taxed(6410, 1090, 7500)


def test_t5_a_set_over_two_rates() -> None:
    """Five of the cheapest for 200: the discount's tax, as a difference of what is taxed before and after."""
    found = evaluated(
        cart(line(11900, 5), line(10700, 3)), promotion("a", FixedPrice(price=20000, size=5, choose="cheapest", sets=1))
    )
    assert found.discount == 2 * 11900 + 3 * 10700 - 20000
    taxes = [
        taxed(amount - part, ppm, included=True).tax - taxed(amount, ppm, included=True).tax
        for amount, part, ppm in zip((59500, 32100), found.discounts, (190_000, 70_000), strict=True)
    ]
    assert taxes == [-2440, -1349]


def test_t6_tax_on_the_discounted_base_and_not_less_the_tax_of_the_discount() -> None:
    """Shopware has 35.49 net."""
    found = evaluated(cart(line(10000, sku="a"), line(10000, sku="b")), promotion("a", FixedPrice(price=4000)))
    left = [10000 - part for part in found.discounts]
    assert left == [2000, 2000]
    assert sum(taxed(amount, ppm, True).net for amount, ppm in zip(left, (190_000, 70_000), strict=True)) == 3550


def test_t7_the_whole_cart_for_a_hundred() -> None:
    found = evaluated(cart(line(20000, 2), line(5000, 3)), promotion("a", FixedPrice(price=10000)))
    assert found.payable == 10000
    assert taxed(found.payable, 190_000, included=True).net == 8403


def test_t8_a_fifth_off_and_an_untaxed_line() -> None:
    drawer = evaluated(cart(line(32000)), promotion("a", percent(20))).payable
    assert taxed(drawer, 150_000, included=False) == Taxed(25600, 3840, 29440)
    both = evaluated(cart(line(32000), line(2500, 10)), promotion("a", percent(20, products=of("sku", "sku-32000"))))
    left = [32000 - both.discounts[0], 25000 - both.discounts[1]]
    assert taxed(left[0], 150_000, included=False).gross + left[1] == 54440


def test_t9_a_cap_that_holds_with_tax() -> None:
    """8 x 320 and 15 % tax, a fifth off but at most 200 with tax in it, and 250 untaxed. Prices with their tax."""
    found = evaluated(
        cart(line(36800, 8, sku="drawer"), line(25000)),
        promotion("a", percent(20, cap=20000, products=of("sku", "drawer"))),
    )
    assert found.payable == 299_400
    drawers = taxed(8 * 36800 - found.discounts[0], 150_000, included=True)
    assert drawers.net + 25000 == 263_609
    assert 8 * 32000 - drawers.net == 17_391


def test_t11_and_t12_net_of_a_gross_price() -> None:
    assert taxed(500, 200_000, included=True).net == 417
    assert taxed(100, 200_000, included=True).net == 83
    gross = evaluated(cart(line(1400), line(650, 2)), promotion("a", percent(50))).payable
    assert (gross, taxed(gross, 150_000, included=True).net) == (1350, 1174)


@pytest.mark.parametrize(("rounding", "net", "gross"), [(HALF_UP, 4166, 4999), (Rounding.HALF_DOWN, 4167, 5000)])
def test_t12_half_of_an_odd_price(rounding: Rounding, net: int, gross: int) -> None:
    """Vendure rounds the price, we round the discount: half down on it is half up on the price."""
    half = evaluated(cart(line(8333)), promotion("a", percent(50)), rounding=rounding).payable
    assert (half, taxed(half, 200_000, included=False).gross) == (net, gross)


def test_t13_two_rates_a_percentage_and_a_sum() -> None:
    row = [
        promotion("a", percent(15, products=of("sku", "sku-1000")), priority=1),
        promotion("b", off(500), priority=2),
    ]
    assert evaluated(cart(line(1000, 2), line(3499), line(255, 4)), *row).payable == 5719


@pytest.mark.parametrize(
    ("amount", "included", "expected"),
    [(760, False, (760, 912)), (760, True, (633, 760)), (800, False, (800, 960))],
)
def test_t14_surcharges_and_discounts_are_taxed_alike(amount: int, included: bool, expected: tuple[int, int]) -> None:
    found = taxed(amount, 200_000, included)
    assert (found.net, found.gross) == expected
    assert taxed(-amount, 200_000, included) == Taxed(-found.net, -found.tax, -found.gross)


# -- F: returns -------------------------------------------------------------------------------------------------------


def test_f1_a_returned_line_gives_back_what_was_paid_for_it() -> None:
    found = evaluated(cart(line(15000), line(6000)), promotion("a", percent(20)))
    assert 15000 - found.discounts[0] == 12000


@pytest.mark.parametrize(
    ("case", "price", "bought", "back", "refund"), [("F2", 5000, 2, 1, 4500), ("F4", 10000, 3, 2, 18000)]
)
def test_some_of_a_line_gives_back_its_share(case: str, price: int, bought: int, back: int, refund: int) -> None:
    found = evaluated(cart(line(price, bought)), promotion("a", percent(10)))
    assert returned_share(price * bought - found.discounts[0], bought, 0, back, HALF_UP) == refund


def test_f5_returns_go_by_what_was_given_and_not_by_what_would_be_given_now() -> None:
    """Five of six come back; the 10 % asked for 300. The share that was given stays with the one that is kept."""
    found = evaluated(cart(line(5000, 6)), promotion("a", percent(10), condition=spend(30000)))
    assert returned_share(found.payable, 6, 0, 5, HALF_UP) == 22500


def test_percentages_are_exact_far_beyond_money() -> None:
    assert percent_of(10**30 + 5, WHOLE // 10, HALF_UP) == 10**29 + 1
    assert reduced([3, 3, 3], 4) == [2, 1, 1]
