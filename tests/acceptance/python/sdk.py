"""The official Python SDK as every script here uses it: address and key from the environment, nothing else changed."""

from __future__ import annotations

import os
from typing import Any

from blnk_sdk import BlnkClientOptions, blnk_init


class Quiet:
    """A logger that says nothing; failures are asserted, not logged."""

    def info(self, *_: Any) -> None: ...

    def error(self, *_: Any) -> None: ...

    def debug(self, *_: Any) -> None: ...


blnk = blnk_init(
    os.environ.get("GUERDON_KEY", ""),
    BlnkClientOptions(base_url=os.environ["GUERDON_BLNK_URL"], logger=Quiet()),
)


def done(answer: Any, status: int) -> Any:
    """The SDK never raises: it wraps each answer as (status, message, data)."""
    assert answer.status == status, (answer.status, answer.message, answer.data)
    return answer.data


def post(body: dict[str, Any]) -> dict[str, Any]:
    """A transaction on the queued path."""
    queued: dict[str, Any] = done(blnk.transactions.create(body), 201)
    assert queued["status"] == "QUEUED", queued
    return queued


def outcome(queued: dict[str, Any]) -> str:
    """A queued post is QUEUED at first; what became of it stands under `<reference>_q`."""
    child = done(blnk.transactions.get_by_reference(f"{queued['reference']}_q"), 200)
    assert child["parent_transaction"] == queued["transaction_id"], child
    return str(child["status"])


def internal(indicator: str, currency: str) -> dict[str, int]:
    """The figures of an internal balance; zeros where nothing has used it yet."""
    answer = blnk.ledger_balances.get_by_indicator(indicator, currency)
    if answer.status == 404:
        return {"balance": 0, "debit_balance": 0, "credit_balance": 0}
    figures: dict[str, int] = done(answer, 200)
    return figures
