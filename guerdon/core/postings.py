"""Raw transfers as callers post them: single, split, in bulk, queued, scheduled.

Promises that a posting, its legs and an atomic batch stand or fall together; that a *queued* posting (Blnk's two-step
answer) that lacks funds is accepted with a rejected transfer as its outcome; and that a reference is taken once.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from guerdon.core import raw_points
from guerdon.core.accounts import Action, Scheduled, Transfer
from guerdon.core.assets import AMOUNT_MAX
from guerdon.core.commands import Post, Posting, RunScheduled
from guerdon.core.holds import settle_rest
from guerdon.core.keys import account_key, references
from guerdon.core.ledger import Naming, add_hold, book, funds_refusal, internal_account, keep, out_of_range, targets
from guerdon.core.metadata import write_first
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.results import Posted
from guerdon.core.splits import split
from guerdon.core.state import Key, NotLoaded

if TYPE_CHECKING:
    from guerdon.core.state import State


class Order(Struct, frozen=True, gc=False):
    """One leg of a posting, resolved: account numbers, the amount, its names, and its place in a batch."""

    posting: Posting
    source: int
    destination: int
    amount: int
    naming: Naming
    parent: str | None
    sequence: int | None


def post(state: State, command: Post) -> Outcome:
    """Post raw transfers: all or nothing with `atomic`, else each on its own; a single refused posting refuses the
    command.

    Answers one tuple of transfer numbers per posting. A *queued* posting that lacks funds is accepted, with a rejected
    transfer as its outcome; with `atomic` every other posting of the command is then rejected alike.
    """
    start = state.mark()
    try:
        if not command.batch and len(command.postings) == 1:
            return _post_alone(state, command)
        outcome = _post_all(state, command, None)
    except NotLoaded as missing:
        raise NotLoaded(*missing.keys, *_wanted(state, command)) from None
    if command.atomic and isinstance(outcome, Accepted):
        reason = _rejected_among(state, [seq for made in outcome.result.transfers for seq in made])
        if reason is not None:
            state.rollback(start)
            return _post_all(state, command, reason)
    return outcome


def _wanted(state: State, command: Post) -> Iterator[Key]:
    """All that postings of points will ask for, so that a bulk request costs one more look-up, not many."""
    for posting in command.postings:
        paying = (posting.source, *(leg.account for leg in posting.sources))
        paid = (posting.destination, *(leg.account for leg in posting.destinations))
        for names, pays in ((paying, True), (paid, False)):
            for name in names:
                no = state.found.get(account_key(name, posting.asset))
                if no is not None:
                    yield from raw_points.wanted(state, no, pays)


def _post_alone(state: State, command: Post) -> Outcome:
    """A command of one posting, which is most of them: nothing else stands or falls with it."""
    made = _post_one(state, command.postings[0], None, 0, command.id, None)
    if isinstance(made, Rejected):
        return Rejected(made.code, made.field, {**made.detail, "index": 0})
    return Accepted(_answer(state, (made,), (None,)))


def _answer(state: State, made: tuple[tuple[int, ...], ...], refused: tuple[str | None, ...]) -> Posted:
    """What was made, with the rows themselves and the id and indicator of every account that they name."""
    rows: list[Transfer] = []
    names: dict[int, tuple[str, str]] = {}
    for seqs in made:
        for seq in seqs:
            row = state.transfers[seq]
            rows.append(row)
            for no in (row.source, row.destination):
                account = state.accounts[no]
                names[no] = account.id, account.indicator
    return Posted(transfers=made, refused=refused, rows=tuple(rows), names=names)


def _post_all(state: State, command: Post, reason: Rejection | None) -> Outcome:
    """Every posting in turn. With a `reason` all of them are rejected for it."""
    batch = command.id if command.batch else None
    made: list[tuple[int, ...]] = []
    refused: list[str | None] = []
    for index, posting in enumerate(command.postings):
        mark = state.mark()
        id = command.id if not command.batch and index == 0 else ""
        outcome = _post_one(state, posting, batch, index, id, reason)
        if isinstance(outcome, Rejected):
            if command.atomic or not command.batch:
                return Rejected(outcome.code, outcome.field, {**outcome.detail, "index": index})
            state.rollback(mark)
            made.append(())
            refused.append(outcome.code.value)
        else:
            made.append(outcome)
            refused.append(None)
    if command.batch:
        return Accepted(Posted(transfers=tuple(made), refused=tuple(refused)))
    return Accepted(_answer(state, tuple(made), tuple(refused)))


def _rejected_among(state: State, seqs: list[int]) -> Rejection | None:
    """Why one of these transfers was rejected, None when none was or all were."""
    rejected = [state.transfers[seq] for seq in seqs if state.transfers[seq].action == "reject"]
    if not rejected or len(rejected) == len(seqs):
        return None
    return Rejection(msgspec.json.decode(rejected[0].detail or "{}")["reason"])


def _post_one(
    state: State, posting: Posting, batch: str | None, index: int, id: str, reason: Rejection | None
) -> tuple[int, ...] | Rejected:
    """One posting: its references are free, its accounts exist and agree, then its legs are booked."""
    legs = posting.sources or posting.destinations
    refused = _refusal(state, posting, len(legs))
    if refused is not None:
        return refused
    sequence = None if batch is None else index
    if not legs:
        source = _resolve(state, posting.source, posting.asset, "source")
        if isinstance(source, Rejected):
            return source
        destination = _resolve(state, posting.destination, posting.asset, "destination")
        if isinstance(destination, Rejected):
            return destination
        if source == destination:
            return Rejected(Rejection.SAME_ACCOUNT, "destination")
        naming = _naming(state, posting, id or state.new_id(), 0)
        if posting.meta:
            write_first(state, "txn", naming.request_id or naming.id, posting.meta)
        outcome = place(state, Order(posting, source, destination, posting.amount, naming, batch, sequence), reason)
        return outcome if isinstance(outcome, Rejected) else (outcome,)
    ends = _ends(state, posting)
    if isinstance(ends, Rejected):
        return ends
    amounts = split(posting.amount, legs)
    if amounts is None:
        return Rejected(Rejection.INVALID_DISTRIBUTION, "destinations" if posting.destinations else "sources")
    main_id = id or state.new_id()
    write_first(state, "txn", main_id, posting.meta)
    orders = [
        Order(posting, source, destination, amount, _naming(state, posting, main_id, i), batch or main_id, sequence)
        for i, ((source, destination), amount) in enumerate(zip(ends, amounts, strict=True), 1)
        if amount
    ]
    return _place_all(state, orders, reason)


def _refusal(state: State, posting: Posting, legs: int) -> Rejected | None:
    """What can be refused before the accounts are known: the reference, the amount, a precision not the asset's."""
    taken = references(posting, legs) if legs or posting.queued else (posting.reference,)
    for reference in taken:
        if state.find(("reference", reference)) is not None:
            return Rejected(Rejection.REFERENCE_TAKEN, "reference", {"reference": reference})
    if posting.amount <= 0:
        return Rejected(Rejection.AMOUNT_NOT_POSITIVE, "amount")
    if posting.amount > AMOUNT_MAX:
        return Rejected(Rejection.AMOUNT_OUT_OF_RANGE, "amount", {"maximum": str(AMOUNT_MAX)})
    asset = state.config.assets.get(posting.asset)
    if asset is not None and posting.precision != 10**asset.scale:
        return Rejected(
            Rejection.PRECISION_MISMATCH, "precision", {"currency": asset.code, "precision": str(10**asset.scale)}
        )
    return None


