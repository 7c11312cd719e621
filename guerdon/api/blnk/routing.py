"""The route table of the Blnk-compatible API and the ASGI endpoint that serves it.

A route is a handler with its types: `async def create(call: Call, body: LedgerIn) -> dict`. What is returned is encoded
as it stands; `Answer` carries another status. Fixed segments go before wildcards, so `/{id}/metadata` may stand beside
`/ledgers/{id}`. Paths are matched before they are unquoted: a reference may hold a slash.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar, get_type_hints
from urllib.parse import parse_qsl

import msgspec
import structlog
from msgspec import Struct
from psycopg import OperationalError
from psycopg_pool import PoolTimeout

from guerdon.api.asgi import (
    BodyTooLarge,
    Disconnected,
    Headers,
    Message,
    NoSuchMethod,
    NoSuchPath,
    Paths,
    Receive,
    Send,
    answer,
    raw_path,
    read_body,
)
from guerdon.api.auth import Principal
from guerdon.api.blnk import wire
from guerdon.api.blnk.errors import BlnkError, refused
from guerdon.api.problem import Problem
from guerdon.api.services import Services, new_command_id
from guerdon.core.commands import Command
from guerdon.core.outcomes import Rejected
from guerdon.store.blnk_filters import FilterError
from guerdon.store.read_blnk import BlnkReader
from guerdon.writer import QueueFull, Unavailable

Handler = Callable[..., Awaitable[Any]]
H = TypeVar("H", bound=Handler)

DEFAULT_ORGANISATION = "default"
_JSON = b"application/json; charset=utf-8"
_ACTIONS = {"GET": "read", "HEAD": "read", "POST": "write", "PUT": "write", "DELETE": "delete"}
_UNAVAILABLE = BlnkError("QUEUE_BACKPRESSURE", "the database does not answer, try again later")
log = structlog.get_logger("guerdon.blnk")


class Answer(Struct, frozen=True):
    """What a handler returns when its status is not the route's own."""

    status: int
    value: Any = None


class Route(Struct, frozen=True, kw_only=True):
    """One method on one path. `resource` is what a key's scopes name, "" for no key at all; `errors_key` where the
    endpoint calls a malformed body `errors` instead of `error`. `optional` bodies may be left out."""

    method: str
    path: str
    handler: Handler
    resource: str
    status: int
    decoder: msgspec.json.Decoder[Any] | None
    errors_key: str
    optional: bool
    names: tuple[str, ...]


class Routes:
    """The routes of one noun, collected by decorating their handlers."""

    def __init__(self, resource: str) -> None:
        self.resource = resource
        self.found: list[Route] = []

    def add(
        self, method: str, path: str, *, status: int = 200, errors_key: str = "error", optional: bool = False
    ) -> Callable[[H], H]:
        def register(handler: H) -> H:
            body = get_type_hints(handler).get("body")
            self.found.append(
                Route(
                    method=method,
                    path=path,
                    handler=handler,
                    resource=self.resource,
                    status=status,
                    decoder=None if body is None else msgspec.json.Decoder(body),
                    errors_key=errors_key,
                    optional=optional,
                    names=tuple(part[1:-1] for part in path.split("/") if part.startswith("{")),
                )
            )
            return handler

        return register

    def get(self, path: str) -> Callable[[H], H]:
        return self.add("GET", path)

    def post(
        self, path: str, *, status: int = 201, errors_key: str = "error", optional: bool = False
    ) -> Callable[[H], H]:
        return self.add("POST", path, status=status, errors_key=errors_key, optional=optional)

    def put(self, path: str, *, errors_key: str = "error") -> Callable[[H], H]:
        return self.add("PUT", path, errors_key=errors_key)

    def delete(self, path: str, *, status: int = 200) -> Callable[[H], H]:
        return self.add("DELETE", path, status=status)


class Call:
    """A request on its way through a handler: who asks, what the query string says, and how a change is handed in."""

    __slots__ = ("_query", "principal", "reader", "services")

    def __init__(self, services: Services, reader: BlnkReader, principal: Principal | None, query: bytes) -> None:
        self.services = services
        self.reader = reader
        self.principal = principal
        self._query = query

    @property
    def org_id(self) -> int:
        return 0 if self.principal is None else self.principal.org_id

    @property
    def may_do_all(self) -> bool:
        """Whether the key is what Blnk calls the master key: no scope is closed to it."""
        return self.principal is not None and self.principal.may("*:*")

    @property
    def query(self) -> dict[str, list[str]]:
        """Every query parameter with its values; unknown ones are the handler's to ignore."""
        found: dict[str, list[str]] = {}
        try:
            pairs = parse_qsl(self._query.decode("ascii", "replace"), True, errors="strict", max_num_fields=200)
        except ValueError:
            raise wire.bad_request("the query string cannot be read") from None
        for name, value in pairs:
            if "\0" in name or "\0" in value:
                raise wire.bad_request("NUL characters are not allowed in the query string")
            found.setdefault(name, []).append(value)
        return found

    def parameter(self, name: str, default: str = "") -> str:
        values = self.query.get(name)
        return values[0] if values else default

    def common(self) -> dict[str, Any]:
        """The fields every command carries. Blnk has no idempotency keys: a duplicate reference is a conflict."""
        actor = "" if self.principal is None else self.principal.credential
        return {"id": new_command_id(), "at": self.services.now(), "actor": actor}

    async def outcome(self, command: Command) -> Any:
        """Hand a command to the writer: `Accepted` or `Rejected`."""
        try:
            return await self.services.writer.submit(self.org_id, command)
        except (QueueFull, Unavailable):
            raise BlnkError(
                "QUEUE_BACKPRESSURE", "too much is waiting, try again later", headers={"retry-after": "1"}
            ) from None

    async def submit(self, command: Command, *, upgrade: dict[str, str] | None = None, **said: str) -> Any:
        """Hand a command to the writer: its result, or the refusal as a Blnk error."""
        outcome = await self.outcome(command)
        if isinstance(outcome, Rejected):
            raise refused(outcome, upgrade=upgrade, **said)
        return outcome.result


