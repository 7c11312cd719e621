"""Metadata: what callers write on things. Top level keys merge; every version is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from guerdon.core.commands import Annotate
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.results import Changed

if TYPE_CHECKING:
    from guerdon.core.state import State

_EXISTS = {
    "ldg": ("ledger",),
    "bln": ("account",),
    "txn": ("transfer",),
    "bulk": ("transfer",),
    "idt": ("member", "id"),
}


def annotate(state: State, command: Annotate) -> Outcome:
    """Merge new keys into an object's metadata. The object must exist."""
    lookup = _EXISTS.get(command.kind)
    if lookup is not None and not state.find((*lookup, command.object)):
        return Rejected(Rejection.OBJECT_NOT_FOUND, "id", {"kind": command.kind, "id": command.object})
    version, text = state.find(("metadata", command.kind, command.object)) or (0, "{}")
    merged = {**msgspec.json.decode(text), **msgspec.json.decode(command.meta)}
    row = (version + 1, msgspec.json.encode(merged).decode())
    state.put(state.metadata, (command.kind, command.object), row)
    state.put(state.found, ("metadata", command.kind, command.object), row)
    return Accepted(Changed(id=command.object))


def write_first(state: State, kind: str, id: str, meta: str) -> None:
    """The first version of a new object's metadata; "" writes nothing."""
    if meta:
        state.put(state.metadata, (kind, id), (1, meta))
        state.put(state.found, ("metadata", kind, id), (1, meta))
