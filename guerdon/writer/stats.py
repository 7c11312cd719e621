"""Plain counters of one writer, since it was made. `/metrics` reads them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Stats:
    """All sums, so that rates and averages can be taken over any time: size = `commands / batches`."""

    batches: int = 0
    """Transactions that were saved, or found to change nothing."""
    commands: int = 0
    """Commands that were answered with an outcome."""
    weight: int = 0
    """Their weight."""
    batch_seconds: float = 0.0
    """Time from taking a batch to its answer, retries included."""
    retries: int = 0
    """Transactions run again because the database or the way to it failed."""
    splits: int = 0
    """Batches halved because saving failed for a reason in the data."""
    cuts: int = 0
    """Batches ended early because a command asked for a row that was not loaded."""
    read_on: int = 0
    """Times that a batch read such rows within its transaction instead, since nothing had changed yet."""
    parts: int = 0
    """Batches ended with a part of what had come due, because a command met more of it than one posts."""
    overlapped: int = 0
    """Batches decided while the one before them was committed."""
    guessed: int = 0
    """Of those, the ones for which nothing was read, since what they ask for was known or could be guessed."""
    overtaken: int = 0
    """Batches decided again because another server had written since the one before them."""
    mistaken: int = 0
    """Batches decided again because a reference or an idempotency key was not free as had been guessed."""
    doubts: int = 0
    """Commits whose answer was lost, and that were asked after."""
    faults: int = 0
    """Commands answered with `WriterFault`."""
    unavailable: int = 0
    """Commands answered with `Unavailable`."""
    refused_full: int = 0
    """Commands not taken because the queue was full."""
    waiting_weight: int = 0
    """Weight that waits now, over all organisations."""
