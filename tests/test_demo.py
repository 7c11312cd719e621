"""The demo as a person starts it, with invented purchases: what it tells works, and a second start adds nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from guerdon import demo
from tests.conftest import Database

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("curl") is None, reason="the commands that the demo tells use curl"),
]


@contextmanager
def running(folder: Path, database: Database) -> Iterator[str]:
    """A demo server; what it told once it was ready."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GUERDON_")}
    server = subprocess.Popen(
        [sys.executable, "-m", "guerdon", "demo", "--port", "0"],
        env={
            **environment,
            "GUERDON_DATA_DIR": str(folder),
            "GUERDON_DATABASE_URL": database.app_dsn,
            "GUERDON_DATABASE_OWNER_URL": database.owner_dsn,
            "GUERDON_UNSAFE": "true",  # the tests' database has no fsync
        },
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        told = ""
        while "Ctrl-C stops the server" not in told:
            line = server.stdout.readline()
            assert line, server.communicate()[1]
            told += line
            assert "not complete" not in told, told
        yield told
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=60)


def told_command(told: str, about: str) -> str:
    """The command that stands below a line of what was told."""
    match = re.search(rf"{re.escape(about)}[^\n]*\n((?:.*\\\n)*.*)\n", told)
    assert match is not None, told
    return match[1]


def run_told(told: str, about: str) -> dict[str, object]:
    """Run the command below a line of what was told in a second shell, that is after what comes first of all."""
    shell = f"{told_command(told, 'In a second shell')}\n{told_command(told, about)}"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True)
    found: dict[str, object] = (
        json.loads(done.stdout) if done.stdout.startswith("{") else {"list": json.loads(done.stdout)}
    )
    return found


def counts(database: Database) -> list[int]:
    with psycopg.connect(database.superuser_dsn) as connection:
        tables = ("purchases", "members", "transfers", "stores", "tills", "programs", "api_keys")
        rows = [connection.execute(f"select count(*) from {table}".encode()).fetchone() for table in tables]
    return [row[0] for row in rows if row]


def test_what_the_demo_tells_works_and_a_second_start_adds_nothing(database: Database, tmp_path: Path) -> None:
    (tmp_path / "demo-mapping.toml").write_text(demo._INVENTED_MAPPING)
    demo._invent(tmp_path / "demo-purchases-invented.csv")
    with running(tmp_path, database) as told:
        assert f"{demo.INVENTED_PURCHASES} booked, 0 already there, 0 refused" in told
        assert "regular" in json.dumps(run_told(told, "What a member holds"))
        events = run_told(told, "How it came about")["events"]
        assert isinstance(events, list)
        assert [event["name"] for event in events] == ["TransactionAdd"] * 3
        purchase = run_told(told, "A purchase that earns and spends")
        assert "id" in purchase, purchase
        assert run_told(told, "The same books")["list"]
        after_one = counts(database)
    with running(tmp_path, database) as again:
        assert "0 refused" in again
        assert counts(database) == after_one
