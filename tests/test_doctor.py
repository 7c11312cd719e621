"""The doctor finds what is unsafe, each by switching it off for real."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from guerdon import doctor
from guerdon.doctor import Finding, Unsafe
from guerdon.settings import Settings
from tests.conftest import Database

KEY = "gd_admin_4f0sN2vJxq7LrT9wKz3B"


@pytest.fixture(autouse=True)
def _no_settings_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def findings(dsn: str, key: str = KEY, settings: Settings | None = None) -> dict[str, Finding]:
    found = doctor.check(dsn, settings or Settings(), key)
    return {finding.subject: finding for finding in found}


def as_superuser(database: Database, statement: str) -> None:
    with psycopg.connect(database.superuser_dsn, autocommit=True) as connection:
        connection.execute(statement.encode())


def test_our_own_database_is_safe_in_everything_but_the_tests_fsync(database: Database) -> None:
    found = findings(database.app_dsn)
    assert {subject for subject, finding in found.items() if finding.level != "ok"} <= {"fsync"}
    assert {"server version", "role", "schema", "row level security", "history", "clock"} <= found.keys()


def test_answering_before_the_commit_is_on_disk_is_unsafe(database: Database) -> None:
    assert findings(database.app_dsn)["synchronous_commit"].level == "ok"
    as_superuser(database, f"alter role guerdon_app in database {database.name} set synchronous_commit = off")
    found = findings(database.app_dsn)["synchronous_commit"]
    assert found.level == "unsafe"
    assert "alter system set synchronous_commit = on" in found.text


def test_a_server_without_fsync_is_unsafe(database: Database) -> None:
    with psycopg.connect(database.app_dsn) as connection:
        fsync = connection.execute("show fsync").fetchone()
    assert findings(database.app_dsn)["fsync"].level == ("ok" if fsync == ("on",) else "unsafe")


def test_the_superuser_and_the_owner_are_unsafe_roles(database: Database) -> None:
    assert "superuser" in findings(database.superuser_dsn)["role"].text
    assert "owns the tables" in findings(database.owner_dsn)["role"].text
    assert findings(database.owner_dsn)["history"].level == "unsafe"


def test_a_table_without_forced_policies_is_unsafe(database: Database) -> None:
    as_superuser(database, "alter table members no force row level security")
    as_superuser(database, "drop policy own_rows on lots")
    found = findings(database.app_dsn)["row level security"]
    assert found.level == "unsafe"
    assert "lots, members" in found.text


def test_history_that_could_be_rewritten_is_unsafe(database: Database) -> None:
    as_superuser(database, "grant update on transfers to guerdon_app")
    as_superuser(database, "alter table events disable trigger append_only")
    found = findings(database.app_dsn)["history"]
    assert found.level == "unsafe"
    assert "events, transfers" in found.text


def test_a_database_without_our_schema_is_unsafe(bare_database: Database) -> None:
    found = findings(bare_database.app_dsn)["schema"]
    assert found.level == "unsafe"
    assert "run guerdon migrate" in found.text


def test_a_database_that_does_not_answer_is_unsafe() -> None:
    found = findings("postgresql://guerdon_app@127.0.0.1:1/guerdon")["database"]
    assert found.level == "unsafe"
    assert "does not answer" in found.text


@pytest.mark.parametrize("key", ["changeme", "admin123456789012", "aaaaaaaaaaaaaaaaaaaaaaaa"])
def test_a_platform_key_that_can_be_guessed_is_unsafe(database: Database, key: str) -> None:
    assert findings(database.app_dsn, key)["admin key"].level == "unsafe"


def test_an_open_server_is_unsafe_when_others_can_reach_it(database: Database) -> None:
    levels = {
        host: findings(database.app_dsn, settings=Settings(open=True, host=host))["open"].level
        for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "example.org")
    }
    assert levels == {
        "127.0.0.1": "warning",
        "::1": "warning",
        "localhost": "warning",
        "0.0.0.0": "unsafe",
        "example.org": "unsafe",
    }


def test_a_default_database_password_is_unsafe(database: Database) -> None:
    found = findings(database.app_dsn, settings=Settings(database_url="postgresql://me:postgres@h/d"))
    assert found["database password"].level == "unsafe"
    assert found["key pepper"].level == "warning"


def test_the_server_refuses_what_is_unsafe_and_says_everything_at_once() -> None:
    findings = (Finding("ok", "a", "-"), Finding("unsafe", "b", "do this"), Finding("unsafe", "c", "do that"))
    doctor.refuse_unsafe(findings[:1])
    with pytest.raises(Unsafe, match=r"(?s)b: do this.*c: do that.*GUERDON_UNSAFE"):
        doctor.refuse_unsafe(findings)
