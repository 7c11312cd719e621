"""Activity: what a member did, as tiers and segments count it. It stands on purchases and their returns, which never
change; nothing else is kept of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from guerdon.core.division import pieces

if TYPE_CHECKING:
    from guerdon.core.commands import Line
    from guerdon.core.division import Division
    from guerdon.core.purchases import Purchase, PurchaseReturn

DIGITS_MAX = 12
"""What a line says of itself with more digits before the point is no figure."""


class Bill(Struct, frozen=True, kw_only=True):
    """What is looked at of a purchase."""

    no: int
    program_no: int
    event_at: datetime
    currency: str
    paid: int
    lines: tuple[Line, ...]
    division: Division


class Back(Struct, frozen=True, kw_only=True):
    """What is looked at of a return."""

    no: int
    event_at: datetime
    lines: tuple[tuple[int, int], ...]
    paid: int
    earned: tuple[int, ...]


class Deed(Struct, frozen=True, kw_only=True):
    """A purchase, or what was taken back of one (figures of zero or less).

    `counts_at` is the time of the purchase; `at` from when on the deed is one of this member's: its own event time,
    that of the return, or of the merge that brought it. `paid` in minor units of `currency`; `points` are those earned,
    in minor units; `visits` 1, and -1 for the return after which nothing of the bill is left; `attributes` the numbers
    that its lines say, summed, in thousandths.
    """

    purchase_no: int
    program_no: int
    at: datetime
    counts_at: datetime
    currency: str
    paid: int
    points: int
    visits: int
    attributes: dict[str, int] = {}


class Activity(Struct, frozen=True, kw_only=True):
    """All that a member did, in no order; and when those that the member is were registered: (from when on that counts,
    the time).
    """

    joined: tuple[tuple[datetime, datetime], ...]
    deeds: tuple[Deed, ...] = ()

    def joined_at(self, at: datetime) -> datetime:
        """Since when the member belongs, as it is at a moment."""
        return min((registered for since, registered in self.joined if since <= at), default=self.joined[0][1])

    def within(self, program_no: int) -> Activity:
        """That of one program."""
        return msgspec.structs.replace(self, deeds=tuple(d for d in self.deeds if d.program_no == program_no))

    def before(self, at: datetime) -> Activity:
        """That of purchases before a moment, with what came back of them whenever it did."""
        return msgspec.structs.replace(self, deeds=tuple(d for d in self.deeds if d.counts_at < at))

    def add(self, deeds: Iterable[Deed]) -> Activity:
        return msgspec.structs.replace(self, deeds=(*self.deeds, *deeds))

    def join(self, other: Activity, at: datetime) -> Activity:
        """With that of another who is the same person, from a moment on."""
        joined = [(max(since, at), registered) for since, registered in other.joined]
        deeds = [msgspec.structs.replace(deed, at=max(deed.at, at)) for deed in other.deeds]
        return Activity(joined=(*self.joined, *joined), deeds=(*self.deeds, *deeds))


def deeds(purchase: Purchase | Bill, returns: Sequence[PurchaseReturn | Back] = ()) -> list[Deed]:
    """What a purchase and its returns, by number, are worth. A return takes of the lines' numbers the share of what
    comes back, so that all returns together take them all.
    """
    bought = [pieces(line) for line in purchase.lines]
    back = [0] * len(bought)
    program_no = purchase.program_no
    found = [
        Deed(
            purchase_no=purchase.no,
            program_no=program_no,
            at=purchase.event_at,
            counts_at=purchase.event_at,
            currency=purchase.currency,
            paid=purchase.paid,
            points=sum(sum(each.parts) for each in purchase.division.earned),
            visits=1,
            attributes=_attributes(purchase, bought, [0] * len(bought)),
        )
    ]
    left = found[0].attributes
    for each in sorted(returns, key=lambda each: each.no):
        for position, quantity in each.lines:
            back[position] += quantity
        kept = _attributes(purchase, bought, back)
        found.append(
            Deed(
                purchase_no=purchase.no,
                program_no=program_no,
                at=max(each.event_at, purchase.event_at),
                counts_at=purchase.event_at,
                currency=purchase.currency,
                paid=-each.paid,
                points=-sum(each.earned),
                visits=-1 if back == bought else 0,
                attributes={name: kept.get(name, 0) - amount for name, amount in left.items()},
            )
        )
        left = kept
    return found


def _attributes(purchase: Purchase | Bill, bought: Sequence[int], back: Sequence[int]) -> dict[str, int]:
    """The numbers that the lines say, for what is left of each, rounded down once."""
    sums: dict[str, Fraction] = {}
    for line, whole, gone in zip(purchase.lines, bought, back, strict=True):
        for name, value in line.attributes.items():
            number = _thousandths(value)
            if number:
                share = Fraction(number * (whole - gone), whole) if whole else Fraction(number)
                sums[name] = sums.get(name, Fraction(0)) + share
    return {name: amount.numerator // amount.denominator for name, amount in sums.items()}


def _thousandths(value: Any) -> int:
    """A line's word for a number, 0 where it is none: 3, 2.5 and "2.5" are. What is beyond thousandths is cut off."""
    whole, _, part = str(value).partition(".")
    if not (whole.isascii() and whole.isdigit() and len(whole) <= DIGITS_MAX):
        return 0
    if part and not (part.isascii() and part.isdigit()):
        return 0
    return int(whole) * 1000 + int(part[:3].ljust(3, "0"))
