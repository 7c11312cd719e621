"""A hold is settled in parts or let go, once; what is held cannot be spent meanwhile."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from guerdon.core import commands as c
from guerdon.core.commands import Leg
from guerdon.core.outcomes import Rejection
from tests.core.world import World

from .test_postings import posting, transfers


def held(**fields: Any) -> tuple[World, str]:
    """100 held from @World to @Shop, and the id of the hold."""
    world = World()
    given = {"source": "@World", "destination": "@Shop", "allow_overdraft": True, "inflight": True, "queued": False}
    result = world.ok(c.Post, postings=(posting("h", **{**given, **fields}),))
    return world, transfers(world, result)[0].id


def test_a_hold_moves_only_what_is_in_flight() -> None:
    world, _ = held()
    shop, source = world.internal("@Shop", "EUR"), world.internal("@World", "EUR")
    assert (shop.balance, shop.inflight_credit, shop.available) == (0, 100, 0)
    assert (source.balance, source.inflight_debit, source.available) == (0, 100, -100)


def test_a_hold_is_settled_in_parts_until_nothing_is_left() -> None:
    world, hold = held()
    first = transfers(world, world.ok(c.Settle, target=hold, amount=30))[0]
    assert (first.action, first.status, first.parent, first.amount) == ("settle", "APPLIED", hold, 30)
    over = world.no(c.Settle, target=hold, amount=71)
    assert (over.code, over.detail["remaining"]) == (Rejection.SETTLE_EXCEEDS_HOLD, "70")
    world.ok(c.Settle, target=hold)
    assert world.no(c.Settle, target=hold).code is Rejection.ALREADY_SETTLED
    assert world.no(c.Release, target=hold).code is Rejection.ALREADY_SETTLED
    assert (world.internal("@Shop", "EUR").balance, world.internal("@Shop", "EUR").inflight_credit) == (100, 0)


def test_only_the_rest_of_a_hold_is_let_go() -> None:
    world, hold = held()
    world.ok(c.Settle, target=hold, amount=30)
    let_go = transfers(world, world.ok(c.Release, target=hold))[0]
    assert (let_go.status, let_go.amount, let_go.parent) == ("VOID", 70, hold)
    assert world.no(c.Release, target=hold).code is Rejection.ALREADY_RELEASED
    assert world.no(c.Settle, target=hold).code is Rejection.ALREADY_RELEASED
    assert world.internal("@World", "EUR").available == -30


@pytest.mark.parametrize("amount", [0, -1])
def test_a_part_is_positive(amount: int) -> None:
    world, hold = held()
    assert world.no(c.Settle, target=hold, amount=amount).code is Rejection.AMOUNT_NOT_POSITIVE


def test_a_hold_is_found_by_the_id_of_its_queued_request() -> None:
    world, hold = held(queued=True)
    request = next(iter(world.state.transfers.values())).request_id
    assert request is not None
    assert request != hold
    world.ok(c.Settle, target=request, amount=40)
    world.ok(c.Release, target=hold)


def test_a_part_of_a_split_is_taken_from_every_leg_alike() -> None:
    legs = (Leg("@A", "fixed", 60), Leg("@B", "left"))
    world, _ = held(destination="", destinations=legs)
    parent = next(iter(world.state.transfers.values())).parent
    assert parent is not None
    assert world.no(c.Settle, target=parent, amount=41).code is Rejection.SETTLE_EXCEEDS_HOLD
    assert len(transfers(world, world.ok(c.Settle, target=parent, amount=40))) == 2
    world.ok(c.Release, target=parent)
    assert (world.internal("@A", "EUR").balance, world.internal("@B", "EUR").balance) == (40, 40)
    assert world.internal("@World", "EUR").available == -80


def test_a_whole_batch_is_settled_by_its_id() -> None:
    world = World()
    given = {"source": "@World", "destination": "@Shop", "allow_overdraft": True, "inflight": True}
    command = world.make(c.Post, postings=(posting("a", **given), posting("b", **given)), batch=True)
    world.run(command)
    assert len(transfers(world, world.ok(c.Settle, target=command.id))) == 2


def test_a_hold_that_has_run_out_is_let_go_and_one_that_has_not_is_not() -> None:
    world, hold = held(expires_at=World().now + timedelta(days=1))
    nothing = world.ok(c.Release, target=hold, due=True)
    assert nothing.transfers == ((),)
    world.later(days=1)
    assert transfers(world, world.ok(c.Release, target=hold, due=True))[0].status == "VOID"
    assert world.ok(c.Release, target=hold, due=True).transfers == ((),), "a second time nothing is left to do"


def test_a_hold_past_its_end_may_still_be_settled_until_it_is_let_go() -> None:
    world, hold = held(expires_at=World().now - timedelta(days=1))
    world.ok(c.Settle, target=hold, amount=10)


def test_a_hold_is_settled_on_the_day_it_asked_for() -> None:
    world, hold = held(commits_at=World().now + timedelta(days=1))
    assert world.ok(c.RunScheduled, target=hold).transfers == ((),)
    world.later(days=2)
    assert transfers(world, world.ok(c.RunScheduled, target=hold))[0].status == "APPLIED"
    assert world.ok(c.RunScheduled, target=hold).transfers == ((),)


def test_what_is_no_hold_cannot_be_ended() -> None:
    world, applied = held(inflight=False)
    for kind in (c.Settle, c.Release):
        assert world.no(kind, target=applied).code is Rejection.NOT_INFLIGHT
        assert world.no(kind, target="none").code is Rejection.TRANSFER_NOT_FOUND
