"""Issues: promotions of kind `member` given to one member, who may have to activate them, and what an issue stands at.

An issue and what was done to it are rows that never change, and each is an event's. What it stands at follows from
these, the promotion's terms and the counter of its own limit; it ends by itself, so no event tells of that. Whether a
member may have another one is judged under the organisation's lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from msgspec import Struct

from guerdon.core import members
from guerdon.core.booking import tell
from guerdon.core.commands import ActivateIssue, IssuePromotion, IssuePromotions, RevokeIssue
from guerdon.core.dates import end_of_day_after
from guerdon.core.events import Name
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.promoting import shelf
from guerdon.core.promotions.carts import Issue
from guerdon.core.promotions.terms import Promotion
from guerdon.core.promotions.verdicts import Reason
from guerdon.core.results import IssueChanged, Issued, IssuedMany, IssueOutcome

if TYPE_CHECKING:
    from guerdon.core.members import Member
    from guerdon.core.state import State

AT_ONCE = 2_000
"""So many members in one command, as for a bulk award."""

Done = Literal["activated", "revoked"]
State_ = Literal["available", "upcoming", "active", "used", "expired", "revoked"]


class PromotionIssue(Struct, frozen=True, kw_only=True):
    """A promotion given to a member; immutable. With `activation` it gives nothing before the member activates it;
    `days` is then how long it goes on from there. `ends_at` is not included.
    """

    id: str
    promotion: str
    member_no: int
    issued_at: datetime
    starts_at: datetime | None
    ends_at: datetime | None
    activation: bool
    days: int | None
    reason: str
    actor: str


class IssueMove(Struct, frozen=True, kw_only=True):
    """What was done to an issue; immutable, and each can be done once. `ends_at` is its end from then on."""

    issue: str
    done: Done
    moved_at: datetime
    ends_at: datetime | None
    actor: str


class Standing(Struct, frozen=True, kw_only=True):
    """What an issue stands at. `reason` says what an evaluation would answer where it gives nothing, `moment` since or
    until when; `left` is how often it can still be used, None where nothing counts that.
    """

    state: State_
    reason: Reason | None = None
    moment: datetime | None = None
    left: int | None = None


# -- giving them ------------------------------------------------------------------------------------------------------


def issue(state: State, command: IssuePromotion) -> Outcome:
    """Give a promotion to a member."""
    terms = _promotion(state, command.promotion)
    if isinstance(terms, Rejected):
        return terms
    refused = _period_refusal(command.starts_at, command.ends_at)
    made = refused or _issue(state, command, terms, command.id, command.member)
    return made if isinstance(made, Rejected) else Accepted(made)


def issue_many(state: State, command: IssuePromotions) -> Outcome:
    """Give a promotion to many members. Rows are decided in order, and a refused one changes nothing."""
    terms = _promotion(state, command.promotion)
    if isinstance(terms, Rejected):
        return terms
    if len(command.members) > AT_ONCE:
        return Rejected(Rejection.INVALID_VALUE, "members", {"maximum": AT_ONCE})
    refused = _period_refusal(command.starts_at, command.ends_at)
    if refused is not None:
        return refused
    rows: list[IssueOutcome] = []
    for member in command.members:
        made = _issue(state, command, terms, state.new_id(), member)
        rows.append(IssueOutcome(refused=made) if isinstance(made, Rejected) else IssueOutcome(issued=made))
    return Accepted(IssuedMany(rows=tuple(rows)))


def _issue(
    state: State, command: IssuePromotion | IssuePromotions, terms: Promotion, id: str, selector: tuple[str, str]
) -> Issued | Rejected:
    member = members.resolve(state, selector)
    if isinstance(member, Rejected):
        return member
    known = state.find(("issues_of", member.no)) or ()
    there = [each for each in known if state.issues[each].promotion == terms.id and not revoked(state, each)]
    if len(there) >= terms.issuing.per_member:
        return Rejected(
            Rejection.ISSUE_LIMIT_REACHED, "member", {"limit": terms.issuing.per_member, "issued": len(there)}
        )
    ends_at = command.ends_at
    if not terms.issuing.activation:
        ends_at = _sooner(ends_at, _end(state, terms.issuing.days))
    made = PromotionIssue(
        id=id,
        promotion=terms.id,
        member_no=member.no,
        issued_at=state.now,
        starts_at=command.starts_at,
        ends_at=ends_at,
        activation=terms.issuing.activation,
        days=terms.issuing.days,
        reason=command.reason,
        actor=command.actor,
    )
    state.put(state.issues, id, made)
    state.put(state.found, ("issue", id), id)
    state.put(state.found, ("issues_of", member.no), (*known, id))
    body = {
        "issue_id": id,
        "promotion": made.promotion,
        "starts_at": made.starts_at,
        "ends_at": made.ends_at,
        "activation": made.activation,
        "days": made.days,
    }
    tell(state, Name.PROMOTION_ISSUE, member.no, actor=made.actor, reason=made.reason, body=body)
    return Issued(id=id, member_no=member.no, issued_at=state.now, ends_at=ends_at, activation=made.activation)


# -- what becomes of them ---------------------------------------------------------------------------------------------


def activate(state: State, command: ActivateIssue) -> Outcome:
    """Activate a member's issue; from then on it applies by itself. Twice is no error and changes nothing."""
    member = members.resolve(state, command.member)
    if isinstance(member, Rejected):
        return member
    found = _find(state, command.issue)
    if isinstance(found, Rejected):
        return found
    if members.family(state, found.member_no)[-1] != member.no:
        return Rejected(Rejection.ISSUE_NOT_FOUND, "issue", {"issue": command.issue})
    known = state.issue_moves.get((found.id, "activated"))
    ends_at = known.ends_at if known is not None else found.ends_at
    if revoked(state, found.id):
        return Rejected(Rejection.ISSUE_REVOKED, "issue", {"issue": found.id})
    terms = shelf(state).by_id[found.promotion]
    ends = [moment for moment in (ends_at, terms.ends_at) if moment is not None]
    if terms.status == "ended" or (ends and state.now >= min(ends)):
        return Rejected(Rejection.ISSUE_EXPIRED, "issue", {"issue": found.id, "ended_at": min(ends, default=None)})
    if known is None and found.activation:
        ends_at = _sooner(found.ends_at, _end(state, found.days))
        _move(state, found, "activated", ends_at, command.actor, member.no)
    return Accepted(IssueChanged(id=found.id, ends_at=ends_at))


