"""A batch that is decided while the one before it commits.

The rows of the next batch are read at the end of this one's transaction, behind its changes and before its commit:
nobody else can have written since, so the next batch may be decided on them at once. Its own transaction runs behind
this one's commit, is not committed before that is known, and does nothing if the head is not the one that was read:
then another server came in between (`overtaken`), and the batch is decided again.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection, errors

from guerdon.core.state import Key, State
from guerdon.store.load import COUNTERS, Asked, ask
from guerdon.store.lookups import Lookup
from guerdon.store.memory import Memory
from guerdon.store.save import COMMIT, append_all, configures, hand_over_rest
from guerdon.store.wire import Answer, wire

ONCE = frozenset({"reference", "outcome"})
"""Kinds of keys whose rows never change once they are there."""


class Sent:
    """A batch on its way to the database: its events and transfers are handed over, the rest and the commit not yet.

    `early` says whether the next batch's rows were asked for before that rest.
    """

    def __init__(self, connection: AsyncConnection[Any], org_id: int, state: State, locked: Answer | None) -> None:
        self._sending = wire(connection)
        self._org_id = org_id
        self._state = state
        self._locked = locked
        self._asked: Asked | None = None
        self.early = False

    async def commit(self, keys: Iterable[Key], now: datetime, memory: Memory) -> None:
        """Ask for the rows of the next batch, and commit. Waits for neither.

        Where nothing but references is to be read, because the rest is known, that goes before what else this batch
        changed, and the next one can be decided while the database works on that. Otherwise it goes behind it.
        """
        self._keys, self._memory = set(keys), memory
        memory.keep(self._state)
        self._known = memory.knows(self._keys)
        sending, state, org_id = self._sending, self._state, self._org_id
        lookup, changes = Lookup(sending, org_id, now), state.changes()
        unknown = self._keys.difference(self._known)
        self.early = not configures(changes) and all(key[0] in ONCE for key in unknown)
        if self.early:
            self._takers = ask(lookup, unknown)
            sending.ask_for_answers()
            await sending.flush()
            answered = sending.sent
            self._ended = hand_over_rest(sending, org_id, state, changes)
        else:
            self._ended = hand_over_rest(sending, org_id, state, changes)
            self._asked = Asked(lookup, keys, memory)
            sending.ask_for_answers()
            answered = sending.sent
        sending.send(COMMIT)
        sending.end(answered)
        await sending.flush()

    async def next_state(self) -> State | None:
        """What the next batch is decided on; None where its rows name others, which must be read as well."""
        await self._sending.answers()
        return self._next_known() if self._asked is None else self._next_read(self._asked)

    def _next_read(self, asked: Asked) -> State | None:
        self._state.head = self._memory.head = (self._ended.rows[0][0], *self._state.head[1:])
        asked.take()
        if not asked.complete:
            return None
        state = asked.finish()
        state.transaction = ""
        return state

    def _next_known(self) -> State:
        """The same as would be read: everything but references is as this batch leaves it."""
        before = self._state
        before.head = self._memory.head = (self._writer(), *before.head[1:])
        counters = {name: before.counters.get(name, 0) for name in COUNTERS}
        state = State(before.config, counters, before.last_recorded_at, before.last_hash)
        state.head = before.head
        state.marked = before.mark_made or before.marked
        self._memory.give(state, self._known)
        for take in self._takers:
            take(state)
        for key in self._keys:
            made = before.found.get(key) if key[0] in ONCE else None
            if made is not None:
                state.found[key] = made
        state.mark_loaded(self._keys)
        return state

    def _writer(self) -> str:
        """Who wrote the head row, as the row will say (`xmin`): this transaction, in the lower half of its number."""
        number = self._locked.rows[0][0] if self._locked is not None else self._state.transaction.partition("/")[0]
        return str(int(number) & 0xFFFF_FFFF)

    async def end(self) -> None:
        """Commit, and wait for it; nothing follows."""
        state = self._state
        ended = hand_over_rest(self._sending, self._org_id, state, state.changes())
        self._sending.send(COMMIT)
        await self._sending.sync()
        state.head = (ended.rows[0][0], *state.head[1:])

    async def committed(self) -> None:
        """Wait for the commit."""
        await self._sending.sync()


async def send(connection: AsyncConnection[Any], org_id: int, state: State, locked: Answer | None) -> Sent:
    """Hand over the events and transfers of a batch. `locked` is what `take_over` answered, if that began it."""
    sending = wire(connection)
    append_all(sending, org_id, state)
    await sending.flush()
    return Sent(connection, org_id, state, locked)


def take_over(connection: AsyncConnection[Any], org_id: int, state: State) -> Answer:
    """Begin the transaction of a batch that was decided on `next_state`. Its changes go behind this."""
    lookup = Lookup(wire(connection), org_id, state.last_recorded_at)
    writer, seq, last_hash = state.head
    lookup.run("enter")
    return lookup.run("lock_same_head", writer=writer, seq=str(seq), hash="\\x" + last_hash.hex())


def overtaken(problem: BaseException) -> bool:
    """Whether a batch failed because its head was not the one it was decided on."""
    return isinstance(problem, errors.DivisionByZero)
