"""What an evaluation answers: one verdict for every promotion and code that could have applied, and the bill.

The same object goes to the API, the console and member care.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from msgspec import Struct

from guerdon.core.assets import Rounding
from guerdon.core.promotions.conditions import Check, distance
from guerdon.core.promotions.limits import CounterKey, LimitState, Raise


class Reason(StrEnum):
    """Why something did not apply, in the order in which it is looked at."""

    # the code
    CODE_UNKNOWN = "code_unknown"
    CODE_GIVEN_TWICE = "code_given_twice"
    CODE_DEACTIVATED = "code_deactivated"
    CODE_LINKED_TO_ANOTHER = "code_linked_to_another"
    # the promotion
    NOT_ACTIVE = "not_active"
    NOT_STARTED = "not_started"
    ENDED = "ended"
    OUTSIDE_HOURS = "outside_hours"
    STORE_NOT_TAKING_PART = "store_not_taking_part"
    CHANNEL_NOT_TAKING_PART = "channel_not_taking_part"
    # the shopper
    MEMBER_REQUIRED = "member_required"
    NOT_IN_AUDIENCE = "not_in_audience"
    NOT_ISSUED = "not_issued"
    NOT_ACTIVATED = "not_activated"
    ISSUE_NOT_STARTED = "issue_not_started"
    ISSUE_ENDED = "issue_ended"
    # how often
    STORE_REQUIRED = "store_required"
    LIMIT_REACHED = "limit_reached"
    TOO_SOON = "too_soon"
    # the cart
    CONDITION_NOT_MET = "condition_not_met"
    NOTHING_TO_GIVE = "nothing_to_give"
    # the others
    ALREADY_APPLIED = "already_applied"
    OTHER_CAME_FIRST = "other_came_first"
    OTHER_WAS_BETTER = "other_was_better"
    EXCLUSIVE_APPLIED = "exclusive_applied"


class Part(Struct, frozen=True, gc=False):
    """What one promotion takes off one line. `units` are the pieces it was reckoned on, None for the whole line."""

    line: int
    discount: int
    units: int | None = None


class Verdict(Struct, frozen=True, kw_only=True):
    """What became of one promotion, by one code or issue (an id) or by itself.

    `applied`: the figures are in the bill. `parked`: it would have applied and given these figures, had not `winner`
    won (`reason` says how). `not_applied`: `reason` says why, `checks` have every question of its condition with its
    figures, `misses` the fewest that stand in the way, `limit` the one that is used up.

    `discount` is what comes off lines and shipping together, `desired` what the effects asked for before floors, caps
    and limits. `times` is how many uses it is. `method` tells how sets were made: `optimal` is the customer's best,
    `greedy` follows the strategy the promotion asks for.
    """

    promotion: str
    version: int = 0
    name: str = ""
    code: str = ""
    issue: str = ""
    status: Literal["applied", "parked", "not_applied"]
    reason: Reason | None = None
    times: int = 0
    discount: int = 0
    desired: int = 0
    shipping: int = 0
    voucher: int = 0
    points: int = 0
    parts: tuple[Part, ...] = ()
    checks: tuple[Check, ...] = ()
    misses: tuple[Check, ...] = ()
    limit: LimitState | None = None
    winner: str = ""
    method: Literal["", "greedy", "optimal"] = ""
    moment: datetime | None = None
    raises: tuple[Raise, ...] = ()


class Evaluation(Struct, frozen=True, kw_only=True):
    """The answer. `discounts` per line, in line order; `payable` = subtotal - discounts + shipping - shipping discount
    - vouchers, never below zero. `applied` in the order of application, `others` in the order of the promotions.

    `read` are the counters that were asked, with the values they had: it holds for as long as they and the
    promotions' versions stay the same. `raises` are to be done by whoever commits it.
    """

    currency: str
    rounding: Rounding
    subtotal: int
    discounts: tuple[int, ...]
    shipping: int
    shipping_discount: int
    vouchers: int
    points: int
    applied: tuple[Verdict, ...]
    others: tuple[Verdict, ...]
    read: tuple[tuple[CounterKey, int], ...]

    @property
    def discount(self) -> int:
        """Everything that is off: lines and shipping."""
        return sum(self.discounts) + self.shipping_discount

    @property
    def payable(self) -> int:
        return self.subtotal + self.shipping - self.discount - self.vouchers

    @property
    def raises(self) -> tuple[Raise, ...]:
        return tuple(each for verdict in self.applied for each in verdict.raises)

    @property
    def versions(self) -> tuple[tuple[str, int], ...]:
        """Of everything that was looked at."""
        return tuple(sorted({(v.promotion, v.version) for v in (*self.applied, *self.others) if v.promotion}))

    @property
    def nearest(self) -> tuple[Verdict, ...]:
        """What failed by figures alone, the least missing first."""
        found = [
            verdict
            for verdict in self.others
            if verdict.reason is Reason.CONDITION_NOT_MET and all(miss.missing is not None for miss in verdict.misses)
        ]
        return tuple(sorted(found, key=lambda verdict: distance(verdict.misses)))
