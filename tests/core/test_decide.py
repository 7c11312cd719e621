"""Exactly once: an idempotency key gives the first answer for ever, a natural number only where it was accepted."""

from __future__ import annotations

import pytest

from guerdon.core import commands as c
from guerdon.core.content import fingerprint
from guerdon.core.outcomes import Accepted, Rejected, Rejection
from guerdon.core.state import NotLoaded, State
from tests.core.world import World, empty_state, purchase


def rich() -> tuple[World, tuple[str, str]]:
    world = World().with_program()
    amy = world.member("amy")
    world.ok(c.Award, member=amy, points=100, reason="sorry")
    return world, amy


def test_the_same_key_gives_the_same_answer_and_nothing_happens_again() -> None:
    world, amy = rich()
    first = world.do(c.Redeem, member=amy, points=10, key="K", actor="till")
    assert isinstance(first, Accepted)
    world.later(days=1)
    again = world.do(c.Redeem, member=amy, points=10, key="K", actor="till")
    assert again == Accepted(first.result, replayed=True)
    assert world.balance(amy) == 90


def test_the_same_key_with_another_request_is_refused() -> None:
    world, amy = rich()
    world.do(c.Redeem, member=amy, points=10, key="K")
    for kind, fields in ((c.Redeem, {"points": 11}), (c.Award, {"points": 10, "reason": ""})):
        assert world.no(kind, member=amy, **fields, key="K").code is Rejection.IDEMPOTENCY_KEY_REUSED
    assert world.balance(amy) == 90


def test_a_refused_key_stays_refused() -> None:
    world, amy = rich()
    first = world.no(c.Redeem, member=amy, points=101, key="K")
    world.ok(c.Award, member=amy, points=1000, reason="sorry")
    again = world.no(c.Redeem, member=amy, points=101, key="K")
    assert (again.code, again.detail, again.replayed) == (first.code, first.detail, True)
    assert world.balance(amy) == 1100


def test_a_key_belongs_to_its_caller() -> None:
    world, amy = rich()
    for actor in ("till", "shop"):
        outcome = world.do(c.Redeem, member=amy, points=10, key="K", actor=actor)
        assert isinstance(outcome, Accepted)
        assert not outcome.replayed
    assert world.balance(amy) == 80


def test_a_refused_bill_number_may_be_tried_again_and_an_accepted_one_replays() -> None:
    world, amy = rich()
    assert world.no(c.RecordPurchase, **purchase("B-1", 1000, amy), spend=500).code is Rejection.INSUFFICIENT_POINTS
    first = world.do(c.RecordPurchase, **purchase("B-1", 1000, amy), spend=50)
    assert isinstance(first, Accepted)
    assert world.do(c.RecordPurchase, **purchase("B-1", 1000, amy), spend=50) == Accepted(first.result, replayed=True)
    assert world.no(c.RecordPurchase, **purchase("B-1", 1000, amy), spend=60).code is Rejection.NUMBER_TAKEN


def test_a_return_and_a_redemption_replay_by_their_own_numbers() -> None:
    world, amy = rich()
    world.buy("B-1", 1000, amy)
    for kind, fields in (
        (c.ReturnPurchase, {"purchase": ("number", "B-1"), "number": "R-1"}),
        (c.Redeem, {"member": amy, "points": 5, "reference": "X-1"}),
    ):
        first = world.do(kind, **fields)
        assert isinstance(first, Accepted)
        assert world.do(kind, **fields) == Accepted(first.result, replayed=True)
    assert world.no(c.Redeem, member=amy, points=6, reference="X-1").code is Rejection.REFERENCE_TAKEN
    other = world.no(c.ReturnPurchase, purchase=("number", "B-2"), number="R-1")
    assert other.code is Rejection.NUMBER_TAKEN


def test_what_a_request_says_is_not_who_sends_it_or_when() -> None:
    world, amy = rich()
    one = world.make(c.Redeem, member=amy, points=5, actor="a", key="1")
    world.later(days=1)
    assert fingerprint(one) == fingerprint(world.make(c.Redeem, member=amy, points=5, actor="b", key="2"))
    assert fingerprint(one) != fingerprint(world.make(c.Redeem, member=amy, points=6))
    assert fingerprint(one) != fingerprint(world.make(c.Award, member=amy, points=5, reason=""))


