"""Members: who they are, who brought them, who became one."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from guerdon.core.commands.command import Command, Selector
from guerdon.core.commands.purchases import Where


class RegisterMember(Command, frozen=True, kw_only=True):
    """Register a person: `identifiers` are normalised (kind, value) pairs, each unique in the organisation.

    With `enrol` (the /v1 way) three accounts per program are opened and `CustomerRegistration` is booked; without (a
    raw identity) nothing is. `profile` is JSON text and stands apart from the ledger.
    """

    identifiers: tuple[Selector, ...] = ()
    profile: str = ""
    meta: str = ""
    enrol: bool = True
    event_at: datetime | None = None
    source: str = ""
    store: Selector | None = None
    till: Selector | None = None
    imported: bool = False


class ChangeMember(Command, frozen=True, kw_only=True):
    """Replace profile and/or identifiers, or set the status to active or blocked. None leaves as it is."""

    member: Selector
    profile: str | None = None
    identifiers: tuple[Selector, ...] | None = None
    status: Literal["active", "blocked"] | None = None


class RemoveMember(Command, frozen=True, kw_only=True):
    """Delete a raw identity that holds no account."""

    member: Selector


class MergeMembers(Command, frozen=True, kw_only=True):
    """Make one member of two: all that the victim has becomes the survivor's, and the victim ends."""

    victim: Selector
    survivor: Selector
    reason: str = ""
    meta: str = ""


class Refer(Command, frozen=True, kw_only=True):
    """Give both sides of a referral the points the program promises; once for each member who was referred."""

    referrer: Selector
    referred: Selector
    program: Selector | None = None
    where: Where = Where()


class ReturnReferral(Command, frozen=True, kw_only=True):
    """Take back what a referral gave, on both sides."""

    referral: str
    reason: str = ""
