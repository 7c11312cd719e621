"""What comes due by itself: lots that end, promises that are released, holds that are to be settled or let go,
postings that wait for their time, codes that were asked for and are not made yet; points that are to follow another
version of their program's policies, or are about to end; and tiers that lapse.

Promises: nothing is done twice, however often or in however many processes this runs, since the core looks again under
the lock; and nothing that anybody may spend depends on when it runs, since the core reckons with what has ended whether
or not it was posted. Lots are posted once no late fact may spend them any more (`places.LATE_MAX` after their end).
Leaves to others: deciding. Jobs only ask.

An organisation is looked at when something of it comes due, soon after something of it was committed here, and in any
case once in a while, since other processes commit too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import msgspec
import psycopg
import uuid_utils
from psycopg_pool import PoolTimeout

from guerdon.core import commands as c
from guerdon.core.codes import CodeBatch
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.places import LATE_MAX
from guerdon.core.standings import WALKED
from guerdon.jobs.codes import make
from guerdon.store.due import Due, beginning, behind, due, followed, notices, organisations
from guerdon.store.pool import Pool
from guerdon.writer import QueueFull, Unavailable, Writer, WriterFault

log = logging.getLogger(__name__)

ACTOR = "guerdon"
LOOK_EVERY_S = 1.0
"""After commits an organisation is looked at no more often than this."""
DUE_MAX = 2_000
"""So much is taken of each kind at a time; what is left is taken at once after it."""
LOTS_MAX = 200
"""So many lots that have come due one command posts, which is half of what is loaded of an account; where it has more,
another one follows."""
PARCEL_LOTS = 100
"""Accounts are posted together up to so many lots. Small commands are sent to the database while the next ones are
decided, and nobody waits long."""
NOTICES_EVERY = timedelta(minutes=10)
"""How often it is looked for points that are about to end."""
READERS = 2
"""So many organisations are looked at at the same time; the pool is for others too."""
WALK_MAX = 500
"""So many members are looked at by one command after a structure of tiers has begun."""
PORTIONS_MAX = 25
"""So many commands make codes of a batch before it is looked again at what else has come due."""
AT_ONCE = 16
"""So many commands wait in the writer's queue for each organisation."""


class Settings(Protocol):
    """What the jobs read of `guerdon.settings.Settings`."""

    @property
    def job_interval_s(self) -> float: ...
    @property
    def job_accounts_max(self) -> int: ...


