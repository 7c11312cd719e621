"""What became of a transaction whose commit was sent but not answered."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection, errors

from guerdon.store.statements import statements

_SQL = statements("commits")


async def committed(conn: AsyncConnection[Any], org_id: int, transaction: str) -> bool:
    """Whether the transaction that held the organisation's head lock was committed.

    Takes that lock first, and so waits until a backend that was cut off from us has ended, one way or the
    other. Where the transaction's token names the row that it ended with (`save.save`), that row must be there
    too: after a crash of the database the number alone may be another transaction's. A token without a number
    was sent before its number was known (`ahead.py`); its row alone tells, since no other row has its hash. Such a
    transaction may not even have begun, in a server that still reads what was sent before the connection was lost; so
    where a row is not there, it is also seen to that it never will be.

    A batch without a row is known by the mark that it left in place of the one before it. Where there is a third one,
    another server has left its own since, and what became of this one cannot be told (`OperationalError`), unless it
    was aborted.
    """
    number, seq, hash_, mark, marked = (*transaction.split("/"), "", "", "", "")[:5]
    if not number and not int(seq or 0):
        return False  # so far it had not come when it was cut off
    status, ended = "committed", True
    async with conn.transaction():
        await conn.execute(_SQL["as_organisation"], {"org": org_id})
        await conn.execute(_SQL["lock_head"], {"org": org_id})
        if number:
            try:
                async with conn.transaction():
                    status = await _value(conn, "status", transaction=number) or "forgotten"
            except errors.InvalidParameterValue:
                return False  # in this server's future: it was promoted, or restored, without that transaction
        if mark:
            there = await _value(conn, "mark", org=org_id)
            if there in (mark, marked):
                return bool(there == mark)
            if status == "committed":
                status = "overwritten"
        elif int(seq or 0):
            ended = await _value(conn, "ended_with", org=org_id, seq=seq, hash=hash_) is not None
            if not ended:
                await conn.execute(_SQL["bar"], {"org": org_id})
    if status in ("committed", "aborted"):
        return status == "committed" and ended
    raise errors.OperationalError(f"transaction {transaction} is {status}")


async def _value(conn: AsyncConnection[Any], statement: str, **given: Any) -> Any:
    """The one value that a statement finds, None without a row."""
    row = await (await conn.execute(_SQL[statement], given)).fetchone()
    return next(iter(row.values() if isinstance(row, dict) else row)) if row else None
