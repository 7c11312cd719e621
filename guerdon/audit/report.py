"""What an audit found, and how it is told."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

from msgspec import Struct


class VerifyRefused(ValueError):
    """What was asked for cannot be looked at; the message says what to ask for instead."""


SHOWN_MAX = 20
"""So many findings of one check are named; of the others it is said that there are more."""


class Finding(Struct, frozen=True):
    """One row that is wrong: which check found it, in which organisation, and in what."""

    organisation: str
    check: str
    row: str
    problem: str


class Book(Struct, frozen=True, kw_only=True):
    """What was looked at in one organisation."""

    organisation: str
    id: str
    rows: int
    seq: int
    hash: str
    seconds: float


class Report(Struct, kw_only=True):
    """The whole audit. `more` counts, per organisation and check, that there was more than is named."""

    books: list[Book] = []
    findings: list[Finding] = []

    @property
    def holds(self) -> bool:
        return not self.findings


class Row(NamedTuple):
    """A row and what is wrong with it, before it is known where it was found."""

    name: str
    problem: str


Tell = Callable[[str], None]


class Progress:
    """Says now and then how far a long run has come; silent about what is over quickly."""

    EVERY_S = 5.0

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._since = self._last = monotonic()

    def step(self, what: str, done: int = 0, total: int = 0) -> None:
        now = monotonic()
        if now - self._last < self.EVERY_S:
            return
        self._last = now
        if total:
            speed = done / (now - self._since)
            self._tell(f"  {what}: {done:,} of {total:,} rows, {speed:,.0f} rows/s")
        else:
            self._tell(f"  {what} ...")
