"""Expiry changes: points that end later, or earlier, than they were going to.

What has ended stays ended, and nothing can be made to end in the past; the old and the new end stand on events. Points
whose end was set like this keep it: neither activity nor another policy changes it any more.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import msgspec

from guerdon.core import imports, lots, members, promises
from guerdon.core.booking import Booking
from guerdon.core.commands import ChangeExpiry
from guerdon.core.content import encode, fingerprint
from guerdon.core.dates import local_midnight
from guerdon.core.events import Name
from guerdon.core.lots import Lot
from guerdon.core.metadata import write_first
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.places import locate
from guerdon.core.points import expire_overdue, program_of
from guerdon.core.results import Redated
from guerdon.core.unlocks import accounts_of, purchase_of

if TYPE_CHECKING:
    from guerdon.core.state import State

LATEST = date(9998, 12, 31)
"""The last day with which points may end; beyond it they had better never."""

EARLIEST = date(1970, 1, 1)


def change(state: State, command: ChangeExpiry) -> Outcome:
    """Give lots another end. Refused as a whole when one of them would end in the past, or none is meant."""
    content = fingerprint(command)
    known = imports.known(state, "expiry_change", command.reference, content)
    if known is not None:
        return known
    refused = _asked_wrongly(command)
    if refused is not None:
        return refused
    member = members.resolve(state, command.member)
    if isinstance(member, Rejected):
        return member
    place = locate(state, command.where)
    if isinstance(place, Rejected):
        return place
    program = None
    if command.program is not None:
        program = state.config.program(command.program)
        if program is None:
            return Rejected(Rejection.PROGRAM_NOT_FOUND, "program", {"program": command.program[1]})
    purchase_no = purchase_of(state, member, command.purchase)
    if isinstance(purchase_no, Rejected):
        return purchase_no
    accounts = accounts_of(state, member, program).values()
    for account_no in accounts:
        expire_overdue(state, account_no, state.now)
    found = {lot.no: lot for lot in state.open_lots(*accounts)}
    for i, no in enumerate(command.lots):
        if no not in found:
            return Rejected(Rejection.LOT_NOT_FOUND, f"lots[{i}]", {"lot": no})
    chosen = [found[no] for no in sorted(set(command.lots) or found)]
    chosen = [lot for lot in chosen if not purchase_no or lot.purchase_no == purchase_no]
    changed = [(lot, new) for lot in chosen if (new := _redated(state, lot, command)) is not lot]
    if not changed:
        return Rejected(Rejection.LOT_NOT_FOUND, "lots", {"reason": "no points here whose end this would change"})
    for lot, new in changed:
        if new.expires_at is not None and new.expires_at <= state.now:
            return Rejected(Rejection.EXPIRY_IN_THE_PAST, "last_day" if command.last_day else "days", {"lot": lot.no})
    booking = Booking(state, Name.POINTS_EXPIRY_CHANGE, member.no, place)
    for lot, new in changed:
        lots.place(state, booking.moves, lot, "redate", new)
    event = booking.close(
        actor=command.actor,
        reason=command.reason,
        reference=command.reference,
        purchase_no=purchase_no,
        body={"ended": [[lot.no, lot.expires_at] for lot, _ in changed]},
    )
    result = Redated(
        id=command.id,
        event_no=event.seq,
        points=sum(lot.remaining for lot, _ in changed),
        lots=tuple((new.no, new.remaining, new.expires_at) for _, new in changed),
    )
    imports.remember(state, "expiry_change", command.reference, content, event.seq, encode(result))
    write_first(state, "xpc", command.id, command.meta)
    return Accepted(result)


def _asked_wrongly(command: ChangeExpiry) -> Rejected | None:
    """Whether the new end is said once, and can be an end."""
    said = (command.last_day is not None) + (command.days is not None) + command.never
    if said != 1:
        return Rejected(Rejection.INVALID_VALUE, "last_day", {"reason": "say one of last_day, days, never"})
    if command.last_day is not None and command.last_day > LATEST:
        return Rejected(Rejection.INVALID_VALUE, "last_day", {"maximum": LATEST.isoformat()})
    if command.days == 0:
        return Rejected(Rejection.INVALID_VALUE, "days", {"reason": "zero days change nothing"})
    if command.lots and command.purchase is not None:
        return Rejected(Rejection.INVALID_VALUE, "lots", {"reason": "say lots or a purchase, not both"})
    return None


def _redated(state: State, lot: Lot, command: ChangeExpiry) -> Lot:
    """The lot with its new end; the lot itself where nothing changes, as with days more for what never ends, or ends so
    long after a release that nobody knows. With an end that is said, no other counts from the release any more.
    """
    promise = promises.decode(lot.promise)
    ends = lot.expires_at
    if command.days is None:
        ends = _end_of(state, lot, command)
        promise = msgspec.structs.replace(promise, expiry=None)
    elif ends is not None:
        ends = _shifted(state, lot, ends, command.days)
        promise = msgspec.structs.replace(promise, expiry=None)
    if ends == lot.expires_at and promise == promises.decode(lot.promise):
        return lot
    own = msgspec.structs.replace(promise, follows=0)
    return msgspec.structs.replace(lot, expires_at=ends, promise=promises.encode(own))


def _end_of(state: State, lot: Lot, command: ChangeExpiry) -> datetime | None:
    if command.last_day is None:
        return None
    return local_midnight(command.last_day + timedelta(days=1), _zone(state, lot))


def _shifted(state: State, lot: Lot, ends: datetime, days: int) -> datetime:
    """The same local midnight some days on."""
    zone = _zone(state, lot)
    day = ends.astimezone(zone).date()
    return local_midnight(day + timedelta(days=max((EARLIEST - day).days, min(days, (LATEST - day).days))), zone)


def _zone(state: State, lot: Lot) -> ZoneInfo:
    return ZoneInfo(program_of(state, lot.account).policies.timezone)
