"""Tiers in the books: what a superuser changes about standings and structures is found."""

from __future__ import annotations

import asyncio

import pytest

from guerdon.audit.verify import audit
from guerdon.core import commands as c
from guerdon.core.tiers import Level, TierTerms, Window
from tests.audit.books import books, change
from tests.conftest import Database

LEVELS = (Level(code="blue", name="Blue", at_least=0), Level(code="gold", name="Gold", at_least=5_000))


@pytest.fixture
def tiered(database: Database) -> Database:
    async def run() -> None:
        async with books(database.app_dsn) as b:
            await b.set_up()
            ada, bea = await b.member("ada"), await b.member("bea")
            program = str(await b.value("select code from programs order by no limit 1"))
            terms = TierTerms(
                figure="spend", window=Window(kind="rolling", days=30), levels=LEVELS, timezone="UTC", currency="USD"
            )
            await b.ok(c.ChangeTiers, program=("code", program), terms=terms)
            await b.buy("T-1", ada, 6_000)
            await b.buy("T-2", bea, 9_000)
            half = (c.ReturnLine(line=1, quantity=500),)
            await b.ok(c.ReturnPurchase, purchase=("number", "T-2"), number="R-T-2", lines=half)
            b.later(days=40)
            await b.buy("T-3", ada, 5_000)

    asyncio.run(run())
    return database


def rows(database: Database) -> list[str]:
    return [finding.row for finding in audit(database.app_dsn, tell=lambda _: None).findings]


def test_books_with_tiers_hold(tiered: Database) -> None:
    assert rows(tiered) == []


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("update standings set tier = 'gold' where tier = 'blue'", "standing of member"),
        ("update standings set due_at = null where tier = 'gold'", "standing of member"),
        ("update standings set due_at = due_at + interval '1 day' where tier = 'gold'", "standing of member"),
        ("update standings set joined_at = joined_at - interval '1 day'", "standing of member"),
        ("update standings set reckoning = replace(reckoning, '5000', '5001')", "standing of member"),
        ("update standings set version = 2", "standing of member"),
        ("delete from standings", "standing of member"),
        ("update tier_versions set version = 2", "tiers of program"),
        ("update tier_versions set terms = replace(terms, '5000', '4000')", "standing of member"),
        ("update purchases set program_no = 9 where number = 'T-1'", "purchase "),
    ],
)
def test_whatever_is_changed_about_tiers_is_found(tiered: Database, statement: str, named: str) -> None:
    change(tiered.superuser_dsn, statement)
    assert any(row.startswith(named) for row in rows(tiered)), rows(tiered)
