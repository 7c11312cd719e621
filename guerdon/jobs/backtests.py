"""Backtests, asked for over the API or by `guerdon backtest`: purchases in, a report out.

Promises: it runs in a process of its own at a lower priority, so that no till waits for it; how far it is, is written
down every second, and it stops soon after it was cancelled. It may run twice: nothing but its own row is written.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import msgspec
from psycopg import AsyncConnection

from guerdon.core.backtests import Backtest, Past, Report, Told, Trial
from guerdon.core.places import EARLIEST
from guerdon.core.programs import Config
from guerdon.store import backtests
from guerdon.store.load import configuration
from guerdon.store.pool import make_pool

log = logging.getLogger(__name__)

TELL_EVERY_S = 1.0
TERMINATED_WITHIN_S = 5.0
NICE = 10

Tell = Callable[[int, int], Awaitable[bool]]
"""Is told how many of how many purchases are done; False stops it."""


class Died(RuntimeError):
    """The process that did it is gone; it is to be begun again."""


class Stopped(Exception):
    """It was told to stop."""


async def run(dsn: str, org_id: int, backtest_id: str) -> None:
    """Do a backtest in a process of its own, which ends when this one is stopped; one that is over, or not there, is
    left alone. Raises `Died` when the process did.
    """
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=work, args=(dsn, org_id, backtest_id), name="guerdon-backtest", daemon=True)
    process.start()
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(process.sentinel, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(process.sentinel)
        process.terminate()
        process.join(TERMINATED_WITHIN_S)
    if process.exitcode:
        raise Died(f"the process of backtest {backtest_id} ended with {process.exitcode}")


def work(dsn: str, org_id: int, backtest_id: str) -> None:
    """The same, in this process."""
    with suppress(OSError):
        os.nice(NICE)
    asyncio.run(_work(dsn, org_id, backtest_id))


async def _work(dsn: str, org_id: int, backtest_id: str) -> None:
    async with make_pool(dsn, name="guerdon-backtest", size_max=1) as pool, pool.connection() as connection:
        found = await backtests.run(connection, org_id, "begin", id=backtest_id)
        if not found:
            return
        trial = msgspec.json.decode(found[0][0], type=Trial)
        status, report = "finished", ""
        told_at = -TELL_EVERY_S

        async def tell(done: int, total: int) -> bool:
            nonlocal told_at
            if done < total and monotonic() - told_at < TELL_EVERY_S:
                return True
            told_at = monotonic()
            return bool(await backtests.run(connection, org_id, "progress", id=backtest_id, done=done, total=total))

        try:
            report = msgspec.json.encode(await go(connection, org_id, trial, tell)).decode()
        except Stopped:
            return
        except Exception:
            log.exception("a backtest of organisation %s failed", org_id)
            await connection.rollback()
            status = "failed"
        now = datetime.now(UTC)
        await backtests.run(connection, org_id, "finish", id=backtest_id, status=status, report=report, now=now)


async def go(
    connection: AsyncConnection[Any],
    org_id: int,
    trial: Trial,
    tell: Tell,
    each: Callable[[Past, Told], None] | None = None,
    config: Config | None = None,
) -> Report:
    """Take the purchases of the trial's period, and report. `each` is told what became of every one of them. Raises
    `Stopped` when `tell` says so.
    """
    now = datetime.now(UTC)
    config = config or await configuration(connection, org_id, now)
    backtest = Backtest(trial, config, now)
    since = EARLIEST if backtest.asks else trial.since
    nos = await backtests.numbers(connection, org_id, since, trial.until, trial.currency)
    done = 0
    async for some in backtests.purchases(connection, org_id, config, trial.program_no, nos, backtest.about):
        if not await tell(done, len(nos)):
            raise Stopped
        for past in some:
            if past.at < trial.since:
                backtest.remember(past)
                continue
            told = backtest.take(past)
            if each is not None:
                each(past, told)
        done = min(len(nos), done + backtests.AT_ONCE)
    await tell(len(nos), len(nos))
    return backtest.report()
