"""A receiver of messages: a real HTTP server on a port of this machine that answers as it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Got:
    """One request."""

    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        return json.loads(self.body)  # type: ignore[no-any-return]

    @property
    def member(self) -> str | None:
        return self.event.get("subject")

    @property
    def number(self) -> int:
        return int(self.event["data"]["event_log_id"])


Answer = tuple[int, bytes, dict[str, str]]
Behaviour = Callable[[Got], Awaitable[int | Answer]]


async def accept(got: Got) -> int:
    return 200


@dataclass
class Receiver:
    """`got` is every request in the order it came; `taken` those that were answered 2xx."""

    behave: Behaviour = accept
    got: list[Got] = field(default_factory=list)
    taken: list[Got] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?tenant=1"

    @property
    def numbers(self) -> list[int]:
        return [one.number for one in self.taken]

    def of(self, member: str | None) -> list[int]:
        return [one.number for one in self.taken if one.member == member]

    async def up(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        """Nobody listens any more."""
        if self._server is not None:
            self._server.close()
            for writer in self._open:
                writer.close()
            await asyncio.sleep(0)
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = dict(_header(line) for line in head[1:] if line)
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                got = Got({**headers, ":line": head[0]}, body)
                self.got.append(got)
                said = await self.behave(got)
                status, text, more = said if isinstance(said, tuple) else (said, b"", {})
                if 200 <= status < 300:
                    self.taken.append(got)
                lines = [f"HTTP/1.1 {status} So", *(f"{name}: {value}" for name, value in more.items())]
                if "content-length" not in more:
                    lines.append(f"content-length: {len(text)}")
                writer.write("\r\n".join([*lines, "", ""]).encode() + text)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(": ")
    return name.lower(), value


@asynccontextmanager
async def receiving(behave: Behaviour = accept) -> AsyncIterator[Receiver]:
    receiver = Receiver(behave)
    await receiver.up()
    try:
        yield receiver
    finally:
        await receiver.down()
