"""Who gets what and why not: codes, audiences, times, limits, lanes; and what the answer says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from guerdon.core.promotions.carts import Issue, Presented, Shopper
from guerdon.core.promotions.conditions import All, Any_, HistoryIs, MemberIs, Not, ProductsAre, TenderIs, TierIs
from guerdon.core.promotions.effects import Multiplier, Points, Shipping, Tendered, Voucher
from guerdon.core.promotions.evaluating import counters, evaluate
from guerdon.core.promotions.explaining import sentence
from guerdon.core.promotions.limits import Budget, Counter, Limit, Raise
from guerdon.core.promotions.offers import Catalogue
from guerdon.core.promotions.past import Fact, Past
from guerdon.core.promotions.terms import Audience, Lane, Promotion
from guerdon.core.promotions.verdicts import Reason
from guerdon.core.promotions.windows import Window, open_at
from guerdon.core.state import NotLoaded
from tests.core.promotions.till import (
    ANNA,
    NOW,
    Unused,
    cart,
    evaluated,
    line,
    of,
    off,
    paid,
    percent,
    pieces,
    promotion,
    spend,
    verdict,
)

TEN = cart(line(1000))

# -- the founding example ---------------------------------------------------------------------------------------------

ONCE = Limit(code="once", kpi="purchases", limit=1, per="code")
ZN34C = promotion(
    "ten-over-100", percent(10), kind="code", condition=spend(10000, operator="more_than"), limits=(ONCE,)
)


def test_zn34c_gives_nothing_at_100_and_says_what_is_missing() -> None:
    found = evaluated(cart(line(10000)), ZN34C, codes={"ZN34C": "ten-over-100"})
    assert (found.discount, found.payable) == (0, 10000)
    (refused,) = found.others
    assert (refused.code, refused.status, refused.reason) == ("ZN34C", "not_applied", Reason.CONDITION_NOT_MET)
    (miss,) = refused.misses
    assert (miss.path, miss.actual, miss.required, miss.missing) == ("condition", 10000, 10000, 1)
    assert sentence(refused, 2) == "subtotal: 100.00 > 100.00 does not hold, 0.01 more"
    assert found.nearest == (refused,)
    assert found.raises == ()


def test_zn34c_gives_ten_percent_at_100_01() -> None:
    found = evaluated(cart(line(10001)), ZN34C, codes={"ZN34C": "ten-over-100"})
    assert (found.discount, found.payable) == (1000, 9001)
    (applied,) = found.applied
    assert sentence(applied, 2) == "10.00 off"
    assert applied.raises == (Raise(("counter", "ten-over-100", "once", "ZN34C", ""), 1, 0, 1),)


def test_zn34c_is_good_once() -> None:
    usage = Unused({("counter", "ten-over-100", "once", "ZN34C", ""): Counter(1, NOW)})
    found = evaluated(cart(line(10001)), ZN34C, codes={"ZN34C": "ten-over-100"}, usage=usage)
    assert found.payable == 10001
    assert sentence(found.others[0], 2) == "limit once: 1 of 1 purchases used"


# -- what the answer says ---------------------------------------------------------------------------------------------


def test_the_nearest_miss_names_the_products_and_the_difference() -> None:
    shoes = ProductsAre(products=of("category", "shoes"), kpi="amount", value=5000)
    found = evaluated(
        cart(line(4680, category="shoes"), line(9000, category="hats")), promotion("a", percent(5), condition=shoes)
    )
    assert sentence(found.others[0], 2) == "category shoes: 46.80 >= 50.00 does not hold, 3.20 more"


def test_of_several_ways_the_nearest_is_told() -> None:
    ways = Any_(
        of=(spend(9000), All(of=(spend(1500), pieces(1, of("sku", "hat")))), TierIs(values=frozenset({"gold"})))
    )
    found = evaluated(TEN, promotion("a", percent(5), condition=ways))
    assert [miss.path for miss in found.others[0].misses] == ["condition.of[0]"]
    assert len(found.others[0].checks) == 4, "every question is answered"


def test_what_must_not_be_is_told() -> None:
    no_hats = Not(of=pieces(1, of("category", "hats")))
    found = evaluated(cart(line(100, category="hats")), promotion("a", percent(5), condition=no_hats))
    assert sentence(found.others[0], 2) == "must not hold: category hats"
    assert evaluated(TEN, promotion("a", percent(5), condition=no_hats)).discount == 50


def test_the_nearest_of_several_promotions_comes_first() -> None:
    promotions = [promotion(f"over-{n}", percent(5), condition=spend(n)) for n in (5000, 1200, 3000)]
    assert [each.promotion for each in evaluated(TEN, *promotions).nearest] == ["over-1200", "over-3000", "over-5000"]


def test_figures_of_the_bill_fit_together() -> None:
    found = evaluated(
        cart(line(1000, 3), line(500, excluded=True), shipping=499),
        promotion("a", percent(10)),
        promotion("b", Shipping()),
        promotion("c", Voucher(value=1000)),
    )
    assert (found.subtotal, found.discounts, found.shipping_discount, found.vouchers) == (3500, (300, 0), 499, 1000)
    assert found.payable == 3500 - 300 - 1000
    assert found.versions == (("a", 1), ("b", 1), ("c", 1))


# -- codes ------------------------------------------------------------------------------------------------------------

CODED = promotion("coded", off(100), kind="code")


@pytest.mark.parametrize(
    ("presented", "reason"),
    [
        ([Presented(code="X")], Reason.CODE_UNKNOWN),
        ([Presented(code="X", promotion="coded", status="deactivated")], Reason.CODE_DEACTIVATED),
        ([Presented(code="X", promotion="coded", linked_to="berta")], Reason.CODE_LINKED_TO_ANOTHER),
    ],
)
def test_a_code_that_does_not_count(presented: list[Presented], reason: Reason) -> None:
    found = evaluated(TEN, CODED, presented=presented, shopper=ANNA)
    assert (found.discount, found.others[0].reason, found.others[0].code) == (0, reason, "X")


def test_a_linked_code_is_its_owners() -> None:
    presented = [Presented(code="X", promotion="coded", linked_to="anna")]
    assert evaluated(TEN, CODED, presented=presented, shopper=ANNA).discount == 100
    assert evaluated(TEN, CODED, presented=presented).discount == 0


def test_a_code_given_twice_counts_once() -> None:
    found = evaluated(TEN, CODED, presented=[Presented(code="X", promotion="coded")] * 2)
    assert (found.discount, found.others[0].reason) == (100, Reason.CODE_GIVEN_TWICE)


def test_two_codes_of_one_promotion_give_one_discount() -> None:
    found = evaluated(TEN, CODED, codes={"B": "coded", "A": "coded"})
    assert (found.discount, found.applied[0].code) == (100, "A")
    assert (found.others[0].status, found.others[0].reason) == ("parked", Reason.ALREADY_APPLIED)


def test_without_its_code_a_promotion_is_silent() -> None:
    found = evaluated(TEN, CODED)
    assert (found.applied, found.others) == ((), ())


def test_a_code_of_a_promotion_that_is_over_says_so() -> None:
    over = msgspec.structs.replace(CODED, status="ended")
    assert evaluated(TEN, over, codes={"X": "coded"}).others[0].reason is Reason.ENDED


# -- who, when, where -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"status": "paused"}, Reason.NOT_ACTIVE),
        ({"starts_at": NOW + timedelta(seconds=1)}, Reason.NOT_STARTED),
        ({"ends_at": NOW}, Reason.ENDED),
        ({"windows": (Window(weekdays=frozenset({1})),)}, Reason.OUTSIDE_HOURS),
        ({"stores": frozenset({"S2"})}, Reason.STORE_NOT_TAKING_PART),
        ({"channels": frozenset({"TMALL"})}, Reason.CHANNEL_NOT_TAKING_PART),
        ({"audience": Audience(tiers=frozenset({"silver"}))}, Reason.NOT_IN_AUDIENCE),
        ({"audience": Audience(segments=frozenset({"walkers"}))}, Reason.NOT_IN_AUDIENCE),
        ({"audience": Audience(members=frozenset({"berta"}))}, Reason.NOT_IN_AUDIENCE),
        ({"starts_at": NOW, "ends_at": NOW + timedelta(seconds=1)}, None),
        ({"windows": (Window(weekdays=frozenset({6}), start=12 * 60),)}, None),
        ({"stores": frozenset({"S1"}), "channels": frozenset({"INSTORE"})}, None),
        ({"audience": Audience(tiers=frozenset({"gold"}), segments=frozenset({"runners"}))}, None),
    ],
)
def test_who_when_and_where(fields: dict[str, Any], reason: Reason | None) -> None:
    at = cart(line(1000), store="S1", channel="INSTORE")
    found = evaluated(at, promotion("a", off(100), kind="code", **fields), codes={"X": "a"}, shopper=ANNA)
    assert (found.others[0].reason if found.others else None) is reason
    assert found.discount == (100 if reason is None else 0)


def test_hours_run_in_the_organisations_zone() -> None:
    noon_in_utc = promotion("a", off(100), windows=(Window(start=13 * 60, end=14 * 60),))
    assert evaluated(TEN, noon_in_utc).discount == 0
    assert evaluated(TEN, noon_in_utc, zone=ZoneInfo("Europe/Berlin")).discount == 100


def test_a_night_belongs_to_the_day_on_which_it_began() -> None:
    saturday_night = (Window(weekdays=frozenset({6}), start=22 * 60, end=2 * 60),)
    assert open_at(saturday_night, datetime(2026, 11, 21, 23, tzinfo=UTC))
    assert open_at(saturday_night, datetime(2026, 11, 22, 1, tzinfo=UTC))
    assert not open_at(saturday_night, datetime(2026, 11, 21, 1, tzinfo=UTC))
    assert open_at((Window(days=frozenset({-1})),), datetime(2027, 2, 28, tzinfo=UTC))


@pytest.mark.parametrize(
    ("issue", "reason"),
    [
        (None, None),
        (Issue(promotion="gift"), None),
        (Issue(promotion="gift", active=False), Reason.NOT_ACTIVATED),
        (Issue(promotion="gift", starts_at=NOW + timedelta(days=1)), Reason.ISSUE_NOT_STARTED),
        (Issue(promotion="gift", ends_at=NOW), Reason.ISSUE_ENDED),
    ],
)
def test_a_members_promotion_is_for_those_to_whom_it_was_issued(issue: Issue | None, reason: Reason | None) -> None:
    shopper = Shopper(id="anna", issues=(issue,) if issue else ())
    found = evaluated(TEN, promotion("gift", off(100), kind="member"), shopper=shopper)
    assert found.discount == (100 if issue and reason is None else 0)
    assert [each.reason for each in found.others] == ([reason] if reason else [])
    everything = evaluated(
        TEN, promotion("gift", off(100), kind="member"), shopper=Shopper(id="berta"), everything=True
    )
    assert everything.others[0].reason is Reason.NOT_ISSUED


def bought(times: int) -> Past:
    """The past of somebody who bought so many times."""
    return Past(NOW - timedelta(days=99), [Fact(NOW - timedelta(days=9), 100, "USD")] * times)


def test_members_have_a_history() -> None:
    third = promotion("a", off(100), condition=HistoryIs(kpi="purchases", operator="equals", value=2))
    assert evaluated(TEN, third, shopper=Shopper(id="anna", past=bought(2))).discount == 100
    found = evaluated(TEN, third, shopper=Shopper(id="anna", past=bought(1)))
    assert sentence(found.others[0], 2) == "purchases: 1 = 2 does not hold, 1 more"
    assert evaluated(TEN, third).others[0].misses[0].actual is None, "a guest has none"
    with pytest.raises(NotLoaded):
        evaluated(TEN, third, shopper=ANNA)


def test_members_have_attributes() -> None:
    born = promotion("a", off(100), condition=MemberIs(attribute="birth_month", values=frozenset({"11"})))
    assert evaluated(TEN, born, shopper=Shopper(id="anna", attributes={"birth_month": "11"})).discount == 100
    assert evaluated(TEN, born, shopper=ANNA).discount == 0


# -- effects ----------------------------------------------------------------------------------------------------------


def test_a_tender_discount_comes_after_everything_else() -> None:
    """5 % with the store's card, of what is really paid with it."""
    card = promotion("card", Tendered(kinds=frozenset({"CARD"}), ppm=50_000), priority=-5)
    half = promotion("half", percent(50))
    found = evaluated(cart(line(10000), tenders=(paid("CARD", 8000),)), card, half)
    assert [each.promotion for each in found.applied] == ["half", "card"]
    assert found.applied[1].discount == 250


