"""`/v1/webhooks` over HTTP, from the request that makes an endpoint to the message that a receiver verifies."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from guerdon.core.messages import TYPES
from tests.api.conftest import Api, served, set_up
from tests.api.test_loyalty import bill
from tests.conftest import Database
from tests.core.test_addresses import PRIVATE
from tests.webhooks.receiver import Got, Receiver

URL = "https://example.com/hook"


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a thread of its own."""
    receiver, loop = Receiver(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="receiver")
    thread.start()
    asyncio.run_coroutine_threadsafe(receiver.up(), loop).result(5)
    try:
        yield receiver
    finally:
        asyncio.run_coroutine_threadsafe(receiver.down(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


@pytest.fixture
def private_api(database: Database) -> Iterator[Api]:
    """A server that may send to this machine."""
    with served(database, webhook_private=True, webhook_timeout_s=2) as address:
        client = Api(address)
        yield client
        client.close()


def wait(done: Callable[[], Any], seconds: float = 15) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.02)
    return found


def verified(got: Got, secret: str) -> Any:
    return Webhook(secret).verify(got.body, {n: v for n, v in got.headers.items() if n.startswith("webhook-")})


def test_what_happens_arrives_signed_and_a_receiver_can_verify_it(private_api: Api) -> None:
    with receiving() as receiver:
        hook = private_api.post("/v1/webhooks", {"url": receiver.url, "events": ["member.*", "purchase.*"]})
        shop = set_up(private_api)
        private_api.post("/v1/purchases", bill("B-1", 2500))
        wait(lambda: len(receiver.taken) == 2)
        member, purchase = [verified(got, hook["secret"]) for got in receiver.taken]
        assert (member["type"], member["subject"]) == ("member.registered", shop.member)
        assert (purchase["type"], purchase["data"]["points"]) == ("purchase.recorded", "25")
        with pytest.raises(WebhookVerificationError):
            Webhook(hook["secret"]).verify(receiver.taken[0].body, receiver.taken[1].headers)
        shown = wait(lambda: (now := private_api.get(f"/v1/webhooks/{hook['id']}"))["events_waiting"] == 0 and now)
        assert shown["last_success_at"] is not None
        assert "secret" not in {name for name, value in shown.items() if value is not None}
        log = private_api.get(f"/v1/webhooks/{hook['id']}/deliveries", limit=1)
        assert [(row["type"], row["outcome"], row["status"]) for row in log["data"]] == [
            ("purchase.recorded", "delivered", 200)
        ]
        more = private_api.get(f"/v1/webhooks/{hook['id']}/deliveries", limit=1, cursor=log["next_cursor"])
        assert [row["message"] for row in more["data"]] == [receiver.taken[0].id]
        one = private_api.get(
            f"/v1/webhooks/{hook['id']}/deliveries", message=receiver.taken[0].id, outcome="delivered"
        )
        assert len(one["data"]) == 1


def test_while_a_secret_is_rotated_both_verify_and_then_only_the_new_one(private_api: Api) -> None:
    with receiving() as receiver:
        hook = private_api.post("/v1/webhooks", {"url": receiver.url, "events": ["member.registered"]})
        rotated = private_api.post(f"/v1/webhooks/{hook['id']}/secret", {"overlap_hours": 1}, 200)
        private_api.post("/v1/members", {"external_id": "A"})
        (got,) = wait(lambda: receiver.taken)
        for secret in (hook["secret"], rotated["secret"]):
            assert verified(got, secret)["type"] == "member.registered"
        last = private_api.post(f"/v1/webhooks/{hook['id']}/secret", {"overlap_hours": 0}, 200)
        private_api.post("/v1/members", {"external_id": "B"})
        got = wait(lambda: receiver.taken[1:])[0]
        assert verified(got, last["secret"])
        with pytest.raises(WebhookVerificationError):
            verified(got, rotated["secret"])


def test_a_replay_by_time_and_by_number_brings_messages_again(private_api: Api) -> None:
    with receiving() as receiver:
        private_api.post("/v1/members", {"external_id": "A"})
        hook = private_api.post("/v1/webhooks", {"url": receiver.url})
        path = f"/v1/webhooks/{hook['id']}/replay"
        assert private_api.post(path, {"since": "2020-01-01T00:00:00Z"}, 202) == {"after": 0}
        wait(lambda: len(receiver.taken) == 1)
        private_api.post(path, {"after": 0}, 202)
        wait(lambda: len(receiver.taken) == 2)
        assert len({got.id for got in receiver.taken}) == 1


def test_the_same_idempotency_key_shows_the_same_secret(api: Api) -> None:
    headers = {"idempotency-key": "hook-1"}
    first, again = [api.call("POST", "/v1/webhooks", {"url": URL}, headers=headers) for _ in range(2)]
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    path = f"/v1/webhooks/{first.json()['id']}/secret"
    headers = {"idempotency-key": "secret-1"}
    once, twice = [api.call("POST", path, {}, headers=headers).json() for _ in range(2)]
    assert once == twice
    assert once["secret"] != first.json()["secret"]


def test_secrets_are_neither_stored_nor_logged_nor_shown_again(
    api: Api, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    hook = api.post("/v1/webhooks", {"url": URL})
    rotated = api.post(f"/v1/webhooks/{hook['id']}/secret", {}, 200)
    api.patch(f"/v1/webhooks/{hook['id']}", {"status": "paused"})
    said = [api.get("/v1/webhooks"), api.get(f"/v1/webhooks/{hook['id']}")]
    with psycopg.connect(database.superuser_dsn) as connection:
        for table in ("webhooks", "webhook_cursors", "webhook_deliveries", "outcomes", "events"):
            said += connection.execute(f"select to_jsonb(t)::text from {table} t").fetchall()
    for secret in (hook["secret"], rotated["secret"]):
        assert secret.removeprefix("whsec_") not in f"{said} {caplog.text}"


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "missing_field", "url"),
        ({"url": URL, "secret": "whsec_x"}, "unknown_field", "secret"),
        ({"url": "http://example.com/"}, "invalid_value", "url"),
        ({"url": "https://127.0.0.1/"}, "address_not_public", "url"),
        ({"url": "https://2130706433/"}, "address_not_public", "url"),
        ({"url": "https://[::ffff:10.0.0.1]/"}, "address_not_public", "url"),
        ({"url": "https://localhost/"}, "address_not_public", "url"),
        ({"url": "https://user:pw@example.com/"}, "invalid_value", "url"),
        ({"url": ""}, "invalid_value", "url"),
        ({"url": URL, "events": ["points.*", "nonsense"]}, "invalid_value", "events[1]"),
        ({"url": URL, "events": "points.*"}, "invalid_value", "events"),
        ({"url": URL, "events": [""]}, "invalid_value", "events[0]"),
    ],
)
def test_a_bad_endpoint_is_refused_and_the_field_is_named(api: Api, body: Any, code: str, field: str) -> None:
    api.refused("POST", "/v1/webhooks", body, 400, code, field)
    assert api.get("/v1/webhooks") == {"data": []}


