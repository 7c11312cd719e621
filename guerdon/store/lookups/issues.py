"""Promotions issued to members."""

from __future__ import annotations

from guerdon.store import rows
from guerdon.store.lookups.lookup import Keys, Lookup, Steps, by_member, kind, selectors, uuids


@kind("issue")
def issues(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("issues", ids=uuids(keys))
    state = yield
    for row in answer.rows:
        lookup.members.add(rows.take_issue(state, row).member_no)


@kind("issues_of")
def issues_of(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("issues_of", **selectors(keys))
    state = yield
    given = by_member(answer.rows, lambda *row: rows.take_issue(state, row).id)
    for member_no, issues in given.items():
        state.found[("issues_of", member_no)] = tuple(issues)
