"""The wire: order, errors, and the state in which it leaves a connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.pq import PipelineStatus, TransactionStatus

from guerdon.store.wire import Prepared, wire
from tests.conftest import Database

ADD = Prepared("select %(a)s::int + %(b)s::int, %(a)s::text")
DIVIDE = Prepared("select 1 / %(a)s::int")
COMMIT = Prepared("commit")


@pytest.fixture
async def connection(market: Database) -> AsyncIterator[AsyncConnection[Any]]:
    async with await AsyncConnection.connect(market.superuser_dsn) as found:
        yield found


async def test_statements_travel_together_and_answer_in_order(connection: AsyncConnection[Any]) -> None:
    async with wire(connection) as sending:
        answers = [sending.send(ADD, {"a": str(n), "b": "1"}) for n in range(3)]
        await sending.sync()
    assert [answer.rows for answer in answers] == [[(1, "0")], [(2, "1")], [(3, "2")]]
    assert connection.info.transaction_status == TransactionStatus.INTRANS


async def test_more_than_a_socket_holds_gets_through_both_ways(connection: AsyncConnection[Any]) -> None:
    echo, long = Prepared("select %(text)s::text"), "x" * 3_000_000
    async with wire(connection) as sending:
        answers = [sending.send(echo, {"text": long}) for _ in range(5)]
        await sending.flush()
        answers += [sending.send(echo, {"text": long}) for _ in range(5)]
    assert all(answer.rows == [(long,)] for answer in answers)


async def test_the_first_error_is_told_and_what_follows_does_not_run(connection: AsyncConnection[Any]) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):  # noqa: PT012  # it comes at the end of the block
        async with wire(connection) as sending:
            sending.send(DIVIDE, {"a": "0"})
            sending.send(ADD, {"a": "no number", "b": "1"})
            sending.send(COMMIT)
    assert connection.pgconn.pipeline_status == PipelineStatus.OFF
    assert connection.info.transaction_status == TransactionStatus.INERROR
    await connection.rollback()
    async with wire(connection) as sending:
        answer = sending.send(ADD, {"a": "1", "b": "1"})  # was prepared in vain, or not at all
    assert answer.rows == [(2, "1")]


async def test_a_statement_that_cannot_be_prepared_is_no_burden(connection: AsyncConnection[Any]) -> None:
    wrong = Prepared("select nothing from nowhere")
    for _ in range(2):
        with pytest.raises(psycopg.errors.UndefinedTable):
            async with wire(connection) as sending:
                sending.send(wrong)
        await connection.rollback()


async def test_an_exception_on_the_way_leaves_a_usable_connection(connection: AsyncConnection[Any]) -> None:
    with pytest.raises(KeyError):  # noqa: PT012  # so it must be in a block
        async with wire(connection) as sending:
            sending.send(ADD, {"a": "1", "b": "2"})
            raise KeyError
    assert connection.pgconn.pipeline_status == PipelineStatus.OFF
    await connection.rollback()
    assert await (await connection.execute("select 1")).fetchone() == (1,)


async def test_inner_ones_wait_for_the_outermost(connection: AsyncConnection[Any]) -> None:
    async with wire(connection):
        async with wire(connection) as inner:
            answer = inner.send(ADD, {"a": "1", "b": "2"})
            await inner.flush()
        assert not hasattr(answer, "rows")
    assert answer.rows == [(3, "1")]


async def test_a_killed_backend_is_told_as_a_lost_connection(
    connection: AsyncConnection[Any], market: Database
) -> None:
    with psycopg.connect(market.superuser_dsn, autocommit=True) as killer:
        killer.execute("select pg_terminate_backend(%s, 5000)", (connection.info.backend_pid,))
    with pytest.raises(psycopg.OperationalError):
        async with wire(connection) as sending:
            sending.send(ADD, {"a": "1", "b": "2"})
    assert connection.closed


async def test_a_connection_that_somebody_closes_is_told_as_lost(connection: AsyncConnection[Any]) -> None:
    with pytest.raises(psycopg.OperationalError):  # noqa: PT012  # what comes at the end of the block must end as well
        async with asyncio.timeout(5), wire(connection) as sending:
            sending.send(ADD, {"a": "1", "b": "1"})
            connection.pgconn.finish()
            await sending.sync()
    assert connection.closed


async def test_a_rollback_does_not_cost_the_prepared_statements(connection: AsyncConnection[Any]) -> None:
    """Psycopg has the server forget all of them after a rollback, once it has prepared one of its own."""
    for _ in range(3):
        async with wire(connection) as sending:
            sending.send(ADD, {"a": "1", "b": "1"})
        for _ in range(7):
            await connection.execute("select 1")
        await connection.rollback()
    assert await (await connection.execute("select count(*) from pg_prepared_statements")).fetchone() == (1,)


async def test_statements_that_the_server_was_told_to_forget_are_prepared_anew(
    connection: AsyncConnection[Any],
) -> None:
    async with wire(connection) as sending:
        sending.send(ADD, {"a": "1", "b": "1"})
    await connection.execute("deallocate all")
    with pytest.raises(psycopg.errors.InvalidSqlStatementName):
        async with wire(connection) as sending:
            sending.send(ADD, {"a": "1", "b": "1"})
    await connection.rollback()
    async with wire(connection) as sending:
        answer = sending.send(ADD, {"a": "1", "b": "1"})
    assert answer.rows == [(2, "1")]


async def test_the_first_answers_are_there_before_the_last(connection: AsyncConnection[Any]) -> None:
    slow = Prepared("select pg_sleep(0.2)")
    async with wire(connection) as sending:
        first = sending.send(ADD, {"a": "1", "b": "1"})
        sending.ask_for_answers()
        asked = sending.sent
        last = sending.send(slow)
        sending.end(asked)
        await sending.answers()
        assert first.rows == [(2, "1")]
        assert not hasattr(last, "rows")
        await sending.sync()
    assert len(last.rows) == 1


async def test_an_error_among_the_first_answers_ends_all(connection: AsyncConnection[Any]) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):  # noqa: PT012
        async with wire(connection) as sending:
            sending.send(DIVIDE, {"a": "0"})
            sending.ask_for_answers()
            asked = sending.sent
            sending.send(COMMIT)
            sending.end(asked)
            await sending.answers()
    assert connection.pgconn.pipeline_status == PipelineStatus.OFF
    assert connection.info.transaction_status == TransactionStatus.INERROR


async def test_what_is_sent_behind_an_end_is_the_next_transaction(connection: AsyncConnection[Any]) -> None:
    who = Prepared("select pg_current_xact_id()::text")
    async with wire(connection) as sending:
        first = sending.send(who)
        sending.send(COMMIT)
        sending.end(0)
        second = sending.send(who)
        third = sending.send(who)
        await sending.sync()
        assert not hasattr(second, "rows")
        await sending.sync()
    assert first.rows != second.rows == third.rows
    assert connection.info.transaction_status == TransactionStatus.INTRANS


async def test_an_error_before_an_end_is_told_and_nothing_behind_it_runs(connection: AsyncConnection[Any]) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):  # noqa: PT012
        async with wire(connection) as sending:
            sending.send(DIVIDE, {"a": "0"})
            sending.send(COMMIT)
            sending.end(0)
            behind = sending.send(ADD, {"a": "1", "b": "1"})
            await sending.sync()
    assert not hasattr(behind, "rows")
    assert connection.pgconn.pipeline_status == PipelineStatus.OFF
    assert connection.info.transaction_status == TransactionStatus.INERROR


async def test_an_answer_that_nobody_told_of_is_found_soon(
    connection: AsyncConnection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asyncio.get_running_loop(), "add_reader", lambda *_: None)
    async with asyncio.timeout(5), wire(connection) as sending:
        answer = sending.send(ADD, {"a": "1", "b": "1"})
    assert answer.rows == [(2, "1")]
