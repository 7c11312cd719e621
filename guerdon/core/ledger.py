"""The double-entry ledger: post, hold, settle, release, refund, schedule.

Promises that each transfer moves one amount of one asset from one account to another, that no account goes below its
floor whatever flag is set, that no figure grows past `AMOUNT_MAX`, and that the legs of a split add up to the whole.
Points accounts bring their lots along; that part is `raw_points.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from guerdon.core.accounts import (
    GENERAL_LEDGER,
    NO_FIGURES,
    Account,
    Action,
    Figures,
    Hold,
    Ledger,
    Scheduled,
    Transfer,
)
from guerdon.core.assets import AMOUNT_MAX
from guerdon.core.commands import (
    AssignAccount,
    Leg,
    OpenAccount,
    OpenLedger,
    Post,
    Posting,
    Refund,
    Release,
    RenameLedger,
    RunScheduled,
    Settle,
)
from guerdon.core.keys import account_key, references
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.results import Changed, Opened, Posted
from guerdon.core.state import NotLoaded

if TYPE_CHECKING:
    from guerdon.core.state import State

PERCENT_WHOLE = 10**12
"""The `value` of a leg that takes 100 %."""


# -- booking: the only place where figures change ---------------------------------------------------------------------


def book(
    state: State,
    action: Action,
    source: int,
    destination: int,
    amount: int,
    asset: str,
    *,
    id: str = "",
    event_seq: int = 0,
    effective_at: datetime | None = None,
    reference: str | None = None,
    request_id: str | None = None,
    request_reference: str | None = None,
    parent: str | None = None,
    detail: str | None = None,
    lower_floor: bool = False,
) -> Transfer:
    """Make one transfer and change both accounts' figures; everything was checked before.

    `lower_floor` lets the source's floor follow its balance down (a return that the program lets go below zero).
    """
    s = state.figures.get(source, NO_FIGURES)
    d = state.figures.get(destination, NO_FIGURES)
    sc, sd, sic, sid = s.credit, s.debit, s.inflight_credit, s.inflight_debit
    dc, dd, dic, did = d.credit, d.debit, d.inflight_credit, d.inflight_debit
    if action == "apply":
        sd += amount
        dc += amount
    elif action == "hold":
        sid += amount
        dic += amount
    elif action == "settle":
        sd += amount
        sid -= amount
        dc += amount
        dic -= amount
    else:
        sid -= amount
        dic -= amount
    source_floor, destination_floor = s.floor, d.floor
    if lower_floor and source_floor is not None:
        source_floor = min(source_floor, sc - sd - sid)
    if destination_floor:
        destination_floor = min(0, dc - dd - did)
    source_version, destination_version = s.version + 1, d.version + 1
    state.put(state.figures, source, Figures(sc, sd, sic, sid, source_version, source_floor))
    state.put(state.figures, destination, Figures(dc, dd, dic, did, destination_version, destination_floor))
    seq = state.next("seq")
    transfer = Transfer(
        seq,
        id or state.new_id(),
        event_seq,
        action,
        source,
        destination,
        asset,
        amount,
        source_version,
        destination_version,
        sc - sd,
        dc - dd,
        state.now,
        effective_at if effective_at != state.now else None,
        reference,
        request_id,
        request_reference,
        parent,
        detail,
    )
    _keep(state, transfer)
    return transfer


def _keep(state: State, transfer: Transfer) -> None:
    """Write the row, and let this batch find it by every id that names it."""
    state.put(state.transfers, transfer.seq, transfer)
    state.link(transfer.id, transfer.seq)
    if transfer.request_id is not None:
        state.link(transfer.request_id, transfer.seq)
    if transfer.parent is not None:
        state.link(transfer.parent, transfer.seq)


def out_of_range(state: State, source: int, destination: int, amount: int) -> bool:
    """Whether an amount, or a figure it would lead to, is larger than the ledger stores."""
    s = state.figures.get(source, NO_FIGURES)
    d = state.figures.get(destination, NO_FIGURES)
    return (
        amount > AMOUNT_MAX
        or s.debit + s.inflight_debit + amount > AMOUNT_MAX
        or d.credit + d.inflight_credit + amount > AMOUNT_MAX
    )


def funds_refusal(figures: Figures, amount: int, allow_overdraft: bool, limit: int | None) -> Rejection | None:
    """Blnk's order of checks on a source (overdraft, available, overdraft limit), after the floor, which no flag overrides."""
    available = figures.credit - figures.debit - figures.inflight_debit
    if figures.floor is not None and available - amount < figures.floor:
        return Rejection.INSUFFICIENT_FUNDS
    if (allow_overdraft and not limit) or available >= amount:
        return None
    if limit:
        return None if available - amount >= -limit else Rejection.OVERDRAFT_LIMIT_EXCEEDED
    return Rejection.INSUFFICIENT_FUNDS


