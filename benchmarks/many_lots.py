"""One member with a hundred thousand open lots: what asking, spending, returning and expiring take, and what others
notice of a bill that meets all that has ended."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from time import perf_counter
from typing import Any

from benchmarks import harness
from benchmarks.harness import Row, percentile
from benchmarks.posting import award
from guerdon.core import commands as c
from guerdon.core.programs import Rule
from guerdon.core.state import DUE_LOTS
from guerdon.store.pool import make_pool
from guerdon.store.read import LedgerFilter, Reader
from guerdon.writer import Writer

LOTS = int(os.environ.get("GUERDON_BENCH_LOTS") or 100_000)
"""A hundred thousand, or fewer to try the figure out."""
ASKED = 50
PAGE = 100


def many_lots() -> list[Row]:
    """Balance, ledger page, a small and a large redemption, a return, and the bill that meets the rest ended."""
    return harness.run(_many_lots())  # type: ignore[no-any-return]


async def _many_lots() -> list[Row]:
    with harness.fresh_database("many-lots") as database:
        async with (
            harness.writing(database) as writer,
            make_pool(database.dsn(), name="bench-read", size_max=1, autocommit=True) as pool,
        ):
            org_id = await harness.new_organisation(database, "lots")
            await harness.submit_all(writer, org_id, [c.CreateAsset(**harness.envelope(), code="USD", scale=2)])
            earns = (Rule(code="base", kind="per_amount", points=1, amount=100),)
            (member,) = await harness.open_program(writer, org_id, 1, rules=earns, currency="USD")
            other_id = await harness.new_organisation(database, "other")
            (other,) = await harness.open_program(writer, other_id, 1)
            began = perf_counter()
            await harness.submit_all(writer, org_id, [award(member) for _ in range(LOTS)])
            harness.say(f"many-lots: {LOTS:,} lots opened in {perf_counter() - began:.0f} s")
            database.analyse()
            rows = await _measure(writer, Reader(pool), org_id, member)
            return [*rows, *await _ending(writer, org_id, member, other_id, other)]


async def _measure(writer: Writer, reader: Reader, org_id: int, member: str) -> list[Row]:
    now = datetime.now(UTC)

    async def balance() -> None:
        rows = await reader.balances(org_id, 1, now, now + timedelta(days=30))
        assert sum(row.balance for row in rows) > 0

    async def page() -> None:
        events = await reader.events(org_id, LedgerFilter(member=1), None, PAGE, oldest_first=False)
        assert len(await reader.entries(org_id, events)) == PAGE

    async def redeem(points: int = 1) -> None:
        command = c.Redeem(**harness.envelope(), member=("id", member), points=points)
        harness.accepted(await writer.submit(org_id, command))

    number = count(1)
    bills = [_bill(member, str(each)) for each in range(ASKED)]
    await harness.submit_all(writer, org_id, bills)

    async def give_back() -> None:
        bill = bills[next(number) - 1]
        command = c.ReturnPurchase(**harness.envelope(), purchase=("number", bill.number), number=f"R-{bill.number}")
        harness.accepted(await writer.submit(org_id, command))

    return [
        await _row("balance of a member", balance, ASKED, "spendable, on hold, ending soon"),
        await _row("page of the points ledger", page, ASKED, f"{PAGE} events with their entries"),
        await _row("redemption of 1 point", redeem, ASKED, "of one lot"),
        await _row("redemption of half", lambda: redeem(LOTS // 2), 1, f"of {LOTS // 2:,} lots, one commit"),
        await _row("return of a bill", give_back, ASKED, "points that are still there"),
    ]


def _bill(member: str, number: str, **fields: Any) -> c.RecordPurchase:
    line = c.Line(sku="A", quantity=1_000, amount=1_000)
    envelope = {**harness.envelope(), **fields}
    return c.RecordPurchase(**envelope, number=number, currency="USD", member=("id", member), lines=(line,))


async def _ending(writer: Writer, org_id: int, member: str, other_id: int, other: str) -> list[Row]:
    """The first bill after all has ended, while another organisation goes on one award at a time."""
    left = LOTS - LOTS // 2 - ASKED
    alone = await _awards(writer, other_id, other, asyncio.create_task(asyncio.sleep(2)))
    later = datetime.now(UTC) + timedelta(days=800)
    parts, batches = writer.stats.parts, writer.stats.batches
    began = perf_counter()
    bill = asyncio.create_task(writer.submit(org_id, _bill(member, "last", at=later)))
    waits = await _awards(writer, other_id, other, bill)
    ms = (perf_counter() - began) * 1000
    harness.accepted(await bill)
    parts = writer.stats.parts - parts
    assert parts == left // DUE_LOTS, (parts, writer.stats.batches - batches)
    p99, p99_alone = percentile(waits, 0.99) * 1000, percentile(alone, 0.99) * 1000
    harness.say(
        f"bill that meets {left:,} ended lots: {ms:,.0f} ms; others' p99 {p99:.1f} ms, {p99_alone:.1f} ms alone"
    )
    return [
        Row(
            figure=f"{LOTS:,} lots: a bill that meets what is left of them ended",
            value=f"{ms:,.0f} ms; another organisation's awards meanwhile p99 {p99:.1f} ms, longest "
            f"{max(waits) * 1000:.1f} ms ({p99_alone:.1f} ms alone)",
            conditions=f"{left:,} lots that ended at one instant, in {parts} parts, each a commit of its own; one "
            f"caller awards to a member of another organisation, {len(waits):,} times meanwhile",
            numbers={"ms": ms, "others_p99_ms": p99, "others_p99_alone_ms": p99_alone},
        )
    ]


async def _awards(writer: Writer, org_id: int, member: str, until: asyncio.Task[Any]) -> list[float]:
    """How long awards took, one after the other until something is done."""
    took: list[float] = []
    while not until.done():
        began = perf_counter()
        harness.accepted(await writer.submit(org_id, award(member)))
        took.append(perf_counter() - began)
    return took


async def _row(figure: str, ask: Callable[[], Awaitable[Any]], times: int, about: str) -> Row:
    took = []
    for _ in range(times):
        began = perf_counter()
        await ask()
        took.append((perf_counter() - began) * 1000)
    p50, p95 = percentile(took, 0.5), percentile(took, 0.95)
    harness.say(f"{figure}: p50 {p50:.1f} ms, p95 {p95:.1f} ms")
    return Row(
        figure=f"{LOTS:,} lots: {figure}",
        value=f"p95 {p95:.1f} ms, p50 {p50:.1f} ms" if times > 1 else f"{p50:,.0f} ms",
        conditions=f"{about}; a member with {LOTS:,} open lots; {times} times, as the caller waits for it",
        numbers={"p50_ms": p50, "p95_ms": p95},
    )
