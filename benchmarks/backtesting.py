"""A backtest of a grocer's real year."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from benchmarks import harness
from benchmarks.bringing_in import NAME, prepare
from benchmarks.harness import Clock, Row
from guerdon.core.backtests import Report
from guerdon.importing.mapping import load_mapping, resolve_file
from guerdon.store.embedded import OWNER_ROLE

BAR_S = 180.0
DRAFTS = {
    "ten percent above 50.00, three times each, within a budget": {
        "name": "Ten percent above 50",
        "condition": {"type": "cart", "kpi": "subtotal", "operator": "more_than", "value": 5000},
        "effects": [{"type": "percent", "ppm": 100000}],
        "limits": [{"code": "each", "kpi": "purchases", "limit": 3, "per": "customer"}],
        "budget": {"code": "spring", "limit": 1_000_000, "on_exceed": "partial"},
    },
}


def year() -> list[Row]:
    """The whole year, imported first, by the command a user would type."""
    try:
        resolve_file(NAME, load_mapping(NAME))
    except Exception as problem:  # noqa: BLE001  # the data extra need not be installed
        harness.say(f"backtest: skipped, {problem}")
        return []
    with harness.fresh_database("backtest") as database, tempfile.TemporaryDirectory() as place:
        harness.run(prepare(database))
        environment = {
            **os.environ,
            "GUERDON_DATABASE_URL": database.dsn(),
            "GUERDON_DATABASE_OWNER_URL": database.dsn(OWNER_ROLE),
        }

        def guerdon(*words: str) -> str:
            return subprocess.run(
                [sys.executable, "-m", "guerdon", *words, "--organisation", "grocer"],
                env=environment, cwd=harness.ROOT, check=True, stdout=subprocess.PIPE, text=True,
            ).stdout  # fmt: skip

        guerdon("import", "purchases", NAME, "--create-missing", "--results", str(Path(place) / "results.csv"))
        return [_row(name, terms, guerdon, Path(place)) for name, terms in DRAFTS.items()]


def _row(name: str, terms: object, guerdon: Callable[..., str], place: Path) -> Row:
    draft = place / "draft.json"
    draft.write_bytes(msgspec.json.encode(terms))
    clock = Clock()
    shown = guerdon("backtest", str(draft), "--from", "2017-01-01", "--until", "2018-01-02", "--json")
    seconds = clock.seconds
    report = msgspec.json.decode(shown, type=Report)
    assert report.seen.purchases > 150_000, "the whole year"
    return Row(
        figure="backtest of a real year",
        value=f"{seconds:.0f} s ({report.seen.purchases / seconds:,.0f} purchases/s)",
        bar=f"< {BAR_S:g} s",
        met=seconds < BAR_S,
        conditions=f"the Complete Journey year: {report.seen.purchases:,} purchases; {name}: would have been given on "
        f"{report.gives.purchases:,}, {report.gives.discount / 100:,.2f} off; from the command's start to its end",
        numbers={"seconds": seconds, "purchases": report.seen.purchases, "reached": report.gives.purchases},
    )
