"""However commands are grouped into batches, they do the same: refusals, repetitions, create-then-use and all."""

from __future__ import annotations

import copy
import os
import random
from typing import Any

import msgspec
import pytest

from guerdon.core import commands as c
from guerdon.core.decide import decide
from guerdon.core.outcomes import Accepted, Rejected
from guerdon.core.programs import Policies
from guerdon.core.state import State
from guerdon.writer.faults import WriterFault
from tests.core.world import START, World, empty_state
from tests.model.auditor import audit
from tests.model.histories import History
from tests.model.store import MemoryStore, Refused, one_by_one, result, run

SEED = int(os.environ.get("GUERDON_SEED") or 1)
HISTORIES, LENGTH = 40, 70


def sizes(generator: random.Random, count: int) -> list[int]:
    most = generator.choice((2, 4, 12, 200))
    return [generator.randint(1, most) for _ in range(count)]


def everything(store: MemoryStore) -> dict[str, Any]:
    """All rows, in a form that can be compared."""
    rows = {name: dict(table) for name, table in store.tables.items() if table}
    head = (store.counters, store.last_recorded_at, store.last_hash)
    return {**rows, "metadata": store.versions, "head": head}


@pytest.mark.parametrize("seed", range(SEED, SEED + HISTORIES))
def test_any_grouping_is_equal_to_one_by_one(seed: int) -> None:
    commands = History(seed, LENGTH).commands
    alone = MemoryStore()
    outcomes = one_by_one(alone, commands)
    audit(alone.rows)
    generator = random.Random(seed)
    for _ in range(3):
        together = MemoryStore()
        assert run(together, commands, sizes(generator, len(commands))) == outcomes
        assert everything(together) == everything(alone)


@pytest.mark.torture
@pytest.mark.timeout(1800)
def test_any_grouping_is_equal_to_one_by_one_at_length() -> None:
    print(f"\nseed {SEED}: `make torture SEED={SEED}` repeats this run")
    for seed in range(SEED, SEED + 1_000):
        commands = History(seed, 2 * LENGTH).commands
        alone, together = MemoryStore(), MemoryStore()
        outcomes = one_by_one(alone, commands)
        audit(alone.rows)
        assert run(together, commands, sizes(random.Random(seed), len(commands))) == outcomes, seed
        assert everything(together) == everything(alone), seed


