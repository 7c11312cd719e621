"""What every figure needs: a database with fsync on, an organisation to post in, medians, and rows for the table."""

from __future__ import annotations

import asyncio
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import uuid_utils
from psycopg import sql

from guerdon.core import commands as c
from guerdon.core.outcomes import Accepted, Outcome
from guerdon.settings import Settings
from guerdon.store import migrate
from guerdon.store.embedded import APP_ROLE, OWNER_ROLE, SUPERUSER, Embedded
from guerdon.store.organisations import create
from guerdon.store.pool import make_pool
from guerdon.writer import Writer

ROOT = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("GUERDON_BENCH_DIR", ROOT / ".local" / "bench"))


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table. `met` is None where there is no bar; `numbers` are the figures for machines."""

    figure: str
    value: str
    conditions: str
    ceiling: str = ""
    bar: str = ""
    met: bool | None = None
    numbers: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Figure:
    """A measurement by name. It yields rows and may take its time."""

    name: str
    about: str
    run: Callable[[], list[Row]]


def say(text: str) -> None:
    print(f"{datetime.now():%H:%M:%S} {text}", file=sys.stderr, flush=True)  # noqa: DTZ005  # the reader's own clock


# -- the database -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Database:
    """A migrated database of one figure's own."""

    server: Embedded
    name: str

    def dsn(self, role: str = APP_ROLE) -> str:
        return self.server.dsn(role, self.name)

    @contextmanager
    def as_superuser(self) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(self.dsn(SUPERUSER), autocommit=True) as connection:
            yield connection

    def analyse(self) -> None:
        """Statistics as autovacuum keeps them; it comes round once a minute, which a run need not wait for."""
        with self.as_superuser() as connection:
            connection.execute("analyze")

    def settle(self) -> None:
        """See all that was written so far on the disk. Otherwise the next run waits for the disk while it takes what
        the one before left behind: measured after five seconds of the ceiling, single posts lost a fourth.
        """
        with self.as_superuser() as connection:
            connection.execute("checkpoint")
        os.sync()

    def size(self, *tables: str) -> int:
        """Bytes of tables with their indexes."""
        with self.as_superuser() as connection:
            row = connection.execute(
                "select sum(pg_total_relation_size(name::regclass)) from unnest(%s::text[]) name", (list(tables),)
            ).fetchone()
        return int(row[0]) if row else 0


@contextmanager
def fresh_database(name: str) -> Iterator[Database]:
    """The embedded server as `guerdon serve` starts it, with a database that is dropped at the end."""
    with Embedded.start(DATA_DIR) as server:
        name = f"bench_{name.replace('-', '_')}_{os.getpid()}"
        server.make_database(name)
        try:
            migrate.migrate(server.dsn(OWNER_ROLE, name))
            yield Database(server, name)
        finally:
            drop(server, name)


