"""What comes due is done, by whoever looks, once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from guerdon.audit.verify import audit
from guerdon.core import commands as c
from guerdon.core import state
from guerdon.core.places import LATE_MAX
from guerdon.jobs import Jobs, schedule
from guerdon.settings import Settings
from tests.audit.books import Books, books
from tests.conftest import Database

SOON = timedelta(minutes=1)


@pytest.fixture
async def shop(database: Database) -> AsyncIterator[Books]:
    async with books(database.app_dsn) as b:
        await b.set_up()
        yield b
    assert audit(database.app_dsn, tell=lambda _: None).findings == []


def jobs(shop: Books) -> Jobs:
    return Jobs(shop.pool, shop.writer, Settings(job_accounts_max=2), now=lambda: shop.now)


async def names(shop: Books) -> list[str]:
    return [
        row[0] for row in await shop.rows("select name from events where name <> 'CustomerRegistration' order by seq")
    ]


async def test_lots_are_posted_as_expired_when_no_late_fact_may_spend_them_any_more(shop: Books) -> None:
    for name in "abcde":
        await shop.buy(f"B-{name}", await shop.member(name), 1_000)
    ends = await shop.value("select max(expires_at) from lots")
    shop.now = ends + LATE_MAX - SOON
    assert await jobs(shop).run_once() == 0
    shop.now = ends + LATE_MAX
    # ten lots on ten accounts, regular and promised, two accounts at a time
    assert await jobs(shop).run_once() == 5
    assert await shop.value("select count(*) from lots where remaining > 0") == 0
    assert await shop.rows("select distinct event_at, recorded_at from events where name = 'PointsExpiry'") == [
        (ends, shop.now)
    ]


async def test_what_one_account_has_too_much_of_is_posted_by_several_commands(
    shop: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "LOTS_MAX", 2)
    monkeypatch.setattr(state, "DUE_LOTS", 2)
    ada = await shop.member("ada")
    for number in range(5):
        await shop.buy(f"B-{number}", ada, 1_000)
        shop.later(hours=13)
    shop.later(days=60)
    before = await shop.value("select seq from heads")
    await jobs(shop).run_once()
    assert await shop.value("select count(*) from lots where remaining > 0") == 0
    commands = "select count(distinct left(id::text, 30)) from events where name = 'PointsExpiry' and seq > %s"
    assert await shop.value(commands, before) > 2
    posted = await shop.rows(
        "select event_at from events where name = 'PointsExpiry' and lot_moves <> '' order by member_no, seq"
    )
    assert len(posted) > 2
    assert await jobs(shop).run_once() == 0


async def test_a_bill_that_meets_more_than_one_command_posts_has_it_posted_in_parts(
    shop: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "DUE_LOTS", 2)
    ada = await shop.member("ada")
    for number in range(5):
        await shop.buy(f"B-{number}", ada, 1_000)
        shop.later(hours=13)
    shop.later(days=60)
    before = shop.writer.stats.parts
    await shop.buy("B-6", ada, 700)
    assert shop.writer.stats.parts == before + 2
    left = (
        "select count(*) from lots l join accounts a on a.no = l.account"
        " where l.remaining > 0 and l.expires_at <= %s and a.category = %s"
    )
    assert await shop.value(left, shop.now, "regular") == 0
    assert await shop.value(left, shop.now, "promised") == 3, "those it credits besides, with the commands that follow"
    await jobs(shop).run_once()
    assert await shop.value("select count(*) from lots where remaining > 0 and expires_at <= %s", shop.now) == 0


async def test_a_second_run_and_a_second_process_find_nothing_to_do(shop: Books, database: Database) -> None:
    await shop.buy("B-1", await shop.member("ada"), 1_000)
    await shop.post("waits", "@World", "@Shop", 5, allow_overdraft=True, scheduled_for=shop.now + SOON)
    await shop.post("held", "@World", "@Shop", 5, allow_overdraft=True, inflight=True, expires_at=shop.now + SOON)
    await shop.post("asked", "@World", "@Shop", 5, allow_overdraft=True, inflight=True, commits_at=shop.now + SOON)
    shop.later(days=60)
    async with books(database.app_dsn) as other:
        other.now = shop.now
        await asyncio.gather(*[jobs(each).run_once() for each in (shop, other) for _ in range(3)])
    assert (await names(shop)).count("PointsExpiry") == 2
    actions = await shop.rows("select action, count(*) from transfers where event_seq = 0 group by 1 order by 1")
    assert actions == [("apply", 1), ("hold", 2), ("release", 1), ("schedule", 1), ("settle", 1)]
    before = await shop.value("select seq from heads")
    assert await jobs(shop).run_once() == 0
    assert await shop.value("select seq from heads") == before


async def test_a_hold_is_settled_or_let_go_by_what_comes_first(shop: Books) -> None:
    for name, settles, ends in (("settled", 1, 2), ("let go", 2, 1), ("both at once", 1, 1)):
        dates = {"commits_at": shop.now + settles * SOON, "expires_at": shop.now + ends * SOON}
        await shop.post(name, "@World", "@Shop", 5, allow_overdraft=True, inflight=True, **dates)
    shop.later(hours=1)
    await jobs(shop).run_once()
    made = await shop.rows(
        "select h.reference, t.action from transfers h join transfers t on t.parent = h.id"
        " where h.action = 'hold' order by h.seq"
    )
    assert made == [("settled", "settle"), ("let go", "release"), ("both at once", "settle")]


async def test_a_posting_whose_time_comes_is_decided_then_and_its_refusal_is_an_outcome(shop: Books) -> None:
    await shop.post("rich", "@World", "@Shop", 5, scheduled_for=shop.now + SOON, allow_overdraft=True)
    await shop.post("poor", "@Poor", "@Shop", 5, scheduled_for=shop.now + SOON)
    shop.later(minutes=2)
    assert await jobs(shop).run_once() == 2
    assert await shop.rows("select reference, action from transfers where parent is not null order by seq") == [
        ("rich_q", "apply"),
        ("poor_q", "reject"),
    ]
    assert await jobs(shop).run_once() == 0


async def test_points_pinned_by_a_hold_are_left_alone_until_it_is_let_go(shop: Books) -> None:
    ada = await shop.member("ada")
    await shop.buy("B-1", ada, 1_000)
    await shop.post("held", await shop.account(ada), "@PointsAdjusted", 10, asset="POINTS", inflight=True)
    shop.later(days=60)
    await jobs(shop).run_once()
    assert await jobs(shop).run_once() == 0
    assert await shop.rows("select remaining, held from lots where remaining > 0") == [(10, 10)]
    await shop.ok(c.Release, target=await shop.transfer("held"))
    assert await shop.value("select sum(remaining) from lots") == 0


async def test_every_organisation_is_served(shop: Books, database: Database) -> None:
    async with books(database.app_dsn, "other") as other:
        await other.set_up()
        await other.post("waits", "@World", "@Shop", 5, allow_overdraft=True, scheduled_for=other.now + SOON)
        shop.later(days=1)
        assert await jobs(shop).run_once() == 1
        assert await other.value("select done from scheduled")


async def test_what_comes_due_is_done_at_its_time_without_being_asked(
    shop: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "LOOK_EVERY_S", 0.01)
    # real time from here on: the sweep is far away, so that only the commit and the due time can wake the jobs
    started = asyncio.get_running_loop().time()
    begin = shop.now
    running = Jobs(
        shop.pool,
        shop.writer,
        Settings(job_interval_s=3600),
        now=lambda: begin + timedelta(seconds=asyncio.get_running_loop().time() - started),
    )
    await running.start()
    try:
        await asyncio.sleep(0.1)
        in_a_moment = shop.now + timedelta(seconds=0.5)
        await shop.post("waits", "@World", "@Shop", 5, allow_overdraft=True, scheduled_for=in_a_moment)
        assert not await shop.value("select done from scheduled")
        async with asyncio.timeout(10):
            while not await shop.value("select done from scheduled"):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        (decided,) = (await shop.rows("select recorded_at from transfers where reference = 'waits_q'"))[0]
        assert decided >= in_a_moment
    finally:
        await running.stop()