class Jobs:
    """One per process. `start` and `stop` once, on the writer's event loop."""

    def __init__(
        self,
        pool: Pool,
        writer: Writer,
        settings: Settings,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._pool = pool
        self._writer = writer
        self._settings = settings
        self._now = now
        self._next: dict[int, datetime] = {}
        self._touched: set[int] = set()
        self._wake = asyncio.Event()
        self._reading = asyncio.Semaphore(READERS)
        self._notices_at: dict[int, datetime] = {}
        self._looking: dict[int, asyncio.Task[int]] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._writer.listen(self._committed)
        self._task = asyncio.create_task(self._run(), name="guerdon-jobs")

    async def stop(self) -> None:
        """What was handed to the writer is still decided; nothing more is asked."""
        if self._task is not None:
            tasks = [self._task, *self._looking.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._task = None

    async def run_once(self) -> int:
        """Do all that is due by now, in every organisation. Returns how many commands that took."""
        async with self._pool.connection() as connection:
            found = await organisations(connection)
        return sum(await asyncio.gather(*[self._look(org_id) for org_id in found]))

    # -- when to look

    def _committed(self, org_id: int) -> None:
        self._touched.add(org_id)
        self._wake.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        sweep_at = loop.time()
        while True:
            ready = self._touched | {org_id for org_id, at in self._next.items() if at <= self._now()}
            self._touched = set()
            if loop.time() >= sweep_at:
                sweep_at = loop.time() + self._settings.job_interval_s
                ready |= await self._everybody()
            for org_id in ready:
                if org_id in self._looking:
                    self._touched.add(org_id)  # once more when that is over
                else:
                    self._looking[org_id] = asyncio.create_task(self._try(org_id))
            await asyncio.sleep(LOOK_EVERY_S)
            await self._idle(sweep_at - loop.time())

    async def _everybody(self) -> set[int]:
        try:
            async with self._pool.connection() as connection:
                return set(await organisations(connection))
        except (psycopg.OperationalError, PoolTimeout) as problem:
            log.warning("jobs wait for the database: %r", problem)
            return set()

    async def _try(self, org_id: int) -> int:
        try:
            return await self._look(org_id)
        except (psycopg.OperationalError, PoolTimeout, Unavailable) as problem:
            log.warning("jobs wait for the database: %r", problem)
        except Exception:
            log.exception("jobs of organisation %s go on after a failure", org_id)
        finally:
            del self._looking[org_id]
            self._wake.set()  # to wait no longer than until what was found to be due next
        return 0

    async def _idle(self, at_most_s: float) -> None:
        """Wait for a commit, for what comes due next, or for the time to look at everybody."""
        now = self._now()
        left = [(at - now).total_seconds() for org_id, at in self._next.items() if org_id not in self._looking]
        self._wake.clear()
        if self._touched:
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), max(0.0, min([at_most_s, *left])))

    # -- what to do

    async def _look(self, org_id: int) -> int:
        """Do all that is due in one organisation, and remember when more will be."""
        done = await self._follow(org_id) + await self._notify(org_id)
        tried: set[str] = set()
        while True:
            now = self._now()
            async with self._reading, self._pool.connection() as connection:
                found = await due(connection, org_id, now, LATE_MAX, DUE_MAX)
            if found.next_at is None:
                self._next.pop(org_id, None)
            else:
                self._next[org_id] = found.next_at
            named = dict(self._commands(found, now))
            commands = [command for name, command in named.items() if name not in tried]
            batches = {f"codes {each.id} {each.next_index}": each for each in found.batches}
            fresh = [each for name, each in batches.items() if name not in tried]
            tried.update(named, batches)
            if not commands and not fresh:
                return done
            made = await asyncio.gather(
                self._ask_all(org_id, commands), *[self._make_codes(org_id, each) for each in fresh]
            )
            done += len(commands) + sum(count for count in made if count)

    async def _follow(self, org_id: int) -> int:
        """Let all points follow the versions of programs that are to count for what is there, and say so in the end:
        when a look at all of them has found none that does not. A version whose time has come begins with any command.
        """
        now = self._now()
        async with self._reading, self._pool.connection() as connection:
            begins = await beginning(connection, org_id, now)
        if begins:
            await self._ask(org_id, c.FollowPolicy(**_envelope(now), accounts=()))
        async with self._reading, self._pool.connection() as connection:
            programs = await followed(connection, org_id)
        if not programs:
            return 0
        done = after = 0
        tried: set[int] = set()
        while True:
            async with self._reading, self._pool.connection() as connection:
                accounts = await behind(connection, org_id, after, DUE_MAX)
            if not accounts and not after:
                break
            after = max(accounts, default=0)
            if accounts and tried.issuperset(accounts):
                return done  # what failed is tried again the next time
            tried.update(accounts)
            commands = list(self._followers(accounts))
            await self._ask_all(org_id, commands)
            done += len(commands)
        now = self._now()
        for program_no, version in programs:
            await self._ask(org_id, c.FinishFollowing(**_envelope(now), program_no=program_no, version=version))
        return done + len(programs)

    async def _notify(self, org_id: int) -> int:
        """Tell of points that are about to end. Looked for at the first look and then once in a while: it goes by days,
        and the look is at all that ends within the longest of them.
        """
        now = self._now()
        if now < self._notices_at.get(org_id, now):
            return 0
        self._notices_at[org_id] = now + NOTICES_EVERY
        done = 0
        tried: set[tuple[int, datetime]] = set()
        while True:
            async with self._reading, self._pool.connection() as connection:
                found = await notices(connection, org_id, now, DUE_MAX)
            ends = [(account, ends_at) for account, ends_at, _ in found]
            if not ends or tried.issuperset(ends):
                return done
            tried.update(ends)
            size = self._settings.job_accounts_max
            commands = [
                c.GiveNotice(
                    **_envelope(now),
                    ends=tuple(ends[i : i + size]),
                    members=tuple(dict.fromkeys(member for _, _, member in found[i : i + size])),
                )
                for i in range(0, len(ends), size)
            ]
            await self._ask_all(org_id, commands)
            done += len(commands)

    def _followers(self, accounts: dict[int, tuple[int, int]]) -> Iterator[c.Command]:
        for some, lots in _parcels(accounts, self._settings.job_accounts_max):
            members = tuple(dict.fromkeys(accounts[no][0] for no in some))
            yield c.FollowPolicy(**_envelope(self._now()), accounts=some, members=members, lots=lots)

    async def _ask_all(self, org_id: int, commands: Sequence[c.Command]) -> None:
        waiting = iter(commands)
        await asyncio.gather(*[self._ask_each(org_id, waiting) for _ in range(AT_ONCE)])

    def _commands(self, found: Due, now: datetime) -> Iterator[tuple[str, c.Command]]:
        """What to ask for, each with a name: what was asked for once and is still due will not be asked for in vain."""
        for target in found.postings + found.settles:
            yield f"run {target}", c.RunScheduled(**_envelope(now), target=target)
        for target in found.releases:
            yield f"release {target}", c.Release(**_envelope(now), target=target, due=True)
        for accounts, lots in _parcels(found.accounts, self._settings.job_accounts_max):
            members = tuple(dict.fromkeys(found.accounts[no][0] for no in accounts))
            ended_by = now - LATE_MAX
            command: c.Command = c.ExpireLots(
                **_envelope(now),
                accounts=accounts,
                members=members,
                lots=lots,
                ended_by=ended_by,
                at_most=LOTS_MAX,
            )
            yield f"expire {accounts}", command
        for some in _some(found.tiers, self._settings.job_accounts_max):
            yield f"review {some}", c.ReviewTiers(**_envelope(now), members=some)
        for walk in found.walks:
            # one step after the other, since each says how far the walk has come
            some = tuple(walk.members[:WALK_MAX])
            walked = some[-1] if some else WALKED
            command = c.ReviewTiers(
                **_envelope(now), members=some, program_no=walk.program_no, version=walk.version, walked=walked
            )
            yield f"walk {walk.program_no} {walk.version} {some}", command

    async def _make_codes(self, org_id: int, batch: CodeBatch) -> int:
        """Make what a batch still wants, for a while, or until it was stopped or somebody else is at it too. Answers
        how many commands that took.
        """

        async def store(start: int, codes: tuple[str, ...]) -> bool:
            command = c.AddCodes(**_envelope(self._now()), batch=batch.id, codes=codes, start=start)
            return isinstance(await self._ask(org_id, command), Accepted)

        return await make(batch, store, PORTIONS_MAX)

    async def _ask_each(self, org_id: int, commands: Iterator[c.Command]) -> None:
        """One after the other; several of these share the commands, so that the queue never runs dry in between."""
        for command in commands:
            await self._ask(org_id, command)

    async def _ask(self, org_id: int, command: c.Command) -> Outcome | None:
        """What became of it, None where it cannot be decided. Lots that end, all of them, in as many commands."""
        while True:
            try:
                outcome: Outcome = await self._writer.submit(org_id, command, "bulk")
            except QueueFull as full:
                await asyncio.sleep(full.retry_after_s)
                continue
            except WriterFault:
                log.error("a job of organisation %s failed: %s", org_id, type(command).__name__)  # noqa: TRY400
                return None
            if isinstance(outcome, Rejected):
                if outcome.code != Rejection.CODE_BATCH_MOVED_ON:
                    log.warning("a job of organisation %s was refused: %s %s", org_id, outcome.code, outcome.detail)
            elif isinstance(command, c.ExpireLots) and outcome.result.more:
                left = command.lots - LOTS_MAX
                if left > 0 or outcome.result.released:  # what is released may have ended too
                    command = msgspec.structs.replace(command, id=_envelope(command.at)["id"], lots=max(left, 0))
                    continue
            return outcome


def _envelope(now: datetime) -> dict[str, Any]:
    return {"id": f"{str(uuid_utils.uuid7())[:30]}000000", "at": now, "actor": ACTOR}


def _some(numbers: Sequence[int], most: int) -> Iterator[tuple[int, ...]]:
    for i in range(0, len(numbers), most):
        yield tuple(numbers[i : i + most])


def _parcels(accounts: dict[int, tuple[int, int]], accounts_max: int) -> Iterator[tuple[tuple[int, ...], int]]:
    """Accounts to be posted together, and how many lots that is: few enough that others need not wait for long."""
    some: list[int] = []
    lots = 0
    for no, (_, count) in accounts.items():
        if some and (len(some) >= accounts_max or lots + count > PARCEL_LOTS):
            yield tuple(some), lots
            some, lots = [], 0
        some.append(no)
        lots += count
    if some:
        yield tuple(some), lots
