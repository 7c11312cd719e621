"""Assets, amounts in minor units, rounding and allocation.

Promises that no amount is ever a float, that every division names its rounding, and that parts always add up to
the whole. Knows nothing of accounts.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from fractions import Fraction

from msgspec import Struct

AMOUNT_MAX = 10**38 - 1
"""The largest figure that is stored anywhere: NUMERIC(38, 0). Amounts and balances beyond it are refused."""

SCALE_MAX = 18


class Asset(Struct, frozen=True):
    """What is counted: a code and the number of decimals of its minor unit, fixed at first use."""

    code: str
    scale: int


class Rounding(Enum):
    """How a fraction becomes an integer. Modes are named as in `decimal`; all but floor and ceiling are sign-
    symmetric.
    """

    HALF_UP = "half_up"
    HALF_EVEN = "half_even"
    HALF_DOWN = "half_down"
    DOWN = "down"
    UP = "up"
    FLOOR = "floor"
    CEILING = "ceiling"


def divide(numerator: int, denominator: int, mode: Rounding) -> int:
    """`numerator / denominator` as an integer; the denominator is positive. HALF_UP is away from zero on a tie."""
    if mode is Rounding.FLOOR:
        return numerator // denominator
    if mode is Rounding.CEILING:
        return -(-numerator // denominator)
    quotient, rest = divmod(abs(numerator), denominator)
    twice = 2 * rest
    if mode is Rounding.UP:
        away = rest > 0
    elif mode is Rounding.HALF_UP:
        away = twice >= denominator
    elif mode is Rounding.HALF_DOWN:
        away = twice > denominator
    elif mode is Rounding.HALF_EVEN:
        away = twice > denominator or (twice == denominator and quotient % 2 == 1)
    else:
        away = False
    magnitude = quotient + away
    return magnitude if numerator >= 0 else -magnitude


def rounded(value: Fraction, mode: Rounding) -> int:
    """An exact fraction as an integer."""
    return divide(value.numerator, value.denominator, mode)


def allocate(total: int, weights: Sequence[int]) -> list[int]:
    """Split `total` (any sign) in proportion to non-negative `weights`; the parts add up to `total`.

    Largest remainder; equal remainders go to the lowest position. With no weight at all the first part takes
    everything.
    """
    if not weights:
        return []
    whole = sum(weights)
    if whole == 0:
        return [total] + [0] * (len(weights) - 1)
    sign = -1 if total < 0 else 1
    size = abs(total)
    parts = [size * weight // whole for weight in weights]
    missing = size - sum(parts)
    if missing:
        order = sorted(range(len(weights)), key=lambda i: (-(size * weights[i] % whole), i))
        for i in order[:missing]:
            parts[i] += 1
    return [sign * part for part in parts] if sign < 0 else parts


def decimal_text(minor: int, scale: int) -> str:
    """`12345` at scale 2 as `"123.45"`: exact, no exponent, all decimals of the scale."""
    if scale == 0:
        return str(minor)
    digits = str(abs(minor)).rjust(scale + 1, "0")
    return f"{'-' if minor < 0 else ''}{digits[:-scale]}.{digits[-scale:]}"
