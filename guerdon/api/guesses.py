"""Protection against guessing codes: who may be told about one, and how often others may try.

A key that may read codes is told everything. All others, and whoever a server asks for in the header `Guerdon-Caller`,
get one and the same refusal for whatever is wrong with a code, after one and the same time, and only so often. Tries
are counted in the database before the code is looked at, so neither many at once nor other servers nor a restart help.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec

from guerdon.api.call import Call
from guerdon.api.problem import Problem
from guerdon.core.promotions.guessing import ANSWER_MS, WINDOW, blocked_until
from guerdon.core.promotions.verdicts import Reason, Verdict
from guerdon.core.results import Evaluated

READ = "codes:read"
_CALLER_MAX = 200


def trusted(call: Call) -> bool:
    """Whether the caller may be told why a code is refused."""
    principal = call.principal
    return principal is not None and principal.may(READ) and b"guerdon-caller" not in call.headers


@asynccontextmanager
async def guarded(call: Call, tries: int = 1) -> AsyncIterator[None]:
    """Present codes on behalf of a caller: inside, whatever is refused is a wrong code.

    Raises `too_many_tries` before that for who has tried too often, and `code_not_valid` in place of any refusal. Who
    is trusted is not counted, and sees the refusals as they are.
    """
    if trusted(call):
        yield
        return
    started = time.monotonic()
    await admit(call, tries)
    try:
        yield
    except Problem as problem:
        if problem.status >= 500:
            await forgive(call, tries)
            raise
        await same_time(started)
        raise Problem("code_not_valid", field="code") from None
    await forgive(call, tries)


_WRONG = frozenset(
    {
        Reason.CODE_UNKNOWN,
        Reason.CODE_DEACTIVATED,
        Reason.CODE_LINKED_TO_ANOTHER,
        Reason.NOT_ACTIVE,
        Reason.NOT_STARTED,
        Reason.ENDED,
        Reason.NOT_IN_AUDIENCE,
        Reason.LIMIT_REACHED,
    }
)
"""Reasons that tell whether there is such a code, to somebody who holds none."""


async def judged(call: Call, codes: int, evaluate: Callable[[], Awaitable[Evaluated]]) -> Evaluated:
    """An evaluation of a cart with so many codes. To who is not trusted, all wrong ones are unknown, and each is a try.
    Raises `too_many_tries` before anything is looked at.
    """
    if not codes or trusted(call):
        return await evaluate()
    started = time.monotonic()
    await admit(call, codes)
    try:
        result = await evaluate()
    except Problem:
        await forgive(call, codes)
        raise
    evaluation = result.evaluation
    wrong = [verdict for verdict in evaluation.others if verdict.code and verdict.reason in _WRONG]
    await forgive(call, max(0, codes - len(wrong)))
    if not wrong:
        return result
    await same_time(started)
    others = [verdict for verdict in evaluation.others if not (verdict.code and verdict.reason in _WRONG)]
    unknown = [
        Verdict(promotion="", code=code, status="not_applied", reason=Reason.CODE_UNKNOWN)
        for code in sorted(verdict.code for verdict in wrong)
    ]
    hidden = msgspec.structs.replace(evaluation, others=(*others, *unknown))
    return msgspec.structs.replace(result, evaluation=hidden)


async def admit(call: Call, tries: int) -> None:
    """Count tries of an untrusted caller. Raises `too_many_tries`."""
    now = call.services.now()
    counted = await call.services.codes.count_tries(call.org_id, _caller(call), tries, now, WINDOW)
    until = blocked_until(counted.tries, counted.since)
    if until is not None:
        seconds = max(1, round((until - now).total_seconds()))
        raise Problem("too_many_tries", headers=((b"retry-after", str(seconds).encode()),))


async def forgive(call: Call, tries: int) -> None:
    """Take tries back that were right."""
    if tries:
        await call.services.codes.give_back_tries(call.org_id, _caller(call), tries)


async def same_time(started: float) -> None:
    """Wait until a refusal takes as long as every other."""
    await asyncio.sleep(max(0.0, started + ANSWER_MS / 1000 - time.monotonic()))


def _caller(call: Call) -> str:
    """Who tries, as it is stored: the key with whom it says it asks for, or else the address that it comes from."""
    assert call.principal is not None
    named = call.headers.get(b"guerdon-caller") if call.principal.may(READ) else None
    who = call.client.encode() if named is None else b"caller " + named[:_CALLER_MAX]
    return hashlib.sha256(call.principal.credential.encode() + b"\n" + who).hexdigest()
