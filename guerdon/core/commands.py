"""Every change Guerdon knows, as a frozen record, and what each one touches.

Read me first. A command says what is asked for, never how; `keys(command)` in `keys.py` says which rows the writer
must load before `decide` may look at it; `weight(command)` bounds a batch by the rows it will write.

Amounts are integers in minor units of the asset named, instants are timezone-aware UTC datetimes, ids are plain uuid
text. A `Selector` names a thing the way the caller knows it: `("id", "0193...")`, `("external_id", "C-17")`,
`("number", "B-1001")`.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from guerdon.core.catalogue import ListTerms, RewardTerms
from guerdon.core.programs import Policies

if TYPE_CHECKING:
    from guerdon.core.promotions.codes import Form
    from guerdon.core.promotions.terms import Mode, Promotion
    from guerdon.core.segments import Condition as SegmentCondition
    from guerdon.core.tiers import TierTerms

Selector = tuple[str, str]
Lane = Literal["interactive", "bulk"]


class Command(Struct, frozen=True, kw_only=True):
    """What every command carries: its id (see `ids.py`), when it was received, who asked, and the idempotency key
    if any.
    """

    id: str
    at: datetime
    actor: str = ""
    key: str = ""
    fingerprint: bytes = b""


# -- the raw ledger -------------------------------------------------------------------------------------------------


class OpenLedger(Command, frozen=True, kw_only=True):
    """Open a named group of accounts. `meta` is JSON text."""

    name: str
    meta: str = ""


class RenameLedger(Command, frozen=True, kw_only=True):
    ledger: str
    name: str


class OpenAccount(Command, frozen=True, kw_only=True):
    """Open an account of one asset in a ledger, for a member (by id) or none; with an `indicator` in the general
    ledger.
    """

    ledger: str
    asset: str
    member: str = ""
    indicator: str = ""
    options: str = ""
    meta: str = ""


class AssignAccount(Command, frozen=True, kw_only=True):
    """Make a member the holder of an account."""

    account: str
    member: str


class Leg(Struct, frozen=True):
    """One account of a split: `share` is `percent` (`value` in parts per 10^12, so 10 % = 10^11), `fixed` (minor units)
    or `left` (what remains; `value` unused)."""

    account: str
    share: Literal["percent", "fixed", "left"]
    value: int = 0


class Posting(Struct, frozen=True, kw_only=True):
    """One raw transfer as asked for. Accounts are ids or `@Name`; exactly one side may be split into legs.

    `queued` is Blnk's two-step answer: a refusal for lack of funds is then a stored, rejected transfer, and the
    request's own id and reference stand beside the outcome's. `overdraft_limit` is in minor units, None = none given.
    """

    asset: str
    amount: int
    precision: int
    reference: str
    source: str = ""
    destination: str = ""
    sources: tuple[Leg, ...] = ()
    destinations: tuple[Leg, ...] = ()
    description: str = ""
    allow_overdraft: bool = False
    overdraft_limit: int | None = None
    inflight: bool = False
    queued: bool = False
    expires_at: datetime | None = None
    commits_at: datetime | None = None
    scheduled_for: datetime | None = None
    effective_at: datetime | None = None
    meta: str = ""


class Post(Command, frozen=True, kw_only=True):
    """Post raw transfers. With `atomic` they stand or fall together; without, each is decided on its own in order.

    `batch` is true for a bulk request: the command's id is then the batch id and the parent of every transfer.
    """

    postings: tuple[Posting, ...]
    atomic: bool = False
    batch: bool = False


class Settle(Command, frozen=True, kw_only=True):
    """Make a held amount final, in whole (`amount` None) or in part. `target` is a transfer, split parent, request
    or batch id.
    """

    target: str
    amount: int | None = None


class Release(Command, frozen=True, kw_only=True):
    """Let go what is left of a hold. With `due`, only if the hold has expired by then."""

    target: str
    due: bool = False


class Refund(Command, frozen=True, kw_only=True):
    """Reverse an applied transfer, or hold again in reverse what was released; once. Overdraft is allowed, floors
    hold.
    """

    target: str
    queued: bool = False
    description: str = ""
    meta: str = ""


class Preview(Command, frozen=True, kw_only=True):
    """Say what commands of the raw ledger would do, and do nothing. With `cumulative` each sees what those before it
    would have done.
    """

    of: tuple[Post | Settle | Release | Refund, ...]
    cumulative: bool = False


class RunScheduled(Command, frozen=True, kw_only=True):
    """Decide a scheduled posting, or settle a hold that asked to be settled, now that it is due. Running it twice
    does nothing.
    """

    target: str


class Annotate(Command, frozen=True, kw_only=True):
    """Merge `meta` (JSON object text) into an object's metadata, top level keys only. `kind` is its id prefix
    (`txn`, `bln`...).
    """

    kind: str
    object: str
    meta: str


class IssueKey(Command, frozen=True, kw_only=True):
    """Store a new API key's hash. The secret itself never reaches the core."""

    name: str
    owner: str
    scopes: tuple[str, ...]
    hash: bytes
    expires_at: datetime | None = None


