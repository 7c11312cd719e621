"""`/v1/keys`: API keys of an organisation. A key is shown once, when it is made."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from guerdon.api.auth import new_token
from guerdon.api.call import Call
from guerdon.api.problem import Problem
from guerdon.api.routing import Routes
from guerdon.api.values import Body, Name, PageQuery, Shown, cursor, instant, named_id, place, private, public
from guerdon.core import commands
from guerdon.store.read import KeyRow

routes = Routes("API keys")

_SCOPE = r"^(\*|[a-z][a-z-]*):(\*|read|write|delete|evaluate|commit)$"
Scope = Annotated[str, Meta(pattern=_SCOPE, max_length=64, description="`resource:action`, `*` for any")]
Scopes = Annotated[tuple[Scope, ...], Meta(min_length=1, max_length=50)]


class KeyIn(Body, frozen=True, kw_only=True):
    name: Name
    scopes: Scopes
    owner: Annotated[str, Meta(max_length=200, description="Who answers for the key")] = ""
    expires_at: datetime | None = None


class KeyOut(Shown, frozen=True, kw_only=True):
    """`key` is the secret itself, there only in the answer that made it."""

    id: str
    name: str
    owner: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None = None
    key: str | None = None


class KeyPage(Shown, frozen=True, kw_only=True):
    data: tuple[KeyOut, ...]
    next_cursor: str | None


_BODY = {"name": "Checkout", "scopes": ["purchases:write", "members:read"]}


@routes.post(
    "/v1/keys",
    scope="keys:write",
    summary="Make an API key",
    example=_BODY,
    answer=_BODY
    | {
        "id": "key_0199b1f0-2c3e-7c11-9a52-5b7d3c000000",
        "owner": "",
        "created_at": "2026-11-21T10:00:00Z",
        "expires_at": None,
        "revoked_at": None,
        "key": "gd_live_0199b1f02c3e7c119a525b7d3c000000_…",
    },
    errors=("insufficient_scope",),
)
async def create_key(call: Call, body: KeyIn) -> KeyOut:
    """The answer holds the key, once: it is not stored and cannot be shown again, not even for the same
    `Idempotency-Key`. A key can only pass on scopes it has itself."""
    for position, scope in enumerate(body.scopes):
        if call.principal is None or not call.principal.may(scope):
            detail = f"A key cannot give away `{scope}`, which it does not have."
            raise Problem("insufficient_scope", detail, field=f"scopes[{position}]", extra={"scope": scope})
    common = call.common()
    token = new_token(common["id"])
    expires_at = instant(body.expires_at, "expires_at")
    command = commands.IssueKey(
        name=body.name,
        owner=body.owner,
        scopes=body.scopes,
        hash=call.services.auth.fingerprint(token),
        expires_at=expires_at,
        **common,
    )
    result = await call.submit(command)
    return KeyOut(
        id=public("key", result.id),
        name=body.name,
        owner=body.owner,
        scopes=body.scopes,
        created_at=result.created_at,
        expires_at=expires_at,
        key=None if call.replayed else token,
    )


@routes.get("/v1/keys", scope="keys:read", summary="List API keys")
async def list_keys(call: Call, query: PageQuery) -> KeyPage:
    """Newest first, revoked ones too, never the secrets."""
    before = place(query.cursor, "keys")
    if before is not None and private("key", f"key_{before}") is None:
        raise Problem("invalid_cursor", field="cursor")
    rows = await call.services.reader.keys(call.org_id, before, query.limit + 1)
    more = len(rows) > query.limit
    rows = rows[: query.limit]
    return KeyPage(data=tuple(_shown(row) for row in rows), next_cursor=cursor(rows[-1].id, "keys") if more else None)


@routes.delete("/v1/keys/{key}", scope="keys:delete", summary="Revoke an API key", errors=("key_not_found",))
async def revoke_key(call: Call, key: str) -> None:
    """It stops working within a second, on every server."""
    target = named_id("key", key, "key_not_found", "key")
    await call.submit(commands.RevokeKey(target=target, **call.common()))
    call.services.auth.forget()


def _shown(row: KeyRow) -> KeyOut:
    return KeyOut(
        id=public("key", row.id),
        name=row.name,
        owner=row.owner,
        scopes=row.scopes,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
