"""A server process of its own for a test: awards a point to a member so many times, 32 at once."""

from __future__ import annotations

import asyncio
import sys

from guerdon.settings import Settings
from guerdon.store.pool import make_pool
from guerdon.writer import Writer
from tests.writer.worlds import award


async def main(dsn: str, org_id: int, member: str, count: int) -> None:
    async with make_pool(dsn, name="second", size_max=2) as pool:
        writer = Writer(pool, Settings())
        await writer.start()
        room = asyncio.Semaphore(32)

        async def one() -> None:
            async with room:
                await writer.submit(org_id, award(member))

        await asyncio.gather(*(one() for _ in range(count)))
        await writer.stop()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
