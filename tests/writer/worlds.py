"""A small organisation on a real database, with a program and a few members."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
import uuid_utils

from guerdon.core import commands as c
from guerdon.core.outcomes import Accepted
from guerdon.core.programs import Policies
from guerdon.settings import Settings
from guerdon.store.organisations import create
from guerdon.store.pool import Pool, make_pool
from guerdon.writer import Writer
from guerdon.writer.batch import Steps
from guerdon.writer.loop import STEPS


def envelope(key: str = "") -> dict[str, Any]:
    return {
        "id": f"{str(uuid_utils.uuid7())[:30]}000000",
        "at": datetime.now(UTC),
        "actor": "tester",
        "key": key,
    }


def award(member: str, points: int = 1, key: str = "") -> c.Award:
    """Without a key nothing but the writer can tell whether it was done already."""
    return c.Award(**envelope(key), member=("id", member), points=points, reason="test")


@dataclass
class World:
    """One organisation with its writer, and a look at what is stored."""

    dsn: str
    superuser_dsn: str
    pool: Pool
    writer: Writer
    org_id: int
    members: list[str]

    def rows(self, query: str) -> list[Any]:
        with psycopg.connect(self.superuser_dsn, autocommit=True) as connection:
            return connection.execute(query).fetchall()

    def one(self, query: str) -> Any:
        return self.rows(query)[0][0]

    def points(self) -> int:
        """What all members hold, from the accounts' figures."""
        return int(self.one("select sum(f.credit - f.debit) from figures f join accounts a on a.no = f.account_no"
                            " and a.org_id = f.org_id where a.tracks_lots"))  # fmt: skip

    def assert_whole(self) -> None:
        """Every figure follows from the transfers, versions have no gaps, and the sequence has none
        either."""
        assert self.one("select sum(credit - debit) from figures") == 0
        gaps = self.rows(
            "select account_no from (select source as account_no, source_version as version from transfers union all"
            " select destination, destination_version from transfers) x group by 1 having max(version) <> count(*)"
        )
        assert gaps == []
        assert self.one("select seq from heads") == self.one(
            "select (select count(*) from events) + (select count(*) from transfers)"
        )


@asynccontextmanager
async def world(
    app_dsn: str, superuser_dsn: str, *, members: int = 3, steps: Steps = STEPS, **settings: Any
) -> AsyncIterator[World]:
    connection = await psycopg.AsyncConnection.connect(app_dsn, autocommit=True)
    async with connection:
        org_id = (await create(connection, "test")).org_id
    async with make_pool(app_dsn, name="writer", size_max=4) as pool:
        writer = Writer(pool, Settings(**settings), steps)
        await writer.start()
        try:
            await writer.submit(org_id, c.CreateAsset(**envelope(), code="POINTS", scale=0))
            await writer.submit(
                org_id, c.CreateProgram(**envelope(), code="club", name="Club", asset="POINTS", policies=Policies())
            )
            ids: list[str] = []
            for number in range(members):
                registered = await writer.submit(
                    org_id, c.RegisterMember(**envelope(), identifiers=(("external_id", f"C-{number}"),))
                )
                assert isinstance(registered, Accepted)
                ids.append(registered.result.id)
            yield World(app_dsn, superuser_dsn, pool, writer, org_id, ids)
        finally:
            await writer.stop()
