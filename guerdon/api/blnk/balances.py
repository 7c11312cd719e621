"""`/balances`: holders of one currency each, with six figures; `@Name` balances belong to the general ledger."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import msgspec
from msgspec import Struct

from guerdon.api.blnk import filters, identities, ledgers, wire
from guerdon.api.blnk.errors import BlnkError
from guerdon.api.blnk.filters import FilterBody
from guerdon.api.blnk.postings import NAME_CHARACTERS_MAX, meta_text
from guerdon.api.blnk.routing import Call, Routes
from guerdon.core.commands import AssignAccount, OpenAccount
from guerdon.store.read_blnk import AccountRow

routes = Routes("balances")

_STRATEGIES = ("FIFO", "LIFO", "PROPORTIONAL")
_INDICATOR = re.compile(r"@\S+")


class BalanceIn(Struct):
    ledger_id: str | None = None
    currency: str | None = None
    identity_id: str | None = None
    indicator: str | None = None
    track_fund_lineage: bool | None = None
    allocation_strategy: str | None = None
    meta_data: dict[str, Any] | None = None


class IdentityOf(Struct):
    identity_id: str | None = None


class Options(Struct, omit_defaults=True):
    """What a balance keeps for Blnk's sake; stored as JSON beside the account."""

    track_fund_lineage: bool = False
    allocation_strategy: str = "FIFO"


@routes.post("/balances")
async def create_balance(call: Call, body: BalanceIn) -> dict[str, Any]:
    options = _checked(body)
    general = body.ledger_id == wire.GENERAL_LEDGER_ID
    command = OpenAccount(
        ledger=await call.reader.general_ledger(call.org_id) if general else _ledger(body.ledger_id or ""),
        asset=body.currency or "",
        member=identities.plain_identity(body.identity_id) if body.identity_id else "",
        indicator=(body.indicator or "").strip(),
        options=options,
        meta=meta_text(body.meta_data),
        **call.common(),
    )
    opened = await call.submit(command, upgrade={"LGR_NOT_FOUND": "GEN_BAD_REQUEST"})
    return shown(await _found(call, f"bln_{opened.id}"))


@routes.get("/balances")
async def list_balances(call: Call) -> list[dict[str, Any]]:
    page = filters.from_query(call.query, 10, "invalid")
    rows, _ = await call.reader.accounts(call.org_id, page, call.services.now())
    return [shown(row) for row in rows]


@routes.post("/balances/filter", status=200)
async def filter_balances(call: Call, body: FilterBody) -> Any:
    rows, total = await call.reader.accounts(call.org_id, filters.from_body(body), call.services.now())
    return filters.answer([shown(row) for row in rows], total)


@routes.get("/balances/{balance_id}")
async def get_balance(call: Call, balance_id: str) -> dict[str, Any]:
    """With `include=identity` and `include=ledger` those stand inside; `with_queued` adds what waits, which is nothing:
    a queued transaction is decided before it is answered."""
    row = await _found(call, balance_id)
    answer = shown(row)
    wanted = {part.strip() for value in call.query.get("include", []) for part in value.split(",")}
    if "identity" in wanted and row.identity_id:
        answer["identity"] = await identities.get_identity(call, f"idt_{row.identity_id}")
    if "ledger" in wanted:
        answer["ledger"] = await ledgers.get_ledger(call, answer["ledger_id"])
    if call.parameter("with_queued") == "true":
        answer["queued_debit_balance"] = answer["queued_credit_balance"] = 0
    return answer


@routes.get("/balances/indicator/{indicator}/currency/{currency}")
async def get_internal_balance(call: Call, indicator: str, currency: str) -> dict[str, Any]:
    row = await call.reader.account_by_indicator(call.org_id, indicator, currency, call.services.now())
    if row is None:
        raise BlnkError("BAL_NOT_FOUND", f"Balance with indicator '{indicator}' and currency '{currency}' not found")
    return shown(row)


@routes.get("/balances/{balance_id}/at")
async def get_balance_at(call: Call, balance_id: str) -> dict[str, Any]:
    """What stood on a balance at a time, by the effective dates of what was applied.

    `known_at`, which Blnk does not have, leaves out what was recorded after it.
    """
    try:
        at = wire.instant(call.parameter("timestamp")) or call.services.now()
        known_at = wire.instant(call.parameter("known_at"))
    except ValueError:
        message = "invalid timestamp format. Please use ISO 8601 format (e.g., 2024-01-01T15:04:05Z)"
        raise BlnkError("BAL_INVALID_TIMESTAMP", message) from None
    row = await _found(call, balance_id)
    booked = await call.reader.account_at(call.org_id, row.balance_id, at, known_at)
    if booked is None and at < row.opened_at - timedelta(seconds=1):
        raise BlnkError("BAL_HISTORY_NOT_FOUND", f"no balance data found for time: {wire.time_text(at)}")
    credit, debit = booked or (0, 0)
    return {
        "balance": {
            "balance_id": balance_id,
            "currency": row.currency,
            "balance": credit - debit,
            "credit_balance": credit,
            "debit_balance": debit,
        },
        "timestamp": wire.time_text(at),
        "from_source": call.parameter("from_source") in ("true", "1"),
    }