def test_a_guess_in_place_of_a_look_up_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: without `NotLoaded` the groups differ, and this suite says so."""
    monkeypatch.setattr(State, "find", lambda state, key: state.found.get(key))
    monkeypatch.setattr(
        State, "open_lots", lambda state, *nos: [x for no in nos for x in state.lots_of(no) if x.remaining]
    )
    monkeypatch.setattr(State, "spent_first", lambda state, no: None)
    found = 0
    for seed in range(SEED, SEED + 20):
        commands = History(seed, LENGTH).commands
        try:
            alone, together = MemoryStore(), MemoryStore()
            same = one_by_one(alone, commands) == run(together, commands, [len(commands)])
            found += not same or everything(alone) != everything(together)
        except (Refused, WriterFault):
            found += 1
    assert found


@pytest.mark.parametrize("seed", range(SEED, SEED + HISTORIES))
def test_a_batch_loaded_by_keys_decides_as_if_everything_were_loaded(seed: int) -> None:
    commands = History(seed, LENGTH).commands
    state = empty_state()
    assert [decide(command, state) for command in commands] == one_by_one(MemoryStore(), commands)


PROJECTIONS = (
    "accounts", "figures", "lots", "holds", "scheduled", "members", "purchases", "redemptions", "outcomes"
)  # fmt: skip
OTHERS = (
    "transfers", "events", "returns", "programs", "metadata", "counters", "found", "member_accounts",
    "config", "last_recorded_at",
)  # fmt: skip


def tables(state: State) -> dict[str, Any]:
    lots = {no: dict(lots) for no, lots in state.account_lots.items() if lots}
    return {"account_lots": lots, **{name: copy.copy(getattr(state, name)) for name in PROJECTIONS + OTHERS}}


@pytest.mark.parametrize("seed", range(SEED, SEED + HISTORIES // 2))
def test_after_every_command_the_books_are_right_and_a_refusal_has_changed_nothing(seed: int) -> None:
    state = empty_state()
    refused = 0
    for command in History(seed, LENGTH).commands:
        before = tables(state)
        outcome = decide(command, state)
        if isinstance(outcome, Rejected) and not command.key:
            refused += 1
            assert tables(state) == before
        audit(lambda table: getattr(state, table))
    assert refused


@pytest.mark.parametrize("seed", range(SEED, SEED + HISTORIES // 2))
def test_changes_are_the_difference_and_nothing_else(seed: int) -> None:
    state = empty_state()
    before = tables(state)
    for command in History(seed, LENGTH).commands:
        decide(command, state)
    changes = state.changes()
    for name in PROJECTIONS:
        changed = {key: value for key, (_, value) in changes.get(name, {}).items()}
        assert {**before[name], **changed} == getattr(state, name)
        assert {key for key, (new, _) in changes.get(name, {}).items() if new} == changed.keys() - before[name].keys()
    appended = {row.seq: row for row in state.appended()}
    assert appended == {**state.events, **state.transfers}
    assert state.appended() == []


@pytest.mark.parametrize("seed", range(SEED, SEED + HISTORIES // 2))
def test_the_same_commands_with_keys_a_second_time_change_nothing(seed: int) -> None:
    store = MemoryStore()
    commands = History(seed, LENGTH).commands
    keyed = [msgspec.structs.replace(command, key=f"key-{number}") for number, command in enumerate(commands)]
    first = one_by_one(store, keyed)
    before = copy.deepcopy(everything(store))
    second = run(store, keyed, sizes(random.Random(seed), len(keyed)))
    assert everything(store) == before
    for once, again in zip(first, second, strict=True):
        assert again.replayed
        assert type(again) is type(once)
        if isinstance(once, Accepted) and isinstance(again, Accepted):
            assert again.result == once.result
        elif isinstance(once, Rejected) and isinstance(again, Rejected):
            assert (again.code, again.field) == (once.code, once.field)


# -- many at once ------------------------------------------------------------------------------------------


def crowd(count: int) -> tuple[MemoryStore, World, list[str]]:
    """A program with many members in a store, and their points accounts."""
    world, store = World(), MemoryStore()
    commands: list[c.Command] = [
        world.make(c.CreateAsset, code="POINTS", scale=0),
        world.make(c.CreateProgram, code="club", name="Club", asset="POINTS", policies=Policies()),
    ]
    commands += [world.make(c.RegisterMember, identifiers=(("external_id", f"m-{n}"),)) for n in range(count)]
    run(store, commands, [len(commands)])
    accounts = [a.id for a in store.rows("accounts").values() if a.category == "regular"]
    assert len(accounts) == count
    return store, world, accounts


def award(reference: str, account: str, **fields: Any) -> c.Posting:
    given: dict[str, Any] = {"source": "@PointsPool", "allow_overdraft": True, **fields}
    return c.Posting(asset="POINTS", amount=10, precision=1, reference=reference, destination=account, **given)


@pytest.mark.parametrize("atomic", [True, False])
def test_a_bulk_of_points_for_many_members_is_loaded_in_one_go_and_refunded_in_one_go(atomic: bool) -> None:
    store, world, accounts = crowd(60)
    world.later(days=1)
    postings = tuple(award(f"T-{n}", account) for n, account in enumerate(accounts))
    bulk = world.make(c.Post, postings=postings, batch=True, atomic=atomic)
    assert len(result(run(store, [bulk], [1])[0]).transfers) == 60
    back = tuple(award(f"D-{n}", "@Shop", source=account, allow_overdraft=False) for n, account in enumerate(accounts))
    spent = world.make(c.Post, postings=back, batch=True, atomic=atomic)
    run(store, [spent], [1])
    audit(store.rows)
    refund = world.make(c.Refund, target=spent.id)
    assert len(result(run(store, [refund], [1])[0]).transfers[0]) == 60
    audit(store.rows)
    assert all(store.rows("figures")[a.no].balance == 10 for a in store.rows("accounts").values() if a.id in accounts)


def test_a_split_over_many_members_is_held_settled_and_refunded() -> None:
    store, world, accounts = crowd(60)
    legs = tuple(c.Leg(account, "fixed", 5) for account in accounts)
    posting = c.Posting(
        asset="POINTS", amount=300, precision=1, reference="S", source="@PointsPool", destinations=legs,
        allow_overdraft=True, inflight=True,
    )  # fmt: skip
    commands = [
        world.make(c.Post, postings=(posting,)),
        world.make(c.Settle, target=f"01900000-0000-7000-8000-{63:06x}000000"),
        world.make(c.Refund, target=f"01900000-0000-7000-8000-{63:06x}000000"),
    ]
    assert commands[0].id == f"01900000-0000-7000-8000-{63:06x}000000"
    alone = copy.deepcopy(store)
    outcomes = one_by_one(alone, commands)
    assert run(store, commands, [3]) == outcomes
    assert everything(store) == everything(alone)
    audit(store.rows)


def test_what_the_writer_only_looked_at_dates_nothing() -> None:
    """The first asks for rows that nobody could foresee, so the second is looked at before the first is decided."""
    store, world, (account,) = crowd(1)
    posting = c.Posting(
        asset="POINTS", amount=1, precision=1, reference="first", source="@PointsPool", destination=account,
        allow_overdraft=True,
    )  # fmt: skip
    first = world.make(c.Post, postings=(posting,))
    world.later(minutes=5)
    commands = [first, world.make(c.RegisterSource, code="KIOSK")]
    alone = copy.deepcopy(store)
    outcomes = one_by_one(alone, commands)
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert run(store, commands, [2]) == outcomes
    assert everything(store) == everything(alone)


def test_time_does_not_go_by_what_was_only_asked() -> None:
    """A replay is an accepted command that records nothing; what comes after it is not dated by it."""
    world = World()
    asset = world.make(c.CreateAsset, code="USD", scale=2)
    world.later(minutes=5)
    again = world.make(c.CreateAsset, code="USD", scale=2)
    world.now = START
    source = world.make(c.RegisterSource, code="KIOSK")
    commands = [asset, again, source]
    together, alone = MemoryStore(), MemoryStore()
    assert run(together, commands, [3]) == one_by_one(alone, commands)
    assert together.last_recorded_at == alone.last_recorded_at == START