def test_a_condition_may_ask_for_a_tender() -> None:
    card = promotion("card", percent(5), condition=TenderIs(kinds=frozenset({"CARD"}), identifiers=frozenset({"4111"})))
    assert evaluated(cart(line(1000), tenders=(paid("CARD", 1000, "4111"),)), card).discount == 50
    found = evaluated(cart(line(1000), tenders=(paid("CARD", 1000, "5222"),)), card)
    assert found.others[0].misses[0].actual == 0


def test_pieces_are_as_many_as_the_condition_is_met_times() -> None:
    """One half price for every two: four shirts are two times, and two pieces at half price."""
    half = promotion("half", percent(50, units=1), condition=pieces(2, of("sku", "shirt")), repeat=9)
    found = evaluated(cart(line(1000, 4, sku="shirt")), half)
    assert (found.discount, found.applied[0].times, found.applied[0].parts[0].units) == (1000, 2, 2)


def test_points_are_for_members() -> None:
    bonus = promotion("bonus", Points(points=50), kind="points", condition=spend(500), repeat=10)
    found = evaluated(TEN, bonus, shopper=ANNA)
    assert (found.points, found.discount, found.applied[0].times) == (100, 0, 2)
    assert evaluated(TEN, bonus).others[0].reason is Reason.MEMBER_REQUIRED


