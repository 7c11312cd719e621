"""Four more of Blnk's tutorials from the official Python SDK, unmodified but for address and key."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from .conftest import HERE, Server


def test_wallets_escrow_cards_and_billing_end_with_the_right_figures(server: Server) -> None:
    pytest.importorskip("blnk_sdk")
    command = [sys.executable, "python/tutorials.py"]
    done = subprocess.run(command, cwd=HERE, env=server.environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "wallet_management": [[70_000, 0], [20_000, 0]],
        "escrow_payments": [[78_000, 18_000], [22_000, 0]],
        "cards": [[300_000, 0]],
        "ai_billing": [[5_975, 0], [2_290, 0]],
    }
