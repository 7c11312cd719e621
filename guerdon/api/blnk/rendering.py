"""Transfers as Blnk's transactions: one row each, a queued request beside its outcome, a split as its legs' whole."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct

from guerdon.api.blnk import wire
from guerdon.api.blnk.errors import refusal
from guerdon.api.blnk.postings import TransactionIn
from guerdon.core.outcomes import Rejected, Rejection
from guerdon.core.results import Posted
from guerdon.store.read_blnk import TransferRow

_BATCH_ENDING = "000000"
"""The id of a bulk request is its command's, which ends so; what it makes is numbered from 1 in those digits."""


class Detail(Struct):
    """What the core keeps about a raw transfer, by Blnk's names; times are RFC 3339 text."""

    precision: int | None = None
    description: str = ""
    allow_overdraft: bool = False
    overdraft_limit: int = 0
    inflight: bool = False
    inflight_expiry_date: str = wire.ZERO_TIME
    inflight_commit_date: str = wire.ZERO_TIME
    scheduled_for: str = wire.ZERO_TIME
    sequence: int | None = None
    reason: str = ""


_DETAIL = msgspec.json.Decoder(Detail, strict=False)


def transaction(row: TransferRow) -> dict[str, Any]:
    """A transfer, or the queued request that asked for it."""
    detail = _detail(row)
    precision = _precision(row, detail)
    queued = row.twin == 1
    created_at = wire.time_text(row.recorded_at)
    held = row.status == "INFLIGHT" or (queued and detail.inflight)
    answer: dict[str, Any] = {
        "precise_amount": row.amount,
        "amount": wire.major_units(row.amount, precision),
        "amount_string": wire.amount_text(row.amount, precision),
        "precision": precision,
        "overdraft_limit": wire.major_units(detail.overdraft_limit, precision),
        "transaction_id": f"txn_{row.transaction_id}",
        "parent_transaction": _parent(row, detail),
        "source": f"bln_{row.source_id}",
        "destination": f"bln_{row.destination_id}",
        "reference": row.reference or "",
        "currency": row.asset,
        "status": row.status,
        "hash": _hash(row),
        "allow_overdraft": detail.allow_overdraft,
        "inflight": held,
        "skip_queue": row.request_id is None and row.status != "SCHEDULED",
        "atomic": False,
        "created_at": created_at,
        "effective_date": created_at if row.effective_at is None else wire.time_text(row.effective_at),
        "scheduled_for": _time(detail.scheduled_for),
        "inflight_expiry_date": _time(detail.inflight_expiry_date),
        "inflight_commit_date": _time(detail.inflight_commit_date),
    }
    if detail.description:
        answer["description"] = detail.description
    meta = _meta(row, detail)
    if meta:
        answer["meta_data"] = meta
    return answer


def split(rows: list[TransferRow]) -> dict[str, Any]:
    """The legs of a split under the id and reference of the whole, which has no row of its own."""
    first = rows[0]
    answer = transaction(first)
    precision = _precision(first, _detail(first))
    amount = sum(row.amount for row in rows)
    answer |= {
        "precise_amount": amount,
        "amount": wire.major_units(amount, precision),
        "amount_string": wire.amount_text(amount, precision),
        "transaction_id": f"txn_{first.parent}",
        "parent_transaction": "",
        "reference": _split_reference(first.reference or ""),
    }
    many = "destination" if len({row.source_id for row in rows}) == 1 else "source"
    del answer[many]
    answer[f"{many}s"] = [
        {
            "identifier": f"bln_{row.destination_id if many == 'destination' else row.source_id}",
            "distribution": "",
            "precise_distribution": str(row.amount),
            "transaction_id": f"txn_{row.transaction_id}",
        }
        for row in rows
    ]
    return answer


