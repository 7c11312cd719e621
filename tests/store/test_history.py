"""R16: a balance as it was is the balance that a replay of what was recorded arrives at, whoever asks and when."""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from collections import defaultdict
from datetime import timedelta
from random import Random
from typing import Any

import psycopg
import pytest

from guerdon.store import history
from guerdon.store.read_blnk import BlnkReader
from guerdon.store.statements import statements
from tests.audit.books import Books, books, everything
from tests.conftest import Database

RANDOM = Random(os.environ.get("GUERDON_SEED") or 16)


class Replay:
    """All that was recorded, in plain lists."""

    def __init__(self, rows: list[tuple[Any, ...]], times: list[tuple[Any, ...]]) -> None:
        self.times = [at for _, at in times]
        self.moves: list[tuple[int, Any, int, int]] = []
        for seq, effective_at, source, destination, amount in rows:
            self.moves += [(seq, effective_at, source, -amount), (seq, effective_at, destination, amount)]

    @classmethod
    async def of(cls, b: Books) -> Replay:
        moves = await b.rows(
            "select seq, coalesce(effective_at, recorded_at), source, destination, amount from transfers"
            " where action in ('apply', 'settle') order by seq"
        )
        times = await b.rows(
            "select seq, recorded_at from transfers union select seq, recorded_at from events order by seq"
        )
        return cls(moves, times)

    def seq_at(self, at: Any) -> int:
        return bisect_left(self.times, at)

    def balances(self, *, seq: int | None = None, effective: Any = None) -> dict[int, int]:
        found: dict[int, int] = defaultdict(int)
        for number, effective_at, account, amount in self.moves:
            if (seq is None or number <= seq) and (effective is None or effective_at < effective):
                found[account] += amount
        return found


async def test_balances_at_any_place_and_any_time_are_those_of_a_replay(database: Database) -> None:
    async with books(database.app_dsn) as b, b.pool.connection() as connection:
        await everything(b)
        replay = await Replay.of(b)
        accounts = [row[0] for row in await b.rows("select no from accounts")]

        def whole(balances: dict[int, int]) -> dict[int, int]:
            return {no: balances[no] for no in accounts}

        for seq in range(len(replay.times) + 2):
            assert await history.balances_at_seq(connection, b.org_id, accounts, seq) == whole(replay.balances(seq=seq))
        for at in {t + timedelta(microseconds=d) for t in replay.times for d in (-1, 0, 1)}:
            seq = replay.seq_at(at)
            assert await history.seq_at(connection, b.org_id, at) == seq
            assert await history.balances_at_time(connection, b.org_id, accounts, at) == whole(replay.balances(seq=seq))
        for at in {t + timedelta(microseconds=d) for _, t, _, _ in replay.moves for d in (0, 1)}:
            found = await history.balances_at_effective(connection, b.org_id, accounts, at)
            assert found == whole(replay.balances(effective=at))


async def test_what_counted_at_one_time_as_known_at_another_is_what_a_replay_arrives_at(database: Database) -> None:
    async with books(database.app_dsn) as b, b.pool.connection() as connection:
        await everything(b)
        for i in range(20):
            b.later(minutes=RANDOM.randint(0, 90))
            counts_at = b.now + timedelta(minutes=RANDOM.randint(-300, 60))
            await b.post(f"dated {i}", "@World", "@Shop", i + 1, allow_overdraft=True, effective_at=counts_at)
        replay = await Replay.of(b)
        accounts = [row[0] for row in await b.rows("select no from accounts")]
        times = sorted({effective_at for _, effective_at, _, _ in replay.moves})
        differ = 0
        for at in RANDOM.sample(times, min(25, len(times))):
            now = await history.balances_at_effective(connection, b.org_id, accounts, at)
            for known in (0, *RANDOM.sample(range(len(replay.times)), 8), 2**62):
                found = await history.balances_at_effective(connection, b.org_id, accounts, at, known)
                replayed = replay.balances(seq=known, effective=at)
                assert found == {no: replayed[no] for no in accounts}, (at, known)
                differ += found != now
        assert differ
        # the ledger API tells the same, with both moments in it
        ids = dict(await b.rows("select no, id::text from accounts where asset = 'USD'"))
        reader = BlnkReader(b.pool)
        for no, id_ in ids.items():
            at, known_at = RANDOM.choice(times), RANDOM.choice(replay.times)
            credit, debit = await reader.account_at(b.org_id, id_, at, known_at) or (0, 0)
            seq = replay.seq_at(known_at + timedelta(microseconds=1))
            replayed = replay.balances(seq=seq, effective=at + timedelta(microseconds=1))
            assert credit - debit == replayed[no]


