"""A hundred organisations on one writer, one of them flooding it: what the others notice."""

from __future__ import annotations

import asyncio
import random
from time import perf_counter

from benchmarks import harness
from benchmarks.harness import Database, Row, median, percentile
from benchmarks.posting import HOT
from guerdon.core import commands as c
from guerdon.core.outcomes import Outcome
from guerdon.writer import Unavailable, Writer

OTHERS = 99
ACCOUNTS = 20
FLOOD_ACCOUNTS = 2000
EACH_PER_S = 2.0
SECONDS = 8.0
FLOOD = 4000


class Organisation:
    """One tenant with a few accounts, who posts now and then."""

    def __init__(self, org_id: int, accounts: list[str]) -> None:
        self.org_id = org_id
        self._accounts = accounts
        self._number = 0

    @classmethod
    async def prepare(cls, database: Database, writer: Writer, code: str, accounts: int) -> Organisation:
        org_id = await harness.new_organisation(database, code)
        await harness.submit_all(writer, org_id, [c.CreateAsset(**harness.envelope(), code="POINTS", scale=0)])
        return cls(org_id, await harness.open_accounts(writer, org_id, accounts, "POINTS"))

    def post(self) -> c.Post:
        self._number += 1
        posting = c.Posting(
            asset="POINTS",
            amount=1,
            precision=1,
            reference=f"bench-{self._number}",
            source=HOT,
            destination=self._accounts[self._number % len(self._accounts)],
            allow_overdraft=True,
        )
        return c.Post(**harness.envelope(), postings=(posting,))


def flooding() -> list[Row]:
    """Latency of 99 quiet organisations, alone and beside one that keeps thousands of commands waiting."""
    return harness.run(_flooding())  # type: ignore[no-any-return]


async def _flooding() -> list[Row]:
    quiet: list[list[float]] = []
    beside: list[list[float]] = []
    flooded = 0.0
    with harness.fresh_database("flooding") as database:
        async with harness.writing(database) as writer:
            others = [
                await Organisation.prepare(database, writer, f"other-{number}", ACCOUNTS) for number in range(OTHERS)
            ]
            flooder = await Organisation.prepare(database, writer, "flooder", FLOOD_ACCOUNTS)
            await posting_now_and_then(writer, others, 2.0)
            database.analyse()
            for number in range(3):
                quiet.append(await harness.undisturbed_async(lambda: posting_now_and_then(writer, others, SECONDS)))
                flood = asyncio.create_task(keep_full(writer, flooder))
                await asyncio.sleep(1.0)
                since = perf_counter()
                before = writer.stats.commands
                beside.append(await harness.undisturbed_async(lambda: posting_now_and_then(writer, others, SECONDS)))
                flooded = (writer.stats.commands - before - len(beside[-1])) / (perf_counter() - since)
                flood.cancel()
                await asyncio.gather(flood, return_exceptions=True)
                await harness.submit_all(writer, flooder.org_id, [flooder.post()])  # behind all that was left
                p99 = [percentile(runs[-1], 0.99) * 1000 for runs in (quiet, beside)]
                harness.say(f"flooding {number + 1}/3: p99 {p99[0]:.1f} ms alone, {p99[1]:.1f} ms beside the flood")
    alone = median([percentile(run, 0.99) for run in quiet]) * 1000
    with_flood = median([percentile(run, 0.99) for run in beside]) * 1000
    p50 = [median([percentile(run, 0.5) for run in runs]) * 1000 for runs in (quiet, beside)]
    return [
        Row(
            figure="100 organisations with one flooding, through the writer",
            value=f"the others' p99 {with_flood:.1f} ms, {with_flood / alone:.1f}x of {alone:.1f} ms without the flood "
            f"(p50 {p50[1]:.1f} and {p50[0]:.1f} ms)",
            bar="others' p99 < 2x",
            met=with_flood < 2 * alone,
            conditions=f"{OTHERS} organisations, each {EACH_PER_S:.0f} posts/s at random moments; one with {FLOOD:,} "
            f"commands always waiting, which gets {flooded:,.0f}/s; one process; median of 3 runs of {SECONDS:.0f} s",
            numbers={"p99_alone_ms": alone, "p99_flooded_ms": with_flood, "flood_per_s": flooded},
        )
    ]


async def posting_now_and_then(writer: Writer, others: list[Organisation], seconds: float) -> list[float]:
    """Seconds that each command took."""
    took: list[float] = []
    end = perf_counter() + seconds

    async def one(organisation: Organisation, chance: random.Random) -> None:
        await asyncio.sleep(chance.uniform(0, 1 / EACH_PER_S))
        while perf_counter() < end:
            command = organisation.post()
            since = perf_counter()
            harness.accepted(await writer.submit(organisation.org_id, command))
            took.append(perf_counter() - since)
            await asyncio.sleep(chance.expovariate(EACH_PER_S))

    await asyncio.gather(*(one(each, random.Random(number)) for number, each in enumerate(others)))
    return took


async def keep_full(writer: Writer, flooder: Organisation) -> None:
    """Hand in so much that there is always more waiting than a batch takes."""
    room = asyncio.Semaphore(FLOOD)

    def answered(future: asyncio.Future[Outcome]) -> None:
        room.release()
        if not isinstance(future.exception(), Unavailable):  # what is left at the end is refused
            harness.accepted(future.result())

    while True:
        await room.acquire()
        writer.enqueue(flooder.org_id, flooder.post()).add_done_callback(answered)
        if room.locked():
            await asyncio.sleep(0)