def test_a_multiplier_tells_what_it_adds() -> None:
    triple = promotion("triple", Multiplier(ppm=3_000_000, products=of("sku", "a")))
    found = evaluated(cart(line(1000, sku="a"), line(500, sku="b"), points=(10, 5)), triple, shopper=ANNA)
    assert found.points == 20
    with pytest.raises(NotLoaded):
        evaluated(cart(line(1000, sku="a")), triple, shopper=ANNA)


def test_vouchers_pay_what_is_left_one_after_the_other() -> None:
    found = evaluated(
        cart(line(1000), shipping=200), promotion("a", Voucher(value=900)), promotion("b", Voucher(value=900))
    )
    assert [each.voucher for each in found.applied] == [900, 300]
    assert (found.discount, found.payable) == (0, 0)


# -- lanes ------------------------------------------------------------------------------------------------------------

SMALL, BIG = promotion("small", off(100), priority=1), promotion("big", off(300), priority=2)


@pytest.mark.parametrize(
    ("mode", "applied", "reason"),
    [
        ("stack", ["small", "big"], None),
        ("first", ["small"], Reason.OTHER_CAME_FIRST),
        ("best", ["big"], Reason.OTHER_WAS_BETTER),
        ("exclusive", ["small"], Reason.EXCLUSIVE_APPLIED),
    ],
)
def test_a_lane_says_how_its_promotions_go_together(mode: Any, applied: list[str], reason: Reason | None) -> None:
    found = evaluated(TEN, SMALL, BIG, lanes=(Lane(number=0, mode=mode),))
    assert [each.promotion for each in found.applied] == applied
    if reason:
        (parked,) = found.others
        assert (parked.status, parked.reason, parked.winner) == ("parked", reason, applied[0])
        assert parked.discount == (100 if parked.promotion == "small" else 300), "what it would have given"
        assert parked.raises == ()


