"""The same request twice: by key and by natural reference (R2)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx2

from tests.api.conftest import Api, Shop
from tests.api.test_loyalty import bill


def award(shop: Shop, points: int, key: str) -> httpx2.Response:
    body = {"points": points, "reason": "test"}
    path = f"/v1/members/{shop.member}/awards"
    return shop.api.call("POST", path, body, headers={"idempotency-key": key})


def balance(shop: Shop) -> str:
    programs = shop.api.get(f"/v1/members/{shop.member}/balances")["programs"]
    return str(programs[0]["regular"]["balance"])


def test_the_same_key_and_body_get_the_same_answer_and_book_once(shop: Shop) -> None:
    first, second = award(shop, 5, "k-1"), award(shop, 5, "k-1")
    assert first.status_code == second.status_code == 201
    assert first.content == second.content
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert balance(shop) == "5"


def test_the_same_key_with_another_body_or_path_is_refused(shop: Shop) -> None:
    award(shop, 5, "k-1")
    other = award(shop, 6, "k-1")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    path = "/v1/members/number:1/awards"
    body = {"points": 5, "reason": "test"}
    elsewhere = shop.api.call("POST", path, body, headers={"idempotency-key": "k-1"})
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (422, "idempotency_key_reused")
    assert balance(shop) == "5"


def test_a_refused_key_stays_refused(shop: Shop) -> None:
    path, header = f"/v1/members/{shop.member}/redemptions", {"idempotency-key": "k-1"}
    first = shop.api.call("POST", path, {"points": 5}, headers=header)
    assert (first.status_code, first.json()["code"]) == (422, "insufficient_points")
    award(shop, 50, "k-2")
    again = shop.api.call("POST", path, {"points": 5}, headers=header)
    assert (again.status_code, again.json()["code"]) == (422, "insufficient_points")
    assert ("idempotency-replayed" in first.headers, again.headers.get("idempotency-replayed")) == (False, "true")
    assert balance(shop) == "50"


def test_a_body_that_cannot_be_read_does_not_use_up_its_key(shop: Shop) -> None:
    path, header = f"/v1/members/{shop.member}/awards", {"idempotency-key": "k-1"}
    assert shop.api.call("POST", path, {"points": 5}, headers=header).status_code == 400
    assert award(shop, 5, "k-1").status_code == 201


def test_two_credentials_may_use_the_same_key(shop: Shop) -> None:
    award(shop, 5, "k-1")
    key = shop.api.post("/v1/keys", {"name": "other", "scopes": ["*:*"]})["key"]
    other = Shop(shop.api.with_key(key), shop.member)
    assert award(other, 7, "k-1").status_code == 201
    assert balance(shop) == "12"


def test_a_bill_number_replays_the_same_purchase_and_refuses_another(shop: Shop) -> None:
    first = shop.api.call("POST", "/v1/purchases", bill("B-1", 1999))
    second = shop.api.call("POST", "/v1/purchases", bill("B-1", 1999))
    assert second.status_code == 201
    assert first.content == second.content
    assert second.headers["idempotency-replayed"] == "true"
    shop.api.refused("POST", "/v1/purchases", bill("B-1", 2000), 409, "number_taken", "number")
    assert balance(shop) == "19"


def test_a_refused_bill_number_may_be_tried_again(shop: Shop) -> None:
    shop.api.refused("POST", "/v1/purchases", bill("B-1", 1999, spend_points=10), 422, "insufficient_points")
    shop.api.post("/v1/purchases", bill("B-1", 1999))


def test_sixteen_at_once_book_once(shop: Shop) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: award(shop, 5, "k-1"), range(16)))
    assert {answer.content for answer in answers} == {answers[0].content}
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert balance(shop) == "5"


def test_a_key_of_the_wrong_kind_is_refused(shop: Shop) -> None:
    for key in ("", "x" * 201, "tab\there"):
        answer = award(shop, 5, key)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_idempotency_key")


def test_what_was_answered_once_is_answered_again_whatever_happened_since(api: Api) -> None:
    api.post("/v1/assets", {"code": "POINTS", "scale": 0})
    body = {"code": "classic", "name": "Classic", "asset": "POINTS", "currency": "POINTS"}
    header = {"idempotency-key": "k-1"}
    first = api.call("POST", "/v1/programs", body, headers=header)
    api.patch("/v1/programs/classic", {"name": "Renamed"})
    assert api.call("POST", "/v1/programs", body, headers=header).content == first.content
    assert first.json() == api.get("/v1/programs/classic") | {"name": "Classic", "version": 1}
