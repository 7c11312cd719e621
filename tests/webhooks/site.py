"""An organisation with purchases, endpoints, and relays that the test starts itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from guerdon.core import commands as c
from guerdon.core import signatures
from guerdon.settings import Settings
from guerdon.store.read import Reader
from guerdon.webhooks import Relay
from tests.audit.books import Books

PEPPER = b"pepper for tests only"


class Site:
    """`books` make events; `now` is the relays' clock, which the test moves."""

    def __init__(self, books: Books) -> None:
        self.books = books
        books.now = datetime.now(UTC)
        self.ahead = timedelta(0)
        self.relays: list[Relay] = []

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def later(self, **delta: float) -> None:
        self.ahead += timedelta(**delta)

    def relay(self, **settings: Any) -> Relay:
        settings = {"webhook_private": True, "webhook_timeout_s": 1, **settings}
        books = self.books
        relay = Relay(books.pool, Reader(books.pool), books.writer, PEPPER, Settings(**settings), now=self.now)
        self.relays.append(relay)
        return relay

    async def endpoint(self, url: str, *filters: str) -> str:
        opened = await self.books.ok(c.AddWebhook, url=url, filters=filters, private=True)
        return str(opened.id)

    def secret(self, webhook: str, generation: int = 1) -> str:
        return signatures.shown(signatures.secret(PEPPER, webhook, generation))

    async def members(self, *names: str) -> dict[str, str]:
        """Register members; their public ids by name."""
        for name in names:
            await self.books.member(name)
        rows = await self.books.rows(
            "select i.value, 'mem_' || m.id from members m join member_identifiers i"
            " on i.org_id = m.org_id and i.member_no = m.no"
        )
        return {name: id for name, id in rows if name in names}

    async def award(self, *names: str, points: int = 1) -> None:
        """One event for each name, in order."""
        await asyncio.gather(
            *[
                self.books.ok(
                    c.Award, member=("external_id", name), program=("code", "club"), points=points, reason="x"
                )
                for name in names
            ]
        )

    async def events(self, member: str | None = None) -> list[int]:
        """Event numbers so far, of all or one member."""
        rows = await self.books.rows(
            "select e.seq, 'mem_' || m.id from events e"
            " left join members m on m.org_id = e.org_id and m.no = e.member_no order by e.seq"
        )
        return [seq for seq, whose in rows if member in (None, whose)]

    async def deliveries(self, what: str = "outcome") -> list[Any]:
        return [row[0] for row in await self.books.rows(f"select {what} from webhook_deliveries order by no")]

    async def until(self, done: Callable[[], bool], seconds: float = 20) -> None:
        async with asyncio.timeout(seconds):
            while not done():  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        await asyncio.gather(*[relay.stop() for relay in self.relays])