class AddWebhook(Command, frozen=True, kw_only=True):
    """Send an organisation's events to a URL; no filters = all of them. With `private` it may lead anywhere."""

    url: str
    filters: tuple[str, ...] = ()
    description: str = ""
    private: bool = False


class ChangeWebhook(Command, frozen=True, kw_only=True):
    """Change what is not None."""

    target: str
    url: str | None = None
    filters: tuple[str, ...] | None = None
    description: str | None = None
    status: Literal["active", "paused"] | None = None
    private: bool = False


class RotateWebhookSecret(Command, frozen=True, kw_only=True):
    """A new secret; the one before signs as well for `overlap`."""

    target: str
    overlap: timedelta


class ReplayWebhook(Command, frozen=True, kw_only=True):
    """Send again all that was recorded after the event with a number."""

    target: str
    after: int


class PauseWebhook(Command, frozen=True, kw_only=True):
    """Stop sending to an endpoint that is dead, and say so in an event."""

    target: str
    reason: str


class NoteFailingWebhook(Command, frozen=True, kw_only=True):
    """Say in an event that nothing has got through to an endpoint `since` a moment."""

    target: str
    since: datetime
    reason: str


class RemoveWebhook(Command, frozen=True, kw_only=True):
    target: str


class RevokeKey(Command, frozen=True, kw_only=True):
    target: str
    owner: str = ""


# -- set-up ---------------------------------------------------------------------------------------------------------


class CreateAsset(Command, frozen=True, kw_only=True):
    code: str
    scale: int


class CreateProgram(Command, frozen=True, kw_only=True):
    code: str
    name: str
    asset: str
    policies: Policies


class ChangeProgram(Command, frozen=True, kw_only=True):
    """Give a program a new version of its policies; entries and lots keep the version they were made under."""

    program: Selector
    policies: Policies
    name: str = ""


class ChangeTiers(Command, frozen=True, kw_only=True):
    """Give a program tiers, or the next version of them, from a moment on (None: now)."""

    program: Selector
    terms: TierTerms
    starts_at: datetime | None = None


class PreviewTiers(Command, frozen=True, kw_only=True):
    """Say whether a change of a program's tiers would be refused, and do nothing."""

    of: ChangeTiers


class CreateSegment(Command, frozen=True, kw_only=True):
    """A list of members, or with a condition those of whom it holds."""

    code: str
    name: str
    condition: SegmentCondition | None = None


class ChangeSegment(Command, frozen=True, kw_only=True):
    """Give a segment (by code) its next version; what is empty or None stays."""

    segment: str
    name: str = ""
    condition: SegmentCondition | None = None


class ListMembers(Command, frozen=True, kw_only=True):
    """Put members on a list (`present`), or take them off."""

    segment: str
    members: tuple[Selector, ...]
    present: bool = True


