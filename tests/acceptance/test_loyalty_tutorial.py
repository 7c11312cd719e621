"""Blnk's loyalty tutorial from three official SDKs, unmodified but for address and key: 500 points, then 10."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import HERE, Server

AWARDED_500 = {
    "main": 82_000,
    "points": 300,
    "redemption": "APPLIED",
    "pool_debit": 500,
    "pool_credit": 200,
    "pool_balance": -300,
    "revenue": 18_000,
}
AWARDED_10 = {
    "main": 82_000,
    "points": 10,
    "redemption": "REJECTED",
    "pool_debit": 10,
    "pool_credit": 0,
    "pool_balance": -10,
    "revenue": 18_000,
}


def figures(command: list[str], server: Server, folder: Path = HERE) -> dict[str, dict[str, int | str]]:
    """The end figures that a tutorial prints; it fails when a call is not answered as it expects."""
    done = subprocess.run(command, cwd=folder, env=server.environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, int | str]] = json.loads(done.stdout)
    return found


def test_from_the_python_sdk(server: Server) -> None:
    pytest.importorskip("blnk_sdk")
    assert figures([sys.executable, "python/loyalty.py"], server) == {"500": AWARDED_500, "10": AWARDED_10}


def test_from_the_typescript_sdk(server: Server, node: list[str], typescript: Path) -> None:
    assert figures([*node, "loyalty.mjs"], server, typescript) == {"500": AWARDED_500, "10": AWARDED_10}


def test_from_the_go_sdk(server: Server, go: Path) -> None:
    assert figures([str(go)], server) == {"500": AWARDED_500, "10": AWARDED_10}