# -- splits -----------------------------------------------------------------------------------------------------------


def split(total: int, legs: Sequence[Leg]) -> list[int] | None:
    """The amounts of the legs of a split; they add up to `total`. None if the distribution is impossible.

    Fixed legs first, then percentages of the total (truncated; what truncation left goes to the largest of them), then
    one `left` leg. What still differs from the total goes to the largest leg, the first on a tie. (Blnk's algorithm,
    reference 2.7, with its random tie broken by position.)
    """
    if len({leg.account for leg in legs}) < len(legs) or sum(leg.share == "left" for leg in legs) > 1:
        return None
    fixed = sum(leg.value for leg in legs if leg.share == "fixed")
    shares = sum(leg.value for leg in legs if leg.share == "percent")
    if fixed > total or shares > PERCENT_WHOLE:
        return None
    amounts = [
        leg.value if leg.share == "fixed" else total * leg.value // PERCENT_WHOLE if leg.share == "percent" else 0
        for leg in legs
    ]
    percents = [i for i, leg in enumerate(legs) if leg.share == "percent"]
    if percents:
        largest = max(percents, key=lambda i: (legs[i].value, -i))
        amounts[largest] += total * shares // PERCENT_WHOLE - sum(amounts[i] for i in percents)
    rest = total - sum(amounts)
    if rest < 0:
        return None
    left = [i for i, leg in enumerate(legs) if leg.share == "left"]
    amounts[left[0] if left else max(range(len(legs)), key=lambda i: (amounts[i], -i))] += rest
    return amounts


# -- ledgers and accounts ---------------------------------------------------------------------------------------------


def open_ledger(state: State, command: OpenLedger) -> Outcome:
    """A new named group of accounts. Names need not be unique (as at Blnk)."""
    no = state.next("ledger")
    ledger = Ledger(no=no, id=command.id, name=command.name, opened_at=state.now)
    state.put(state.ledgers, no, ledger)
    state.put(state.found, ("ledger", ledger.id), no)
    _annotate_new(state, "ldg", ledger.id, command.meta)
    return Accepted(Opened(id=ledger.id, number=no, created_at=state.now))


def rename_ledger(state: State, command: RenameLedger) -> Outcome:
    no = state.find(("ledger", command.ledger))
    if no is None:
        return Rejected(Rejection.LEDGER_NOT_FOUND, "ledger_id", {"ledger_id": command.ledger})
    state.put(state.ledgers, no, msgspec.structs.replace(state.ledgers[no], name=command.name))
    return Accepted(Changed(id=command.ledger))


def open_account(state: State, command: OpenAccount) -> Outcome:
    """An account of one asset; with an indicator it is internal and must be the only one of its asset."""
    ledger_no = state.find(("ledger", command.ledger))
    if ledger_no is None:
        return Rejected(Rejection.LEDGER_NOT_FOUND, "ledger_id", {"ledger_id": command.ledger})
    member_no = 0
    if command.member:
        member_no = state.find(("member", "id", command.member))
        if member_no is None:
            return Rejected(Rejection.MEMBER_NOT_FOUND, "identity_id", {"identity_id": command.member})
    if command.indicator and state.find(("internal", command.indicator, command.asset)) is not None:
        return Rejected(
            Rejection.INDICATOR_TAKEN, "indicator", {"indicator": command.indicator, "currency": command.asset}
        )
    account = add_account(
        state,
        command.asset,
        ledger_no,
        id=command.id,
        indicator=command.indicator,
        member_no=member_no,
        options=command.options,
    )
    _annotate_new(state, "bln", account.id, command.meta)
    return Accepted(Opened(id=account.id, number=account.no, created_at=state.now))


