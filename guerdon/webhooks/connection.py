"""One HTTP/1.1 connection to an address: a request at a time, of each answer the status and the beginning.

A message is one POST with a small body: no redirect is followed, no cookie kept, no proxy asked, and what all this
costs a client library is ten times what is done here (`docs/decisions/0040-webhooks-speak-http-themselves.md`). Answers
are read by the parser that our own server reads requests with, and only so far: an answer that has no end has one here.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import cast

import httptools

HEAD_BYTES_MAX = 65_536
BODY_BYTES_MAX = 4_096


class BadAnswer(Exception):
    """What came back is no answer, or broke off."""


class Unheard(BadAnswer):
    """The other side hung up without a word."""


KEPT = frozenset((b"retry-after", b"webhook-id", b"webhook-timestamp", b"webhook-signature"))
"""Headers of an answer that anybody asks for."""


class Reply:
    """An answer: its status, those of its headers that are kept, and the beginning of its body."""

    __slots__ = ("body", "headers", "status")

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""


async def connect(address: str, port: int, *, tls: ssl.SSLContext | None, name: str) -> Connection:
    """A connection to this very address; with `tls` the other side has to prove that it is `name`."""
    _, made = await asyncio.get_running_loop().create_connection(
        Connection, address, port, ssl=tls, server_hostname=None if tls is None else name
    )
    return made


class Connection(asyncio.Protocol):
    """`usable` says whether another request can be asked here."""

    def __init__(self) -> None:
        self.usable = False
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Reply] | None = None
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._reply = Reply()
        self._unread = HEAD_BYTES_MAX
        self._heard = self._headed = self._bounded = False

    async def ask(self, request: bytes) -> Reply:
        """Send a request and read its answer. Raises `BadAnswer`."""
        assert self._transport is not None, "only a usable one is asked"
        self._begin()
        self.usable = False
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._waiter
        finally:
            self._waiter = None
            if not self.usable:
                self.close()

    def close(self) -> None:
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    # -- what the event loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self.usable = True

    def data_received(self, data: bytes) -> None:
        if self._waiter is None or self._waiter.done():
            self.close()  # nobody asked, or what was asked is answered
            return
        self._heard = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(BadAnswer("what came back is no HTTP answer"))
        if not self._headed:
            self._unread -= len(data)
            if self._unread < 0:
                self._fail(BadAnswer("the answer's head is too long"))

    def connection_lost(self, _: Exception | None) -> None:
        self.usable = False
        self._transport = None
        if not self._heard:
            self._fail(Unheard("the other side hung up"))
        elif self._headed and not self._bounded:
            self._answered()  # such an answer ends with its connection
        else:
            self._fail(BadAnswer("the answer broke off"))

    # -- what the parser tells

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in KEPT:
            self._reply.headers[name.decode()] = value.decode("latin-1")
        elif name in (b"content-length", b"transfer-encoding"):
            self._bounded = True

    def on_headers_complete(self) -> None:
        self._reply.status = self._parser.get_status_code()
        self._headed = self._reply.status >= 200

    def on_body(self, body: bytes) -> None:
        reply = self._reply
        reply.body += body[: BODY_BYTES_MAX - len(reply.body)]
        if len(reply.body) >= BODY_BYTES_MAX:
            self._answered()

    def on_message_complete(self) -> None:
        if self._headed:  # one that only says "go on" is followed by another
            self.usable = self._waiter is not None and not self._waiter.done() and self._parser.should_keep_alive()
            self._answered()

    def _answered(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(self._reply)

    def _fail(self, problem: BadAnswer) -> None:
        self.usable = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(problem)
