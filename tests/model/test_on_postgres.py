"""The store in memory and the real one are alike: the same histories leave the same answers and the same hash in both.

The hash covers every event and transfer; `guerdon verify` then rebuilds every projection from them.
"""

from __future__ import annotations

import asyncio
import random

import psycopg
import pytest

from guerdon.audit.verify import audit
from guerdon.core.keys import keys, weight
from guerdon.core.outcomes import Outcome
from guerdon.settings import Settings
from guerdon.store import organisations
from guerdon.store.pool import Pool, make_pool
from guerdon.writer.batch import Batches
from guerdon.writer.loop import STEPS
from guerdon.writer.queue import Waiting
from guerdon.writer.stats import Stats
from tests.conftest import Database
from tests.model.histories import History
from tests.model.store import MemoryStore, one_by_one
from tests.model.test_grouping import SEED, sizes
from tests.model.test_policies import Living

HISTORIES, LENGTH, LIVING = 5, 150, 2


async def on_postgres(pool: Pool, org_id: int, history: History | Living, groups: list[int]) -> list[Outcome]:
    """What `tests.model.store.run` does, with the real steps."""
    stats = Stats()
    batches = Batches(pool, Settings(), stats, STEPS, lambda org_id: None)
    loop = asyncio.get_running_loop()
    waiting = [Waiting(each, keys(each), weight(each), loop.create_future()) for each in history.commands]
    left: list[Waiting] = []
    rest = list(waiting)
    while left or rest:
        size = groups.pop() if groups else len(rest)
        batch, rest = left + rest[:size], rest[size:]
        left = await batches.run(org_id, batch)
    assert stats.splits == stats.faults == 0, stats
    return await asyncio.gather(*(each.future for each in waiting))


@pytest.mark.timeout(300)
async def test_the_real_store_does_what_the_store_in_memory_does(database: Database) -> None:
    async with make_pool(database.app_dsn, name="history", size_max=2) as pool:
        histories: list[History | Living] = [History(seed, LENGTH) for seed in range(SEED, SEED + HISTORIES)]
        histories += [Living(seed) for seed in range(SEED, SEED + LIVING)]
        for number, history in enumerate(histories):
            async with pool.connection() as connection:
                org_id = (await organisations.create(connection, f"history-{number}")).org_id
            generator, length = random.Random(SEED + number), len(history.commands)
            groups = sizes(generator, length)
            if isinstance(history, Living):  # it tells of months, and no batch lasts for one
                groups = [generator.randint(1, 5) for _ in range(length)]
            memory = MemoryStore()
            assert await on_postgres(pool, org_id, history, groups) == await asyncio.to_thread(
                one_by_one, memory, history.commands
            )
            with psycopg.connect(database.superuser_dsn) as look:
                head = look.execute("select seq, last_recorded_at, last_hash from heads where org_id = %s", [org_id])
                assert head.fetchone() == (memory.counters["seq"], memory.last_recorded_at, memory.last_hash)
    assert audit(database.app_dsn).findings == []