def assign_account(state: State, command: AssignAccount) -> Outcome:
    no = state.find(("account", command.account))
    if no is None:
        return Rejected(Rejection.ACCOUNT_NOT_FOUND, "balance_id", {"balance_id": command.account})
    member_no = state.find(("member", "id", command.member))
    if member_no is None:
        return Rejected(Rejection.MEMBER_NOT_FOUND, "identity_id", {"identity_id": command.member})
    account = state.accounts[no]
    if account.program_no and account.member_no != member_no:
        return Rejected(Rejection.MEMBER_IN_USE, "identity_id", {"balance_id": command.account})
    state.put(state.accounts, no, msgspec.structs.replace(account, member_no=member_no))
    return Accepted(Changed(id=command.account))


def add_account(
    state: State,
    asset: str,
    ledger_no: int = GENERAL_LEDGER,
    *,
    id: str = "",
    indicator: str = "",
    member_no: int = 0,
    program_no: int = 0,
    category: str = "",
    role: str = "",
    floor: int | None = None,
    tracks_lots: bool = False,
    options: str = "",
) -> Account:
    """Open an account with all figures at zero; everything was checked before."""
    account = Account(
        no=state.next("account"),
        id=id or state.new_id(),
        ledger_no=ledger_no,
        asset=asset,
        indicator=indicator,
        member_no=member_no,
        program_no=program_no,
        category=category,
        role=role,
        tracks_lots=tracks_lots,
        opened_at=state.now,
        options=options,
    )
    state.put(state.accounts, account.no, account)
    state.put(state.figures, account.no, Figures(floor=floor))
    state.put(state.found, ("account", account.id), account.no)
    state.put(state.found, ("account_no", account.no), account.no)
    if indicator:
        state.put(state.found, ("internal", indicator, asset), account.no)
    if tracks_lots:
        state.put(state.found, ("lots", account.no), True)
    return account


def internal_account(state: State, name: str, asset: str) -> int:
    """The number of `@Name` in an asset, opened when it does not exist yet."""
    no: int | None = state.find(("internal", name, asset))
    return add_account(state, asset, indicator=name).no if no is None else no


def _annotate_new(state: State, kind: str, id: str, meta: str) -> None:
    if meta:
        state.put(state.metadata, (kind, id), (1, meta))
        state.put(state.found, ("metadata", kind, id), (1, meta))


# -- posting ----------------------------------------------------------------------------------------------------------


def post(state: State, command: Post) -> Outcome:
    """Post raw transfers: all or nothing with `atomic`, else each on its own; a single refused posting refuses the command.

    Answers one tuple of transfer numbers per posting. A *queued* posting that lacks funds is accepted, with a rejected
    transfer as its outcome; with `atomic` every other posting of the command is then rejected alike.
    """
    start = state.mark()
    outcome = _post_all(state, command, None)
    if command.atomic and isinstance(outcome, Accepted):
        reason = _rejected_among(state, [seq for made in outcome.result.transfers for seq in made])
        if reason is not None:
            state.rollback(start)
            return _post_all(state, command, reason)
    return outcome


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
    return Accepted(Posted(transfers=tuple(made), refused=tuple(refused)))


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
    for reference in references(posting, len(legs)):
        taken = state.find(("reference", reference))
        if taken is not None:
            return Rejected(Rejection.REFERENCE_TAKEN, "reference", {"reference": reference})
    if posting.amount <= 0:
        return Rejected(Rejection.AMOUNT_NOT_POSITIVE, "amount")
    if posting.amount > AMOUNT_MAX:
        return Rejected(Rejection.AMOUNT_OUT_OF_RANGE, "amount", {"maximum": str(AMOUNT_MAX)})
    ends = _ends(state, posting)
    if isinstance(ends, Rejected):
        return ends
    amounts = [posting.amount]
    if legs:
        divided = split(posting.amount, legs)
        if divided is None:
            return Rejected(Rejection.INVALID_DISTRIBUTION, "destinations" if posting.destinations else "sources")
        amounts = divided
    parent = batch
    main_id = id or state.new_id()
    if legs and not batch:
        parent = main_id
    if posting.meta:
        _annotate_new(state, "txn", main_id, posting.meta)
    mark = state.mark()
    made = _book_legs(state, posting, ends, amounts, main_id, parent, index, batch, reason)
    if len(legs) > 1 and not isinstance(made, Rejected):
        one_refused = _rejected_among(state, made)
        if one_refused is not None:
            state.rollback(mark)
            made = _book_legs(state, posting, ends, amounts, main_id, parent, index, batch, one_refused)
    return made if isinstance(made, Rejected) else tuple(made)


