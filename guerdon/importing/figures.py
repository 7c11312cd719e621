"""Exact figures from text and floats: decimals to minor units without any float arithmetic.

A float is taken as its shortest decimal text, which is what whoever wrote it meant by it. Nothing is ever
rounded, except that a float within the mapping's `float_noise` of a whole minor unit is that unit.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from guerdon.core.assets import AMOUNT_MAX, Rounding, rounded
from guerdon.importing.faults import Fault, FaultCode

TEXT_MAX = 100
CACHE_VALUES_MAX = 65_536

_DECIMAL = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]{1,4}))?")


def minor_units(text: str, scale: int) -> int:
    """`"12.5"` at scale 2 as 1250; refuses what is no number, has more decimals, or is too large."""
    found = _DECIMAL.fullmatch(text) if len(text) <= TEXT_MAX else None
    if found is None or not (found[2] or found[3]):
        raise Fault(FaultCode.NOT_A_NUMBER, f"{text[:TEXT_MAX]!r} is not a decimal number")
    sign, whole, decimals, exponent = found[1], found[2], found[3] or "", int(found[4] or 0)
    digits = (whole + decimals).lstrip("0")
    stripped = digits.rstrip("0")
    shift = exponent - len(decimals) + scale + len(digits) - len(stripped)
    if not stripped:
        return 0
    if shift < 0:
        raise Fault(FaultCode.TOO_MANY_DECIMALS, f"{text} has more than {scale} decimals")
    if len(stripped) + shift > len(str(AMOUNT_MAX)):
        raise Fault(FaultCode.AMOUNT_OUT_OF_RANGE, f"{text} is larger than any amount can be")
    value = int(stripped + "0" * shift)
    return -value if sign == "-" else value


def figure_reader(scale: int, *, decimal: str = ".", float_noise: str = "0") -> Callable[[object], int]:
    """A function from a cell (text, float, integer or decimal) to minor units at `scale`.

    Figures repeat in real files, so the function remembers the latest ones.
    """
    noise = Fraction(float_noise)

    def figure(cell: object) -> int:
        if isinstance(cell, float):
            return _float_units(cell, scale, noise)
        if isinstance(cell, str):
            text = cell.strip()
            if text == "":
                raise Fault(FaultCode.VALUE_MISSING, "the cell is empty")
            if decimal != ".":
                text = text.replace(".", "?").replace(decimal, ".")
            return minor_units(text, scale)
        if cell is None:
            raise Fault(FaultCode.VALUE_MISSING, "the cell is empty")
        if isinstance(cell, (int, Decimal)) and not isinstance(cell, bool):
            return minor_units(str(cell), scale)
        raise Fault(FaultCode.NOT_A_NUMBER, f"{cell!r} is not a number")

    return lru_cache(maxsize=CACHE_VALUES_MAX, typed=True)(figure)


def _float_units(value: float, scale: int, noise: Fraction) -> int:
    text = repr(value)
    try:
        return minor_units(text, scale)
    except Fault as fault:
        if fault.code is not FaultCode.TOO_MANY_DECIMALS or not noise:
            raise
        exact = Fraction(text) * 10**scale
        nearest = rounded(exact, Rounding.HALF_UP)
        if abs(exact - nearest) > noise * 10**scale:
            raise
        return nearest
