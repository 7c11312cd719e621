"""Promotions, and their being given to members."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal

from guerdon.core.commands.command import Command, Selector

if TYPE_CHECKING:
    from guerdon.core.promotions.terms import Mode, Promotion


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
