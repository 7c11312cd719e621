"""`guerdon preview`: what a change of a program would do, from the command line, with every lot in a file.

Leaves to others: what a change says (`api/programs.py`), and the reckoning (`core/forecasts.py`), which is the same
over HTTP. Nobody waits for an answer here, so it may take its time; a bar tells how far it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import uuid_utils
from msgspec import Struct

from guerdon.api.previews import COLUMNS, ForecastOut, about, forecast_out, foreseen, sheet_lines
from guerdon.api.problem import Problem
from guerdon.api.programs import ProgramChange, change_of
from guerdon.api.refs import find, program_selector
from guerdon.api.sheets import lines
from guerdon.core.commands import PreviewChange
from guerdon.core.forecasts import Forecast
from guerdon.core.outcomes import Rejected
from guerdon.settings import Settings
from guerdon.store.pool import make_pool
from guerdon.store.read import Reader
from guerdon.writer import Writer

Tell = Callable[[int, int], None]
"""How many lots were looked at, and how many there are."""


class PreviewRefused(Exception):
    """What cannot be foreseen; the text says why."""


class Order(Struct, frozen=True, kw_only=True):
    """What somebody asked for: `change` is a JSON file as `PATCH /v1/programs/{program}` takes it, `rows` a CSV file to
    be written. Without a `program` the first one is meant.
    """

    organisation: str
    program: str = ""
    change: Path
    rows: Path | None = None


def run(order: Order, settings: Settings, dsn: str, tell: Tell) -> ForecastOut:
    """Foresee it; `PreviewRefused` for what the change itself would be refused for."""
    return asyncio.run(_run(order, settings, dsn, tell))


async def _run(order: Order, settings: Settings, dsn: str, tell: Tell) -> ForecastOut:
    body = _body(order.change)
    reads = make_pool(dsn, name="guerdon-preview-reads", size_max=1, autocommit=True)
    async with reads, make_pool(dsn, name="guerdon-preview", size_max=1) as pool:
        reader = Reader(reads)
        organisation = await reader.organisation(order.organisation)
        if organisation is None:
            raise PreviewRefused(f"there is no organisation {order.organisation}")
        now = datetime.now(UTC)
        directory = (await reader.directory(organisation.org_id)).at(now)
        first = next((f"number:{no}" for no in directory.programs), "")
        row = find(directory.programs, program_selector(order.program or first))
        if row is None:
            raise PreviewRefused(f"there is no program {order.program}")
        scale = directory.scale(row.asset)
        envelope: dict[str, Any] = {"id": f"{str(uuid_utils.uuid7())[:30]}000000", "at": now, "actor": "preview"}
        try:
            change = change_of(row, body, scale, envelope)
        except Problem as problem:
            raise PreviewRefused(f"{order.change.name}: {problem.field}: {problem.code}") from None
        writer = Writer(pool, settings)
        await writer.start()
        try:
            outcome = await writer.submit(organisation.org_id, PreviewChange(of=change, **envelope))
        finally:
            await writer.stop()
        if isinstance(outcome, Rejected):
            raise PreviewRefused(
                f"{order.change.name}: {outcome.field}: {outcome.code} {outcome.detail or ''}".rstrip()
            )
        asked = await about(reader, organisation.org_id, row, change, scale)
        total, done = await reader.standing_count(organisation.org_id, row.no, asked.starts_at), 0
        forecast = Forecast(asked.zone)
        with nullcontext() if order.rows is None else order.rows.open("wb") as out:
            if out is not None:
                out.write(lines([COLUMNS]))
            async for some in foreseen(reader, organisation.org_id, asked):
                forecast.add(some)
                if out is not None:
                    out.write(sheet_lines(asked, some))
                done += len(some)
                tell(done, total)
    return forecast_out(asked, forecast)


def _body(file: Path) -> ProgramChange:
    try:
        return msgspec.json.decode(file.read_bytes(), type=ProgramChange)
    except msgspec.DecodeError as error:
        raise PreviewRefused(f"{file.name}: {error}") from None
