"""Points: earn, redeem, give back, expire.

Promises that an account's points equal its lots less what it owes, that the lot which expires first is spent first,
that points end at their instant whether or not that has been posted, and that what was spent returns to the lots it
came from. `purchases.py` and `returns.py` use these to book a bill; `raw_points.py` covers raw transfers.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec import Struct

from guerdon.core import endings, lots, members, promises
from guerdon.core import state as core_state
from guerdon.core.assets import AMOUNT_MAX
from guerdon.core.booking import Booking
from guerdon.core.commands import Award, ExpireLots, PreviewRedemption, Redeem, ReverseRedemption, TransferPoints
from guerdon.core.content import encode, fingerprint, replay
from guerdon.core.events import Name
from guerdon.core.lots import LotMove
from guerdon.core.members import Member
from guerdon.core.metadata import write_first
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.places import Place, locate
from guerdon.core.programs import Policies, Program
from guerdon.core.redemptions import Redemption
from guerdon.core.results import Expired, Redeemed, Reversed
from guerdon.core.state import MuchDue, NotLoaded
from guerdon.core.terms import terms_at

if TYPE_CHECKING:
    from guerdon.core.state import State


class Portion(Struct, frozen=True, kw_only=True):
    """Points to be credited as one lot, with the rule (and its version) and the line they come from. Without `terms`
    they end as the program's policy says.
    """

    points: int
    rule: str = ""
    version: int = 0
    line: int | None = None
    terms: promises.Terms | None = None


# -- what events are made of ------------------------------------------------------------------------------------------


def internal(state: State, program: Program, role: str) -> int:
    """The number of a program's internal account (`programs.ROLES`)."""
    try:
        return state.program_accounts[program.no, role]
    except KeyError:
        raise NotLoaded(("programs",)) from None


def program_of(state: State, account_no: int) -> Program:
    return state.config.programs[state.accounts[account_no].program_no]


def choose_program(state: State, selector: tuple[str, str] | None, place: Place) -> Program | Rejected:
    """The program named, else the till's, else the organisation's first; under the terms it had when the fact is
    judged.
    """
    if selector is not None:
        program = state.config.program(selector)
        if program is None:
            return Rejected(Rejection.PROGRAM_NOT_FOUND, "program", {"program": selector[1]})
    elif place.program is not None:
        program = place.program
    elif state.config.programs:
        program = state.config.programs[min(state.config.programs)]
    else:
        return Rejected(Rejection.PROGRAM_NOT_FOUND, "program", {"reason": "the organisation has no program yet"})
    return terms_at(state, program, place.judged_at)


def expires_at(policies: Policies, earned_at: datetime) -> datetime | None:
    """The exclusive end of points earned at a moment: the local midnight after their last day, None = never."""
    return policies.expiry.end(earned_at, policies.timezone)


class Posted(NamedTuple):
    """What had come due and was posted: lots that were released, lots that ended, and the points left in these."""

    released: int
    ended: int
    points: int

    @property
    def lots(self) -> int:
        return self.released + self.ended


def expire_overdue(state: State, account_no: int, as_of: datetime) -> None:
    """Post all that has come due on an account by a moment, before a command is decided on it. Raises `MuchDue` where
    that is more than is posted with one command; but for what the command itself has brought about.
    """
    if not state.in_parts:
        post_due(state, account_no, as_of)
    elif post_due(state, account_no, as_of, core_state.DUE_LOTS).lots >= core_state.DUE_LOTS:
        raise MuchDue(account_no, as_of)


def expire_after(state: State, account_no: int) -> Posted:
    """Post what has come due on an account since the moment that a command was judged by; no more than one command may
    post, and the rest with those that follow.
    """
    return post_due(state, account_no, state.now, core_state.DUE_LOTS)


def post_part(state: State, much: MuchDue) -> bool:
    """Post as much of what has come due as one command may, before the one that met it is decided; whether there was so
    much.
    """
    state.begin_part()
    return post_due(state, much.account_no, much.as_of, core_state.DUE_LOTS).lots >= core_state.DUE_LOTS


