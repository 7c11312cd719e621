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
    too: after a crash of the database the number alone may be another transaction's.
    """
    number, _, end = transaction.partition("/")
    async with conn.transaction():
        await conn.execute(_SQL["as_organisation"], {"org": org_id})
        await conn.execute(_SQL["lock_head"], {"org": org_id})
        try:
            async with conn.transaction():
                cursor = await conn.execute(_SQL["status"], {"transaction": number})
                row = await cursor.fetchone()
        except errors.InvalidParameterValue:
            return False  # in this server's future: it was promoted, or restored, without that transaction
        seq, _, hash_ = end.partition("/")
        ended = True
        if int(seq or 0):
            found = await conn.execute(_SQL["ended_with"], {"org": org_id, "seq": seq, "hash": hash_})
            ended = await found.fetchone() is not None
    status = next(iter(row.values() if isinstance(row, dict) else row)) if row else None
    if status in ("committed", "aborted"):
        return bool(status == "committed") and ended
    raise errors.OperationalError(f"transaction {transaction} is {status or 'forgotten'}")
