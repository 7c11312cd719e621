"""What happens to points without a bill."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from msgspec import Struct

from guerdon.core.commands.command import Command, Selector
from guerdon.core.commands.purchases import Where


class Redeem(Command, frozen=True, kw_only=True):
    """Spend points without a purchase. `reference` is the caller's own, natural like a bill number ("" = none).

    With `group` the points come from all programs of the program's asset, whichever end first; the program itself says
    what they buy and on what conditions.
    """

    member: Selector
    points: int
    program: Selector | None = None
    group: bool = False
    reference: str = ""
    where: Where = Where()
    reason: str = ""
    meta: str = ""


class PreviewRedemption(Command, frozen=True, kw_only=True):
    """Say what a redemption would do, and do nothing."""

    of: Redeem


class ReverseRedemption(Command, frozen=True, kw_only=True):
    """Give back redeemed points, all that is left (`points` None) or a part, to the lots they came from."""

    redemption: str
    points: int | None = None
    where: Where = Where()
    reason: str = ""
    meta: str = ""


class Award(Command, frozen=True, kw_only=True):
    """Give points for goodwill, with a reason (`GoodwillAward`)."""

    member: Selector
    points: int
    reason: str
    program: Selector | None = None
    where: Where = Where()
    meta: str = ""


class Allocation(Struct, frozen=True, kw_only=True):
    """One row of a bulk award."""

    member: Selector
    points: int
    reason: str


class AwardMany(Command, frozen=True, kw_only=True):
    """Give points to many members at once (`BulkAllocatePoints`), each row on its own merits: a row that is refused
    moves nothing, the others stand, and the answer tells of each.
    """

    rows: tuple[Allocation, ...]
    program: Selector | None = None
    where: Where = Where()


class TransferPoints(Command, frozen=True, kw_only=True):
    """Move a member's points to another member, within the limits of the program."""

    member: Selector
    recipient: Selector
    points: int
    program: Selector | None = None
    where: Where = Where()
    reason: str = ""
    meta: str = ""


class AdjustPoints(Command, frozen=True, kw_only=True):
    """Correct a member's points by hand: `points` above zero come from `@PointsAdjusted`, below zero go there.

    `person` is who asks, as the owner of a key or a user; above the program's limit it takes a second one.
    """

    member: Selector
    points: int
    reason: str
    person: str
    program: Selector | None = None


class DecideAdjustment(Command, frozen=True, kw_only=True):
    """Approve or reject an adjustment that waits for a second person."""

    adjustment: str
    approve: bool
    person: str
    reason: str = ""


class ExpireLots(Command, frozen=True, kw_only=True):
    """Post what has come due on these accounts (numbers): promised points that are released, points that have ended.
    Changes when it is booked, never what can be spent.

    With `ended_by`, only what had come due by then: a job leaves what a late fact may still spend (`places.LATE_MAX`).
    `members` are whose accounts these are and `lots` how many lots that is about, where the caller knows: then nothing
    has to be looked up twice, and a batch is no larger than it should be. With `at_most`, no more than so many of the
    lots that have ended are posted, those that ended first; where that many were, there may be more.
    """

    accounts: tuple[int, ...]
    members: tuple[int, ...] = ()
    lots: int = 0
    ended_by: datetime | None = None
    at_most: int | None = None


class UnlockPoints(Command, frozen=True, kw_only=True):
    """Make waiting points regular before their time: those of a purchase (or of one of its lines, by position from 0),
    those that wait for a `trigger`, or all of the member's, in one program or in every.
    """

    member: Selector
    program: Selector | None = None
    purchase: Selector | None = None
    line: int | None = None
    trigger: str = ""
    where: Where = Where()
    reason: str = ""
    meta: str = ""


class ChangeExpiry(Command, frozen=True, kw_only=True):
    """Let points end later or earlier: some lots (numbers), those of a purchase, or all that the member has, promised
    ones too, in one program or in every.

    Exactly one of: `last_day` (they end with it, in the program's time zone), `days` (so much later, or earlier where
    negative; what never ends stays so), `never`. `reference` is the caller's own, natural like a bill number.
    """

    member: Selector
    program: Selector | None = None
    lots: tuple[int, ...] = ()
    purchase: Selector | None = None
    last_day: date | None = None
    days: int | None = None
    never: bool = False
    reference: str = ""
    where: Where = Where()
    reason: str = ""
    meta: str = ""


class ImportPoints(Command, frozen=True, kw_only=True):
    """Bring along what happened elsewhere, at its own time (`where.event_at`).

    `balance` is a member's balance as it stood, per program and category, and opens the accounts where they are not
    open yet; `points` are points earned then; both end with `last_day`, or as the program's policy says where it is not
    given (`never`: not at all). `redemption` and `expiry` are points that were spent or had ended. The reference is
    natural: same content again replays, other content is refused.
    """

    kind: Literal["balance", "points", "redemption", "expiry"]
    member: Selector
    points: int
    reference: str
    program: Selector | None = None
    category: Literal["regular", "promised", "trigger_based"] = "regular"
    last_day: date | None = None
    never: bool = False
    release_on: date | None = None
    trigger: str = ""
    where: Where = Where(imported=True)
    reason: str = ""
