"""The accounts of programs, and what their policies were."""

from __future__ import annotations

from guerdon.store import rows
from guerdon.store.lookups.accounts import asking
from guerdon.store.lookups.lookup import Keys, Lookup, Steps, column, kind


@kind("programs")
def accounts_of_programs(lookup: Lookup, _: Keys) -> Steps:
    answer = lookup.run("accounts_of_programs", **asking(0))
    state = yield
    rows.take_accounts(state, answer.rows)
    for row in answer.rows:
        state.program_accounts[(row[6], row[8])] = row[0]
    state.found[("programs",)] = True


@kind("policies")
def policies(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("policies", nos=column(keys, 1), versions=column(keys, 2))
    state = yield
    for program_no, version, text in answer.rows:
        state.found[("policies", program_no, version)] = rows.policies(text)
