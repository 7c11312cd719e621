"""Keys to the API: hashes and what they open, never the secrets."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct


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
