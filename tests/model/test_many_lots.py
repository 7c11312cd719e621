"""Only those lots are loaded that are spent first: whatever the commands are and however they are grouped, they do what
they would do if every lot were there."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guerdon.core import commands as c
from guerdon.core import state as core_state
from guerdon.core.outcomes import Accepted, Outcome
from guerdon.core.programs import Expiry, Policies
from guerdon.core.state import State
from tests.core.world import World, empty_state, whole
from tests.model.auditor import audit
from tests.model.histories import History
from tests.model.store import MemoryStore, one_by_one, run
from tests.model.test_grouping import everything, sizes

SEED = int(os.environ.get("GUERDON_SEED") or 1)
ANNA, BERT = ("external_id", "anna"), ("external_id", "bert")
ACCOUNTS = (13, 16, 19, 22)
"""Their regular accounts, in both programs."""


@pytest.fixture(params=[1, 2, 3])
def first_lots(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many lots are loaded to begin with: so few that nearly every command asks for more."""
    monkeypatch.setattr(core_state, "FIRST_LOTS", request.param)
    monkeypatch.setattr(core_state, "DUE_LOTS", request.param)
    monkeypatch.setattr(core_state, "MORE_LOTS", 2)
    monkeypatch.setattr(core_state, "MOST_LOTS", 2)
    return int(request.param)


@pytest.mark.parametrize("seed", range(SEED, SEED + 12))
def test_histories_go_as_if_every_lot_were_loaded(seed: int, first_lots: int) -> None:
    commands = History(seed, 70).commands
    state, alone, together = empty_state(), MemoryStore(), MemoryStore()
    outcomes = [whole(command, state) for command in commands]
    assert one_by_one(alone, commands) == outcomes
    audit(alone.rows)
    assert run(together, commands, sizes(random.Random(seed), len(commands))) == outcomes
    assert everything(together) == everything(alone)


@st.composite
def lives(draw: st.DrawFn) -> list[tuple[str, Any]]:
    """What happens to two members: many small lots that end on different days, and much that spends them."""
    member = st.sampled_from([ANNA, BERT])
    points, days = st.integers(1, 12), st.integers(0, 20)
    program = st.sampled_from([("code", "long"), ("code", "short"), None])
    step = st.one_of(
        st.tuples(st.just("award"), st.tuples(member, points, days, program)),
        st.tuples(st.just("award"), st.tuples(member, points, days, program)),
        st.tuples(st.just("redeem"), st.tuples(member, points, days, program, st.booleans())),
        st.tuples(st.just("send"), st.tuples(member, points)),
        st.tuples(st.just("take"), st.tuples(member, points, program)),
        st.tuples(st.just("redate"), st.tuples(member, st.integers(1, 30))),
        st.tuples(st.just("expire"), st.tuples(st.integers(0, 3), st.sampled_from([None, 1, 2, 5]))),
        st.tuples(st.just("give back"), st.integers(0, 5)),
        st.tuples(st.just("days pass"), st.integers(1, 9)),
    )
    return draw(st.lists(step, min_size=15, max_size=40))


def commands_of(steps: list[tuple[str, Any]]) -> list[c.Command]:
    world = World()
    made: list[c.Command] = [world.make(c.CreateAsset, code="POINTS", scale=0)]
    for code, days in (("long", 40), ("short", 15)):
        policies = Policies(expiry=Expiry(kind="days", count=days))
        made.append(world.make(c.CreateProgram, code=code, name=code, asset="POINTS", policies=policies))
    made += [world.make(c.RegisterMember, identifiers=(name,)) for name in (ANNA, BERT)]
    world.later(days=30)
    redeemed: list[str] = []
    for what, how in steps:
        world.later(minutes=1)
        made += _command(world, what, how, redeemed)
    return made


def _command(world: World, what: str, how: Any, redeemed: list[str]) -> Iterator[c.Command]:
    late = c.Where()
    if what in ("award", "redeem"):
        late = c.Where(event_at=world.now - timedelta(days=how[2]))
    if what == "days pass":
        world.later(days=how)
    elif what == "award":
        yield world.make(c.Award, member=how[0], points=how[1], program=how[3], reason="test", where=late)
    elif what == "redeem":
        command = world.make(c.Redeem, member=how[0], points=how[1], program=how[3], group=how[4], where=late)
        redeemed.append(command.id)
        yield command
    elif what == "send":
        other = BERT if how[0] == ANNA else ANNA
        yield world.make(c.TransferPoints, member=how[0], recipient=other, points=how[1])
    elif what == "take":
        yield world.make(c.AdjustPoints, member=how[0], points=-how[1], program=how[2], reason="test", person="p")
    elif what == "redate":
        yield world.make(c.ChangeExpiry, member=how[0], days=how[1])
    elif what == "expire":
        yield world.make(c.ExpireLots, accounts=ACCOUNTS[how[0] :], at_most=how[1])
    elif redeemed:
        yield world.make(c.ReverseRedemption, redemption=redeemed[how % len(redeemed)])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=lives(), groups=st.lists(st.integers(1, 12), max_size=20))
def test_members_with_more_lots_than_are_loaded(
    first_lots: int, steps: list[tuple[str, Any]], groups: list[int]
) -> None:
    commands = commands_of(steps)
    state, alone, together = empty_state(), MemoryStore(), MemoryStore()
    outcomes = [whole(command, state) for command in commands]
    assert one_by_one(alone, commands) == outcomes
    assert run(together, commands, groups) == outcomes
    assert everything(together) == everything(alone)
    audit(together.rows)


def test_lots_that_are_known_but_come_later_are_not_spent_before_those_that_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A lot that ends last, opened in the batch that spends it; and the negative control."""
    monkeypatch.setattr(core_state, "FIRST_LOTS", 2)
    world = World()
    policies = Policies(expiry=Expiry(kind="days", count=40))
    setup: list[c.Command] = [
        world.make(c.CreateAsset, code="POINTS", scale=0),
        world.make(c.CreateProgram, code="long", name="long", asset="POINTS", policies=policies),
        world.make(c.RegisterMember, identifiers=(ANNA,)),
    ]
    for _ in range(6):
        world.later(days=1)
        setup.append(world.make(c.Award, member=ANNA, points=10, reason="test"))
    world.later(days=1)
    batch = [
        world.make(c.Award, member=ANNA, points=10, reason="test"),
        world.make(c.Redeem, member=ANNA, points=25),
    ]

    def spent() -> list[int]:
        store = MemoryStore()
        one_by_one(store, setup)
        redeemed: Outcome = run(store, batch, [2])[1]
        assert isinstance(redeemed, Accepted)
        return [lot for lot, _ in redeemed.result.taken]

    assert spent() == [1, 2, 3]
    monkeypatch.setattr(State, "spent_first", lambda state, no: None)
    assert spent() == [1, 2, 7]
