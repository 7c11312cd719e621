"""Nouns that have one kind of keys each: metadata, rows of imports, API keys and webhooks."""

from __future__ import annotations

from guerdon.core.imports import ImportedRow
from guerdon.store import rows
from guerdon.store.lookups.lookup import Keys, Lookup, Steps, column, kind, uuids


@kind("metadata")
def metadata(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("metadata", kinds=column(keys, 1), texts=column(keys, 2))
    state = yield
    for noun, id, version, meta in answer.rows:
        state.metadata[(noun, id)] = (version, meta)
        state.found[("metadata", noun, id)] = (version, meta)


@kind("imported")
def imported(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("imported", kinds=column(keys, 1), texts=column(keys, 2))
    state = yield
    for row in answer.rows:
        found = ImportedRow(**dict(zip(ImportedRow.__struct_fields__, row, strict=True)))
        state.found[("imported", found.kind, found.reference)] = found


@kind("key")
def api_keys(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("api_keys", ids=uuids(keys))
    state = yield
    for row in answer.rows:
        state.api_keys[row[0]] = rows.api_key(row)
        state.found[("key", row[0])] = row[0]


@kind("webhook")
def webhooks(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("webhooks", ids=uuids(keys))
    state = yield
    for row in answer.rows:
        state.webhooks[row[0]] = rows.webhook(row)
        state.found[("webhook", row[0])] = row[0]
