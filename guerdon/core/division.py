"""The division of a bill over its lines: what was paid, spent and earned on each, frozen when it is booked.

Returns go by it. Of a part `x`, the first `r` of `q` pieces are worth `floor(x * r / q)`, so a return gives the
difference between two such figures, and any sequence of partial returns adds up to the whole, to the point and to the
cent.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from guerdon.core.assets import allocate
from guerdon.core.commands import Line
from guerdon.core.earning import Earning
from guerdon.core.programs import Program, Returning

PIECE = 1000
"""One piece, in thousandths."""


class EarnedParts(Struct, frozen=True, kw_only=True):
    """What one rule of a program's version gave, per line."""

    program_no: int
    version: int
    rule: str
    parts: tuple[int, ...]


class Division(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Per line, in line order: money `paid`, points `spent` (empty where none were), and points earned by rule.

    `returning` is how the program, at the version that the bill was earned under, takes back what a part had earned.
    """

    paid: tuple[int, ...]
    spent: tuple[int, ...] = ()
    earned: tuple[EarnedParts, ...] = ()
    returning: Returning = "proportional"


def division(
    lines: Sequence[Line],
    shares: Sequence[int],
    *,
    spent: int = 0,
    program: Program | None = None,
    earned: Sequence[Earning] = (),
) -> Division:
    """Divide a bill. `shares` is the money per line that points bought; what they cost goes by it, and what is left to
    pay by what is left of the lines. A line that lowers the bill has no part in anything: what it takes off is
    spread over the others.
    """
    nets = [line.amount - share for line, share in zip(lines, shares, strict=True)]
    paid = allocate(sum(nets), [max(net, 0) for net in nets])
    if program is None:
        return Division(paid=tuple(paid))
    return Division(
        paid=tuple(paid),
        spent=tuple(allocate(spent, shares)) if spent else (),
        earned=tuple(EarnedParts(program_no=program.no, version=e.version, rule=e.rule, parts=e.parts) for e in earned),
        returning=program.policies.returns,
    )


def pieces(line: Line) -> int:
    """How much of a line can be returned, in thousandths. What has no positive quantity is one piece."""
    return line.quantity if line.quantity > 0 else PIECE


def worth(part: int, returned: int, bought: int) -> int:
    """What the first `returned` of `bought` pieces are worth of a line's part, toward zero."""
    return part * returned // bought if part >= 0 else -(-part * returned // bought)


def growth(parts: Sequence[int], before: Sequence[int], after: Sequence[int], bought: Sequence[int]) -> int:
    """What is to be given back when the quantities returned grow from `before` to `after`."""
    return sum(
        worth(part, now, whole) - worth(part, was, whole)
        for part, was, now, whole in zip(parts, before, after, bought, strict=False)
        if now > was
    )
