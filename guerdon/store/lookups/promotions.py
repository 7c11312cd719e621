"""What promotions said in their versions, and how far their limits are used up."""

from __future__ import annotations

from guerdon.store import rows
from guerdon.store.lookups.lookup import Keys, Lookup, Steps, column, kind


@kind("counter")
def counters(lookup: Lookup, keys: Keys) -> Steps:
    names = ("owners", "limits", "subjects", "periods")
    answer = lookup.run("counters", **{name: column(keys, i) for i, name in enumerate(names, 1)})
    state = yield
    for row in answer.rows:
        rows.take_counter(state, row)


@kind("promotion_version")
def promotion_versions(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("promotion_versions", ids=column(keys, 1), versions=column(keys, 2))
    state = yield
    for (text,) in answer.rows:
        terms = rows.promotion(text)
        state.found[("promotion_version", terms.id, terms.version)] = terms
