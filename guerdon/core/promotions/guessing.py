"""How often a caller may try codes that are none: what a person mistypes, and not what a program guesses."""

from __future__ import annotations

from datetime import datetime, timedelta

TRIES_MAX = 10
"""So many wrong codes may one caller present in a window; whoever goes beyond is not even told of right ones."""
WINDOW = timedelta(hours=1)
ANSWER_MS = 100
"""A wrong code is answered no sooner than this, so that the time does not tell why it is wrong."""


def blocked_until(tries: int, since: datetime) -> datetime | None:
    """When a caller with so many tries since then may try again; None for at once."""
    return since + WINDOW if tries > TRIES_MAX else None
