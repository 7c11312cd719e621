"""One member with a hundred thousand open lots: what asking, spending and expiring take."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any

from benchmarks import harness
from benchmarks.harness import Row, percentile
from benchmarks.posting import award
from guerdon.core import commands as c
from guerdon.store.pool import make_pool
from guerdon.store.read import LedgerFilter, Reader
from guerdon.writer import Writer

LOTS = int(os.environ.get("GUERDON_BENCH_LOTS") or 100_000)
"""A hundred thousand, or fewer to try the figure out."""
ASKED = 50
PAGE = 100


def many_lots() -> list[Row]:
    """Balance, ledger page, a small and a large redemption, and the sweep that expires the rest."""
    return harness.run(_many_lots())  # type: ignore[no-any-return]


async def _many_lots() -> list[Row]:
    with harness.fresh_database("many-lots") as database:
        async with (
            harness.writing(database) as writer,
            make_pool(database.dsn(), name="bench-read", size_max=1, autocommit=True) as pool,
        ):
            org_id = await harness.new_organisation(database, "lots")
            (member,) = await harness.open_program(writer, org_id, 1)
            began = perf_counter()
            await harness.submit_all(writer, org_id, [award(member) for _ in range(LOTS)])
            harness.say(f"many-lots: {LOTS:,} lots opened in {perf_counter() - began:.0f} s")
            database.analyse()
            return await _measure(writer, Reader(pool), org_id, member)


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

    async def expire() -> None:
        later = harness.envelope() | {"at": now + timedelta(days=800)}
        accounts = [
            account.no for account in (await reader.accounts(org_id, 1)).values() if account.category == "regular"
        ]
        done = harness.accepted(await writer.submit(org_id, c.ExpireLots(**later, accounts=tuple(accounts))))
        assert done.points == LOTS - LOTS // 2 - ASKED

    return [
        await _row("balance of a member", balance, ASKED, "spendable, on hold, ending soon"),
        await _row("page of the points ledger", page, ASKED, f"{PAGE} events with their entries"),
        await _row("redemption of 1 point", redeem, ASKED, "of one lot"),
        await _row("redemption of half", lambda: redeem(LOTS // 2), 1, f"of {LOTS // 2:,} lots, one commit"),
        await _row("expiry of the rest", expire, 1, f"of {LOTS - LOTS // 2 - ASKED:,} lots, one commit"),
    ]


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
