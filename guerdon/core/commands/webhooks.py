"""Endpoints of other systems."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from guerdon.core.commands.command import Command


class AddWebhook(Command, frozen=True, kw_only=True):
    """Send an organisation's events to a URL; no filters = all of them. With `private` it may lead anywhere."""

    url: str
    filters: tuple[str, ...] = ()
    description: str = ""
    private: bool = False


class ChangeWebhook(Command, frozen=True, kw_only=True):
    """Change what is not None."""

    target: str
    url: str | None = None
    filters: tuple[str, ...] | None = None
    description: str | None = None
    status: Literal["active", "paused"] | None = None
    private: bool = False


class RotateWebhookSecret(Command, frozen=True, kw_only=True):
    """A new secret; the one before signs as well for `overlap`."""

    target: str
    overlap: timedelta


class ReplayWebhook(Command, frozen=True, kw_only=True):
    """Send again all that was recorded after the event with a number."""

    target: str
    after: int


class PauseWebhook(Command, frozen=True, kw_only=True):
    """Stop sending to an endpoint that is dead, and say so in an event."""

    target: str
    reason: str


class NoteFailingWebhook(Command, frozen=True, kw_only=True):
    """Say in an event that nothing has got through to an endpoint `since` a moment."""

    target: str
    since: datetime
    reason: str


class RemoveWebhook(Command, frozen=True, kw_only=True):
    target: str
