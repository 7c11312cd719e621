"""Reading promotions that were given to members."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import Struct

from guerdon.core.issues import IssueMove, PromotionIssue, Standing, standing
from guerdon.core.promotions.terms import Promotion
from guerdon.store.pool import Pool
from guerdon.store.read import fetch


class IssueRow(Struct, frozen=True, kw_only=True):
    """An issue with its promotion (`terms`, JSON text), what was done to it, and how often it was used. `used` has the
    counters of the promotion's limits over it, as JSON text.
    """

    id: str
    promotion: str
    terms: str
    member_no: int
    member: str
    issued_at: datetime
    starts_at: datetime | None
    ends_at: datetime | None
    activation: bool
    days: int | None
    reason: str
    actor: str
    activated_at: datetime | None
    activated_ends_at: datetime | None
    revoked_at: datetime | None
    used: str
    uses: int

    @property
    def promotion_terms(self) -> Promotion:
        return msgspec.json.decode(self.terms, type=Promotion)

    def standing(self, now: datetime) -> Standing:
        """What it stands at."""
        fields = {name: getattr(self, name) for name in PromotionIssue.__struct_fields__}
        moves = []
        if self.activated_at is not None:
            moves.append(
                IssueMove(
                    issue=self.id,
                    done="activated",
                    moved_at=self.activated_at,
                    ends_at=self.activated_ends_at,
                    actor="",
                )
            )
        if self.revoked_at is not None:
            moves.append(
                IssueMove(issue=self.id, done="revoked", moved_at=self.revoked_at, ends_at=self.revoked_at, actor="")
            )
        used = msgspec.json.decode(self.used, type=dict[str, int])
        return standing(PromotionIssue(**fields), moves, self.promotion_terms, used, now)


class Issues:
    """Reads issues without the writer and without locks."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find(self, org_id: int, id: str) -> IssueRow | None:
        rows = await fetch(self._pool, org_id, "issues", "find_issue", {"id": id}, IssueRow)
        return rows[0] if rows else None

    async def of_member(self, org_id: int, member_no: int, before: str | None, limit: int) -> list[IssueRow]:
        """Newest first, with those of members merged into it."""
        values = {"member_no": member_no, "before": before, "limit": limit}
        return await fetch(self._pool, org_id, "issues", "issues_of_member", values, IssueRow)

    async def of_promotion(self, org_id: int, promotion: str, before: str | None, limit: int) -> list[IssueRow]:
        """Newest first."""
        values = {"promotion": promotion, "before": before, "limit": limit}
        return await fetch(self._pool, org_id, "issues", "issues_of_promotion", values, IssueRow)