def drop(server: Embedded, name: str) -> None:
    with psycopg.connect(server.dsn(SUPERUSER, "postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


# -- the writer and organisations -------------------------------------------------------------------------------------


def settings(**changed: Any) -> Settings:
    return Settings(**changed)


@asynccontextmanager
async def writing(database: Database, **changed: Any) -> AsyncIterator[Writer]:
    """A writer of its own on the database, as the server would have it."""
    chosen = settings(**changed)
    connections = chosen.writer_connections
    async with make_pool(database.dsn(), name="bench", size_max=connections, size_min=connections) as pool:
        await pool.wait()
        writer = Writer(pool, chosen)
        await writer.start()
        try:
            yield writer
        finally:
            await writer.stop()


async def new_organisation(database: Database, code: str) -> int:
    connection = await psycopg.AsyncConnection.connect(database.dsn(), autocommit=True)
    async with connection:
        return (await create(connection, code)).org_id


def envelope() -> dict[str, Any]:
    return {"id": f"{str(uuid_utils.uuid7())[:30]}000000", "at": datetime.now(UTC), "actor": "bench"}


def accepted(outcome: Outcome) -> Any:
    """The result; anything else ends the measurement."""
    if not isinstance(outcome, Accepted):
        raise RuntimeError(f"refused: {outcome}")  # noqa: TRY004  # a wrong answer, not a wrong type
    return outcome.result


async def submit_all(writer: Writer, org_id: int, commands: Sequence[c.Command]) -> list[Any]:
    """Results of commands handed in as bulk, never more at once than the queue takes."""
    results: list[Any] = []
    for start in range(0, len(commands), 1000):
        futures = [writer.enqueue(org_id, command, "bulk") for command in commands[start : start + 1000]]
        results += [accepted(outcome) for outcome in await asyncio.gather(*futures)]
    return results


async def open_accounts(writer: Writer, org_id: int, count: int, asset: str) -> list[str]:
    """Raw accounts in a ledger of their own."""
    (ledger,) = await submit_all(writer, org_id, [c.OpenLedger(**envelope(), name="bench")])
    opened = await submit_all(
        writer, org_id, [c.OpenAccount(**envelope(), ledger=ledger.id, asset=asset) for _ in range(count)]
    )
    return [account.id for account in opened]


async def open_program(writer: Writer, org_id: int, members: int, **policies: Any) -> list[str]:
    """A program in POINTS/0 whose points end after a year, and registered members; their ids."""
    from guerdon.core.programs import Expiry, Policies

    await submit_all(writer, org_id, [c.CreateAsset(**envelope(), code="POINTS", scale=0)])
    said = Policies(expiry=Expiry(kind="months", count=12), **policies)
    program = c.CreateProgram(**envelope(), code="club", name="Club", asset="POINTS", policies=said)
    await submit_all(writer, org_id, [program])
    registered = await submit_all(
        writer,
        org_id,
        [c.RegisterMember(**envelope(), identifiers=(("external_id", f"C-{n}"),)) for n in range(members)],
    )
    return [member.id for member in registered]


# -- figures ----------------------------------------------------------------------------------------------------------


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def spread(values: Sequence[float]) -> str:
    """Lowest and highest of the runs, so that noise is seen."""
    return f"{min(values):,.0f} to {max(values):,.0f}"


def run(main: Coroutine[Any, Any, Any]) -> Any:
    """On the event loop that the server uses."""
    import uvloop

    return uvloop.run(main)


class _Stalls:
    """Notices when the whole machine stood still (a virtual machine that is moved or copied, for example)."""

    AT_LEAST_S = 2.0

    def __init__(self) -> None:
        self.count = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        last = time.monotonic()
        while True:
            time.sleep(0.1)
            now = time.monotonic()
            if now - last > self.AT_LEAST_S:
                self.count += 1
                say(f"the machine stood still for {now - last:.0f} s: this run is measured again")
            last = now


def undisturbed(measure: Callable[[], Any]) -> Any:
    """What `measure` gives in a run during which the machine did not stand still."""
    while True:
        before = _stalls().count
        found = measure()
        if _stalls().count == before:
            return found


async def undisturbed_async(measure: Callable[[], Awaitable[Any]]) -> Any:
    while True:
        before = _stalls().count
        found = await measure()
        if _stalls().count == before:
            return found


@cache
def _stalls() -> _Stalls:
    return _Stalls()


class Clock:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._since


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    cpu = next(
        (x.split(":", 1)[1].strip() for x in _lines(Path("/proc/cpuinfo")) if x.startswith("model name")),
        platform.machine(),
    )
    memory = next((x.split()[1] for x in _lines(Path("/proc/meminfo")) if x.startswith("MemTotal")), "0")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return {
        "cpu": cpu,
        "cores": str(os.cpu_count()),
        "memory": f"{int(memory) // 1024 // 1024} GB",
        "python": platform.python_version(),
        "commit": commit.stdout.strip(),
        "measured": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    }


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def as_dict(row: Row) -> dict[str, Any]:
    return asdict(row)
