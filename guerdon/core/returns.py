"""Purchase returns: what a bill earned goes back to the program, what was spent on it goes back to the member.

One event of either sign. Points earned on the bill that were spent meanwhile are taken from other lots (the spending
moves there); what is nowhere to be found takes the account below zero or is written off, as the program says. Points
that expired meanwhile become returned points without an entry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guerdon.core import lots, members
from guerdon.core.accounts import Transfer
from guerdon.core.booking import Booking
from guerdon.core.commands import ReturnPurchase
from guerdon.core.content import encode, fingerprint, replay
from guerdon.core.events import Name
from guerdon.core.metadata import write_first
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.places import Place, locate
from guerdon.core.points import expire_overdue, give_back, internal
from guerdon.core.programs import Program
from guerdon.core.purchases import Purchase, PurchaseReturn
from guerdon.core.results import Returned
from guerdon.core.state import NotLoaded

if TYPE_CHECKING:
    from guerdon.core.state import State


def take_back(state: State, command: ReturnPurchase) -> Outcome:
    """Return a whole purchase, once. The return's number is natural: the same return again replays."""
    content = fingerprint(command)
    known = state.find(("return", command.number))
    if known is not None:
        earlier = state.returns[known]
        return replay(earlier.fingerprint, earlier.result, content, Rejection.NUMBER_TAKEN, "number")
    purchase_no = state.find(("purchase", *command.purchase))
    if purchase_no is None:
        return Rejected(Rejection.PURCHASE_NOT_FOUND, "purchase", {"purchase": command.purchase[1]})
    purchase = state.purchases[purchase_no]
    if state.find(("purchase_return_of", purchase_no)):
        return Rejected(Rejection.ALREADY_RETURNED, "purchase", {"purchase": purchase.number})
    place = locate(state, command.where)
    if isinstance(place, Rejected):
        return place
    no = state.next("return")
    if purchase.member_no == 0:
        guest = Booking(state, Name.TRANSACTION_RETURN, 0, place)
        return _keep(state, command, purchase, place, no, content, _Sums(), guest)
    family = members.family(state, purchase.member_no)
    accounts = state.member_accounts[family[-1]]
    for account_no in accounts.values():
        expire_overdue(state, account_no, state.now)
    booking = Booking(state, Name.TRANSACTION_RETURN, family[-1], place)
    sums = _Sums()
    if purchase.redemption_id is not None:
        sums.restored = _restore_spent(state, booking, purchase)
    _return_money(state, booking, purchase)
    for transfer in _awards(state, purchase):
        earned = state.accounts[transfer.destination]
        program = state.config.programs[earned.program_no]
        own = _lots_of(state, family, program, earned.category, purchase)
        _return_earned(state, booking, program, accounts[program.no, earned.category], own, sums)
    outcome = _keep(state, command, purchase, place, no, content, sums, booking)
    for account_no in accounts.values():
        expire_overdue(state, account_no, state.now)
    return outcome


class _Sums:
    """What the return has moved so far, in minor units of points."""

    __slots__ = ("restored", "returned", "written_off")

    def __init__(self) -> None:
        self.restored = self.returned = self.written_off = 0


def _restore_spent(state: State, booking: Booking, purchase: Purchase) -> int:
    """Give back what of the points spent on the bill has not been given back yet."""
    assert purchase.redemption_id is not None
    redemption = state.redemptions[purchase.redemption_id]
    left = redemption.points - redemption.reversed
    if left:
        give_back(state, booking, redemption, booking.member_no, left)
    return left


def _transfers(state: State, purchase: Purchase) -> list[Transfer]:
    event = state.events.get(purchase.event_seq)
    if event is None:
        raise NotLoaded(("event", purchase.event_seq))
    return [state.transfers[event.seq + i] for i in range(1, event.transfers + 1)]


def _awards(state: State, purchase: Purchase) -> list[Transfer]:
    """The bill's credits of points, one per program and category."""
    return [t for t in _transfers(state, purchase) if state.accounts[t.destination].tracks_lots]


