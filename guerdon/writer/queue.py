"""What waits for one organisation, in order, and how much of it goes into the next batch.

Two lanes, each first in, first out. Interactive commands go first; when both lanes wait, a share of the batch
stays reserved for bulk, so that bulk moves on under any load, and gets no more than that share, so that an
interactive command waits for one short batch at most. What one lane leaves the other may use. Commands that
were given back (see `batch.py`) go before everything, in the order they had.
"""

from __future__ import annotations

import asyncio
from collections import deque

from guerdon.core.commands import Command, Lane
from guerdon.core.outcomes import Outcome
from guerdon.core.state import Key

BULK_SHARE = 4
"""One part in so many of a batch is for bulk while interactive commands wait too."""


class Waiting:
    """A command, what it touches as far as is known, and who waits for its outcome."""

    __slots__ = ("command", "future", "keys", "lookups", "weight")

    def __init__(self, command: Command, keys: list[Key], weight: int, future: asyncio.Future[Outcome]) -> None:
        self.command = command
        self.keys = keys
        self.weight = weight
        self.future = future
        self.lookups = 0


class Queue:
    """One organisation's lanes. `weight` is the sum over all that waits; `busy` while a worker has or will
    have it."""

    __slots__ = ("_bulk", "_first", "_interactive", "busy", "org_id", "weight")

    def __init__(self, org_id: int) -> None:
        self.org_id = org_id
        self.weight = 0
        self.busy = False
        self._first: deque[Waiting] = deque()
        self._interactive: deque[Waiting] = deque()
        self._bulk: deque[Waiting] = deque()

    def put(self, waiting: Waiting, lane: Lane) -> None:
        self.weight += waiting.weight
        (self._interactive if lane == "interactive" else self._bulk).append(waiting)

    def give_back(self, batch: list[Waiting]) -> None:
        """Put commands back before all others."""
        self.weight += sum(waiting.weight for waiting in batch)
        self._first.extendleft(reversed(batch))

    def take(self, weight_max: int) -> list[Waiting]:
        """The next batch. The last command of a lane may exceed the bound: one that is too heavy for any
        batch still goes, in a batch of its own or at the end of another."""
        batch: list[Waiting] = []
        share = weight_max // BULK_SHARE if self._bulk else 0
        room = weight_max - _move(self._first, batch, weight_max)
        used = _move(self._interactive, batch, room - share)
        _move(self._bulk, batch, share if used else room)
        self.weight -= sum(waiting.weight for waiting in batch)
        return batch

    def clear(self) -> list[Waiting]:
        """Everything that waits, in order; nothing waits any more."""
        found = [*self._first, *self._interactive, *self._bulk]
        for lane in (self._first, self._interactive, self._bulk):
            lane.clear()
        self.weight = 0
        return found


def _move(lane: deque[Waiting], batch: list[Waiting], room: int) -> int:
    """Move commands until the room is used up; the weight moved."""
    moved = 0
    while lane and moved < room:
        waiting = lane.popleft()
        moved += waiting.weight
        batch.append(waiting)
    return moved
