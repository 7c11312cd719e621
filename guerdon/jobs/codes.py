"""Making the codes that a batch still wants: some are reckoned in a thread while others are stored, so that neither
waits for the other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from guerdon.core.codes import CodeBatch, next_codes

Store = Callable[[int, tuple[str, ...]], Coroutine[Any, Any, bool]]
STORED_AT_ONCE = 2
"""So many portions are with the writer, which loads for one while the one before it is committed."""


async def make(batch: CodeBatch, store: Store, at_most: int) -> int:
    """Have portions of a batch stored, one `AddCodes` each, until none is left or `at_most` were. How many were.

    `store` gets the place in the batch where a portion starts, and its codes; it answers whether they are stored. If
    one is not, somebody else is at it too, or it was stopped: that is the end. Each portion is reckoned as though all
    before it are stored whole; where the organisation had some of those codes, the batch lacks as many in the end, and
    has to be looked at again.
    """
    storing: deque[asyncio.Task[bool]] = deque()

    count = 0
    try:
        while count < at_most and (codes := await asyncio.to_thread(next_codes, batch)):
            if len(storing) == STORED_AT_ONCE and not await storing.popleft():
                break
            count += 1
            storing.append(asyncio.create_task(store(batch.next_index, codes)))
            batch = msgspec.structs.replace(
                batch, next_index=batch.next_index + len(codes), made=batch.made + len(codes)
            )
    finally:
        await asyncio.gather(*storing)
    return count