def created(body: TransactionIn, rows: Iterable[TransferRow]) -> dict[str, Any]:
    """The answer to a new transaction: as stored, with the names and shares that the caller used."""
    shown = requests(rows)
    legs, side = (body.sources, "sources") if body.sources else (body.destinations, "destinations")
    answer = split(shown) if legs else transaction(shown[0])
    if shown[0].twin == 1:
        answer |= {name: given for name in ("source", "destination") if (given := getattr(body, name))}
    if legs:
        ids = {name: row.transaction_id for row in shown for name in _names(row, side)}
        answer.pop("source" if body.sources else "destination", None)
        answer[side] = [
            {
                "identifier": leg.identifier,
                "distribution": _given(leg.distribution),
                "precise_distribution": _given(leg.precise_distribution),
                "transaction_id": f"txn_{ids[leg.identifier]}" if leg.identifier in ids else "",
            }
            for leg in legs
        ]
    answer["atomic"] = bool(body.atomic)
    return answer


def posted(result: Posted, meta: str) -> list[TransferRow]:
    """What a caller is answered about transfers just made: the requests where they were queued, else the outcomes."""
    return [
        TransferRow(
            seq=row.seq,
            twin=0 if row.request_id is None else 1,
            transaction_id=row.request_id or row.id,
            parent_transaction=row.parent,
            reference=row.reference if row.request_id is None else row.request_reference,
            status=row.status if row.request_id is None else "QUEUED",
            source_id=result.names[row.source][0],
            destination_id=result.names[row.destination][0],
            source_indicator=result.names[row.source][1],
            destination_indicator=result.names[row.destination][1],
            asset=row.asset,
            amount=row.amount,
            recorded_at=row.recorded_at,
            effective_at=row.effective_at,
            detail=row.detail,
            request_id=row.request_id,
            parent=row.parent,
            scale=None,
            meta=meta or "{}",
        )
        for row in result.rows
    ]


def _hash(row: TransferRow) -> str:
    """What Blnk hashes of a transaction; the chain that `guerdon verify` walks is over whole rows, in order."""
    return sha256(f"{row.amount}{row.reference}{row.asset}{row.source_id}{row.destination_id}".encode()).hexdigest()


def _names(row: TransferRow, side: str) -> tuple[str, str]:
    if side == "sources":
        return f"bln_{row.source_id}", row.source_indicator
    return f"bln_{row.destination_id}", row.destination_indicator


def _given(share: wire.Number) -> str:
    return "" if share is None else str(share)


def requests(rows: Iterable[TransferRow]) -> list[TransferRow]:
    """Of rows read by number, what a caller is answered: the queued requests where there are any, else the outcomes."""
    found = list(rows)
    return [row for row in found if row.twin == 1] or found


def _split_reference(reference: str) -> str:
    """`pay_1` or `pay-1` as the reference of the whole."""
    for mark in ("_", "-"):
        head, found, tail = reference.rpartition(mark)
        if found and tail.isdecimal():
            return head
    return reference


def _detail(row: TransferRow) -> Detail:
    return _DETAIL.decode(row.detail) if row.detail else Detail()


def _precision(row: TransferRow, detail: Detail) -> int:
    return detail.precision if detail.precision is not None else 10 ** (row.scale or 0)


def _parent(row: TransferRow, detail: Detail) -> str:
    if not row.parent_transaction:
        return ""
    own = row.twin == 1 or row.request_id is None
    bulk = own and detail.sequence is not None and row.parent_transaction.endswith(_BATCH_ENDING)
    return f"{'bulk' if bulk else 'txn'}_{row.parent_transaction}"


def _time(text: str) -> str:
    return text if text == wire.ZERO_TIME else wire.time_text(wire.instant(text))


def _meta(row: TransferRow, detail: Detail) -> dict[str, Any]:
    meta: dict[str, Any] = msgspec.json.decode(row.meta)
    if detail.sequence is not None:
        meta.setdefault("sequence", detail.sequence + 1)
    if row.twin == 1:
        meta["QUEUED_PARENT_TRANSACTION"] = f"txn_{row.transaction_id}"
    if row.status == "REJECTED" and detail.reason:
        meta["blnk_rejection_reason"] = refusal(Rejected(Rejection(detail.reason)))[1]
    return meta
