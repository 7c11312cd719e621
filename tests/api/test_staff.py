"""What staff and members move, over HTTP: who may decide, what is listed, and what is answered twice alike."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.api.conftest import Api, Shop

AMY = "/v1/members/external_id:C-1"


def key_of(shop: Shop, owner: str) -> Api:
    made = shop.api.post("/v1/keys", {"name": owner, "owner": owner, "scopes": ["points:write", "points:read"]})
    return shop.api.with_key(made["key"])


def test_an_adjustment_above_the_limit_is_listed_until_another_owner_decides(shop: Shop) -> None:
    shop.api.patch("/v1/programs/classic", {"adjustment_limit": "10"})
    eve, eve_again, sam = (key_of(shop, owner) for owner in ("eve", "eve", "sam"))
    small = eve.post(f"{AMY}/adjustments", {"points": "10", "reason": "count"})
    assert (small["status"], small["balance"]) == ("booked", "10")
    asked = eve.post(f"{AMY}/adjustments", {"points": "30", "reason": "count"})
    assert (asked["status"], asked["event_log_id"], asked["balance"]) == ("pending", None, "10")
    waiting = sam.get("/v1/adjustments", pending="true")["data"]
    assert [(each["id"], each["asked_by"], each["points"]) for each in waiting] == [(asked["id"], "eve", "30")]
    path = f"/v1/adjustments/{asked['id']}"
    eve.refused("POST", f"{path}/approvals", {}, 403, "same_person")
    eve_again.refused("POST", f"{path}/approvals", {}, 403, "same_person")
    done = sam.post(f"{path}/approvals", {"reason": "seen"})
    assert (done["status"], done["balance"]) == ("booked", "40")
    found = sam.get(path)
    assert (found["status"], found["decided_by"], found["decision_reason"]) == ("booked", "sam", "seen")
    assert sam.get("/v1/adjustments", pending="true")["data"] == []
    first = sam.get(f"{AMY}/adjustments", limit=1)
    second = sam.get(f"{AMY}/adjustments", limit=1, cursor=first["next_cursor"])
    assert [first["data"][0]["id"], second["data"][0]["id"]] == [asked["id"], small["id"]]
    assert second["next_cursor"] is None
    for client in (eve, eve_again, sam):
        client.close()


def test_the_daily_limit_of_transfers_holds_when_they_come_at_once(shop: Shop) -> None:
    shop.api.patch("/v1/programs/classic", {"transfer_limits": {"points_per_day": "50"}})
    shop.api.post("/v1/members", {"external_id": "C-2"})
    shop.api.post(f"{AMY}/awards", {"points": "500", "reason": "test"})
    body = {"recipient": "external_id:C-2", "points": "10"}
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda _: shop.api.call("POST", f"{AMY}/transfers", body).status_code, range(16)))
    assert sorted(codes) == [201] * 5 + [422] * 11
    problem = shop.api.refused("POST", f"{AMY}/transfers", body, 422, "transfer_limit_exceeded")
    assert (problem["limited"], problem["limit"], problem["used"], problem["asked"]) == (
        "points per day", "50", "50", "10",
    )  # fmt: skip
    events = shop.api.get("/v1/members/external_id:C-2/points-ledger", event="PointsTransfer")["events"]
    assert [event["points_on_event"] for event in events] == ["10"] * 5
    assert {entry["type"] for event in events for entry in event["entries"]} == {"credit"}


def test_a_bulk_award_answers_each_row_and_the_same_again_under_its_key(shop: Shop) -> None:
    rows = [
        {"member": "external_id:C-1", "points": "5", "reason": "week"},
        {"member": "external_id:nobody", "points": "5", "reason": "week"},
    ]
    headers = {"idempotency-key": "week-1"}
    first = shop.api.call("POST", "/v1/bulk-awards", {"rows": rows}, headers=headers)
    again = shop.api.call("POST", "/v1/bulk-awards", {"rows": rows}, headers=headers)
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    answer = first.json()
    assert (answer["awarded"], answer["refused"]) == (1, 1)
    assert [row.get("code", row["status"]) for row in answer["rows"]] == ["awarded", "member_not_found"]
    rows[1]["points"] = "0.5"
    shop.api.refused("POST", "/v1/bulk-awards", {"rows": rows}, 400, "wrong_scale", "rows[1].points")
    shop.api.refused("POST", "/v1/bulk-awards", {"rows": []}, 400, "invalid_value", "rows")


def test_a_merged_members_names_find_the_survivor(shop: Shop) -> None:
    shop.api.post("/v1/members", {"external_id": "C-2", "email": "two@example.com"})
    victim = shop.api.get(AMY)
    shop.api.post(f"{AMY}/awards", {"points": "20", "reason": "test"})
    merged = shop.api.post(f"{AMY}/merges", {"survivor": "external_id:C-2", "reason": "one person"})
    assert [(moved["category"], moved["points"]) for moved in merged["moved"]] == [("regular", "20")]
    found = shop.api.get(AMY)
    assert (found["id"], found["external_id"], found["survivor"]) == (merged["survivor"], "C-2", None)
    gone = shop.api.get(f"/v1/members/{victim['id']}")
    assert (gone["status"], gone["survivor"]) == ("merged", f"number:{found['number']}")
    last = shop.api.get(f"/v1/members/{victim['id']}/points-ledger")["events"][0]
    assert (last["name"], last["points_on_event"]) == ("CustomerMerge", "-20")
    body = {"points": "1", "reason": "late"}
    shop.api.refused("POST", f"/v1/members/{victim['id']}/awards", body, 409, "member_merged", "member")
    assert shop.api.patch("/v1/members/external_id:C-2", {"external_id": "C-1"})["external_id"] == "C-1"


def test_a_preview_takes_neither_points_nor_a_key(shop: Shop) -> None:
    shop.api.post(f"{AMY}/awards", {"points": "50", "reason": "test"})
    path, headers = f"{AMY}/redemptions/preview", {"idempotency-key": "look"}
    answer = shop.api.call("POST", path, {"points": "20"}, headers=headers)
    assert answer.status_code == 200
    said = answer.json()
    assert (said["balance"], said["money_minor"], [lot["points"] for lot in said["lots"]]) == ("30", 200, ["20"])
    assert shop.api.call("POST", path, {"points": "60"}, headers=headers).json()["code"] == "insufficient_points"
    done = shop.api.post(f"{AMY}/redemptions", {"points": "20"})
    assert {name: done[name] for name in ("program", "points", "money_minor", "balance", "parts")} == {
        name: said[name] for name in ("program", "points", "money_minor", "balance", "parts")
    }
