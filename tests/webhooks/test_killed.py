"""R26: a server that is killed between commit and send, or while it sends, loses no message and no order."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from tests.conftest import Database
from tests.webhooks.receiver import Got, receiving

KEY = "platform-key-for-tests-0123456789"
MEMBERS = 50


class Process:
    """`guerdon serve` as a process of its own, which can be killed and started again."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._environment = {
            **os.environ,
            "GUERDON_DATABASE_URL": database.app_dsn,
            "GUERDON_DATABASE_OWNER_URL": database.owner_dsn,
            "GUERDON_DATA_DIR": str(folder),
            "GUERDON_ADMIN_KEY": KEY,
            "GUERDON_KEY_PEPPER": "pepper-for-tests-0123456789",
            "GUERDON_UNSAFE": "true",  # the tests' database has fsync off
            "GUERDON_WEBHOOK_PRIVATE": "true",
            "GUERDON_WEBHOOK_TIMEOUT_S": "0.5",  # and so a lease of nine seconds
            "GUERDON_LOG_LEVEL": "warning",
        }
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._log = folder / "server.log"
        headers = {"authorization": f"Bearer {KEY}", "guerdon-organisation": "default"}
        self.client = httpx2.AsyncClient(base_url=f"http://127.0.0.1:{self._port}", headers=headers, timeout=60)
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "guerdon", "serve", "--port", str(self._port)]
            self._process = await asyncio.to_thread(
                subprocess.Popen, command, env=self._environment, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                if (await self.client.get("/health")).status_code == 200:
                    return
            except httpx2.TransportError:
                assert time.monotonic() < deadline, self._log.read_text()[-2000:]
                await asyncio.sleep(0.05)

    def kill(self) -> None:
        """kill -9: nothing more is answered, saved or sent."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    async def post(self, path: str, body: Any, key: str | None = None) -> Any:
        headers = {} if key is None else {"idempotency-key": key}
        answer = await self.client.post(path, json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        return answer.json()


@contextmanager
def server(database: Database, folder: Path) -> Iterator[Process]:
    process = Process(database, folder)
    try:
        yield process
    finally:
        if process._process is not None:
            process._process.kill()
            process._process.wait()


async def survives(database: Database, folder: Path, *, events: int, kills: int, seconds: float) -> None:
    """Award points in bulk; kill the server right after an answer, and then again and again while it sends."""
    kill_at = {events * (number + 1) // (kills + 1) for number in range(kills)}
    killed = asyncio.Event()
    with server(database, folder) as process:

        async def behave(got: Got) -> int:
            if len(receiver.taken) in kill_at and not killed.is_set():
                kill_at.discard(len(receiver.taken))
                process.kill()
                killed.set()
            return 200

        async with receiving(behave) as receiver:
            await process.start()
            await process.post("/v1/assets", {"code": "POINTS", "scale": 0})
            await process.post("/v1/assets", {"code": "USD", "scale": 2})
            club = {"code": "club", "name": "Club", "asset": "POINTS", "currency": "USD"}
            await process.post("/v1/programs", club)
            for number in range(MEMBERS):
                await process.post("/v1/members", {"external_id": f"m{number}"})
            await process.post("/v1/webhooks", {"url": receiver.url, "events": ["points.allocated"]})
            for start in range(0, events, 500):
                rows = [
                    {"member": f"external_id:m{n % MEMBERS}", "points": "1", "reason": "x"}
                    for n in range(start, min(events, start + 500))
                ]
                answered = False
                while not answered:
                    with suppress(httpx2.TransportError):  # killed before the answer: asked again under the same key
                        await process.post("/v1/bulk-awards", {"rows": rows}, key=f"rows {start}")
                        answered = True
                    if start == 0 and answered:
                        process.kill()  # between commit and send
                        await process.start()
                    if killed.is_set():
                        await process.start()
                        killed.clear()
            with psycopg.connect(database.superuser_dsn, autocommit=True) as connection:
                query = "select 'mem_' || m.id, e.seq from events e join members m on m.no = e.member_no"
                found = connection.execute(f"{query} where name = 'BulkAllocatePoints' order by e.seq").fetchall()
            assert len(found) == events
            deadline = time.monotonic() + seconds
            while len({got.id for got in receiver.taken}) < events:
                assert time.monotonic() < deadline, (len({got.id for got in receiver.taken}), events)
                if killed.is_set():
                    await process.start()
                    killed.clear()
                await asyncio.sleep(0.1)
    wanted: dict[str, list[int]] = {}
    for member, seq in found:
        wanted.setdefault(member, []).append(seq)
    got: dict[str, dict[int, None]] = {}
    for one in receiver.taken:
        got.setdefault(str(one.member), {}).setdefault(one.number)
    assert {member: list(numbers) for member, numbers in got.items()} == wanted, "in order of first arrival"
    assert not kill_at
    print(f"{events} events, {kills + 1} kills, {len(receiver.taken) - events} messages came again")


async def test_a_server_killed_between_commit_and_send_and_while_sending_loses_nothing(
    database: Database, tmp_path: Path
) -> None:
    await survives(database, tmp_path, events=3_000, kills=2, seconds=90)


@pytest.mark.torture
async def test_none_of_a_hundred_thousand_events_is_lost(database: Database, tmp_path: Path) -> None:
    await survives(database, tmp_path, events=100_000, kills=10, seconds=1_200)
