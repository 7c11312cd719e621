"""Rewards over HTTP: races for pieces and points, the same claim twice, what a member's own token may do, bad input."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from guerdon.audit.verify import audit
from tests.api.conftest import Api, Shop, served
from tests.conftest import Database

AMY = "/v1/members/external_id:C-1"


def a_list(shop: Shop, **fields: Any) -> str:
    return str(shop.api.post("/v1/reward-lists", {"name": "Things", "price": "10", **fields})["id"])


def a_reward(shop: Shop, listed: str = "", **fields: Any) -> str:
    return str(shop.api.post("/v1/rewards", {"list": listed or a_list(shop), "name": "Mug", **fields})["id"])


def give(shop: Shop, points: int, member: str = AMY) -> None:
    shop.api.post(f"{member}/awards", {"points": str(points), "reason": "test"})


def balance(api: Api, member: str = AMY) -> str:
    return str(api.get(f"{member}/balances")["programs"][0]["regular"]["balance"])


# -- races ------------------------------------------------------------------------------------------------------------


def test_of_200_claims_at_once_over_two_servers_exactly_20_get_the_20_pieces(database: Database, shop: Shop) -> None:
    reward = a_reward(shop, stock=20)
    members = [f"/v1/members/external_id:M-{number}" for number in range(10)]
    for number, member in enumerate(members):
        shop.api.post("/v1/members", {"external_id": f"M-{number}"})
        give(shop, 1_000, member)
    with served(database) as second:
        others = Api(second)

        def claim(number: int) -> tuple[int, str]:
            api = (shop.api, others)[number % 2]
            answer = api.call("POST", f"{members[number % 10]}/claims?rewards=0", {"reward": reward})
            return answer.status_code, answer.json()["code"] or ""

        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(claim, range(200)))
        others.close()
    assert sorted(answers) == [(201, "")] * 20 + [(422, "out_of_stock")] * 180
    found = shop.api.get(f"/v1/rewards/{reward}")
    assert (found["stock"], found["claimed"]) == (0, 20)
    assert sum(int(balance(shop.api, member)) for member in members) == 10_000 - 20 * 10
    assert len(shop.api.get("/v1/claims", limit=100)["data"]) == 20
    assert audit(database.app_dsn, tell=lambda _: None).findings == []


def test_claims_and_redemptions_at_once_share_the_points_of_one_member(database: Database, shop: Shop) -> None:
    reward = a_reward(shop, price="30")
    give(shop, 100)

    def spend(number: int) -> tuple[int, str]:
        path, body = (f"{AMY}/claims?rewards=0", {"reward": reward})
        if number % 2:
            path, body = f"{AMY}/redemptions", {"points": "30"}
        answer = shop.api.call("POST", path, body)
        return answer.status_code, answer.json().get("code") or ""

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(spend, range(24)))
    assert sorted(answers) == [(201, "")] * 3 + [(422, "insufficient_points")] * 21
    assert balance(shop.api) == "10"
    assert audit(database.app_dsn, tell=lambda _: None).findings == []


def test_the_limit_of_a_member_holds_when_claims_come_at_once(shop: Shop) -> None:
    reward = a_reward(shop, limit_per_member=3)
    give(shop, 1_000)
    with ThreadPoolExecutor(8) as pool:
        codes = list(
            pool.map(lambda _: shop.api.call("POST", f"{AMY}/claims", {"reward": reward}).status_code, range(16))
        )
    assert sorted(codes) == [201] * 3 + [422] * 13
    assert balance(shop.api) == "970"


# -- claims -----------------------------------------------------------------------------------------------------------


def test_a_claim_answers_with_the_balance_and_the_rewards_as_they_look_now(shop: Shop) -> None:
    reward = a_reward(shop, stock=2, pictures=["https://cdn.example.com/mug.jpg"])
    give(shop, 25)
    (seen,) = shop.api.get(f"{AMY}/rewards")["data"]
    assert (seen["id"], seen["affordable_count"], seen["price"]) == (reward, 2, "10")
    assert seen["pictures"] == ["https://cdn.example.com/mug.jpg"]
    claim = shop.api.post(f"{AMY}/claims", {"reward": reward})
    assert (claim["status"], claim["points"], claim["balance"]) == ("pending", "10", "15")
    assert [(each["affordable_count"], each["stock"]) for each in claim["rewards"]["data"]] == [(1, 1)]
    found = shop.api.get(f"/v1/claims/{claim['id']}")
    assert (found["reward_name"], found["member"], found["status"]) == ("Mug", shop.member, "pending")


def test_the_same_claim_under_one_key_is_made_once(shop: Shop) -> None:
    reward = a_reward(shop)
    give(shop, 100)
    key = {"idempotency-key": "once"}
    answers = [shop.api.call("POST", f"{AMY}/claims?rewards=0", {"reward": reward}, headers=key) for _ in range(3)]
    assert len({answer.text for answer in answers}) == 1
    assert [answer.headers.get("idempotency-replayed") for answer in answers] == [None, "true", "true"]
    assert balance(shop.api) == "90"


def test_rewards_and_claims_are_paged_without_gaps(shop: Shop) -> None:
    first, second = a_list(shop, priority=2), a_list(shop, priority=1)
    made = [a_reward(shop, listed, name=f"R-{n}") for listed in (second, first) for n in range(3)]
    a_reward(shop, first, price="1000")  # hidden
    give(shop, 100)
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = shop.api.get(f"{AMY}/rewards", limit=2, **cursor)
        seen += [each["id"] for each in page["data"]]
        assert len(page["data"]) <= 2
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == made
    claimed = [shop.api.post(f"{AMY}/claims", {"reward": reward})["id"] for reward in made[:3]]
    page = shop.api.get(f"{AMY}/claims", limit=2)
    rest = shop.api.get(f"{AMY}/claims", limit=2, cursor=page["next_cursor"])
    assert [each["id"] for each in page["data"] + rest["data"]] == claimed[::-1]
    shop.api.patch(f"/v1/claims/{claimed[0]}", {"status": "processing"})
    assert [each["id"] for each in shop.api.get("/v1/claims", status="processing")["data"]] == [claimed[0]]
    shop.api.refused("GET", f"{AMY}/rewards?cursor=abc", None, 400, "invalid_cursor")


def test_a_refusal_tells_what_is_missing(shop: Shop) -> None:
    reward = a_reward(shop, price="40")
    give(shop, 15)
    problem = shop.api.refused("POST", f"{AMY}/claims", {"reward": reward}, 422, "insufficient_points")
    assert (problem["required"], problem["available"], problem["shortfall"]) == ("40", "15", "25")


# -- a member's own token ---------------------------------------------------------------------------------------------


@pytest.fixture
def own(shop: Shop) -> Api:
    """The browser of the shop's member."""
    made = shop.api.post("/v1/member-tokens", {"member": "external_id:C-1"})
    assert made["member"] == shop.member
    return shop.api.with_key(made["token"])


