"""The writer: takes every change, and gives organisations fair turns on the database.

Promises: commands of one organisation and lane are decided in the order they were submitted; one batch per
organisation at a time. There is no timer: what arrives while a batch commits is the next batch.
Leaves to others: everything about a single batch (`batch.py`).

Organisations that have something waiting stand in a row. As many workers as there are connections take the
first, run one batch of it, and put it at the end of the row if more waits. Workers exist only while there is
work.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import math
from collections import deque
from collections.abc import Callable
from time import monotonic

from guerdon.core.commands import Command, Lane
from guerdon.core.decide import decide
from guerdon.core.keys import keys, weight
from guerdon.core.outcomes import Outcome
from guerdon.store import ahead
from guerdon.store.commits import committed
from guerdon.store.load import load, more
from guerdon.store.pool import Pool
from guerdon.store.save import append, save
from guerdon.store.wire import wire
from guerdon.writer.batch import Batches, Settings, Steps, refuse
from guerdon.writer.faults import QueueFull, Unavailable
from guerdon.writer.queue import Queue, Waiting
from guerdon.writer.stats import Stats

log = logging.getLogger(__name__)

RETRY_AFTER_MAX_S = 30
SHARED_WEIGHT = 60
"""A batch may always be so heavy, however many organisations there are."""
HALVED_MIN, HALVED_MAX = 16, 1024
"""When so much waits or is being committed, a batch is half of it, so that one half is decided while the database
writes the other. More than that makes batches long enough for others to come meanwhile."""
LATELY_S = 1.0
"""Organisations that had a turn within this time, or the one before, share the weight of a batch."""
STEPS = Steps(load, decide, wire, append, save, committed, ahead, more)


def calm_collector() -> None:
    """Look for cycles rarely: a batch makes tens of thousands of records, none of which can be part of one.

    Measured: with Python's defaults a tenth of a batch's time goes into walking them over and over.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


class Writer:
    """One per process. Everything happens on the event loop that called `start`."""

    def __init__(self, pool: Pool, settings: Settings, steps: Steps = STEPS) -> None:
        self.stats = Stats()
        self._settings = settings
        self._batches = Batches(pool, settings, self.stats, steps, self._announce)
        self._queues: dict[int, Queue] = {}
        self._ready: deque[Queue] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._working = 0
        self._listeners: list[Callable[[int], None]] = []
        self._served: set[int] = set()
        self._served_before: set[int] = set()
        self._served_since = 0.0
        self._open = False

    async def start(self) -> None:
        calm_collector()
        self._loop = asyncio.get_running_loop()
        self._open = True

    async def stop(self) -> None:
        """Finish the batches that were taken, answer `Unavailable` to all that still waits and to all that
        comes."""
        self._open = False
        for queue in self._queues.values():
            self._refuse_all(queue)
        await asyncio.gather(*self._workers)

    def listen(self, callback: Callable[[int], None]) -> None:
        """Call back with the organisation after each commit that changed something. Must not block."""
        self._listeners.append(callback)

    async def submit(self, org_id: int, command: Command, lane: Lane = "interactive") -> Outcome:
        """The command's outcome, after its commit. A caller that is cancelled does not cancel the command.

        Raises `QueueFull` before anything happened, `Unavailable` when the outcome is unknown, `WriterFault`
        when this command cannot be decided or saved."""
        return await self.enqueue(org_id, command, lane)

    def enqueue(self, org_id: int, command: Command, lane: Lane = "interactive") -> asyncio.Future[Outcome]:
        """The same for callers with many commands: hand in, and await the outcome later."""
        if not self._open:
            raise Unavailable
        queue = self._queues.get(org_id)
        if queue is None:
            queue = self._queues[org_id] = Queue(org_id)
        future: asyncio.Future[Outcome] = self._loop.create_future()
        waiting = Waiting(command, keys(command), weight(command), future)
        if queue.weight and queue.weight + waiting.weight > self._settings.queue_weight_max:
            self.stats.refused_full += 1
            raise QueueFull(self._seconds_for(queue.weight))
        queue.put(waiting, lane)
        self.stats.waiting_weight += waiting.weight
        if not queue.busy:
            queue.busy = True
            self._ready.append(queue)
            if self._working < self._settings.writer_connections:
                self._working += 1
                worker = self._loop.create_task(self._work(), name="guerdon-writer")
                self._workers.add(worker)
                worker.add_done_callback(self._workers.discard)
        return future

    async def _work(self) -> None:
        """Give turns until nobody waits."""
        while self._ready:
            queue = self._ready.popleft()
            await self._turn(queue)
            if queue.weight:
                self._ready.append(queue)
            else:
                queue.busy = False
        self._working -= 1  # here and not when the task is done, or a command in between would find no worker

    async def _turn(self, queue: Queue) -> None:
        batch = self._take(queue, 0)
        if not batch:
            return
        since = monotonic()
        left: list[Waiting] = []
        try:
            left = await self._batches.run(queue.org_id, batch, lambda flying: self._more(queue, flying))
        except Exception:
            log.exception("the writer failed on a batch of organisation %s", queue.org_id)
            refuse(batch, self.stats)
        self.stats.batch_seconds += monotonic() - since
        if left:
            self.stats.waiting_weight += sum(waiting.weight for waiting in left)
            queue.give_back(left)
            if not self._open:
                self._refuse_all(queue)

    def _more(self, queue: Queue, flying: list[Waiting]) -> list[Waiting]:
        """The next batch of an organisation whose turn it is, unless others wait for theirs."""
        return [] if self._ready else self._take(queue, sum([waiting.weight for waiting in flying]))

    def _take(self, queue: Queue, flying: int) -> list[Waiting]:
        """The next batch, beside one of that weight on its way to the database."""
        bound, both = self._bound(queue.org_id), queue.weight + flying
        if HALVED_MIN <= both <= HALVED_MAX and self._batches.overlap(queue.org_id) and not self._ready:
            bound = min(bound, both // 2)
        batch = queue.take(bound)
        self.stats.waiting_weight -= sum([waiting.weight for waiting in batch])
        return batch

    def _bound(self, org_id: int) -> int:
        """The weight of the next batch: the more organisations were served lately, the shorter each batch is, so that
        nobody waits for a flood's long ones. Alone, an organisation gets all."""
        now = monotonic()
        if now - self._served_since > LATELY_S:
            self._served_before, self._served, self._served_since = self._served, set(), now
        self._served.add(org_id)
        lately = max(len(self._served), len(self._served_before))
        return max(self._settings.batch_weight_max // lately, min(SHARED_WEIGHT, self._settings.batch_weight_max))

    def _refuse_all(self, queue: Queue) -> None:
        self.stats.waiting_weight -= queue.weight
        refuse(queue.clear(), self.stats)

    def _seconds_for(self, waiting_weight: int) -> int:
        """How long what waits will take at the pace so far, in whole seconds from 1."""
        pace = self.stats.weight / self.stats.batch_seconds if self.stats.batch_seconds else waiting_weight
        return max(1, min(RETRY_AFTER_MAX_S, math.ceil(waiting_weight / max(pace, 1))))

    def _announce(self, org_id: int) -> None:
        for callback in self._listeners:
            try:
                callback(org_id)
            except Exception:
                log.exception("a listener failed; the commit it was told about stands")
