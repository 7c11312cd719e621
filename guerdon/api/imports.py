"""`/v1/imports`: many rows at once, done in the background, with what became of each."""

from __future__ import annotations

import hashlib
import io
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from guerdon.api.call import Call
from guerdon.api.problem import Problem
from guerdon.api.refs import find, program_selector
from guerdon.api.routing import Routes
from guerdon.api.services import new_command_id
from guerdon.api.sheets import Csv, Figure, NotCsv, lines, records
from guerdon.api.values import Body, PageQuery, Selector, Shown, cursor, place_no, private, public
from guerdon.core.sheets import Kind
from guerdon.store.read import ImportResultRow, ImportRow

routes = Routes("Imports")

ROWS_MAX = 10_000

Cell = str | int | None
Rows = Annotated[tuple[dict[str, Cell], ...], Meta(min_length=1, max_length=ROWS_MAX)]
RESULTS_AT_ONCE = 1_000


class ImportIn(Body, frozen=True, kw_only=True):
    """Rows by column, as `guerdon import` takes them from files; figures with decimals as text. Or the text of such a
    file: `csv` with the columns' names in its first row.
    """

    kind: Kind
    program: Annotated[Selector | None, Meta(description="Of rows that name none; without it the first")] = None
    segment: Annotated[str, Meta(max_length=64, description="Of rows of `segments` that name none")] = ""
    rows: Rows | UnsetType = UNSET
    csv: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET


class ImportOut(Shown, frozen=True, kw_only=True):
    """`waiting` until the first rows are done; `finished` when all are."""

    id: str
    kind: str
    status: Literal["waiting", "running", "finished"]
    rows: int
    accepted: int
    replayed: int
    rejected: int
    created_at: datetime
    finished_at: datetime | None


class ResultOut(Shown, frozen=True, kw_only=True):
    """What became of a row, from 1: `accepted`, `replayed` where it was there already, or `rejected` with the code,
    and the column where it is about one.
    """

    row: int
    status: str
    code: str
    column: str
    detail: dict[str, Any]
    event_log_id: int | None


class ResultPage(Shown, frozen=True, kw_only=True):
    data: tuple[ResultOut, ...]
    next_cursor: str | None


class ResultQuery(PageQuery, frozen=True, kw_only=True):
    status: Literal["", "accepted", "replayed", "rejected"] = ""


@routes.post(
    "/v1/imports",
    scope="imports:write",
    status=202,
    summary="Import rows",
    example={
        "kind": "points",
        "rows": [{"member": "C-17", "points": "120.50", "earned_at": "2026-03-01", "last_day": "2027-02-28"}],
    },
    errors=("program_not_found", "idempotency_key_reused", "invalid_value"),
)
async def create_import(call: Call, body: ImportIn) -> ImportOut:
    """Rows are booked in their order, each whole or not at all. A row without a `reference` goes by the import's id
    and its number; one with a reference that is there already changes nothing. Rows of `segments` put a `member` on
    the list `segment`, or with the `action` `remove` take it off.
    """
    directory = await call.directory()
    program = ""
    if body.program is not None:
        found = find(directory.programs, program_selector(body.program))
        if found is None:
            raise Problem("program_not_found", field="program")
        program = found.code
    rows = _rows(body)
    if body.kind == "segments" and body.segment:
        rows = [{**row, "segment": row.get("segment") or body.segment} for row in rows]
    if any("\x00" in text for row in rows for pair in row.items() for text in pair):
        raise Problem("invalid_value", "A cell has a NUL character.", field="rows")
    common = call.common()
    fingerprint = hashlib.sha256(call.body).digest()
    made, known = await call.services.imports.ask(
        call.org_id,
        id=new_command_id(),
        kind=body.kind,
        program=program,
        actor=common["actor"],
        key=common.get("key"),
        fingerprint=fingerprint,
        content=msgspec.json.encode(rows).decode(),
        rows=len(rows),
        now=common["at"],
    )
    if known != fingerprint:
        raise Problem("idempotency_key_reused", field="Idempotency-Key")
    return _shown(await _found(call, public("imp", made)))


def _rows(body: ImportIn) -> list[dict[str, str]]:
    if (body.rows is UNSET) is (body.csv is UNSET):
        raise Problem("invalid_value", "Send either `rows` or `csv`.", field="rows")
    if isinstance(body.csv, UnsetType):
        given = () if isinstance(body.rows, UnsetType) else body.rows
        return [{name: str(cell) for name, cell in row.items() if cell is not None} for row in given]
    try:
        found = list(records(io.StringIO(body.csv, newline="")))
    except NotCsv as error:
        raise Problem("invalid_value", f"This is not CSV: {error}.", field="csv") from None
    if not 0 < len(found) <= ROWS_MAX:
        raise Problem("invalid_value", f"Send from 1 to {ROWS_MAX} rows.", field="csv")
    return found


@routes.get("/v1/imports/{import_id}", scope="imports:read", summary="Look up an import", errors=("import_not_found",))
async def get_import(call: Call, import_id: str) -> ImportOut:
    """How far it is."""
    return _shown(await _found(call, import_id))


@routes.get(
    "/v1/imports/{import_id}/results",
    scope="imports:read",
    summary="Results of an import",
    errors=("import_not_found",),
)
async def list_results(call: Call, import_id: str, query: ResultQuery) -> ResultPage:
    """What became of the rows that are done, in their order."""
    row = await _found(call, import_id)
    after = place_no(query.cursor, row.id, query.status) or 0
    found = await call.services.reader.import_results(call.org_id, row.id, query.status, after, query.limit + 1)
    more = len(found) > query.limit
    found = found[: query.limit]
    return ResultPage(
        data=tuple(map(_result, found)), next_cursor=cursor(found[-1].row, row.id, query.status) if more else None
    )


@routes.get(
    "/v1/imports/{import_id}/results.csv",
    scope="imports:read",
    summary="Results of an import as CSV",
    errors=("import_not_found",),
)
async def export_results(call: Call, import_id: str) -> Csv:
    """What became of all rows that are done, in their order."""
    row = await _found(call, import_id)
    return Csv(_result_lines(call, row), f"import-{row.id}.csv")


async def _result_lines(call: Call, row: ImportRow) -> AsyncIterator[bytes]:
    yield lines([ResultOut.__struct_fields__])
    after = 0
    while found := await call.services.reader.import_results(call.org_id, row.id, "", after, RESULTS_AT_ONCE):
        after = found[-1].row
        yield lines(
            (Figure(each.row), each.status, each.code, each.field, each.detail, Figure(each.event_seq or ""))
            for each in found
        )


def _result(row: ImportResultRow) -> ResultOut:
    return ResultOut(
        row=row.row,
        status=row.status,
        code=row.code,
        column=row.field,
        detail=msgspec.json.decode(row.detail) if row.detail else {},
        event_log_id=row.event_seq or None,
    )


async def _found(call: Call, text: str) -> ImportRow:
    identifier = private("imp", text)
    row = None if identifier is None else await call.services.reader.import_(call.org_id, identifier)
    if row is None:
        raise Problem("import_not_found", field="import_id")
    return row


def _shown(row: ImportRow) -> ImportOut:
    done = row.accepted + row.replayed + row.rejected
    return ImportOut(
        id=public("imp", row.id),
        kind=row.kind,
        status="finished" if row.finished_at else "running" if done else "waiting",
        rows=row.rows,
        accepted=row.accepted,
        replayed=row.replayed,
        rejected=row.rejected,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )
