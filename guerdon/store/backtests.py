"""Backtests: written down together with the job that will do them, how far they are and what they found; and the
purchases of the past that they go through.

Leaves to others: what a purchase would have come to (`core/backtests.py`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from psycopg import AsyncConnection

from guerdon.core.audiences import NOBODY, Asked, Known
from guerdon.core.audiences import audience as audience_of
from guerdon.core.backtests import Past
from guerdon.core.commands import Line, Tender
from guerdon.core.programs import Config
from guerdon.store import rows, tiers
from guerdon.store.pool import Pool
from guerdon.store.read import fetch
from guerdon.store.statements import statements

_SQL = statements("backtests")
_LOAD = statements("load")
AT_ONCE = 500
"""Purchases in memory at a time."""
MEMBERS_MAX = 2_500
"""Members in memory at a time, with all they did, where anything asks for tiers or segments."""
NOTHING = Asked()

_lines = msgspec.json.Decoder(tuple[Line, ...]).decode
_tenders = msgspec.json.Decoder(tuple[Tender, ...]).decode


class BacktestRow(Struct, frozen=True, kw_only=True):
    """`asked` and `report` are JSON text; the report is "" until it is there."""

    id: str
    name: str
    asked: str
    status: str
    done: int
    total: int
    report: str
    created_at: datetime
    finished_at: datetime | None


async def ask(
    connection: AsyncConnection[Any],
    org_id: int,
    *,
    id: str,
    name: str,
    actor: str,
    key: str | None,
    fingerprint: bytes,
    asked: str,
    now: datetime,
) -> tuple[str, bytes]:
    """Write a backtest down and queue it; the id and fingerprint of the one that this key stands for."""
    values = {
        "org": org_id, "id": id, "name": name, "actor": actor, "key": key, "fingerprint": fingerprint, "asked": asked,
        "now": now,
    }  # fmt: skip
    async with connection.transaction():
        await connection.execute(_SQL["enter"], {"org": org_id})
        made = await (await connection.execute(_SQL["insert_backtest"], values)).fetchone()
        if made is None:
            found = await (await connection.execute(_SQL["backtest_of_key"], values)).fetchone()
            assert found is not None, "an id is never made twice"
            return str(found[0]), bytes(found[1])
        await connection.execute(_SQL["search_jobs"])
        await connection.execute(_SQL["defer"], {"org": org_id, "id": id})
    return id, fingerprint


class Backtests:
    """Reads backtests, and stops them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def ask(self, org_id: int, **asked: Any) -> tuple[str, bytes]:
        async with self._pool.connection() as connection:
            return await ask(connection, org_id, **asked)

    async def find(self, org_id: int, id: str) -> BacktestRow | None:
        found = await fetch(self._pool, org_id, "backtests", "find_backtest", {"id": id}, BacktestRow)
        return found[0] if found else None

    async def page(self, org_id: int, before: str | None, limit: int) -> list[BacktestRow]:
        """Newest first, without their reports."""
        values = {"before": before, "limit": limit}
        return await fetch(self._pool, org_id, "backtests", "list_backtests", values, BacktestRow)

    async def cancel(self, org_id: int, id: str, now: datetime) -> None:
        async with self._pool.connection() as connection:
            await run(connection, org_id, "cancel", id=id, now=now)


async def run(connection: AsyncConnection[Any], org_id: int, statement: str, **values: Any) -> list[tuple[Any, ...]]:
    """One statement of ours in a transaction of its own; its rows, where it has any."""
    async with connection.transaction():
        await connection.execute(_SQL["enter"], {"org": org_id})
        cursor = await connection.execute(_SQL[statement], {"org": org_id, **values})
        return await cursor.fetchall() if cursor.description is not None else []


async def numbers(
    connection: AsyncConnection[Any], org_id: int, since: datetime, until: datetime, currency: str
) -> list[int]:
    """The numbers of a period's purchases, in the order in which they happened."""
    found = await run(connection, org_id, "purchases_of_period", since=since, until=until, currency=currency)
    return [no for (no,) in found]


async def purchases(
    connection: AsyncConnection[Any],
    org_id: int,
    config: Config,
    program_no: int,
    nos: list[int],
    about: Asked = NOTHING,
) -> AsyncIterator[list[Past]]:
    """Purchases of these numbers in their order, some at a time, without those whose till is of another program; with
    what is asked `about` those who bought.
    """
    members = _Members(connection, org_id)
    merged: dict[int, int] = dict(await run(connection, org_id, "merged_members"))
    first = min(config.programs, default=0)
    for start in range(0, len(nos), AT_ONCE):
        chosen = nos[start : start + AT_ONCE]
        bought = {row[0]: row for row in await run(connection, org_id, "purchases_by_no", nos=chosen)}
        owners = {row[3]: _survivor(merged, row[3]) for row in bought.values() if row[3]}
        found = await run(connection, org_id, "member_ids", nos=list(set(owners.values())))
        people = {no: (id, joined_at) for no, id, joined_at in found}
        if about:
            await members.look(list(owners))
        some: list[Past] = []
        for no in chosen:
            _, number, at, member_no, lines, store_no, till_no, source, tenders, paid = bought[no]
            till = config.tills.get(till_no)
            if member_no and (till.program_no if till is not None else first) != program_no:
                continue
            store = config.stores.get(store_no)
            member, joined_at = people[owners[member_no]] if member_no else ("", None)
            audience = NOBODY
            if about and member_no:
                audience = audience_of(config, program_no, members.of(member_no), about, at, no)
            some.append(
                Past(
                    no=no,
                    number=number,
                    at=at,
                    member=member,
                    joined_at=joined_at,
                    audience=audience,
                    paid=int(paid),
                    lines=_lines(lines),
                    store=store.code if store is not None else "",
                    channel=source,
                    tenders=_tenders(tenders),
                )
            )
        yield some


class _Members:
    """What is known of members, of so many at a time: those who buy often are looked at once."""

    def __init__(self, connection: AsyncConnection[Any], org_id: int) -> None:
        self._connection = connection
        self._org_id = org_id
        self._known: dict[int, Known] = {}

    def of(self, member_no: int) -> Known:
        return self._known[member_no]

    async def look(self, nos: list[int]) -> None:
        """See to it that these are known. By their own numbers: before a merge nobody was the survivor."""
        missing = [no for no in nos if no not in self._known]
        if len(self._known) + len(missing) > MEMBERS_MAX:
            self._known.clear()
            missing = nos
        if not missing:
            return
        asked = {"org": self._org_id, "nos": missing}
        async with self._connection.transaction():
            await self._connection.execute(_SQL["enter"], asked)
            done = await tiers.activities(self._connection, self._org_id, missing)
            people = rows.persons(await (await self._connection.execute(_LOAD["persons"], asked)).fetchall())
            listed = await (await self._connection.execute(_SQL["listed_when"], asked)).fetchall()
            held = await (await self._connection.execute(_SQL["points_of"], asked)).fetchall()
        lists: dict[int, dict[str, list[tuple[datetime, bool]]]] = {no: {} for no in missing}
        for no, segment, at, there in listed:
            lists[no].setdefault(segment, []).append((at, there))
        balances: dict[int, dict[str, int]] = {no: {} for no in missing}
        for no, program, balance in held:
            balances[no][program] = int(balance)
        for no in missing:
            self._known[no] = Known(
                activity=done[no], profile=people[no].profile, lists=lists[no], balances=balances[no]
            )


def _survivor(merged: dict[int, int], no: int) -> int:
    while no in merged:
        no = merged[no]
    return no
