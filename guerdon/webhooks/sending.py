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

ANSWER_BYTES_MAX = 4_096
ANSWER_SHOWN_MAX = 500
ADDRESSES_KEPT_S = 5.0
"""So long an address that was checked may be connected to."""
_CONNECTIONS = httpx2.Limits(max_connections=32, max_keepalive_connections=32, keepalive_expiry=10)
_USER_AGENT = f"Guerdon/{__version__}"


class Answer(Struct, frozen=True):
    """What came of an attempt: a status and the beginning of a text, or 0 and what went wrong."""

    status: int
    text: str
    duration_ms: int
    retry_after_s: int = 0

    @property
    def accepted(self) -> bool:
        return 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        return self.status == 410


class AddressRefused(Exception):
    """The name leads to an address that is not public."""


class Line:
    """The connections to one URL. Used by one event loop; `close` when done."""

    def __init__(self, url: str, *, timeout_s: float, private: bool, tls: ssl.SSLContext) -> None:
        self.url = url
        self._url = httpx2.URL(url)
        self._timeout_s = timeout_s
        self._timeouts = httpx2.Timeout(timeout_s).as_dict()
        self._private = private
        self._addresses: list[str] = []
        self._pinned: dict[str, httpx2.URL] = {}
        self._resolved_at = -ADDRESSES_KEPT_S
        self._resolving = asyncio.Lock()
        self._turn = 0
        # The transport alone: it follows no redirect, keeps no cookie, asks no proxy, and logs nothing.
        self._transport = httpx2.AsyncHTTPTransport(verify=tls, trust_env=False, limits=_CONNECTIONS)

    async def close(self) -> None:
        await self._transport.aclose()

    async def post(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send once, and say what came of it. Raises nothing but cancellation."""
        began = monotonic()
        status, text, retry_after_s = 0, "", 0
        try:
            async with asyncio.timeout(self._timeout_s):
                status, text, retry_after_s = await self._post(headers, body)
        except TimeoutError:
            text = f"no answer within {self._timeout_s:g} s"
        except AddressRefused:
            text = "the name leads to an address that is not public"
        except socket.gaierror:
            text = "the name leads nowhere"
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, UnicodeError) as problem:
            text = f"{type(problem).__name__}: {problem}"[:ANSWER_SHOWN_MAX].replace(self.url, "the URL")
        return Answer(status, text, int((monotonic() - began) * 1000), retry_after_s)

    async def _post(self, headers: Mapping[str, str], body: bytes) -> tuple[int, str, int]:
        address = await self._address()
        request = httpx2.Request(
            "POST",
            self._pinned[address],
            headers={
                **headers,
                "host": self._url.netloc.decode("ascii"),
                "user-agent": _USER_AGENT,
                "accept-encoding": "identity",
            },
            content=body,
            extensions={"sni_hostname": self._url.host, "timeout": self._timeouts},
        )
        try:
            response = await self._transport.handle_async_request(request)
        except httpx2.TransportError:
            self._turn += 1
            raise
        try:
            text = await _beginning(response)
        finally:
            await response.aclose()
        after = response.headers.get("retry-after", "")
        return response.status_code, text, int(after) if after.isascii() and after.isdecimal() and len(after) < 7 else 0

    async def _address(self) -> str:
        """One of the checked addresses, another one after each failure to connect."""
        async with self._resolving:
            if monotonic() - self._resolved_at >= ADDRESSES_KEPT_S:
                self._addresses = await self._resolve()
                self._pinned = {address: self._url.copy_with(host=address) for address in self._addresses}
                self._resolved_at = monotonic()
        return self._addresses[self._turn % len(self._addresses)]

    async def _resolve(self) -> list[str]:
        port = self._url.port or (443 if self._url.scheme == "https" else 80)
        found = await asyncio.get_running_loop().getaddrinfo(self._url.host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not self._private and not all(is_public(address) for address in addresses):
            raise AddressRefused
        return addresses


async def _beginning(response: httpx2.Response) -> str:
    """The beginning of an answer as text. What comes after it is not read."""
    read = b""
    async for chunk in response.aiter_raw():
        read += chunk[: ANSWER_BYTES_MAX - len(read)]
        if len(read) >= ANSWER_BYTES_MAX:
            break
    text = read.decode("utf-8", "replace")[:ANSWER_SHOWN_MAX]
    return "".join(character if character.isprintable() or character == "\n" else " " for character in text)
