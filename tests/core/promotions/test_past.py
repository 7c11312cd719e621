"""Figures of a member's past, against the same added up plainly."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from guerdon.core.promotions.authoring import read
from guerdon.core.promotions.carts import Shopper
from guerdon.core.promotions.conditions import HistoryIs
from guerdon.core.promotions.past import Bought, Fact, Past
from guerdon.core.promotions.products import Entity, facets
from guerdon.core.promotions.terms import Promotion
from tests.core.promotions.till import NOW, cart, evaluated, line, of, off, promotion

moments = st.integers(-3_000, 200).map(lambda hours: NOW + timedelta(hours=hours))
facts = st.lists(
    st.builds(Fact, moments, st.integers(-500, 5_000), st.sampled_from(["USD", "EUR"]), st.booleans()), max_size=20
)
windows = st.one_of(st.none(), st.integers(1, 130))


def inside(at: datetime, days: int | None) -> bool:
    return at <= NOW and (days is None or at > NOW - timedelta(days=days))


@given(facts, windows)
def test_figures_are_those_of_the_facts_in_the_window(told: list[Fact], days: int | None) -> None:
    past = Past(NOW, told)
    within = [fact for fact in told if inside(fact.at, days)]
    assert past.purchases(NOW, days) == len([fact for fact in within if fact.purchase])
    assert past.spent(NOW, days, "USD") == max(0, sum(fact.paid for fact in within if fact.currency == "USD"))
    bought = [fact.at for fact in told if fact.purchase and fact.at <= NOW]
    assert past.last(NOW) == (max(bought) if bought else None)


purchases = st.lists(
    st.tuples(moments, st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy")), max_size=4)), max_size=8
)


@given(purchases, windows)
def test_products_were_bought_where_one_line_has_all_that_is_asked(
    told: list[tuple[datetime, list[tuple[str, str]]]], days: int | None
) -> None:
    past = Past(NOW, [], [Bought(at, tuple(line(5, sku=s, category=k) for s, k in lines)) for at, lines in told])
    wanted = of("sku", "a", "b") + of("category", "x")
    plainly = sum(inside(at, days) and any(s in "ab" and k == "x" for s, k in lines) for at, lines in told)
    assert past.bought(wanted, NOW, days) == plainly
    assert past.bought(of("sku", "a", "b"), NOW, days) == sum(
        inside(at, days) and any(s in "ab" for s, _ in lines) for at, lines in told
    )
    assert past.bought(of("category", "x", operator="not_in"), NOW, days) == sum(
        inside(at, days) and any(k != "x" for _, k in lines) for at, lines in told
    )


@given(purchases, st.lists(windows, max_size=5))
def test_what_was_asked_before_changes_no_figure(
    told: list[tuple[datetime, list[tuple[str, str]]]], asked: list[int | None]
) -> None:
    past = Past(NOW, [], [Bought(at, tuple(line(5, sku=s, category=k) for s, k in lines)) for at, lines in told])
    for days in asked:
        plainly = sum(inside(at, days) and any(s in "ab" for s, _ in lines) for at, lines in told)
        assert past.bought(of("sku", "a", "b"), NOW, days) == plainly


def test_one_criterion_is_looked_up_as_baskets_look() -> None:
    one = line(5, sku="a", category="x", brand="b", tags=("t",), attributes={"size": "L"})
    past = Past(NOW, [], [Bought(NOW, (one, line(0, sku="free"), line(5, sku="gift", excluded=True)))])
    known = list(facets(one.sku, one.categories, one.brand, one.tags, one.attributes))
    assert {entity for entity, _, _ in known} == set(get_args(Entity))
    for entity, name, value in known:
        assert past.bought(of(entity, value, name=name), NOW, None) == 1
        assert past.bought(of(entity, f"{value}!", name=name), NOW, None) == 0
    assert past.bought(of("sku", "free", "gift"), NOW, None) == 0


def test_conditions_say_what_is_missing() -> None:
    past = Past(
        NOW - timedelta(days=400), [Fact(NOW - timedelta(days=10, hours=1), 4_000, "USD")],
        [Bought(NOW - timedelta(days=10, hours=1), (line(4_000, sku="shoes"),))],
    )  # fmt: skip
    anna = Shopper(id="anna", past=past)
    new = Shopper(id="new", past=Past(NOW, [], []))
    for condition, shopper, missing in (
        (HistoryIs(kpi="purchases", operator="equals", value=0), new, None),
        (HistoryIs(kpi="purchases", operator="equals", value=0), anna, -1),
        (HistoryIs(kpi="spent", value=5_000), anna, 1_000),
        (HistoryIs(kpi="spent", value=1, days=10), anna, 1),
        (HistoryIs(kpi="spent", value=4_000, days=11), anna, None),
        (HistoryIs(kpi="days_since_purchase", value=10), anna, None),
        (HistoryIs(kpi="days_since_purchase", value=11), anna, 1),
        (HistoryIs(kpi="days_since_joined", value=365), anna, None),
        (HistoryIs(kpi="bought", value=1, products=of("sku", "shoes")), anna, None),
        (HistoryIs(kpi="bought", value=1, products=of("sku", "socks")), anna, 1),
    ):
        found = evaluated(cart(line(1_000)), promotion("p", off(100), condition=condition), shopper=shopper)
        assert bool(found.applied) is (missing is None), condition
        if missing is not None:
            assert found.others[0].misses[0].missing == missing, condition
    never = promotion("p", off(100), condition=HistoryIs(kpi="days_since_purchase", operator="at_least", value=0))
    (verdict,) = evaluated(cart(line(1_000)), never, shopper=new).others
    assert verdict.misses[0].actual is None, "who never bought has no last purchase"


def test_what_cannot_be_asked_is_refused() -> None:
    def faults(**condition: object) -> list[tuple[str, str]]:
        found = read(
            {
                "id": "x", "name": "x", "effects": [{"type": "amount", "amount": 1}],
                "condition": {"type": "history", "value": 1, **condition},
            }
        )  # fmt: skip
        return [] if isinstance(found, Promotion) else [(fault.path, fault.code) for fault in found]

    shoes = [{"entity": "sku", "values": ["shoes"]}]
    assert faults(kpi="bought", products=shoes, days=30) == []
    assert faults(kpi="bought") == [("condition.products", "empty")]
    assert faults(kpi="spent", products=shoes) == [("condition.products", "only_bought")]
    assert faults(kpi="days_since_joined", days=3) == [("condition.days", "has_no_window")]
    assert faults(kpi="purchases", days=0) == [("condition.days", "out_of_range")]
    assert faults(kpi="points") == [("condition.kpi", "wrong_type")]
