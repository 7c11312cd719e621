"""Composition root: the pools, the writer, the APIs and the jobs are joined here and nowhere else.

`/v1`, `/v2` and the ledger API are plain ASGI, dispatched before the framework; the pages around them go through
Litestar (`docs/decisions/0006-plain-asgi-on-the-hot-path.md`).
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import uvicorn
from litestar import Litestar

from guerdon.api import blnk, system
from guerdon.api.asgi import Message, Receive, Send
from guerdon.api.auth import Authenticator
from guerdon.api.metrics import Metrics
from guerdon.api.routes import ROUTES
from guerdon.api.routing import Endpoint
from guerdon.api.services import Services
from guerdon.installation import Installation, ready
from guerdon.jobs import Jobs
from guerdon.jobs.queue import Queue
from guerdon.settings import Settings
from guerdon.store import imports, organisations
from guerdon.store.backtests import Backtests
from guerdon.store.codes import Codes
from guerdon.store.issues import Issues
from guerdon.store.pool import Pool, make_pool
from guerdon.store.promotions import Promotions
from guerdon.store.read import OrganisationRow, Reader
from guerdon.store.read_blnk import BlnkReader
from guerdon.webhooks import Relay
from guerdon.writer import Writer

App = Callable[[Message, Receive, Send], Awaitable[None]]


Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


class Application:
    """The whole server as one ASGI application. Its lifespan opens the pools and the writer, and closes them.

    Requests are dated by `now`.
    """

    def __init__(self, settings: Settings, installation: Installation, now: Clock = _now) -> None:
        self._settings = settings
        self._now = now
        self._installation = installation
        self._endpoint: Endpoint | None = None
        self._ledger: App | None = None
        self._ledger_path = settings.blnk_path.rstrip("/")
        pages = system.handlers(ROUTES, health=bool(self._ledger_path))
        self._pages = {path for page in pages for path in page.paths}
        self._litestar = Litestar(pages, lifespan=[self._running], openapi_config=None, logging_config=None)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        serve_: App = self._litestar  # type: ignore[assignment]
        if scope["type"] == "http" and self._endpoint is not None and self._ledger is not None:
            path: str = scope["path"]
            if path.startswith(("/v1/", "/v2/")):
                serve_ = self._endpoint
            elif path not in self._pages and f"{path}/".startswith(f"{self._ledger_path}/"):
                serve_ = self._ledger
        await serve_(scope, receive, send)

    @asynccontextmanager
    async def _running(self, app: Litestar) -> AsyncIterator[None]:
        settings, dsn = self._settings, self._installation.app_dsn
        reading = make_pool(dsn, name="guerdon-read", size_max=settings.reader_connections, autocommit=True)
        writing = make_pool(dsn, name="guerdon-write", size_max=settings.writer_connections)
        async with reading, writing:
            writer = Writer(writing, settings)
            await writer.start()
            services = _services(settings, self._installation, reading, writer, self._now)
            async with writing.connection() as connection:
                await organisations.create(connection, organisations.DEFAULT, "Default")
            app.state.services = services
            self._endpoint = Endpoint(ROUTES, services)
            self._ledger = blnk.endpoint(settings.blnk_path, services, BlnkReader(reading))
            jobs = Jobs(reading, writer, settings, now=self._now)
            relay = Relay(reading, services.reader, writer, self._installation.key_pepper, settings, now=self._now)
            queue = Queue(dsn, reading, writer, now=self._now, shutdown_s=settings.shutdown_s / 2)
            await jobs.start()
            await queue.start()
            await relay.start()
            try:
                yield
            finally:
                await relay.stop()
                await queue.stop()
                await jobs.stop()
                await writer.stop()


class _Organisations:
    def __init__(self, reader: Reader, pool: Pool) -> None:
        self._reader = reader
        self._pool = pool

    async def create(self, code: str, name: str, timezone: str) -> OrganisationRow | None:
        if await self._reader.organisation(code) is not None:
            return None
        async with self._pool.connection() as connection:
            await organisations.create(connection, code, name, timezone)
        return await self._reader.organisation(code)


class _Imports:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def ask(self, org_id: int, **asked: Any) -> tuple[str, bytes]:
        async with self._pool.connection() as connection:
            return await imports.ask(connection, org_id, **asked)


def _services(settings: Settings, installation: Installation, pool: Pool, writer: Writer, now: Clock) -> Services:
    reader = Reader(pool)

    auth = Authenticator(
        reader=reader,
        pepper=installation.key_pepper,
        admin_key=installation.admin_key,
        open_to_all=settings.open,
        now=now,
    )
    return Services(
        settings=settings,
        writer=writer,
        reader=reader,
        codes=Codes(pool),
        backtests=Backtests(pool),
        issues=Issues(pool),
        promotions=Promotions(pool),
        organisations=_Organisations(reader, pool),
        imports=_Imports(pool),
        auth=auth,
        metrics=Metrics(writer.stats),
        now=now,
    )


class Server(uvicorn.Server):
    """A server that tells its address once it listens."""

    def __init__(
        self,
        settings: Settings,
        installation: Installation,
        started: Callable[[str], None] = lambda _: None,
        now: Clock = _now,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                Application(settings, installation, now),
                host=settings.host,
                port=settings.port,
                access_log=False,
                proxy_headers=False,
                log_config=None,
                server_header=False,
                timeout_graceful_shutdown=int(settings.shutdown_s),
            )
        )
        self._started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            host, port, *_ = self.servers[0].sockets[0].getsockname()
            self._started(f"http://{f'[{host}]' if ':' in host else host}:{port}")


def serve(settings: Settings, started: Callable[[str, Installation], None] | None = None) -> None:
    """Serve until told to stop, on a database that is up to date. `started` gets the address once it listens."""
    with ready(settings) as installation:

        def listening(url: str) -> None:
            if installation.admin_key_is_new:
                told = f"Platform key: {installation.admin_key} (`guerdon key platform` shows it again)"
                print(told, flush=True)
            if started is not None:
                started(url, installation)
            else:
                print(f"Guerdon listens at {url}, its documentation is at {url}/docs", flush=True)

        Server(settings, installation, listening).run()
