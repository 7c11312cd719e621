"""Browsers: which web pages may ask in a member's name, and read what is answered (the Fetch standard's CORS).

Nothing unless an operator names origins. Then only routes that are open to member tokens, and of those only what is
asked with such a token: a page that holds an API key gets nothing it can read, so that nobody builds one. No cookies
and no credentials of the browser's are ever involved.
"""

from __future__ import annotations

from collections.abc import Iterable

from guerdon.api import tokens
from guerdon.api.asgi import Headers

_Pairs = tuple[tuple[bytes, bytes], ...]

PREFLIGHT_S = 600
_ASKED_WITH = b"authorization, content-type, idempotency-key, x-request-id"
_SHOWN = b"idempotency-replayed, retry-after, x-request-id"


class Browsers:
    """The origins whose pages may ask."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origin.encode("ascii") for origin in origins)

    def preflight(self, headers: Headers) -> str:
        """The method that a browser asks leave for, "" when it is no page of ours that asks."""
        if headers.get(b"origin") not in self._origins:
            return ""
        return headers.get(b"access-control-request-method", b"").decode("latin-1")

    def leave(self, headers: Headers, methods: Iterable[str]) -> _Pairs:
        """What is answered to a preflight."""
        return (
            (b"access-control-allow-origin", headers[b"origin"]),
            (b"access-control-allow-methods", ", ".join(sorted(methods)).encode()),
            (b"access-control-allow-headers", _ASKED_WITH),
            (b"access-control-max-age", str(PREFLIGHT_S).encode()),
            (b"vary", b"origin"),
        )

    def shows(self, headers: Headers, token: str) -> _Pairs:
        """What lets a page read an answer that it asked for with a token, the refusal of a token included."""
        origin = headers.get(b"origin")
        if origin is None or not self._origins:
            return ()
        if origin not in self._origins or not token.startswith(tokens.PREFIX):
            return ((b"vary", b"origin"),)
        return (
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", _SHOWN),
            (b"vary", b"origin"),
        )
