"""A change of policy on the real year: what a preview foresees of 12 to 6 months is what then happens."""

from __future__ import annotations

import asyncio
import csv
import io
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest

from guerdon.audit.verify import audit
from guerdon.core.places import LATE_MAX
from guerdon.importing.reader import Purchase
from tests.conftest import Database
from tests.year.feed import ZONE, facts, households, purchases
from tests.year.test_year import SEED, SOME, grocer

CHANGE_AT = datetime(2017, 10, 1, 12, tzinfo=ZONE).astimezone(UTC)
QUIET = timedelta(days=20)
CHANGE = {"expiry": {"kind": "months", "count": 6}, "existing_points": "follow", "grace_days": 30}


@pytest.mark.timeout(600)
def test_six_months_instead_of_twelve_do_to_some_households_what_was_foreseen(
    database: Database, tmp_path: Path
) -> None:
    chosen = sorted(Random(SEED).sample(households(), SOME))
    asyncio.run(run(database, list(purchases(tmp_path, chosen))))


@pytest.mark.year
@pytest.mark.timeout(7200)
def test_six_months_instead_of_twelve_do_to_the_whole_year_what_was_foreseen(
    database: Database, tmp_path: Path
) -> None:
    asyncio.run(run(database, list(purchases(tmp_path))))


async def run(database: Database, bought: list[Purchase]) -> None:
    """Up to the change as it was, but for the last days, so that nothing is promised and no debt is left to be repaid
    from it; then the change, and time goes by with nothing but jobs until all has ended.
    """
    told = [fact for fact in facts(bought, Random(SEED)) if fact.told_at < CHANGE_AT - QUIET]
    async with grocer(database) as year:
        await year.open({purchase.member for purchase in bought})
        for fact in told:
            await year.tell_of(fact)
        await year.flush()
        year.now = CHANGE_AT
        await year.run_jobs()
        path = "/v1/programs/club/preview"
        foreseen = await asyncio.to_thread(year.api.post, path, CHANGE, 200)
        sheet = await asyncio.to_thread(year.api.call, "POST", f"{path}/points.csv", CHANGE)
        rows = list(csv.DictReader(io.StringIO(sheet.text)))
        print(f"foreseen of {foreseen['all']}: sooner {foreseen['sooner']}, later {foreseen['later']}", flush=True)
        assert len(rows) == foreseen["sooner"]["lots"] + foreseen["later"]["lots"] > 0
        assert sum(int(row["points"]) for row in rows) == int(foreseen["sooner"]["points"])
        assert len({row["member"] for row in rows if row["change"] == "sooner"}) == foreseen["sooner"]["members"]
        await asyncio.to_thread(year.api.patch, "/v1/programs/club", CHANGE)
        await year.run_jobs()
        found = {
            str(no): ends
            for no, ends in rows_of(
                database, "select no, expires_at - interval '1 second' from lots where remaining > 0"
            )
        }
        for row in rows:
            assert found[row["lot"]] == datetime.fromisoformat(row["would_end_at"]), row
        assert len(found) == foreseen["all"]["lots"]
        year.now = CHANGE_AT + timedelta(days=400) + LATE_MAX
        await year.run_jobs()
        await year.run_jobs()
        ended: dict[str, int] = defaultdict(int)
        query = "select event_at, -points from events where name = 'PointsExpiry' and recorded_at > %s"
        for at, points in rows_of(database, query, CHANGE_AT):
            ended[f"{(at - timedelta(seconds=1)).astimezone(ZONE):%Y-%m}"] += int(points)
        then = {
            month["month"]: int(month["points_then"]) for month in foreseen["months"] if month["points_then"] != "0"
        }
        assert dict(ended) == then
        assert audit(database.app_dsn, organisation="grocer", tell=lambda _: None).findings == []


def rows_of(database: Database, query: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(database.superuser_dsn) as connection:
        return connection.execute(query, values).fetchall()
