"""Answers as CSV: streamed row by row, and safe to open in a spreadsheet.

A text that a spreadsheet would take for a formula gets an apostrophe before it. Every cell is quoted, so that no text
breaks out of its own, whatever character a reader takes for the separator.
"""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable

from msgspec import Struct

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


def _cell(cell: str) -> str:
    if isinstance(cell, Figure) or not cell.startswith(_FORMULA):
        return cell
    return f"'{cell}"
