"""Prepared statements of a batch, many in one round trip, below psycopg's cursors.

A batch of one command runs nine statements, and each costs psycopg's asynchronous cursor about 100 us of this process,
two thirds of what such a batch takes. Here a statement is one call of libpq, and the rows come through psycopg's own
(compiled) loaders. Promises: statements run in the order they were sent; `sync` waits for all of them and raises the
first error; whatever happens, the connection is left as psycopg expects it, or closed.
Leaves to others: everything else a connection is for.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from itertools import count
from types import TracebackType
from typing import Any, Self, TypeVar

from psycopg import AsyncConnection, Error, OperationalError, abc
from psycopg.adapt import Transformer
from psycopg.errors import InvalidSqlStatementName, error_from_result
from psycopg.pq import ExecStatus, PipelineStatus, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.waiting import Ready, Wait

LOOK_EVERY_S = 0.1
"""So often a socket is looked at though nobody says that something came: a killed server's end is not always told."""

_T = TypeVar("_T")
_TUPLES_OK = int(ExecStatus.TUPLES_OK)
_FAILED = (int(ExecStatus.FATAL_ERROR), int(ExecStatus.PIPELINE_ABORTED))
_PARAMETER = re.compile(r"%\((\w+)\)s")
_numbers = count(1)


class Prepared:
    """A statement as the server gets it, with `$1`, `$2` ... for its parameters, and their names in that order."""

    __slots__ = ("name", "parameters", "text")

    def __init__(self, statement: str) -> None:
        self.parameters = list(dict.fromkeys(_PARAMETER.findall(statement)))
        self.text = _PARAMETER.sub(lambda match: f"${self.parameters.index(match[1]) + 1}", statement).encode()
        self.name = f"guerdon_{next(_numbers)}".encode()


class Answer:
    """What a statement found; known after the next `sync`, and made into rows when somebody looks at them."""

    __slots__ = ("_read", "_result", "_rows")

    def __init__(self, read: abc.Transformer) -> None:
        self._read = read
        self._rows: list[tuple[Any, ...]] | None = None

    def take(self, result: PGresult) -> None:
        self._result = result

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        if self._rows is None:
            result = self._result
            if result.ntuples:
                self._read.set_pgresult(result)
                self._rows = self._read.load_rows(0, result.ntuples, tuple)
            else:
                self._rows = []
        return self._rows


