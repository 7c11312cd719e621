"""Members: who may hold points, how they are known, and the accounts that a program opens for them.

A member is Blnk's identity. Personal data (`profile`) is stored apart, so that it can be erased without touching history.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

IDENTIFIER_KINDS = ("external_id", "email", "mobile", "card")


class Member(Struct, frozen=True, kw_only=True):
    """A person. `enrolled` is false for a raw identity, which has no program accounts; `survivor_no` is set by a merge."""

    no: int
    id: str
    status: Literal["active", "blocked", "merged"] = "active"
    enrolled: bool = True
    registered_at: datetime
    survivor_no: int = 0
    identifiers: tuple[tuple[str, str], ...] = ()

    def is_active(self) -> bool:
        return self.status == "active"


def normalise(kind: str, value: str) -> str:
    """The form in which an identifier is unique: e-mail in lower case, mobile and card as digits, external id as it is."""
    text = value.strip()
    if kind == "email":
        return text.casefold()
    if kind == "mobile":
        return "".join(c for c in text if c in "0123456789").lstrip("0")
    if kind == "card":
        return "".join(c for c in text if c.isalnum()).upper()
    return text
