"""What was queued is done once, whoever does it, however often it is begun."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import uuid_utils

from guerdon.audit.verify import audit
from guerdon.core import commands as c
from guerdon.jobs import imports
from guerdon.jobs.queue import Queue
from guerdon.store import imports as stored
from guerdon.store.read import Reader
from tests.audit.books import Books, books
from tests.conftest import Database

ROWS = 450


@pytest.fixture
async def shop(database: Database) -> AsyncIterator[Books]:
    async with books(database.app_dsn) as b:
        await b.set_up()
        yield b
    assert audit(database.app_dsn, tell=lambda _: None).findings == []


async def ask(shop: Books, kind: str, rows: list[dict[str, str]], key: str | None = None) -> str:
    content = msgspec.json.encode(rows)
    async with shop.pool.connection() as connection:
        id, _ = await stored.ask(
            connection,
            shop.org_id,
            id=str(uuid_utils.uuid7()),
            kind=kind,
            program="",
            actor="till",
            key=key,
            fingerprint=hashlib.sha256(content).digest(),
            content=content.decode(),
            rows=len(rows),
            now=shop.now,
        )
    return id


def members(count: int = ROWS) -> list[dict[str, str]]:
    return [{"external_id": f"m{number}"} for number in range(count)]


async def finished(shop: Books, id: str) -> Any:
    async with asyncio.timeout(60):
        while True:
            found = await Reader(shop.pool).import_(shop.org_id, id)
            assert found is not None
            if found.finished_at is not None:
                return found
            await asyncio.sleep(0.05)


def queue(shop: Books, database: Database, **given: Any) -> Queue:
    return Queue(database.app_dsn, shop.pool, shop.writer, now=lambda: shop.now, **given)


async def test_an_import_is_done_by_one_of_two_processes_once(shop: Books, database: Database) -> None:
    ids = [await ask(shop, "members", members()), await ask(shop, "members", members())]
    async with books(database.app_dsn) as other:
        other.now = shop.now
        queues = [queue(shop, database), queue(other, database)]
        for each in queues:
            await each.start()
        first, second = [await finished(shop, id) for id in ids]
        for each in queues:
            await each.stop()
    assert (first.accepted + second.accepted, first.replayed + second.replayed) == (ROWS, ROWS)
    assert await shop.value("select count(*) from members") == ROWS
    assert await shop.value("select count(*) from import_results") == 2 * ROWS


async def test_begun_twice_at_the_same_time_every_row_is_still_booked_once(shop: Books) -> None:
    id = await ask(shop, "members", members())
    await asyncio.gather(
        *[imports.run(shop.pool, shop.writer, lambda: shop.now, lambda: False, shop.org_id, id) for _ in range(3)]
    )
    assert await shop.value("select count(*) from members") == ROWS
    assert (await finished(shop, id)).rejected == 0
    before = await shop.value("select seq from heads")
    await imports.run(shop.pool, shop.writer, lambda: shop.now, lambda: False, shop.org_id, id)
    assert await shop.value("select seq from heads") == before


async def test_what_a_process_had_begun_when_it_died_is_begun_again(shop: Books, database: Database) -> None:
    id = await ask(shop, "members", members())
    # a worker took it, was last heard of an hour ago, and had booked some rows without saying so
    async with shop.pool.connection() as connection:
        await connection.execute("set search_path = jobs, public")
        await connection.execute(
            "insert into procrastinate_workers (last_heartbeat) values (now() - interval '1 hour')"
        )
        await connection.execute(
            "select procrastinate_fetch_job_v2(array['imports'], (select id from procrastinate_workers))"
        )
        await connection.execute("reset search_path")
    for row in members(20):
        await shop.ok(c.RegisterMember, identifiers=(("external_id", row["external_id"]),))
    reviving = queue(shop, database, stalled_s=1.0)
    await reviving.start()
    done = await finished(shop, id)
    await reviving.stop()
    assert (done.accepted, done.replayed) == (ROWS - 20, 20)


async def test_stopped_in_the_middle_it_goes_on_later(shop: Books, database: Database) -> None:
    id = await ask(shop, "members", members(3_000))
    first = queue(shop, database)
    await first.start()
    async with asyncio.timeout(30):
        while not await shop.value("select count(*) from import_results"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await first.stop()
    assert (await Reader(shop.pool).import_(shop.org_id, id)).finished_at is None  # type: ignore[union-attr]
    second = queue(shop, database, stalled_s=1.0)
    await second.start()
    done = await finished(shop, id)
    await second.stop()
    assert done.accepted + done.replayed == 3_000
    assert await shop.value("select count(*) from members") == 3_000


async def test_the_same_key_asks_for_the_same_import(shop: Books) -> None:
    rows = members(3)
    assert await ask(shop, "members", rows, "K-1") == await ask(shop, "members", rows, "K-1")
    assert await shop.value("select count(*) from jobs.procrastinate_jobs") == 1
