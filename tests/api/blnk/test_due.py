"""Holds end and schedules run by themselves when their time has come."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from .conftest import Answer, Client


def soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def eventually(blnk: Client, balance_id: str, **figures: int) -> Answer:
    """The balance once it has these figures; fails after ten seconds."""
    for _ in range(100):
        found = await blnk.get(f"/balances/{balance_id}")
        if all(found[name] == value for name, value in figures.items()):
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(found.body)


async def test_a_hold_is_released_when_it_expires(blnk: Client) -> None:
    wallet = await blnk.balance()
    held = await blnk.transact("h", 100, "@World", wallet, inflight=True, inflight_expiry_date=soon(1))
    await eventually(blnk, wallet, inflight_credit_balance=100)
    await eventually(blnk, wallet, inflight_credit_balance=0, balance=0)
    answer = await blnk.put(f"/transactions/inflight/{held['transaction_id']}", {"status": "commit"})
    assert (answer.status, answer.code) == (409, "TXN_ALREADY_VOIDED")


async def test_a_hold_with_a_commit_date_is_settled_then(blnk: Client) -> None:
    wallet = await blnk.balance()
    dates = {"inflight_commit_date": soon(1), "inflight_expiry_date": soon(60)}
    await blnk.transact("h", 100, "@World", wallet, inflight=True, **dates)
    await eventually(blnk, wallet, inflight_credit_balance=0, balance=100)


async def test_a_scheduled_transaction_moves_when_it_is_due(blnk: Client) -> None:
    wallet = await blnk.balance()
    waits = await blnk.transact("s", 100, "@World", wallet, scheduled_for=soon(1))
    assert (waits["status"], (await blnk.get(f"/balances/{wallet}"))["balance"]) == ("SCHEDULED", 0)
    await eventually(blnk, wallet, balance=100)
    done = await blnk.outcome("s")
    assert (done["status"], done["parent_transaction"]) == ("APPLIED", waits["transaction_id"])
