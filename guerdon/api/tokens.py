"""Member tokens: what a member's own browser shows instead of a key.

`gd_member_<content>.<mac>`: the content names the organisation, the member, the key that made it and its end, and is
signed with the server's pepper, so nothing is stored. A token opens only the routes that are marked `own`, and those
only for its member; it ends with its time, or with the key that made it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

import msgspec
from msgspec import Struct

PREFIX = "gd_member_"
_DOMAIN = b"guerdon member token\n"


class MemberToken(Struct, frozen=True, array_like=True):
    """`member` is an id; `key_id` is "" where the platform key made it; `ends` in seconds since 1970."""

    org_id: int
    member: str
    key_id: str
    ends: int


def write(pepper: bytes, token: MemberToken) -> str:
    content = msgspec.json.encode(token)
    return f"{PREFIX}{_text(content)}.{_text(_mac(pepper, content))}"


def read(pepper: bytes, text: str) -> MemberToken | None:
    """What a token says, None when it is not one of ours. Whether its time is over is the reader's to ask."""
    content, _, mac = text.removeprefix(PREFIX).partition(".")
    try:
        said, signed = _bytes(content), _bytes(mac)
    except (binascii.Error, ValueError):
        return None
    if not text.startswith(PREFIX) or not hmac.compare_digest(signed, _mac(pepper, said)):
        return None
    return msgspec.json.decode(said, type=MemberToken)


def _mac(pepper: bytes, content: bytes) -> bytes:
    return hmac.digest(pepper, _DOMAIN + content, hashlib.sha256)


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
