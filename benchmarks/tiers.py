"""Reviewing tiers: every member bought once, and every tier lapses at the same midnight."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any

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


def tiers() -> list[Row]:
    with harness.fresh_database("tiers") as database:
        rows: list[Row] = harness.run(_tiers(database))
        return rows


async def _tiers(database: Database) -> list[Row]:
    pool = make_pool(database.dsn(), name="bench-jobs", size_max=4, autocommit=True)
    async with harness.writing(database) as writer, pool:
        org_id = await harness.new_organisation(database, "tiers")
        members = await harness.open_program(writer, org_id, MEMBERS)
        program = await _program(pool, org_id)
        harness.accepted(await writer.submit(org_id, c.CreateAsset(**harness.envelope(), code="USD", scale=2)))
        change = c.ChangeTiers(**harness.envelope(), program=("code", program), terms=TERMS)
        harness.accepted(await writer.submit(org_id, change))
        await Jobs(pool, writer, harness.settings()).run_once()  # nobody has bought anything: a walk past everybody
        harness.say(f"one purchase of each of {len(members):,} members")
        buying = await _buy(writer, org_id, members)
        later = datetime.now(UTC) + timedelta(days=40)
        jobs = Jobs(pool, writer, harness.settings(), now=lambda: later)
        started = perf_counter()
        await jobs.run_once()
        seconds = perf_counter() - started
        assert await _fallen(pool, org_id) == len(members), "everybody fell, and was told so"
    rate = len(members) / seconds
    return [
        Row(
            figure=f"reviewing the tiers of {len(members):,} members",
            value=f"{seconds:,.0f} s, {rate:,.0f} members/s, an event each",
            conditions=f"rolling window; each lapses; the purchases before it were booked at {buying:,.0f}/s",
            bar="",
            met=None,
            numbers={"seconds": seconds, "members_per_s": rate, "purchases_per_s": buying},
        )
    ]


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


async def _program(pool: Pool, org_id: int) -> str:
    return str(await _value(pool, org_id, "select code from programs order by no limit 1"))


async def _fallen(pool: Pool, org_id: int) -> int:
    return int(await _value(pool, org_id, "select count(*) from standings where tier = 'blue' and due_at is null"))


async def _value(pool: Pool, org_id: int, query: str) -> Any:
    async with pool.connection() as connection, connection.transaction():
        await connection.execute("select set_config('guerdon.org', %s, true)", [str(org_id)])
        row = await (await connection.execute(query)).fetchone()
        assert row is not None
        return row[0]
