"""What can be wrong with a row before the core ever sees it, each with its code in the result file."""

from __future__ import annotations

from enum import StrEnum


class FaultCode(StrEnum):
    """Why a purchase in a file was not submitted; what the core refuses carries the core's own code."""

    COLUMN_MISSING = "column_missing"
    ROW_TOO_LONG = "row_too_long"
    VALUE_MISSING = "value_missing"
    NOT_A_NUMBER = "not_a_number"
    TOO_MANY_DECIMALS = "too_many_decimals"
    AMOUNT_OUT_OF_RANGE = "amount_out_of_range"
    INVALID_TEXT = "invalid_text"
    INVALID_TIME = "invalid_time"
    PURCHASE_LINES_DIFFER = "purchase_lines_differ"
    TOO_MANY_LINES = "too_many_lines"


class Fault(Exception):
    """A value that cannot be taken as it stands."""

    def __init__(self, code: FaultCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class FileRefused(Exception):
    """The file or its mapping as a whole cannot be used; nothing was submitted."""
