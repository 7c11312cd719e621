"""The main job over HTTP: purchases in, points out, every point explained."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.api.conftest import ADMIN_KEY, Api, Shop, set_up


def bill(number: str, cents: int, /, **more: object) -> dict[str, object]:
    return {
        "number": number,
        "currency": "USD",
        "member": "external_id:C-1",
        "lines": [{"sku": "A", "amount_minor": cents}],
        **more,
    }


def test_a_purchase_earns_a_point_per_whole_dollar_of_what_was_paid(shop: Shop) -> None:
    answer = shop.api.post("/v1/purchases", bill("B-1", 1999, till="main-1", source="INSTORE"))
    assert answer["amount_minor"] == answer["paid_minor"] == 1999
    assert [(earned["rule"], earned["points"]) for earned in answer["earned"]] == [("base", "19")]
    assert answer["balances"][0]["points"] == "19"
    found = shop.api.get("/v1/purchases/number:B-1")
    assert found["till"]["code"] == "main-1"
    assert found["store"]["code"] == "main"
    assert found["returns"] == []
    assert {name: found[name] for name in answer} == answer
    assert shop.api.get(f"/v1/purchases/{answer['id']}") == found


def test_points_pay_at_the_checkout_and_only_the_rest_earns(shop: Shop) -> None:
    shop.api.post("/v1/purchases", bill("B-1", 30000))
    answer = shop.api.post("/v1/purchases", bill("B-2", 10000, spend_points=200))
    assert answer["paid_minor"] == 8000
    assert answer["spent"] | {"program": None, "redemption": None} == {
        "points": "200",
        "money_minor": 2000,
        "program": None,
        "redemption": None,
    }
    assert answer["earned"][0]["points"] == "80"
    assert answer["balances"][0]["points"] == "180"


def test_points_that_buy_nothing_are_not_taken(shop: Shop) -> None:
    shop.api.post("/v1/purchases", bill("B-1", 30000))
    answer = shop.api.post("/v1/purchases", bill("B-2", 500, spend_points="200"))
    assert (answer["paid_minor"], answer["spent"]["points"]) == (0, "50")


def test_a_checkout_without_enough_points_books_nothing(shop: Shop) -> None:
    shop.api.post("/v1/purchases", bill("B-1", 1000))
    problem = shop.api.refused("POST", "/v1/purchases", bill("B-2", 500, spend_points=20), 422, "insufficient_points")
    assert (problem["field"], problem["required"], problem["available"]) == ("spend_points", "20", "10")
    shop.api.refused("GET", "/v1/purchases/number:B-2", None, 404, "purchase_not_found")


def test_a_redemption_is_reversed_in_parts_up_to_the_whole(shop: Shop) -> None:
    shop.api.post("/v1/purchases", bill("B-1", 30000))
    redemption = shop.api.post("/v1/members/external_id:C-1/redemptions", {"points": "200"})
    assert (redemption["balance"], redemption["money_minor"]) == ("100", 2000)
    path = f"/v1/redemptions/{redemption['id']}"
    assert shop.api.post(f"{path}/reversals", {"points": 50})["balance"] == "150"
    assert shop.api.get(path)["remaining"] == "150"
    shop.api.refused("POST", f"{path}/reversals", {"points": 151}, 422, "reversal_exceeds_redemption", "points")
    assert shop.api.post(f"{path}/reversals", {})["points"] == "150"
    shop.api.refused("POST", f"{path}/reversals", {}, 409, "already_reversed")
    listed = shop.api.get("/v1/members/external_id:C-1/redemptions")["data"]
    assert [(one["points"], one["reversed"]) for one in listed] == [("200", "200")]


def test_a_return_takes_what_was_earned_and_restores_what_was_spent(shop: Shop) -> None:
    shop.api.post("/v1/purchases", bill("B-1", 30000))
    shop.api.post("/v1/purchases", bill("B-2", 10000, spend_points=200))
    answer = shop.api.post("/v1/purchases/number:B-2/returns", {"number": "R-1", "reason": "Broken"})
    assert (answer["points_returned"], answer["points_restored"]) == ("80", "200")
    assert answer["balances"][0]["points"] == "300"
    assert shop.api.get("/v1/purchases/number:B-2")["returns"] == [answer]
    shop.api.refused("POST", "/v1/purchases/number:B-2/returns", {"number": "R-2"}, 409, "already_returned")


def test_balances_tell_spendable_promised_on_hold_and_expiring_apart(api: Api) -> None:
    rules = [
        {"kind": "per_amount", "code": "base", "points": "1", "amount_minor": 100},
        {"kind": "fixed", "code": "later", "points": "7", "points_category": "promised"},
    ]
    shop = set_up(api, earning_rules=rules, expiry={"kind": "days", "count": 10})
    api.post("/v1/purchases", bill("B-1", 5000))
    balances = api.get(f"/v1/members/{shop.member}/balances", expiring_within_days=20)["programs"][0]
    assert balances["regular"]["spendable"] == balances["regular"]["expiring_soon"]["points"] == "50"
    assert balances["regular"]["expiring_soon"]["next_at"].endswith("T23:59:59Z")
    assert balances["promised"]["balance"] == "7"
    assert balances["regular"]["on_hold"] == balances["trigger_based"]["balance"] == "0"
    soon = api.get(f"/v1/members/{shop.member}/balances", expiring_within_days=5)["programs"][0]
    assert soon["regular"]["expiring_soon"]["points"] == "0"


def test_what_has_ended_cannot_be_spent_and_is_posted_on_demand(api: Api) -> None:
    shop = set_up(api, expiry={"kind": "days", "count": 1})
    three_days_ago = (datetime.now(UTC) - timedelta(hours=70)).isoformat()
    earned = api.post("/v1/purchases", bill("B-1", 5000, event_at=three_days_ago))
    assert earned["earned"][0]["points"] == "50"
    assert api.get(f"/v1/members/{shop.member}/balances")["programs"][0]["regular"]["spendable"] == "0"
    api.post(f"/v1/members/{shop.member}/expiries", {}, 200)
    names = [event["name"] for event in api.get(f"/v1/members/{shop.member}/points-ledger")["events"]]
    assert names == ["PointsExpiry", "TransactionAdd", "CustomerRegistration"]
    assert api.post(f"/v1/members/{shop.member}/expiries", {}, 200) == {"lots": 0, "points": "0", "more": False}


def test_goodwill_needs_a_reason_and_shows_it(shop: Shop) -> None:
    shop.api.refused("POST", "/v1/members/number:1/awards", {"points": 5}, 400, "missing_field", "reason")
    shop.api.post("/v1/members/email:ADA@example.com/awards", {"points": 5, "reason": "Broken eggs"})
    newest = shop.api.get(f"/v1/members/{shop.member}/points-ledger")["events"][0]
    assert (newest["name"], newest["reason"], newest["points_on_event"]) == ("GoodwillAward", "Broken eggs", "5")


def test_a_purchase_pays_from_the_members_wallet_in_the_same_commit(shop: Shop) -> None:
    blnk = {"x-blnk-key": ADMIN_KEY}
    ledger = shop.api.call("POST", "/blnk/ledgers", {"name": "Wallets"}, headers=blnk).json()
    wallet = {"ledger_id": ledger["ledger_id"], "currency": "USD", "identity_id": "idt_" + shop.member[4:]}
    balance = shop.api.call("POST", "/blnk/balances", wallet, headers=blnk).json()
    funding = {
        "precise_amount": 5000,
        "precision": 100,
        "currency": "USD",
        "reference": "fund-1",
        "description": "funding",
        "source": "@World",
        "destination": balance["balance_id"],
        "allow_overdraft": True,
        "skip_queue": True,
    }
    funded = shop.api.call("POST", "/blnk/transactions", funding, headers=blnk)
    assert funded.json()["status"] == "APPLIED", funded.text
    shop.api.post("/v1/purchases", bill("B-1", 1999, wallet=balance["balance_id"]))
    other = shop.api.get(f"/v1/members/{shop.member}/balances")["other"]
    assert [(one["asset"], one["balance_minor"]) for one in other] == [("USD", 3001)]
    too_much = bill("B-2", 9999, wallet=balance["balance_id"])
    shop.api.refused("POST", "/v1/purchases", too_much, 422, "insufficient_funds", "wallet")


def test_a_guests_purchase_is_booked_and_earns_nothing(shop: Shop) -> None:
    guest = bill("B-1", 1999)
    del guest["member"]
    answer = shop.api.post("/v1/purchases", guest)
    assert (answer["member"], answer["earned"], answer["balances"]) == (None, [], [])


def test_points_with_decimals_are_exact(api: Api) -> None:
    rules = [{"kind": "per_amount", "code": "base", "points": "0.1", "amount_minor": 3, "mode": "proportional"}]
    set_up(api, scale=3, earning_rules=rules)
    assert api.post("/v1/purchases", bill("B-1", 1000))["earned"][0]["points"] == "33.333"
    assert api.post("/v1/members/number:1/redemptions", {"points": "0.333"})["balance"] == "33.000"


def test_a_changed_program_earns_by_its_new_version(shop: Shop) -> None:
    shop.api.post("/v1/purchases", bill("B-1", 1000))
    double = {"kind": "multiplier", "code": "double", "factor": "2"}
    base = {"kind": "per_amount", "code": "base", "points": "1", "amount_minor": 100}
    changed = shop.api.patch("/v1/programs/classic", {"earning_rules": [base, double]})
    assert (changed["version"], changed["redemption_rate"]) == (2, {"points": "10", "money_minor": 100})
    assert changed["earning_rules"][1]["factor"] == "2"
    answer = shop.api.post("/v1/purchases", bill("B-2", 1000))
    assert answer["balances"][0]["points"] == "30"
    assert {earned["program_version"] for earned in answer["earned"]} == {2}


def test_a_blocked_member_neither_earns_nor_spends(shop: Shop) -> None:
    assert shop.api.patch("/v1/members/external_id:C-1", {"status": "blocked"})["status"] == "blocked"
    shop.api.refused("POST", "/v1/purchases", bill("B-1", 1000), 409, "member_blocked", "member")
    shop.api.refused("POST", "/v1/members/number:1/redemptions", {"points": 1}, 409, "member_blocked")


def test_a_member_is_found_by_every_identifier(shop: Shop) -> None:
    shop.api.patch(f"/v1/members/{shop.member}", {"mobile": "+49 (0)30 1234", "card": "ab-12", "email": None})
    found = shop.api.get("/v1/members/external_id:C-1")
    assert (found["mobile"], found["card"], found["email"]) == ("490301234", "AB12", None)
    for selector in (shop.member, "number:1", "mobile:490301234", "card:AB 12"):
        assert shop.api.get(f"/v1/members/{selector}") == found
    shop.api.refused("GET", "/v1/members/email:ada@example.com", None, 404, "member_not_found", "member")
    shop.api.refused("POST", "/v1/members", {"card": "ab12"}, 409, "identifier_taken", "card")
