"""Refunds: an applied transfer reversed, or a released hold held again in reverse; once each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from guerdon.core.accounts import Transfer
from guerdon.core.commands import Posting, Refund
from guerdon.core.holds import tracks_lots
from guerdon.core.ledger import Naming, targets
from guerdon.core.metadata import write_first
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.postings import Order, place
from guerdon.core.results import Posted

if TYPE_CHECKING:
    from guerdon.core.state import State


def refund(state: State, command: Refund) -> Outcome:
    """Reverse what an id names, once each: applied transfers by applying, released holds by holding again in reverse.

    Overdraft is allowed, but an account's floor is not broken: that is refused at once, queued or not, so that the refund
    may be tried again when there are funds.
    """
    transfers = targets(state, command.target)
    if not transfers:
        return Rejected(Rejection.TRANSFER_NOT_FOUND, "transaction_id", {"transaction_id": command.target})
    eligible = [t for t in transfers if t.action in ("apply", "settle", "release")]
    if not eligible:
        return Rejected(Rejection.NOT_REFUNDABLE, "transaction_id", {"status": transfers[0].status})
    made: list[int] = []
    for original in eligible:
        outcome = _refund_one(state, command, original)
        if isinstance(outcome, Rejected):
            return outcome
        made.append(outcome)
    return Accepted(Posted(transfers=(tuple(made),), refused=(None,)))


def _refund_one(state: State, command: Refund, original: Transfer) -> int | Rejected:
    reference = f"txn_{original.id}_refund"
    if state.find(("reference", reference)) is not None:
        return Rejected(Rejection.ALREADY_REFUNDED, "transaction_id", {"transaction_id": original.id})
    main_id = state.new_id()
    naming = Naming(main_id, reference, None, None)
    if command.queued:
        naming = Naming(state.new_id(), reference + "_q", main_id, reference)
    kept = msgspec.json.decode(original.detail) if original.detail else {}
    posting = Posting(
        asset=original.asset,
        amount=original.amount,
        precision=kept.get("precision", 1),
        reference=reference,
        description=command.description or kept.get("description", ""),
        allow_overdraft=True,
        inflight=original.action == "release",
    )
    write_first(state, "txn", main_id, command.meta)
    for no in (original.source, original.destination):
        tracks_lots(state, no)
    order = Order(posting, original.destination, original.source, original.amount, naming, original.id, None)
    return place(state, order)
