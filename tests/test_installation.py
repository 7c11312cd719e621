"""An installation: its secrets are made once and kept, its database is brought up to date or refused."""

from __future__ import annotations

import threading
from pathlib import Path

import psycopg
import pytest

from guerdon.doctor import Unsafe
from guerdon.installation import Installation, opened, ready
from guerdon.settings import Settings
from guerdon.store import migrate
from tests.conftest import Database


@pytest.fixture(autouse=True)
def _no_settings_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def settings_of(database: Database, folder: Path, **more: object) -> Settings:
    given = {"data_dir": folder, "database_url": database.app_dsn, "database_owner_url": database.owner_dsn, **more}
    return Settings.model_validate(given)


def test_the_secrets_are_made_once_and_told_as_new_once(bare_database: Database, tmp_path: Path) -> None:
    settings = settings_of(bare_database, tmp_path / "data")
    with opened(settings) as first, opened(settings) as second:
        assert (first.admin_key_is_new, second.admin_key_is_new) == (True, False)
        assert (first.admin_key, first.key_pepper) == (second.admin_key, second.key_pepper)
        assert len(first.key_pepper) >= 32
        assert first.admin_key not in repr(first)
        assert (first.app_dsn, first.owner_dsn) == (bare_database.app_dsn, bare_database.owner_dsn)


def test_processes_that_open_it_at_once_agree_on_the_secrets(bare_database: Database, tmp_path: Path) -> None:
    settings = settings_of(bare_database, tmp_path)
    found: list[Installation] = []

    def open_it() -> None:
        with opened(settings) as installation:
            found.append(installation)

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({(one.admin_key, one.key_pepper) for one in found}) == 1
    assert sum(one.admin_key_is_new for one in found) == 1


def test_given_secrets_leave_nothing_on_disk(bare_database: Database, tmp_path: Path) -> None:
    given = {"admin_key": "given-admin-key-0123", "key_pepper": "given-pepper-0123456"}
    with opened(settings_of(bare_database, tmp_path / "data", **given)) as installation:
        assert installation.admin_key == given["admin_key"]
        assert installation.key_pepper == given["key_pepper"].encode()
        assert not installation.admin_key_is_new
    assert not (tmp_path / "data").exists()


def test_a_ready_installation_has_this_releases_schema(bare_database: Database, tmp_path: Path) -> None:
    settings = settings_of(bare_database, tmp_path, unsafe=True)  # the tests' database has no fsync
    with ready(settings) as installation, psycopg.connect(installation.app_dsn) as connection:
        assert migrate.current(connection) == migrate.head()


def test_an_unsafe_installation_is_refused_unless_told_otherwise(database: Database, tmp_path: Path) -> None:
    url = database.owner_dsn
    with (
        pytest.raises(Unsafe, match="role: guerdon_owner owns the tables"),
        ready(settings_of(database, tmp_path, database_url=url)),
    ):
        pass
    with ready(settings_of(database, tmp_path, database_url=url, unsafe=True)) as installation:
        assert installation.app_dsn == url
