"""The writer on a real database: killed backends, lost answers, two processes, and commands that build on
each other."""

from __future__ import annotations

import asyncio
import random
import sys
from typing import Any

import psycopg
import pytest
import uuid_utils
from psycopg import errors

from guerdon.core import commands as c
from guerdon.core.outcomes import Accepted, Rejected
from guerdon.core.state import State
from guerdon.store.commits import committed
from guerdon.store.save import save
from guerdon.writer.loop import STEPS
from tests.conftest import Database
from tests.writer.worlds import award, envelope, world

AWARDS = "select count(*) from events where name = 'GoodwillAward'"


async def test_what_was_answered_is_stored(database: Database) -> None:
    async with world(database.app_dsn, database.superuser_dsn) as w:
        outcomes = await asyncio.gather(*(w.writer.submit(w.org_id, award(w.members[n % 3])) for n in range(300)))
        assert all(isinstance(outcome, Accepted) for outcome in outcomes)
        assert w.one(AWARDS) == 300
        assert w.points() == 300
        w.assert_whole()


async def test_register_then_award_works_in_one_batch_and_in_two(database: Database) -> None:
    async with world(database.app_dsn, database.superuser_dsn) as w:
        register = c.RegisterMember(**envelope(), identifiers=(("external_id", "new"),))
        by_number = c.Award(**envelope(), member=("external_id", "new"), points=5, reason="welcome")
        first, second = await asyncio.gather(w.writer.submit(w.org_id, register), w.writer.submit(w.org_id, by_number))
        assert isinstance(first, Accepted)
        assert isinstance(second, Accepted)
        third = await w.writer.submit(w.org_id, award(first.result.id, 2))
        assert isinstance(third, Accepted)
        assert third.result.balance == 7


async def test_a_command_that_needs_rows_nobody_could_foresee_gets_them(database: Database) -> None:
    """A raw transfer out of a points account takes its lots, and that it is one is only known once it is
    read."""
    async with world(database.app_dsn, database.superuser_dsn, members=1) as w:
        await w.writer.submit(w.org_id, award(w.members[0], 100))
        account = w.one("select id::text from accounts where tracks_lots and category = 'regular'")
        posts = [
            c.Post(
                **envelope(),
                postings=(
                    c.Posting(
                        asset="POINTS", amount=1, precision=1, reference=f"raw-{n}", source=account, destination="@Away"
                    ),
                ),
            )
            for n in range(20)
        ]
        outcomes = await asyncio.gather(*(w.writer.submit(w.org_id, post) for post in posts))
        assert [type(outcome) for outcome in outcomes] == [Accepted] * 20
        assert w.writer.stats.cuts <= 3  # one for each kind of row, not one for each command
        assert w.points() == 80
        assert w.one("select sum(remaining) from lots") == 80
        w.assert_whole()


async def test_the_same_key_in_one_batch_and_later_is_done_once(database: Database) -> None:
    async with world(database.app_dsn, database.superuser_dsn) as w:
        same = [award(w.members[0], 7, key="k") for _ in range(5)]
        outcomes = await asyncio.gather(*(w.writer.submit(w.org_id, command) for command in same))
        again = await w.writer.submit(w.org_id, award(w.members[0], 7, key="k"))
        assert [o.replayed for o in [*outcomes, again]] == [False] + [True] * 5
        other = await w.writer.submit(w.org_id, award(w.members[0], 8, key="k"))
        assert isinstance(other, Rejected)
        assert w.points() == 7


@pytest.mark.parametrize("answer_lost", [True, False], ids=["after the commit", "before the commit"])
async def test_a_backend_killed_around_the_commit_does_nothing_twice(database: Database, answer_lost: bool) -> None:
    kills = 0

    async def save_and_die(conn: Any, org_id: int, state: State) -> None:
        nonlocal kills
        if kills or not state.mark():
            await save(conn, org_id, state)
            return
        kills += 1
        if answer_lost:
            await save(conn, org_id, state)
        with psycopg.connect(database.superuser_dsn, autocommit=True) as killer:
            killer.execute("select pg_terminate_backend(%s, 5000)", (conn.info.backend_pid,))
        await save(conn, org_id, state)

    async with world(database.app_dsn, database.superuser_dsn) as w:
        w.writer._batches._steps = STEPS._replace(save=save_and_die, ahead=None)
        outcomes = await asyncio.gather(*(w.writer.submit(w.org_id, award(m)) for m in w.members))
        assert all(isinstance(outcome, Accepted) for outcome in outcomes)
        assert (kills, w.writer.stats.doubts, w.writer.stats.retries) == (1, 1, 1)
        assert w.one(AWARDS) == 3
        assert {o.result.event_no for o in outcomes if isinstance(o, Accepted)} == {
            seq for (seq,) in w.rows("select seq from events where name = 'GoodwillAward'")
        }
        w.assert_whole()


