"""The points ledger over HTTP: every filter, the cursor while events arrive, balances after and closing balances."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.conftest import ADMIN_KEY, Api, Shop, set_up
from tests.api.test_loyalty import bill


def names(page: Any) -> list[str]:
    return [event["name"] for event in page["events"]]


def lines(page: Any) -> list[tuple[str, str, str, str]]:
    return [
        (entry["type"], entry["points"], entry["category"], entry["balance_after"])
        for event in page["events"]
        for entry in event["entries"]
    ]


class Story:
    """A member's history of every kind of event in two programs, and its ledger."""

    def __init__(self, api: Api) -> None:
        rules = [
            {"kind": "per_amount", "code": "base", "points": "1", "amount_minor": 100},
            {"kind": "fixed", "code": "later", "points": "7", "points_category": "promised"},
        ]
        self.shop = set_up(api, earning_rules=rules)
        self.api = api
        api.post("/v1/sources", {"code": "KIOSK"})
        gold = {"code": "gold", "name": "Gold", "asset": "POINTS", "currency": "USD"}
        api.post("/v1/programs", {**gold, "earning_rules": [{"kind": "fixed", "code": "one", "points": "1"}]})
        api.post("/v1/stores", {"code": "north", "name": "North"})
        api.post("/v1/tills", {"code": "north-1", "store": "north", "program": "gold"})
        api.post("/v1/purchases", bill("B-1", 30000, till="main-1", source="INSTORE"))
        api.post("/v1/purchases", bill("B-2", 10000, spend_points=200, source="KIOSK"))
        api.post("/v1/purchases", bill("B-3", 100, till="north-1"))
        redemption = api.post(
            "/v1/members/number:1/redemptions", {"points": 50, "program": "classic", "till": "north-1"}
        )
        api.post(f"/v1/redemptions/{redemption['id']}/reversals", {"points": 20})
        api.post("/v1/purchases/number:B-2/returns", {"number": "R-2"})

    def ledger(self, **chosen: Any) -> Any:
        return self.api.get("/v1/members/number:1/points-ledger", **chosen)

    def closing(self, **chosen: Any) -> dict[tuple[str, str], str]:
        answer = self.api.get("/v1/members/number:1/points-ledger/closing-balance", **chosen)
        return {(line["program"]["code"], line["category"]): line["balance"] for line in answer["balances"]}


@pytest.fixture
def story(api: Api) -> Story:
    return Story(api)


def test_the_ledger_tells_every_event_newest_first_and_sums_up(story: Story) -> None:
    page = story.ledger(include="total,member")
    assert names(page) == [
        "TransactionReturn",
        "PointsRedemptionReversal",
        "PointsRedemption",
        "TransactionAdd",
        "PointsLedgerBulkJob",
        "TransactionAdd",
        "PointsRedemption",
        "TransactionAdd",
        "CustomerRegistration",
    ]
    assert page["total"] == 9
    assert page["member"]["external_id"] == "C-1"
    assert page["next_cursor"] is None
    total = sum(int(event["points_on_event"]) for event in page["events"])
    assert total == sum(int(balance) for balance in story.closing().values())
    for event in page["events"]:
        signs = {"credit": 1, "debit": -1, "opening_balance": 0}
        moved = sum(signs[entry["type"]] * int(entry["points"]) for entry in event["entries"])
        assert moved == int(event["points_on_event"]), event


def test_registration_opens_every_account_with_zero_and_a_later_program_its_own(story: Story) -> None:
    first = story.ledger(order="oldest_first", limit=1)
    assert lines(first) == [
        ("opening_balance", "0", category, "0") for category in ("regular", "promised", "trigger_based")
    ]
    later = story.ledger(event="PointsLedgerBulkJob")["events"][0]
    assert {entry["program"]["code"] for entry in later["entries"]} == {"gold"}


def test_each_entry_carries_the_balance_after_it(story: Story) -> None:
    page = story.ledger(order="oldest_first", program="classic", category="regular", entry_type="credit,debit")
    assert lines(page) == [
        ("credit", "300", "regular", "300"),
        ("debit", "200", "regular", "100"),
        ("credit", "80", "regular", "180"),
        ("debit", "50", "regular", "130"),
        ("credit", "20", "regular", "150"),
        ("credit", "200", "regular", "350"),
        ("debit", "80", "regular", "270"),
    ]


def test_transaction_numbers_stand_where_they_belong(story: Story) -> None:
    for event in story.ledger()["events"]:
        assert ("transaction" in event) == (event["name"] == "TransactionAdd")
        assert ("redemption" in event) == event["name"].startswith("PointsRedemption")
    returned = story.ledger(event="TransactionReturn")["events"][0]["purchase_return"]
    assert (returned["number"], returned["purchase"]["number"]) == ("R-2", "B-2")


