"""Events, and the answers that idempotency keys have had."""

from __future__ import annotations

from guerdon.store.lookups.lookup import Keys, Lookup, Steps, column, kind, uuids


@kind("event")
def events(lookup: Lookup, keys: Keys) -> Steps:
    lookup.whole_events.update(key[1] for key in keys)
    yield  # the second round trip has them


@kind("event_id")
def event_ids(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("event_ids", ids=uuids(keys))
    state = yield
    for id_, seq in answer.rows:
        state.found[("event_id", id_)] = seq


@kind("outcome")
def outcomes(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("outcomes", actors=column(keys, 1), keys=column(keys, 2))
    state = yield
    for actor, key, fingerprint, stored in answer.rows:
        state.found[("outcome", actor, key)] = (fingerprint, stored)