def test_a_member_reads_and_claims_for_itself(shop: Shop, own: Api) -> None:
    reward = a_reward(shop)
    give(shop, 25)
    assert balance(own, "/v1/members/me") == "25"
    assert [each["id"] for each in own.get("/v1/members/me/rewards")["data"]] == [reward]
    claim = own.post(f"/v1/members/{shop.member}/claims", {"reward": reward})
    assert claim["balance"] == "15"
    assert [each["id"] for each in own.get("/v1/members/me/claims")["data"]] == [claim["id"]]
    events = own.get("/v1/members/me/points-ledger")["events"]
    assert events[0]["name"] == "RewardClaim"
    assert own.get("/v1/members/me/points-ledger/closing-balance")
    own.close()


def test_a_members_token_says_nothing_of_others(shop: Shop, own: Api) -> None:
    other = shop.api.post("/v1/members", {"external_id": "C-2"})["id"]
    reward = a_reward(shop, price="0")
    for name in (other, "external_id:C-2", "number:2", "external_id:C-1", "you"):
        own.refused("POST", f"/v1/members/{name}/claims", {"reward": reward}, 404, "member_not_found")
        for path in ("balances", "points-ledger", "points-ledger/closing-balance", "rewards", "claims"):
            own.refused("GET", f"/v1/members/{name}/{path}", None, 404, "member_not_found")
    assert shop.api.get("/v1/claims")["data"] == []
    own.close()


def test_a_members_token_opens_nothing_else(shop: Shop, own: Api) -> None:
    document = shop.api.get("/openapi.json")
    opened = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if operation.get("security") == []:
                continue
            url = path.replace("{member}", "me")
            answer = own.call(method.upper(), url, {} if method in ("post", "patch") else None)
            if answer.status_code != 403:
                opened.append(f"{method} {path}")
    ledger = "/v1/members/{member}/points-ledger"
    assert sorted(opened) == [
        "get /v1/members/{member}/balances",
        "get /v1/members/{member}/claims",
        f"get {ledger}",
        f"get {ledger}/closing-balance",
        "get /v1/members/{member}/promotions",
        "get /v1/members/{member}/rewards",
        "get /v1/members/{member}/tiers",
        "get /v1/members/{member}/tiers/history",
        "post /v1/members/{member}/claims",
        "post /v1/members/{member}/promotions/{issue}/activate",
    ]
    blnk = own.call("GET", "/blnk/ledgers", headers={"x-blnk-key": own.key})
    assert blnk.status_code in (401, 403)
    own.close()


