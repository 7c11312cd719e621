"""Promotions given to members over HTTP: one by one, many at once, activated by the member, used, ended, taken back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from guerdon.api import issues
from tests.api.conftest import Api, Shop, served, set_up
from tests.api.test_promotions import bill, cart, percent
from tests.conftest import Database

START = datetime(2027, 3, 1, 12, tzinfo=UTC)


def given(api: Api, **more: Any) -> str:
    return str(api.post("/v1/promotions", percent(kind="member", **more))["id"])


def listed(api: Api, state: str | None = None) -> list[Any]:
    found: list[Any] = api.get("/v1/members/external_id:C-1/promotions", **({"state": state} if state else {}))["data"]
    return found


def test_what_was_given_applies_once_by_itself_to_that_member_only(shop: Shop) -> None:
    promotion = given(shop.api)
    api = shop.api
    api.post("/v1/members", {"external_id": "C-2"})
    before = api.post("/v1/promotions/evaluate", cart(1_000, member="external_id:C-1", everything=True), status=200)
    assert [each["reason"] for each in before["others"]] == ["not_issued"]
    issue = api.post(f"/v1/promotions/{promotion}/issues", {"member": "external_id:C-1"})
    assert (issue["state"], issue["left"], issue["member"]) == ("active", 1, shop.member)
    assert api.post("/v1/purchases", bill("B-1", 1_000, member="external_id:C-2"))["discount_minor"] == 0
    bought = api.post("/v1/purchases", bill("B-2", 1_000, member="external_id:C-1"))
    assert (bought["discount_minor"], bought["promotions"][0]["issue"]) == (100, issue["id"])
    (use,) = api.get(f"/v1/promotions/{promotion}/uses")["data"]
    assert (use["issue"], use["reference"]) == (issue["id"], "B-2")
    again = api.post("/v1/purchases", bill("B-3", 1_000, member="external_id:C-1"))
    assert again["discount_minor"] == 0
    (now,) = listed(api)
    assert (now["state"], now["uses"], now["left"], now["reason"]) == ("used", 1, 0, "limit_reached")
    api.refused(
        "POST",
        f"/v1/promotions/{promotion}/issues",
        {"member": "external_id:C-1"},
        409,
        "issue_limit_reached",
        "member",
    )


def test_a_member_activates_its_own_with_its_own_token(database: Database) -> None:
    clock = [START]
    with served(database, now=lambda: clock[0]) as url:
        shop = set_up(Api(url))
        api = shop.api
        promotion = given(api, issuing={"activation": True, "days": 1})
        issue = api.post(f"/v1/promotions/{promotion}/issues", {"member": "external_id:C-1"})
        assert (issue["state"], issue["reason"], issue["ends_at"]) == ("available", "not_activated", None)
        other = api.post("/v1/members", {"external_id": "C-2"})["id"]
        token = api.post("/v1/member-tokens", {"member": "external_id:C-1", "lifetime_s": 86_000})["token"]
        strange = api.post("/v1/member-tokens", {"member": other})["token"]
        path = f"promotions/{issue['id']}/activate"
        api.with_key(strange).refused("POST", f"/v1/members/me/{path}", None, 404, "issue_not_found", "issue")
        mine = api.with_key(token)
        mine.refused("POST", f"/v1/members/{other}/{path}", None, 404, "member_not_found", "member")
        mine.refused("POST", f"/v1/promotions/{promotion}/issues", {"member": "me"}, 403, "insufficient_scope")
        assert api.post("/v1/purchases", bill("B-1", 1_000, member="external_id:C-1"))["discount_minor"] == 0
        clock[0] += timedelta(days=2)
        mine = api.with_key(api.post("/v1/member-tokens", {"member": "external_id:C-1"})["token"])
        active = mine.post(f"/v1/members/me/{path}", None, 200)
        assert (active["state"], active["ends_at"]) == ("active", "2027-03-05T00:00:00Z")
        assert mine.post(f"/v1/members/me/{path}", None, 200) == active
        assert [each["id"] for each in mine.get("/v1/members/me/promotions")["data"]] == [issue["id"]]
        clock[0] = datetime(2027, 3, 5, tzinfo=UTC)
        assert api.post("/v1/purchases", bill("B-2", 1_000, member="external_id:C-1"))["discount_minor"] == 0
        assert [each["state"] for each in listed(api, "expired")] == ["expired"]
        assert listed(api)[0]["explanation"].startswith("it is no longer valid for this member")
        api.refused("POST", f"/v1/members/external_id:C-1/{path}", None, 409, "issue_expired", "issue")


def test_many_are_given_at_once_each_on_its_own_merits(shop: Shop) -> None:
    promotion = given(shop.api)
    names = [f"external_id:C-{number}" for number in (1, 7, 1)]
    answer = shop.api.post(f"/v1/promotions/{promotion}/issues/bulk", {"members": names})
    assert (answer["issued"], answer["refused"]) == (1, 2)
    assert [row.get("code", "") for row in answer["rows"]] == ["", "member_not_found", "issue_limit_reached"]
    (row,) = shop.api.get(f"/v1/promotions/{promotion}/issues")["data"]
    assert row["id"] == answer["rows"][0]["id"]


def test_what_is_taken_back_gives_nothing_any_more(shop: Shop) -> None:
    promotion = given(shop.api)
    issue = shop.api.post(f"/v1/promotions/{promotion}/issues", {"member": "external_id:C-1"})
    for _ in range(2):
        assert shop.api.call("DELETE", f"/v1/promotion-issues/{issue['id']}").status_code == 204
    assert shop.api.post("/v1/purchases", bill("B-1", 1_000, member="external_id:C-1"))["discount_minor"] == 0
    assert [each["explanation"] for each in listed(shop.api, "revoked")] == ["it was taken back"]
    path = f"/v1/members/external_id:C-1/promotions/{issue['id']}/activate"
    shop.api.refused("POST", path, None, 409, "issue_revoked", "issue")
    again = shop.api.post(f"/v1/promotions/{promotion}/issues", {"member": "external_id:C-1"})
    assert again["state"] == "active"


def test_an_issue_may_begin_later_and_end_sooner_than_the_promotion_says(database: Database) -> None:
    clock = [START]
    with served(database, now=lambda: clock[0]) as url:
        api = set_up(Api(url)).api
        promotion = given(api, issuing={"days": 30, "per_member": 2})
        period = {"starts_at": "2027-03-02T00:00:00Z", "ends_at": "2027-03-03T00:00:00Z"}
        issue = api.post(f"/v1/promotions/{promotion}/issues", {"member": "external_id:C-1", **period})
        assert (issue["state"], issue["reason"], issue["ends_at"]) == (
            "upcoming",
            "issue_not_started",
            period["ends_at"],
        )
        longer = api.post(f"/v1/promotions/{promotion}/issues", {"member": "external_id:C-1"})
        assert longer["ends_at"] == "2027-04-01T00:00:00Z"
        clock[0] += timedelta(days=1)
        bought = api.post("/v1/purchases", bill("B-1", 1_000, member="external_id:C-1"))
        assert bought["promotions"][0]["issue"] == issue["id"], "the one that ends first"


def test_what_cannot_be_given_is_refused(shop: Shop) -> None:
    automatic = shop.api.post("/v1/promotions", percent())["id"]
    body = {"member": "external_id:C-1"}
    shop.api.refused("POST", f"/v1/promotions/{automatic}/issues", body, 409, "promotion_not_issued", "promotion")
    promotion = given(shop.api)
    wrong = {**body, "starts_at": "2027-01-01T00:00:00Z", "ends_at": "2027-01-01T00:00:00Z"}
    shop.api.refused("POST", f"/v1/promotions/{promotion}/issues", wrong, 400, "invalid_value", "ends_at")
    nobody = {"member": "external_id:no"}
    shop.api.refused("POST", f"/v1/promotions/{promotion}/issues", nobody, 404, "member_not_found", "member")
    shop.api.post(f"/v1/promotions/{promotion}/end", None, 200)
    shop.api.refused("POST", f"/v1/promotions/{promotion}/issues", body, 409, "promotion_ended", "promotion")
    for terms, field in (
        (percent(kind="member", issuing={"per_member": 0}), "issuing.per_member"),
        (percent(kind="member", issuing={"days": -1}), "issuing.days"),
        (percent(issuing={"days": 1}), "issuing"),
        (percent(limits=[{"code": "x", "limit": 1, "per": "issue"}]), "limits[0].per"),
    ):
        shop.api.refused("POST", "/v1/promotions", terms, 400, "invalid_promotion", field)
    missing = "iss_0199b1f0-2c3e-7c11-9a52-5b7d3c000000"
    shop.api.refused("DELETE", f"/v1/promotion-issues/{missing}", None, 404, "issue_not_found", "issue")


def test_those_in_one_state_are_found_however_many_others_lie_between(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issues, "SCAN", 3)
    with served(database) as url:
        api = set_up(Api(url)).api
        promotion = given(api, issuing={"per_member": 50})
        ids = [api.post(f"/v1/promotions/{promotion}/issues", {"member": "external_id:C-1"})["id"] for _ in range(20)]
        for id in ids[1:-1]:
            api.call("DELETE", f"/v1/promotion-issues/{id}")
        assert [each["id"] for each in listed(api, "active")] == [ids[-1], ids[0]]
        path, found, cursor = "/v1/members/external_id:C-1/promotions", [], None
        while True:
            page = api.get(path, state="revoked", limit=4, **({"cursor": cursor} if cursor else {}))
            found += [each["id"] for each in page["data"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
            assert len(page["data"]) == 4
        assert found == ids[-2:0:-1]
