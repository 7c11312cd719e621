"""The points that a program owes its members, by month: what made them more, what made them less.

Promises that each month opens with what the one before left, and that the last one ends with what the members hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

ADDING = ("opened", "issued", "reversed")
TAKING = ("redeemed", "returned", "expired")
EITHER_WAY = ("adjusted", "transferred")
"""What the columns do to what is owed; together with the opening they make the outstanding."""

_COLUMN = {
    "opening": "opened",
    "pool": "issued",
    "reversed": "reversed",
    "returned": "returned",
    "expired": "expired",
    "adjusted": "adjusted",
}


class Flow(Struct, frozen=True):
    """Points that went to a program's members (from them, where `points` is below zero) in a month, "2026-11".

    `role` is that of the program's internal account (`programs.ROLES`) on the other side, "" for any other account.
    """

    month: str
    role: str
    points: int


class Month(Struct, kw_only=True):
    """Minor units. `written_off` is what returns could not take back: it changed nothing that is owed."""

    month: str
    opening: int = 0
    opened: int = 0
    issued: int = 0
    reversed: int = 0
    redeemed: int = 0
    returned: int = 0
    expired: int = 0
    adjusted: int = 0
    transferred: int = 0
    written_off: int = 0
    outstanding: int = 0


def column(role: str, points: int) -> str:
    """Where a flow is shown: by the account it came from or went to. What members pay into the pool is redeemed."""
    if role == "pool" and points < 0:
        return "redeemed"
    return _COLUMN.get(role, "transferred")


def months(flows: Iterable[Flow], written_off: dict[str, int], first: str = "", last: str = "") -> list[Month]:
    """Every month from the first to the last in which something happened, or of those asked for."""
    found: dict[str, Month] = {}
    for flow in flows:
        month = found.setdefault(flow.month, Month(month=flow.month))
        name = column(flow.role, flow.points)
        points = -flow.points if name in TAKING else flow.points
        setattr(month, name, getattr(month, name) + points)
    for name, points in written_off.items():
        found.setdefault(name, Month(month=name)).written_off += points
    made: list[Month] = []
    outstanding = 0
    for name in _from_to(min([*found, *filter(None, (first, last))], default=""), max([*found, last], default="")):
        month = found.get(name) or Month(month=name)
        month.opening = outstanding
        outstanding += sum(getattr(month, each) for each in (*ADDING, *EITHER_WAY))
        outstanding -= sum(getattr(month, each) for each in TAKING)
        month.outstanding = outstanding
        made.append(month)
    return [month for month in made if month.month >= first and (not last or month.month <= last)]


def _from_to(first: str, last: str) -> Iterator[str]:
    if not first:
        return
    year, month = int(first[:4]), int(first[5:])
    while (name := f"{year:04d}-{month:02d}") <= last:
        yield name
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
