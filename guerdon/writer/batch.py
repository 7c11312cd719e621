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
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from itertools import count
from time import monotonic
from typing import Any, Literal, NamedTuple, Protocol
from weakref import WeakKeyDictionary

import psycopg
from psycopg import errors

from guerdon.core.commands import Command
from guerdon.core.outcomes import Outcome
from guerdon.core.state import Again, Key, NotLoaded, State
from guerdon.store.memory import Memories, Memory
from guerdon.store.pool import Pool
from guerdon.writer.faults import Unavailable, WriterFault
from guerdon.writer.queue import Waiting
from guerdon.writer.stats import Stats

log = logging.getLogger(__name__)

LOOKUPS_MAX = 16
"""So often may one command ask for yet another row; more is a bug in the core."""
SLICE_S = 0.004
"""After so long in the core, others on the event loop get a turn."""
PORTION_MIN, PORTIONS_MAX, PORTION_ROWS = 100, 8, 200
"""Rows are sent while others are still decided: in so many portions at most, and never of fewer commands than that,
unless these made so many rows."""
RELAY_MAX = 64
"""So many batches in a row overlap before the connection is given back."""
PAUSE_FIRST_S, PAUSE_MAX_S = 0.01, 1.0
ALONE_S = 1.0
"""So long batches do not overlap after another server was seen to write for the same organisation."""
CAREFUL_S = 0.05
"""So long nothing is guessed after a guess was wrong: a few times what that costs, so that little is lost where many
are, and where few are.
"""

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
    `store.commits`, `store.ahead` where batches overlap, and `store.load.more` where rows can be read later on."""

    load: Callable[..., Awaitable[State]]
    decide: Callable[[Command, State], Outcome]
    streaming: Callable[[Any], AbstractAsyncContextManager[Any]]
    append: Callable[..., Awaitable[None]]
    save: Callable[[Any, int, State], Awaitable[None]]
    committed: Callable[[Any, int, str], Awaitable[bool]]
    ahead: Any = None
    more: Callable[..., Awaitable[None]] | None = None


class Doubt(NamedTuple):
    """Saving failed in a way that does not tell whether it was committed: what was decided, by which transaction. With
    a `problem` it will fail again for the same reason, if it was not.
    """

    transaction: str
    answers: list[Answer]
    left: list[Waiting]
    problem: Exception | None = None


class Part(NamedTuple):
    """Commands for one transaction, in doubt whether an earlier one was committed with them."""

    commands: list[Waiting]
    doubt: Doubt | None = None


class Failed(Exception):
    """A transaction failed: of this part, and so the one behind it too that was decided meanwhile, if there is any."""

    def __init__(self, problem: Exception, part: Part, behind: Part | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.part = part
        self.behind = behind


class Flight:
    """A batch whose commit was sent; whether it happened is not known before it has `landed`."""

    __slots__ = ("answers", "landed", "part", "sent", "state")

    def __init__(self, part: list[Waiting], answers: list[Answer], state: State, sent: Any) -> None:
        self.part = part
        self.answers = answers
        self.state = state
        self.sent = sent
        self.landed = False


class Attempt:
    """Where the work on a connection stands: the batch that is decided now, and the one before it, in flight."""

    __slots__ = ("answers", "at_once", "begun", "flight", "given_back", "memory", "part", "stage", "state")

    def __init__(self, part: list[Waiting], memory: Memory) -> None:
        self.memory = memory
        self.flight: Flight | None = None
        self.state: State
        self._take(part)
        self.begun = True
        self.at_once = False
        self.given_back = False

    def _take(self, part: list[Waiting]) -> None:
        self.part = part
        self.answers: list[Answer] = []
        self.stage: Literal["deciding", "saving", "saved"] = "deciding"

    @property
    def left(self) -> list[Waiting]:
        return self.part[len(self.answers) :]

    def follow(self, part: list[Waiting], sent: Any) -> None:
        """The batch was sent; `part` is decided behind it."""
        self.flight = Flight(self.part, self.answers, self.state, sent)
        self._take(part)
        self.begun = False

    def give_back(self) -> None:
        """Leave the batch behind the one that flew to another attempt."""
        assert self.flight is not None
        self.answers, self.state, self.stage, self.given_back = [], self.flight.state, "saved", True

    def failed(self, problem: Exception) -> Failed:
        """Whose failure it is: while a batch flies it is that one's, and what was decided behind it is void. A commit
        that was sent is in doubt unless it was the database that said what was wrong, whatever went wrong here.
        """
        flight = None if self.flight is None or self.flight.landed else self.flight
        lost = is_transient(problem)
        unsaid = lost or not said_by_database(problem)
        own: Doubt | None = None
        if unsaid and self.stage == "saving":
            again = None if lost or flight is not None else problem
            own = Doubt(self.state.transaction, self.answers, self.left, again)
        part = Part(self.part, own)
        if flight is None:
            return Failed(problem, part)
        flown = Doubt(flight.state.transaction, flight.answers, []) if unsaid else None
        return Failed(problem, Part(flight.part, flown), part)


def is_transient(problem: Exception) -> bool:
    """Whether the same batch may succeed another time: the database or the way to it failed, not the data."""
    if isinstance(problem, psycopg.Error) and (problem.sqlstate or "").startswith("54"):
        return False  # a program limit, such as a value too long for an index, will be exceeded again
    return isinstance(
        problem,
        psycopg.OperationalError
        | psycopg.InterfaceError
        | errors.ReadOnlySqlTransaction
        | errors.InvalidSqlStatementName
        | OSError
        | TimeoutError,
    )


def said_by_database(problem: Exception) -> bool:
    """Whether it is an answer of the database's, which then has not committed; psycopg raises its own errors too, such
    as for a value that it cannot read.
    """
    return isinstance(problem, psycopg.Error) and problem.sqlstate is not None


More = Callable[[list[Waiting]], list[Waiting]]


def _none(_: list[Waiting]) -> list[Waiting]:
    return []


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
        self._alone_until: dict[int, float] = {}
        self._careful_until: dict[int, float] = {}
        self._batches_on: WeakKeyDictionary[Any, int] = WeakKeyDictionary()

    async def run(self, org_id: int, batch: list[Waiting], more: More = _none) -> list[Waiting]:
        """See each command answered, but those returned: they go to the front of the next batch.

        `more` is asked for the next batch while this one commits, and told this one; it answers an empty list where
        there is none.
        """
        parts = [Part(batch)]  # the first one last
        pauses = Pauses(self._settings.retry_total_s)
        while parts:
            part = parts.pop()
            try:
                commands, doubt = part
                if doubt is not None and await self._committed(org_id, doubt.transaction):
                    left = self._answer(org_id, commands, doubt.answers, doubt.left)
                elif doubt is not None and doubt.problem is not None:
                    raise Failed(doubt.problem, Part(commands))  # noqa: TRY301  # as if the database had said it
                else:
                    part = Part(commands)
                    left = await self._attempt(org_id, commands, _none if parts else more)
            except Exception as error:  # noqa: BLE001  # logged, or answered with
                problem: Exception = error
                if isinstance(error, Failed):
                    problem, part = error.problem, error.part
                    if error.behind is not None:
                        parts.append(error.behind)
                commands, doubt = part
                if self._decided_on_less(org_id, problem):
                    parts.append(Part(commands))
                elif doubt is not None or is_transient(problem):
                    if await self._retry(pauses, problem):
                        parts.append(part)
                    else:
                        self._fail(commands, problem)
                elif len(commands) > 1:
                    self._stats.splits += 1
                    half = len(commands) // 2
                    parts += [Part(commands[half:]), Part(commands[:half])]
                else:
                    self._fault(commands, problem)
                continue
            pauses.over()
            if left:  # what is behind was not committed, since this was not before
                return left + [waiting for later in reversed(parts) for waiting in later.commands]
        return []

    def _decided_on_less(self, org_id: int, problem: Exception) -> bool:
        """Whether a batch was void because the database was not as it had been taken to be."""
        ahead, stats, now = self._steps.ahead, self._stats, monotonic()
        if ahead is None:
            return False
        if ahead.overtaken(problem):
            stats.overtaken += 1
            self._alone_until[org_id] = now + ALONE_S
            return True
        if ahead.mistaken(problem):
            stats.mistaken += 1
            self._careful_until[org_id] = now + CAREFUL_S
            return True
        return False

    def overlap(self, org_id: int) -> bool:
        """Whether batches of an organisation are decided while the one before them commits."""
        return self._steps.ahead is not None and self._alone_until.get(org_id, 0.0) <= monotonic()

    def _guesses(self, org_id: int) -> bool:
        """Whether keys are taken to be free until the database has proved it."""
        return self._careful_until.get(org_id, 0.0) <= monotonic()

    async def _attempt(self, org_id: int, part: list[Waiting], more: More = _none) -> list[Waiting]:
        """One transaction, or several on one connection, each decided while the one before it commits. Raises
        `Failed`."""
        attempt = Attempt(part, self._memories.take(org_id))
        try:
            async with self._pool.connection() as conn:
                await self._renew_plans(conn)
                await self._work(conn, org_id, attempt, more)
        except Exception as problem:
            if attempt.stage != "saved":
                raise attempt.failed(problem) from problem
            log.warning("a connection could not be given back after its commit: %r", problem)
        try:
            self._memories.keep(org_id, attempt.memory, attempt.state)
        except Exception:
            log.exception("what was read of organisation %s is forgotten; the commit stands", org_id)
        left = attempt.left
        if not attempt.given_back:
            changed = attempt.state.mark() > 0
            self._answer(org_id, attempt.part, attempt.answers, left, changed=changed)
            if len(left) > 1:
                try:
                    await self._look_ahead(left, attempt.state)
                except Exception:
                    log.exception("looking ahead failed; the commit stands, and what is left takes more batches")
        return left

    async def _work(self, conn: Any, org_id: int, attempt: Attempt, more: More) -> None:
        """Batch by batch, until there is no more, or one that cannot be decided behind another."""
        steps = self._steps
        async with steps.streaming(conn):
            attempt.state = await steps.load(
                conn, org_id, _keys(attempt.part), now=_now(attempt.part), memory=attempt.memory
            )
            for number in count(1):
                await self._decide(conn, org_id, attempt)
                if attempt.flight is not None and not await self._begin(conn, org_id, attempt):
                    break
                if attempt.left or steps.ahead is None or not attempt.state.mark():
                    await self._land(org_id, attempt)
                    attempt.stage = "saving"
                    await steps.save(conn, org_id, attempt.state)
                    break
                attempt.stage = "saving"
                sent = await steps.ahead.send(conn, org_id, attempt.state, commit=attempt.at_once)
                await self._land(org_id, attempt)
                await asyncio.sleep(0)  # those who were answered a moment ago may have more to ask for
                following = more(attempt.part) if number < RELAY_MAX and self.overlap(org_id) else []
                if not following:
                    await sent.end()
                    break
                attempt.follow(following, sent)
                state = await sent.next_state(
                    _keys(following), _now(following), attempt.memory, guess=self._guesses(org_id)
                )
                if state is None:
                    await self._land(org_id, attempt)
                    attempt.give_back()
                    break
                self._stats.overlapped += 1
                self._stats.guessed += sent.guessed
                attempt.state, attempt.at_once = state, sent.guessed
        attempt.stage = "saved"

    async def _begin(self, conn: Any, org_id: int, attempt: Attempt) -> bool:
        """Begin this batch's transaction behind the one in flight. False where there is nothing to write, or no row by
        which its commit could be recognised: then it is left to another attempt, as it is where nothing has proved what
        was guessed.

        Its rows go to the database before the answer to that commit is here, so that it goes on at once. They are void
        if it failed, since the head is not the one that they follow.
        """
        if attempt.begun:
            return True
        state = attempt.state
        if state.made_rows():
            self._steps.ahead.take_over(conn, org_id, state)
            attempt.begun = True
            if not attempt.at_once:
                await self._steps.append(conn, org_id, state, at_least=1)
                await self._land(org_id, attempt)
            return True
        await self._land(org_id, attempt)
        if state.mark() or state.guessed:
            attempt.give_back()
        return False

    async def _land(self, org_id: int, attempt: Attempt) -> None:
        flight = attempt.flight
        if flight is not None and not flight.landed:
            await flight.sent.committed()
            flight.landed = True
            self._answer(org_id, flight.part, flight.answers, [])

    async def _renew_plans(self, conn: Any) -> None:
        """Drop a connection's plans after its 1st, 2nd, 4th, 8th ... batch.

        A plan is kept with its statement, and one made while a table was empty may read all of it, until autovacuum
        has analysed the table a minute later. This bounds how much it can grow meanwhile, at next to no cost.
        """
        batches = self._batches_on[conn] = self._batches_on.get(conn, -1) + 1
        if batches & (batches - 1) == 0 and batches:
            await conn.execute("discard plans")

    async def _decide(self, conn: Any, org_id: int, attempt: Attempt) -> None:
        """Outcomes in order; fewer than commands when one of them asked for a row that was not loaded.

        The database gets to work on the first rows while the rest is decided.
        """
        decide, append = self._steps.decide, self._steps.append
        part, state, answers = attempt.part, attempt.state, attempt.answers
        portion = max(PORTION_MIN, len(part) // PORTIONS_MAX)
        since = monotonic()
        for waiting in part:
            while True:
                mark = state.mark()
                try:
                    answers.append(decide(waiting.command, state))
                except Again:
                    self._stats.parts += 1
                    return
                except NotLoaded as missing:
                    state.rollback(mark)
                    unchanged = not mark and self._steps.more is not None
                    if _learns(waiting, missing.keys, first=unchanged or not answers):
                        if unchanged:
                            await self._read_on(conn, org_id, attempt)
                            continue
                        self._stats.cuts += 1
                        return
                    log.exception("command %s asks again for %s, which was loaded", waiting.command.id, missing.keys)
                    answers.append(WriterFault(waiting.command.id))
                except Exception:
                    state.rollback(mark)
                    kind = type(waiting.command).__name__
                    log.exception("command %s (%s) cannot be decided", waiting.command.id, kind)
                    answers.append(WriterFault(waiting.command.id))
                break
            if (not len(answers) % portion or state.unappended() >= PORTION_ROWS) and state.made_rows():
                if attempt.flight is not None:
                    await self._begin(conn, org_id, attempt)
                await append(conn, org_id, state)
                if attempt.flight is not None and not attempt.flight.landed and attempt.flight.sent.answered:
                    await self._land(org_id, attempt)
            if monotonic() - since > SLICE_S:
                await asyncio.sleep(0)
                since = monotonic()

    async def _read_on(self, conn: Any, org_id: int, attempt: Attempt) -> None:
        """Read the rows that could only be named now, for all commands that are left, under the same lock. Nothing has
        changed yet, so they are as they would have been if they had been asked for at first.

        Behind a batch in flight the next transaction begins here, and that one is waited for.
        """
        assert self._steps.more is not None
        await self._look_ahead(attempt.left, attempt.state)
        behind = attempt.flight is not None and not attempt.begun
        if behind:
            locked = self._steps.ahead.take_over(conn, org_id, attempt.state)
            attempt.begun = True
            await self._land(org_id, attempt)
        await self._steps.more(conn, org_id, attempt.state, _keys(attempt.left), _now(attempt.part))
        if behind:
            attempt.state.transaction = locked.rows[0][0]
        self._stats.read_on += 1

    async def _look_ahead(self, left: list[Waiting], state: State) -> None:
        """Find out which rows the commands behind one that lacks some will ask for, so that a thousand alike cost one
        cut, or one more round trip, and not a thousand. What is decided here is thrown away."""
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


def _keys(part: list[Waiting]) -> list[Key]:
    return [key for waiting in part for key in waiting.keys]


def _now(part: list[Waiting]) -> datetime:
    return max([waiting.command.at for waiting in part])


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
