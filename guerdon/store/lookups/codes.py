"""Codes: single ones, batches of them, those to hand out next, their uses, and those linked to a member."""

from __future__ import annotations

from collections import defaultdict

from guerdon.core.codes import LINKED_MAX, Code
from guerdon.core.handouts import RUN, CodeRun
from guerdon.store import rows
from guerdon.store.arrays import array
from guerdon.store.lookups.lookup import Keys, Lookup, Steps, by_member, column, kind, selectors, uuids


@kind("code")
def codes(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("codes", texts=column(keys, 1))
    state = yield
    for row in answer.rows:
        member_no = rows.take_code(state, row)
        if member_no:
            lookup.members.add(member_no)


@kind("code_batch")
def code_batches(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("code_batches", ids=uuids(keys))
    state = yield
    for row in answer.rows:
        rows.take_code_batch(state, row)


@kind("code_run")
def code_runs(lookup: Lookup, keys: Keys) -> Steps:
    after: dict[str, int] = {}
    for _, batch, given in keys:
        after[batch] = min(given, after.get(batch, given))
    answer = lookup.run("code_runs", batches=array(list(after)), after=array(list(after.values())), limit=str(RUN))
    state = yield
    found: dict[str, list[Code]] = defaultdict(list)
    for row in answer.rows:
        *columns, code, no = row
        id = rows.take_code_batch(state, tuple(columns)).id
        found[id] += [] if code is None else [Code(code, id, no)]
    for id, run in found.items():
        whole = len(run) < RUN
        upto = state.code_batches[id].made if whole else run[-1].no
        state.codes.update((code.code, code) for code in run)
        state.found[("code_run", id)] = CodeRun(tuple(code.code for code in run), upto, whole)


@kind("code_uses")
def uses_of_codes(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("uses_of_codes", texts=column(keys, 1))
    state = yield
    for row in answer.rows:
        rows.take_use(state, row)
    for key in keys:
        state.found[key] = True


@kind("codes_of")
def codes_of(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("codes_of", **selectors(keys), linked=str(LINKED_MAX))
    state = yield
    for member_no, linked in by_member(answer.rows, str).items():
        state.found[("codes_of", member_no)] = tuple(linked)
        lookup.codes.update(linked)