def post_due(state: State, account_no: int, as_of: datetime, at_most: int | None = None) -> Posted:
    """Post what has come due on an account by a moment: first what is released to or from it (`promises.keep`), then
    what has ended, one `PointsExpiry` per instant; at most so many lots, those that came due first.
    """
    endings.catch_up(state, account_no)
    released = promises.keep(state, account_no, as_of, at_most)
    left = None if at_most is None else at_most - released
    due = lots.overdue(state, account_no, as_of, left) if left != 0 else []
    if not due:
        return Posted(released, 0, 0)
    account = state.accounts[account_no]
    program = program_of(state, account_no)
    total = 0
    for instant, group in groupby(due, key=lambda lot: lot.expires_at):
        assert instant is not None
        booking = Booking(state, Name.POINTS_EXPIRY, account.member_no, Place(event_at=instant, judged_at=instant))
        points = 0
        for lot in group:
            points += lot.free
            lots.change(state, booking.moves, lot, "expire", lot.free)
        # Points that a return restored too late may stand beside what the account owes: then the debt comes to light.
        booking.move(account_no, internal(state, program, "expired"), points, lower_floor=True)
        booking.close(actor="guerdon")
        total += points
    return Posted(released, len(due), total)


def owed(state: State, account_no: int) -> int:
    """What an account that a return took below zero still has to pay back."""
    return max(0, -state.figures_of(account_no).available)


def credit(
    state: State,
    booking: Booking,
    account_no: int,
    from_account: int,
    portions: Iterable[Portion],
    program: Program,
    *,
    earned_at: datetime,
    purchase_no: int = 0,
) -> list[datetime | None]:
    """Credit points as one transfer and one lot per portion; what the account owes is repaid from them at once. Returns
    when the points of each portion end that has any.
    """
    portions = [portion for portion in portions if portion.points > 0]
    total = sum(portion.points for portion in portions)
    if not total:
        return []
    debt = owed(state, account_no)
    usual = promises.Terms(expires_at(program.policies, earned_at))
    booking.move(from_account, account_no, total)
    opened, ends = [], []
    for portion in portions:
        terms = endings.settle(state, booking, program, portion.rule, portion.terms or usual, earned_at)
        lot = lots.open_lot(
            state,
            booking.moves,
            account_no,
            booking.seq,
            portion.points,
            earned_at=earned_at,
            expires_at=terms.expires_at,
            rule=portion.rule,
            version=portion.version or program.version,
            line=portion.line,
            purchase_no=purchase_no,
            releases_at=terms.releases_at,
            promise=terms.promise,
        )
        opened.append(lot.no)
        ends.append(lot.expires_at)
    lots.repay(state, booking.moves, opened, debt)
    return ends


def spend(
    state: State, booking: Booking, purses: list[tuple[Program, int]], points: int
) -> tuple[tuple[int, int], ...]:
    """Debit points from one account or several (each with its program), the lots that expire first giving first. That
    there are enough was checked before. Returns (program number, points) of those who gave.
    """
    before = len(booking.moves)
    account_no, *others = [no for _, no in purses]
    missing = lots.take(state, booking.moves, account_no, points, booking.place.judged_at, others=others)
    assert not missing, "spending was checked against what is available"
    gave: dict[int, int] = {}
    for move in booking.moves[before:]:
        no = state.lots[move.lot].account
        gave[no] = gave.get(no, 0) + move.amount
    for program, no in purses:
        if no in gave:
            booking.move(no, internal(state, program, "pool"), gave[no])
    return tuple((program.no, gave[no]) for program, no in purses if no in gave)


