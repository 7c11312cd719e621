"""Scenarios whose raw transfers go through the official Python SDK of Blnk, unmodified; the rest goes over HTTP."""

from __future__ import annotations

from typing import Any

import httpx2
from blnk_sdk import BlnkClientOptions, blnk_init

from tests.scenarios.http_driver import Answer, Clock, HttpDriver, runs_over_http
from tests.scenarios.language import Scenario


def runs_through_the_sdk(scenario: Scenario) -> bool:
    """Whether a scenario has raw transfers at all, and only such as the SDK lets pass."""
    raw = any(step.verb in ("pay", "split") for step in scenario.steps)
    return raw and runs_over_http(scenario) and "beyond the SDK" not in scenario.tags


class _Quiet:
    """A logger that says nothing; failures are asserted, not logged."""

    def info(self, *_: Any) -> None: ...

    def error(self, *_: Any) -> None: ...

    def debug(self, *_: Any) -> None: ...


class SdkDriver(HttpDriver):
    """Each organisation's SDK has a key of its own, since a Blnk client knows of no organisations."""

    def __init__(self, client: httpx2.Client, clock: Clock, key: str) -> None:
        super().__init__(client, clock, key)
        self._sdk: Any = None

    def _send(self, method: str, path: str, body: Any = None, *, tenant: bool = True) -> Answer:
        if not path.startswith("/blnk/"):
            return super()._send(method, path, body, tenant=tenant)
        if self._sdk is None:
            made = super()._send("POST", "/v1/keys", {"name": "sdk", "scopes": ["*:*"]})
            options = BlnkClientOptions(base_url=f"{self._client.base_url}".rstrip("/") + "/blnk", logger=_Quiet())
            self._sdk = blnk_init(made.body["key"], options)
        answer = self._call(method, path.removeprefix("/blnk/").split("/"), body)
        assert answer.status < 500, answer
        if answer.error is not None:
            return Answer(answer.status, {"code": answer.error.code, "message": answer.message}, replayed=False)
        return Answer(answer.status, answer.data or {"code": answer.message}, replayed=False)

    def _call(self, method: str, path: list[str], body: Any) -> Any:
        """The SDK's method for a route."""
        sdk = self._sdk
        match (method, *path):
            case "POST", "ledgers":
                return sdk.ledgers.create(body)
            case "POST", "balances":
                return sdk.ledger_balances.create(body)
            case "GET", "balances", "indicator", name, "currency", asset:
                return sdk.ledger_balances.get_by_indicator(name, asset)
            case "GET", "balances", id:
                return sdk.ledger_balances.get(id)
            case "POST", "transactions":
                return sdk.transactions.create(body)
            case "GET", "transactions", "reference", reference:
                return sdk.transactions.get_by_reference(reference)
            case "PUT", "transactions", "inflight", id:
                return sdk.transactions.update_status(id, body)
            case "POST", "refund-transaction", id:
                return sdk.transactions.refund(id, body)
        raise AssertionError(f"{method} {path}")
