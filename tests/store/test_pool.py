"""What the pool's connections are like."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal

import psycopg
import pytest
from psycopg.types.json import Jsonb

from guerdon.store.embedded import SUPERUSER, Embedded
from guerdon.store.pool import Pool, connect, make_pool
from tests.conftest import Database

ID = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e000000"
HUGE = 10**38 - 1


@pytest.fixture
async def pool(cluster: Embedded, bare_database: Database) -> AsyncIterator[Pool]:
    async with make_pool(bare_database.app_dsn, name="guerdon-test", size_max=2) as pool:
        yield pool


@pytest.mark.parametrize("binary", [False, True])
async def test_numeric_is_an_int_of_any_size_and_uuid_is_text(pool: Pool, binary: bool) -> None:
    async with pool.connection() as connection, connection.cursor(binary=binary) as cursor:
        await cursor.execute(
            "select %s::numeric(38,0), -(10::numeric ^ 40)::numeric(41,0), 0::numeric, %s::uuid, "
            "array[7, 10::numeric ^ 20, null]::numeric(38,0)[], '{}'::numeric[]",
            (HUGE, ID),
        )
        assert await cursor.fetchone() == (HUGE, -(10**40), 0, ID, [7, 10**20, None], [])


@pytest.mark.parametrize("binary", [False, True])
async def test_a_fraction_is_refused_rather_than_rounded(pool: Pool, binary: bool) -> None:
    async with pool.connection() as connection, connection.cursor(binary=binary) as cursor:
        await cursor.execute("select 1.5::numeric")
        with pytest.raises(ValueError, match="5"):
            await cursor.fetchone()


async def test_instants_are_utc_and_json_passes_through(pool: Pool) -> None:
    now = datetime(2026, 11, 21, 19, 30, 0, 123456, tzinfo=UTC)
    async with pool.connection() as connection:
        cursor = await connection.execute("select %s::timestamptz, %s::jsonb", (now, Jsonb({"a": [now, 1]})))
        row = await cursor.fetchone()
    assert row == (now, {"a": ["2026-11-21T19:30:00.123456Z", 1]})
    assert row[0].tzinfo is UTC


async def test_numbers_and_ids_outside_the_pool_are_as_psycopg_has_them(bare_database: Database) -> None:
    with psycopg.connect(bare_database.app_dsn) as connection:
        assert connection.execute("select 1.5::numeric").fetchone() == (Decimal("1.5"),)


async def test_a_session_is_read_committed_in_utc_and_does_not_hang(pool: Pool) -> None:
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "select current_setting('transaction_isolation'), current_setting('timezone'), "
            "current_setting('statement_timeout'), current_setting('lock_timeout'), "
            "current_setting('idle_in_transaction_session_timeout'), current_setting('application_name')"
        )
        assert await cursor.fetchone() == ("read committed", "UTC", "1min", "30s", "1min", "guerdon-test")


async def test_options_given_with_the_address_are_kept(bare_database: Database) -> None:
    with connect(f"{bare_database.app_dsn}&options=-c%20work_mem%3D7MB") as connection:
        row = connection.execute("select current_setting('work_mem'), current_setting('timezone')").fetchone()
    assert row == ("7MB", "UTC")


async def test_a_pool_connects_again_after_its_sessions_were_killed(
    cluster: Embedded, bare_database: Database, pool: Pool
) -> None:
    async with pool.connection() as connection:
        await connection.execute("select 1")
    with psycopg.connect(cluster.dsn(SUPERUSER, "postgres"), autocommit=True) as killer:
        killer.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (bare_database.name,)
        )
    failed = 0
    for _ in range(5):
        try:
            async with pool.connection() as connection:
                await connection.execute("select 1")
        except psycopg.OperationalError:
            failed += 1
    assert failed <= 2
