"""One ledger under both APIs: what `/v1` books is seen under `/blnk`, and raw transfers of points keep their rules."""

from __future__ import annotations

import pytest

from .conftest import Client


@pytest.fixture
async def member(blnk: Client) -> str:
    """The id (a uuid) of a member with 25 points from a purchase of 25.00."""
    await blnk.v1("POST", "/assets", {"code": "POINTS", "scale": 0})
    await blnk.v1("POST", "/assets", {"code": "USD", "scale": 2})
    rule = {"kind": "per_amount", "code": "base", "points": "1", "amount_minor": 100}
    program = {"code": "main", "name": "Main", "asset": "POINTS", "currency": "USD", "earning_rules": [rule]}
    await blnk.v1("POST", "/programs", program)
    made = await blnk.v1("POST", "/members", {"external_id": "C-1", "email": "Ada@Example.com"})
    purchase = {
        "number": "B-1",
        "member": "external_id:C-1",
        "currency": "USD",
        "lines": [{"sku": "A", "quantity": 1, "amount_minor": 2500}],
    }
    await blnk.v1("POST", "/purchases", purchase)
    return str(made["id"]).partition("_")[2]


async def points_of(blnk: Client, member: str) -> tuple[str, int]:
    """The balance that holds the member's regular points: the one that moved."""
    rows = (await blnk.get(f"/balances?identity_id_eq=idt_{member}")).body
    assert len(rows) == 3
    (found,) = [row for row in rows if row["version"]]
    return found["balance_id"], found["balance"]


async def test_a_member_is_an_identity_and_a_purchase_award_a_transaction(blnk: Client, member: str) -> None:
    person = await blnk.get(f"/identities/idt_{member}")
    assert person["email_address"] == "ada@example.com"
    balance_id, balance = await points_of(blnk, member)
    assert balance == 25
    (award,) = (await blnk.get(f"/transactions?destination_eq={balance_id}")).body
    assert (award["status"], award["precise_amount"], award["precision"], award["currency"]) == (
        "APPLIED",
        25,
        1,
        "POINTS",
    )
    pool = await blnk.get("/balances/indicator/@PointsPool/currency/POINTS")
    assert (pool["balance"], pool["debit_balance"]) == (-25, 25)


async def test_raw_points_cannot_be_overdrawn_whatever_the_flags_say(blnk: Client, member: str) -> None:
    balance_id, _ = await points_of(blnk, member)
    for flags in ({"allow_overdraft": True}, {"overdraft_limit": 1000}):
        answer = await blnk.transact(
            "take", 26, balance_id, "@PointsPool", currency="POINTS", precision=1, skip_queue=True, **flags
        )
        assert (answer.status, answer.code) == (400, "TXN_INSUFFICIENT_FUNDS")
    assert (await points_of(blnk, member))[1] == 25


async def test_a_raw_transfer_of_points_stands_in_the_points_ledger(blnk: Client, member: str) -> None:
    balance_id, _ = await points_of(blnk, member)
    given = await blnk.transact("give", 10, "@PointsPool", balance_id, currency="POINTS", precision=1, skip_queue=True)
    taken = await blnk.transact("take", 30, balance_id, "@PointsPool", currency="POINTS", precision=1, skip_queue=True)
    assert (given.status, taken.status) == (201, 201)
    assert (await points_of(blnk, member))[1] == 5
    ledger = await blnk.v1("GET", f"/members/mem_{member}/points-ledger")
    assert [event["name"] for event in ledger["events"]][:2] == ["LedgerTransaction", "LedgerTransaction"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"currency": "POINTS", "precision": 100}, "precision must be 1 for POINTS"),
        ({"currency": "USD", "precision": 100}, "currency USD is not the currency of both balances"),
    ],
)
async def test_a_registered_asset_keeps_its_scale_and_its_accounts(
    blnk: Client, member: str, fields: dict[str, object], message: str
) -> None:
    balance_id, _ = await points_of(blnk, member)
    answer = await blnk.transact("x", 5, "@World", balance_id, **fields)
    assert (answer.status, answer.code) == (400, "TXN_VALIDATION_ERROR")
    assert message in answer["error"]


async def test_held_points_are_pinned_and_come_back(blnk: Client, member: str) -> None:
    balance_id, _ = await points_of(blnk, member)
    common = {"currency": "POINTS", "precision": 1, "skip_queue": True}
    held = await blnk.transact("hold", 20, balance_id, "@PointsPool", inflight=True, **common)
    assert held["status"] == "INFLIGHT"
    over = await blnk.transact("more", 6, balance_id, "@PointsPool", **common)
    assert over.code == "TXN_INSUFFICIENT_FUNDS"
    void = await blnk.put(f"/transactions/inflight/{held['transaction_id']}", {"status": "void", "skip_queue": True})
    assert void["status"] == "VOID"
    assert (await blnk.transact("more-2", 25, balance_id, "@PointsPool", **common)).status == 201
