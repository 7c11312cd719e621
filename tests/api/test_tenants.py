"""Two organisations with the same codes: neither ever sees or touches the other's (R25)."""

from __future__ import annotations

from typing import Any

import pytest

from guerdon.api.routes import ROUTES
from tests.api.conftest import Api, Shop, set_up
from tests.api.test_loyalty import bill


@pytest.fixture
def two(api: Api) -> tuple[Shop, Shop]:
    """Two shops that are set up alike; only the first has sold anything."""
    api.post("/v1/organisations", {"code": "other", "name": "Other"})
    return set_up(api), set_up(api.of("other"))


def things(shop: Shop) -> dict[str, str]:
    """One id of every kind that a path may name."""
    api = shop.api
    api.patch("/v1/programs/classic", {"adjustment_limit": "5", "referral": {"referrer": "2", "referred": "1"}})
    friend = api.post("/v1/members", {"external_id": "C-2"})
    purchase = api.post("/v1/purchases", bill("B-1", 30000))
    redemption = api.post(f"/v1/members/{shop.member}/redemptions", {"points": 20})
    listed = api.post("/v1/reward-lists", {"name": "Things", "price": "1"})
    reward = api.post("/v1/rewards", {"list": listed["id"], "name": "Mug"})
    return {
        "reward_list": listed["id"],
        "reward": reward["id"],
        "claim": api.post(f"/v1/members/{shop.member}/claims", {"reward": reward["id"]})["id"],
        "member": shop.member,
        "program": api.get("/v1/programs/classic")["id"],
        "store": api.get("/v1/stores/main")["id"],
        "till": api.get("/v1/tills/main-1")["id"],
        "purchase": purchase["id"],
        "redemption": redemption["id"],
        "key": api.post("/v1/keys", {"name": "k", "scopes": ["assets:read"]})["id"],
        "webhook": api.post("/v1/webhooks", {"url": "https://example.com/hook"})["id"],
        "referral": api.post("/v1/referrals", {"referrer": shop.member, "referred": friend["id"]})["id"],
        "adjustment": api.post(f"/v1/members/{shop.member}/adjustments", {"points": "9", "reason": "x"})["id"],
        "backtest": api.post(
            "/v1/backtests",
            {"since": "2026-01-01T00:00:00Z", "until": "2026-02-01T00:00:00Z", "earning_rules": []},
            202,
        )["id"],
        "import_id": api.post("/v1/imports", {"kind": "members", "rows": [{"external_id": "C-1"}]}, 202)["id"],
    }


BODIES: dict[str, Any] = {
    "approve_adjustment": {},
    "change_expiry": {"last_day": "2099-12-31"},
    "change_member": {"status": "blocked"},
    "change_program": {"name": "Stolen"},
    "create_adjustment": {"points": "1", "reason": "x"},
    "create_award": {"points": 1, "reason": "x"},
    "create_merge": {"survivor": "external_id:C-1"},
    "create_redemption": {"points": 1},
    "create_transfer": {"recipient": "external_id:C-1", "points": 1},
    "expire_points": {},
    "change_webhook": {"status": "paused"},
    "rotate_webhook_secret": {},
    "replay_webhook": {"after": 0},
    "preview_redemption": {"points": 1},
    "reject_adjustment": {},
    "return_purchase": {"number": "R-1"},
    "return_referral": {},
    "reverse_redemption": {},
    "unlock_points": {},
}
"""A body that is right in all but the id in the path, where the route's example is none."""


TRIED_ELSEWHERE = ("promotion", "issue", "batch", "code", "reservation", "webhook")
"""Kinds of ids that the tests of their nouns try."""


def test_anothers_ids_are_not_found_on_any_path(two: tuple[Shop, Shop]) -> None:
    mine, other = two
    ids = things(mine)
    before = mine.api.get(f"/v1/members/{mine.member}/points-ledger")
    # an organisation is the platform's to name, and an asset goes by its code, which both have
    elsewhere = {"organisation", "asset", *TRIED_ELSEWHERE}
    named = [route for route in ROUTES if route.parameters and not elsewhere & {*route.parameters}]
    takers = {route.handler.__name__: route.example for route in named if route.body is not None}
    assert [name for name, example in takers.items() if example is None and name not in BODIES] == []
    for route in named:
        path = route.path.format(**ids)
        answer = other.api.call(route.method, path, BODIES.get(route.handler.__name__, route.example))
        assert answer.status_code == 404, (route.method, path, answer.text)
        problem = answer.json()
        assert problem["code"] == f"{route.parameters[0].removesuffix('_id')}_not_found", (route.method, path)
    assert mine.api.get(f"/v1/members/{mine.member}/points-ledger") == before
    assert mine.api.get("/v1/programs/classic")["name"] == "Classic"


def test_anothers_ids_are_not_found_in_any_body(two: tuple[Shop, Shop]) -> None:
    mine, other = two
    ids = things(mine)
    for field in ("member", "store", "till", "program"):
        body = bill("B-9", 100, **{field: ids[field]})
        other.api.refused("POST", "/v1/purchases", body, 404, f"{field}_not_found", field)
    account = mine.api.get(f"/v1/members/{mine.member}/balances")["programs"][0]["regular"]["account"]
    body = bill("B-9", 100, wallet=account)
    other.api.refused("POST", "/v1/purchases", body, 404, "account_not_found", "wallet")
    till = {"code": "t", "store": ids["store"], "program": ids["program"]}
    other.api.refused("POST", "/v1/tills", till, 404, "store_not_found", "store")


def test_the_same_numbers_and_identifiers_stand_in_both(two: tuple[Shop, Shop]) -> None:
    mine, other = two
    mine.api.post("/v1/purchases", bill("B-1", 1000))
    other.api.post("/v1/purchases", bill("B-1", 2000))
    assert mine.api.get("/v1/purchases/number:B-1")["amount_minor"] == 1000
    assert other.api.get("/v1/purchases/number:B-1")["amount_minor"] == 2000
    assert mine.api.get("/v1/members/external_id:C-1")["id"] != other.api.get("/v1/members/external_id:C-1")["id"]


def test_a_key_of_one_organisation_never_reaches_another(two: tuple[Shop, Shop]) -> None:
    mine, other = two
    key = mine.api.post("/v1/keys", {"name": "k", "scopes": ["*:*"]})["key"]
    client = Api(mine.api.url, key, "other")
    assert client.get("/v1/members/external_id:C-1")["id"] == mine.member
    client.refused("GET", f"/v1/members/{other.member}", None, 404, "member_not_found")


def test_lists_hold_ones_own_things_only(two: tuple[Shop, Shop]) -> None:
    mine, other = two
    things(mine)
    assert [one["id"] for one in other.api.get("/v1/members")["data"]] == [other.member]
    assert other.api.get("/v1/keys")["data"] == []
    assert other.api.get("/v1/webhooks")["data"] == []
    assert other.api.get(f"/v1/members/{other.member}/purchases")["data"] == []
    assert other.api.get(f"/v1/members/{other.member}/redemptions")["data"] == []