def test_private_places_are_refused_in_every_spelling(api: Api) -> None:
    for host in PRIVATE:
        for url in (f"https://{host}/", f"https://{host}:8443/x"):
            answer = api.call("POST", "/v1/webhooks", {"url": url})
            assert (answer.status_code, answer.json()["field"]) == (400, "url"), url
            assert answer.json()["code"] in ("address_not_public", "invalid_value"), url
    assert api.get("/v1/webhooks") == {"data": []}


def test_bad_changes_are_refused_and_change_nothing(api: Api) -> None:
    hook = api.post("/v1/webhooks", {"url": URL})
    path = f"/v1/webhooks/{hook['id']}"
    before = api.get(path)
    api.refused("PATCH", path, {"url": "https://10.0.0.1/"}, 400, "address_not_public", "url")
    api.refused("PATCH", path, {"status": "removed"}, 400, "invalid_value", "status")
    api.refused("POST", f"{path}/secret", {"overlap_hours": 169}, 400, "invalid_value", "overlap_hours")
    for body in ({}, {"after": 1, "since": "2020-01-01T00:00:00Z"}, {"after": 10**9}):
        api.refused("POST", f"{path}/replay", body, 400, "invalid_value", "after")
    api.refused("POST", f"{path}/replay", {"after": -1}, 400, "invalid_value", "after")
    api.refused("POST", f"{path}/replay", {"since": "2020-01-01T00:00:00"}, 400, "invalid_value", "since")
    api.refused("GET", f"{path}/deliveries?message=1", None, 400, "invalid_value", "message")
    api.refused("GET", f"{path}/deliveries?cursor=x", None, 400, "invalid_cursor", "cursor")
    for name in ("whk_1", "nonsense", hook["id"].replace("whk_", "mem_")):
        api.refused("GET", f"/v1/webhooks/{name}", None, 404, "webhook_not_found", "webhook")
    assert api.get(path) == before