def _place_all(state: State, orders: list[Order], reason: Rejection | None) -> tuple[int, ...] | Rejected:
    """Book every leg; where one is rejected for lack of funds, all are."""
    mark = state.mark()
    made: list[int] = []
    for order in orders:
        outcome = place(state, order, reason)
        if isinstance(outcome, Rejected):
            return outcome
        made.append(outcome)
    one_rejected = _rejected_among(state, made)
    if one_rejected is not None:
        state.rollback(mark)
        return _place_all(state, orders, one_rejected)
    return tuple(made)


def _ends(state: State, posting: Posting) -> list[tuple[int, int]] | Rejected:
    """Pairs of (source, destination) account numbers, one per leg of a split."""
    side, name = ("sources", posting.destination) if posting.sources else ("destinations", posting.source)
    other = _resolve(state, name, posting.asset, "destination" if posting.sources else "source")
    if isinstance(other, Rejected):
        return other
    ends: list[tuple[int, int]] = []
    for i, leg in enumerate(posting.sources or posting.destinations):
        no = _resolve(state, leg.account, posting.asset, f"{side}[{i}].identifier")
        if isinstance(no, Rejected):
            return no
        if no == other:
            return Rejected(Rejection.SAME_ACCOUNT, f"{side}[{i}].identifier")
        ends.append((no, other) if posting.sources else (other, no))
    return ends


