"""Reading promotions, their versions and uses."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from guerdon.core.promotions.terms import Lane
from guerdon.store.read import fetch

_SEQ_MAX = 2**63 - 1
_VERSION_MAX = 2**31 - 1


class PromotionRow(Struct, frozen=True, kw_only=True):
    """`terms` is the promotion as JSON text, `actor` who made this version of it."""

    id: str
    terms: str
    created_at: datetime
    changed_at: datetime
    actor: str


class UseRow(Struct, frozen=True, kw_only=True):
    event_seq: int
    position: int
    promotion: str
    version: int
    code: str
    member: str | None
    purchase: str | None
    reference: str
    used_at: datetime
    times: int
    discount: int
    voucher: int
    points: int
    currency: str
    of_seq: int
    issue: str


class Totals(Struct, frozen=True, kw_only=True):
    """`purchases` are carts, `times` applications."""

    purchases: int
    times: int
    members: int
    discount: int
    voucher: int
    points: int


class Promotions:
    """Reads promotions without the writer and without locks."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]]) -> None:
        self._pool = pool

    async def find(self, org_id: int, id: str) -> PromotionRow | None:
        rows = await fetch(self._pool, org_id, "promotions", "find_promotion", {"id": id}, PromotionRow)
        return rows[0] if rows else None

    async def page(self, org_id: int, status: str | None, before: str | None, limit: int) -> list[PromotionRow]:
        """Newest first."""
        values = {"status": status, "before": before, "limit": limit}
        return await fetch(self._pool, org_id, "promotions", "list_promotions", values, PromotionRow)

    async def versions(self, org_id: int, id: str, before: int | None, limit: int) -> list[PromotionRow]:
        """Newest first, before a version."""
        values = {"id": id, "before": _VERSION_MAX if before is None else before, "limit": limit}
        return await fetch(self._pool, org_id, "promotions", "list_versions", values, PromotionRow)

    async def uses(
        self, org_id: int, promotion: str, code: str | None, before: tuple[int, int] | None, limit: int
    ) -> list[UseRow]:
        """Newest first, before an event and place."""
        seq, position = before or (_SEQ_MAX, 0)
        values = {"promotion": promotion, "code": code, "seq": seq, "position": position, "limit": limit}
        return await fetch(self._pool, org_id, "promotions", "list_uses", values, UseRow)

    async def lanes(self, org_id: int) -> list[Lane]:
        """Those that do not just stack."""
        return await fetch(self._pool, org_id, "promotions", "list_lanes", {}, Lane)

    async def totals(self, org_id: int, promotion: str) -> Totals:
        (row,) = await fetch(self._pool, org_id, "promotions", "totals", {"promotion": promotion}, Totals)
        return row