def restore(state: State, booking: Booking, member_no: int, taken: list[LotMove], skip: int, points: int) -> int:
    """Give back `points` of what a spending took, after the `skip` points given back earlier.

    The lot taken last is filled first, with its original expiry; where its owner was merged, `member_no` gets a lot
    like it. What an account owes is repaid from what comes back. Points that were written off when their earning was
    taken back go to the program after all; returns how many.
    """
    rest = points
    parts: dict[int, list[tuple[lots.Lot, int]]] = {}
    for move in reversed(taken):
        passed = min(skip, move.amount)
        skip -= passed
        part = min(rest, move.amount - passed)
        if part:
            lot = _lot(state, move.lot)
            parts.setdefault(_home(state, member_no, lot), []).append((lot, part))
            rest -= part
    lost = 0
    for account_no, back in parts.items():
        program, debt = program_of(state, account_no), owed(state, account_no)
        filled: list[int] = []
        forfeited = 0
        for lot, part in back:
            forfeit = min(part, lot.written_off)
            if forfeit:
                lot = lots.change(state, booking.moves, lot, "forfeit", forfeit)
                forfeited += forfeit
            if part > forfeit:
                filled += lots.refill(state, booking.moves, booking.seq, lot, part - forfeit, account_no)
        endings.catch_up_lots(state, booking.moves, filled)
        booking.move(internal(state, program, "reversed"), account_no, sum(part for _, part in back))
        if forfeited:
            booking.move(account_no, internal(state, program, "returned"), forfeited, lower_floor=True)
        lots.repay(state, booking.moves, filled, debt)
        lost += forfeited
    return lost


def homes(state: State, member_no: int, taken: list[LotMove]) -> list[int]:
    """The member's accounts that get back what was taken, each once."""
    return list(dict.fromkeys(_home(state, member_no, _lot(state, move.lot)) for move in taken))


def _home(state: State, member_no: int, lot: lots.Lot) -> int:
    """The member's account for what came from a lot: the lot's own, or that of the survivor of its owner."""
    account = state.accounts[lot.account]
    return state.member_accounts[member_no][account.program_no, account.category]


def _lot(state: State, no: int) -> lots.Lot:
    try:
        return state.lots[no]
    except KeyError:
        raise NotLoaded(("lot", no)) from None


def taken_by(state: State, event_seq: int) -> list[LotMove]:
    """What an event's spending took from lots, in order."""
    event = state.events.get(event_seq)
    if event is None:
        raise NotLoaded(("event", event_seq))
    return [move for move in lots.decode_moves(event.lot_moves) if move.kind == "take"]


def shortage(state: State, account_no: int, points: int, *others: int) -> Rejected | None:
    """Whether an account, or several together, lacks points, after what is overdue was posted."""
    available = sum(max(0, state.figures_of(no).available) for no in (account_no, *others))
    if points > available:
        return Rejected(
            Rejection.INSUFFICIENT_POINTS,
            "points",
            {"required": points, "available": available, "shortfall": points - available},
        )
    return None


def lifetime(state: State, account_no: int) -> int:
    """All points an account was ever credited with, but for what was given back after spending, less what was returned
    or adjusted away; with all that members had earned who were merged into its holder.
    """
    try:
        return state.lifetimes[account_no]
    except KeyError:
        raise NotLoaded(("lifetime", account_no)) from None


def condition_refusal(
    state: State, program: Program, account_no: int, points: int, field: str = "points"
) -> Rejected | None:
    """Which of the program's conditions on a redemption is not met, with the figure."""
    policies = program.policies
    if points < policies.minimum_redemption:
        detail = {"minimum": policies.minimum_redemption, "points": points}
        return Rejected(Rejection.REDEMPTION_BELOW_MINIMUM, field, detail)
    if policies.maximum_redemption and points > policies.maximum_redemption:
        detail = {"maximum": policies.maximum_redemption, "points": points}
        return Rejected(Rejection.REDEMPTION_ABOVE_MAXIMUM, field, detail)
    if policies.redemption_multiple and points % policies.redemption_multiple:
        detail = {"multiple_of": policies.redemption_multiple, "points": points}
        return Rejected(Rejection.REDEMPTION_NOT_A_MULTIPLE, field, detail)
    if policies.minimum_lifetime:
        earned = lifetime(state, account_no)
        if earned < policies.minimum_lifetime:
            detail = {"minimum": policies.minimum_lifetime, "lifetime": earned}
            return Rejected(Rejection.LIFETIME_POINTS_TOO_LOW, field, detail)
    return None


