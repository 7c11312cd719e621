"""How far webhook endpoints have come: turns at relaying, messages, and what became of them.

The events are the outbox. An endpoint has one cursor over them, and a row for each member who is behind it, so that a
message which fails holds back that member's later ones and nobody else's. Nothing is written when an event is recorded.

Promises: one holder at a time has an endpoint's turn; what a holder saves after its turn was lost is refused as a whole
(`advance` answers False), so a cursor never goes on from what somebody else has seen.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from guerdon.core.messages import names
from guerdon.store.statements import statements
from guerdon.store.webhook_rows import Attempt, Behind, Endpoint, Message, Standing, Turn, Waiting

SPAN = 20_000
"""So many numbers of the sequence are looked through for messages at a time."""
BEHIND_MAX = 10_000
"""When so many members are behind, the cursor waits."""
_SQL = statements("webhooks")
_Row = TypeVar("_Row")


class Desk:
    """One process's work on the endpoints of one organisation, on a connection that commits by itself."""

    def __init__(self, connection: AsyncConnection[Any], org_id: int, holder: str, lease: timedelta) -> None:
        self._connection = connection
        self._common = {"org": org_id, "holder": holder, "lease": lease}

    async def waiting(self) -> list[Waiting]:
        async with self._connection.transaction():
            await self._run("enter")
            return await self._rows(Waiting, "waiting")

    async def take(
        self, webhook: str, now: datetime, *, most: int, each: int, probing_from: int
    ) -> tuple[Turn | None, bool]:
        """A turn at an endpoint, and whether it is ours at all; no turn where there is nothing to do now.

        At most `most` messages, `each` of a member who is behind; one of each where `probing_from` members failed and
        nothing has got through since."""
        async with self._connection.transaction():
            await self._run("enter")
            await self._run("add_cursor", webhook=webhook)
            standings = await self._rows(Standing, "take", webhook=webhook)
            if not standings:
                return None, False
            (standing,) = standings
            (endpoint,) = await self._rows(Endpoint, "endpoint", webhook=webhook)
            if endpoint.status != "active":
                return None, True
            if endpoint.replays != standing.replays:
                standing = await self._begin_again(webhook, endpoint)
            since = standing.failing_since
            if since is not None and endpoint.active_since > since:
                standing = msgspec.structs.replace(standing, next_at=None, failures=0, failing_since=None)
                await self._run("hurry", webhook=webhook, now=now, since=since)
            if standing.next_at is not None and standing.next_at > now:
                return None, True
            probing = standing.failures >= probing_from
            turn = await self._messages(
                webhook, endpoint, standing, now, most=1 if probing else most, each=1 if probing else each
            )
            return turn if turn.messages or turn.behind or turn.until > standing.seq else None, True

    async def _begin_again(self, webhook: str, endpoint: Endpoint) -> Standing:
        await self._run("begin_again", webhook=webhook, replays=endpoint.replays, seq=endpoint.start_seq)
        await self._run("forget_behind", webhook=webhook)
        return Standing(
            replays=endpoint.replays,
            seq=endpoint.start_seq,
            next_at=None,
            failures=0,
            failing_since=None,
            last_success_at=None,
        )

    async def _messages(
        self, webhook: str, endpoint: Endpoint, standing: Standing, now: datetime, *, most: int, each: int
    ) -> Turn:
        wanted = names(endpoint.filters)
        behind = await self._rows(Behind, "behind", webhook=webhook, now=now, limit=most)
        if most == 1 and not behind:
            behind = await self._rows(Behind, "soonest_behind", webhook=webhook)
        found: list[Message] = []
        until = standing.seq
        cursor = await self._run("count_behind", webhook=webhook, limit=BEHIND_MAX)
        counted = await cursor.fetchone()
        assert counted is not None
        if counted["count"] < BEHIND_MAX:
            until = min(endpoint.head, standing.seq + SPAN)
            asked = {"webhook": webhook, "after": standing.seq, "until": until, "names": wanted, "limit": most}
            found = await self._rows(Message, "new_messages", **asked) if until > standing.seq else []
            if len(found) == most:
                until = found[-1].seq
        members, seqs = [one.member_no for one in behind], [one.seq for one in behind]
        asked = {"members": members, "seqs": seqs, "until": until, "names": wanted, "each": each}
        late = await self._rows(Message, "messages_behind", **asked) if behind else []
        messages: dict[int, list[Message]] = {}
        for message in (*late, *found):
            messages.setdefault(message.member_no, []).append(message)
        return Turn(
            endpoint=endpoint,
            standing=standing,
            until=until,
            behind={one.member_no: one for one in behind},
            messages=messages,
            full=frozenset(no for no in members if len(messages.get(no, ())) == each),
        )

    async def advance(
        self,
        webhook: str,
        standing: Standing,
        *,
        behind: list[Behind],
        caught_up: list[int],
        log: list[Attempt],
        hurry: tuple[datetime, datetime] | None,
    ) -> bool:
        """Save what became of a turn, all of it or, when the turn was lost, nothing. With `hurry` (now, since) members
        who failed since then are tried now."""
        async with self._connection.transaction():
            await self._run("enter")
            cursor = await self._run("advance", webhook=webhook, **msgspec.structs.asdict(standing))
            if await cursor.fetchone() is None:
                return False
            if behind:
                await self._run(
                    "put_behind",
                    webhook=webhook,
                    members=[one.member_no for one in behind],
                    seqs=[one.seq for one in behind],
                    attempts=[one.attempts for one in behind],
                    failed_since=[one.failed_since for one in behind],
                    next_at=[one.next_at for one in behind],
                )
            if caught_up:
                await self._run("caught_up", webhook=webhook, members=caught_up)
            if hurry is not None:
                await self._run("hurry", webhook=webhook, now=hurry[0], since=hurry[1])
            if log:
                await self._run(
                    "log",
                    webhook=webhook,
                    seqs=[one.seq for one in log],
                    ids=[one.id for one in log],
                    types=[one.type for one in log],
                    attempts=[one.attempt for one in log],
                    outcomes=[one.outcome for one in log],
                    statuses=[one.status for one in log],
                    sent_at=[one.sent_at for one in log],
                    durations=[one.duration_ms for one in log],
                    answers=[one.answer for one in log],
                )
        return True

    async def give_back(self, webhook: str) -> None:
        async with self._connection.transaction():
            await self._run("enter")
            await self._run("give_back", webhook=webhook)

    async def purge(self, before: datetime, limit: int) -> int:
        """Delete rows of the log from before a moment; how many."""
        async with self._connection.transaction():
            await self._run("enter")
            cursor = await self._run("purge", before=before, limit=limit)
            return int(cursor.rowcount)

    async def _run(self, name: str, **given: Any) -> Any:
        cursor = self._connection.cursor(row_factory=dict_row)
        return await cursor.execute(_SQL[name].encode(), {**self._common, **given})

    async def _rows(self, type_: type[_Row], name: str, **given: Any) -> list[_Row]:
        cursor = await self._run(name, **given)
        return [msgspec.convert(row, type_, strict=False) for row in await cursor.fetchall()]
