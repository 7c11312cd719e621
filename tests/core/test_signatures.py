"""Signatures, checked by the public library that receivers use."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from guerdon.core import signatures

OLD, NEW = [signatures.secret(b"pepper", "0199b1f0-2c3e-7c11-9a52-5b7d3c000000", n) for n in (1, 2)]
BODY = '{"type":"points.redeemed","data":{"reason":"Grüße"}}'.encode()


def signed(*secrets: bytes, ago: timedelta = timedelta(0)) -> dict[str, str]:
    return signatures.headers(secrets, "evt_1", int((datetime.now(UTC) - ago).timestamp()), BODY)


def test_a_message_is_verified_with_the_secret_that_was_shown() -> None:
    verified = Webhook(signatures.shown(NEW)).verify(BODY, signed(NEW))
    assert verified["data"]["reason"] == "Grüße"


def test_while_secrets_overlap_both_verify() -> None:
    for secret in (OLD, NEW):
        Webhook(signatures.shown(secret)).verify(BODY, signed(NEW, OLD))
    with pytest.raises(WebhookVerificationError):
        Webhook(signatures.shown(OLD)).verify(BODY, signed(NEW))


@pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_changed_header_is_refused(header: str) -> None:
    headers = signed(NEW)
    value, at = headers[header], 4  # within the id, the time, the digest; its last characters hold bits that none reads
    changed = {**headers, header: value[:at] + ("1" if value[at] != "1" else "2") + value[at + 1 :]}
    with pytest.raises(WebhookVerificationError):
        Webhook(signatures.shown(NEW)).verify(BODY, changed)
    with pytest.raises(WebhookVerificationError):
        Webhook(signatures.shown(NEW)).verify(BODY, {name: text for name, text in headers.items() if name != header})


def test_a_changed_body_is_refused() -> None:
    with pytest.raises(WebhookVerificationError):
        Webhook(signatures.shown(NEW)).verify(BODY.replace(b"redeemed", b"expired_"), signed(NEW))


@pytest.mark.parametrize("ago", [timedelta(minutes=6), timedelta(minutes=-6)])
def test_a_message_from_another_time_is_refused(ago: timedelta) -> None:
    with pytest.raises(WebhookVerificationError, match="timestamp"):
        Webhook(signatures.shown(NEW)).verify(BODY, signed(NEW, ago=ago))


def test_secrets_differ_by_installation_endpoint_and_generation() -> None:
    made = {signatures.secret(p, w, g) for p in (b"a" * 16, b"b" * 16) for w in ("1", "2") for g in (1, 2)}
    assert len(made) == 8
    assert all(len(secret) == 32 for secret in made)
