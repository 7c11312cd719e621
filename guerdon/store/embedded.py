"""A PostgreSQL server of our own, for one machine: made on first use, started, watched, shared and stopped.

Promises: never runs as root; speaks only through a Unix socket in a directory of its own, with passwords;
fsync and data checksums are on. It outlives a crash of this process (the next start adopts it), comes back
after a crash of its own (each user watches it), and is shared by every process that starts it on the same
data directory; the last to leave stops it. Two roles: `guerdon_owner` owns the schema, `guerdon_app` owns
nothing and obeys row level security.
Leaves to others: finding the programs (`binaries.py`), the schema (`migrate.py`), connections (`pool.py`).

Files: DATA_DIR/postgres/{data,run,secrets.json,start.lock,users.lock,start.log}. When we are root and the
server's user cannot enter DATA_DIR, `postgres` is a link to a directory below /var/lib/guerdon.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import hashlib
import json
import logging
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from guerdon.store import binaries
from guerdon.store.binaries import PostgresUnavailable, ServerUser
from guerdon.store.files import locked, write_private

log = logging.getLogger(__name__)

DATABASE = "guerdon"
OWNER_ROLE = "guerdon_owner"
APP_ROLE = "guerdon_app"
SUPERUSER = "postgres"
INITDB = ("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--data-checksums")
START_WITHIN_S = 120.0
STOP_WITHIN_S = 60.0
SURVIVORS_LIVE_S = 15.0
WATCH_EVERY_S = 0.5
SOCKET_PATH_BYTES_MAX = 85  # the system allows 104 to 108 with the file's name

# Given on each start, so that this list is the whole truth: nothing is left behind in a configuration file.
# Sized for two cores and little memory; durability is never traded for speed.
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "password_encryption": "scram-sha-256",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_connections": "100",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "postgresql.%a.log",  # one file for each day of the week, so the logs stay bounded
    "log_truncate_on_rotation": "on",
    "log_min_error_statement": "panic",  # a refused statement's text may hold personal data
}


class Embedded:
    """A running server; `start` makes, adopts or joins it, `stop` leaves it."""

    def __init__(
        self, home: Path, user: ServerUser | None, bin_dir: Path, settings: Mapping[str, str] | None = None
    ) -> None:
        self._home = home
        self._user = user
        self._bin_dir = bin_dir
        self._settings = {**SETTINGS, **(settings or {})}
        self._pgdata = home / "data"
        self._socket_dir = _socket_dir(home, user)
        self._secrets = _secrets(home / "secrets.json", may_make=not self._pgdata.exists())
        self._users_lock = os.open(home / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
        self._child: subprocess.Popen[bytes] | None = None
        self._process = os.getpid()
        self._leaving = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="guerdon-postgres", daemon=True)

    @classmethod
    def start(
        cls,
        data_dir: Path,
        *,
        bin_dir: Path | None = None,
        run_as: str | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> Self:
        """Make, adopt or join the server of `data_dir`, and wait until it answers.

        `bin_dir` chooses the programs, `run_as` their user when we are root; `settings` go before ours.
        """
        home, user = _home(data_dir.absolute(), run_as)
        with locked(home / "start.lock"):
            version = home / "data" / "PG_VERSION"
            made_by = int(version.read_text()) if version.exists() else None
            found = binaries.find_binaries(bin_dir, made_by)
            server = cls(home, user, binaries.reachable_binaries(found, user), settings)
            fcntl.flock(server._users_lock, fcntl.LOCK_SH)
            try:
                server._make_cluster()
                server._ensure_running()
                server._make_roles()
                server.make_database(DATABASE)
            except BaseException:
                server._leave()
                raise
        server._watcher.start()
        atexit.register(server.stop)
        return server

    @property
    def owner_dsn(self) -> str:
        """The address for migrations: the role that owns the schema."""
        return self.dsn(OWNER_ROLE)

    @property
    def app_dsn(self) -> str:
        """The address for everything else: neither superuser nor owner, so row level security holds."""
        return self.dsn(APP_ROLE)

    @property
    def bin_dir(self) -> Path:
        """Where this server's programs are (psql, pg_dump, ...)."""
        return self._bin_dir

    @property
    def postmaster_pid(self) -> int | None:
        """The process id of the running server, or None when it is down."""
        if self._child is not None:
            self._child.poll()  # a dead child stays in the process table until it is asked after
        return _postmaster_pid(self._pgdata)

    def dsn(self, role: str, database: str = DATABASE) -> str:
        """The address of `database` for `role`."""
        host = quote(str(self._socket_dir), safe="")
        return f"postgresql://{role}:{self._secrets[role]}@/{database}?host={host}&port=5432"

    def make_database(self, name: str, template: str | None = None) -> None:
        """Make the database `name` where it is missing: the owner role's, open to the application role."""
        with psycopg.connect(self.dsn(SUPERUSER, "postgres"), autocommit=True) as connection:
            names = {
                "name": sql.Identifier(name),
                "owner": sql.Identifier(OWNER_ROLE),
                "app": sql.Identifier(APP_ROLE),
                "template": sql.Identifier(template or "template1"),
            }
            statements = [
                "revoke all on database {name} from public",
                "grant connect on database {name} to {app}",
            ]
            if not connection.execute("select 1 from pg_database where datname = %s", (name,)).fetchone():
                statements.insert(0, "create database {name} owner {owner} template {template} strategy file_copy")
            for statement in statements:
                connection.execute(sql.SQL(statement).format(**names))

    def stop(self) -> None:
        """Leave the server; the last process to leave stops it. Calling it again does nothing."""
        if self._leaving.is_set() or self._process != os.getpid():  # a forked child shares our locks
            return
        self._leaving.set()
        self._watcher.join()
        atexit.unregister(self.stop)
        with locked(self._home / "start.lock"):
            self._leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # Each of these needs the start lock.

    def _make_cluster(self) -> None:
        if self._pgdata.exists():
            return
        half, password = self._home / "data.new", self._home / "password"
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(mode=0o700)
        self._own(half)
        write_private(password, self._secrets[SUPERUSER].encode())
        self._own(password)
        try:
            made = self._popen(
                ["initdb", f"--pgdata={half}", f"--username={SUPERUSER}", f"--pwfile={password}", *INITDB],
                subprocess.PIPE,
            )
            try:
                said = made.communicate()[0]
            except BaseException:
                made.kill()
                raise
        finally:
            password.unlink()
        if made.returncode != 0:
            raise PostgresUnavailable(f"initdb failed: {said.decode(errors='replace').strip()}")
        half.rename(self._pgdata)

    def _ensure_running(self) -> None:
        """Adopt the server that runs, or start one, and wait until it answers, recovery included."""
        began = time.monotonic()
        started: subprocess.Popen[bytes] | None = None
        while not self._answers():
            waited_s = time.monotonic() - began
            if self.postmaster_pid is None and (started is None or started.poll() is not None):
                if started is not None:
                    self._explain_exit(waited_s)
                started = self._spawn()
            if waited_s > START_WITHIN_S:
                raise PostgresUnavailable(f"the database server does not answer; see {self._pgdata}/log")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.dsn(SUPERUSER, "postgres"), connect_timeout=5).close()
        except psycopg.OperationalError as problem:
            if "password authentication failed" in str(problem):
                raise PostgresUnavailable(f"{self._home}/secrets.json does not fit the database") from problem
            return False
        return True

    def _spawn(self) -> subprocess.Popen[bytes]:
        (self._pgdata / "postmaster.pid").unlink(missing_ok=True)  # it names no server of this data
        options = {**self._settings, "unix_socket_directories": str(self._socket_dir)}
        arguments = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with (self._home / "start.log").open("wb") as start_log:
            self._child = self._popen(["postgres", "-D", str(self._pgdata), *arguments], start_log.fileno())
        log.info("database server started as process %s", self._child.pid)
        return self._child

    def _explain_exit(self, waited_s: float) -> None:
        """Raise what the server said as it went, unless it may only have come too early.

        Connections of a killed server live for a moment after it and keep its memory.
        """
        logs = sorted((self._pgdata / "log").glob("*.log"), key=lambda path: path.stat().st_mtime)
        said = [path.read_text(errors="replace").strip() for path in (self._home / "start.log", *logs[-1:])]
        hopeless = "FATAL" in said[0] and "pre-existing shared memory block" not in said[0]
        if hopeless or waited_s > SURVIVORS_LIVE_S:
            tail = "\n".join(text[-2000:] for text in said)
            raise PostgresUnavailable(f"the database server does not start: {tail}")

    def _make_roles(self) -> None:
        with psycopg.connect(self.dsn(SUPERUSER, "postgres"), autocommit=True) as connection:
            for role in (OWNER_ROLE, APP_ROLE):
                if connection.execute("select 1 from pg_roles where rolname = %s", (role,)).fetchone():
                    continue
                connection.execute(
                    sql.SQL("create role {} login nosuperuser nocreatedb nocreaterole nobypassrls password {}").format(
                        sql.Identifier(role), self._secrets[role]
                    )
                )

    def _leave(self) -> None:
        """Give up our share, and stop the server when nobody else holds one."""
        try:
            fcntl.flock(self._users_lock, fcntl.LOCK_UN)
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self._users_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._shut_down()
        finally:
            os.close(self._users_lock)

    def _shut_down(self) -> None:
        for how in (signal.SIGINT, signal.SIGQUIT):  # at once and in order; else at once
            pid, deadline = self.postmaster_pid, time.monotonic() + STOP_WITHIN_S
            if pid is None:
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how)
            while self.postmaster_pid is not None and time.monotonic() < deadline:
                time.sleep(0.02)
        if self.postmaster_pid is not None:
            log.error("the database server, process %s, does not stop", self.postmaster_pid)

    # Without the lock.

    def _watch(self) -> None:
        """Start the server again whenever it is gone, until we leave."""
        while not self._leaving.wait(WATCH_EVERY_S):
            if self.postmaster_pid is not None:
                continue
            try:
                with locked(self._home / "start.lock"):
                    self._ensure_running()
            except (PostgresUnavailable, OSError):
                log.exception("the database server is gone and could not be started; trying again")
                self._leaving.wait(5)

    def _popen(self, command: list[str], output: int) -> subprocess.Popen[bytes]:
        """Run one of PostgreSQL's programs as the server's user, out of reach of this terminal's signals."""
        kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
        return subprocess.Popen(  # noqa: S603
            [self._bin_dir / command[0], *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**kept, "LC_ALL": "C"},
            cwd="/",
            user=self._user.uid if self._user else None,
            group=self._user.gid if self._user else None,
            extra_groups=[] if self._user else None,
            umask=0o077,
            start_new_session=True,
        )

    def _own(self, path: Path) -> None:
        _own(path, self._user)