def test_filters_choose_by_source_store_till_and_name(story: Story) -> None:
    assert names(story.ledger(source="KIOSK")) == ["TransactionAdd", "PointsRedemption"]
    assert len(story.ledger(source="KIOSK,INSTORE")["events"]) == 3
    assert names(story.ledger(store="north")) == ["PointsRedemption", "TransactionAdd"]
    assert names(story.ledger(till="main-1,north-1")) == ["PointsRedemption", "TransactionAdd", "TransactionAdd"]
    assert names(story.ledger(till="main-1")) == ["TransactionAdd"]
    assert names(story.ledger(event="PointsRedemption", source="KIOSK")) == ["PointsRedemption"]


def test_filters_choose_by_entry_type_and_category_and_show_those_lines_only(story: Story) -> None:
    assert set(lines(story.ledger(category="promised", entry_type="credit"))) == {
        ("credit", "7", "promised", "7"),
        ("credit", "7", "promised", "14"),
    }
    assert {line[0] for line in lines(story.ledger(entry_type="debit"))} == {"debit"}
    assert names(story.ledger(entry_type="opening_balance")) == ["PointsLedgerBulkJob", "CustomerRegistration"]
    assert story.ledger(category="trigger_based", entry_type="debit")["events"] == []


def test_a_program_shows_its_lines_and_with_its_tills_the_redemptions_made_there(story: Story) -> None:
    gold = story.ledger(program="gold")
    assert names(gold) == ["TransactionAdd", "PointsLedgerBulkJob"]
    with_tills = story.ledger(program="gold", include_till_concept_events="true")
    assert names(with_tills) == ["PointsRedemption", "TransactionAdd", "PointsLedgerBulkJob"]
    assert with_tills["events"][0]["entries"][0]["program"]["code"] == "classic"
    problem = story.api.call("GET", "/v1/members/number:1/points-ledger?include_till_concept_events=true").json()
    assert (problem["code"], problem["field"]) == ("invalid_value", "include_till_concept_events")


def test_dates_bound_a_view_by_either_time(api: Api) -> None:
    shop = set_up(api)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    api.post("/v1/purchases", bill("B-1", 1000, event_at=yesterday.isoformat()))
    path = f"/v1/members/{shop.member}/points-ledger"
    an_hour_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    assert names(api.get(path, since=an_hour_ago)) == ["TransactionAdd", "CustomerRegistration"]
    assert names(api.get(path, since=an_hour_ago, time="event")) == ["CustomerRegistration"]
    assert names(api.get(path, until=an_hour_ago, time="event")) == ["TransactionAdd"]
    assert names(api.get(path, until=an_hour_ago)) == []


@pytest.mark.parametrize("order", ["newest_first", "oldest_first"])
def test_pages_neither_skip_nor_repeat_while_events_arrive(shop: Shop, order: str) -> None:
    path = f"/v1/members/{shop.member}/points-ledger"
    for n in range(7):
        shop.api.post("/v1/purchases", bill(f"B-{n}", 100 * n))
    seen: list[int] = []
    more: dict[str, str] = {}
    while True:
        page = shop.api.get(path, limit=3, order=order, **more)
        seen += [event["event_log_id"] for event in page["events"]]
        if page["next_cursor"] is None:
            break
        more = {"cursor": page["next_cursor"]}
        if len(seen) < 10:
            shop.api.post("/v1/purchases", bill(f"late-{len(seen)}", 100))
    assert seen == sorted(set(seen), reverse=order == "newest_first")
    assert len(seen) == (8 if order == "newest_first" else 11)


def test_a_cursor_belongs_to_its_filters(shop: Shop) -> None:
    path = f"/v1/members/{shop.member}/points-ledger"
    for n in range(3):
        shop.api.post("/v1/purchases", bill(f"B-{n}", 100))
    cursor = shop.api.get(path, limit=1)["next_cursor"]
    for other in ({"order": "oldest_first"}, {"source": "INSTORE"}, {"category": "regular"}):
        answer = shop.api.client.get(path, params={"limit": 1, "cursor": cursor, **other})
        assert answer.json()["code"] == "invalid_cursor"


def test_the_closing_balance_stands_after_the_views_last_event(story: Story) -> None:
    assert story.closing()["classic", "regular"] == "270"
    assert story.closing(event="PointsRedemption", source="KIOSK")["classic", "regular"] == "100"
    assert story.closing(source="INSTORE") == {
        ("classic", "regular"): "300",
        ("classic", "promised"): "7",
        ("classic", "trigger_based"): "0",
        ("gold", "regular"): "0",
        ("gold", "promised"): "0",
        ("gold", "trigger_based"): "0",
    }
    assert story.closing(program="gold", category="regular") == {("gold", "regular"): "1"}


def test_the_closing_balance_of_every_event_is_the_balance_after_its_last_entry(story: Story) -> None:
    balance: dict[tuple[str, str], str] = {}
    for event in story.ledger(order="oldest_first")["events"]:
        for entry in event["entries"]:
            balance[entry["program"]["code"], entry["category"]] = entry["balance_after"]
        until = datetime.fromisoformat(event["recorded_at"]) + timedelta(microseconds=1)
        closing = story.closing(as_of=until.isoformat())
        if event["name"] not in ("PointsLedgerBulkJob", "PointsRedemption") or event.get("till"):
            assert {key: closing[key] for key in balance} == balance, event


