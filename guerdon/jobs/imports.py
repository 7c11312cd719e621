"""Imports asked for over the API, row by row through the writer.

Promises: a row is booked whole or not at all, and once, however often the job runs: results that are there already are
not asked for again, and a row booked by a run that died before it said so is answered as replayed. Rows go in in their
order, some at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
import uuid_utils

from guerdon.core.commands import RegisterMember
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.sheets import Row, Terms, became, command
from guerdon.store import imports
from guerdon.store.imports import Result
from guerdon.store.pool import Pool
from guerdon.store.read import Reader
from guerdon.writer import QueueFull, Writer, WriterFault

log = logging.getLogger(__name__)

AT_ONCE = 200
"""So many rows are under way together; their results are written down before the next ones."""

_rows = msgspec.json.Decoder(list[dict[str, str]])


class Interrupted(Exception):
    """The process is about to end; what is left of the import is to be done later."""


async def run(
    pool: Pool,
    writer: Writer,
    now: Callable[[], datetime],
    stopping: Callable[[], bool],
    org_id: int,
    import_id: str,
) -> None:
    """Do what is left of an import; one that is done, or not there, is left alone. Raises `Interrupted` when it is
    stopped before the end.
    """
    reader = Reader(pool)
    async with pool.connection() as connection:
        found = await imports.content(connection, org_id, import_id)
    if found is None or found.finished:
        return
    directory = await reader.directory(org_id)
    programs = {
        program.code: Terms(code=program.code, scale=directory.scale(program.asset), timezone=program.policies.timezone)
        for program in directory.programs.values()
    }
    rows = _rows.decode(found.content)
    one = _One(reader, writer, now, org_id, found, programs)
    for first in range(found.done, len(rows), AT_ONCE):
        if stopping():
            raise Interrupted(import_id)
        some = [
            Row(number=first + i, cells=cells, reference=f"{import_id}#{first + i}")
            for i, cells in enumerate(rows[first : first + AT_ONCE], 1)
        ]
        results = await asyncio.gather(*[one.book(row) for row in some])
        async with pool.connection() as connection:
            await imports.write(connection, org_id, import_id, results)
    async with pool.connection() as connection:
        await imports.finish(connection, org_id, import_id, now())


class _One:
    """One import on its way."""

    def __init__(
        self,
        reader: Reader,
        writer: Writer,
        now: Callable[[], datetime],
        org_id: int,
        asked: imports.Content,
        programs: dict[str, Terms],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._now = now
        self._org_id = org_id
        self._asked = asked
        self._programs = programs

    async def book(self, row: Row) -> Result:
        envelope: dict[str, Any] = {
            "id": f"{str(uuid_utils.uuid7())[:30]}000000", "at": self._now(), "actor": self._asked.actor,
        }  # fmt: skip
        asked = command(
            self._asked.kind,  # type: ignore[arg-type]
            row,
            self._programs,
            self._asked.program or next(iter(self._programs), ""),
            envelope,
        )
        if isinstance(asked, Rejected):
            return _refused(row, asked)
        while True:
            try:
                outcome: Outcome = await self._writer.submit(self._org_id, asked, "bulk")
                break
            except QueueFull as full:
                await asyncio.sleep(full.retry_after_s)
            except WriterFault:
                log.error("row %d of an import of organisation %s failed", row.number, self._org_id)  # noqa: TRY400
                return Result(row.number, "rejected", "internal_error")
        if isinstance(outcome, Accepted):
            status, event = became(outcome)
            return Result(row.number, status, event_seq=event)
        if isinstance(asked, RegisterMember) and outcome.code is Rejection.IDENTIFIER_TAKEN:
            found = [await self._reader.member(self._org_id, identifier) for identifier in asked.identifiers]
            if found[0] is not None and {each and each.no for each in found} == {found[0].no}:
                return Result(row.number, "replayed")
        return _refused(row, outcome)


def _refused(row: Row, refusal: Rejected) -> Result:
    detail = msgspec.json.encode(refusal.detail).decode() if refusal.detail else ""
    return Result(row.number, "rejected", refusal.code.value, refusal.field, detail)
