"""Runs the integration suite compiled inside the npm package, as it is, and tells each subtest's fate as a table.

The suite speaks to http://localhost:5001/ and nowhere else; its key comes from BLNK_API_KEY. By hand, against a server
started with `guerdon serve --port 5001 --blnk-path /`:

    BLNK_API_KEY=<key> python -m tests.acceptance.npm_suite
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PORT = 5001
SUITE = "node_modules/@blnkfinance/blnk-typescript/dist/tests/integration/sdk-issues.integration.test.js"

NEEDS = {
    "#39 System.health returns UP": "health",
    "#40 skip_queue + effective_date": "skip_queue, effective dates",
    "#40 inflight_commit_date + scheduled_for": "holds, commit and expiry dates, schedules",
    "#40 Transactions.createBulk serializes date fields": "bulk, schedules",
    "#41 decimal distribution (240.23) + ISO dates": "splits over destinations",
    "#42 multiple sources → single destination": "splits over sources",
    "#42 single source → multiple destinations": "splits over destinations",
    "#42 precise_distribution legs": "splits in minor units that leave a rest",
    "#42 precise_amount-only create": "amounts in minor units",
    "#42 Transactions.updateStatus commit": "holds, queued commit",
    "#43 create response includes hash, parent_transaction, inflight": "the shape of a transaction",
    "#43 decimal percentage split (33.33% / 66.67%)": "splits by percentage",
    "#43 mixed decimal % + precise_distribution + left": "splits of mixed shares",
    "#44 createBulk skip_queue + BulkTransactionResponse shape": "bulk without the queue",
    "#45 partial commit with precise_amount": "partial commit",
    "#117 updateStatus queued by default": "queued commit",
    "#117 updateStatus skip_queue synchronous commit": "commit at once",
    "#117 bulkCommitInflight queued vs skip_queue": "bulk commit",
    "#117 bulkVoidInflight queued vs skip_queue": "bulk void",
    "#12 get returns created transaction": "look-up by id",
    "#14 getByReference returns created transaction": "look-up by reference",
    "#46 refund queued vs synchronous skip_queue": "refunds",
}
"""The 22 subtests by name, and what of Guerdon each needs."""

EXPECTED_TO_FAIL: dict[str, str] = {}
"""Subtests that wait for a feature, by name: none."""


@dataclass(frozen=True, slots=True)
class Result:
    name: str
    passed: bool
    output: str


def run(node: list[str], folder: Path, key: str) -> list[Result]:
    """Every subtest in order, and the suite as a whole last where that failed although every subtest passed."""
    command = [*node, SUITE]
    environment = {**os.environ, "BLNK_API_KEY": key}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=110)
    found = results(done.stdout)
    if done.returncode and all(result.passed for result in found):
        found.append(Result("the suite as a whole", False, done.stdout + done.stderr))
    return found


_VERDICT = re.compile(r"^    (?P<fate>ok|not ok) \d+ - (?P<name>.*?)(?: # time=.*)?$")


def results(tap: str) -> list[Result]:
    """The subtests of one TAP document: what stands one level in, with the lines that led to each verdict."""
    found: list[Result] = []
    lines: list[str] = []
    for line in tap.splitlines():
        verdict = _VERDICT.match(line)
        if verdict is None:
            lines.append(line)
        else:
            name = verdict["name"].removesuffix(" {").replace("\\#", "#")
            found.append(Result(name, verdict["fate"] == "ok", "\n".join(lines)))
            lines = []
    return found


def table(found: list[Result]) -> str:
    """The results as a table for people."""
    width = max(len(name) for name in NEEDS)
    rows = [f"{'subtest':{width}}  result  needs"]
    for result in found:
        fate = "pass" if result.passed else "FAIL"
        rows.append(f"{result.name:{width}}  {fate:6}  {NEEDS.get(result.name, 'unknown')}")
    rows.append(f"{sum(result.passed for result in found)} of {len(found)} pass")
    return "\n".join(rows)


def main() -> None:
    found = run(["node"], Path(__file__).parent / "typescript", os.environ.get("BLNK_API_KEY", ""))
    print(table(found))
    sys.exit(not all(result.passed for result in found) or len(found) != len(NEEDS))


if __name__ == "__main__":
    main()
