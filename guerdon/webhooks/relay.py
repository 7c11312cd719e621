"""The relay: takes messages from the events, in batches, and sends them to the endpoints that want them.

Promises: at least once, in order for each member at each endpoint, every attempt at a message under the same id. A
message that fails holds back that member's later ones at that endpoint and nobody else's. The cursor moves after the
answers, so what a killed process had sent but not written down is sent again, and nothing is skipped.

When nothing gets through at all, an endpoint is only probed, ever more rarely, until it answers; when it does not for
days, it is paused, and goes on where it stood when somebody activates it. A message is given up only where others got
through while it failed for days; the log keeps it, and a replay sends it again.

Several processes may run this: a turn at an endpoint is leased, nobody sends longer than their lease, and what somebody
saves whose lease was taken over is refused.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Protocol

import httpx2
import msgspec
import psycopg
import uuid_utils
from psycopg_pool import PoolTimeout

from guerdon.core import commands as c
from guerdon.core import signatures
from guerdon.core.messages import TYPES
from guerdon.core.outcomes import Rejected
from guerdon.store.due import organisations
from guerdon.store.pool import Pool
from guerdon.store.read import Directory, Reader
from guerdon.store.webhook_rows import Attempt, Behind, Message, Standing, Turn
from guerdon.store.webhooks import Desk
from guerdon.webhooks import answers, rendering
from guerdon.webhooks.sending import ANSWER_SHOWN_MAX, Answer, Line
from guerdon.writer import QueueFull, Unavailable, Writer, WriterFault

log = logging.getLogger(__name__)

ACTOR = "guerdon"
LATER_S = (5, 30, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""How long after a failed attempt the next one is made: eleven attempts in 75 hours (Standard Webhooks' table)."""
JITTER = 0.2
RETRY_AFTER_MAX_S = 86_400
PROBING_FROM = 8
"""When so many members failed and nothing got through since, an endpoint is only probed."""
FAILING_AFTER = timedelta(minutes=15)
"""When nothing has got through for so long, an event says so."""
PROBE_MIN_S, PROBE_MAX_S = 5.0, 600.0
MESSAGES_MAX = 512
"""So many messages are taken at a time, and as many members who are behind."""
EACH_MAX = 50
"""So many messages of a member who is behind are taken at a time."""
AT_ONCE = 16
"""So many members' messages are under way to one endpoint at the same time."""
ATTEMPTS_AT_ONCE = 256
SEND_S = 3.0
"""So long new attempts are begun before the batch is written down."""
LOOK_EVERY_S = 0.05
POLL_EVERY_S = 1.0
"""Organisations with endpoints are looked at so often, since other processes commit too."""
PURGE_EVERY_S = 600.0
PURGE_MAX = 5_000
DESKS = 3
"""Connections in use at the same time; the pool is for others too."""


class Settings(Protocol):
    """What the relay reads of `guerdon.settings.Settings`."""

    @property
    def job_interval_s(self) -> float: ...
    @property
    def webhook_private(self) -> bool: ...
    @property
    def webhook_timeout_s(self) -> float: ...
    @property
    def webhook_pause_after_h(self) -> float: ...
    @property
    def webhook_log_days(self) -> int: ...