async def test_backends_killed_all_the_time_lose_nothing_and_double_nothing(database: Database) -> None:
    done = 0
    chance = random.Random(1)

    async with world(database.app_dsn, database.superuser_dsn, retry_total_s=60.0) as w:

        async def post(member: str) -> None:
            nonlocal done
            for _ in range(20):
                outcome = await w.writer.submit(w.org_id, award(member))
                assert isinstance(outcome, Accepted)
                done += 1

        async def kill() -> None:
            """Whenever a batch went through, at some moment of one of the next."""
            killer = await psycopg.AsyncConnection.connect(database.superuser_dsn, autocommit=True)
            async with killer:
                while True:
                    batches = w.writer.stats.batches
                    while w.writer.stats.batches == batches:  # noqa: ASYNC110  # there is nothing to wait on
                        await asyncio.sleep(0.001)
                    await asyncio.sleep(chance.uniform(0, 0.03))
                    await killer.execute(
                        "select pg_terminate_backend(pid) from pg_stat_activity"
                        " where application_name = 'writer' and datname = current_database()"
                    )

        killing = asyncio.create_task(kill())
        await asyncio.gather(*(post(w.members[n % 3]) for n in range(12)))
        killing.cancel()
        assert done == 240
        assert w.writer.stats.retries > 0
        assert w.writer.stats.doubts > 0
        assert w.one(AWARDS) == 240
        assert w.points() == 240
        w.assert_whole()


async def test_two_processes_write_for_one_organisation(database: Database) -> None:
    async with world(database.app_dsn, database.superuser_dsn, members=1) as w:
        others = [
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.writer.second_process",
                database.app_dsn,
                str(w.org_id),
                w.members[0],
                "400",
            )
            for _ in range(2)
        ]
        outcomes = await asyncio.gather(*(w.writer.submit(w.org_id, award(w.members[0])) for _ in range(200)))
        assert all(isinstance(outcome, Accepted) for outcome in outcomes)
        assert [await process.wait() for process in others] == [0, 0]
        assert w.one(AWARDS) == 1000
        assert w.points() == 1000
        w.assert_whole()


async def test_a_figure_that_the_database_refuses_costs_one_command(database: Database) -> None:
    """What the core should have refused: a text that no index entry can hold."""
    async with world(database.app_dsn, database.superuser_dsn) as w:
        too_long = c.RegisterSource(**envelope(), code="".join(chr(0x4E00 + n % 20000) for n in range(9000)))
        outcomes = await asyncio.gather(
            w.writer.submit(w.org_id, award(w.members[0])),
            w.writer.submit(w.org_id, too_long),
            w.writer.submit(w.org_id, award(w.members[1])),
            return_exceptions=True,
        )
        assert [type(outcome).__name__ for outcome in outcomes] == ["Accepted", "WriterFault", "Accepted"]
        assert w.writer.stats.retries == 0
        w.assert_whole()


async def test_a_committed_number_is_not_enough_where_the_row_it_should_have_ended_with_is_missing(
    database: Database,
) -> None:
    async with world(database.app_dsn, database.superuser_dsn) as w:
        seq, hash_, number = w.rows(
            "select h.seq, encode(h.last_hash, 'hex'), h.xmin::text from heads h where h.seq > 0"
        )[0]
        async with w.pool.connection() as asking:
            assert await committed(asking, w.org_id, f"{number}/{seq}/{hash_}") is True
            assert await committed(asking, w.org_id, f"{number}/{seq}/{'ab' * 32}") is False
            assert await committed(asking, w.org_id, f"{number}/{seq + 1}/{hash_}") is False


async def test_the_commit_of_a_batch_that_made_no_row_is_known_by_its_mark(database: Database) -> None:
    """After a crash, the number of a transaction that was lost belongs to another one, which was committed."""
    async with world(database.app_dsn, database.superuser_dsn) as w:
        refused = c.Redeem(**{**envelope(), "key": "too-much"}, member=("id", w.members[0]), points=10**9)

        async def refuse() -> str:
            assert isinstance(await w.writer.submit(w.org_id, refused), Rejected)
            ((number, seq, hash_, mark),) = w.rows(
                "select xmin::text, seq, encode(last_hash, 'hex'), mark::text from heads where seq > 0"
            )
            assert mark is not None
            return f"{number}/{seq}/{hash_}/{mark}"

        def told(token: str, before: str) -> Any:
            return committed(asking, w.org_id, f"{token}/{before}")

        lost, other = str(uuid_utils.uuid7()), str(uuid_utils.uuid7())
        async with w.pool.connection() as asking:
            there = await refuse()
            number, seq, hash_, mark = there.split("/")
            assert await told(there, "") is True
            assert await told(f"{number}/{seq}/{hash_}/{lost}", mark) is False
            with pytest.raises(errors.OperationalError, match="overwritten"):
                await told(f"{number}/{seq}/{hash_}/{lost}", other)


async def test_whether_a_transaction_was_committed_is_known_once_its_lock_is_free(database: Database) -> None:
    async with world(database.app_dsn, database.superuser_dsn) as w:

        async def begin(conn: Any) -> str:
            await conn.execute("select set_config('guerdon.org', %s, true)", (str(w.org_id),))
            await conn.execute("select from heads where org_id = %s for no key update", (w.org_id,))
            return str((await (await conn.execute("select pg_current_xact_id()::text")).fetchone())[0])

        for end in ("commit", "rollback"):
            async with w.pool.connection() as conn, w.pool.connection() as asking:
                transaction = await begin(conn)
                question = asyncio.create_task(committed(asking, w.org_id, transaction))
                await asyncio.sleep(0.05)
                assert not question.done()
                await conn.execute(end)
                assert await question is (end == "commit")
        async with w.pool.connection() as asking:
            assert await committed(asking, w.org_id, str(2**40 + 12345)) is False
