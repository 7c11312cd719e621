"""Connections, all alike: what PostgreSQL's values become here, and what a session may do.

Promises: `numeric` arrives as int and `uuid` as its 36 characters, `jsonb` passes through msgspec, instants
are UTC; a figure with a fraction is an error, never a rounded number. Every session is read committed, gives
up on a lock or an idle transaction, and has a name in pg_stat_activity. A pool tries to connect again while
the database restarts.
Leaves to others: transactions, and trying a batch again when its connection was lost.
"""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import psycopg
from psycopg import AsyncConnection, Connection
from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import AdaptersMap, Loader
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Format
from psycopg.types.json import set_json_dumps, set_json_loads
from psycopg.types.numeric import NumericBinaryLoader
from psycopg.types.string import TextLoader
from psycopg.types.uuid import UUIDBinaryLoader
from psycopg_pool import AsyncConnectionPool

log = logging.getLogger(__name__)

# A statement is prepared when it is seen for the third time; the number kept bounds memory on both sides.
PREPARE_THRESHOLD = 2
PREPARED_MAX = 500
CONNECT_TIMEOUT_S = 10
RECONNECT_WITHIN_S = 300.0
LIFETIME_S = 3600.0
SESSION = {
    "timezone": "UTC",
    "default_transaction_isolation": "read committed",
    "lock_timeout": "30s",
    "idle_in_transaction_session_timeout": "60s",
    "jit": "off",  # statements are short and prepared: compiling them costs more than it saves
}
SERVER = {
    "statement_timeout": "60s",
    # A server's statements all go by index. A plan kept from when a table was nearly empty would read all of it for
    # ever after: measured, a look-up by number went from 0.1 to 5 ms within seconds of load.
    "enable_seqscan": "off",
}

Pool = AsyncConnectionPool[AsyncConnection[Any]]


def make_pool(
    dsn: str, *, name: str, size_max: int, size_min: int = 1, autocommit: bool = False, wait_s: float = 30.0
) -> Pool:
    """An unopened pool: `async with make_pool(...)`.

    `autocommit` is for reads, where a pipeline is one implicit transaction and costs one round trip. A caller
    waits at most `wait_s` for a connection, then gets `psycopg_pool.PoolTimeout`.
    """

    async def prepare_session(connection: AsyncConnection[Any]) -> None:
        connection.prepared_max = PREPARED_MAX
        adapt(connection.adapters)

    return AsyncConnectionPool(
        dsn,
        kwargs={**_options(dsn, name, SERVER), "autocommit": autocommit},
        configure=prepare_session,
        min_size=min(size_min, size_max),
        max_size=size_max,
        name=name,
        timeout=wait_s,
        max_lifetime=LIFETIME_S,
        reconnect_timeout=RECONNECT_WITHIN_S,
        reconnect_failed=lambda _: log.error("no connection to the database for %s s", RECONNECT_WITHIN_S),
        open=False,
    )


def connect(dsn: str, *, name: str = "guerdon", autocommit: bool = False) -> Connection[Any]:
    """One connection of the same kind, for commands that are not servers; statements take their time."""
    connection = psycopg.connect(dsn, autocommit=autocommit, **_options(dsn, name, {}))
    connection.prepared_max = PREPARED_MAX
    adapt(connection.adapters)
    return connection


def adapt(adapters: AdaptersMap) -> None:
    """Load `numeric` as int, `uuid` as text, and JSON by way of msgspec."""
    adapters.register_loader("numeric", _WholeNumericLoader)
    adapters.register_loader("numeric", _WholeNumericBinaryLoader)
    adapters.register_loader("uuid", TextLoader)
    adapters.register_loader("uuid", _TextUuidBinaryLoader)
    context = _Adapters(adapters)
    set_json_loads(msgspec.json.decode, context)
    set_json_dumps(msgspec.json.encode, context)


def _options(dsn: str, name: str, more: dict[str, str]) -> dict[str, Any]:
    given = str(conninfo_to_dict(dsn).get("options") or "")
    settings = {**SESSION, **more}
    ours = " ".join("-c " + f"{key}={value}".replace(" ", "\\ ") for key, value in settings.items())
    return {
        "application_name": name,
        "connect_timeout": CONNECT_TIMEOUT_S,
        "prepare_threshold": PREPARE_THRESHOLD,
        "options": f"{ours} {given}".strip(),
    }


class _Adapters:
    """What `set_json_loads` asks for; a map of adapters alone will do."""

    def __init__(self, adapters: AdaptersMap) -> None:
        self.adapters = adapters
        self.connection = None


class _WholeNumericLoader(Loader):
    """Not psycopg's IntLoader: its compiled form is meant for 64 bits and cuts longer figures short."""

    def load(self, data: Buffer) -> int:
        return int(bytes(data))


class _WholeNumericBinaryLoader(Loader):
    format = Format.BINARY

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        self._decimal = NumericBinaryLoader(oid, context)

    def load(self, data: Buffer) -> int:
        figure = self._decimal.load(data)
        whole = int(figure)
        if whole != figure:
            raise ValueError(f"{figure} is not a whole number")
        return whole


class _TextUuidBinaryLoader(Loader):
    format = Format.BINARY

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        self._uuid = UUIDBinaryLoader(oid, context)

    def load(self, data: Buffer) -> str:
        return str(self._uuid.load(data))
