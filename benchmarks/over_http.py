"""The same over HTTP: a real server process, a client process, and both on this machine."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks import harness
from benchmarks.harness import Database, Row, median, percentile, spread
from guerdon.store.embedded import OWNER_ROLE

ADMIN_KEY = "gd_admin_for_benchmarks_only"
CONNECTIONS = 64
MEMBERS = 2000
SECONDS = 6.0


@dataclass
class Server:
    """A `guerdon serve` process, and how to speak to it."""

    url: str
    process: subprocess.Popen[str]
    key: str = ADMIN_KEY

    def post(self, path: str, body: Any) -> Any:
        """The answer; anything but success ends the measurement."""
        at = urlsplit(self.url)
        connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=60)
        headers = {"authorization": f"Bearer {self.key}", "content-type": "application/json", "x-blnk-key": self.key}
        if self.key == ADMIN_KEY:
            headers["guerdon-organisation"] = "default"
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        if answer.status >= 300:
            raise RuntimeError(f"{path}: {answer.status} {text}")
        return json.loads(text)

    def resident_bytes(self) -> int:
        """What the process itself holds in memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) * 1024


@contextmanager
def serving(database: Database, **more: str) -> Iterator[Server]:
    """A server process on the database, on a port of its own."""
    environment = {
        **os.environ,
        "GUERDON_DATABASE_URL": database.dsn(),
        "GUERDON_DATABASE_OWNER_URL": database.dsn(OWNER_ROLE),
        "GUERDON_DATA_DIR": str(harness.DATA_DIR / "server"),
        "GUERDON_ADMIN_KEY": ADMIN_KEY,
        **more,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "guerdon", "serve", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=harness.ROOT,
    )
    try:
        yield Server(_url(process), process)
    finally:
        process.terminate()
        process.wait(60)


def _url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        word = next((word for word in line.replace(",", " ").split() if word.startswith("http://")), None)
        if word:
            return word
    raise RuntimeError("the server did not start")


def load(server: Server, kind: str, items: list[str], **more: Any) -> subprocess.Popen[str]:
    """Start a client process; `answers` waits for it."""
    at = urlsplit(server.url)
    asked = {
        "host": at.hostname,
        "port": at.port,
        "key": server.key,
        "kind": kind,
        "items": items,
        "connections": CONNECTIONS,
        "seconds": SECONDS,
        **more,
    }
    client = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.client"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=harness.ROOT,
    )
    assert client.stdin is not None
    client.stdin.write(json.dumps(asked))
    client.stdin.close()
    return client


def answers(client: subprocess.Popen[str]) -> dict[str, Any]:
    assert client.stdout is not None
    found: dict[str, Any] = json.loads(client.stdout.read())
    client.wait()
    if set(found["statuses"]) - {"200", "201"}:
        raise RuntimeError(f"the server refused: {found['statuses']} {found['first_error']}")
    return found


def prepare(server: Server, members: int = MEMBERS, rules: Sequence[dict[str, Any]] = ()) -> list[str]:
    """A program and members in the default organisation, a key of its own; the members' ids."""
    server.post("/v1/assets", {"code": "POINTS", "scale": 0})
    server.post("/v1/assets", {"code": "USD", "scale": 2})
    program = {"code": "club", "name": "Club", "asset": "POINTS", "currency": "USD", "earning_rules": list(rules)}
    server.post("/v1/programs", program)
    ids = [server.post("/v1/members", {"external_id": f"C-{number}"})["id"] for number in range(members)]
    server.key = server.post("/v1/keys", {"name": "bench", "scopes": ["*:*"]})["key"]
    return ids


# -- one award each ---------------------------------------------------------------------------------------------------


def singles() -> list[Row]:
    """64 connections, one award a request, one server process."""
    with harness.fresh_database("http") as database, serving(database) as server:
        members = prepare(server)
        database.analyse()
        answers(load(server, "award", members, seconds=2.0))
        runs = []
        for number in range(3):
            runs.append(harness.undisturbed(lambda: answers(load(server, "award", members))))
            harness.say(f"http-single {number + 1}/3: {rate(runs[-1]):,.0f}/s")
    return [_singles_row(runs)]


def rate(run: dict[str, Any]) -> float:
    return len(run["took"]) / float(run["seconds"])


def _singles_row(runs: list[dict[str, Any]]) -> Row:
    rates = [rate(run) for run in runs]
    took = [seconds for run in runs for seconds in run["took"]]
    p50, p99 = percentile(took, 0.5) * 1000, percentile(took, 0.99) * 1000
    return Row(
        figure="HTTP, one award a request, one server process",
        value=f"{median(rates):,.0f}/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms",
        bar=">= 3,000/s, p99 < 60 ms",
        met=median(rates) >= 3000 and p99 < 60,
        conditions=f"{CONNECTIONS} keep-alive connections, {MEMBERS:,} members, one hot pool account; the client is "
        f"another process on the same cores; median of 3 runs of {SECONDS:.0f} s ({spread(rates)})",
        numbers={"per_s": median(rates), "p50_ms": p50, "p99_ms": p99},
    )


