"""Verdicts in words: one sentence for care, the console and the receipt, made of the verdict's own figures."""

from __future__ import annotations

from guerdon.core.assets import decimal_text
from guerdon.core.promotions.conditions import Check
from guerdon.core.promotions.verdicts import Reason, Verdict

_SIGNS = {"equals": "=", "more_than": ">", "at_least": ">=", "less_than": "<", "at_most": "<="}

_SENTENCES = {
    Reason.CODE_UNKNOWN: "there is no such code",
    Reason.CODE_GIVEN_TWICE: "the code was given twice",
    Reason.CODE_DEACTIVATED: "the code was deactivated",
    Reason.CODE_LINKED_TO_ANOTHER: "the code belongs to another customer",
    Reason.NOT_ACTIVE: "the promotion is not active",
    Reason.NOT_STARTED: "the promotion has not started",
    Reason.ENDED: "the promotion has ended",
    Reason.OUTSIDE_HOURS: "the promotion does not run at this time",
    Reason.STORE_NOT_TAKING_PART: "this store does not take part",
    Reason.CHANNEL_NOT_TAKING_PART: "this channel does not take part",
    Reason.MEMBER_REQUIRED: "it is for members",
    Reason.NOT_IN_AUDIENCE: "it is for other members",
    Reason.NOT_ISSUED: "it was not issued to this member",
    Reason.NOT_ACTIVATED: "the member has not activated it",
    Reason.ISSUE_NOT_STARTED: "it is not valid yet for this member",
    Reason.ISSUE_ENDED: "it is no longer valid for this member",
    Reason.LIMIT_REACHED: "it was used as often as it can be",
    Reason.STORE_REQUIRED: "it is counted by store, and no store was named",
    Reason.TOO_SOON: "it was used too short a time ago",
    Reason.NOTHING_TO_GIVE: "there is nothing in the cart to give it on",
    Reason.ALREADY_APPLIED: "the promotion applied already",
    Reason.OTHER_CAME_FIRST: "another promotion came first",
    Reason.OTHER_WAS_BETTER: "another promotion gives more",
    Reason.EXCLUSIVE_APPLIED: "another promotion excludes all others",
}


def sentence(verdict: Verdict, scale: int) -> str:
    """What became of a promotion or code; `scale` is the currency's."""
    if verdict.status == "applied":
        return _applied(verdict, scale)
    if verdict.reason is Reason.CONDITION_NOT_MET:
        return "; ".join(_miss(miss, scale) for miss in verdict.misses)
    if verdict.reason is Reason.LIMIT_REACHED and verdict.limit is not None:
        limit = verdict.limit
        money = limit.kpi == "discount"
        used, most, wanted = (
            decimal_text(figure, scale) if money else str(figure)
            for figure in (limit.used + limit.held, limit.limit, limit.wanted)
        )
        said = f"limit {limit.code}: {used} of {most} {limit.kpi} used"
        return f"{said}, {wanted} wanted" if limit.wanted else said
    assert verdict.reason is not None
    said = _SENTENCES[verdict.reason]
    if verdict.winner and verdict.winner != verdict.promotion:
        said += f": {verdict.winner}"
    return f"{said} ({verdict.moment.isoformat()})" if verdict.moment else said


def _applied(verdict: Verdict, scale: int) -> str:
    said = [f"{decimal_text(verdict.discount, scale)} off"] if verdict.discount else []
    if verdict.voucher:
        said.append(f"{decimal_text(verdict.voucher, scale)} paid")
    if verdict.points:
        said.append(f"{verdict.points} points")
    return ", ".join(said)


def _miss(miss: Check, scale: int) -> str:
    """`46.80 >= 50.00 in category shoes does not hold: 3.20 more`."""
    about = miss.about or miss.type
    if miss.type == "not":
        return f"must not hold: {about}"
    if miss.required is None:
        return f"{miss.type} is not {miss.about}" if miss.about else f"{miss.type} does not hold"
    actual = "unknown" if miss.actual is None else _figure(miss.actual, miss, scale)
    said = f"{about}: {actual} {_SIGNS[miss.operator]} {_figure(miss.required, miss, scale)} does not hold"
    if miss.missing is None:
        return said
    return f"{said}, {_figure(abs(miss.missing), miss, scale)} {'more' if miss.missing > 0 else 'less'}"


def _figure(value: int, check: Check, scale: int) -> str:
    if check.measure == "money":
        return decimal_text(value, scale)
    if check.measure == "quantity":
        return decimal_text(value, 3).rstrip("0").rstrip(".")
    return str(value)
