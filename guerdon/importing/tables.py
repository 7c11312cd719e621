"""Files as rows of cells: Parquet by pyarrow, CSV by the standard library; a few thousand rows in memory at a time."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from guerdon.importing.cells import LocalTime
from guerdon.importing.faults import Fault, FaultCode, FileRefused
from guerdon.importing.mapping import CsvForm

BATCH_ROWS = 32_768

Cells = tuple[Any, ...]


def rows(path: Path, columns: tuple[str | None, ...], time_column: str | None, form: CsvForm) -> Iterator[Cells]:
    """Every row of the file as the cells of `columns`, in their order; a column of None is a cell of None."""
    if is_parquet(path):
        return _parquet_rows(path, columns, time_column)
    return _csv_rows(path, columns, form)


def column_names(path: Path, form: CsvForm) -> tuple[str, ...]:
    """The names of a file's columns, in its order."""
    if is_parquet(path):
        return tuple(_parquet_file(path).schema_arrow.names)
    try:
        with path.open(encoding=form.encoding, newline="") as file:
            return tuple(name.strip() for name in next(csv.reader(file, delimiter=form.delimiter, strict=True), []))
    except (csv.Error, UnicodeDecodeError) as error:
        raise FileRefused(f"{path.name}: {error}") from error


def is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


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


def _csv_rows(path: Path, columns: tuple[str | None, ...], form: CsvForm) -> Iterator[Cells]:
    try:
        with path.open(encoding=form.encoding, newline="") as file:
            rows = csv.reader(file, delimiter=form.delimiter, strict=True)
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
