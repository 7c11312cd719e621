"""Where a message really goes: to the address that was looked at, and only if that is public."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from guerdon.webhooks import sending
from guerdon.webhooks.connection import Connection, connect
from guerdon.webhooks.sending import Answer, Line
from tests.webhooks.receiver import Got, Receiver, receiving

BODY = b"{}"
REFUSED = "the name leads to an address that is not public"


@asynccontextmanager
async def line(url: str, *, private: bool = False, tls: ssl.SSLContext | None = None) -> AsyncIterator[Line]:
    line = Line(url, timeout_s=2, private=private, tls=tls or httpx2.create_ssl_context())
    try:
        yield line
    finally:
        await line.close()


async def post(url: str, **given: Any) -> Answer:
    async with line(url, **given) as to:
        return await to.post({"webhook-id": "evt_1"}, BODY)


def leads_to(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """The system's resolver, with these answers in turn; the names it was asked for."""
    asked: list[str] = []
    left = list(answers)

    async def getaddrinfo(_: Any, host: str, port: int, **__: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in left.pop(0)]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "0x7f000001", "2130706433", "[::1]", "0"])
async def test_nothing_is_sent_to_this_machine_however_it_is_called(host: str) -> None:
    async with receiving() as receiver:
        answer = await post(f"http://{host}:{receiver.port}/")
        assert (answer.status, answer.text) == (0, REFUSED)
        assert receiver.connections == 0


async def test_without_the_look_at_the_address_it_would_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "is_public", lambda address: True)
    async with receiving() as receiver:
        assert (await post(f"http://localhost:{receiver.port}/")).accepted
        assert receiver.connections == 1


async def test_a_name_that_changes_its_mind_is_refused_when_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as receiver:
        leads_to(monkeypatch, ["93.184.216.34"], ["127.0.0.1"], ["93.184.216.34", "127.0.0.1"])
        monkeypatch.setattr(sending, "ADDRESSES_KEPT_S", 0.0)
        connected: list[str] = []
        real = connect

        async def noted(address: str, port: int, **given: Any) -> Connection:
            connected.append(address)
            if address != "127.0.0.1":
                raise ConnectionRefusedError("nobody there")
            return await real(address, port, **given)

        monkeypatch.setattr(sending, "connect", noted)
        async with line(f"http://rebinding.example.com:{receiver.port}/") as to:
            texts = [(await to.post({}, BODY)).text for _ in range(3)]
        assert texts == ["ConnectionRefusedError: nobody there", REFUSED, REFUSED]
        assert connected == ["93.184.216.34"]
        assert receiver.connections == 0


async def test_a_connection_is_made_to_the_address_that_was_checked_and_never_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with receiving() as receiver:
        asked = leads_to(monkeypatch, ["127.0.0.1"])
        answer = await post(f"http://hooks.example.com:{receiver.port}/a?b=c", private=True)
        assert answer.accepted
        assert asked == ["hooks.example.com"], "resolved once: whoever connects does not look again"
        (got,) = receiver.got
        assert got.headers["host"] == f"hooks.example.com:{receiver.port}"
        assert got.headers[":line"] == "POST /a?b=c HTTP/1.1"


async def test_another_address_is_tried_after_one_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as receiver:
        leads_to(monkeypatch, ["127.0.0.2", "127.0.0.1"])
        receiver_only_on_one = f"http://hooks.example.com:{receiver.port}/"
        async with line(receiver_only_on_one, private=True) as to:
            assert [(await to.post({}, BODY)).status for _ in range(3)] == [0, 200, 200]


async def test_neither_a_proxy_of_the_machine_nor_a_cookie_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def tracking(got: Got) -> Any:
        return 200, b"", {"set-cookie": "who=you; path=/"}

    async with receiving(tracking) as receiver, receiving() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        async with line(receiver.url, private=True) as to:
            for _ in range(2):
                assert (await to.post({}, BODY)).accepted
        assert proxy.connections == 0
        assert not any("cookie" in got.headers for got in receiver.got)
        assert receiver.connections == 1, "connections are kept"


async def test_no_failure_is_raised_and_none_tells_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    async def rubbish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH\r\n")
        writer.close()

    server = await asyncio.start_server(rubbish, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        for url in (f"http://127.0.0.1:{port}/s3cret", f"https://127.0.0.1:{port}/s3cret", "http://127.0.0.1:1/s3cret"):
            answer = await post(url, private=True)
            assert answer.status == 0
            assert answer.text
            assert "s3cret" not in answer.text
    finally:
        server.close()
    leads_to(monkeypatch)
    monkeypatch.undo()
    assert (await post("http://no-such-name.invalid/", private=True)).status == 0


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return tmp_path / "key.pem"


@pytest.fixture
def certificate(tmp_path: Path, key: Path) -> Path:
    """A certificate of hooks.example.com, made for this test."""
    certificate = tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
         "-keyout", key, "-out", certificate, "-subj", "/CN=x", "-addext", "subjectAltName=DNS:hooks.example.com"],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
async def test_tls_is_checked_against_the_name_and_not_against_the_address(
    monkeypatch: pytest.MonkeyPatch, certificate: Path, key: Path
) -> None:
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(certificate, key)
    ours = ssl.create_default_context(cafile=str(certificate))
    receiver = Receiver()
    server = await asyncio.start_server(receiver._serve, "127.0.0.1", 0, ssl=theirs)
    port = server.sockets[0].getsockname()[1]
    leads_to(monkeypatch, ["127.0.0.1"], ["127.0.0.1"])
    try:
        assert (await post(f"https://hooks.example.com:{port}/", private=True, tls=ours)).accepted
        other = await post(f"https://other.example.com:{port}/", private=True, tls=ours)
        assert other.status == 0
        assert "CERTIFICATE_VERIFY_FAILED" in other.text
        assert len(receiver.got) == 1
    finally:
        server.close()
