"""The route table of `/v1` and the ASGI endpoint that serves it.

A route is a handler with its types: `async def create(call: Call, body: ProgramIn) -> ProgramOut`. Path parameters are
named like the handler's arguments, `body` and `query` are structs, and what is returned is encoded as it stands. The
same declaration makes the OpenAPI document. Plain ASGI, because a framework costs more per request than all the rest
(`docs/decisions/0006-plain-asgi-on-the-hot-path.md`).
"""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, get_type_hints

import msgspec
import structlog
from msgspec import Struct
from psycopg import OperationalError
from psycopg_pool import PoolTimeout

from guerdon.api import sheets, strict
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
    stream,
)
from guerdon.api.auth import Principal, own_member, require
from guerdon.api.browsers import Browsers
from guerdon.api.call import Call
from guerdon.api.problem import MEDIA_TYPE, Problem
from guerdon.api.services import Services

Handler = Callable[..., Awaitable[Any]]

_JSON = b"application/json"
log = structlog.get_logger("guerdon.api")


class Route(Struct, frozen=True, kw_only=True):
    """One method on one path. `scope` is `resource:action`, "" for no key at all, `platform` for the platform key.

    `shape` is the body's in the documentation, for handlers that read the document themselves; `failure` is what is
    answered instead of a problem document, for routes made for clients of another system; these may also send their
    key as Basic credentials. `own` routes are open to member tokens, for the member the token is of.
    """

    method: str
    path: str
    tag: str
    handler: Handler
    scope: str
    summary: str
    description: str
    status: int
    body: Any = None
    shape: Any = None
    query: Any = None
    result: Any = None
    example: Any = None
    answer: Any = None
    errors: tuple[str, ...] = ()
    failure: Any = None
    own: bool = False

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))


class Routes:
    """The routes of one noun, collected by decorating their handlers."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.found: list[Route] = []

    def add(
        self,
        method: str,
        path: str,
        *,
        scope: str,
        summary: str,
        status: int = 200,
        example: Any = None,
        answer: Any = None,
        errors: tuple[str, ...] = (),
        shape: Any = None,
        failure: Any = None,
        own: bool = False,
    ) -> Callable[[Handler], Handler]:
        def register(handler: Handler) -> Handler:
            hints = get_type_hints(handler)
            result = hints.get("return")
            self.found.append(
                Route(
                    method=method,
                    path=path,
                    tag=self.tag,
                    handler=handler,
                    scope=scope,
                    summary=summary,
                    description=" ".join((handler.__doc__ or "").split()),
                    status=status,
                    body=hints.get("body"),
                    shape=shape or hints.get("body"),
                    query=hints.get("query"),
                    result=None if result is type(None) else result,
                    example=example,
                    answer=answer,
                    errors=errors,
                    failure=failure,
                    own=own,
                )
            )
            return handler

        return register

    def get(self, path: str, **given: Any) -> Callable[[Handler], Handler]:
        return self.add("GET", path, **given)

    def post(self, path: str, **given: Any) -> Callable[[Handler], Handler]:
        return self.add("POST", path, **{"status": 201, **given})

    def patch(self, path: str, **given: Any) -> Callable[[Handler], Handler]:
        return self.add("PATCH", path, **given)

    def delete(self, path: str, **given: Any) -> Callable[[Handler], Handler]:
        return self.add("DELETE", path, **{"status": 204, **given})


class _Served(Struct):
    """A route made ready: its body decoder, and the names that its path's parameters go by."""

    route: Route
    decoder: msgspec.json.Decoder[Any] | None
    names: tuple[str, ...]