def _book_legs(
    state: State,
    posting: Posting,
    ends: list[tuple[int, int]],
    amounts: list[int],
    main_id: str,
    parent: str | None,
    index: int,
    batch: str | None,
    reason: Rejection | None,
) -> list[int] | Rejected:
    """Book each leg that moves something; the first refusal is that of all."""
    split = bool(posting.sources or posting.destinations)
    made: list[int] = []
    for i, ((source, destination), amount) in enumerate(zip(ends, amounts, strict=True)):
        if amount == 0:
            continue
        naming = _naming(state, posting, main_id, i + 1 if split else 0)
        outcome = _book_leg(state, posting, source, destination, amount, naming, parent, index, batch, reason)
        if isinstance(outcome, Rejected):
            return outcome
        made.append(outcome)
    return made


def _ends(state: State, posting: Posting) -> list[tuple[int, int]] | Rejected:
    """Pairs of (source, destination) account numbers, one per leg."""
    source = _resolve(state, posting.source, posting, "source") if posting.source else 0
    if isinstance(source, Rejected):
        return source
    destination = _resolve(state, posting.destination, posting, "destination") if posting.destination else 0
    if isinstance(destination, Rejected):
        return destination
    if not posting.sources and not posting.destinations:
        if source == destination:
            return Rejected(Rejection.SAME_ACCOUNT, "destination")
        return [(source, destination)]
    ends: list[tuple[int, int]] = []
    side = "sources" if posting.sources else "destinations"
    for i, leg in enumerate(posting.sources or posting.destinations):
        no = _resolve(state, leg.account, posting, f"{side}[{i}].identifier")
        if isinstance(no, Rejected):
            return no
        pair = (no, destination) if posting.sources else (source, no)
        if pair[0] == pair[1]:
            return Rejected(Rejection.SAME_ACCOUNT, f"{side}[{i}].identifier")
        ends.append(pair)
    return ends


def _resolve(state: State, name: str, posting: Posting, field: str) -> int | Rejected:
    """An account as the posting names it; `@Name` is opened on first use. A registered asset is checked, others are not."""
    asset = state.config.assets.get(posting.asset)
    if asset is not None and posting.precision != 10**asset.scale:
        return Rejected(
            Rejection.PRECISION_MISMATCH, "precision", {"currency": asset.code, "precision": str(10**asset.scale)}
        )
    no: int | None = state.find(account_key(name, posting.asset))
    if no is None:
        if name.startswith("@"):
            return internal_account(state, name, posting.asset)
        return Rejected(Rejection.ACCOUNT_NOT_FOUND, field, {"balance_id": name})
    own = state.accounts[no].asset
    if own != posting.asset and (asset is not None or own in state.config.assets):
        return Rejected(Rejection.ASSET_MISMATCH, field, {"currency": posting.asset, "account_currency": own})
    return no


class Naming(msgspec.Struct, frozen=True):
    """The ids and references of one leg: the outcome's own, and the request's where it was queued."""

    id: str
    reference: str
    request_id: str | None
    request_reference: str | None


def _naming(state: State, posting: Posting, main_id: str, leg: int) -> Naming:
    reference = posting.reference
    if posting.queued:
        own = f"{reference}_{leg}" if leg else reference
        return Naming(state.new_id(), own + "_q", state.new_id() if leg else main_id, own)
    if leg:
        return Naming(state.new_id(), f"{reference}-{leg}", None, None)
    return Naming(main_id, reference, None, None)


