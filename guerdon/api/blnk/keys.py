"""`/api-keys`: keys with scopes. The key itself is shown once, in the answer that makes it."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from msgspec import Struct

from guerdon.api.auth import new_token
from guerdon.api.blnk import wire
from guerdon.api.blnk.errors import BlnkError, malformed
from guerdon.api.blnk.routing import Call, Routes
from guerdon.core.commands import IssueKey, RevokeKey
from guerdon.store.read_blnk import KeyRow

routes = Routes("api-keys")

_SCOPE = re.compile(r"(\*|[a-z][a-z-]{0,40}):(\*|read|write|delete)")
_TEXT_MAX = 200
_SCOPES_MAX = 50


class KeyIn(Struct):
    name: str | None = None
    scopes: list[str] | None = None
    owner: str | None = None
    expires_at: str | None = None


@routes.post("/api-keys")
async def create_key(call: Call, body: KeyIn) -> dict[str, Any]:
    """A key with all scopes names the owner; any other may only act for its own, and passes on what it has itself."""
    expires_at = _checked(body)
    owner = _owner(call, body.owner or "")
    scopes = tuple(body.scopes or ())
    if not all(call.principal and call.principal.may(scope) for scope in scopes):
        raise BlnkError("AUTH_SCOPE_ESCALATION", "requested scopes exceed the scopes of the API key")
    common = call.common()
    token = new_token(common["id"])
    command = IssueKey(
        name=body.name or "",
        owner=owner,
        scopes=scopes,
        hash=call.services.auth.fingerprint(token),
        expires_at=expires_at,
        **common,
    )
    opened = await call.submit(command)
    row = KeyRow(
        id=opened.id,
        name=command.name,
        owner=owner,
        scopes=scopes,
        created_at=opened.created_at,
        expires_at=expires_at,
        revoked_at=None,
        last_used_at=None,
    )
    return {**shown(row), "key": token}


@routes.get("/api-keys")
async def list_keys(call: Call) -> list[dict[str, Any]]:
    owner = _owner(call, call.parameter("owner"))
    return [shown(row) for row in await call.reader.keys(call.org_id, owner)]


@routes.delete("/api-keys/{key_id}", status=204)
async def revoke_key(call: Call, key_id: str) -> None:
    owner = _owner(call, call.parameter("owner"))
    plain = wire.plain_id(key_id, "api_key", "key")
    if plain is None:
        raise BlnkError("APIKEY_NOT_FOUND", "API key not found")
    await call.submit(RevokeKey(target=plain, owner=owner, **call.common()))
    call.services.auth.forget()


def shown(row: KeyRow) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "api_key_id": f"api_key_{row.id}",
        "key": "",
        "name": row.name,
        "owner_id": row.owner,
        "scopes": row.scopes,
        "expires_at": wire.time_text(row.expires_at),
        "created_at": wire.time_text(row.created_at),
        "last_used_at": wire.time_text(row.last_used_at),
        "is_revoked": row.revoked_at is not None,
    }
    if row.revoked_at is not None:
        answer["revoked_at"] = wire.time_text(row.revoked_at)
    return answer


def _owner(call: Call, asked: str) -> str:
    """The owner to act for: whoever is named by a key with all scopes, else the key's own."""
    if call.may_do_all:
        if not asked:
            raise BlnkError("APIKEY_OWNER_REQUIRED", "owner is required when using the master key")
        return asked
    own = "" if call.principal is None else call.principal.owner
    if asked not in ("", own):
        raise BlnkError("AUTH_CROSS_OWNER_ACCESS", "API keys can only act for their own owner")
    return own


def _checked(body: KeyIn) -> datetime | None:
    missing = [name for name in ("name", "scopes", "expires_at") if not getattr(body, name)]
    if missing:
        raise malformed(f"{', '.join(missing)} required")
    scopes = body.scopes or []
    long = max(len(body.name or ""), len(body.owner or "")) > _TEXT_MAX
    if long or len(scopes) > _SCOPES_MAX or not all(_SCOPE.fullmatch(scope) for scope in scopes):
        raise BlnkError("APIKEY_INVALID", "scopes are `resource:action` with action read, write, delete or *")
    try:
        return wire.instant(body.expires_at)
    except ValueError:
        raise malformed("expires_at is not an RFC 3339 time") from None
