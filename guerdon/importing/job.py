"""The purchases of one file on their way into one organisation and program.

Keeps a window of purchases under way, in order, and writes down each outcome in that order, so that what the bookmark
counts is always a beginning of the file.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Protocol, TypedDict

import uuid_utils

from guerdon.core.assets import decimal_text
from guerdon.core.commands import Command, CreateAsset, CreateStore, Line, RecordPurchase, Where
from guerdon.core.members import normalise
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.results import Purchased
from guerdon.importing.faults import FileRefused
from guerdon.importing.mapping import Mapping
from guerdon.importing.reader import Article, LineRow, Purchase, Purchases
from guerdon.importing.results import ResultFile, Tally
from guerdon.store.read import Directory, ProgramRow
from guerdon.writer import Writer, WriterFault

ACTOR = "import"
MARK_EVERY = 2_000
"""Purchases between two bookmarks."""
TURN = 32
"""Purchases handed in and written down before the writer, on the same thread, gets its turn again."""
NO_ARTICLE = Article((), "")

Waiting = deque[tuple[Purchase, asyncio.Future[Outcome] | None]]


class Watch(Protocol):
    """Who looks on."""

    def reading(self, rows: int) -> None:
        """So many rows of the file have been read."""

    def begin(self, rows: int, done: int) -> None:
        """The file is read: it has so many rows, of which so many were booked by an earlier run."""

    def booked(self, tally: Tally) -> None:
        """So much has been answered."""


class Job:
    """One import into one organisation and program, with at most `window` commands under way."""

    def __init__(
        self,
        writer: Writer,
        mapping: Mapping,
        org_id: int,
        program: ProgramRow,
        articles: dict[str, Article],
        *,
        create_missing: bool,
        window: int,
    ) -> None:
        self._create_missing = create_missing
        self._window = window
        self._mapping = mapping
        self._org_id = org_id
        self._program = program
        self._articles = articles
        self._writer = writer
        self.points_scale = 0

    async def prepare(self, stores: Iterable[str], directory: Directory) -> None:
        """See that what the purchases name exists, and refuse the file when the currency does not fit."""
        self.points_scale = directory.scale(self._program.asset)
        amounts = self._mapping.amounts
        currency = directory.assets.get(amounts.currency)
        if currency is not None and currency.scale != amounts.scale:
            have = f"{amounts.currency} has {currency.scale} decimals in this organisation"
            raise FileRefused(f"{have}, the mapping says {amounts.scale}")
        if not self._create_missing:
            if currency is None:
                raise FileRefused(f"the organisation has no asset {amounts.currency} (--create-missing makes it)")
            return
        if self._mapping.purchase.member and self._mapping.purchase.member_by != "external_id":
            raise FileRefused("members can only be registered by external id: see member_by in the mapping")
        missing: list[Command] = []
        if currency is None:
            missing.append(CreateAsset(**envelope(), code=amounts.currency, scale=amounts.scale))
        known = {store.code for store in directory.stores.values()}
        missing += [CreateStore(**envelope(), code=code, name=code) for code in sorted(set(stores) - known)]
        while missing:
            together = [self._writer.enqueue(self._org_id, command, "bulk") for command in missing[: self._window]]
            del missing[: self._window]
            for outcome in await asyncio.gather(*together):
                if isinstance(outcome, Rejected) and outcome.code is not Rejection.CODE_TAKEN:
                    raise FileRefused(f"a store or the currency could not be made: {outcome.code}")

    async def book(self, purchases: Purchases, results: ResultFile, watch: Watch, stopping: asyncio.Event) -> bool:
        """Book what the result file does not have yet. False when told to stop before the end."""
        waiting: Waiting = deque()
        skip = results.tally.purchases
        try:
            for purchase in purchases:
                if skip:
                    skip -= 1
                    continue
                waiting.append((purchase, self._begin(purchase)))
                if len(waiting) >= self._window:
                    await self._settle(waiting, max(0, self._window - TURN), results, watch)
                    await asyncio.sleep(0)  # the writer may have heard from the database
                    if stopping.is_set():
                        break
            await self._settle(waiting, 0, results, watch)
        except BaseException:
            for _, future in waiting:
                if future is not None and not future.cancel():
                    future.exception()  # seen, or asyncio complains that nobody looked
            results.close()
            raise
        if stopping.is_set() and results.tally.purchases < purchases.purchases:
            results.close()
            return False
        results.finish()
        return True

    def _begin(self, purchase: Purchase) -> asyncio.Future[Outcome] | None:
        """Hand in a purchase that is sound."""
        if purchase.fault is not None:
            return None
        return self._writer.enqueue(self._org_id, self._command(purchase), "bulk")

    async def _settle(
        self,
        waiting: Waiting,
        leave: int,
        results: ResultFile,
        watch: Watch,
    ) -> None:
        """Wait for the first ones until only `leave` are under way, and write down what became of them."""
        while len(waiting) > leave:
            purchase, future = waiting[0]
            outcome: Outcome | WriterFault | None = None
            if future is not None:
                try:
                    outcome = await future
                except WriterFault as fault:
                    outcome = fault
            waiting.popleft()
            self._write(purchase, outcome, results)
            if results.tally.purchases % MARK_EVERY == 0:
                results.mark()
                watch.booked(results.tally)
        watch.booked(results.tally)

    def _write(self, purchase: Purchase, outcome: Outcome | WriterFault | None, results: ResultFile) -> None:
        tally = results.tally
        tally.purchases += 1
        tally.rows += purchase.rows
        row, status, code, detail, points, event = purchase.row, "rejected", "", "", 0, 0
        if isinstance(outcome, Accepted):
            assert isinstance(outcome.result, Purchased)
            status = "replayed" if outcome.replayed else "accepted"
            points = sum(earned.points for earned in outcome.result.earned)
            event = outcome.result.event_no
            tally.points += points
            tally.last_number = purchase.number
        elif isinstance(outcome, Rejected):
            code, detail = outcome.code.value, detail_of(outcome)
        elif outcome is not None:
            code, detail = "internal_error", "see the log"
        elif purchase.fault is not None:
            row, code, detail = purchase.fault.row, purchase.fault.code, purchase.fault.detail
        setattr(tally, status, getattr(tally, status) + 1)
        results.write(
            (
                row,
                purchase.rows,
                purchase.number,
                purchase.member,
                purchase.at.isoformat() if purchase.fault is None else "",
                decimal_text(purchase.amount, self._mapping.amounts.scale) if purchase.fault is None else "",
                status,
                code,
                detail,
                decimal_text(points, self.points_scale),
                event or "",
            )
        )

    def _command(self, purchase: Purchase) -> RecordPurchase:
        mapping = self._mapping.purchase
        member = None
        if purchase.member:
            member = (mapping.member_by, normalise(mapping.member_by, purchase.member))
        return RecordPurchase(
            **envelope(),
            number=purchase.number,
            currency=self._mapping.amounts.currency,
            lines=tuple([self._line(line) for line in purchase.lines]),
            member=member,
            program=("id", self._program.id),
            where=Where(
                event_at=purchase.at,
                source=mapping.source,
                store=("code", purchase.store) if purchase.store else None,
                till=("code", purchase.till) if purchase.till else None,
                imported=True,
            ),
            register=self._create_missing,
        )

    def _line(self, row: LineRow) -> Line:
        article = self._articles.get(row.sku, NO_ARTICLE)
        return Line(
            sku=row.sku,
            quantity=row.quantity,
            amount=row.amount,
            categories=row.categories or article.categories,
            brand=row.brand or article.brand,
        )


class Envelope(TypedDict):
    id: str
    at: datetime
    actor: str


def envelope() -> Envelope:
    """A new command's id, time and actor."""
    return {"id": f"{str(uuid_utils.uuid7())[:30]}000000", "at": datetime.now(UTC), "actor": ACTOR}


def detail_of(refused: Rejected) -> str:
    figures = ", ".join(f"{name} {value}" for name, value in refused.detail.items())
    return ": ".join(part for part in (refused.field, figures) if part)
