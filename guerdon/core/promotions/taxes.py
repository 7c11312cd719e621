"""Tax on what is left after discounts: computed on the discounted base, never as a tax less the tax of a discount."""

from __future__ import annotations

from msgspec import Struct

from guerdon.core.assets import Rounding, divide
from guerdon.core.promotions.effects import WHOLE


class Taxed(Struct, frozen=True):
    """One amount taken apart, in minor units: `net + tax = gross`."""

    net: int
    tax: int
    gross: int


def taxed(amount: int, ppm: int, included: bool, mode: Rounding = Rounding.HALF_UP) -> Taxed:
    """`amount` after discounts, of any sign, with or without its tax in it, at a rate in parts per million."""
    if included:
        net = divide(amount * WHOLE, WHOLE + ppm, mode)
        return Taxed(net, amount - net, amount)
    tax = divide(amount * ppm, WHOLE, mode)
    return Taxed(amount, tax, amount + tax)
