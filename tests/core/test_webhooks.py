"""Endpoints as the core decides them, however their commands are grouped."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.core import commands as c
from guerdon.core.events import Name
from guerdon.core.messages import TYPES, known_filter, names
from guerdon.core.outcomes import Outcome, Rejected
from guerdon.core.webhooks import Webhook
from tests.model.store import MemoryStore, one_by_one, result, run

NOON = datetime(2027, 1, 1, 12, tzinfo=UTC)
URL = "https://example.com/hook"
C = TypeVar("C", bound=c.Command)


def make(number: int, kind: type[C], **fields: Any) -> C:
    return kind(id=f"01900000-0000-7000-8000-{number:06x}000000", at=NOON + timedelta(minutes=number), **fields)


class Endpoints:
    """Commands one by one on an organisation in memory."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self._number = 0

    def do(self, kind: type[c.Command], **fields: Any) -> Outcome:
        self._number += 1
        return one_by_one(self.store, [make(self._number, kind, **fields)])[0]

    def added(self, **fields: Any) -> str:
        return str(result(self.do(c.AddWebhook, **{"url": URL, **fields})).id)

    def refused(self, kind: type[c.Command], **fields: Any) -> tuple[str, str]:
        outcome = self.do(kind, **fields)
        assert isinstance(outcome, Rejected), outcome
        return outcome.code.value, outcome.field

    def at(self, id: str) -> Webhook:
        found: Webhook = self.store.rows("webhooks")[id]
        return found


def test_every_event_has_a_message_type_of_its_own() -> None:
    assert set(TYPES) == {name.value for name in Name}
    assert len(set(TYPES.values())) == len(TYPES)
    assert all(known_filter(type_) for type_ in TYPES.values())


def test_filters_let_through_what_they_name() -> None:
    assert names(()) == names(("*",)) == list(TYPES)
    assert names(("member.registered",)) == ["CustomerRegistration"]
    assert set(names(("member.*", "referral.awarded"))) == {"CustomerRegistration", "CustomerMerge", "ReferralAward"}
    assert not any(
        known_filter(text) for text in ("", "points", "points.", "points.*x", "*.redeemed", "POINTS.*", "**")
    )


def test_an_endpoint_must_lead_to_a_public_place_and_ask_for_messages_there_are() -> None:
    endpoints = Endpoints()
    assert endpoints.refused(c.AddWebhook, url="https://127.1/") == ("address_not_public", "url")
    assert endpoints.refused(c.AddWebhook, url=URL, filters=("points.*", "x.y")) == ("invalid_value", "events[1]")
    added = endpoints.added()
    assert endpoints.refused(c.ChangeWebhook, target=added, url="http://example.com/") == ("invalid_value", "url")
    assert endpoints.at(added).url == URL
    endpoints.added(url="http://127.0.0.1:80/", private=True)


def test_what_is_not_sent_with_a_change_stays() -> None:
    endpoints = Endpoints()
    added = endpoints.added(filters=("points.*",), description="till")
    before = endpoints.at(added)
    result(endpoints.do(c.ChangeWebhook, target=added, status="paused"))
    after = endpoints.at(added)
    assert (after.url, after.filters, after.description) == (before.url, before.filters, before.description)
    assert after.status == "paused"
    result(endpoints.do(c.ChangeWebhook, target=added, filters=()))
    assert endpoints.at(added).filters == ()


def test_the_old_secret_ends_with_its_overlap_and_a_week_at_the_latest() -> None:
    endpoints = Endpoints()
    added = endpoints.added()
    rotated = result(endpoints.do(c.RotateWebhookSecret, target=added, overlap=timedelta(hours=1)))
    assert (rotated.generation, rotated.old_until) == (2, NOON + timedelta(hours=1, minutes=2))
    for overlap in (timedelta(days=8), timedelta(hours=-1)):
        assert endpoints.refused(c.RotateWebhookSecret, target=added, overlap=overlap)[1] == "overlap_hours"
    assert endpoints.at(added).generation == 2


def test_a_pause_is_an_event_once_and_activating_begins_anew() -> None:
    endpoints = Endpoints()
    added = endpoints.added()
    for _ in range(2):
        result(endpoints.do(c.PauseWebhook, target=added, reason="it answered 410 Gone", actor="guerdon"))
    (event,) = endpoints.store.rows("events").values()
    assert (event.name, event.member_no, event.reference) == ("WebhookPaused", 0, f"whk_{added}")
    assert endpoints.at(added).reason == "it answered 410 Gone"
    result(endpoints.do(c.ChangeWebhook, target=added, status="active"))
    assert (endpoints.at(added).reason, endpoints.at(added).active_since) == ("", NOON + timedelta(minutes=4))


def test_a_replay_begins_at_a_number_that_there_is() -> None:
    endpoints = Endpoints()
    added = endpoints.added()
    assert endpoints.refused(c.ReplayWebhook, target=added, after=1) == ("invalid_value", "after")
    result(endpoints.do(c.PauseWebhook, target=added, reason="x"))
    result(endpoints.do(c.ReplayWebhook, target=added, after=1))
    assert (endpoints.at(added).replays, endpoints.at(added).start_seq) == (1, 1)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (c.ChangeWebhook, {}),
        (c.RotateWebhookSecret, {"overlap": timedelta(0)}),
        (c.ReplayWebhook, {"after": 0}),
        (c.PauseWebhook, {"reason": "x"}),
        (c.RemoveWebhook, {}),
    ],
)
def test_what_was_removed_or_never_was_is_not_found(kind: type[c.Command], fields: dict[str, Any]) -> None:
    endpoints = Endpoints()
    added = endpoints.added()
    result(endpoints.do(c.RemoveWebhook, target=added))
    for target in (added, "01900000-0000-7000-8000-ffffff000000"):
        assert endpoints.refused(kind, target=target, **fields) == ("webhook_not_found", "webhook")


STEPS = st.sampled_from([
    (c.AddWebhook, {"url": URL}),
    (c.ChangeWebhook, {"status": "paused"}),
    (c.ChangeWebhook, {"status": "active", "filters": ("points.*",)}),
    (c.RotateWebhookSecret, {"overlap": timedelta(hours=1)}),
    (c.ReplayWebhook, {"after": 1}),
    (c.PauseWebhook, {"reason": "dead"}),
    (c.RemoveWebhook, {}),
])  # fmt: skip


@settings(max_examples=60)
@given(
    st.lists(st.tuples(STEPS, st.integers(1, 4), st.booleans()), max_size=14), st.lists(st.integers(1, 5), max_size=6)
)
def test_any_grouping_of_the_same_commands_gives_the_same_endpoints(steps: Any, sizes: list[int]) -> None:
    commands = []
    for number, ((kind, fields), target, keyed) in enumerate(steps, 1):
        aimed = {} if kind is c.AddWebhook else {"target": f"01900000-0000-7000-8000-{target:06x}000000"}
        commands.append(make(number, kind, **fields, **aimed, key=f"k{target}" if keyed else "", actor="tester"))
    alone, grouped = MemoryStore(), MemoryStore()
    assert run(grouped, commands, sizes) == one_by_one(alone, commands)
    assert grouped.rows("webhooks") == alone.rows("webhooks")
    assert grouped.rows("events") == alone.rows("events")
    assert grouped.last_hash == alone.last_hash
