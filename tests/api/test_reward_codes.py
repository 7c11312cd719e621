"""Codes as rewards over HTTP: the next free one, under races, and what becomes of it when the claim is taken back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from guerdon.audit.verify import audit
from tests.api.conftest import Api, Shop, served
from tests.api.test_codes import LINK, batches, bill, bring, promotion
from tests.api.test_rewards import AMY, a_list, balance, give
from tests.conftest import Database


def code_reward(shop: Shop, *codes: str, listed: str = "", **fields: Any) -> tuple[str, str]:
    """A reward of these codes, and their promotion."""
    ten = promotion(shop.api)
    batch = bring(shop.api, ten, *codes)
    body = {"list": listed or a_list(shop), "name": "Ten off", "kind": "discount_code", "code_batch": batch, **fields}
    return str(shop.api.post("/v1/rewards", body)["id"]), ten


def claim(shop: Shop, reward: str, member: str = AMY) -> Any:
    return shop.api.post(f"{member}/claims", {"reward": reward})


def test_a_claim_hands_out_the_next_free_code_and_only_its_member_can_use_it(shop: Shop) -> None:
    give(shop, 100)
    shop.api.post("/v1/members", {"external_id": "C-2"})
    reward, _ = code_reward(shop, "AAA1", "BBB2", "CCC3")
    assert shop.api.get(f"/v1/rewards/{reward}")["stock"] == 3
    first, second = claim(shop, reward), claim(shop, reward)
    assert (first["code"], first["status"], second["code"]) == ("AAA1", "completed", "BBB2")
    assert shop.api.get(f"/v1/claims/{first['id']}")["code"] == "AAA1"
    (left,) = second["rewards"]["data"]
    assert (left["stock"], left["affordable_count"]) == (1, 1)
    shop.api.refused("POST", "/v1/purchases", bill("B-1", 1000, "AAA1", "external_id:C-2"), 422, "code_not_applied")
    bought = shop.api.post("/v1/purchases", bill("B-2", 1000, "AAA1"))
    assert bought["discount_minor"] == 100


def test_generated_codes_are_told_as_they_are_printed(shop: Shop) -> None:
    give(shop, 100)
    ten = promotion(shop.api)
    form = {"pattern": "####-####", "prefix": "ten-"}
    batch = shop.api.post(batches(ten), {"form": form, "count": 3})
    reward = shop.api.post(
        "/v1/rewards", {"list": a_list(shop), "name": "Off", "kind": "discount_code", "code_batch": batch["id"]}
    )
    made = claim(shop, reward["id"])
    printed = [row["printed"] for row in shop.api.get(f"/v1/promotions/{ten}/codes", batch=batch["id"])["data"]]
    assert made["code"] in printed
    assert "-" in made["code"]


def test_codes_that_are_linked_switched_off_or_used_are_passed_over(shop: Shop) -> None:
    give(shop, 100)
    shop.api.post("/v1/members", {"external_id": "C-2"})
    reward, _ = code_reward(shop, "AAA1", "BBB2", "CCC3", "DDD4")
    shop.api.post("/v1/codes/AAA1/deactivations", {"reason": "lost"})
    other = shop.api.get("/v1/members/external_id:C-2")["id"]
    shop.api.post(LINK, {"customerId": other, "code": "BBB2", "mode": "DISCOUNT"}, 200)
    shop.api.post("/v1/purchases", bill("B-1", 1000, "CCC3", None))
    assert claim(shop, reward)["code"] == "DDD4"
    shop.api.refused("POST", f"{AMY}/claims", {"reward": reward}, 422, "out_of_stock")


def test_out_of_codes_is_sold_out_until_more_are_brought(shop: Shop) -> None:
    give(shop, 100)
    reward, ten = code_reward(shop, "AAA1")
    claim(shop, reward)
    before = balance(shop.api)
    shop.api.refused("POST", f"{AMY}/claims", {"reward": reward}, 422, "out_of_stock")
    assert balance(shop.api) == before
    assert shop.api.get(f"{AMY}/rewards")["data"] == [], "hidden like anything that is sold out"
    batch = shop.api.get(f"/v1/rewards/{reward}")["code_batch"]
    shop.api.post(f"{batches(ten)}/{batch}/uploads", {"codes": ["BBB2"]}, 200)
    assert claim(shop, reward)["code"] == "BBB2"


def test_codes_of_a_promotion_that_has_ended_are_not_handed_out(shop: Shop) -> None:
    give(shop, 100)
    reward, ten = code_reward(shop, "AAA1")
    shop.api.post(f"/v1/promotions/{ten}/end", {}, 200)
    shop.api.refused("POST", f"{AMY}/claims", {"reward": reward}, 409, "reward_not_active")
    assert shop.api.get(f"{AMY}/rewards")["data"] == []


def test_a_claim_taken_back_gives_the_points_back_and_switches_the_code_off(database: Database, shop: Shop) -> None:
    give(shop, 10)
    reward, _ = code_reward(shop, "AAA1", "BBB2")
    made = claim(shop, reward)
    changed = shop.api.patch(f"/v1/claims/{made['id']}", {"status": "cancelled", "reason": "by mistake"})
    assert (changed["points"], changed["balance"]) == ("10", "10")
    shop.api.refused("POST", "/v1/purchases", bill("B-1", 1000, "AAA1"), 422, "code_not_applied")
    again = claim(shop, reward)
    assert again["code"] == "BBB2", "a code that was handed out is never handed out again"
    shop.api.post("/v1/purchases", bill("B-2", 1000, "BBB2"))
    shop.api.refused("PATCH", f"/v1/claims/{again['id']}", {"status": "denied"}, 409, "code_already_used", "claim")
    assert balance(shop.api) != "10"
    assert audit(database.app_dsn, tell=lambda _: None).findings == []


def test_of_200_claims_at_once_over_two_servers_each_of_70_codes_goes_to_one(database: Database, shop: Shop) -> None:
    members = [f"/v1/members/external_id:M-{number}" for number in range(10)]
    for number, member in enumerate(members):
        shop.api.post("/v1/members", {"external_id": f"M-{number}"})
        give(shop, 1_000, member)
    codes = [f"CODE{number:04}" for number in range(70)]
    reward, _ = code_reward(shop, *codes)
    with served(database) as second:
        others = Api(second)

        def one(number: int) -> str:
            api = (shop.api, others)[number % 2]
            answer = api.call("POST", f"{members[number % 10]}/claims?rewards=0", {"reward": reward})
            said = answer.json()
            assert answer.status_code == 201 or said["code"] == "out_of_stock", said
            return said["code"] if answer.status_code == 201 else ""

        with ThreadPoolExecutor(16) as pool:
            got = list(pool.map(one, range(200)))
        others.close()
    assert sorted(code for code in got if code) == codes
    assert sum(int(balance(shop.api, member)) for member in members) == 10_000 - 70 * 10
    assert audit(database.app_dsn, tell=lambda _: None).findings == []


@pytest.mark.parametrize(
    ("fields", "status", "code", "field"),
    [
        ({"kind": "discount_code"}, 404, "code_batch_not_found", "code_batch"),
        ({"kind": "discount_code", "code_batch": "cbt_x"}, 404, "code_batch_not_found", "code_batch"),
        ({"kind": "product", "code_batch": "BATCH"}, 400, "invalid_value", "code_batch"),
        ({"kind": "discount_code", "code_batch": "BATCH", "asset": "USD"}, 400, "invalid_value", "asset"),
    ],
)
def test_a_code_needs_a_batch_and_nothing_else_has_one(
    shop: Shop, fields: dict[str, Any], status: int, code: str, field: str
) -> None:
    if fields.get("code_batch") == "BATCH":
        fields = {**fields, "code_batch": bring(shop.api, promotion(shop.api), "AAA1")}
    shop.api.refused("POST", "/v1/rewards", {"list": a_list(shop), "name": "Off", **fields}, status, code, field)
