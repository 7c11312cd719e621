"""Imports: what happened to a member's points before Guerdon kept the books, at its own time.

Each row has a natural reference, so that the same file again changes nothing; a refused row may be tried again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from msgspec import Struct

from guerdon.core import endings, lots, members, promises
from guerdon.core.assets import AMOUNT_MAX
from guerdon.core.booking import Booking
from guerdon.core.commands import ImportPoints
from guerdon.core.content import encode, fingerprint, replay
from guerdon.core.dates import local_midnight
from guerdon.core.events import Name
from guerdon.core.ledger import out_of_range
from guerdon.core.members import Member
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.places import Place, locate
from guerdon.core.points import (
    amount_refusal,
    choose_program,
    expire_after,
    expire_overdue,
    expires_at,
    internal,
    owed,
    shortage,
)
from guerdon.core.programs import CATEGORIES, Program
from guerdon.core.results import Imported

if TYPE_CHECKING:
    from guerdon.core.state import State


class ImportedRow(Struct, frozen=True, kw_only=True):
    """A row that was taken; immutable. `kind` and `reference` name it, `fingerprint` tells what it said."""

    kind: str
    reference: str
    event_seq: int
    fingerprint: bytes
    result: str


def known(state: State, kind: str, reference: str, content: bytes) -> Outcome | None:
    """The answer to a row that was taken before, None for a new one or one without a reference."""
    if not reference:
        return None
    row: ImportedRow | None = state.find(("imported", kind, reference))
    if row is None:
        return None
    return replay(row.fingerprint, row.result, content, Rejection.REFERENCE_TAKEN, "reference")


def remember(state: State, kind: str, reference: str, content: bytes, event_seq: int, result: str) -> None:
    if not reference:
        return
    row = ImportedRow(kind=kind, reference=reference, event_seq=event_seq, fingerprint=content, result=result)
    state.put(state.imported, (kind, reference), row)
    state.put(state.found, ("imported", kind, reference), row)


def take(state: State, command: ImportPoints) -> Outcome:
    """Book one row: `PointsImport`, or `PointsLedgerBulkJob` for a balance that opens the accounts it comes to."""
    content = fingerprint(command)
    answered = known(state, command.kind, command.reference, content)
    if answered is not None:
        return answered
    refused = amount_refusal(command.points)
    if refused is not None:
        return refused
    member = members.resolve(state, command.member)
    if isinstance(member, Rejected):
        return member
    place = locate(state, command.where)
    if isinstance(place, Rejected):
        return place
    program = choose_program(state, command.program, place)
    if isinstance(program, Rejected):
        return program
    adds = command.kind in ("balance", "points")
    outcome = (_add if adds else _remove)(state, command, member, program, place)
    if isinstance(outcome, Accepted):
        result = outcome.result
        remember(state, command.kind, command.reference, content, result.event_no, encode(result))
    return outcome


def _add(state: State, command: ImportPoints, member: Member, program: Program, place: Place) -> Outcome:
    """Points from `@PointsOpening` as one lot."""
    category = command.category
    if command.trigger and category != "trigger_based":
        return Rejected(Rejection.INVALID_VALUE, "trigger", {"category": category})
    if command.release_on is not None and category != "promised":
        return Rejected(Rejection.INVALID_VALUE, "release_on", {"category": category})
    opens = command.kind == "balance" and (program.no, category) not in state.member_accounts.get(member.no, {})
    if opens and member.enrolled:
        booking = Booking(state, Name.POINTS_LEDGER_BULK_JOB, member.no, place)
        opening = members.open_accounts(state, booking, member, program)
        account_no = state.member_accounts[member.no][program.no, category]
    else:
        account_no = members.account_in(state, member, program, category)
        for each in _accounts(state, member, program):
            expire_overdue(state, each, place.judged_at)
        booking = Booking(state, Name.POINTS_IMPORT, member.no, place)
        opening = []
    source = internal(state, program, "opening")
    if out_of_range(state.figures_of(source), state.figures_of(account_no), command.points):
        return Rejected(Rejection.AMOUNT_OUT_OF_RANGE, "points", {"maximum": str(AMOUNT_MAX)})
    debt = owed(state, account_no)
    booking.move(source, account_no, command.points)
    lot = _lot(state, command, booking, account_no, program, place)
    lots.repay(state, booking.moves, [lot.no], debt)
    event = booking.close(
        actor=command.actor,
        reason=command.reason,
        reference=command.reference,
        body={"import": command.kind, "program_no": program.no, **({"opening": opening} if opening else {})},
    )
    expired = sum(expire_after(state, each).points for each in _accounts(state, member, program))
    balance = state.figures_of(account_no).balance
    return Accepted(
        Imported(id=event.id, event_no=event.seq, points=command.points, expired=expired, lot=lot.no, balance=balance)
    )


def _lot(
    state: State, command: ImportPoints, booking: Booking, account_no: int, program: Program, place: Place
) -> lots.Lot:
    zone = ZoneInfo(program.policies.timezone)
    if command.never:
        ends = None
    elif command.last_day is not None:
        ends = local_midnight(command.last_day + timedelta(days=1), zone)
    else:
        ends = expires_at(program.policies, place.event_at)
    own = command.never or command.last_day is not None
    promise = promises.Promise(trigger=command.trigger, timezone=program.policies.timezone, follows=0 if own else None)
    releases_at = None
    if command.release_on is not None:
        releases_at = max(local_midnight(command.release_on, zone), place.event_at)
    said = promises.encode(promise) if own or command.category != "regular" else ""
    terms = endings.settle(state, booking, program, "import", promises.Terms(ends, releases_at, said), place.event_at)
    return lots.open_lot(
        state,
        booking.moves,
        account_no,
        booking.seq,
        command.points,
        earned_at=place.event_at,
        expires_at=terms.expires_at,
        rule="import",
        version=program.version,
        releases_at=releases_at,
        promise=terms.promise,
    )


def _remove(state: State, command: ImportPoints, member: Member, program: Program, place: Place) -> Outcome:
    """Points to `@PointsAdjusted`: spent or ended elsewhere, out of what was there at the time."""
    if command.kind == "redemption" and command.category != "regular":
        return Rejected(Rejection.CATEGORY_NOT_SPENDABLE, "category", {"category": command.category})
    account_no = members.account_in(state, member, program, command.category)
    expire_overdue(state, account_no, place.judged_at)
    refused = shortage(state, account_no, command.points)
    if refused is not None:
        return refused
    booking = Booking(state, Name.POINTS_IMPORT, member.no, place)
    kind: lots.MoveKind = "take" if command.kind == "redemption" else "expire"
    missing = lots.take(state, booking.moves, account_no, command.points, place.judged_at, kind)
    assert not missing, "what is there was checked"
    booking.move(account_no, internal(state, program, "adjusted"), command.points)
    event = booking.close(
        actor=command.actor,
        reason=command.reason,
        reference=command.reference,
        body={"import": command.kind, "program_no": program.no},
    )
    for each in _accounts(state, member, program):
        expire_after(state, each)
    balance = state.figures_of(account_no).balance
    return Accepted(Imported(id=event.id, event_no=event.seq, points=command.points, expired=0, lot=0, balance=balance))


def _accounts(state: State, member: Member, program: Program) -> list[int]:
    accounts = state.member_accounts[member.no]
    return [accounts[program.no, category] for category in CATEGORIES]
