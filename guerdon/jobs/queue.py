"""The queue of work that somebody asked for: procrastinate, in the schema `jobs` of our own database.

Promises: what was queued is done, by one of the processes that serve, one import and one backtest at a time for each
organisation; what a process had begun when it died is begun again by another one soon after. Every job may run twice.
Leaves to others: what comes due by itself (`schedule.py`; `docs/decisions/0010-jobs.md` says why that is not here).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime

import procrastinate
import psycopg
from psycopg_pool import PoolTimeout

from guerdon.jobs import backtests, imports
from guerdon.store.pool import Pool
from guerdon.writer import Writer

log = logging.getLogger(__name__)

CONNECTIONS = 3
"""One listens, the others fetch and finish."""
AT_ONCE = 2
"""So many jobs run at the same time in one process."""
HEARTBEAT_S, STALLED_S = 5.0, 30.0
"""A worker that was not heard of for so long is dead, and what it had begun is begun again."""
POLL_S = 5.0
AGAIN = procrastinate.RetryStrategy(max_attempts=None, linear_wait=2)
"""A job that ended before its work was done, whatever the reason, is begun again, later each time."""


class Queue:
    """One per process. `start` and `stop` once, on the writer's event loop."""

    def __init__(
        self,
        dsn: str,
        pool: Pool,
        writer: Writer,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        stalled_s: float = STALLED_S,
        shutdown_s: float = 5.0,
    ) -> None:
        connector = procrastinate.PsycopgConnector(
            conninfo=dsn, min_size=1, max_size=CONNECTIONS, kwargs={"options": "-c search_path=jobs"}
        )
        self._app = procrastinate.App(connector=connector)
        self._stalled_s = stalled_s
        self._shutdown_s = shutdown_s
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()

        @self._app.task(name="guerdon.import", queue="imports", retry=AGAIN)
        async def run_import(*, org_id: int, import_id: str) -> None:
            await imports.run(pool, writer, now, self._stopping.is_set, org_id, import_id)

        @self._app.task(name="guerdon.backtest", queue="backtests", retry=AGAIN)
        async def run_backtest(*, org_id: int, backtest_id: str) -> None:
            await backtests.run(dsn, org_id, backtest_id)

    async def start(self) -> None:
        await self._app.open_async()
        worker = self._app.run_worker_async(
            queues=["imports", "backtests"],
            concurrency=AT_ONCE,
            fetch_job_polling_interval=POLL_S,
            install_signal_handlers=False,
            shutdown_graceful_timeout=self._shutdown_s,
            update_heartbeat_interval=min(HEARTBEAT_S, self._stalled_s / 3),
            stalled_worker_timeout=self._stalled_s,
            delete_jobs="successful",
        )
        self._tasks = [
            asyncio.create_task(worker, name="guerdon-queue"),
            asyncio.create_task(self._revive(), name="guerdon-queue-revive"),
        ]

    async def stop(self) -> None:
        """What is under way ends with the rows in hand; the rest is begun again later, by us or by others."""
        self._stopping.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self._app.close_async()

    async def _revive(self) -> None:
        """Begin again what workers had begun that are gone."""
        while True:
            try:
                stalled = await self._app.job_manager.get_stalled_jobs(seconds_since_heartbeat=self._stalled_s)
                for job in stalled:
                    log.warning("job %s (%s) is begun again: its worker is gone", job.id, job.task_name)
                    await self._app.job_manager.retry_job(job, retry_at=datetime.now(UTC))
            except (procrastinate.exceptions.ConnectorException, psycopg.OperationalError, PoolTimeout) as problem:
                log.warning("the queue waits for the database: %r", problem)
            await asyncio.sleep(self._stalled_s)
