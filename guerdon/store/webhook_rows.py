"""What stands in the tables of the relay, as records."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct


class Waiting(Struct, frozen=True):
    """An endpoint; from when on it has something to send (None = nothing), and whether another process is at it."""

    id: str
    at: datetime | None
    held: bool


class Behind(Struct, frozen=True, kw_only=True):
    """A member at an endpoint: done up to `seq`; `attempts` at what follows failed, the first one at `failed_since`."""

    member_no: int
    seq: int
    attempts: int = 0
    failed_since: datetime | None = None
    next_at: datetime | None = None


class Message(Struct, frozen=True, kw_only=True):
    """An event with what its message tells. `asset` is that of its points, None where none moved; `notice` the body of
    an event that tells of points about to end.
    """

    seq: int
    id: str
    name: str
    member_no: int
    member: str | None
    event_at: datetime
    recorded_at: datetime
    points: int
    asset: str | None
    source: str
    store_no: int
    till_no: int
    program_no: int
    reference: str
    reason: str
    notice: str
    purchase: str | None
    purchase_number: str | None
    claimed: str = ""
    """The body of an event about a claim, as JSON."""
    promoted: str = ""
    """What the body of an event about a promotion, an issue or a code says of it, as JSON."""
    released: int | None = None
    """The points that became regular by an event."""


class Endpoint(Struct, frozen=True, kw_only=True):
    url: str
    filters: tuple[str, ...]
    status: str
    generation: int
    old_until: datetime | None
    replays: int
    start_seq: int
    active_since: datetime
    head: int
    organisation: str


class Standing(Struct, frozen=True, kw_only=True):
    """How an endpoint does: `failures` members failed for the first time since anything got through."""

    replays: int
    seq: int
    next_at: datetime | None
    failures: int
    failing_since: datetime | None
    last_success_at: datetime | None


class Turn(Struct, frozen=True, kw_only=True):
    """A holder's turn: the messages by member, in order; `until` is where the cursor stands when all of it is done."""

    endpoint: Endpoint
    standing: Standing
    until: int
    behind: dict[int, Behind]
    messages: dict[int, list[Message]]
    full: frozenset[int] = frozenset()
    """Members behind with more messages than are here."""


class Attempt(Struct, frozen=True, kw_only=True):
    """A row of the log. `status` is 0 where there was no answer."""

    seq: int
    id: str
    type: str
    attempt: int
    outcome: str
    status: int
    sent_at: datetime
    duration_ms: int
    answer: str


class WebhookRow(Struct, frozen=True, kw_only=True):
    """An endpoint with how it is doing: it is done up to event `seq` of `head`, but for `members_behind`."""

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
    seq: int
    head: int
    failing_since: datetime | None
    last_success_at: datetime | None
    members_behind: int


class DeliveryRow(Struct, frozen=True, kw_only=True):
    no: int
    event_seq: int
    message_id: str
    message_type: str
    attempt: int
    outcome: str
    status: int
    sent_at: datetime
    duration_ms: int
    answer: str
