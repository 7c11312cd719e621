"""CSV. Answers are streamed row by row, and safe to open in a spreadsheet; uploads are read by `column` or `records`.

A text that a spreadsheet would take for a formula gets an apostrophe before it. Every cell is quoted, so that no text
breaks out of its own, whatever character a reader takes for the separator.
"""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable, Iterator

from msgspec import Struct

from guerdon.core.sheets import MISSHAPEN

MEDIA_TYPE = b"text/csv; charset=utf-8"
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


class Figure(str):
    """A cell that is a number of ours, as it stands: `-50` is no formula."""

    __slots__ = ()


class Csv(Struct, frozen=True):
    """An answer of many rows. `chunks` are whole rows, as `lines` makes them; the first holds the header."""

    chunks: AsyncIterator[bytes]
    filename: str


class Pdf(Struct, frozen=True):
    """An answer that is a document to be printed."""

    content: bytes
    filename: str

    @property
    def chunks(self) -> AsyncIterator[bytes]:
        return _whole(self.content)


PDF_TYPE = b"application/pdf"


async def _whole(content: bytes) -> AsyncIterator[bytes]:
    yield content


def lines(rows: Iterable[Iterable[str]]) -> bytes:
    """Rows as text of RFC 4180."""
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([_cell(cell) for cell in row] for row in rows)
    return text.getvalue().encode()


class NotCsv(ValueError):
    """It cannot be read as CSV; the message says why."""


def column(text: Iterable[str], name: str) -> Iterator[tuple[int, str]]:
    """The cells of one column with the number of their row, the first being 1; empty rows are left out.

    `text` is a file opened with `newline=""`, or anything else that gives lines with their ends. The column is the one
    that the first row calls `name`, in whatever case; where it calls none so, that row is no heading, and the first
    column is meant. A row that ends before the column has an empty cell. Raises `NotCsv`.
    """
    place = 0
    try:
        for number, row in enumerate(csv.reader(text), 1):
            if number == 1 and name in (names := [cell.strip().lower() for cell in row]):
                place = names.index(name)
            elif any(row):
                yield number, row[place] if place < len(row) else ""
    except (csv.Error, UnicodeDecodeError) as error:
        raise NotCsv(str(error)) from error


def records(text: Iterable[str]) -> Iterator[dict[str, str]]:
    """Rows by the names in the first one, in small letters; empty rows are left out. A row that has more cells or fewer
    says so under the name `MISSHAPEN`. Raises `NotCsv`, also where two columns have the same name.
    """
    names: list[str] | None = None
    try:
        for row in csv.reader(text, strict=True):
            if not any(row):
                continue
            if names is None:
                names = [cell.removeprefix("\ufeff").strip().lower() for cell in row]
                if len(set(names)) < len(names):
                    raise NotCsv("two columns have the same name")
            elif len(row) != len(names):
                yield {MISSHAPEN: f"{len(row)} cells under {len(names)} names"}
            else:
                yield dict(zip(names, row, strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise NotCsv(str(error)) from error


def _cell(cell: str) -> str:
    if isinstance(cell, Figure) or not cell.startswith(_FORMULA):
        return cell
    return f"'{cell}"
