"""Referrals: a member brought another one, and both get what the program says.

Once for each member who was referred. A referral can be taken back, on both sides together: what is still there is
returned, what was spent is taken from other points, or the account goes below zero, or it is written off, as for the
return of a purchase.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from guerdon.core import endings, lots, members
from guerdon.core.booking import Booking
from guerdon.core.commands import Refer, ReturnReferral
from guerdon.core.events import Name
from guerdon.core.members import Member
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.places import Place, locate
from guerdon.core.points import Portion, choose_program, credit, expire_after, expire_overdue, internal
from guerdon.core.programs import Program
from guerdon.core.results import ReferralReturned, Referred
from guerdon.core.state import NotLoaded

if TYPE_CHECKING:
    from guerdon.core.state import State


class Referral(Struct, frozen=True, kw_only=True):
    """Who referred whom, and the events that gave points for it (0 for a side that got none). `taken_back` is a
    projection: whether it was taken back.
    """

    id: str
    referrer_no: int
    referred_no: int
    program_no: int
    referrer_event: int
    referred_event: int
    taken_back: bool = False


def refer(state: State, command: Refer) -> Outcome:
    """Give both sides their points."""
    referrer = members.resolve(state, command.referrer, field="referrer")
    if isinstance(referrer, Rejected):
        return referrer
    referred = members.resolve(state, command.referred, field="referred")
    if isinstance(referred, Rejected):
        return referred
    if referrer.no == referred.no:
        return Rejected(Rejection.SAME_MEMBER, "referred", {"referred": ":".join(command.referred)})
    place = locate(state, command.where)
    if isinstance(place, Rejected):
        return place
    program = choose_program(state, command.program, place)
    if isinstance(program, Rejected):
        return program
    points = program.policies.referral
    if points is None:
        return Rejected(Rejection.REFERRAL_POINTS_MISSING, "program", {"program": program.code})
    known = state.find(("referral_of", referred.no))
    if known is not None:
        return Rejected(Rejection.ALREADY_REFERRED, "referred", {"referral_id": known})
    events = [
        _award(state, command, side, program, place, amount) if amount else 0
        for side, amount in ((referrer, points.referrer), (referred, points.referred))
    ]
    referral = Referral(
        id=command.id,
        referrer_no=referrer.no,
        referred_no=referred.no,
        program_no=program.no,
        referrer_event=events[0],
        referred_event=events[1],
    )
    state.put(state.referrals, referral.id, referral)
    state.put(state.found, ("referral", referral.id), referral.id)
    state.put(state.found, ("referral_of", referred.no), referral.id)
    return Accepted(
        Referred(
            id=referral.id,
            program_no=program.no,
            referrer_points=points.referrer,
            referred_points=points.referred,
            referrer_event=referral.referrer_event,
            referred_event=referral.referred_event,
        )
    )


def _award(state: State, command: Refer, member: Member, program: Program, place: Place, points: int) -> int:
    """Book `ReferralAward` for one side. Returns the event's number."""
    account_no = members.account_in(state, member, program)
    expire_overdue(state, account_no, place.judged_at)
    booking = Booking(state, Name.REFERRAL_AWARD, member.no, place)
    portion = Portion(points=points, rule="referral", version=program.version)
    pool = internal(state, program, "pool")
    credit(state, booking, account_no, pool, [portion], program, earned_at=place.event_at)
    endings.renew(state, booking, program.no)
    event = booking.close(actor=command.actor, body={"referral_id": command.id, "program_no": program.no})
    expire_after(state, account_no)
    return event.seq


def take_back(state: State, command: ReturnReferral) -> Outcome:
    """Take back what both sides got, once."""
    id = state.find(("referral", command.referral))
    if id is None:
        return Rejected(Rejection.REFERRAL_NOT_FOUND, "referral", {"referral_id": command.referral})
    referral = state.referrals[id]
    if referral.taken_back:
        return Rejected(Rejection.REFERRAL_ALREADY_RETURNED, "referral", {"referral_id": id})
    returned = written_off = 0
    events = []
    for member_no, award in (
        (referral.referrer_no, referral.referrer_event),
        (referral.referred_no, referral.referred_event),
    ):
        if award:
            event, back, short = _return(state, command, referral, member_no, award)
            returned, written_off = returned + back, written_off + short
            events.append(event)
    state.put(state.referrals, id, msgspec.structs.replace(referral, taken_back=True))
    return Accepted(
        ReferralReturned(
            id=command.id,
            referral_id=id,
            returned_points=returned,
            written_off=written_off,
            events=tuple(events),
        )
    )


def _return(
    state: State, command: ReturnReferral, referral: Referral, member_no: int, award: int
) -> tuple[int, int, int]:
    """Book `ReferralReturn` for one side: (the event's number, points returned, points written off)."""
    program = state.config.programs[referral.program_no]
    owner = members.family(state, member_no)[-1]
    account_no = state.member_accounts[owner][program.no, "regular"]
    expire_overdue(state, account_no, state.now)
    event = state.events.get(award)
    if event is None:
        raise NotLoaded(("event", award))
    opened = [move.lot for move in lots.decode_moves(event.lot_moves) if move.kind == "open"]
    place = Place(event_at=state.now, judged_at=state.now)
    booking = Booking(state, Name.REFERRAL_RETURN, owner, place)
    returned, written_off = _claw_back(state, booking, program, account_no, [state.lots[no] for no in opened])
    body = {"referral_id": referral.id, "program_no": program.no, "written_off": written_off}
    made = booking.close(actor=command.actor, reason=command.reason, body=body)
    return made.seq, returned, written_off


def _claw_back(
    state: State, booking: Booking, program: Program, account_no: int, own: list[lots.Lot]
) -> tuple[int, int]:
    """Take back what an award gave, from its own lots and then from others of the account. (returned, written off)."""
    moves = booking.moves
    returned = 0
    for lot in own:
        if lot.expired:
            lots.change(state, moves, lot, "return_expired", lot.expired)
        if lot.free:
            lots.change(state, moves, state.lots[lot.no], "return", lot.free)
            returned += lot.free
    # What is on hold stays so, and what a merge moved is among the survivor's lots: others stand in for both.
    elsewhere = sum(lot.held + (lot.returned if lot.account != account_no else 0) for lot in own)
    spent = sum(lot.spent for lot in own)
    short = lots.take(state, moves, account_no, elsewhere, state.now, "return")
    short_of_spent = lots.take(state, moves, account_no, spent, state.now)
    returned += elsewhere - short + spent - short_of_spent
    below = program.policies.on_shortfall == "below_zero"
    made_good = spent if below else spent - short_of_spent
    for lot in own:
        part = min(made_good, lot.spent)
        if part:
            lots.change(state, moves, state.lots[lot.no], "return_redeemed", part)
            made_good -= part
    if below:
        returned += short + short_of_spent
    else:
        lots.write_off(state, moves, own, short_of_spent)
    if returned:
        booking.move(account_no, internal(state, program, "returned"), returned, lower_floor=below)
    return returned, 0 if below else short + short_of_spent
