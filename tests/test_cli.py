"""The executable, run as a person runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from guerdon import cli
from guerdon.store import migrate
from tests.conftest import Database


def _commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    children = getattr(command, "commands", {})
    if not children:
        yield words
    for name, child in children.items():
        yield from _commands(child, (*words, name))


COMMANDS = list(_commands(get_command(cli.app)))


def guerdon(
    *arguments: str, folder: Path, database: Database | None = None, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run `guerdon` in a folder of its own, against the database if there is one."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GUERDON_")}
    environment["GUERDON_DATA_DIR"] = str(folder / "data")
    if database:
        environment["GUERDON_DATABASE_URL"] = database.app_dsn
        environment["GUERDON_DATABASE_OWNER_URL"] = database.owner_dsn
    return subprocess.run(
        [sys.executable, "-m", "guerdon", *arguments],
        env={**environment, **settings},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_examples(command: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(cli.app, [*command, "--help"])
    assert shown.exit_code == 0
    assert f"  guerdon {' '.join(command)}" in shown.output


def test_the_help_names_every_command() -> None:
    shown = get_command(cli.app).get_help(get_command(cli.app).make_context("guerdon", [], resilient_parsing=True))
    assert {command[0] for command in COMMANDS} <= set(shown.split())


def test_migrate_says_what_is_missing_then_runs_it_then_has_nothing_to_do(
    bare_database: Database, tmp_path: Path
) -> None:
    before = guerdon("migrate", "--check", folder=tmp_path, database=bare_database)
    assert (before.returncode, before.stdout) == (1, f"schema none, this release needs {migrate.head()}\n")
    first = guerdon("migrate", folder=tmp_path, database=bare_database)
    assert first.returncode == 0, first.stderr
    assert f"ran {migrate.files()[0].name}" in first.stdout
    second = guerdon("migrate", folder=tmp_path, database=bare_database)
    assert second.stdout == f"schema {migrate.head()}: up to date\n"
    with psycopg.connect(bare_database.app_dsn) as connection:
        assert migrate.current(connection) == migrate.head()


def test_doctor_ends_with_1_on_an_unsafe_database_unless_told_otherwise(database: Database, tmp_path: Path) -> None:
    with psycopg.connect(database.superuser_dsn) as connection:
        connection.execute("alter table members no force row level security")
    found = guerdon("doctor", folder=tmp_path, database=database)
    assert found.returncode == 1, found.stderr
    assert "unsafe   row level security: not forced on members" in found.stdout
    assert "ok       role: guerdon_app is neither superuser nor owner" in found.stdout
    assert guerdon("doctor", folder=tmp_path, database=database, GUERDON_UNSAFE="true").returncode == 0


def test_a_wrong_setting_is_told_in_a_sentence(tmp_path: Path) -> None:
    found = guerdon("doctor", folder=tmp_path, GUERDON_PORT="70000")
    assert found.returncode == 1
    assert found.stderr.startswith("guerdon: port: ")
    assert "Traceback" not in found.stderr


def test_a_database_that_does_not_answer_is_told_in_a_sentence(tmp_path: Path) -> None:
    found = guerdon("migrate", folder=tmp_path, GUERDON_DATABASE_URL="postgresql://x@127.0.0.1:1/x")
    assert found.returncode == 1
    assert found.stderr.startswith("guerdon: the database does not answer")
    assert "Traceback" not in found.stderr


def test_the_platform_key_is_made_once_kept_privately_and_renewed_on_request(tmp_path: Path) -> None:
    first, again = (guerdon("key", "platform", folder=tmp_path).stdout for _ in range(2))
    assert first == again
    assert first.startswith("gd_admin_")
    assert (tmp_path / "data" / "keys.json").stat().st_mode & 0o777 == 0o600
    other = guerdon("key", "platform", "--new", folder=tmp_path).stdout
    assert other not in (first, "")
    assert guerdon("key", "platform", folder=tmp_path).stdout == other


def test_a_given_platform_key_goes_before_the_kept_one(tmp_path: Path) -> None:
    given = "given-key-0123456789"
    assert guerdon("key", "platform", folder=tmp_path, GUERDON_ADMIN_KEY=given).stdout == f"{given}\n"