class ReviewTiers(Command, frozen=True, kw_only=True):
    """Write down which tiers of members (by number) are others than they were told, and give notice of those that are
    about to fall. With `walked` all members up to that number have been looked at since the `version` of a program's
    tiers began.
    """

    members: tuple[int, ...]
    program_no: int = 0
    version: int = 0
    walked: int = 0


class PreviewChange(Command, frozen=True, kw_only=True):
    """Say whether a change of a program would be refused, and do nothing."""

    of: ChangeProgram


class FollowPolicy(Command, frozen=True, kw_only=True):
    """Let the points of these accounts (numbers) follow the version of their program that is to count for what was
    there. Changes when it is booked, never when anything ends. `members` are whose accounts these are, and `lots` how
    many lots that is about, where the caller knows.
    """

    accounts: tuple[int, ...]
    members: tuple[int, ...] = ()
    lots: int = 0


class GiveNotice(Command, frozen=True, kw_only=True):
    """Tell of points that are about to end: accounts (numbers), each with the instant at which some of its points do.
    `members` are whose accounts these are, where the caller knows.
    """

    ends: tuple[tuple[int, datetime], ...]
    members: tuple[int, ...] = ()


class FinishFollowing(Command, frozen=True, kw_only=True):
    """Note that all points of a program follow a version. Whoever asks has looked."""

    program_no: int
    version: int


class CreateStore(Command, frozen=True, kw_only=True):
    code: str
    name: str
    meta: str = ""


class CreateTill(Command, frozen=True, kw_only=True):
    """A till belongs to a store and is mapped to a program."""

    code: str
    store: Selector
    program: Selector
    name: str = ""


class RegisterSource(Command, frozen=True, kw_only=True):
    code: str


# -- promotions -----------------------------------------------------------------------------------------------------


class CreatePromotion(Command, frozen=True, kw_only=True):
    """A promotion as `promotions.authoring` read it; its id is the command's."""

    terms: Promotion


class ChangePromotion(Command, frozen=True, kw_only=True):
    """Give a promotion (by id) its next version. Kind and status stay."""

    promotion: str
    terms: Promotion


class RunPromotion(Command, frozen=True, kw_only=True):
    """Activate, pause or end a promotion. None leaves a date as it is."""

    promotion: str
    status: Literal["active", "paused", "ended"]
    starts_at: datetime | None = None
    ends_at: datetime | None = None


class SetLane(Command, frozen=True, kw_only=True):
    """Say how the promotions of a lane go together (`promotions.terms.Lane`)."""

    number: int
    mode: Mode
    once: bool = False


class CopyPromotion(Command, frozen=True, kw_only=True):
    """Make a draft of another promotion's terms."""

    promotion: str
    name: str = ""


# -- members --------------------------------------------------------------------------------------------------------


class RegisterMember(Command, frozen=True, kw_only=True):
    """Register a person: `identifiers` are normalised (kind, value) pairs, each unique in the organisation.

    With `enrol` (the /v1 way) three accounts per program are opened and `CustomerRegistration` is booked; without (a
    raw identity) nothing is. `profile` is JSON text and stands apart from the ledger.
    """

    identifiers: tuple[Selector, ...] = ()
    profile: str = ""
    meta: str = ""
    enrol: bool = True
    event_at: datetime | None = None
    source: str = ""
    store: Selector | None = None
    till: Selector | None = None
    imported: bool = False


class ChangeMember(Command, frozen=True, kw_only=True):
    """Replace profile and/or identifiers, or set the status to active or blocked. None leaves as it is."""

    member: Selector
    profile: str | None = None
    identifiers: tuple[Selector, ...] | None = None
    status: Literal["active", "blocked"] | None = None


class RemoveMember(Command, frozen=True, kw_only=True):
    """Delete a raw identity that holds no account."""

    member: Selector


# -- points ---------------------------------------------------------------------------------------------------------


