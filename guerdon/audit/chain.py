"""The walk along the hash chain: every number there, every hash that of the row before it and of its own row.

The database walks it, stretch by stretch, since it writes the same canonical form a good deal faster than we do; what
it doubts is judged here again by `core.chain`, whose word is final.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from psycopg import Connection

from guerdon.audit.report import Progress, Row
from guerdon.core.accounts import Transfer
from guerdon.core.chain import START, link
from guerdon.core.events import Event
from guerdon.store.statements import statements

STRETCH = 20_000
_SQL = statements("audit_chain")


def walk(
    connection: Connection[Any], org_id: int, after: int, head: tuple[int, bytes], last: int, progress: Progress
) -> Iterator[Row]:
    """What is wrong with the rows after a sequence number. `head` is where the chain is said to end."""
    seq, before = after, START if after == 0 else hash_at(connection, org_id, after)
    if before is None:
        yield Row(f"row {after}", "missing: there is nothing to go on from")
        return
    start = after
    while start < last:
        upto = min(start + STRETCH, last)
        arguments = {"org": org_id, "after": start, "upto": upto, "before": before}
        for row in connection.execute(_SQL["walk"], arguments).fetchall():
            number, number_before, hash_, hash_before, doubtful = row
            yield from _gap(seq if number_before == start else number_before, number)
            if doubtful:
                yield from _judge(connection, org_id, number, hash_before, hash_)
            seq, before = number, hash_
        start = upto
        progress.step("chain", start - after, last - after)
    if seq < head[0]:
        yield Row(_range(seq + 1, head[0]), "missing at the end of the chain")
    elif seq > head[0]:
        yield Row(_range(head[0] + 1, seq), "beyond the last number that the head knows")
    elif before != head[1]:
        yield Row("head", f"the chain ends with {before.hex()}, the head says {head[1].hex()}")


def hash_at(connection: Connection[Any], org_id: int, seq: int) -> bytes | None:
    """The hash of the row with this number; that before the first row for 0."""
    if seq == 0:
        return START
    row = connection.execute(_SQL["hash_at"], {"org": org_id, "seq": seq}).fetchone()
    return None if row is None else bytes(row[0])


def _gap(before: int, number: int) -> Iterator[Row]:
    if number > before + 1:
        yield Row(_range(before + 1, number - 1), "missing from the chain")
    elif number <= before:
        yield Row(f"row {number}", "there are an event and a transfer of this number")


def _judge(connection: Connection[Any], org_id: int, seq: int, before: bytes, hash_: bytes) -> Iterator[Row]:
    for name, kind in (("event", Event), ("transfer", Transfer)):
        row = connection.execute(_SQL[name], {"org": org_id, "seq": seq}).fetchone()
        if row is None:
            continue
        record: Any = kind(**dict(zip(kind.__struct_fields__, row, strict=True)))
        if link(before, record) != hash_:
            yield Row(f"{name} {seq}", "does not match its hash: it, its hash or the one before was changed")


def _range(first: int, last: int) -> str:
    return f"row {first}" if first == last else f"rows {first} to {last}"
