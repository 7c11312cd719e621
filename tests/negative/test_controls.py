"""R30: with a protection switched off, the check that relies on it turns red. So the checks can see."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import errors

from guerdon.audit import chain
from guerdon.audit.verify import audit
from guerdon.core import commands as c
from guerdon.core.outcomes import Accepted
from guerdon.store import save
from guerdon.store.lookups import lookup
from guerdon.store.pool import adapt
from guerdon.store.statements import statements
from guerdon.store.wire import Prepared
from tests.audit.books import Books, books, everything
from tests.audit.tampering import rewrite_chain
from tests.conftest import Database
from tests.security.attacks import changes_let_through, leaks


def as_superuser(database: Database, *statements: str) -> None:
    with psycopg.connect(database.superuser_dsn) as connection:
        for statement in statements:
            connection.execute(statement)


@contextmanager
def own_rows(database: Database) -> Iterator[psycopg.Connection[Any]]:
    """The application's connection, in the context of the first organisation."""
    with psycopg.connect(database.app_dsn) as connection:
        connection.execute("set guerdon.org = 1")
        yield connection


def findings(database: Database) -> set[str]:
    return {finding.check for finding in audit(database.app_dsn, tell=lambda _: None).findings}


# -- what the database refuses ----------------------------------------------------------------------------------------


def test_history_is_rewritten_when_both_the_trigger_and_the_missing_grants_are_gone(copied_books: Database) -> None:
    as_superuser(copied_books, "grant update, delete on events to guerdon_app")
    locks = {"select * from events for update", "lock table events in access exclusive mode"}
    assert set(changes_let_through(copied_books.app_dsn, 1)) <= locks, "the trigger holds alone"
    as_superuser(copied_books, "revoke update, delete on events from guerdon_app", "drop trigger append_only on events")
    assert changes_let_through(copied_books.app_dsn, 1) == [], "the missing grants hold alone"
    as_superuser(copied_books, "grant update, delete on events to guerdon_app")
    let_through = changes_let_through(copied_books.app_dsn, 1)
    assert "delete from events" in let_through
    assert "update events set org_id = org_id" in let_through


SAME_VERSION = (
    "insert into transfers select org_id, seq + 1000, gen_random_uuid(), 0, action, source, destination, asset, amount,"
    " source_version, destination_version + {}, source_balance, destination_balance, recorded_at, null, null, null,"
    " null, null, null, hash from transfers where action = 'apply' order by seq limit 1"
)


def test_one_version_is_given_twice_when_nothing_is_unique(copied_books: Database) -> None:
    statement = SAME_VERSION.format(1000)
    with own_rows(copied_books) as connection, pytest.raises(errors.UniqueViolation):
        connection.execute(statement)
    as_superuser(copied_books, "alter table transfers drop constraint transfers_org_id_source_source_version_key")
    with own_rows(copied_books) as connection:
        connection.execute(statement)
    assert {"chain", "entries"} <= findings(copied_books)


BELOW = "update figures set debit = debit + credit + 1 where floor = 0 and credit > 0"


def test_an_account_goes_below_its_floor_when_no_constraint_holds_it(copied_books: Database) -> None:
    with own_rows(copied_books) as connection, pytest.raises(errors.CheckViolation):
        connection.execute(BELOW)
    as_superuser(copied_books, "alter table figures drop constraint figures_above_floor")
    with own_rows(copied_books) as connection:
        assert connection.execute(BELOW).rowcount > 0
    assert {"figures", "floors", "points", "balances"} <= findings(copied_books)


@pytest.mark.parametrize(
    "statement",
    [
        "alter policy own_rows on {} using (true)",
        (
            "alter policy own_rows on {} using"
            " (org_id = coalesce(nullif(current_setting('guerdon.org', true), '')::bigint, org_id))"
        ),
        "alter table {} disable row level security",
    ],
    ids=["policy lets all pass", "policy forgets the empty context", "row level security off"],
)
async def test_tenants_see_each_other_without_their_policy(database: Database, statement: str) -> None:
    async with books(database.app_dsn, "mine") as mine, books(database.app_dsn, "theirs") as theirs:
        await mine.set_up()
        await theirs.set_up()
        assert leaks(database.app_dsn, mine.org_id, theirs.org_id) == []
        as_superuser(database, statement.format("accounts"))
        assert leaks(database.app_dsn, mine.org_id, theirs.org_id)


