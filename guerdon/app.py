"""Composition root: the pools, the writer, the APIs and the jobs are joined here and nowhere else.

`/v1` is dispatched before the framework, which costs it nothing; everything else goes through Litestar.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import structlog
import uvicorn
from litestar import Litestar

from guerdon.api import blnk, system
from guerdon.api.auth import Authenticator
from guerdon.api.metrics import Metrics
from guerdon.api.routes import ROUTES
from guerdon.api.routing import Endpoint
from guerdon.api.services import Services
from guerdon.installation import Installation, opened
from guerdon.settings import Settings
from guerdon.store import organisations
from guerdon.store.migrate import migrate
from guerdon.store.pool import Pool, make_pool
from guerdon.store.read import OrganisationRow, Reader
from guerdon.writer import Writer

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

log = structlog.get_logger("guerdon")


class Application:
    """The whole server as one ASGI application. Its lifespan opens the pools and the writer, and closes them."""

    def __init__(self, settings: Settings, installation: Installation) -> None:
        self._settings = settings
        self._installation = installation
        self._endpoint: Endpoint | None = None
        path = settings.blnk_path
        self._litestar = Litestar(
            [*system.handlers(ROUTES, health=path != "/"), blnk.router(path)],
            lifespan=[self._running],
            openapi_config=None,
            request_max_body_size=settings.body_bytes_max,
            logging_config=None,
        )

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if self._endpoint is not None and scope["type"] == "http" and scope["path"].startswith("/v1/"):
            await self._endpoint(scope, receive, send)
        else:
            await self._litestar(scope, receive, send)  # type: ignore[arg-type]

    @asynccontextmanager
    async def _running(self, app: Litestar) -> AsyncIterator[None]:
        settings, dsn = self._settings, self._installation.app_dsn
        reading = make_pool(dsn, name="guerdon-read", size_max=settings.reader_connections, autocommit=True)
        writing = make_pool(dsn, name="guerdon-write", size_max=settings.writer_connections)
        async with reading, writing:
            writer = Writer(writing, settings)
            await writer.start()
            services = _services(settings, self._installation, reading, writer)
            async with writing.connection() as connection:
                await organisations.create(connection, organisations.DEFAULT, "Default")
            app.state.services, app.state.pool = services, reading
            self._endpoint = Endpoint(ROUTES, services)
            try:
                yield
            finally:
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


def _services(settings: Settings, installation: Installation, pool: Pool, writer: Writer) -> Services:
    reader = Reader(pool)

    auth = Authenticator(
        reader=reader,
        pepper=installation.key_pepper,
        admin_key=installation.admin_key,
        open_to_all=settings.open,
        now=_now,
    )
    return Services(
        settings=settings,
        writer=writer,
        reader=reader,
        organisations=_Organisations(reader, pool),
        auth=auth,
        metrics=Metrics(writer.stats),
        now=_now,
    )


def _now() -> datetime:
    return datetime.now(UTC)


class Server(uvicorn.Server):
    """A server that tells its address once it listens."""

    def __init__(
        self,
        settings: Settings,
        installation: Installation,
        started: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                Application(settings, installation),
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


def serve(settings: Settings, started: Callable[[str, Installation], None] = lambda *_: None) -> None:
    """Bring the database up to date and serve until told to stop. `started` gets the address once it listens."""
    configure_logs(settings)
    with opened(settings) as installation:
        migrate(installation.owner_dsn)
        Server(settings, installation, lambda url: started(url, installation)).run()


def configure_logs(settings: Settings) -> None:
    """Structured lines on standard error: one JSON object each, or text for people."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # Plain tracebacks: the pretty ones print local variables, personal data and keys among them.
    people = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    last = structlog.processors.JSONRenderer() if settings.log_json else people
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *([structlog.processors.format_exc_info] if settings.log_json else []),
                last,
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
