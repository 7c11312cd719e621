"""The division of a bill over its lines: what was paid, spent and earned on each, frozen when it is booked.

Returns go by it. Of a part `x`, the first `r` of `q` pieces are worth `floor(x * r / q)`, so a return gives the
difference between two such figures, and any sequence of partial returns adds up to the whole, to the point and to the
cent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from msgspec import Struct

from guerdon.core.assets import allocate
from guerdon.core.commands import Line
from guerdon.core.earning import Earning, Occasion
from guerdon.core.programs import Program, Returning
from guerdon.core.tallies import Raised

_NO_CAPS: Mapping[str, tuple[Raised, ...]] = MappingProxyType({})

PIECE = 1000
"""One piece, in thousandths."""


class EarnedParts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one rule of a program's version gave, per line, and what that raised of caps."""

    program_no: int
    version: int
    rule: str
    parts: tuple[int, ...]
    caps: tuple[Raised, ...] = ()


class Division(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Per line, in line order: money `paid`, points `spent` (empty where none were), and points earned by rule; what
    promotions took off (`discounts`) and what `vouchers` paid, both empty where there was nothing.

    `returning` is how the program, at the version that the bill was earned under, takes back what a part had earned;
    where it is evaluated again, `occasion` is what the rules looked at besides the lines.
    """

    paid: tuple[int, ...]
    spent: tuple[int, ...] = ()
    earned: tuple[EarnedParts, ...] = ()
    returning: Returning = "proportional"
    discounts: tuple[int, ...] = ()
    vouchers: tuple[int, ...] = ()
    occasion: Occasion | None = None


def division(
    lines: Sequence[Line],
    shares: Sequence[int],
    *,
    spent: int = 0,
    program: Program | None = None,
    earned: Sequence[Earning] = (),
    discounts: Sequence[int] = (),
    vouchers: int = 0,
    caps: Mapping[str, tuple[Raised, ...]] = _NO_CAPS,
    occasion: Occasion | None = None,
) -> Division:
    """Divide a bill. `shares` is the money per line that points bought; what they cost goes by it, and what is left to
    pay by what is left of the lines. A line that lowers the bill has no part in anything: what it takes off is
    spread over the others. `discounts` came off the lines before, and `vouchers` pay of what is left.
    """
    nets = [line.amount - share for line, share in zip(lines, shares, strict=True)]
    if any(discounts):
        nets = [net - off for net, off in zip(nets, discounts, strict=True)]
    weights = [max(net, 0) for net in nets]
    paid = allocate(sum(nets), weights)
    by_vouchers = allocate(vouchers, weights) if vouchers else []
    if vouchers:
        paid = [part - off for part, off in zip(paid, by_vouchers, strict=True)]
    if not any(discounts):
        discounts = ()
    if program is None:
        return Division(paid=tuple(paid), discounts=tuple(discounts), vouchers=tuple(by_vouchers))
    return Division(
        discounts=tuple(discounts),
        vouchers=tuple(by_vouchers),
        paid=tuple(paid),
        spent=tuple(allocate(spent, shares)) if spent else (),
        earned=tuple(
            EarnedParts(program_no=program.no, version=e.version, rule=e.rule, parts=e.parts, caps=caps.get(e.rule, ()))
            for e in earned
        ),
        returning=program.policies.returns,
        occasion=occasion if program.policies.returns == "reevaluate" else None,
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
