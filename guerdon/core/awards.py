"""Awards: points given by staff, to one member for goodwill or to many at once.

Points come from the pool with a reason and an actor, and end like those of any purchase of that day.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guerdon.core import endings, members
from guerdon.core.assets import AMOUNT_MAX
from guerdon.core.booking import Booking
from guerdon.core.commands import Award, AwardMany
from guerdon.core.events import Name
from guerdon.core.ledger import AmountOutOfRange, out_of_range
from guerdon.core.metadata import write_first
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.points import Portion, credit, expire_after, expire_overdue, internal, parties
from guerdon.core.results import Awarded, AwardedMany, RowOutcome

if TYPE_CHECKING:
    from guerdon.core.state import State

ROWS_MAX = 2_000
"""So many members in one bulk award: they are one command, and so one commit under the organisation's lock."""


def award(state: State, command: Award) -> Outcome:
    """Goodwill: points from the pool to the member, with a reason and an actor."""
    given = _give(state, command, Name.GOODWILL_AWARD, "goodwill")
    return given if isinstance(given, Rejected) else Accepted(given)


def award_many(state: State, command: AwardMany) -> Outcome:
    """Points from the pool to each row's member. Rows are decided in order, and a refused one changes nothing."""
    if len(command.rows) > ROWS_MAX:
        return Rejected(Rejection.INVALID_VALUE, "rows", {"maximum": ROWS_MAX})
    named = [members.resolve(state, row.member) for row in command.rows]
    theirs = [state.member_accounts.get(each.no, {}) for each in named if not isinstance(each, Rejected)]
    endings.ready(state, [no for accounts in theirs for no in accounts.values()], renews=True)
    outcomes: list[RowOutcome] = []
    for row in command.rows:
        one = Award(
            id=command.id,
            at=command.at,
            actor=command.actor,
            member=row.member,
            points=row.points,
            reason=row.reason,
            program=command.program,
            where=command.where,
        )
        mark = state.mark()
        try:
            given = _give(state, one, Name.BULK_ALLOCATE_POINTS, "bulk")
        except AmountOutOfRange:
            given = Rejected(Rejection.AMOUNT_OUT_OF_RANGE, "points", {"maximum": str(AMOUNT_MAX)})
        if isinstance(given, Rejected):
            state.rollback(mark)
            outcomes.append(RowOutcome(refused=given))
        else:
            outcomes.append(RowOutcome(awarded=given))
    return Accepted(AwardedMany(rows=tuple(outcomes)))


def _give(state: State, command: Award, name: Name, rule: str) -> Awarded | Rejected:
    found = parties(state, command)
    if isinstance(found, Rejected):
        return found
    member, place, program = found
    account_no = members.account_in(state, member, program)
    pool = internal(state, program, "pool")
    if out_of_range(state.figures_of(pool), state.figures_of(account_no), command.points):
        return Rejected(Rejection.AMOUNT_OUT_OF_RANGE, "points", {"maximum": str(AMOUNT_MAX)})
    expire_overdue(state, account_no, place.judged_at)
    booking = Booking(state, name, member.no, place)
    portion = Portion(points=command.points, rule=rule, version=program.version)
    credit(state, booking, account_no, pool, [portion], program, earned_at=place.event_at)
    endings.renew(state, booking, program.no)
    event = booking.close(actor=command.actor, reason=command.reason, body={"program_no": program.no})
    write_first(state, "evt", event.id, command.meta)
    expire_after(state, account_no)
    balance = state.figures_of(account_no).balance
    return Awarded(id=event.id, event_no=event.seq, points=command.points, balance=balance)
