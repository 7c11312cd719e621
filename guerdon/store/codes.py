"""Promo codes as they stand, and the tries of those who may not know whether a code exists.

Reads go without the writer and without locks, as in `read.py`. Tries are counted before the code is looked up, in one
statement, so that any number of tries at once, on however many servers, are one after the other here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import Struct
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from guerdon.core.codes import CodeBatch
from guerdon.core.promotions.terms import Promotion
from guerdon.store.read import fetch

EXPORTED_AT_ONCE = 5_000
_SEQ_MAX = 2**63 - 1
_Row = TypeVar("_Row")


class BatchRow(Struct, frozen=True, kw_only=True):
    """`form` is JSON, "" for codes that were brought in."""

    id: str
    promotion: str
    kind: str
    name: str
    partner: str
    channel: str
    form: str
    created_at: datetime
    actor: str
    wanted: int
    made: int
    active: bool


class CodeRow(Struct, frozen=True, kw_only=True):
    """`member` is whose the code is, None for nobody's; `uses` is how often it was used, less what was given back."""

    code: str
    no: int
    batch: str
    promotion: str
    form: str
    partner: str
    channel: str
    batch_active: bool
    code_active: bool
    reason: str
    link: str | None
    member: str | None
    linked_at: datetime | None
    mode: str | None
    uses: int

    @property
    def active(self) -> bool:
        return self.batch_active and self.code_active


class UseRow(Struct, frozen=True, kw_only=True):
    """One use, or with `of_seq` one that was given back. Sums are minor units."""

    code: str
    event_seq: int
    position: int
    version: int
    times: int
    discount: int
    voucher: int
    points: int
    currency: str
    used_at: datetime
    reference: str
    of_seq: int
    purchase: str | None
    purchase_number: str | None
    member: str | None


class CounterRow(Struct, frozen=True, kw_only=True):
    """A limit over a code in a period; `parts` is JSON."""

    limit_code: str
    period: str
    used: int
    last_at: datetime | None
    parts: str


class BatchUses(Struct, frozen=True, kw_only=True):
    """What a batch was used for in one currency, None where it was not. `codes_used`: those of which a use stands."""

    batch: str
    name: str
    partner: str
    channel: str
    made: int
    active: bool
    codes_used: int
    currency: str | None
    uses: int
    discount: int
    voucher: int
    points: int


class PromotionRow(Struct, frozen=True, kw_only=True):
    """The promotion of codes; `terms` is JSON."""

    id: str
    terms: str


class Tries(NamedTuple):
    """How often a caller has tried since when."""

    tries: int
    since: datetime


class Codes:
    """Codes by noun. One connection of the pool per statement."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]]) -> None:
        self._pool = pool

    async def promotion(self, org_id: int, id: str) -> Promotion | None:
        row = await self._one(org_id, "find_promotion", {"id": id}, PromotionRow)
        return None if row is None else msgspec.json.decode(row.terms, type=Promotion)

    async def batch(self, org_id: int, id: str) -> BatchRow | None:
        return await self._one(org_id, "find_batch", {"id": id}, BatchRow)

    async def batches(self, org_id: int, promotion: str, before: str | None, limit: int) -> list[BatchRow]:
        values = {"promotion": promotion, "before": before, "limit": limit}
        return await fetch(self._pool, org_id, "codes", "list_batches", values, BatchRow)

    async def batch_to_continue(self, org_id: int, id: str) -> CodeBatch | None:
        """The batch with its seed, which nobody is shown."""
        return await self._one(org_id, "batch_to_continue", {"id": id}, CodeBatch)

    async def code(self, org_id: int, code: str) -> CodeRow | None:
        return await self._one(org_id, "find_code", {"code": code}, CodeRow)

    async def codes(self, org_id: int, batch: str, after: int, limit: int) -> list[CodeRow]:
        values = {"batch": batch, "after": after, "limit": limit}
        return await fetch(self._pool, org_id, "codes", "codes_of_batch", values, CodeRow)

    async def all_codes(self, org_id: int, batch: str) -> AsyncIterator[list[CodeRow]]:
        """The codes of a batch in order, some thousands at a time; memory does not grow with the batch."""
        after = 0
        while True:
            rows = await self.codes(org_id, batch, after, EXPORTED_AT_ONCE)
            if rows:
                yield rows
            if len(rows) < EXPORTED_AT_ONCE:
                return
            after = rows[-1].no

    async def uses(self, org_id: int, code: str, limit: int, before: tuple[int, int] | None = None) -> list[UseRow]:
        """The latest first, before an event and place."""
        seq, position = before or (_SEQ_MAX, 0)
        values = {"code": code, "seq": seq, "position": position, "limit": limit}
        return await fetch(self._pool, org_id, "codes", "uses_of_code", values, UseRow)

    async def all_uses(self, org_id: int, batch: str) -> AsyncIterator[list[UseRow]]:
        """The uses of a batch's codes as they were booked, some thousands at a time."""
        seq, position = 0, 0
        while True:
            values = {"batch": batch, "seq": seq, "position": position, "limit": EXPORTED_AT_ONCE}
            rows = await fetch(self._pool, org_id, "codes", "uses_of_batch", values, UseRow)
            if rows:
                yield rows
            if len(rows) < EXPORTED_AT_ONCE:
                return
            seq, position = rows[-1].event_seq, rows[-1].position

    async def timezone(self, org_id: int) -> str:
        """By which the organisation's days, weeks and months go."""
        (row,) = await fetch(self._pool, org_id, "codes", "timezone", {}, _Timezone)
        return row.timezone

    async def counters(self, org_id: int, promotion: str, code: str) -> list[CounterRow]:
        values = {"promotion": promotion, "code": code}
        return await fetch(self._pool, org_id, "codes", "counters_of_code", values, CounterRow)

    async def uses_by_batch(self, org_id: int, promotion: str) -> list[BatchUses]:
        return await fetch(self._pool, org_id, "codes", "uses_by_batch", {"promotion": promotion}, BatchUses)

    # -- tries

    async def count_tries(self, org_id: int, caller: str, tries: int, now: datetime, window: timedelta) -> Tries:
        """Count tries of a caller before they are made."""
        values = {"caller": caller, "tries": tries, "now": now, "window": window}
        (row,) = await fetch(self._pool, org_id, "codes", "try_counted", values, _Tries)
        if row.tries == tries:  # the first ones of a window: a moment to forget others
            await fetch(self._pool, org_id, "codes", "tries_forgotten", values, _Tries)
        return Tries(row.tries, row.since)

    async def give_back_tries(self, org_id: int, caller: str, tries: int) -> None:
        """What was no guess does not count."""
        await fetch(self._pool, org_id, "codes", "try_given_back", {"caller": caller, "tries": tries}, _Tries)

    async def _one(self, org_id: int, name: str, values: dict[str, Any], type_: type[_Row]) -> _Row | None:
        rows = await fetch(self._pool, org_id, "codes", name, values, type_)
        return rows[0] if rows else None


class _Timezone(Struct, frozen=True):
    timezone: str


class _Tries(Struct, frozen=True):
    tries: int
    since: datetime
