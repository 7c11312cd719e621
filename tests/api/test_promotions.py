"""Promotions over HTTP: written, run, evaluated, used in purchases and beside them, and given back."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.conftest import Api, Shop, served, set_up
from tests.conftest import Database


def percent(ppm: int = 100_000, **more: Any) -> dict[str, Any]:
    return {"name": "Ten percent", "status": "active", "effects": [{"type": "percent", "ppm": ppm}], **more}


def above(cents: int) -> dict[str, Any]:
    return {"type": "cart", "kpi": "subtotal", "operator": "more_than", "value": cents}


def cart(cents: int, /, **more: Any) -> dict[str, Any]:
    return {"currency": "USD", "lines": [{"sku": "A", "amount_minor": cents}], **more}


def bill(number: str, cents: int, /, **more: Any) -> dict[str, Any]:
    return {"number": number, "promotions": True, **cart(cents, **more)}


def code(api: Api, text: str, promotion: dict[str, Any]) -> None:
    """A word that everybody may present."""
    path = f"/v1/promotions/{promotion['id']}/codes/batches"
    batch = api.post(path, {"name": text})
    assert api.post(f"{path}/{batch['id']}/uploads", {"codes": [text]}, status=200)["added"] == 1


def test_a_promotion_is_off_the_bill_and_what_is_left_earns(shop: Shop) -> None:
    promotion = shop.api.post("/v1/promotions", percent(condition=above(10_000)))
    answer = shop.api.post("/v1/purchases", bill("B-1", 20_000, member="external_id:C-1"))
    assert (answer["amount_minor"], answer["discount_minor"], answer["paid_minor"]) == (20_000, 2_000, 18_000)
    assert answer["balances"][0]["points"] == "180"
    assert [(each["promotion"], each["discount_minor"]) for each in answer["promotions"]] == [(promotion["id"], 2_000)]
    found = shop.api.get("/v1/purchases/number:B-1")
    assert {name: found[name] for name in answer} == answer
    assert shop.api.post("/v1/purchases", bill("B-1", 20_000, member="external_id:C-1")) == answer
    assert shop.api.get(f"/v1/promotions/{promotion['id']}")["totals"]["purchases"] == 1


def test_a_bill_that_does_not_ask_for_promotions_is_taken_as_it_is(shop: Shop) -> None:
    shop.api.post("/v1/promotions", percent())
    answer = shop.api.post("/v1/purchases", bill("B-1", 20_000) | {"promotions": False})
    assert (answer["paid_minor"], answer["promotions"]) == (20_000, [])


def test_points_pay_what_promotions_leave(shop: Shop) -> None:
    shop.api.post("/v1/purchases", bill("B-0", 100_000, member="external_id:C-1"))
    shop.api.post("/v1/promotions", percent(500_000))
    answer = shop.api.post("/v1/purchases", bill("B-1", 1_000, member="external_id:C-1", spend_points="100"))
    assert (answer["discount_minor"], answer["spent"]["points"], answer["paid_minor"]) == (500, "50", 0)


def test_the_founding_example_at_the_border(shop: Shop) -> None:
    promotion = shop.api.post("/v1/promotions", percent(kind="code", condition=above(10_000)))
    code(shop.api, "ZN34C", promotion)
    at = shop.api.post("/v1/promotions/evaluate", cart(10_000, codes=["ZN34C"]), status=200)
    assert (at["payable_minor"], at["applied"]) == (10_000, [])
    assert at["nearest"][0]["misses"][0]["missing"] == 1
    refusal = shop.api.refused(
        "POST", "/v1/purchases", bill("B-1", 10_000, codes=["zn34-c"]), 422, "code_not_applied", "codes[0]"
    )
    assert refusal["reason"] == "condition_not_met"
    over = shop.api.post("/v1/purchases", bill("B-1", 10_001, codes=["zn34-c"]))
    assert (over["discount_minor"], over["paid_minor"]) == (1_000, 9_001)
    used_up = shop.api.refused("POST", "/v1/purchases", bill("B-2", 10_001, codes=["ZN34C"]), 422, "code_not_applied")
    assert used_up["reason"] == "limit_reached"
    uses = shop.api.get(f"/v1/promotions/{promotion['id']}/uses")["data"]
    assert [(use["code"], use["reference"], use["purchase"]) for use in uses] == [("ZN34C", "B-1", over["id"])]


def test_what_is_wrong_with_a_promotion_is_told_place_by_place(api: Api) -> None:
    wrong = percent(condition={"type": "all", "of": [above(1), {"type": "cart", "kpi": "weight", "value": 1}]})
    problem = api.refused("POST", "/v1/promotions", wrong, 400, "invalid_promotion")
    assert problem["field"].startswith("condition.of[1]"), problem
    problem = api.refused("POST", "/v1/promotions", percent(2_000_000), 400, "invalid_promotion")
    assert problem["faults"][0]["field"] == "effects[0].ppm"
    api.refused("POST", "/v1/promotions", percent(colour="red"), 400, "invalid_promotion", "colour")
    api.refused("POST", "/v1/promotions", percent(id="x"), 400, "invalid_promotion", "id")
    api.refused("POST", "/v1/promotions", percent(status="ended"), 400, "invalid_promotion", "status")
    past = {"type": "history", "kpi": "points", "value": 1}
    api.refused("POST", "/v1/promotions", percent(condition=past), 400, "invalid_promotion", "condition.kpi")


def test_a_promotion_in_its_life(shop: Shop) -> None:
    api = shop.api
    made = api.post("/v1/promotions", percent(status="draft"))
    path = f"/v1/promotions/{made['id']}"
    assert (made["status"], made["version"]) == ("draft", 1)
    assert api.post("/v1/promotions/evaluate", cart(1_000), status=200)["discount_minor"] == 0
    api.refused("POST", f"{path}/pause", None, 409, "promotion_not_active")
    assert api.post(f"{path}/activate", {}, status=200)["version"] == 2
    assert api.post("/v1/promotions/evaluate", cart(1_000), status=200)["discount_minor"] == 100
    changed = api.patch(path, {"effects": [{"type": "percent", "ppm": 200_000}]})
    assert (changed["version"], changed["status"], changed["created_at"]) == (3, "active", made["created_at"])
    assert api.post("/v1/promotions/evaluate", cart(1_000), status=200)["discount_minor"] == 200
    api.post(f"{path}/pause", None, status=200)
    assert api.post("/v1/promotions/evaluate", cart(1_000), status=200)["discount_minor"] == 0
    copy = api.post(f"{path}/copies", {"name": "Another"})
    assert (copy["name"], copy["status"], copy["terms"]["effects"]) == (
        "Another",
        "draft",
        changed["terms"]["effects"],
    )
    api.post(f"{path}/end", None, status=200)
    api.refused("POST", f"{path}/activate", {}, 409, "promotion_ended")
    versions = api.get(f"{path}/versions", limit=3)
    assert [each["version"] for each in versions["data"]] == [5, 4, 3]
    rest = api.get(f"{path}/versions", limit=3, cursor=versions["next_cursor"])
    assert [each["version"] for each in rest["data"]] == [2, 1]
    changes = [sorted(each["changed"]) for each in (*versions["data"], *rest["data"])]
    assert changes == [["status"], ["status"], ["effects"], ["status"], []]
    assert versions["data"][1]["changed"]["status"] == {"before": "active", "after": "paused"}
    assert versions["data"][2]["changed"]["effects"]["after"][0]["ppm"] == 200_000
    assert [each["id"] for each in api.get("/v1/promotions")["data"]] == [copy["id"], made["id"]]
    assert [each["id"] for each in api.get("/v1/promotions", status="ended")["data"]] == [made["id"]]
    soon = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    api.post(f"/v1/promotions/{copy['id']}/activate", {"starts_at": soon}, status=200)
    later = api.post("/v1/promotions/evaluate", cart(1_000, everything=True), status=200)
    assert [each["reason"] for each in later["others"]] == ["not_started"]


def test_points_of_a_promotion_are_a_lot_of_their_own_and_go_back_with_the_goods(shop: Shop) -> None:
    api = shop.api
    extra = {"name": "Extra", "status": "active", "kind": "points", "effects": [{"type": "points", "points": 100}]}
    promotion = api.post("/v1/promotions", extra)
    answer = api.post("/v1/purchases", bill("B-1", 10_000, member="external_id:C-1"))
    rule = f"promotion:{promotion['id'].removeprefix('prm_')}"
    assert [(each["rule"], each["points"]) for each in answer["earned"]] == [("base", "100"), (rule, "100")]
    back = api.post("/v1/purchases/number:B-1/returns", {"number": "R-1"})
    assert (back["points_returned"], back["balances"][0]["points"]) == ("200", "0")


def test_a_return_gives_the_discounted_price_back_and_the_use_where_the_promotion_says_so(shop: Shop) -> None:
    once = [{"code": "once", "kpi": "purchases", "limit": 1}]
    api = shop.api
    promotion = api.post("/v1/promotions", percent(limits=once, on_return="give_back"))
    lines = [{"sku": "A", "quantity": "3", "amount_minor": 1_000}, {"sku": "B", "amount_minor": 500}]
    answer = api.post("/v1/purchases", {"number": "B-1", "currency": "USD", "promotions": True, "lines": lines})
    assert answer["paid_minor"] == 1_350
    paid = [
        api.post("/v1/purchases/B-1/returns".replace("B-1", "number:B-1"), body)["paid_minor"]
        for body in (
            {"number": "R-1", "lines": [{"line": 1, "quantity": "1"}]},
            {"number": "R-2", "lines": [{"line": 1, "quantity": "2"}]},
        )
    ]
    assert paid == [300, 600]
    assert api.post("/v1/purchases", bill("B-2", 1_000))["discount_minor"] == 0
    assert api.post("/v1/purchases/number:B-1/returns", {"number": "R-3"})["paid_minor"] == 450
    assert api.get(f"/v1/promotions/{promotion['id']}")["totals"]["purchases"] == 0
    assert api.post("/v1/purchases", bill("B-3", 1_000))["discount_minor"] == 100
    kept = [use["gives_back"] is None for use in api.get(f"/v1/promotions/{promotion['id']}/uses")["data"]]
    assert kept == [True, False, True]


def test_a_reservation_keeps_the_last_use_for_its_cart(shop: Shop) -> None:
    api = shop.api
    api.post("/v1/promotions", percent(limits=[{"code": "one", "kpi": "purchases", "limit": 1}]))
    mine = api.post("/v1/promotions/evaluate", cart(1_000, cart="mine", reserve_seconds=600), status=200)
    assert mine["reservation"] is not None
    assert api.post("/v1/promotions/evaluate", cart(1_000, cart="other"), status=200)["discount_minor"] == 0
    stale = bill("B-1", 2_000, reservation=mine["reservation"]["id"])
    api.refused("POST", "/v1/purchases", stale, 409, "evaluation_stale")
    again = api.post("/v1/promotions/evaluate", cart(2_000, cart="mine", reserve_seconds=600), status=200)
    assert again["discount_minor"] == 200
    api.refused("POST", "/v1/purchases", stale, 409, "evaluation_stale")
    bought = api.post("/v1/purchases", bill("B-1", 2_000, reservation=again["reservation"]["id"]))
    assert bought["discount_minor"] == 200
    api.refused(
        "POST", "/v1/purchases", bill("B-2", 2_000, reservation=again["reservation"]["id"]), 409, "evaluation_stale"
    )
    assert api.post("/v1/purchases", bill("B-3", 1_000))["discount_minor"] == 0


def test_a_cancelled_reservation_frees_its_use_at_once(shop: Shop) -> None:
    api = shop.api
    api.post("/v1/promotions", percent(limits=[{"code": "one", "kpi": "uses", "limit": 1}]))
    kept = api.post("/v1/promotions/evaluate", cart(1_000, reserve_seconds=600), status=200)["reservation"]["id"]
    assert api.post("/v1/promotions/evaluate", cart(1_000), status=200)["discount_minor"] == 0
    assert api.client.delete(f"/v1/promotions/reservations/{kept}").status_code == 204
    assert api.client.delete(f"/v1/promotions/reservations/{kept}").status_code == 204
    assert api.post("/v1/promotions/evaluate", cart(1_000), status=200)["discount_minor"] == 100
    api.refused("DELETE", "/v1/promotions/reservations/rsv_1", None, 404, "reservation_not_found")


@pytest.fixture
def clock() -> list[datetime]:
    return [datetime(2026, 11, 20, 12, tzinfo=UTC)]


@pytest.fixture
def timed(database: Database, clock: list[datetime]) -> Iterator[Shop]:
    with served(database, now=lambda: clock[0]) as url:
        yield set_up(Api(url))


def test_a_reservation_ends_by_itself(timed: Shop, clock: list[datetime]) -> None:
    api = timed.api
    api.post("/v1/promotions", percent(limits=[{"code": "one", "kpi": "uses", "limit": 1}]))
    kept = api.post("/v1/promotions/evaluate", cart(1_000, cart="x", reserve_seconds=60), status=200)
    clock[0] += timedelta(seconds=59)
    assert api.post("/v1/promotions/evaluate", cart(1_000), status=200)["discount_minor"] == 0
    clock[0] += timedelta(seconds=1)
    late = bill("B-1", 1_000, reservation=kept["reservation"]["id"])
    api.refused("POST", "/v1/purchases", late, 409, "evaluation_stale")
    assert api.post("/v1/purchases", bill("B-1", 1_000))["discount_minor"] == 100


def test_rolling_and_calendar_windows_count_what_falls_into_them(timed: Shop, clock: list[datetime]) -> None:
    api = timed.api
    rolling = {"code": "two in three days", "kpi": "purchases", "limit": 2, "window": "rolling", "days": 3}
    daily = {"code": "one a day", "kpi": "purchases", "limit": 1, "window": "day", "per": "customer"}
    api.post("/v1/promotions", percent(limits=[rolling, daily]))
    given = []
    for day in range(6):
        for each in range(2):
            number = f"B-{day}-{each}"
            answer = api.post("/v1/purchases", bill(number, 1_000, member="external_id:C-1"))
            given.append(answer["discount_minor"])
        clock[0] += timedelta(days=1)
    assert given == [100, 0, 100, 0, 0, 0, 100, 0, 100, 0, 0, 0]


def test_a_shop_that_keeps_its_own_sales_commits_carts(shop: Shop) -> None:
    api = shop.api
    effects = [{"type": "percent", "ppm": 100_000}, {"type": "points", "points": 50}]
    promotion = api.post("/v1/promotions", {"name": "Both", "status": "active", "effects": effects})
    body = {"number": "WEB-1", **cart(1_000, member="external_id:C-1", shipping_minor=300)}
    answer = api.post("/v1/promotions/commits", body)
    assert (answer["discount_minor"], answer["payable_minor"], answer["points"]) == (100, 1_200, "50")
    assert answer["balances"][0]["points"] == "50"
    assert api.post("/v1/promotions/commits", body) == answer
    api.refused("POST", "/v1/promotions/commits", {**body, "shipping_minor": 0}, 409, "number_taken")
    uses = api.get(f"/v1/promotions/{promotion['id']}/uses")["data"]
    assert [(use["reference"], use["purchase"], use["event_log_id"]) for use in uses] == [
        ("WEB-1", None, answer["event_log_id"])
    ]


def test_lanes_say_how_promotions_go_together(shop: Shop) -> None:
    api = shop.api
    ten = api.post("/v1/promotions", percent(name="Ten"))
    api.post("/v1/promotions", percent(200_000, name="Twenty"))
    assert api.post("/v1/promotions/evaluate", cart(1_000), status=200)["discount_minor"] == 280
    assert api.post("/v1/promotion-lanes", {"number": 0, "mode": "best"}, status=200) == api.get("/v1/promotion-lanes")
    best = api.post("/v1/promotions/evaluate", cart(1_000), status=200)
    assert best["discount_minor"] == 200
    assert [(v["promotion"], v["status"], v["reason"]) for v in best["others"]] == [
        (ten["id"], "parked", "other_was_better")
    ]
    assert api.post("/v1/purchases", bill("B-1", 1_000))["discount_minor"] == 200
    api.refused("POST", "/v1/promotion-lanes", {"number": 0, "mode": "worst"}, 400, "invalid_value", "mode")


def test_a_dry_run_writes_nothing(shop: Shop) -> None:
    api = shop.api
    promotion = api.post("/v1/promotions", percent(limits=[{"code": "one", "kpi": "uses", "limit": 1}]))
    for _ in range(3):
        assert api.post("/v1/promotions/evaluate", cart(1_000), status=200)["discount_minor"] == 100
    assert api.get(f"/v1/promotions/{promotion['id']}")["totals"]["uses"] == 0


def test_a_budget_is_spent_to_the_cent_by_whoever_comes_first(shop: Shop) -> None:
    api = shop.api
    budget = {"code": "autumn", "limit": 1_050, "on_exceed": "partial"}
    first = api.post("/v1/promotions", percent(name="One", budget=budget))
    second = api.post("/v1/promotions", percent(name="Two", budget=budget, lane=1))

    def buy(number: int) -> int:
        discount: int = Api(api.url).post("/v1/purchases", bill(f"B-{number}", 1_000))["discount_minor"]
        return discount

    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(buy, range(20)))
    assert sum(given) == 1_050
    totals = [api.get(f"/v1/promotions/{each['id']}")["totals"]["discount_minor"] for each in (first, second)]
    assert sum(totals) == 1_050