def test_a_token_ends_with_its_time_with_its_key_and_with_any_change_of_it(database: Database) -> None:
    clock = [datetime(2027, 1, 1, tzinfo=UTC)]
    with served(database, now=lambda: clock[0]) as url:
        admin = Api(url)
        admin.post("/v1/members", {"external_id": "C-1"})
        key = admin.post("/v1/keys", {"name": "site", "scopes": ["member-tokens:write"]})
        site = admin.with_key(key["key"])
        short = site.post("/v1/member-tokens", {"member": "external_id:C-1", "lifetime_s": 60})["token"]
        long = site.post("/v1/member-tokens", {"member": "external_id:C-1", "lifetime_s": 3600})["token"]
        clients = [admin.with_key(token) for token in (short, long, long[:-1], long.replace(".", "A."), "gd_member_")]
        own, longer, *broken = clients
        assert own.get("/v1/members/me/claims") == {"data": [], "next_cursor": None}
        for each in broken:
            each.refused("GET", "/v1/members/me/claims", None, 401, "key_invalid")
        clock[0] += timedelta(seconds=61)
        late = admin.with_key(short)
        _until_looked_up_again()
        late.refused("GET", "/v1/members/me/claims", None, 401, "key_expired")
        assert longer.get("/v1/members/me/claims")
        admin.call("DELETE", f"/v1/keys/{key['id']}")
        longer.refused("GET", "/v1/members/me/claims", None, 401, "key_invalid")
        admin.refused("POST", "/v1/member-tokens", {"member": "external_id:no"}, 404, "member_not_found")
        for client in (*clients, late, site, admin):
            client.close()


def _until_looked_up_again() -> None:
    """A credential that was found is trusted for a second."""
    time.sleep(1.1)


# -- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"stock": -1}, "invalid_value", "stock"),
        ({"price": "-1"}, "invalid_value", "price"),
        ({"price": "1.5"}, "wrong_scale", "price"),
        ({"price": "1e40"}, "amount_out_of_range", "price"),
        ({"limit_per_member": 0}, "invalid_value", "limit_per_member"),
        ({"kind": "discount_code"}, "code_batch_not_found", "code_batch"),
        ({"kind": "cash"}, "invalid_value", "kind"),
        ({"low_stock": -1}, "invalid_value", "low_stock"),
        ({"kind": "wallet_credit"}, "asset_not_found", "asset"),
        ({"kind": "wallet_credit", "asset": "USD"}, "amount_not_positive", "amount_minor"),
        ({"amount_minor": 5}, "invalid_value", "amount_minor"),
        ({"pictures": ["javascript:alert(1)"]}, "invalid_value", "pictures[0]"),
        ({"starts_at": "2027-01-02T00:00:00Z", "ends_at": "2027-01-02T00:00:00Z"}, "invalid_value", "ends_at"),
        ({"ends_at": "2027-01-02T00:00:00"}, "invalid_value", "ends_at"),
        ({"list": "rwl_x"}, "reward_list_not_found", "list"),
    ],
)
def test_terms_that_cannot_be_are_refused_with_their_field(
    open_shop: Shop, fields: dict[str, Any], code: str, field: str
) -> None:
    listed = a_list(open_shop)
    status = 404 if code.endswith("not_found") else 400
    open_shop.api.refused("POST", "/v1/rewards", {"list": listed, "name": "Mug", **fields}, status, code, field)
    if "price" in fields:
        open_shop.api.refused("POST", "/v1/reward-lists", {"name": "L", **fields}, status, code, field)
    if not {"kind", "list", "amount_minor"} & fields.keys():
        reward = a_reward(open_shop, listed)
        open_shop.api.refused("PATCH", f"/v1/rewards/{reward}", fields, status, code, field)
        assert open_shop.api.get(f"/v1/rewards/{reward}")["version"] == 1


def test_a_fulfilment_moves_forward_only(shop: Shop) -> None:
    reward = a_reward(shop, stock=1)
    give(shop, 10)
    claim = f"/v1/claims/{shop.api.post(f'{AMY}/claims', {'reward': reward})['id']}"
    shop.api.refused("PATCH", claim, {"status": "pending"}, 400, "invalid_value", "status")
    shop.api.patch(claim, {"status": "processing"})
    shop.api.refused("PATCH", claim, {"status": "processing"}, 409, "fulfilment_not_forward", "status")
    back = shop.api.patch(claim, {"status": "denied", "reason": "broken"})
    assert (back["points"], back["balance"]) == ("10", "10")
    for status in ("processing", "completed", "cancelled", "denied"):
        shop.api.refused("PATCH", claim, {"status": status}, 409, "fulfilment_not_forward", "status")
    assert shop.api.get(claim)["reason"] == "broken"
    assert shop.api.get(f"/v1/rewards/{reward}")["stock"] == 1


def test_what_does_not_exist_is_not_found(open_shop: Shop) -> None:
    nothing = "0199b1f0-2c3e-7c11-9a52-5b7d3c0000ff"
    api = open_shop.api
    api.refused("GET", f"/v1/rewards/rwd_{nothing}", None, 404, "reward_not_found", "reward")
    api.refused("GET", f"/v1/reward-lists/rwl_{nothing}", None, 404, "reward_list_not_found", "reward_list")
    api.refused("GET", f"/v1/claims/clm_{nothing}", None, 404, "claim_not_found", "claim")
    api.refused("PATCH", f"/v1/claims/clm_{nothing}", {"status": "denied"}, 404, "claim_not_found", "claim")
    for name in (f"rwd_{nothing}", "rwd_x", ""):
        api.refused("POST", f"{AMY}/claims", {"reward": name}, 404, "reward_not_found", "reward")
