"""Promo codes over HTTP: made, brought in, taken out, used, linked, deactivated, and not to be guessed."""

from __future__ import annotations

import csv
import io
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.api.conftest import Api, Shop, served, set_up
from tests.conftest import Database

PERCENT = {"type": "percent", "ppm": 100_000}
OVER_100 = {"type": "cart", "kpi": "subtotal", "operator": "more_than", "value": 10_000}


def promotion(api: Api, **terms: Any) -> str:
    made = api.post(
        "/v1/promotions", {"name": "Ten off", "kind": "code", "status": "active", "effects": [PERCENT], **terms}
    )
    return str(made["id"])


def batches(promotion: str) -> str:
    return f"/v1/promotions/{promotion}/codes/batches"


def bring(api: Api, promotion: str, *codes: str, **batch: Any) -> str:
    made = api.post(batches(promotion), batch)
    added = api.post(f"{batches(promotion)}/{made['id']}/uploads", {"codes": codes}, 200)
    assert added["added"] == len(codes), added
    return str(made["id"])


def exported(api: Api, promotion: str, batch: str) -> list[dict[str, str]]:
    answer = api.call("GET", f"/v1/promotions/{promotion}/codes.csv", params={"batch": batch})
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text)))


def bill(number: str, cents: int, code: str, member: str | None = "external_id:C-1") -> dict[str, Any]:
    return {
        "number": number,
        "currency": "USD",
        "member": member,
        "lines": [{"sku": "A", "amount_minor": cents}],
        "codes": [code],
    }


# -- in and out -------------------------------------------------------------------------------------------------------


def test_generated_codes_come_out_as_they_are_printed(shop: Shop) -> None:
    ten = promotion(shop.api)
    batch = shop.api.post(
        batches(ten),
        {"partner": "=cmd()", "channel": "paper", "count": 30, "form": {"pattern": "####-####", "check": True}},
    )
    assert (batch["wanted"], batch["made"], batch["kind"]) == (30, 30, "generated")
    more = shop.api.post(f"{batches(ten)}/{batch['id']}/more", {"count": 12})
    assert (more["wanted"], more["made"]) == (42, 42)
    rows = exported(shop.api, ten, batch["id"])
    assert len({row["code"] for row in rows}) == 42
    assert all(row["printed"] == f"{row['code'][:4]}-{row['code'][4:]}" for row in rows)
    assert {row["partner"] for row in rows} == {"'=cmd()"}
    first = shop.api.get(f"/v1/promotions/{ten}/codes", batch=batch["id"], limit=20)
    rest = shop.api.get(f"/v1/promotions/{ten}/codes", batch=batch["id"], limit=100, cursor=first["next_cursor"])
    assert [row["code"] for row in rows] == [each["code"] for each in first["data"] + rest["data"]]
    assert [each["id"] for each in shop.api.get(batches(ten))["data"]] == [batch["id"]]


def test_what_is_more_than_fits_in_one_answer_is_made_soon_after(shop: Shop) -> None:
    ten = promotion(shop.api)
    batch = shop.api.post(batches(ten), {"count": 9_000})
    assert (batch["wanted"], batch["made"]) == (9_000, 2_000)
    ends = time.monotonic() + 30
    while (made := shop.api.get(f"{batches(ten)}/{batch['id']}")["made"]) < 9_000:
        assert time.monotonic() < ends, f"{made} codes are there"
        time.sleep(0.1)
    assert len({row["code"] for row in exported(shop.api, ten, batch["id"])}) == 9_000


def test_generating_codes_can_be_stopped(shop: Shop) -> None:
    ten = promotion(shop.api)
    batch = shop.api.post(batches(ten), {"count": 1_000_000})
    stopped = shop.api.call("POST", f"{batches(ten)}/{batch['id']}/cancellations").json()
    assert 2_000 <= stopped["made"] == stopped["wanted"] < 1_000_000
    time.sleep(1)
    assert shop.api.get(f"{batches(ten)}/{batch['id']}") == stopped
    more = shop.api.post(f"{batches(ten)}/{batch['id']}/more", {"count": 10})
    assert more["made"] == more["wanted"] == stopped["made"] + 10
    brought = shop.api.post(batches(ten), {})["id"]
    answer = shop.api.call("POST", f"{batches(ten)}/{brought}/cancellations")
    assert (answer.status_code, answer.json()["code"]) == (409, "code_batch_not_generated")


