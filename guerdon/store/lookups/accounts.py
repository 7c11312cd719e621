"""Accounts with their figures and the lots that have come due, and ledgers."""

from __future__ import annotations

from guerdon.core import state as core_state
from guerdon.store import rows
from guerdon.store.lookups.lookup import Keys, Lookup, Steps, column, kind, uuids


@kind("account")
def accounts(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("accounts_by_id", ids=uuids(keys), **asking(0))
    state = yield
    rows.take_accounts(state, answer.rows)
    for row in answer.rows:
        state.found[("account", row[1])] = row[0]


@kind("internal")
def internal_accounts(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("accounts_by_indicator", indicators=column(keys, 1), assets=column(keys, 2), **asking(0))
    state = yield
    rows.take_accounts(state, answer.rows)
    for row in answer.rows:
        state.found[("internal", row[4], row[3])] = row[0]


@kind("account_no")
def accounts_by_no(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("accounts_by_no", nos=column(keys, 1), **asking(0))
    state = yield
    rows.take_accounts(state, answer.rows)
    for row in answer.rows:
        state.found[("account_no", row[0])] = row[0]


@kind("ledger")
def ledgers(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("ledgers", ids=uuids(keys))
    state = yield
    rows.take_ledgers(state, answer.rows)


def asking(lots: int) -> dict[str, str]:
    """How many are asked for of an account's lots that are spent first, and of those that have come due."""
    return {"first": str(lots), "ended": str(core_state.DUE_LOTS)}