def test_a_row_that_was_not_loaded_is_asked_for_and_leaves_the_state_as_it_was() -> None:
    world, amy = rich()
    full = world.state
    state = State(full.config, dict(full.counters), full.last_recorded_at, full.last_hash)
    with pytest.raises(NotLoaded) as missing:
        World.run(_with(state), world.make(c.Redeem, member=amy, points=5, key="K"))
    assert missing.value.keys == (("outcome", "", "K"),)
    state.mark_loaded([("outcome", "", "K"), ("redemption_reference", "X")])
    with pytest.raises(NotLoaded) as missing:
        World.run(_with(state), world.make(c.Redeem, member=amy, points=5, key="K", reference="X"))
    assert missing.value.keys == (("member", *amy),)
    assert state.mark() == 0


def _with(state: State) -> World:
    world = World()
    world.state = state
    return world


def test_a_refusal_of_a_keyed_request_keeps_the_answer_and_nothing_else() -> None:
    world, amy = rich()
    figures, events = dict(world.state.figures), dict(world.state.events)
    mark = world.state.mark()
    outcome = world.do(c.Redeem, member=amy, points=500, key="K")
    assert isinstance(outcome, Rejected)
    assert (world.state.figures, world.state.events) == (figures, events)
    assert len(world.state.changes()["outcomes"]) == 1
    assert world.state.mark() == mark + 2


def test_ids_of_what_a_command_makes_follow_from_its_own() -> None:
    states = [empty_state(), empty_state()]
    for state in states:
        world = _with(state)
        world.with_program()
        world.buy("B-1", 1000, world.member("amy"))
    first, second = states
    assert first.transfers == second.transfers
    assert first.events == second.events


@pytest.mark.parametrize("points", [10**38, 10**60])
def test_points_beyond_every_figure_are_refused(points: int) -> None:
    world, amy = rich()
    assert world.no(c.Award, member=amy, points=points, reason="x").code is Rejection.AMOUNT_OUT_OF_RANGE
    assert world.no(c.Redeem, member=amy, points=points).code is Rejection.AMOUNT_OUT_OF_RANGE
    assert world.no(c.RecordPurchase, **purchase("B-1", points, amy)).code is Rejection.AMOUNT_OUT_OF_RANGE
    assert world.no(c.RecordPurchase, **purchase("B-2", 100, amy), spend=points).code is Rejection.AMOUNT_OUT_OF_RANGE
    assert world.balance(amy) == 100


def test_a_bill_needs_lines_that_add_up_and_a_currency_that_exists() -> None:
    world, amy = rich()
    assert world.no(c.RecordPurchase, number="B", currency="USD", lines=()).code is Rejection.PURCHASE_WITHOUT_LINES
    assert world.no(c.RecordPurchase, **purchase("B", 100, amy), amount=101).code is Rejection.AMOUNT_MISMATCH
    wrong = {**purchase("B", 100, amy), "currency": "XYZ"}
    assert world.no(c.RecordPurchase, **wrong).code is Rejection.ASSET_NOT_FOUND
    lines = (c.Line(sku="A", quantity=1000, amount=100), c.Line(sku="B", quantity=1000, amount=-101))
    assert world.no(c.RecordPurchase, number="B", currency="USD", lines=lines).code is Rejection.AMOUNT_NOT_POSITIVE
    huge = (c.Line(sku="A", quantity=1000, amount=10**38), c.Line(sku="B", quantity=1000, amount=-(10**38)))
    assert world.no(c.RecordPurchase, number="B", currency="USD", lines=huge).code is Rejection.AMOUNT_OUT_OF_RANGE


def test_a_raw_posting_and_a_preview_are_answered_again_from_what_is_stored() -> None:
    world, amy = rich()
    points = world.state.accounts[world.account(amy)].id
    item = c.Posting(asset="POINTS", amount=10, precision=1, reference="T", source=points, destination="@Shop")
    asked = world.make(c.Post, postings=(item,))
    for kind, fields in ((c.Preview, {"of": (asked,)}), (c.Post, {"postings": (item,)})):
        first = world.do(kind, **fields, key=kind.__name__)
        assert isinstance(first, Accepted)
        assert world.do(kind, **fields, key=kind.__name__) == Accepted(first.result, replayed=True)
    assert world.balance(amy) == 90
