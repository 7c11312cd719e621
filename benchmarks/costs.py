"""What the protections cost, one by one, and what a transfer takes on disk for ever."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import sql

from benchmarks import harness
from benchmarks.harness import Database, Row, median
from benchmarks.posting import BATCH, Awards, Posts, bulk_once, weight_of
from guerdon.store import save

RUNS = 5
BATCHES = 10


def costs() -> list[Row]:
    """Row level security, the hash chain and stored outcomes, each switched off in turns; bytes per transfer."""
    return harness.run(_costs())  # type: ignore[no-any-return]


async def _costs() -> list[Row]:
    with harness.fresh_database("costs") as database:
        async with harness.writing(database, batch_weight_max=BATCH) as writer:
            work = await Posts.prepare(database, writer, "costs")
            await bulk_once(writer, work, 3)
            database.analyse()
            rates: dict[str, list[float]] = {"as it is": [], "no rls": [], "no chain": [], "keyed": []}
            for number in range(RUNS):
                rates["as it is"].append(await bulk_once(writer, work, BATCHES))
                with without_row_level_security(database):
                    rates["no rls"].append(await bulk_once(writer, work, BATCHES))
                with without_chain():
                    rates["no chain"].append(await bulk_once(writer, work, BATCHES))
                rates["keyed"].append(await bulk_once(writer, work, BATCHES, keyed=True))
                harness.say(f"costs {number + 1}/{RUNS}: {', '.join(f'{k} {v[-1]:,.0f}/s' for k, v in rates.items())}")
        rate = {name: median(runs) for name, runs in rates.items()}
        rows = [
            _cost(
                "row level security", 1e6 / rate["as it is"] - 1e6 / rate["no rls"], rate["as it is"], rate["no rls"]
            ),
            _cost(
                "the hash chain", 1e6 / rate["as it is"] - 1e6 / rate["no chain"], rate["as it is"], rate["no chain"]
            ),
            _cost("stored outcomes", 1e6 / rate["keyed"] - 1e6 / rate["as it is"], rate["keyed"], rate["as it is"]),
        ]
        rows += [await _bytes(database, Posts, keyed=False), await _bytes(database, Posts, keyed=True)]
        rows.append(await _bytes(database, Awards, keyed=False))
    return rows


def _cost(what: str, microseconds: float, with_it: float, without: float) -> Row:
    return Row(
        figure=f"cost of {what}",
        value=f"{microseconds:+.1f} us a transfer: {with_it:,.0f}/s with, {without:,.0f}/s without",
        bar="told",
        conditions=f"bulk posting in batches of {BATCH}, {BATCHES} batches a run, median of {RUNS} runs in turns",
        numbers={"us": microseconds, "with_per_s": with_it, "without_per_s": without},
    )


@contextmanager
def without_row_level_security(database: Database) -> Iterator[None]:
    with database.as_superuser() as connection:
        tables = [
            row[0] for row in connection.execute("select relname from pg_class where relrowsecurity order by relname")
        ]
        for table in tables:
            connection.execute(sql.SQL("alter table {} disable row level security").format(sql.Identifier(table)))
        try:
            yield
        finally:
            for table in tables:
                connection.execute(sql.SQL("alter table {} enable row level security").format(sql.Identifier(table)))


@contextmanager
def without_chain() -> Iterator[None]:
    """Every row gets the same hash."""
    names = vars(save)
    link = names["link"]
    names["link"] = lambda before, row: before  # noqa: ARG005
    try:
        yield
    finally:
        names["link"] = link


TABLES = ("transfers", "events", "lots", "figures", "outcomes")


async def _bytes(database: Database, kind: type[Posts | Awards], *, keyed: bool) -> Row:
    async with harness.writing(database, batch_weight_max=weight_of(kind) * BATCH) as writer:
        work = await kind.prepare(database, writer, f"bytes-{kind.__name__}-{keyed}".lower())
        await bulk_once(writer, work, 20, keyed)
        before = {table: database.size(table) for table in TABLES}
        await bulk_once(writer, work, 50, keyed)
    each = {table: (database.size(table) - before[table]) / (50 * BATCH) for table in TABLES}
    what = "raw transfer" if kind is Posts else "award (event, transfer, lot)"
    parts = ", ".join(f"{table} {size:,.0f}" for table, size in each.items() if size >= 1)
    return Row(
        figure=f"bytes kept per {what}{', with an idempotency key' if keyed else ''}",
        value=f"{sum(each.values()):,.0f} bytes ({parts})",
        bar="told",
        conditions=f"growth of tables with their indexes over {50 * BATCH:,} commands, after 20,000",
        numbers={"bytes": sum(each.values()), **each},
    )
