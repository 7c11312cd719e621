"""Posting through the writer: in bulk and one by one, against the ceiling measured in the same run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import uuid_utils
from psycopg.rows import dict_row

from benchmarks import harness
from benchmarks.ceiling import Ceiling
from benchmarks.harness import Clock, Database, Row, median, percentile, spread
from guerdon.core import commands as c
from guerdon.writer import Writer

BATCH = 1000
BATCHES = 20
RUNS = 5
ACCOUNTS = 10_000
HOT = "@PointsPool"


def post(destination: str, number: int, key: str = "") -> c.Post:
    """One raw transfer out of the hot account, as a command of its own."""
    posting = c.Posting(
        asset="POINTS",
        amount=1,
        precision=1,
        reference=f"bench-{number}",
        source=HOT,
        destination=destination,
        allow_overdraft=True,
    )
    return c.Post(**harness.envelope(), key=key, postings=(posting,))


def award(member: str, key: str = "") -> c.Award:
    return c.Award(**harness.envelope(), key=key, member=("id", member), points=1, reason="bench")


class Posts:
    """An organisation with a hot account and many others."""

    def __init__(self, org_id: int, accounts: Sequence[str]) -> None:
        self.org_id = org_id
        self._accounts = accounts
        self._number = 0

    @classmethod
    async def prepare(cls, database: Database, writer: Writer, code: str) -> Posts:
        org_id = await harness.new_organisation(database, code)
        await harness.submit_all(writer, org_id, [c.CreateAsset(**harness.envelope(), code="POINTS", scale=0)])
        return cls(org_id, await harness.open_accounts(writer, org_id, ACCOUNTS, "POINTS"))

    def next(self, keyed: bool = False) -> c.Command:
        self._number += 1
        key = f"key-{self._number}" if keyed else ""
        return post(self._accounts[self._number % len(self._accounts)], self._number, key)


class Awards:
    """An organisation with a program and many members."""

    def __init__(self, org_id: int, members: Sequence[str]) -> None:
        self.org_id = org_id
        self._members = members
        self._number = 0

    @classmethod
    async def prepare(cls, database: Database, writer: Writer, code: str) -> Awards:
        org_id = await harness.new_organisation(database, code)
        return cls(org_id, await harness.open_program(writer, org_id, ACCOUNTS))

    def next(self, keyed: bool = False) -> c.Command:
        self._number += 1
        return award(self._members[self._number % len(self._members)], f"key-{self._number}" if keyed else "")


async def bulk_once(writer: Writer, work: Posts | Awards, batches: int = BATCHES, keyed: bool = False) -> float:
    """Commands per second: always two batches handed in, so that one waits while the other is written."""
    commands = [[work.next(keyed) for _ in range(BATCH)] for _ in range(batches)]
    clock = Clock()
    waiting: list[asyncio.Future[Any]] = []
    for batch in commands:
        handed_in = [writer.enqueue(work.org_id, command, "bulk") for command in batch]
        if waiting:
            for outcome in await asyncio.gather(*waiting):
                harness.accepted(outcome)
        waiting = handed_in
    for outcome in await asyncio.gather(*waiting):
        harness.accepted(outcome)
    return batches * BATCH / clock.seconds


def sample(database: Database, org_id: int, table: str) -> dict[str, Any]:
    """A row that the writer wrote."""
    with database.as_superuser() as connection:
        cursor = connection.cursor(row_factory=dict_row)
        cursor.execute(f"select * from {table} where org_id = %s order by 2 desc limit 1", (org_id,))
        row = cursor.fetchone()
    assert row is not None
    return row


async def new_ceiling(database: Database, work: Posts | Awards) -> Ceiling:
    org_id = await harness.new_organisation(database, f"ceiling-{uuid_utils.uuid7()}")
    like = sample(database, work.org_id, "transfers")
    if isinstance(work, Posts):
        return Ceiling(database, org_id, ACCOUNTS, like)
    event, lot = sample(database, work.org_id, "events"), sample(database, work.org_id, "lots")
    return Ceiling(database, org_id, ACCOUNTS, like, event, lot)


def bulk() -> list[Row]:
    """Bulk posting through the writer, and the ceiling, taking turns."""
    return harness.run(_bulk())  # type: ignore[no-any-return]


async def _bulk() -> list[Row]:
    rows: list[Row] = []
    with harness.fresh_database("bulk") as database:
        for kind in (Posts, Awards):
            rates, ceilings = await compare(database, kind)
            rate, ceiling = median(rates), median(ceilings)
            posts = kind is Posts
            rows.append(
                Row(
                    figure="bulk posting through the writer" if posts else "bulk awards through the writer",
                    value=f"{rate:,.0f} transfers/s",
                    ceiling=f"{rate / ceiling:.2f} of {ceiling:,.0f}/s",
                    bar=">= 0.6 of the ceiling (20,000/s informs)" if posts else "told",
                    met=rate / ceiling >= 0.6 if posts else None,
                    conditions=f"batches of {BATCH}, one hot pool account, {ACCOUNTS:,} others; "
                    + ("one raw transfer each" if posts else "event, transfer and lot each")
                    + f"; median of {RUNS} runs ({spread(rates)}), taking turns with the ceiling ({spread(ceilings)}), "
                    "all on the disk before each",
                    numbers={"per_s": rate, "ceiling_per_s": ceiling, "ratio": rate / ceiling},
                )
            )
    return rows


async def compare(database: Database, kind: type[Posts | Awards]) -> tuple[list[float], list[float]]:
    """Rates of the writer and of the ceiling, run by run."""
    rates: list[float] = []
    ceilings: list[float] = []
    async with harness.writing(database, batch_weight_max=weight_of(kind) * BATCH) as writer:
        work = await kind.prepare(database, writer, kind.__name__.lower())
        await bulk_once(writer, work, 3)
        database.analyse()
        ceiling = await new_ceiling(database, work)
        ceiling.run(3, BATCH)
        for number in range(RUNS):
            database.settle()
            rates.append(await bulk_once(writer, work))
            database.settle()
            ceilings.append(ceiling.run(BATCHES, BATCH))
            harness.say(f"{kind.__name__} {number + 1}/{RUNS}: {rates[-1]:,.0f}/s, ceiling {ceilings[-1]:,.0f}/s")
        ceiling.close()
    return rates, ceilings


def weight_of(kind: type[Posts | Awards]) -> int:
    """So that a batch holds as many commands, whatever they weigh."""
    return 1 if kind is Posts else 2


# -- one by one -------------------------------------------------------------------------------------------------------

CALLERS = 64
SECONDS = 5.0


def singles() -> list[Row]:
    """64 callers that each wait for their answer, on one hot account."""
    return harness.run(_singles())  # type: ignore[no-any-return]


async def _singles() -> list[Row]:
    rates: list[float] = []
    latencies: list[float] = []
    ceilings: list[float] = []
    with harness.fresh_database("singles") as database:
        async with harness.writing(database) as writer:
            work = await Posts.prepare(database, writer, "singles")
            await callers(writer, work.org_id, work.next, CALLERS, 1.0)
            database.analyse()
            ceiling = await new_ceiling(database, work)
            ceiling.run(3, BATCH)
            for number in range(3):
                database.settle()
                took = await harness.undisturbed_async(
                    lambda: callers(writer, work.org_id, work.next, CALLERS, SECONDS)
                )
                rates.append(len(took) / SECONDS)
                latencies += took
                database.settle()
                ceilings.append(sustained(ceiling, SECONDS))
                harness.say(f"singles {number + 1}/3: {rates[-1]:,.0f}/s, ceiling {ceilings[-1]:,.0f}/s")
            ceiling.close()
            size = writer.stats.commands / writer.stats.batches
    rate, bulk_ceiling = median(rates), median(ceilings)
    p50, p99 = percentile(latencies, 0.5) * 1000, percentile(latencies, 0.99) * 1000
    return [
        Row(
            figure="64 concurrent single posts on one hot account, through the writer",
            value=f"{rate:,.0f}/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms",
            ceiling=f"{rate / bulk_ceiling:.2f} of {bulk_ceiling:,.0f}/s (bulk)",
            bar=">= 0.35 of the bulk ceiling, p99 < 25 ms",
            met=rate / bulk_ceiling >= 0.35 and p99 < 25,
            conditions=f"{CALLERS} callers in one process, each waits for its answer; median of 3 runs of "
            f"{SECONDS:.0f} s ({spread(rates)}), taking turns with as long of the ceiling ({spread(ceilings)}), all "
            f"on the disk before each; {size:.0f} commands a batch over all",
            numbers={"per_s": rate, "p50_ms": p50, "p99_ms": p99, "ratio": rate / bulk_ceiling},
        )
    ]


def sustained(ceiling: Ceiling, seconds: float) -> float:
    """The ceiling's transfers per second over as long a time as what is held against it: over half a second it is now a
    fifth more and now a fifth less.
    """
    clock, written = Clock(), 0
    while clock.seconds < seconds:
        ceiling.run(BATCHES, BATCH)
        written += BATCHES * BATCH
    return written / clock.seconds


async def callers(
    writer: Writer, org_id: int, make: Callable[[], c.Command], count: int, seconds: float
) -> list[float]:
    """Seconds each command took, with so many callers that send the next one when they have their answer."""
    took: list[float] = []
    end = perf_counter() + seconds

    async def call() -> None:
        while perf_counter() < end:
            command = make()
            since = perf_counter()
            harness.accepted(await writer.submit(org_id, command))
            took.append(perf_counter() - since)

    await asyncio.gather(*(call() for _ in range(count)))
    return took


def now() -> datetime:
    return datetime.now(UTC)
