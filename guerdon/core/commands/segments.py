"""Named groups of members."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guerdon.core.commands.command import Command, Selector

if TYPE_CHECKING:
    from guerdon.core.segments import Condition as SegmentCondition


class CreateSegment(Command, frozen=True, kw_only=True):
    """A list of members, or with a condition those of whom it holds."""

    code: str
    name: str
    condition: SegmentCondition | None = None


class ChangeSegment(Command, frozen=True, kw_only=True):
    """Give a segment (by code) its next version; what is empty or None stays."""

    segment: str
    name: str = ""
    condition: SegmentCondition | None = None


class ListMembers(Command, frozen=True, kw_only=True):
    """Put members on a list (`present`), or take them off."""

    segment: str
    members: tuple[Selector, ...]
    present: bool = True
