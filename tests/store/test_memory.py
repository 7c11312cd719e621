"""What a process remembers between batches is what the database would have answered."""

from __future__ import annotations

import msgspec
import pytest

from guerdon.core.accounts import Figures
from guerdon.core.programs import Config
from guerdon.core.state import Key
from guerdon.store import memory as remembering
from guerdon.store.load import load
from guerdon.store.memory import Memories, Memory
from tests.store import records as r
from tests.store.conftest import Shop

BY_ID: Key = ("account", r.POOL.id)
LOOSE: Key = ("account", r.LOOSE.id)
POOL: Key = ("internal", r.POOL.indicator, r.POOL.asset)


def another_server(shop: Shop) -> Shop:
    return Shop(shop.connection, shop.org_id)


async def credit(shop: Shop, key: Key, amount: int) -> None:
    """One batch that changes the figures of one account."""
    state = await shop.load(key)
    no = state.find(key)
    state.begin(r.uuid(0), r.NOON)
    figures = state.figures_of(no)
    state.put(state.figures, no, Figures(figures.credit + amount, figures.debit, 0, 0, figures.version + 1))
    state.accept()
    await shop.save(state)


async def figures(shop: Shop, key: Key) -> Figures:
    state = await shop.look(key)
    return state.figures[state.find(key)]


async def test_an_account_is_not_read_again_while_nobody_else_wrote(stocked: Shop) -> None:
    await credit(stocked, BY_ID, 5)
    assert stocked.memory.knows([LOOSE, BY_ID]) == [BY_ID]
    state = await stocked.look(BY_ID)
    assert state.accounts[r.POOL.no] is (await stocked.look(BY_ID)).accounts[r.POOL.no]


async def test_what_another_server_wrote_is_seen(stocked: Shop) -> None:
    other = another_server(stocked)
    before = await figures(stocked, BY_ID)
    assert await figures(other, BY_ID) == before
    await credit(other, BY_ID, 7)
    assert (await figures(stocked, BY_ID)).credit == before.credit + 7
    await credit(stocked, BY_ID, 1)
    assert (await figures(other, BY_ID)).credit == before.credit + 8


async def test_a_change_that_moves_nothing_is_seen_too(stocked: Shop) -> None:
    """No transfer, no event: neither the last number nor the last hash tells, only who wrote the head."""
    other = another_server(stocked)
    await figures(stocked, BY_ID)
    state = await other.load(BY_ID)
    state.begin(r.uuid(0), r.NOON)
    state.put(state.accounts, r.POOL.no, msgspec.structs.replace(r.POOL, options="changed"))
    state.accept()
    await other.save(state)
    assert (await stocked.look(BY_ID)).accounts[r.POOL.no].options == "changed"


async def test_an_account_has_one_set_of_figures_whatever_it_is_called(stocked: Shop) -> None:
    await figures(stocked, BY_ID)
    before = await figures(stocked, POOL)
    await credit(stocked, POOL, 3)
    assert (await figures(stocked, BY_ID)).credit == before.credit + 3


async def test_accounts_with_lots_are_read_each_time(stocked: Shop) -> None:
    key: Key = ("account", r.REGULAR.id)
    await stocked.look(key)
    assert not stocked.memory.knows([key])
    assert (await stocked.look(key)).lots


async def test_a_batch_that_fails_leaves_nothing_behind(stocked: Shop) -> None:
    memories = Memories()
    memory = memories.take(stocked.org_id)
    state = await load(stocked.connection, stocked.org_id, [LOOSE], r.NOON, memory)
    await stocked.connection.rollback()
    memories.keep(stocked.org_id, memory, state)
    assert memories.take(stocked.org_id).knows([LOOSE])  # taken, and its batch never ended
    assert not memories.take(stocked.org_id).knows([LOOSE])


async def test_what_was_not_found_is_asked_for_again(stocked: Shop) -> None:
    key: Key = ("account", r.uuid(77))
    state = await stocked.look(key)
    assert state.find(key) is None
    assert not stocked.memory.knows([key])


async def test_the_accounts_of_programs_are_remembered_together(stocked: Shop) -> None:
    first = await stocked.look(("programs",))
    assert stocked.memory.knows([("programs",)])
    again = await stocked.look(("programs",))
    assert again.program_accounts == first.program_accounts
    assert again.accounts == first.accounts
    assert again.find(("programs",)) is True


async def test_no_more_is_kept_than_fits(stocked: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembering, "ACCOUNTS_MAX", 1)
    memories = Memories()
    for org_id, key in ((1, LOOSE), (2, POOL)):
        memory = memories.take(org_id)
        state = await load(stocked.connection, stocked.org_id, [key], r.NOON, memory)
        await stocked.connection.rollback()
        memories.keep(org_id, memory, state)
    assert not memories.take(1).knows([LOOSE]), "the one longest unused is forgotten"
    assert memories.take(2).knows([POOL])


def test_nothing_is_known_at_first() -> None:
    memory = Memory(Config(version=-1))
    assert memory.knows([LOOSE, ("programs",)]) == []
    assert memory.head is None
