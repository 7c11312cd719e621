"""Holds, splits, bulk, refunds, look-ups and lists, as the SDKs see them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from .conftest import Client

NOWHERE = "bln_0199b1f0-2c3e-7c11-9a52-5b7d3c000000"


async def figures(blnk: Client, balance: str) -> tuple[int, int, int]:
    """Balance, incoming and outgoing holds."""
    found = await blnk.get(f"/balances/{balance}")
    return found["balance"], found["inflight_credit_balance"], found["inflight_debit_balance"]


# -- posting


async def test_a_queued_transaction_without_funds_has_a_rejected_child(blnk: Client) -> None:
    wallet, other = await blnk.balance(), await blnk.balance()
    queued = await blnk.transact("spend", 1, wallet, other)
    assert (queued.status, queued["status"]) == (201, "QUEUED")
    child = await blnk.outcome("spend")
    assert child["status"] == "REJECTED"
    assert child["meta_data"]["blnk_rejection_reason"] == "insufficient funds in source balance"
    assert await figures(blnk, wallet) == (0, 0, 0)


async def test_a_transaction_that_skips_the_queue_is_applied_or_refused_at_once(blnk: Client) -> None:
    wallet = await blnk.balance()
    applied = await blnk.transact("a", 1_234, "@World", wallet, skip_queue=True)
    assert (applied.status, applied["status"], applied["skip_queue"]) == (201, "APPLIED", True)
    assert (applied["amount"], applied["precise_amount"], applied["amount_string"]) == (12.34, 1_234, "12.34")
    assert applied["destination"] == wallet
    refused = await blnk.transact("b", 1_235, wallet, "@World", skip_queue=True)
    assert (refused.status, refused.code) == (400, "TXN_INSUFFICIENT_FUNDS")
    assert refused["error"] == "insufficient funds in source balance"
    assert (await blnk.get("/transactions/reference/b")).code == "TXN_NOT_FOUND"


async def test_an_overdraft_limit_is_in_major_units(blnk: Client) -> None:
    wallet = await blnk.balance()
    beyond = await blnk.transact("a", 1_001, wallet, "@World", skip_queue=True, overdraft_limit=10)
    assert (beyond.status, beyond["error"]) == (400, "transaction exceeds overdraft limit")
    within = await blnk.transact("b", 1_000, wallet, "@World", skip_queue=True, overdraft_limit=10)
    assert (within.status, within["overdraft_limit"]) == (201, 10)


@pytest.mark.parametrize("skip_queue", [True, False])
async def test_a_used_reference_is_a_conflict_on_both_paths(blnk: Client, skip_queue: bool) -> None:
    wallet = await blnk.balance()
    assert (await blnk.transact("once", 5, "@World", wallet, skip_queue=skip_queue)).status == 201
    again = await blnk.transact("once", 5, "@World", wallet, skip_queue=skip_queue)
    assert (again.status, again.code) == (409, "TXN_DUPLICATE_REFERENCE")
    assert again["error"] == "transaction validation failed: reference once has already been used"
    assert await figures(blnk, wallet) == (5, 0, 0)


async def test_an_unknown_balance_is_not_found_on_both_paths(blnk: Client) -> None:
    for skip_queue in (True, False):
        answer = await blnk.transact("x", 5, "@World", NOWHERE, skip_queue=skip_queue)
        assert (answer.status, answer.code) == (404, "TXN_NOT_FOUND")
        assert answer["error"] == f"Balance with ID '{NOWHERE}' not found"


async def test_amounts_of_38_digits_keep_every_digit(blnk: Client) -> None:
    wallet = await blnk.balance()
    large = 10**38 - 1
    assert (await blnk.transact("large", large, "@World", wallet, skip_queue=True))["precise_amount"] == large
    assert b'"balance":%d' % large in (await blnk.get(f"/balances/{wallet}")).payload
    more = await blnk.transact("more", 1, "@World", wallet, skip_queue=True)
    assert (more.status, more.code) == (400, "TXN_INVALID_AMOUNT")
    assert (await blnk.transact("huge", 10**60, "@World", wallet)).status == 400


async def test_an_unscheduled_and_a_scheduled_transaction_differ_in_status_and_effect(blnk: Client) -> None:
    wallet = await blnk.balance()
    for skip_queue in (True, False):
        later = await blnk.transact(
            f"later-{skip_queue}",
            5,
            "@World",
            wallet,
            scheduled_for="2099-01-01T00:00:00Z",
            skip_queue=skip_queue,
        )
        assert (later.status, later["status"]) == (201, "SCHEDULED")
        assert later["scheduled_for"] == "2099-01-01T00:00:00Z"
    assert await figures(blnk, wallet) == (0, 0, 0)


async def test_of_many_at_once_with_one_reference_one_is_booked(blnk: Client) -> None:
    wallet = await blnk.balance()
    answers = await asyncio.gather(
        *(blnk.transact("once", 5, "@World", wallet, skip_queue=n % 2 == 0) for n in range(20))
    )
    assert sorted(answer.status for answer in answers) == [201] + [409] * 19
    assert (await blnk.get(f"/balances/{wallet}"))["balance"] == 5


async def test_of_many_at_once_only_as_many_pass_as_the_funds_allow(blnk: Client) -> None:
    wallet = await blnk.balance()
    await blnk.transact("fund", 100, "@World", wallet, skip_queue=True)
    answers = await asyncio.gather(
        *(blnk.transact(f"spend-{n}", 30, wallet, "@Shop", skip_queue=True) for n in range(12))
    )
    assert [answer.status for answer in answers].count(201) == 3
    assert await figures(blnk, wallet) == (10, 0, 0)


# -- holds


async def hold(blnk: Client, reference: str, amount: int, destination: str, **more: Any) -> str:
    answer = await blnk.transact(reference, amount, "@World", destination, inflight=True, **more)
    assert answer.status == 201, answer.body
    return str(answer["transaction_id"])


async def test_a_hold_is_settled_in_parts_until_nothing_is_left(blnk: Client) -> None:
    wallet = await blnk.balance()
    held = await hold(blnk, "h", 10_000, wallet, skip_queue=True)
    assert await figures(blnk, wallet) == (0, 10_000, 0)
    part = await blnk.put(f"/transactions/inflight/{held}", {"status": "commit", "amount": 40, "skip_queue": True})
    assert (part.status, part["status"], part["precise_amount"]) == (200, "APPLIED", 4_000)
    assert part["parent_transaction"] == held
    assert await figures(blnk, wallet) == (4_000, 6_000, 0)
    over = await blnk.put(f"/transactions/inflight/{held}", {"status": "commit", "precise_amount": 6_001})
    assert (over.status, over.code) == (400, "TXN_COMMIT_AMOUNT_EXCEEDED")
    rest = await blnk.put(f"/transactions/inflight/{held}", {"status": "commit", "skip_queue": True})
    assert rest["precise_amount"] == 6_000
    again = await blnk.put(f"/transactions/inflight/{held}", {"status": "commit"})
    assert (again.status, again.code) == (409, "TXN_ALREADY_COMMITTED")
    assert again["error"] == "cannot commit. Transaction already committed"
    assert await figures(blnk, wallet) == (10_000, 0, 0)


async def test_a_queued_commit_answers_the_hold_marked_queued(blnk: Client) -> None:
    wallet = await blnk.balance()
    queued = await hold(blnk, "h", 500, wallet)
    answer = await blnk.put(f"/transactions/inflight/{queued}", {"status": "commit"})
    assert (answer.status, answer["status"], answer["queued"], answer["inflight"]) == (200, "INFLIGHT", True, True)
    assert await figures(blnk, wallet) == (500, 0, 0)


async def test_a_void_releases_only_what_is_left(blnk: Client) -> None:
    wallet = await blnk.balance()
    held = await hold(blnk, "h", 100, wallet, skip_queue=True)
    await blnk.put(f"/transactions/inflight/{held}", {"status": "commit", "precise_amount": 30})
    void = await blnk.put(f"/transactions/inflight/{held}", {"status": "void", "skip_queue": True})
    assert (void.status, void["status"], void["precise_amount"]) == (200, "VOID", 70)
    assert await figures(blnk, wallet) == (30, 0, 0)
    again = await blnk.put(f"/transactions/inflight/{held}", {"status": "void"})
    assert (again.status, again.code) == (409, "TXN_ALREADY_VOIDED")


async def test_held_money_cannot_be_spent_by_either_side(blnk: Client) -> None:
    payer, payee = await blnk.balance(), await blnk.balance()
    await blnk.transact("fund", 100, "@World", payer, skip_queue=True)
    held = await blnk.transact("h", 80, payer, payee, inflight=True, skip_queue=True)
    assert held["status"] == "INFLIGHT"
    assert (await blnk.transact("s1", 21, payer, payee, skip_queue=True)).code == "TXN_INSUFFICIENT_FUNDS"
    assert (await blnk.transact("s2", 1, payee, payer, skip_queue=True)).code == "TXN_INSUFFICIENT_FUNDS"
    assert await figures(blnk, payer) == (100, 0, 80)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"status": "commit", "precise_amount": -5}, "TXN_INVALID_AMOUNT"),
        ({"status": "release"}, "TXN_INVALID_STATUS_ACTION"),
        ({"status": "commit", "precise_amount": "1.5"}, "GEN_MALFORMED_REQUEST"),
    ],
)
async def test_a_bad_settlement_is_refused(blnk: Client, body: dict[str, Any], code: str) -> None:
    held = await hold(blnk, "h", 100, await blnk.balance())
    answer = await blnk.put(f"/transactions/inflight/{held}", body)
    assert (answer.status, answer.code) == (400, code)


async def test_only_holds_can_be_settled(blnk: Client) -> None:
    applied = await blnk.transact("a", 5, "@World", await blnk.balance())
    answer = await blnk.put(f"/transactions/inflight/{applied['transaction_id']}", {"status": "commit"})
    assert (answer.status, answer.code) == (400, "TXN_NOT_INFLIGHT")
    missing = await blnk.put(f"/transactions/inflight/txn_{NOWHERE[4:]}", {"status": "void"})
    assert (missing.status, missing.code) == (404, "TXN_NOT_FOUND")


async def test_many_holds_end_in_one_call_each_on_its_own(blnk: Client) -> None:
    wallet = await blnk.balance()
    first, second = await hold(blnk, "h1", 100, wallet), await hold(blnk, "h2", 200, wallet)
    answer = await blnk.post(
        "/transactions/inflight/bulk/commit",
        {
            "skip_queue": True,
            "transactions": [
                {"transaction_id": first, "amount": 0.4},
                {"transaction_id": second},
                {"transaction_id": f"txn_{NOWHERE[4:]}"},
            ],
        },
    )
    assert (answer["succeeded"], answer["failed"]) == (2, 1)
    assert [result["status"] for result in answer["results"]] == ["succeeded", "succeeded", "failed"]
    assert answer["results"][2]["code"] == "NOT_FOUND"
    assert await figures(blnk, wallet) == (240, 60, 0)
    voids = await blnk.post("/transactions/inflight/bulk/void", {"transaction_ids": [first, second]})
    assert [(r["status"], r["code"]) for r in voids["results"]] == [
        ("queued", "QUEUED"),
        ("failed", "ALREADY_COMMITTED"),
    ]
    assert (await blnk.post("/transactions/inflight/bulk/void", {})).code == "TXN_BULK_EMPTY"


# -- splits


async def test_a_split_names_its_legs_and_can_be_looked_up_as_a_whole(blnk: Client) -> None:
    a, b, c = await blnk.balance(), await blnk.balance(), await blnk.balance()
    legs = [
        {"identifier": a, "distribution": "10%"},
        {"identifier": b, "distribution": "200"},
        {"identifier": c, "distribution": "left"},
    ]
    answer = await blnk.transact("split", 100_000, "@World", "", destinations=legs)
    assert (answer.status, answer["status"]) == (201, "QUEUED")
    assert "destination" not in answer.body
    assert [leg["identifier"] for leg in answer["destinations"]] == [a, b, c]
    assert [(await figures(blnk, leg))[0] for leg in (a, b, c)] == [10_000, 20_000, 70_000]
    whole = await blnk.get(f"/transactions/{answer['transaction_id']}")
    assert (whole["reference"], whole["precise_amount"], len(whole["destinations"])) == ("split", 100_000, 3)
    assert (await blnk.get("/transactions/reference/split"))["transaction_id"] == answer["transaction_id"]
    leg = await blnk.outcome("split_1")
    assert (leg["status"], leg["precise_amount"]) == ("APPLIED", 10_000)
    first = await blnk.get(f"/transactions/{answer['destinations'][0]['transaction_id']}")
    assert first["parent_transaction"] == answer["transaction_id"]


async def test_a_split_over_sources_that_skips_the_queue(blnk: Client) -> None:
    a, b, shop = await blnk.balance(), await blnk.balance(), await blnk.balance()
    for name, balance in (("fa", a), ("fb", b)):
        await blnk.transact(name, 500, "@World", balance, skip_queue=True)
    legs = [{"identifier": a, "precise_distribution": "400"}, {"identifier": b, "distribution": "left"}]
    done = await blnk.transact("s", 800, "", shop, sources=legs, skip_queue=True)
    assert (done.status, done["status"], "source" in done.body) == (201, "APPLIED", False)
    assert (await figures(blnk, shop))[0] == 800
    refused = await blnk.transact("t", 200, "", shop, sources=legs, skip_queue=True)
    assert refused.status == 400
    assert (await figures(blnk, shop))[0] == 800
    assert (await blnk.get("/transactions/reference/s-2"))["precise_amount"] == 400


async def test_an_impossible_distribution_is_refused(blnk: Client) -> None:
    legs = [{"identifier": "@A", "distribution": "60%"}, {"identifier": "@B", "distribution": "60%"}]
    answer = await blnk.transact("s", 100, "@World", "", destinations=legs)
    assert (answer.status, answer.code) == (400, "TXN_INVALID_DISTRIBUTION")


async def test_held_splits_end_by_the_id_of_the_whole(blnk: Client) -> None:
    a, b = await blnk.balance(), await blnk.balance()
    legs = [{"identifier": a, "distribution": "50%"}, {"identifier": b, "distribution": "left"}]
    whole = await blnk.transact("s", 100, "@World", "", destinations=legs, inflight=True)
    done = await blnk.put(f"/transactions/inflight/{whole['transaction_id']}", {"status": "commit", "skip_queue": True})
    assert (done.status, done["status"]) == (200, "APPLIED")
    assert [await figures(blnk, each) for each in (a, b)] == [(50, 0, 0), (50, 0, 0)]


# -- bulk


def item(reference: str, amount: int, source: str, destination: str, **more: Any) -> dict[str, Any]:
    return {
        "precise_amount": amount,
        "precision": 100,
        "reference": reference,
        "currency": "USD",
        "description": "bulk",
        "source": source,
        "destination": destination,
        "allow_overdraft": source.startswith("@"),
        **more,
    }


async def test_a_bulk_request_is_one_batch_that_its_items_name_as_parent(blnk: Client) -> None:
    wallet = await blnk.balance()
    items = [item("b1", 100, "@World", wallet), item("b2", 50, "@World", wallet)]
    answer = await blnk.post("/transactions/bulk", {"transactions": items, "skip_queue": True})
    assert (answer.status, answer["status"], answer["transaction_count"]) == (201, "applied", 2)
    first = await blnk.get("/transactions/reference/b1")
    assert (first["parent_transaction"], first["meta_data"]["sequence"]) == (answer["batch_id"], 1)
    found = await blnk.post(
        "/transactions/filter",
        {"filters": [{"field": "parent_transaction", "operator": "eq", "value": answer["batch_id"]}]},
    )
    assert [row["reference"] for row in found.body] == ["b2", "b1"]


async def test_an_atomic_bulk_request_that_fails_leaves_nothing_behind(blnk: Client) -> None:
    wallet = await blnk.balance()
    items = [item("b1", 100, "@World", wallet), item("b2", 500, wallet, "@World")]
    answer = await blnk.post("/transactions/bulk", {"transactions": items, "skip_queue": True, "atomic": True})
    assert (answer.status, answer.code) == (400, "TXN_INSUFFICIENT_FUNDS")
    assert answer["batch_id"].startswith("bulk_")
    assert answer["error"].endswith("rolled back.")
    assert await figures(blnk, wallet) == (0, 0, 0)
    assert (await blnk.get("/transactions/reference/b1")).status == 404


async def test_a_bulk_request_that_is_not_atomic_keeps_what_worked_and_tells_what_did_not(blnk: Client) -> None:
    wallet = await blnk.balance()
    items = [item("b1", 100, "@World", wallet), item("b2", 500, wallet, "@World"), item("b3", 1, "@World", wallet)]
    answer = await blnk.post("/transactions/bulk", {"transactions": items, "skip_queue": True})
    assert (answer.status, answer["error"]) == (400, "transaction b2: insufficient funds in source balance")
    assert await figures(blnk, wallet) == (101, 0, 0)


async def test_an_unfunded_queued_atomic_bulk_request_is_accepted_and_all_rejected(blnk: Client) -> None:
    wallet, other = await blnk.balance(), await blnk.balance()
    items = [item("b1", 100, "@World", wallet), item("b2", 500, wallet, other)]
    answer = await blnk.post("/transactions/bulk", {"transactions": items, "atomic": True})
    assert (answer.status, answer["status"]) == (201, "applied")
    assert [(await blnk.outcome(ref))["status"] for ref in ("b1", "b2")] == ["REJECTED", "REJECTED"]
    assert await figures(blnk, wallet) == (0, 0, 0)


async def test_a_held_batch_ends_by_its_id(blnk: Client) -> None:
    wallet = await blnk.balance()
    items = [item("b1", 100, "@World", wallet), item("b2", 50, "@World", wallet)]
    batch = await blnk.post("/transactions/bulk", {"transactions": items, "inflight": True, "run_async": True})
    assert (batch.status, batch["status"]) == (202, "processing")
    assert await figures(blnk, wallet) == (0, 150, 0)
    await blnk.put(f"/transactions/inflight/{batch['batch_id']}", {"status": "void"})
    assert await figures(blnk, wallet) == (0, 0, 0)


async def test_a_bulk_item_that_is_not_valid_is_named_by_its_index(blnk: Client) -> None:
    answer = await blnk.post(
        "/transactions/bulk", {"transactions": [item("a", 1, "@A", "@B"), item("", 1, "@A", "@B")]}
    )
    assert (answer.status, answer["errors"]) == (400, "transactions[1]: reference: cannot be blank.")
    assert answer["error_detail"]["details"] == {"index": 1}
    assert (await blnk.post("/transactions/bulk", {"transactions": []})).code == "TXN_BULK_EMPTY"
    many = await blnk.post("/transactions/bulk", {"transactions": [None] * 10_001})
    assert many.code == "TXN_BULK_LIMIT_EXCEEDED"


async def test_two_items_of_a_batch_cannot_have_the_same_reference(blnk: Client) -> None:
    items = [item("same", 1, "@A", "@B"), item("same", 1, "@A", "@B")]
    answer = await blnk.post("/transactions/bulk", {"transactions": items, "atomic": True})
    assert (answer.status, answer.code) == (409, "TXN_DUPLICATE_REFERENCE")


# -- refunds


async def test_a_refund_swaps_the_sides_once(blnk: Client) -> None:
    wallet = await blnk.balance()
    paid = await blnk.transact("p", 500, "@World", wallet, skip_queue=True, meta_data={"order": 7})
    back = await blnk.post(f"/refund-transaction/{paid['transaction_id']}", {"skip_queue": True})
    assert (back.status, back["status"], back["parent_transaction"]) == (201, "APPLIED", paid["transaction_id"])
    assert (back["source"], back["destination"]) == (paid["destination"], paid["source"])
    assert (back["description"], back["meta_data"]["order"]) == ("test", 7)
    assert await figures(blnk, wallet) == (0, 0, 0)
    again = await blnk.post(f"/refund-transaction/{paid['transaction_id']}")
    assert (again.status, again.code) == (409, "TXN_ALREADY_REFUNDED")


async def test_a_refund_is_queued_by_default_and_finds_the_outcome_of_a_queued_original(blnk: Client) -> None:
    wallet = await blnk.balance()
    paid = await blnk.transact("p", 500, "@World", wallet)
    back = await blnk.post(f"/refund-transaction/{paid['transaction_id']}", {"meta_data": {"why": "broken"}})
    assert (back.status, back["status"], back["meta_data"]["why"]) == (201, "QUEUED", "broken")
    assert await figures(blnk, wallet) == (0, 0, 0)


async def test_what_was_rejected_cannot_be_refunded(blnk: Client) -> None:
    rejected = await blnk.transact("r", 500, await blnk.balance(), "@World")
    answer = await blnk.post(f"/refund-transaction/{rejected['transaction_id']}")
    assert answer.status == 400
    assert "cannot be refunded in status REJECTED (only APPLIED or VOID)" in answer["error"]


# -- looking up


async def test_lists_show_requests_and_outcomes_newest_first(blnk: Client) -> None:
    wallet = await blnk.balance()
    for number in range(3):
        await blnk.transact(f"t{number}", 10 + number, "@World", wallet)
    rows = (await blnk.get("/transactions?limit=4")).body
    assert [(row["reference"], row["status"]) for row in rows] == [
        ("t2", "QUEUED"),
        ("t2_q", "APPLIED"),
        ("t1", "QUEUED"),
        ("t1_q", "APPLIED"),
    ]
    assert [row["reference"] for row in (await blnk.get("/transactions?limit=2&offset=4")).body] == ["t0", "t0_q"]
    assert len((await blnk.get("/transactions?limit=none&offset=-1")).body) == 6


@pytest.mark.parametrize(
    ("query", "references"),
    [
        ("status_eq=APPLIED", ["b_q", "a_q"]),
        ("status_in=REJECTED,VOID", ["c_q"]),
        ("reference_like=%25_q&amount_gte=0.5", ["c_q", "b_q"]),
        ("reference_eq=a", ["a"]),
        ("amount_between=0.05|0.2&status_eq=QUEUED", ["a"]),
        ("created_at_gte=2099-01-01", []),
        ("meta_data.colour_eq=red&status_ne=QUEUED", ["a_q"]),
        ("description_ilike=TEST%25&currency_eq=USD&status_eq=REJECTED", ["c_q"]),
        ("indicator_eq=@World&status_eq=QUEUED&logical_operator=and", ["b", "a"]),
        ("status_eq=REJECTED&reference_eq=a&logical_operator=or", ["c_q", "a"]),
        ("effective_date_lt=2001-01-01&status_eq=QUEUED", ["b"]),
        ("unknown=1&page=3", ["c", "c_q", "b", "b_q", "a", "a_q"]),
    ],
)
async def test_transactions_are_filtered(blnk: Client, query: str, references: list[str]) -> None:
    wallet = await blnk.balance()
    await blnk.transact("a", 10, "@World", wallet, meta_data={"colour": "red"})
    await blnk.transact("b", 60, "@World", wallet, effective_date="2000-05-05T00:00:00Z")
    await blnk.transact("c", 10_000, wallet, "@Shop")
    answer = await blnk.get(f"/transactions?{query}")
    assert answer.status == 200, answer.body
    assert [row["reference"] for row in answer.body] == references


async def test_a_filter_body_sorts_counts_and_pages(blnk: Client) -> None:
    wallet = await blnk.balance()
    for number in (3, 1, 2):
        await blnk.transact(f"t{number}", number * 100, "@World", wallet, skip_queue=True)
    body = {
        "filters": [{"field": "balance_id", "operator": "eq", "value": wallet}],
        "sort_by": "amount",
        "sort_order": "asc",
        "limit": 2,
        "include_count": True,
    }
    answer = await blnk.post("/transactions/filter", body)
    assert [row["reference"] for row in answer["data"]] == ["t1", "t2"]
    assert answer["total_count"] == 3
    rest = await blnk.post("/transactions/filter", body | {"offset": 2, "include_count": False, "sort_by": "nothing"})
    assert len(rest.body) == 1


@pytest.mark.parametrize(
    ("each", "code"),
    [
        ({"field": "password", "operator": "eq", "value": 1}, "GEN_BAD_REQUEST"),
        ({"field": "status", "operator": "is", "value": 1}, "GEN_BAD_REQUEST"),
        ({"field": "status", "operator": "in", "values": []}, "GEN_BAD_REQUEST"),
        ({"field": "amount", "operator": "between", "values": [1]}, "GEN_BAD_REQUEST"),
        ({"field": "amount", "operator": "gt", "value": "much"}, "GEN_BAD_REQUEST"),
        ({"field": "created_at", "operator": "gt", "value": "soon"}, "GEN_BAD_REQUEST"),
        ({"field": "created_at", "operator": "gt", "value": "0001-01-01T00:00:00+14:00"}, "GEN_BAD_REQUEST"),
        ({"field": "created_at", "operator": "lte", "value": "9999-12-31"}, "GEN_BAD_REQUEST"),
        ({"field": "balance_id", "operator": "like", "value": "bln%"}, "GEN_BAD_REQUEST"),
        ({"field": "meta_data.a'b", "operator": "eq", "value": "x"}, "GEN_BAD_REQUEST"),
    ],
)
async def test_a_filter_that_cannot_be_understood_is_refused(blnk: Client, each: dict[str, Any], code: str) -> None:
    answer = await blnk.post("/transactions/filter", {"filters": [each]})
    assert (answer.status, answer.code) == (400, code)


async def test_a_bad_logical_operator_has_the_shapes_of_its_two_ways(blnk: Client) -> None:
    body = await blnk.post("/transactions/filter", {"logical_operator": "xor"})
    assert (body.code, body["error"]) == ("GEN_VALIDATION_ERROR", "invalid logical_operator: must be 'and' or 'or'")
    query = await blnk.get("/transactions?logical_operator=xor")
    assert query["errors"][0]["Param"] == "logical_operator"


async def test_a_reference_may_hold_any_character(blnk: Client) -> None:
    wallet = await blnk.balance()
    for reference, path in (("a/b?c#d%", "a%2Fb%3Fc%23d%25"), ("كرت", "%D9%83%D8%B1%D8%AA"), ("'; --", "'%3B%20--")):
        assert (await blnk.transact(reference, 1, "@World", wallet)).status == 201
        assert (await blnk.get(f"/transactions/reference/{path}"))["reference"] == reference


@pytest.mark.parametrize("transaction_id", ["nothing", "txn_1", "bln_0199b1f0-2c3e-7c11-9a52-5b7d3c000000", "txn_%00"])
async def test_what_is_no_transaction_is_not_found(blnk: Client, transaction_id: str) -> None:
    answer = await blnk.get(f"/transactions/{transaction_id}")
    assert answer.status in (400, 404)
    assert answer["error_detail"]["code"] in ("TXN_NOT_FOUND", "GEN_BAD_REQUEST")
