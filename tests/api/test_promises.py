"""Promised points, changes of their end, and imports over HTTP."""

from __future__ import annotations

import csv
import io
import time
from typing import Any

from tests.api.conftest import Shop
from tests.api.test_loyalty import bill

RULES = [
    {"kind": "per_amount", "code": "base", "points": "1", "amount_minor": 100},
    {"kind": "fixed", "code": "welcome", "points": "20", "points_category": "promised", "release_days": 14},
    {"kind": "fixed", "code": "review", "points": "5", "points_category": "trigger_based", "trigger": "review"},
]


def test_four_figures_are_told_apart_and_an_unlock_moves_them(shop: Shop) -> None:
    shop.api.patch("/v1/programs/classic", {"earning_rules": RULES})
    made = shop.api.post("/v1/purchases", bill("B-1", 5000))
    assert [(earned["points_category"], earned["trigger"]) for earned in made["earned"]] == [
        ("regular", ""),
        ("promised", ""),
        ("trigger_based", "review"),
    ]
    assert made["earned"][1]["releases_at"] is not None
    before = shop.api.get("/v1/members/external_id:C-1/balances")["programs"][0]
    assert (before["regular"]["spendable"], before["promised"]["balance"], before["trigger_based"]["balance"]) == (
        "50",
        "20",
        "5",
    )
    assert before["promised"]["next_at"] == made["earned"][1]["releases_at"]
    unlocked = shop.api.post("/v1/members/external_id:C-1/unlocks", {"trigger": "review"})
    assert [(each["points_category"], each["points"]) for each in unlocked["conversions"]] == [("trigger_based", "5")]
    shop.api.post("/v1/members/external_id:C-1/unlocks", {"purchase": "number:B-1"})
    path = "/v1/members/external_id:C-1/unlocks"
    shop.api.refused("POST", path, {"purchase": "number:B-1"}, 409, "already_unlocked")
    shop.api.refused("POST", path, {}, 409, "nothing_promised")
    shop.api.refused("POST", path, {"purchase": "number:B-2"}, 404, "purchase_not_found")
    after = shop.api.get("/v1/members/external_id:C-1/balances")["programs"][0]
    assert (after["regular"]["spendable"], after["promised"]["balance"]) == ("75", "0")
    events = shop.api.get("/v1/members/external_id:C-1/points-ledger")["events"]
    assert [(event["name"], event["points_on_event"], len(event["entries"])) for event in events[:2]] == [
        ("PromisedPointsConversion", "0", 2),
        ("TriggerPointsConversion", "0", 2),
    ]


def test_terms_that_do_not_go_together_are_refused_with_their_place(shop: Shop) -> None:
    wrong: tuple[tuple[dict[str, Any], str], ...] = (
        ({"release_days": 3}, "release_days"),
        ({"release_on": "2027-01-01"}, "release_on"),
        ({"trigger": "review"}, "trigger"),
        ({"expires_from": "release"}, "expires_from"),
        ({"points_category": "promised", "release_days": 3, "release_on": "2027-01-01"}, "release_days"),
    )
    for terms, field in wrong:
        rule = {"kind": "fixed", "code": "a", "points": "1", **terms}
        problem = shop.api.refused("PATCH", "/v1/programs/classic", {"earning_rules": [rule]}, 400, "invalid_value")
        assert problem["field"] == f"earning_rules[0].{field}"


def test_an_expiry_change_into_the_past_changes_nothing(shop: Shop) -> None:
    shop.api.post("/v1/purchases", bill("B-1", 5000))
    path = "/v1/members/external_id:C-1/expiry-changes"
    problem = shop.api.refused("POST", path, {"last_day": "2020-01-01"}, 400, "expiry_in_the_past")
    assert problem["field"] == "last_day"
    shop.api.refused("POST", path, {}, 400, "invalid_value")
    shop.api.refused("POST", path, {"never": True, "lots": [99]}, 404, "lot_not_found")
    changed = shop.api.post(path, {"last_day": "2099-12-31", "reference": "E-1"})
    assert len(changed["lots"]) == 1
    assert shop.api.post(path, {"last_day": "2099-12-31", "reference": "E-1"}) == changed


def brought(shop: Shop, asked: dict[str, Any]) -> Any:
    """An import, when all its rows are done."""
    made = shop.api.post("/v1/imports", asked, 202)
    until = time.monotonic() + 60
    while made["status"] != "finished" and time.monotonic() < until:
        time.sleep(0.1)
        made = shop.api.get(f"/v1/imports/{made['id']}")
    return made


def test_a_list_comes_as_csv_and_what_became_of_its_rows_goes_as_csv(shop: Shop) -> None:
    shop.api.post("/v1/segments", {"code": "vip", "name": "VIP"})
    text = "Member,action\r\nC-1,\r\n\r\nnobody,add\r\nC-1\r\nC-1,remove\r\nC-1,add\r\n"
    made = brought(shop, {"kind": "segments", "segment": "vip", "csv": text})
    assert (made["rows"], made["accepted"], made["replayed"], made["rejected"]) == (5, 3, 0, 2)
    sheet = shop.api.call("GET", f"/v1/imports/{made['id']}/results.csv")
    assert [(row["row"], row["status"], row["code"]) for row in csv.DictReader(io.StringIO(sheet.text))] == [
        ("1", "accepted", ""), ("2", "rejected", "member_not_found"), ("3", "rejected", "invalid_value"),
        ("4", "accepted", ""), ("5", "accepted", ""),
    ]  # fmt: skip
    assert [each["id"] for each in shop.api.get("/v1/segments/vip/members")["data"]] == [shop.member]
    again = brought(shop, {"kind": "segments", "rows": [{"member": "C-1", "segment": "vip"}]})
    assert (again["accepted"], again["replayed"]) == (0, 1)
    for wrong in ({"csv": text, "rows": [{}]}, {}, {"csv": 'member\n"open'}, {"csv": "member\n"}):
        shop.api.refused("POST", "/v1/imports", {"kind": "segments", **wrong}, 400, "invalid_value")


def test_an_import_answers_at_once_and_says_what_became_of_each_row(shop: Shop) -> None:
    rows = [
        {"member": "C-1", "points": "120", "earned_at": "2026-03-01", "last_day": "2099-12-31"},
        {"member": "nobody", "points": 5, "earned_at": "2026-03-01"},
        {"member": "C-1", "points": "x", "earned_at": "2026-03-01"},
    ]
    made = brought(shop, {"kind": "points", "rows": rows})
    assert (made["status"], made["accepted"], made["rejected"]) == ("finished", 1, 2)
    first = shop.api.get(f"/v1/imports/{made['id']}/results", limit=2)
    rest = shop.api.get(f"/v1/imports/{made['id']}/results", limit=2, cursor=first["next_cursor"])
    results = [*first["data"], *rest["data"]]
    assert [(each["row"], each["status"], each["code"], each["column"]) for each in results] == [
        (1, "accepted", "", ""),
        (2, "rejected", "member_not_found", "member"),
        (3, "rejected", "invalid_value", "points"),
    ]
    shop.api.refused("GET", "/v1/imports/imp_0199b1f0-2c3e-7c11-9a52-5b7d3c000000", None, 404, "import_not_found")
    shop.api.refused("POST", "/v1/imports", {"kind": "points", "rows": []}, 400, "invalid_value")
