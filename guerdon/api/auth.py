"""Who asks: API keys, the platform key, and what each may do.

A key is `gd_live_<id>_<secret>` with 256 random bits of secret; only HMAC-SHA-256 of it under the server's pepper is
stored. A found key is trusted for at most `FRESH_S` seconds, so a revoked one stops working within that time. The same
keys open `/v1` (`Authorization: Bearer`) and `/blnk` (`X-Blnk-Key`).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from guerdon.api import tokens
from guerdon.api.problem import Problem
from guerdon.api.values import public
from guerdon.core import signatures
from guerdon.store.read import Reader

PREFIX = "gd_live_"
FRESH_S = 1.0
_REMEMBERED_MAX = 10_000
_PLATFORM = "platform"


class Principal(Struct, frozen=True):
    """Who asks: the organisation (0 = none named), the credential that outcomes are stored under, and its scopes.

    `platform` is the operator's own key, which may do everything in any organisation. `member` is whose token it is, by
    id: such a principal has no scopes at all, only the routes that are open to members.
    """

    org_id: int
    credential: str
    scopes: frozenset[str] = frozenset()
    platform: bool = False
    key_id: str = ""
    owner: str = ""
    member: str = ""

    def may(self, scope: str) -> bool:
        """Whether a `resource:action` scope is covered. `*` stands for any; write does not imply read."""
        if self.platform or scope in self.scopes:
            return True
        resource, _, action = scope.partition(":")
        return bool(self.scopes & {f"{resource}:*", f"*:{action}", "*:*", "*"})


def new_token(key_id: str) -> str:
    """A fresh key for the key with this id (uuid text). It is shown once and stored nowhere."""
    return f"{PREFIX}{key_id.replace('-', '')}_{secrets.token_urlsafe(32)}"


def fingerprint(pepper: bytes, token: str) -> bytes:
    """What is stored of a key: 32 bytes that neither reveal the key nor can be checked without the pepper."""
    return hmac.digest(pepper, token.encode("utf-8", "replace"), hashlib.sha256)


def key_id(token: str) -> str | None:
    """The id inside a key as uuid text, None when the text is not one of our keys."""
    if not token.startswith(PREFIX):
        return None
    try:
        return str(UUID(token.removeprefix(PREFIX).partition("_")[0]))
    except ValueError:
        return None


class Authenticator:
    """Answers who a token is."""

    def __init__(
        self,
        *,
        reader: Reader,
        pepper: bytes,
        admin_key: str,
        open_to_all: bool,
        now: Callable[[], datetime],
    ) -> None:
        self._reader = reader
        self._pepper = pepper
        self._salt = secrets.token_bytes(32)
        self._admin = fingerprint(pepper, admin_key)
        self._open = open_to_all
        self._now = now
        self._fresh: dict[tuple[bytes, str | None], tuple[float, Principal]] = {}
        self._looking: dict[tuple[bytes, str | None], asyncio.Future[Principal]] = {}

    async def principal(self, token: str, organisation: str | None = None) -> Principal | None:
        """The principal of a token, None without one; raises `Problem` for one that is not (or no longer) valid."""
        if not token and not self._open:
            return None
        asked = (hashlib.sha256(self._salt + token.encode("utf-8", "replace")).digest(), organisation)
        remembered = self._fresh.get(asked)
        if remembered is not None and remembered[0] > time.monotonic():
            return remembered[1]
        looking = self._looking.get(asked)
        if looking is None:
            looking = asyncio.ensure_future(self._remember(asked, token, organisation))
            self._looking[asked] = looking
        return await asyncio.shield(looking)

    async def _remember(self, asked: tuple[bytes, str | None], token: str, organisation: str | None) -> Principal:
        """Look up once for all that ask at the same time; what was true when we began is trusted from then on."""
        fresh_until = time.monotonic() + FRESH_S
        try:
            found = await self._look_up(token, organisation)
        finally:
            del self._looking[asked]
        if len(self._fresh) >= _REMEMBERED_MAX:
            self._fresh.clear()
        self._fresh[asked] = (fresh_until, found)
        return found

    def fingerprint(self, token: str) -> bytes:
        """What is stored of a key made here."""
        return fingerprint(self._pepper, token)

    def webhook_secret(self, webhook_id: str, generation: int) -> bytes:
        """What an endpoint's messages are signed with."""
        return signatures.secret(self._pepper, webhook_id, generation)

    def forget(self) -> None:
        """Look every key up again; called where one was revoked in this process."""
        self._fresh.clear()

    async def _look_up(self, token: str, organisation: str | None) -> Principal:
        if not token:
            return Principal(await self._named(organisation or "default"), "open", frozenset({"*"}))
        if token.startswith(tokens.PREFIX):
            return await self._member(token)
        digest = fingerprint(self._pepper, token)
        if hmac.compare_digest(digest, self._admin):
            org_id = 0 if organisation is None else await self._named(organisation)
            return Principal(org_id, _PLATFORM, platform=True)
        identifier = key_id(token)
        key = None if identifier is None else await self._reader.key(identifier)
        if key is None or not hmac.compare_digest(digest, key.hash) or key.revoked_at is not None:
            raise Problem("key_invalid")
        if key.expires_at is not None and key.expires_at <= self._now():
            raise Problem("key_expired")
        return Principal(key.org_id, key.id, frozenset(key.scopes), key_id=key.id, owner=key.owner)

    def member_token(self, org_id: int, member: str, key_id: str, ends: datetime) -> str:
        """A token for a member (by id), made with a key ("" for the platform's)."""
        content = tokens.MemberToken(org_id=org_id, member=member, key_id=key_id, ends=int(ends.timestamp()))
        return tokens.write(self._pepper, content)

    async def _member(self, token: str) -> Principal:
        said = tokens.read(self._pepper, token)
        if said is None:
            raise Problem("key_invalid")
        if said.ends <= self._now().timestamp():
            raise Problem("key_expired")
        if said.key_id:
            key = await self._reader.key(said.key_id)
            if key is None or key.revoked_at is not None:
                raise Problem("key_invalid")
            if key.expires_at is not None and key.expires_at <= self._now():
                raise Problem("key_expired")
        return Principal(said.org_id, f"member:{said.member}", member=said.member)

    async def _named(self, organisation: str) -> int:
        row = await self._reader.organisation(organisation)
        if row is None:
            raise Problem("organisation_not_found", f"There is no organisation `{organisation[:80]}`.")
        return row.org_id


def own_member(principal: Principal, named: str) -> str:
    """The member that a member token's request is about: its own, as `me` or by id. Others do not exist for it."""
    own = public("mem", principal.member)
    if named not in ("me", own):
        raise Problem("member_not_found", f"`{named[:80]}` names no member here.", field="member")
    return own


def require(principal: Principal | None, scope: str) -> None:
    """Refuse unless the principal may do what `scope` says: "" nothing needed, `platform` only the operator."""
    if not scope:
        return
    if principal is None:
        raise Problem("key_missing")
    if scope == _PLATFORM:
        if not principal.platform:
            raise Problem("platform_key_required")
        return
    if not principal.may(scope):
        raise Problem("insufficient_scope", f"The scope `{scope}` is needed.", extra={"scope": scope})
    if not principal.org_id:
        raise Problem("organisation_required")
