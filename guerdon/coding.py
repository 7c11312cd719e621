"""Promo codes from the command line: made, brought in, taken out, printed, looked at; with or without a running server.

Promises: codes are stored by the same commands as over HTTP. Making many and bringing many in goes some thousands at a
time, so memory does not grow; stopped half-way, the jobs of a server go on with the making, and a second upload of the
same file adds what is missing.
"""

from __future__ import annotations

import asyncio
import csv
import secrets
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec
import uuid_utils
from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from guerdon.api.printing import Label, Sheet, pdf
from guerdon.api.sheets import NotCsv, column
from guerdon.core.codes import AT_ONCE
from guerdon.core.commands import AddCodes, Command, CreateCodeBatch, MoreCodes
from guerdon.core.outcomes import Rejected, Rejection
from guerdon.core.promotions import codes as texts
from guerdon.core.results import CodesAdded
from guerdon.jobs.codes import make as make_codes
from guerdon.settings import Settings
from guerdon.store.codes import BatchRow, CodeRow, Codes, UseRow
from guerdon.store.pool import make_pool
from guerdon.store.read import Reader
from guerdon.writer import Writer

ACTOR = "operator"
USES_SHOWN = 100
COLUMNS = ("code", "printed", "number", "active", "linked_to", "uses")
_Answer = TypeVar("_Answer")
Tell = Callable[[int, int], None]
"""Is told how many of how many are done."""


class CodesRefused(RuntimeError):
    """It cannot be done; the message says why."""


class Uploaded(Struct, frozen=True, kw_only=True):
    """What became of the rows of a file. `told` has (row, code, why) of those that were not added."""

    batch: str
    added: int
    told: list[tuple[int, str, str]]


class Shown(Struct, frozen=True, kw_only=True):
    """A code with its batch and each use."""

    code: CodeRow
    batch: BatchRow
    promotion: str
    uses: list[UseRow]


class Bar:
    """Progress on standard error, while that is a terminal."""

    def __init__(self, what: str) -> None:
        console = Console(stderr=True)
        self._what = what
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            console=console, disable=not console.is_terminal,
        )  # fmt: skip

    def __enter__(self) -> Self:
        self._bar.start()
        self._task = self._bar.add_task(self._what, total=None)
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def tell(self, done: int, total: int) -> None:
        self._bar.update(self._task, completed=done, total=total)


class Desk:
    """One organisation's codes, ready to be worked on."""

    def __init__(self, org_id: int, writer: Writer, codes: Codes) -> None:
        self._org_id = org_id
        self._writer = writer
        self._codes = codes

    async def begin(
        self, promotion: str, *, name: str, partner: str, channel: str, form: texts.Form | None = None, count: int = 0
    ) -> str:
        """Begin a batch, of generated codes where there is a form; its id."""
        made = await self._submit(
            CreateCodeBatch,
            promotion=_uuid("prm", promotion, "promotion"),
            name=name,
            partner=partner,
            channel=channel,
            form=form,
            seed=b"" if form is None else secrets.token_bytes(texts.SEED_MIN),
            count=count,
        )
        return str(made.id)

    async def more(self, batch: str, count: int) -> str:
        """Ask for more codes of a generated batch."""
        return str((await self._submit(MoreCodes, batch=_uuid("cbt", batch, "batch"), count=count)).id)

    async def make(self, batch: str, tell: Tell) -> None:
        """Make what a batch still wants. A server that is at it too is no trouble: nothing is made twice."""

        async def store(start: int, codes: tuple[str, ...]) -> bool:
            result: CodesAdded | None = await self._submit(
                AddCodes, Rejection.CODE_BATCH_MOVED_ON, batch=batch, codes=codes, start=start
            )
            if result is not None:
                tell(result.made, result.wanted)
            return result is not None

        while True:
            found = await self._codes.batch_to_continue(self._org_id, batch)
            assert found is not None, "it was just begun"
            tell(found.made, found.wanted)
            if found.made >= found.wanted:
                return
            await make_codes(found, store, sys.maxsize)

    async def upload(self, batch: str, file: Path, tell: Tell) -> Uploaded:
        """Bring codes in from a CSV file: its column `code`, else the first one."""
        cells = list(_cells(file))
        seen: set[str] = set()
        told: list[tuple[int, str, str]] = []
        added = 0
        for start in range(0, len(cells), AT_ONCE):
            fresh: list[tuple[int, str]] = []
            for number, cell in cells[start : start + AT_ONCE]:
                text = texts.read(cell)
                if text is None:
                    told.append((number, cell[: texts.LENGTH_MAX], "invalid"))
                elif text in seen:
                    told.append((number, text, "twice in this file"))
                else:
                    seen.add(text)
                    fresh.append((number, text))
            if fresh:
                result: CodesAdded = await self._submit(AddCodes, batch=batch, codes=tuple(text for _, text in fresh))
                added += result.added
                here = set(result.here)
                told += [(*fresh[i], "there already" if i in here else "taken by another batch") for i in result.taken]
            tell(min(len(cells), start + AT_ONCE), len(cells))
        return Uploaded(batch=batch, added=added, told=sorted(told))

    async def batch(self, id: str) -> BatchRow:
        row = await self._codes.batch(self._org_id, _uuid("cbt", id, "batch"))
        if row is None:
            raise CodesRefused(f"there is no batch {id}")
        return row

    async def all_codes(self, batch: BatchRow) -> AsyncIterator[list[CodeRow]]:
        async for rows in self._codes.all_codes(self._org_id, batch.id):
            yield rows

    async def show(self, typed: str) -> Shown:
        text = texts.read(typed)
        row = None if text is None else await self._codes.code(self._org_id, text)
        if row is None:
            raise CodesRefused(f"there is no code {typed[: texts.LENGTH_MAX]}")
        batch = await self._codes.batch(self._org_id, row.batch)
        terms = await self._codes.promotion(self._org_id, row.promotion)
        assert batch is not None, "a code is of a batch"
        assert terms is not None, "and a batch of a promotion"
        uses = await self._codes.uses(self._org_id, row.code, USES_SHOWN)
        return Shown(code=row, batch=batch, promotion=terms.name, uses=uses)

    async def _submit(self, kind: type[Command], expected: Rejection | None = None, **fields: Any) -> Any:
        command = kind(id=f"{str(uuid_utils.uuid7())[:30]}000000", at=datetime.now(UTC), actor=ACTOR, **fields)
        outcome = await self._writer.submit(self._org_id, command)
        if not isinstance(outcome, Rejected):
            return outcome.result
        if outcome.code is expected:
            return None
        raise CodesRefused(f"{outcome.code.value.replace('_', ' ')} ({outcome.field}) {outcome.detail or ''}".rstrip())