def _home(data_dir: Path, run_as: str | None) -> tuple[Path, ServerUser | None]:
    """The directory of everything that belongs to the server of `data_dir`, and the server's user."""
    as_root = os.geteuid() == 0
    binaries.make_directory(data_dir, 0o711 if as_root else 0o700)
    place = data_dir / "postgres"
    is_new = not place.exists() and not place.is_symlink()
    user = binaries.server_user(run_as)
    if is_new and not binaries.reaches(user, data_dir):
        elsewhere = binaries.shared_place(f"data-{_short_hash(data_dir)}", data_dir)
        log.warning("the database server's user cannot enter %s: its files go to %s", data_dir, elsewhere)
        with contextlib.suppress(FileExistsError):
            place.symlink_to(elsewhere)
    home = place.resolve()
    binaries.make_directory(home, 0o711 if as_root else 0o700)
    pgdata = home / "data"
    if user and pgdata.exists() and pgdata.stat().st_uid != user.uid:
        owner = pwd.getpwuid(pgdata.stat().st_uid).pw_name
        raise PostgresUnavailable(f"{pgdata} belongs to {owner}: set GUERDON_POSTGRES_USER={owner}")
    if not binaries.reaches(user, home):
        raise PostgresUnavailable(f"{user.name if user else 'this user'} cannot enter {home}")
    return home, user


