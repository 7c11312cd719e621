"""Unlocking: waiting points become regular before their time, or because their trigger was pulled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guerdon.core import members, promises
from guerdon.core.commands import UnlockPoints
from guerdon.core.lots import Lot, decode_moves
from guerdon.core.members import Member
from guerdon.core.metadata import write_first
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.places import locate
from guerdon.core.points import expire_after, expire_overdue
from guerdon.core.programs import Program
from guerdon.core.results import Conversion, Unlocked
from guerdon.core.state import NotLoaded

if TYPE_CHECKING:
    from guerdon.core.state import State


def unlock(state: State, command: UnlockPoints) -> Outcome:
    """Convert what waits. Refused where nothing does, and with a code of its own where it was released already."""
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
    if command.line is not None and not purchase_no:
        return Rejected(Rejection.INVALID_VALUE, "line", {"reason": "a line is one of a purchase"})
    accounts = accounts_of(state, member, program)
    for (_, category), account_no in accounts.items():
        if category == "regular":
            expire_overdue(state, account_no, place.judged_at)
    conversions = []
    held_back = {key: no for key, no in accounts.items() if key[1] != "regular"}
    state.open_lots(*held_back.values())
    for (program_no, category), account_no in held_back.items():
        expire_overdue(state, account_no, place.judged_at)
        waiting = [lot for lot in state.open_lots(account_no) if _meant(lot, command, purchase_no)]
        waiting.sort(key=lambda lot: lot.no)
        if waiting:
            event_no, points = promises.convert(
                state,
                account_no,
                waiting,
                place,
                actor=command.actor,
                reason=command.reason,
                trigger=command.trigger,
            )
            conversions.append(Conversion(event_no=event_no, program_no=program_no, category=category, points=points))
    if not conversions:
        return _nothing(state, command, purchase_no)
    for (_, category), account_no in accounts.items():
        if category == "regular":
            expire_after(state, account_no)
    write_first(state, "ulk", command.id, command.meta)
    points = sum(conversion.points for conversion in conversions)
    return Accepted(Unlocked(id=command.id, points=points, conversions=tuple(conversions)))


def purchase_of(state: State, member: Member, selector: tuple[str, str] | None) -> int | Rejected:
    """The number of the purchase named, 0 where none is; refused where it is somebody else's."""
    if selector is None:
        return 0
    no = state.find(("purchase", *selector))
    if no is None or _holder(state, state.purchases[no].member_no) != member.no:
        return Rejected(Rejection.PURCHASE_NOT_FOUND, "purchase", {"purchase": selector[1]})
    purchase_no: int = no
    return purchase_no


def _holder(state: State, member_no: int) -> int:
    """Who holds what a member held: the survivor, after a merge."""
    while member_no:
        member = state.members.get(member_no)
        if member is None:
            raise NotLoaded(("member", "number", str(member_no)))
        if not member.survivor_no:
            break
        member_no = member.survivor_no
    return member_no


def accounts_of(state: State, member: Member, program: Program | None) -> dict[tuple[int, str], int]:
    """The member's points accounts, in one program or in every, by program and category."""
    accounts = state.member_accounts.get(member.no, {})
    return {key: no for key, no in sorted(accounts.items()) if program is None or key[0] == program.no}


def _meant(lot: Lot, command: UnlockPoints, purchase_no: int) -> bool:
    if purchase_no and lot.purchase_no != purchase_no:
        return False
    if command.line is not None and lot.line != command.line:
        return False
    return not command.trigger or promises.decode(lot.promise).trigger == command.trigger


def _nothing(state: State, command: UnlockPoints, purchase_no: int) -> Rejected:
    """Why nothing is left to unlock: it was released already, or nothing was ever promised."""
    for lot in _opened_by(state, purchase_no) if purchase_no else ():
        meant = command.line is None or lot.line == command.line
        if meant and promises.decode(lot.promise).released_at is not None:
            return Rejected(Rejection.ALREADY_UNLOCKED, "purchase", {"lot": lot.no})
    return Rejected(Rejection.NOTHING_PROMISED, "purchase" if purchase_no else "member")


def _opened_by(state: State, purchase_no: int) -> list[Lot]:
    """The lots that a purchase opened, wherever they lie now."""
    event_seq = state.purchases[purchase_no].event_seq
    event = state.events.get(event_seq)
    if event is None:
        raise NotLoaded(("event", event_seq))
    nos = [move.lot for move in decode_moves(event.lot_moves) if move.kind == "open"]
    missing = [("lot", no) for no in nos if no not in state.lots]
    if missing:
        raise NotLoaded(*missing)
    return [state.lots[no] for no in nos]
