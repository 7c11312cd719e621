"""Where the time of a batch goes: keys, load, decide, save, and the database's share, for 1,000 transfers from one
hot account to 1,000 others.

`python -m benchmarks.store_phases`. Besides wall time it reads processor time (of this process, and of the database's
backend from /proc, so on Linux only), which tells two versions apart also on a machine that is busy.
"""

from __future__ import annotations

import random
import statistics
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from psycopg import AsyncConnection

from benchmarks.harness import envelope, fresh_database, new_organisation, run
from guerdon.core import commands as c
from guerdon.core.decide import decide
from guerdon.core.keys import keys
from guerdon.core.outcomes import Accepted
from guerdon.store.load import load
from guerdon.store.memory import Memories
from guerdon.store.pool import make_pool
from guerdon.store.save import append, save

TRANSFERS = 1000
ACCOUNTS = 20_000
ROUNDS = 40
APPEND_EVERY = 300


class Stopwatch:
    """Milliseconds since the last look: wall, processor here, processor in the backend."""

    def __init__(self, backend_pid: int) -> None:
        self._schedule = Path(f"/proc/{backend_pid}/schedstat")
        self._last = self._now()

    def _now(self) -> tuple[float, float, float]:
        backend_ns = int(self._schedule.read_text().split()[0])
        return time.perf_counter() * 1e3, time.process_time() * 1e3, backend_ns / 1e6

    def lap(self) -> tuple[float, ...]:
        last, self._last = self._last, self._now()
        return tuple(now - then for now, then in zip(self._last, last, strict=True))


async def batch(
    connection: AsyncConnection[Any], org_id: int, commands: list[c.Post | c.OpenAccount], memories: Memories
) -> dict[str, tuple[float, ...]]:
    """One batch as the writer runs it; what each phase took."""
    watch = Stopwatch(connection.info.backend_pid)
    spent = {}
    asked = [key for command in commands for key in keys(command)]
    spent["keys"] = watch.lap()
    memory = memories.take(org_id)
    state = await load(connection, org_id, asked, datetime.now(UTC), memory)
    spent["load"] = watch.lap()
    async with connection.pipeline():
        for number, command in enumerate(commands, 1):
            outcome = decide(command, state)
            if not isinstance(outcome, Accepted):
                raise RuntimeError(f"refused: {outcome}")  # noqa: TRY004  # a wrong answer, not a wrong type
            if number % APPEND_EVERY == 0:
                await append(connection, org_id, state)
        spent["decide"] = watch.lap()
        await save(connection, org_id, state)
        memories.keep(org_id, memory, state)
    spent["save"] = watch.lap()
    return spent


async def open_accounts(connection: AsyncConnection[Any], org_id: int) -> list[str]:
    """Accounts in a ledger of their own."""
    ledger = c.OpenLedger(**envelope(), name="bench")
    state = await load(connection, org_id, keys(ledger), datetime.now(UTC), Memories().take(org_id))
    decide(ledger, state)
    await save(connection, org_id, state)
    ids: list[str] = []
    while len(ids) < ACCOUNTS:
        opened: list[c.Post | c.OpenAccount] = [
            c.OpenAccount(**envelope(), ledger=ledger.id, asset="USD") for _ in range(2000)
        ]
        await batch(connection, org_id, opened, Memories())
        ids += [command.id for command in opened]
    return ids


def posts(accounts: list[str], number: int) -> list[c.Post | c.OpenAccount]:
    return [
        c.Post(
            **envelope(),
            postings=(
                c.Posting(
                    asset="USD", amount=100 + i, precision=100, reference=f"{number}-{i}", source="@Pool",
                    destination=account, allow_overdraft=True,
                ),
            ),
        )
        for i, account in enumerate(random.sample(accounts, TRANSFERS))
    ]  # fmt: skip


async def main() -> None:
    with fresh_database("store_phases") as database:
        org_id = await new_organisation(database, "phases")
        async with make_pool(database.dsn(), name="bench", size_max=1) as pool, pool.connection() as connection:
            accounts = await open_accounts(connection, org_id)
            memories = Memories()
            phases: dict[str, list[tuple[float, ...]]] = defaultdict(list)
            for number in range(ROUNDS):
                for phase, laps in (await batch(connection, org_id, posts(accounts, number), memories)).items():
                    phases[phase].append(laps)
    print(f"{TRANSFERS} transfers, {ROUNDS} batches; median (least) ms")
    print(f"{'':8}{'wall':>16}{'processor here':>18}{'in the database':>18}")
    phases["all"] = [tuple(map(sum, zip(*laps, strict=True))) for laps in zip(*phases.values(), strict=True)]
    for phase, each in phases.items():
        columns = [f"{statistics.median(values):.1f} ({min(values):.1f})" for values in zip(*each, strict=True)]
        print(f"{phase:8}{columns[0]:>16}{columns[1]:>18}{columns[2]:>18}")


if __name__ == "__main__":
    run(main())