def _resolve(state: State, name: str, asset: str, field: str) -> int | Rejected:
    """The number of an account as a posting names it; `@Name` is opened on first use.

    Where the posting's asset or the account's is registered they must be the same; free text is not checked.
    """
    key = account_key(name, asset)
    no: int | None = state.found.get(key)
    if no is None and state.find(key) is None:
        if name.startswith("@"):
            return internal_account(state, name, asset)
        return Rejected(Rejection.ACCOUNT_NOT_FOUND, field, {"balance_id": name})
    assert no is not None
    own = state.accounts[no].asset
    if own != asset and (asset in state.config.assets or own in state.config.assets):
        return Rejected(Rejection.ASSET_MISMATCH, field, {"currency": asset, "account_currency": own})
    return no


def _naming(state: State, posting: Posting, main_id: str, leg: int) -> Naming:
    reference = posting.reference
    if posting.queued:
        own = f"{reference}_{leg}" if leg else reference
        return Naming(state.new_id(), own + "_q", state.new_id() if leg else main_id, own)
    if leg:
        return Naming(state.new_id(), f"{reference}-{leg}", None, None)
    return Naming(main_id, reference, None, None)


def place(state: State, order: Order, reason: Rejection | None = None) -> int | Rejected:
    """Decide one order and book its outcome. Returns the transfer's number.

    With a `reason` the outcome is a rejection in any case.
    """
    posting, source, destination, amount = order.posting, order.source, order.destination, order.amount
    figures = state.figures[source]
    lots = state.accounts[source].tracks_lots or state.accounts[destination].tracks_lots
    if reason is None:
        if out_of_range(figures, state.figures[destination], amount):
            return Rejected(Rejection.AMOUNT_OUT_OF_RANGE, "amount", {"maximum": str(AMOUNT_MAX)})
        if posting.scheduled_for is not None and posting.scheduled_for > state.now:
            return _schedule(state, order)
        if lots:
            refusal = raw_points.refusal(state, source, destination, amount, posting.effective_at)
            if isinstance(refusal, Rejected):
                return refusal
            reason = refusal
            figures = state.figures[source]
    reason = reason or funds_refusal(figures, amount, posting.allow_overdraft, posting.overdraft_limit)
    if reason is not None and not posting.queued:
        return Rejected(reason, "source", {"available": str(figures.available), "amount": str(amount)})
    naming = order.naming
    detail = _detail(posting, reason, order.sequence)
    _take_references(state, naming)
    if reason is not None:
        return _record(state, "reject", order, detail).seq
    action: Action = "hold" if posting.inflight else "apply"
    if lots:
        return raw_points.book_posting(
            state,
            action,
            source,
            destination,
            amount,
            posting=posting,
            naming=naming,
            parent=order.parent,
            detail=detail,
        )
    transfer = book(
        state,
        action,
        source,
        destination,
        amount,
        posting.asset,
        id=naming.id,
        effective_at=posting.effective_at,
        reference=naming.reference,
        request_id=naming.request_id,
        request_reference=naming.request_reference,
        parent=order.parent,
        detail=detail,
    )
    if posting.inflight:
        add_hold(state, transfer, posting.expires_at, posting.commits_at)
    return transfer.seq


def _take_references(state: State, naming: Naming) -> None:
    seq = state.counters.get("seq", 0) + 1
    state.put(state.found, ("reference", naming.reference), seq)
    if naming.request_reference is not None:
        state.put(state.found, ("reference", naming.request_reference), seq)


def _record(state: State, action: Action, order: Order, detail: str | None) -> Transfer:
    """A transfer row that moves nothing: a rejection or a schedule."""
    effective_at = order.posting.effective_at
    transfer = Transfer(
        state.next("seq"),
        order.naming.id,
        0,
        action,
        order.source,
        order.destination,
        order.posting.asset,
        order.amount,
        None,
        None,
        None,
        None,
        state.now,
        effective_at if effective_at != state.now else None,
        order.naming.reference,
        order.naming.request_id,
        order.naming.request_reference,
        order.parent,
        detail,
    )
    keep(state, transfer)
    return transfer


