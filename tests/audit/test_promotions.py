"""Promotions in the books: what a superuser changes about uses, counters, reservations and versions is found."""

from __future__ import annotations

import asyncio

import pytest

from guerdon.audit.verify import audit
from guerdon.core import commands as c
from guerdon.core.promotions.effects import Percent, Points, Voucher
from guerdon.core.promotions.limits import Limit
from guerdon.core.promotions.terms import Issuing, Promotion
from tests.audit.books import Books, books, change
from tests.conftest import Database

LIMITS = (
    Limit(code="all", kpi="discount", limit=100_000),
    Limit(code="each", kpi="purchases", limit=5, per="customer"),
    Limit(code="week", kpi="uses", limit=9, window="rolling", days=7, min_seconds_between=1),
)


async def fill(b: Books) -> None:
    """Purchases with promotions, of a member and a guest; one returned; a cart committed, one held, one let go."""
    await b.set_up()
    ada = await b.member("ada")
    line = (c.Line(sku="bread", quantity=1000, amount=2_000),)
    effects = (Percent(ppm=100_000), Points(points=7))
    terms = Promotion(id="", name="Ten off", effects=effects, limits=LIMITS, on_return="give_back")
    made = await b.ok(c.CreatePromotion, terms=terms)
    await b.ok(c.ChangePromotion, promotion=made.terms.id, terms=terms)
    pays = Promotion(id="", name="Pays", effects=(Voucher(value=300),), stores=frozenset({"S1"}))
    await b.ok(c.CreatePromotion, terms=pays)
    for number, member in (("P-1", ada), ("P-2", ada), ("P-3", None)):
        await b.buy(number, member, 2_001, 999, promotions=True)
        b.later(seconds=2)
    await b.ok(c.ReturnPurchase, purchase=("number", "P-1"), number="R-1", lines=(c.ReturnLine(line=2, quantity=500),))
    await b.ok(c.ReturnPurchase, purchase=("number", "P-1"), number="R-2")
    given = Promotion(
        id="", name="Given", kind="member", effects=(Percent(ppm=10_000),), issuing=Issuing(activation=True, days=3),
        limits=(Limit(code="once", kpi="purchases", limit=1, per="issue"),),
    )  # fmt: skip
    given_id = (await b.ok(c.CreatePromotion, terms=given)).terms.id
    bea = await b.member("bea")
    issued = await b.ok(c.IssuePromotions, promotion=given_id, members=(ada, bea))
    await b.ok(c.ActivateIssue, member=bea, issue=issued.rows[1].issued.id)
    await b.buy("P-4", bea, 5_000, promotions=True)
    await b.ok(c.RevokeIssue, issue=issued.rows[0].issued.id)
    await b.ok(c.CommitCart, number="W-1", currency="USD", lines=line, member=ada)
    b.later(seconds=2)
    for cart, seconds in (("held", 86_400), ("gone", 86_400), ("gone", 0)):
        await b.ok(c.EvaluateCart, currency="USD", lines=line, member=ada, cart=cart, reserve_seconds=seconds)


@pytest.fixture
def promoted(database: Database) -> Database:
    async def run() -> None:
        async with books(database.app_dsn) as b:
            await fill(b)

    asyncio.run(run())
    return database


def rows(database: Database) -> list[str]:
    return [finding.row for finding in audit(database.app_dsn, tell=lambda _: None).findings]


def test_promotions_as_they_were_used_hold(promoted: Database) -> None:
    assert [str(each) for each in audit(promoted.app_dsn, tell=lambda _: None).findings] == []


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("update promotion_uses set discount = discount + 1 where reference = 'P-2'", "use "),
        ("update promotion_uses set member_no = 0 where reference = 'P-2'", "use "),
        ("update promotion_uses set raises = '[]' where reference = 'P-2' and position = 0", "counter "),
        ("delete from promotion_uses where reference = 'P-3'", "use "),
        ("delete from promotion_uses where of_seq > 0", "use "),
        ("update promotion_uses set of_seq = event_seq where of_seq > 0", "use "),
        ("update promotion_counters set used = used + 1 where limit_code = 'all'", "counter "),
        ("delete from promotion_counters where limit_code = 'each'", "counter "),
        ("update promotion_counters set parts = '[]' where limit_code = 'week' and period = 'rolling'", "counter "),
        ("update promotion_counters set used = used - 1 where owner = 'program:1' and limit_code = 'day'", "counter "),
        ("update promotion_counters set parts = '[]' where owner = 'program:1' and limit_code = 'week'", "counter "),
        ("update reservations set status = 'cancelled' where cart = 'held'", "counter "),
        ("update reservations set status = 'open' where cart = 'gone'", "counter "),
        ("update promotions set status = 'paused' where version = 2", "promotion "),
        ("delete from promotion_versions where version = 1", "promotion "),
        ("delete from promotion_commits", "commit "),
        ("update promotion_uses set issue = gen_random_uuid()::text where issue <> ''", "use "),
        ("delete from promotion_issues", "use "),
        (
            "delete from promotion_issues where id in (select issue from promotion_issue_moves where done = 'revoked')",
            "issue ",
        ),
        ("update promotion_issues set member_no = 99", "issue "),
        ("update promotion_issues set reason = 'who knows'", "issue "),
        ("update promotion_issues set ends_at = issued_at + interval '1 year'", "issue "),
        ("delete from promotion_issues where member_no = 1", "issue "),
        ("delete from promotion_issue_moves where done = 'revoked'", "issue "),
        ("update promotion_issue_moves set ends_at = null where done = 'activated'", "issue "),
        (("insert into promotion_issue_moves select org_id, issue, 'revoked', moved_at, ends_at, actor"
         " from promotion_issue_moves where done = 'activated'"), "issue "),
        ("update promotion_versions set actor = 'nobody'", "promotion "),
        (("delete from promotion_versions where version = 2; update promotions set version = 1,"
         " terms = (select v.terms from promotion_versions v where v.promotion = id and v.version = 1)"
         " where version = 2"), "promotion "),
        ("update promotion_issues set activation = false", "issue "),
        ("update promotion_issue_moves set moved_at = moved_at - interval '1 day'", "issue "),
        ("update promotion_commits set number = 'W-2'", "commit "),
        ("update purchases set division = replace(division, '\"discounts\":[200', '\"discounts\":[199')", "purchase "),
    ],
)  # fmt: skip
def test_whatever_is_changed_about_promotions_is_found(promoted: Database, statement: str, named: str) -> None:
    change(promoted.superuser_dsn, statement)
    assert any(row.startswith(named) for row in rows(promoted)), rows(promoted)
