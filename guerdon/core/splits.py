"""Splits: one amount over several accounts, adding up to the whole."""

from __future__ import annotations

from collections.abc import Sequence

from guerdon.core.commands import Leg

PERCENT_WHOLE = 10**12
"""The `value` of a leg that takes 100 %."""


def split(total: int, legs: Sequence[Leg]) -> list[int] | None:
    """The amounts of the legs of a split; they add up to `total`. None if the distribution is impossible.

    Fixed legs first, then percentages of the total (truncated; what truncation left goes to the largest of them), then
    one `left` leg. What still differs from the total goes to the largest leg, the first on a tie. (Blnk's algorithm,
    reference 2.7, with its random tie broken by position.)
    """
    if len({leg.account for leg in legs}) < len(legs) or sum(leg.share == "left" for leg in legs) > 1:
        return None
    if any(leg.value < 0 for leg in legs):
        return None
    fixed = sum(leg.value for leg in legs if leg.share == "fixed")
    shares = sum(leg.value for leg in legs if leg.share == "percent")
    if fixed > total or shares > PERCENT_WHOLE:
        return None
    amounts = [
        leg.value if leg.share == "fixed" else total * leg.value // PERCENT_WHOLE if leg.share == "percent" else 0
        for leg in legs
    ]
    percents = [i for i, leg in enumerate(legs) if leg.share == "percent"]
    if percents:
        largest = max(percents, key=lambda i: (legs[i].value, -i))
        amounts[largest] += total * shares // PERCENT_WHOLE - sum(amounts[i] for i in percents)
    rest = total - sum(amounts)
    if rest < 0:
        return None
    left = [i for i, leg in enumerate(legs) if leg.share == "left"]
    amounts[left[0] if left else max(range(len(legs)), key=lambda i: (amounts[i], -i))] += rest
    return amounts
