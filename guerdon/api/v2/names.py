"""Their names and ours: the one table of the adapter, shown in `docs/reference/points-ledger-v2.md`."""

from __future__ import annotations

from guerdon.core.events import Name

EVENTS = {
    "CustomerRegistration": "CustomerRegistration",
    "PointsLedgerBulkJob": "PointsLedgerBulkJob",
    "TransactionAdd": "TransactionAdd",
    "TransactionReturn": "ReturnBill",
    "PointsRedemption": "PointsRedemption",
    "PointsRedemptionReversal": "PointsRedemptionReversal",
    "PointsExpiry": "PointsExpiry",
    "PointsTransfer": "PointsTransfer",
    "PromisedPointsConversion": "DelayedAccrual",
    "TriggerPointsConversion": "DelayedAccrual",
    "CustomerMerge": "CustomerMerge",
    "PromotionUse": "PromotionUse",
    "PromotionReturn": "PromotionReturn",
    "PromotionVersion": "PromotionVersion",
    "PromotionIssue": "PromotionIssue",
    "PromotionIssueActivation": "PromotionIssueActivation",
    "PromotionIssueRevocation": "PromotionIssueRevocation",
    "CodeLink": "CodeLink",
    "CodeSwitch": "CodeSwitch",
    "ReferralAward": "ReferralAward",
    "ReferralReturn": "ReferralReturn",
    "GoodwillAward": "AllocateGoodwillPoints",
    "BulkAllocatePoints": "BulkAllocatePoints",
    "PointsExpiryChange": "PointsExpiryChange",
    "PointsImport": "CustomerPromotionImport",
    "ManualAdjustment": "ManualPointsAdjustment",
    "AdjustmentRequest": "AdjustmentRequest",
    "AdjustmentRejection": "AdjustmentRejection",
    "RewardClaim": "ConvertPointsToReward",
    "RewardClaimReversal": "PointsRedemptionReversal",
    "RewardFulfilment": "RewardFulfilment",
    "LedgerTransaction": "LedgerTransaction",
    "WebhookFailing": "WebhookFailing",
    "PointsExpiring": "PointsExpiring",
    "TierChange": "TierChange",
    "TierAboutToFall": "TierAboutToFall",
    "WebhookPaused": "WebhookPaused",
    "RewardStockLow": "RewardStockLow",
    "RewardCodesLow": "RewardCodesLow",
    "PromotionBudgetLow": "PromotionBudgetLow",
    "PointsPoolWatch": "PointsPoolWatch",
    "PointsPoolLow": "PointsPoolLow",
}
"""Our event names to theirs. Where theirs has no documented name, ours stands."""

ALIASES = {"NewBill": "TransactionAdd", "GroupTransactionAdd": "TransactionAdd", "GroupReturnTransaction": "ReturnBill"}
"""Other names of theirs that are understood where an event is asked for."""

CATEGORIES = {
    "regular": "Main",
    "promised": "DelayedAccrualPointCategory",
    "trigger_based": "ExternalTriggerBasedPointCategory",
}
"""Our categories to those in their answers."""

CATEGORY_FILTERS = {"REGULAR": "regular", "PROMISED": "promised", "TRIGGER_BASED": "trigger_based"}
"""Their `pointCategoryType` to our `category`."""

ENTRY_TYPES = {"CREDIT": "credit", "DEBIT": "debit", "OPENING_BALANCE": "opening_balance"}
"""Their `ledgerEntryType` to our `entry_type`, and back."""

IDENTIFIERS = {
    "id": "number",
    "mobile": "mobile",
    "email": "email",
    "externalId": "external_id",
    "cardnumber": "card",
    "cardExternalId": "card",
}
"""Their `identifierName` to our member selectors; their `userId` is our member's number."""

SOURCES = (
    "INSTORE", "MARTJACK", "WECHAT", "FACEBOOK", "WEB_ENGAGE", "TMALL", "TAOBAO", "JD", "ECOMMERCE", "WEBSITE", "LINE",
    "ALL",
)  # fmt: skip
"""Where they look an identifier up. Ours are unique in the organisation, so it is checked and changes nothing."""

CODES = {
    11001: (400, "This combination of parameters is not supported"),
    11003: (404, "No ledger entries for these parameters"),
    11004: (404, "No such till"),
    11005: (404, "No such program"),
    11006: (400, "At most 10 events a page"),
    11007: (400, "ledgerEntryType is CREDIT, DEBIT or OPENING_BALANCE"),
    11008: (400, "pointCategoryType is REGULAR, PROMISED or TRIGGER_BASED"),
    11009: (400, "startDate is after endDate"),
    11010: (400, "The range of dates is too wide"),
    11011: (400, "A date looks like 2026-11-21T10:00:00"),
    11012: (404, "No such customer"),
    11013: (400, "The identifier is empty"),
    11014: (400, "No such event name, or more than 10 events"),
    11016: (404, "No such event"),
    11017: (400, "An event id is a whole number"),
    11025: (400, "A till id is a whole number"),
    11026: (404, "No store with this storeId or storeCode"),
    11027: (404, "Some of tillIds are no tills"),
    11028: (400, "Give one of tillId, tillIds, storeId and storeCode"),
    8013: (400, "No such kind of identifier, or of source"),
    9005: (400, "No such alternate currency"),
}
"""Their error codes that can come up here, with the status we answer them with."""


def theirs(name: str) -> str:
    """Their name of one of our events."""
    return EVENTS.get(name, name)


def ours(name: str) -> tuple[Name, ...]:
    """Our events that go by one of their names; none where there is no such name."""
    name = ALIASES.get(name, name)
    return tuple(one for one in Name if theirs(one.value) == name)
