"""The Blnk-compatible API over a real writer and database, without a port."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote

import pytest

from guerdon.app import Application
from guerdon.installation import Installation
from guerdon.settings import Settings
from tests.conftest import Database

ADMIN_KEY = "gd_admin_of_the_tests"


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
    """Speaks to the endpoint as an SDK would."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self.key = ADMIN_KEY

    async def request(self, method: str, path: str, body: Any = None) -> Answer:
        target, _, query = f"/blnk{path}".partition("?")
        payload = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        sent: list[dict[str, Any]] = []
        given = [{"type": "http.request", "body": payload, "more_body": False}]

        async def receive() -> dict[str, Any]:
            return given.pop() if given else {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            "http_version": "1.1",
            "scheme": "http",
            "root_path": "",
            "server": ("testserver", 80),
            "client": ("testclient", 1),
            "path": unquote(target),
            "raw_path": target.encode(),
            "query_string": query.encode(),
            "headers": [(b"x-blnk-key", self.key.encode())] if self.key else [],
        }
        await self._application(scope, receive, send)
        return Answer(sent[0]["status"], sent[1]["body"])

    async def get(self, path: str) -> Answer:
        return await self.request("GET", path)

    async def post(self, path: str, body: Any = None) -> Answer:
        return await self.request("POST", path, body)

    async def put(self, path: str, body: Any = None) -> Answer:
        return await self.request("PUT", path, body)

    async def delete(self, path: str) -> Answer:
        return await self.request("DELETE", path)

    # -- an organisation to work with

    async def balance(self, currency: str = "USD") -> str:
        """A new balance's id, in a new ledger."""
        ledger = await self.post("/ledgers", {"name": "Wallets"})
        made = await self.post("/balances", {"ledger_id": ledger["ledger_id"], "currency": currency})
        assert made.status == 201, made.body
        return str(made["balance_id"])

    async def transact(self, reference: str, amount: int, source: str, destination: str, **more: Any) -> Answer:
        """A transaction of `amount` cents, from anywhere the overdraft is allowed unless told otherwise."""
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
        return await self.get(f"/transactions/reference/{reference}_q")


@pytest.fixture
async def blnk(database: Database) -> AsyncIterator[Client]:
    settings = Settings(database_url=database.app_dsn, admin_key=ADMIN_KEY)
    installation = Installation(database.owner_dsn, database.app_dsn, ADMIN_KEY, b"pepper of the tests")
    application = Application(settings, installation)
    async with running(application):
        yield Client(application)


@asynccontextmanager
async def running(application: Application) -> AsyncIterator[None]:
    """The application between its start and its end, by the ASGI lifespan protocol."""
    told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    life = asyncio.create_task(application(scope, told.get, said.put))
    await told.put({"type": "lifespan.startup"})
    started = await said.get()
    assert started["type"] == "lifespan.startup.complete", started
    yield
    await told.put({"type": "lifespan.shutdown"})
    await life
