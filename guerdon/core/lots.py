"""Lots: points credited together, with what remains of them and when they end.

The lot row is a projection; the immutable truth is `lot_moves` on the events that opened it, took from it or filled it
again: applying `EFFECTS` of every move in order rebuilds the row. Debits take the lot that expires first, never-
expiring ones last, the older first on a tie.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from guerdon.core.state import State

MoveKind = Literal[
    "open", "take", "refill", "repay", "return", "return_redeemed", "return_expired", "expire", "hold", "unhold",
    "convert", "redate",
]  # fmt: skip

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
    "convert": (0, 0, 0, 0, 0),  # the lot lies in another account from now on
    "redate": (0, 0, 0, 0, 0),  # it ends at another time
}

PLACING = ("open", "convert", "redate")
"""The moves that say where a lot lies and when it ends; the last one holds."""


class Lot(Struct, frozen=True, kw_only=True, gc=False):
    """`amount = remaining + redeemed + returned + expired`; `held` is the pinned part of `remaining`.

    A lot of promised points becomes regular at `releases_at`, if that is known; `promise` is JSON text with the rest
    of its terms (`promises.Promise`), "" for points that never were promised.
    """

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
    releases_at: datetime | None = None
    promise: str = ""

    @property
    def free(self) -> int:
        return self.remaining - self.held


class LotMove(Struct, frozen=True, array_like=True, gc=False):
    """One effect on one lot; encoded as a JSON array. The fields after `amount` are set for `PLACING` moves only."""

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
    releases_at: datetime | None = None
    promise: str = ""


def encode_moves(moves: list[LotMove]) -> str:
    """JSON text for the event's row; "" when it touched no lots."""
    return msgspec.json.encode(moves).decode() if moves else ""


def decode_moves(text: str) -> list[LotMove]:
    return msgspec.json.decode(text, type=list[LotMove]) if text else []


def by_expiry(lot: Lot) -> tuple[bool, datetime, int]:
    """Sort key: soonest expiry first, never-expiring last, older first on a tie."""
    return (lot.expires_at is None, lot.expires_at or lot.earned_at, lot.no)


# -- mechanics: every change of a lot goes through `change`, and every change is written down as a move ----------------


def change(state: State, moves: list[LotMove], lot: Lot, kind: MoveKind, amount: int) -> Lot:
    """Apply one move to a lot and write it down."""
    remaining, redeemed, returned, expired, held = EFFECTS[kind]
    changed = Lot(
        no=lot.no,
        account=lot.account,
        event_seq=lot.event_seq,
        amount=lot.amount,
        remaining=lot.remaining + remaining * amount,
        redeemed=lot.redeemed + redeemed * amount,
        returned=lot.returned + returned * amount,
        expired=lot.expired + expired * amount,
        held=lot.held + held * amount,
        earned_at=lot.earned_at,
        expires_at=lot.expires_at,
        rule=lot.rule,
        version=lot.version,
        line=lot.line,
        purchase_no=lot.purchase_no,
        releases_at=lot.releases_at,
        promise=lot.promise,
    )
    state.put(state.lots, lot.no, changed)
    moves.append(LotMove(lot.no, kind, amount))
    return changed


def place(state: State, moves: list[LotMove], lot: Lot, kind: Literal["convert", "redate"], changed: Lot) -> Lot:
    """Put a lot into another account, or change when it ends or is released; nothing of what it holds changes."""
    state.put(state.lots, lot.no, changed)
    if changed.account != lot.account:
        left = tuple(no for no in state.account_lots.get(lot.account, ()) if no != lot.no)
        state.put(state.account_lots, lot.account, left)
        state.put(state.account_lots, changed.account, (*state.account_lots.get(changed.account, ()), lot.no))
    moves.append(_placing(kind, changed, changed.remaining))
    return changed


def _placing(kind: MoveKind, lot: Lot, amount: int) -> LotMove:
    return LotMove(
        lot.no,
        kind,
        amount,
        lot.account,
        lot.earned_at,
        lot.expires_at,
        lot.rule,
        lot.version,
        lot.line,
        lot.purchase_no,
        lot.releases_at,
        lot.promise,
    )


def open_lot(
    state: State,
    moves: list[LotMove],
    account_no: int,
    event_seq: int,
    amount: int,
    *,
    earned_at: datetime,
    expires_at: datetime | None,
    rule: str = "",
    version: int = 0,
    line: int | None = None,
    purchase_no: int = 0,
    releases_at: datetime | None = None,
    promise: str = "",
) -> Lot:
    """A new lot with all of its amount remaining."""
    lot = Lot(
        no=state.next("lot"),
        account=account_no,
        event_seq=event_seq,
        amount=amount,
        remaining=amount,
        earned_at=earned_at,
        expires_at=expires_at,
        rule=rule,
        version=version,
        line=line,
        purchase_no=purchase_no,
        releases_at=releases_at,
        promise=promise,
    )
    state.put(state.lots, lot.no, lot)
    state.put(state.account_lots, account_no, (*state.account_lots.get(account_no, ()), lot.no))
    moves.append(_placing("open", lot, amount))
    return lot


def usable(state: State, account_no: int, as_of: datetime) -> list[Lot]:
    """The lots that may be spent at a moment, soonest expiry first. All open lots must be loaded."""
    lots = [
        lot
        for lot in state.open_lots(account_no)
        if lot.remaining > lot.held and (lot.expires_at is None or lot.expires_at > as_of)
    ]
    lots.sort(key=by_expiry)
    return lots


def take(
    state: State, moves: list[LotMove], account_no: int, amount: int, as_of: datetime, kind: MoveKind = "take"
) -> int:
    """Consume up to `amount` from the lots that expire first. Returns what the lots did not have."""
    for lot in usable(state, account_no, as_of):
        if not amount:
            break
        part = min(amount, lot.free)
        change(state, moves, lot, kind, part)
        amount -= part
    return amount


def refill(state: State, moves: list[LotMove], event_seq: int, lot: Lot, amount: int) -> list[int]:
    """Give back to a lot what was taken from it. What no longer counts as spent there, because a return has moved the
    spending elsewhere meanwhile, becomes a lot of its own with the same end. Returns the lots that have it now.
    """
    touched: list[int] = []
    part = min(amount, lot.redeemed)
    if part:
        touched.append(change(state, moves, lot, "refill", part).no)
    if amount > part:
        again = open_lot(
            state,
            moves,
            lot.account,
            event_seq,
            amount - part,
            earned_at=lot.earned_at,
            expires_at=lot.expires_at,
            rule=lot.rule,
            version=lot.version,
        )
        touched.append(again.no)
    return touched


def repay(state: State, moves: list[LotMove], opened: list[int], owed: int) -> None:
    """Let newly credited lots (by number) cover at once what the account owed before the credit."""
    for no in opened:
        if not owed:
            return
        lot = state.lots[no]
        part = min(owed, lot.free)
        if part:
            change(state, moves, lot, "repay", part)
            owed -= part


def overdue(state: State, account_no: int, as_of: datetime) -> list[Lot]:
    """The lots whose unpinned rest has ended by a moment, soonest first. Overdue lots are always loaded with their
    account, as are those that wait to be released.
    """
    lots = [
        lot
        for lot in state.lots_of(account_no)
        if lot.expires_at is not None and lot.expires_at <= as_of and lot.remaining > lot.held
    ]
    lots.sort(key=by_expiry)
    return lots
