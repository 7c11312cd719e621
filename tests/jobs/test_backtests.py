"""A backtest says what the same bills then come to at the till."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from random import Random
from typing import Any

import msgspec
import pytest

from guerdon.core import commands as c
from guerdon.core import segments
from guerdon.core.backtests import Past, Report, Told, Trial
from guerdon.core.programs import Policies, Rule
from guerdon.core.promotions.conditions import All, Any_, CartIs, ProductsAre, SegmentIs
from guerdon.core.promotions.effects import Multiplier, Percent, Points
from guerdon.core.promotions.limits import Budget, Limit
from guerdon.core.promotions.products import Criterion
from guerdon.core.promotions.terms import Audience, Promotion
from guerdon.core.tiers import Level, TierTerms, Window
from guerdon.jobs import backtests
from guerdon.jobs.backtests import Stopped
from guerdon.store import backtests as stored
from tests.audit.books import START, Books, books
from tests.conftest import Database

MILK = (Criterion(entity="sku", values=frozenset({"milk"})),)
LIVE = Promotion(id="01900000-0000-7000-9000-000001000000", name="Live", lane=1, effects=(Percent(ppm=150_000),),
                 condition=CartIs(value=6_000))  # fmt: skip
DRAFTS = (
    Promotion(
        id="01900000-0000-7000-9000-000002000000", name="Draft", lane=1,
        effects=(Percent(ppm=100_000, products=MILK), Points(points=7)),
        condition=All(of=(CartIs(value=1_500), ProductsAre(products=MILK))),
        limits=(Limit(code="each", kpi="purchases", limit=3, per="customer"),
                Limit(code="week", kpi="uses", limit=9, window="rolling", days=7)),
        budget=Budget(code="all", limit=4_000, on_exceed="partial"),
    ),
    Promotion(
        id="01900000-0000-7000-9000-000003000000", name="Double", lane=2, kind="points",
        effects=(Multiplier(ppm=2_000_000, products=MILK),),
        limits=(Limit(code="gap", min_seconds_between=7_200, per="customer"),),
    ),
)  # fmt: skip


TIERS = TierTerms(
    figure="visits", window=Window(kind="rolling", days=3), timezone="UTC", grace_days=1,
    levels=(Level(code="silver", name="Silver", at_least=3), Level(code="gold", name="Gold", at_least=7)),
)  # fmt: skip
HARDER = msgspec.structs.replace(TIERS, levels=(Level(code="gold", name="Gold", at_least=5),), keep=True)
VIP: dict[str, Any] = {"segment": "vip", "members": (("external_id", "ada"), ("external_id", "cyd"))}
Some = tuple[tuple[type[c.Command], dict[str, Any]], ...]
Happens = Mapping[str, Some]
THERE: Some = (
    (c.ChangeTiers, {"program": ("code", "club"), "terms": TIERS}),
    (c.CreateSegment, {"code": "vip", "name": "People we know"}),
    (c.CreateSegment, {"code": "busy", "name": "Often here", "condition": segments.Every(of=(
        segments.ActivityIs(kpi="purchases", value=4, within_days=2),
        segments.TierIs(program="club", values=("silver", "gold"))))}),
)  # fmt: skip
HAPPENS: Happens = {
    "N-30": ((c.ListMembers, VIP),),
    "N-60": ((c.ListMembers, {**VIP, "present": False}),),
    "N-80": ((c.ChangeTiers, {"program": ("code", "club"), "terms": HARDER}),),
}
"""What happens before which bill."""
NOTHING: Happens = {}
FOR_TIERS = Promotion(
    id="01900000-0000-7000-9000-000004000000", name="Silver", lane=1, effects=(Percent(ppm=100_000),),
    audience=Audience(tiers=frozenset({"silver", "gold"})),
)  # fmt: skip
FOR_SEGMENTS = Promotion(
    id="01900000-0000-7000-9000-000005000000", name="Known", lane=1, effects=(Percent(ppm=200_000),),
    condition=Any_(of=(SegmentIs(values=frozenset({"vip"})), SegmentIs(values=frozenset({"busy"})))),
)  # fmt: skip


def bills(random: Random) -> list[tuple[str, str | None, tuple[int, ...], float]]:
    """Number, member, amounts (the first line is bread, all others milk), hours since the one before."""
    return [
        (
            f"N-{number}",
            random.choice(["ada", "bea", "cyd", None]),
            tuple(random.randint(100, 5_000) for _ in range(random.randint(1, 3))),
            random.uniform(0, 9),
        )
        for number in range(120)
    ]


async def lived(b: Books, random: Random, *, promotions: bool, happens: Happens = NOTHING) -> list[Any]:
    """The bills at the till; one after the other, as the clock has it, and what happens before some of them."""
    members = {name: await b.member(name) for name in ("ada", "bea", "cyd")}
    results = []
    for number, who, amounts, hours in bills(random):
        b.later(hours=hours)
        for kind, fields in happens.get(number, ()):
            await b.ok(kind, **fields)
        results.append(await b.buy(number, members[who] if who else None, *amounts, promotions=promotions))
    return results


async def ignore(done: int, total: int) -> bool:
    return True


async def backtest(b: Books, trial: Trial) -> tuple[Report, dict[str, Told]]:
    told: dict[str, Told] = {}

    def each(past: Past, what: Told) -> None:
        told[past.number] = what

    async with b.pool.connection() as connection:
        return await backtests.go(connection, b.org_id, trial, ignore, each), told


def trial(b: Books, **fields: Any) -> Trial:
    return Trial(since=START, until=b.now + timedelta(seconds=1), currency="USD", program_no=1, **fields)


async def with_live(b: Books) -> None:
    await b.set_up()
    await b.ok(c.SetLane, number=1, mode="best")
    await b.ok(c.CreatePromotion, terms=LIVE, id=LIVE.id)


@pytest.mark.parametrize("draft", DRAFTS, ids=lambda draft: draft.name)
@pytest.mark.parametrize("seed", [1, 2])
async def test_what_was_foretold_is_what_checkouts_then_give(database: Database, draft: Promotion, seed: int) -> None:
    async with books(database.app_dsn, "before") as before, books(database.app_dsn, "after") as after:
        await with_live(before)
        await lived(before, Random(seed), promotions=False)
        report, told = await backtest(before, trial(before, promotion=draft))
        await with_live(after)
        await after.ok(c.CreatePromotion, terms=draft, id=draft.id)
        results = await lived(after, Random(seed), promotions=True)
        gives = 0
        for result in results:
            verdicts = {each.promotion: each for each in result.verdicts}
            mine = verdicts.get(draft.id)
            what = told[result.number]
            assert what.status == "applied" if mine else what.status != "applied"
            if mine is not None:
                gives += 1
                assert (what.discount, what.points, what.uses) == (mine.discount, mine.points, mine.times)
        assert report.gives.purchases == gives > 0
        assert report.after.discount == sum(sum(result.discounts) for result in results)
        assert report.after.points == sum(each.points for result in results for each in result.earned)
        uses = await after.rows(
            "select sum(discount), sum(points), count(*), count(distinct member_no) filter (where member_no > 0)"
            " from promotion_uses where promotion = %s", draft.id,
        )  # fmt: skip
        gave = report.gives
        assert uses == [(gave.discount, gave.points, gave.purchases, gave.customers)]


@pytest.mark.parametrize("draft", [FOR_TIERS, FOR_SEGMENTS], ids=lambda draft: draft.name)
async def test_tiers_and_segments_are_those_of_each_purchase(database: Database, draft: Promotion) -> None:
    async with books(database.app_dsn, "before") as before, books(database.app_dsn, "after") as after:
        for b in (before, after):
            await b.set_up()
            for kind, fields in THERE:
                await b.ok(kind, **fields)
        await lived(before, Random(4), promotions=False, happens=HAPPENS)
        report, told = await backtest(before, trial(before, promotion=draft))
        await after.ok(c.CreatePromotion, terms=draft, id=draft.id)
        results = await lived(after, Random(4), promotions=True, happens=HAPPENS)
        assert [told[result.number].discount for result in results] == [sum(result.discounts) for result in results]
        assert 10 < report.gives.purchases < 110


async def test_rules_for_tiers_and_segments_are_foretold(database: Database) -> None:
    rules = (
        Rule(code="silver", kind="fixed", points=3, tiers=("silver", "gold")),
        Rule(code="known", kind="fixed", points=5, segments=("vip", "busy")),
    )
    async with books(database.app_dsn, "before") as before, books(database.app_dsn, "after") as after:
        for b in (before, after):
            await b.set_up()
            for kind, fields in THERE:
                await b.ok(kind, **fields)
        await lived(before, Random(5), promotions=False, happens=HAPPENS)
        report, _ = await backtest(before, trial(before, rules=rules))
        policies = Policies(rules=rules, currency="USD")
        await after.ok(c.ChangeProgram, program=("code", "club"), policies=policies)
        became = await lived(after, Random(5), promotions=False, happens=HAPPENS)
        assert report.after.points == sum(each.points for result in became for each in result.earned) > 100


async def test_other_rules_are_foretold_to_the_point(database: Database) -> None:
    rules = (Rule(code="base", kind="per_amount", points=3, amount=200), Rule(code="x", kind="fixed", points=2))
    async with books(database.app_dsn, "before") as before, books(database.app_dsn, "after") as after:
        await before.set_up()
        was = await lived(before, Random(3), promotions=False)
        report, _ = await backtest(before, trial(before, rules=rules))
        await after.set_up()
        policies = Policies(rules=rules, currency="USD")
        await after.ok(c.ChangeProgram, program=("code", "club"), policies=policies)
        became = await lived(after, Random(3), promotions=False)
        earned = sum(each.points for result in was for each in result.earned)
        assert report.before.points == earned
        assert report.after.points == sum(each.points for result in became for each in result.earned) != earned


async def test_purchases_of_a_merged_member_are_the_survivors(database: Database) -> None:
    async with books(database.app_dsn) as b:
        await b.set_up()
        ada, bea = await b.member("ada"), await b.member("bea")
        await b.buy("1", ada, 1_000)
        await b.buy("2", bea, 1_000)
        await b.ok(c.MergeMembers, victim=ada, survivor=bea)
        once = msgspec.structs.replace(
            DRAFTS[0], effects=(Percent(ppm=100_000),), condition=None, budget=None,
            limits=(Limit(code="each", kpi="purchases", limit=1, per="customer"),),
        )  # fmt: skip
        report, told = await backtest(b, trial(b, promotion=once))
        assert [each.discount for each in told.values()] == [100, 0]
        assert report.seen.customers == 1


async def test_it_stops_when_it_is_told_to(database: Database) -> None:
    async with books(database.app_dsn) as b:
        await b.set_up()
        await b.buy("1", None, 1_000)

        async def no(done: int, total: int) -> bool:
            return False

        async with b.pool.connection() as connection:
            with pytest.raises(Stopped):
                await backtests.go(connection, b.org_id, trial(b, promotion=DRAFTS[0]), no)


async def test_one_that_is_stopped_with_its_server_is_done_by_the_next(database: Database) -> None:
    async with books(database.app_dsn) as b:
        await b.set_up()
        await b.buy("1", None, 6_000)
        asked = msgspec.json.encode(trial(b, promotion=LIVE)).decode()
        id = "01900000-0000-7000-9000-00000000000f"
        async with b.pool.connection() as connection:
            await stored.ask(
                connection, b.org_id, id=id, name="x", actor="tester", key=None, fingerprint=b"", asked=asked, now=b.now
            )
        reader = stored.Backtests(b.pool)
        first = asyncio.create_task(backtests.run(database.app_dsn, b.org_id, id))
        await asyncio.sleep(0.2)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        found = await reader.find(b.org_id, id)
        assert found is not None
        assert found.status in ("waiting", "running")
        await backtests.run(database.app_dsn, b.org_id, id)
        found = await reader.find(b.org_id, id)
        assert found is not None
        assert found.status == "finished"
        assert msgspec.json.decode(found.report, type=Report).gives.discount == 900
        await backtests.run(database.app_dsn, b.org_id, id)
        assert await reader.find(b.org_id, id) == found, "what is over is left alone"


async def test_only_the_period_and_the_currency_count(database: Database) -> None:
    async with books(database.app_dsn) as b:
        await b.set_up()
        await b.ok(c.CreateAsset, code="EUR", scale=2)
        euros = {"currency": "EUR", "lines": (c.Line(sku="milk", quantity=1000, amount=4_000),)}
        await b.buy("1", None, 1_000)
        b.later(days=1)
        middle: datetime = b.now
        await b.buy("2", None, 2_000)
        await b.ok(c.RecordPurchase, number="3", **euros)
        b.later(days=1)
        await b.buy("4", None, 8_000)
        asked = Trial(
            since=middle, until=b.now, currency="USD", program_no=1,
            promotion=msgspec.structs.replace(LIVE, condition=None),
        )  # fmt: skip
        report, _ = await backtest(b, asked)
        assert (report.seen.purchases, report.seen.turnover) == (1, 2_000)
