"""Single cells as what they mean: names and numbers as text, times as microseconds since 1970 in UTC."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct

from guerdon.importing.faults import Fault, FaultCode
from guerdon.importing.mapping import Mapping

TEXT_MAX = 200
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)


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


class LocalTime(Struct, frozen=True, gc=False):
    """A Parquet time without zone, in microseconds since 1970 of whatever zone the mapping says."""

    us: int


def instant_reader(mapping: Mapping) -> Callable[[Any], int]:
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
                return since_epoch((EPOCH + timedelta(microseconds=cell.us)).replace(tzinfo=zone))
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
    EPOCH + timedelta(microseconds=us)  # OverflowError when it is none that can be written down
    return us


def since_epoch(moment: datetime) -> int:
    """Microseconds since 1970; OverflowError before the year 1 and after 9999 in UTC."""
    return _in_range((moment - EPOCH) // _US)