def _detail(posting: Posting, refused: Rejection | None, sequence: int | None) -> str:
    """What only a raw transfer has, as JSON text; names are Blnk's, so that rendering is a copy."""
    # Most have nothing but this, and theirs are a few different texts.
    if not (
        posting.description
        or posting.overdraft_limit is not None
        or posting.inflight
        or posting.expires_at is not None
        or posting.commits_at is not None
        or posting.scheduled_for is not None
        or sequence is not None
        or refused is not None
    ):
        return _short_detail(posting.precision, posting.allow_overdraft)
    detail: dict[str, Any] = {"precision": posting.precision}
    if posting.description:
        detail["description"] = posting.description
    if posting.allow_overdraft:
        detail["allow_overdraft"] = True
    if posting.overdraft_limit is not None:
        detail["overdraft_limit"] = str(posting.overdraft_limit)
    if posting.inflight:
        detail["inflight"] = True
    if posting.expires_at is not None:
        detail["inflight_expiry_date"] = posting.expires_at
    if posting.commits_at is not None:
        detail["inflight_commit_date"] = posting.commits_at
    if posting.scheduled_for is not None:
        detail["scheduled_for"] = posting.scheduled_for
    if sequence is not None:
        detail["sequence"] = sequence
    if refused is not None:
        detail["reason"] = refused.value
    return msgspec.json.encode(detail).decode()


@lru_cache(256)
def _short_detail(precision: int, allow_overdraft: bool) -> str:
    allowed = {"allow_overdraft": True} if allow_overdraft else {}
    return msgspec.json.encode({"precision": precision, **allowed}).decode()


# -- schedules --------------------------------------------------------------------------------------------------------


def _schedule(state: State, order: Order) -> int:
    """Write down a posting that waits. Its row has the request's own id and reference; the outcome will name it as
    parent.
    """
    posting, naming = order.posting, order.naming
    assert posting.scheduled_for is not None
    reference = naming.request_reference or naming.reference
    own = Naming(naming.request_id or naming.id, reference, None, None)
    _take_references(state, own)
    transfer = _record(state, "schedule", msgspec.structs.replace(order, naming=own), _detail(posting, None, None))
    source, destination = state.accounts[order.source], state.accounts[order.destination]
    waiting = msgspec.structs.replace(
        posting,
        amount=order.amount,
        source=source.indicator or source.id,
        destination=destination.indicator or destination.id,
        sources=(),
        destinations=(),
        reference=reference,
        scheduled_for=None,
        queued=True,
        meta="",
    )
    scheduled = Scheduled(
        seq=transfer.seq,
        transfer_id=transfer.id,
        due_at=posting.scheduled_for,
        done=False,
        request=msgspec.json.encode(waiting).decode(),
    )
    state.put(state.scheduled, transfer.seq, scheduled)
    return transfer.seq


def run_scheduled(state: State, command: RunScheduled) -> Outcome:
    """Decide what is due under this id: a scheduled posting, or a hold that asked to be settled. Done before: no
    effect.
    """
    made: list[int] = []
    for transfer in targets(state, command.target):
        waiting = state.scheduled.get(transfer.seq)
        if waiting is not None and not waiting.done and waiting.due_at <= state.now:
            state.put(state.scheduled, transfer.seq, msgspec.structs.replace(waiting, done=True))
            made.append(_run(state, msgspec.json.decode(waiting.request, type=Posting), transfer))
        hold = state.holds.get(transfer.seq)
        if hold is not None and hold.remaining and hold.commits_at is not None and hold.commits_at <= state.now:
            made.append(settle_rest(state, transfer, hold))
    return Accepted(Posted(transfers=(tuple(made),), refused=(None,)))


def _run(state: State, posting: Posting, waiting: Transfer) -> int:
    """Decide a scheduled posting. Whatever stands in its way by now, its outcome is a rejected transfer: it was
    accepted, and is never tried again.
    """
    reference = posting.reference + "_q"
    if state.find(("reference", reference)) is not None:
        reference = f"ref_{state.new_id()}"
    naming = Naming(state.new_id(), reference, None, None)
    order = Order(posting, waiting.source, waiting.destination, posting.amount, naming, waiting.id, None)
    mark = state.mark()
    outcome = _resolve(state, posting.source, posting.asset, "source")
    if not isinstance(outcome, Rejected):
        outcome = _resolve(state, posting.destination, posting.asset, "destination")
    if not isinstance(outcome, Rejected):
        outcome = place(state, order)
    if isinstance(outcome, Rejected):
        state.rollback(mark)
        outcome = place(state, order, outcome.code)
    assert not isinstance(outcome, Rejected)
    return outcome
