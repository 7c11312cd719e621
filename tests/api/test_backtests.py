"""Backtests over HTTP: asked for, done in a process of their own, looked at, cancelled."""

from __future__ import annotations

import time
from typing import Any

from tests.api.conftest import Api, Shop, served, set_up
from tests.api.test_promotions import above, bill, percent
from tests.conftest import Database

PERIOD = {"since": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}
DRAFT = {name: value for name, value in percent(condition=above(10_000)).items() if name != "status"}


def over(shop: Shop, id: str) -> Any:
    """The backtest, once it is over."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = shop.api.get(f"/v1/backtests/{id}")
        if found["status"] not in ("waiting", "running"):
            return found
        time.sleep(0.1)
    raise AssertionError(found)


def test_a_draft_is_tried_on_what_was_bought(shop: Shop) -> None:
    for number, cents in enumerate((20_000, 10_000, 10_001)):
        shop.api.post("/v1/purchases", bill(f"B-{number}", cents, member="external_id:C-1") | {"promotions": False})
    asked = shop.api.post("/v1/backtests", {**PERIOD, "promotion": DRAFT}, 202)
    assert (asked["name"], asked["report"], asked["asked"]["currency"]) == ("Ten percent", None, "USD")
    found = over(shop, asked["id"])
    assert (found["status"], found["purchases_done"], found["purchases"]) == ("finished", 3, 3)
    report = found["report"]
    assert (report["gives"]["purchases"], report["gives"]["discount"]) == (2, 3_000)
    assert report["refused"] == {"condition_not_met": 1}
    assert report["winners"][0]["member"] == shop.member
    assert shop.api.get("/v1/promotions")["data"] == [], "nothing came of it but the report"
    (listed,) = shop.api.get("/v1/backtests")["data"]
    assert listed == {name: found[name] for name in listed}
    stored = shop.api.post("/v1/promotions", DRAFT)
    again = shop.api.post("/v1/backtests", {**PERIOD, "promotion": stored["id"]}, 202)
    assert over(shop, again["id"])["report"]["gives"] == report["gives"]
    rules = [{"kind": "per_amount", "code": "base", "points": "2", "amount_minor": 100}]
    other = shop.api.post("/v1/backtests", {**PERIOD, "earning_rules": rules}, 202)
    change = over(shop, other["id"])["report"]["change"]
    assert (change["points"], change["points_money"]) == (400, 4_000)


def test_what_is_wrong_is_told_at_once(shop: Shop) -> None:
    def wrong(body: Any, code: str, field: str, status: int = 400) -> None:
        shop.api.refused("POST", "/v1/backtests", {**PERIOD, **body}, status, code, field)

    wrong({}, "invalid_value", "promotion")
    wrong({"promotion": DRAFT, "until": PERIOD["since"]}, "invalid_value", "until")
    wrong({"promotion": {**DRAFT, "effects": []}}, "invalid_promotion", "promotion.effects")
    wrong({"promotion": {**DRAFT, "color": "red"}}, "invalid_promotion", "promotion.color")
    wrong({"promotion": "prm_0199b1f0-2c3e-7c11-9a52-5b7d3c000000"}, "promotion_not_found", "promotion", 404)
    wrong({"promotion": DRAFT, "program": "none"}, "program_not_found", "program", 404)
    wrong({"promotion": DRAFT, "currency": "CHF"}, "asset_not_found", "currency", 404)
    wrong({"promotion": DRAFT, "take_up_ppm": 1_000_001}, "invalid_value", "take_up_ppm")
    same = {"kind": "fixed", "code": "a", "points": "1"}
    wrong({"earning_rules": [same, same]}, "code_taken", "earning_rules[1].code", 409)
    missing = "bkt_0199b1f0-2c3e-7c11-9a52-5b7d3c000000"
    for method, path in (("GET", missing), ("POST", f"{missing}/cancel"), ("GET", "anything")):
        shop.api.refused(method, f"/v1/backtests/{path}", None, 404, "backtest_not_found", "backtest")


def test_the_same_key_asks_for_one_backtest(shop: Shop) -> None:
    body = {**PERIOD, "promotion": DRAFT}
    headers = {"idempotency-key": "k-1"}
    first, second = (shop.api.call("POST", "/v1/backtests", body, headers=headers).json() for _ in range(2))
    assert first["id"] == second["id"]
    other = shop.api.call("POST", "/v1/backtests", {**body, "live": False}, headers=headers)
    assert other.json()["code"] == "idempotency_key_reused"
    over(shop, first["id"])


def test_a_cancelled_one_is_not_begun(database: Database) -> None:
    with served(database) as url:
        shop = set_up(Api(url))
        ids = [shop.api.post("/v1/backtests", {**PERIOD, "promotion": DRAFT}, 202)["id"] for _ in range(2)]
        cancelled = shop.api.post(f"/v1/backtests/{ids[1]}/cancel", None, 200)
        assert cancelled["status"] == "cancelled"
        assert over(shop, ids[0])["status"] == "finished"
        assert shop.api.post(f"/v1/backtests/{ids[0]}/cancel", None, 200)["status"] == "finished"
        assert shop.api.get(f"/v1/backtests/{ids[1]}")["report"] is None