def _return_money(state: State, booking: Booking, purchase: Purchase) -> None:
    """Wallet money goes back where it came from."""
    for transfer in _transfers(state, purchase):
        if not state.accounts[transfer.destination].tracks_lots:
            booking.move(transfer.destination, transfer.source, transfer.amount)


def _lots_of(state: State, family: list[int], program: Program, category: str, purchase: Purchase) -> list[lots.Lot]:
    """The lots that hold what the bill earned: those it opened, and those that merges made of them."""
    accounts = [state.member_accounts[no].get((program.no, category)) for no in family]
    own = [lot for no in accounts if no for lot in state.lots_of(no) if lot.purchase_no == purchase.no]
    own.sort(key=lambda lot: lot.no)
    return own


def _return_earned(
    state: State, booking: Booking, program: Program, account_no: int, own: list[lots.Lot], sums: _Sums
) -> None:
    """Take back the lots that the bill opened, and let one account stand for what they no longer have."""
    moves = booking.moves
    for lot in own:
        if lot.expired:
            lots.change(state, moves, lot, "return_expired", lot.expired)
        if lot.free:
            lots.change(state, moves, state.lots[lot.no], "return", lot.free)
    debit = sum(lot.free for lot in own)
    missing = sum(lot.held + lot.spent for lot in own)
    covered = _cover(state, booking, account_no, own, missing)
    short = missing - covered
    below = short if program.policies.on_shortfall == "below_zero" else 0
    debit += covered + below
    _move_spending(state, booking, own, covered + below)
    lots.write_off(state, moves, own, short - below)
    if debit:
        booking.move(account_no, internal(state, program, "returned"), debit, lower_floor=below > 0)
    sums.returned += debit
    sums.written_off += short - below


def _cover(state: State, booking: Booking, account_no: int, own: list[lots.Lot], missing: int) -> int:
    """Take what the bill's own lots no longer have from the member's other lots. Returns how much was found."""
    held = sum(lot.held for lot in own)
    found = 0
    part = min(held, missing)
    if part:
        found += part - lots.take(state, booking.moves, account_no, part, state.now, "return")
    rest = missing - held
    if rest > 0:
        found += rest - lots.take(state, booking.moves, account_no, rest, state.now)
    return found


def _move_spending(state: State, booking: Booking, own: list[lots.Lot], points: int) -> None:
    """Mark as returned, on the bill's own lots, the spent points that other lots (or a debt) now stand for."""
    points -= min(points, sum(lot.held for lot in own))
    for lot in own:
        part = min(points, lot.spent)
        if part:
            lots.change(state, booking.moves, state.lots[lot.no], "return_redeemed", part)
            points -= part


def _keep(
    state: State,
    command: ReturnPurchase,
    purchase: Purchase,
    place: Place,
    no: int,
    content: bytes,
    sums: _Sums,
    booking: Booking,
) -> Outcome:
    """Close the event, write the return's row and answer."""
    event = booking.close(
        actor=command.actor,
        reason=command.reason,
        reference=command.number,
        purchase_no=purchase.no,
        body={
            "return_id": command.id,
            "return_number": command.number,
            "purchase_id": purchase.id,
            "purchase_number": purchase.number,
            "written_off": sums.written_off,
        },
    )
    balances = tuple(
        (program_no, state.figures_of(account_no).balance)
        for (program_no, category), account_no in state.member_accounts.get(booking.member_no, {}).items()
        if category == "regular"
    )
    result = Returned(
        id=command.id,
        number=command.number,
        purchase_id=purchase.id,
        event_no=event.seq,
        amount=purchase.amount,
        returned_points=sums.returned,
        restored_points=sums.restored,
        written_off=sums.written_off,
        balances=balances,
    )
    state.put(
        state.returns,
        no,
        PurchaseReturn(
            no=no,
            id=command.id,
            number=command.number,
            purchase_no=purchase.no,
            member_no=booking.member_no,
            event_seq=event.seq,
            event_at=place.event_at,
            recorded_at=state.now,
            amount=purchase.amount,
            fingerprint=content,
            result=encode(result),
        ),
    )
    state.put(state.found, ("return", command.number), no)
    state.put(state.found, ("purchase_return_of", purchase.no), (no,))
    write_first(state, "ret", command.id, command.meta)
    return Accepted(result)
