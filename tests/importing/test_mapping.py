"""Mappings: what they may say, and how they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

from guerdon.importing.faults import FileRefused
from guerdon.importing.mapping import load_mapping, parse_mapping, ready_mappings, resolve_file

SMALL = """
name = "small"
[purchase]
number = "bill"
time = "when"
[line]
sku = "sku"
amount = "amount"
[amounts]
currency = "EUR"
scale = 2
"""


def test_every_mapping_that_comes_with_guerdon_can_be_read() -> None:
    assert "complete-journey" in ready_mappings()
    for name in ready_mappings():
        assert load_mapping(name).name == name


def test_a_mapping_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    path.write_text(SMALL, "utf-8")
    assert load_mapping(str(path)).columns() == ("bill", "when", "sku", "amount")


@pytest.mark.parametrize(
    ("change", "about"),
    [
        (('number = "bill"', ""), "number"),
        (('number = "bill"', 'number = "bill"\nzone = "Atlantis/Capital"'), "purchase.zone"),
        (('number = "bill"', 'number = "bill"\nmembr = "card"'), "membr"),
        (("scale = 2", "scale = 40"), "amounts.scale"),
        (("scale = 2", "scale = 2.5"), "scale"),
        (("scale = 2", 'scale = 2\nfloat_noise = "1e-9"'), "amounts.float_noise"),
        (("scale = 2", 'scale = 2\n[csv]\ndelimiter = ";;"'), "csv.delimiter"),
        (("scale = 2", 'scale = 2\n[csv]\nencoding = "utf-99"'), "csv.encoding"),
        (("[line]", "[line"), "line"),
    ],
)
def test_a_mapping_that_is_wrong_is_refused_with_the_place(change: tuple[str, str], about: str) -> None:
    with pytest.raises(FileRefused, match=about):
        parse_mapping(SMALL.replace(*change), "small.toml")


def test_an_unknown_mapping_names_those_there_are() -> None:
    with pytest.raises(FileRefused, match="complete-journey"):
        load_mapping("no-such-mapping")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="no such file"):
        resolve_file(str(tmp_path / "none.csv"))
    with pytest.raises(FileRefused, match="not installed"):
        resolve_file("no_such_package:data/none.parquet")