class Where(Struct, frozen=True, kw_only=True):
    """Where and when a fact happened: event time (None = when received), source, store, till."""

    event_at: datetime | None = None
    source: str = ""
    store: Selector | None = None
    till: Selector | None = None
    imported: bool = False


class Line(Struct, frozen=True, kw_only=True):
    """One line of a purchase: `quantity` in thousandths, `amount` as the till has it, in minor units of the
    purchase's currency.
    """

    sku: str
    quantity: int
    amount: int
    unit_price: int | None = None
    categories: tuple[str, ...] = ()
    brand: str = ""
    attributes: dict[str, Any] = {}


class Tender(Struct, frozen=True, kw_only=True):
    kind: str
    amount: int
    identifier: str = ""


class RecordPurchase(Command, frozen=True, kw_only=True):
    """The checkout's one call. `spend` points of `program` are taken at the redemption rate, the rest earns.

    `amount`, where given, must equal the sum of the lines. `wallet` is a money account from which what is left to pay
    moves to `@Revenue<asset>`. The number is a natural reference: same content again replays, other content is refused.

    With `promotions`, `codes` or a `reservation` (id), promotions take off what they give before points do.
    """

    number: str
    currency: str
    lines: tuple[Line, ...]
    member: Selector | None = None
    amount: int | None = None
    program: Selector | None = None
    spend: int = 0
    wallet: str = ""
    tenders: tuple[Tender, ...] = ()
    where: Where = Where()
    meta: str = ""
    register: bool = False
    promotions: bool = False
    codes: tuple[str, ...] = ()
    reservation: str = ""

    @property
    def promoted(self) -> bool:
        """Whether promotions are to be applied. A bill that says nothing of them is taken as the till has it."""
        return self.promotions or bool(self.codes or self.reservation)


class EvaluateCart(Command, frozen=True, kw_only=True):
    """Say what promotions make of a cart. With `reserve_seconds` its uses are kept free for so long; an open
    reservation of the same `cart` ("" = none) is let go first. With `everything`, every promotion gets a verdict.
    """

    currency: str
    lines: tuple[Line, ...]
    member: Selector | None = None
    codes: tuple[str, ...] = ()
    program: Selector | None = None
    tenders: tuple[Tender, ...] = ()
    shipping: int = 0
    where: Where = Where()
    cart: str = ""
    reserve_seconds: int = 0
    everything: bool = False


class CommitCart(Command, frozen=True, kw_only=True):
    """Use what promotions give a cart whose sale is kept elsewhere. `number` is the sale's, natural like a bill's."""

    number: str
    currency: str
    lines: tuple[Line, ...]
    member: Selector | None = None
    codes: tuple[str, ...] = ()
    reservation: str = ""
    program: Selector | None = None
    tenders: tuple[Tender, ...] = ()
    shipping: int = 0
    where: Where = Where()


class ReturnLine(Struct, frozen=True, kw_only=True):
    """So much of a line: by its `line` number, counted from 1, or (0) by `sku`, where the first such line gives first.
    `quantity` in thousandths.
    """

    quantity: int
    line: int = 0
    sku: str = ""


class ReturnCart(Command, frozen=True, kw_only=True):
    """Take a committed cart (by number or id) back, in part or (`lines` None) all that is left of it. `number` is the
    return's own.
    """

    commit: Selector
    number: str
    lines: tuple[ReturnLine, ...] | None = None
    where: Where = Where()
    reason: str = ""


class CancelReservation(Command, frozen=True, kw_only=True):
    """Let go what a reservation holds."""

    reservation: str


class ReturnPurchase(Command, frozen=True, kw_only=True):
    """Take a purchase back, in part or (`lines` None) all that is left of it: what that earned is returned, what was
    spent on it restored. `number` is the return's own.
    """

    purchase: Selector
    number: str
    lines: tuple[ReturnLine, ...] | None = None
    where: Where = Where()
    reason: str = ""
    meta: str = ""


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


