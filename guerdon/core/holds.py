"""Holds: made final in whole or in part, or let go.

A hold is a transfer that has not happened yet; each settlement or release is a child transfer of its own, and the
hold's
row is never touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guerdon.core import raw_points
from guerdon.core.accounts import Action, Hold, Transfer
from guerdon.core.commands import Release, Settle
from guerdon.core.ledger import Naming, book, shrink_hold, targets
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.results import Posted
from guerdon.core.state import NotLoaded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guerdon.core.state import State


def settle(state: State, command: Settle) -> Outcome:
    """Make a hold final, in whole or in part; a part is taken from every leg alike."""
    held = _open_holds(state, command.target)
    if isinstance(held, Rejected):
        return held
    if command.amount is not None and command.amount <= 0:
        return Rejected(Rejection.AMOUNT_NOT_POSITIVE, "amount")
    for _, hold in held:
        if command.amount is not None and command.amount > hold.remaining:
            return Rejected(
                Rejection.SETTLE_EXCEEDS_HOLD,
                "amount",
                {"remaining": str(hold.remaining), "amount": str(command.amount)},
            )
    amounts = [hold.remaining if command.amount is None else command.amount for _, hold in held]
    return Accepted(Posted(transfers=(_end_each(state, "settle", held, amounts),), refused=(None,)))


def release(state: State, command: Release) -> Outcome:
    """Let go the rest of a hold. With `due` only what has expired; nothing due is accepted and does nothing."""
    held = _open_holds(state, command.target)
    if isinstance(held, Rejected):
        return Accepted(Posted(transfers=((),), refused=(None,))) if command.due else held
    if command.due:
        held = [(t, h) for t, h in held if h.expires_at is not None and h.expires_at <= state.now]
    amounts = [hold.remaining for _, hold in held]
    return Accepted(Posted(transfers=(_end_each(state, "release", held, amounts),), refused=(None,)))


def settle_rest(state: State, transfer: Transfer, hold: Hold) -> int:
    """Settle all that is left of a hold, as its own date asked for. Returns the child's number."""
    return _end(state, "settle", transfer, hold, hold.remaining)


def _open_holds(state: State, id: str) -> list[tuple[Transfer, Hold]] | Rejected:
    """The holds under an id that have something left, or why there are none."""
    transfers = targets(state, id)
    if not transfers:
        return Rejected(Rejection.TRANSFER_NOT_FOUND, "transaction_id", {"transaction_id": id})
    held = [(t, state.holds[t.seq]) for t in transfers if t.action == "hold"]
    if not held:
        return Rejected(Rejection.NOT_INFLIGHT, "transaction_id", {"transaction_id": id})
    left = [(t, h) for t, h in held if h.remaining]
    if not left:
        code = Rejection.ALREADY_RELEASED if any(h.released for _, h in held) else Rejection.ALREADY_SETTLED
        return Rejected(code, "transaction_id", {"transaction_id": id})
    return left


def _end_each(
    state: State, action: Action, held: Sequence[tuple[Transfer, Hold]], amounts: Sequence[int]
) -> tuple[int, ...]:
    """Settle or release so much of each. What one of them asks for is asked for all of them, since a split over many
    members would need as many look-ups as they are."""
    try:
        return tuple(_end(state, action, *each, amount) for each, amount in zip(held, amounts, strict=True))
    except NotLoaded as missing:
        sides = [no for transfer, _ in held for no in (transfer.source, transfer.destination) if no in state.accounts]
        wanted = [key for no in sides for key in raw_points.wanted(state, no, pays=False)]
        raise NotLoaded(*missing.keys, *wanted) from None


def _end(state: State, action: Action, transfer: Transfer, hold: Hold, amount: int) -> int:
    """Settle or release `amount` of a hold: a child transfer, and less remains."""
    id = state.new_id()
    naming = Naming(id, f"ref_{id}", None, None)
    detail = transfer.detail
    source, destination = transfer.source, transfer.destination
    if tracks_lots(state, source) or tracks_lots(state, destination):
        return raw_points.end_hold(state, action, transfer, hold, amount, naming, detail)
    child = book(
        state,
        action,
        source,
        destination,
        amount,
        transfer.asset,
        id=id,
        reference=naming.reference,
        parent=transfer.id,
        detail=detail,
    )
    shrink_hold(state, hold, amount, action)
    return child.seq


def tracks_lots(state: State, account_no: int) -> bool:
    account = state.accounts.get(account_no)
    if account is None:
        raise NotLoaded(("account_no", account_no))
    return account.tracks_lots
