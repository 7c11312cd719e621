"""Tabular text (CSV): lines as rows of cells, wherever the lines come from. Pure.

Rows are counted from 1, the one with the names among them; rows without anything in them are left out, and so is the
mark that some programs put before the first character.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator

MISSHAPEN = ""
"""Under this name stands what is wrong with a row that has more or fewer cells than there are names."""


class NotTabular(ValueError):
    """Text that is no CSV; says why."""


def column(lines: Iterable[str], name: str) -> Iterator[tuple[int, str]]:
    """The cells of the column of a name, each with its row; where there is no such name, the first of each row."""
    place = 0
    for number, cells in _rows(lines):
        if number == 1 and name in (names := _names(cells)):
            place = names.index(name)
        else:
            yield number, cells[place] if place < len(cells) else ""


def records(lines: Iterable[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row by the names of the first one."""
    names: list[str] | None = None
    for number, cells in _rows(lines):
        if names is None:
            names = _names(cells)
            if len(set(names)) < len(names):
                raise NotTabular("two columns have the same name")
        elif len(cells) != len(names):
            yield number, {MISSHAPEN: f"{len(cells)} cells under {len(names)} names"}
        else:
            yield number, dict(zip(names, cells, strict=True))


def _rows(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    try:
        for number, cells in enumerate(csv.reader(lines, strict=True), 1):
            if any(cells):
                yield number, cells
    except csv.Error as error:
        raise NotTabular(str(error)) from None


def _names(cells: list[str]) -> list[str]:
    return [cell.strip().removeprefix("\ufeff").lower() for cell in cells]
