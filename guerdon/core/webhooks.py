"""Webhook endpoints: where an organisation's events are sent, which of them, and from which one on.

What has become of the messages is not here but with the relay (`guerdon/webhooks`): the core decides what an endpoint
is, the relay how far it has come.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from guerdon.core import addresses, messages
from guerdon.core.booking import Booking
from guerdon.core.commands import (
    AddWebhook,
    ChangeWebhook,
    NoteFailingWebhook,
    PauseWebhook,
    RemoveWebhook,
    ReplayWebhook,
    RotateWebhookSecret,
)
from guerdon.core.events import Name
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.places import Place
from guerdon.core.results import Changed, Opened, Replayed, Rotated

if TYPE_CHECKING:
    from guerdon.core.state import State

OVERLAP_MAX = timedelta(days=7)
NO_MEMBER = 0
"""The member of an event that is about the organisation."""


class Webhook(Struct, frozen=True, kw_only=True):
    """An endpoint. `generation` counts its secrets; the one before signs as well until `old_until`.

    Messages begin after the event with the number `start_seq`, and begin there again whenever `replays` grows.
    `status` is active, paused or removed; `reason` says why the relay paused it. `active_since` is when it was made or
    last activated: what failed before that counts no more.
    """

    id: str
    url: str
    description: str
    filters: tuple[str, ...]
    status: str
    reason: str
    generation: int
    old_until: datetime | None
    replays: int
    start_seq: int
    created_at: datetime
    active_since: datetime


def add(state: State, command: AddWebhook) -> Outcome:
    """A new endpoint gets what is recorded from now on."""
    refused = _refusal(command.url, command.filters, private=command.private)
    if refused is not None:
        return refused
    webhook = Webhook(
        id=command.id,
        url=command.url,
        description=command.description,
        filters=command.filters,
        status="active",
        reason="",
        generation=1,
        old_until=None,
        replays=0,
        start_seq=state.counters.get("seq", 0),
        created_at=state.now,
        active_since=state.now,
    )
    _put(state, webhook)
    return Accepted(Opened(id=webhook.id, created_at=state.now))


def change(state: State, command: ChangeWebhook) -> Outcome:
    """Change what is given. One that was paused goes on where it stood."""
    webhook = _find(state, command.target)
    if webhook is None:
        return _not_found(command.target)
    changed = msgspec.structs.replace(
        webhook,
        url=webhook.url if command.url is None else command.url,
        filters=webhook.filters if command.filters is None else command.filters,
        description=webhook.description if command.description is None else command.description,
        status=webhook.status if command.status is None else command.status,
        reason=webhook.reason if command.status is None else "",
        active_since=state.now if command.status == "active" else webhook.active_since,
    )
    asked = command.url if command.url is not None else ""
    refused = _refusal(asked, changed.filters, private=command.private, check_url=command.url is not None)
    if refused is not None:
        return refused
    _put(state, changed)
    return Accepted(Changed(id=webhook.id))


def rotate(state: State, command: RotateWebhookSecret) -> Outcome:
    """The next secret. The one before signs as well until `overlap` is over; any before that no longer does."""
    webhook = _find(state, command.target)
    if webhook is None:
        return _not_found(command.target)
    if not timedelta(0) <= command.overlap <= OVERLAP_MAX:
        hours = OVERLAP_MAX // timedelta(hours=1)
        return Rejected(Rejection.INVALID_VALUE, "overlap_hours", {"minimum": 0, "maximum": hours})
    until = state.now + command.overlap
    _put(state, msgspec.structs.replace(webhook, generation=webhook.generation + 1, old_until=until))
    return Accepted(Rotated(id=webhook.id, generation=webhook.generation + 1, old_until=until))


def replay(state: State, command: ReplayWebhook) -> Outcome:
    """Send again what was recorded after an event number, and all that came since."""
    webhook = _find(state, command.target)
    if webhook is None:
        return _not_found(command.target)
    last = state.counters.get("seq", 0)
    if not 0 <= command.after <= last:
        return Rejected(Rejection.INVALID_VALUE, "after", {"minimum": 0, "maximum": last})
    _put(state, msgspec.structs.replace(webhook, replays=webhook.replays + 1, start_seq=command.after))
    return Accepted(Replayed(id=webhook.id, after=command.after))


def pause(state: State, command: PauseWebhook) -> Outcome:
    """What the relay asks for when an endpoint is dead. An event says so, for other endpoints and whoever looks; one
    that does not send any more stays as it is."""
    webhook = _find(state, command.target)
    if webhook is None:
        return _not_found(command.target)
    if webhook.status == "active":
        _put(state, msgspec.structs.replace(webhook, status="paused", reason=command.reason))
        here = Place(event_at=state.now, judged_at=state.now)
        Booking(state, Name.WEBHOOK_PAUSED, NO_MEMBER, here).close(
            actor=command.actor, reason=command.reason, reference=f"whk_{webhook.id}"
        )
    return Accepted(Changed(id=webhook.id))


def note_failing(state: State, command: NoteFailingWebhook) -> Outcome:
    """What the relay asks for when nothing has got through to an endpoint for a while: an event that says so. Once for
    each time that it fails, by the command's key."""
    webhook = _find(state, command.target)
    if webhook is None:
        return _not_found(command.target)
    if webhook.status == "active" and webhook.active_since <= command.since:
        here = Place(event_at=state.now, judged_at=state.now)
        Booking(state, Name.WEBHOOK_FAILING, NO_MEMBER, here).close(
            actor=command.actor,
            reason=command.reason,
            reference=f"whk_{webhook.id}",
            body={"since": command.since},
        )
    return Accepted(Changed(id=webhook.id))


def remove(state: State, command: RemoveWebhook) -> Outcome:
    """Send nothing there any more, for good."""
    webhook = _find(state, command.target)
    if webhook is None:
        return _not_found(command.target)
    _put(state, msgspec.structs.replace(webhook, status="removed"))
    return Accepted(Changed(id=webhook.id))


def _find(state: State, target: str) -> Webhook | None:
    id = state.find(("webhook", target))
    webhook = None if id is None else state.webhooks[id]
    return None if webhook is None or webhook.status == "removed" else webhook


def _put(state: State, webhook: Webhook) -> None:
    state.put(state.webhooks, webhook.id, webhook)
    state.put(state.found, ("webhook", webhook.id), webhook.id)


def _not_found(target: str) -> Rejected:
    return Rejected(Rejection.WEBHOOK_NOT_FOUND, "webhook", {"webhook": f"whk_{target}"})


def _refusal(url: str, filters: tuple[str, ...], *, private: bool, check_url: bool = True) -> Rejected | None:
    reason = addresses.refusal(url, private=private) if check_url else ""
    if reason in (addresses.NOT_PUBLIC, addresses.NO_PUBLIC_NAME):
        return Rejected(Rejection.ADDRESS_NOT_PUBLIC, "url", {"reason": reason})
    if reason:
        return Rejected(Rejection.INVALID_VALUE, "url", {"reason": reason})
    for position, one in enumerate(filters):
        if not messages.known_filter(one):
            return Rejected(Rejection.INVALID_VALUE, f"events[{position}]", {"reason": "no message has this type"})
    return None
