"""Lots: points credited together, with what remains of them and when they end.

The lot row is a projection; the immutable truth is `lot_moves` on the events that opened it, took from it or filled it
again: applying `EFFECTS` of every move in order rebuilds the row. Debits take the lot that expires first, never-
expiring ones last, the older first on a tie.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import Struct

from guerdon.core.state import NotLoaded

if TYPE_CHECKING:
    from guerdon.core.state import State

NEVER = datetime.max.replace(tzinfo=UTC)

MoveKind = Literal[
    "open", "take", "refill", "repay", "return", "return_redeemed", "return_expired", "expire", "hold", "unhold",
    "write_off", "forfeit", "merge", "convert", "redate",
]  # fmt: skip

EFFECTS: dict[str, tuple[int, int, int, int, int, int]] = {
    # what a move of 1 does to: remaining, redeemed, returned, expired, held, written_off
    "open": (1, 0, 0, 0, 0, 0),
    "take": (-1, 1, 0, 0, 0, 0),  # spent
    "refill": (1, -1, 0, 0, 0, 0),  # spending undone
    "repay": (-1, 1, 0, 0, 0, 0),  # the part of a credit that covers what the account owed
    "return": (-1, 0, 1, 0, 0, 0),  # earned, taken back
    "return_redeemed": (0, -1, 1, 0, 0, 0),  # earned, spent meanwhile, taken back: the spending moved to other lots
    "return_expired": (0, 0, 1, -1, 0, 0),  # earned, expired meanwhile, taken back: no entry
    "expire": (-1, 0, 0, 1, 0, 0),
    "hold": (0, 0, 0, 0, 1, 0),  # pinned, still there
    "unhold": (0, 0, 0, 0, -1, 0),
    "write_off": (0, 0, 0, 0, 0, 1),  # spent, and forgiven when the earning was taken back
    "forfeit": (0, -1, 1, 0, 0, -1),  # the spending of written-off points undone: returned after all
    "merge": (-1, 0, 1, 0, 0, 0),  # gone to a lot of the surviving member
    "convert": (0, 0, 0, 0, 0, 0),  # the lot lies in another account from now on
    "redate": (0, 0, 0, 0, 0, 0),  # it ends at another time
}

PLACING = ("open", "convert", "redate")
"""The moves that say where a lot lies and when it ends; the last one holds."""


class Lot(Struct, frozen=True, gc=False):
    """`amount = remaining + redeemed + returned + expired`; `held` is the pinned part of `remaining`, `written_off` the
    part of `redeemed` that a return should have taken back and forgave.

    A lot of promised points becomes regular at `releases_at`, if that is known; `promise` is JSON text with the rest
    of its terms (`promises.Promise`), "" for points that never were promised.

    Where thousands are made, the fields are given by position: msgspec takes 20 times as long to go by their names.
    """

    no: int
    account: int
    event_seq: int
    amount: int
    remaining: int
    earned_at: datetime
    expires_at: datetime | None = None
    redeemed: int = 0
    returned: int = 0
    expired: int = 0
    held: int = 0
    written_off: int = 0
    rule: str = ""
    version: int = 0
    line: int | None = None
    purchase_no: int = 0
    releases_at: datetime | None = None
    promise: str = ""

    @property
    def free(self) -> int:
        return self.remaining - self.held

    @property
    def spent(self) -> int:
        """What was spent and still has to be made good when the earning is taken back."""
        return self.redeemed - self.written_off


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


def by_number(lot: Lot) -> int:
    """Sort key: older first."""
    return lot.no


# -- mechanics: every change of a lot goes through `change`, and every change is written down as a move ----------------


def change(state: State, moves: list[LotMove], lot: Lot, kind: MoveKind, amount: int) -> Lot:
    """Apply one move to a lot and write it down."""
    remaining, redeemed, returned, expired, held, written_off = EFFECTS[kind]
    changed = Lot(
        lot.no,
        lot.account,
        lot.event_seq,
        lot.amount,
        lot.remaining + remaining * amount,
        lot.earned_at,
        lot.expires_at,
        lot.redeemed + redeemed * amount,
        lot.returned + returned * amount,
        lot.expired + expired * amount,
        lot.held + held * amount,
        lot.written_off + written_off * amount,
        lot.rule,
        lot.version,
        lot.line,
        lot.purchase_no,
        lot.releases_at,
        lot.promise,
    )
    state.replace(state.lots, lot.no, lot, changed)
    if remaining > held:
        _note_end(state, changed)
    moves.append(LotMove(lot.no, kind, amount))
    return changed


def _note_end(state: State, lot: Lot) -> None:
    """Keep what is known of when the next lot of an account ends (`overdue`) or is released (`promises.keep`), now that
    this one has more.
    """
    ends = state.ends.get(lot.account)
    if ends is not None and lot.expires_at is not None and lot.expires_at < ends:
        state.ends[lot.account] = lot.expires_at
    if lot.releases_at is not None and lot.account in state.releases:
        state.releases[lot.account] = min(lot.releases_at, state.releases[lot.account])


def place(state: State, moves: list[LotMove], lot: Lot, kind: Literal["convert", "redate"], changed: Lot) -> Lot:
    """Put a lot into another account, or change when it ends or is released; nothing of what it holds changes."""
    state.put(state.lots, lot.no, changed)
    if changed.account != lot.account:
        state.lies(lot.no, lot.account, here=False)
        state.lies(lot.no, changed.account)
    _note_end(state, changed)
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
        state.next("lot"),
        account_no,
        event_seq,
        amount,
        amount,
        earned_at,
        expires_at,
        rule=rule,
        version=version,
        line=line,
        purchase_no=purchase_no,
        releases_at=releases_at,
        promise=promise,
    )
    state.put(state.lots, lot.no, lot)
    state.lies(lot.no, account_no)
    _note_end(state, lot)
    moves.append(_placing("open", lot, amount))
    return lot


def usable(state: State, account_no: int, as_of: datetime) -> list[Lot]:
    """The lots that are known and may be spent at a moment, soonest expiry first: all there are up to
    `state.spent_first`.
    """
    lots = [
        lot
        for lot in state.lots_of(account_no)
        if lot.remaining > lot.held and (lot.expires_at is None or lot.expires_at > as_of)
    ]
    lots.sort(key=by_expiry)
    return lots


def take(
    state: State,
    moves: list[LotMove],
    account_no: int,
    amount: int,
    as_of: datetime,
    kind: MoveKind = "take",
    others: Sequence[int] = (),
) -> int:
    """Consume up to `amount` from the lots that expire first, of this account and others. Returns what the lots did not
    have. Raises `NotLoaded` when that would need lots that come after the first ones, which is all that is loaded.
    """
    if not amount:
        return 0
    found = usable(state, account_no, as_of)
    for other in others:
        found += usable(state, other, as_of)
    if others:
        found.sort(key=by_expiry)
    known = [(no, state.spent_first(no)) for no in (account_no, *others)]
    partly = {no: reach for no, reach in known if reach is not None}
    if partly:
        known_to = min([reach.last for reach in partly.values()])
        found = [lot for lot in found if by_expiry(lot) <= known_to]
        there = sum([lot.free for lot in found])
        if there < amount:
            raise NotLoaded(*[reach.more(no, there, amount) for no, reach in partly.items()])
    for lot in found:
        if not amount:
            break
        part = min(amount, lot.free)
        change(state, moves, lot, kind, part)
        amount -= part
    return amount


def open_like(
    state: State, moves: list[LotMove], account_no: int, event_seq: int, lot: Lot, amount: int, *, billed: bool = False
) -> Lot:
    """A new lot with another one's times and terms; with `billed` also of the same purchase, to be returned with it."""
    return open_lot(
        state,
        moves,
        account_no,
        event_seq,
        amount,
        earned_at=lot.earned_at,
        expires_at=lot.expires_at,
        rule=lot.rule,
        version=lot.version,
        line=lot.line if billed else None,
        purchase_no=lot.purchase_no if billed else 0,
        releases_at=lot.releases_at,
        promise=lot.promise,
    )


