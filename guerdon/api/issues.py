"""Promotions given to members: issued by staff, listed and activated by the member, taken back."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from guerdon.api.call import Call
from guerdon.api.members import found as found_member
from guerdon.api.problem import Problem, refused
from guerdon.api.promotions import promotion_id
from guerdon.api.routing import Routes
from guerdon.api.values import (
    Body,
    PageQuery,
    Selector,
    Shown,
    Text,
    instant,
    member_selector,
    named_id,
    page,
    place_id,
    public,
)
from guerdon.api.verdicts import ISSUE, PROMOTION
from guerdon.core import commands
from guerdon.core.issues import AT_ONCE
from guerdon.core.promotions.explaining import sentence
from guerdon.core.promotions.verdicts import Verdict
from guerdon.core.results import Issued, IssuedMany, IssueOutcome
from guerdon.store.issues import IssueRow

routes = Routes("Issued promotions")

State = Literal["available", "upcoming", "active", "used", "expired", "revoked"]
SCAN = 500
"""So many issues of a member are read at a time where only those in one state are wanted."""


class Period(Body, frozen=True, kw_only=True):
    """Good from `starts_at` up to but not at `ends_at`, or to the end that the promotion says, whichever is sooner."""

    starts_at: datetime | None = None
    ends_at: datetime | None = None
    reason: Text = ""


class IssueIn(Period, frozen=True, kw_only=True):
    member: Annotated[Selector, Meta(description="`mem_…`, `number:…` or an identifier")]


class IssueManyIn(Period, frozen=True, kw_only=True):
    members: Annotated[tuple[Selector, ...], Meta(min_length=1, max_length=AT_ONCE)]


class IssueOut(Shown, frozen=True, kw_only=True):
    """What a member was given, and what it stands at: `available` waits for the member to activate it, `upcoming` has
    not begun or is paused, `active` applies by itself, `used`, `expired` and `revoked` are over. `reason` and
    `explanation` say why it gives nothing; `left` is how often it can still be used, null where nothing counts that.
    """

    id: str
    promotion: str
    name: str
    member: str
    state: State
    reason: str | None
    explanation: str
    uses: int
    left: int | None
    issued_at: datetime
    starts_at: datetime | None
    ends_at: datetime | None
    activated_at: datetime | None


class IssueRowOut(Shown, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one row. A refused one has a `code`, and its figures in `problem`."""

    row: int
    status: Literal["issued", "refused"]
    id: str = ""
    code: str = ""
    problem: dict[str, Any] = msgspec.field(default_factory=dict)


class IssuedManyOut(Shown, frozen=True, kw_only=True):
    issued: int
    refused: int
    rows: tuple[IssueRowOut, ...]


class IssuePage(Shown, frozen=True, kw_only=True):
    data: tuple[IssueOut, ...]
    next_cursor: str | None


class IssuesQuery(PageQuery, frozen=True, kw_only=True):
    state: Annotated[State | None, Meta(description="Only those that stand at this")] = None


_ERRORS = ("promotion_not_found", "promotion_not_issued", "promotion_ended")


@routes.post(
    "/v1/promotions/{promotion}/issues",
    scope="promotion-issues:write",
    summary="Give a promotion to a member",
    example={"member": "external_id:C-17", "ends_at": "2027-01-01T00:00:00Z"},
    errors=(*_ERRORS, "member_not_found", "member_blocked", "member_merged", "issue_limit_reached"),
)
async def create_issue(call: Call, promotion: str, body: IssueIn) -> IssueOut:
    """Only promotions of the kind `member` are given, and no more often than their `issuing` says."""
    command = commands.IssuePromotion(
        promotion=promotion_id(promotion), member=member_selector(body.member), **_period(body), **call.common()
    )
    result: Issued = await call.submit(command)
    return await _out(call, result.id)


@routes.post(
    "/v1/promotions/{promotion}/issues/bulk",
    scope="promotion-issues:write",
    summary="Give a promotion to many members",
    example={"members": ["external_id:C-17", "external_id:C-18"]},
    errors=_ERRORS,
)
async def create_issues(call: Call, promotion: str, body: IssueManyIn) -> IssuedManyOut:
    """One commit for all, each decided on its own: a refused row changes nothing, the others stand."""
    command = commands.IssuePromotions(
        promotion=promotion_id(promotion),
        members=tuple(member_selector(member, f"members[{i}]") for i, member in enumerate(body.members)),
        **_period(body),
        **call.common(),
    )
    result: IssuedMany = await call.submit(command)
    rows = tuple(_row(i, outcome) for i, outcome in enumerate(result.rows))
    refusals = sum(row.status == "refused" for row in rows)
    return IssuedManyOut(issued=len(rows) - refusals, refused=refusals, rows=rows)


