"""CSV that is sent to us: one column of it, wherever it stands, or rows by the names of their cells."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from guerdon.api.sheets import NotCsv, column, records
from guerdon.core.sheets import MISSHAPEN


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        pytest.param("A\nB\n", [(1, "A"), (2, "B")], id="no heading: the first column"),
        pytest.param("name,Code \nx,A\ny,B\n", [(2, "A"), (3, "B")], id="the column that is called so"),
        pytest.param("name,code\nx\ny,B\n", [(2, ""), (3, "B")], id="a row that ends before it"),
        pytest.param("code\r\nA\r\n\r\n,\r\nB", [(2, "A"), (5, "B")], id="empty rows are counted and left out"),
        pytest.param('code\n"A\nB",x\nC\n', [(2, "A\nB"), (3, "C")], id="a row may be several lines"),
        pytest.param("", [], id="nothing"),
    ],
)
def test_a_column_is_its_cells_with_the_numbers_of_their_rows(text: str, cells: list[tuple[int, str]]) -> None:
    assert list(column(io.StringIO(text, newline=""), "code")) == cells


def test_what_is_not_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "codes.csv").write_bytes(b"code\n\xff\xfe\n")
    with (tmp_path / "codes.csv").open(encoding="utf-8", newline="") as opened, pytest.raises(NotCsv, match="utf-8"):
        list(column(opened, "code"))


def test_a_cell_beyond_all_bounds_is_told() -> None:
    with pytest.raises(NotCsv, match="field larger"):
        list(column(io.StringIO("x" * 200_000), "code"))


def test_rows_go_by_the_names_of_the_first_one() -> None:
    text = '\ufeffMember, Segment \r\nada,"vip, old"\r\n\r\n"b\nea",\r\n'
    assert list(records(io.StringIO(text, newline=""))) == [
        {"member": "ada", "segment": "vip, old"},
        {"member": "b\nea", "segment": ""},
    ]


def test_a_row_of_another_width_says_so() -> None:
    assert list(records(["a,b", "1", "1,2,3"])) == [
        {MISSHAPEN: "1 cells under 2 names"},
        {MISSHAPEN: "3 cells under 2 names"},
    ]


@pytest.mark.parametrize("text", ['a\n"open', "a,a\n1,2\n"])
def test_what_has_no_rows_with_names_is_told(text: str) -> None:
    with pytest.raises(NotCsv):
        list(records(io.StringIO(text, newline="")))
