"""A grocer's real year through `guerdon import`."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

from benchmarks import harness
from benchmarks.harness import Clock, Row
from guerdon.core import commands as c
from guerdon.core.liability import months
from guerdon.core.programs import Policies, Rule
from guerdon.importing.mapping import load_mapping, resolve_file
from guerdon.store.embedded import OWNER_ROLE
from guerdon.store.pool import make_pool
from guerdon.store.read import Reader

NAME = "complete-journey"


def purchases() -> list[Row]:
    """The whole year, by the command a user would type, into an empty organisation."""
    try:
        resolve_file(NAME, load_mapping(NAME))
    except Exception as problem:  # noqa: BLE001  # the data extra need not be installed
        harness.say(f"import: skipped, {problem}")
        return []
    with harness.fresh_database("import") as database, tempfile.TemporaryDirectory() as place:
        harness.run(prepare(database))
        results = Path(place) / "results.csv"
        clock = Clock()
        subprocess.run(
            [
                *(sys.executable, "-m", "guerdon", "import", "purchases", NAME),
                *("--create-missing", "--organisation", "grocer", "--results", str(results)),
            ],
            env={
                **os.environ,
                "GUERDON_DATABASE_URL": database.dsn(),
                "GUERDON_DATABASE_OWNER_URL": database.dsn(OWNER_ROLE),
            },
            cwd=harness.ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        seconds = clock.seconds
        with database.as_superuser() as connection:
            row = connection.execute(
                """
                select (select count(*) from purchases),
                       (select sum(jsonb_array_length(lines::jsonb)) from purchases),
                       (select sum(f.credit - f.debit) from figures f
                        join accounts a on a.org_id = f.org_id and a.no = f.account_no where a.tracks_lots)
                """
            ).fetchone()
        owed = harness.run(_owed(database))
    assert row is not None
    booked, lines, points = (int(number) for number in row)
    rate = lines / seconds
    return [
        Row(
            figure="import of real purchase lines",
            value=f"{rate:,.0f} lines/s ({booked / seconds:,.0f} purchases/s)",
            bar=">= 10,000 lines/s",
            met=rate >= 10_000,
            conditions=f"the Complete Journey year: {lines:,} lines of {booked:,} purchases, {points:,} points, in "
            f"{seconds:.0f} s from the command's start to its end, reading the file and registering members included",
            numbers={"lines_per_s": rate, "lines": lines, "purchases": booked, "points": points, "seconds": seconds},
        ),
        *owed,
    ]


async def _owed(database: harness.Database) -> list[Row]:
    """The liability report over the whole year, by when it was recorded and by when it counts."""
    rows = []
    database.analyse()
    async with make_pool(database.dsn(), name="bench-read", size_max=1, autocommit=True) as pool:
        reader = Reader(pool)
        grocer = await reader.organisation("grocer")
        assert grocer is not None
        for by_event in (False, True):
            took = []
            for _ in range(5):
                began = perf_counter()
                found = (await reader.liability(grocer.org_id, {1: "UTC"}, datetime.now(UTC), by_event=by_event))[1]
                took.append((perf_counter() - began) * 1000)
                told = months(found.flows, found.written_off)
                assert told[-1].outstanding == found.held - found.receivable == found.internal
            rows.append(
                Row(
                    figure=f"liability report by {'effective' if by_event else 'recorded'} time",
                    value=f"{harness.median(took):,.0f} ms",
                    conditions=f"{len(told)} months of the Complete Journey year, tied out to the ledger; one pass "
                    f"over the transfers, whatever the number of months; median of {len(took)}",
                    numbers={"ms": harness.median(took), "months": len(told)},
                )
            )
            harness.say(f"{rows[-1].figure}: {rows[-1].value}, {len(told)} months")
    return rows


async def prepare(database: harness.Database) -> None:
    """One point per whole 100 cents."""
    async with harness.writing(database) as writer:
        org_id = await harness.new_organisation(database, "grocer")
        await harness.submit_all(
            writer,
            org_id,
            [
                c.CreateAsset(**harness.envelope(), code="POINTS", scale=0),
                c.CreateAsset(**harness.envelope(), code="USD", scale=2),
            ],
        )
        rule = Rule(code="base", kind="per_amount", points=1, amount=100)
        policies = Policies(currency="USD", rules=(rule,))
        program = c.CreateProgram(**harness.envelope(), code="club", name="Club", asset="POINTS", policies=policies)
        await harness.submit_all(writer, org_id, [program])