def test_an_exclusive_promotion_that_does_not_apply_excludes_nothing() -> None:
    picky = promotion("picky", percent(50), condition=spend(99999), lane=9)
    found = evaluated(TEN, SMALL, picky, lanes=(Lane(number=9, mode="exclusive"),))
    assert [each.promotion for each in found.applied] == ["small"]
    assert verdict(found, "picky").reason is Reason.CONDITION_NOT_MET


def test_lanes_follow_each_other_by_number() -> None:
    found = evaluated(TEN, promotion("late", percent(50), lane=2, priority=-1), promotion("early", off(100), lane=1))
    assert [each.discount for each in found.applied] == [100, 450]


# -- limits -----------------------------------------------------------------------------------------------------------


def limited(*limits: Limit, **fields: Any) -> Promotion:
    return promotion("a", fields.pop("effect", off(400)), limits=limits, **fields)


def at(limit: Limit, used: int, subject: str = "", period: str = "", last: datetime | None = None) -> Unused:
    return Unused({("counter", "a", limit.code, subject, period): Counter(used, last)})


@pytest.mark.parametrize(
    ("kpi", "used", "discount"),
    [("uses", 9, 400), ("uses", 10, 0), ("purchases", 9, 400), ("purchases", 10, 0)],
)
def test_uses_and_purchases_run_out(kpi: Any, used: int, discount: int) -> None:
    limit = Limit(code="ten", kpi=kpi, limit=10)
    found = evaluated(TEN, limited(limit), usage=at(limit, used))
    assert found.discount == discount
    if not discount:
        assert found.others[0].reason is Reason.LIMIT_REACHED
        assert found.others[0].limit is not None
        assert (found.others[0].limit.code, found.others[0].limit.used, found.others[0].limit.left) == ("ten", 10, 0)


