"""What accepted commands answer. Stored with an idempotency key, so that the same request always gets the same
answer.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from guerdon.core.accounts import Figures, Transfer
from guerdon.core.catalogue import Status
from guerdon.core.outcomes import Rejected
from guerdon.core.promotions.terms import Promotion
from guerdon.core.promotions.verdicts import Evaluation, Verdict


class Result(Struct, frozen=True, kw_only=True, tag=True):
    """Base of all results; tagged by class name when stored."""


class Opened(Result, frozen=True, kw_only=True):
    """Something with an id and a number now exists (ledger, account, member, program, store, till, asset, key...)."""

    id: str
    number: int = 0
    created_at: datetime


class Changed(Result, frozen=True, kw_only=True):
    """Something changed; nothing to tell but which."""

    id: str


class Registered(Result, frozen=True, kw_only=True):
    id: str
    number: int
    event_no: int
    registered_at: datetime


class Posted(Result, frozen=True, kw_only=True, gc=False):
    """One outcome per leg: sequence numbers of the transfers made, grouped by posting. `refused` tells, per
    posting, why not.

    `refused` has an entry per posting: None where it was posted, else the code. For a single posting `rows` are the
    transfers themselves and `names` the ids and indicators of their accounts by number, so that the answer needs no
    second look at the database.
    """

    transfers: tuple[tuple[int, ...], ...]
    refused: tuple[str | None, ...]
    rows: tuple[Transfer, ...] = ()
    names: dict[int, tuple[str, str]] = {}


class Side(Struct, frozen=True, kw_only=True):
    """An account as a preview leaves it. `virtual` is true for an internal account that does not exist yet."""

    account_id: str
    asset: str
    role: Literal["source", "destination"]
    virtual: bool
    before: Figures
    after: Figures


class Projection(Struct, frozen=True, kw_only=True):
    """What one command would do: the transfers it would make and both sides of them, or why it would be refused."""

    refused: Rejected | None = None
    transfers: tuple[Transfer, ...] = ()
    sides: tuple[Side, ...] = ()


class Previewed(Result, frozen=True, kw_only=True):
    """One projection per command."""

    items: tuple[Projection, ...]


class Followed(Result, frozen=True, kw_only=True):
    """How many events it took to let points follow a policy."""

    events: int


class Noticed(Result, frozen=True, kw_only=True):
    """How many notices were given."""

    events: int


class Earned(Result, frozen=True, kw_only=True):
    """Points one rule gave in one program. `basis` is the money it looked at, in minor units; `releases_at` and
    `trigger` say when promised points become regular, and `expires_at` is None where that decides when they end.
    `capped` is what caps kept back.
    """

    program_no: int
    rule: str
    version: int
    category: str
    points: int
    basis: int
    expires_at: datetime | None = None
    releases_at: datetime | None = None
    trigger: str = ""
    capped: int = 0


class Purchased(Result, frozen=True, kw_only=True):
    """`paid` = amount less what promotions took off or paid, and less what points bought. `balances` are the regular
    points after, per program number. `discounts` are per line; `verdicts` tell what was applied, and of each code what
    became of it.
    """

    id: str
    number: str
    purchase_no: int
    event_no: int
    member_id: str
    event_at: datetime
    recorded_at: datetime
    currency: str
    amount: int
    paid: int
    spent_points: int
    spent_money: int
    redemption_id: str
    earned: tuple[Earned, ...]
    balances: tuple[tuple[int, int], ...]
    discounts: tuple[int, ...] = ()
    vouchers: int = 0
    verdicts: tuple[Verdict, ...] = ()


class TiersChanged(Result, frozen=True, kw_only=True):
    """A version of a program's tiers, and when it begins."""

    program_no: int
    version: int
    starts_at: datetime


class SegmentMade(Result, frozen=True, kw_only=True):
    """A version of a segment."""

    code: str
    version: int


class MembersListed(Result, frozen=True, kw_only=True):
    """How many members were named, and how many of them were put on the list or taken off."""

    code: str
    changed: int
    members: int


class TiersReviewed(Result, frozen=True, kw_only=True):
    """How many members were looked at, and how much there was to tell."""

    members: int
    told: int


class PromotionMade(Result, frozen=True, kw_only=True):
    """A promotion as it now is."""

    terms: Promotion


