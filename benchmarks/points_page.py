"""One page of the points ledger and the closing balance, with ten million entries in the table."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks import harness
from benchmarks.harness import Clock, Database, Row, percentile
from benchmarks.posting import award, sample
from guerdon.store.pool import make_pool
from guerdon.store.read import LedgerFilter, Reader
from guerdon.store.statements import statements

ENTRIES = 10_000_000
MEMBERS = 500
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

    async def _explain(self, org_id: int, noun: str, name: str, values: dict[str, Any]) -> None:
        statement = f"explain (analyze, timing off, format json) {statements(noun)[name]}".encode()
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute("select set_config('guerdon.org', %s, true)", (str(org_id),))
            await connection.execute("set local enable_seqscan = off")
            row = await (await connection.execute(statement, {"org": org_id, **values})).fetchone()
        assert row is not None
        self.spent_ms += row[0][0]["Execution Time"]


def fill(database: Database, org_id: int) -> None:
    """Awards to the members in turn, each an event and a transfer as the writer made the last one."""
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
            "members": MEMBERS, "like": like["seq"], "event": event["seq"],
        }  # fmt: skip
        connection.execute("set synchronous_commit = off")
        connection.execute("set work_mem = '256MB'")
        connection.execute(_NUMBERED)
        connection.execute(_NUMBER, values)
        connection.execute(_EVENTS, values)
        connection.execute(_TRANSFERS, values)
        connection.execute(_FIGURES, values)
        connection.execute("update heads set seq = %(seq)s + 2 * %(count)s where org_id = %(org)s", values)
        connection.execute("vacuum (analyze) events")
        connection.execute("vacuum (analyze) transfers")
        connection.execute("checkpoint")


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
    e.mirrors, e.source, e.store_no, e.till_no, e.program_no, e.purchase_no, e.reference, e.actor, e.reason, e.entries,
    e.body, e.lot_moves, e.hash
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
    t.source_balance - n, m.version + 1 + n / %(members)s, t.recorded_at + n * interval '1 millisecond', null, null,
    null, null, null, t.detail, t.hash
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

    async def closing() -> None:
        member, low, high, _, _ = chance.choice(found)
        assert len(await reader.balances_at(org_id, accounts[member], chance.randint(low, high)))

    asked: list[tuple[str, Callable[[], Awaitable[None]], str]] = [
        ("points ledger, the first page", first, f"{PAGE} events with their entries, newest first"),
        ("points ledger, the last page", last, f"{PAGE} events with their entries, by the cursor at the far end"),
        ("points ledger, a filtered page", filtered, f"{PAGE} events of one name with their entries"),
        ("closing balance at any moment", closing, "all accounts of a member as of a random sequence number"),
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
