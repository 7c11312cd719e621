"""What is known of members besides the ledger, where something is asked about it: the profile, and lists."""

from __future__ import annotations

import msgspec
from msgspec import Struct


class Person(Struct, frozen=True, kw_only=True):
    """The profile, and of each list (segment) the last (version, on it or not)."""

    profile: dict[str, str] = {}
    lists: dict[str, tuple[int, bool]] = {}


def profile_of(text: str | None) -> dict[str, str]:
    """A profile as it is stored, without what is no text."""
    said = msgspec.json.decode(text) if text else {}
    return {name: value for name, value in said.items() if isinstance(value, str)}