def test_an_upload_tells_of_every_row_that_added_no_code(shop: Shop) -> None:
    ten = promotion(shop.api)
    bring(shop.api, ten, "OLD-1")
    batch = shop.api.post(batches(ten), {})
    path = f"{batches(ten)}/{batch['id']}/uploads"
    text = "name,Code\nx,zn34c\nx,ZN-34C\n\nx,old1\nx,<script>\nx,new1\n"
    answer = shop.api.post(path, {"csv": text}, 200)
    assert (answer["added"], answer["batch"]["made"]) == (2, 2)
    assert [(row["row"], row["code"], row["status"]) for row in answer["rows"]] == [
        (3, "ZN34C", "twice"), (5, "OLD1", "taken"), (6, "<script>", "invalid"),
    ]  # fmt: skip
    again = shop.api.post(path, {"csv": text}, 200)
    assert (again["added"], again["rows"][0]["status"]) == (0, "there")
    assert shop.api.post(path, {"codes": ["A" * 10_000]}, 200)["rows"][0]["status"] == "invalid"


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({"count": 0}, 400, "invalid_value", "count"),
        ({"count": 10_000_001}, 400, "invalid_value", "count"),
        ({"form": {"length": 8}}, 400, "missing_field", "count"),
        ({"count": 500, "form": {"pattern": "####", "charset": "0123456789"}}, 400, "invalid_value", "form.pattern"),
        ({"count": 5, "form": {"charset": "AA"}}, 400, "invalid_value", "form.charset"),
        ({"count": 5, "form": {"prefix": "#"}}, 400, "invalid_value", "form.prefix"),
        ({"count": 5, "form": {"length": 8, "pattern": "########"}}, 400, "invalid_value", "form.length"),
        ({"count": 5, "uses": 1}, 400, "unknown_field", "uses"),
    ],
)
def test_what_cannot_be_a_batch_is_refused_with_its_field(
    open_shop: Shop, body: dict[str, Any], status: int, code: str, field: str
) -> None:
    open_shop.api.refused("POST", batches(promotion(open_shop.api)), body, status, code, field)


def test_codes_are_for_promotions_that_take_them(shop: Shop) -> None:
    automatic = promotion(shop.api, kind="automatic")
    shop.api.refused("POST", batches(automatic), {"count": 5}, 409, "promotion_takes_no_codes")
    shop.api.refused("POST", batches("prm_nothing"), {"count": 5}, 404, "promotion_not_found")


# -- used -------------------------------------------------------------------------------------------------------------


def test_the_status_of_a_code_tells_each_use_with_its_purchase(shop: Shop) -> None:
    """The founding example: ZN34C, ten percent on a bill over 100."""
    ten = promotion(shop.api, condition=OVER_100)
    bring(shop.api, ten, "ZN34C", "ZN34D", partner="Corner bakery", channel="paper")
    refused = shop.api.refused("POST", "/v1/purchases", bill("B-1", 10_000, "zn34c"), 422, "code_not_applied")
    assert refused["reason"] == "condition_not_met"
    bought = shop.api.post("/v1/purchases", bill("B-1", 10_001, "zn34c"))
    status = shop.api.get("/v1/codes/zn-34c")
    assert (status["status"], status["code"]["uses"], status["limits"][0]["left"]) == ("used_up", 1, 0)
    assert [(use["purchase"], use["purchase_number"], use["discount_minor"]) for use in status["uses"]] == [
        (bought["id"], "B-1", 1000)
    ]
    assert shop.api.get("/v1/codes/ZN34D")["status"] == "usable"
    shop.api.refused("POST", "/v1/purchases", bill("B-2", 20_000, "ZN34C"), 422, "code_not_applied")
    (row,) = shop.api.get(f"/v1/promotions/{ten}/codes/uses")["data"]
    assert (row["partner"], row["channel"], row["codes"], row["uses"], row["discount_minor"]) == (
        "Corner bakery", "paper", 2, 1, 1000,
    )  # fmt: skip