def run(settings: Settings, dsn: str, organisation: str, act: Callable[[Desk], Awaitable[_Answer]]) -> _Answer:
    """Do something at the desk of an organisation (code or id)."""

    async def at_the_desk() -> _Answer:
        async with _desk(settings, dsn, organisation) as desk:
            return await act(desk)

    return asyncio.run(at_the_desk())


@asynccontextmanager
async def _desk(settings: Settings, dsn: str, organisation: str) -> AsyncIterator[Desk]:
    reads = make_pool(dsn, name="guerdon-codes-reads", size_max=1, autocommit=True)
    async with reads, make_pool(dsn, name="guerdon-codes", size_max=1) as pool:
        found = await Reader(reads).organisation(organisation)
        if found is None:
            raise CodesRefused(f"there is no organisation {organisation}")
        writer = Writer(pool, settings)
        await writer.start()
        try:
            yield Desk(found.org_id, writer, Codes(reads))
        finally:
            await writer.stop()


async def export(desk: Desk, batch: BatchRow, file: Path, tell: Tell) -> int:
    """Write a batch as CSV; how many codes that were."""
    done = 0
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        async for rows in desk.all_codes(batch):
            writer.writerows(
                (row.code, printed(row), row.no, row.active, f"mem_{row.member}" if row.member else "", row.uses)
                for row in rows
            )
            done += len(rows)
            tell(done, batch.made)
    return done


async def sheet(desk: Desk, batch: BatchRow, said: Sheet, first: int, count: int, tell: Tell) -> tuple[int, bytes]:
    """Codes of a batch as PDF, from its `first` one on, and how many that are."""
    labels: list[Label] = []
    async for rows in desk.all_codes(batch):
        labels += [Label(row.code, printed(row)) for row in rows if first <= row.no < first + count]
        if len(labels) >= count:
            break
    tell(0, len(labels))
    content = pdf(labels, said)
    tell(len(labels), len(labels))
    return len(labels), content


def printed(row: CodeRow) -> str:
    """The code as it is printed, with the hyphens of its form."""
    return texts.shown(_form(row.form), row.code) if row.form else row.code


_form = msgspec.json.Decoder(texts.Form).decode


def _cells(file: Path) -> Iterator[tuple[int, str]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            yield from column(opened, "code")
    except NotCsv as error:
        raise CodesRefused(f"{file.name} is not CSV: {error}") from error


def _uuid(prefix: str, text: str, noun: str) -> str:
    head, _, tail = text.partition("_")
    if head != prefix or len(tail) != 36:
        raise CodesRefused(f"{text} is no {noun}'s id ({prefix}_...)")
    return tail
