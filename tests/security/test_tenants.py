"""R25: row level security alone keeps organisations apart, in every table, for reading and for writing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import psycopg
import pytest

from guerdon.store.load import OrganisationNotFound, load
from guerdon.store.memory import Memories
from tests.audit.books import books, everything
from tests.conftest import Database
from tests.security.attacks import leaks, tenants_tables


@pytest.fixture
async def two_tenants(database: Database) -> AsyncIterator[tuple[int, int]]:
    """Two organisations in which everything has happened, with the same numbers and references."""
    async with books(database.app_dsn, "mine") as mine, books(database.app_dsn, "theirs") as theirs:
        await everything(mine)
        await everything(theirs)
        yield mine.org_id, theirs.org_id


async def test_nobody_sees_or_touches_the_rows_of_another_organisation(
    database: Database, two_tenants: tuple[int, int]
) -> None:
    mine, theirs = two_tenants
    assert leaks(database.app_dsn, mine, theirs) == []
    assert leaks(database.app_dsn, theirs, mine) == []


async def test_not_even_the_owner_of_the_tables_sees_rows_without_saying_whose(
    database: Database, two_tenants: tuple[int, int]
) -> None:
    with psycopg.connect(database.owner_dsn) as connection:
        for table in tenants_tables(connection):
            assert connection.execute(f"select count(*) from {table}").fetchone() == (0,), table


async def test_both_organisations_have_rows_in_every_table(database: Database, two_tenants: tuple[int, int]) -> None:
    """Else there would be nothing to leak."""
    with psycopg.connect(database.superuser_dsn) as connection:
        for table in tenants_tables(connection):
            count = connection.execute(f"select count(distinct org_id) from {table}").fetchone()
            assert count == (2,), table


async def test_a_context_does_not_outlive_its_transaction(database: Database, two_tenants: tuple[int, int]) -> None:
    mine, _ = two_tenants
    with psycopg.connect(database.app_dsn, autocommit=True) as connection:
        with connection.transaction():
            connection.execute("select set_config('guerdon.org', %s, true)", [str(mine)])
            assert connection.execute("select count(*) from heads").fetchone() == (1,)
        assert connection.execute("select count(*) from heads").fetchone() == (0,)


async def test_an_organisation_that_does_not_exist_has_nothing_to_write_to(database: Database) -> None:
    async with books(database.app_dsn) as b, b.pool.connection() as connection:
        with pytest.raises(OrganisationNotFound):
            await load(connection, b.org_id + 1, [], b.now, Memories().take(b.org_id + 1))
