"""`guerdon backtest`, run as a person runs it."""

from __future__ import annotations

import csv
import json
from datetime import timedelta
from pathlib import Path

from tests.audit.books import START, books
from tests.conftest import Database
from tests.test_cli import guerdon

DRAFT = {
    "name": "Ten percent above 20",
    "condition": {"type": "cart", "kpi": "subtotal", "operator": "at_least", "value": 2000},
    "effects": [{"type": "percent", "ppm": 100000}],
    "budget": {"code": "spring", "limit": 500, "on_exceed": "partial"},
}
PERIOD = ("--from", f"{START:%Y-%m-%d}", "--until", f"{START + timedelta(days=9):%Y-%m-%d}")


async def test_a_draft_from_a_file_is_reported_as_a_page_rows_and_json(database: Database, tmp_path: Path) -> None:
    async with books(database.app_dsn, "default") as b:
        await b.set_up()
        ada = await b.member("ada")
        for number, cents in enumerate((2_000, 1_999, 4_000), 1):
            await b.buy(f"B-{number}", ada, cents)
            b.later(days=1)
    draft = tmp_path / "draft.json"
    draft.write_text(json.dumps(DRAFT))
    shown = guerdon(
        "backtest", str(draft), *PERIOD, "--rows", "rows.csv", folder=tmp_path, database=database, GUERDON_UNSAFE="true"
    )
    assert shown.returncode == 0, shown.stderr
    assert "| it gives | 2 | 1 | 2 | 60.00 | 5.00 |" in shown.stdout
    assert "| condition not met | 1 |" in shown.stdout
    assert "Budget spring: 5.00 of 5.00 used, used up 2027-01-03" in shown.stdout
    rows = list(csv.DictReader((tmp_path / "rows.csv").open()))
    assert [(row["number"], row["discount_minor"]) for row in rows] == [("B-1", "200"), ("B-3", "300")]
    told = guerdon("backtest", str(draft), *PERIOD, "--json", folder=tmp_path, database=database, GUERDON_UNSAFE="true")
    assert json.loads(told.stdout)["gives"]["discount"] == 500

    (tmp_path / "wrong.json").write_text(json.dumps({**DRAFT, "effects": []}))
    for arguments, said in (
        (("wrong.json", *PERIOD), "effects: empty"),
        (("draft.json", "--from", "2026-01-01", "--until", "2026-01-01"), "is not after"),
        (("draft.json", "--from", "yesterday", "--until", "2026-01-01"), "yesterday is no day"),
        (("nothing.json", *PERIOD), "nothing.json"),
        ((*PERIOD,), "name either"),
    ):
        refused = guerdon("backtest", *arguments, folder=tmp_path, database=database, GUERDON_UNSAFE="true")
        assert refused.returncode == 1
        assert said in refused.stderr
        assert "Traceback" not in refused.stderr
