"""Rows of a file, Parquet or CSV, turned into whole purchases in the order of their time.

The lines of a purchase may stand anywhere in the file. Neighbours are joined as they are read; the pieces are
then sorted by number and joined across the file, and the purchases sorted by time, both on disk where they
exceed `held_lines_max`. So memory stays the same however long the file is, and a purchase is known whole,
with every fault of its lines, before anything of it is submitted. Row 1 is the first row of data.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct

from guerdon.importing.faults import Fault, FaultCode, FileRefused
from guerdon.importing.figures import figure_reader
from guerdon.importing.mapping import QUANTITY_SCALE, Catalogue, Mapping
from guerdon.importing.spool import Spool

HELD_LINES_MAX = 200_000
PURCHASE_LINES_MAX = 10_000
BATCH_ROWS = 32_768
TEXT_MAX = 200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)

Cells = tuple[Any, ...]
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
        return _EPOCH + timedelta(microseconds=self.at_us)

    @property
    def amount(self) -> int:
        """The sum of the lines, in minor units."""
        return sum(line.amount for line in self.lines)


Progress = Callable[[int], None]
"""Is told how many rows have been read so far."""


def read_purchases(
    path: Path,
    mapping: Mapping,
    *,
    held_lines_max: int = HELD_LINES_MAX,
    progress: Progress | None = None,
) -> Iterator[Purchase]:
    """Every purchase of the file, once, by time and then by row; those with a fault among them.

    The same file and mapping always give the same sequence. Reads the whole file before the first one comes.
    """
    pieces = Spool(Purchase, _by_number, _lines_held, held_lines_max)
    for piece in _pieces(_rows(path, mapping), mapping, progress):
        pieces.add(piece)
    purchases = Spool(Purchase, _by_time, _lines_held, held_lines_max)
    for purchase in _joined(pieces.sorted()):
        purchases.add(purchase)
    return purchases.sorted()


def count_rows(path: Path) -> int | None:
    """How many rows the file says it has, where it says so (Parquet)."""
    if not _is_parquet(path):
        return None
    return int(_parquet_file(path).metadata.num_rows)


def _by_number(piece: Purchase) -> tuple[str, int]:
    return piece.number, piece.row


def _by_time(purchase: Purchase) -> tuple[int, int]:
    return purchase.at_us, purchase.row


def _lines_held(purchase: Purchase) -> int:
    return len(purchase.lines) + 1


# -- joining ------------------------------------------------------------------------------------------------


def _joined(pieces: Iterable[Purchase]) -> Iterator[Purchase]:
    """Pieces sorted by number and row, joined into purchases; one without a number (a fault) stands alone."""
    whole: Purchase | None = None
    for piece in pieces:
        if whole is not None and piece.number and piece.number == whole.number:
            _join(whole, piece)
            continue
        if whole is not None:
            yield whole
        whole = piece
    if whole is not None:
        yield whole


def _join(whole: Purchase, piece: Purchase) -> None:
    whole.rows += piece.rows
    whole.fault = whole.fault or piece.fault
    if whole.fault is None:
        for name in ("member", "at_us", "store", "till"):
            if getattr(whole, name) != getattr(piece, name):
                detail = f"{_FIELD_NAMES[name]} is not that of row {whole.row}"
                whole.fault = RowFault(piece.row, FaultCode.PURCHASE_LINES_DIFFER, detail)
                break
    if whole.fault is None and len(whole.lines) + len(piece.lines) > PURCHASE_LINES_MAX:
        whole.fault = _too_many_lines(piece.row)
    if whole.fault is None:
        whole.lines += piece.lines


_FIELD_NAMES = {"member": "the member", "at_us": "the time", "store": "the store", "till": "the till"}


def _too_many_lines(row: int) -> RowFault:
    return RowFault(row, FaultCode.TOO_MANY_LINES, f"more than {PURCHASE_LINES_MAX} lines in one purchase")


def _pieces(rows: Iterable[Cells], mapping: Mapping, progress: Progress | None) -> Iterator[Purchase]:
    """Neighbouring rows with the same header, joined. Cells come in the order of `_cell_columns`."""
    amount_of = figure_reader(
        mapping.amounts.scale, decimal=mapping.amounts.decimal, float_noise=mapping.amounts.float_noise
    )
    quantity_of = figure_reader(
        QUANTITY_SCALE, decimal=mapping.amounts.decimal, float_noise=mapping.amounts.float_noise
    )
    line_of = _line_reader(mapping, amount_of, quantity_of)
    instant_of = _instant_reader(mapping)
    columns = _cell_columns(mapping)
    piece: Purchase | None = None
    header: Header | None = None
    row = 0
    for row, cells in enumerate(rows, 1):
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
        if len(piece.lines) == PURCHASE_LINES_MAX:
            piece.fault = _too_many_lines(row)
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


def _opened(
    header: Cells, row: int, instant_of: Callable[[Any], int], columns: tuple[str | None, ...]
) -> Purchase:
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


def identifier_text(cell: Any, *, blank: bool = False) -> str:
    """A number, code or name as text; whole floats (what pandas makes of integers with gaps) as integers."""
    if type(cell) is int:
        return str(cell)
    if isinstance(cell, Fault):
        raise cell
    if isinstance(cell, str):
        text = cell.strip()
        if text == "" and not blank:
            raise Fault(FaultCode.VALUE_MISSING, "the cell is empty")
        if len(text) > TEXT_MAX:
            raise Fault(FaultCode.INVALID_TEXT, f"longer than {TEXT_MAX} characters")
        if "\x00" in text:
            raise Fault(FaultCode.INVALID_TEXT, "a NUL character")
        return text
    if isinstance(cell, float):
        if cell != cell:
            if blank:
                return ""
            raise Fault(FaultCode.VALUE_MISSING, "the cell is empty (NaN)")
        if cell.is_integer() and abs(cell) <= 2**53:
            return str(int(cell))
    if cell is None:
        raise Fault(FaultCode.VALUE_MISSING, "the cell is empty")
    raise Fault(FaultCode.INVALID_TEXT, f"{str(cell)[:TEXT_MAX]} is neither text nor an integer")


# -- time ---------------------------------------------------------------------------------------------------


class LocalTime(Struct, frozen=True, gc=False):
    """A Parquet time without zone, in microseconds since 1970 of whatever zone the mapping says."""

    us: int


def _instant_reader(mapping: Mapping) -> Callable[[Any], int]:
    """A function from a cell to microseconds since 1970 in UTC, which is what integers are already.

    Of a local time that comes twice in autumn it is the first.
    """
    zone = ZoneInfo(mapping.purchase.zone)
    zone_is_utc = mapping.purchase.zone == "UTC"
    form = mapping.purchase.time_format

    def instant(cell: Any) -> int:
        if isinstance(cell, Fault):
            raise cell
        try:
            if isinstance(cell, LocalTime):
                if zone_is_utc:
                    return _in_range(cell.us)
                return since_epoch((_EPOCH + timedelta(microseconds=cell.us)).replace(tzinfo=zone))
            if isinstance(cell, int):
                return _in_range(cell)
            if isinstance(cell, date):
                return since_epoch(datetime.combine(cell, time(), zone))
            if cell is None or cell == "":
                raise Fault(FaultCode.VALUE_MISSING, "the cell is empty")
            if isinstance(cell, str):
                text = cell.strip()
                moment = datetime.strptime(text, form) if form else datetime.fromisoformat(text)  # noqa: DTZ007
                return since_epoch(moment if moment.tzinfo else moment.replace(tzinfo=zone))
        except (ValueError, OverflowError):
            pass
        raise Fault(FaultCode.INVALID_TIME, f"{str(cell)[:TEXT_MAX]!r} is not a time of the years 1 to 9999")

    return instant


def _in_range(us: int) -> int:
    _EPOCH + timedelta(microseconds=us)  # OverflowError when it is none that can be written down
    return us


def since_epoch(moment: datetime) -> int:
    """Microseconds since 1970; OverflowError before the year 1 and after 9999 in UTC."""
    return _in_range((moment - _EPOCH) // _US)


# -- files --------------------------------------------------------------------------------------------------


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _cell_columns(mapping: Mapping) -> tuple[str | None, ...]:
    purchase, line = mapping.purchase, mapping.line
    header = (purchase.number, purchase.member, purchase.time, purchase.store, purchase.till)
    brand = (line.brand,) if line.brand is not None else ()
    return (*header, line.sku, line.quantity, line.amount, *line.categories, *brand)


def _rows(path: Path, mapping: Mapping) -> Iterator[Cells]:
    columns = _cell_columns(mapping)
    if _is_parquet(path):
        return _parquet_rows(path, columns, mapping.purchase.time)
    return _csv_rows(path, columns, mapping)


def _refuse_missing(path: Path, wanted: Iterable[str | None], present: Iterable[str]) -> None:
    missing = sorted({column for column in wanted if column is not None} - set(present))
    if missing:
        raise FileRefused(f"{path.name} has no column {', '.join(missing)}; it has: {', '.join(present)}")


def _parquet_file(path: Path) -> Any:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise FileRefused("reading Parquet needs pyarrow: pip install 'guerdon[data]'") from None
    try:
        return parquet.ParquetFile(path, memory_map=False, buffer_size=1 << 20, pre_buffer=False)
    except pa.ArrowException as error:
        raise FileRefused(f"{path.name}: {error}") from error


def _parquet_rows(path: Path, columns: tuple[str | None, ...], time_column: str | None) -> Iterator[Cells]:
    import pyarrow as pa

    file = _parquet_file(path)
    _refuse_missing(path, columns, file.schema_arrow.names)
    wanted = list(dict.fromkeys(column for column in columns if column is not None))
    try:
        for batch in file.iter_batches(BATCH_ROWS, columns=wanted):
            lists = {name: _cells(batch.column(name), name == time_column) for name in wanted}
            blank = [None] * batch.num_rows
            cells = [lists[column] if column is not None else blank for column in columns]
            yield from zip(*cells, strict=True)
    except pa.ArrowException as error:
        raise FileRefused(f"{path.name}: {error}") from error


def _cells(array: Any, is_time: bool) -> list[Any]:
    """A column as Python values: times as microseconds, small floats as their own shortest text."""
    import pyarrow as pa

    kind = array.type
    if is_time and pa.types.is_timestamp(kind):
        us = array.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.int64()).to_pylist()
        return us if kind.tz else [None if value is None else LocalTime(value) for value in us]
    if is_time and pa.types.is_integer(kind):
        return array.cast(pa.string()).to_pylist()  # type: ignore[no-any-return]
    if pa.types.is_float16(kind) or pa.types.is_float32(kind):
        array = array.cast(pa.string())
    elif pa.types.is_dictionary(kind):
        array = array.dictionary_decode()
    return array.to_pylist()  # type: ignore[no-any-return]


def _csv_rows(path: Path, columns: tuple[str | None, ...], mapping: Mapping) -> Iterator[Cells]:
    try:
        with path.open(encoding=mapping.csv.encoding, newline="") as file:
            rows = csv.reader(file, delimiter=mapping.csv.delimiter, strict=True)
            names = [name.strip() for name in next(rows, [])]
            _refuse_missing(path, columns, names)
            places = [None if column is None else names.index(column) for column in columns]
            width = len(names)
            for cells in rows:
                if len(cells) == width:
                    yield tuple([None if place is None else cells[place] for place in places])
                elif cells:
                    yield _misshapen(cells, places, names)
    except (csv.Error, UnicodeDecodeError) as error:
        raise FileRefused(f"{path.name}: {error}") from error


def _misshapen(cells: list[str], places: list[int | None], names: list[str]) -> Cells:
    """A row with too few or too many cells: its number, if it has one, and a fault in place of its time."""
    if len(cells) < len(names):
        fault = Fault(FaultCode.COLUMN_MISSING, f"the row ends before {names[len(cells)]}")
    else:
        fault = Fault(FaultCode.ROW_TOO_LONG, f"{len(cells)} cells under {len(names)} column names")
    number = places[0]
    if number is None or number >= len(cells):
        return (fault, *(None for _ in places[1:]))
    return (cells[number], None, fault, *(None for _ in places[3:]))


# -- the catalogue ------------------------------------------------------------------------------------------


class Article(Struct, frozen=True, gc=False):
    categories: tuple[str, ...]
    brand: str


def read_catalogue(path: Path, mapping: Mapping, catalogue: Catalogue) -> dict[str, Article]:
    """Categories and brand by sku; of several rows for one sku the last counts, rows without one are skipped."""
    columns = (catalogue.sku, catalogue.brand, *catalogue.categories)
    rows = _parquet_rows(path, columns, None) if _is_parquet(path) else _csv_rows(path, columns, mapping)
    articles: dict[str, Article] = {}
    shared: dict[tuple[str, ...], tuple[str, ...]] = {}
    for sku, brand, *categories in rows:
        try:
            key = identifier_text(sku)
            found = tuple(identifier_text(cell) for cell in categories if cell is not None and cell != "")
            name = "" if brand is None else identifier_text(brand, blank=True)
        except Fault:
            continue
        articles[key] = Article(shared.setdefault(found, found), name)
    return articles
