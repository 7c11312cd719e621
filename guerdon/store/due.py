"""What is due in an organisation: reads for the jobs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from psycopg import AsyncConnection

from guerdon.core.codes import CodeBatch
from guerdon.core.standings import WALKED
from guerdon.store.statements import statements

_SQL = statements("jobs")


class Walk(NamedTuple):
    """The members, by number, who are to be looked at next since a version of a program's tiers began."""

    program_no: int
    version: int
    members: list[int]


class Due(NamedTuple):
    """Accounts with lots that ended or were released, whose they are and how many lots that is; ids of holds to settle,
    of holds to let go, of postings to decide; batches of codes that are not all made; members with something to tell
    about their tier, and structures of which not all members were looked at; and when something will be due next, None
    if nothing is known of.

    A list as long as the limit may not be all there is.
    """

    accounts: dict[int, tuple[int, int]]
    settles: list[str]
    releases: list[str]
    postings: list[str]
    batches: list[CodeBatch]
    tiers: list[int]
    walks: list[Walk]
    next_at: datetime | None

    def __bool__(self) -> bool:
        return bool(
            self.accounts or self.settles or self.releases or self.postings or self.batches or self.tiers or self.walks
        )


async def organisations(connection: AsyncConnection[Any]) -> list[int]:
    cursor = await connection.execute(_SQL["organisations"])
    return [row[0] for row in await cursor.fetchall()]


async def beginning(connection: AsyncConnection[Any], org_id: int, now: datetime) -> list[int]:
    """Programs with a version whose time has come and that has not begun, by number."""
    async with connection.transaction():
        await connection.execute(_SQL["enter"], {"org": org_id})
        cursor = await connection.execute(_SQL["beginning"], {"org": org_id, "now": now})
        return [row[0] for row in await cursor.fetchall()]


async def followed(connection: AsyncConnection[Any], org_id: int) -> list[tuple[int, int]]:
    """Programs with a version that is to be followed and is not yet by all points, and that version."""
    async with connection.transaction():
        await connection.execute(_SQL["enter"], {"org": org_id})
        cursor = await connection.execute(_SQL["followed"], {"org": org_id})
        return [(no, version) for no, version in await cursor.fetchall()]


async def behind(connection: AsyncConnection[Any], org_id: int, after: int, limit: int) -> dict[int, tuple[int, int]]:
    """Accounts after an account whose points do not follow such a version yet, by number: whose they are, and how many
    lots that is.
    """
    async with connection.transaction():
        await connection.execute(_SQL["enter"], {"org": org_id})
        cursor = await connection.execute(_SQL["following"], {"org": org_id, "after": after, "limit": limit})
        return {account: (member, lots) for account, member, lots in await cursor.fetchall()}


async def notices(
    connection: AsyncConnection[Any], org_id: int, now: datetime, limit: int
) -> list[tuple[int, datetime, int]]:
    """(account, when points of it end, whose it is) of points that are about to end and nobody was told."""
    async with connection.transaction():
        await connection.execute(_SQL["enter"], {"org": org_id})
        cursor = await connection.execute(_SQL["notices_due"], {"org": org_id, "now": now, "limit": limit})
        return [(account, ends_at, member) for account, ends_at, member in await cursor.fetchall()]


async def due(connection: AsyncConnection[Any], org_id: int, now: datetime, grace: timedelta, limit: int) -> Due:
    """What is due by now, and of lots what ended or was released `grace` ago. One round trip."""
    asked = {"org": org_id, "now": now, "ended_by": now - grace, "grace": grace, "limit": limit, "walked": WALKED}
    async with connection.transaction(), connection.pipeline():
        await connection.execute(_SQL["enter"], {"org": org_id})
        names = ("lots_due", "holds_due", "scheduled_due", "codes_to_make", "tiers_due", "tiers_to_walk", "next_due")
        lots, holds, scheduled, codes, tiers, walks, next_due = [
            await connection.execute(_SQL[name], asked) for name in names
        ]
        held, made = await holds.fetchall(), await codes.fetchall()
        row = await next_due.fetchone()
        return Due(
            accounts={account: (member, count) for account, member, count in await lots.fetchall()},
            settles=[id_ for id_, settles in held if settles],
            releases=[id_ for id_, settles in held if not settles],
            postings=[row[0] for row in await scheduled.fetchall()],
            batches=[CodeBatch(**dict(zip(CodeBatch.__struct_fields__, row, strict=True))) for row in made],
            tiers=list(dict.fromkeys([row[0] for row in await tiers.fetchall()])),
            walks=[Walk(*row) for row in await walks.fetchall()],
            next_at=row[0] if row else None,
        )
