"""Policies over HTTP: what they refuse, what a preview foresees, and that this is what then happens."""

from __future__ import annotations

import csv
import io
import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.conftest import ADMIN_KEY, Api, Shop, served, set_up
from tests.api.test_loyalty import bill
from tests.conftest import Database, addresses, drop_database

START = datetime(2027, 1, 10, 12, tzinfo=UTC)
FOLLOW = {"expiry": {"kind": "months", "count": 6}, "existing_points": "follow", "grace_days": 10}


def fixed(**more: Any) -> list[dict[str, Any]]:
    return [{"kind": "fixed", "code": "visit", "points": "5", **more}]


FAULTS: list[tuple[str, dict[str, Any], int, str, str]] = [
    ("a window of zero", {"earning_rules": fixed(windows=[{"start": 60, "end": 60}])}, 400, "window_never_open",
     "earning_rules[0].windows[0].end"),
    ("windows over each other", {"earning_rules": fixed(windows=[{"weekdays": [1]}, {"weekdays": [1, 2]}])}, 400,
     "windows_overlap", "earning_rules[0].windows[1]"),
    ("a rule that starts in the past", {"earning_rules": fixed(starts_at="2020-01-01T00:00:00Z")}, 400,
     "policy_in_the_past", "earning_rules[0].starts_at"),
    ("a rule that has ended", {"earning_rules": fixed(ends_at="2020-01-01T00:00:00Z")}, 400, "policy_in_the_past",
     "earning_rules[0].ends_at"),
    ("a store nobody knows", {"earning_rules": fixed(stores=["nowhere"])}, 404, "store_not_found",
     "earning_rules[0].stores[0]"),
    ("a cap of nothing", {"caps": [{"code": "c", "points": 0}]}, 400, "invalid_value", "caps[0].points"),
    ("a cap of half a point", {"caps": [{"code": "c", "points": "0.5"}]}, 400, "wrong_scale", "caps[0].points"),
    ("a rolling cap of no days", {"caps": [{"code": "c", "points": 1, "per": "rolling"}]}, 400, "invalid_value",
     "caps[0].days"),
    ("a group of nobody", {"stacking": [{"group": "x", "mode": "best"}]}, 400, "invalid_value", "stacking[0].group"),
    ("30 February", {"expiry": {"kind": "yearly", "month": 2, "day": 30}}, 400, "invalid_value", "expiry.day"),
    ("no months", {"expiry": {"kind": "rolling"}}, 400, "invalid_value", "expiry.count"),
    ("no activity", {"expiry": {"kind": "inactivity", "count": 3, "activities": []}}, 400, "invalid_value",
     "expiry.activities"),
    ("an unknown activity", {"expiry": {"kind": "rolling", "count": 1, "activities": ["dance"]}}, 400,
     "invalid_value", "expiry.activities[0]"),
    ("grace for nothing", {"grace_days": 3}, 400, "invalid_value", "grace_days"),
    ("a start in the past", {"starts_at": "2027-01-10T11:59:59Z"}, 400, "policy_in_the_past", "starts_at"),
    ("a start by no clock", {"starts_at": "2027-02-01T00:00:00"}, 400, "invalid_value", "starts_at"),
    ("another name from a day on", {"name": "Gold", "starts_at": "2027-02-01T00:00:00Z"}, 400, "invalid_value", "name"),
    ("a start at the end of time", {"starts_at": "9999-01-01T00:00:00Z"}, 400, "invalid_value", "starts_at"),
    ("a notice twice", {"notice_days": [7, 7]}, 400, "invalid_value", "notice_days"),
    ("a notice on the day itself", {"notice_days": [0]}, 400, "invalid_value", "notice_days[0]"),
    ("a pool that is full when it is low", {"low_pool": {"points": "10", "filled": "10"}}, 400, "invalid_value",
     "low_pool.filled"),
    ("a pool of half a point", {"low_pool": {"points": "-0.5"}}, 400, "wrong_scale", "low_pool.points"),
]  # fmt: skip


@pytest.fixture(scope="module")
def club(template: str, cluster: Any) -> Any:
    name = f"policies_{os.getpid()}"
    cluster.make_database(name, template)
    clock = [START]
    with served(addresses(cluster, name), now=lambda: clock[0], job_interval_s=3600) as url:
        api = Api(url, ADMIN_KEY)
        set_up(api)
        yield api, clock
    drop_database(cluster, name)