def test_a_deactivated_code_or_batch_gives_nothing_until_it_is_activated(shop: Shop) -> None:
    ten = promotion(shop.api)
    batch = bring(shop.api, ten, "ZN34C", "ZN34D")
    shop.api.post("/v1/codes/ZN34C/deactivations", {"reason": "on a forum"})
    refused = shop.api.refused("POST", "/v1/purchases", bill("B-1", 5000, "ZN34C"), 422, "code_not_applied")
    assert refused["reason"] == "code_deactivated"
    status = shop.api.get("/v1/codes/ZN34C")
    assert (status["status"], status["deactivation_reason"]) == ("deactivated", "on a forum")
    shop.api.post(f"{batches(ten)}/{batch}/deactivations", {})
    shop.api.post("/v1/codes/ZN34C/activations", {})
    shop.api.refused("POST", "/v1/purchases", bill("B-1", 5000, "ZN34C"), 422, "code_not_applied")
    assert shop.api.get(f"{batches(ten)}/{batch}")["active"] is False
    shop.api.post(f"{batches(ten)}/{batch}/activations", {})
    shop.api.post("/v1/purchases", bill("B-1", 5000, "ZN34C"))


def test_every_use_of_a_code_is_told_with_its_purchase_however_many(shop: Shop) -> None:
    limits = [{"code": "many", "per": "code", "limit": 100}]
    ten = promotion(shop.api, limits=limits, on_return="give_back")
    batch = bring(shop.api, ten, "ZN34C", "ZN34D", partner="Corner bakery", channel="paper")
    bought = [shop.api.post("/v1/purchases", bill(f"B-{n}", 1_000, "ZN34C"))["id"] for n in range(7)]
    shop.api.post("/v1/purchases/number:B-3/returns", {"number": "R-3"})
    told: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        page = shop.api.get("/v1/codes/zn-34c/uses", limit=3, **cursor)
        told += page["data"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert [(each["purchase"], each["gives_back"]) for each in told] == [
        (bought[3], True), *((each, False) for each in reversed(bought)),
    ]  # fmt: skip
    shop.api.post(f"{batches(ten)}/{batch}/deactivations", {"reason": "over"})
    (row,) = shop.api.get(f"/v1/promotions/{ten}/codes/uses")["data"]
    assert (row["active"], row["codes"], row["codes_used"], row["uses"], row["discount_minor"]) == (False, 2, 1, 6, 600)
    answer = shop.api.call("GET", f"/v1/promotions/{ten}/codes/uses.csv", params={"batch": batch})
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["purchase_number"], row["discount_minor"], row["gives_back"]) for row in rows] == [
        *((f"B-{n}", "100", "false") for n in range(7)), ("B-3", "-100", "true"),
    ]  # fmt: skip
    assert {(row["code"], row["partner"], row["channel"]) for row in rows} == {("ZN34C", "Corner bakery", "paper")}
    shop.api.refused("GET", "/v1/codes/ZN34D/uses?cursor=nonsense", None, 400, "invalid_cursor")


def test_a_return_gives_a_use_back_by_the_version_that_it_was_used_under(shop: Shop) -> None:
    ten = promotion(shop.api, on_return="give_back")
    bring(shop.api, ten, "ZN34C", "ZN34D")
    shop.api.post("/v1/purchases", bill("B-1", 5000, "ZN34C"))
    shop.api.patch(f"/v1/promotions/{ten}", {"on_return": "keep"})
    shop.api.post("/v1/purchases", bill("B-2", 5000, "ZN34D"))
    for number in ("1", "2"):
        shop.api.post(f"/v1/purchases/number:B-{number}/returns", {"number": f"R-{number}"})
    assert [shop.api.get(f"/v1/codes/{code}")["status"] for code in ("ZN34C", "ZN34D")] == ["usable", "used_up"]


