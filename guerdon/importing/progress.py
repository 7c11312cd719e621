"""The import as a person sees it: one bar while the file is read, one while it is booked, with rows per second."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from guerdon.importing.results import Tally


class ProgressBar:
    """A `Watch` on the terminal; says nothing while standard error is none."""

    def __init__(self, console: Console | None = None) -> None:
        console = console or Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description:10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]:>10,.0f} rows/s"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None
        self._done_before = 0

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def reading(self, rows: int) -> None:
        if self._task is None:
            self._task = self._bars.add_task("reading", total=None, speed=0, note="")
        self._show(rows, "")

    def begin(self, rows: int, done: int) -> None:
        self._done_before = done
        self._task = self._bars.add_task("importing", total=rows, completed=done, speed=0, note="")

    def booked(self, tally: Tally) -> None:
        note = f"{tally.rejected:,} rejected" if tally.rejected else ""
        self._show(tally.rows, note)

    def _show(self, rows: int, note: str) -> None:
        if self._task is None:
            return
        elapsed = self._bars.tasks[-1].elapsed or 0
        speed = (rows - self._done_before) / elapsed if elapsed else 0
        self._bars.update(self._task, completed=rows, speed=speed, note=note)
