"""A batch that is decided while the one before it commits.

The rows of the next batch are read at the end of this one's transaction, behind its changes and before its commit:
nobody else can have written since, so the next batch may be decided on them at once. Its own transaction runs behind
this one's commit, and does nothing if the head is not the one that was read: then this one was not committed, or
another server came in between (`overtaken`), and the batch is decided again.

Where everything else is known, references and idempotency keys are not read but taken to be free, as nearly all are:
the next batch is decided without waiting for the database, and the same look at the head fails unless that was right
(`mistaken`); if not, nothing is done and it is decided again. Such a batch is sent with its commit before the answer to
the commit before it is here.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection, errors

from guerdon.core.state import Key, State
from guerdon.store.load import COUNTERS, Asked
from guerdon.store.lookups import Lookup
from guerdon.store.lookups.lookup import column
from guerdon.store.memory import Memory
from guerdon.store.save import COMMIT, append_all, configures, hand_over_rest
from guerdon.store.wire import Answer, wire

GUESSED = frozenset({"reference", "outcome"})
"""Kinds of keys that are taken to mean nothing yet: their rows never change once they are there, and a look at an index
proves that there are none.
"""


class Sent:
    """A batch on its way to the database: its events and transfers are handed over, the rest and the commit not yet.

    `guessed` says whether the next batch was decided without reading anything.
    """

    def __init__(self, connection: AsyncConnection[Any], org_id: int, state: State) -> None:
        self._sending = wire(connection)
        self._org_id = org_id
        self._state = state
        self._changes = state.changes()
        self._commits = False
        self.guessed = False

    async def commit(self) -> None:
        """Send what is left, and the commit. Waits for nothing."""
        self._hand_over_rest()
        await self._commit(0)

    async def next_state(self, keys: Iterable[Key], now: datetime, memory: Memory, *, guess: bool) -> State | None:
        """Commit, and answer what the next batch is decided on. None where its rows have to be read otherwise: they
        name others, or this batch was committed before they could be asked for.
        """
        keys = set(keys)
        memory.keep(self._state)
        known = memory.knows(keys)
        unknown = keys.difference(known)
        if guess and not configures(self._changes) and all(key[0] in GUESSED for key in unknown):
            if not self._commits:
                await self.commit()
            self.guessed = True
            return self._guess(memory, keys, known, unknown)
        return None if self._commits else await self._read(memory, keys, now)

    async def _read(self, memory: Memory, keys: set[Key], now: datetime) -> State | None:
        sending = self._sending
        self._hand_over_rest()
        asked = Asked(Lookup(sending, self._org_id, now), keys, memory)
        sending.ask_for_answers()
        await self._commit(sending.sent)
        await sending.answers()
        asked.take()
        if not asked.complete:
            return None
        state = asked.finish()
        state.transaction = ""
        return state

    def _guess(self, memory: Memory, keys: set[Key], known: list[Key], unknown: set[Key]) -> State:
        """What would be read: all accounts are as this batch leaves them."""
        before = self._state
        counters = {name: before.counters.get(name, 0) for name in COUNTERS}
        state = State(before.config, counters, before.last_recorded_at, before.last_hash)
        state.head = before.head
        memory.give(state, known)
        for key in unknown:
            made = before.found.get(key)
            if made is not None:
                state.found[key] = made
            else:
                state.guessed.append(key)
        state.mark_loaded(keys)
        return state

    def _hand_over_rest(self) -> None:
        hand_over_rest(self._sending, self._org_id, self._state, self._changes)

    async def _commit(self, answered: int) -> None:
        self._commits = True
        self._sending.send(COMMIT)
        self._sending.end(answered)
        await self._sending.flush()

    async def end(self) -> None:
        """Commit, unless that was done, and wait for it; nothing follows."""
        if not self._commits:
            await self.commit()
        await self._sending.sync()

    @property
    def answered(self) -> bool:
        """Whether the answer to the commit is coming in."""
        return self._sending.answered

    async def committed(self) -> None:
        """Wait for the commit."""
        await self._sending.sync()


async def send(connection: AsyncConnection[Any], org_id: int, state: State, *, commit: bool) -> Sent:
    """Hand over the events and transfers of a batch, or all of it and `commit`."""
    sending = wire(connection)
    append_all(sending, org_id, state)
    sent = Sent(connection, org_id, state)
    if commit:
        await sent.commit()
    else:
        await sending.flush()
    return sent


def take_over(connection: AsyncConnection[Any], org_id: int, state: State) -> Answer:
    """Begin the transaction of a batch that was decided on `next_state`. Its changes go behind this."""
    lookup = Lookup(wire(connection), org_id, state.last_recorded_at)
    mark, seq, last_hash = state.head
    lookup.run("enter")
    references = [key for key in state.guessed if key[0] == "reference"]
    keys = [key for key in state.guessed if key[0] == "outcome"]
    return lookup.run(
        "lock_same_head",
        mark=mark,
        seq=str(seq),
        hash="\\x" + last_hash.hex(),
        references=column(references, 1),
        actors=column(keys, 1),
        keys=column(keys, 2),
    )


def overtaken(problem: BaseException) -> bool:
    """Whether a batch failed because its head was not the one it was decided on."""
    return isinstance(problem, errors.DivisionByZero)


def mistaken(problem: BaseException) -> bool:
    """Whether a batch failed because what was guessed for it was not so."""
    return isinstance(problem, errors.InvalidArgumentForLogarithm)