@pytest.mark.parametrize(("body", "status", "code", "field"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_a_policy_that_cannot_work_is_refused_also_by_its_preview(
    club: Any, body: dict[str, Any], status: int, code: str, field: str
) -> None:
    api, _ = club
    before = api.get("/v1/programs/classic")
    for method, path in (("PATCH", ""), ("POST", "/preview"), ("POST", "/preview/points")):
        api.refused(method, f"/v1/programs/classic{path}", body, status, code, field)
    assert api.get("/v1/programs/classic") == before


def test_what_a_preview_foresees_is_what_then_happens(database: Database) -> None:
    clock = [START]
    with served(database, now=lambda: clock[0], job_interval_s=3600) as url:
        api = Api(url, ADMIN_KEY)
        set_up(api)
        api.patch("/v1/programs/classic", {"expiry": {"kind": "months", "count": 12}})
        api.post("/v1/members", {"external_id": "C-2"})
        for day in (0, 30, 120, 200):
            clock[0] = START + timedelta(days=day)
            api.post("/v1/purchases", bill(f"B-{day}", 10_000))
        api.post("/v1/purchases", bill("B-x", 5_000, member="external_id:C-2"))
        kept = api.post("/v1/programs/classic/preview", {"expiry": {"kind": "months", "count": 6}}, 200)
        assert (kept["all"], kept["sooner"]["lots"]) == (kept["same"], 0)
        foreseen = api.post("/v1/programs/classic/preview", FOLLOW, 200)
        assert foreseen["version"] == api.get("/v1/programs/classic")["version"] + 1
        assert foreseen["all"] == {"members": 2, "lots": 5, "points": "450"}
        assert foreseen["sooner"] == foreseen["all"]
        assert sum(int(month["points_then"]) for month in foreseen["months"]) == 450
        path, pages, cursor = "/v1/programs/classic/preview/points", [], None
        while True:
            asked = f"{path}?limit=2" + (f"&cursor={cursor}" if cursor else "")
            page = api.post(asked, FOLLOW, 200)
            pages.append(page["data"])
            cursor = page["next_cursor"]
            if cursor is None:
                break
        listed = [each for page in pages for each in page]
        assert [len(page) for page in pages] == [2, 2, 1]
        sheet = api.call("POST", f"{path}.csv", FOLLOW)
        rows = list(csv.DictReader(io.StringIO(sheet.text)))
        assert [(int(row["lot"]), row["points"], row["change"]) for row in rows] == [
            (each["lot"], each["points"], each["change"]) for each in listed
        ]
        api.patch("/v1/programs/classic", FOLLOW)
        assert api.get("/v1/programs/classic")["version"] == foreseen["version"]
        api.post("/v1/members/external_id:C-1/redemptions", {"points": 1})
        api.post("/v1/members/external_id:C-2/redemptions", {"points": 1})
        changed = []
        for member in ("C-1", "C-2"):
            ledger = api.get(
                f"/v1/members/external_id:{member}/points-ledger", event="PointsExpiryChange", expand="lots"
            )
            assert [event["reason"] for event in ledger["events"]] == ["policy"]
            changed += [(lot["lot"], lot["expires_at"]) for lot in ledger["events"][0]["lots"]]
        assert sorted(changed) == [(each["lot"], each["would_end_at"]) for each in listed]
        versions = api.get("/v1/programs/classic/versions")["data"]
        assert (versions[0]["version"], versions[0]["existing_points"], versions[0]["grace_days"]) == (
            foreseen["version"], "follow", 10,
        )  # fmt: skip


def test_a_rule_says_where_and_when_it_holds_and_how_much_it_gives(club: Any) -> None:
    api, _ = club
    rule = {
        "kind": "per_amount", "code": "bonus", "points": "2", "amount_minor": 100, "stores": ["main"],
        "sources": ["WEBSITE"], "windows": [{"weekdays": [7]}], "priority": 3, "group": "extra", "exclusive": False,
        "caps": [{"code": "day", "points": "30", "per": "day"}], "ends_at": "2028-01-01T00:00:00Z",
    }  # fmt: skip
    base = {"kind": "per_amount", "code": "base", "points": "1", "amount_minor": 100}
    shown = api.patch("/v1/programs/classic", {"earning_rules": [base, rule]})
    given = next(each for each in shown["earning_rules"] if each["code"] == "bonus")
    assert {name: given[name] for name in ("stores", "sources", "priority", "group", "ends_at")} == {
        name: rule[name] for name in ("stores", "sources", "priority", "group", "ends_at")
    }
    here = {"store": "main", "source": "WEBSITE"}  # 10 January 2027 is a Sunday
    found = [api.post("/v1/purchases", bill(f"W-{i}", 1_000, **here))["earned"] for i in range(3)]
    assert [[(e["rule"], e["points"], e["points_capped"]) for e in each] for each in found] == [
        [("base", "10", "0"), ("bonus", "20", "0")],
        [("base", "10", "0"), ("bonus", "10", "10")],
        [("base", "10", "0")],
    ]
    assert [e["rule"] for e in api.post("/v1/purchases", bill("W-9", 1_000, store="main"))["earned"]] == ["base"]


def test_a_version_that_is_planned_is_foreseen_as_it_will_be_and_begins_when_it_says(database: Database) -> None:
    clock = [START]
    path = "/v1/programs/classic"
    with served(database, now=lambda: clock[0], job_interval_s=3600) as url:
        api = Api(url, ADMIN_KEY)
        set_up(api)
        api.patch(path, {"expiry": {"kind": "days", "count": 100}})
        for day in (0, 60):
            clock[0] = START + timedelta(days=day)
            api.post("/v1/purchases", bill(f"B-{day}", 10_000))
        starts_at = START + timedelta(days=110)
        asked = {**FOLLOW, "expiry": {"kind": "days", "count": 30}, "starts_at": starts_at.isoformat()}
        assert api.post(f"{path}/preview", {**FOLLOW, "expiry": asked["expiry"]}, 200)["all"]["lots"] == 2
        foreseen = api.post(f"{path}/preview", asked, 200)
        assert (foreseen["version"], foreseen["starts_at"]) == (3, starts_at.isoformat().replace("+00:00", "Z"))
        assert foreseen["all"] == foreseen["sooner"] == {"members": 1, "lots": 1, "points": "100"}
        (listed,) = api.post(f"{path}/preview/points", asked, 200)["data"]
        planned = api.patch(path, asked)
        assert (planned["version"], planned["expiry"]["count"], planned["following"]) == (2, 100, None)
        assert planned["planned"] == [{"version": 3, "starts_at": foreseen["starts_at"]}]
        again = api.post(f"{path}/preview", {**asked, "starts_at": (starts_at + timedelta(days=1)).isoformat()}, 200)
        assert again["same"]["lots"] == again["all"]["lots"] == 1, "it follows the one before, and that says the same"
        clock[0] = starts_at
        shown = api.get(path)
        assert (shown["version"], shown["expiry"]["count"], shown["following"]) == (3, 30, 3)
        assert shown["planned"] == []
        api.post("/v1/members/external_id:C-1/redemptions", {"points": 1})
        ledger = api.get("/v1/members/external_id:C-1/points-ledger", event="PointsExpiryChange", expand="lots")
        ends = {lot["lot"]: lot["expires_at"] for lot in ledger["events"][0]["lots"]}
        assert ends[listed["lot"]] == listed["would_end_at"]
        api.patch(path, {"starts_at": (starts_at + timedelta(days=9)).isoformat(), "minimum_redemption": 10})
        api.patch(path, {})
        told = [(each["version"], each["status"]) for each in api.get(f"{path}/versions")["data"]]
        assert told == [(5, "in_force"), (4, "replaced"), (3, "past"), (2, "past"), (1, "past")]
        clock[0] = starts_at + timedelta(days=9)
        assert api.get(path)["minimum_redemption"] == "0"


def test_a_mark_of_a_pool_is_shown_as_it_was_given_and_can_be_taken_away(shop: Shop) -> None:
    mark = {"points": "-20", "filled": "100"}
    assert shop.api.patch("/v1/programs/classic", {"low_pool": mark})["low_pool"] == mark
    shop.api.post("/v1/members/external_id:C-1/awards", {"points": "20", "reason": "x"})
    assert shop.api.patch("/v1/programs/classic", {"name": "Club"})["low_pool"] == mark
    assert shop.api.patch("/v1/programs/classic", {"low_pool": None})["low_pool"] is None