@pytest.mark.parametrize(("on_exceed", "discount"), [("reject", 0), ("partial", 150)])
def test_a_budget_nearly_spent_gives_the_rest_or_nothing(on_exceed: Any, discount: int) -> None:
    budget = Budget(code="summer", limit=1000, on_exceed=on_exceed)
    usage = Unused({("counter", "budget:summer", "budget:summer", "", ""): Counter(850)})
    found = evaluated(cart(line(700), line(300)), limited(budget=budget), usage=usage)
    assert found.discount == discount
    if discount:
        assert found.discounts == (105, 45)
        assert found.applied[0].desired == 400
        assert found.raises == (Raise(("counter", "budget:summer", "budget:summer", "", ""), 150, 850, 1000),)
    else:
        assert sentence(found.others[0], 2) == "limit budget:summer: 8.50 of 10.00 discount used, 4.00 wanted"


def test_promotions_of_one_purchase_share_a_budget() -> None:
    budget = Budget(code="summer", limit=500, on_exceed="partial")
    found = evaluated(TEN, promotion("a", off(400), budget=budget), promotion("b", off(400), budget=budget))
    assert [each.discount for each in found.applied] == [400, 100]
    assert [(each.by, each.read) for each in found.raises] == [(400, 0), (100, 0)]


@pytest.mark.parametrize(("on_exceed", "times"), [("reject", 0), ("partial", 2)])
def test_uses_of_which_a_purchase_holds_several(on_exceed: Any, times: int) -> None:
    limit = Limit(code="five", limit=5, on_exceed=on_exceed)
    every = limited(limit, effect=off(100), condition=spend(300), repeat=10)
    found = evaluated(TEN, every, usage=at(limit, 3))
    assert found.discount == 100 * times
    assert [each.by for each in found.raises] == ([times] if times else [])


def test_points_are_limited_like_money() -> None:
    limit = Limit(code="most", kpi="points", limit=120, on_exceed="partial")
    found = evaluated(TEN, limited(limit, effect=Points(points=50)), usage=at(limit, 100), shopper=ANNA)
    assert found.points == 20