def test_a_day_of_a_limit_is_a_day_where_the_organisation_is(database: Database) -> None:
    """At half past ten in the evening of the 20th in London it is the 21st in Tokyo."""
    clock = [datetime(2026, 11, 20, 22, 30, tzinfo=UTC)]
    with served(database, now=lambda: clock[0]) as url:
        Api(url).post("/v1/organisations", {"code": "tokyo", "name": "Tokyo", "timezone": "Asia/Tokyo"})
        shop = set_up(Api(url).of("tokyo"))
        daily = [{"code": "daily", "per": "code", "limit": 1, "window": "day"}]
        bring(shop.api, promotion(shop.api, limits=daily), "ZN34C")
        shop.api.post("/v1/purchases", bill("B-1", 5000, "ZN34C"))
        limit = shop.api.get("/v1/codes/ZN34C")["limits"][0]
        assert (limit["period"], limit["left"]) == ("2026-11-21", 0)
        clock[0] = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)
        limit = shop.api.get("/v1/codes/ZN34C")["limits"][0]
        assert (limit["period"], limit["left"]) == ("2026-11-22", 1)
        shop.api.post("/v1/purchases", bill("B-2", 5000, "ZN34C"))


def test_a_shared_code_serves_as_many_customers_as_it_says_and_no_more(shop: Shop) -> None:
    limits = [{"code": "hundred", "per": "code", "limit": 3}, {"code": "each", "per": "customer", "limit": 1}]
    bring(shop.api, promotion(shop.api, limits=limits), "HOLIMAN100")
    for name in range(2, 8):
        shop.api.post("/v1/members", {"external_id": f"C-{name}"})
    bills = [bill(f"B-{name}", 5000, "holiman100", f"external_id:C-{name}") for name in range(1, 8)]
    with ThreadPoolExecutor(7) as pool:
        statuses = list(pool.map(lambda each: shop.api.call("POST", "/v1/purchases", each).status_code, bills))
    assert sorted(statuses) == [201] * 3 + [422] * 4
    assert shop.api.get("/v1/codes/HOLIMAN100")["code"]["uses"] == 3


# -- linked -----------------------------------------------------------------------------------------------------------

LINK = "/v1/promotions/code/link"


def test_a_linked_code_applies_by_itself_and_is_nobody_elses(shop: Shop) -> None:
    bring(shop.api, promotion(shop.api, ends_at="2099-12-31T23:59:59Z"), "DQCV73")
    other = shop.api.post("/v1/members", {"external_id": "C-2"})
    number = shop.api.get(f"/v1/members/{shop.member}")["number"]
    body = {"customerId": number, "code": "dqcv73", "mode": "DISCOUNT"}
    answer = shop.api.post(LINK, body, 200)
    data = answer["data"]
    assert (data["code"], data["customerId"], data["active"], answer["errors"]) == ("DQCV73", number, True, [])
    assert data["validTill"] == 4_102_444_799_000
    assert [(each["maxLimit"], each["remainingRedemption"]) for each in data["restrictions"]["Code"]] == [(1, "1")]
    assert shop.api.post(LINK, body, 200)["data"]["id"] == data["id"]
    shop.api.refused("POST", LINK, {**body, "customerId": other["id"]}, 409, "code_linked_to_another")
    shop.api.refused("POST", LINK, {**body, "mode": "PAYMENT_VOUCHER"}, 400, "code_of_another_mode", "mode")
    refused = shop.api.refused(
        "POST", "/v1/purchases", bill("B-1", 5000, "DQCV73", "external_id:C-2"), 422, "code_not_applied"
    )
    assert refused["reason"] == "code_linked_to_another"
    bought = shop.api.post("/v1/purchases", {**bill("B-2", 5000, ""), "codes": [], "promotions": True})
    assert bought["discount_minor"] == 500
    status = shop.api.get("/v1/codes/DQCV73")
    assert (status["code"]["linked_to"], status["status"]) == (shop.member, "used_up")


