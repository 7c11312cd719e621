"""`/v1/webhooks`: where an organisation's events are sent, how that is going, and what came of each attempt."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal

from msgspec import Meta

from guerdon.api.call import Call
from guerdon.api.problem import Problem
from guerdon.api.routing import Routes
from guerdon.api.values import Body, Cursor, Limit, PageQuery, Shown, Text, instant, named_id, page, place_no, public
from guerdon.core import commands, signatures
from guerdon.core.addresses import URL_MAX
from guerdon.core.messages import TYPES
from guerdon.store.webhook_rows import DeliveryRow, WebhookRow

routes = Routes("Webhooks")

WEBHOOKS_MAX = 100
"""Endpoints of one organisation."""
_EXAMPLE = "whk_0199b1f0-2c3e-7c11-9a52-5b7d3c000000"

Url = Annotated[str, Meta(min_length=1, max_length=URL_MAX, description="https, to a public host")]
Filter = Annotated[str, Meta(min_length=1, max_length=64, description="`points.redeemed`, `points.*` or `*`")]
Filters = Annotated[
    tuple[Filter, ...],
    Meta(max_length=100, description=f"Message types, none for all of them: {', '.join(sorted(TYPES.values()))}"),
]
Outcome = Literal["delivered", "failed", "given_up"]


EventNo = Annotated[int, Meta(ge=0, lt=2**62, description="The `event_log_id` after which to begin; 0 for all")]


class WebhookIn(Body, frozen=True, kw_only=True):
    url: Url
    events: Filters = ()
    description: Text = ""


class WebhookChanges(Body, frozen=True, kw_only=True):
    url: Url | None = None
    events: Filters | None = None
    description: Text | None = None
    status: Annotated[
        Literal["active", "paused"] | None, Meta(description="One that is activated goes on where it stood")
    ] = None


class RotateIn(Body, frozen=True, kw_only=True):
    overlap_hours: Annotated[int, Meta(ge=0, le=168, description="How long the old secret signs as well")] = 24


class ReplayIn(Body, frozen=True, kw_only=True):
    """One of both."""

    after: EventNo | None = None
    since: Annotated[datetime | None, Meta(description="Begin with what was recorded at this moment")] = None


class WebhookOut(Shown, frozen=True, kw_only=True):
    """`failing_since`: nothing got through since. `events_waiting` counts numbers of the sequence that the endpoint has
    not come to yet, transfers among them; `members_behind` those whose messages wait for an attempt, up to 10,001.
    `secret` is there only in the answer that made it."""

    id: str
    url: str
    events: tuple[str, ...]
    description: str
    status: str
    reason: str
    created_at: datetime
    old_secret_until: datetime | None
    last_event: int
    events_waiting: int
    members_behind: int
    failing_since: datetime | None
    last_success_at: datetime | None
    secret: str | None = None


class WebhookList(Shown, frozen=True, kw_only=True):
    data: tuple[WebhookOut, ...]


class SecretOut(Shown, frozen=True, kw_only=True):
    secret: str
    old_secret_until: datetime | None


class ReplayOut(Shown, frozen=True, kw_only=True):
    """All that was recorded after this number is sent again."""

    after: int


class DeliveryOut(Shown, frozen=True, kw_only=True):
    """One attempt. `status` is what the receiver answered, null where there was no answer; `answer` its beginning, or
    what went wrong."""

    message: str
    type: str
    event_log_id: int
    attempt: int
    outcome: str
    status: int | None
    sent_at: datetime
    duration_ms: int
    answer: str


class DeliveryQuery(PageQuery, frozen=True, kw_only=True):
    limit: Limit = 20
    cursor: Cursor = None
    message: Annotated[str | None, Meta(description="One message, by its `evt_…`")] = None
    outcome: Outcome | None = None


class DeliveryPage(Shown, frozen=True, kw_only=True):
    data: tuple[DeliveryOut, ...]
    next_cursor: str | None


_BODY = {"url": "https://example.com/guerdon", "events": ["points.*", "purchase.recorded"]}


@routes.post(
    "/v1/webhooks",
    scope="webhooks:write",
    summary="Make an endpoint",
    example=_BODY,
    answer=_BODY
    | {
        "id": _EXAMPLE,
        "description": "",
        "status": "active",
        "reason": "",
        "created_at": "2026-11-21T10:00:00Z",
        "old_secret_until": None,
        "last_event": 4711,
        "events_waiting": 0,
        "members_behind": 0,
        "failing_since": None,
        "last_success_at": None,
        "secret": "whsec_…",
    },
    errors=("invalid_value", "address_not_public", "too_many_webhooks"),
)
async def create_webhook(call: Call, body: WebhookIn) -> WebhookOut:
    """It is sent what is recorded from now on, as CloudEvents with Standard Webhooks signatures. The answer holds the
    secret that messages are signed with."""
    if len(await call.services.reader.webhooks(call.org_id, WEBHOOKS_MAX)) >= WEBHOOKS_MAX:
        raise Problem("too_many_webhooks", extra={"maximum": WEBHOOKS_MAX})
    command = commands.AddWebhook(
        url=body.url,
        filters=body.events,
        description=body.description,
        private=call.services.settings.webhook_private,
        **call.common(),
    )
    result = await call.submit(command)
    return _shown(await _row(call, result.id), _secret(call, result.id, 1))


@routes.get("/v1/webhooks", scope="webhooks:read", summary="List endpoints")
async def list_webhooks(call: Call) -> WebhookList:
    """All of them, oldest first, with how each is doing; never the secrets."""
    rows = await call.services.reader.webhooks(call.org_id, 10 * WEBHOOKS_MAX)
    return WebhookList(data=tuple(_shown(row) for row in rows))


@routes.get(
    "/v1/webhooks/{webhook}", scope="webhooks:read", summary="Look up an endpoint", errors=("webhook_not_found",)
)
async def get_webhook(call: Call, webhook: str) -> WebhookOut:
    """One endpoint, with how it is doing."""
    return _shown(await _row(call, _private(webhook)))


@routes.patch(
    "/v1/webhooks/{webhook}",
    scope="webhooks:write",
    summary="Change an endpoint",
    example={"status": "active"},
    errors=("webhook_not_found", "invalid_value", "address_not_public"),
)
async def change_webhook(call: Call, webhook: str, body: WebhookChanges) -> WebhookOut:
    """Only what is sent changes. A paused endpoint that is activated goes on where it stood: nothing is lost."""
    command = commands.ChangeWebhook(
        target=_private(webhook),
        url=body.url,
        filters=body.events,
        description=body.description,
        status=body.status,
        private=call.services.settings.webhook_private,
        **call.common(),
    )
    result = await call.submit(command)
    return _shown(await _row(call, result.id))


@routes.delete(
    "/v1/webhooks/{webhook}", scope="webhooks:delete", summary="Remove an endpoint", errors=("webhook_not_found",)
)
async def remove_webhook(call: Call, webhook: str) -> None:
    """Nothing is sent there any more."""
    await call.submit(commands.RemoveWebhook(target=_private(webhook), **call.common()))


@routes.post(
    "/v1/webhooks/{webhook}/secret",
    scope="webhooks:write",
    summary="Give an endpoint a new secret",
    status=200,
    example={"overlap_hours": 24},
    answer={"secret": "whsec_…", "old_secret_until": "2026-11-22T10:00:00Z"},
    errors=("webhook_not_found",),
)
async def rotate_webhook_secret(call: Call, webhook: str, body: RotateIn) -> SecretOut:
    """Messages carry two signatures, by the new secret and by the one before, until `overlap_hours` are over."""
    overlap = timedelta(hours=body.overlap_hours)
    result = await call.submit(commands.RotateWebhookSecret(target=_private(webhook), overlap=overlap, **call.common()))
    return SecretOut(secret=_secret(call, result.id, result.generation), old_secret_until=result.old_until)


@routes.post(
    "/v1/webhooks/{webhook}/replay",
    scope="webhooks:write",
    summary="Send messages again",
    status=202,
    example={"since": "2026-11-21T00:00:00Z"},
    answer={"after": 4711},
    errors=("webhook_not_found", "invalid_value"),
)
async def replay_webhook(call: Call, webhook: str, body: ReplayIn) -> ReplayOut:
    """Goes back to a place in the sequence, by number or by time, and sends everything from there on, each message
    under the id it had."""
    target = _private(webhook)
    after = body.after
    if (after is None) == (body.since is None):
        raise Problem("invalid_value", "Send one of `after` and `since`.", field="after")
    if after is None:
        moment = instant(body.since, "since")
        assert moment is not None
        after = await call.services.reader.place_at(call.org_id, moment)
    result = await call.submit(commands.ReplayWebhook(target=target, after=after, **call.common()))
    return ReplayOut(after=result.after)


@routes.get(
    "/v1/webhooks/{webhook}/deliveries",
    scope="webhooks:read",
    summary="List attempts",
    errors=("webhook_not_found",),
)
async def list_deliveries(call: Call, webhook: str, query: DeliveryQuery) -> DeliveryPage:
    """What was sent and what came of it, newest first."""
    target = _private(webhook)
    filters = ("deliveries", target, query.message, query.outcome)
    before = place_no(query.cursor, *filters)
    await _row(call, target)
    message = None
    if query.message is not None:
        message = named_id("evt", query.message, "invalid_value", "message", "A message is named by its `evt_…`.")
    rows = await call.services.reader.deliveries(
        call.org_id, target, message, query.outcome or "", before, query.limit + 1
    )
    shown, next_cursor = page(rows, query.limit, lambda row: row.no, *filters)
    return DeliveryPage(data=tuple(_delivery(row) for row in shown), next_cursor=next_cursor)


def _private(webhook: str) -> str:
    return named_id("whk", webhook, "webhook_not_found", "webhook")


async def _row(call: Call, webhook_id: str) -> WebhookRow:
    row = await call.services.reader.webhook(call.org_id, webhook_id)
    if row is None:
        raise Problem("webhook_not_found", field="webhook")
    return row


def _secret(call: Call, webhook_id: str, generation: int) -> str:
    return signatures.shown(call.services.auth.webhook_secret(webhook_id, generation))


def _shown(row: WebhookRow, secret: str | None = None) -> WebhookOut:
    return WebhookOut(
        id=public("whk", row.id),
        url=row.url,
        events=row.filters,
        description=row.description,
        status=row.status,
        reason=row.reason,
        created_at=row.created_at,
        old_secret_until=row.old_until,
        last_event=row.seq,
        events_waiting=max(0, row.head - row.seq),
        members_behind=row.members_behind,
        failing_since=row.failing_since,
        last_success_at=row.last_success_at,
        secret=secret,
    )


def _delivery(row: DeliveryRow) -> DeliveryOut:
    return DeliveryOut(
        message=public("evt", row.message_id),
        type=row.message_type,
        event_log_id=row.event_seq,
        attempt=row.attempt,
        outcome=row.outcome,
        status=row.status or None,
        sent_at=row.sent_at,
        duration_ms=row.duration_ms,
        answer=row.answer,
    )