def amount_refusal(points: int, field: str = "points") -> Rejected | None:
    if points <= 0:
        return Rejected(Rejection.AMOUNT_NOT_POSITIVE, field)
    if points > AMOUNT_MAX:
        return Rejected(Rejection.AMOUNT_OUT_OF_RANGE, field, {"maximum": str(AMOUNT_MAX)})
    return None


# -- commands ---------------------------------------------------------------------------------------------------------


def redeem(state: State, command: Redeem) -> Outcome:
    """Spend points of one program. A reference that was used before replays the same redemption and refuses another."""
    content = fingerprint(command)
    if command.reference:
        id = state.find(("redemption_reference", command.reference))
        if id is not None:
            known = state.redemptions[id]
            return replay(known.fingerprint, known.result, content, Rejection.REFERENCE_TAKEN, "reference")
    found = parties(state, command)
    if isinstance(found, Rejected):
        return found
    member, place, program = found
    purses = purses_of(state, member, program, command.group)
    accounts = [no for _, no in purses]
    for account_no in accounts:
        expire_overdue(state, account_no, place.judged_at)
    refused = condition_refusal(state, program, accounts[0], command.points) or shortage(
        state, accounts[0], command.points, *accounts[1:]
    )
    if refused is not None:
        return refused
    booked = book_redemption(
        state,
        member,
        program,
        place,
        command.points,
        id=command.id,
        money=worth(program, command.points),
        reference=command.reference,
        content=content,
        purses=purses,
        actor=command.actor,
        reason=command.reason,
    )
    write_first(state, "rdm", command.id, command.meta)
    for account_no in accounts:
        expire_after(state, account_no)
    return Accepted(booked)


def preview_redemption(state: State, command: PreviewRedemption) -> Outcome:
    """What a redemption would answer, found out by doing it and undoing it: not even what was overdue is
    posted.
    """
    mark = state.mark()
    outcome = redeem(state, command.of)
    state.rollback(mark)
    return outcome


def purses_of(state: State, member: Member, program: Program, group: bool) -> list[tuple[Program, int]]:
    """The programs whose points may be spent, each with the member's regular account in it; the program named first."""
    programs = [program]
    if group:
        same = (other for other in state.config.programs.values() if other.asset == program.asset)
        programs += [other for other in same if other.no != program.no]
    return [(each, members.account_in(state, member, each)) for each in programs]


def parties(state: State, command: Redeem | Award | TransferPoints) -> tuple[Member, Place, Program] | Rejected:
    """Whose points, where it happened, in which program; the first of these, or the points, that is wrong refuses."""
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
    return member, place, program


def worth(program: Program, points: int) -> int:
    """The money that points buy at the program's rate, rounded down; 0 where the program has no rate."""
    rate = program.policies.redemption_rate
    return points * rate.money // rate.points if rate else 0


def book_redemption(
    state: State,
    member: Member,
    program: Program,
    place: Place,
    points: int,
    *,
    id: str,
    money: int,
    reference: str = "",
    content: bytes = b"",
    purses: list[tuple[Program, int]] | None = None,
    purchase_no: int = 0,
    actor: str = "",
    reason: str = "",
) -> Redeemed:
    """Book `PointsRedemption` and remember the redemption, so that it can be reversed. Everything was checked
    before. Without `purses` the program's own points are spent.
    """
    if purses is None:
        purses = purses_of(state, member, program, group=False)
    booking = Booking(state, Name.POINTS_REDEMPTION, member.no, place)
    parts = spend(state, booking, purses, points)
    endings.renew(state, booking, *[each.no for each, _ in purses])
    event = booking.close(
        actor=actor,
        reason=reason,
        reference=reference,
        purchase_no=purchase_no,
        body={"redemption_id": id, "program_no": program.no, "money": money},
    )
    result = Redeemed(
        id=id,
        event_no=event.seq,
        program_no=program.no,
        points=points,
        money=money,
        taken=tuple((move.lot, move.amount) for move in booking.moves if move.kind == "take"),
        balance=state.figures_of(purses[0][1]).balance,
        parts=parts,
    )
    redemption = Redemption(
        id=id,
        no=state.next("redemption"),
        member_no=member.no,
        program_no=program.no,
        event_seq=event.seq,
        purchase_no=purchase_no,
        points=points,
        reversed=0,
        reference=reference,
        event_at=place.event_at,
        fingerprint=content,
        result=encode(result),
    )
    state.put(state.redemptions, id, redemption)
    state.put(state.found, ("redemption", id), id)
    if reference:
        state.put(state.found, ("redemption_reference", reference), id)
    return result


