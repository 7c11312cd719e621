"""Raw transfers and holds on accounts that track lots.

Every raw transfer of a member's points is a `LedgerTransaction` event, so that the points ledger is complete: a credit
opens a lot under the program's policy, a debit takes the lots that expire first, a hold pins them. Pinned points do not
expire; what is overdue when it is let go expires at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from guerdon.core import endings, ledger, lots, promises
from guerdon.core.accounts import Account, Action, Hold, Transfer
from guerdon.core.booking import Booking
from guerdon.core.commands import Posting
from guerdon.core.events import Name
from guerdon.core.ledger import Naming, funds_refusal
from guerdon.core.outcomes import Rejected, Rejection
from guerdon.core.places import Place, time_refusal
from guerdon.core.points import expire_after, expire_overdue, expires_at, owed, program_of
from guerdon.core.state import Key, NotLoaded

if TYPE_CHECKING:
    from guerdon.core.state import State


def wanted(state: State, account_no: int, pays: bool) -> Iterator[Key]:
    """What a raw transfer on an account will ask for and is not loaded: the member, and the lots of who pays."""
    account = state.accounts[account_no]
    if account.tracks_lots:
        if account.member_no not in state.members:
            yield ("member", "number", str(account.member_no))
        if pays:
            yield from state.lots_to_spend(account_no)


def refusal(
    state: State, source: int, destination: int, amount: int, effective_at: datetime | None
) -> Rejected | Rejection | None:
    """What forbids a raw transfer of points. A `Rejected` refuses the request, a bare code (lack of funds) only its
    outcome.

    Posts what is overdue on both accounts first, so that funds are checked against what may really be spent.
    """
    untimely = time_refusal(state, effective_at or state.now, "effective_date")
    if untimely is not None:
        return untimely
    for no in (source, destination):
        account = state.accounts[no]
        if account.tracks_lots:
            member = state.members.get(account.member_no)
            if member is None:
                raise NotLoaded(("member", "number", str(account.member_no)))
            if no == source and account.category != "regular":
                return Rejected(Rejection.CATEGORY_NOT_SPENDABLE, "source", {"category": account.category})
            if no == destination and member.status == "merged":
                return Rejected(Rejection.MEMBER_MERGED, "destination")
            if no == source and member.status != "active":
                code = Rejection.MEMBER_BLOCKED if member.status == "blocked" else Rejection.MEMBER_MERGED
                return Rejected(code, "source")
            expire_overdue(state, no, state.now)
    if state.accounts[source].tracks_lots:
        return funds_refusal(state.figures_of(source), amount, False, None)
    return None


def book_posting(
    state: State,
    action: Action,
    source: int,
    destination: int,
    amount: int,
    *,
    posting: Posting,
    naming: Naming,
    parent: str | None,
    detail: str | None,
) -> int:
    """Book an applied or held raw transfer with its event. Returns the transfer's number."""
    booking = _booking(state, source, destination, posting)
    restored = _refunded(state, parent) if posting.reference.endswith("_refund") else []
    pins: tuple[tuple[int, int], ...] = ()
    debt = owed(state, destination) if state.accounts[destination].tracks_lots else 0
    if state.accounts[source].tracks_lots:
        before = len(booking.moves)
        missing = lots.take(state, booking.moves, source, amount, state.now, "hold" if action == "hold" else "take")
        assert not missing, "funds were checked after overdue lots were posted"
        pins = tuple((move.lot, move.amount) for move in booking.moves[before:]) if action == "hold" else ()
    transfer = booking.move(
        source,
        destination,
        amount,
        action=action,
        effective_at=posting.effective_at,
        naming=naming,
        parent=parent,
        detail=detail,
    )
    if action == "apply" and state.accounts[destination].tracks_lots:
        _credit_lots(state, booking, state.accounts[destination], amount, debt, restored)
    _close(state, booking, destination, transfer)
    if action == "hold":
        ledger.add_hold(state, transfer, posting.expires_at, posting.commits_at, pins)
    return transfer.seq


