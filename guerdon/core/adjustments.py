"""Manual adjustments: points corrected by hand, against `@PointsAdjusted`.

Above the program's limit two different persons must agree: the adjustment then waits, and is booked when another one
approves it, on what the member has at that moment. What was asked and what was decided are rows of their own that never
change; whether an adjustment still waits follows from them and from the time. That it waits, and that it was rejected,
are events that move nothing (`AdjustmentRequest`, `AdjustmentRejection`), so that these rows stand in the chain too.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from guerdon.core import lots, members
from guerdon.core.assets import AMOUNT_MAX
from guerdon.core.booking import Booking
from guerdon.core.commands import AdjustPoints, DecideAdjustment, Where
from guerdon.core.events import Name
from guerdon.core.ledger import out_of_range
from guerdon.core.members import Member
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.places import Place, locate
from guerdon.core.points import Portion, choose_program, credit, expire_overdue, internal, shortage
from guerdon.core.programs import Program
from guerdon.core.results import Adjusted

if TYPE_CHECKING:
    from guerdon.core.state import State

WAITS = timedelta(days=7)
"""How long an adjustment waits for a second person."""


class Adjustment(Struct, frozen=True, kw_only=True):
    """What was asked, immutable. `expires_at` is None where it needed no second person; then `event_seq` booked it."""

    id: str
    member_no: int
    program_no: int
    points: int
    reason: str
    actor: str
    person: str
    recorded_at: datetime
    expires_at: datetime | None
    event_seq: int


class Decision(Struct, frozen=True, kw_only=True):
    """What the second person decided, immutable. `event_seq` booked the adjustment where it was approved."""

    adjustment_id: str
    approved: bool
    reason: str
    actor: str
    person: str
    recorded_at: datetime
    event_seq: int


def adjust(state: State, command: AdjustPoints) -> Outcome:
    """Book an adjustment, or have it wait for a second person. A debit takes no more than what may be spent."""
    if command.points == 0 or abs(command.points) > AMOUNT_MAX:
        return Rejected(Rejection.AMOUNT_OUT_OF_RANGE, "points", {"maximum": str(AMOUNT_MAX)})
    member = members.resolve(state, command.member)
    if isinstance(member, Rejected):
        return member
    place = locate(state, Where())
    assert isinstance(place, Place), "here and now are always within range"
    program = choose_program(state, command.program, place)
    if isinstance(program, Rejected):
        return program
    limit = program.policies.adjustment_limit
    if limit is not None and abs(command.points) > limit:
        account_no = members.account_in(state, member, program)
        result = Adjusted(
            id=command.id,
            status="pending",
            program_no=program.no,
            points=command.points,
            balance=state.figures_of(account_no).balance,
            expires_at=state.now + WAITS,
        )
    else:
        booked = _book(state, member, program, place, _asked(state, command, member, program))
        if isinstance(booked, Rejected):
            return booked
        result = booked
    adjustment = msgspec.structs.replace(
        _asked(state, command, member, program), expires_at=result.expires_at, event_seq=result.event_no
    )
    if adjustment.expires_at is not None:
        _note_request(state, adjustment)
    state.put(state.adjustments, adjustment.id, adjustment)
    state.put(state.found, ("adjustment", adjustment.id), adjustment.id)
    return Accepted(result)


def _note_request(state: State, asked: Adjustment) -> None:
    """Book that an adjustment waits, in its words."""
    booking = Booking(state, Name.ADJUSTMENT_REQUEST, 0, Place(event_at=state.now, judged_at=state.now))
    body = {
        "adjustment_id": asked.id,
        "member_no": asked.member_no,
        "program_no": asked.program_no,
        "points": asked.points,
        "person": asked.person,
        "expires_at": asked.expires_at,
    }
    booking.close(actor=asked.actor, reason=asked.reason, body=body)


def _asked(state: State, command: AdjustPoints, member: Member, program: Program) -> Adjustment:
    return Adjustment(
        id=command.id,
        member_no=member.no,
        program_no=program.no,
        points=command.points,
        reason=command.reason,
        actor=command.actor,
        person=command.person,
        recorded_at=state.now,
        expires_at=None,
        event_seq=0,
    )


def decide(state: State, command: DecideAdjustment) -> Outcome:
    """Approve or reject an adjustment that waits. Who asked for it cannot, whatever key they use."""
    id = state.find(("adjustment", command.adjustment))
    if id is None:
        return Rejected(Rejection.ADJUSTMENT_NOT_FOUND, "adjustment", {"adjustment_id": command.adjustment})
    asked = state.adjustments[id]
    if id in state.decisions or asked.expires_at is None:
        return Rejected(Rejection.ALREADY_DECIDED, "adjustment", {"adjustment_id": id})
    if asked.expires_at <= state.now:
        return Rejected(Rejection.ADJUSTMENT_EXPIRED, "adjustment", {"expired_at": asked.expires_at.isoformat()})
    if asked.person == command.person:
        return Rejected(Rejection.SAME_PERSON, "adjustment", {"asked_by": asked.person})
    program = state.config.programs[asked.program_no]
    place = Place(event_at=state.now, judged_at=state.now)
    if command.approve:
        member = members.resolve(state, ("number", str(asked.member_no)))
        if isinstance(member, Rejected):
            return member
        booked = _book(state, member, program, place, asked, command.person)
        if isinstance(booked, Rejected):
            return booked
        result = booked
    else:
        account_no = state.member_accounts[asked.member_no][program.no, "regular"]
        rejection = Booking(state, Name.ADJUSTMENT_REJECTION, 0, place)
        said = {"adjustment_id": id, "member_no": asked.member_no, "person": command.person}
        rejection.close(actor=command.actor, reason=command.reason, body=said)
        result = Adjusted(
            id=id,
            status="rejected",
            program_no=program.no,
            points=asked.points,
            balance=state.figures_of(account_no).balance,
        )
    state.put(
        state.decisions,
        id,
        Decision(
            adjustment_id=id,
            approved=command.approve,
            reason=command.reason,
            actor=command.actor,
            person=command.person,
            recorded_at=state.now,
            event_seq=result.event_no,
        ),
    )
    return Accepted(result)


def _book(
    state: State, member: Member, program: Program, place: Place, asked: Adjustment, approved_by: str = ""
) -> Adjusted | Rejected:
    """Book `ManualAdjustment`, with the persons on it. What is taken counts as returned: as if it had never been
    earned.
    """
    points = asked.points
    account_no = members.account_in(state, member, program)
    adjusted = internal(state, program, "adjusted")
    expire_overdue(state, account_no, state.now)
    if points < 0:
        refused = shortage(state, account_no, -points)
        if refused is not None:
            return refused
    source, destination = (adjusted, account_no) if points > 0 else (account_no, adjusted)
    if out_of_range(state.figures_of(source), state.figures_of(destination), abs(points)):
        return Rejected(Rejection.AMOUNT_OUT_OF_RANGE, "points", {"maximum": str(AMOUNT_MAX)})
    booking = Booking(state, Name.MANUAL_ADJUSTMENT, member.no, place)
    if points > 0:
        portion = Portion(points=points, rule="adjustment", version=program.version)
        credit(state, booking, account_no, adjusted, [portion], program, earned_at=place.event_at)
    else:
        lots.take(state, booking.moves, account_no, -points, state.now, "return")
        booking.move(account_no, adjusted, -points)
    persons = {"person": asked.person, "approved_by": approved_by}
    body = {"adjustment_id": asked.id, "program_no": program.no, **persons}
    event = booking.close(actor=asked.actor, reason=asked.reason, body=body)
    balance = state.figures_of(account_no).balance
    return Adjusted(
        id=asked.id, status="booked", program_no=program.no, points=points, balance=balance, event_no=event.seq
    )
