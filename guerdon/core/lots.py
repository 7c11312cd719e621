"""Lots: points credited together, with what remains of them and when they end.

The lot row is a projection; the immutable truth is `lot_moves` on the transfer that opened it, took from it or filled
it again. Debits take the lot that expires first, never-expiring ones last, the older first on a tie.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

MoveKind = Literal["open", "take", "refill", "return", "expire", "unexpire", "hold", "unhold", "repay"]
"""`open` makes the lot. `take` spends (redeemed), `refill` undoes it. `return` gives back what was earned. `expire` ends.
`hold` pins and `unhold` unpins without changing what remains. `repay` is the part of a new lot that covers what was owed."""


class Lot(Struct, frozen=True, kw_only=True):
    """`amount = remaining + redeemed + returned + expired`; `held` is the pinned part of `remaining`."""

    no: int
    account: int
    opened_seq: int
    amount: int
    remaining: int
    redeemed: int = 0
    returned: int = 0
    expired: int = 0
    held: int = 0
    earned_at: datetime
    expires_at: datetime | None = None
    rule: str = ""
    version: int = 0
    line: int | None = None
    purchase_no: int = 0

    @property
    def free(self) -> int:
        return self.remaining - self.held


class LotMove(Struct, frozen=True, array_like=True, omit_defaults=True):
    """One effect of a transfer on one lot; encoded as a JSON array. The last fields are set for `open` only."""

    lot: int
    kind: MoveKind
    amount: int
    earned_at: datetime | None = None
    expires_at: datetime | None = None
    rule: str = ""
    version: int = 0
    line: int | None = None
    purchase_no: int = 0


def encode_moves(moves: list[LotMove]) -> str | None:
    """JSON text for the transfer's row; None when the transfer touched no lots."""
    return msgspec.json.encode(moves).decode() if moves else None


def decode_moves(text: str | None) -> list[LotMove]:
    return msgspec.json.decode(text, type=list[LotMove]) if text else []


def by_expiry(lot: Lot) -> tuple[bool, datetime, int]:
    """Sort key: soonest expiry first, never-expiring last, older first on a tie."""
    return (lot.expires_at is None, lot.expires_at or lot.earned_at, lot.no)
