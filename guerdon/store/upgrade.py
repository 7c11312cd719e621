"""Running migrations: each file in a transaction of its own. Alembic keeps the books, in the table `schema_version`.

Promises: waits `LOCK_TIMEOUT` for a lock that a running server holds, and no longer.
Leaves to others: whether this database may be changed, and one process at a time (`migrate.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg
from alembic.runtime.migration import MigrationContext, MigrationStep
from alembic.script import Script
from alembic.script.revision import RevisionMap
from sqlalchemy import Connection, NullPool, create_engine
from sqlalchemy.exc import ProgrammingError

from guerdon.store import migrate

log = logging.getLogger(__name__)

LOCK_TIMEOUT = "5s"
STATEMENT_TIMEOUT = "30min"


class NotAllowed(RuntimeError):
    """The role does not own the schema."""


def run(owner_dsn: str) -> tuple[str, ...]:
    """Run what the database has not seen yet; the names of the files, in order."""
    ran: list[str] = []
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(owner_dsn), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            _run(connection, ran)
    except ProgrammingError as problem:
        if not isinstance(problem.orig, psycopg.errors.InsufficientPrivilege):
            raise
        raise NotAllowed from problem
    return tuple(ran)


def _run(connection: Connection, ran: list[str]) -> None:
    steps = RevisionMap(lambda: _scripts(connection))

    def pending(heads: Any, _: MigrationContext) -> Iterator[Any]:
        done = max(heads, default="")
        for path in migrate.files():
            if migrate.number(path) > done:
                ran.append(path.name)
                log.info("running migration %s", path.name)
                script = steps.get_revision(migrate.number(path))
                assert isinstance(script, Script)
                yield MigrationStep.upgrade_from_script(steps, script)

    for setting, value in (("lock_timeout", LOCK_TIMEOUT), ("statement_timeout", STATEMENT_TIMEOUT)):
        connection.exec_driver_sql(f"set {setting} = '{value}'")
    connection.commit()
    MigrationContext.configure(
        connection, opts={"version_table": migrate.VERSION_TABLE, "transaction_per_migration": True, "fn": pending}
    ).run_migrations()


def _scripts(connection: Connection) -> Iterator[Script]:
    """Each file as the kind of module that alembic keeps its books on."""
    previous: str | None = None
    for path in migrate.files():
        module: Any = ModuleType(path.stem)
        module.revision, module.down_revision = migrate.number(path), previous
        module.upgrade = lambda path=path: _upgrade(connection, path)
        yield Script(module, module.revision, path)
        previous = module.revision


def _upgrade(connection: Connection, path: Path) -> None:
    """Run the file, remember which files made this schema, let the application role read its number."""
    for statements in (
        path.read_text(),
        f"comment on table {migrate.VERSION_TABLE} is '{migrate.fingerprint(migrate.number(path))}'",
        f"grant select on {migrate.VERSION_TABLE} to {migrate.APP_ROLE}",
    ):
        connection.execution_options(no_parameters=True).exec_driver_sql(statements)
