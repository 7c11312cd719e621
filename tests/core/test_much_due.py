"""A command that meets very much that has come due: it is posted in parts first, each a commit of its own."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from guerdon.core import commands as c
from guerdon.core import state as core_state
from guerdon.core.decide import decide
from guerdon.core.lots import decode_moves
from guerdon.core.outcomes import Accepted, Rejected, Rejection
from guerdon.core.programs import Rule
from guerdon.core.state import Again
from tests.core.world import THIRTY_DAYS, World, purchase, whole
from tests.model.auditor import audit

PROMISE = Rule(code="promise", kind="fixed", points=9, category="promised", release_days=10)


@pytest.fixture(autouse=True)
def two_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core_state, "DUE_LOTS", 2)


def club(*rules: Rule, bills: int = 5) -> tuple[World, tuple[str, str]]:
    """Amy with a bill of 10.00 every 13 hours, each good for 10 points for thirty days."""
    base = Rule(code="base", kind="per_amount", points=1, amount=100)
    world = World().with_program(expiry=THIRTY_DAYS, rules=(base, *rules))
    amy = world.member("amy")
    for number in range(bills):
        world.buy(f"B-{number}", 1_000, amy)
        world.later(hours=13)
    return world, amy


def parts_of(world: World, command: c.Command) -> list[int]:
    """How many lots each part posted that came before the command was decided."""
    parts = []
    while True:
        last = max(world.state.events)
        try:
            decide(command, world.state)
        except Again:
            made = [event for seq, event in world.state.events.items() if seq > last]
            parts.append(sum(len(decode_moves(event.lot_moves)) for event in made))
        else:
            return parts


def test_what_has_ended_is_posted_in_parts_before_a_bill_that_meets_it() -> None:
    world, amy = club()
    world.later(days=60)
    bill = world.make(c.RecordPurchase, **purchase("B-6", 700, amy))
    assert parts_of(world, bill) == [2, 2]
    assert world.balance(amy) == 7
    assert world.internal("@PointsExpired").balance == 50
    expiries = [e for e in world.state.events.values() if e.name == "PointsExpiry"]
    assert {e.id[:30] for e in expiries} == {bill.id[:30]}, "the parts are the bill's"
    assert len({e.id for e in world.state.events.values()}) == len(world.state.events)
    audit(world.rows)


def test_what_was_released_is_posted_in_parts_before_what_has_ended() -> None:
    world, amy = club(PROMISE, bills=3)
    world.later(days=15)
    bill = world.make(c.RecordPurchase, **purchase("B-6", 700, amy))
    assert parts_of(world, bill) == [2]
    assert (world.balance(amy), world.balance(amy, "promised")) == (30 + 27 + 7, 9)
    world.later(days=60)
    assert parts_of(world, world.make(c.Redeem, member=amy, points=1)) == [2, 2, 2, 2]
    assert (world.balance(amy), world.balance(amy, "promised")) == (9, 0), "the last lot of nine is less than a part"
    audit(world.rows)


def test_the_parts_stay_posted_though_the_command_is_refused() -> None:
    world, amy = club()
    world.later(days=60)
    refused = whole(world.make(c.Redeem, member=amy, points=1, key="once"), world.state)
    assert isinstance(refused, Rejected)
    assert refused.code is Rejection.INSUFFICIENT_POINTS
    assert world.balance(amy) == 10, "the last of the five is booked by the next command that is accepted"
    assert whole(world.make(c.Redeem, member=amy, points=1, key="once"), world.state).replayed


def test_a_preview_meets_the_same_parts() -> None:
    world, amy = club()
    world.later(days=60)
    preview = world.make(c.PreviewRedemption, of=world.make(c.Redeem, member=amy, points=1))
    assert parts_of(world, preview) == [2, 2]


def test_a_late_fact_spends_what_was_good_then_however_much_has_ended_since() -> None:
    """What ended between the moment a fact is judged by and now is posted after it; no more than one command posts."""
    world, amy = club(bills=6)
    ended = max(lot.expires_at for lot in world.state.lots.values() if lot.expires_at is not None)
    world.now = ended + timedelta(hours=1)
    late = c.Where(event_at=ended - timedelta(hours=70))
    bill = world.make(c.Redeem, member=amy, points=45, where=late)
    assert parts_of(world, bill) == []
    assert world.no(c.Redeem, member=amy, points=1).code is Rejection.INSUFFICIENT_POINTS
    audit(world.rows)


def test_a_reversal_posts_all_that_it_brings_back_too_late() -> None:
    world, amy = club()
    redeemed = world.ok(c.Redeem, member=amy, points=50)
    world.later(days=60)
    undo = world.make(c.ReverseRedemption, redemption=redeemed.id)
    assert parts_of(world, undo) == []
    assert world.balance(amy) == 0
    assert world.internal("@PointsExpired").balance == 50


def test_a_command_that_makes_what_comes_due_itself_is_decided_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A posting dated so long ago that what it brings has ended before the next one of the same command: nothing can be
    posted first, and asking again would go on for ever.
    """
    monkeypatch.setattr(core_state, "DUE_LOTS", 1)
    world, amy = club(bills=0)
    asked: dict[str, Any] = {"asset": "POINTS", "precision": 1, "source": "@World", "allow_overdraft": True}
    asked["destination"] = world.state.accounts[world.account(amy)].id
    long_ago = c.Posting(**asked, amount=100, reference="long ago", effective_at=world.now - timedelta(days=300))
    post = world.make(c.Post, postings=(long_ago, c.Posting(**asked, amount=5, reference="now")))
    assert isinstance(outcome := decide(post, world.state), Accepted), outcome
    assert world.balance(amy) == 5
    audit(world.rows)
