"""What can come back from the writer instead of an outcome. None of these is a refusal: the core decided
nothing."""

from __future__ import annotations


class QueueFull(Exception):
    """Too much waits for this organisation; nothing was taken. Try again after `retry_after_s` whole
    seconds."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(retry_after_s)
        self.retry_after_s = retry_after_s


class Unavailable(Exception):
    """The database could not be reached in time, or the writer is stopping. Whether the command was saved is
    unknown: the same request with the same key finds out."""

    def __init__(self, retry_after_s: int = 1) -> None:
        super().__init__("outcome unknown: retry with the same key")
        self.retry_after_s = retry_after_s


class WriterFault(Exception):
    """This one command cannot be decided or saved because of a bug or a figure nobody checked; logged,
    nothing saved."""
