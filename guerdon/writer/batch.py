"""One batch of one organisation: load, decide each in turn, save, commit, answer; and what happens when that
fails.

Promises: nothing is answered before its commit. Commands are decided in their order, and each is saved once
or not at all, whatever fails in between. A command that cannot be decided or saved fails alone.
Leaves to others: which commands make a batch (`queue.py`), and whose turn it is (`loop.py`).

Three ways to fail, three answers:

* The database or the way to it (lost connection, deadlock, shutdown): the same commands again after a pause;
  decisions are repeatable. After `retry_total_s` they are answered `Unavailable`.
* The data (a figure out of range, a bug): halve until one command stands alone; that one is answered
  `WriterFault`.
* A commit whose answer was lost: it may have happened, and deciding again would do everything twice where no
  key or reference says so. So before anything else the database is asked what became of that transaction,
  under the lock that it held; if it was committed, the outcomes decided then are the answer.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from time import monotonic
from typing import Any, NamedTuple, Protocol
from weakref import WeakKeyDictionary

import psycopg
from psycopg import errors

from guerdon.core.commands import Command
from guerdon.core.outcomes import Outcome
from guerdon.core.state import Key, NotLoaded, State
from guerdon.store.memory import Memories
from guerdon.store.pool import Pool
from guerdon.writer.faults import Unavailable, WriterFault
from guerdon.writer.queue import Waiting
from guerdon.writer.stats import Stats

log = logging.getLogger(__name__)

LOOKUPS_MAX = 16
"""So often may one command ask for yet another row; more is a bug in the core."""
SLICE_S = 0.004
"""After so long in the core, others on the event loop get a turn."""
PORTION_MIN, PORTIONS_MAX = 100, 8
"""Rows are sent while others are still decided: in so many portions at most, and never of fewer commands than that."""
PAUSE_FIRST_S, PAUSE_MAX_S = 0.01, 1.0

Answer = Outcome | WriterFault


class Settings(Protocol):
    """What the writer reads of `guerdon.settings.Settings`."""

    @property
    def batch_weight_max(self) -> int: ...
    @property
    def queue_weight_max(self) -> int: ...
    @property
    def writer_connections(self) -> int: ...
    @property
    def retry_total_s(self) -> float: ...


class Steps(NamedTuple):
    """The steps of a batch that are others' work: `store.load`, `core.decide`, `store.save`,
    `store.commits`."""

    load: Callable[..., Awaitable[State]]
    decide: Callable[[Command, State], Outcome]
    streaming: Callable[[Any], AbstractAsyncContextManager[Any]]
    append: Callable[[Any, int, State], Awaitable[None]]
    save: Callable[[Any, int, State], Awaitable[None]]
    committed: Callable[[Any, int, str], Awaitable[bool]]


class CommitUnknown(Exception):
    """Saving failed in a way that does not tell whether it was committed: what was decided, by which
    transaction."""

    def __init__(self, transaction: str, answers: list[Answer], left: list[Waiting]) -> None:
        super().__init__(transaction)
        self.transaction = transaction
        self.answers = answers
        self.left = left


def is_transient(problem: Exception) -> bool:
    """Whether the same batch may succeed another time: the database or the way to it failed, not the data."""
    if isinstance(problem, psycopg.Error) and (problem.sqlstate or "").startswith("54"):
        return False  # a program limit, such as a value too long for an index, will be exceeded again
    return isinstance(
        problem,
        psycopg.OperationalError | psycopg.InterfaceError | errors.ReadOnlySqlTransaction | OSError | TimeoutError,
    )


class Batches:
    """Runs batches on a pool, one call at a time per organisation."""

    def __init__(
        self,
        pool: Pool,
        settings: Settings,
        stats: Stats,
        steps: Steps,
        announce: Callable[[int], None],
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._stats = stats
        self._steps = steps
        self._announce = announce
        self._memories = Memories()
        self._batches_on: WeakKeyDictionary[Any, int] = WeakKeyDictionary()

    async def run(self, org_id: int, batch: list[Waiting]) -> list[Waiting]:
        """See each command answered, but those returned: they go to the front of the next batch."""
        parts = [batch]  # the first one last
        pauses = Pauses(self._settings.retry_total_s)
        doubt: CommitUnknown | None = None
        while parts:
            part = parts.pop()
            try:
                if doubt is not None and await self._committed(org_id, doubt.transaction):
                    left = self._answer(org_id, part, doubt.answers, doubt.left)
                else:
                    doubt = None
                    left = await self._attempt(org_id, part)
            except Exception as problem:  # noqa: BLE001  # logged, or answered with
                doubt = problem if isinstance(problem, CommitUnknown) else doubt
                if doubt is not None or is_transient(problem):
                    if await self._retry(pauses, problem):
                        parts.append(part)
                    else:
                        self._fail(part, problem)
                        doubt = None
                elif len(part) > 1:
                    self._stats.splits += 1
                    half = len(part) // 2
                    parts += [part[half:], part[:half]]
                else:
                    self._fault(part, problem)
                continue
            doubt = None
            pauses.over()
            if left:
                return left + [waiting for later in reversed(parts) for waiting in later]
        return []

    async def _attempt(self, org_id: int, part: list[Waiting]) -> list[Waiting]:
        """One transaction. Raises `CommitUnknown`, or whatever went wrong before anything could be
        committed."""
        keys = [key for waiting in part for key in waiting.keys]
        now = max(waiting.command.at for waiting in part)
        memory = self._memories.take(org_id)
        stage = "deciding"
        try:
            async with self._pool.connection() as conn:
                await self._renew_plans(conn)
                state = await self._steps.load(conn, org_id, keys, now=now, memory=memory)
                async with self._steps.streaming(conn) if len(part) > PORTION_MIN else nullcontext():
                    answers = await self._decide(conn, org_id, part, state)
                    left = part[len(answers) :]
                    changed = state.mark() > 0
                    stage = "saving"
                    await self._steps.save(conn, org_id, state)
                    stage = "saved"
        except Exception as problem:
            if stage == "saving" and is_transient(problem):
                raise CommitUnknown(state.transaction, answers, left) from problem
            if stage != "saved":
                raise
            log.warning("a connection could not be given back after its commit: %r", problem)
        self._memories.keep(org_id, memory, state)
        self._answer(org_id, part, answers, left, changed=changed)
        if len(left) > 1:
            try:
                await self._look_ahead(left, state)
            except Exception:
                log.exception("looking ahead failed; the commit stands, and what is left takes more batches")
        return left

    async def _renew_plans(self, conn: Any) -> None:
        """Drop a connection's plans after its 1st, 2nd, 4th, 8th ... batch.

        A plan is kept with its statement, and one made while a table was empty may read all of it, until autovacuum
        has analysed the table a minute later. This bounds how much it can grow meanwhile, at next to no cost.
        """
        batches = self._batches_on[conn] = self._batches_on.get(conn, -1) + 1
        if batches & (batches - 1) == 0 and batches:
            await conn.execute("discard plans")

    async def _decide(self, conn: Any, org_id: int, part: list[Waiting], state: State) -> list[Answer]:
        """Outcomes in order; fewer than commands when one of them asked for a row that was not loaded.

        The database gets to work on the first rows while the rest is decided.
        """
        decide, append = self._steps.decide, self._steps.append
        portion = max(PORTION_MIN, len(part) // PORTIONS_MAX)
        answers: list[Answer] = []
        since = monotonic()
        for waiting in part:
            mark = state.mark()
            try:
                answers.append(decide(waiting.command, state))
            except NotLoaded as missing:
                state.rollback(mark)
                if _learns(waiting, missing.keys, first=not answers):
                    self._stats.cuts += 1
                    return answers
                log.exception("command %s asks again for %s, which was loaded", waiting.command.id, missing.keys)
                answers.append(WriterFault(waiting.command.id))
            except Exception:
                state.rollback(mark)
                log.exception("command %s (%s) cannot be decided", waiting.command.id, type(waiting.command).__name__)
                answers.append(WriterFault(waiting.command.id))
            if not len(answers) % portion:
                await append(conn, org_id, state)
            if monotonic() - since > SLICE_S:
                await asyncio.sleep(0)
                since = monotonic()
        return answers

    async def _look_ahead(self, left: list[Waiting], state: State) -> None:
        """Find out which rows the commands behind a cut will ask for, so that a thousand alike cost one cut
        and not a thousand. The state is past use by now, and what is decided here is thrown away."""
        since = monotonic()
        for waiting in left[1:]:
            mark = state.mark()
            try:
                self._steps.decide(waiting.command, state)
            except NotLoaded as missing:
                waiting.keys.extend(missing.keys)
            except Exception:  # noqa: BLE001  # it will be said when it is decided in earnest
                log.debug("command %s cannot be decided ahead of its turn", waiting.command.id)
            state.rollback(mark)
            if monotonic() - since > SLICE_S:
                await asyncio.sleep(0)
                since = monotonic()

    async def _committed(self, org_id: int, transaction: str) -> bool:
        self._stats.doubts += 1
        async with self._pool.connection() as conn:
            return await self._steps.committed(conn, org_id, transaction)

    async def _retry(self, pauses: Pauses, problem: Exception) -> bool:
        """Wait, and have the pool drop the connections that died; False when the time for trying is over."""
        pause_s = pauses.next()
        if pause_s is None:
            return False
        self._stats.retries += 1
        log.warning("a batch is tried again in %.0f ms: %r", pause_s * 1000, problem.__cause__ or problem)
        await asyncio.sleep(pause_s)
        try:
            await self._pool.check()
        except Exception:  # noqa: BLE001  # the next attempt will say
            log.debug("the pool could not be checked")
        return True

    def _answer(
        self,
        org_id: int,
        part: list[Waiting],
        answers: list[Answer],
        left: list[Waiting],
        *,
        changed: bool = True,
    ) -> list[Waiting]:
        """Tell each caller who still waits, then everyone who listens; what is left, unchanged."""
        stats = self._stats
        stats.batches += 1
        stats.commands += len(answers)
        for waiting, answer in zip(part, answers, strict=False):
            stats.weight += waiting.weight
            future = waiting.future
            if isinstance(answer, WriterFault):
                stats.faults += 1
                if not future.done():
                    future.set_exception(answer)
            elif not future.done():
                future.set_result(answer)
        if changed:
            self._announce(org_id)
        return left

    def _fail(self, part: list[Waiting], problem: Exception) -> None:
        log.error("%d commands are given up: %r", len(part), problem.__cause__ or problem)
        refuse(part, self._stats)

    def _fault(self, part: list[Waiting], problem: Exception) -> None:
        waiting = part[0]
        kind = type(waiting.command).__name__
        log.error("command %s (%s) cannot be saved", waiting.command.id, kind, exc_info=problem)
        self._stats.faults += 1
        if not waiting.future.done():
            waiting.future.set_exception(WriterFault(waiting.command.id))


class Pauses:
    """Growing, jittered pauses, up to a total time since the first failure."""

    def __init__(self, total_s: float) -> None:
        self._total_s = total_s
        self.over()

    def over(self) -> None:
        """Something succeeded: start afresh."""
        self._since: float | None = None
        self._pause_s = PAUSE_FIRST_S

    def next(self) -> float | None:
        """The next pause, or None when there has been enough of them."""
        now = monotonic()
        if self._since is None:
            self._since = now
        if now - self._since >= self._total_s:
            return None
        pause_s = self._pause_s * random.uniform(0.5, 1.0)  # noqa: S311
        self._pause_s = min(self._pause_s * 2, PAUSE_MAX_S)
        return pause_s


def refuse(waitings: list[Waiting], stats: Stats) -> None:
    """Answer `Unavailable`."""
    stats.unavailable += len(waitings)
    for waiting in waitings:
        if not waiting.future.done():
            waiting.future.set_exception(Unavailable())


def _learns(waiting: Waiting, keys: tuple[Key, ...], *, first: bool) -> bool:
    """Remember what a command asks for. False for the first of a batch when that was loaded already, or goes
    on for ever; later ones may ask for what was loaded, since a command before them may have made it
    stale."""
    if first:
        waiting.lookups += 1
        if set(keys) <= set(waiting.keys) or waiting.lookups > LOOKUPS_MAX:
            return False
    waiting.keys.extend(keys)
    return True
