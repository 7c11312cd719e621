"""CSV as rows of cells."""

from __future__ import annotations

import io

import pytest

from guerdon.core.tabular import MISSHAPEN, NotTabular, column, records


def test_rows_go_by_the_names_of_the_first_one_and_keep_their_place() -> None:
    text = '\ufeffMember, Segment \r\nada,"vip, old"\r\n\r\n"b\nea",\r\n'
    found = list(records(io.StringIO(text, newline="")))
    assert found == [(2, {"member": "ada", "segment": "vip, old"}), (4, {"member": "b\nea", "segment": ""})]


def test_a_row_of_another_width_says_so() -> None:
    assert list(records(["a,b", "1", "1,2,3"])) == [
        (2, {MISSHAPEN: "1 cells under 2 names"}),
        (3, {MISSHAPEN: "3 cells under 2 names"}),
    ]


def test_a_column_is_found_by_its_name_and_is_the_first_where_there_is_none() -> None:
    assert list(column(["batch,Code", "7,ZN34C", "8"], "code")) == [(2, "ZN34C"), (3, "")]
    assert list(column(["ZN34C,7", "", "ZN34D,8"], "code")) == [(1, "ZN34C"), (3, "ZN34D")]


@pytest.mark.parametrize("text", ['a\n"open', "a,a\n1,2\n"])
def test_what_is_no_csv_is_refused(text: str) -> None:
    with pytest.raises(NotTabular):
        list(records(io.StringIO(text, newline="")))
