"""Tiers, and who is in them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from guerdon.core.commands.command import Command, Selector

if TYPE_CHECKING:
    from guerdon.core.tiers import TierTerms


class ChangeTiers(Command, frozen=True, kw_only=True):
    """Give a program tiers, or the next version of them, from a moment on (None: now)."""

    program: Selector
    terms: TierTerms
    starts_at: datetime | None = None


class PreviewTiers(Command, frozen=True, kw_only=True):
    """Say whether a change of a program's tiers would be refused, and do nothing."""

    of: ChangeTiers


class ReviewTiers(Command, frozen=True, kw_only=True):
    """Write down which tiers of members (by number) are others than they were told, and give notice of those that are
    about to fall. With `walked` all members up to that number have been looked at since the `version` of a program's
    tiers began.
    """

    members: tuple[int, ...]
    program_no: int = 0
    version: int = 0
    walked: int = 0
