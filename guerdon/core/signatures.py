"""Signatures of messages, by Standard Webhooks 1.0: HMAC-SHA-256 over `id.timestamp.body`, `v1,` and base64.

Secrets are stored nowhere. Each is derived from the installation's own secret, the endpoint and the generation of its
secret, so that a stolen database signs nothing, and the same request under the same `Idempotency-Key` shows the same
secret again. Whoever loses the installation's secret loses these with the API keys.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence

PREFIX = "whsec_"
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
    signed = f"{message_id}.{timestamp}.".encode() + body
    made = [base64.b64encode(hmac.digest(each, signed, hashlib.sha256)).decode() for each in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{one}" for one in made),
    }