def test_an_empty_view_closes_with_the_balance_before_its_end(story: Story) -> None:
    first = story.ledger(order="oldest_first", limit=2)["events"]
    until = first[1]["recorded_at"]
    assert story.closing(source="TMALL", until=until)["classic", "regular"] == "0"
    assert story.closing(source="TMALL")["classic", "regular"] == "270"


def test_balances_by_event_time_differ_from_those_by_booking_time(api: Api) -> None:
    shop = set_up(api)
    now = datetime.now(UTC)
    api.post("/v1/purchases", bill("B-1", 1000, event_at=(now - timedelta(days=2)).isoformat()))
    path = f"/v1/members/{shop.member}/points-ledger/closing-balance"
    yesterday = (now - timedelta(days=1)).isoformat()
    by_booking = api.get(path, as_of=yesterday, category="regular")["balances"][0]["balance"]
    by_event = api.get(path, as_of=yesterday, time="event", category="regular")["balances"][0]["balance"]
    assert (by_booking, by_event) == ("0", "10")


def test_lots_and_purchases_are_shown_when_asked_for(story: Story) -> None:
    page = story.ledger(expand="lots,purchase", event="TransactionAdd", source="INSTORE")
    event = page["events"][0]
    assert [(lot["move"], lot["points"], lot["rule"], lot["version"]) for lot in event["lots"]] == [
        ("open", "300", "base", 1),
        ("open", "7", "later", 1),
    ]
    assert event["purchase"]["amount_minor"] == 30000
    spent = story.ledger(expand="lots", event="PointsRedemption", source="KIOSK")["events"][0]
    assert [(lot["move"], lot["points"]) for lot in spent["lots"]] == [("take", "200")]


def test_the_promotions_that_had_a_part_are_shown_when_asked_for(shop: Shop) -> None:
    api, member = shop.api, shop.member
    effects = [{"type": "percent", "ppm": 100_000}, {"type": "points", "points": 50}]
    ten = api.post("/v1/promotions", {"name": "Ten", "status": "active", "effects": effects, "on_return": "give_back"})
    coded = api.post("/v1/promotions", {"name": "Word", "kind": "code", "status": "active", "effects": effects[:1]})
    batches = f"/v1/promotions/{coded['id']}/codes/batches"
    batch = api.post(batches, {"name": "word"})
    api.post(f"{batches}/{batch['id']}/uploads", {"codes": ["ZN34C"]}, status=200)
    paid = {"member": "external_id:C-1", "codes": ["ZN34C"], "spend_points": "10"}
    api.post("/v1/purchases", bill("B-0", 10_000))
    api.post("/v1/purchases", {**bill("B-1", 10_000), **paid})
    api.post("/v1/purchases/number:B-1/returns", {"number": "R-1"})
    line = [{"sku": "A", "amount_minor": 1_000}]
    cart = {"number": "W-1", "currency": "USD", "member": "external_id:C-1", "lines": line}
    commit = api.post("/v1/promotions/commits", cart)
    api.post(f"/v1/promotions/commits/{commit['id']}/returns", {"number": "V-1"})
    api.client.patch(f"/v1/promotions/{ten['id']}", json={"name": "Renamed"})
    events = api.get(f"/v1/members/{member}/points-ledger", expand="promotions", order="oldest_first")["events"]
    shown = {
        event["name"]: [(each["name"], each["code"], each["discount_minor"]) for each in event["promotions"]]
        for event in events
        if event["promotions"]
    }
    both = [("Ten", "", 1_000), ("Word", "ZN34C", 900)]
    assert shown == {
        "PointsRedemption": both,
        "TransactionAdd": both,
        "TransactionReturn": both,
        "PromotionUse": [("Ten", "", 100)],
        "PromotionReturn": [("Ten", "", 100)],
    }
    first = next(event for event in events if event["name"] == "PromotionUse")["promotions"][0]
    assert first == {
        "id": ten["id"], "version": 1, "name": "Ten", "code": "", "issue": None, "discount_minor": 100,
        "voucher_minor": 0, "points": "50",
    }  # fmt: skip
    plain = api.get(f"/v1/members/{member}/points-ledger")["events"]
    assert not any("promotions" in event for event in plain)


def test_a_raw_transfer_shows_in_the_ledger_too(shop: Shop) -> None:
    account = shop.api.get(f"/v1/members/{shop.member}/balances")["programs"][0]["regular"]["account"]
    raw = {
        "precise_amount": 30,
        "precision": 1,
        "currency": "POINTS",
        "reference": "raw-1",
        "description": "raw",
        "source": "@PointsPool",
        "destination": account,
        "allow_overdraft": True,
        "skip_queue": True,
    }
    answer = shop.api.call("POST", "/blnk/transactions", raw, headers={"x-blnk-key": ADMIN_KEY})
    assert answer.json()["status"] == "APPLIED", answer.text
    event = shop.api.get(f"/v1/members/{shop.member}/points-ledger")["events"][0]
    assert (event["name"], event["points_on_event"]) == ("LedgerTransaction", "30")
    assert event["entries"][0]["balance_after"] == "30"