class MergeMembers(Command, frozen=True, kw_only=True):
    """Make one member of two: all that the victim has becomes the survivor's, and the victim ends."""

    victim: Selector
    survivor: Selector
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


class Refer(Command, frozen=True, kw_only=True):
    """Give both sides of a referral the points the program promises; once for each member who was referred."""

    referrer: Selector
    referred: Selector
    program: Selector | None = None
    where: Where = Where()


class ReturnReferral(Command, frozen=True, kw_only=True):
    """Take back what a referral gave, on both sides."""

    referral: str
    reason: str = ""


class CreateRewardList(Command, frozen=True, kw_only=True):
    """Make a list of rewards in a program (None: the first)."""

    terms: ListTerms
    program: Selector | None = None


class ChangeRewardList(Command, frozen=True, kw_only=True):
    """Give a list the next version of its terms."""

    list: str
    terms: ListTerms


class CreateReward(Command, frozen=True, kw_only=True):
    """Make a reward in a list. `stock` None is without end."""

    list: str
    terms: RewardTerms
    stock: int | None = None


class ChangeReward(Command, frozen=True, kw_only=True):
    """Give a reward the next version of its terms; with `restock` there are `stock` pieces from now on."""

    reward: str
    terms: RewardTerms
    restock: bool = False
    stock: int | None = None


class ClaimReward(Command, frozen=True, kw_only=True):
    """Take one piece of a reward (by id) for points. A wallet credit goes to the account `wallet`."""

    member: Selector
    reward: str
    wallet: str = ""
    where: Where = Where()


class MoveClaim(Command, frozen=True, kw_only=True):
    """Move the fulfilment of a claim forward."""

    claim: str
    status: Literal["processing", "completed", "denied", "cancelled"]
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


# -- promo codes ----------------------------------------------------------------------------------------------------


class CreateCodeBatch(Command, frozen=True, kw_only=True):
    """Begin a batch of codes for a promotion (by id): `count` generated ones of a form, from at least 32 random bytes,
    or, without a form, one to bring codes into. The codes themselves follow with `AddCodes`.
    """

    promotion: str
    name: str = ""
    partner: str = ""
    channel: str = ""
    form: Form | None = None
    seed: bytes = b""
    count: int = 0


class MoreCodes(Command, frozen=True, kw_only=True):
    """Ask for more codes of a generated batch."""

    batch: str
    count: int


class StopCodes(Command, frozen=True, kw_only=True):
    """Make no more codes of a generated batch than there are."""

    batch: str


class AddCodes(Command, frozen=True, kw_only=True):
    """Store codes of a batch, as they are compared. Generated ones are those from `start` on (`codes.next_codes`);
    None for those that were brought in.
    """

    batch: str
    codes: tuple[str, ...]
    start: int | None = None


class SwitchCodes(Command, frozen=True, kw_only=True):
    """Take a batch out of force, or one `code`, whose batch need not be named; or put it back."""

    active: bool
    batch: str = ""
    code: str = ""
    reason: str = ""


class LinkCode(Command, frozen=True, kw_only=True):
    """Make a code one member's."""

    member: Selector
    code: str
    mode: Literal["DISCOUNT", "PAYMENT_VOUCHER"]


class IssuePromotion(Command, frozen=True, kw_only=True):
    """Give a promotion (by id) of kind `member` to a member; it is good from `starts_at` up to but not at `ends_at`, or
    to the end that the promotion says, whichever comes first. The issue's id is the command's.
    """

    promotion: str
    member: Selector
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    reason: str = ""


class IssuePromotions(Command, frozen=True, kw_only=True):
    """The same for many members, each on its own merits: a row that is refused changes nothing, the others stand."""

    promotion: str
    members: tuple[Selector, ...]
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    reason: str = ""


class ActivateIssue(Command, frozen=True, kw_only=True):
    """Activate an issue (by id) of a member."""

    member: Selector
    issue: str


class RevokeIssue(Command, frozen=True, kw_only=True):
    """Take an issue (by id) back."""

    issue: str