def test_a_link_goes_with_its_member_into_a_merge(shop: Shop) -> None:
    bring(shop.api, promotion(shop.api), "DQCV73")
    survivor = shop.api.post("/v1/members", {"external_id": "C-2"})
    shop.api.post(LINK, {"customerId": shop.member, "code": "DQCV73", "mode": "DISCOUNT"}, 200)
    shop.api.post(f"/v1/members/{shop.member}/merges", {"survivor": survivor["id"]})
    bought = shop.api.post(
        "/v1/purchases", {**bill("B-1", 5000, "", "external_id:C-2"), "codes": [], "promotions": True}
    )
    assert bought["discount_minor"] == 500
    assert shop.api.get("/v1/codes/DQCV73")["code"]["linked_to"] == survivor["id"]


# -- guessed ----------------------------------------------------------------------------------------------------------

CHECK = "/v1/promotions/code/check"


def page_key(shop: Shop) -> Api:
    """A key as a shop's own page has it: it may try codes and nothing else."""
    made = shop.api.post("/v1/keys", {"name": "page", "owner": "page", "scopes": ["code-links:write"]})
    return shop.api.with_key(made["key"])


def wrong_codes(shop: Shop) -> list[str]:
    """An unknown, an ended, a foreign and a deactivated code, one that is used up, and what is no code."""
    bring(shop.api, promotion(shop.api, ends_at="2026-01-01T00:00:00Z"), "ENDED1")
    live = promotion(shop.api)
    bring(shop.api, live, "FOREIGN1", "OFF1", "USED1", "GOOD1")
    shop.api.post(LINK, {"customerId": shop.member, "code": "FOREIGN1", "mode": "DISCOUNT"}, 200)
    shop.api.post("/v1/codes/OFF1/deactivations", {})
    shop.api.post("/v1/purchases", bill("B-9", 5000, "USED1", None))
    return ["NEVER1", "ENDED1", "FOREIGN1", "OFF1", "USED1", "<script>"]


def test_whatever_is_wrong_with_a_code_a_page_is_told_the_same_after_the_same_time(shop: Shop) -> None:
    wrong = wrong_codes(shop)
    page = page_key(shop)
    answers, seconds = [], []
    for code in wrong:
        began = time.perf_counter()
        answer = page.call("POST", CHECK, {"code": code})
        seconds.append(time.perf_counter() - began)
        said = answer.json()
        said.pop("request_id")
        headers = sorted(name for name, _ in answer.headers.items())
        answers.append((answer.status_code, said, headers, answer.headers["content-length"]))
    assert all(answer[:3] == answers[0][:3] for answer in answers)
    assert (answers[0][0], answers[0][1]["code"]) == (422, "code_not_valid")
    assert min(seconds) >= 0.1
    assert page.post(CHECK, {"code": "good-1"}, 200)["promotion_name"] == "Ten off"
    told = [shop.api.call("POST", CHECK, {"code": code}).json()["code"] for code in wrong]
    assert told == [
        "code_not_found", "code_expired", "code_linked_to_another", "code_deactivated", "code_expired",
        "code_not_found",
    ]  # fmt: skip


def test_a_page_cannot_tell_codes_by_linking_them_to_strangers(shop: Shop) -> None:
    bring(shop.api, promotion(shop.api), "GOOD1")
    page = page_key(shop)
    for code, customer in (("GOOD1", 999), ("NEVER1", 999), ("NEVER1", 1)):
        page.refused("POST", LINK, {"customerId": customer, "code": code, "mode": "DISCOUNT"}, 422, "code_not_valid")
    page.refused("GET", "/v1/codes/GOOD1", None, 403, "insufficient_scope")


def test_a_cart_on_a_page_is_told_the_same_of_every_wrong_code(shop: Shop) -> None:
    wrong = wrong_codes(shop)
    made = shop.api.post("/v1/keys", {"name": "page", "owner": "page", "scopes": ["promotions:evaluate"]})
    page = shop.api.with_key(made["key"])

    def evaluated(*codes: str) -> Any:
        cart = {"currency": "USD", "lines": [{"sku": "A", "amount_minor": 5000}], "codes": codes}
        return page.call("POST", "/v1/promotions/evaluate", cart)

    answers = [evaluated(code) for code in wrong[:5]]
    told = [answer.text.replace(code, "CODE") for answer, code in zip(answers, wrong, strict=False)]
    assert [answer.status_code for answer in answers] == [200] * 5
    assert set(told) == {told[0]}
    assert "code_unknown" in told[0]
    assert [evaluated("GOOD1").json()["discount_minor"] for _ in range(20)] == [500] * 20
    assert [evaluated(f"WORD{number}").status_code for number in range(6)] == [200] * 5 + [429]
    assert evaluated("GOOD1").status_code == 429


