"""One embedded cluster for the whole run, and a fresh copy of the migrated database for each test that asks.

The cluster is shared by every pytest-xdist worker and by several runs at once; it stops with the last.
Switches: GUERDON_TEST_POSTGRES_BIN names another PostgreSQL's bin directory, for example
/usr/lib/postgresql/15/bin; GUERDON_TEST_FSYNC=on pays for durability, which no test but the torture needs, and keeps
the cluster on a disk.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest
from psycopg import sql

from guerdon.store import migrate
from guerdon.store.embedded import APP_ROLE, OWNER_ROLE, SUPERUSER, Embedded

# An installation of the developer's own is none of the tests' business.
for _name in [name for name in os.environ if name.startswith("GUERDON_")]:
    if not _name.startswith(("GUERDON_TEST_", "GUERDON_TORTURE_", "GUERDON_FUZZ_")) and _name != "GUERDON_SEED":
        del os.environ[_name]

# Whoever wants no bytecode written (as images do) would have every worker, and each of the hundred processes that the
# tests start, compile all sources anew.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("guerdon", deadline=None, print_blob=True)
hypothesis.settings.load_profile("guerdon")

_numbers = itertools.count(1)

ROOM = 4 << 30
"""Bytes free in memory before the tests' cluster is kept there."""


@dataclass(frozen=True, slots=True)
class Database:
    """The addresses of one database, by role."""

    name: str
    owner_dsn: str
    app_dsn: str
    superuser_dsn: str


@pytest.fixture(scope="session")
def cluster() -> Iterator[Embedded]:
    """The PostgreSQL server of this run."""
    chosen = os.environ.get("GUERDON_TEST_POSTGRES_BIN")
    name = hashlib.sha256(f"{os.getuid()} {chosen}".encode()).hexdigest()[:8]
    fsync = os.environ.get("GUERDON_TEST_FSYNC", "off")
    with Embedded.start(
        roomy(on_disk=fsync == "on") / f"guerdon-tests-{name}",
        settings={"fsync": fsync, "max_connections": "300", "shared_buffers": "128MB", "max_wal_size": "256MB"},
        bin_dir=Path(chosen) if chosen else None,
    ) as server:
        yield server


def roomy(*, on_disk: bool = False) -> Path:
    """Where a cluster lies: in memory where there is room, since a copy of the template takes 20 ms there and 200 on
    a disk; otherwise among the temporary files.
    """
    memory = Path("/dev/shm")
    roomy = not on_disk and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= ROOM
    return memory if roomy else Path(tempfile.gettempdir())


@pytest.fixture(scope="session")
def template(cluster: Embedded) -> str:
    """The name of a migrated database that no test writes to; made once for each state of the migrations."""
    contents = b"".join(path.read_bytes() for path in migrate.files())
    name = f"template_{hashlib.sha256(contents).hexdigest()[:16]}"
    with psycopg.connect(cluster.dsn(SUPERUSER, "postgres"), autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(1)")
        _drop_left_behind(connection)
        # Marked when it is complete, and not entered again: nobody can copy a database that somebody is in.
        complete = "select from pg_database where datname = %s and datistemplate"
        if connection.execute(complete, (name,)).fetchone() is None:
            cluster.make_database(name)
            migrate.migrate(cluster.dsn(OWNER_ROLE, name))
            connection.execute(sql.SQL("alter database {} is_template true").format(sql.Identifier(name)))
    return name


@pytest.fixture
def database(cluster: Embedded, template: str) -> Iterator[Database]:
    """A migrated database of the test's own, empty."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    cluster.make_database(name, template)
    yield addresses(cluster, name)
    drop_database(cluster, name)


@pytest.fixture
def bare_database(cluster: Embedded) -> Iterator[Database]:
    """A database of the test's own without a schema."""
    name = f"bare_{os.getpid()}_{next(_numbers)}"
    cluster.make_database(name)
    yield addresses(cluster, name)
    drop_database(cluster, name)


def addresses(cluster: Embedded, name: str) -> Database:
    """The addresses of the database `name`."""
    return Database(name, cluster.dsn(OWNER_ROLE, name), cluster.dsn(APP_ROLE, name), cluster.dsn(SUPERUSER, name))


def _drop_left_behind(connection: psycopg.Connection[Any]) -> None:
    """Drop the databases of test processes that are gone."""
    query = "select datname, split_part(datname, '_', 2) from pg_database where datname ~ '^(test|bare)_[0-9]+_'"
    for name, pid in connection.execute(query).fetchall():
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
        except PermissionError:
            continue


def drop_database(cluster: Embedded, name: str) -> None:
    """Drop the database `name`, whoever is still connected."""
    with psycopg.connect(cluster.dsn(SUPERUSER, "postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
