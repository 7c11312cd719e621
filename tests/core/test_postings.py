"""Raw postings that belong together: bulk requests and splits apply together or not at all."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

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


# -- what is queued, what is not --------------------------------------------------------------------------------------


def test_a_queued_posting_is_one_row_with_two_names() -> None:
    world = World()
    command = world.make(c.Post, postings=(posting("r", source="@World", destination="@Shop", allow_overdraft=True),))
    world.run(command)
    row = world.state.transfers[1]
    assert (row.request_id, row.request_reference, row.reference, row.status) == (command.id, "r", "r_q", "APPLIED")
    assert row.id != command.id
    assert world.state.counters["seq"] == 1


def test_a_posting_that_skips_the_queue_has_one_name() -> None:
    world = World()
    item = posting("r", source="@World", destination="@Shop", allow_overdraft=True, queued=False)
    command = world.make(c.Post, postings=(item,))
    world.run(command)
    row = world.state.transfers[1]
    assert (row.id, row.reference, row.request_id, row.request_reference) == (command.id, "r", None, None)


def test_a_queued_posting_without_funds_is_a_rejected_row_that_takes_its_reference() -> None:
    world = World()
    item = posting("r", source="@Empty", destination="@Shop")
    row = transfers(world, world.ok(c.Post, postings=(item,)))[0]
    assert (row.status, row.source_version, row.source_balance) == ("REJECTED", None, None)
    assert '"reason":"insufficient_funds"' in (row.detail or "")
    assert world.no(c.Post, postings=(item,)).code is Rejection.REFERENCE_TAKEN


@pytest.mark.parametrize("taken", ["r", "r_q"])
def test_a_reference_is_taken_by_a_request_and_by_its_outcome(taken: str) -> None:
    world = World()
    given = {"source": "@World", "destination": "@Shop", "allow_overdraft": True}
    world.ok(c.Post, postings=(posting("r", **given),))
    refused = world.no(c.Post, postings=(posting(taken, **given, queued=False),))
    assert (refused.code, refused.detail["reference"]) == (Rejection.REFERENCE_TAKEN, taken)


def test_an_unknown_account_or_a_missing_fund_is_told_at_once_where_nothing_is_queued() -> None:
    world = World()
    unknown = posting("r", source="@World", destination="01900000-0000-7000-8000-00000f000000")
    assert world.no(c.Post, postings=(unknown,)).code is Rejection.ACCOUNT_NOT_FOUND
    poor = posting("r", source="@Empty", destination="@Shop", queued=False)
    assert world.no(c.Post, postings=(poor,)).code is Rejection.INSUFFICIENT_FUNDS
    assert not world.state.accounts, "what a refused posting opened is not there"


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        (0, Rejection.AMOUNT_NOT_POSITIVE),
        (-1, Rejection.AMOUNT_NOT_POSITIVE),
        (-(10**60), Rejection.AMOUNT_NOT_POSITIVE),
        (10**38, Rejection.AMOUNT_OUT_OF_RANGE),
        (10**200, Rejection.AMOUNT_OUT_OF_RANGE),
    ],
)
@pytest.mark.parametrize("queued", [True, False])
def test_figures_that_are_none_are_refused(amount: int, code: Rejection, queued: bool) -> None:
    world = World()
    item = posting("r", amount=amount, source="@World", destination="@Shop", allow_overdraft=True, queued=queued)
    assert world.no(c.Post, postings=(item,)).code is code
    assert not world.state.transfers


def test_the_largest_amount_is_booked_exactly() -> None:
    world = World()
    item = posting("r", amount=AMOUNT_MAX, source="@World", destination="@Shop", allow_overdraft=True)
    world.ok(c.Post, postings=(item,))
    assert world.internal("@Shop", "EUR").balance == AMOUNT_MAX
    assert world.internal("@World", "EUR").balance == -AMOUNT_MAX


# -- what waits for its time ------------------------------------------------------------------------------------------


def scheduled(**fields: Any) -> tuple[World, str]:
    """A posting of 100 for tomorrow, and its id."""
    world = World()
    given = {"source": "@World", "destination": "@Shop", "allow_overdraft": True}
    command = world.make(
        c.Post, postings=(posting("s", **{**given, **fields}, scheduled_for=world.now + timedelta(days=1)),)
    )
    world.run(command)
    return world, command.id


@pytest.mark.parametrize("queued", [True, False])
def test_a_scheduled_posting_moves_nothing_before_its_time_and_once_after(queued: bool) -> None:
    world, id = scheduled(queued=queued)
    waiting = world.state.transfers[1]
    assert (waiting.id, waiting.reference, waiting.status) == (id, "s", "SCHEDULED")
    assert world.ok(c.RunScheduled, target=id).transfers == ((),)
    world.later(days=1)
    done = transfers(world, world.ok(c.RunScheduled, target=id))[0]
    assert (done.status, done.parent, done.reference) == ("APPLIED", id, "s_q")
    assert world.ok(c.RunScheduled, target=id).transfers == ((),)
    assert world.internal("@Shop", "EUR").balance == 100


def test_a_time_that_is_over_is_now() -> None:
    world = World()
    item = posting("s", source="@World", destination="@Shop", allow_overdraft=True, scheduled_for=world.now)
    assert transfers(world, world.ok(c.Post, postings=(item,)))[0].status == "APPLIED"


def test_funds_are_looked_at_when_it_is_time() -> None:
    world, id = scheduled(source="@Empty", allow_overdraft=False, queued=False)
    world.later(days=2)
    assert transfers(world, world.ok(c.RunScheduled, target=id))[0].status == "REJECTED"
    assert world.ok(c.RunScheduled, target=id).transfers == ((),)