def _book_leg(
    state: State,
    posting: Posting,
    source: int,
    destination: int,
    amount: int,
    naming: Naming,
    parent: str | None,
    index: int,
    batch: str | None,
    refused: Rejection | None,
) -> int | Rejected:
    """Decide one leg and book its outcome. Returns the transfer's number."""
    from guerdon.core import raw_points  # builds on the ledger; this is the one way back

    if out_of_range(state, source, destination, amount):
        return Rejected(Rejection.AMOUNT_OUT_OF_RANGE, "amount", {"maximum": str(AMOUNT_MAX)})
    if refused is None and posting.scheduled_for is not None and posting.scheduled_for > state.now:
        return _schedule(state, posting, source, destination, amount, naming, parent)
    lots = state.accounts[source].tracks_lots or state.accounts[destination].tracks_lots
    if lots:
        refusal = raw_points.refusal(state, source, destination, amount)
        if isinstance(refusal, Rejected):
            return refusal
        refused = refused or refusal
    refused = refused or funds_refusal(
        state.figures_of(source), amount, posting.allow_overdraft, posting.overdraft_limit
    )
    if refused is not None and not posting.queued:
        return Rejected(
            refused, "source", {"available": str(state.figures_of(source).available), "amount": str(amount)}
        )
    detail = _detail(posting, refused, index if batch else None)
    _take_references(state, naming)
    if refused is not None:
        transfer = _record(state, "reject", posting, source, destination, amount, naming, parent, detail)
    elif lots:
        return raw_points.book_posting(
            state,
            "hold" if posting.inflight else "apply",
            source,
            destination,
            amount,
            posting=posting,
            naming=naming,
            parent=parent,
            detail=detail,
        )
    else:
        transfer = book(
            state,
            "hold" if posting.inflight else "apply",
            source,
            destination,
            amount,
            posting.asset,
            id=naming.id,
            effective_at=posting.effective_at,
            reference=naming.reference,
            request_id=naming.request_id,
            request_reference=naming.request_reference,
            parent=parent,
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


def _record(
    state: State,
    action: Action,
    posting: Posting,
    source: int,
    destination: int,
    amount: int,
    naming: Naming,
    parent: str | None,
    detail: str | None,
) -> Transfer:
    """A transfer row that moves nothing: a rejection or a schedule."""
    seq = state.next("seq")
    transfer = Transfer(
        seq,
        naming.id,
        0,
        action,
        source,
        destination,
        posting.asset,
        amount,
        None,
        None,
        None,
        None,
        state.now,
        posting.effective_at if posting.effective_at != state.now else None,
        naming.reference,
        naming.request_id,
        naming.request_reference,
        parent,
        detail,
    )
    _keep(state, transfer)
    return transfer


def _detail(posting: Posting, refused: Rejection | None, sequence: int | None) -> str:
    """What only a raw transfer has, as JSON text; names are Blnk's, so that rendering is a copy."""
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


def add_hold(
    state: State,
    transfer: Transfer,
    expires_at: datetime | None,
    commits_at: datetime | None,
    pins: tuple[tuple[int, int], ...] = (),
) -> None:
    hold = Hold(
        seq=transfer.seq,
        transfer_id=transfer.id,
        remaining=transfer.amount,
        expires_at=expires_at,
        commits_at=commits_at,
        pins=pins,
    )
    state.put(state.holds, transfer.seq, hold)


# -- schedules --------------------------------------------------------------------------------------------------------


def _schedule(
    state: State,
    posting: Posting,
    source: int,
    destination: int,
    amount: int,
    naming: Naming,
    parent: str | None,
) -> int:
    """Write down a posting that waits. Its row has the request's own id and reference; the outcome will name it as parent."""
    request = naming.request_id or naming.id
    reference = naming.request_reference or naming.reference
    own = Naming(request, reference, None, None)
    detail = _detail(posting, None, None)
    state.put(state.found, ("reference", reference), state.counters.get("seq", 0) + 1)
    transfer = _record(state, "schedule", posting, source, destination, amount, own, parent, detail)
    waiting = msgspec.structs.replace(
        posting,
        amount=amount,
        source=state.accounts[source].indicator or state.accounts[source].id,
        destination=state.accounts[destination].indicator or state.accounts[destination].id,
        sources=(),
        destinations=(),
        reference=reference,
        scheduled_for=None,
        queued=True,
        meta="",
    )
    assert posting.scheduled_for is not None
    state.put(
        state.scheduled,
        transfer.seq,
        Scheduled(
            seq=transfer.seq,
            transfer_id=transfer.id,
            due_at=posting.scheduled_for,
            done=False,
            request=msgspec.json.encode(waiting).decode(),
        ),
    )
    return transfer.seq


def run_scheduled(state: State, command: RunScheduled) -> Outcome:
    """Decide what is due under this id: a scheduled posting, or a hold that asked to be settled. Done before: no effect."""
    made: list[int] = []
    for transfer in targets(state, command.target):
        waiting = state.scheduled.get(transfer.seq)
        if waiting is not None and not waiting.done and waiting.due_at <= state.now:
            posting = msgspec.json.decode(waiting.request, type=Posting)
            state.put(state.scheduled, transfer.seq, msgspec.structs.replace(waiting, done=True))
            outcome = _run(state, posting, transfer)
            if isinstance(outcome, Rejected):
                return outcome
            made.append(outcome)
        hold = state.holds.get(transfer.seq)
        if hold is not None and hold.remaining and hold.commits_at is not None and hold.commits_at <= state.now:
            made.append(_settle_hold(state, transfer, hold, hold.remaining))
    return Accepted(Posted(transfers=(tuple(made),), refused=(None,)))


def _run(state: State, posting: Posting, waiting: Transfer) -> int | Rejected:
    reference = posting.reference + "_q"
    if state.find(("reference", reference)) is not None:
        reference = f"ref_{state.new_id()}"
    naming = Naming(state.new_id(), reference, None, None)
    ends = _ends(state, posting)
    if isinstance(ends, Rejected):
        return ends
    source, destination = ends[0]
    return _book_leg(state, posting, source, destination, posting.amount, naming, waiting.id, 0, None, None)


# -- holds ------------------------------------------------------------------------------------------------------------


def targets(state: State, id: str) -> list[Transfer]:
    """The transfers that an id names: itself, or those of the queued request, split or batch of that id. In order."""
    return [state.transfers[seq] for seq in state.find(("transfer", id)) or ()]


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
    made = tuple(
        _settle_hold(state, transfer, hold, hold.remaining if command.amount is None else command.amount)
        for transfer, hold in held
    )
    return Accepted(Posted(transfers=(made,), refused=(None,)))


def release(state: State, command: Release) -> Outcome:
    """Let go the rest of a hold. With `due` only what has expired; nothing due is accepted and does nothing."""
    held = _open_holds(state, command.target)
    if isinstance(held, Rejected):
        return Accepted(Posted(transfers=((),), refused=(None,))) if command.due else held
    if command.due:
        held = [(t, h) for t, h in held if h.expires_at is not None and h.expires_at <= state.now]
    made = tuple(_end_hold(state, "release", transfer, hold, hold.remaining) for transfer, hold in held)
    return Accepted(Posted(transfers=(made,), refused=(None,)))


def _settle_hold(state: State, transfer: Transfer, hold: Hold, amount: int) -> int:
    return _end_hold(state, "settle", transfer, hold, amount)


def _end_hold(state: State, action: Action, transfer: Transfer, hold: Hold, amount: int) -> int:
    """Settle or release `amount` of a hold: a child transfer, and less remains."""
    from guerdon.core import raw_points

    id = state.new_id()
    naming = Naming(id, f"ref_{id}", None, None)
    detail = transfer.detail
    source, destination = transfer.source, transfer.destination
    if _tracks_lots(state, source) or _tracks_lots(state, destination):
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


def shrink_hold(state: State, hold: Hold, amount: int, action: Action, pins: tuple[tuple[int, int], ...] = ()) -> None:
    state.put(
        state.holds,
        hold.seq,
        msgspec.structs.replace(
            hold, remaining=hold.remaining - amount, released=hold.released or action == "release", pins=pins
        ),
    )


def _tracks_lots(state: State, account_no: int) -> bool:
    account = state.accounts.get(account_no)
    if account is None:
        raise NotLoaded(("account_no", account_no))
    return account.tracks_lots


# -- refunds ----------------------------------------------------------------------------------------------------------


def refund(state: State, command: Refund) -> Outcome:
    """Reverse what an id names, once each: applied transfers by applying, released holds by holding again in reverse.

    Overdraft is allowed, but an account's floor is not broken.
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
        queued=command.queued,
    )
    if command.meta:
        _annotate_new(state, "txn", main_id, command.meta)
    for no in (original.source, original.destination):
        _tracks_lots(state, no)
    return _book_leg(
        state,
        posting,
        original.destination,
        original.source,
        original.amount,
        naming,
        original.id,
        0,
        None,
        None,
    )
