"""Events: one atomic business fact each. Everything an event moved stands or falls with it.

The event's number (`event_log_id`) is its sequence number; its transfers are the `transfers` rows that follow it.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct


class Name(StrEnum):
    """Event names as the points ledger shows them."""

    CUSTOMER_REGISTRATION = "CustomerRegistration"
    POINTS_LEDGER_BULK_JOB = "PointsLedgerBulkJob"
    TRANSACTION_ADD = "TransactionAdd"
    TRANSACTION_RETURN = "TransactionReturn"
    POINTS_REDEMPTION = "PointsRedemption"
    POINTS_REDEMPTION_REVERSAL = "PointsRedemptionReversal"
    POINTS_EXPIRY = "PointsExpiry"
    PROMISED_POINTS_CONVERSION = "PromisedPointsConversion"
    TRIGGER_POINTS_CONVERSION = "TriggerPointsConversion"
    POINTS_EXPIRY_CHANGE = "PointsExpiryChange"
    POINTS_IMPORT = "PointsImport"
    POINTS_TRANSFER = "PointsTransfer"
    CUSTOMER_MERGE = "CustomerMerge"
    REFERRAL_AWARD = "ReferralAward"
    REFERRAL_RETURN = "ReferralReturn"
    GOODWILL_AWARD = "GoodwillAward"
    BULK_ALLOCATE_POINTS = "BulkAllocatePoints"
    MANUAL_ADJUSTMENT = "ManualAdjustment"
    ADJUSTMENT_REQUEST = "AdjustmentRequest"
    ADJUSTMENT_REJECTION = "AdjustmentRejection"
    REWARD_CLAIM = "RewardClaim"
    REWARD_CLAIM_REVERSAL = "RewardClaimReversal"
    REWARD_FULFILMENT = "RewardFulfilment"
    PROMOTION_USE = "PromotionUse"
    PROMOTION_RETURN = "PromotionReturn"
    PROMOTION_VERSION = "PromotionVersion"
    PROMOTION_ISSUE = "PromotionIssue"
    PROMOTION_ISSUE_ACTIVATION = "PromotionIssueActivation"
    PROMOTION_ISSUE_REVOCATION = "PromotionIssueRevocation"
    CODE_LINK = "CodeLink"
    CODE_SWITCH = "CodeSwitch"
    TIER_CHANGE = "TierChange"
    TIER_ABOUT_TO_FALL = "TierAboutToFall"
    LEDGER_TRANSACTION = "LedgerTransaction"
    WEBHOOK_FAILING = "WebhookFailing"
    POINTS_EXPIRING = "PointsExpiring"
    WEBHOOK_PAUSED = "WebhookPaused"
    REWARD_STOCK_LOW = "RewardStockLow"
    REWARD_CODES_LOW = "RewardCodesLow"
    PROMOTION_BUDGET_LOW = "PromotionBudgetLow"
    POINTS_POOL_WATCH = "PointsPoolWatch"
    POINTS_POOL_LOW = "PointsPoolLow"


class Event(Struct, frozen=True, gc=False):
    """`body` is JSON text: what the event's own kind needs to be explained (purchase, rate, rules, opening lines).

    `lot_moves` is JSON text: all that the event did to lots, in order (`lots.decode_moves`); "" where it touched none.

    `points` is credits less debits of the member's points accounts in this event, in minor units of the event's
    program asset. `mirrors` is the event whose transfers this one shows, where it has none of its own because another
    member is on their other side. `program_no` is the till's program (0 where none); `entries` says in bits what
    kinds of lines of which programs the event may hold, so that filtered pages need not open events that cannot match:
    see `entry_bit` and `program_bit`.
    """

    seq: int
    id: str
    name: str
    member_no: int
    event_at: datetime
    recorded_at: datetime
    transfers: int
    points: int = 0
    mirrors: int = 0
    source: str = ""
    store_no: int = 0
    till_no: int = 0
    program_no: int = 0
    purchase_no: int = 0
    reference: str = ""
    actor: str = ""
    reason: str = ""
    entries: int = 0
    body: str = ""
    lot_moves: str = ""


_TYPES = {"opening_balance": 0, "credit": 1, "debit": 2}
_CATEGORIES = {"regular": 0, "promised": 1, "trigger_based": 2}


_ENTRY_BITS = {(t, c): 1 << (_TYPES[t] * 3 + _CATEGORIES[c]) for t in _TYPES for c in _CATEGORIES}


def entry_bit(entry_type: str, category: str) -> int:
    """One of nine bits: entry type x points category."""
    return _ENTRY_BITS[entry_type, category]


ENTRY_BITS = 9
_PROGRAM_BITS = 22

ANY_PROGRAM = ((1 << _PROGRAM_BITS) - 1) << ENTRY_BITS
"""For a line whose program is not told: the event is opened whatever program is asked for."""


def program_bit(program_no: int) -> int:
    """One of the 22 bits after the entries'. Programs may share one: it says where a program's lines cannot be."""
    return 1 << (ENTRY_BITS + program_no % _PROGRAM_BITS)
