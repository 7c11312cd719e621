"""Imports asked for over the API: written down together with the job that will do them, and what became of their rows.

Promises: an import and its job are there together or not at all; a row's result is written once.
Leaves to others: what a row means (`core/sheets.py`), and booking it (`writer`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import AsyncConnection

from guerdon.store.statements import statements

_SQL = statements("imports")


class Result(NamedTuple):
    """What became of a row. `detail` is JSON text, "" for none."""

    row: int
    status: str
    code: str = ""
    field: str = ""
    detail: str = ""
    event_seq: int = 0


class Content(NamedTuple):
    """What an import asks for: `content` is the JSON text of its rows; `done` rows have their results."""

    kind: str
    program: str
    actor: str
    content: str
    finished: bool
    done: int


async def ask(
    connection: AsyncConnection[Any],
    org_id: int,
    *,
    id: str,
    kind: str,
    program: str,
    actor: str,
    key: str | None,
    fingerprint: bytes,
    content: str,
    rows: int,
    now: datetime,
) -> tuple[str, bytes]:
    """Write an import down and queue it; the id and fingerprint of the one that this key stands for."""
    asked = {
        "org": org_id, "id": id, "kind": kind, "program": program, "actor": actor, "key": key,
        "fingerprint": fingerprint, "content": content, "rows": rows, "now": now,
    }  # fmt: skip
    async with connection.transaction():
        await connection.execute(_SQL["enter"], {"org": org_id})
        made = await (await connection.execute(_SQL["insert_import"], asked)).fetchone()
        if made is None:
            found = await (await connection.execute(_SQL["import_of_key"], asked)).fetchone()
            assert found is not None, "an id is never made twice"
            return str(found[0]), bytes(found[1])
        await connection.execute(_SQL["search_jobs"])
        await connection.execute(_SQL["defer"], {"org": org_id, "id": id})
    return id, fingerprint


async def content(connection: AsyncConnection[Any], org_id: int, id: str) -> Content | None:
    async with connection.transaction():
        await connection.execute(_SQL["enter"], {"org": org_id})
        row = await (await connection.execute(_SQL["content"], {"org": org_id, "id": id})).fetchone()
    return None if row is None else Content(*row)


async def write(connection: AsyncConnection[Any], org_id: int, id: str, results: Sequence[Result]) -> None:
    """Write down what became of some rows."""
    columns = dict(zip(Result._fields, map(list, zip(*results, strict=True)), strict=True))
    async with connection.transaction():
        await connection.execute(_SQL["enter"], {"org": org_id})
        await connection.execute(_SQL["insert_results"], {"org": org_id, "id": id, **columns})


async def finish(connection: AsyncConnection[Any], org_id: int, id: str, now: datetime) -> None:
    async with connection.transaction():
        await connection.execute(_SQL["enter"], {"org": org_id})
        await connection.execute(_SQL["finish"], {"org": org_id, "id": id, "now": now})
