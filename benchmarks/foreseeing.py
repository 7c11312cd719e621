"""What a change of policy would do to a grocer's real year, and how long it takes to do it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from itertools import islice
from time import perf_counter
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from benchmarks import harness
from benchmarks.bringing_in import NAME
from benchmarks.harness import Database, Row
from guerdon.api.previews import LOTS_AT_ONCE, foresee
from guerdon.core import commands as c
from guerdon.core.forecasts import Forecast, Foresight
from guerdon.core.programs import Expiry, Follow, Planned, Policies, Rule
from guerdon.importing.mapping import load_mapping, resolve_file
from guerdon.importing.reader import read_purchases
from guerdon.jobs import Jobs
from guerdon.store.pool import make_pool
from guerdon.store.read import Reader
from guerdon.writer import Writer

YEAR_BEGIN = datetime(2017, 1, 1, tzinfo=UTC)
YEAR_END = datetime(2018, 1, 2, tzinfo=UTC)
"""After the last purchase, wherever the till stood."""
BILLS = int(os.environ.get("GUERDON_BENCH_BILLS", "0"))
"""So many purchases of the year; 0 is all of them."""
AT_ONCE = 5_000
BEFORE = Policies(
    currency="USD",
    rules=(Rule(code="base", kind="per_amount", points=1, amount=100),),
    expiry=Expiry(kind="months", count=12),
)
AFTER = msgspec.structs.replace(BEFORE, expiry=Expiry(kind="months", count=6), follow=Follow(grace_days=30))


def preview() -> list[Row]:
    """12 months become 6, at the end of the year."""
    try:
        resolve_file(NAME, load_mapping(NAME))
    except Exception as problem:  # noqa: BLE001  # the data extra need not be installed
        harness.say(f"preview: skipped, {problem}")
        return []
    with harness.fresh_database("preview") as database:
        rows: list[Row] = harness.run(_preview(database))
        return rows


async def _preview(database: Database) -> list[Row]:
    pool = make_pool(database.dsn(), name="bench-preview", size_max=4, autocommit=True)
    async with harness.writing(database) as writer, pool:
        org_id = await harness.new_organisation(database, "grocer")
        members = await _year(writer, org_id)
        reader = Reader(pool)
        now = YEAR_END
        started = perf_counter()
        forecast, foresight = (
            Forecast(ZoneInfo("UTC")),
            Foresight({1: BEFORE}, (), Planned(version=2, starts_at=now, policies=AFTER)),
        )
        after = 0
        while True:
            lots = await reader.standing(org_id, 1, now, after, LOTS_AT_ONCE)
            forecast.add([foresee(lot, foresight) for lot in lots])
            if len(lots) < LOTS_AT_ONCE:
                break
            after = lots[-1].no
        foreseen_s = perf_counter() - started
        change = c.ChangeProgram(**_at(now), program=("code", "club"), policies=AFTER)
        started = perf_counter()
        harness.accepted(await writer.submit(org_id, change))
        changed_s = perf_counter() - started
        started = perf_counter()
        await Jobs(pool, writer, harness.settings(), now=lambda: now).run_once()
        followed_s = perf_counter() - started
    total = forecast.sums["all"]
    conditions = f"{total.lots:,} lots of {members:,} members, {total.points:,} points; 12 months become 6"
    return [
        Row(
            figure="preview of a change of policy on a real year",
            value=f"{foreseen_s:.1f} s, {total.lots / foreseen_s:,.0f} lots/s",
            conditions=conditions,
            numbers={"seconds": foreseen_s, "lots": total.lots, "sooner": forecast.sums["sooner"].points},
        ),
        Row(
            figure="the change itself, and all points following",
            value=f"{changed_s * 1000:,.0f} ms; {followed_s:.1f} s, {total.lots / followed_s:,.0f} lots/s",
            conditions=conditions,
            numbers={"change_s": changed_s, "followed_s": followed_s},
        ),
    ]


def _at(moment: datetime) -> dict[str, Any]:
    return {**harness.envelope(), "at": moment}


async def _year(writer: Writer, org_id: int) -> int:
    """The year's purchases; answers how many members bought."""
    mapping = load_mapping(NAME)
    members: set[str] = set()
    some: list[c.Command] = [
        c.CreateAsset(**_at(YEAR_BEGIN), code="USD", scale=2),
        c.CreateAsset(**_at(YEAR_BEGIN), code="POINTS", scale=0),
        c.CreateProgram(**_at(YEAR_BEGIN), code="club", name="Club", asset="POINTS", policies=BEFORE),
    ]
    for bill in islice(read_purchases(resolve_file(NAME, mapping), mapping), BILLS or None):
        members.add(bill.member)
        lines = tuple(c.Line(sku=line.sku, quantity=line.quantity, amount=line.amount) for line in bill.lines)
        where = c.Where(event_at=bill.at, imported=True)
        some.append(
            c.RecordPurchase(
                **_at(YEAR_END),
                number=bill.number,
                currency="USD",
                lines=lines,
                member=("external_id", bill.member),
                register=True,
                where=where,
            )
        )
        if len(some) >= AT_ONCE:
            await harness.submit_all(writer, org_id, some)
            some = []
    await harness.submit_all(writer, org_id, some)
    return len(members)
