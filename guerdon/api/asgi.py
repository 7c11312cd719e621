"""What both APIs need of ASGI: finding a route by its path, reading a body of bounded size, sending an answer.

Leaves to others: what an error looks like, which the two APIs tell in their own ways.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Generic, TypeVar
from urllib.parse import unquote

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = dict[bytes, bytes]

READ_ANYWAY = 4
"""A body too large is read to its end up to so many times the limit, so that the client hears why."""

_Value = TypeVar("_Value")


class NoSuchPath(Exception):
    """No route goes by this path."""


class NoSuchMethod(Exception):
    """The path is known, but not with this method; `allowed` are those it is known with."""

    def __init__(self, allowed: Iterable[str]) -> None:
        super().__init__(", ".join(sorted(allowed)))


class BodyTooLarge(Exception):
    """The body has more bytes than allowed."""


class Disconnected(Exception):
    """The client left before its body was complete: nothing is done, nobody is answered."""


class _Node(Generic[_Value]):
    __slots__ = ("children", "methods", "wild")

    def __init__(self) -> None:
        self.children: dict[str, _Node[_Value]] = {}
        self.wild: _Node[_Value] | None = None
        self.methods: dict[str, _Value] = {}


class Paths(Generic[_Value]):
    """Values by method and path. `{name}` in a path stands for any one segment; fixed segments go before it."""

    def __init__(self) -> None:
        self._root: _Node[_Value] = _Node()

    def add(self, method: str, path: str, value: _Value) -> None:
        node = self._root
        for part in _parts(path):
            if part.startswith("{"):
                node.wild = node.wild or _Node()
                node = node.wild
            else:
                node = node.children.setdefault(part, _Node())
        node.methods[method] = value

    def find(self, method: str, path: str) -> tuple[_Value, list[str]]:
        """The value and the segments that stand for names, unquoted. A quoted slash does not end a segment.

        HEAD is served by GET. Raises `NoSuchPath`, `NoSuchMethod`, and `UnicodeDecodeError` for what is not UTF-8.
        """
        node, named = self._root, []
        for part in _parts(path):
            child = node.children.get(part)
            if child is None:
                if node.wild is None or not part:
                    raise NoSuchPath
                child = node.wild
                named.append(unquote(part, errors="strict") if "%" in part else part)
            node = child
        if not node.methods:
            raise NoSuchPath
        value = node.methods.get("GET" if method == "HEAD" else method)
        if value is None:
            raise NoSuchMethod(node.methods)
        return value, named


def raw_path(scope: Message) -> str:
    """The path as it was sent, still quoted."""
    given: bytes = scope.get("raw_path") or scope["path"].encode()
    return given.partition(b"?")[0].decode("ascii", "replace")


async def read_body(headers: Headers, receive: Receive, bytes_max: int) -> bytes:
    """The whole body. Raises `BodyTooLarge`, `Disconnected`."""
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > bytes_max * READ_ANYWAY:
        raise BodyTooLarge
    parts: list[bytes] = []
    size, more = 0, True
    while more and size <= bytes_max * READ_ANYWAY:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        part: bytes = message.get("body", b"")
        size += len(part)
        if size <= bytes_max:
            parts.append(part)
        more = message.get("more_body", False)
    if size > bytes_max:
        raise BodyTooLarge
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def answer(
    send: Send, status: int, headers: list[tuple[bytes, bytes]], media_type: bytes, payload: bytes, *, head: bool
) -> None:
    """Send an answer; its body stays away from a HEAD request, and a 204 has none."""
    if status != 204:
        headers += [(b"content-type", media_type), (b"content-length", str(len(payload)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else payload})


async def stream(
    send: Send, headers: list[tuple[bytes, bytes]], media_type: bytes, chunks: AsyncIterator[bytes], *, head: bool
) -> None:
    """Send a 200 in pieces. Where a piece fails to come the answer never ends, which clients take for an error."""
    await send({"type": "http.response.start", "status": 200, "headers": [*headers, (b"content-type", media_type)]})
    if not head:
        async for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _parts(path: str) -> list[str]:
    stripped = path.strip("/")
    return stripped.split("/") if stripped else []
