"""How evaluations look in answers: the same shapes for a dry run, a purchase, a standalone commit and a refusal."""

from __future__ import annotations

from datetime import datetime

from guerdon.api.values import Shown, points, public
from guerdon.core.promotions.conditions import Check
from guerdon.core.promotions.explaining import sentence
from guerdon.core.promotions.limits import LimitState
from guerdon.core.promotions.verdicts import Evaluation, Verdict

PROMOTION = "prm"
ISSUE = "iss"


class DiscountedLine(Shown, frozen=True, kw_only=True):
    """What a promotion takes off a line (by its number, from 1); `units` are the pieces it was reckoned on."""

    line: int
    discount_minor: int
    units: int | None


class VerdictOut(Shown, frozen=True, kw_only=True):
    """What became of one promotion, by one code or by itself. `explanation` says it in a sentence.

    `applied`: it is in the figures. `parked`: it would have given these figures, had not `winner` won. `not_applied`:
    `reason` says why; `checks` has every question of its condition with its figures, `misses` the fewest that stand in
    the way, `limit` the limit that is used up.
    """

    promotion: str | None
    version: int
    name: str
    code: str | None
    issue: str | None
    status: str
    reason: str | None
    explanation: str
    times: int
    discount_minor: int
    desired_minor: int
    shipping_discount_minor: int
    voucher_minor: int
    points: str
    lines: tuple[DiscountedLine, ...]
    checks: tuple[Check, ...]
    misses: tuple[Check, ...]
    limit: LimitState | None
    winner: str | None
    method: str
    moment: datetime | None


class EvaluationOut(Shown, frozen=True, kw_only=True):
    """What a cart comes to. `discounts_minor` per line, in line order; `payable_minor` = subtotal and shipping, less
    all discounts and vouchers. `applied` in the order of application; `nearest` are those that only figures stand in
    the way of, the least missing first.
    """

    currency: str
    subtotal_minor: int
    discounts_minor: tuple[int, ...]
    discount_minor: int
    shipping_minor: int
    shipping_discount_minor: int
    voucher_minor: int
    payable_minor: int
    points: str
    applied: tuple[VerdictOut, ...]
    others: tuple[VerdictOut, ...]
    nearest: tuple[VerdictOut, ...]


def verdict_shown(verdict: Verdict, scale: int, currency_scale: int) -> VerdictOut:
    """`scale` is that of the points."""
    return VerdictOut(
        promotion=public(PROMOTION, verdict.promotion) if verdict.promotion else None,
        version=verdict.version,
        name=verdict.name,
        code=verdict.code or None,
        issue=public(ISSUE, verdict.issue) if verdict.issue else None,
        status=verdict.status,
        reason=verdict.reason,
        explanation=sentence(verdict, currency_scale),
        times=verdict.times,
        discount_minor=verdict.discount,
        desired_minor=verdict.desired,
        shipping_discount_minor=verdict.shipping,
        voucher_minor=verdict.voucher,
        points=points(verdict.points, scale),
        lines=tuple(DiscountedLine(line=p.line + 1, discount_minor=p.discount, units=p.units) for p in verdict.parts),
        checks=verdict.checks,
        misses=verdict.misses,
        limit=verdict.limit,
        winner=public(PROMOTION, verdict.winner) if verdict.winner else None,
        method=verdict.method,
        moment=verdict.moment,
    )


def evaluation_shown(evaluation: Evaluation, scale: int, currency_scale: int) -> EvaluationOut:
    def shown(verdicts: tuple[Verdict, ...]) -> tuple[VerdictOut, ...]:
        return tuple(verdict_shown(verdict, scale, currency_scale) for verdict in verdicts)

    return EvaluationOut(
        currency=evaluation.currency,
        subtotal_minor=evaluation.subtotal,
        discounts_minor=evaluation.discounts,
        discount_minor=evaluation.discount,
        shipping_minor=evaluation.shipping,
        shipping_discount_minor=evaluation.shipping_discount,
        voucher_minor=evaluation.vouchers,
        payable_minor=evaluation.payable,
        points=points(evaluation.points, scale),
        applied=shown(evaluation.applied),
        others=shown(evaluation.others),
        nearest=shown(evaluation.nearest),
    )
