"""Blnk's error bodies, and the only mapping from a refusal of the core to a Blnk code and message.

Every error is `{"error": message, "error_detail": {"code", "message", "details"?}}`; some endpoints say `errors` where
others say `error`. SDK users match on the messages too, so the wording here is Blnk's.
"""

from __future__ import annotations

from typing import Any

from guerdon.core.outcomes import Rejected, Rejection

STATUS = {
    "GEN_MALFORMED_REQUEST": 400,
    "GEN_VALIDATION_ERROR": 400,
    "GEN_MISSING_PARAMETER": 400,
    "GEN_BAD_REQUEST": 400,
    "GEN_NOT_FOUND": 404,
    "GEN_CONFLICT": 409,
    "GEN_RESOURCE_LOCKED": 423,
    "GEN_PAYLOAD_TOO_LARGE": 413,
    "GEN_RATE_LIMITED": 429,
    "GEN_INTERNAL": 500,
    "AUTH_MISSING_API_KEY": 401,
    "AUTH_INVALID_API_KEY": 401,
    "AUTH_EXPIRED_API_KEY": 401,
    "AUTH_INSUFFICIENT_PERMISSIONS": 403,
    "AUTH_UNKNOWN_RESOURCE": 403,
    "AUTH_MASTER_KEY_REQUIRED": 403,
    "AUTH_CROSS_OWNER_ACCESS": 403,
    "AUTH_SCOPE_ESCALATION": 403,
    "APIKEY_NOT_FOUND": 404,
    "APIKEY_OWNER_REQUIRED": 400,
    "APIKEY_INVALID": 400,
    "TXN_NOT_FOUND": 404,
    "TXN_INSUFFICIENT_FUNDS": 400,
    "TXN_INVALID_AMOUNT": 400,
    "TXN_PRECISION_NOT_INTEGER": 400,
    "TXN_INVALID_DISTRIBUTION": 400,
    "TXN_DUPLICATE_REFERENCE": 409,
    "TXN_NOT_INFLIGHT": 400,
    "TXN_ALREADY_COMMITTED": 409,
    "TXN_ALREADY_VOIDED": 409,
    "TXN_ALREADY_REFUNDED": 409,
    "TXN_COMMIT_AMOUNT_EXCEEDED": 400,
    "TXN_INVALID_STATUS_ACTION": 400,
    "TXN_BULK_EMPTY": 400,
    "TXN_BULK_LIMIT_EXCEEDED": 400,
    "TXN_VALIDATION_ERROR": 400,
    "BAL_NOT_FOUND": 404,
    "BAL_HISTORY_NOT_FOUND": 404,
    "BAL_INVALID_TIMESTAMP": 400,
    "BAL_VALIDATION_ERROR": 400,
    "LGR_NOT_FOUND": 404,
    "IDT_NOT_FOUND": 404,
    "IDT_VALIDATION_ERROR": 400,
    "META_ENTITY_NOT_FOUND": 404,
    "META_UNSUPPORTED_ENTITY": 400,
    "META_INVALID_ENTITY_ID": 400,
    "QUEUE_BACKPRESSURE": 503,
}


