"""Dry runs answer what would happen, and nothing happens."""

from __future__ import annotations

from .conftest import Client


async def test_a_dry_run_shows_both_balances_before_and_after(blnk: Client) -> None:
    wallet = await blnk.balance()
    answer = await blnk.transact("try", 500, "@World", wallet, dry_run=True)
    assert (answer.status, answer["dry_run"], answer["would_apply"], answer["status"]) == (200, True, True, "APPLIED")
    assert (answer["precise_amount"], answer["amount"]) == ("500", 5)
    world, mine = answer["balances"]
    assert (world["role"], world["virtual"], world["resulting_balance"]) == ("source", True, "-500")
    assert (mine["balance_id"], mine["current_balance"], mine["resulting_balance"]) == (wallet, "0", "500")


async def test_a_dry_run_leaves_no_trace(blnk: Client) -> None:
    wallet = await blnk.balance()
    await blnk.transact("try", 500, "@World", wallet, dry_run=True, meta_data={"a": 1})
    assert (await blnk.get("/balances/indicator/@World/currency/USD")).status == 404
    assert (await blnk.get("/transactions")).body == []
    real = await blnk.transact("try", 500, "@World", wallet, skip_queue=True)
    assert (real.status, "meta_data" in real.body) == (201, False)


async def test_a_refusal_is_an_answer(blnk: Client) -> None:
    wallet = await blnk.balance()
    answer = await blnk.transact("try", 500, wallet, "@World", dry_run=True)
    assert (answer.status, answer["would_apply"], "status" in answer.body) == (200, False, False)
    assert answer["rejection"] == {
        "code": "TXN_INSUFFICIENT_FUNDS",
        "reason": "insufficient_funds",
        "message": "insufficient funds in source balance",
    }


async def test_items_of_a_bulk_dry_run_see_one_another_only_without_the_queue(blnk: Client) -> None:
    wallet = await blnk.balance()
    body = {"precision": 100, "currency": "USD", "description": "d", "precise_amount": 100}
    items = [
        body | {"reference": "in", "source": "@World", "destination": wallet, "allow_overdraft": True},
        body | {"reference": "out", "source": wallet, "destination": "@Shop"},
    ]
    for skip_queue in (True, False):
        answer = await blnk.post(
            "/transactions/bulk", {"transactions": items, "dry_run": True, "skip_queue": skip_queue}
        )
        assert (answer.status, answer["cumulative"], answer["would_apply"]) == (200, skip_queue, skip_queue)
    assert (await blnk.get("/transactions")).body == []


async def test_legs_of_a_split_are_projected(blnk: Client) -> None:
    legs = [{"identifier": "@A", "distribution": "10%"}, {"identifier": "@B", "distribution": "left"}]
    answer = await blnk.transact("s", 1_000, "@World", "", destinations=legs, dry_run=True)
    assert [(leg["identifier"], leg["precise_amount"]) for leg in answer["legs"]] == [("@A", "100"), ("@B", "900")]


async def test_commits_voids_and_refunds_are_projected(blnk: Client) -> None:
    wallet = await blnk.balance()
    held = await blnk.transact("h", 100, "@World", wallet, inflight=True, skip_queue=True)
    path = f"/transactions/inflight/{held['transaction_id']}"
    commit = await blnk.put(path, {"status": "commit", "amount": 0.4, "dry_run": True})
    assert (commit["operation"], commit["status"], commit["precise_amount"]) == ("commit", "APPLIED", "40")
    void = await blnk.put(path, {"status": "void", "dry_run": True})
    assert (void["status"], void["precise_amount"]) == ("VOID", "100")
    many = await blnk.post(
        "/transactions/inflight/bulk/void", {"transaction_ids": [held["transaction_id"]], "dry_run": True}
    )
    assert (many["would_apply"], many["results"][0]["operation"]) == (True, "void")
    assert (await blnk.get(f"/balances/{wallet}"))["inflight_credit_balance"] == 100
    refund = await blnk.post(f"/refund-transaction/{held['transaction_id']}", {"dry_run": True})
    assert (refund.status, refund["would_apply"]) == (200, False)