def test_the_owner_sees_every_tenant_unless_row_level_security_is_forced(copied_books: Database) -> None:
    with psycopg.connect(copied_books.owner_dsn) as connection:
        assert connection.execute("select count(*) from events").fetchone() == (0,)
        connection.execute("alter table events no force row level security")
        assert connection.execute("select count(*) from events").fetchone() != (0,)


# -- what the writer does ---------------------------------------------------------------------------------------------


async def race(database: Database) -> list[Any]:
    """Two processes' worth of writers award points to the same member at the same time; what each was told."""
    async with books(database.app_dsn) as one, books(database.app_dsn) as other:
        if await one.value("select count(*) from members") == 0:
            await one.set_up()
            await one.member("ada")
        other.now = one.now

        async def awards(b: Books, which: int) -> list[Any]:
            said: list[Any] = []
            for i in range(25):
                ids = f"01900000-0000-7000-9{which:03x}-{i:06x}000000"
                award = b.make(c.Award, id=ids, member=("external_id", "ada"), points=1, reason="race")
                said += await asyncio.gather(b.writer.submit(b.org_id, award), return_exceptions=True)
            return said

        first, second = await asyncio.gather(awards(one, 1), awards(other, 2))
        return first + second


async def test_two_writers_take_turns_on_the_head(database: Database) -> None:
    assert all(isinstance(outcome, Accepted) for outcome in await race(database))
    assert findings(database) == set()


async def test_two_writers_collide_when_the_head_is_not_locked(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql = statements("load")
    unlocked = sql["lock_head"].replace("for no key update", "")
    assert unlocked != sql["lock_head"]
    monkeypatch.setitem(lookup.SQL, "lock_head", Prepared(unlocked))
    # the keys hold what the lock no longer does: nothing is booked twice, but callers see it fail
    assert not all(isinstance(outcome, Accepted) for outcome in await race(database))


# -- what verify does -------------------------------------------------------------------------------------------------


async def test_a_chain_that_links_nothing_is_found(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(save, "link", lambda before, row: bytes(32))
    async with books(database.app_dsn) as b:
        await b.set_up()
        await b.member("ada")
    assert findings(database) == {"chain"}


WORDS = "update events set reason = 'another' where name = 'GoodwillAward'"


def test_changed_words_are_found_by_the_chain_and_by_nothing_else(
    copied_books: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_superuser(copied_books, "set session_replication_role = replica", WORDS)
    assert findings(copied_books) == {"chain"}
    monkeypatch.setattr(chain, "walk", lambda *_: iter(()))
    assert findings(copied_books) == set()


def test_the_core_has_the_last_word_on_what_the_database_doubts(
    copied_books: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the database wrote the canonical form otherwise, everything would be doubted and nothing would be wrong."""
    other = chain._SQL["walk"].replace('HH24:MI:SS.US"Z"', 'HH24:MI:SS.US"Y"')
    assert other != chain._SQL["walk"]
    monkeypatch.setitem(chain._SQL, "walk", other)
    assert findings(copied_books) == set()


def test_a_rewrite_of_everything_is_found_by_no_check_but_an_anchor(copied_books: Database) -> None:
    as_superuser(copied_books, "set session_replication_role = replica", WORDS)
    with psycopg.connect(copied_books.superuser_dsn) as connection:
        adapt(connection.adapters)
        connection.execute("set session_replication_role = replica")
        connection.execute("set timezone = 'UTC'")
        rewrite_chain(connection, 1, 1)
    assert findings(copied_books) == set()


async def test_each_kind_of_finding_stays_away_from_books_that_hold(database: Database) -> None:
    async with books(database.app_dsn) as b:
        await everything(b)
    assert findings(database) == set()
