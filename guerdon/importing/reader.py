"""Rows of a file, Parquet or CSV, turned into whole purchases in the order of their time.

The lines of a purchase may stand anywhere in the file. Neighbours are joined as they are read; the pieces are
then sorted by number and joined across the file, and the purchases sorted by time, both on disk where they
exceed `held_lines_max`. So memory stays the same however long the file is, and a purchase is known whole,
with every fault of its lines, before anything of it is submitted. Row 1 is the first row of data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec import Struct

from guerdon.importing.cells import EPOCH, identifier_text, instant_reader
from guerdon.importing.faults import Fault, FaultCode
from guerdon.importing.figures import figure_reader
from guerdon.importing.mapping import QUANTITY_SCALE, Catalogue, Mapping
from guerdon.importing.spool import Spool
from guerdon.importing.tables import BATCH_ROWS, Cells, rows

HELD_LINES_MAX = 200_000
PURCHASE_LINES_MAX = 2_000

Header = tuple[Any, Any, Any, Any, Any]


class LineRow(Struct, array_like=True, frozen=True, gc=False):
    """A line as the file has it: `quantity` in thousandths, `amount` in minor units."""

    sku: str
    quantity: int
    amount: int
    categories: tuple[str, ...] = ()
    brand: str = ""


class RowFault(Struct, array_like=True, frozen=True, gc=False):
    """What was wrong, and in which row."""

    row: int
    code: str
    detail: str


class Purchase(Struct, array_like=True):
    """A purchase, or a piece of one: its header, its lines, its first `row`, and its first fault, if any.

    `at_us` is microseconds since 1970 in UTC. Where there is a fault, the rest is what could be read.
    """

    number: str
    row: int
    rows: int
    at_us: int
    member: str
    store: str
    till: str
    lines: list[LineRow]
    fault: RowFault | None = None

    @property
    def at(self) -> datetime:
        return EPOCH + timedelta(microseconds=self.at_us)

    @property
    def amount(self) -> int:
        """The sum of the lines, in minor units."""
        return sum(line.amount for line in self.lines)


class Purchases:
    """The purchases of a file, once, by time and then by row, those with a fault among them.

    `stores` are the store codes that sound purchases name.
    """

    def __init__(self, held_lines_max: int) -> None:
        self.purchases = 0
        self.rows = 0
        self.stores: set[str] = set()
        self._spool = Spool(Purchase, _by_time, _lines_held, held_lines_max)

    def add(self, purchase: Purchase) -> None:
        self.purchases += 1
        self.rows += purchase.rows
        if purchase.store and purchase.fault is None:
            self.stores.add(purchase.store)
        self._spool.add(purchase)

    def __iter__(self) -> Iterator[Purchase]:
        return self._spool.sorted()


Progress = Callable[[int], None]
"""Is told how many rows have been read so far."""


def read_purchases(
    path: Path,
    mapping: Mapping,
    *,
    held_lines_max: int = HELD_LINES_MAX,
    purchase_lines_max: int = PURCHASE_LINES_MAX,
    progress: Progress | None = None,
) -> Purchases:
    """The whole file, read, sorted and counted.

    The same file and mapping always give the same sequence.
    """
    pieces = Spool(Purchase, _by_number, _lines_held, held_lines_max)
    cells = rows(path, _cell_columns(mapping), mapping.purchase.time, mapping.csv)
    for piece in _pieces(cells, mapping, purchase_lines_max, progress):
        pieces.add(piece)
    purchases = Purchases(held_lines_max)
    for purchase in _joined(pieces.sorted(), purchase_lines_max):
        purchases.add(purchase)
    return purchases


def _by_number(piece: Purchase) -> tuple[str, int]:
    return piece.number, piece.row


def _by_time(purchase: Purchase) -> tuple[int, int]:
    return purchase.at_us, purchase.row


def _lines_held(purchase: Purchase) -> int:
    return len(purchase.lines) + 1


def _cell_columns(mapping: Mapping) -> tuple[str | None, ...]:
    purchase, line = mapping.purchase, mapping.line
    header = (purchase.number, purchase.member, purchase.time, purchase.store, purchase.till)
    brand = (line.brand,) if line.brand is not None else ()
    return (*header, line.sku, line.quantity, line.amount, *line.categories, *brand)


# -- joining ------------------------------------------------------------------------------------------------


def _joined(pieces: Iterable[Purchase], lines_max: int) -> Iterator[Purchase]:
    """Pieces sorted by number and row, joined into purchases; one without a number (a fault) stands alone."""
    whole: Purchase | None = None
    for piece in pieces:
        if whole is not None and piece.number and piece.number == whole.number:
            _join(whole, piece, lines_max)
            continue
        if whole is not None:
            yield whole
        whole = piece
    if whole is not None:
        yield whole


def _join(whole: Purchase, piece: Purchase, lines_max: int) -> None:
    whole.rows += piece.rows
    whole.fault = whole.fault or piece.fault
    if whole.fault is None:
        for name in ("member", "at_us", "store", "till"):
            if getattr(whole, name) != getattr(piece, name):
                detail = f"{_FIELD_NAMES[name]} is not that of row {whole.row}"
                whole.fault = RowFault(piece.row, FaultCode.PURCHASE_LINES_DIFFER, detail)
                break
    if whole.fault is None and len(whole.lines) + len(piece.lines) > lines_max:
        whole.fault = _too_many_lines(piece.row, lines_max)
    if whole.fault is None:
        whole.lines += piece.lines


_FIELD_NAMES = {"member": "the member", "at_us": "the time", "store": "the store", "till": "the till"}


def _too_many_lines(row: int, lines_max: int) -> RowFault:
    return RowFault(row, FaultCode.TOO_MANY_LINES, f"more than {lines_max} lines in one purchase")


def _pieces(table: Iterable[Cells], mapping: Mapping, lines_max: int, progress: Progress | None) -> Iterator[Purchase]:
    """Neighbouring rows with the same header, joined. Cells come in the order of `_cell_columns`."""
    amount_of = figure_reader(
        mapping.amounts.scale, decimal=mapping.amounts.decimal, float_noise=mapping.amounts.float_noise
    )
    quantity_of = figure_reader(
        QUANTITY_SCALE, decimal=mapping.amounts.decimal, float_noise=mapping.amounts.float_noise
    )
    line_of = _line_reader(mapping, amount_of, quantity_of)
    instant_of = instant_reader(mapping)
    columns = _cell_columns(mapping)
    piece: Purchase | None = None
    header: Header | None = None
    row = 0
    for row, cells in enumerate(table, 1):
        if progress is not None and row % BATCH_ROWS == 0:
            progress(row)
        fresh = cells[:5]
        if piece is None or fresh != header:
            if piece is not None:
                yield piece
            header = fresh
            piece = _opened(fresh, row, instant_of, columns)
        piece.rows += 1
        if piece.fault is not None:
            continue
        if len(piece.lines) == lines_max:
            piece.fault = _too_many_lines(row, lines_max)
            piece.lines.clear()
            continue
        try:
            piece.lines.append(line_of(cells))
        except Fault as fault:
            piece.fault = RowFault(row, fault.code, fault.detail)
    if piece is not None:
        yield piece
    if progress is not None:
        progress(row)


def _opened(header: Cells, row: int, instant_of: Callable[[Any], int], columns: tuple[str | None, ...]) -> Purchase:
    """A piece with its header read; what cannot be read becomes its fault."""
    piece = Purchase("", row, 0, 0, "", "", "", [])
    number, member, at, store, till = header
    place = 0
    try:
        piece.number = identifier_text(number)
        place = 2
        piece.at_us = instant_of(at)
        place = 1
        piece.member = "" if member is None else identifier_text(member, blank=True)
        place = 3
        piece.store = "" if store is None else identifier_text(store, blank=True)
        place = 4
        piece.till = "" if till is None else identifier_text(till, blank=True)
    except Fault as fault:
        known = fault.code in (FaultCode.COLUMN_MISSING, FaultCode.ROW_TOO_LONG)
        detail = fault.detail if known else f"{columns[place]}: {fault.detail}"
        piece.fault = RowFault(row, fault.code, detail)
    return piece


def _line_reader(
    mapping: Mapping, amount_of: Callable[[object], int], quantity_of: Callable[[object], int]
) -> Callable[[Cells], LineRow]:
    columns = mapping.line
    first_category = 8
    with_brand = columns.brand is not None
    last = first_category + len(columns.categories)

    def line(cells: Cells) -> LineRow:
        column = columns.amount
        try:
            amount = amount_of(cells[7])
            quantity = 1000
            if columns.quantity is not None:
                column = columns.quantity
                quantity = quantity_of(cells[6])
            column = columns.sku
            sku = identifier_text(cells[5])
            if last == first_category and not with_brand:
                return LineRow(sku, quantity, amount)
            column = "categories or brand"
            named = [cell for cell in cells[first_category:last] if cell is not None and cell != ""]
            categories = tuple([identifier_text(cell) for cell in named])
            brand = identifier_text(cells[last], blank=True) if with_brand and cells[last] is not None else ""
            return LineRow(sku, quantity, amount, categories, brand)
        except Fault as fault:
            raise Fault(fault.code, f"{column}: {fault.detail}") from None

    return line


# -- the catalogue ------------------------------------------------------------------------------------------


class Article(Struct, frozen=True, gc=False):
    categories: tuple[str, ...]
    brand: str


def read_catalogue(path: Path, mapping: Mapping, catalogue: Catalogue) -> dict[str, Article]:
    """Categories and brand by sku; of several rows for one sku the last counts."""
    columns = (catalogue.sku, catalogue.brand, *catalogue.categories)
    articles: dict[str, Article] = {}
    alike: dict[Cells, Article] = {}
    for sku, *named in rows(path, columns, None, mapping.csv):
        try:
            key, said = identifier_text(sku), tuple(named)
            article = alike.get(said)
            if article is None:
                article = alike[said] = _article(*said)
        except Fault:
            continue
        articles[key] = article
    return articles


def _article(brand: Any, *categories: Any) -> Article:
    found = [identifier_text(cell) for cell in categories if cell is not None and cell != ""]
    return Article(tuple(found), "" if brand is None else identifier_text(brand, blank=True))
