"""A batch that is decided while the one before it commits.

The rows of the next batch are read at the end of this one's transaction, behind its changes and before its commit:
nobody else can have written since, so the next batch may be decided on them at once. Its own transaction begins when
this one's commit is known, and does nothing if the head is not the one that was read: then another server came in
between (`overtaken`), and the batch is decided again.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection, errors

from guerdon.core.state import Key, State
from guerdon.store import save
from guerdon.store.load import Asked
from guerdon.store.lookups import Lookup
from guerdon.store.memory import Memory
from guerdon.store.wire import Answer, wire


class Sent:
    """A batch's changes, handed to the database without the commit."""

    def __init__(self, connection: AsyncConnection[Any], org_id: int, state: State, ended: Answer) -> None:
        self._sending = wire(connection)
        self._org_id = org_id
        self._state = state
        self._ended = ended

    async def commit(self, keys: Iterable[Key], now: datetime, memory: Memory) -> None:
        """Ask for the rows of the next batch, and commit. Waits for neither."""
        self._memory = memory
        memory.keep(self._state)
        self._asked = Asked(Lookup(self._sending, self._org_id, now), keys, memory)
        self._sending.ask_for_answers()
        asked = self._sending.sent
        self._sending.send(save.COMMIT)
        self._sending.end(asked)
        await self._sending.flush()

    async def next_state(self) -> State | None:
        """What the next batch is decided on; None where its rows name others, which must be read as well."""
        await self._sending.answers()
        self._state.head = self._memory.head = (self._ended.rows[0][0], *self._state.head[1:])
        self._asked.take()
        if not self._asked.complete:
            return None
        state = self._asked.finish()
        state.transaction = ""
        return state

    async def end(self) -> None:
        """Commit, and wait for it; nothing follows."""
        self._sending.send(save.COMMIT)
        await self._sending.sync()
        self._state.head = (self._ended.rows[0][0], *self._state.head[1:])

    async def committed(self) -> None:
        """Wait for the commit."""
        await self._sending.sync()


async def send(connection: AsyncConnection[Any], org_id: int, state: State) -> Sent:
    """Hand over what a batch changed."""
    sending = wire(connection)
    sent = Sent(connection, org_id, state, save.hand_over(sending, org_id, state))
    await sending.flush()
    return sent


def take_over(connection: AsyncConnection[Any], org_id: int, state: State) -> None:
    """Begin the transaction of a batch that was decided on `next_state`. Its changes go behind this."""
    lookup = Lookup(wire(connection), org_id, state.last_recorded_at)
    writer, seq, last_hash = state.head
    lookup.run("enter")
    lookup.run("lock_head")
    lookup.run("same_head", writer=writer, seq=str(seq), hash="\\x" + last_hash.hex())


def overtaken(problem: BaseException) -> bool:
    """Whether a batch failed because its head was not the one it was decided on."""
    return isinstance(problem, errors.DivisionByZero)
