"""Two organisations with the same codes: neither ever sees or touches the other's (R25)."""

from __future__ import annotations

from typing import Any

import pytest

from guerdon.api.routes import ROUTES
from guerdon.api.routing import Route
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
    off = {"status": "active", "effects": [{"type": "percent", "ppm": 100_000}]}
    promotion = api.post("/v1/promotions", {"name": "Ten off", "kind": "code", **off})["id"]
    batches = f"/v1/promotions/{promotion}/codes/batches"
    batch = api.post(batches, {"name": "Flyer"})["id"]
    api.post(f"{batches}/{batch}/uploads", {"codes": ["ZN34C"]}, 200)
    cart = {
        "currency": "USD",
        "lines": [{"sku": "A", "amount_minor": 1000}],
        "codes": ["ZN34C"],
        "reserve_seconds": 600,
    }
    given = api.post("/v1/promotions", {"name": "For you", "kind": "member", **off})["id"]
    bought = {"number": "W-1", "currency": "USD", "lines": [{"sku": "A", "amount_minor": 1000}]}
    return {
        "segment": api.post("/v1/segments", {"code": "regulars", "name": "Regulars"})["code"],
        "commit": api.post("/v1/promotions/commits", bought)["id"],
        "promotion": promotion,
        "issue": api.post(f"/v1/promotions/{given}/issues", {"member": shop.member})["id"],
        "batch": batch,
        "code": "ZN34C",
        "reservation": api.post("/v1/promotions/evaluate", cart, 200)["reservation"]["id"],
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


TIERS = {
    "figure": "spend",
    "window": {"kind": "calendar", "months": 12},
    "levels": [{"code": "a", "name": "A", "at_least": "0"}],
}
BODIES: dict[str, Any] = {
    "add_segment_members": {"members": ["external_id:C-1"]},
    "change_segment": {"name": "Stolen"},
    "change_tiers": TIERS,
    "preview_tiers": TIERS,
    "remove_segment_members": {"members": ["external_id:C-1"]},
    "activate_batch": {},
    "activate_code": {},
    "activate_issue": None,
    "activate_promotion": {},
    "approve_adjustment": {},
    "cancel_backtest": None,
    "change_claim": {"status": "denied"},
    "change_expiry": {"last_day": "2099-12-31"},
    "change_member": {"status": "blocked"},
    "change_program": {"name": "Stolen"},
    "change_promotion": {"name": "Stolen"},
    "change_reward": {"name": "Stolen"},
    "change_reward_list": {"name": "Stolen"},
    "change_webhook": {"status": "paused"},
    "copy_promotion": {"name": "Stolen"},
    "create_adjustment": {"points": "1", "reason": "x"},
    "create_award": {"points": 1, "reason": "x"},
    "create_batch": {"name": "Stolen"},
    "create_claim": {"reward": "rwd_0199b1f0-2c3e-7c11-9a52-5b7d3c000000"},
    "create_issue": {"member": "external_id:C-1"},
    "create_issues": {"members": ["external_id:C-1"]},
    "create_merge": {"survivor": "external_id:C-1"},
    "create_redemption": {"points": 1},
    "create_transfer": {"recipient": "external_id:C-1", "points": 1},
    "deactivate_batch": {},
    "deactivate_code": {},
    "end_promotion": None,
    "expire_points": {},
    "more_codes": {"count": 1},
    "pause_promotion": None,
    "preview": {"name": "Stolen"},
    "preview_points": {"name": "Stolen"},
    "preview_redemption": {"points": 1},
    "preview_sheet": {"name": "Stolen"},
    "reject_adjustment": {},
    "replay_webhook": {"after": 0},
    "return_cart": {"number": "R-1"},
    "return_purchase": {"number": "R-1"},
    "return_referral": {},
    "reverse_redemption": {},
    "rotate_webhook_secret": {},
    "stop_codes": None,
    "unlock_points": {},
    "upload_codes": {"codes": ["ZN34D"]},
}
"""A body that is right in all but the id in the path, for every route that changes what a path names; None where the
route takes none.
"""
QUERIES = {"list_codes": "batch", "export_codes": "batch", "export_uses": "batch", "print_codes": "batch"}
"""Ids that go beside the path."""


def named() -> list[Route]:
    """Every route that names something of an organisation: which one that is, is the platform's to say; and an asset
    goes by its code, which both have."""
    return [route for route in ROUTES if route.parameters and not {"organisation", "asset"} & {*route.parameters}]


def tried(other: Shop, route: Route, ids: dict[str, str]) -> tuple[int, str]:
    """What a route says to another organisation about ids."""
    name = route.handler.__name__
    query = {QUERIES[name]: ids[QUERIES[name]]} if name in QUERIES else {}
    answer = other.api.call(route.method, route.path.format(**ids), BODIES.get(name), params=query)
    return answer.status_code, answer.json()["code"]


def test_anothers_ids_are_not_found_on_any_path(two: tuple[Shop, Shop]) -> None:
    mine, other = two
    ids = things(mine)
    before = [mine.api.get(path) for path in watched(mine, ids)]
    assert {route.handler.__name__ for route in named() if route.method in ("POST", "PATCH", "PUT")} == BODIES.keys()
    for route in named():
        said = f"{route.parameters[0].removesuffix('_id')}_not_found"
        assert tried(other, route, ids) == (404, said), (route.method, route.path)
    assert [mine.api.get(path) for path in watched(mine, ids)] == before
    assert mine.api.get("/v1/programs/classic")["name"] == "Classic"


def test_anothers_batch_is_not_found_under_ones_own_promotion(two: tuple[Shop, Shop]) -> None:
    mine, other = two
    theirs, ids = things(mine), things(other)
    before = [mine.api.get(path) for path in watched(mine, theirs)]
    for route in named():
        if "batch" in (*route.parameters, QUERIES.get(route.handler.__name__)):
            mixed = ids | {"batch": theirs["batch"]}
            assert tried(other, route, mixed) == (404, "code_batch_not_found"), (route.method, route.path)
    assert [mine.api.get(path) for path in watched(mine, theirs)] == before


def watched(shop: Shop, ids: dict[str, str]) -> list[str]:
    """What must not change."""
    promotion = f"/v1/promotions/{ids['promotion']}"
    batch = f"{promotion}/codes/batches/{ids['batch']}"
    return [f"/v1/members/{shop.member}/points-ledger", promotion, batch, f"/v1/codes/{ids['code']}"]


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
