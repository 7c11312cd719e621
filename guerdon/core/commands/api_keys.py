"""Keys of the API."""

from __future__ import annotations

from datetime import datetime

from guerdon.core.commands.command import Command


class IssueKey(Command, frozen=True, kw_only=True):
    """Store a new API key's hash. The secret itself never reaches the core."""

    name: str
    owner: str
    scopes: tuple[str, ...]
    hash: bytes
    expires_at: datetime | None = None


class RevokeKey(Command, frozen=True, kw_only=True):
    target: str
    owner: str = ""
