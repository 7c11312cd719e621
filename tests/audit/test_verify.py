"""`guerdon verify` as its caller sees it: what it says, what it leaves alone, how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from guerdon.audit.report import VerifyRefused
from guerdon.audit.verify import audit, verify
from tests.audit.books import books
from tests.audit.tampering import tampering
from tests.conftest import Database


def said_by(database: Database, **options: Any) -> tuple[bool, list[str]]:
    said: list[str] = []
    return verify(database.app_dsn, tell=said.append, **options), said


def test_books_in_which_everything_happened_hold(full_books: Database) -> None:
    holds, said = said_by(full_books)
    assert holds, said
    assert said[-1].startswith("The books hold: ")


async def test_an_organisation_in_which_nothing_happened_holds(database: Database) -> None:
    async with books(database.app_dsn):
        assert said_by(database)[0]


def test_a_database_without_organisations_holds(database: Database) -> None:
    assert said_by(database) == (True, ["The books hold: 0 rows in 0 organisations."])


async def test_every_organisation_is_looked_at_on_its_own(database: Database) -> None:
    async with books(database.app_dsn, "one") as one, books(database.app_dsn, "two") as two:
        for b in (one, two):
            await b.set_up()
            await b.member("ada")
        with tampering(database.superuser_dsn) as connection:
            connection.execute("update events set reason = 'x' where org_id = %s", [two.org_id])
            connection.commit()
        report = audit(database.app_dsn, tell=lambda _: None)
        assert [book.organisation for book in report.books] == ["one", "two"]
        assert [finding.organisation for finding in report.findings] == ["two"]
        assert said_by(database, organisation="one")[0]
        assert not said_by(database, organisation="two")[0]


def test_an_event_that_hides_a_program_from_the_filters_of_the_points_ledger_is_found(copied_books: Database) -> None:
    with tampering(copied_books.superuser_dsn) as connection:
        connection.execute("update events set entries = entries & 511 where name = 'GoodwillAward'")
        connection.commit()
    problems = {finding.problem for finding in audit(copied_books.app_dsn, tell=lambda _: None).findings}
    assert "its entries do not tell all of its programs" in problems


def test_only_what_is_recent_is_looked_at_when_asked(copied_books: Database) -> None:
    with tampering(copied_books.superuser_dsn) as connection:
        ((seq,),) = connection.execute("select max(seq) from events where name = 'GoodwillAward'").fetchall()
        connection.execute("update events set points = points + 1 where seq = %s", [seq])
        connection.commit()
    assert audit(copied_books.app_dsn, since=seq, tell=lambda _: None).findings == []
    found = audit(copied_books.app_dsn, since=seq - 1, tell=lambda _: None).findings
    assert {(finding.check, finding.row) for finding in found} == {
        ("chain", f"event {seq}"),
        ("events", f"event {seq}"),
    }


def test_it_changes_nothing(copied_books: Database) -> None:
    def rows() -> Any:
        with psycopg.connect(copied_books.superuser_dsn) as connection:
            return connection.execute(
                "select sum(n_tup_ins + n_tup_upd + n_tup_del), sum(n_live_tup) from pg_stat_user_tables"
            ).fetchall()

    before = rows()
    assert said_by(copied_books)[0]
    assert rows() == before


def test_more_findings_than_anybody_reads_are_counted_and_not_listed(copied_books: Database) -> None:
    with tampering(copied_books.superuser_dsn) as connection:
        connection.execute("update transfers set amount = amount + 1")
        connection.commit()
    _, said = said_by(copied_books)
    assert sum(": chain: " in line for line in said) == 21


@pytest.mark.parametrize(
    ("anchor", "why"),
    [("nowhere.jsonl", "neither a head"), ("12:abc", "neither a head"), ("broken.jsonl", "line 2")],
)
def test_what_is_no_anchor_is_refused_with_a_sentence(
    full_books: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, anchor: str, why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.jsonl").write_text(json.dumps({"seq": 1, "hash": "ab"}) + "\nnot json\n")
    with pytest.raises(VerifyRefused, match=why):
        said_by(full_books, anchor=anchor)


def guerdon_verify(database: Database, home: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "GUERDON_DATABASE_URL": database.app_dsn, "GUERDON_DATA_DIR": str(home)}
    command = [sys.executable, "-m", "guerdon", "verify", *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_command_ends_with_1_when_anything_does_not_hold(copied_books: Database, tmp_path: Path) -> None:
    heads = tmp_path / "heads.jsonl"
    well = guerdon_verify(copied_books, tmp_path, "--publish", str(heads))
    assert (well.returncode, well.stdout.splitlines()[-2].startswith("The books hold: ")) == (0, True)
    assert guerdon_verify(copied_books, tmp_path, "--anchor", str(heads)).returncode == 0
    with tampering(copied_books.superuser_dsn) as connection:
        connection.execute("update figures set credit = credit + 1 where account_no = 1")
        connection.commit()
    ill = guerdon_verify(copied_books, tmp_path, "--json")
    answer = json.loads(ill.stdout)
    assert (ill.returncode, answer["holds"]) == (1, False)
    assert {finding["row"] for finding in answer["findings"]} == {"figures of account 1", "asset POINTS", "all assets"}
    refused = guerdon_verify(copied_books, tmp_path, "--org", "nobody")
    assert (refused.returncode, "there is no organisation nobody" in refused.stderr) == (1, True)


def test_a_database_without_a_schema_is_refused_with_a_sentence(bare_database: Database) -> None:
    with pytest.raises(VerifyRefused, match="run guerdon migrate"):
        verify(bare_database.app_dsn)