@routes.put("/balances/{balance_id}/identity")
async def assign_identity(call: Call, balance_id: str, body: IdentityOf) -> dict[str, str]:
    if not body.identity_id:
        raise BlnkError("GEN_VALIDATION_ERROR", "identity_id is required")
    member = identities.plain_identity(body.identity_id)
    await call.submit(AssignAccount(account=plain_balance(balance_id), member=member, **call.common()))
    return {"message": "Balance identity updated successfully"}


def shown(row: AccountRow) -> dict[str, Any]:
    options = msgspec.json.decode(row.options or "{}", type=Options)
    answer: dict[str, Any] = {
        "balance": row.balance,
        "version": row.version,
        "inflight_balance": row.inflight_balance,
        "credit_balance": row.credit_balance,
        "inflight_credit_balance": row.inflight_credit_balance,
        "debit_balance": row.debit_balance,
        "inflight_debit_balance": row.inflight_debit_balance,
        "ledger_id": ledgers.public_ledger(row.ledger_id),
        "identity_id": f"idt_{row.identity_id}" if row.identity_id else "",
        "balance_id": f"bln_{row.balance_id}",
        "currency": row.currency,
        "created_at": wire.time_text(row.opened_at),
        "inflight_expires_at": wire.ZERO_TIME,
        "meta_data": wire.raw(row.meta),
        "track_fund_lineage": options.track_fund_lineage,
        "allocation_strategy": options.allocation_strategy,
    }
    if row.indicator:
        answer["indicator"] = row.indicator
    return answer


def _ledger(ledger_id: str) -> str:
    plain = wire.plain_id(ledger_id, "ldg")
    if plain is None:
        raise wire.bad_request("Invalid ledger ID")
    return plain


def plain_balance(balance_id: str) -> str:
    """The uuid of a balance's public id, 404 where it cannot be one."""
    plain = wire.plain_id(balance_id, "bln")
    if plain is None:
        raise BlnkError("BAL_NOT_FOUND", f"Balance with ID '{balance_id}' not found")
    return plain


async def _found(call: Call, balance_id: str) -> AccountRow:
    row = await call.reader.account(call.org_id, plain_balance(balance_id), call.services.now())
    if row is None:
        raise BlnkError("BAL_NOT_FOUND", f"Balance with ID '{balance_id}' not found")
    return row


def _checked(body: BalanceIn) -> str:
    """The options as they are stored; Blnk's sentence for everything that is wrong."""
    faults: dict[str, str] = {}
    if not body.ledger_id:
        faults["ledger_id"] = "cannot be blank"
    if not body.currency:
        faults["currency"] = "cannot be blank"
    elif len(body.currency) > NAME_CHARACTERS_MAX:
        faults["currency"] = f"the length must be no more than {NAME_CHARACTERS_MAX}"
    if body.track_fund_lineage and not body.identity_id:
        faults["identity_id"] = "identity_id is required when track_fund_lineage is enabled"
    strategy = (body.allocation_strategy or "FIFO").strip().upper()
    if strategy not in _STRATEGIES:
        faults["allocation_strategy"] = f"allocation_strategy must be one of: {', '.join(_STRATEGIES)}"
    indicator = (body.indicator or "").strip()
    if indicator and body.ledger_id != wire.GENERAL_LEDGER_ID:
        faults["indicator"] = "indicator is only allowed for General Ledger balances (ledger_id = general_ledger_id)"
    elif indicator and (not _INDICATOR.fullmatch(indicator) or len(indicator) > NAME_CHARACTERS_MAX):
        faults["indicator"] = "indicator must start with '@' and contain no whitespace (e.g. '@cash')"
    if faults:
        sentence = "; ".join(f"{field}: {faults[field]}" for field in sorted(faults)) + "."
        raise BlnkError("GEN_VALIDATION_ERROR", sentence, key="errors")
    kept = Options(track_fund_lineage=bool(body.track_fund_lineage), allocation_strategy=strategy)
    text = wire.encode(kept).decode()
    return "" if text == "{}" else text
