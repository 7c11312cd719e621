"""Expiring lots while posting goes on: how long a million of them take, and what others notice of it."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any

from benchmarks import harness
from benchmarks.harness import Database, Row, percentile
from guerdon.core import commands as c
from guerdon.core.places import LATE_MAX
from guerdon.jobs import Jobs
from guerdon.store.pool import Pool, make_pool
from guerdon.writer import Writer

LOTS = int(os.environ.get("GUERDON_BENCH_LOTS", "1000000"))
LOTS_EACH = 10
CALLERS = 8
BAR_S = 120
AT_ONCE = 20_000


def expiring() -> list[Row]:
    with harness.fresh_database("expiring") as database:
        rows: list[Row] = harness.run(_expiring(database))
        return rows


async def _expiring(database: Database) -> list[Row]:
    pool = make_pool(database.dsn(), name="bench-jobs", size_max=4, autocommit=True)
    async with harness.writing(database) as writer, pool:
        org_id = await harness.new_organisation(database, "expiring")
        members = await harness.open_program(writer, org_id, max(1, LOTS // LOTS_EACH))
        harness.say(f"opening {LOTS:,} lots of {len(members):,} members")
        await _open_lots(writer, org_id, members)
        await _count(pool, org_id)
        later = datetime.now(UTC) + timedelta(days=366) + LATE_MAX
        jobs = Jobs(pool, writer, harness.settings(), now=lambda: later)
        stop = asyncio.Event()
        callers = [asyncio.create_task(_post(writer, org_id, members, later, stop, n)) for n in range(CALLERS)]
        started = perf_counter()
        await jobs.run_once()
        seconds = perf_counter() - started
        stop.set()
        waits = [each for task in callers for each in await task]
        assert await _count(pool, org_id) == len(waits), "all that ended is posted, and nothing else"
    rate = LOTS / seconds
    return [
        Row(
            figure=f"expiring {LOTS:,} lots while posting goes on",
            value=f"{seconds:,.0f} s, {rate:,.0f} lots/s; meanwhile {len(waits) / seconds:,.0f} awards/s, "
            f"p99 {percentile(waits, 0.99) * 1000:,.0f} ms",
            conditions=f"{LOTS_EACH} lots a member, each with an end of its own; {CALLERS} callers post meanwhile",
            bar=f"under {BAR_S} s for 1,000,000",
            met=seconds < BAR_S if LOTS >= 1_000_000 else None,
            numbers={"seconds": seconds, "lots_per_s": rate, "posts_per_s": len(waits) / seconds},
        )
    ]


async def _open_lots(writer: Writer, org_id: int, members: list[str]) -> None:
    now = datetime.now(UTC)
    some: list[c.Command] = []
    for number in range(LOTS):
        where = c.Where(event_at=now - timedelta(days=number // len(members)), imported=True)
        member = ("id", members[number % len(members)])
        some.append(c.Award(**harness.envelope(), member=member, points=1, reason="bench", where=where))
        if len(some) == AT_ONCE or number == LOTS - 1:
            await harness.submit_all(writer, org_id, some)
            some = []


async def _post(
    writer: Writer, org_id: int, members: list[str], at: datetime, stop: asyncio.Event, number: int
) -> list[float]:
    """Awards one after the other until told to stop; how long each took."""
    waits: list[float] = []
    while not stop.is_set():
        member = ("id", members[(number + CALLERS * len(waits)) % len(members)])
        envelope: dict[str, Any] = {**harness.envelope(), "at": at}
        started = perf_counter()
        harness.accepted(await writer.submit(org_id, c.Award(**envelope, member=member, points=1, reason="bench")))
        waits.append(perf_counter() - started)
    return waits


async def _count(pool: Pool, org_id: int) -> int:
    """How many lots are open."""
    async with pool.connection() as connection, connection.transaction():
        await connection.execute("select set_config('guerdon.org', %s, true)", [str(org_id)])
        row = await (await connection.execute("select count(*) from lots where remaining > 0")).fetchone()
        assert row is not None
        return int(row[0])
