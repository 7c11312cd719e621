"""Sorting more than fits in memory: sorted runs in unnamed temporary files, merged as they are read.

Holds at most `bound` units of weight at a time, and `MERGE_RUNS_MAX` files open. The files have no name, so
nothing is left behind however the process ends.
"""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, Generic, TypeVar, cast

import msgspec

Item = TypeVar("Item")

MERGE_RUNS_MAX = 64
_BUFFER_BYTES = 1 << 17


class Spool(Generic[Item]):
    """Takes items in any order and gives them back sorted by `key`, which is different for each."""

    def __init__(
        self,
        kind: type[Item],
        key: Callable[[Item], tuple[int | str, int]],
        weight: Callable[[Item], int],
        bound: int,
    ) -> None:
        self._key = key
        self._weight = weight
        self._bound = bound
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(kind).decode
        self._held: list[Item] = []
        self._held_weight = 0
        self._runs: list[BinaryIO] = []

    def add(self, item: Item) -> None:
        self._held.append(item)
        self._held_weight += self._weight(item)
        if self._held_weight >= self._bound:
            self._spill()

    def sorted(self) -> Iterator[Item]:
        """Everything that was added, once; the spool is empty afterwards."""
        if not self._runs:
            held, self._held = self._held, []
            held.sort(key=self._key, reverse=True)
            while held:
                yield held.pop()
            return
        if self._held:
            self._spill()
        runs, self._runs = self._runs, []
        yield from self._merged(runs)

    def _spill(self) -> None:
        self._held.sort(key=self._key)
        self._runs.append(self._written(self._held))
        self._held = []
        self._held_weight = 0
        if len(self._runs) >= MERGE_RUNS_MAX:
            self._runs = [self._written(self._merged(self._runs))]

    def _merged(self, runs: list[BinaryIO]) -> Iterator[Item]:
        return heapq.merge(*(self._read(run) for run in runs), key=self._key)

    def _written(self, items: Iterable[Item]) -> BinaryIO:
        run = cast(BinaryIO, tempfile.TemporaryFile(buffering=_BUFFER_BYTES))  # noqa: SIM115  (_read closes it)
        for item in items:
            encoded = self._encode(item)
            run.write(len(encoded).to_bytes(4, "little"))
            run.write(encoded)
        run.seek(0)
        return run

    def _read(self, run: BinaryIO) -> Iterator[Item]:
        with run:
            while size := run.read(4):
                yield self._decode(run.read(int.from_bytes(size, "little")))