@pytest.mark.parametrize(
    ("window", "period"), [("day", "2026-11-21"), ("week", "2026-W47"), ("month", "2026-11"), ("rolling", "rolling")]
)
def test_a_window_has_its_own_counter(window: Any, period: str) -> None:
    limit = Limit(code="w", limit=1, window=window, days=7 if window == "rolling" else 0)
    found = evaluated(TEN, limited(limit), usage=at(limit, 1, period="another"))
    assert found.raises[0].key == ("counter", "a", "w", "", period)
    assert found.raises[0].until == (NOW + timedelta(days=7) if window == "rolling" else None)
    assert evaluated(TEN, limited(limit), usage=at(limit, 1, period=period)).discount == 0


def test_a_day_is_a_day_in_the_organisations_zone() -> None:
    limit = Limit(code="w", limit=1, window="day")
    late = datetime(2026, 11, 21, 23, 30, tzinfo=UTC)
    found = evaluated(TEN, limited(limit), now=late, zone=ZoneInfo("Europe/Berlin"))
    assert found.raises[0].key[4] == "2026-11-22"


def test_each_customer_and_store_has_a_counter() -> None:
    mine, shops = Limit(code="mine", limit=1, per="customer"), Limit(code="shops", limit=9, per="store")
    here = cart(line(1000), store="S1")
    found = evaluated(here, limited(mine, shops), shopper=ANNA)
    assert [each.key[3] for each in found.raises] == ["anna", "S1"]
    assert evaluated(here, limited(mine, shops), shopper=ANNA, usage=at(mine, 1, "anna")).discount == 0
    assert evaluated(here, limited(mine)).others[0].reason is Reason.MEMBER_REQUIRED
    assert evaluated(TEN, limited(shops)).others[0].reason is Reason.STORE_REQUIRED


def test_a_cart_has_limits_of_its_own_which_nobody_counts() -> None:
    limit = Limit(code="cart", kpi="discount", limit=250, per="cart", on_exceed="partial")
    found = evaluated(TEN, limited(limit), usage={})
    assert (found.discount, found.raises, found.read) == (250, (), ())


def test_a_time_between_uses() -> None:
    limit = Limit(code="pause", per="customer", min_seconds_between=3600)
    soon = at(limit, 1, "anna", "last", NOW - timedelta(seconds=3599))
    found = evaluated(TEN, limited(limit), shopper=ANNA, usage=soon)
    assert (found.others[0].reason, found.others[0].moment) == (Reason.TOO_SOON, NOW + timedelta(seconds=1))
    later = at(limit, 1, "anna", "last", NOW - timedelta(seconds=3600))
    found = evaluated(TEN, limited(limit), shopper=ANNA, usage=later)
    assert found.raises == (Raise(("counter", "a", "pause", "anna", "last"), 1, 1, None),)


def test_a_counter_that_was_not_loaded_is_asked_for() -> None:
    limit = Limit(code="ten", limit=10)
    with pytest.raises(NotLoaded) as missing:
        evaluated(TEN, limited(limit), usage={})
    assert missing.value.keys == (("counter", "a", "ten", "", ""),)


def test_the_counters_that_are_named_are_enough() -> None:
    limits = (
        Limit(code="ten", limit=10),
        Limit(code="mine", limit=1, per="customer", min_seconds_between=60, window="day"),
    )
    catalogue = Catalogue([limited(*limits, budget=Budget(code="b", limit=9999)), ZN34C])
    asked: dict[str, Any] = {
        "now": NOW, "shopper": ANNA, "presented": [Presented(code="ZN34C", promotion="ten-over-100")]
    }  # fmt: skip
    keys = counters(TEN, catalogue, **asked)
    assert len(keys) == 5
    found = evaluate(TEN, catalogue, usage={key: Counter() for key in keys}, **asked)
    assert {key for key, _ in found.read} == set(keys)


def test_limits_come_before_the_condition_since_shopping_does_not_mend_them() -> None:
    limit = Limit(code="ten", limit=10)
    found = evaluated(TEN, limited(limit, condition=spend(99999)), usage=at(limit, 10))
    assert found.others[0].reason is Reason.LIMIT_REACHED
