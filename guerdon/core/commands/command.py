"""What every command carries."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

Selector = tuple[str, str]
Lane = Literal["interactive", "bulk"]


class Command(Struct, frozen=True, kw_only=True):
    """What every command carries: its id (see `ids.py`), when it was received, who asked, and the idempotency key
    if any.
    """

    id: str
    at: datetime
    actor: str = ""
    key: str = ""
    fingerprint: bytes = b""
