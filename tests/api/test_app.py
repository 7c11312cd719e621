"""What is served where."""

from __future__ import annotations

import httpx2

from tests.api.conftest import ADMIN_KEY, Api, served
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
