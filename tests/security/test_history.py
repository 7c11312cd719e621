"""R17: with the application's connection nobody rewrites history, whatever he tries."""

from __future__ import annotations

import psycopg

from guerdon.audit.verify import audit
from tests.conftest import Database
from tests.security.attacks import HISTORY, changes_let_through


def test_every_way_to_rewrite_history_is_refused(copied_books: Database) -> None:
    assert changes_let_through(copied_books.app_dsn, 1) == []
    assert audit(copied_books.app_dsn, tell=lambda _: None).findings == []


def test_there_is_history_in_every_table_that_keeps_it(full_books: Database) -> None:
    """Else nothing would have been tried on rows."""
    with psycopg.connect(full_books.superuser_dsn) as connection:
        for table in HISTORY:
            assert connection.execute(f"select 1 from {table} limit 1").fetchone(), table
        triggers = connection.execute("select tgrelid::regclass::text from pg_trigger where tgname = 'append_only'")
        assert {name for (name,) in triggers} == set(HISTORY)