def revoke(state: State, command: RevokeIssue) -> Outcome:
    """Take an issue back. What it gave stands; twice is no error."""
    found = _find(state, command.issue)
    if isinstance(found, Rejected):
        return found
    if not revoked(state, found.id):
        _move(state, found, "revoked", state.now, command.actor, members.family(state, found.member_no)[-1])
    return Accepted(IssueChanged(id=found.id, ends_at=state.issue_moves[found.id, "revoked"].moved_at))


_NAMES: dict[Done, Name] = {
    "activated": Name.PROMOTION_ISSUE_ACTIVATION,
    "revoked": Name.PROMOTION_ISSUE_REVOCATION,
}


def _move(
    state: State, found: PromotionIssue, done: Done, ends_at: datetime | None, actor: str, member_no: int
) -> None:
    """Note what was done to an issue, and book it on whoever's it is now."""
    move = IssueMove(issue=found.id, done=done, moved_at=state.now, ends_at=ends_at, actor=actor)
    state.put(state.issue_moves, (found.id, done), move)
    body = {"issue_id": found.id, "promotion": found.promotion, "ends_at": ends_at}
    tell(state, _NAMES[done], member_no, actor=actor, body=body)


def revoked(state: State, id: str) -> bool:
    return (id, "revoked") in state.issue_moves


def join(state: State, victim: Member, survivor: Member) -> None:
    """A merge: who asks for the survivor's issues in this batch gets the victim's with them."""
    key = ("issues_of", survivor.no)
    if key in state.found:
        state.put(state.found, key, (*state.find(key), *(state.find(("issues_of", victim.no)) or ())))


# -- for evaluations --------------------------------------------------------------------------------------------------


