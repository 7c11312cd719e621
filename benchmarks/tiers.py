"""Reviewing tiers: every member bought once, and every tier lapses at the same midnight."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from benchmarks import harness
from benchmarks.harness import Database, Row
from guerdon.core import commands as c
from guerdon.core.tiers import Level, TierTerms, Window
from guerdon.jobs import Jobs
from guerdon.store.pool import Pool, make_pool
from guerdon.writer import Writer

MEMBERS = int(os.environ.get("GUERDON_BENCH_TIER_MEMBERS", "1000000"))
AT_ONCE = 20_000
TERMS = TierTerms(
    figure="spend", window=Window(kind="rolling", days=30), timezone="UTC", currency="USD",
    levels=(Level(code="blue", name="Blue", at_least=0), Level(code="gold", name="Gold", at_least=100)),
)  # fmt: skip


class Run(NamedTuple):
    """How long the jobs took, and the most memory that their process had before and after, in bytes."""

    seconds: float
    before: int
    after: int


def tiers() -> list[Row]:
    with harness.fresh_database("tiers") as database:
        rows: list[Row] = harness.run(_tiers(database))
        return rows


async def _tiers(database: Database) -> list[Row]:
    async with harness.writing(database) as writer:
        org_id = await harness.new_organisation(database, "tiers")
        members = await harness.open_program(writer, org_id, MEMBERS)
        harness.accepted(await writer.submit(org_id, c.CreateAsset(**harness.envelope(), code="USD", scale=2)))
        change = c.ChangeTiers(**harness.envelope(), program=("code", "club"), terms=TERMS)
        harness.accepted(await writer.submit(org_id, change))
        harness.say("a look at everybody, of whom nobody has bought anything")
        walk = await _alone(database, datetime.now(UTC))
        harness.say(f"one purchase of each of {len(members):,} members")
        buying = await _buy(writer, org_id, members)
    harness.say("reviewing them all")
    review = await _alone(database, datetime.now(UTC) + timedelta(days=40))
    async with make_pool(database.dsn(), name="bench", size_max=1, autocommit=True) as pool:
        assert await _fallen(pool, org_id) == len(members), "everybody fell, and was told so"
    rate, walked, grown = len(members) / review.seconds, len(members) / walk.seconds, review.after - review.before
    return [
        Row(
            figure=f"reviewing the tiers of {len(members):,} members",
            value=f"{review.seconds:,.0f} s, {rate:,.0f} members/s, an event each; the process grew by "
            f"{grown / 2**20:,.0f} to {review.after / 2**20:,.0f} MB",
            conditions=f"rolling window; each lapses; before it a look at everybody of a new structure at "
            f"{walked:,.0f} members/s, and their purchases at {buying:,.0f}/s",
            bar="",
            met=None,
            numbers={
                "seconds": review.seconds, "members_per_s": rate, "bytes": review.after, "grown_bytes": grown,
                "walked_per_s": walked, "purchases_per_s": buying,
            },
        )
    ]  # fmt: skip


async def _alone(database: Database, now: datetime) -> Run:
    """Run the jobs in a process that does nothing else, as of a moment."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return await asyncio.get_running_loop().run_in_executor(process, _run_jobs, database.dsn(), now)


def _run_jobs(dsn: str, now: datetime) -> Run:
    run: Run = harness.run(_jobs(dsn, now))
    return run


async def _jobs(dsn: str, now: datetime) -> Run:
    settings = harness.settings()
    size = settings.writer_connections
    pool = make_pool(dsn, name="bench-jobs", size_max=4, autocommit=True)
    async with make_pool(dsn, name="bench", size_max=size, size_min=size) as writing, pool:
        writer = Writer(writing, settings)
        await writer.start()
        try:
            before, started = _memory(), perf_counter()
            await Jobs(pool, writer, settings, now=lambda: now).run_once()
            return Run(perf_counter() - started, before, _memory())
        finally:
            await writer.stop()


async def _buy(writer: Writer, org_id: int, members: list[str]) -> float:
    started = perf_counter()
    some: list[c.Command] = []
    for number, member in enumerate(members):
        lines = (c.Line(sku="A", quantity=1000, amount=200),)
        fields: dict[str, Any] = {"number": f"B-{number}", "currency": "USD", "lines": lines, "member": ("id", member)}
        some.append(c.RecordPurchase(**harness.envelope(), **fields))
        if len(some) == AT_ONCE or number == len(members) - 1:
            await harness.submit_all(writer, org_id, some)
            some = []
    return len(members) / (perf_counter() - started)


def _memory() -> int:
    """The most that this process ever had, in bytes; `getrusage` counts what had the one that started it as well."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) * 1024


async def _fallen(pool: Pool, org_id: int) -> int:
    query = "select count(*) from standings where tier = 'blue' and due_at is null"
    async with pool.connection() as connection, connection.transaction():
        await connection.execute("select set_config('guerdon.org', %s, true)", [str(org_id)])
        row = await (await connection.execute(query)).fetchone()
        assert row is not None
        return int(row[0])
