"""Refunds: an applied transfer reversed, or a released hold held again in reverse; once each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from guerdon.core import raw_points
from guerdon.core.accounts import Transfer
from guerdon.core.commands import Posting, Refund
from guerdon.core.holds import tracks_lots
from guerdon.core.keys import refund_reference
from guerdon.core.ledger import Naming, targets
from guerdon.core.metadata import write_first
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.postings import Order, place
from guerdon.core.results import Posted
from guerdon.core.state import Key, NotLoaded

if TYPE_CHECKING:
    from guerdon.core.state import State


def refund(state: State, command: Refund) -> Outcome:
    """Reverse what an id names, once each: applied transfers by applying, released holds by holding again in reverse.

    Overdraft is allowed, but an account's floor is not broken: that is refused at once, queued or not, so that the
    refund may be tried again when there are funds.
    """
    transfers = targets(state, command.target)
    if not transfers:
        return Rejected(Rejection.TRANSFER_NOT_FOUND, "transaction_id", {"transaction_id": command.target})
    eligible = [t for t in transfers if t.action in ("apply", "settle", "release")]
    if not eligible:
        return Rejected(Rejection.NOT_REFUNDABLE, "transaction_id", {"status": transfers[0].status})
    try:
        made = _refund_each(state, command, eligible)
    except NotLoaded as missing:
        raise NotLoaded(*missing.keys, *_wanted(state, eligible)) from None
    if isinstance(made, Rejected):
        return made
    return Accepted(Posted(transfers=(tuple(made),), refused=(None,)))


def _wanted(state: State, originals: list[Transfer]) -> Iterator[Key]:
    """All that the refunds will ask for, so that those of a bulk request cost one more look-up, not many."""
    for original in originals:
        yield ("reference", refund_reference(original.id))
        if original.event_seq:
            yield ("transfer", original.id)
            yield ("event", original.event_seq)
        for no, pays in ((original.source, False), (original.destination, True)):
            if no in state.accounts:
                yield from raw_points.wanted(state, no, pays)


def _refund_each(state: State, command: Refund, originals: list[Transfer]) -> list[int] | Rejected:
    made: list[int] = []
    for original in originals:
        outcome = _refund_one(state, command, original)
        if isinstance(outcome, Rejected):
            return outcome
        made.append(outcome)
    return made


def _refund_one(state: State, command: Refund, original: Transfer) -> int | Rejected:
    reference = refund_reference(original.id)
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
