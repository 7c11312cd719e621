"""The migrations: where they lead, that they run once, and what they refuse."""

from __future__ import annotations

import re
import subprocess
import threading
from importlib import resources
from pathlib import Path

import psycopg
import pytest

from guerdon.store import migrate
from guerdon.store.embedded import Embedded
from tests.conftest import Database


def dump(cluster: Embedded, dsn: str) -> str:
    """The schema as pg_dump tells it, without the migrations' own table and what differs from run to run."""
    command = [
        str(cluster.bin_dir / "pg_dump"),
        "--schema-only",
        "--exclude-table",
        migrate.VERSION_TABLE,
        dsn,
    ]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return re.sub(r"^(--|\\(un)?restrict).*\n", "", text, flags=re.MULTILINE)


def test_the_migrations_lead_to_the_schema_as_written(
    cluster: Embedded, database: Database, bare_database: Database
) -> None:
    store = Path(str(resources.files("guerdon.store")))
    schema, queue = (store / "schema.sql").read_text(), (store / "migrations" / "0002_jobs.sql").read_text()
    with psycopg.connect(bare_database.owner_dsn) as connection:
        connection.execute(schema.encode())
        connection.execute(queue.encode())
    migrated = dump(cluster, database.superuser_dsn)
    assert "create table" in migrated.lower()
    assert migrated == dump(cluster, bare_database.superuser_dsn)


def test_migrating_again_runs_nothing(bare_database: Database) -> None:
    first = migrate.migrate(bare_database.owner_dsn)
    assert first == tuple(path.name for path in migrate.files())
    assert migrate.migrate(bare_database.owner_dsn) == ()
    with psycopg.connect(bare_database.app_dsn) as connection:
        assert migrate.current(connection) == migrate.head()


def test_two_processes_that_migrate_at_once_run_each_file_once(bare_database: Database) -> None:
    ran: list[tuple[str, ...]] = []
    threads = [threading.Thread(target=lambda: ran.append(migrate.migrate(bare_database.owner_dsn))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ran) == [(), (), (), tuple(path.name for path in migrate.files())]


def test_a_newer_schema_is_refused(database: Database) -> None:
    with psycopg.connect(database.owner_dsn) as connection:
        connection.execute("update schema_version set version_num = '9999'")
    with pytest.raises(migrate.MigrationRefused, match="run a newer Guerdon"):
        migrate.migrate(database.owner_dsn)


def test_a_schema_made_by_other_files_is_refused(database: Database) -> None:
    with psycopg.connect(database.owner_dsn) as connection:
        connection.execute("comment on table schema_version is 'another'")
    with pytest.raises(migrate.MigrationRefused, match="other migration files"):
        migrate.migrate(database.owner_dsn)


def test_a_failing_migration_leaves_nothing_behind(
    bare_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = tmp_path / "0001_good.sql", tmp_path / "0002_bad.sql"
    good.write_text("create table good (a int); insert into good values (100 % 30);")
    bad.write_text("create table half (a int); create table good (a int);")
    monkeypatch.setattr(migrate, "files", lambda: (good, bad))
    with pytest.raises(Exception, match="already exists"):
        migrate.migrate(bare_database.owner_dsn)
    with psycopg.connect(bare_database.owner_dsn) as connection:
        assert migrate.current(connection) == "0001"
        assert connection.execute("select to_regclass('half'), count(*) from good").fetchone() == (None, 1)
    bad.write_text("create table better (a int);")
    assert migrate.migrate(bare_database.owner_dsn) == ("0002_bad.sql",)


def test_a_role_that_may_not_change_the_schema_is_told_who_may(bare_database: Database) -> None:
    with pytest.raises(migrate.MigrationRefused, match="guerdon_app may not change it: run guerdon migrate with"):
        migrate.migrate(bare_database.app_dsn)