@routes.get(
    "/v1/promotions/{promotion}/issues",
    scope="promotion-issues:read",
    summary="List whom a promotion was given to",
    errors=("promotion_not_found", "invalid_cursor"),
)
async def list_issues(call: Call, promotion: str, query: PageQuery) -> IssuePage:
    """Newest first."""
    identifier = promotion_id(promotion)
    if await call.services.promotions.find(call.org_id, identifier) is None:
        raise Problem("promotion_not_found", field="promotion")
    bound = ("issues", identifier)
    rows = await call.services.issues.of_promotion(
        call.org_id, identifier, place_id(ISSUE, query.cursor, *bound), query.limit + 1
    )
    rows, next_cursor = page(rows, query.limit, lambda row: public(ISSUE, row.id), *bound)
    return IssuePage(data=tuple(_shown(call, row) for row in rows), next_cursor=next_cursor)


@routes.get(
    "/v1/members/{member}/promotions",
    scope="promotion-issues:read",
    own=True,
    summary="List a member's promotions",
    errors=("member_not_found", "invalid_cursor"),
)
async def list_member_promotions(call: Call, member: str, query: IssuesQuery) -> IssuePage:
    """What the member was given, newest first, with what each stands at and why. Those of members that were merged
    into it are among them."""
    row = await found_member(call, member)
    bound = ("promotions of", row.no, query.state)
    before = place_id(ISSUE, query.cursor, *bound)
    at_a_time = query.limit + 1 if query.state is None else SCAN
    chosen: list[IssueOut] = []
    while len(chosen) <= query.limit:
        rows = await call.services.issues.of_member(call.org_id, row.no, before, at_a_time)
        shown = [_shown(call, each) for each in rows]
        chosen += [each for each in shown if query.state in (None, each.state)]
        if len(rows) < at_a_time:
            break
        before = rows[-1].id
    data, next_cursor = page(chosen, query.limit, lambda each: each.id, *bound)
    return IssuePage(data=tuple(data), next_cursor=next_cursor)


@routes.post(
    "/v1/members/{member}/promotions/{issue}/activate",
    scope="promotion-issues:write",
    own=True,
    status=200,
    summary="Activate a member's promotion",
    errors=("member_not_found", "issue_not_found", "member_blocked", "member_merged", "issue_revoked", "issue_expired"),
)
async def activate_issue(call: Call, member: str, issue: str) -> IssueOut:
    """From now on it applies by itself. One that is active already stays so."""
    command = commands.ActivateIssue(member=member_selector(member), issue=_id(issue), **call.common())
    result = await call.submit(command)
    return await _out(call, result.id)


@routes.delete(
    "/v1/promotion-issues/{issue}",
    scope="promotion-issues:write",
    summary="Take a promotion back from a member",
    errors=("issue_not_found",),
)
async def revoke_issue(call: Call, issue: str) -> None:
    """It gives nothing from now on; what it gave stands. Twice is no error."""
    await call.submit(commands.RevokeIssue(issue=_id(issue), **call.common()))


def _period(body: Period) -> dict[str, Any]:
    return {
        "starts_at": instant(body.starts_at, "starts_at"),
        "ends_at": instant(body.ends_at, "ends_at"),
        "reason": body.reason,
    }


def _id(issue: str) -> str:
    return named_id(ISSUE, issue, "issue_not_found", "issue")


def _row(number: int, outcome: IssueOutcome) -> IssueRowOut:
    if outcome.issued is not None:
        return IssueRowOut(row=number, status="issued", id=public(ISSUE, outcome.issued.id))
    assert outcome.refused is not None, "one or the other"
    problem = refused(outcome.refused, 0)
    return IssueRowOut(
        row=number, status="refused", code=problem.code, problem={"field": problem.field, **problem.extra}
    )


async def _out(call: Call, id: str) -> IssueOut:
    row = await call.services.issues.find(call.org_id, id)
    assert row is not None, "it was just written"
    return _shown(call, row)


def _shown(call: Call, row: IssueRow) -> IssueOut:
    terms, stands = row.promotion_terms, row.standing(call.services.now())
    said = ""
    if stands.reason is not None:
        told = Verdict(promotion=row.promotion, status="not_applied", reason=stands.reason, moment=stands.moment)
        said = "it was taken back" if stands.state == "revoked" else sentence(told, 0)
    ends = [moment for moment in (row.activated_ends_at if row.activated_at else row.ends_at, terms.ends_at) if moment]
    return IssueOut(
        id=public(ISSUE, row.id),
        promotion=public(PROMOTION, row.promotion),
        name=terms.name,
        member=public("mem", row.member),
        state=stands.state,
        reason=stands.reason,
        explanation=said,
        uses=row.uses,
        left=stands.left,
        issued_at=row.issued_at,
        starts_at=row.starts_at,
        ends_at=min(ends, default=None),
        activated_at=row.activated_at,
    )