async def test_an_answer_stays_the_same_while_others_post_and_post_back_in_time(database: Database) -> None:
    async with books(database.app_dsn) as b, b.pool.connection() as connection:
        for i in range(30):
            b.later(minutes=1)
            await b.post(f"first {i}", "@World", f"@{i % 3}", RANDOM.randint(1, 99), allow_overdraft=True)
        accounts = [row[0] for row in await b.rows("select no from accounts")]
        asked = [RANDOM.randint(0, 30) for _ in range(10)]
        before = [await history.balances_at_seq(connection, b.org_id, accounts, seq) for seq in asked]
        at = b.now - timedelta(minutes=10)
        then = await history.balances_at_time(connection, b.org_id, accounts, at)
        for i in range(30):
            b.later(minutes=1)
            earlier = b.now - timedelta(days=RANDOM.randint(0, 99))
            await b.post(f"late {i}", "@World", f"@{i % 3}", 5, allow_overdraft=True, effective_at=earlier)
        assert [await history.balances_at_seq(connection, b.org_id, accounts, seq) for seq in asked] == before
        assert await history.balances_at_time(connection, b.org_id, accounts, at) == then
        replay = await Replay.of(b)
        effective = await history.balances_at_effective(connection, b.org_id, accounts, at)
        assert effective == {no: replay.balances(effective=at)[no] for no in accounts}
        assert effective != then


MANY = (
    (
        "insert into transfers (org_id, seq, id, event_seq, action, source, destination, asset, amount, source_version,"
        " destination_version, source_balance, destination_balance, recorded_at, hash)"
        " select {org}, n, gen_random_uuid(), 0, 'apply', 1, 2 + n % 50, 'P', 1, n, (n - 1) / 50 + 1, -n,"
        " (n - 1) / 50 + 1, '2027-01-01'::timestamptz + n * interval '1 second', '' from generate_series(1, 20000) n"
    ),
    "insert into heads (org_id, seq) values ({org}, 20000)",
    (
        "insert into figures select {org}, 1 + n, 0, 0, 0, 0, case n when 0 then 20000 else 400 end"
        " from generate_series(0, 50) n"
    ),
)


def test_it_takes_a_few_look_ups_by_index_even_where_the_statistics_know_nothing_yet(database: Database) -> None:
    with psycopg.connect(database.superuser_dsn) as connection:
        for org in (7, 8):
            for statement in MANY:
                connection.execute(statement.format(org=org))
            if org == 7:
                connection.execute("analyze")
    # 2 x log2(20,000) look-ups, each some blocks deep, for each of three accounts
    enough = 3 * 2 * 15 * 5
    place = {"accounts": "'{1,2,3}'", "seq": "12345"}
    for name, values in (("balances_at_seq", place), ("seq_at", {"at": "'2027-01-01 04:00'"})):
        assert blocks_read(database, name, values, statements("history")["enter"]) < enough
    dated = {"accounts": "'{1,2,3}'", "at": "'2027-01-01 04:00'", "place": "14400", "known": "20000"}
    assert blocks_read(database, "dated", dated, statements("history")["enter"]) < 50, "nothing here is dated"
    # and the control: without being told to, the planner looks for an organisation that it takes to be empty
    assert (
        blocks_read(database, "balances_at_seq", place, "select set_config('guerdon.org', %(org)s::text, true)")
        > enough
    )


def blocks_read(database: Database, name: str, values: dict[str, str], enter: str) -> int:
    """How many blocks a statement reads for organisation 8, planned as the server plans it."""
    given = {"org": "8", **values}
    text = re.sub(r"%\((\w+)\)s", lambda match: f"${1 + list(given).index(match[1])}", statements("history")[name])
    with psycopg.connect(database.app_dsn) as connection:
        connection.execute(enter, {"org": 8})
        connection.execute(f"prepare asked as {text}".encode())
        explain = f"explain (analyze, buffers, format json) execute asked ({', '.join(given.values())})"
        ((plan,),) = connection.execute(explain.encode()).fetchall()
    node = plan[0]["Plan"]
    return int(node["Shared Hit Blocks"] + node["Shared Read Blocks"])


@pytest.mark.parametrize("seq", [0, 1, 2**62])
async def test_an_organisation_without_a_past_has_balances_of_nothing(database: Database, seq: int) -> None:
    async with books(database.app_dsn) as b, b.pool.connection() as connection:
        assert await history.balances_at_seq(connection, b.org_id, [1, 2], seq) == {}
        assert await history.seq_at(connection, b.org_id, b.now) == 0
