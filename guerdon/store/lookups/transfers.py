"""Transfers, which bring their holds, accounts and event on the second round trip, and references that are taken."""

from __future__ import annotations

from collections import defaultdict

from guerdon.store import rows
from guerdon.store.lookups.lookup import Keys, Lookup, Steps, column, kind, uuids


@kind("transfer")
def transfers(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("transfers", ids=uuids(keys))
    state = yield
    rows.take_transfers(state, answer.rows)
    seqs: dict[str, list[int]] = defaultdict(list)
    for row in answer.rows:
        seq, id_, request_id, parent = row[0], row[1], row[15], row[17]
        for name in {id_, request_id, parent}:
            seqs[name].append(seq)
        lookup.transfers.add(seq)
        lookup.accounts.update((row[4], row[5]))
        lookup.events.add(row[2])
    for key in keys:
        if key[1] in seqs:
            state.found[key] = tuple(seqs[key[1]])


@kind("reference")
def references(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("references", texts=column(keys, 1))
    state = yield
    for reference, seq in answer.rows:
        state.found[("reference", reference)] = seq
