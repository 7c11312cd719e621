"""What reports are made of, read in one snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct
from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from guerdon.core.liability import Flow
from guerdon.store.statements import statements

_SQL = statements("reports")


class Liability(Struct, frozen=True, kw_only=True):
    """Of one program, in minor units. What stands now: `held` by members above zero, `receivable` from those below it,
    `internal`, which is minus the sum of its internal accounts.

    All of it, `flows` included, tells what has ended as expired and what was released as regular, whether or not that
    has been posted; `unposted` is how much of it has ended and is not."""

    flows: list[Flow]
    written_off: dict[str, int]
    held: int = 0
    receivable: int = 0
    internal: int = 0
    unposted: int = 0


async def liability(
    connection: AsyncConnection[Any], org_id: int, timezones: Mapping[int, str], now: datetime, *, by_event: bool
) -> dict[int, Liability]:
    """By program number. `timezones` names the programs, each with the time zone its months go by. What has ended and
    is not posted yet counts in the month of its end by event time, in that of `now` by recorded time."""
    values = {
        "org": org_id,
        "programs": list(timezones),
        "timezones": list(timezones.values()),
        "by_event": by_event,
        "now": now,
    }
    flows: dict[int, list[Flow]] = {no: [] for no in timezones}
    written_off: dict[int, dict[str, int]] = {no: {} for no in timezones}
    unposted: dict[int, int] = dict.fromkeys(timezones, 0)
    standing: dict[int, tuple[int, int, int]] = {}
    async with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute("set transaction isolation level repeatable read, read only")
        await cursor.execute("select set_config('guerdon.org', %s, true)", (str(org_id),))
        await cursor.execute(_SQL["flows"].encode(), values)
        async for program_no, month, role, points in cursor:
            flows[program_no].append(Flow(month, role, int(points)))
        await cursor.execute(_SQL["unposted"].encode(), values)
        async for program_no, month, points in cursor:
            flows[program_no].append(Flow(month, "expired", -int(points)))
            unposted[program_no] += int(points)
        await cursor.execute(_SQL["written_off"].encode(), values)
        async for program_no, month, points in cursor:
            written_off[program_no][month] = int(points)
        await cursor.execute(_SQL["holdings"].encode(), values)
        async for program_no, held, receivable, internal in cursor:
            standing[program_no] = (int(held), int(receivable), int(internal))
    found = {}
    for no in timezones:
        held, receivable, internal = standing.get(no, (0, 0, 0))
        found[no] = Liability(
            flows=flows[no],
            written_off=written_off[no],
            held=held,
            receivable=receivable,
            internal=internal,
            unposted=unposted[no],
        )
    return found
