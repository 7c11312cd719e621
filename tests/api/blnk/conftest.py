"""The Blnk-compatible API of a real server, spoken to over HTTP: one server per file, one organisation per test."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest

from guerdon.store.embedded import Embedded
from tests.api.conftest import ADMIN_KEY, served
from tests.conftest import addresses, drop_database

_numbers = itertools.count(1)


class Answer:
    """Status and body of one request; `answer["field"]` reads the body."""

    def __init__(self, status: int, payload: bytes) -> None:
        self.status = status
        self.payload = payload
        self.body: Any = json.loads(payload) if payload else None

    def __getitem__(self, name: str | int) -> Any:
        return self.body[name]

    @property
    def code(self) -> str:
        return str(self.body["error_detail"]["code"])


class Client:
    """Speaks to `/blnk` as an SDK would, in an organisation of its own."""

    def __init__(self, http: httpx2.AsyncClient, organisation: str) -> None:
        self._http = http
        self.organisation = organisation
        self.key = ADMIN_KEY

    async def request(self, method: str, path: str, body: Any = None) -> Answer:
        headers = {"x-blnk-key": self.key} if self.key else {}
        if self.key == ADMIN_KEY:
            headers["guerdon-organisation"] = self.organisation
        payload = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = await self._http.request(method, f"/blnk{path}", content=payload, headers=headers)
        return Answer(answer.status_code, answer.content)

    async def get(self, path: str) -> Answer:
        return await self.request("GET", path)

    async def post(self, path: str, body: Any = None) -> Answer:
        return await self.request("POST", path, body)

    async def put(self, path: str, body: Any = None) -> Answer:
        return await self.request("PUT", path, body)

    async def delete(self, path: str) -> Answer:
        return await self.request("DELETE", path)

    async def v1(self, method: str, path: str, body: Any = None) -> Any:
        """The same organisation through `/v1`; success is expected."""
        headers = {"authorization": f"Bearer {ADMIN_KEY}", "guerdon-organisation": self.organisation}
        answer = await self._http.request(method, f"/v1{path}", json=body, headers=headers)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    # -- an organisation to work with

    async def balance(self, currency: str = "USD") -> str:
        """A new balance's id, in a new ledger."""
        ledger = await self.post("/ledgers", {"name": "Wallets"})
        made = await self.post("/balances", {"ledger_id": ledger["ledger_id"], "currency": currency})
        assert made.status == 201, made.body
        return str(made["balance_id"])

    async def transact(self, reference: str, amount: int, source: str, destination: str, **more: Any) -> Answer:
        """A transaction of `amount` cents; internal balances may be overdrawn unless told otherwise."""
        body = {
            "precise_amount": amount,
            "precision": 100,
            "reference": reference,
            "currency": "USD",
            "description": "test",
            "source": source,
            "destination": destination,
            "allow_overdraft": source.startswith("@"),
        }
        return await self.post("/transactions", body | more)

    async def outcome(self, reference: str) -> Answer:
        """What became of a queued transaction."""
        return await self.get(f"/transactions/reference/{reference}_q")


@pytest.fixture(scope="module")
def server_url(cluster: Embedded, template: str) -> Iterator[str]:
    """The address of a server that the tests of one file share."""
    name = f"blnk_{os.getpid()}_{next(_numbers)}"
    cluster.make_database(name, template)
    with served(addresses(cluster, name)) as url:
        yield url
    drop_database(cluster, name)


@pytest.fixture
async def blnk(server_url: str) -> AsyncIterator[Client]:
    async with httpx2.AsyncClient(base_url=server_url, timeout=20) as http:
        code = f"org-{next(_numbers)}"
        body = {"code": code, "name": "Test"}
        made = await http.post("/v1/organisations", json=body, headers={"authorization": f"Bearer {ADMIN_KEY}"})
        assert made.status_code == 201, made.text
        yield Client(http, code)
