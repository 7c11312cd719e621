"""An organisation to save to and load from."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from psycopg import AsyncConnection

from guerdon.core.access import ApiKey
from guerdon.core.accounts import Figures
from guerdon.core.programs import Config, Planned
from guerdon.core.state import Key, State
from guerdon.store import organisations
from guerdon.store.embedded import Embedded
from guerdon.store.load import load
from guerdon.store.memory import Memory
from guerdon.store.pool import adapt
from guerdon.store.save import save
from tests.conftest import Database, addresses, drop_database
from tests.store import records as r

_numbers = itertools.count(1)


@dataclass
class Shop:
    """One organisation on one connection."""

    connection: AsyncConnection[Any]
    org_id: int
    memory: Memory = field(default_factory=lambda: Memory(Config(version=-1)))

    @property
    def api_key(self) -> ApiKey:
        """The one record that is unique across organisations."""
        return msgspec.structs.replace(r.API_KEY, id=r.uuid(1000 + self.org_id), hash=self.org_id.to_bytes(32))

    async def load(self, *keys: Key) -> State:
        return await load(self.connection, self.org_id, keys, r.NOON, self.memory)

    async def save(self, state: State) -> None:
        await save(self.connection, self.org_id, state)
        self.memory.keep(state)

    async def look(self, *keys: Key) -> State:
        """What is stored, without changing anything."""
        state = await self.load(*keys)
        await self.connection.rollback()
        self.memory.keep(state)
        return state


@pytest.fixture(scope="session")
def market(cluster: Embedded, template: str) -> Iterator[Database]:
    """One database for all organisations of these tests."""
    name = f"market_{os.getpid()}"
    cluster.make_database(name, template)
    yield addresses(cluster, name)
    drop_database(cluster, name)


@pytest.fixture
async def shop(market: Database) -> AsyncIterator[Shop]:
    """An organisation that has nothing yet."""
    async with await AsyncConnection.connect(market.app_dsn, options="-c timezone=UTC") as connection:
        adapt(connection.adapters)
        organisation = await organisations.create(connection, f"shop-{next(_numbers)}")
        yield Shop(connection, organisation.org_id)


@pytest.fixture
async def stocked(shop: Shop) -> Shop:
    """An organisation with all that stands in `records`."""
    state = await shop.load()
    state.begin(r.uuid(0), r.NOON, "key")
    fill(state, shop.api_key)
    state.accept()
    await shop.save(state)
    return shop


def fill(state: State, api_key: ApiKey) -> None:
    """Put every record, as decisions would."""
    put = state.put
    put(state.assets, "POINTS", r.POINTS)
    put(state.programs, 1, r.PROGRAM)
    put(state.program_versions, (1, 1), Planned(version=1, starts_at=r.NOON, policies=r.PROGRAM.policies))
    put(state.stores, 2, r.STORE)
    put(state.tills, 3, r.TILL)
    put(state.sources, "KIOSK", r.NOON)
    put(state.ledgers, 2, r.LEDGER)
    put(state.members, 1, r.MEMBER)
    put(state.profiles, 1, '{"name":"Ada"}')
    for account in (r.POOL, r.REGULAR, r.WALLET, r.LOOSE):
        put(state.accounts, account.no, account)
    put(state.figures, 1, Figures(40, 100, 0, 0, 2))
    put(state.figures, 2, Figures(100, 43, 0, 4, 4, floor=0))
    put(state.figures, 4, Figures(r.HUGE, 0, 4, 0, 2))
    for lot in (r.SPENT, r.OVERDUE, r.OPEN, r.LASTING):
        put(state.lots, lot.no, lot)
    for event in r.EVENTS:
        state.append(state.events, event)
    for transfer in r.TRANSFERS:
        state.append(state.transfers, transfer)
    put(state.holds, 6, r.HOLD)
    put(state.scheduled, 8, r.SCHEDULED)
    put(state.redemptions, r.REDEMPTION.id, r.REDEMPTION)
    put(state.purchases, 1, r.PURCHASE)
    put(state.returns, 1, r.RETURN)
    put(state.api_keys, api_key.id, api_key)
    put(state.metadata, ("bln", r.WALLET.id), (1, '{"a":1}'))
    put(state.metadata, ("bln", r.WALLET.id), (2, '{"a":2}'))
    put(state.outcomes, ("key", "k-1"), (b"\x07", '{"said":"yes"}', r.NOON))
    for counter, number in (
        ("seq", 8), ("account", 4), ("lot", 4), ("member", 1), ("purchase", 1), ("return", 1), ("redemption", 1),
        ("config", 3), ("ledger", 2),
    ):  # fmt: skip
        put(state.counters, counter, number)
