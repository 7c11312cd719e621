"""A change of policy on the real year: what a preview foresees of 12 to 6 months is what then happens.

The year is lived up to a day in autumn. What the preview says then, figure by figure and row by row, is what a plain
count on paper (`plain.py`) finds. The change is made, and the year goes on: every answer, every month's report and in
the end every lot is what it is on paper, where nobody ever heard of the preview.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

import psycopg
import pytest

from guerdon.core.places import LATE_MAX
from guerdon.importing.reader import Purchase
from tests.conftest import Database
from tests.year.feed import ZONE, Back, Fact, facts, households, purchases
from tests.year.plain import PROMISED_DAYS, Lot, Paper
from tests.year.test_year import SEED, SOME, Year, grocer

CHANGE_AT = datetime(2017, 10, 1, 12, tzinfo=ZONE).astimezone(UTC)
ALL_ENDED_AT = datetime(2018, 8, 1, tzinfo=ZONE).astimezone(UTC)
"""The first of a month a good while after the last point has ended that was earned in 2017."""
MONTHS, GRACE_DAYS = 6, 30
CHANGE = {"expiry": {"kind": "months", "count": MONTHS}, "existing_points": "follow", "grace_days": GRACE_DAYS}
PATH = "/v1/programs/club/preview"
JOBS_EVERY = timedelta(days=10)

Ended = tuple[int, int, datetime]
"""What became of a purchase's points in the end: taken for good, ended, and when what was left of them did."""


@pytest.mark.timeout(600)
def test_six_months_instead_of_twelve_do_to_some_households_what_was_foreseen(
    database: Database, tmp_path: Path
) -> None:
    chosen = sorted(Random(SEED).sample(households(), SOME))
    asyncio.run(run(database, list(purchases(tmp_path, chosen)), closings=(11, 15, 19)))


@pytest.mark.year
@pytest.mark.timeout(7200)
def test_six_months_instead_of_twelve_do_to_the_whole_year_what_was_foreseen(
    database: Database, tmp_path: Path
) -> None:
    asyncio.run(run(database, list(purchases(tmp_path)), closings=range(10, 20)))


async def run(database: Database, bought: list[Purchase], closings: Sequence[int]) -> None:
    """`closings` are months of which the beginning is looked at, from the first of the year."""
    told = [fact for fact in facts(bought, Random(SEED)) if not unsettled(fact) and fact.told_at < ALL_ENDED_AT]
    async with grocer(database) as year:
        await year.open({purchase.member for purchase in bought})
        for fact in told:
            if fact.told_at < CHANGE_AT:
                await year.tell_of(fact)
        await year.flush()
        year.now = CHANGE_AT
        await year.run_jobs()
        began = monotonic()
        foreseen, listed = await asyncio.to_thread(look, year, database)
        print(f"looked at in {monotonic() - began:.1f} s, {len(listed):,} rows: {foreseen}", flush=True)
        there = {lot.number: lot.left for _, lot in standing(year.paper)}
        await asyncio.to_thread(year.api.patch, "/v1/programs/club", CHANGE)
        before = ends(year.paper)
        year.paper.change(CHANGE_AT, MONTHS, GRACE_DAYS)
        assert (foreseen, listed) == recount(year.paper, before), "what is foreseen is what a plain count finds"
        await year.run_jobs()
        await live_on(year, [fact for fact in told if fact.told_at >= CHANGE_AT], closings)
        assert year.paper.outstanding(year.now)[0] == 0, "every point has ended"
        became = in_the_books(database)
        lived = {number for number, (_, expired, _) in became.items() if expired} | there.keys()
        assert_alike(became, on_paper(year.paper), lived)
        then: dict[str, int] = defaultdict(int)
        for number, points in there.items():
            then[month_of(became[number][2])] += points
        assert then == {month: points for month, (_, points) in foreseen["months"].items() if points}
        assert sum(became[number][1] for number in there) > 0


def unsettled(fact: Fact) -> bool:
    """Whether it is about a purchase whose points are released in the days before the change: until that is posted, a
    household's debt is not paid from them in the books, and on paper it is.
    """
    if not isinstance(fact.what, Purchase | Back):
        return False
    at = fact.what.at if isinstance(fact.what, Purchase) else fact.what.purchase.at
    days = timedelta(days=PROMISED_DAYS)
    return CHANGE_AT - LATE_MAX - days - timedelta(days=2) <= at <= CHANGE_AT - days


