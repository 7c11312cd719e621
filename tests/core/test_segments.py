"""Segments: lists and conditions, and what they decide: who earns more, which promotions and rewards are for whom."""

from __future__ import annotations

from typing import Any

import pytest

from guerdon.core import commands as c
from guerdon.core import segments
from guerdon.core.catalogue import ListTerms, RewardTerms
from guerdon.core.outcomes import Rejection
from guerdon.core.programs import Policies, Rule
from guerdon.core.promotions.effects import Percent
from guerdon.core.promotions.terms import Audience, Promotion
from guerdon.core.segments import (
    ActivityIs,
    AttributeIs,
    BalanceIs,
    Condition,
    Every,
    Not,
    SegmentIs,
    Some,
    TierIs,
)
from tests.core.test_standings import Club

BASE = Rule(code="base", kind="per_amount", points=1, amount=100)


class Town(Club):
    """A club with people in it."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        for name, city in (("ada", "Bern"), ("bea", "Basel")):
            self.ok(c.RegisterMember, identifiers=(("external_id", name),), profile=f'{{"city":"{city}"}}')

    def who(self, *codes: str, member: str = "ada") -> set[str]:
        found = self.state.members[self.no_of(("external_id", member))]
        return set(segments.of(self.state, found, self.now, codes))

    def define(self, code: str, condition: Condition | None = None) -> None:
        self.ok(c.CreateSegment, code=code, name=code, condition=condition)


ADA, BEA = ("external_id", "ada"), ("external_id", "bea")


def test_a_list_holds_who_was_put_on_it_until_they_are_taken_off() -> None:
    town = Town()
    town.define("vip")
    assert town.who("vip") == set()
    assert town.ok(c.ListMembers, segment="vip", members=(ADA, ADA, BEA)).changed == 2
    assert town.ok(c.ListMembers, segment="vip", members=(ADA,)).changed == 0
    assert town.who("vip") == {"vip"}
    town.ok(c.ListMembers, segment="vip", members=(ADA,), present=False)
    assert town.who("vip") == set()
    assert town.who("vip", member="bea") == {"vip"}


def test_who_takes_over_a_merged_member_is_on_its_lists_and_can_be_taken_off_them() -> None:
    town = Town()
    for code in ("vip", "old", "bern"):
        town.define(code, AttributeIs(name="city", values=("Bern",)) if code == "bern" else None)
    town.ok(c.ListMembers, segment="vip", members=(ADA,))
    town.ok(c.ListMembers, segment="old", members=(ADA,))
    town.ok(c.ListMembers, segment="old", members=(ADA,), present=False)
    number = ("number", str(town.no_of(ADA)))
    town.ok(c.MergeMembers, victim=ADA, survivor=BEA)
    assert town.who("vip", "old", "bern", member="bea") == {"vip"}
    ada, bea = town.no_of(number), town.no_of(BEA)
    assert town.state.segment_entries == {("vip", ada): (2, False), ("old", ada): (2, False), ("vip", bea): (1, True)}
    assert town.no(c.ListMembers, segment="vip", members=(number,)).code is Rejection.MEMBER_MERGED
    town.ok(c.ListMembers, segment="vip", members=(ADA,), present=False)
    assert town.who("vip", member="bea") == set()


def test_one_unknown_member_leaves_the_list_as_it_was() -> None:
    town = Town()
    town.define("vip")
    refused = town.no(c.ListMembers, segment="vip", members=(ADA, ("external_id", "nobody")))
    assert (refused.code, refused.field) == (Rejection.MEMBER_NOT_FOUND, "members[1]")
    assert town.who("vip") == set()


@pytest.mark.parametrize(
    ("condition", "ada", "bea"),
    [
        (AttributeIs(name="city", values=("bern",)), True, False),
        (Not(of=AttributeIs(name="city", values=("bern",))), False, True),
        (ActivityIs(kpi="purchases", value=2), True, False),
        (ActivityIs(kpi="purchases", value=2, within_days=5), False, False),
        (ActivityIs(kpi="spent", currency="USD", value=12_000, program="main"), True, False),
        (ActivityIs(kpi="days_since_purchase", operator="at_most", value=4), True, False),
        (ActivityIs(kpi="days_since_joined", value=7), True, True),
        (TierIs(program="main", values=("silver", "gold")), True, False),
        (BalanceIs(program="main", value=120), True, False),
        (BalanceIs(program="main", operator="at_most", value=119), False, True),
        (Every(of=(BalanceIs(program="main", value=1), AttributeIs(name="city", values=("Bern",)))), True, False),
        (Some(of=(AttributeIs(name="city", values=("Basel",)), BalanceIs(program="main", value=1))), True, True),
    ],
)  # fmt: skip
def test_a_condition_holds_of_whom_it_says(condition: Condition, ada: bool, bea: bool) -> None:
    town = Town()
    town.define("some", condition)
    town.define("those", SegmentIs(values=("some",)))
    town.buy("1", 6_000, ADA)
    town.later(days=7)
    town.buy("2", 6_000, ADA)
    assert town.who("some", "those") == ({"some", "those"} if ada else set())
    assert town.who("some", member="bea") == ({"some"} if bea else set())


def test_a_new_profile_counts_at_once() -> None:
    town = Town()
    town.define("bern", AttributeIs(name="city", values=("Bern",)))
    town.ok(c.ChangeMember, member=BEA, profile='{"city":"Bern"}')
    assert town.who("bern", member="bea") == {"bern"}


def test_what_a_condition_names_must_be_there_and_may_not_lead_back() -> None:
    town = Town()
    town.define("list")
    town.define("a", SegmentIs(values=("list",)))
    town.define("b", Not(of=SegmentIs(values=("a",))))
    cases: list[tuple[Condition, Rejection, str]] = [
        (AttributeIs(name="shoe_size", values=("42",)), Rejection.UNKNOWN_ATTRIBUTE, "condition.name"),
        (Every(of=()), Rejection.INVALID_VALUE, "condition.of"),
        (Not(of=SegmentIs(values=("list", "none"))), Rejection.SEGMENT_NOT_FOUND, "condition.of.values[1]"),
        (TierIs(program="main", values=("lead",)), Rejection.UNKNOWN_ATTRIBUTE, "condition.values[0]"),
        (BalanceIs(program="club", value=1), Rejection.PROGRAM_NOT_FOUND, "condition.program"),
        (ActivityIs(kpi="spent", value=1), Rejection.INVALID_VALUE, "condition.currency"),
        (ActivityIs(kpi="spent", currency="XXX", value=1), Rejection.ASSET_NOT_FOUND, "condition.currency"),
        (ActivityIs(kpi="purchases", value=1, within_days=-1), Rejection.INVALID_VALUE, "condition.within_days"),
    ]
    for condition, code, field in cases:
        refused = town.no(c.CreateSegment, code="x", name="X", condition=condition)
        assert (refused.code, refused.field) == (code, field), condition
    refused = town.no(c.ChangeSegment, segment="a", condition=SegmentIs(values=("b",)))
    assert refused.code == Rejection.SEGMENTS_IN_A_CIRCLE
    assert town.no(c.ChangeSegment, segment="list", condition=SegmentIs(values=("a",))).code == Rejection.INVALID_VALUE
    assert town.no(c.ListMembers, segment="a", members=(ADA,)).code == Rejection.SEGMENT_IS_NO_LIST
    assert town.no(c.CreateSegment, code="a", name="A").code == Rejection.CODE_TAKEN


# -- what they are for ------------------------------------------------------------------------------------------------


def test_earning_rules_ask_for_the_tier_before_the_purchase_and_for_segments() -> None:
    town = Town()
    town.define("vip")
    rules = (
        BASE,
        Rule(code="silver", kind="multiplier", points=2, tiers=("silver", "gold")),
        Rule(code="vip", kind="fixed", points=7, segments=("vip",)),
    )
    town.ok(c.ChangeProgram, program=town.main, policies=Policies(rules=rules, currency="USD"))
    assert town.buy("1", 10_000, ADA).balances[0][1] == 100, (
        "the purchase that reaches a tier earns under the one before"
    )
    assert town.buy("2", 10_000, ADA).balances[0][1] == 300
    town.ok(c.ListMembers, segment="vip", members=(BEA,))
    assert [each.points for each in town.buy("3", 5_000, BEA).earned] == [50, 7]


def test_promotions_ask_for_tiers_and_segments() -> None:
    town = Town()
    town.define("bern", AttributeIs(name="city", values=("Bern",)))
    for audience in (Audience(tiers=frozenset({"silver"})), Audience(segments=frozenset({"bern"}))):
        terms = Promotion(id="", name="Ten off", effects=(Percent(ppm=100_000),), audience=audience, status="active")
        town.ok(c.CreatePromotion, terms=terms)
    assert town.buy("1", 10_000, ADA, promotions=True).paid == 9_000
    assert town.buy("2", 10_000, ADA, promotions=True).paid == 9_000
    assert town.buy("3", 10_000, ADA, promotions=True).paid < 9_000, "silver by now"
    assert town.buy("4", 10_000, BEA, promotions=True).paid == 10_000


def test_a_list_of_rewards_may_be_for_a_tier_or_a_segment_only() -> None:
    town = Town()
    town.define("vip")
    for member in (ADA, BEA):
        town.ok(c.Award, member=member, points=500, reason="to claim with")
    listed = town.ok(c.CreateRewardList, terms=ListTerms(name="Silver", price=1, tiers=("silver",), segments=("vip",)))
    mug = town.ok(c.CreateReward, list=listed.id, terms=RewardTerms(name="Mug"))
    assert town.no(c.ClaimReward, member=ADA, reward=mug.id).code == Rejection.NOT_IN_AUDIENCE
    town.buy("1", 10_000, ADA)
    assert town.no(c.ClaimReward, member=ADA, reward=mug.id).code == Rejection.NOT_IN_AUDIENCE
    town.ok(c.ListMembers, segment="vip", members=(ADA, BEA))
    assert town.ok(c.ClaimReward, member=ADA, reward=mug.id).points == 1
    assert town.no(c.ClaimReward, member=BEA, reward=mug.id).code == Rejection.NOT_IN_AUDIENCE
