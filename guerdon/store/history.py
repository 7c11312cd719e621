"""Balances as they were, by any of three clocks.

Promises: what was recorded is asked for by sequence number and found with some log2(versions) index look-ups, so that
an account of ten million entries is as quick as one of ten; asked again later the answer is the same. By effective
time, later facts may still change the answer, unless it is asked as known at a sequence number: it is the balance as
recorded by then, put right by the entries that count from another time than their own, which an index alone holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from guerdon.store.statements import statements

_SQL = statements("history")


async def balances_at_seq(
    connection: AsyncConnection[Any], org_id: int, accounts: Sequence[int], seq: int
) -> dict[int, int]:
    """Balances by account number after everything up to a sequence number; accounts that do not exist are left out."""
    return dict(await _rows(connection, org_id, "balances_at_seq", {"accounts": list(accounts), "seq": seq}))


async def balances_at_time(
    connection: AsyncConnection[Any], org_id: int, accounts: Sequence[int], at: datetime
) -> dict[int, int]:
    """Balances by account number of everything recorded before an instant."""
    return await balances_at_seq(connection, org_id, accounts, await seq_at(connection, org_id, at))


async def balances_at_effective(
    connection: AsyncConnection[Any], org_id: int, accounts: Sequence[int], at: datetime, known: int | None = None
) -> dict[int, int]:
    """Balances by account number of everything that counts before an instant, as known after sequence number `known`
    (None: by now), whenever it was recorded."""
    ((head,),) = await _rows(connection, org_id, "head", {})
    known = head if known is None else min(known, head)
    place = min(await seq_at(connection, org_id, at), known)
    balances = await balances_at_seq(connection, org_id, accounts, place)
    values = {"accounts": list(accounts), "at": at, "place": place, "known": known}
    for account_no, amount in await _rows(connection, org_id, "dated", values):
        if account_no in balances:
            balances[account_no] += amount
    return balances


async def seq_at(connection: AsyncConnection[Any], org_id: int, at: datetime) -> int:
    """The last sequence number recorded before an instant, 0 if nothing was."""
    ((seq,),) = await _rows(connection, org_id, "seq_at", {"at": at})
    return int(seq)


async def _rows(connection: AsyncConnection[Any], org_id: int, name: str, values: dict[str, Any]) -> list[Any]:
    async with connection.pipeline(), connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(_SQL["enter"], {"org": org_id})
        await cursor.execute(_SQL[name], {"org": org_id, **values})
        return await cursor.fetchall()
