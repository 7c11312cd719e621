"""CSV that is sent to us: one column of it, wherever it stands."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from guerdon.api.sheets import NotCsv, column


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