class Relay:
    """One per process. `start` and `stop` once, on the writer's event loop."""

    def __init__(
        self,
        pool: Pool,
        reader: Reader,
        writer: Writer,
        pepper: bytes,
        settings: Settings,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._pool = pool
        self._reader = reader
        self._writer = writer
        self._pepper = pepper
        self._settings = settings
        self._now = now
        self._holder = str(uuid_utils.uuid4())
        self._lease_s = 2 * settings.webhook_timeout_s + SEND_S + 5
        self._tls: ssl.SSLContext | None = None
        self._lines: dict[str, Line] = {}
        self._desks = asyncio.Semaphore(DESKS)
        self.attempts = asyncio.Semaphore(ATTEMPTS_AT_ONCE)
        """What is under way at all endpoints together."""
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._told_failing: dict[str, datetime] = {}
        """Endpoints of which an event says already that nothing gets through since then."""
        self._next: dict[int, datetime] = {}
        """When an organisation with endpoints is looked at next, unless something wakes us before."""
        self._bare: dict[int, datetime] = {}
        """Organisations without endpoints that commit: they are not looked at again before then."""
        self._touched: set[int] = set()
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._writer.listen(self._committed)
        self._task = asyncio.create_task(self._run(), name="guerdon-webhooks")

    async def stop(self) -> None:
        """What is under way is answered and written down; nothing new is begun."""
        self._stopping = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await asyncio.gather(*self._busy.values(), return_exceptions=True)
        for line in self._lines.values():
            await line.close()
        self._lines.clear()

    async def run_once(self) -> None:
        """Send all that can be sent by now, in every organisation."""
        async with self._desks, self._pool.connection() as connection:
            found = await organisations(connection)
        for org_id in found:
            await self._look(org_id)
            await asyncio.gather(*self._busy.values())

    # -- when to look

    def _committed(self, org_id: int) -> None:
        self._touched.add(org_id)
        self._wake.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        sweep_at = purge_at = loop.time()
        while True:
            now = self._now()
            for org_id in self._touched:
                self._next[org_id] = self._bare.get(org_id, now)
            self._touched = set()
            ready = {org_id for org_id, at in self._next.items() if at <= now}
            try:
                if loop.time() >= sweep_at:
                    sweep_at = loop.time() + self._settings.job_interval_s
                    async with self._desks, self._pool.connection() as connection:
                        ready |= set(await organisations(connection))
                for org_id in ready:
                    await self._look(org_id)
                if loop.time() >= purge_at:
                    purge_at = loop.time() + PURGE_EVERY_S
                    await self._purge()
            except (psycopg.OperationalError, PoolTimeout) as problem:
                log.warning("webhooks wait for the database: %r", problem)
                self._touched |= ready
                await asyncio.sleep(POLL_EVERY_S)
            except Exception:
                log.exception("webhooks go on after a failure")
                await asyncio.sleep(POLL_EVERY_S)
            await asyncio.sleep(LOOK_EVERY_S)
            await self._idle(sweep_at - loop.time())

    async def _idle(self, at_most_s: float) -> None:
        now = self._now()
        left = [(at - now).total_seconds() for at in self._next.values()]
        self._wake.clear()
        if self._touched:
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), max(0.0, min([at_most_s, *left])))

    async def _look(self, org_id: int) -> None:
        """Begin what an organisation's endpoints have to be sent, and remember when to look again."""
        async with self._desks, self._pool.connection() as connection:
            found = await self._desk(connection, org_id).waiting()
        now = self._now()
        if not found:
            self._next.pop(org_id, None)
            self._bare[org_id] = now + timedelta(seconds=POLL_EVERY_S)
            return
        self._bare.pop(org_id, None)
        self._next[org_id] = now + timedelta(seconds=POLL_EVERY_S)
        for one in found:
            if one.at is not None and one.at <= now and not one.held and one.id not in self._busy:
                self._busy[one.id] = asyncio.create_task(self._serve(org_id, one.id))

    def _desk(self, connection: psycopg.AsyncConnection[Any], org_id: int) -> Desk:
        return Desk(connection, org_id, self._holder, timedelta(seconds=self._lease_s))

    async def _purge(self) -> None:
        before = self._now() - timedelta(days=self._settings.webhook_log_days)
        for org_id in list(self._next):
            while True:
                async with self._desks, self._pool.connection() as connection:
                    gone = await self._desk(connection, org_id).purge(before, PURGE_MAX)
                if gone < PURGE_MAX:
                    break

    # -- one endpoint

    async def _serve(self, org_id: int, webhook: str) -> None:
        """Turn after turn, as long as there is something to do."""
        try:
            ours = True
            while ours and not self._stopping:
                ours, more = await self._turn(org_id, webhook)
                if not more:
                    break
            if ours:
                async with self._desks, self._pool.connection() as connection:
                    await self._desk(connection, org_id).give_back(webhook)
        except (psycopg.OperationalError, PoolTimeout) as problem:
            log.warning("a webhook waits for the database: %r", problem)
        except Exception:
            log.exception("webhook %s of organisation %s goes on after a failure", webhook, org_id)
        finally:
            del self._busy[webhook]

    async def _turn(self, org_id: int, webhook: str) -> tuple[bool, bool]:
        """One batch. Returns whether the endpoint is still ours, and whether there may be more to do."""
        ends = monotonic() + self._lease_s
        async with self._desks, self._pool.connection() as connection:
            turn, ours = await self._desk(connection, org_id).take(
                webhook, self._now(), most=MESSAGES_MAX, each=EACH_MAX, probing_from=PROBING_FROM
            )
        if turn is None:
            return ours, False
        directory = await self._reader.directory(org_id)
        sending = Sending(self, org_id, webhook, turn, directory, ends)
        if turn.messages:
            await sending.run()
        standing, behind, caught_up, hurry = sending.outcome()
        async with self._desks, self._pool.connection() as connection:
            kept = await self._desk(connection, org_id).advance(
                webhook, standing, behind=behind, caught_up=caught_up, log=sending.log, hurry=hurry
            )
        if not kept:
            log.warning("webhook %s was taken over; what was sent is sent again", webhook)
            return False, False
        reason = sending.dead(standing)
        if reason:
            await self._pause(org_id, webhook, reason)
            return True, False
        await self._tell_failing(org_id, webhook, standing, sending.failed)
        return True, standing.next_at is None

    async def _pause(self, org_id: int, webhook: str, reason: str) -> None:
        log.warning("webhook %s of organisation %s is paused: %s", webhook, org_id, reason)
        command = c.PauseWebhook(id=_command_id(), at=self._now(), actor=ACTOR, target=webhook, reason=reason)
        with suppress(QueueFull, Unavailable, WriterFault):  # it fails again, and is paused then
            await self._writer.submit(org_id, command, "bulk")

    async def _tell_failing(self, org_id: int, webhook: str, standing: Standing, why: str) -> None:
        """Let an event say that an endpoint fails, once for each time: the command's key is the time it began."""
        since = standing.failing_since
        if since is None or not why or self._now() - since < FAILING_AFTER or self._told_failing.get(webhook) == since:
            return
        log.warning("webhook %s of organisation %s fails: %s", webhook, org_id, why)
        command = c.NoteFailingWebhook(
            id=_command_id(),
            at=self._now(),
            actor=ACTOR,
            key=f"whk_{webhook} fails since {since.astimezone(UTC).isoformat()}",
            fingerprint=b"failing",
            target=webhook,
            since=since,
            reason=why,
        )
        with suppress(QueueFull, Unavailable, WriterFault):  # it is told after the next attempt
            await self._writer.submit(org_id, command, "bulk")
            self._told_failing[webhook] = since

    def line(self, webhook: str, url: str) -> Line:
        """The connections to an endpoint, new ones when its URL is another."""
        line = self._lines.get(webhook)
        if line is None or line.url != url:
            if self._tls is None:
                self._tls = httpx2.create_ssl_context()
            if line is not None:
                asyncio.get_running_loop().create_task(line.close())
            line = self._lines[webhook] = Line(
                url, timeout_s=self._settings.webhook_timeout_s, private=self._settings.webhook_private, tls=self._tls
            )
        return line

    def secrets(self, webhook: str, turn: Turn) -> list[bytes]:
        """What messages are signed with at the moment, the newest first."""
        endpoint = turn.endpoint
        generations = [endpoint.generation]
        if endpoint.old_until is not None and endpoint.old_until > self._now() and endpoint.generation > 1:
            generations.append(endpoint.generation - 1)
        return [signatures.secret(self._pepper, webhook, generation) for generation in generations]

    async def hear(self, org_id: int, webhook: str, message: Message, answer: Answer, secrets: list[bytes]) -> Answer:
        """Move the fulfilment that a signed answer moves, and tell in the log what came of it. An answer that cannot be
        taken now is none: the message is sent again."""
        claim = answers.claim_of(message, answer)
        if claim is None:
            return answer
        move = answers.read(message, answer, secrets, int(self._now().timestamp()))
        if isinstance(move, str):
            return _noted(answer, f"not heard: {move}")
        command = c.MoveClaim(
            id=_command_id(),
            at=self._now(),
            actor=f"whk_{webhook}",
            claim=claim,
            status=move.status,
            reason=move.reason,
        )
        try:
            outcome = await self._writer.submit(org_id, command)
        except (QueueFull, Unavailable, WriterFault):
            return msgspec.structs.replace(answer, status=503, text="the answer could not be taken just now")
        if isinstance(outcome, Rejected):
            return _noted(answer, f"refused: {outcome.code} ({outcome.detail.get('status', '')})")
        return _noted(answer, f"moved to {move.status}")

    async def post(self, line: Line, secrets: list[bytes], id: str, body: bytes) -> Answer:
        """One attempt, signed for now."""
        headers = signatures.headers(secrets, id, int(self._now().timestamp()), body)
        return await line.post({**headers, "content-type": rendering.MEDIA_TYPE}, body)

    @property
    def pause_after(self) -> timedelta:
        return timedelta(hours=self._settings.webhook_pause_after_h)

    def now(self) -> datetime:
        return self._now()

    def may_begin(self, ends: float) -> bool:
        """Whether an attempt begun now is over before the lease is."""
        return not self._stopping and monotonic() + self._settings.webhook_timeout_s + 1 < ends


