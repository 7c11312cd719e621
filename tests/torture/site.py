"""A whole installation that can be hurt: `guerdon serve` as its own process on an embedded PostgreSQL of its own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from guerdon.store.embedded import APP_ROLE, OWNER_ROLE, SUPERUSER, Embedded

KEY = "torture-platform-key-0123456789"
START_S = 60


@dataclass
class Answer:
    """What a request got: a status, the body, and whether the server said it had answered this before."""

    status: int
    body: Any
    replayed: bool


@dataclass
class Site:
    """One database and the servers on it. `pids` are the server processes that run now."""

    database: Embedded
    data_dir: Path
    ports: list[int]
    processes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    ready_s: list[float] = field(default_factory=list)

    def start(self, port: int) -> None:
        """Start the server on a port and wait until it answers."""
        began = time.monotonic()
        environment = {
            **os.environ,
            "GUERDON_DATABASE_URL": self.database.dsn(APP_ROLE),
            "GUERDON_DATABASE_OWNER_URL": self.database.dsn(OWNER_ROLE),
            "GUERDON_DATA_DIR": str(self.data_dir / "server"),
            "GUERDON_ADMIN_KEY": KEY,
            "GUERDON_LOG_LEVEL": "warning",
        }
        with (self.data_dir / f"server-{port}.log").open("ab") as log:
            self.processes[port] = subprocess.Popen(
                [sys.executable, "-m", "guerdon", "serve", "--port", str(port)],
                env=environment,
                stdout=log,
                stderr=log,
            )
        while not self._healthy(port):
            if time.monotonic() - began > START_S:
                raise RuntimeError((self.data_dir / f"server-{port}.log").read_text()[-2000:])
            time.sleep(0.02)
        self.ready_s.append(time.monotonic() - began)

    def kill(self, port: int) -> None:
        """kill -9, as the kernel would when memory runs out."""
        process = self.processes[port]
        process.send_signal(signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(START_S)

    def _healthy(self, port: int) -> bool:
        try:
            return self.call("GET", "/health", port=port).status == 200
        except OSError:
            return False

    def call(
        self, method: str, path: str, body: Any = None, *, key: str = "", port: int = 0, timeout: float = 10
    ) -> Answer:
        """One request on a connection of its own. Raises OSError when there is no whole answer."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.ports[0], timeout=timeout)
        headers = {
            "Authorization": f"Bearer {KEY}",
            "Guerdon-Organisation": "default",
            "Content-Type": "application/json",
        }
        if key:
            headers["Idempotency-Key"] = key
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
            text = response.read()
        except http.client.HTTPException as problem:
            raise ConnectionError(str(problem)) from problem
        finally:
            connection.close()
        parsed = json.loads(text) if text.startswith((b"{", b"[", b'"')) else text.decode()
        if isinstance(parsed, dict):
            parsed.pop("request_id", None)  # every request has its own, the answer to it is the same
        return Answer(response.status, parsed, response.headers.get("Idempotency-Replayed") == "true")

    def ok(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.call(method, path, body)
        assert answer.status < 300, answer
        return answer.body

    def rows(self, query: str) -> list[Any]:
        with psycopg.connect(self.database.dsn(SUPERUSER), autocommit=True) as connection:
            return connection.execute(query).fetchall()

    def verify(self) -> None:
        """`guerdon verify` must find nothing wrong."""
        environment = {
            **os.environ,
            "GUERDON_DATABASE_URL": self.database.dsn(APP_ROLE),
            "GUERDON_DATABASE_OWNER_URL": self.database.dsn(OWNER_ROLE),
            "GUERDON_DATA_DIR": str(self.data_dir / "server"),
        }
        done = subprocess.run(
            [sys.executable, "-m", "guerdon", "verify"], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def furnish(self, members: int) -> None:
        """A program, and members with something to spend."""
        self.ok("POST", "/v1/assets", {"code": "USD", "scale": 2})
        self.ok("POST", "/v1/assets", {"code": "POINTS", "scale": 0})
        self.ok(
            "POST",
            "/v1/programs",
            {
                "code": "club",
                "name": "Club",
                "asset": "POINTS",
                "currency": "USD",
                "earning_rules": [{"kind": "per_amount", "code": "base", "points": "1", "amount_minor": 100}],
                "redemption_rate": {"points": "10", "money_minor": 100},
            },
        )
        for number in range(members):
            self.ok("POST", "/v1/members", {"external_id": f"M-{number}"})


@contextmanager
def installed(data_dir: Path, servers: int = 1) -> Iterator[Site]:
    """A site with fsync on, so that what is acknowledged is on the disk."""
    (data_dir / "server").mkdir(parents=True, exist_ok=True)
    with Embedded.start(data_dir / "database") as database:
        site = Site(database, data_dir, [_free_port() for _ in range(servers)])
        try:
            for port in site.ports:
                site.start(port)
            yield site
        finally:
            site.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
