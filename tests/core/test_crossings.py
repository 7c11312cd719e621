"""What runs low is said once for each time that it does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from guerdon.core import commands as c
from guerdon.core.catalogue import ListTerms, RewardTerms
from guerdon.core.promotions.effects import Percent
from guerdon.core.promotions.limits import Budget, Limit
from guerdon.core.promotions.terms import Promotion
from tests.core.test_codes import Campaign
from tests.core.world import World

MUG = RewardTerms(name="Mug", low_stock=2)


class Catalogue(World):
    def __init__(self, terms: RewardTerms = MUG, stock: int | None = 5) -> None:
        super().__init__()
        self.with_program()
        self.amy = self.member("amy")
        self.ok(c.Award, member=self.amy, points=1_000, reason="x")
        self.listed = self.ok(c.CreateRewardList, terms=ListTerms(name="Things", price=1)).id
        self.mug = self.ok(c.CreateReward, list=self.listed, terms=terms, stock=stock).id

    def claim(self) -> Any:
        return self.ok(c.ClaimReward, member=self.amy, reward=self.mug)

    def said(self) -> list[str]:
        return notices(self)


def notices(world: World) -> list[str]:
    """What was said, each as the event's name and what is left."""
    events = [event for event in world.state.events.values() if event.name.endswith("Low")]
    assert all(event.member_no == 0 and event.reason for event in events)
    return [f"{event.name} {msgspec.json.decode(event.body)['left']}" for event in events]


def test_low_stock_is_said_when_it_is_reached_and_not_again() -> None:
    shop = Catalogue()
    for _ in range(5):
        shop.claim()
    assert shop.said() == ["RewardStockLow 2"]
    (event,) = [event for event in shop.state.events.values() if event.name == "RewardStockLow"]
    assert event.reference == f"rwd_{shop.mug}"
    before = max(seq for seq in shop.state.events if seq < event.seq)
    assert shop.state.events[before].name == "RewardClaim", "it stands behind what caused it"


def test_what_came_back_can_run_low_again() -> None:
    shop = Catalogue(stock=3)
    first = shop.claim()
    shop.ok(c.MoveClaim, claim=first.id, status="cancelled")
    assert shop.said() == ["RewardStockLow 2"]
    shop.claim()
    assert shop.said() == ["RewardStockLow 2"] * 2


def test_restocking_to_less_than_the_mark_is_said_and_a_refused_claim_says_nothing() -> None:
    shop = Catalogue()
    shop.ok(c.ChangeReward, reward=shop.mug, terms=MUG, restock=True, stock=0)
    shop.no(c.ClaimReward, member=shop.amy, reward=shop.mug)
    assert shop.said() == ["RewardStockLow 0"]


def test_nothing_is_said_where_nobody_asked_or_there_is_no_end() -> None:
    for terms, stock in ((RewardTerms(name="Mug"), 3), (MUG, None)):
        shop = Catalogue(terms, stock)
        for _ in range(3):
            shop.claim()
        assert shop.said() == []


@given(st.integers(0, 6), st.integers(0, 6), st.lists(st.sampled_from(["claim", "back", "fill"]), max_size=25))
def test_it_is_said_as_often_as_the_stock_falls_to_the_mark(low: int, stock: int, steps: list[str]) -> None:
    terms = RewardTerms(name="Mug", low_stock=low)
    shop, left, out, expected = Catalogue(terms, stock), stock, [], []
    for step in steps:
        was = left
        if step == "claim" and left:
            out.append(shop.claim().id)
            left -= 1
        elif step == "back" and out:
            shop.ok(c.MoveClaim, claim=out.pop(), status="denied")
            left += 1
        elif step == "fill":
            left = 6
            shop.ok(c.ChangeReward, reward=shop.mug, terms=terms, restock=True, stock=left)
        if left <= low < was:
            expected.append(f"RewardStockLow {left}")
    assert shop.said() == expected


def test_low_codes_are_said_when_they_are_reached() -> None:
    shop = Campaign()
    amy = shop.member("amy")
    shop.ok(c.Award, member=amy, points=1_000, reason="x")
    batch = shop.batch()
    shop.bring(batch, "AAA1", "BBB2", "CCC3", "DDD4")
    listed = shop.ok(c.CreateRewardList, terms=ListTerms(name="Codes", price=1)).id
    terms = RewardTerms(name="Code", kind="discount_code", codes=batch, low_stock=1)
    reward = shop.ok(c.CreateReward, list=listed, terms=terms).id
    got = [shop.ok(c.ClaimReward, member=amy, reward=reward).code for _ in range(4)]
    assert got == ["AAA1", "BBB2", "CCC3", "DDD4"]
    assert notices(shop) == ["RewardCodesLow 1"]
    shop.bring(batch, "EEE5", "FFF6")
    shop.ok(c.ClaimReward, member=amy, reward=reward)
    assert notices(shop) == ["RewardCodesLow 1"] * 2


def test_a_low_budget_and_a_low_limit_are_said_once() -> None:
    shop = World()
    shop.with_program()
    terms = Promotion(
        id="",
        name="Ten off",
        effects=(Percent(ppm=100_000),),
        limits=(Limit(code="all", kpi="uses", limit=10), Limit(code="mine", kpi="uses", limit=2, per="customer")),
        budget=Budget(code="spring", limit=1_000, on_exceed="partial"),
    )
    promotion = shop.ok(c.CreatePromotion, terms=terms).terms.id
    shop.ok(c.RunPromotion, promotion=promotion, status="active")
    for number in range(10):
        shop.later(seconds=1)
        member = shop.member(f"m{number}")
        shop.buy(f"B-{number}", 1_000, member, promotions=True)
    low = [event for event in shop.state.events.values() if event.name == "PromotionBudgetLow"]
    assert {(event.reference, event.reason) for event in low} == {
        ("budget:spring", "100 of 1000 left"),
        (f"prm_{promotion}", "1 of 10 left"),
    }
    assert len(low) == 2
    assert {shop.state.events[event.seq].recorded_at for event in low} == {shop.now - timedelta(seconds=1)}