class Endpoint:
    """Serves the routes over ASGI. Answers every request, whatever it holds, and never raises."""

    def __init__(self, routes: Iterable[Route], services: Services) -> None:
        self.services = services
        self._paths: Paths[_Served] = Paths()
        self._browsers = Browsers(services.settings.browser_origins)
        for route in routes:
            decoder = None if route.body is None else msgspec.json.Decoder(route.body)
            self._paths.add(route.method, route.path, _Served(route, decoder, route.parameters))

    def _match(self, method: str, path: str) -> tuple[_Served, list[str]]:
        try:
            served, named = self._paths.find(method, path)
        except NoSuchPath:
            raise Problem("not_found") from None
        except NoSuchMethod as error:
            allowed = str(error)
            headers = ((b"allow", allowed.encode()),)
            raise Problem("method_not_allowed", f"Allowed: {allowed}.", headers=headers) from None
        except UnicodeDecodeError:
            raise Problem("not_utf8", "The path is not UTF-8.") from None
        for value in named:
            strict.refuse_control(value, "")
        return served, named

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        method: str = scope["method"]
        headers: Headers = dict(scope["headers"])
        request_id = _request_id(headers.get(b"x-request-id"))
        label = "unmatched"
        extra: tuple[tuple[bytes, bytes], ...] = ()
        media_type = _JSON
        sheet: sheets.Csv | sheets.Pdf | None = None
        shown: tuple[tuple[bytes, bytes], ...] = ()
        try:
            if method == "OPTIONS" and (leave := self._leave(scope, headers)):
                await answer(send, 204, [(b"x-request-id", request_id.encode()), *leave], _JSON, b"", head=False)
                return
            served, values = self._match(method, raw_path(scope))
            route = served.route
            label = route.path
            if route.own:
                shown = self._browsers.shows(headers, _token(headers.get(b"authorization"), basic=False))
            principal = await self._principal(route, headers)
            client = self._client(scope, headers)
            call = Call(self.services, principal, headers, f"{method} {scope['path']}", request_id, client)
            given: dict[str, Any] = dict(zip(served.names, values, strict=True))
            if principal is not None and principal.member:
                given["member"] = own_member(principal, given["member"])
            if route.query is not None:
                given["query"] = strict.query(scope["query_string"], route.query)
            elif scope["query_string"]:
                strict.query(scope["query_string"], _NoParameters)
            if served.decoder is not None:
                call.body = await _body(headers, receive, self.services.settings.body_bytes_max)
                given["body"] = strict.decode(call.body, served.decoder, self.services.settings.depth_max)
            result = await route.handler(call, **given)
            status, extra = route.status, call.answer_headers()
            if isinstance(result, sheets.Csv | sheets.Pdf):
                sheet = result
            else:
                payload = b"" if result is None else msgspec.json.encode(result)
        except Disconnected:
            return
        except Problem as problem:
            status, extra, media_type = problem.status, problem.headers, problem.media_type
            payload = problem.document(request_id)
        except Exception as error:
            unavailable = isinstance(error, OperationalError | PoolTimeout)
            broken = Problem("database_unavailable" if unavailable else "internal_error")
            log.log(
                logging.WARNING if unavailable else logging.ERROR,
                broken.code,
                request_id=request_id,
                method=method,
                route=label,
                exc_info=not unavailable,
            )
            status, media_type, payload = broken.status, MEDIA_TYPE, broken.document(request_id)
            extra = ((b"retry-after", b"1"),) if unavailable else ()
        named = [(b"x-request-id", request_id.encode()), *extra, *shown]
        if sheet is not None:
            await self._stream(send, sheet, named, head=method == "HEAD")
        else:
            await answer(send, status, named, media_type, payload, head=method == "HEAD")
        seconds = time.perf_counter() - started
        self.services.metrics.observe(method, label, status, seconds)
        if self.services.settings.access_log:
            log.info("request", request_id=request_id, method=method, route=label, status=status, seconds=seconds)

    def _leave(self, scope: Message, headers: Headers) -> tuple[tuple[bytes, bytes], ...]:
        """What a browser is answered that asks whether a page may ask; nothing where it may not."""
        asked = self._browsers.preflight(headers)
        if not asked:
            return ()
        try:
            served, _ = self._match(asked, raw_path(scope))
        except Problem:
            return ()
        own = [method for method in ("GET", "POST") if self._is_own(method, scope)]
        return self._browsers.leave(headers, own) if served.route.own else ()

    def _is_own(self, method: str, scope: Message) -> bool:
        try:
            return self._match(method, raw_path(scope))[0].route.own
        except Problem:
            return False

    async def _stream(
        self, send: Send, sheet: sheets.Csv | sheets.Pdf, headers: list[tuple[bytes, bytes]], *, head: bool
    ) -> None:
        media_type = sheets.PDF_TYPE if isinstance(sheet, sheets.Pdf) else sheets.MEDIA_TYPE
        disposition = f'attachment; filename="{sheet.filename}"'.encode()
        try:
            await stream(send, [*headers, (b"content-disposition", disposition)], media_type, sheet.chunks, head=head)
        except Exception:
            log.exception("answer_broken_off", filename=sheet.filename)

    def _client(self, scope: Message, headers: Headers) -> str:
        """The address a request came from: the peer's, or the last one in the header of a proxy of ours."""
        named = self.services.settings.client_header
        told = headers.get(named.lower().encode()) if named else None
        if told is not None:
            return told.decode("latin-1").rpartition(",")[2].strip()
        return str(scope["client"][0]) if scope.get("client") else ""

    async def _principal(self, route: Route, headers: Headers) -> Principal | None:
        if not route.scope:
            return None
        token = _token(headers.get(b"authorization"), basic=route.failure is not None)
        organisation = headers.get(b"guerdon-organisation")
        named = None if organisation is None else organisation.decode("latin-1")
        principal = await self.services.auth.principal(token, named)
        if principal is None or not principal.member or not route.own:
            require(principal, route.scope)
        return principal


class _NoParameters(Struct, frozen=True):
    """For routes that take no query parameters: naming one is an error."""


def _token(header: bytes | None, *, basic: bool) -> str:
    """The key in the header: as a bearer, and with `basic` also as the password of whatever user."""
    if header is None:
        return ""
    kind, _, text = header.decode("latin-1").partition(" ")
    if kind.lower() == "bearer":
        return text.strip()
    if basic and kind.lower() == "basic":
        try:
            return base64.b64decode(text, validate=True).decode().partition(":")[2]
        except ValueError:
            return ""
    return ""


def _request_id(header: bytes | None) -> str:
    if header is not None and len(header) <= 64:
        text = header.decode("latin-1")
        if text.isascii() and text.replace("-", "").replace("_", "").isalnum():
            return text
    return f"req_{time.time_ns():x}"


async def _body(headers: Headers, receive: Receive, bytes_max: int) -> bytes:
    media_type = headers.get(b"content-type")
    if media_type is not None and not media_type.lower().startswith(_JSON):
        raise Problem("unsupported_media_type", f"`{media_type.decode('latin-1')[:60]}` is not read here.")
    try:
        return await read_body(headers, receive, bytes_max)
    except BodyTooLarge:
        detail = f"A body has at most {bytes_max} bytes."
        raise Problem("body_too_large", detail, headers=((b"connection", b"close"),)) from None