def _socket_dir(home: Path, user: ServerUser | None) -> Path:
    """A private directory with a path short enough for a Unix socket."""
    path = home / "run"
    if len(bytes(path)) > SOCKET_PATH_BYTES_MAX:
        path = Path("/tmp") / f"guerdon-{_short_hash(home)}"  # noqa: S108
    try:
        path.mkdir(mode=0o700)
        _own(path, user)
    except FileExistsError:
        state = path.lstat()
        ours = state.st_uid in (os.geteuid(), user.uid if user else os.geteuid())
        if not ours or not stat.S_ISDIR(state.st_mode) or stat.S_IMODE(state.st_mode) & 0o077:
            raise PostgresUnavailable(f"{path} must be a directory of the server's user, closed to others") from None
        _own(path, user)
    return path


def _secrets(path: Path, *, may_make: bool) -> dict[str, str]:
    """The roles' passwords, made once."""
    if not path.exists():
        if not may_make:
            raise PostgresUnavailable(f"{path} is missing: the database beside it cannot be opened without")
        passwords = {role: secrets.token_urlsafe(32) for role in (SUPERUSER, OWNER_ROLE, APP_ROLE)}
        write_private(path, json.dumps(passwords).encode())
    found: dict[str, str] = json.loads(path.read_text())
    return found


def _short_hash(path: Path) -> str:
    return hashlib.sha256(bytes(path)).hexdigest()[:16]


def _own(path: Path, user: ServerUser | None) -> None:
    if user is not None:
        os.chown(path, user.uid, user.gid)


def _postmaster_pid(pgdata: Path) -> int | None:
    """The live server of this data directory; another process that has its number now is none."""
    try:
        pid = int((pgdata / "postmaster.pid").read_text().split("\n", 1)[0])
        if Path("/proc/self").exists():
            return pid if Path(f"/proc/{pid}/cwd").samefile(pgdata) else None
        os.kill(pid, 0)
    except (OSError, ValueError):
        return None
    return pid
