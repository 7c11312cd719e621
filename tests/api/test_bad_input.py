"""Whatever a caller sends: a clear problem with a stable code, never a 5xx, and nothing written."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from guerdon.api.values import cursor
from tests.api.conftest import Shop
from tests.api.test_loyalty import bill

LINE = {"sku": "A", "amount_minor": 100}
HUGE = 10**38


def written(shop: Shop) -> Any:
    """What there is of the member: if nothing was written, it stays the same."""
    return shop.api.get(f"/v1/members/{shop.member}/points-ledger", include="total")["total"]


PURCHASES: list[tuple[str, dict[str, Any], str, str]] = [
    ("no lines", {"lines": []}, "purchase_without_lines", "lines"),
    ("a line field nobody knows", {"lines": [{**LINE, "colour": "red"}]}, "unknown_field", "lines[0].colour"),
    ("a field nobody knows", {"customer": "C-1"}, "unknown_field", "customer"),
    ("a field missing", {"lines": [{"sku": "A"}]}, "missing_field", "lines[0].amount_minor"),
    ("a fraction of a cent", {"lines": [{**LINE, "amount_minor": 1.5}]}, "invalid_value", "lines[0].amount_minor"),
    ("an amount as text", {"lines": [{**LINE, "amount_minor": "1"}]}, "invalid_value", "lines[0].amount_minor"),
    ("39 digits", {"lines": [{**LINE, "amount_minor": HUGE}]}, "amount_out_of_range", "lines"),
    ("39 digits below zero", {"lines": [{**LINE, "amount_minor": -HUGE}]}, "amount_not_positive", "lines"),
    ("a negative purchase", {"lines": [{**LINE, "amount_minor": -1}]}, "amount_not_positive", "lines"),
    ("a wrong sum", {"amount_minor": 99}, "amount_mismatch", "amount_minor"),
    ("four decimals of a quantity", {"lines": [{**LINE, "quantity": "1.0001"}]}, "wrong_scale", "lines[0].quantity"),
    ("half a point", {"spend_points": "0.5"}, "wrong_scale", "spend_points"),
    ("negative points", {"spend_points": -1}, "amount_not_positive", "spend_points"),
    ("NaN points", {"spend_points": "NaN"}, "invalid_value", "spend_points"),
    ("infinite points", {"spend_points": "Infinity"}, "invalid_value", "spend_points"),
    ("points in a tower of zeros", {"spend_points": "1e999999"}, "amount_out_of_range", "spend_points"),
    ("points too small to tell", {"spend_points": "1e-999999"}, "wrong_scale", "spend_points"),
    ("39 digits of points", {"spend_points": str(HUGE)}, "amount_out_of_range", "spend_points"),
    ("an unknown currency", {"currency": "XYZ"}, "asset_not_found", "currency"),
    ("the year 1", {"event_at": "0001-01-01T00:00:00+14:00"}, "event_time_out_of_range", "event_at"),
    ("the future", {"event_at": "2999-01-01T00:00:00Z"}, "event_time_out_of_range", "event_at"),
    ("a time without an offset", {"event_at": "2026-01-01T00:00:00"}, "invalid_value", "event_at"),
    ("no time at all", {"event_at": "yesterday"}, "invalid_value", "event_at"),
    ("an unknown member", {"member": "external_id:nobody"}, "member_not_found", "member"),
    ("a member of no kind", {"member": "phone:1"}, "member_not_found", "member"),
    ("an unknown store", {"store": "nowhere"}, "store_not_found", "store"),
    ("an unknown till", {"till": "nothing"}, "till_not_found", "till"),
    ("an unknown source", {"source": "TELEX"}, "source_not_found", "source"),
    ("an unknown program", {"program": "gold"}, "program_not_found", "program"),
    ("an unknown wallet", {"wallet": "bln_" + 36 * "0"}, "account_not_found", "wallet"),
    ("a wallet that is no id", {"wallet": "@World"}, "account_not_found", "wallet"),
    ("NUL", {"number": "B\0"}, "control_character", "number"),
    ("NUL in metadata", {"metadata": {"a": ["\0"]}}, "control_character", "metadata.a[0]"),
    ("text turned around", {"number": "B\u202e1"}, "control_character", "number"),
    ("too much metadata", {"metadata": {"a": "x" * 20_000}}, "invalid_value", "metadata"),
    ("a number too long", {"number": "9" * 101}, "invalid_value", "number"),
    ("too many lines", {"lines": [LINE] * 2001}, "invalid_value", "lines"),
]


@pytest.mark.parametrize(("body", "code", "field"), [row[1:] for row in PURCHASES], ids=[row[0] for row in PURCHASES])
def test_a_purchase_is_refused_for(open_shop: Shop, body: dict[str, Any], code: str, field: str) -> None:
    before = written(open_shop)
    answer = open_shop.api.call("POST", "/v1/purchases", bill("B-1", 100, **body))
    problem = answer.json()
    assert (problem["code"], problem.get("field")) == (code, field), answer.text
    assert 400 <= answer.status_code < 500
    assert problem["title"]
    assert problem["detail"]
    assert written(open_shop) == before
    open_shop.api.refused("GET", "/v1/purchases/number:B-1", None, 404, "purchase_not_found")


BODIES: list[tuple[str, bytes, int, str]] = [
    ("nothing", b"", 400, "malformed_json"),
    ("no object", b"[]", 400, "invalid_value"),
    ("half an object", b'{"code": ', 400, "malformed_json"),
    ("two objects", b'{"code": "A", "scale": 0} {}', 400, "malformed_json"),
    ("a field twice", b'{"code": "A", "scale": 0, "scale": 2}', 400, "duplicate_field"),
    ("NaN", b'{"code": "A", "scale": NaN}', 400, "malformed_json"),
    ("Infinity", b'{"code": "A", "scale": -Infinity}', 400, "malformed_json"),
    ("Latin-1", '{"code": "Ä", "scale": 0}'.encode("latin-1"), 400, "not_utf8"),
    ("UTF-16", '{"code": "A", "scale": 0}'.encode("utf-16"), 400, "not_utf8"),
    ("half a surrogate pair", b'{"code": "\\ud800", "scale": 0}', 400, "malformed_json"),
    ("a scale beyond all", b'{"code": "A", "scale": 19}', 400, "invalid_value"),
    ("a scale below zero", b'{"code": "A", "scale": -1}', 400, "invalid_value"),
    ("6,000 digits", b'{"code": "A", "scale": ' + b"9" * 6000 + b"}", 400, "invalid_value"),
    ("an exponent beyond all", b'{"code": "A", "scale": 1e999}', 400, "invalid_value"),
    ("truth for a number", b'{"code": "A", "scale": true}', 400, "invalid_value"),
    ("too large", b'{"code": "' + b"A" * 5_000_001 + b'", "scale": 0}', 413, "body_too_large"),
]


@pytest.mark.parametrize(("body", "status", "code"), [row[1:] for row in BODIES], ids=[row[0] for row in BODIES])
def test_a_body_is_refused_for(open_shop: Shop, body: bytes, status: int, code: str) -> None:
    answer = open_shop.api.client.post("/v1/assets", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert [asset["code"] for asset in open_shop.api.get("/v1/assets")["data"]] == ["POINTS", "USD"]


@pytest.mark.parametrize("deep", [65, 100_000])
def test_a_body_nested_too_deep_is_refused(open_shop: Shop, deep: int) -> None:
    body = json.dumps(bill("B-1", 100))[:-1] + ', "metadata": {"a": ' + "[" * deep + "]" * deep + "}}"
    answer = open_shop.api.client.post("/v1/purchases", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "too_deep")


def test_a_body_as_deep_as_allowed_is_read(shop: Shop) -> None:
    deep: Any = []
    for _ in range(60):
        deep = [deep]
    shop.api.post("/v1/purchases", bill("B-1", 100, metadata={"a": deep}))
    assert shop.api.get("/v1/purchases/number:B-1")["metadata"] == {"a": deep}


def test_a_body_sent_in_chunks_is_bounded_too(open_shop: Shop) -> None:
    chunks = (b"x" * 100_000 for _ in range(60))
    answer = open_shop.api.client.post("/v1/assets", content=chunks, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_a_form_is_told_to_send_json(open_shop: Shop) -> None:
    answer = open_shop.api.client.post("/v1/assets", data={"code": "A"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


PATHS: list[tuple[str, str, str, int, str]] = [
    ("an unknown page", "GET", "/v1/nothing", 404, "not_found"),
    ("an empty segment", "GET", "/v1/members//balances", 404, "not_found"),
    ("a method nobody serves", "DELETE", "/v1/assets", 405, "method_not_allowed"),
    ("an id of another kind", "GET", "/v1/members/pur_0199b1f0-2c3e-7c11-9a52-5b7d3c000000", 404, "member_not_found"),
    ("an id that is none", "GET", "/v1/members/mem_x", 404, "member_not_found"),
    ("a number beyond all", "GET", "/v1/members/number:" + "9" * 40, 404, "member_not_found"),
    ("a number that is none", "GET", "/v1/members/number:%D9%A1", 404, "member_not_found"),
    ("NUL in a path", "GET", "/v1/members/email:a%00b", 400, "control_character"),
    ("bytes in a path", "GET", "/v1/members/email:%FF", 400, "not_utf8"),
    ("an unknown redemption", "GET", "/v1/redemptions/rdm_x", 404, "redemption_not_found"),
    ("an unknown parameter", "GET", "/v1/members?page=2", 400, "unknown_parameter"),
    ("a parameter where none is taken", "GET", "/v1/assets?limit=2", 400, "unknown_parameter"),
    ("a page too large", "GET", "/v1/members?limit=101", 400, "invalid_value"),
    ("a page of nothing", "GET", "/v1/members?limit=0", 400, "invalid_value"),
    ("a limit that is no number", "GET", "/v1/members?limit=ten", 400, "invalid_value"),
    ("a parameter twice", "GET", "/v1/members?limit=2&limit=3", 400, "duplicate_field"),
    ("bytes in a query", "GET", "/v1/members?cursor=%FF", 400, "not_utf8"),
    ("NUL in a query", "GET", "/v1/members?cursor=%00", 400, "control_character"),
    ("a cursor that is none", "GET", "/v1/members?cursor=abc", 400, "invalid_cursor"),
    ("a cursor of letters", "GET", "/v1/members?cursor=ä", 400, "invalid_cursor"),
]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"), [row[1:] for row in PATHS], ids=[row[0] for row in PATHS]
)
def test_a_request_is_refused_for(open_shop: Shop, method: str, path: str, status: int, code: str) -> None:
    answer = open_shop.api.call(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


@pytest.mark.parametrize(
    ("path", "filters"),
    [
        ("/v1/promotions", ("promotions", None)),
        ("/v1/backtests", ("backtests",)),
        ("/v1/adjustments", ("adjustments", None, False)),
        ("/v1/claims", ("claims", None, None)),
        ("/v1/rewards", ("rewards", None)),
    ],
)
def test_a_cursor_with_a_place_that_is_none_is_refused_and_does_not_begin_again(
    open_shop: Shop, path: str, filters: tuple[Any, ...]
) -> None:
    made_up = cursor("xyz_0199b1f0-2c3e-7c11-9a52-5b7d3c000000", *filters)
    open_shop.api.refused("GET", f"{path}?cursor={made_up}", None, 400, "invalid_cursor", "cursor")


def test_every_answer_names_its_request(open_shop: Shop) -> None:
    given = open_shop.api.call("GET", "/v1/nothing", headers={"x-request-id": "till-7_42"})
    assert given.headers["x-request-id"] == given.json()["request_id"] == "till-7_42"
    made = open_shop.api.call("GET", "/v1/nothing", headers={"x-request-id": "no spaces please"})
    assert made.headers["x-request-id"] == made.json()["request_id"]
    assert made.json()["request_id"].startswith("req_")


def test_setting_up_the_same_code_twice_is_refused(open_shop: Shop) -> None:
    open_shop.api.refused("POST", "/v1/stores", {"code": "main", "name": "Again"}, 409, "code_taken", "code")
    open_shop.api.refused("POST", "/v1/assets", {"code": "USD", "scale": 3}, 409, "asset_in_use")


def test_a_program_is_refused_with_the_place_of_the_mistake(open_shop: Shop) -> None:
    program = {"code": "gold", "name": "Gold", "asset": "POINTS", "currency": "USD"}
    rule = {"kind": "per_amount", "code": "base", "points": "1.5", "amount_minor": 100}
    body = {**program, "earning_rules": [rule]}
    open_shop.api.refused("POST", "/v1/programs", body, 400, "wrong_scale", "earning_rules[0].points")
    body = {**program, "earning_rules": [{**rule, "points": "0"}]}
    open_shop.api.refused("POST", "/v1/programs", body, 400, "invalid_value", "earning_rules[0]")
    body = {**program, "earning_rules": [{"kind": "magic"}]}
    open_shop.api.refused("POST", "/v1/programs", body, 400, "invalid_value", "earning_rules[0].kind")
    body = {**program, "timezone": "Mars/Olympus"}
    open_shop.api.refused("POST", "/v1/programs", body, 400, "invalid_value", "timezone")
    body = {**program, "asset": "STARS"}
    open_shop.api.refused("POST", "/v1/programs", body, 404, "asset_not_found", "asset")


def test_names_in_any_script_are_kept_as_they_are(shop: Shop) -> None:
    name = "שלום عربى 東京 👩‍👩‍👧"
    store = shop.api.post("/v1/stores", {"code": "far", "name": name})
    assert shop.api.get("/v1/stores/far")["name"] == store["name"] == name


def test_a_head_request_has_the_headers_alone(open_shop: Shop) -> None:
    answer: httpx2.Response = open_shop.api.call("HEAD", "/v1/assets")
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 2
