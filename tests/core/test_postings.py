"""Raw postings that belong together: bulk requests and splits apply together or not at all."""

from __future__ import annotations

from typing import Any

from guerdon.core import commands as c
from guerdon.core.accounts import Transfer
from guerdon.core.assets import AMOUNT_MAX
from guerdon.core.commands import Leg, Posting
from guerdon.core.outcomes import Rejection

from .world import World


def posting(reference: str, **fields: Any) -> Posting:
    given: dict[str, Any] = {"asset": "EUR", "amount": 100, "precision": 100, "queued": True} | fields
    return Posting(reference=reference, **given)


def transfers(world: World, result: Any) -> list[Transfer]:
    return [world.state.transfers[seq] for made in result.transfers for seq in made]


def test_an_atomic_batch_whose_queued_posting_lacks_funds_rejects_every_posting() -> None:
    world = World()
    items = (
        posting("tokens", asset="TOKENS", source="@Tokens", destination="@System", allow_overdraft=True),
        posting("money", source="@Empty", destination="@Revenue"),
    )
    result = world.ok(c.Post, postings=items, atomic=True, batch=True)
    assert [t.status for t in transfers(world, result)] == ["REJECTED", "REJECTED"]
    assert all(figures.version == 0 for figures in world.state.figures.values())


def test_a_batch_that_is_not_atomic_rejects_only_what_lacks_funds() -> None:
    world = World()
    items = (
        posting("a", source="@World", destination="@Shop", allow_overdraft=True),
        posting("b", source="@Empty", destination="@Shop"),
    )
    result = world.ok(c.Post, postings=items, batch=True)
    assert [t.status for t in transfers(world, result)] == ["APPLIED", "REJECTED"]


def test_a_queued_split_over_sources_rejects_every_leg_when_one_lacks_funds() -> None:
    world = World()
    world.ok(c.Post, postings=(posting("fund", source="@World", destination="@Rich", allow_overdraft=True),))
    legs = (Leg("@Rich", "fixed", 50), Leg("@Poor", "left"))
    result = world.ok(c.Post, postings=(posting("split", sources=legs, destination="@Shop"),), atomic=True)
    assert [t.status for t in transfers(world, result)] == ["REJECTED", "REJECTED"]


def test_a_split_that_skips_the_queue_is_refused_whole() -> None:
    world = World()
    legs = (Leg("@Poor", "fixed", 50), Leg("@Poorer", "left"))
    refused = world.no(
        c.Post, postings=(posting("split", sources=legs, destination="@Shop", queued=False),), atomic=True
    )
    assert refused.code is Rejection.INSUFFICIENT_FUNDS
    assert not world.state.transfers


def test_a_scheduled_posting_of_a_rejected_batch_is_rejected_too() -> None:
    world = World()
    later = world.now.replace(year=world.now.year + 1)
    items = (
        posting("later", source="@World", destination="@Shop", allow_overdraft=True, scheduled_for=later),
        posting("now", source="@Empty", destination="@Shop"),
    )
    result = world.ok(c.Post, postings=items, atomic=True, batch=True)
    assert [t.status for t in transfers(world, result)] == ["REJECTED", "REJECTED"]
    assert not world.state.scheduled


def test_a_preview_says_what_would_happen_and_changes_nothing() -> None:
    world = World()
    world.ok(c.Post, postings=(posting("fund", source="@World", destination="@Rich", allow_overdraft=True),))
    before = (dict(world.state.counters), dict(world.state.figures), dict(world.state.found))
    spend = world.make(
        c.Post, postings=(posting("spend", source="@Rich", destination="@Shop", queued=False),), atomic=True
    )
    too_much = world.make(
        c.Post,
        postings=(posting("more", amount=1, source="@Rich", destination="@Shop", queued=False),),
        atomic=True,
    )
    alone = world.ok(c.Preview, of=(spend, too_much))
    assert [item.refused for item in alone.items] == [None, None]
    first, second = world.ok(c.Preview, of=(spend, too_much), cumulative=True).items
    assert [(side.role, side.virtual, side.after.balance) for side in first.sides] == [
        ("source", False, 0),
        ("destination", True, 100),
    ]
    assert second.refused.code is Rejection.INSUFFICIENT_FUNDS
    assert (dict(world.state.counters), dict(world.state.figures), dict(world.state.found)) == before


def test_a_scheduled_posting_is_decided_when_it_is_due_and_only_once() -> None:
    world = World()
    due = world.now.replace(year=world.now.year + 1)
    waiting = posting("later", source="@World", destination="@Shop", allow_overdraft=True, scheduled_for=due)
    (waits,) = transfers(world, world.ok(c.Post, postings=(waiting,)))
    assert waits.status == "SCHEDULED"
    assert not transfers(world, world.ok(c.RunScheduled, target=waits.id))
    world.now = due
    (done,) = transfers(world, world.ok(c.RunScheduled, target=waits.id))
    assert (done.status, done.reference, done.parent) == ("APPLIED", "later_q", waits.id)
    assert not transfers(world, world.ok(c.RunScheduled, target=waits.id))


def test_a_scheduled_posting_that_has_become_impossible_ends_as_rejected() -> None:
    world = World()
    due = world.now.replace(year=world.now.year + 1)
    waiting = posting("later", source="@World", destination="@Shop", allow_overdraft=True, scheduled_for=due)
    (waits,) = transfers(world, world.ok(c.Post, postings=(waiting,)))
    most = posting("most", amount=AMOUNT_MAX, source="@World", destination="@Shop", allow_overdraft=True)
    world.ok(c.Post, postings=(most,))
    world.now = due
    (done,) = transfers(world, world.ok(c.RunScheduled, target=waits.id))
    assert done.status == "REJECTED"
    assert '"reason":"amount_out_of_range"' in (done.detail or "")
    assert all(scheduled.done for scheduled in world.state.scheduled.values())
