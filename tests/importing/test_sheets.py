"""Sheets of members, balances, points, redemptions and expiry changes into a real database."""

from __future__ import annotations

import asyncio
import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from guerdon.audit.verify import audit
from guerdon.core.commands import CreateAsset, CreateProgram, CreateSegment
from guerdon.core.programs import Expiry, Policies
from guerdon.core.sheets import Kind
from guerdon.importing.faults import FileRefused
from guerdon.importing.job import envelope
from guerdon.importing.sheets import SheetOrder, SheetReport, import_sheet
from guerdon.settings import Settings
from tests.conftest import Database
from tests.importing.test_import import Silent, _submit


@dataclass
class Desk:
    """An organisation with a program whose points have two decimals, and sheets to bring into it."""

    database: Database
    folder: Path

    def bring(self, kind: Kind, *lines: str, name: str = "", **order: Any) -> SheetReport:
        file = self.folder / f"{name or kind}.csv"
        file.write_text("\n".join(lines) + "\n", "utf-8")
        return self.bring_file(kind, file, **order)

    def bring_file(self, kind: Kind, file: Path, **order: Any) -> SheetReport:
        results = self.folder / f"{file.stem}.results.csv"
        return import_sheet(
            SheetOrder(kind=kind, file=file, organisation="default", results=results, **order),
            Settings(data_dir=self.folder / "data"),
            self.database.app_dsn,
            Silent(),
        )

    def results(self, name: str) -> list[dict[str, str]]:
        with (self.folder / f"{name}.results.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def value(self, statement: str) -> Any:
        with psycopg.connect(self.database.superuser_dsn) as connection:
            row = connection.execute(statement.encode()).fetchone()
            return row[0] if row and len(row) == 1 else row


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Desk:
    commands = (
        CreateAsset(**envelope(), code="USD", scale=2),
        CreateAsset(**envelope(), code="POINTS", scale=2),
        CreateProgram(
            **envelope(),
            code="club",
            name="Club",
            asset="POINTS",
            policies=Policies(expiry=Expiry(kind="months", count=12), timezone="Europe/Berlin"),
        ),
    )
    asyncio.run(_submit(database, commands))
    return Desk(database, tmp_path)


def counts(report: SheetReport) -> tuple[int, int, int]:
    return report.tally.accepted, report.tally.replayed, report.tally.rejected


def test_every_kind_of_sheet_goes_in_once_and_a_second_run_changes_nothing(desk: Desk) -> None:
    sheets: tuple[tuple[Kind, tuple[str, ...]], ...] = (
        ("members", ("external_id,email,first_name", "ada,Ada@Example.org,Ada", "bea,,Bea")),
        ("balances", ("member,points,last_day", "ada,100.50,2099-12-31", "email:ada@example.org,20,never")),
        (
            "points",
            ("member,points,earned_at,last_day", "bea,40,2026-01-31,2099-01-31", "bea,7.25,2026-02-01T10:00:00Z,"),
        ),
        ("redemptions", ("member,points,redeemed_at,reference", "bea,15,2026-03-01,OLD-7")),
        ("expiry", ("member,last_day,points,expired_at", "ada,2098-06-30,,", "bea,,2,2026-03-02")),
    )
    for again in (False, True):
        for kind, lines in sheets:
            taken = len(lines) - 1
            assert counts(desk.bring(kind, *lines)) == ((0, taken, 0) if again else (taken, 0, 0)), kind
            if not again:
                seq = desk.value("select seq from heads")
    assert desk.value("select seq from heads") == seq
    balances = (
        "select string_agg((credit - debit)::text, ' ' order by no) from figures join accounts on no = account_no"
    )
    assert desk.value(f"{balances} where category = 'regular'") == "12050 3025"
    ends = "select string_agg(distinct (expires_at at time zone 'Europe/Berlin')::text, ' ') from lots"
    assert desk.value(f"{ends} join accounts a on a.no = account where member_no = 1") == "2098-07-01 00:00:00"
    earned = (
        "select string_agg((earned_at at time zone 'Europe/Berlin')::text, ' ' order by no) from lots where rule <> ''"
    )
    assert "2026-01-31 00:00:00" in desk.value(earned)
    assert audit(desk.database.app_dsn, tell=lambda _: None).findings == []


def test_what_is_wrong_with_a_row_is_said_beside_it_and_the_others_go_in(desk: Desk) -> None:
    desk.bring("members", "external_id", "ada")
    report = desk.bring(
        "points",
        "member,points,earned_at,last_day,category,program",
        "ada,10,2026-01-31,,,",
        "ada,1.234,2026-01-31,,,",
        "ada,,2026-01-31,,,",
        "ada,10,yesterday,,,",
        "ada,10,2026-01-31,soon,,",
        "ada,10,2026-01-31,,gold,",
        "ada,10,2026-01-31,,,nowhere",
        "eve,10,2026-01-31,,,",
        "ada,10,2999-01-31,,,",
        "ada,-10,2026-01-31,,,",
        "ada,10",
        "ada,20,2026-01-31,,promised,",
    )
    assert counts(report) == (2, 0, 10)
    said = [(row["status"], row["code"], row["detail"].partition(":")[0]) for row in desk.results("points")]
    wrong = [("invalid_value", name) for name in ("points", "points", "earned_at", "last_day", "category")]
    wrong += [("program_not_found", "program"), ("member_not_found", "member")]
    wrong += [("event_time_out_of_range", "event_at"), ("amount_not_positive", "points")]
    wrong += [("invalid_value", "column_missing")]
    assert said == [("accepted", "", ""), *(("rejected", *each) for each in wrong), ("accepted", "", "")]
    assert desk.value("select sum(remaining) from lots") == 3000


def test_a_row_that_was_refused_may_come_again_and_one_that_says_something_else_may_not(desk: Desk) -> None:
    lines = ("member,points,earned_at,reference", "ada,10,2026-01-31,R-1")
    assert counts(desk.bring("points", *lines)) == (0, 0, 1)
    desk.bring("members", "external_id", "ada")
    assert counts(desk.bring("points", *lines)) == (1, 0, 0)
    assert counts(desk.bring("points", lines[0], "ada,11,2026-01-31,R-1")) == (0, 0, 1)
    assert desk.results("points")[0]["code"] == "reference_taken"
    assert counts(desk.bring("members", "external_id,email", "ada,ada@example.org")) == (0, 0, 1)


def test_a_parquet_file_says_what_a_csv_file_says(desk: Desk) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    desk.bring("members", "external_id", "ada", "77")
    file = desk.folder / "lots.parquet"
    days = pa.array([20_484, 20_485], pa.date32())  # 2026-01-31 and the day after
    members, points = pa.array(["ada", "77"]), pa.array([10.5, 3.0])
    parquet.write_table(pa.table({"member": members, "points": points, "earned_at": days}), file)
    assert counts(desk.bring_file("points", file)) == (2, 0, 0)
    assert desk.value("select sum(remaining) from lots") == 1350
    assert counts(desk.bring_file("points", file)) == (0, 2, 0)


def test_a_file_without_its_columns_or_with_strange_ones_is_refused_as_a_whole(desk: Desk) -> None:
    with pytest.raises(FileRefused, match="has no column earned_at"):
        desk.bring("points", "member,points", "ada,10")
    with pytest.raises(FileRefused, match="has a column colour"):
        desk.bring("members", "external_id,colour", "ada,red")


def test_an_import_that_was_stopped_goes_on_where_it_was(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["external_id", *(f"m{number}" for number in range(300))]
    from guerdon.importing import sheets

    class Broken(RuntimeError):
        pass

    written = 0
    write = sheets._Sheet._write

    def break_off(self: Any, *args: Any) -> None:
        nonlocal written
        written += 1
        if written == 100:
            raise Broken
        write(self, *args)

    monkeypatch.setattr(sheets._Sheet, "_write", break_off)
    with pytest.raises(Broken):
        desk.bring("members", *lines)
    monkeypatch.undo()
    report = desk.bring("members", *lines)
    assert report.finished
    assert report.tally.rows == 300
    assert report.tally.rejected == 0
    assert len(desk.results("members")) == 300
    assert desk.value("select count(*) from members") == 300


def test_lists_are_filled_from_a_file_row_by_row_and_a_second_run_changes_nothing(desk: Desk) -> None:
    asyncio.run(
        _submit(
            desk.database,
            (CreateSegment(**envelope(), code="vip", name="VIP"), CreateSegment(**envelope(), code="old", name="Old")),
        )
    )
    desk.bring("members", "external_id,email", "ada,ada@example.org", "bea,")
    lines = (
        "member,segment,action",
        "ada,,",
        "email:ada@example.org,old,add",
        "bea,,Remove",
        "eve,,",
        "bea,nowhere,",
        "bea,,maybe",
        "bea,old,",
    )
    assert counts(desk.bring("segments", *lines, segment="vip")) == (3, 1, 3)
    said = [
        (row["row"], row["status"], row["code"], row["detail"].partition(":")[0]) for row in desk.results("segments")
    ]
    assert said == [
        ("1", "accepted", "", ""),
        ("2", "accepted", "", ""),
        ("3", "replayed", "", ""),  # she was not on it
        ("4", "rejected", "member_not_found", "members[0]"),
        ("5", "rejected", "segment_not_found", "segment"),
        ("6", "rejected", "invalid_value", "action"),
        ("7", "accepted", "", ""),
    ]
    assert counts(desk.bring("segments", *lines, segment="vip")) == (0, 4, 3)
    query = "select string_agg(segment || ' ' || member_no || ' ' || present, ', ' order by segment, member_no)"
    assert desk.value(f"{query} from segment_entries") == "old 1 true, old 2 true, vip 1 true"
    assert audit(desk.database.app_dsn, tell=lambda _: None).findings == []


def test_a_list_without_a_name_is_asked_for_row_by_row(desk: Desk) -> None:
    desk.bring("members", "external_id", "ada")
    assert counts(desk.bring("segments", "member", "ada")) == (0, 0, 1)
    assert desk.results("segments")[0]["detail"].startswith("segment: ")