def end_hold(
    state: State, action: Action, transfer: Transfer, hold: Hold, amount: int, naming: Naming, detail: str | None
) -> int:
    """Settle or release part of a hold of points: the pins that expire first go first."""
    source, destination = transfer.source, transfer.destination
    booking = _booking(state, source, destination, None)
    source_debt = owed(state, source) if state.accounts[source].tracks_lots else 0
    debt = owed(state, destination) if state.accounts[destination].tracks_lots else 0
    pins = _unpin(state, booking, hold, amount, taken=action == "settle")
    child = booking.move(source, destination, amount, action=action, naming=naming, parent=transfer.id, detail=detail)
    if action == "settle" and state.accounts[destination].tracks_lots:
        _credit_lots(state, booking, state.accounts[destination], amount, debt, [])
    if action == "release" and source_debt:
        freed = [move.lot for move in booking.moves if move.kind == "unhold"]
        lots.repay(state, booking.moves, freed, min(source_debt, amount))
    _close(state, booking, destination, child)
    ledger.shrink_hold(state, hold, amount, action, pins)
    for no in (source, destination):
        if state.accounts[no].tracks_lots:
            expire_after(state, no)
    return child.seq


def _booking(state: State, source: int, destination: int, posting: Posting | None) -> Booking:
    """The event of whoever's points move; of the sender where both sides are members."""
    account = state.accounts[source] if state.accounts[source].tracks_lots else state.accounts[destination]
    event_at = posting.effective_at if posting is not None and posting.effective_at is not None else state.now
    place = Place(event_at=event_at, judged_at=state.now, program=program_of(state, account.no))
    return Booking(state, Name.LEDGER_TRANSACTION, account.member_no, place)


def _close(state: State, booking: Booking, destination: int, transfer: Transfer) -> None:
    """Close the event; where the points came to another member, that member's ledger gets an event that mirrors it."""
    account = state.accounts[destination]
    event = booking.close(
        reference=transfer.reference or "", body={"transfer_id": transfer.id, "status": transfer.status}
    )
    if account.tracks_lots and account.member_no != booking.member_no and transfer.status == "APPLIED":
        mirror = Booking(state, Name.LEDGER_TRANSACTION, account.member_no, booking.place)
        mirror.note("credit", account.category)
        mirror.close(
            reference=transfer.reference or "",
            mirrors=event.seq,
            points=transfer.amount,
            body={"transfer_id": transfer.id, "status": transfer.status},
        )


def _credit_lots(
    state: State,
    booking: Booking,
    account: Account,
    amount: int,
    debt: int,
    restored: list[lots.LotMove],
) -> None:
    """Fill again what a refunded transfer had taken, open a lot for the rest, and repay what was owed from both."""
    touched: list[int] = []
    for move in reversed(restored):
        lot = state.lots.get(move.lot)
        if lot is None:
            raise NotLoaded(("lot", move.lot))
        part = min(move.amount, amount)
        if part and lot.account == account.no:
            touched += lots.refill(state, booking.moves, booking.seq, lot, part)
            amount -= part
    if amount:
        program = program_of(state, account.no)
        usual = promises.Terms(expires_at(program.policies, booking.place.event_at))
        terms = endings.settle(state, booking, program, "ledger", usual, booking.place.event_at)
        opened = lots.open_lot(
            state,
            booking.moves,
            account.no,
            booking.seq,
            amount,
            earned_at=booking.place.event_at,
            expires_at=terms.expires_at,
            rule="ledger",
            version=program.version,
            promise=terms.promise,
        )
        touched.append(opened.no)
    endings.catch_up_lots(state, booking.moves, touched)
    lots.repay(state, booking.moves, touched, debt)


def _refunded(state: State, original_id: str | None) -> list[lots.LotMove]:
    """What the original of a refund took from lots."""
    if original_id is None:
        return []
    taken: list[lots.LotMove] = []
    for transfer in ledger.targets(state, original_id):
        if transfer.id == original_id and transfer.event_seq:
            event = state.events.get(transfer.event_seq)
            if event is None:
                raise NotLoaded(("event", transfer.event_seq))
            taken += [move for move in lots.decode_moves(event.lot_moves) if move.kind == "take"]
    return taken


def _unpin(state: State, booking: Booking, hold: Hold, amount: int, taken: bool) -> tuple[tuple[int, int], ...]:
    """Unpin `amount`, and take it where the hold is settled. Returns the pins that are left."""
    left: list[tuple[int, int]] = []
    for no, pinned in hold.pins:
        part = min(pinned, amount)
        amount -= part
        if part:
            lot = state.lots.get(no)
            if lot is None:
                raise NotLoaded(("lot", no))
            lot = lots.change(state, booking.moves, lot, "unhold", part)
            if taken:
                lots.change(state, booking.moves, lot, "take", part)
        if pinned > part:
            left.append((no, pinned - part))
    return tuple(left)
