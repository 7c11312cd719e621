"""Keys to the API: hashes and what they open, never the secrets, which are made and shown at the edge."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from guerdon.core.commands import IssueKey, RevokeKey
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.results import Changed, Opened

if TYPE_CHECKING:
    from guerdon.core.state import State


class ApiKey(Struct, frozen=True, kw_only=True):
    """A key of one organisation. It opens `scopes` until it expires or is revoked, for `owner`."""

    id: str
    name: str
    owner: str
    scopes: tuple[str, ...]
    hash: bytes
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


def issue(state: State, command: IssueKey) -> Outcome:
    """Store a key's hash. The secret is the caller's business."""
    key = ApiKey(
        id=command.id,
        name=command.name,
        owner=command.owner,
        scopes=command.scopes,
        hash=command.hash,
        created_at=state.now,
        expires_at=command.expires_at,
    )
    state.put(state.api_keys, key.id, key)
    state.put(state.found, ("key", key.id), key.id)
    return Accepted(Opened(id=key.id, created_at=state.now))


def revoke(state: State, command: RevokeKey) -> Outcome:
    """End a key now. Revoking twice is no error and keeps the first time. With `owner`, only that owner's."""
    id = state.find(("key", command.target))
    if id is None or (command.owner and state.api_keys[id].owner != command.owner):
        return Rejected(Rejection.KEY_NOT_FOUND, "id", {"id": command.target})
    key = state.api_keys[id]
    if key.revoked_at is None:
        state.put(state.api_keys, id, msgspec.structs.replace(key, revoked_at=state.now))
    return Accepted(Changed(id=id))