class Evaluated(Result, frozen=True, kw_only=True):
    """What promotions make of a cart; with a reservation, until when its uses are kept."""

    evaluation: Evaluation
    reservation: str = ""
    expires_at: datetime | None = None


class CartCommitted(Result, frozen=True, kw_only=True):
    """What was used. `earned` are points of promotions."""

    id: str
    number: str
    event_no: int
    evaluation: Evaluation
    earned: tuple[Earned, ...] = ()
    balances: tuple[tuple[int, int], ...] = ()


class CartReturned(Result, frozen=True, kw_only=True):
    """A committed cart or a part of it was returned. `paid` is what that part had cost after `discount` came off;
    `uses` are free again; of what promotions had earned, `expired` had ended and `written_off` was no longer there.
    """

    id: str
    number: str
    commit_id: str
    event_no: int
    lines: tuple[tuple[int, int], ...]
    paid: int
    discount: int
    uses: int
    returned_points: int
    expired: int
    written_off: int
    balances: tuple[tuple[int, int], ...]


class ReservationCancelled(Result, frozen=True, kw_only=True):
    id: str


class Returned(Result, frozen=True, kw_only=True):
    """`returned_points` went back to the program, `restored_points` to the member; of what was earned, `expired` had
    ended before and `written_off` was no longer there. `lines` are (position from 0, quantity in thousandths). `amount`
    is what the bill had charged for them, of which `paid` was not paid with points.
    """

    id: str
    number: str
    purchase_id: str
    event_no: int
    lines: tuple[tuple[int, int], ...]
    amount: int
    paid: int
    returned_points: int
    restored_points: int
    expired: int
    written_off: int
    balances: tuple[tuple[int, int], ...]


class Redeemed(Result, frozen=True, kw_only=True):
    """`taken` lists what each lot gave: (lot number, points), soonest expiry first; `parts` what each program gave:
    (program number, points).
    """

    id: str
    event_no: int
    program_no: int
    points: int
    money: int
    taken: tuple[tuple[int, int], ...]
    balance: int
    parts: tuple[tuple[int, int], ...] = ()


class Reversed(Result, frozen=True, kw_only=True):
    """`expired` is the part whose lots had ended meanwhile: given back and expired at once; `written_off` the part that
    was forgiven when its earning was taken back, and that goes to the program instead.
    """

    id: str
    event_no: int
    redemption_id: str
    points: int
    expired: int
    balance: int
    written_off: int = 0


class Awarded(Result, frozen=True, kw_only=True):
    id: str
    event_no: int
    points: int
    balance: int


class RowOutcome(Struct, frozen=True, kw_only=True):
    """What became of one row of a bulk award."""

    awarded: Awarded | None = None
    refused: Rejected | None = None


class AwardedMany(Result, frozen=True, kw_only=True):
    """One outcome per row, in order."""

    rows: tuple[RowOutcome, ...]


class Transferred(Result, frozen=True, kw_only=True):
    """`balance` is the sender's after it; what the recipient has is not the sender's to know."""

    id: str
    event_no: int
    program_no: int
    points: int
    balance: int


class Merged(Result, frozen=True, kw_only=True):
    """`moved` tells (program number, category, points), below zero where the victim owed."""

    id: str
    event_no: int
    survivor_id: str
    moved: tuple[tuple[int, str, int], ...]


class Adjusted(Result, frozen=True, kw_only=True):
    """An adjustment that was booked, or that waits for a second person until `expires_at`, or was rejected."""

    id: str
    status: Literal["booked", "pending", "rejected"]
    program_no: int
    points: int
    balance: int
    event_no: int = 0
    expires_at: datetime | None = None


class Referred(Result, frozen=True, kw_only=True):
    """Event numbers are 0 for a side that gets nothing."""

    id: str
    program_no: int
    referrer_points: int
    referred_points: int
    referrer_event: int
    referred_event: int


class ReferralReturned(Result, frozen=True, kw_only=True):
    """`returned_points` went back to the program, `written_off` is what was no longer there, of both sides together."""

    id: str
    referral_id: str
    returned_points: int
    written_off: int
    events: tuple[int, ...]


