"""Backtests: the same evaluation as at the till, once with and once without what is tried."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from guerdon.core.backtests import OUT_OF_REACH, Backtest, Past, Report, Told, Trial
from guerdon.core.commands import Line
from guerdon.core.programs import Config, Policies, Program, RedemptionRate, Rule
from guerdon.core.promotions.effects import Points
from guerdon.core.promotions.limits import Budget, Limit
from guerdon.core.promotions.shelf import Shelf
from guerdon.core.promotions.terms import Lane, Promotion
from tests.core.promotions.till import NOW, of, off, percent, pieces, promotion, spend

FIRST = datetime(2026, 1, 1, 12, tzinfo=UTC)
CLUB = Program(
    no=1,
    id="club",
    ledger_no=1,
    code="club",
    name="Club",
    asset="POINTS",
    first=True,
    version=1,
    policies=Policies(
        rules=(Rule(code="base", kind="per_amount", points=1, amount=100),),
        redemption_rate=RedemptionRate(10, 100),
        currency="USD",
    ),
)


def bought(no: int, cents: int, member: str = "anna", sku: str = "bread", days: float = 0) -> Past:
    lines = (Line(sku=sku, quantity=1000, amount=cents),)
    return Past(no=no, number=f"B-{no}", at=FIRST + timedelta(days=days), member=member, lines=lines)


def tried(
    *purchases: Past,
    live: tuple[Promotion, ...] = (),
    lanes: tuple[Lane, ...] = (),
    zone: str = "UTC",
    with_live: bool = True,
    **trial: object,
) -> tuple[Report, list[Told]]:
    shelf = Shelf({each.id: each for each in live}, {lane.number: lane for lane in lanes})
    config = Config(programs={1: CLUB}, promotions=shelf, timezone=zone)
    asked = Trial(since=FIRST, until=FIRST + timedelta(days=365), currency="USD", program_no=1, live=with_live, **trial)  # type: ignore[arg-type]
    backtest = Backtest(asked, config, NOW)
    told = [backtest.take(past) for past in purchases]
    return backtest.report(), told


TEN = promotion("ten", percent(10), condition=spend(1_000), status="draft")


def test_a_draft_gives_what_it_would_have_given() -> None:
    report, told = tried(bought(1, 1_000), bought(2, 999), bought(3, 2_000, "bert"), promotion=TEN)
    assert [each.discount for each in told] == [100, 0, 200]
    assert (report.seen.purchases, report.seen.customers, report.seen.turnover) == (3, 2, 3_999)
    assert (report.gives.purchases, report.gives.customers, report.gives.discount) == (2, 2, 300)
    assert report.refused == {"condition_not_met": 1}


def test_points_are_earned_on_what_is_left_to_pay() -> None:
    report, _ = tried(bought(1, 1_000), promotion=TEN)
    assert (report.before.points, report.after.points, report.change.points) == (10, 9, -1)
    assert (report.change.discount, report.change.points_money, report.change.cost) == (100, -10, 90)


def test_a_promotion_of_the_future_is_taken_as_running_all_the_time() -> None:
    later = promotion("later", percent(10), starts_at=NOW, ends_at=NOW + timedelta(days=1))
    report, _ = tried(bought(1, 1_000), promotion=later)
    assert report.gives.discount == 100


def test_what_has_nothing_of_it_is_out_of_reach() -> None:
    shoes = promotion("shoes", percent(10, products=of("sku", "shoes")))
    report, _ = tried(bought(1, 1_000), bought(2, 1_000, sku="shoes"), promotion=shoes)
    assert (report.refused, report.gives.purchases) == ({OUT_OF_REACH: 1}, 1)


def test_limits_run_down_as_they_would_have() -> None:
    twice = promotion("twice", off(100), limits=(Limit(code="each", kpi="purchases", limit=2, per="customer"),))
    report, told = tried(
        bought(1, 1_000), bought(2, 1_000), bought(3, 1_000), bought(4, 1_000, "bert"), promotion=twice
    )
    assert [each.discount for each in told] == [100, 100, 0, 100]
    assert report.refused == {"limit_reached": 1}


def test_a_rolling_limit_is_free_again_when_its_days_are_over() -> None:
    weekly = promotion(
        "weekly", off(100), limits=(Limit(code="week", kpi="uses", limit=1, per="customer", window="rolling", days=7),)
    )
    _, told = tried(bought(1, 1_000), bought(2, 1_000, days=6.9), bought(3, 1_000, days=7.1), promotion=weekly)
    assert [each.discount for each in told] == [100, 0, 100]


def test_a_budget_burns_down_day_by_day_until_it_is_used_up() -> None:
    budget = Budget(code="spring", limit=250, on_exceed="partial")
    draft = promotion("draft", off(100), budget=budget)
    report, _ = tried(*[bought(i, 1_000, days=i) for i in range(1, 5)], promotion=draft)
    assert [(day.day, day.discount, day.budget_left) for day in report.days] == [
        ("2026-01-02", 100, 150),
        ("2026-01-03", 100, 50),
        ("2026-01-04", 50, 0),
        ("2026-01-05", 0, 0),
    ]
    assert report.budget is not None
    assert (report.budget.used, report.budget.used_up_at) == (250, FIRST + timedelta(days=3))


def test_days_are_those_of_the_organisation() -> None:
    report, _ = tried(bought(1, 1_000, days=0.5), promotion=TEN, zone="America/New_York")
    assert [day.day for day in report.days] == ["2026-01-01"]


def test_it_tells_what_goes_together_and_what_is_kept_out() -> None:
    live = promotion("live", off(50), lane=1), promotion("beside", off(10), lane=2)
    draft = promotion("draft", off(100), lane=1)
    lanes = (Lane(number=1, mode="best"),)
    report, _ = tried(bought(1, 1_000), bought(2, 1_000), promotion=draft, live=live, lanes=lanes)
    overlaps = {each.promotion: each for each in report.overlaps}
    assert (overlaps["live"].displaced, overlaps["live"].displaced_discount) == (2, 100)
    assert overlaps["beside"].together == 2
    assert (report.gives.discount, report.change.discount, report.before.discount) == (200, 100, 120)


def test_it_tells_to_whom_it_loses() -> None:
    live = (promotion("live", off(500), lane=1),)
    draft = promotion("draft", off(100), lane=1)
    report, told = tried(bought(1, 1_000), promotion=draft, live=live, lanes=(Lane(number=1, mode="best"),))
    assert (told[0].status, told[0].reason, report.overlaps[0].lost_to) == ("parked", "other_was_better", 1)
    assert report.change.purchases == 0


def test_the_next_version_of_a_live_promotion_replaces_it() -> None:
    live = (promotion("same", off(50)),)
    report, _ = tried(bought(1, 1_000), promotion=promotion("same", off(80), version=2), live=live)
    assert (report.before.discount, report.after.discount, report.change.discount) == (50, 80, 30)


def test_live_promotions_stay_out_of_it_where_that_is_asked_for() -> None:
    report, _ = tried(bought(1, 1_000), promotion=TEN, live=(promotion("live", off(50)),))
    assert report.before.discount == 50
    alone, _ = tried(bought(1, 1_000), promotion=TEN, live=(promotion("live", off(50)),), with_live=False)
    assert (alone.before.discount, alone.after.discount) == (0, 100)


def test_codes_are_taken_up_by_some_customers_always_the_same() -> None:
    coded = promotion("coded", off(100), kind="code", limits=(Limit(code="once", kpi="uses", limit=1, per="code"),))
    purchases = [bought(i, 1_000, f"m{i % 500}", days=i / 100) for i in range(1_000)]
    report, told = tried(*purchases, promotion=coded, take_up_ppm=300_000)
    assert 110 <= report.gives.customers <= 190
    assert report.gives.purchases == report.gives.customers, "each has one code, to be used once"
    assert tried(*purchases, promotion=coded, take_up_ppm=300_000)[1] == told
    everybody, _ = tried(*purchases, promotion=coded)
    assert everybody.gives.purchases == 500


def test_a_shared_word_is_used_up_by_the_first() -> None:
    word = promotion("word", off(100), kind="code", limits=(Limit(code="all", kpi="uses", limit=3, per="code"),))
    _, told = tried(*[bought(i, 1_000, f"m{i}") for i in range(5)], promotion=word, shared_code=True)
    assert [each.discount for each in told] == [100, 100, 100, 0, 0]


def test_issues_are_members_only() -> None:
    issued = promotion("issued", off(100), kind="member")
    _, told = tried(bought(1, 1_000), bought(2, 1_000, ""), promotion=issued)
    assert [each.discount for each in told] == [100, 0]


def test_other_earning_rules_make_winners_and_losers() -> None:
    rules = (Rule(code="bread", kind="per_amount", points=3, amount=100, skus=("bread",)),)
    report, told = tried(bought(1, 1_000), bought(2, 500, "bert", "milk"), bought(3, 100, ""), rules=rules)
    assert [each.change_points for each in told] == [20, -5, 0]
    assert [(each.member, each.money) for each in report.winners] == [("anna", 200)]
    assert [(each.member, each.money) for each in report.losers] == [("bert", -50)]
    assert (report.better_off, report.worse_off, report.change.points, report.gives.points) == (1, 1, 15, 15)


def test_points_promotions_are_counted_in_points_and_what_they_would_buy() -> None:
    bonus = promotion("bonus", Points(points=50), kind="points", condition=pieces(1, of("sku", "bread")))
    report, _ = tried(bought(1, 1_000), bought(2, 1_000, ""), promotion=bonus)
    assert (report.gives.points, report.gives.points_money, report.gives.cost) == (50, 500, 500)
    assert report.refused == {"member_required": 1}
