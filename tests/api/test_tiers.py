"""Tiers over HTTP: from the structure to a member's progress, its changes told and untold, and bad input."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from guerdon.audit.verify import audit
from tests.api.conftest import Api, Shop, served, set_up
from tests.conftest import Database

LEVELS = [
    {"code": "blue", "name": "Blue", "at_least": "0"},
    {"code": "silver", "name": "Silver", "at_least": "100.00"},
    {"code": "gold", "name": "Gold", "at_least": "500.00"},
]
TIERS: dict[str, Any] = {"figure": "spend", "window": {"kind": "calendar", "months": 12}, "levels": LEVELS}
AMY = "/v1/members/external_id:C-1"


def tiers(api: Api, **fields: Any) -> Any:
    return api.post("/v1/programs/number:1/tiers", {**TIERS, **fields})


def buy(api: Api, number: str, cents: int, member: str = "external_id:C-1", **fields: Any) -> Any:
    lines = [{"sku": "A", "quantity": 1, "amount_minor": cents}]
    return api.post("/v1/purchases", {"number": number, "currency": "USD", "member": member, "lines": lines, **fields})


def tier(api: Api, member: str = AMY) -> Any:
    (found,) = api.get(f"{member}/tiers")["programs"]
    return found


def test_a_member_s_tier_progress_and_history(shop: Shop, database: Database) -> None:
    api = shop.api
    made = tiers(api, currency="USD", timezone="Europe/Berlin")
    assert (made["version"], made["in_force"], made["levels"][1]["at_least"]) == (1, True, "100.00")
    assert tier(api)["tier"] == "blue"
    buy(api, "B-1", 45_875)
    found = tier(api)
    assert (found["tier"], found["figure"], found["next"]["tier"], found["next"]["missing"]) == (
        "silver", "458.75", "gold", "41.25",
    )  # fmt: skip
    year = datetime.now(UTC).year
    assert found["next"]["by"] == f"{year}-12-31T23:00:00Z"
    assert (found["falls"]["at"], found["falls"]["tier"]) == (f"{year + 1}-12-31T23:00:00Z", "blue")
    api.post("/v1/purchases/number:B-1/returns", {"number": "R-1"})
    history = api.get(f"{AMY}/tiers/history")["data"]
    assert [(each["tier_before"], each["tier"], each["reason"]) for each in history] == [
        ("silver", "blue", "returned"),
        ("blue", "silver", "reached"),
    ]
    counted = {each["tier"]: each["members"] for each in api.get("/v1/programs/number:1/tiers/members")["tiers"]}
    assert counted["blue"] >= 1
    assert counted["gold"] == 0
    assert not audit(database.app_dsn).findings


def test_time_takes_a_tier_whether_or_not_anybody_writes_it_down(database: Database) -> None:
    clock = {"now": datetime(2030, 5, 1, 12, tzinfo=UTC)}
    with served(database, now=lambda: clock["now"], job_interval_s=3600) as url:
        shop = set_up(Api(url))
        api = shop.api
        tiers(api, currency="USD", window={"kind": "rolling", "days": 30})
        buy(api, "B-1", 20_000)
        clock["now"] += timedelta(days=30)
        assert tier(api)["tier"] == "silver"
        clock["now"] += timedelta(days=1)
        assert tier(api)["tier"] == "blue"
        newest = api.get(f"{AMY}/tiers/history")["data"][0]
        assert (newest["tier_before"], newest["tier"], newest["reason"]) == ("silver", "blue", "lapsed")
        assert newest["at"] == "2030-06-01T00:00:00Z"
        counted = {each["tier"]: each["members"] for each in api.get("/v1/programs/number:1/tiers/members")["tiers"]}
        assert counted["silver"] == 0


def test_the_jobs_write_down_what_a_new_structure_makes_of_the_past(shop: Shop, database: Database) -> None:
    buy(shop.api, "B-1", 60_000)
    tiers(shop.api, currency="USD")
    assert tier(shop.api)["tier"] == "gold"
    deadline = time.monotonic() + 20
    while (change := shop.api.get(f"{AMY}/tiers/history")["data"][0])["recorded_at"] is None:
        assert time.monotonic() < deadline, "nobody wrote it down"
        time.sleep(0.2)
    assert (change["tier_before"], change["tier"], change["reason"]) == ("blue", "gold", "structure")
    counted = {each["tier"]: each["members"] for each in shop.api.get("/v1/programs/number:1/tiers/members")["tiers"]}
    assert counted["gold"] == 1
    assert not audit(database.app_dsn).findings


def test_a_preview_says_who_would_stand_where_and_then_they_do(shop: Shop) -> None:
    api = shop.api
    tiers(api, currency="USD")
    api.post("/v1/members", {"external_id": "C-2"})
    buy(api, "B-1", 45_000)
    easier = {**TIERS, "currency": "USD", "levels": [*LEVELS[:2], {**LEVELS[2], "at_least": "450"}]}
    said = api.post("/v1/programs/number:1/tiers/preview", easier, 200)
    assert {(each["tier_before"], each["tier"]): each["members"] for each in said["changes"]} == {
        ("blue", "blue"): 1, ("silver", "gold"): 1,
    }  # fmt: skip
    assert [each["number"] for each in said["members"]] == [1]
    assert tier(api)["tier"] == "silver", "nothing has changed yet"
    api.post("/v1/programs/number:1/tiers", easier)
    assert tier(api)["tier"] == "gold"
    refused = api.call("POST", "/v1/programs/number:1/tiers/preview", {**easier, "grace_days": 400})
    assert refused.json()["field"] == "grace_days"


def test_members_keep_what_they_had_until_the_old_structure_would_have_ended_it(database: Database) -> None:
    clock = {"now": datetime(2030, 5, 1, 12, tzinfo=UTC)}
    with served(database, now=lambda: clock["now"], job_interval_s=3600) as url:
        shop = set_up(Api(url))
        api = shop.api
        tiers(api, currency="USD", window={"kind": "rolling", "days": 30})
        buy(api, "B-1", 20_000)
        clock["now"] += timedelta(hours=1)
        harder = {
            **TIERS, "currency": "USD", "window": {"kind": "rolling", "days": 30}, "grace_days": 5,
            "levels": [LEVELS[0], {**LEVELS[1], "at_least": "300"}, LEVELS[2]], "existing_tiers": "keep",
        }  # fmt: skip
        said = api.post("/v1/programs/number:1/tiers/preview", harder, 200)
        assert (said["changes"], said["members"]) == ([{"tier_before": "silver", "tier": "silver", "members": 1}], [])
        assert said["kept"] == [{"tier": "silver", "tier_otherwise": "blue", "members": 1}]
        assert said["kept_members"] == [
            {"number": 1, "tier": "silver", "tier_otherwise": "blue", "until": "2030-06-01T00:00:00Z"}
        ]
        assert api.post("/v1/programs/number:1/tiers", harder)["existing_tiers"] == "keep"
        found = tier(api)
        assert (found["tier"], found["next"]["missing"], found["falls"]) == (
            "silver", "300.00", {"at": "2030-06-01T00:00:00Z", "tier": "blue", "to_keep": "300.00"},
        )  # fmt: skip
        clock["now"] = datetime(2030, 6, 1, tzinfo=UTC)
        assert tier(api)["tier"] == "blue"
        assert not audit(database.app_dsn).findings


def test_segments_decide_who_earns_more_and_who_sees_a_reward(shop: Shop, database: Database) -> None:
    api = shop.api
    api.post("/v1/segments", {"code": "vip", "name": "People we know"})
    condition = {"type": "all", "of": [
        {"type": "segment", "values": ["vip"]}, {"type": "activity", "kpi": "purchases", "value": 1}]}  # fmt: skip
    made = api.post("/v1/segments", {"code": "buying", "name": "Buying", "condition": condition})
    assert (made["kind"], made["condition"]["of"][1]["kpi"]) == ("condition", "purchases")
    rules = [
        {"kind": "per_amount", "code": "base", "points": "1", "amount_minor": 100},
        {"kind": "fixed", "code": "known", "points": "7", "segments": ["buying"]},
    ]
    api.patch("/v1/programs/number:1", {"earning_rules": rules})
    listed = api.post("/v1/reward-lists", {"name": "VIP", "price": "1", "segments": ["vip"]})
    reward = api.post("/v1/rewards", {"list": listed["id"], "name": "Mug"})
    assert api.post("/v1/segments/vip/members", {"members": ["external_id:C-1"]}, 200)["changed"] == 1
    assert [each["points"] for each in buy(api, "B-1", 1_000)["earned"]] == ["10"]
    assert [each["points"] for each in buy(api, "B-2", 1_000)["earned"]] == ["10", "7"]
    assert api.get(f"{AMY}/segments")["segments"] == ["buying", "vip"]
    assert len(api.get(f"{AMY}/rewards")["data"]) == 1
    assert [each["id"] for each in api.get("/v1/segments/vip/members")["data"]] == [shop.member]
    api.post("/v1/segments/vip/removals", {"members": ["external_id:C-1"]}, 200)
    assert api.get(f"{AMY}/segments")["segments"] == []
    assert api.get(f"{AMY}/rewards")["data"] == []
    answer = api.call("POST", f"{AMY}/claims", {"reward": reward["id"]})
    assert (answer.status_code, answer.json()["code"]) == (409, "not_in_audience")
    assert not audit(database.app_dsn).findings


@pytest.mark.parametrize(
    ("condition", "code", "field"),
    [
        ({"type": "attribute", "name": "shoe_size", "values": ["42"]}, "unknown_attribute", "condition.name"),
        ({"type": "segment", "values": ["x"]}, "segment_not_found", "condition.values[0]"),
        ({"type": "tier", "program": "classic", "values": ["gold"]}, "unknown_attribute", "condition.values[0]"),
        ({"type": "balance", "program": "no", "value": 1}, "program_not_found", "condition.program"),
        ({"type": "activity", "kpi": "shoe_size", "value": 1}, "invalid_value", "condition.kpi"),
        ({"type": "weather", "values": ["rain"]}, "invalid_value", "condition.type"),
        ({"type": "tier", "program": "classic", "names": ["gold"]}, "unknown_field", "condition.names"),
        ({"type": "all", "of": []}, "invalid_value", "condition.of"),
    ],
)
def test_a_segment_that_names_what_is_not_there_is_refused(
    shop: Shop, condition: dict[str, Any], code: str, field: str
) -> None:
    answer = shop.api.call("POST", "/v1/segments", {"code": "s", "name": "S", "condition": condition})
    assert (answer.json()["code"], answer.json()["field"]) == (code, field)


def test_segments_that_would_lead_back_to_themselves_are_refused(shop: Shop) -> None:
    def of(code: str) -> dict[str, Any]:
        return {"condition": {"type": "not", "of": {"type": "segment", "values": [code]}}}

    shop.api.post("/v1/segments", {"code": "a", "name": "A", **of("a")}, 400)
    young = {"condition": {"type": "activity", "kpi": "days_since_joined", "operator": "at_most", "value": 9}}
    shop.api.post("/v1/segments", {"code": "a", "name": "A", **young})
    shop.api.post("/v1/segments", {"code": "b", "name": "B", **of("a")})
    answer = shop.api.call("PATCH", "/v1/segments/a", of("b"))
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (
        400, "segments_in_a_circle", "condition",
    )  # fmt: skip
    assert shop.api.get("/v1/segments/a")["condition"]["type"] == "activity"


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"existing_tiers": "forget"}, "invalid_value", "existing_tiers"),
        ({"window": {"kind": "rolling", "days": -1}}, "invalid_value", "window.days"),
        ({"window": {"kind": "since_join", "months": 2, "days": 3}}, "invalid_value", "window.days"),
        ({"window": {"kind": "rolling"}}, "window_of_zero", "window"),
        ({"window": {"kind": "calendar", "months": 0}}, "window_of_zero", "window"),
        ({"levels": [LEVELS[1], {**LEVELS[2], "at_least": "100"}]}, "thresholds_overlap", "levels[1].at_least"),
        ({"levels": [{**LEVELS[0], "below": "90"}, LEVELS[1]]}, "thresholds_leave_a_gap", "levels[0].below"),
        ({"levels": [LEVELS[0], LEVELS[0]]}, "code_taken", "levels[1].code"),
        ({"levels": [{**LEVELS[0], "at_least": "0.001"}]}, "wrong_scale", "levels[0].at_least"),
        ({"starts_at": "2020-01-01T00:00:00Z"}, "starts_in_the_past", "starts_at"),
        ({"currency": "XXX"}, "asset_not_found", "currency"),
        ({"timezone": "Mars/Base"}, "invalid_value", "timezone"),
        ({"grace_days": 365}, "invalid_value", "grace_days"),
        ({"figure": "attribute"}, "invalid_value", "attribute"),
    ],
)
def test_what_cannot_be_a_structure_is_refused_by_name(
    shop: Shop, fields: dict[str, Any], code: str, field: str
) -> None:
    body = {**TIERS, "currency": "USD", **fields}
    if body["figure"] != "spend":
        body["currency"] = ""
    answer = shop.api.call("POST", "/v1/programs/number:1/tiers", body)
    assert answer.status_code in (400, 404, 409), answer.text
    assert (answer.json()["code"], answer.json()["field"]) == (code, field)


def test_a_program_without_tiers_says_so(shop: Shop) -> None:
    assert shop.api.get(f"{AMY}/tiers")["programs"] == []
    answer = shop.api.call("GET", "/v1/programs/number:1/tiers/members")
    assert (answer.status_code, answer.json()["code"]) == (404, "tiers_not_found")
