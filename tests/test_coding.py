"""`guerdon codes`, run as a person runs it."""

from __future__ import annotations

import csv
import re
import subprocess
from pathlib import Path

from guerdon.audit.verify import audit
from guerdon.core import commands as c
from guerdon.core.promotions.effects import Percent
from guerdon.core.promotions.terms import Promotion
from tests.audit.books import books
from tests.conftest import Database
from tests.test_cli import guerdon


async def test_codes_are_made_brought_in_taken_out_printed_and_looked_at(database: Database, tmp_path: Path) -> None:
    async with books(database.app_dsn, "default") as b:
        await b.set_up()
        terms = Promotion(id="", name="Ten off", kind="code", effects=(Percent(ppm=100_000),))
        promotion = f"prm_{(await b.ok(c.CreatePromotion, terms=terms)).terms.id}"

    def codes(*words: str) -> subprocess.CompletedProcess[str]:
        return guerdon("codes", *words, folder=tmp_path, database=database, GUERDON_UNSAFE="true")

    made = codes("generate", promotion, "--count", "5000", "--pattern", "####-####", "--check", "--partner", "Bakery")
    assert made.returncode == 0, made.stderr
    batch = made.stdout.strip()
    assert codes("generate", batch, "--count", "10").stdout.strip() == batch
    assert codes("export", batch, "out.csv").stdout == "5010 codes; see out.csv\n"
    rows = list(csv.DictReader((tmp_path / "out.csv").open()))
    assert len({row["code"] for row in rows}) == 5_010
    assert all(re.fullmatch(r"....-....", row["printed"]) for row in rows)

    (tmp_path / "in.csv").write_text(f"row,code\n1,zn34-c\n2,ZN34C\n3,!\n4,{rows[0]['printed']}\n")
    brought = codes("upload", promotion, "in.csv", "--name", "Paper")
    assert brought.returncode == 1
    assert brought.stdout.endswith("1 added, 3 not\n")
    assert [line.rpartition(": ")[2] for line in brought.stderr.splitlines()[-3:]] == [
        "twice in this file", "invalid", "taken by another batch",
    ]  # fmt: skip
    again = codes("upload", brought.stdout.split()[0], "in.csv")
    assert again.stdout.endswith("0 added, 4 not\n")

    shown = codes("show", "Zn 34c").stdout
    assert shown.startswith("ZN34C  in force, used 0 times\n")
    assert "Ten off" in shown
    assert "Paper" in shown
    printed = codes(
        "sheet", batch, "sheet.pdf", "--count", "30", "--first", "4990", "--link", "https://x.example/{code}"
    )
    assert printed.stdout == "21 codes; see sheet.pdf\n", printed.stderr
    assert (tmp_path / "sheet.pdf").read_bytes().startswith(b"%PDF-")

    for words, said in (
        (("show", "NOSUCH"), "there is no code NOSUCH"),
        (("generate", promotion, "--count", "1000", "--pattern", "#"), "invalid value"),
        (("generate", "prm_x", "--count", "1"), "is no promotion's id"),
        (("export", batch.replace("cbt_0", "cbt_1"), "x.csv"), "there is no batch"),
        (("sheet", batch, "x.pdf", "--link", "https://x.example"), "the link has no {code}"),
    ):
        refused = codes(*words)
        assert refused.returncode == 1
        assert said in refused.stderr
        assert "Traceback" not in refused.stderr
    assert audit(database.app_dsn, tell=lambda _: None).findings == []