def reverse(state: State, command: ReverseRedemption) -> Outcome:
    """Give back redeemed points, in whole or in part, repeatable up to the whole.

    Lots are filled again with their original expiry; what has ended meanwhile expires at once and is told apart. What
    was written off meanwhile, because the purchase that earned it was taken back, goes to the program. Where the member
    was merged, the survivor gets it.
    """
    id = state.find(("redemption", command.redemption))
    if id is None:
        return Rejected(Rejection.REDEMPTION_NOT_FOUND, "redemption", {"redemption_id": command.redemption})
    redemption = state.redemptions[id]
    if command.points is not None:
        refused = amount_refusal(command.points)
        if refused is not None:
            return refused
    left = redemption.points - redemption.reversed
    if left == 0:
        return Rejected(Rejection.ALREADY_REVERSED, "redemption", {"redemption_id": id})
    points = left if command.points is None else command.points
    if points > left:
        return Rejected(
            Rejection.REVERSAL_EXCEEDS_REDEMPTION,
            "points",
            {"redeemed": redemption.points, "reversed": redemption.reversed, "left": left},
        )
    place = locate(state, command.where)
    if isinstance(place, Rejected):
        return place
    program = state.config.programs[redemption.program_no]
    owner = members.family(state, redemption.member_no)[-1]
    accounts = homes(state, owner, taken_by(state, redemption.event_seq))
    for account_no in accounts:
        expire_overdue(state, account_no, state.now)
    booking = Booking(state, Name.POINTS_REDEMPTION_REVERSAL, owner, place)
    written_off = give_back(state, booking, redemption, owner, points)
    event = booking.close(
        actor=command.actor,
        reason=command.reason,
        purchase_no=redemption.purchase_no,
        body={"redemption_id": id, "program_no": program.no},
    )
    write_first(state, "rvs", command.id, command.meta)
    expired = sum(post_due(state, account_no, state.now).points for account_no in accounts)
    return Accepted(
        Reversed(
            id=command.id,
            event_no=event.seq,
            redemption_id=id,
            points=points,
            expired=expired,
            written_off=written_off,
            balance=state.figures_of(state.member_accounts[owner][program.no, "regular"]).balance,
        )
    )


def give_back(state: State, booking: Booking, redemption: Redemption, member_no: int, points: int) -> int:
    """Restore part of a redemption inside an event of who has the points now, and remember how much of it is given
    back. Returns how much of that was written off and goes to the program.
    """
    taken = taken_by(state, redemption.event_seq)
    written_off = restore(state, booking, member_no, taken, redemption.reversed, points)
    changed = msgspec.structs.replace(redemption, reversed=redemption.reversed + points)
    state.put(state.redemptions, redemption.id, changed)
    return written_off


def expire(state: State, command: ExpireLots) -> Outcome:
    """Post what has come due on these accounts. Running it late, twice or never changes nothing that may be spent."""
    released = ended = points = 0
    ended_by = min(command.ended_by or state.now, state.now)
    for account_no in command.accounts:
        if account_no not in state.accounts and state.find(("account_no", account_no)) is None:
            return Rejected(Rejection.ACCOUNT_NOT_FOUND, "accounts", {"account_no": account_no})
    endings.ready(state, command.accounts)
    for account_no in command.accounts:
        left = None if command.at_most is None else command.at_most - released - ended
        if left == 0:
            break
        posted = post_due(state, account_no, ended_by, left)
        released, ended, points = released + posted.released, ended + posted.ended, points + posted.points
    more = command.at_most is not None and released + ended >= command.at_most
    return Accepted(Expired(lots=ended, points=points, released=released, more=more))
