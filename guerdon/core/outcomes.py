"""What a decision answers: `Accepted` with a result, or `Rejected` with a stable code.

A refusal is a value, never an exception. Codes state the rule that was broken; `api/problem.py` maps them to a
status and nothing else does.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import Struct


class Rejection(StrEnum):
    """Every refusal, in the order in which checks are made: the request, what it names, its time, its figures, its
    limits.
    """

    # the request as such
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    REFERENCE_TAKEN = "reference_taken"
    NUMBER_TAKEN = "number_taken"
    CODE_TAKEN = "code_taken"
    NAME_TAKEN = "name_taken"
    IDENTIFIER_TAKEN = "identifier_taken"
    INDICATOR_TAKEN = "indicator_taken"
    INVALID_VALUE = "invalid_value"
    ADDRESS_NOT_PUBLIC = "address_not_public"
    WINDOW_NEVER_OPEN = "window_never_open"
    WINDOWS_OVERLAP = "windows_overlap"
    IDENTIFIER_MISSING = "identifier_missing"
    PURCHASE_WITHOUT_LINES = "purchase_without_lines"
    RETURN_WITHOUT_LINES = "return_without_lines"
    AMOUNT_MISMATCH = "amount_mismatch"
    WINDOW_OF_ZERO = "window_of_zero"
    THRESHOLDS_OVERLAP = "thresholds_overlap"
    THRESHOLDS_LEAVE_A_GAP = "thresholds_leave_a_gap"
    STARTS_IN_THE_PAST = "starts_in_the_past"
    UNKNOWN_ATTRIBUTE = "unknown_attribute"
    SEGMENTS_IN_A_CIRCLE = "segments_in_a_circle"
    # what it names
    LEDGER_NOT_FOUND = "ledger_not_found"
    ACCOUNT_NOT_FOUND = "account_not_found"
    TRANSFER_NOT_FOUND = "transfer_not_found"
    ASSET_NOT_FOUND = "asset_not_found"
    PROGRAM_NOT_FOUND = "program_not_found"
    STORE_NOT_FOUND = "store_not_found"
    TILL_NOT_FOUND = "till_not_found"
    SOURCE_NOT_FOUND = "source_not_found"
    MEMBER_NOT_FOUND = "member_not_found"
    PURCHASE_NOT_FOUND = "purchase_not_found"
    LINE_NOT_FOUND = "line_not_found"
    REDEMPTION_NOT_FOUND = "redemption_not_found"
    LOT_NOT_FOUND = "lot_not_found"
    REFERRAL_NOT_FOUND = "referral_not_found"
    PROMOTION_NOT_FOUND = "promotion_not_found"
    COMMIT_NOT_FOUND = "commit_not_found"
    RESERVATION_NOT_FOUND = "reservation_not_found"
    CODE_BATCH_NOT_FOUND = "code_batch_not_found"
    CODE_NOT_FOUND = "code_not_found"
    ISSUE_NOT_FOUND = "issue_not_found"
    ADJUSTMENT_NOT_FOUND = "adjustment_not_found"
    REWARD_LIST_NOT_FOUND = "reward_list_not_found"
    REWARD_NOT_FOUND = "reward_not_found"
    CLAIM_NOT_FOUND = "claim_not_found"
    TIERS_NOT_FOUND = "tiers_not_found"
    SEGMENT_NOT_FOUND = "segment_not_found"
    KEY_NOT_FOUND = "key_not_found"
    WEBHOOK_NOT_FOUND = "webhook_not_found"
    OBJECT_NOT_FOUND = "object_not_found"
    # the state those are in
    MEMBER_BLOCKED = "member_blocked"
    MEMBER_MERGED = "member_merged"
    MEMBER_IN_USE = "member_in_use"
    MEMBER_HAS_HOLDS = "member_has_holds"
    NOT_ENROLLED = "not_enrolled"
    WALLET_NOT_OF_MEMBER = "wallet_not_of_member"
    CATEGORY_NOT_SPENDABLE = "category_not_spendable"
    NOT_INFLIGHT = "not_inflight"
    ALREADY_SETTLED = "already_settled"
    ALREADY_RELEASED = "already_released"
    ALREADY_REFUNDED = "already_refunded"
    NOT_REFUNDABLE = "not_refundable"
    ALREADY_RETURNED = "already_returned"
    ALREADY_REVERSED = "already_reversed"
    ALREADY_UNLOCKED = "already_unlocked"
    NOTHING_PROMISED = "nothing_promised"
    ALREADY_REFERRED = "already_referred"
    REFERRAL_ALREADY_RETURNED = "referral_already_returned"
    ALREADY_DECIDED = "already_decided"
    ADJUSTMENT_EXPIRED = "adjustment_expired"
    SAME_PERSON = "same_person"
    REFERRAL_POINTS_MISSING = "referral_points_missing"
    SEGMENT_IS_NO_LIST = "segment_is_no_list"
    LIST_NOT_ACTIVE = "list_not_active"
    NOT_IN_AUDIENCE = "not_in_audience"
    REWARD_NOT_ACTIVE = "reward_not_active"
    FULFILMENT_NOT_FORWARD = "fulfilment_not_forward"
    PROMOTION_TAKES_NO_CODES = "promotion_takes_no_codes"
    CODE_BATCH_NOT_GENERATED = "code_batch_not_generated"
    CODE_BATCH_MOVED_ON = "code_batch_moved_on"
    CODE_LINKED_TO_ANOTHER = "code_linked_to_another"
    CODE_DEACTIVATED = "code_deactivated"
    CODE_EXPIRED = "code_expired"
    CODE_ALREADY_USED = "code_already_used"
    CODE_OF_ANOTHER_MODE = "code_of_another_mode"
    PROMOTION_NOT_ISSUED = "promotion_not_issued"
    ISSUE_LIMIT_REACHED = "issue_limit_reached"
    ISSUE_REVOKED = "issue_revoked"
    ISSUE_EXPIRED = "issue_expired"
    PROMOTION_ENDED = "promotion_ended"
    PROMOTION_NOT_ACTIVE = "promotion_not_active"
    CODE_NOT_APPLIED = "code_not_applied"
    EVALUATION_STALE = "evaluation_stale"
    ASSET_IN_USE = "asset_in_use"
    # time
    EVENT_TIME_OUT_OF_RANGE = "event_time_out_of_range"
    EXPIRY_IN_THE_PAST = "expiry_in_the_past"
    POLICY_IN_THE_PAST = "policy_in_the_past"
    # figures
    ASSET_MISMATCH = "asset_mismatch"
    PRECISION_MISMATCH = "precision_mismatch"
    SAME_ACCOUNT = "same_account"
    SAME_MEMBER = "same_member"
    AMOUNT_NOT_POSITIVE = "amount_not_positive"
    AMOUNT_OUT_OF_RANGE = "amount_out_of_range"
    QUANTITY_NOT_POSITIVE = "quantity_not_positive"
    INVALID_DISTRIBUTION = "invalid_distribution"
    SETTLE_EXCEEDS_HOLD = "settle_exceeds_hold"
    REVERSAL_EXCEEDS_REDEMPTION = "reversal_exceeds_redemption"
    RETURN_EXCEEDS_PURCHASE = "return_exceeds_purchase"
    REDEMPTION_RATE_MISSING = "redemption_rate_missing"
    # limits
    INSUFFICIENT_FUNDS = "insufficient_funds"
    OVERDRAFT_LIMIT_EXCEEDED = "overdraft_limit_exceeded"
    REDEMPTION_BELOW_MINIMUM = "redemption_below_minimum"
    REDEMPTION_ABOVE_MAXIMUM = "redemption_above_maximum"
    REDEMPTION_NOT_A_MULTIPLE = "redemption_not_a_multiple"
    LIFETIME_POINTS_TOO_LOW = "lifetime_points_too_low"
    TRANSFER_BELOW_MINIMUM = "transfer_below_minimum"
    TRANSFER_LIMIT_EXCEEDED = "transfer_limit_exceeded"
    OUT_OF_STOCK = "out_of_stock"
    LIMIT_REACHED = "limit_reached"
    INSUFFICIENT_POINTS = "insufficient_points"


class Rejected(Struct, frozen=True, tag="rejected"):
    """A refusal. `field` is the path in the request it is about ("" when it is about none), `detail` its figures by
    name.
    """

    code: Rejection
    field: str = ""
    detail: dict[str, Any] = {}
    replayed: bool = False


class Accepted(Struct, frozen=True, tag="accepted", gc=False):
    """An accepted command: `result` is one of `results.py`; `replayed` when it was stored by an earlier, equal
    request.
    """

    result: Any
    replayed: bool = False


Outcome = Accepted | Rejected
