"""One attempt at one message: an HTTP request to an address that was looked at first.

Promises: a connection is made to an address that was resolved and checked right before, never by name again, so that a
name which changes its mind leads nowhere; TLS is checked against the name all the same. No redirect is followed, no
proxy or netrc of the machine is used, of an answer only its beginning is read, and an attempt ends in time whatever the
other side does. Nothing raised or told here holds a URL or a secret.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping
from time import monotonic

import httpx2
from msgspec import Struct

from guerdon import __version__
from guerdon.core.addresses import is_public
from guerdon.webhooks.connection import BadAnswer, Connection, Reply, Unheard, connect

ANSWER_SHOWN_MAX = 500
ADDRESSES_KEPT_S = 5.0
"""So long an address that was checked may be connected to."""
IDLE_S = 10.0
"""So long a connection on which nothing is sent stays open."""
_USER_AGENT = f"Guerdon/{__version__}"


class Answer(Struct, frozen=True):
    """What came of an attempt: a status and the beginning of a text, or 0 and what went wrong. `headers` and `body` are
    for who looks whether the answer is signed."""

    status: int
    text: str
    duration_ms: int
    retry_after_s: int = 0
    headers: Mapping[str, str] = {}
    body: bytes = b""

    @property
    def accepted(self) -> bool:
        return 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        return self.status == 410


class AddressRefused(Exception):
    """The name leads to an address that is not public."""


class Line:
    """The connections to one URL, as many as there are attempts at the same time. Used by one event loop; `close` when
    done."""

    def __init__(self, url: str, *, timeout_s: float, private: bool, tls: ssl.SSLContext) -> None:
        self.url = url
        self._url = httpx2.URL(url)
        self._port = self._url.port or (443 if self._url.scheme == "https" else 80)
        self._tls = tls if self._url.scheme == "https" else None
        self._head = (
            f"POST {self._url.raw_path.decode('ascii')} HTTP/1.1\r\nhost: {self._url.netloc.decode('ascii')}\r\n"
            f"user-agent: {_USER_AGENT}\r\naccept: */*\r\naccept-encoding: identity\r\n"
        )
        self._timeout_s = timeout_s
        self._private = private
        self._addresses: list[str] = []
        self._resolved_at = -ADDRESSES_KEPT_S
        self._resolving = asyncio.Lock()
        self._turn = 0
        self._idle: list[tuple[float, str, Connection]] = []
        """Connections on which nothing is under way, with since when and to where; the longest idle first."""
        self._sweeping: asyncio.TimerHandle | None = None

    async def close(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
        for _, _, connection in self._idle:
            connection.close()
        self._idle.clear()

    async def post(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send once, and say what came of it. Raises nothing but cancellation."""
        began = monotonic()
        reply, status, text = Reply(), 0, ""
        try:
            async with asyncio.timeout(self._timeout_s):
                reply = await self._post(headers, body)
            status, text = reply.status, _shown(reply.body)
        except TimeoutError:
            text = f"no answer within {self._timeout_s:g} s"
        except AddressRefused:
            text = "the name leads to an address that is not public"
        except socket.gaierror:
            text = "the name leads nowhere"
        except BadAnswer as problem:
            text = str(problem)
        except (OSError, UnicodeError) as problem:
            text = f"{type(problem).__name__}: {problem}"[:ANSWER_SHOWN_MAX].replace(self.url, "the URL")
        duration_ms = int((monotonic() - began) * 1000)
        return Answer(
            status, text, duration_ms, _seconds(reply.headers.get("retry-after", "")), reply.headers, reply.body
        )

    async def _post(self, headers: Mapping[str, str], body: bytes) -> Reply:
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        request = f"{self._head}{lines}content-length: {len(body)}\r\n\r\n".encode("ascii") + body
        address = await self._address()
        connection = self._take(address)
        if connection is not None:
            try:
                return await self._ask(connection, address, request)
            except Unheard:
                pass  # it was closed while nobody used it; whether it heard us is as open as ever
        try:
            connection = await connect(address, self._port, tls=self._tls, name=self._url.host)
            return await self._ask(connection, address, request)
        except (OSError, BadAnswer):
            self._turn += 1
            raise

    async def _ask(self, connection: Connection, address: str, request: bytes) -> Reply:
        reply = await connection.ask(request)
        if connection.usable:
            self._idle.append((monotonic(), address, connection))
            if self._sweeping is None:
                self._sweeping = asyncio.get_running_loop().call_later(IDLE_S, self._sweep)
        return reply

    def _take(self, address: str) -> Connection | None:
        """The connection to an address that was used last, if it can still be used."""
        while self._idle:
            since, where, connection = self._idle.pop()
            if connection.usable and where == address and monotonic() - since < IDLE_S:
                return connection
            connection.close()
        return None

    def _sweep(self) -> None:
        """Close what was idle for too long."""
        until = monotonic() - IDLE_S
        for _, _, connection in [each for each in self._idle if each[0] <= until]:
            connection.close()
        self._idle = [each for each in self._idle if each[0] > until]
        self._sweeping = asyncio.get_running_loop().call_later(IDLE_S, self._sweep) if self._idle else None

    async def _address(self) -> str:
        """One of the checked addresses, another one after each failure to connect."""
        async with self._resolving:
            if monotonic() - self._resolved_at >= ADDRESSES_KEPT_S:
                self._addresses = await self._resolve()
                self._resolved_at = monotonic()
        return self._addresses[self._turn % len(self._addresses)]

    async def _resolve(self) -> list[str]:
        found = await asyncio.get_running_loop().getaddrinfo(self._url.host, self._port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not self._private and not all(is_public(address) for address in addresses):
            raise AddressRefused
        return addresses


def _shown(body: bytes) -> str:
    text = body.decode("utf-8", "replace")[:ANSWER_SHOWN_MAX]
    return "".join(character if character.isprintable() or character == "\n" else " " for character in text)


def _seconds(retry_after: str) -> int:
    """How long a receiver asks to be left alone; 0 where it does not say, or gives a date."""
    return int(retry_after) if retry_after.isascii() and retry_after.isdecimal() and len(retry_after) < 7 else 0
