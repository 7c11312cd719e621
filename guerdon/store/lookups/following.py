"""The second round trip: what only the rows of the first could name."""

from __future__ import annotations

from guerdon.core import state as core_state
from guerdon.store import rows
from guerdon.store.arrays import array
from guerdon.store.lookups.accounts import asking
from guerdon.store.lookups.codes import code_runs, codes
from guerdon.store.lookups.lookup import Lookup, Steps, Take, taker
from guerdon.store.lookups.members import members_with_lots


def ask_more(lookup: Lookup) -> list[Take]:
    """Ask for what the rows so far say must be read next (`Lookup.follows`)."""
    takers: list[Take] = []
    if lookup.whole_events or lookup.events:
        takers.append(taker(_events(lookup)))
    if lookup.transfers:
        takers.append(taker(_transfers(lookup)))
    if lookup.members:
        members = [("spend", "number", str(no)) for no in lookup.members]
        takers.append(taker(members_with_lots(lookup, members, core_state.FIRST_LOTS)))
    if lookup.purchases:
        takers.append(taker(_returns(lookup)))
    if lookup.codes:
        takers.append(taker(codes(lookup, [("code", code) for code in lookup.codes])))
    if lookup.code_runs:
        takers.append(taker(code_runs(lookup, [("code_run", batch, given) for batch, given in lookup.code_runs])))
    return takers


def _events(lookup: Lookup) -> Steps:
    """Events with the lots they name; of those wanted whole, the transfers and their accounts as well."""
    seqs, whole = array(lookup.events | lookup.whole_events), array(lookup.whole_events)
    events = lookup.run("events", seqs=seqs)
    lots = lookup.run("lots_of_events", seqs=seqs)
    transfers = lookup.run("transfers_of_events", seqs=whole)
    accounts = lookup.run("accounts_of_events", seqs=whole, **asking(core_state.FIRST_LOTS))
    state = yield
    rows.take_events(state, events.rows)
    rows.take_lots(state, lots.rows)
    rows.take_transfers(state, transfers.rows)
    rows.take_accounts(state, accounts.rows, core_state.FIRST_LOTS)
    for seq in lookup.whole_events & state.events.keys():
        state.found[("event", seq)] = seq


def _transfers(lookup: Lookup) -> Steps:
    """What is held or scheduled of transfers, and their accounts."""
    seqs = array(lookup.transfers)
    holds = lookup.run("holds", seqs=seqs)
    scheduled = lookup.run("scheduled", seqs=seqs)
    accounts = lookup.run("accounts_by_no", nos=array(lookup.accounts), **asking(core_state.FIRST_LOTS))
    state = yield
    rows.take_holds(state, holds.rows)
    rows.take_scheduled(state, scheduled.rows)
    rows.take_accounts(state, accounts.rows, core_state.FIRST_LOTS)


def _returns(lookup: Lookup) -> Steps:
    """A purchase's returns, and every lot that came from it."""
    nos = array(lookup.purchases)
    returns = lookup.run("returns_of_purchases", nos=nos)
    lots = lookup.run("lots_of_purchases", nos=nos)
    state = yield
    rows.take_lots(state, lots.rows)
    returns_of: dict[int, list[int]] = {no: [] for no in lookup.purchases}
    for row in returns.rows:
        returned = rows.take_return(state, row)
        returns_of[returned.purchase_no].append(returned.no)
    for purchase_no, found in returns_of.items():
        state.found[("purchase_return_of", purchase_no)] = tuple(found)
