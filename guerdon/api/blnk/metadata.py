"""`/{id}/metadata`: adds to what is said about a ledger, balance, identity, transaction or batch, key by key."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from guerdon.api.blnk import wire
from guerdon.api.blnk.errors import BlnkError
from guerdon.api.blnk.postings import meta_text
from guerdon.api.blnk.routing import Call, Routes
from guerdon.core.commands import Annotate
from guerdon.store.read_blnk import AccountRow, IdentityRow, LedgerRow

routes = Routes("metadata")

_KINDS = ("txn", "bulk", "ldg", "bln", "idt")


class MetadataIn(Struct):
    meta_data: dict[str, Any] | None = None


@routes.post("/{entity_id}/metadata", status=200)
async def annotate(call: Call, entity_id: str, body: MetadataIn) -> dict[str, Any]:
    """Answers all that is said now; for transactions, which may be many, only what was just said."""
    if body.meta_data is None:
        raise BlnkError("GEN_MALFORMED_REQUEST", "meta_data is required")
    kind = entity_id.partition("_")[0]
    plain = wire.plain_id(entity_id, *_KINDS)
    if kind not in _KINDS:
        raise BlnkError("META_INVALID_ENTITY_ID", f"invalid entity ID format: {entity_id}")
    if plain is None:
        raise BlnkError("META_ENTITY_NOT_FOUND", "entity not found")
    command = Annotate(kind=kind, object=plain, meta=meta_text(body.meta_data) or "{}", **call.common())
    await call.submit(command, upgrade=dict.fromkeys(_NOT_FOUND, "META_ENTITY_NOT_FOUND"))
    if kind in ("txn", "bulk"):
        return {"meta_data": body.meta_data}
    return {"meta_data": await _said(call, kind, plain)}


@routes.post("/balances/{entity_id}/metadata", status=200)
async def annotate_balance(call: Call, entity_id: str, body: MetadataIn) -> dict[str, Any]:
    """The same under the address that the savings tutorial's curl variant uses."""
    return await annotate(call, entity_id, body)


_NOT_FOUND = ("LGR_NOT_FOUND", "BAL_NOT_FOUND", "TXN_NOT_FOUND", "IDT_NOT_FOUND")


async def _said(call: Call, kind: str, plain: str) -> msgspec.Raw:
    row: LedgerRow | AccountRow | IdentityRow | None
    if kind == "ldg":
        row = await call.reader.ledger(call.org_id, plain)
    elif kind == "bln":
        row = await call.reader.account(call.org_id, plain, call.services.now())
    else:
        row = await call.reader.identity(call.org_id, plain)
    return wire.raw("{}" if row is None else row.meta)