def refill(state: State, moves: list[LotMove], event_seq: int, lot: Lot, amount: int, account_no: int = 0) -> list[int]:
    """Give back to a lot what was taken from it. What no longer counts as spent there, because a return has moved the
    spending elsewhere meanwhile, becomes a lot of its own with the same end; so does everything where the lot is a
    merged member's and `account_no` the survivor's. Returns the lots that have it now.
    """
    touched: list[int] = []
    part = min(amount, lot.spent) if account_no in (0, lot.account) else 0
    if part:
        touched.append(change(state, moves, lot, "refill", part).no)
    if amount > part:
        touched.append(open_like(state, moves, account_no or lot.account, event_seq, lot, amount - part).no)
    return touched


def hand_over(
    state: State, moves: list[LotMove], taken: list[LotMove], event_seq: int, account_no: int, *, billed: bool = False
) -> list[int]:
    """Open at another account what these moves took: one lot for each, ending when it did. Returns the new lots."""
    return [
        open_like(state, moves, account_no, event_seq, state.lots[move.lot], move.amount, billed=billed).no
        for move in taken
    ]


def write_off(state: State, moves: list[LotMove], lots: list[Lot], points: int) -> None:
    """Remember on these lots what a return should have taken back and forgave, so that it never comes back to the
    member when the spending is undone.
    """
    for lot in lots:
        now = state.lots[lot.no]
        part = min(points, now.spent)
        if part:
            change(state, moves, now, "write_off", part)
            points -= part


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


def overdue(state: State, account_no: int, as_of: datetime, at_most: int | None = None) -> list[Lot]:
    """The lots whose unpinned rest has ended by a moment, soonest first; at most so many of them. Raises `NotLoaded`
    where more have ended than were loaded with the account and these do not do.
    """
    if account_no in state.ends and state.ends[account_no] > as_of:
        return []
    lots = []
    next_end = NEVER
    for lot in state.lots_of(account_no):
        if lot.expires_at is not None and lot.remaining > lot.held:
            if lot.expires_at <= as_of:
                lots.append(lot)
            elif lot.expires_at < next_end:
                next_end = lot.expires_at
    reach = state.ended(account_no)
    if reach is not None and as_of >= reach.last[1]:
        lots = [lot for lot in lots if by_expiry(lot) <= reach.last]
        if at_most is None:
            raise NotLoaded(("due", account_no))
        if len(lots) < at_most:
            raise NotLoaded(reach.more_due(account_no))
    elif not lots and reach is None:
        state.ends[account_no] = next_end  # so that a thousand credits do not look at each other's lots
    lots.sort(key=by_expiry)
    return lots[:at_most]
