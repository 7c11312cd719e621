"""What the SDKs rely on: the queued contract, holds, splits, bulk, refunds, look-ups and lists."""

from __future__ import annotations

from .conftest import Client


async def test_health_and_root_need_no_key(blnk: Client) -> None:
    blnk.key = ""
    assert (await blnk.get("/health")).body == {"status": "UP"}
    assert (await blnk.get("/")).body == "server running..."


async def test_a_queued_transaction_is_decided_by_the_time_it_is_answered(blnk: Client) -> None:
    wallet = await blnk.balance()
    queued = await blnk.transact("fund", 100_000, "@WorldUSD", wallet)
    assert (queued.status, queued["status"], queued["source"]) == (201, "QUEUED", "@WorldUSD")
    assert queued["meta_data"]["QUEUED_PARENT_TRANSACTION"] == queued["transaction_id"]
    child = await blnk.outcome("fund")
    assert (child["status"], child["parent_transaction"]) == ("APPLIED", queued["transaction_id"])
    assert len(child["hash"]) == 64
    again = await blnk.get(f"/transactions/{queued['transaction_id']}")
    assert (again["status"], again["reference"]) == ("QUEUED", "fund")
    found = await blnk.get(f"/balances/{wallet}")
    assert (found["balance"], found["credit_balance"], found["version"]) == (100_000, 100_000, 1)
