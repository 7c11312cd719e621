"""Sheets: rows of an import file, or of an import request, as commands. One kind of sheet has one set of columns.

Every cell is text, as a CSV file has it; an empty one says nothing. What a row says wrongly is refused with its column
named, before it is a command. Times without an offset, and days, are in the zone of the row's program.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from guerdon.core.assets import AMOUNT_MAX
from guerdon.core.commands import ChangeExpiry, Command, ImportPoints, ListMembers, RegisterMember, Selector, Where
from guerdon.core.members import IDENTIFIER_KINDS, normalise
from guerdon.core.outcomes import Accepted, Rejected, Rejection
from guerdon.core.programs import CATEGORIES
from guerdon.core.results import MembersListed

Kind = Literal["members", "balances", "points", "redemptions", "expiry", "segments"]

PROFILE = ("first_name", "last_name", "other_names", "gender", "dob", "nationality", "street", "city", "state",
           "country", "post_code")  # fmt: skip

COLUMNS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "members": ((), (*IDENTIFIER_KINDS, "registered_at", "source", *PROFILE)),
    "balances": (
        ("member", "points"),
        ("reference", "program", "category", "as_of", "last_day", "release_on", "trigger"),
    ),
    "points": (
        ("member", "points", "earned_at"),
        ("reference", "program", "category", "last_day", "release_on", "trigger", "source", "reason"),
    ),
    "redemptions": (("member", "points", "redeemed_at"), ("reference", "program", "source", "reason")),
    "expiry": (
        ("member",),
        ("reference", "program", "purchase", "category", "last_day", "days", "points", "expired_at", "reason"),
    ),
    "segments": (("member",), ("segment", "action")),
}
"""Per kind the columns that a row must fill, and those that it may."""

TEXT_MAX = 500
MISSHAPEN = ""
"""Under this name stands what is wrong with a row of more or fewer cells than there are names."""
NEVER = "never"
ACTIONS = {"add": True, "remove": False}
_TIMES = {"balances": "as_of", "points": "earned_at", "redemptions": "redeemed_at", "expiry": "expired_at"}


class Terms(Struct, frozen=True, kw_only=True):
    """What a sheet needs to know of a program: its code, the scale of its points, its time zone."""

    code: str
    scale: int
    timezone: str


class Row(Struct, frozen=True, kw_only=True):
    """A row: its number from 1, its cells by column, and the reference it goes by where it has none of its own."""

    number: int
    cells: Mapping[str, str]
    reference: str


class _Wrong(Exception):
    def __init__(self, column: str, reason: str) -> None:
        super().__init__(column, reason)
        self.refusal = Rejected(Rejection.INVALID_VALUE, column, {"reason": reason})


def command(kind: Kind, row: Row, programs: Mapping[str, Terms], meant: str, envelope: Any) -> Command | Rejected:
    """The command that a row asks for, or what is wrong with it. `meant` is the code of the program, or of the segment,
    of rows that name none; `envelope` has the command's id, time and actor.
    """
    try:
        cells = _cells(kind, row)
        if kind == "members":
            return _member(cells, envelope)
        if kind == "segments":
            return _listed(cells, meant, envelope)
        code = cells.get("program", meant)
        terms = programs.get(code)
        if terms is None:
            return Rejected(Rejection.PROGRAM_NOT_FOUND, "program", {"program": code})
        return _points(kind, row, cells, terms, envelope)
    except _Wrong as wrong:
        return wrong.refusal


def _cells(kind: Kind, row: Row) -> dict[str, str]:
    """The cells that say something, of the columns that there are."""
    if MISSHAPEN in row.cells:
        raise _Wrong("", row.cells[MISSHAPEN])
    needed, known = COLUMNS[kind]
    cells = {name: text.strip() for name, text in row.cells.items() if text.strip()}
    for name, text in cells.items():
        if name not in needed and name not in known:
            raise _Wrong(name, "there is no such column")
        if len(text) > TEXT_MAX or "\x00" in text:
            raise _Wrong(name, f"at most {TEXT_MAX} characters, none of them NUL")
    for name in needed:
        if name not in cells:
            raise _Wrong(name, "the cell is empty")
    return cells


def _member(cells: dict[str, str], envelope: Any) -> Command:
    identifiers = tuple((name, normalise(name, cells[name])) for name in IDENTIFIER_KINDS if name in cells)
    if not identifiers or not all(value for _, value in identifiers):
        raise _Wrong("external_id", "a member needs an identifier: external_id, email, mobile or card")
    profile = {name: cells[name] for name in PROFILE if name in cells}
    return RegisterMember(
        **envelope,
        identifiers=identifiers,
        profile=msgspec.json.encode(profile).decode() if profile else "",
        event_at=_instant(cells, "registered_at", "UTC"),
        source=cells.get("source", ""),
        imported=True,
    )


def _listed(cells: dict[str, str], meant: str, envelope: Any) -> Command:
    segment = cells.get("segment", meant)
    if not segment:
        raise _Wrong("segment", "the code of a list is expected")
    action = cells.get("action", "add").lower()
    if action not in ACTIONS:
        raise _Wrong("action", "one of " + ", ".join(ACTIONS))
    return ListMembers(**envelope, segment=segment, members=(_selector(cells["member"]),), present=ACTIONS[action])


def became(outcome: Accepted) -> tuple[str, int]:
    """What became of a row that was taken: `accepted`, or `replayed` where it changed nothing; and its event's number,
    0 for none.
    """
    result = outcome.result
    if isinstance(result, MembersListed):
        return ("accepted" if result.changed and not outcome.replayed else "replayed"), 0
    return ("replayed" if outcome.replayed else "accepted"), result.event_no


def _points(kind: Kind, row: Row, cells: dict[str, str], terms: Terms, envelope: Any) -> Command:
    where = Where(event_at=_instant(cells, _TIMES[kind], terms.timezone), source=cells.get("source", ""), imported=True)
    common: dict[str, Any] = {
        **envelope,
        "member": _selector(cells["member"]),
        "program": ("code", terms.code),
        "reference": cells.get("reference", row.reference),
        "reason": cells.get("reason", ""),
        "never": cells.get("last_day") == NEVER,
        "last_day": None if cells.get("last_day") == NEVER else _day(cells, "last_day"),
    }
    if kind == "expiry" and "points" not in cells:
        purchase = cells.get("purchase")
        return ChangeExpiry(
            **common, purchase=("number", purchase) if purchase else None, days=_whole(cells, "days"), where=where
        )
    if kind == "expiry" and "expired_at" not in cells:
        raise _Wrong("expired_at", "points that had ended need the time at which they did")
    category = cells.get("category", "regular")
    if category not in CATEGORIES:
        raise _Wrong("category", "one of " + ", ".join(CATEGORIES))
    kinds: dict[str, Any] = {"balances": "balance", "redemptions": "redemption"}
    return ImportPoints(
        **common,
        kind=kinds.get(kind, kind),
        points=_figure(cells["points"], terms.scale),
        category=category,  # type: ignore[arg-type]
        release_on=_day(cells, "release_on"),
        trigger=cells.get("trigger", ""),
        where=where,
    )


def _selector(text: str) -> Selector:
    """`email:…`, `number:…` and so on; plain text is an external id."""
    kind, colon, value = text.partition(":")
    if colon and kind in IDENTIFIER_KINDS:
        return (kind, normalise(kind, value))
    if colon and kind == "number":
        return ("number", value.strip())
    return ("external_id", normalise("external_id", text))


def _figure(text: str, scale: int) -> int:
    """Exact points in minor units: digits, and at most `scale` decimals behind a point."""
    match = re.fullmatch(r"(-?)([0-9]{1,38})(?:\.([0-9]*))?", text, re.ASCII)
    if match is None:
        raise _Wrong("points", "digits with a decimal point are expected")
    decimals = (match[3] or "").rstrip("0")
    if len(decimals) > scale:
        raise _Wrong("points", f"at most {scale} decimals here" if scale else "whole points only here")
    figure = int(match[2] + decimals.ljust(scale, "0")) * (-1 if match[1] else 1)
    if figure > AMOUNT_MAX:
        raise _Wrong("points", "too many digits")
    return figure


def _whole(cells: dict[str, str], name: str) -> int | None:
    text = cells.get(name)
    if text is None:
        return None
    if not re.fullmatch(r"-?[0-9]{1,5}", text, re.ASCII):
        raise _Wrong(name, "a whole number of days is expected")
    return int(text)


def _day(cells: dict[str, str], name: str) -> date | None:
    text = cells.get(name)
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise _Wrong(name, "a day is expected: 2027-06-30") from None


def _instant(cells: dict[str, str], name: str, timezone: str) -> datetime | None:
    text = cells.get(name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(timezone))).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _Wrong(name, "a time is expected: 2027-06-30T15:00:00Z, or a day") from None
