"""Messages: what a webhook endpoint is told about an event, and under which type.

A type is dotted, `points.redeemed`; a filter is a type, or `points.*` for all of a kind, or `*` for everything.
"""

from __future__ import annotations

from collections.abc import Iterable

from guerdon.core.events import Name

TYPES: dict[str, str] = {
    Name.CUSTOMER_REGISTRATION: "member.registered",
    Name.CUSTOMER_MERGE: "member.merged",
    Name.TRANSACTION_ADD: "purchase.recorded",
    Name.TRANSACTION_RETURN: "purchase.returned",
    Name.POINTS_REDEMPTION: "points.redeemed",
    Name.POINTS_REDEMPTION_REVERSAL: "points.redemption_reversed",
    Name.POINTS_EXPIRY: "points.expired",
    Name.PROMISED_POINTS_CONVERSION: "points.released",
    Name.TRIGGER_POINTS_CONVERSION: "points.unlocked",
    Name.POINTS_EXPIRING: "points.expiring",
    Name.POINTS_EXPIRY_CHANGE: "points.expiry_changed",
    Name.POINTS_IMPORT: "points.imported",
    Name.POINTS_TRANSFER: "points.transferred",
    Name.GOODWILL_AWARD: "points.awarded",
    Name.BULK_ALLOCATE_POINTS: "points.allocated",
    Name.MANUAL_ADJUSTMENT: "points.adjusted",
    Name.ADJUSTMENT_REQUEST: "adjustment.requested",
    Name.ADJUSTMENT_REJECTION: "adjustment.rejected",
    Name.POINTS_LEDGER_BULK_JOB: "points.ledger_opened",
    Name.LEDGER_TRANSACTION: "points.posted",
    Name.REFERRAL_AWARD: "referral.awarded",
    Name.REFERRAL_RETURN: "referral.returned",
    Name.PROMOTION_USE: "promotion.used",
    Name.PROMOTION_RETURN: "promotion.returned",
    Name.PROMOTION_VERSION: "promotion.changed",
    Name.PROMOTION_ISSUE: "promotion.issued",
    Name.PROMOTION_ISSUE_ACTIVATION: "promotion.issue_activated",
    Name.PROMOTION_ISSUE_REVOCATION: "promotion.issue_revoked",
    Name.CODE_LINK: "code.linked",
    Name.CODE_SWITCH: "code.switched",
    Name.REWARD_CLAIM: "reward.claimed",
    Name.REWARD_CLAIM_REVERSAL: "reward.claim_reversed",
    Name.REWARD_FULFILMENT: "reward.fulfilled",
    Name.TIER_CHANGE: "tier.changed",
    Name.TIER_ABOUT_TO_FALL: "tier.about_to_fall",
    Name.WEBHOOK_FAILING: "webhook.failing",
    Name.WEBHOOK_PAUSED: "webhook.paused",
    Name.REWARD_STOCK_LOW: "reward.stock_low",
    Name.REWARD_CODES_LOW: "reward.codes_low",
    Name.PROMOTION_BUDGET_LOW: "promotion.budget_low",
    Name.POINTS_POOL_WATCH: "points.pool_watched",
    Name.POINTS_POOL_LOW: "points.pool_low",
}
"""Event names to message types; a test holds that every event has one."""


def known_filter(text: str) -> bool:
    """Whether a filter can match anything."""
    return any(matches(text, type_) for type_ in TYPES.values())


def matches(filter_: str, type_: str) -> bool:
    return filter_ in ("*", type_, f"{type_.partition('.')[0]}.*")


def names(filters: Iterable[str]) -> list[str]:
    """The names of the events that filters let through, all of them where there is no filter."""
    wanted = tuple(filters) or ("*",)
    return [str(name) for name, type_ in TYPES.items() if any(matches(one, type_) for one in wanted)]