def test_a_removed_endpoint_is_gone(api: Api) -> None:
    hook = api.post("/v1/webhooks", {"url": URL})
    assert api.call("DELETE", f"/v1/webhooks/{hook['id']}").status_code == 204
    assert api.get("/v1/webhooks") == {"data": []}
    api.refused("GET", f"/v1/webhooks/{hook['id']}", None, 404, "webhook_not_found", "webhook")
    api.refused("DELETE", f"/v1/webhooks/{hook['id']}", None, 404, "webhook_not_found", "webhook")


def test_there_are_only_so_many_endpoints(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guerdon.api.webhooks.WEBHOOKS_MAX", 2)
    for _ in range(2):
        api.post("/v1/webhooks", {"url": URL})
    api.refused("POST", "/v1/webhooks", {"url": URL}, 409, "too_many_webhooks")


def test_a_key_needs_the_scope(api: Api) -> None:
    reader = api.with_key(api.post("/v1/keys", {"name": "r", "scopes": ["webhooks:read"]})["key"])
    assert reader.get("/v1/webhooks") == {"data": []}
    reader.refused("POST", "/v1/webhooks", {"url": URL}, 403, "insufficient_scope")


def test_events_of_one_organisation_never_reach_an_endpoint_of_another(private_api: Api) -> None:
    private_api.post("/v1/organisations", {"code": "other", "name": "Other"})
    other = private_api.of("other")
    with receiving() as mine, receiving() as theirs:
        hook = private_api.post("/v1/webhooks", {"url": mine.url})
        other.post("/v1/webhooks", {"url": theirs.url})
        private_api.post("/v1/members", {"external_id": "A"})
        other.post("/v1/members", {"external_id": "B"})
        (got,) = wait(lambda: mine.taken)
        (their,) = wait(lambda: theirs.taken)
        assert (got.event["source"], their.event["source"]) == ("/organisations/default", "/organisations/other")
        time.sleep(0.3)
        assert (len(mine.got), len(theirs.got)) == (1, 1)
        other.refused("GET", f"/v1/webhooks/{hook['id']}/deliveries", None, 404, "webhook_not_found", "webhook")


def test_the_types_that_can_be_asked_for_are_in_the_openapi_document(api: Api) -> None:
    text = api.call("GET", "/openapi.json").text
    assert [type_ for type_ in TYPES.values() if type_ not in text] == []


def test_anothers_endpoint_is_not_found_on_any_path(api: Api) -> None:
    api.post("/v1/organisations", {"code": "other", "name": "Other"})
    other = api.of("other")
    path = f"/v1/webhooks/{api.post('/v1/webhooks', {'url': URL})['id']}"
    before = api.get(path)
    for method, end, body in (
        ("GET", "", None),
        ("PATCH", "", {"status": "paused"}),
        ("DELETE", "", None),
        ("POST", "/secret", {}),
        ("POST", "/replay", {"after": 0}),
        ("GET", "/deliveries", None),
    ):
        other.refused(method, path + end, body, 404, "webhook_not_found", "webhook")
    assert other.get("/v1/webhooks") == {"data": []}
    assert api.get(path) == before