class BlnkError(Exception):
    """A request that ends in a Blnk error body. `extra` stands beside it at the top level."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        key: str = "error",
        value: Any = None,
        details: Any = None,
        extra: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.key = key
        self.value = message if value is None else value
        self.details = details
        self.extra = extra or {}
        self.headers = headers or {}

    @property
    def status(self) -> int:
        return STATUS[self.code]

    def body(self) -> dict[str, Any]:
        detail: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.details is not None:
            detail["details"] = self.details
        return {self.key: self.value, "error_detail": detail, **self.extra}


_R = Rejection

_REFUSALS: dict[Rejection, tuple[str, str]] = {
    _R.REFERENCE_TAKEN: (
        "TXN_DUPLICATE_REFERENCE",
        "transaction validation failed: reference {reference} has already been used",
    ),
    _R.INDICATOR_TAKEN: ("GEN_CONFLICT", "Balance already exists for indicator '{indicator}' and '{currency}'"),
    _R.INVALID_VALUE: ("GEN_VALIDATION_ERROR", "{field} is not valid"),
    _R.LEDGER_NOT_FOUND: ("LGR_NOT_FOUND", "Ledger not found"),
    _R.ACCOUNT_NOT_FOUND: ("BAL_NOT_FOUND", "Balance with ID '{balance_id}' not found"),
    _R.TRANSFER_NOT_FOUND: ("TXN_NOT_FOUND", "transaction with ID '{transaction_id}' not found"),
    _R.MEMBER_NOT_FOUND: ("IDT_NOT_FOUND", "Identity with ID '{identity_id}' not found"),
    _R.KEY_NOT_FOUND: ("APIKEY_NOT_FOUND", "API key not found"),
    _R.OBJECT_NOT_FOUND: ("META_ENTITY_NOT_FOUND", "entity not found"),
    _R.IDENTIFIER_TAKEN: ("IDT_VALIDATION_ERROR", "Identity already exists"),
    _R.MEMBER_IN_USE: ("GEN_CONFLICT", "identity {identity_id} is still the owner of a balance"),
    _R.MEMBER_BLOCKED: ("TXN_VALIDATION_ERROR", "transaction validation failed: the member is blocked"),
    _R.MEMBER_MERGED: (
        "TXN_VALIDATION_ERROR",
        "transaction validation failed: the member was merged into another",
    ),
    _R.CATEGORY_NOT_SPENDABLE: (
        "TXN_VALIDATION_ERROR",
        "transaction validation failed: only regular points can be spent",
    ),
    _R.NOT_INFLIGHT: ("TXN_NOT_INFLIGHT", "transaction is not in inflight status"),
    _R.ALREADY_SETTLED: ("TXN_ALREADY_COMMITTED", "cannot {action}. Transaction already committed"),
    _R.ALREADY_RELEASED: ("TXN_ALREADY_VOIDED", "transaction has already been voided"),
    _R.ALREADY_REFUNDED: ("TXN_ALREADY_REFUNDED", "transaction {transaction_id} has already been refunded"),
    _R.NOT_REFUNDABLE: (
        "GEN_BAD_REQUEST",
        "transaction {transaction_id} cannot be refunded in status {status} (only APPLIED or VOID)",
    ),
    _R.ASSET_MISMATCH: (
        "TXN_VALIDATION_ERROR",
        "transaction validation failed: currency {currency} is not the currency of both balances",
    ),
    _R.PRECISION_MISMATCH: (
        "TXN_VALIDATION_ERROR",
        "transaction validation failed: precision must be {precision} for {currency}",
    ),
    _R.SAME_ACCOUNT: ("TXN_VALIDATION_ERROR", "source and destination cannot be the same balance"),
    _R.AMOUNT_NOT_POSITIVE: ("TXN_INVALID_AMOUNT", "transaction amount must be positive"),
    _R.AMOUNT_OUT_OF_RANGE: (
        "TXN_INVALID_AMOUNT",
        "transaction validation failed: no figure may have more than 38 digits",
    ),
    _R.INVALID_DISTRIBUTION: (
        "TXN_INVALID_DISTRIBUTION",
        "total distributions exceed 100% or total amount, or an identifier or 'left' is repeated",
    ),
    _R.SETTLE_EXCEEDS_HOLD: (
        "TXN_COMMIT_AMOUNT_EXCEEDED",
        "cannot commit more than the remaining amount. Available: {remaining}, Requested: {amount}",
    ),
    _R.INSUFFICIENT_FUNDS: ("TXN_INSUFFICIENT_FUNDS", "insufficient funds in source balance"),
    _R.INSUFFICIENT_POINTS: ("TXN_INSUFFICIENT_FUNDS", "insufficient funds in source balance"),
    _R.OVERDRAFT_LIMIT_EXCEEDED: ("TXN_VALIDATION_ERROR", "transaction exceeds overdraft limit"),
    _R.EVENT_TIME_OUT_OF_RANGE: (
        "TXN_VALIDATION_ERROR",
        "transaction validation failed: a date is out of range",
    ),
}


class _Said(dict[str, Any]):
    def __missing__(self, name: str) -> str:
        return ""


_PREFIXES = {"balance_id": "bln", "ledger_id": "ldg", "identity_id": "idt", "transaction_id": "txn"}


def refusal(rejected: Rejected, **said: str) -> tuple[str, str]:
    """Blnk's code and message for a refusal of the core; `said` are figures the caller knows better."""
    code, message = _REFUSALS.get(rejected.code, ("GEN_BAD_REQUEST", rejected.code.replace("_", " ")))
    figures = {
        name: f"{_PREFIXES[name]}_{value}" if name in _PREFIXES else value for name, value in rejected.detail.items()
    }
    return code, message.format_map(_Said({"field": rejected.field, **figures, **said}))


def refused(rejected: Rejected, *, upgrade: dict[str, str] | None = None, **said: str) -> BlnkError:
    """A refusal as an error; `upgrade` renames codes as the endpoint has them (posting to an unknown balance is
    TXN_NOT_FOUND)."""
    code, message = refusal(rejected, **said)
    return BlnkError((upgrade or {}).get(code, code), message)


def malformed(message: str = "Invalid input", key: str = "error") -> BlnkError:
    return BlnkError("GEN_MALFORMED_REQUEST", message, key=key)
