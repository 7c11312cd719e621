"""Sheets of members, balances, points, redemptions, expiry changes and lists of members, from CSV or Parquet files.

Promises what `run.py` promises of purchases: a row goes in whole or not at all, a second run changes nothing, and an
import that was stopped at any moment goes on where it was. Rows are booked in the order of the file. Without a
`reference` of its own a row goes by the file's name and its number in it.
Leaves to others: what a row means (`core/sheets.py`).
"""

from __future__ import annotations

import asyncio
import signal
from collections import deque
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import uvloop
from msgspec import Struct

from guerdon.core.assets import decimal_text
from guerdon.core.commands import Command, RegisterMember
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.results import Imported
from guerdon.core.sheets import COLUMNS, Kind, Row, Terms, became, command
from guerdon.importing.cells import EPOCH, LocalTime
from guerdon.importing.faults import Fault, FaultCode, FileRefused
from guerdon.importing.job import MARK_EVERY, TURN, Watch, detail_of, envelope
from guerdon.importing.mapping import CsvForm
from guerdon.importing.results import ResultFile, Tally, content_of
from guerdon.importing.tables import column_names, rows
from guerdon.settings import Settings
from guerdon.store.pool import make_pool
from guerdon.store.read import Directory, Reader
from guerdon.writer import Writer, WriterFault

RESULT_COLUMNS = ("row", "reference", "member", "status", "code", "detail", "points", "event_log_id")
ROW_WEIGHT = 6
CSV = CsvForm()

_Waiting = deque[tuple[Row, "Command | Rejected", "asyncio.Future[Outcome] | None"]]


class SheetOrder(Struct, frozen=True, kw_only=True):
    """What somebody asked to be imported. `program` is meant by rows that name none; "" where there is but one. The
    same is `segment` for rows of lists.
    """

    kind: Kind
    file: Path
    organisation: str
    program: str = ""
    segment: str = ""
    results: Path | None = None
    from_start: bool = False


class SheetReport(Struct, frozen=True, kw_only=True):
    """How an import ended. `finished` is False when it was told to stop; `results` is the result file."""

    tally: Tally
    results: Path
    finished: bool


def import_sheet(order: SheetOrder, settings: Settings, dsn: str, watch: Watch) -> SheetReport:
    """Import the file into the database at `dsn`; `FileRefused` before anything is booked."""
    if not order.file.is_file():
        raise FileRefused(f"{order.file}: there is no such file")
    columns = _columns(order)
    count = 0
    for _ in rows(order.file, columns, None, CSV):
        count += 1
        if count % 10_000 == 0:
            watch.reading(count)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_import(order, columns, count, settings, dsn, watch))


def _columns(order: SheetOrder) -> tuple[str | None, ...]:
    """The columns to read: the third is where a row that is too short or too long says so."""
    names = column_names(order.file, CSV)
    needed, known = COLUMNS[order.kind]
    missing = [name for name in needed if name not in names]
    strange = [name for name in names if name not in needed and name not in known]
    if missing or strange:
        problems = [f"has no column {', '.join(missing)}"] * bool(missing)
        problems += [f"has a column {', '.join(strange)} that means nothing"] * bool(strange)
        raise FileRefused(
            f"{order.file.name} {' and '.join(problems)}; needed are {', '.join(needed) or 'none'}, "
            f"known are {', '.join(known)}"
        )
    return (None, None, None, *names)


async def _import(
    order: SheetOrder, columns: tuple[str | None, ...], count: int, settings: Settings, dsn: str, watch: Watch
) -> SheetReport:
    async with AsyncExitStack() as opened:
        reader = Reader(
            await opened.enter_async_context(make_pool(dsn, name="guerdon-import-reads", size_max=1, autocommit=True))
        )
        writer = Writer(await opened.enter_async_context(make_pool(dsn, name="guerdon-import", size_max=1)), settings)
        await writer.start()
        opened.push_async_callback(writer.stop)
        organisation = await reader.organisation(order.organisation)
        if organisation is None:
            raise FileRefused(f"there is no organisation {order.organisation}")
        directory = await reader.directory(organisation.org_id)
        target = order.results or Path(f"{order.file.stem}-{order.organisation}.results.csv")
        source = content_of(order.file, f"{order.kind} {order.program or order.segment} {order.file.name}".encode())
        results = ResultFile(target, source, f"{organisation.id} {order.kind}", RESULT_COLUMNS)
        if order.from_start:
            results.restart()
        watch.begin(count, results.tally.rows)
        stopping = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        job = _Sheet(order, directory, organisation.org_id, writer, reader, results)
        window = max(1, settings.queue_weight_max // ROW_WEIGHT // 2)
        finished = await job.book(_rows(order, columns), window, watch, stopping)
        return SheetReport(tally=results.tally, results=target, finished=finished)


def _rows(order: SheetOrder, columns: tuple[str | None, ...]) -> Iterator[Row | Fault]:
    for number, cells in enumerate(rows(order.file, columns, None, CSV), 1):
        fault = next((cell for cell in cells if isinstance(cell, Fault)), None)
        if fault is not None:
            yield fault
            continue
        named = {name: _text(cell) for name, cell in zip(columns, cells, strict=True) if name is not None}
        yield Row(number=number, cells=named, reference=f"{order.file.name}#{number}")


def _text(cell: Any) -> str:
    """A cell of a Parquet file as a CSV file would have it."""
    if cell is None or (isinstance(cell, float) and cell != cell):
        return ""
    if isinstance(cell, LocalTime):
        return (EPOCH + timedelta(microseconds=cell.us)).replace(tzinfo=None).isoformat()
    if isinstance(cell, datetime):
        return (cell.astimezone(UTC) if cell.tzinfo else cell).isoformat()
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, float) and cell.is_integer() and abs(cell) <= 2**53:
        return str(int(cell))
    return str(cell)