# -- a thousand at once -----------------------------------------------------------------------------------------------

BULK = 1000


def bulk() -> list[Row]:
    """Bulk requests of 1,000 transfers through the ledger API."""
    with harness.fresh_database("http-bulk") as database, serving(database) as server:
        prepare(server, 1)
        ledger = server.post("/blnk/ledgers", {"name": "bench"})["ledger_id"]
        accounts = [
            server.post("/blnk/balances", {"ledger_id": ledger, "currency": "POINTS"})["balance_id"]
            for _ in range(MEMBERS)
        ]
        answers(load(server, "bulk", accounts, seconds=2.0, connections=2, size=BULK))
        database.analyse()
        rates = []
        took: list[float] = []
        for number in range(3):
            run = harness.undisturbed(lambda: answers(load(server, "bulk", accounts, connections=4, size=BULK)))
            rates.append(rate(run) * BULK)
            took += run["took"]
            harness.say(f"http-bulk {number + 1}/3: {rates[-1]:,.0f} transfers/s")
    p50, p99 = percentile(took, 0.5) * 1000, percentile(took, 0.99) * 1000
    return [
        Row(
            figure=f"HTTP, atomic bulk requests of {BULK:,} transfers",
            value=f"{median(rates):,.0f} transfers/s, p50 {p50:.0f} ms, p99 {p99:.0f} ms a request",
            bar=">= 10,000 transfers/s",
            met=median(rates) >= 10_000,
            conditions="/blnk/transactions/bulk, 4 connections, one hot account, 2,000 others; client on the same "
            f"cores; median of 3 runs of {SECONDS:.0f} s ({spread(rates)})",
            numbers={"per_s": median(rates), "p50_ms": p50, "p99_ms": p99},
        )
    ]


# -- two servers ------------------------------------------------------------------------------------------------------


def two_servers() -> list[Row]:
    """Two server processes write for one organisation; what was answered must be what is stored."""
    with ExitStack() as stack:
        database = stack.enter_context(harness.fresh_database("two-servers"))
        first = stack.enter_context(serving(database))
        members = prepare(first)
        second = stack.enter_context(serving(database))
        second.key = first.key
        database.analyse()
        clients = [load(server, "award", members, connections=32) for server in (first, second)]
        runs = [answers(client) for client in clients]
        answered = sum(len(run["took"]) for run in runs)
        stored, points, gaps = _stored(database)
    holds = answered == stored == points and gaps == 0
    took = [seconds for run in runs for seconds in run["took"]]
    per_s = sum(rate(run) for run in runs)
    return [
        Row(
            figure="two servers on one organisation",
            value=f"{per_s:,.0f}/s together, p99 {percentile(took, 0.99) * 1000:.0f} ms; {answered:,} answered, "
            f"{stored:,} stored, {points:,} points, {gaps} gaps in versions",
            bar="the sum holds",
            met=holds,
            conditions=f"two server processes and two clients of 32 connections, one hot pool account, {SECONDS:.0f} s",
            numbers={"per_s": per_s, "answered": answered, "stored": stored, "points": points, "gaps": gaps},
        )
    ]


def _stored(database: Database) -> tuple[int, int, int]:
    """Awards stored, points that members hold, and accounts whose versions have gaps."""
    with database.as_superuser() as connection:
        row = connection.execute(
            """
            select (select count(*) from events where name = 'GoodwillAward'),
                   (select sum(f.credit - f.debit) from figures f
                    join accounts a on a.org_id = f.org_id and a.no = f.account_no where a.tracks_lots),
                   (select count(*) from (
                        select account_no from (
                            select source as account_no, source_version as version from transfers
                            union all select destination, destination_version from transfers) x
                        group by account_no having max(version) <> count(*)) y)
            """
        ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1]), int(row[2])


# -- memory -----------------------------------------------------------------------------------------------------------

LOAD_S = 600.0


def memory() -> list[Row]:
    """The server's memory when it has just started, and how it grows in ten minutes of load."""
    with harness.fresh_database("memory") as database, serving(database) as server:
        time.sleep(2)
        at_rest = server.resident_bytes()
        members = prepare(server)
        answers(load(server, "award", members, seconds=60.0))
        warm = server.resident_bytes()
        harness.say(f"memory: {at_rest / 1e6:.0f} MB at rest, {warm / 1e6:.0f} MB after a minute; now ten minutes")
        run = answers(load(server, "award", members, seconds=LOAD_S))
        after = server.resident_bytes()
    growth = after / warm - 1
    return [
        Row(
            figure="memory of the server",
            value=f"{at_rest / 1e6:.0f} MB at rest, {warm / 1e6:.0f} MB after a minute of load, {growth:+.1%} in the "
            f"next {LOAD_S / 60:.0f} minutes",
            bar="< 200 MB at rest, grows < 5 %",
            met=at_rest < 200e6 and growth < 0.05,
            conditions=f"resident size of the server process; {CONNECTIONS} connections, {len(run['took']):,} awards "
            f"at {rate(run):,.0f}/s",
            numbers={"rest_bytes": at_rest, "warm_bytes": warm, "growth": growth},
        )
    ]