def held(state: State, member: Member) -> tuple[Issue, ...]:
    """The issues of a member as an evaluation takes them, without those of promotions that have ended, which are not
    loaded. Raises `NotLoaded`.
    """
    known = state.find(("issues_of", member.no)) or ()
    found = [state.issues[id] for id in known if not revoked(state, id)]
    promotions = shelf(state).by_id
    found = [each for each in found if promotions[each.promotion].status != "ended"]
    return tuple(as_held(each, state.issue_moves.get((each.id, "activated"))) for each in found)


def as_held(found: PromotionIssue, activated: IssueMove | None) -> Issue:
    return Issue(
        id=found.id,
        promotion=found.promotion,
        active=not found.activation or activated is not None,
        starts_at=found.starts_at,
        ends_at=found.ends_at if activated is None else activated.ends_at,
    )


def standing(
    found: PromotionIssue, moves: Iterable[IssueMove], terms: Promotion, used: Mapping[str, int], now: datetime
) -> Standing:
    """What an issue stands at; `used` has the counters of the promotion's limits over this issue, by code."""
    done = {move.done: move for move in moves}
    if "revoked" in done:
        return Standing(state="revoked", reason=Reason.NOT_ISSUED, moment=done["revoked"].moved_at)
    left = min(
        [
            max(0, limit.limit - used.get(limit.code, 0))
            for limit in terms.limits
            if limit.per == "issue" and limit.window == "none" and limit.limit is not None
        ],
        default=None,
    )
    if left == 0:
        return Standing(state="used", reason=Reason.LIMIT_REACHED, left=0)
    mine = as_held(found, done.get("activated"))
    ended = [moment for moment in (mine.ends_at, terms.ends_at) if moment is not None and now >= moment]
    if ended or terms.status == "ended":
        by_issue = mine.ends_at is not None and mine.ends_at in ended
        reason = Reason.ISSUE_ENDED if by_issue else Reason.ENDED
        return Standing(state="expired", reason=reason, moment=min(ended, default=None), left=left)
    if not mine.active:
        return Standing(state="available", reason=Reason.NOT_ACTIVATED, left=left)
    if terms.status != "active":
        return Standing(state="upcoming", reason=Reason.NOT_ACTIVE, left=left)
    begins = [moment for moment in (mine.starts_at, terms.starts_at) if moment is not None and now < moment]
    if begins:
        by_issue = mine.starts_at is not None and mine.starts_at in begins
        reason = Reason.ISSUE_NOT_STARTED if by_issue else Reason.NOT_STARTED
        return Standing(state="upcoming", reason=reason, moment=max(begins), left=left)
    return Standing(state="active", left=left)


# -- finding ----------------------------------------------------------------------------------------------------------


def _promotion(state: State, id: str) -> Promotion | Rejected:
    terms = shelf(state).by_id.get(id)
    if terms is None:
        return Rejected(Rejection.PROMOTION_NOT_FOUND, "promotion", {"promotion": id})
    if terms.kind != "member":
        return Rejected(Rejection.PROMOTION_NOT_ISSUED, "promotion", {"kind": terms.kind})
    if terms.status == "ended" or (terms.ends_at is not None and state.now >= terms.ends_at):
        return Rejected(Rejection.PROMOTION_ENDED, "promotion", {"promotion": id})
    return terms


def _find(state: State, id: str) -> PromotionIssue | Rejected:
    if state.find(("issue", id)) is None:
        return Rejected(Rejection.ISSUE_NOT_FOUND, "issue", {"issue": id})
    return state.issues[id]


def _period_refusal(starts_at: datetime | None, ends_at: datetime | None) -> Rejected | None:
    if starts_at is not None and ends_at is not None and ends_at <= starts_at:
        return Rejected(Rejection.INVALID_VALUE, "ends_at", {"starts_at": starts_at.isoformat()})
    return None


def _end(state: State, days: int | None) -> datetime | None:
    """The local midnight after the last of so many days from now."""
    return None if days is None else end_of_day_after(state.now, days, ZoneInfo(state.config.timezone))


def _sooner(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((moment for moment in (one, other) if moment is not None), default=None)
