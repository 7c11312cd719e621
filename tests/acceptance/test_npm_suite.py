"""The integration suite inside the official npm package passes against Guerdon standing where Blnk would stand."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from tests.conftest import Database

from . import npm_suite
from .conftest import serving


@pytest.mark.timeout(300)
def test_every_subtest_of_the_official_suite_passes(
    database: Database, node: list[str], typescript: Path, tmp_path: Path
) -> None:
    await_free(npm_suite.PORT, 60)
    with serving(database, npm_suite.PORT, "/", tmp_path) as server:
        found = npm_suite.run(node, typescript, server.key)
    print(npm_suite.table(found))
    assert [result.name for result in found] == list(npm_suite.NEEDS)
    failed = {result.name: result.output for result in found if not result.passed}
    assert set(failed) == set(npm_suite.EXPECTED_TO_FAIL), "\n".join(failed.values())


def await_free(port: int, at_most_s: float) -> None:
    """Wait for another run of this test to leave the port."""
    until = time.monotonic() + at_most_s
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return
        time.sleep(0.5)
    pytest.fail(f"port {port}, which the suite insists on, is taken: stop what listens there")
