"""Webhooks: how fast one endpoint is sent what has gathered, and how late messages are while events are recorded."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from time import perf_counter, sleep
from typing import Any

import httpx2
import psycopg

from benchmarks import harness
from benchmarks.harness import Database, Row, median, percentile, spread
from guerdon.core import commands as c
from guerdon.core.programs import Policies
from guerdon.settings import Settings
from guerdon.store.pool import make_pool
from guerdon.store.read import Reader
from guerdon.webhooks import Relay
from guerdon.writer import Writer

MEMBERS = 1_000
GATHERED = 10_000
RUNS = 3
PER_S = 200
SECONDS = 10.0


def relaying() -> list[Row]:
    return harness.run(_relaying())  # type: ignore[no-any-return]


@contextmanager
def receiver() -> Iterator[str]:
    """The address of a receiver in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.receiving"], stdout=subprocess.PIPE, text=True, cwd=harness.ROOT
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/"
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
async def relayed(database: Database, writer: Writer) -> AsyncIterator[Relay]:
    async with make_pool(database.dsn(), name="bench-relay", size_max=4, autocommit=True) as pool:
        relay = Relay(pool, Reader(pool), writer, b"bench", Settings(webhook_private=True))
        await relay.start()
        try:
            yield relay
        finally:
            await relay.stop()


async def _relaying() -> list[Row]:
    rates: list[float] = []
    with harness.fresh_database("relaying") as database, receiver() as url:
        async with harness.writing(database) as writer:
            org_id = await _shop(database, writer)
            hook = c.AddWebhook(**harness.envelope(), url=url, private=True)
            await harness.submit_all(writer, org_id, [hook])
            for _ in range(RUNS):
                await harness.submit_all(writer, org_id, [_award(n) for n in range(GATHERED)])
                database.analyse()
                began = perf_counter()
                async with relayed(database, writer):
                    await _done(database)
                rates.append(GATHERED / (perf_counter() - began))
            httpx2.get(url)
            async with relayed(database, writer):
                await _now_and_then(writer, org_id)
                await _done(database)
            lags = [float(line) for line in httpx2.get(url).text.split()]
    return [
        Row(
            figure="webhooks, what has gathered at one endpoint",
            value=f"{median(rates):,.0f} messages/s",
            conditions=f"{GATHERED:,} awards to {MEMBERS:,} members, a receiver on the same cores that answers at once;"
            f" median of {RUNS} runs ({spread(rates)})",
            bar="told",
            numbers={"messages_per_s": median(rates)},
        ),
        Row(
            figure=f"webhooks, from recorded to received at {PER_S} events/s",
            value=f"p50 {percentile(lags, 0.5) * 1000:.0f} ms, p99 {percentile(lags, 0.99) * 1000:.0f} ms",
            conditions=f"{len(lags):,} awards one by one over {SECONDS:g} s, writer and relay in one process",
            bar="told",
            numbers={"p50_ms": percentile(lags, 0.5) * 1000, "p99_ms": percentile(lags, 0.99) * 1000},
        ),
    ]


async def _shop(database: Database, writer: Writer) -> int:
    org_id = await harness.new_organisation(database, "hooks")
    await harness.submit_all(writer, org_id, [c.CreateAsset(**harness.envelope(), code="POINTS", scale=0)])
    program = c.CreateProgram(**harness.envelope(), code="club", name="Club", asset="POINTS", policies=Policies())
    await harness.submit_all(writer, org_id, [program])
    registered = [
        c.RegisterMember(**harness.envelope(), identifiers=(("external_id", str(n)),)) for n in range(MEMBERS)
    ]
    await harness.submit_all(writer, org_id, registered)
    return org_id


def _award(number: int) -> c.Award:
    return c.Award(
        **harness.envelope(),
        member=("external_id", str(number % MEMBERS)),
        points=1,
        reason="bench",
        program=("code", "club"),
    )


async def _now_and_then(writer: Writer, org_id: int) -> None:
    began = perf_counter()
    asked = []
    for number in range(int(PER_S * SECONDS)):
        await asyncio.sleep(max(0.0, began + number / PER_S - perf_counter()))
        asked.append(writer.enqueue(org_id, _award(number)))
    await asyncio.gather(*asked)


async def _done(database: Database) -> None:
    """Until the endpoint has come to the end. Looked at from a thread and over one connection, so that looking costs
    the relay nothing."""
    await asyncio.to_thread(_wait, database)


def _wait(database: Database) -> None:
    with database.as_superuser() as connection:
        while _behind(connection):
            sleep(0.02)


def _behind(connection: psycopg.Connection[Any]) -> bool:
    """Whether the endpoint has not come to the end yet."""
    row = connection.execute(
        "select coalesce(min(c.seq - h.seq), -1) + count(b) from heads h"
        " left join webhook_cursors c on c.org_id = h.org_id left join webhook_behind b on b.org_id = h.org_id"
        " where h.org_id = (select max(org_id) from webhooks)"
    ).fetchone()
    return row is None or row[0] != 0