class Sending:
    """One turn's messages on their way: each member's in order, several members at a time."""

    def __init__(self, relay: Relay, org_id: int, webhook: str, turn: Turn, directory: Directory, ends: float) -> None:
        self._relay = relay
        self._org_id = org_id
        self._webhook = webhook
        self._turn = turn
        self._directory = directory
        self._ends = ends
        self._began = monotonic()
        self._line = relay.line(webhook, turn.endpoint.url)
        self._secrets = relay.secrets(webhook, turn)
        self._places = asyncio.Semaphore(AT_ONCE)
        self._now: dict[int, Behind] = {}
        self._first_failures = 0
        self._failed_at: datetime | None = None
        self._gone = False
        self._success_at: datetime | None = None
        self.failed = ""
        """How the last attempt that failed did so."""
        self.log: list[Attempt] = []

    async def run(self) -> None:
        await asyncio.gather(*[self._member(no, messages) for no, messages in self._turn.messages.items()])

    async def _member(self, no: int, messages: list[Message]) -> None:
        """A member's messages until one fails, or there is no time left for more."""
        here = self._turn.behind.get(no) or Behind(member_no=no, seq=messages[0].seq - 1)
        async with self._places:
            for message in messages:
                async with self._relay.attempts:
                    if self._may_begin():
                        here = await self._attempt(here, message)
                    else:
                        here = _at(here, self._relay.now())
                if here.next_at is not None:
                    break
            else:
                if no in self._turn.full:
                    here = _at(here, self._relay.now())
        self._now[no] = here

    def _may_begin(self) -> bool:
        if self._gone or (self._success_at is None and self._first_failures >= PROBING_FROM):
            return False
        return monotonic() - self._began < SEND_S and self._relay.may_begin(self._ends)

    async def _attempt(self, here: Behind, message: Message) -> Behind:
        sent_at = self._relay.now()
        id = rendering.message_id(message)
        body = rendering.body(message, self._directory, self._turn.endpoint.organisation)
        answer = await self._relay.post(self._line, self._secrets, id, body)
        answer = await self._relay.hear(self._org_id, self._webhook, message, answer, self._secrets)
        now = self._relay.now()
        done = Behind(member_no=here.member_no, seq=message.seq)
        if answer.accepted:
            self._success_at = now
            outcome, after = "delivered", done
        else:
            self._failed_at = min(self._failed_at or now, now)
            self._gone = self._gone or answer.gone
            self.failed = f"it answered {answer.status}" if answer.status else answer.text
            self._first_failures += here.attempts == 0
            outcome, after = self._failure(here, done, answer, now)
        self.log.append(
            Attempt(
                seq=message.seq,
                id=message.id,
                type=TYPES[message.name],
                attempt=here.attempts + 1,
                outcome=outcome,
                status=answer.status,
                sent_at=sent_at,
                duration_ms=answer.duration_ms,
                answer=answer.text,
            )
        )
        return after

    def _failure(self, here: Behind, done: Behind, answer: Answer, now: datetime) -> tuple[str, Behind]:
        """What follows a failed attempt: another one later, or none where others get through all the time."""
        success = self._success_at or self._turn.standing.last_success_at
        since = here.failed_since or now
        if here.attempts >= len(LATER_S) and success is not None and success > since:
            return "given_up", done
        wait_s = LATER_S[min(here.attempts, len(LATER_S) - 1)] * (1 + JITTER * random.random())  # noqa: S311
        wait_s = max(wait_s, min(answer.retry_after_s, RETRY_AFTER_MAX_S))
        return "failed", Behind(
            member_no=here.member_no,
            seq=here.seq,
            attempts=here.attempts + 1,
            failed_since=since,
            next_at=now + timedelta(seconds=wait_s),
        )

    def outcome(self) -> tuple[Standing, list[Behind], list[int], tuple[datetime, datetime] | None]:
        """Where the endpoint stands after the turn; members behind, and those who are no longer; whom to hurry."""
        before, now = self._turn.standing, self._relay.now()
        was_down = before.failures >= PROBING_FROM
        if self._success_at is not None:
            failures, since = 0, None
        else:
            failures = before.failures + self._first_failures
            since = before.failing_since or self._failed_at
        next_at = None
        if failures >= PROBING_FROM and since is not None:
            wait_s = min(max((now - since).total_seconds() / 4, PROBE_MIN_S), PROBE_MAX_S)
            next_at = now + timedelta(seconds=wait_s)
        standing = Standing(
            replays=before.replays,
            seq=self._turn.until,
            next_at=next_at,
            failures=failures,
            failing_since=since,
            last_success_at=self._success_at or before.last_success_at,
        )
        behind = [here for here in self._now.values() if here.next_at is not None]
        waiting = {here.member_no for here in behind}
        known = set(self._turn.behind)
        caught_up = sorted(no for no in known if no not in waiting)
        hurry = (now, before.failing_since) if was_down and failures == 0 and before.failing_since else None
        return standing, behind, caught_up, hurry

    def dead(self, standing: Standing) -> str:
        """Why the endpoint is paused now, "" if it is not."""
        if self._gone:
            return "it answered 410 Gone"
        since = standing.failing_since
        if self._failed_at is not None and since is not None and self._relay.now() - since >= self._relay.pause_after:
            return "nothing got through for too long"
        return ""


def _noted(answer: Answer, note: str) -> Answer:
    return msgspec.structs.replace(answer, text=f"{note}; {answer.text}"[:ANSWER_SHOWN_MAX])


def _command_id() -> str:
    return f"{str(uuid_utils.uuid7())[:30]}000000"


def _at(here: Behind, now: datetime) -> Behind:
    """Behind, and to be tried at once."""
    return Behind(
        member_no=here.member_no, seq=here.seq, attempts=here.attempts, failed_since=here.failed_since, next_at=now
    )