class _Sheet:
    """One sheet on its way into one organisation."""

    def __init__(
        self,
        order: SheetOrder,
        directory: Directory,
        org_id: int,
        writer: Writer,
        reader: Reader,
        results: ResultFile,
    ) -> None:
        self._order = order
        self._org_id = org_id
        self._writer = writer
        self._reader = reader
        self._results = results
        self._programs = {
            program.code: Terms(
                code=program.code, scale=directory.scale(program.asset), timezone=program.policies.timezone
            )
            for program in directory.programs.values()
        }
        self._program = order.program or next(iter(self._programs), "")
        self._meant = order.segment if order.kind == "segments" else self._program

    async def book(self, found: Iterator[Row | Fault], window: int, watch: Watch, stopping: asyncio.Event) -> bool:
        """Book what the result file does not have yet. False when told to stop before the end."""
        waiting: _Waiting = deque()
        skip = self._results.tally.purchases
        ended = True
        try:
            for number, row in enumerate(found, 1):
                if number <= skip:
                    continue
                waiting.append(self._begin(number, row))
                if len(waiting) >= window:
                    await self._settle(waiting, max(0, window - TURN), watch)
                    await asyncio.sleep(0)
                    if stopping.is_set():
                        ended = False
                        break
            await self._settle(waiting, 0, watch)
        except BaseException:
            for _, _, future in waiting:
                if future is not None and not future.cancel():
                    future.exception()  # seen, or asyncio complains that nobody looked
            self._results.close()
            raise
        if ended:
            self._results.finish()
        else:
            self._results.close()
        return ended

    def _begin(self, number: int, row: Row | Fault) -> tuple[Row, Command | Rejected, asyncio.Future[Outcome] | None]:
        if isinstance(row, Fault):
            fault = FaultCode(row.code)
            blank = Row(number=number, cells={}, reference="")
            return blank, Rejected(Rejection.INVALID_VALUE, fault.value, {"reason": row.detail}), None
        asked = command(self._order.kind, row, self._programs, self._meant, envelope())
        if isinstance(asked, Rejected):
            return row, asked, None
        return row, asked, self._writer.enqueue(self._org_id, asked, "bulk")

    async def _settle(self, waiting: _Waiting, leave: int, watch: Watch) -> None:
        """Wait for the first ones until only `leave` are under way, and write down what became of them."""
        while len(waiting) > leave:
            row, asked, future = waiting[0]
            outcome: Outcome | WriterFault
            if future is None:
                assert isinstance(asked, Rejected)
                outcome = asked
            else:
                try:
                    outcome = await future
                except WriterFault as fault:
                    outcome = fault
            known = await self._is_known(asked, outcome)
            waiting.popleft()
            self._write(row, outcome, known)
            if self._results.tally.rows % MARK_EVERY == 0:
                self._results.mark()
        watch.booked(self._results.tally)

    async def _is_known(self, asked: Command | Rejected, outcome: Outcome | WriterFault) -> bool:
        """Whether a member of all these identifiers is registered already, so that the row changes nothing."""
        if not (isinstance(asked, RegisterMember) and isinstance(outcome, Rejected)):
            return False
        if outcome.code is not Rejection.IDENTIFIER_TAKEN:
            return False
        found = [await self._reader.member(self._org_id, identifier) for identifier in asked.identifiers]
        return len({None if member is None else member.no for member in found}) == 1 and found[0] is not None

    def _write(self, row: Row, outcome: Outcome | WriterFault, known: bool) -> None:
        tally = self._results.tally
        tally.purchases += 1
        tally.rows += 1
        status, code, detail, points, event = "rejected", "", "", "", ""
        if isinstance(outcome, Accepted):
            status, event_no = became(outcome)
            event = str(event_no or "")
            if isinstance(outcome.result, Imported):
                scale = self._programs[row.cells.get("program") or self._program].scale
                points = decimal_text(outcome.result.points, scale)
                tally.points += outcome.result.points
        elif known:
            status = "replayed"
        elif isinstance(outcome, Rejected):
            code, detail = outcome.code.value, detail_of(outcome)
        else:
            code, detail = "internal_error", "see the log"
        setattr(tally, status, getattr(tally, status) + 1)
        reference = row.cells.get("reference") or row.reference
        member = row.cells.get("member") or row.cells.get("external_id") or ""
        self._results.write((row.number, reference, member, status, code, detail, points, event))
