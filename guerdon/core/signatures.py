"""Signatures of messages, by Standard Webhooks 1.0: HMAC-SHA-256 over `id.timestamp.body`, `v1,` and base64.

Secrets are stored nowhere. Each is derived from the installation's own secret, the endpoint and the generation of its
secret, so that a stolen database signs nothing, and the same request under the same `Idempotency-Key` shows the same
secret again. Whoever loses the installation's secret loses these with the API keys.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence

PREFIX = "whsec_"
SIGNATURES_MAX = 20
TOLERANCE_S = 300
"""So far a signed text's time may be from ours (Standard Webhooks)."""
_PURPOSE = b"guerdon webhook secrets, 1"


def secret(pepper: bytes, webhook_id: str, generation: int) -> bytes:
    """The 32 bytes that an endpoint's messages are signed with."""
    root = hmac.digest(pepper, _PURPOSE, hashlib.sha256)
    return hmac.digest(root, f"{webhook_id}:{generation}".encode(), hashlib.sha256)


def shown(secret: bytes) -> str:
    """A secret as receivers are given it."""
    return PREFIX + base64.b64encode(secret).decode()


def headers(secrets: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of a message, with one signature for each secret, the newest first. `timestamp` is in seconds
    since 1970, of this attempt."""
    made = [_signature(each, message_id, str(timestamp), body) for each in secrets]
    return {"webhook-id": message_id, "webhook-timestamp": str(timestamp), "webhook-signature": " ".join(made)}


def fault(secrets: Sequence[bytes], given: Mapping[str, str], body: bytes, message_id: str, now: int) -> str:
    """Why a text that claims to be signed like our messages is not to be believed, "" where it is. It has to be about
    the message that is asked for, signed with one of the secrets, and not older or younger than `TOLERANCE_S`."""
    if given.get("webhook-id", "") != message_id:
        return "it is signed for another message"
    timestamp = given.get("webhook-timestamp", "")
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12):
        return "its timestamp is missing"
    said = given.get("webhook-signature", "").split()[:SIGNATURES_MAX]
    right = [_signature(each, message_id, timestamp, body).encode() for each in secrets]
    if not any(hmac.compare_digest(one.encode(), each) for one in said for each in right):
        return "its signature is wrong"
    if abs(int(timestamp) - now) > TOLERANCE_S:
        return "its timestamp is too old" if int(timestamp) < now else "its timestamp lies ahead"
    return ""


def _signature(secret: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()
