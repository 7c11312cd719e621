"""`/ledgers`: named groups of balances."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from guerdon.api.blnk import filters, wire
from guerdon.api.blnk.errors import BlnkError
from guerdon.api.blnk.filters import FilterBody
from guerdon.api.blnk.postings import meta_text
from guerdon.api.blnk.routing import Call, Routes
from guerdon.core.commands import OpenLedger, RenameLedger
from guerdon.store.read_blnk import GENERAL_LEDGER, LedgerRow

routes = Routes("ledgers")


class LedgerIn(Struct):
    name: str | None = None
    meta_data: dict[str, Any] | None = None


@routes.post("/ledgers", errors_key="errors")
async def create_ledger(call: Call, body: LedgerIn) -> dict[str, Any]:
    opened = await call.submit(OpenLedger(name=_name(body), meta=meta_text(body.meta_data), **call.common()))
    return {
        "ledger_id": f"ldg_{opened.id}",
        "name": body.name,
        "created_at": wire.time_text(opened.created_at),
        "meta_data": body.meta_data,
    }


@routes.get("/ledgers")
async def list_ledgers(call: Call) -> list[dict[str, Any]]:
    rows, _ = await call.reader.ledgers(call.org_id, filters.from_query(call.query, 10, "Invalid"))
    return [shown(row) for row in rows]


@routes.post("/ledgers/filter", status=200)
async def filter_ledgers(call: Call, body: FilterBody) -> Any:
    rows, total = await call.reader.ledgers(call.org_id, filters.from_body(body))
    return filters.answer([shown(row) for row in rows], total)


@routes.get("/ledgers/{ledger_id}")
async def get_ledger(call: Call, ledger_id: str) -> dict[str, Any]:
    return shown(await _found(call, ledger_id))


@routes.put("/ledgers/{ledger_id}", errors_key="errors")
async def rename_ledger(call: Call, ledger_id: str, body: LedgerIn) -> dict[str, Any]:
    await call.submit(RenameLedger(ledger=plain_ledger(ledger_id), name=_name(body), **call.common()))
    return shown(await _found(call, ledger_id))


def shown(row: LedgerRow) -> dict[str, Any]:
    return {
        "ledger_id": public_ledger(row.ledger_id),
        "name": row.name,
        "created_at": wire.time_text(row.opened_at),
        "meta_data": wire.raw(row.meta),
    }


def public_ledger(ledger_id: str) -> str:
    return wire.GENERAL_LEDGER_ID if ledger_id == GENERAL_LEDGER else f"ldg_{ledger_id}"


def plain_ledger(ledger_id: str) -> str:
    """The uuid of a ledger's public id, 404 where it cannot be one."""
    if ledger_id == wire.GENERAL_LEDGER_ID:
        return GENERAL_LEDGER
    plain = wire.plain_id(ledger_id, "ldg")
    if plain is None:
        raise BlnkError("LGR_NOT_FOUND", "Ledger not found")
    return plain


async def _found(call: Call, ledger_id: str) -> LedgerRow:
    row = await call.reader.ledger(call.org_id, plain_ledger(ledger_id))
    if row is None:
        raise BlnkError("LGR_NOT_FOUND", "Ledger not found")
    return row


def _name(body: LedgerIn) -> str:
    if not body.name:
        raise BlnkError("GEN_VALIDATION_ERROR", "name: cannot be blank.", key="errors")
    return body.name
