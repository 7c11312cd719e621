"""One page of the points ledger and the closing balance, with ten million entries in the table."""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

from benchmarks import harness
from benchmarks.harness import Clock, Database, Row, percentile
from benchmarks.posting import award, sample
from guerdon.store.pool import make_pool
from guerdon.store.read import LedgerFilter, Reader
from guerdon.store.statements import statements

ENTRIES = int(os.environ.get("GUERDON_BENCH_ENTRIES") or 10_000_000)
"""Ten million, or fewer to try the figure out."""
MEMBERS = max(1, ENTRIES // 20_000)
PAGE = 100
ASKED = 300


def page() -> list[Row]:
    """First and last page, filtered pages, closing balances."""
    return harness.run(_page())  # type: ignore[no-any-return]


async def _page() -> list[Row]:
    with harness.fresh_database("ledger-page") as database:
        async with harness.writing(database) as writer:
            org_id = await harness.new_organisation(database, "pages")
            members = await harness.open_program(writer, org_id, MEMBERS)
            for _ in range(2):
                await harness.submit_all(writer, org_id, [award(member) for member in members])
        clock = Clock()
        fill(database, org_id)
        harness.say(f"ledger-page: {ENTRIES:,} entries written in {clock.seconds:.0f} s")
        async with make_pool(database.dsn(), name="bench-read", size_max=1, autocommit=True) as pool:
            return await _measure(database, TimedReader(pool), org_id)


class TimedReader(Reader):
    """Asks the database how long it takes over each statement, before asking it for the rows."""

    spent_ms = 0.0

    async def _rows(self, org_id: int, noun: str, name: str, values: dict[str, Any], type_: type[Any]) -> list[Any]:
        await self._explain(org_id, noun, name, values)
        return await super()._rows(org_id, noun, name, values, type_)

    async def balances_at(self, org_id: int, accounts: list[int], seq: int) -> dict[int, int]:
        await self._explain(org_id, "history", "balances_at_seq", {"accounts": accounts, "seq": seq})
        return await super().balances_at(org_id, accounts, seq)

    async def balances_effective(
        self, org_id: int, accounts: list[int], at: datetime, known: int | None = None
    ) -> dict[int, int]:
        await self._explain(org_id, "history", "seq_at", {"at": at})
        place = await self.place_at(org_id, at)
        place = place if known is None else min(place, known)
        await self._explain(org_id, "history", "balances_at_seq", {"accounts": accounts, "seq": place})
        values = {"accounts": accounts, "at": at, "place": place, "known": known or 2**62}
        await self._explain(org_id, "history", "dated", values)
        return await super().balances_effective(org_id, accounts, at, known)

    async def _explain(self, org_id: int, noun: str, name: str, values: dict[str, Any]) -> None:
        """Planned as `store/history.py` and `store/read.py` have it planned: without looking at the values, or with."""
        given = {"org": org_id, **values}
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute("select set_config('guerdon.org', %s, true)", (str(org_id),))
            if noun == "history":
                await connection.execute("set local plan_cache_mode = force_generic_plan")
            names = list(dict.fromkeys(_PARAMETER.findall(statements(noun)[name])))
            text = _PARAMETER.sub(lambda match: f"${1 + names.index(match[1])}", statements(noun)[name])
            await connection.execute(f"prepare asked as {text}".encode())
            literals = [sql.Literal(given[each]).as_string(connection) for each in names]
            explain = f"explain (analyze, timing off, format json) execute asked ({', '.join(literals)})".encode()
            row = await (await connection.execute(explain)).fetchone()
            await connection.execute("deallocate asked")
        assert row is not None
        self.spent_ms += row[0][0]["Execution Time"]


_PARAMETER = re.compile(r"%\((\w+)\)s")


def fill(database: Database, org_id: int) -> None:
    """Awards to the members in turn, each an event and a transfer as the writer made the last one; every entry counts
    from a day before it was recorded, and among the first tenth of each member's events one came from a channel of its
    own."""
    like, event = sample(database, org_id, "transfers"), sample(database, org_id, "events")
    with database.as_superuser() as connection:
        row = connection.execute(
            """
            select max(h.seq), max(f.version) from heads h join figures f on f.org_id = h.org_id
            where h.org_id = %s
            """,
            (org_id,),
        ).fetchone()
        assert row is not None
        values = {
            "org": org_id, "seq": row[0], "pool": like["source"], "version": row[1] + 1, "count": ENTRIES // 2,
            "members": MEMBERS, "rare": ENTRIES // 20 // MEMBERS, "like": like["seq"], "event": event["seq"],
        }  # fmt: skip
        connection.execute("set synchronous_commit = off")
        connection.execute("set work_mem = '256MB'")
        connection.execute(_NUMBERED)
        connection.execute(_NUMBER, values)
        connection.execute(_EVENTS, values)
        connection.execute(_TRANSFERS, values)
        connection.execute(_FIGURES, values)
        connection.execute("update heads set seq = %(seq)s + 2 * %(count)s where org_id = %(org)s", values)
        for table in ("events", "transfers"):
            vacuum(connection, table)
        connection.execute("checkpoint")


def vacuum(connection: psycopg.Connection[Any], table: str) -> None:
    """As autovacuum leaves a table that grows. Whoever still looks at the table from before makes it come again."""
    for _ in range(30):
        connection.execute(f"vacuum (analyze) {table}".encode())
        seen = connection.execute(
            "select relallvisible >= 0.98 * relpages from pg_class where oid = %s::regclass", (table,)
        ).fetchone()
        if seen == (True,):
            return
        time.sleep(1)
    raise RuntimeError(f"vacuum does not get through {table}")


_NUMBERED = (
    "create temporary table numbered (place int primary key, member_no bigint, account_no bigint, version bigint)"
)
_NUMBER = """
insert into numbered
select row_number() over (order by a.member_no) - 1, a.member_no, a.no, f.version
from accounts a join figures f on f.org_id = a.org_id and f.account_no = a.no
where a.org_id = %(org)s and a.member_no > 0 and a.category = 'regular'
"""
_EVENTS = """
insert into events (org_id, seq, id, name, member_no, event_at, recorded_at, transfers, points, mirrors, source,
    store_no, till_no, program_no, purchase_no, reference, actor, reason, entries, body, lot_moves, hash)
select e.org_id, %(seq)s + 2 * n - 1, ('019b0000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, e.name,
    m.member_no, e.event_at + n * interval '1 millisecond', e.recorded_at + n * interval '1 millisecond', e.transfers,
    e.points,
    e.mirrors, case when n / %(members)s = %(rare)s then 'RARE' else e.source end, e.store_no, e.till_no, e.program_no,
    e.purchase_no, e.reference, e.actor, e.reason, e.entries, e.body, e.lot_moves, e.hash
from generate_series(1, %(count)s) n
join numbered m on m.place = n %% %(members)s
cross join (select * from events where org_id = %(org)s and seq = %(event)s) e
order by n
"""
_TRANSFERS = """
insert into transfers (org_id, seq, id, event_seq, action, source, destination, asset, amount, source_version,
    destination_version, source_balance, destination_balance, recorded_at, effective_at, reference, request_id,
    request_reference, parent, detail, hash)
select t.org_id, %(seq)s + 2 * n, ('019c0000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, %(seq)s + 2 * n - 1,
    t.action, %(pool)s, m.account_no, t.asset, 1, %(version)s + n, m.version + 1 + n / %(members)s,
    t.source_balance - n, m.version + 1 + n / %(members)s, t.recorded_at + n * interval '1 millisecond',
    t.recorded_at + n * interval '1 millisecond' - interval '1 day', null, null, null, null, t.detail, t.hash
from generate_series(1, %(count)s) n
join numbered m on m.place = n %% %(members)s
cross join (select * from transfers where org_id = %(org)s and seq = %(like)s) t
order by n
"""


_FIGURES = """
update figures f
set version = x.version, credit = f.credit + x.version - f.version
from (select destination as account_no, max(destination_version) as version from transfers
      where org_id = %(org)s group by destination) x
where f.org_id = %(org)s and f.account_no = x.account_no
"""


async def _measure(database: Database, reader: TimedReader, org_id: int) -> list[Row]:
    with database.as_superuser() as connection:
        found = connection.execute(
            "select member_no, min(seq), max(seq), count(*), max(recorded_at) from events where org_id = %s"
            " and member_no > 0 group by 1",
            (org_id,),
        ).fetchall()
        accounts: dict[int, list[int]] = {}
        for member_no, no in connection.execute(
            "select member_no, no from accounts where org_id = %s and member_no > 0", (org_id,)
        ):
            accounts.setdefault(member_no, []).append(no)
    events_each = min(row[3] for row in found)
    chance = random.Random(1)

    async def one_page(place: int | None, chosen: LedgerFilter) -> None:
        rows = await reader.events(org_id, chosen, place, PAGE, oldest_first=False)
        assert len(rows) == PAGE
        assert len(await reader.entries(org_id, rows)) == PAGE

    async def first() -> None:
        await one_page(None, LedgerFilter(member=chance.choice(found)[0]))

    async def last() -> None:
        member, low, high, count, _ = chance.choice(found)
        await one_page(low + (high - low) * (PAGE + 20) // count, LedgerFilter(member=member))

    async def filtered() -> None:
        await one_page(None, LedgerFilter(member=chance.choice(found)[0], names=("GoodwillAward",)))

    async def rarest() -> None:
        rows = await reader.events(org_id, rare(), None, PAGE, oldest_first=False)
        assert len(await reader.entries(org_id, rows)) == 1

    async def rarest_closing() -> None:
        chosen = rare()
        place = await reader.last_place(org_id, chosen)
        assert place is not None
        assert len(await reader.balances_at(org_id, accounts[chosen.member], place))

    def rare() -> LedgerFilter:
        return LedgerFilter(member=chance.choice(found)[0], sources=("RARE",))

    async def closing() -> None:
        member, low, high, _, _ = chance.choice(found)
        assert len(await reader.balances_at(org_id, accounts[member], chance.randint(low, high)))

    async def effective() -> None:
        member, *_, last = chance.choice(found)
        at = last - chance.random() * (ENTRIES // 2) * timedelta(milliseconds=1) - timedelta(days=1)
        assert len(await reader.balances_effective(org_id, accounts[member], at))

    asked: list[tuple[str, Callable[[], Awaitable[None]], str]] = [
        ("points ledger, the first page", first, f"{PAGE} events with their entries, newest first"),
        ("points ledger, the last page", last, f"{PAGE} events with their entries, by the cursor at the far end"),
        ("points ledger, a filtered page", filtered, f"{PAGE} events of one name with their entries"),
        ("points ledger, the rarest filter", rarest, "the one event of its channel among a member's oldest tenth"),
        ("closing balance of the rarest filter", rarest_closing, "all accounts of a member after that event"),
        ("closing balance at any moment", closing, "all accounts of a member as of a random sequence number"),
        ("closing balance by effective time", effective, "of a member all of whose entries were recorded a day late"),
    ]
    rows: list[Row] = []
    for figure, ask, about in asked:
        p50, p95 = await _time(reader, ask)
        harness.say(f"{figure}: p50 {p50:.2f} ms, p95 {p95:.2f} ms")
        rows.append(
            Row(
                figure=figure,
                value=f"p95 {p95:.1f} ms, p50 {p50:.1f} ms",
                bar="p95 < 5 ms",
                met=p95 < 5,
                conditions=f"{about}; {ENTRIES:,} entries, each of {MEMBERS} members has {events_each:,} events; "
                f"{ASKED} random members; time in the database as EXPLAIN ANALYZE tells it, all statements together",
                numbers={"p50_ms": p50, "p95_ms": p95},
            )
        )
    return rows


async def _time(reader: TimedReader, ask: Callable[[], Awaitable[Any]]) -> tuple[float, float]:
    took: list[float] = []
    for _ in range(20):
        await ask()
    for _ in range(ASKED):
        reader.spent_ms = 0.0
        await ask()
        took.append(reader.spent_ms)
    return percentile(took, 0.5), percentile(took, 0.95)
