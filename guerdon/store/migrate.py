"""The schema, step by step: runs the numbered files of `migrations/` that a database has not seen yet.

Promises: each file in a transaction of its own, as the role that owns the schema, one process at a time;
nothing waits long for a lock that the running server holds; a database that is newer than this release, or
that was made by other files, is refused rather than guessed at.
Leaves to others: running a file (`upgrade.py`), and what the schema is (`schema.sql`, which a test holds equal to the
migrations).
"""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

APP_ROLE = "guerdon_app"
VERSION_TABLE = "schema_version"
ONE_AT_A_TIME = 0x67756572646F6E  # "guerdon", as an advisory lock
WAIT_FOR_OTHERS = "5min"


class MigrationRefused(RuntimeError):
    """The database cannot be brought to this release's schema; the message says what to do."""


def migrate(owner_dsn: str) -> tuple[str, ...]:
    """Bring the database to this release's schema; the names of the files that ran, in order."""
    # The lock has a connection of its own: it must outlast each migration's transaction.
    with psycopg.connect(owner_dsn, autocommit=True) as guard:
        guard.execute(sql.SQL("set lock_timeout = {}").format(WAIT_FOR_OTHERS))
        guard.execute("select pg_advisory_lock(%s)", (ONE_AT_A_TIME,))
        _ensure_app_role(guard)
        _check_history(guard)
        if current(guard) == head():
            return ()
        from guerdon.store import upgrade  # over a second, which a start with nothing to do need not wait

        try:
            return upgrade.run(owner_dsn)
        except upgrade.NotAllowed as problem:
            raise MigrationRefused(
                f"the database's schema is not this release's ({head()}), and {guard.info.user} may not change it: run "
                "guerdon migrate with GUERDON_DATABASE_OWNER_URL, the address of the role that owns the database"
            ) from problem


def files() -> tuple[Path, ...]:
    """The migrations of this release, in order."""
    folder = Path(str(resources.files("guerdon.store"))) / "migrations"
    return tuple(sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql")))


def head() -> str:
    """The number of this release's schema."""
    return number(files()[-1])


def current(connection: psycopg.Connection[Any]) -> str | None:
    """The number of the database's schema, or None when it has none yet."""
    if connection.execute("select to_regclass(%s)", (VERSION_TABLE,)).fetchone() == (None,):
        return None
    query = sql.SQL("select version_num from {}").format(sql.Identifier(VERSION_TABLE))
    row = connection.execute(query).fetchone()
    return str(row[0]) if row else None


def _check_history(connection: psycopg.Connection[Any]) -> None:
    done = current(connection)
    if done is None:
        return
    if done > head():
        raise MigrationRefused(
            f"the database has schema {done} and this release knows only {head()}: run a newer Guerdon"
        )
    sealed = connection.execute("select obj_description(%s::regclass)", (VERSION_TABLE,)).fetchone()
    if sealed != (fingerprint(done),):
        raise MigrationRefused(
            f"the database's schema {done} was made by other migration files than this release has "
            "(an unreleased Guerdon): use a new database, or the release that made this one"
        )


def fingerprint(last: str) -> str:
    """What tells these files, up to the one with the number `last`, from others."""
    contents = b"\0".join(path.read_bytes() for path in files() if number(path) <= last)
    return hashlib.sha256(contents).hexdigest()


def _ensure_app_role(connection: psycopg.Connection[Any]) -> None:
    if connection.execute("select 1 from pg_roles where rolname = %s", (APP_ROLE,)).fetchone():
        return
    role = sql.Identifier(APP_ROLE)
    try:
        connection.execute(sql.SQL("create role {} nologin").format(role))
    except psycopg.errors.InsufficientPrivilege as problem:
        raise MigrationRefused(
            f"the database has no role {APP_ROLE}, to which the schema grants what the server needs: as a "
            f"superuser run `create role {APP_ROLE} login password '...'`, and give its address as "
            "GUERDON_DATABASE_URL"
        ) from problem


def number(path: Path) -> str:
    """A migration's number, by which they are ordered."""
    return path.name.split("_", 1)[0]
