"""What a receiver may say, and how much of it is listened to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import chain, repeat

import httpx2
import pytest

from guerdon.webhooks.connection import BODY_BYTES_MAX, HEAD_BYTES_MAX
from guerdon.webhooks.sending import Answer, Line

FINE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Saying:
    """A server that answers each request with the next of these pieces of bytes, and hangs up where None is said."""

    def __init__(self, *answers: list[bytes | None]) -> None:
        self._answers = list(answers)
        self.connections = 0
        self.sent = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while self._answers:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                await reader.readexactly(length)
                for piece in self._answers.pop(0):
                    if piece is None:
                        writer.close()
                        return
                    writer.write(piece)
                    await writer.drain()
                    self.sent += len(piece)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def line(saying: Saying, timeout_s: float = 30) -> AsyncIterator[Line]:
    server = await asyncio.start_server(saying.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    made = Line(f"http://127.0.0.1:{port}/", timeout_s=timeout_s, private=True, tls=httpx2.create_ssl_context())
    try:
        yield made
    finally:
        await made.close()
        server.close()


async def said(*pieces: bytes | None) -> Answer:
    async with line(Saying(list(pieces))) as to:
        return await to.post({}, b"{}")


@pytest.mark.parametrize(
    ("pieces", "status", "text"),
    [
        ((FINE,), 200, "ok"),
        ((b"HTTP/1.1 204 No Content\r\n\r\n",), 204, ""),
        ((b"HTTP/1.0 200 OK\r\n\r\nuntil the end", None), 200, "until the end"),
        ((b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",), 200, "ok"),
        ((b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n" + FINE), 200, "ok"),
        (tuple(bytes([each]) for each in FINE), 200, "ok"),
        ((b"HTTP/1.1 500 No\r\ncontent-length: 3\r\n\r\na\x00b",), 500, "a b"),
    ],
)
async def test_an_answer_is_understood_in_every_form(pieces: tuple[bytes | None, ...], status: int, text: str) -> None:
    answer = await said(*pieces)
    assert (answer.status, answer.text) == (status, text)


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        ((None,), "the other side hung up"),
        ((b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nok", None), "the answer broke off"),
        ((b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nok", None), "the answer broke off"),
        ((b"HTTP/1.1 20", None), "the answer broke off"),
        ((b"HTTP/1.1 100 Continue\r\n\r\n", None), "the answer broke off"),
        ((b"220 mail.example.com ESMTP\r\n", None), "what came back is no HTTP answer"),
        ((b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", None), "what came back is no HTTP answer"),
        ((b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n", None), None),
    ],
)
async def test_what_is_no_whole_answer_is_a_failure(pieces: tuple[bytes | None, ...], text: str | None) -> None:
    answer = await said(*pieces)
    assert answer.status == 0
    assert answer.text == text or text is None


async def test_a_head_without_end_is_not_read_to_its_end() -> None:
    for one in (b"x-more: " + 1_000 * b"x" + b"\r\n", b""):
        begins = b"HTTP/1.1 200 OK\r\n" if one else b""
        endless = Saying(chain([begins], repeat(one or b"HTTP/1.1 100 Continue\r\n\r\n", 1_000_000)))  # type: ignore[arg-type]
        async with line(endless) as to:
            answer = await to.post({}, b"{}")
            assert (answer.status, answer.text) == (0, "the answer's head is too long")
            assert endless.sent < 100 * HEAD_BYTES_MAX


async def test_a_body_without_end_counts_by_its_status() -> None:
    endless = Saying(chain([b"HTTP/1.1 200 OK\r\n\r\n"], repeat(1_000 * b"x", 1_000_000)))  # type: ignore[arg-type]
    async with line(endless) as to:
        answer = await to.post({}, b"{}")
    assert answer.accepted
    assert endless.sent < 10_000 * BODY_BYTES_MAX


async def test_a_connection_is_kept_and_a_stale_one_costs_no_attempt() -> None:
    kept = Saying([FINE], [FINE])
    async with line(kept) as to:
        assert [(await to.post({}, b"{}")).status for _ in range(2)] == [200, 200]
        assert kept.connections == 1
    stale = Saying([FINE, None], [FINE])
    async with line(stale) as to:
        assert [(await to.post({}, b"{}")).status for _ in range(2)] == [200, 200]
        assert stale.connections == 2


async def test_what_is_said_unasked_is_not_taken_for_the_next_answer() -> None:
    """A receiver cannot answer for a message it has not seen."""
    smuggling = Saying([FINE + FINE], [b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"])
    async with line(smuggling) as to:
        assert [(await to.post({}, b"{}")).status for _ in range(2)] == [200, 500]


async def test_what_takes_too_long_is_given_up_and_its_connection_with_it() -> None:
    slow = Saying([b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"], [FINE])
    async with line(slow, timeout_s=0.5) as to:
        first = await to.post({}, b"{}")
        assert (first.status, first.text) == (0, "no answer within 0.5 s")
        assert (await to.post({}, b"{}")).status == 200
        assert slow.connections == 2
