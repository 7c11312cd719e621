"""What members and staff move: transfers, merges, bulk awards, adjustments, referrals, and group redemptions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from guerdon.core import commands as c
from guerdon.core.outcomes import Accepted, Rejection
from guerdon.core.programs import Policies, RedemptionRate, ReferralPoints, Rule, TransferLimits
from tests.core.world import THIRTY_DAYS, World
from tests.model.auditor import audit


def club(**policies: Any) -> tuple[World, tuple[str, str], tuple[str, str]]:
    """A program, and Amy and Bob."""
    world = World().with_program(**policies)
    return world, world.member("amy"), world.member("bob")


def give(world: World, member: tuple[str, str], points: int, **fields: Any) -> None:
    world.ok(c.Award, member=member, points=points, reason="test", **fields)


def holds(world: World) -> None:
    audit(world.rows)


def lots_of(world: World, member: tuple[str, str]) -> list[tuple[int, datetime | None]]:
    """(remaining, end) of what a member has left, soonest first."""
    found = [lot for lot in world.state.lots_of(world.account(member)) if lot.remaining]
    return sorted(((lot.remaining, lot.expires_at) for lot in found), key=str)


# -- transfers


def test_a_transfer_takes_what_ends_first_and_keeps_its_end() -> None:
    world, amy, bob = club(expiry=THIRTY_DAYS)
    give(world, amy, 50)
    first_end = lots_of(world, amy)[0][1]
    world.later(days=10)
    give(world, amy, 50)
    sent = world.ok(c.TransferPoints, member=amy, recipient=bob, points=60)
    assert sent.balance == world.balance(amy) == 40
    assert world.balance(bob) == 60
    assert {end for points, end in lots_of(world, bob) if points == 50} == {first_end}
    world.later(days=21)
    world.ok(c.ExpireLots, accounts=(world.account(bob),))
    assert world.balance(bob) == 10
    holds(world)


def test_each_side_of_a_transfer_sees_its_own_half() -> None:
    world, amy, bob = club()
    give(world, amy, 50)
    sent = world.ok(c.TransferPoints, member=amy, recipient=bob, points=20)
    named = {world.state.found["member", *who]: who for who in (amy, bob)}
    seen = [(named[e.member_no][1], e.points) for e in world.state.events.values() if e.name == "PointsTransfer"]
    assert seen == [("amy", -20), ("bob", 20)]
    mirror = next(e for e in world.state.events.values() if e.mirrors)
    assert (mirror.mirrors, mirror.transfers) == (sent.event_no, 0)


def test_what_the_recipient_owes_is_repaid_from_a_transfer() -> None:
    world, amy, bob = club()
    give(world, amy, 100)
    world.buy("B-1", 5_000, bob)
    world.ok(c.Redeem, member=bob, points=50)
    world.ok(c.ReturnPurchase, purchase=("number", "B-1"), number="R-1")
    assert world.balance(bob) == -50
    world.ok(c.TransferPoints, member=amy, recipient=bob, points=80)
    assert world.balance(bob) == 30
    holds(world)


def test_a_transfer_is_not_undone_by_a_later_return() -> None:
    world, amy, bob = club()
    world.buy("B-1", 5_000, amy)
    world.ok(c.TransferPoints, member=amy, recipient=bob, points=50)
    world.ok(c.ReturnPurchase, purchase=("number", "B-1"), number="R-1")
    assert (world.balance(amy), world.balance(bob)) == (-50, 50)
    holds(world)


def test_the_limits_of_a_day_and_a_month_are_exact() -> None:
    limits = TransferLimits(minimum=5, points_per_day=50, count_per_day=3, points_per_month=70)
    world, amy, bob = club(transfers=limits, timezone="Europe/Berlin")
    give(world, amy, 500)
    world.now = datetime(2027, 1, 30, 22, 30, tzinfo=UTC)  # 23:30 in Berlin
    below = world.no(c.TransferPoints, member=amy, recipient=bob, points=4)
    assert (below.code, below.detail) == (Rejection.TRANSFER_BELOW_MINIMUM, {"minimum": 5, "points": 4})
    world.ok(c.TransferPoints, member=amy, recipient=bob, points=40)
    over = world.no(c.TransferPoints, member=amy, recipient=bob, points=11)
    assert over.code is Rejection.TRANSFER_LIMIT_EXCEEDED
    assert over.detail == {
        "limited": "points per day", "limit": 50, "used": 40, "asked": 11, "window_end": "2027-01-30T23:00:00+00:00",
    }  # fmt: skip
    world.later(minutes=30)
    over = world.no(c.TransferPoints, member=amy, recipient=bob, points=31)
    assert (over.detail["limited"], over.detail["used"]) == ("points per month", 40), "a day later in Berlin"
    assert over.detail["window_end"] == "2027-01-31T23:00:00+00:00"
    for _ in range(3):
        world.ok(c.TransferPoints, member=amy, recipient=bob, points=5)
    over = world.no(c.TransferPoints, member=amy, recipient=bob, points=5)
    assert (over.detail["limited"], over.detail["limit"]) == ("count per day", 3)
    world.later(days=1)
    assert world.ok(c.TransferPoints, member=amy, recipient=bob, points=50).balance == 500 - 40 - 15 - 50
    holds(world)


def test_a_transfer_is_refused_to_oneself_to_the_blocked_the_merged_and_those_without_an_account() -> None:
    world, amy, bob = club()
    give(world, amy, 50)
    before = len(world.state.events)

    def refused(recipient: tuple[str, str], points: int = 10) -> tuple[Rejection, str]:
        refusal = world.no(c.TransferPoints, member=amy, recipient=recipient, points=points)
        return refusal.code, refusal.field

    assert refused(amy) == (Rejection.SAME_MEMBER, "recipient")
    assert refused(("external_id", "nobody")) == (Rejection.MEMBER_NOT_FOUND, "recipient")
    assert refused(bob, 51) == (Rejection.INSUFFICIENT_POINTS, "points")
    assert refused(bob, 0) == (Rejection.AMOUNT_NOT_POSITIVE, "points")
    world.ok(c.RegisterMember, identifiers=(("email", "raw@example.org"),), enrol=False)
    assert refused(("email", "raw@example.org")) == (Rejection.NOT_ENROLLED, "recipient")
    world.ok(c.ChangeMember, member=bob, status="blocked")
    assert refused(bob) == (Rejection.MEMBER_BLOCKED, "recipient")
    assert len(world.state.events) == before, "nothing is written"
    world.ok(c.ChangeMember, member=bob, status="active")
    cat = world.member("cat")
    bob_no = str(world.state.found["member", *bob])
    world.ok(c.MergeMembers, victim=bob, survivor=cat)
    assert refused(("number", bob_no)) == (Rejection.MEMBER_MERGED, "recipient")
    world.ok(c.TransferPoints, member=amy, recipient=bob, points=10)
    assert world.balance(cat) == 10, "the merged member's names are the survivor's"


# -- merges


def test_a_merge_moves_all_points_with_their_ends() -> None:
    world, amy, bob = club(expiry=THIRTY_DAYS, rules=(Rule(code="later", kind="fixed", points=7, category="promised"),))
    give(world, amy, 30)
    ends = lots_of(world, amy)
    world.later(days=5)
    world.buy("B-1", 100, amy)
    merged = world.ok(c.MergeMembers, victim=amy, survivor=bob)
    assert sorted((category, points) for _, category, points in merged.moved) == [("promised", 7), ("regular", 30)]
    assert (world.balance(bob), world.balance(bob, "promised")) == (30, 7)
    assert lots_of(world, bob) == ends
    assert world.state.found["member", *amy] == world.state.found["member", *bob]
    holds(world)


def test_a_merge_takes_a_debt_over() -> None:
    world, amy, bob = club()
    world.buy("B-1", 10_000, amy)
    world.ok(c.Redeem, member=amy, points=90)
    world.ok(c.ReturnPurchase, purchase=("number", "B-1"), number="R-1")
    give(world, bob, 50)
    victim, survivor = (world.account(each) for each in (amy, bob))
    world.ok(c.MergeMembers, victim=amy, survivor=bob)
    assert [world.state.figures_of(no).balance for no in (victim, survivor)] == [0, -40]
    named = [event.points for event in world.state.events.values() if event.name == "CustomerMerge"]
    assert named == [90, -90], "reversed where the victim is below zero"
    holds(world)


def test_what_the_victim_had_earned_counts_as_the_survivors_and_the_merge_itself_does_not() -> None:
    world, amy, bob = club(minimum_lifetime=150)
    give(world, amy, 100)
    world.ok(c.AdjustPoints, member=amy, points=-90, reason="spent elsewhere", person="eve")
    give(world, amy, 60)
    give(world, bob, 70)
    refusal = world.no(c.Redeem, member=bob, points=10)
    assert refusal.detail == {"minimum": 150, "lifetime": 70}
    world.ok(c.MergeMembers, victim=amy, survivor=bob)
    refusal = world.no(c.Redeem, member=bob, points=10)
    assert refusal.detail == {"minimum": 150, "lifetime": 140}
    cat = world.member("cat")
    give(world, cat, 10)
    world.ok(c.MergeMembers, victim=bob, survivor=cat)
    world.ok(c.Redeem, member=cat, points=10)
    holds(world)


def test_who_was_referred_stays_so_after_a_merge() -> None:
    world, amy, bob = club(referral=ReferralPoints(100, 40))
    cat, dan = world.member("cat"), world.member("dan")
    referral = world.ok(c.Refer, referrer=amy, referred=bob)
    world.ok(c.MergeMembers, victim=bob, survivor=cat)
    world.ok(c.MergeMembers, victim=cat, survivor=dan)
    again = world.no(c.Refer, referrer=amy, referred=dan)
    assert (again.code, again.detail) == (Rejection.ALREADY_REFERRED, {"referral_id": referral.id})
    holds(world)


def test_returns_and_reversals_of_a_merged_members_facts_book_on_the_survivor() -> None:
    world, amy, bob = club(expiry=THIRTY_DAYS)
    cat = world.member("cat")
    world.buy("B-1", 10_000, amy)
    spent = world.ok(c.Redeem, member=amy, points=30)
    world.ok(c.MergeMembers, victim=amy, survivor=bob)
    world.ok(c.MergeMembers, victim=bob, survivor=cat)
    assert world.balance(cat) == 70
    world.ok(c.ReverseRedemption, redemption=spent.id, points=10)
    assert world.balance(cat) == 80
    returned = world.ok(c.ReturnPurchase, purchase=("number", "B-1"), number="R-1")
    assert (returned.returned_points, world.balance(cat)) == (100, -20)
    world.ok(c.ReverseRedemption, redemption=spent.id)
    assert world.balance(cat) == 0
    holds(world)


def test_what_ended_after_a_merge_is_returned_without_a_line() -> None:
    world, amy, bob = club(expiry=THIRTY_DAYS)
    world.buy("B-1", 10_000, amy)
    world.ok(c.MergeMembers, victim=amy, survivor=bob)
    world.later(days=40)
    give(world, bob, 100)
    returned = world.ok(c.ReturnPurchase, purchase=("number", "B-1"), number="R-1")
    assert (returned.returned_points, world.balance(bob)) == (0, 100)
    holds(world)


def test_a_merge_is_refused_into_itself_of_and_into_the_merged_and_while_points_are_on_hold() -> None:
    world, amy, bob = club()
    cat = world.member("cat")
    give(world, amy, 50)
    account = world.state.accounts[world.account(amy)].id
    hold = c.Posting(
        asset="POINTS", amount=5, precision=1, reference="H", source=account, destination="@Shop", inflight=True
    )
    made = world.ok(c.Post, postings=(hold,))
    held = world.no(c.MergeMembers, victim=amy, survivor=bob)
    assert (held.code, held.detail["on_hold"]) == (Rejection.MEMBER_HAS_HOLDS, 5)
    world.ok(c.Release, target=made.rows[0].id)
    assert world.no(c.MergeMembers, victim=amy, survivor=amy).code is Rejection.SAME_MEMBER
    amy_id = ("number", str(world.state.found["member", *amy]))
    world.ok(c.MergeMembers, victim=amy, survivor=bob)
    again = world.no(c.MergeMembers, victim=amy_id, survivor=cat)
    assert (again.code, again.field) == (Rejection.MEMBER_MERGED, "member")
    into = world.no(c.MergeMembers, victim=cat, survivor=amy_id)
    assert (into.code, into.field) == (Rejection.MEMBER_MERGED, "survivor")
    assert world.no(c.MergeMembers, victim=amy, survivor=bob).code is Rejection.SAME_MEMBER, "its names are bob's now"
    late = c.Posting(
        asset="POINTS", amount=5, precision=1, reference="L", source="@World", destination=account, allow_overdraft=True
    )
    assert world.no(c.Post, postings=(late,)).code is Rejection.MEMBER_MERGED
    holds(world)


# -- bulk awards, adjustments, referrals


def test_a_bulk_award_gives_each_row_what_it_deserves() -> None:
    world, amy, bob = club()
    world.ok(c.ChangeMember, member=bob, status="blocked")
    rows = [(amy, 10), (bob, 10), (("external_id", "who"), 10), (amy, -1), (amy, 5)]
    made = world.ok(c.AwardMany, rows=tuple(c.Allocation(member=m, points=p, reason="week") for m, p in rows))
    assert [row.refused.code.value if row.refused else row.awarded.balance for row in made.rows] == [
        10, "member_blocked", "member_not_found", "amount_not_positive", 15,
    ]  # fmt: skip
    named = [event.points for event in world.state.events.values() if event.name == "BulkAllocatePoints"]
    assert named == [10, 5]
    holds(world)


def test_a_bulk_award_under_the_same_key_is_made_once() -> None:
    world, amy, _ = club()
    rows = (c.Allocation(member=amy, points=10, reason="week"),)
    first = world.do(c.AwardMany, rows=rows, key="k")
    again = world.do(c.AwardMany, rows=rows, key="k")
    assert isinstance(first, Accepted)
    assert again == Accepted(first.result, replayed=True)
    assert world.balance(amy) == 10


def test_an_adjustment_within_the_limit_is_booked_at_once_either_way() -> None:
    world, amy, _ = club(adjustment_limit=50)
    assert world.ok(c.AdjustPoints, member=amy, points=50, reason="count", person="eve").status == "booked"
    assert world.ok(c.AdjustPoints, member=amy, points=-20, reason="count", person="eve").balance == 30
    adjusted = world.internal("@PointsAdjusted")
    assert (adjusted.debit, adjusted.credit) == (50, 20)
    refusal = world.no(c.AdjustPoints, member=amy, points=-31, reason="count", person="eve")
    assert refusal.code is Rejection.INSUFFICIENT_POINTS
    holds(world)


def test_an_adjustment_above_the_limit_takes_two_persons() -> None:
    world, amy, _ = club(adjustment_limit=50)
    asked = world.ok(c.AdjustPoints, member=amy, points=51, reason="count", person="eve")
    assert (asked.status, asked.event_no, world.balance(amy)) == ("pending", 0, 0)
    for approve in (True, False):
        same = world.no(c.DecideAdjustment, adjustment=asked.id, approve=approve, person="eve", actor="another key")
        assert same.code is Rejection.SAME_PERSON
    assert world.ok(c.DecideAdjustment, adjustment=asked.id, approve=True, person="sam").status == "booked"
    assert world.balance(amy) == 51
    twice = world.no(c.DecideAdjustment, adjustment=asked.id, approve=True, person="sam")
    assert twice.code is Rejection.ALREADY_DECIDED
    holds(world)


def test_an_adjustment_that_waits_too_long_or_is_rejected_is_never_booked() -> None:
    world, amy, _ = club(adjustment_limit=0)
    late, rejected = [
        world.ok(c.AdjustPoints, member=amy, points=5, reason="count", person="eve").id for _ in ("late", "rejected")
    ]
    assert world.ok(c.DecideAdjustment, adjustment=rejected, approve=False, person="sam").status == "rejected"
    world.later(days=7)
    refusal = world.no(c.DecideAdjustment, adjustment=late, approve=True, person="sam")
    assert refusal.code is Rejection.ADJUSTMENT_EXPIRED
    assert world.no(c.DecideAdjustment, adjustment="?", approve=True, person="sam").code is (
        Rejection.ADJUSTMENT_NOT_FOUND
    )
    assert world.balance(amy) == 0
    holds(world)


def test_what_an_adjustment_took_of_a_bills_points_is_returned_from_others() -> None:
    world, amy, _ = club()
    world.buy("B-1", 10_000, amy)
    give(world, amy, 50)
    world.ok(c.AdjustPoints, member=amy, points=-30, reason="count", person="eve")
    returned = world.ok(c.ReturnPurchase, purchase=("number", "B-1"), number="R-1")
    assert (returned.returned_points, world.balance(amy)) == (100, 20)
    holds(world)


def test_a_referral_gives_both_sides_their_points_once() -> None:
    world, amy, bob = club(referral=ReferralPoints(100, 40))
    referral = world.ok(c.Refer, referrer=amy, referred=bob)
    assert (world.balance(amy), world.balance(bob)) == (100, 40)
    cat = world.member("cat")
    again = world.no(c.Refer, referrer=cat, referred=bob)
    assert (again.code, again.detail) == (Rejection.ALREADY_REFERRED, {"referral_id": referral.id})
    assert world.no(c.Refer, referrer=cat, referred=cat).code is Rejection.SAME_MEMBER
    world.ok(c.Refer, referrer=amy, referred=cat)
    assert world.balance(amy) == 200
    holds(world)


@pytest.mark.parametrize(("on_shortfall", "left", "short"), [("below_zero", -30, 0), ("write_off", 0, 30)])
def test_a_referral_is_taken_back_on_both_sides(on_shortfall: str, left: int, short: int) -> None:
    world, amy, bob = club(referral=ReferralPoints(100, 40), on_shortfall=on_shortfall)
    referral = world.ok(c.Refer, referrer=amy, referred=bob)
    spent = world.ok(c.Redeem, member=bob, points=30)
    returned = world.ok(c.ReturnReferral, referral=referral.id)
    assert (returned.returned_points, returned.written_off) == (140 - short, short)
    assert (world.balance(amy), world.balance(bob)) == (0, left)
    assert world.no(c.ReturnReferral, referral=referral.id).code is Rejection.REFERRAL_ALREADY_RETURNED
    world.ok(c.ReverseRedemption, redemption=spent.id)
    assert world.balance(bob) == 0, "neither a debt nor written-off points are a gift"
    holds(world)


def test_where_the_program_gives_nothing_for_referrals_that_is_said() -> None:
    world, amy, bob = club()
    assert world.no(c.Refer, referrer=amy, referred=bob).code is Rejection.REFERRAL_POINTS_MISSING


# -- conditions, previews, group redemptions


def test_each_condition_on_a_redemption_names_its_figure() -> None:
    world, amy, bob = club(minimum_redemption=20, maximum_redemption=60, redemption_multiple=10, minimum_lifetime=150)
    give(world, amy, 100)

    def refused(points: int) -> tuple[str, dict[str, Any]]:
        refusal = world.no(c.Redeem, member=amy, points=points)
        return refusal.code.value, refusal.detail

    assert refused(10) == ("redemption_below_minimum", {"minimum": 20, "points": 10})
    assert refused(70) == ("redemption_above_maximum", {"maximum": 60, "points": 70})
    assert refused(25) == ("redemption_not_a_multiple", {"multiple_of": 10, "points": 25})
    assert refused(20) == ("lifetime_points_too_low", {"minimum": 150, "lifetime": 100})
    world.buy("B-1", 10_000, amy)
    world.ok(c.Redeem, member=amy, points=60)
    world.ok(c.ReturnPurchase, purchase=("number", "B-1"), number="R-1")
    assert refused(20) == ("lifetime_points_too_low", {"minimum": 150, "lifetime": 100}), "earned less returned"
    give(world, bob, 50)
    world.ok(c.TransferPoints, member=bob, recipient=amy, points=50)
    assert world.ok(c.Redeem, member=amy, points=20).points == 20


def test_a_preview_says_exactly_what_the_redemption_then_does() -> None:
    world, amy, _ = club(expiry=THIRTY_DAYS)
    give(world, amy, 50)
    world.later(days=3)
    give(world, amy, 50)
    world.later(days=28)
    redeem = world.make(c.Redeem, member=amy, points=20)
    before = (dict(world.state.counters), dict(world.state.figures), world.state.mark())
    said = world.ok(c.PreviewRedemption, of=redeem)
    assert (dict(world.state.counters), dict(world.state.figures), world.state.mark()) == before, "nothing is written"
    done = world.run(redeem)
    assert isinstance(done, Accepted)
    assert done.result == said
    assert (said.balance, said.money, [points for _, points in said.taken]) == (30, 200, [20])
    poor = world.make(c.Redeem, member=amy, points=31)
    assert world.do(c.PreviewRedemption, of=poor) == world.run(poor)


def two_programs() -> tuple[World, tuple[str, str]]:
    world = World().with_program(expiry=THIRTY_DAYS)
    policies = Policies(redemption_rate=RedemptionRate(1, 5), currency="USD")
    world.ok(c.CreateProgram, code="cafe", name="Cafe", asset="POINTS", policies=policies)
    return world, world.member("amy")


def test_a_group_redemption_takes_what_ends_first_across_programs() -> None:
    world, amy = two_programs()
    give(world, amy, 40, program=("code", "cafe"))
    give(world, amy, 30)
    assert world.no(c.Redeem, member=amy, points=60).code is Rejection.INSUFFICIENT_POINTS
    spent = world.ok(c.Redeem, member=amy, points=60, program=("code", "cafe"), group=True)
    assert [points for _, points in spent.taken] == [30, 30], "never-ending points last"
    assert (dict(spent.parts), spent.money) == ({1: 30, 2: 30}, 300)
    event = world.state.events[spent.event_no]
    assert (event.points, event.transfers) == (-60, 2)
    assert (world.internal("@PointsPool").credit, world.internal("@PointsPool:cafe").credit) == (30, 30)
    short = world.no(c.Redeem, member=amy, points=11, group=True)
    assert short.detail == {"required": 11, "available": 10, "shortfall": 1}
    holds(world)


def test_a_group_redemption_is_reversed_to_where_it_came_from() -> None:
    world, amy = two_programs()
    give(world, amy, 40, program=("code", "cafe"))
    give(world, amy, 30)
    spent = world.ok(c.Redeem, member=amy, points=60, group=True)
    world.ok(c.ReverseRedemption, redemption=spent.id, points=40)
    assert world.balance(amy) == 10, "the last taken comes back first"
    assert (world.internal("@PointsReversed").debit, world.internal("@PointsReversed:cafe").debit) == (10, 30)
    beyond = world.no(c.ReverseRedemption, redemption=spent.id, points=21)
    assert (beyond.code, beyond.detail["left"]) == (Rejection.REVERSAL_EXCEEDS_REDEMPTION, 20)
    reversal = world.ok(c.ReverseRedemption, redemption=spent.id)
    assert world.no(c.ReverseRedemption, redemption=spent.id).code is Rejection.ALREADY_REVERSED
    assert world.no(c.ReverseRedemption, redemption=reversal.id).code is Rejection.REDEMPTION_NOT_FOUND
    assert world.balance(amy) == 30
    holds(world)


def test_written_off_points_do_not_come_back_with_a_reversal() -> None:
    world, amy, _ = club(on_shortfall="write_off")
    world.buy("B-1", 10_000, amy)
    spent = world.ok(c.Redeem, member=amy, points=90)
    give(world, amy, 20)
    returned = world.ok(c.ReturnPurchase, purchase=("number", "B-1"), number="R-1")
    assert (returned.returned_points, returned.written_off, world.balance(amy)) == (30, 70, 0)
    first = world.ok(c.ReverseRedemption, redemption=spent.id, points=60)
    assert (first.points, first.written_off, first.balance) == (60, 60, 0)
    second = world.ok(c.ReverseRedemption, redemption=spent.id)
    assert (second.written_off, second.balance) == (10, 20), "the goodwill that stood in for the bill is free again"
    holds(world)


def test_a_wallet_that_is_not_the_buyers_pays_nothing() -> None:
    world, amy, bob = club()
    bob_id = world.state.members[world.state.found["member", *bob]].id
    wallet = world.ok(c.OpenAccount, ledger="general_ledger_id", asset="USD", member=bob_id).id
    refusal = world.no(
        c.RecordPurchase,
        number="B-1",
        currency="USD",
        member=amy,
        lines=(c.Line(sku="A", quantity=1000, amount=0),),
        wallet=wallet,
    )
    assert (refusal.code, refusal.field) == (Rejection.WALLET_NOT_OF_MEMBER, "wallet")
