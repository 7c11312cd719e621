"""Low pools in the books: what a superuser changes about marks, notices and where a pool stands is found."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from psycopg import Connection

from guerdon.audit.verify import audit
from guerdon.core import commands as c
from guerdon.core.programs import LowPool, Policies
from tests.audit.books import books
from tests.audit.tampering import rewrite_chain, tampering
from tests.conftest import Database


@pytest.fixture
def pooled(database: Database) -> Database:
    """A pool that was filled, ran low, was filled and ran low again under another mark; others gave way to it or are
    still to come.
    """

    async def run() -> None:
        async with books(database.app_dsn) as b:
            await b.set_up()
            ada, club = await b.member("ada"), ("code", "club")
            await b.ok(c.ChangeProgram, program=club, policies=Policies(low_pool=LowPool(points=50, filled=80)))
            for number, points in enumerate((100, 60, 20), 1):
                await b.post(f"fill {number}", "@Treasury", "@PointsPool", 100, asset="POINTS", allow_overdraft=True)
                await b.ok(c.Award, member=ada, points=points, reason="x")
            gives_way, mark = b.now + timedelta(hours=1), Policies(low_pool=LowPool(points=40))
            await b.ok(
                c.ChangeProgram, program=club, policies=Policies(low_pool=LowPool(points=9)), starts_at=gives_way
            )
            begins = b.now + timedelta(minutes=30)
            await b.ok(c.ChangeProgram, program=club, policies=mark, starts_at=begins)
            b.later(hours=2)
            await b.ok(c.Award, member=ada, points=100, reason="x")
            later = b.now + timedelta(days=1)
            await b.ok(c.ChangeProgram, program=club, policies=Policies(low_pool=LowPool(points=7)), starts_at=later)

    asyncio.run(run())
    return database


def rows(database: Database) -> list[str]:
    return [finding.row for finding in audit(database.app_dsn, tell=lambda _: None).findings]


def test_a_pool_that_ran_low_as_it_was_told_holds(pooled: Database) -> None:
    assert rows(pooled) == []
    with tampering(pooled.superuser_dsn) as connection:
        told = connection.execute("select body::jsonb ->> 'left' from events where name = 'PointsPoolLow' order by seq")
        assert [left for (left,) in told] == ["0", "40", "20"]
        assert connection.execute("select pool_low from programs").fetchall() == [(True,)]


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("update programs set pool_low = false", "program 1"),
        (
            "update program_versions set policies = jsonb_set(policies, '{low_pool,points}', '9') where version = 2",
            "program 1",
        ),
        ("update events set body = replace(body, '\"left\":20', '\"left\":21') where name = 'PointsPoolLow'", "event "),
        ("update events set body = replace(body, '\"row\":', '\"row\":1') where name = 'PointsPoolLow'", "event "),
        ("update events set name = 'WebhookFailing' where name = 'PointsPoolLow'", "event after "),
        ("update events set name = 'PointsPoolLow' where name = 'GoodwillAward'", "event "),
    ],
)
def test_whatever_is_changed_about_pools_is_found_although_the_chain_was_made_anew(
    pooled: Database, statement: str, named: str
) -> None:
    with tampering(pooled.superuser_dsn) as connection:
        _change(connection, statement)
    assert any(row.startswith(named) for row in rows(pooled)), rows(pooled)


def _change(connection: Connection[Any], statement: str) -> None:
    connection.execute(statement.encode())
    (org_id,) = connection.execute("select org_id from heads").fetchone() or (0,)
    rewrite_chain(connection, org_id, 1)
