"""API keys from the command line: for whoever operates an installation, with or without a running server.

Promises: a key is made by the same command as over HTTP, so it stands in the books like any other, and its secret
is returned once and stored nowhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from guerdon.api.auth import fingerprint, new_token
from guerdon.api.services import new_command_id
from guerdon.api.values import private, public
from guerdon.core.commands import Command, IssueKey, RevokeKey
from guerdon.core.outcomes import Rejected
from guerdon.installation import Installation
from guerdon.settings import Settings
from guerdon.store.pool import make_pool
from guerdon.store.read import KeyRow, Reader
from guerdon.writer import Writer

ACTOR = "operator"
LISTED_MAX = 10_000

_Answer = TypeVar("_Answer")


class KeyRefused(RuntimeError):
    """The key cannot be made or revoked; the message says why."""


def create(
    installation: Installation,
    settings: Settings,
    *,
    organisation: str,
    name: str,
    scopes: tuple[str, ...],
    valid_days: int | None = None,
) -> str:
    """Make a key for the organisation (code or id) and return it; without `valid_days` it is valid for ever."""
    now = datetime.now(UTC)
    id = new_command_id()
    token = new_token(id)
    command = IssueKey(
        id=id,
        at=now,
        actor=ACTOR,
        name=name,
        owner="",
        scopes=scopes,
        hash=fingerprint(installation.key_pepper, token),
        expires_at=now + timedelta(days=valid_days) if valid_days else None,
    )
    _submit(installation, settings, organisation, command)
    return token


def revoke(installation: Installation, settings: Settings, *, organisation: str, key: str) -> None:
    """End a key by its public id (`key_...`); running servers notice within a second."""
    target = private("key", key)
    if target is None:
        raise KeyRefused(f"{key} is no key's id; guerdon key list shows them")
    command = RevokeKey(id=new_command_id(), at=datetime.now(UTC), actor=ACTOR, target=target)
    _submit(installation, settings, organisation, command)


def listed(installation: Installation, *, organisation: str) -> list[tuple[str, KeyRow]]:
    """Every key of the organisation by public id, newest first."""

    async def read(reader: Reader, org_id: int) -> list[KeyRow]:
        return await reader.keys(org_id, None, LISTED_MAX)

    rows = asyncio.run(_with_reader(installation, organisation, read))
    return [(public("key", row.id), row) for row in rows]


def _submit(installation: Installation, settings: Settings, organisation: str, command: Command) -> None:
    async def submit(_: Reader, org_id: int) -> None:
        async with make_pool(installation.app_dsn, name="guerdon-key", size_max=1) as pool:
            writer = Writer(pool, settings)
            await writer.start()
            try:
                outcome = await writer.submit(org_id, command)
            finally:
                await writer.stop()
        if isinstance(outcome, Rejected):
            raise KeyRefused(f"{outcome.code}: {outcome.detail}")

    asyncio.run(_with_reader(installation, organisation, submit))


async def _with_reader(
    installation: Installation, organisation: str, act: Callable[[Reader, int], Awaitable[_Answer]]
) -> _Answer:
    async with AsyncExitStack() as stack:
        pool = make_pool(installation.app_dsn, name="guerdon-key-reads", size_max=1, autocommit=True)
        reader = Reader(await stack.enter_async_context(pool))
        found = await reader.organisation(organisation)
        if found is None:
            raise KeyRefused(f"there is no organisation {organisation}")
        return await act(reader, found.org_id)