class Endpoint:
    """Serves the routes over ASGI. Answers every request, whatever it holds, and never raises."""

    def __init__(self, routes: Iterable[Route], prefix: str, services: Services, reader: BlnkReader) -> None:
        self._services = services
        self._reader = reader
        self._paths: Paths[Route] = Paths()
        self._prefix = prefix.strip("/")
        for route in routes:
            self._paths.add(route.method, route.path, route)

    def match(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """The route of a path below the prefix, with its parameters unquoted; 404 where there is none."""
        path = path.strip("/")
        if self._prefix and (path == self._prefix or path.startswith(f"{self._prefix}/")):
            path = path[len(self._prefix) :]
        try:
            route, named = self._paths.find(method, path)
        except (NoSuchPath, NoSuchMethod):
            raise BlnkError("GEN_NOT_FOUND", "404 page not found") from None
        except UnicodeDecodeError:
            raise wire.bad_request("the path is not UTF-8") from None
        if any("\0" in value for value in named):
            raise wire.bad_request("NUL characters are not allowed in a path")
        return route, dict(zip(route.names, named, strict=True))

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        services = self._services
        started = time.perf_counter()
        method: str = scope["method"]
        headers: Headers = dict(scope["headers"])
        label = "unmatched"
        extra: dict[str, str] = {}
        try:
            route, given = self.match(method, raw_path(scope))
            label = f"/blnk{route.path}"
            principal = await _principal(services, route, method, headers)
            call = Call(services, self._reader, principal, scope.get("query_string", b""))
            if route.decoder is not None:
                body = await _body(headers, receive, services.settings.body_bytes_max)
                given["body"] = wire.decode(
                    b"{}" if route.optional and not body.strip() else body, route.decoder, route.errors_key
                )
            result = await route.handler(call, **given)
            status, value = (result.status, result.value) if isinstance(result, Answer) else (route.status, result)
            payload = b"" if status == 204 else wire.encode(value)
        except BlnkError as error:
            status, payload, extra = error.status, wire.encode(error.body()), error.headers
        except FilterError as error:
            refused_filter = wire.bad_request(f"Invalid filter: {error}")
            status, payload = refused_filter.status, wire.encode(refused_filter.body())
        except Disconnected:
            return
        except (OperationalError, PoolTimeout):
            log.warning("database_unavailable", method=method, route=label)
            status, payload = 503, wire.encode(_UNAVAILABLE.body())
            extra = {"retry-after": "1"}
        except Exception:
            log.exception("request failed", method=method, route=label)
            broken = BlnkError("GEN_INTERNAL", "internal server error")
            status, payload = broken.status, wire.encode(broken.body())
        named = [(name.encode(), value.encode()) for name, value in extra.items()]
        await answer(send, status, named, _JSON, payload, head=method == "HEAD")
        services.metrics.observe(method, label, status, time.perf_counter() - started)


async def _principal(services: Services, route: Route, method: str, headers: Headers) -> Principal | None:
    """Who asks, and whether they may. The platform key works in the default organisation unless a header says else."""
    if not route.resource:
        return None
    token = headers.get(b"x-blnk-key", b"").decode("latin-1").strip()
    named = headers.get(b"guerdon-organisation")
    organisation = None if named is None else named.decode("latin-1")
    try:
        principal = await services.auth.principal(token, organisation)
        if principal is not None and principal.platform and not principal.org_id:
            principal = await services.auth.principal(token, DEFAULT_ORGANISATION)
    except Problem as problem:
        raise _unauthorised(problem) from None
    if principal is None:
        raise BlnkError("AUTH_MISSING_API_KEY", "Authentication required. Use X-Blnk-Key header")
    scope = f"{route.resource}:{_ACTIONS[method]}"
    if not principal.may(scope):
        raise BlnkError("AUTH_INSUFFICIENT_PERMISSIONS", f"Insufficient permissions for {scope}")
    return principal


def _unauthorised(problem: Problem) -> BlnkError:
    if problem.code == "key_expired":
        return BlnkError("AUTH_EXPIRED_API_KEY", "API key is expired or revoked")
    if problem.code == "key_invalid":
        return BlnkError("AUTH_INVALID_API_KEY", "Invalid API key")
    return BlnkError("GEN_NOT_FOUND", problem.detail or problem.code)


async def _body(headers: Headers, receive: Receive, bytes_max: int) -> bytes:
    try:
        return await read_body(headers, receive, bytes_max)
    except BodyTooLarge:
        said = f"a body has at most {bytes_max} bytes"
        raise BlnkError("GEN_PAYLOAD_TOO_LARGE", said, headers={"connection": "close"}) from None
