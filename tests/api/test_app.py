"""What is served where."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx2

from tests.api.conftest import ADMIN_KEY, Api, served, set_up
from tests.conftest import Database


def test_the_ledger_api_may_stand_at_the_root_beside_everything_else(database: Database) -> None:
    with served(database, blnk_path="/") as url:
        assert httpx2.get(url + "/").json() == "server running..."
        assert httpx2.get(url + "/health").json() == {"status": "UP"}
        made = httpx2.post(url + "/ledgers", json={"name": "Customers"}, headers={"x-blnk-key": ADMIN_KEY})
        assert made.status_code == 201, made.text
        assert Api(url).get("/v1/assets") == {"data": []}
        for page in ("/metrics", "/openapi.json", "/docs", "/docs/script.js"):
            assert httpx2.get(url + page).status_code == 200


def test_the_ledger_api_stands_at_blnk_by_default(url: str) -> None:
    assert httpx2.get(url + "/health").json() == {"status": "up"}
    assert httpx2.get(url + "/blnk/health").json() == {"status": "UP"}
    assert httpx2.get(url + "/blnkety/health").status_code == 404
    assert httpx2.get(url + "/ledgers").status_code == 404


def test_a_second_start_finds_what_the_first_left(database: Database) -> None:
    with served(database) as url:
        Api(url).post("/v1/assets", {"code": "POINTS", "scale": 0})
    with served(database) as url:
        assert [asset["code"] for asset in Api(url).get("/v1/assets")["data"]] == ["POINTS"]
        assert len(Api(url).get("/v1/organisations")["data"]) == 1


def test_two_servers_on_one_database_serve_the_same_organisation(database: Database) -> None:
    with served(database) as first, served(database) as second:
        Api(first).post("/v1/assets", {"code": "POINTS", "scale": 0})
        assert Api(second).get("/v1/assets/POINTS")["scale"] == 0
        body = {"code": "classic", "name": "Classic", "asset": "POINTS", "currency": "POINTS"}
        Api(second).post("/v1/programs", body)
        member = Api(first).post("/v1/members", {"external_id": "C-1"})["id"]
        Api(first).post(f"/v1/members/{member}/awards", {"points": 5, "reason": "one"})
        Api(second).post(f"/v1/members/{member}/awards", {"points": 7, "reason": "two"})
        balances = Api(first).get(f"/v1/members/{member}/balances")["programs"]
        assert balances[0]["regular"]["balance"] == "12"


def test_an_unknown_page_outside_the_apis_is_plainly_not_found(url: str) -> None:
    assert httpx2.get(url + "/nothing").status_code == 404
    assert httpx2.get(url + "/v1").status_code == 404


def test_a_full_queue_says_when_to_try_again_and_books_what_it_took(database: Database) -> None:
    with served(database, batch_weight_max=2, queue_weight_max=4) as url:
        shop = set_up(Api(url))
        path = f"/v1/members/{shop.member}/awards"

        def award(_: int) -> httpx2.Response:
            return shop.api.call("POST", path, {"points": 1, "reason": "one of many"})

        with ThreadPoolExecutor(64) as pool:
            answers = list(pool.map(award, range(256)))
        refused = [answer for answer in answers if answer.status_code != 201]
        assert refused
        assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {(503, "busy")}
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
        balance = shop.api.get(f"/v1/members/{shop.member}/balances")["programs"][0]["regular"]["balance"]
        assert int(balance) == len(answers) - len(refused)
