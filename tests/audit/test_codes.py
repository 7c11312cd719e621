"""Codes in the books: what a superuser changes about batches, codes, switches and links is found."""

from __future__ import annotations

import asyncio

import pytest

from guerdon.audit.verify import audit
from guerdon.core import codes
from guerdon.core import commands as c
from guerdon.core.promotions.codes import Form
from guerdon.core.promotions.effects import Percent
from guerdon.core.promotions.terms import Promotion
from tests.audit.books import books, change
from tests.conftest import Database


@pytest.fixture
def coded(database: Database) -> Database:
    """Books with a batch of generated and one of uploaded codes, of which one is linked and one switched off."""

    async def fill() -> None:
        async with books(database.app_dsn) as b:
            await b.set_up()
            terms = Promotion(id="", name="Ten off", kind="code", effects=(Percent(ppm=100_000),))
            promotion = (await b.ok(c.CreatePromotion, terms=terms)).terms.id
            made = await b.ok(
                c.CreateCodeBatch, promotion=promotion, form=Form(), seed=bytes(range(32)), count=20, name="made"
            )
            batch = codes.CodeBatch(
                id=made.id, promotion=promotion, kind="generated", name="made", partner="", channel="",
                form='{"pattern":"########"}', seed=bytes(range(32)), created_at=b.now, actor="", wanted=20,
            )  # fmt: skip
            await b.ok(c.AddCodes, batch=made.id, codes=codes.next_codes(batch), start=0)
            brought = await b.ok(c.CreateCodeBatch, promotion=promotion, name="brought")
            await b.ok(c.AddCodes, batch=brought.id, codes=("ZN34C", "ZN34D"))
            ada = await b.member("ada")
            await b.ok(c.LinkCode, member=ada, code="ZN34C", mode="DISCOUNT")
            await b.ok(c.SwitchCodes, code="ZN34D", active=False, reason="lost")
            await b.ok(c.SwitchCodes, code="ZN34D", active=True)
            await b.ok(c.SwitchCodes, batch=brought.id, active=False)

    asyncio.run(fill())
    return database


def rows(database: Database) -> list[str]:
    return [finding.row for finding in audit(database.app_dsn, tell=lambda _: None).findings]


def test_codes_as_they_were_made_hold(coded: Database) -> None:
    assert rows(coded) == []


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("update code_batches set made = made - 1 where name = 'made'", "code batch"),
        ("update code_batches set next_index = 3 where name = 'made'", "code batch"),
        ("update code_batches set promotion = gen_random_uuid() where name = 'made'", "code batch"),
        ("update code_batches set seed = '' where name = 'made'", "code batch"),
        ("update code_batches set form = 'x' where name = 'brought'", "code batch"),
        ("delete from code_batches where name = 'made'", "code batch"),
        ("delete from codes where no = 7", "code batch"),
        ("update codes set no = 70 where no = 7", "code batch"),
        ("delete from codes where code = 'ZN34C'", "code ZN34C"),
        ("update codes set code = 'ZN34X' where code = 'ZN34C'", "code ZN34C"),
        ("update code_links set member_no = 99", "code ZN34C"),
        ("update code_links set linked_at = linked_at + interval '1 second'", "code ZN34C"),
        ("delete from code_links", "code ZN34C"),
        ("insert into code_links select org_id, 'ZN34D', gen_random_uuid(), 1, mode, linked_at, actor from code_links",
         "code ZN34D"),
        ("delete from code_switches where code = ''", "code batch"),
        ("delete from code_switches where version = 2", "code ZN34D"),
        ("update code_switches set reason = 'found' where reason = 'lost'", "code ZN34D"),
        ("delete from code_switches where version = 1 and code = 'ZN34D'", "code ZN34D"),
        ("update code_switches set active = not active where version = 2", "code ZN34D"),
        ("update code_switches set code = 'NEVER' where code = 'ZN34D'", "code NEVER"),
    ],
)  # fmt: skip
def test_whatever_is_changed_about_codes_is_found(coded: Database, statement: str, named: str) -> None:
    change(coded.superuser_dsn, statement)
    assert any(row.startswith(named) for row in rows(coded)), rows(coded)
