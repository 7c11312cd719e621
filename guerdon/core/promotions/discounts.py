"""The arithmetic of discounts: percent, spreading under a floor, and the shares that returns give back.

Promises: integers only; one rounding per effect on its whole target; parts add up to the whole; no part exceeds its
room; a negative total gives the same parts with the other sign.
"""

from __future__ import annotations

from collections.abc import Sequence

from guerdon.core.assets import Rounding, allocate, divide
from guerdon.core.promotions.effects import WHOLE


def percent_of(amount: int, ppm: int, mode: Rounding) -> int:
    """`ppm` millionths of an amount of any sign, rounded once."""
    return divide(amount * ppm, WHOLE, mode)


def spread(total: int, weights: Sequence[int], rooms: Sequence[int]) -> list[int]:
    """Split `total` (any sign) in proportion to `weights`, no part beyond its room; what fits nowhere is left out.

    Parts that would exceed their room are filled and set aside, and the rest is split anew over the others (reference
    cases A22 to A26). What has no weight gets nothing.
    """
    if total < 0:
        return [-part for part in spread(-total, weights, rooms)]
    parts = [0] * len(weights)
    open_ = [i for i, weight in enumerate(weights) if weight > 0 and rooms[i] > 0]
    left = min(total, sum([rooms[i] for i in open_]))
    while left:
        tried = allocate(left, [weights[i] for i in open_])
        full = {i for i, part in zip(open_, tried, strict=True) if part > rooms[i]}
        if not full:
            for i, part in zip(open_, tried, strict=True):
                parts[i] = part
            return parts
        for i in full:
            parts[i] = rooms[i]
            left -= rooms[i]
        open_ = [i for i in open_ if i not in full]
    return parts


def reduced(parts: Sequence[int], most: int) -> list[int]:
    """The same parts in proportion, adding up to at most `most`; none grows."""
    total = sum(parts)
    return list(parts) if total <= most else allocate(max(0, most), parts)


def returned_share(whole: int, quantity: int, before: int, now: int, mode: Rounding) -> int:
    """What of a line's frozen discount (or amount) goes back when `now` of `quantity` is returned after `before`.

    Rounded on the running total, so that any sequence of partial returns adds up to the whole.
    """
    return divide(whole * (before + now), quantity, mode) - divide(whole * before, quantity, mode)