def test_an_attack_is_stopped_within_twenty_tries_and_finds_nothing_after(database: Database) -> None:
    """However many come at once, over two servers; and also after a restart of both."""
    guesses = [f"WORD{number}" for number in range(150)]
    with served(database) as url, served(database) as second_url:
        shop = set_up(Api(url))
        bring(shop.api, promotion(shop.api), "WORD140", "SUMMER")
        page = page_key(shop)
        other = Api(second_url, page.key, None)

        def attempt(number: int) -> int:
            client = (page, other)[number % 2]
            return client.call("POST", CHECK, {"code": guesses[number]}).status_code

        with ThreadPoolExecutor(16) as pool:
            statuses = list(pool.map(attempt, range(len(guesses))))
        assert statuses.count(200) == 0
        assert statuses.count(422) == 10
        assert statuses.count(429) == len(guesses) - 10
        blocked = page.call("POST", CHECK, {"code": "SUMMER"})
        assert (blocked.status_code, blocked.json()["code"]) == (429, "too_many_tries")
        assert 3_000 < int(blocked.headers["retry-after"]) <= 3_600
        assert shop.api.post(CHECK, {"code": "SUMMER"}, 200)["code"] == "SUMMER"
    with served(database) as url:
        Api(url, page.key, None).refused("POST", CHECK, {"code": "SUMMER"}, 429, "too_many_tries")


def test_a_server_says_for_whom_it_tries_and_each_is_counted_alone(shop: Shop) -> None:
    bring(shop.api, promotion(shop.api), "GOOD1")

    def attempt(caller: str, code: str) -> int:
        return shop.api.call("POST", CHECK, {"code": code}, headers={"guerdon-caller": caller}).status_code

    assert [attempt("session 1", "NEVER1") for _ in range(11)] == [422] * 10 + [429]
    assert attempt("session 1", "GOOD1") == 429
    assert attempt("session 2", "GOOD1") == 200
    assert [attempt("session 3", "GOOD1") for _ in range(15)] == [200] * 15


# -- tenants ----------------------------------------------------------------------------------------------------------


def test_codes_of_another_organisation_are_not_there(shop: Shop) -> None:
    shop.api.post("/v1/organisations", {"code": "rival", "name": "Rival"})
    rival = set_up(shop.api.of("rival"))
    ten, theirs = promotion(shop.api), promotion(rival.api)
    batch = bring(shop.api, ten, "ZN34C")
    bring(rival.api, theirs, "ZN34C")
    shop.api.post("/v1/codes/ZN34C/deactivations", {})
    assert rival.api.get("/v1/codes/ZN34C")["status"] == "usable"
    for path in (batches(ten), f"{batches(ten)}/{batch}", f"/v1/promotions/{ten}/codes/uses"):
        assert rival.api.call("GET", path).status_code == 404
    for ours, code in ((theirs, "code_batch_not_found"), (ten, "promotion_not_found")):
        rival.api.refused("POST", f"{batches(ours)}/{batch}/deactivations", {}, 404, code)
        rival.api.refused("POST", f"{batches(ours)}/{batch}/uploads", {"codes": ["X1234"]}, 404, code)
    rival.api.refused("POST", batches(ten), {"count": 5}, 404, "promotion_not_found")
    answer = rival.api.call("GET", f"/v1/promotions/{theirs}/codes.csv", params={"batch": batch})
    assert answer.status_code == 404
    rival.api.refused(
        "POST", LINK, {"customerId": shop.member, "code": "ZN34C", "mode": "DISCOUNT"}, 404, "member_not_found"
    )
