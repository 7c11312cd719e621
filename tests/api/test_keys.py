"""Who may come in, and what for."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import psycopg

from tests.api.conftest import ADMIN_KEY, Api, Shop, served
from tests.conftest import Database


def test_nobody_comes_in_without_a_key(url: str) -> None:
    stranger = Api(url, "")
    stranger.client.headers.pop("authorization")
    assert stranger.refused("GET", "/v1/assets", None, 401, "key_missing")
    assert stranger.call("GET", "/v1/assets").headers["www-authenticate"] == "Bearer"
    for key in ("nonsense", ADMIN_KEY + "x", "gd_live_" + 32 * "0" + "_secret"):
        Api(url, key).refused("GET", "/v1/assets", None, 401, "key_invalid")


def test_a_key_does_what_its_scopes_say_and_nothing_else(api: Api) -> None:
    made = api.post("/v1/keys", {"name": "till", "scopes": ["assets:read", "stores:*"]})
    till = api.with_key(made["key"])
    assert till.get("/v1/assets") == {"data": []}
    till.post("/v1/stores", {"code": "main", "name": "Main"})
    assert till.refused("POST", "/v1/assets", {"code": "A", "scale": 0}, 403, "insufficient_scope")["scope"] == (
        "assets:write"
    )
    till.refused("GET", "/v1/organisations", None, 403, "platform_key_required")


def test_a_key_is_shown_once_and_stored_as_a_hash(api: Api, database: Database) -> None:
    made = api.post("/v1/keys", {"name": "till", "scopes": ["assets:read"]})
    secret = made["key"].split("_", 3)[3]  # which may hold underscores itself
    assert len(secret) == 43
    listed = api.get("/v1/keys")["data"][0]
    assert listed == {**made, "key": None}
    with psycopg.connect(database.owner_dsn) as connection:
        row = connection.execute("select to_jsonb(k)::text from api_keys k").fetchone()
    assert row is not None
    assert secret not in row[0]


def test_a_revoked_key_stops_within_a_second(api: Api) -> None:
    made = api.post("/v1/keys", {"name": "till", "scopes": ["assets:read"]})
    till = api.with_key(made["key"])
    till.get("/v1/assets")
    assert api.call("DELETE", f"/v1/keys/{made['id']}").status_code == 204
    time.sleep(1)
    till.refused("GET", "/v1/assets", None, 401, "key_invalid")
    assert api.get("/v1/keys")["data"][0]["revoked_at"] is not None


def test_a_key_revoked_by_another_server_stops_within_a_second(api: Api, database: Database) -> None:
    made = api.post("/v1/keys", {"name": "till", "scopes": ["assets:read"]})
    till = api.with_key(made["key"])
    till.get("/v1/assets")
    with psycopg.connect(database.owner_dsn) as connection:
        connection.execute("update api_keys set revoked_at = now()")
    time.sleep(1.05)
    till.refused("GET", "/v1/assets", None, 401, "key_invalid")


def test_an_expired_key_says_so(api: Api) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=0.3)).isoformat()
    made = api.post("/v1/keys", {"name": "till", "scopes": ["assets:read"], "expires_at": soon})
    time.sleep(0.4)
    api.with_key(made["key"]).refused("GET", "/v1/assets", None, 401, "key_expired")


def test_a_key_cannot_give_away_what_it_does_not_have(api: Api) -> None:
    made = api.post("/v1/keys", {"name": "owner", "scopes": ["keys:*", "assets:read"]})
    owner = api.with_key(made["key"])
    owner.post("/v1/keys", {"name": "less", "scopes": ["assets:read"]})
    body = {"name": "more", "scopes": ["assets:read", "assets:write"]}
    owner.refused("POST", "/v1/keys", body, 403, "insufficient_scope", "scopes[1]")
    owner.refused("POST", "/v1/keys", {"name": "all", "scopes": ["*:*"]}, 403, "insufficient_scope", "scopes[0]")


def test_the_platform_key_must_say_which_organisation(api: Api) -> None:
    Api(api.url, ADMIN_KEY, None).refused("GET", "/v1/assets", None, 400, "organisation_required")
    api.of("nobody").refused("GET", "/v1/assets", None, 404, "organisation_not_found")
    api.post("/v1/organisations", {"code": "acme", "name": "Acme"})
    api.refused("POST", "/v1/organisations", {"code": "acme", "name": "Acme"}, 409, "code_taken", "code")
    assert api.of("acme").get("/v1/assets") == {"data": []}
    assert [one["code"] for one in api.get("/v1/organisations")["data"]] == ["default", "acme"]


def test_an_open_server_serves_the_default_organisation_without_a_key(database: Database) -> None:
    with served(database, open=True) as url:
        stranger = Api(url, "", None)
        stranger.client.headers.pop("authorization")
        stranger.post("/v1/assets", {"code": "POINTS", "scale": 0})
        assert Api(url).get("/v1/assets")["data"][0]["code"] == "POINTS"
        stranger.refused("GET", "/v1/organisations", None, 403, "platform_key_required")
        Api(url, "nonsense", None).refused("GET", "/v1/assets", None, 401, "key_invalid")


def test_a_key_works_at_both_apis(shop: Shop) -> None:
    made = shop.api.post("/v1/keys", {"name": "sdk", "scopes": ["ledgers:*"]})
    header = {"x-blnk-key": made["key"]}
    answer = shop.api.call("POST", "/blnk/ledgers", {"name": "Customers"}, headers=header)
    assert answer.status_code == 201, answer.text
