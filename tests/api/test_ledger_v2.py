"""`/v2/pointsLedger/…`: the same ledger in the other system's shapes, names, defaults and error codes."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from guerdon.api.v2.names import CATEGORIES, CODES, EVENTS
from guerdon.core.events import Name
from tests.api.conftest import ADMIN_KEY, Api, Shop, set_up
from tests.api.test_loyalty import bill
from tests.api.test_points_ledger import Story

INFO, BALANCE, EXPLODE = (
    f"/v2/pointsLedger/{name}" for name in ("getCustomerLedgerInfo", "getCustomerLedgerBalance", "getLedgerExplodeInfo")
)
ADA = {"identifierName": "externalId", "identifierValue": "C-1", "source": "INSTORE"}


@pytest.fixture
def story(api: Api) -> Story:
    return Story(api)


def entries(story: Story, **asked: Any) -> list[Any]:
    found: list[Any] = story.api.get(INFO, **ADA, **asked)["ledgerDetails"]["ledgerEntries"]
    return found


def code(api: Api, path: str, status: int, **asked: Any) -> int:
    answer = api.client.get(path, params={**ADA, **asked})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    (error,) = answer.json()["errors"]
    assert error["status"] is False
    assert error["message"]
    return int(error["code"])


def test_every_event_has_a_name_of_theirs_and_every_name_is_in_the_reference() -> None:
    assert [name.value for name in Name if name.value not in EVENTS] == []
    text = (Path(__file__).parents[2] / "docs" / "reference" / "points-ledger-v2.md").read_text(encoding="utf-8")
    for mine, name in (EVENTS | CATEGORIES).items():
        assert f"| `{mine}` | `{name}` |" in text, mine
    assert {int(number) for number in re.findall(r"^\| (\d{4,5}) \|", text, re.MULTILINE)} == set(CODES)


def test_the_ledger_is_the_one_of_v1_in_other_words(story: Story) -> None:
    page = story.api.get(INFO, **ADA)
    assert page["customerDetails"] == {
        "firstName": "", "lastName": "", "userId": 1, "externalId": "C-1", "entityType": "CUSTOMER",
    }  # fmt: skip
    details = page["ledgerDetails"]
    assert {name: details[name] for name in ("pageNumber", "pageSize", "totalEntries", "pageCount")} == {
        "pageNumber": 0, "pageSize": 10, "totalEntries": 9, "pageCount": 1,
    }  # fmt: skip
    events = story.ledger()["events"]
    for theirs, mine in zip(details["ledgerEntries"], events, strict=True):
        assert (theirs["eventLogId"], theirs["eventName"]) == (mine["event_log_id"], EVENTS[mine["name"]])
        assert theirs["netPointsOnEvent"] == f"{mine['points_on_event']}.000"
        assert [(line["ledgerEntryType"].lower(), line["points"]) for line in theirs["entryDetails"]] == [
            (line["type"], f"{line['points']}.000") for line in mine["entries"]
        ]
        assert bool(theirs["transactionDetails"]) == (mine["name"] in ("TransactionAdd", "TransactionReturn"))


def test_a_purchase_carries_its_number_and_a_return_its_own(story: Story) -> None:
    returned, *_ = entries(story)
    assert returned["eventName"] == "ReturnBill"
    details = returned["transactionDetails"]
    assert (details["transactionNumber"], details["originalTransactionNumber"]) == ("R-2", "B-2")
    assert details["transactionId"] == 1
    bought = next(one for one in entries(story) if one["transactionDetails"].get("transactionNumber") == "B-2")
    assert bought["transactionDetails"]["transactionId"] == details["originalTransactionId"]
    assert (bought["transactionDetails"]["amount"], bought["transactionDetails"]["grossBillAmount"]) == (
        "80.00",
        "100.00",
    )
    first = entries(story, order="ASC")[0]
    assert {line["ledgerEntryType"] for line in first["entryDetails"]} == {"OPENING_BALANCE"}
    assert {line["pointsCategory"] for line in first["entryDetails"]} == set(CATEGORIES.values())


def test_filters_are_those_of_v1_under_their_names(story: Story) -> None:
    tills = {till["code"]: till["number"] for till in story.api.get("/v1/tills")["data"]}
    stores = {store["code"]: store["number"] for store in story.api.get("/v1/stores")["data"]}
    programs = {one["code"]: one["number"] for one in story.api.get("/v1/programs")["data"]}
    main, north, gold = tills["main-1"], tills["north-1"], programs["gold"]
    for theirs, mine in (
        ({"tillId": main}, {"till": "main-1"}),
        ({"tillIds": f"{main},{north}"}, {"till": "main-1,north-1"}),
        ({"storeId": stores["north"]}, {"store": "north"}),
        ({"storeCode": "north"}, {"store": "north"}),
        ({"ledgerEntryType": "DEBIT"}, {"entry_type": "debit"}),
        ({"ledgerEntryType": "OPENING_BALANCE"}, {"entry_type": "opening_balance"}),
        ({"pointCategoryType": "PROMISED"}, {"category": "promised"}),
        ({"programId": gold}, {"program": "gold"}),
        (
            {"programId": gold, "includeTillConceptEvents": "true"},
            {"program": "gold", "include_till_concept_events": "true"},
        ),
    ):
        seen = [(one["eventLogId"], len(one["entryDetails"])) for one in entries(story, **theirs)]
        assert seen == [(one["event_log_id"], len(one["entries"])) for one in story.ledger(**mine)["events"]], theirs
        closing = story.api.get(BALANCE, **ADA, **theirs)["ledgerDetails"]
        assert closing["totalEntries"] == len(seen)
        assert {
            (one["programId"], one["pointsCategory"]): one["closingBalance"] for one in closing["ledgerClosingBalance"]
        } == {(programs[code], CATEGORIES[kind]): f"{told}.000" for (code, kind), told in story.closing(**mine).items()}


def test_pages_are_numbered_from_zero_and_have_ten_events_at_most(shop: Shop) -> None:
    for n in range(16):
        shop.api.post("/v1/purchases", bill(f"B-{n}", 100))
    pages = [shop.api.get(INFO, **ADA, offset=n)["ledgerDetails"] for n in (0, 1)]
    assert [len(page["ledgerEntries"]) for page in pages] == [10, 7]
    assert {(page["totalEntries"], page["pageCount"]) for page in pages} == {(17, 2)}
    ids = [one["eventLogId"] for page in pages for one in page["ledgerEntries"]]
    assert ids == sorted(set(ids), reverse=True)
    assert shop.api.get(INFO, **ADA, limit=3, offset=5)["ledgerDetails"]["pageCount"] == 6
    assert code(shop.api, INFO, 404, offset=2) == 11003
    assert code(shop.api, INFO, 400, limit=11) == 11006


def test_dates_are_the_last_seven_days_unless_given(api: Api) -> None:
    set_up(api)
    now = datetime.now(UTC)

    def at(**ago: int) -> str:
        return (now - timedelta(**ago)).strftime("%Y-%m-%dT%H:%M:%S")

    def total(**asked: str) -> int:
        return int(api.get(INFO, **ADA, **asked)["ledgerDetails"]["totalEntries"])

    assert total() == 1
    assert total(isFilterBasedOnDate="false") == 1
    assert total(startDate=at(days=6)) == 1
    assert total(startDate=at(days=300), includeLastOneYearData="true") == 1
    assert code(api, INFO, 404, startDate=at(days=8)) == 11003
    assert code(api, INFO, 404, endDate=at(days=1)) == 11003
    assert code(api, INFO, 400, startDate=at(days=1), endDate=at(days=2)) == 11009
    assert code(api, INFO, 400, startDate=at(days=91), endDate=at()) == 11010
    assert code(api, INFO, 400, startDate="2026-11-21") == 11011
    assert api.get(BALANCE, **ADA, endDate=at(days=1))["ledgerDetails"]["totalEntries"] == 0


REFUSED: list[tuple[dict[str, Any], int, int]] = [
    ({"identifierName": "name"}, 400, 8013),
    ({"source": "TELEX"}, 400, 8013),
    ({"source": ""}, 400, 8013),
    ({"identifierValue": " "}, 400, 11013),
    ({"identifierValue": "nobody"}, 404, 11012),
    ({"identifierName": "id", "identifierValue": "9" * 30}, 404, 11012),
    ({"identifierName": "id", "identifierValue": "x"}, 404, 11012),
    ({"type": "USERGROUP2"}, 400, 11001),
    ({"tillId": "x"}, 400, 11025),
    ({"tillId": "99"}, 404, 11004),
    ({"tillIds": "1,99"}, 404, 11027),
    ({"tillId": "1", "storeCode": "main"}, 400, 11028),
    ({"storeId": "99"}, 404, 11026),
    ({"storeCode": "nowhere"}, 404, 11026),
    ({"programId": "99"}, 404, 11005),
    ({"programId": "classic"}, 404, 11005),
    ({"includeTillConceptEvents": "true"}, 400, 11001),
    ({"includeTillConceptEvents": "perhaps"}, 400, 11001),
    ({"ledgerEntryType": "credit"}, 400, 11007),
    ({"pointCategoryType": "MAIN"}, 400, 11008),
    ({"limit": "0"}, 400, 11006),
    ({"limit": "ten"}, 400, 11006),
    ({"offset": "-1"}, 404, 11003),
    ({"alternateCurrencyNames": "DocCoin"}, 400, 9005),
    ({"endDate": "9999-12-31T23:59:59"}, 400, 11011),
    ({"endDate": "0001-01-01T00:00:00"}, 400, 11011),
]


@pytest.mark.parametrize("path", [INFO, BALANCE])
@pytest.mark.parametrize(("asked", "status", "number"), REFUSED)
def test_what_cannot_be_answered_has_their_code(
    open_shop: Shop, path: str, asked: dict[str, Any], status: int, number: int
) -> None:
    assert code(open_shop.api, path, status, **asked) == number


def test_events_are_explained_by_their_lots_their_bill_and_what_they_spent(story: Story) -> None:
    by_name = {one["eventName"]: one["eventLogId"] for one in entries(story)}
    bought = story.ledger(event="TransactionAdd", source="INSTORE")["events"][0]["event_log_id"]
    asked = f"{bought},{by_name['PointsRedemption']},999999"
    flags = {"getBillDetails": "true", "getPointsEarnedBreakup": "true"}
    award, spent, missing = story.api.get(EXPLODE, **ADA, eventIds=asked, **flags)["events"]
    assert missing is None
    assert [(lot["value"], lot["programName"]) for lot in award["pointsEarned"]["regular"]] == [("300.000", "Classic")]
    assert [lot["value"] for lot in award["pointsEarned"]["promised"]] == ["7.000"]
    assert (award["billDetails"]["billNumber"], award["billDetails"]["billAmount"]) == ("B-1", "300.00")
    assert [line["amount"] for line in award["billDetails"]["lineItems"]] == ["300.00"]
    breakup = award["billDetails"]["pointsEarnedBreakup"]["regular"]
    assert [(lot["allocationStrategyName"], lot["pointsCategoryName"]) for lot in breakup] == [
        ("base", "Main"), ("later", "DelayedAccrualPointCategory"),
    ]  # fmt: skip
    assert [one["points"] for one in spent["pointsBreakup"]] == ["200.000"]


def test_events_are_found_by_name_and_reference_too(story: Story) -> None:
    by_number = {
        one["transactionDetails"]["transactionNumber"]: str(one["transactionDetails"]["transactionId"])
        for one in entries(story)
        if one["eventName"] == "TransactionAdd"
    }
    asked = {"eventName": "NewBill", "eventReferenceIds": f"{by_number['B-3']},{by_number['B-1']}"}
    found = story.api.get(EXPLODE, **ADA, **asked)["events"]
    assert [one["eventReferenceId"] for one in found] == [by_number["B-3"], by_number["B-1"]]


def test_points_sent_to_another_are_explained_on_either_side(shop: Shop) -> None:
    api = shop.api
    api.post("/v1/members", {"external_id": "C-2", "profile": {"first_name": "Bea"}})
    api.post("/v1/purchases", bill("B-1", 10_000))
    accounts = [api.get(f"/v1/members/external_id:C-{n}/balances")["programs"][0]["regular"]["account"] for n in (1, 2)]
    raw = {
        "precise_amount": 30, "precision": 1, "currency": "POINTS", "reference": "gift", "description": "gift",
        "source": accounts[0], "destination": accounts[1], "skip_queue": True,
    }  # fmt: skip
    api.call("POST", "/blnk/transactions", raw, headers={"x-blnk-key": ADMIN_KEY})
    for who, side, other in (("C-1", "transferredTo", 2), ("C-2", "transferredFrom", 1)):
        asked = ADA | {"identifierValue": who}
        newest = api.get(INFO, **asked)["ledgerDetails"]["ledgerEntries"][0]
        (event,) = api.get(EXPLODE, **asked, eventIds=newest["eventLogId"])["events"]
        assert event[side]["userId"] == other
        assert [one["points"] for one in event[side]["pointsTransferDetails"]] == ["30.000"]


@pytest.mark.parametrize(
    ("asked", "status", "number"),
    [
        ({}, 400, 11001),
        ({"eventIds": "x"}, 400, 11017),
        ({"eventIds": "999999"}, 404, 11016),
        ({"eventIds": ",".join("1" * 11)}, 400, 11014),
        ({"eventName": "Nothing", "eventReferenceIds": "1"}, 400, 11014),
        ({"eventName": "ReturnBill", "eventReferenceIds": "1"}, 404, 11016),
    ],
)
def test_what_cannot_be_explained_has_their_code(
    open_shop: Shop, asked: dict[str, Any], status: int, number: int
) -> None:
    assert code(open_shop.api, EXPLODE, status, **asked) == number


def test_another_organisations_customers_tills_and_events_are_not_found(shop: Shop) -> None:
    api = shop.api
    api.post("/v1/purchases", bill("B-1", 1000, till="main-1"))
    ids = ",".join(str(one["event_log_id"]) for one in api.get("/v1/members/number:1/points-ledger")["events"])
    api.post("/v1/organisations", {"code": "other", "name": "Other"})
    other = api.of("other")
    assert code(other, INFO, 404) == 11012
    assert code(other, BALANCE, 404) == 11012
    assert code(other, EXPLODE, 404, eventIds=ids) == 11012
    other.post("/v1/members", {"external_id": "C-1"})
    assert code(other, EXPLODE, 404, eventIds=ids.split(",")[0]) == 11016
    assert code(other, INFO, 404, tillId="1") == 11004
    assert code(other, INFO, 404, storeCode="main") == 11026
    assert code(other, INFO, 404, programId="1") == 11005


def test_a_key_needs_the_scope_of_the_points_ledger(shop: Shop) -> None:
    key = shop.api.post("/v1/keys", {"name": "k", "scopes": ["members:read"]})["key"]
    shop.api.with_key(key).refused("GET", f"{INFO}?source=ALL", None, 403, "insufficient_scope")


def test_a_key_may_come_as_the_password_of_basic_credentials(shop: Shop) -> None:
    key = shop.api.post("/v1/keys", {"name": "k", "scopes": ["points:read"]})["key"]
    address = shop.api.url

    def status(path: str, credentials: str) -> int:
        header = {"authorization": f"Basic {credentials}"}
        return httpx2.get(address + path, params=ADA, headers=header).status_code

    good = base64.b64encode(f"till:{key}".encode()).decode()
    assert status(INFO, good) == 200
    assert status(INFO, base64.b64encode(f"{key}:".encode()).decode()) == 401
    assert [status(INFO, bad) for bad in ("%%%", base64.b64encode(b"\xff:\xff").decode())] == [401, 401]
    assert status("/v1/members/number:1/points-ledger", good) == 401
