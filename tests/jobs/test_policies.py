"""Jobs of living policies: points made to follow a version, in parcels, and members told of points about to end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from guerdon.audit.verify import audit
from guerdon.core import commands as c
from guerdon.core.programs import Cap, Expiry, Follow, Policies, Rule
from guerdon.jobs import Jobs
from guerdon.settings import Settings
from tests.audit.books import Books, books
from tests.audit.books import change as alter
from tests.conftest import Database

BASE = Rule(code="base", kind="per_amount", points=1, amount=100)
POLICIES = Policies(
    rules=(BASE,), currency="USD", expiry=Expiry(kind="days", count=60), timezone="Asia/Tokyo",
    caps=(Cap(code="day", points=10**9, per="day"),),
)  # fmt: skip


@pytest.fixture
async def club(database: Database) -> AsyncIterator[Books]:
    async with books(database.app_dsn) as b:
        await b.ok(c.CreateAsset, code="USD", scale=2)
        await b.ok(c.CreateAsset, code="POINTS", scale=0)
        await b.ok(c.CreateProgram, code="club", name="Club", asset="POINTS", policies=POLICIES)
        yield b
    assert audit(database.app_dsn, tell=lambda _: None).findings == []


def jobs(club: Books) -> Jobs:
    return Jobs(club.pool, club.writer, Settings(job_accounts_max=2), now=lambda: club.now)


async def change(club: Books, **changed: Any) -> Any:
    policies = msgspec.structs.replace(POLICIES, **changed)
    return await club.ok(c.ChangeProgram, program=("code", "club"), policies=policies)


async def buy(club: Books, number: str, member: tuple[str, str], amount: int = 1_000) -> Any:
    return await club.buy(number, member, amount, where=c.Where())


async def ends(club: Books) -> list[Any]:
    return [row[0] for row in await club.rows("select distinct expires_at from lots where remaining > 0 order by 1")]


async def test_all_points_follow_and_then_another_version_may_be_followed(club: Books) -> None:
    for name in "abcde":
        await buy(club, f"B-{name}", await club.member(name))
    (before,) = await ends(club)
    club.later(days=1)
    await change(club, expiry=Expiry(kind="days", count=30), follow=Follow())
    assert await club.value("select followed from programs") == 0
    assert await jobs(club).run_once() == 4  # five accounts, two at a time, and the end of it
    assert await ends(club) == [before - timedelta(days=30)]
    assert await club.value("select followed from programs") == 2
    assert await jobs(club).run_once() == 0
    club.later(days=1)
    await change(club, expiry=Expiry(kind="days", count=90), follow=Follow())
    await jobs(club).run_once()
    assert await ends(club) == [before + timedelta(days=30)]
    told = await club.rows("select event_at, reason from events where name = 'PointsExpiryChange' order by seq")
    assert [reason for _, reason in told] == ["policy"] * 10
    assert {at for at, _ in told} == {club.now - timedelta(days=1), club.now}


async def test_many_accounts_follow_in_one_command(club: Books) -> None:
    """And are asked for at once, also by awards to many under a policy that awards renew."""
    names = [f"m{i}" for i in range(40)]
    for name in names:
        await buy(club, f"B-{name}", await club.member(name))
    later = Expiry(kind="rolling", count=90, unit="days", activities=("award",))
    await change(club, expiry=later, follow=Follow())
    everybody = Jobs(club.pool, club.writer, Settings(job_accounts_max=100), now=lambda: club.now)
    assert await everybody.run_once() == 2
    (end,) = await ends(club)
    club.later(days=5)
    rows = tuple(c.Allocation(member=("external_id", name), points=1, reason="thanks") for name in names)
    await club.ok(c.AwardMany, rows=rows)
    assert await ends(club) == [end + timedelta(days=5)]
    await change(club, expiry=Expiry(kind="days", count=300), follow=Follow())
    await club.ok(c.AwardMany, rows=rows)
    assert len(await ends(club)) == 2


async def test_a_late_purchase_answers_the_end_that_its_points_have(club: Books) -> None:
    ada = await club.member("ada")
    before = club.now
    club.later(days=1)
    await change(club, expiry=Expiry(kind="days", count=30), follow=Follow())
    club.later(hours=1)
    told = await club.buy("B-1", ada, 1_000, where=c.Where(event_at=before))
    assert [each.expires_at for each in told.earned] == await ends(club)
    assert told.earned[0].version == 1


async def test_a_planned_version_begins_with_the_job_where_nobody_comes(club: Books, database: Database) -> None:
    await buy(club, "B-1", await club.member("ada"))
    (before,) = await ends(club)
    starts_at = club.now + timedelta(days=3)
    policies = msgspec.structs.replace(POLICIES, expiry=Expiry(kind="days", count=30), follow=Follow())
    await club.ok(c.ChangeProgram, program=("code", "club"), policies=policies, starts_at=starts_at)
    assert await jobs(club).run_once() == 0
    assert await club.value("select version from programs") == 1
    club.now = starts_at
    assert await jobs(club).run_once() == 2  # one account, and the end of it
    assert await club.value("select version from programs") == 2
    assert await ends(club) == [before - timedelta(days=30)]
    (told,) = await club.rows("select event_at from events where name = 'PointsExpiryChange'")
    assert told == (starts_at,)
    alter(database.superuser_dsn, "update programs set version = 1, followed = 0")
    found = audit(database.app_dsn, tell=lambda _: None).findings
    assert any("version is 1, should be 2" in finding.problem for finding in found), found
    alter(database.superuser_dsn, "update programs set version = 2, followed = 2")
    earlier = "update program_versions set starts_at = starts_at {} interval '4 days' where version = 2"
    alter(database.superuser_dsn, earlier.format("-"))
    found = audit(database.app_dsn, tell=lambda _: None).findings
    assert any("version 2 starts before it was made" in finding.problem for finding in found), found
    alter(database.superuser_dsn, earlier.format("+"))


async def test_a_planned_version_begins_with_a_command_that_is_refused(club: Books) -> None:
    ada = await club.member("ada")
    starts_at = club.now + timedelta(hours=3)
    changed = msgspec.structs.replace(POLICIES, minimum_redemption=7)
    await club.ok(c.ChangeProgram, program=("code", "club"), policies=changed, starts_at=starts_at)
    club.now = starts_at
    assert (await club.no(c.Redeem, member=ada, points=1)).code == "redemption_below_minimum"
    assert await club.value("select version from programs") == 2
    assert await club.value("select last_recorded_at from heads") == starts_at


async def test_what_is_said_to_follow_and_does_not_is_found(club: Books, database: Database) -> None:
    await buy(club, "B-1", await club.member("ada"))
    for statement, undone in (
        ("update programs set followed = 1", "update programs set followed = 0"),
        ("update programs set followed = 2, version = 2", "update programs set followed = 0, version = 1"),
    ):
        alter(database.superuser_dsn, statement)
        found = audit(database.app_dsn, tell=lambda _: None).findings
        assert any("said to follow" in finding.problem for finding in found), found
        alter(database.superuser_dsn, undone)


async def test_a_member_who_comes_before_the_job_follows_at_once(club: Books) -> None:
    ada, bea = await club.member("ada"), await club.member("bea")
    await buy(club, "B-1", ada)
    await buy(club, "B-2", bea)
    club.later(days=40)
    await change(club, expiry=Expiry(kind="days", count=10), follow=Follow(grace_days=2))
    club.later(days=3)
    assert (await club.no(c.Redeem, member=ada, points=1)).code == "insufficient_points"
    await jobs(club).run_once()
    club.later(days=10)
    await jobs(club).run_once()
    rows = await club.rows("select event_at from events where name = 'PointsExpiry'")
    assert len(rows) == 2
    assert len(set(rows)) == 1


async def test_members_are_told_once_of_what_ends_so_many_days_before(club: Books, database: Database) -> None:
    await change(club, notice_days=(30, 7))
    for name in "abc":
        await buy(club, f"B-{name}", await club.member(name))
    (end,) = await ends(club)
    seen: list[int] = []
    for days, hours in ((31, 0), (30, -1), (30, 0), (30, 0), (20, 0), (7, 0), (7, 0), (1, 0), (0, 0)):
        club.now = end - timedelta(days=days) + timedelta(hours=hours)
        await jobs(club).run_once()
        await jobs(club).run_once()
        seen.append(await club.value("select count(*) from events where name = 'PointsExpiring'"))
    assert seen == [0, 0, 3, 3, 3, 6, 6, 6, 6]
    bodies = await club.rows("select body::jsonb from events where name = 'PointsExpiring' order by seq")
    assert [(body["points"], body["days"]) for (body,) in bodies] == [(10, 30)] * 3 + [(10, 7)] * 3


async def test_a_notice_that_another_has_overtaken_is_not_given(club: Books) -> None:
    await change(club, notice_days=(30, 7))
    await buy(club, "B-1", await club.member("ada"))
    (end,) = await ends(club)
    club.now = end - timedelta(days=5)
    await jobs(club).run_once()
    assert await club.rows("select (body::jsonb ->> 'days')::int from events where name = 'PointsExpiring'") == [(7,)]
    club.now = end - timedelta(days=4)
    await jobs(club).run_once()
    assert await club.value("select count(*) from events where name = 'PointsExpiring'") == 1


async def test_points_that_were_spent_meanwhile_are_not_told_of(club: Books) -> None:
    await change(club, notice_days=(7,))
    ada = await club.member("ada")
    await buy(club, "B-1", ada)
    await club.ok(c.Redeem, member=ada, points=10)
    (end,) = [row[0] for row in await club.rows("select expires_at from lots")]
    club.now = end - timedelta(days=3)
    assert await jobs(club).run_once() == 0