class RewardClaimed(Result, frozen=True, kw_only=True):
    """`balance` are the member's regular points after it; `code` the one that was handed out, "" for other kinds."""

    id: str
    event_no: int
    reward_id: str
    list_id: str
    program_no: int
    status: Status
    points: int
    balance: int
    claimed_at: datetime
    code: str = ""


class ClaimMoved(Result, frozen=True, kw_only=True):
    """`points` were given back; of them `expired` had ended meanwhile and expired at once, and `written_off` went to
    the program. `balance` are the member's regular points after it.
    """

    id: str
    event_no: int
    status: Status
    program_no: int
    points: int
    expired: int
    written_off: int
    balance: int


class Rotated(Result, frozen=True, kw_only=True):
    """An endpoint's newest secret by its number; the one before is good until `old_until`."""

    id: str
    generation: int
    old_until: datetime


class Replayed(Result, frozen=True, kw_only=True):
    """What was recorded after an event number will be sent again."""

    id: str
    after: int


class Expired(Result, frozen=True, kw_only=True):
    """Lots and points that were posted as expired, and how many lots as released; `more` where that is as many as were
    asked for at most, so that there may be others.
    """

    lots: int
    points: int
    released: int = 0
    more: bool = False


class Conversion(Struct, frozen=True, kw_only=True):
    """One event by which waiting points of a program became regular."""

    event_no: int
    program_no: int
    category: str
    points: int


class Unlocked(Result, frozen=True, kw_only=True):
    """Waiting points that are regular now, one conversion per program and category."""

    id: str
    points: int
    conversions: tuple[Conversion, ...]


class Redated(Result, frozen=True, kw_only=True):
    """Lots that end at another time now: (lot number, points left in it, its new exclusive end)."""

    id: str
    event_no: int
    points: int
    lots: tuple[tuple[int, int, datetime | None], ...]


class Imported(Result, frozen=True, kw_only=True):
    """Points that were brought along. `expired` is what of them had ended already, `lot` the lot they came in (0 where
    points were taken).
    """

    id: str
    event_no: int
    points: int
    expired: int
    lot: int
    balance: int


class CodeBatchMade(Result, frozen=True, kw_only=True):
    """A batch of codes that was begun or asked for more; the codes follow."""

    id: str
    wanted: int
    made: int


class CodesAdded(Result, frozen=True, kw_only=True):
    """`taken` are the places, in what was sent, of codes that there were already; `here` those in the same batch."""

    id: str
    added: int
    taken: tuple[int, ...]
    here: tuple[int, ...]
    made: int
    wanted: int


class CodesSwitched(Result, frozen=True, kw_only=True):
    """What is in force, or no longer."""

    id: str
    active: bool


class CodeLinked(Result, frozen=True, kw_only=True):
    """A code that is one member's."""

    id: str
    code: str
    member_no: int
    linked_at: datetime


class Issued(Result, frozen=True, kw_only=True):
    """A promotion that was given to a member, and what it ends at (None: with the promotion)."""

    id: str
    member_no: int
    issued_at: datetime
    ends_at: datetime | None
    activation: bool


class IssueOutcome(Struct, frozen=True, kw_only=True):
    """What became of one row."""

    issued: Issued | None = None
    refused: Rejected | None = None


class IssuedMany(Result, frozen=True, kw_only=True):
    """One outcome a row, in their order."""

    rows: tuple[IssueOutcome, ...]


class IssueChanged(Result, frozen=True, kw_only=True):
    """An issue after something was done to it."""

    id: str
    ends_at: datetime | None


AnyResult = (
    Opened
    | Changed
    | Registered
    | Posted
    | Previewed
    | Purchased
    | Returned
    | Redeemed
    | Reversed
    | Awarded
    | AwardedMany
    | Transferred
    | Merged
    | Adjusted
    | Referred
    | ReferralReturned
    | RewardClaimed
    | ClaimMoved
    | Rotated
    | Replayed
    | Expired
    | TiersChanged
    | TiersReviewed
    | SegmentMade
    | MembersListed
    | PromotionMade
    | Evaluated
    | CartCommitted
    | CartReturned
    | ReservationCancelled
    | CodeBatchMade
    | CodesAdded
    | CodesSwitched
    | CodeLinked
    | Issued
    | IssuedMany
    | IssueChanged
    | Unlocked
    | Redated
    | Imported
)
