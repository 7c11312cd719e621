"""The schema, step by step: runs the numbered files of `migrations/` that a database has not seen yet.

Promises: each file in a transaction of its own, as the role that owns the schema, one process at a time;
nothing waits long for a lock that the running server holds; a database that is newer than this release, or
that was made by other files, is refused rather than guessed at. Alembic keeps the books (`schema_version`).
Leaves to others: what the schema is (`schema.sql`, which a test holds equal to the migrations).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg
from alembic.runtime.migration import MigrationContext, MigrationStep
from alembic.script import Script
from alembic.script.revision import RevisionMap
from psycopg import sql
from sqlalchemy import Connection, NullPool, create_engine
from sqlalchemy.exc import ProgrammingError

log = logging.getLogger(__name__)

APP_ROLE = "guerdon_app"
VERSION_TABLE = "schema_version"
ONE_AT_A_TIME = 0x67756572646F6E  # "guerdon", as an advisory lock
WAIT_FOR_OTHERS = "5min"
LOCK_TIMEOUT = "5s"
STATEMENT_TIMEOUT = "30min"


class MigrationRefused(RuntimeError):
    """The database cannot be brought to this release's schema; the message says what to do."""


def migrate(owner_dsn: str) -> tuple[str, ...]:
    """Bring the database to this release's schema; the names of the files that ran, in order."""
    ran: list[str] = []
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(owner_dsn), poolclass=NullPool)
    # The lock has a connection of its own: it must outlast each migration's transaction.
    with psycopg.connect(owner_dsn, autocommit=True) as guard:
        guard.execute(sql.SQL("set lock_timeout = {}").format(WAIT_FOR_OTHERS))
        guard.execute("select pg_advisory_lock(%s)", (ONE_AT_A_TIME,))
        _ensure_app_role(guard)
        _check_history(guard)
        try:
            with engine.connect() as connection:
                _run(connection, ran)
        except ProgrammingError as problem:
            if not isinstance(problem.orig, psycopg.errors.InsufficientPrivilege):
                raise
            raise MigrationRefused(
                f"the database's schema is not this release's ({head()}), and {guard.info.user} may not change it: run "
                "guerdon migrate with GUERDON_DATABASE_OWNER_URL, the address of the role that owns the database"
            ) from problem
    return tuple(ran)


def files() -> tuple[Path, ...]:
    """The migrations of this release, in order."""
    folder = Path(str(resources.files("guerdon.store"))) / "migrations"
    return tuple(sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql")))


def head() -> str:
    """The number of this release's schema."""
    return _number(files()[-1])


def current(connection: psycopg.Connection[Any]) -> str | None:
    """The number of the database's schema, or None when it has none yet."""
    if connection.execute("select to_regclass(%s)", (VERSION_TABLE,)).fetchone() == (None,):
        return None
    query = sql.SQL("select version_num from {}").format(sql.Identifier(VERSION_TABLE))
    row = connection.execute(query).fetchone()
    return str(row[0]) if row else None


def _run(connection: Connection, ran: list[str]) -> None:
    steps = RevisionMap(lambda: _scripts(connection))

    def pending(heads: Any, _: MigrationContext) -> Iterator[Any]:
        done = max(heads, default="")
        for path in files():
            if _number(path) > done:
                ran.append(path.name)
                log.info("running migration %s", path.name)
                script = steps.get_revision(_number(path))
                assert isinstance(script, Script)
                yield MigrationStep.upgrade_from_script(steps, script)

    for setting, value in (("lock_timeout", LOCK_TIMEOUT), ("statement_timeout", STATEMENT_TIMEOUT)):
        connection.exec_driver_sql(f"set {setting} = '{value}'")
    connection.commit()
    MigrationContext.configure(
        connection, opts={"version_table": VERSION_TABLE, "transaction_per_migration": True, "fn": pending}
    ).run_migrations()


def _scripts(connection: Connection) -> Iterator[Script]:
    """Each file as the kind of module that alembic keeps its books on."""
    previous: str | None = None
    for path in files():
        module: Any = ModuleType(path.stem)
        module.revision, module.down_revision = _number(path), previous
        module.upgrade = lambda path=path: _upgrade(connection, path)
        yield Script(module, module.revision, path)
        previous = module.revision


def _upgrade(connection: Connection, path: Path) -> None:
    """Run the file, remember which files made this schema, let the application role read its number."""
    for statements in (
        path.read_text(),
        f"comment on table {VERSION_TABLE} is '{_fingerprint(_number(path))}'",
        f"grant select on {VERSION_TABLE} to {APP_ROLE}",
    ):
        connection.execution_options(no_parameters=True).exec_driver_sql(statements)


def _check_history(connection: psycopg.Connection[Any]) -> None:
    done = current(connection)
    if done is None:
        return
    if done > head():
        raise MigrationRefused(
            f"the database has schema {done} and this release knows only {head()}: run a newer Guerdon"
        )
    sealed = connection.execute("select obj_description(%s::regclass)", (VERSION_TABLE,)).fetchone()
    if sealed != (_fingerprint(done),):
        raise MigrationRefused(
            f"the database's schema {done} was made by other migration files than this release has "
            "(an unreleased Guerdon): use a new database, or the release that made this one"
        )


def _fingerprint(number: str) -> str:
    contents = b"\0".join(path.read_bytes() for path in files() if _number(path) <= number)
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


def _number(path: Path) -> str:
    return path.name.split("_", 1)[0]
