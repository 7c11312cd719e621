"""The double-entry ledger: accounts, and the one function that changes their figures.

Promises that each transfer moves one amount of one asset from one account to another, that no account goes below its
floor whatever flag is set, and that no figure grows past `AMOUNT_MAX`. What callers ask for stands beside it:
`postings.py`, `holds.py`, `refunds.py` for raw transfers, `points.py` and its neighbours for everything a member does.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from guerdon.core.accounts import GENERAL_LEDGER, Account, Action, Figures, Hold, Ledger, Transfer
from guerdon.core.assets import AMOUNT_MAX
from guerdon.core.commands import AssignAccount, OpenAccount, OpenLedger, RenameLedger
from guerdon.core.metadata import write_first
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.results import Changed, Opened

if TYPE_CHECKING:
    from guerdon.core.state import State


class AmountOutOfRange(Exception):
    """A figure would grow larger than the ledger stores. `decide` answers it with the refusal of that name."""


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
    """Make one transfer and change both accounts' figures; everything was checked before, but that no figure grows too
    large: only absurd histories lead there, so that is checked for all of them here.

    `lower_floor` lets the source's floor follow its balance down (a return that the program lets go below zero).
    """
    s = state.figures[source]
    d = state.figures[destination]
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
    if sd > AMOUNT_MAX or dc > AMOUNT_MAX or sid > AMOUNT_MAX or dic > AMOUNT_MAX:
        raise AmountOutOfRange
    source_floor, destination_floor = s.floor, d.floor
    if lower_floor and source_floor is not None:
        source_floor = min(source_floor, sc - sd - sid)
    elif source_floor:
        source_floor = max(source_floor, min(0, sc - sd - sid))
    if destination_floor:
        destination_floor = min(0, dc - dd - did)
    source_version, destination_version = s.version + 1, d.version + 1
    state.replace(state.figures, source, s, Figures(sc, sd, sic, sid, source_version, source_floor))
    state.replace(state.figures, destination, d, Figures(dc, dd, dic, did, destination_version, destination_floor))
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
    keep(state, transfer)
    return transfer


class Naming(msgspec.Struct, frozen=True, gc=False):
    """The ids and references of one leg: the outcome's own, and the request's where it was queued."""

    id: str
    reference: str
    request_id: str | None
    request_reference: str | None


def keep(state: State, transfer: Transfer) -> None:
    """Write the row, and let this batch find it by every id that names it."""
    state.append(state.transfers, transfer)
    if not state.links:
        return
    state.link(transfer.id, transfer.seq)
    if transfer.request_id is not None:
        state.link(transfer.request_id, transfer.seq)
    if transfer.parent is not None:
        state.link(transfer.parent, transfer.seq)


def out_of_range(source: Figures, destination: Figures, amount: int) -> bool:
    """Whether a figure that an amount would lead to is larger than the ledger stores."""
    return (
        source.debit + source.inflight_debit + amount > AMOUNT_MAX
        or destination.credit + destination.inflight_credit + amount > AMOUNT_MAX
    )


def funds_refusal(figures: Figures, amount: int, allow_overdraft: bool, limit: int | None) -> Rejection | None:
    """Blnk's order of checks on a source (overdraft, available, overdraft limit), after the floor, which no flag
    overrides.
    """
    available = figures.credit - figures.debit - figures.inflight_debit
    if figures.floor is not None and available - amount < figures.floor:
        return Rejection.INSUFFICIENT_FUNDS
    if (allow_overdraft and not limit) or available >= amount:
        return None
    if limit:
        return None if available - amount >= -limit else Rejection.OVERDRAFT_LIMIT_EXCEEDED
    return Rejection.INSUFFICIENT_FUNDS


# -- holds: what is left of them --------------------------------------------------------------------------------------


def targets(state: State, id: str) -> list[Transfer]:
    """The transfers that an id names: itself, or those of the queued request, split or batch of that id. In order."""
    return [state.transfers[seq] for seq in state.find(("transfer", id)) or ()]


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


def shrink_hold(state: State, hold: Hold, amount: int, action: Action, pins: tuple[tuple[int, int], ...] = ()) -> None:
    state.put(
        state.holds,
        hold.seq,
        msgspec.structs.replace(
            hold, remaining=hold.remaining - amount, released=hold.released or action == "release", pins=pins
        ),
    )


# -- ledgers and accounts ---------------------------------------------------------------------------------------------


def open_ledger(state: State, command: OpenLedger) -> Outcome:
    """A new named group of accounts. Names need not be unique (as at Blnk)."""
    no = state.next("ledger")
    ledger = Ledger(no=no, id=command.id, name=command.name, opened_at=state.now)
    state.put(state.ledgers, no, ledger)
    state.put(state.found, ("ledger", ledger.id), no)
    write_first(state, "ldg", ledger.id, command.meta)
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
    write_first(state, "bln", account.id, command.meta)
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
