"""Lots: points credited together, with what remains of them and when they end.

The lot row is a projection; the immutable truth is `lot_moves` on the events that opened it, took from it or filled it
again: applying `EFFECTS` of every move in order rebuilds the row. Debits take the lot that expires first, never-expiring ones last, the older first on a tie.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

MoveKind = Literal[
    "open", "take", "refill", "repay", "return", "return_redeemed", "return_expired", "expire", "hold", "unhold"
]

EFFECTS: dict[str, tuple[int, int, int, int, int]] = {
    # what a move of 1 does to: remaining, redeemed, returned, expired, held
    "open": (1, 0, 0, 0, 0),
    "take": (-1, 1, 0, 0, 0),  # spent
    "refill": (1, -1, 0, 0, 0),  # spending undone
    "repay": (-1, 1, 0, 0, 0),  # the part of a credit that covers what the account owed
    "return": (-1, 0, 1, 0, 0),  # earned, taken back
    "return_redeemed": (0, -1, 1, 0, 0),  # earned, spent meanwhile, taken back: the spending moved to other lots
    "return_expired": (0, 0, 1, -1, 0),  # earned, expired meanwhile, taken back: no entry
    "expire": (-1, 0, 0, 1, 0),
    "hold": (0, 0, 0, 0, 1),  # pinned, still there
    "unhold": (0, 0, 0, 0, -1),
}


class Lot(Struct, frozen=True, kw_only=True):
    """`amount = remaining + redeemed + returned + expired`; `held` is the pinned part of `remaining`."""

    no: int
    account: int
    event_seq: int
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


class LotMove(Struct, frozen=True, array_like=True):
    """One effect on one lot; encoded as a JSON array. The fields after `amount` are set for `open` only."""

    lot: int
    kind: MoveKind
    amount: int
    account: int = 0
    earned_at: datetime | None = None
    expires_at: datetime | None = None
    rule: str = ""
    version: int = 0
    line: int | None = None
    purchase_no: int = 0


def encode_moves(moves: list[LotMove]) -> str:
    """JSON text for the event's row; "" when it touched no lots."""
    return msgspec.json.encode(moves).decode() if moves else ""


def decode_moves(text: str) -> list[LotMove]:
    return msgspec.json.decode(text, type=list[LotMove]) if text else []


def by_expiry(lot: Lot) -> tuple[bool, datetime, int]:
    """Sort key: soonest expiry first, never-expiring last, older first on a tie."""
    return (lot.expires_at is None, lot.expires_at or lot.earned_at, lot.no)
