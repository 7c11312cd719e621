"""A refund reverses what an id names, once each, and breaks no floor."""

from __future__ import annotations

from typing import Any

from guerdon.core import commands as c
from guerdon.core.commands import Leg
from guerdon.core.outcomes import Rejection
from tests.core.world import World

from .test_holds import held
from .test_postings import posting, transfers


def paid(**fields: Any) -> tuple[World, str]:
    """100 paid from @World to @Shop, and the transfer's id."""
    world = World()
    given = {"source": "@World", "destination": "@Shop", "allow_overdraft": True, "queued": False}
    result = world.ok(c.Post, postings=(posting("p", **{**given, **fields}),))
    return world, transfers(world, result)[0].id


def test_a_refund_goes_the_other_way_and_names_its_original() -> None:
    world, original = paid(description="shoes")
    back = transfers(world, world.ok(c.Refund, target=original))[0]
    first = world.state.transfers[1]
    assert (back.source, back.destination, back.amount) == (first.destination, first.source, 100)
    assert (back.status, back.parent, back.reference) == ("APPLIED", original, f"txn_{original}_refund")
    assert "shoes" in (back.detail or "")
    assert world.internal("@Shop", "EUR").balance == 0


def test_a_second_refund_is_refused() -> None:
    world, original = paid()
    world.ok(c.Refund, target=original)
    assert world.no(c.Refund, target=original).code is Rejection.ALREADY_REFUNDED
    assert world.no(c.Refund, target=original, queued=True).code is Rejection.ALREADY_REFUNDED


def test_a_refund_may_overdraw_an_account_without_a_floor() -> None:
    world, original = paid()
    world.ok(c.Post, postings=(posting("out", source="@Shop", destination="@Else", queued=False),))
    world.ok(c.Refund, target=original)
    assert world.internal("@Shop", "EUR").balance == -100


def test_a_queued_refund_has_a_request_and_an_outcome() -> None:
    world, original = paid()
    back = transfers(world, world.ok(c.Refund, target=original, queued=True))[0]
    assert back.request_reference == f"txn_{original}_refund"
    assert back.reference == f"txn_{original}_refund_q"
    assert back.request_id not in (None, back.id)


def test_a_refund_below_the_floor_is_refused_queued_or_not_and_may_be_tried_again() -> None:
    world = World().with_program()
    amy = world.member("amy")
    points = world.state.accounts[world.account(amy)].id
    credit = posting("c", asset="POINTS", precision=1, source="@World", destination=points, allow_overdraft=True)
    original = transfers(world, world.ok(c.Post, postings=(credit,)))[0].id
    world.ok(c.Redeem, member=amy, points=1)
    for queued in (False, True):
        assert world.no(c.Refund, target=original, queued=queued).code is Rejection.INSUFFICIENT_FUNDS
    world.ok(c.Award, member=amy, points=1, reason="sorry")
    world.ok(c.Refund, target=original, queued=True)
    assert world.balance(amy) == 0


def test_every_leg_of_a_split_is_refunded_by_its_parent() -> None:
    world, _ = paid(destination="", destinations=(Leg("@A", "fixed", 60), Leg("@B", "left")))
    parent = world.state.transfers[1].parent
    assert parent is not None
    assert [t.amount for t in transfers(world, world.ok(c.Refund, target=parent))] == [60, 40]
    assert world.no(c.Refund, target=parent).code is Rejection.ALREADY_REFUNDED


def test_the_settled_part_of_a_hold_is_refunded() -> None:
    world, hold = held()
    part = transfers(world, world.ok(c.Settle, target=hold, amount=30))[0]
    back = transfers(world, world.ok(c.Refund, target=part.id))[0]
    assert (back.amount, back.status) == (30, "APPLIED")


def test_what_was_let_go_is_held_again_in_reverse() -> None:
    world, hold = held()
    let_go = transfers(world, world.ok(c.Release, target=hold))[0]
    back = transfers(world, world.ok(c.Refund, target=let_go.id))[0]
    assert (back.status, back.amount) == ("INFLIGHT", 100)
    assert world.internal("@Shop", "EUR").inflight_debit == 100


def test_a_hold_or_a_rejection_has_nothing_to_refund() -> None:
    world, hold = held()
    assert world.no(c.Refund, target=hold).code is Rejection.NOT_REFUNDABLE
    assert world.no(c.Refund, target="none").code is Rejection.TRANSFER_NOT_FOUND
    rejected = transfers(world, world.ok(c.Post, postings=(posting("r", source="@Empty", destination="@Shop"),)))[0]
    assert world.no(c.Refund, target=rejected.id).code is Rejection.NOT_REFUNDABLE
