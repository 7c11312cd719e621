"""`/transactions`: post, look up, list, commit, void and refund.

A transaction that is not told to skip the queue is answered QUEUED, as Blnk does, but it is decided and stored in the
same request: its outcome stands under `<reference>_q` by the time the answer is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from guerdon.api.blnk import filters, postings, previews, rendering, wire
from guerdon.api.blnk.errors import BlnkError, refusal, refused
from guerdon.api.blnk.filters import FilterBody
from guerdon.api.blnk.postings import BulkIn, TransactionIn, meta_text
from guerdon.api.blnk.routing import Answer, Call, Routes
from guerdon.api.blnk.wire import Number
from guerdon.core.commands import Post, Posting, Refund, Release, Settle
from guerdon.core.outcomes import Rejected, Rejection

routes = Routes("transactions")

INFLIGHT_MAX = 100
_UPGRADE = {"BAL_NOT_FOUND": "TXN_NOT_FOUND", "GEN_NOT_FOUND": "TXN_NOT_FOUND"}
_ROLLED_BACK = ". All transactions in this batch have been rolled back."
_INDEPENDENT = "each item is projected against the balances as they stand, whatever the others would do"
_INFLIGHT_CODES = {
    "TXN_NOT_FOUND": "NOT_FOUND",
    "TXN_ALREADY_VOIDED": "ALREADY_VOIDED",
    "TXN_ALREADY_COMMITTED": "ALREADY_COMMITTED",
    "TXN_NOT_INFLIGHT": "NOT_INFLIGHT",
    "TXN_INVALID_AMOUNT": "INVALID_AMOUNT",
    "TXN_COMMIT_AMOUNT_EXCEEDED": "INVALID_AMOUNT",
}


class InflightIn(Struct):
    status: str | None = None
    amount: Number = None
    precise_amount: Number = None
    skip_queue: bool | None = None
    dry_run: bool | None = None


class RefundIn(Struct):
    skip_queue: bool | None = None
    dry_run: bool | None = None
    description: str | None = None
    meta_data: dict[str, Any] | None = None


class VoidsIn(Struct):
    transaction_ids: list[str] | None = None
    skip_queue: bool | None = None
    dry_run: bool | None = None


class CommitIn(Struct):
    transaction_id: str | None = None
    amount: Number = None
    precise_amount: Number = None


class CommitsIn(Struct):
    transactions: list[CommitIn] | None = None
    skip_queue: bool | None = None
    dry_run: bool | None = None


# -- posting


@routes.post("/transactions")
async def create_transaction(call: Call, body: TransactionIn) -> Any:
    posting = postings.posting(body, queued=not (body.skip_queue or body.dry_run))
    if body.dry_run:
        return Answer(200, (await _projected(call, [posting], cumulative=False))[0])
    command = Post(postings=(posting,), atomic=True, **call.common())
    posted = await call.submit(command, upgrade=_UPGRADE)
    return rendering.created(body, rendering.posted(posted, posting.meta))


@routes.post("/transactions/bulk")
async def create_bulk(call: Call, body: BulkIn) -> Answer:
    """One database transaction. With `atomic` its items stand or fall together; without, each on its own."""
    items = tuple(postings.bulk(body, call.services.settings.bulk_items_max))
    if body.dry_run:
        cumulative = bool(body.skip_queue)
        results = await _projected(call, items, cumulative=cumulative)
        notes = () if cumulative else (_INDEPENDENT,)
        shown = previews.many(results, cumulative=cumulative, atomic=bool(body.atomic), notes=notes)
        return Answer(200, shown)
    command = Post(postings=items, atomic=bool(body.atomic), batch=True, **call.common())
    batch = {"batch_id": f"bulk_{command.id}"}
    outcome = await call.outcome(command)
    if isinstance(outcome, Rejected):
        code, message = refusal(outcome)
        note = _ROLLED_BACK if body.atomic else ""
        raise BlnkError(_UPGRADE.get(code, code), message + note, details=batch, extra=batch)
    failed = _first_failure(items, outcome.result.refused)
    if failed is not None:
        code, message = failed
        raise BlnkError(_UPGRADE.get(code, code), message, details=batch, extra=batch)
    if body.run_async:
        return Answer(202, {"message": "Bulk transaction processing started", "status": "processing", **batch})
    status = "inflight" if body.inflight else "applied"
    return Answer(201, {**batch, "status": status, "transaction_count": len(items)})


async def _projected(call: Call, items: Iterable[Posting], *, cumulative: bool) -> list[dict[str, Any]]:
    """What each posting would do if it were decided at once."""
    asked = [msgspec.structs.replace(item, queued=False) for item in items]
    commands = tuple(Post(postings=(item,), atomic=True, **call.common()) for item in asked)
    found = await previews.projections(call, commands, cumulative=cumulative)
    return [previews.posting(item, posting) for item, posting in zip(found, asked, strict=True)]


def _first_failure(items: tuple[Posting, ...], codes: Iterable[str | None]) -> tuple[str, str] | None:
    for posting, code in zip(items, codes, strict=True):
        if code is not None:
            named = {"reference": posting.reference, "currency": posting.asset}
            code, message = refusal(Rejected(Rejection(code)), **named)
            return code, f"transaction {posting.reference}: {message}"
    return None


@routes.post("/refund-transaction/{transaction_id}", optional=True)
async def refund_transaction(call: Call, transaction_id: str, body: RefundIn) -> Any:
    target = plain_target(transaction_id)
    command = Refund(
        target=target,
        queued=not (body.skip_queue or body.dry_run),
        description=body.description or "",
        meta=meta_text(body.meta_data),
        **call.common(),
    )
    if body.dry_run:
        (item,) = await previews.projections(call, (command,))
        return Answer(200, previews.ending(item, "", await call.reader.precision(call.org_id, target)))
    posted = await call.submit(command, upgrade=_UPGRADE)
    rows = await call.reader.transactions_by_seq(call.org_id, posted.transfers[0][:1])
    return rendering.transaction(rendering.requests(rows)[0])


# -- holds


@routes.put("/transactions/inflight/{transaction_id}")
async def update_inflight(call: Call, transaction_id: str, body: InflightIn) -> dict[str, Any]:
    """Commit or void now. Where the caller expects a queue, the answer is the hold as it was, marked `queued`."""
    if body.status not in ("commit", "void"):
        raise BlnkError("TXN_INVALID_STATUS_ACTION", "status not supported. use either commit or void")
    target = plain_target(transaction_id)
    command = await _ending(call, target, body.status, body.amount, body.precise_amount)
    if body.dry_run:
        (item,) = await previews.projections(call, (command,))
        return previews.ending(item, body.status, await call.reader.precision(call.org_id, target))
    posted = await call.submit(command, upgrade=_UPGRADE, action=body.status)
    if body.skip_queue:
        rows = await call.reader.transactions_by_seq(call.org_id, posted.transfers[0][:1])
        return rendering.transaction(rows[0])
    hold = await call.reader.first_hold(call.org_id, target)
    if hold is None:
        raise BlnkError("TXN_NOT_INFLIGHT", f"no transaction to {body.status}")
    return {**rendering.transaction(hold), "queued": True}


@routes.post("/transactions/inflight/bulk/void", status=200)
async def void_many(call: Call, body: VoidsIn) -> dict[str, Any]:
    ids = body.transaction_ids or []
    _check_count(len(ids), "transaction_ids")
    items = [CommitIn(transaction_id=each) for each in ids]
    if body.dry_run:
        return await _project_many(call, "void", items)
    return await _end_many(call, "void", items, bool(body.skip_queue))


@routes.post("/transactions/inflight/bulk/commit", status=200)
async def commit_many(call: Call, body: CommitsIn) -> dict[str, Any]:
    items = body.transactions or []
    _check_count(len(items), "transactions")
    if body.dry_run:
        return await _project_many(call, "commit", items)
    return await _end_many(call, "commit", items, bool(body.skip_queue))


async def _project_many(call: Call, action: str, items: list[CommitIn]) -> dict[str, Any]:
    targets = [plain_target(item.transaction_id or "") for item in items]
    commands = [
        await _ending(call, target, action, item.amount, item.precise_amount)
        for target, item in zip(targets, items, strict=True)
    ]
    found = await previews.projections(call, tuple(commands))
    results = [
        previews.ending(item, action, await call.reader.precision(call.org_id, target))
        for item, target in zip(found, targets, strict=True)
    ]
    return previews.many(results, cumulative=False, atomic=False, notes=(_INDEPENDENT,))


def _check_count(count: int, name: str) -> None:
    if not count:
        raise BlnkError("TXN_BULK_EMPTY", f"{name} cannot be empty")
    if count > INFLIGHT_MAX:
        raise BlnkError("TXN_BULK_LIMIT_EXCEEDED", f"too many {name}; max is {INFLIGHT_MAX}")


async def _end_many(call: Call, action: str, items: list[CommitIn], skip_queue: bool) -> dict[str, Any]:
    """Each item stands on its own; a failing one is told with its code and stops no other."""
    results = await asyncio.gather(*(_end_one(call, action, item, skip_queue) for item in items))
    failed = sum(result["status"] == "failed" for result in results)
    return {"succeeded": len(results) - failed, "failed": failed, "results": results}


async def _end_one(call: Call, action: str, item: CommitIn, skip_queue: bool) -> dict[str, Any]:
    answer: dict[str, Any] = {"transaction_id": item.transaction_id or ""}
    try:
        target = plain_target(item.transaction_id or "")
        command = await _ending(call, target, action, item.amount, item.precise_amount)
        outcome = await call.outcome(command)
        if isinstance(outcome, Rejected):
            raise refused(outcome, upgrade=_UPGRADE, action=action)
    except BlnkError as error:
        code = _INFLIGHT_CODES.get(error.code, "INTERNAL_ERROR")
        return answer | {"status": "failed", "code": code, "message": error.message}
    return answer | ({"status": "succeeded"} if skip_queue else {"status": "queued", "code": "QUEUED"})


async def _ending(call: Call, target: str, action: str, amount: Number, precise_amount: Number) -> Settle | Release:
    """The command that ends a hold. A void lets go of all that is left, whatever amount is sent with it."""
    if action == "void":
        return Release(target=target, **call.common())
    precision = await call.reader.precision(call.org_id, target) if amount else 1
    return Settle(target=target, amount=postings.partial(precise_amount, amount, precision), **call.common())


# -- looking up


@routes.get("/transactions")
async def list_transactions(call: Call) -> list[dict[str, Any]]:
    rows, _ = await call.reader.transactions(call.org_id, filters.from_query(call.query, 20))
    return [rendering.transaction(row) for row in rows]


@routes.post("/transactions/filter", status=200)
async def filter_transactions(call: Call, body: FilterBody) -> Any:
    rows, total = await call.reader.transactions(call.org_id, filters.from_body(body))
    return filters.answer([rendering.transaction(row) for row in rows], total)


@routes.get("/transactions/{transaction_id}")
async def get_transaction(call: Call, transaction_id: str) -> dict[str, Any]:
    plain = plain_target(transaction_id)
    row = await call.reader.transaction(call.org_id, plain)
    if row is not None:
        return rendering.transaction(row)
    legs = await call.reader.legs(call.org_id, plain)
    if not legs:
        raise _not_found(transaction_id)
    return rendering.split(legs)


@routes.get("/transactions/reference/{reference}")
async def get_by_reference(call: Call, reference: str) -> dict[str, Any]:
    row = await call.reader.transaction_by_reference(call.org_id, reference)
    if row is not None:
        return rendering.transaction(row)
    legs = await call.reader.legs_by_reference(call.org_id, reference)
    if not legs:
        raise BlnkError("TXN_NOT_FOUND", f"transaction with reference '{reference}' not found")
    return rendering.split(legs)


def plain_target(transaction_id: str) -> str:
    """The uuid of a transaction or batch, 404 where it cannot be one."""
    plain = wire.plain_id(transaction_id, "txn", "bulk")
    if plain is None:
        raise _not_found(transaction_id)
    return plain


def _not_found(transaction_id: str) -> BlnkError:
    return BlnkError("TXN_NOT_FOUND", f"transaction with ID '{transaction_id}' not found")