async def live_on(year: Year, told: list[Fact], closings: Sequence[int]) -> None:
    """The rest of the year and the one after it, with jobs now and then, and a look at the end of some months."""
    todo: list[tuple[datetime, int, Fact | None]] = [(fact.told_at, 2, fact) for fact in told]
    todo += [(CHANGE_AT + JOBS_EVERY * i, 1, None) for i in range(1, (ALL_ENDED_AT - CHANGE_AT) // JOBS_EVERY)]
    todo += [(datetime(2017 + i // 12, i % 12 + 1, 1, tzinfo=ZONE).astimezone(UTC), 0, None) for i in closings]
    for at, what, fact in sorted(todo, key=lambda entry: entry[:2]):
        if fact is not None:
            await year.tell_of(fact)
            continue
        await year.flush()
        year.now = at
        await (year.run_jobs() if what == 1 else year.close_month())
    assert year.now == ALL_ENDED_AT


# -- what is foreseen -------------------------------------------------------------------------------------------------


def look(year: Year, database: Database) -> tuple[dict[str, Any], list[tuple[Any, ...]]]:
    """What the preview answers, and its rows: as `recount` has them."""
    told = year.api.post(PATH, CHANGE, 200)
    sheet = year.api.call("POST", f"{PATH}/points.csv", CHANGE)
    months = {month["month"]: (int(month["points_now"]), int(month["points_then"])) for month in told["months"]}
    figures = {
        name: (told[name]["members"], told[name]["lots"], int(told[name]["points"]))
        for name in ("all", "sooner", "later", "same")
    }
    query = """select l.no::text, p.number, i.value from lots l join purchases p on p.no = l.purchase_no
               join member_identifiers i on i.member_no = p.member_no and i.kind = 'external_id'"""
    whose = {lot: (number, member) for lot, number, member in rows_of(database, query)}
    listed = [
        (
            *whose[row["lot"]],
            row["points_category"],
            int(row["points"]),
            datetime.fromisoformat(row["ends_at"]) + timedelta(seconds=1),
            datetime.fromisoformat(row["would_end_at"]) + timedelta(seconds=1),
            row["change"],
        )
        for row in csv.DictReader(io.StringIO(sheet.text))
    ]
    return {**figures, "months": months}, sorted(listed)


def recount(paper: Paper, before: dict[str, datetime]) -> tuple[dict[str, Any], list[tuple[Any, ...]]]:
    """The same from the lots on paper as they end now, and when they ended before."""
    members: dict[str, set[str]] = {name: set() for name in ("all", "sooner", "later", "same")}
    sums = {name: [0, 0] for name in members}
    months: dict[str, tuple[int, int]] = {}
    listed = []
    for member, lot in standing(paper):
        ended, ends = before[lot.number], lot.ends
        change = "same" if ends == ended else "sooner" if ends < ended else "later"
        for name in ("all", change):
            members[name].add(member)
            sums[name][0] += 1
            sums[name][1] += lot.left
        for place, month in enumerate((month_of(ended), month_of(ends))):
            known = months.get(month, (0, 0))
            months[month] = (known[0] + lot.left, known[1]) if place == 0 else (known[0], known[1] + lot.left)
        if change != "same":
            category = "regular" if lot.released else "promised"
            listed.append((lot.number, member, category, lot.left, ended, ends, change))
    figures = {name: (len(members[name]), *sums[name]) for name in members}
    return {**figures, "months": months}, sorted(listed)


def standing(paper: Paper) -> Iterator[tuple[str, Lot]]:
    """Every lot with something left of it when the change is made, and whose it is."""
    for member, who in paper.members.items():
        paper.pass_to(member, CHANGE_AT)
        yield from ((member, lot) for lot in who.lots.values() if lot.left)


def ends(paper: Paper) -> dict[str, datetime]:
    return {lot.number: lot.ends for who in paper.members.values() for lot in who.lots.values()}


# -- what became of it ------------------------------------------------------------------------------------------------


def assert_alike(became: dict[str, Ended], paper: dict[str, Ended], lived: set[str]) -> None:
    """That what was taken and what ended is the same; and when, of points that were there to end."""
    assert {number: each[:2] for number, each in became.items()} == {n: each[:2] for n, each in paper.items()}
    assert {number: became[number][2] for number in lived} == {number: paper[number][2] for number in lived}


def in_the_books(database: Database) -> dict[str, Ended]:
    """By purchase, of all points that were ever earned."""
    query = """select p.number, l.amount - l.remaining - l.expired, l.expired, l.expires_at, l.remaining
               from lots l join purchases p on p.no = l.purchase_no"""
    found = rows_of(database, query)
    assert not any(remaining for *_, remaining in found)
    return {number: (int(taken), int(expired), at) for number, taken, expired, at, _ in found}


def on_paper(paper: Paper) -> dict[str, Ended]:
    lots = [lot for who in paper.members.values() for lot in who.lots.values()]
    assert not any(lot.left for lot in lots)
    return {lot.number: (lot.points - lot.expired, lot.expired, lot.ends) for lot in lots}


def month_of(ends_at: datetime) -> str:
    """The month of the last day."""
    return f"{(ends_at - timedelta(seconds=1)).astimezone(ZONE):%Y-%m}"


def rows_of(database: Database, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database.superuser_dsn) as connection:
        return connection.execute(query.encode()).fetchall()