class Wire:
    """What is sent on a connection within `async with`; inner ones are part of the outermost, which ends in `sync`."""

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._read = Transformer.from_context(connection)
        self._prepared: set[bytes] = set()
        # After a rollback psycopg has the server forget all prepared statements, ours too, if it has any of its own.
        connection.prepare_threshold = None
        self._depth = 0
        self._sent: list[tuple[bytes, Answer | None]] = []
        self._ended: deque[list[tuple[bytes, Answer | None]]] = deque()
        self._answered = 0
        self._watched: tuple[asyncio.AbstractEventLoop, int] | None = None
        self._waiter: asyncio.Future[Ready] | None = None

    async def __aenter__(self) -> Self:
        if not self._depth:
            self._watch()
        self._depth += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        try:
            if problem is None:
                if not self._depth:
                    await self.sync()
            elif not isinstance(problem, Exception):
                self._close()
            else:
                await self._drain()  # the first problem is the one to tell
        finally:
            if not self._depth:
                self._unwatch()

    def send(self, statement: Prepared, given: Mapping[str, str] = {}) -> Answer:
        """Hand over a statement with its values as text, after a `begin` where there is no transaction."""
        pgconn, answer = self._pgconn, Answer(self._read)
        if not self._sent:
            self._open()
        if statement.name not in self._prepared:
            pgconn.send_prepare(statement.name, statement.text)
            self._prepared.add(statement.name)
            self._sent.append((statement.name, None))
        pgconn.send_query_prepared(statement.name, [given[name].encode() for name in statement.parameters])
        self._sent.append((statement.name, answer))
        return answer

    def _open(self) -> None:
        pgconn = self._pgconn
        begins = bool(self._ended) or pgconn.transaction_status == TransactionStatus.IDLE
        if pgconn.pipeline_status == PipelineStatus.OFF:
            pgconn.enter_pipeline_mode()
        if begins:
            pgconn.send_query_params(b"begin", None)
            self._sent.append((b"", None))

    async def flush(self) -> None:
        """See that the server has what was handed over, and can begin; its errors are told by `sync`."""
        await self._run(_flush(self._pgconn))

    def end(self, answered: int) -> None:
        """What was sent ends its transaction, and its first `answered` are waited for on their own. What is sent from
        now on is the next one's, and runs behind it. There may be more than one that was ended and not waited for, if
        no answers are."""
        self._answered = answered
        self._pgconn.pipeline_sync()
        self._ended.append(self._sent)
        self._sent = []

    async def answers(self) -> None:
        """Wait for what `end` said; raises the first error, and then nothing is waited for any more."""
        (ended,) = self._ended
        count, self._answered = self._answered, 0
        sent, self._ended[0] = ended[:count], ended[count:]
        try:
            results = await self._run(_exchange(self._pgconn, count))
        except BaseException:
            self._close()
            raise
        problem = self._take(sent, results)
        if problem is not None:
            await self._drain()  # all that follows failed for the same reason
            raise problem

    @property
    def answered(self) -> bool:
        """Whether something has come of what is waited for, so that the rest of it is about to."""
        self._pgconn.consume_input()
        return not self._pgconn.is_busy()

    @property
    def sent(self) -> int:
        """How many statements of this transaction are not answered yet."""
        return len(self._sent)

    def ask_for_answers(self) -> None:
        """Have the server send the answers it has by here, though more is to come."""
        self._pgconn.send_flush_request()

    async def sync(self) -> None:
        """Wait for all that was sent, or for the first that was ended; raises the first error."""
        if not self._ended and not self._sent:
            if self._watched is None:  # it was lost, and so was what had been sent
                raise OperationalError("the connection is lost")
            return
        try:
            if not self._ended:
                self.end(0)
            sent = self._ended.popleft()
            results = await self._run(_exchange(self._pgconn))
            if not self._sent and not self._ended:
                self._pgconn.exit_pipeline_mode()
        except BaseException:
            self._close()  # nobody can say any more what answers what
            raise
        problem = self._take(sent, results)
        if problem is not None:
            raise problem

    async def _drain(self) -> None:
        """Wait for whatever is on its way."""
        while self._sent or self._ended:
            with suppress(Exception):
                await self.sync()

    # -- waiting: the socket is registered once for as long as the wire is used, where psycopg's own waiting would do it
    # -- anew each time, which is ten system calls and a tenth of what a small batch costs

    def _watch(self) -> None:
        loop, socket = asyncio.get_running_loop(), self._pgconn.socket
        loop.add_reader(socket, self._wake, Ready.R)
        self._watched = loop, socket

    def _unwatch(self) -> None:
        if self._watched is not None:
            loop, socket = self._watched
            self._watched = None
            loop.remove_reader(socket)

    def _close(self) -> None:
        self._unwatch()
        self._pgconn.finish()
        self._sent, self._ended = [], deque()

    def _wake(self, ready: Ready) -> None:
        waiter = self._waiter
        if waiter is not None:
            if not waiter.done():
                waiter.set_result(ready)
            return
        try:
            self._pgconn.consume_input()  # nobody waits for it yet, but it must not be told again and again
        except Error:
            self._unwatch()  # whoever asks next will be told

    async def _run(self, steps: Generator[Wait, Ready | int, _T]) -> _T:
        """Go through the steps, waiting where they want to."""
        try:
            wait = next(steps)
            while True:
                wait = steps.send(await self._ready(wait))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    async def _ready(self, wait: Wait) -> Ready:
        if self._watched is None:
            raise OperationalError("the connection is lost")
        loop, socket = self._watched
        waiter: asyncio.Future[Ready] = loop.create_future()
        self._waiter = waiter
        if wait is not Wait.R:
            loop.add_writer(socket, self._wake, Ready.W)
        look = loop.call_later(LOOK_EVERY_S, self._wake, Ready.R)
        try:
            return await waiter
        finally:
            look.cancel()
            self._waiter = None
            if wait is not Wait.R and self._watched is not None:
                loop.remove_writer(socket)

    def _take(self, sent: Sequence[tuple[bytes, Answer | None]], results: Sequence[PGresult]) -> Exception | None:
        """Give each answer its rows; the first error, if there is any."""
        problem: Exception | None = None
        for (name, answer), result in zip(sent, results, strict=True):
            status = result.status
            if status == _TUPLES_OK and answer is not None:
                answer.take(result)
            elif status in _FAILED:
                if answer is None:
                    self._prepared.discard(name)
                if problem is None:
                    problem = error_from_result(result, self._connection.info.encoding)
        if isinstance(problem, InvalidSqlStatementName):
            self._prepared.clear()  # somebody had the server forget them: the next time they are prepared anew
        return problem


def wire(connection: AsyncConnection[Any]) -> Wire:
    """The wire of a connection, always the same."""
    kept = vars(connection)
    found: Wire | None = kept.get("guerdon_wire")
    if found is None:
        found = kept["guerdon_wire"] = Wire(connection)
    return found


def _flush(pgconn: PGconn) -> Generator[Wait, Ready | int, None]:
    while pgconn.flush():
        if (yield Wait.RW) & Ready.R:
            pgconn.consume_input()  # the server may have to be rid of answers before it takes more


def _exchange(pgconn: PGconn, count: int | None = None) -> Generator[Wait, Ready | int, list[PGresult]]:
    """One result for each statement that was sent before the last `pipeline_sync`, or for the first `count` of them."""
    if count is None:
        yield from _flush(pgconn)
    results: list[PGresult] = []
    ended = True
    while count is None or len(results) < count or not ended:
        while pgconn.is_busy():
            unsent = count is not None and pgconn.flush()
            if (yield Wait.RW if unsent else Wait.R) & Ready.R:
                pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:
            if ended:
                raise OperationalError("the connection is lost")
            ended = True
        elif result.status == ExecStatus.PIPELINE_SYNC:
            return results
        else:
            ended = False
            results.append(result)
    return results
