"""A real server on a database of the test's own, spoken to over HTTP."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from guerdon.app import Clock, Server
from guerdon.installation import Installation
from guerdon.settings import Settings
from guerdon.store.embedded import Embedded
from tests.conftest import Database, addresses, drop_database

ADMIN_KEY = "gd_admin_for_tests_only"


@dataclass
class Api:
    """A client of one organisation: `post`, `get` ... expect success unless told what to expect."""

    url: str
    key: str = ADMIN_KEY
    organisation: str | None = "default"
    client: httpx2.Client = field(init=False)

    def __post_init__(self) -> None:
        headers = {"authorization": f"Bearer {self.key}"}
        if self.organisation is not None:
            headers["guerdon-organisation"] = self.organisation
        self.client = httpx2.Client(base_url=self.url, headers=headers, timeout=20)

    def call(self, method: str, path: str, body: Any = None, **given: Any) -> httpx2.Response:
        """The raw answer."""
        return self.client.request(method, path, json=body, **given)

    def get(self, path: str, **parameters: Any) -> Any:
        answer = self.client.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any, status: int = 201) -> Any:
        answer = self.client.post(path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def patch(self, path: str, body: Any) -> Any:
        answer = self.client.patch(path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refused(self, method: str, path: str, body: Any, status: int, code: str, field: str | None = None) -> Any:
        """The problem document of a request that must be refused."""
        answer = self.client.request(method, path, json=body)
        assert answer.headers["content-type"] == "application/problem+json", answer.text
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (status, code), answer.text
        assert problem["status"] == status
        if field is not None:
            assert problem["field"] == field, answer.text
        return problem

    def of(self, organisation: str) -> Api:
        """The same key in another organisation."""
        return Api(self.url, self.key, organisation)

    def with_key(self, key: str) -> Api:
        return Api(self.url, key, None)

    def close(self) -> None:
        self.client.close()


@contextmanager
def served(database: Database, *, now: Clock | None = None, **given: Any) -> Iterator[str]:
    """A running server's address. With `now` it goes by that clock."""
    settings = Settings(database_url=database.app_dsn, port=0, admin_key=ADMIN_KEY, **given)
    installation = Installation(database.owner_dsn, database.app_dsn, ADMIN_KEY, b"pepper for tests only")
    url: list[str] = []
    listening = threading.Event()

    def started(address: str) -> None:
        url.append(address)
        listening.set()

    clock = {"now": now} if now is not None else {}
    server = Server(settings, installation, started, **clock)
    thread = threading.Thread(target=server.run, name="server")
    thread.start()
    try:
        assert listening.wait(20), "the server did not start"
        yield url[0]
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive(), "the server did not stop"


@pytest.fixture
def url(database: Database) -> Iterator[str]:
    with served(database) as address:
        yield address


@pytest.fixture
def api(url: str) -> Iterator[Api]:
    client = Api(url)
    yield client
    client.close()


@dataclass
class Shop:
    """An organisation that is set up: POINTS and USD, one program (1 point per whole dollar, 10 points = 1 dollar),
    a store with a till, and a member."""

    api: Api
    member: str


def set_up(api: Api, **program: Any) -> Shop:
    """Set an organisation up; `program` changes the program's settings."""
    api.post("/v1/assets", {"code": "POINTS", "scale": program.pop("scale", 0)})
    api.post("/v1/assets", {"code": "USD", "scale": 2})
    api.post(
        "/v1/programs",
        {
            "code": "classic",
            "name": "Classic",
            "asset": "POINTS",
            "currency": "USD",
            "earning_rules": [{"kind": "per_amount", "code": "base", "points": "1", "amount_minor": 100}],
            "redemption_rate": {"points": "10", "money_minor": 100},
            **program,
        },
    )
    api.post("/v1/stores", {"code": "main", "name": "Main Street"})
    api.post("/v1/tills", {"code": "main-1", "store": "main", "program": "classic"})
    member = api.post("/v1/members", {"external_id": "C-1", "email": "Ada@Example.com"})
    return Shop(api, member["id"])


@pytest.fixture
def shop(api: Api) -> Shop:
    return set_up(api)


@pytest.fixture(scope="module")
def open_shop(cluster: Embedded, template: str) -> Iterator[Shop]:
    """One shop for all tests of a module: for those that write nothing."""
    name = f"shop_{os.getpid()}_{time.monotonic_ns()}"
    cluster.make_database(name, template)
    with served(addresses(cluster, name)) as url:
        yield set_up(Api(url))
    drop_database(cluster, name)
