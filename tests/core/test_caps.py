"""Caps on earning over a day, a month, or a member's life: what is beyond them is not given, and returns free them."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.core import commands as c
from guerdon.core.programs import Cap, Policies, Rule
from tests.core.world import START, World, purchase

BASE = Rule(code="base", kind="per_amount", points=1, amount=100)


def capped(*caps: Cap, **policies: Any) -> World:
    world = World().with_program(rules=(BASE,), caps=caps, **policies)
    world.member("amy")
    return world


AMY = ("external_id", "amy")


def earned(world: World, number: str, amount: int, **fields: Any) -> int:
    return sum(each.points for each in world.buy(number, amount, AMY, **fields).earned)


def test_a_day_has_its_cap_and_the_next_day_another() -> None:
    world = capped(Cap(code="day", points=100, per="day"))
    assert [earned(world, "B-1", 6_000), earned(world, "B-2", 6_000), earned(world, "B-3", 6_000)] == [60, 40, 0]
    world.later(hours=12)
    assert earned(world, "B-4", 6_000) == 60


def test_the_day_is_the_programs_own() -> None:
    world = capped(Cap(code="day", points=100, per="day"), timezone="Asia/Tokyo")
    world.later(hours=2, minutes=59)
    assert earned(world, "B-1", 20_000) == 100
    world.later(minutes=1)
    assert earned(world, "B-2", 20_000) == 100


def test_a_rolling_cap_lets_go_what_is_so_many_days_old() -> None:
    world = capped(Cap(code="week", points=100, per="rolling", days=7))
    assert earned(world, "B-1", 6_000) == 60
    world.later(days=3)
    assert earned(world, "B-2", 6_000) == 40
    world.later(days=4)
    assert earned(world, "B-3", 20_000) == 60


def test_a_cap_ever_is_over_all_time_and_each_member_has_their_own() -> None:
    world = capped(Cap(code="ever", points=100, per="member"))
    bea = world.member("bea")
    assert earned(world, "B-1", 9_000) == 90
    world.later(days=900)
    assert earned(world, "B-2", 9_000) == 10
    assert world.buy("B-3", 9_000, bea).earned[0].points == 90


def test_a_return_frees_its_part_of_the_period_in_which_the_purchase_fell() -> None:
    world = capped(Cap(code="month", points=100, per="month"), Cap(code="week", points=70, per="rolling", days=7))
    assert earned(world, "B-1", 8_000) == 70
    world.ok(c.ReturnPurchase, purchase=("number", "B-1"), number="R-1", lines=(c.ReturnLine(line=1, quantity=500),))
    assert earned(world, "B-2", 8_000) == 35
    world.later(days=40)
    world.ok(c.ReturnPurchase, purchase=("number", "B-1"), number="R-2")
    assert earned(world, "B-3", 8_000) == 70


def test_a_late_bill_counts_on_the_day_on_which_it_is_judged() -> None:
    world = capped(Cap(code="day", points=100, per="day"))
    assert earned(world, "B-1", 10_000) == 100
    world.later(days=1)
    assert earned(world, "B-2", 10_000, where=c.Where(event_at=START)) == 0
    assert earned(world, "B-3", 10_000) == 100


def test_a_cap_that_is_raised_goes_on_counting() -> None:
    world = capped(Cap(code="day", points=50, per="day"))
    assert earned(world, "B-1", 10_000) == 50
    policies = Policies(rules=(BASE,), caps=(Cap(code="day", points=80, per="day"),), currency="USD")
    world.ok(c.ChangeProgram, program=("code", "main"), policies=policies)
    assert earned(world, "B-2", 10_000) == 30


def test_what_a_cap_kept_back_is_told_and_the_event_says_what_was_counted() -> None:
    world = capped(Cap(code="day", points=50, per="day"))
    (one,) = world.buy("B-1", 10_000, AMY).earned
    assert (one.points, one.capped, one.version) == (50, 50, 1)
    event = world.state.events[world.state.purchases[1].event_seq]
    assert '"caps":[[["counter","program:1","day","1","2027-01-01"],50,null]]' in event.body


def test_a_cart_of_a_member_is_evaluated_under_the_caps() -> None:
    """So that promotions that look at what lines earn see what they do earn."""
    world = capped(Cap(code="day", points=50, per="day"))
    assert earned(world, "B-1", 10_000) == 50
    fields = purchase("-", 10_000, AMY)
    fields.pop("number")
    assert world.ok(c.EvaluateCart, **fields).evaluation.applied == ()


buys = st.tuples(st.integers(0, 60), st.sampled_from(["amy", "bea"]), st.integers(0, 20_000))
returns = st.tuples(st.integers(0, 60), st.integers(1, 12), st.sampled_from([250, 500, 1000]))


@settings(max_examples=60)
@given(steps=st.lists(buys | returns, max_size=14))
def test_no_cap_is_ever_passed_and_none_keeps_back_more_than_it_must(steps: list[Any]) -> None:
    """Recomputed from lists: what was earned on each day less what came back of it."""
    caps = {"day": 100, "month": 150}
    world = capped(*(Cap(code=per, points=points, per=per) for per, points in caps.items()))  # type: ignore[arg-type]
    world.member("bea")
    sums: dict[tuple[str, str], int] = defaultdict(int)
    bills: list[tuple[str, str, int, int]] = []
    for number, (hours, who, figure) in enumerate(steps):
        world.now += timedelta(hours=hours)
        if isinstance(who, str):
            periods = (f"{world.now:%Y-%m-%d}", f"{world.now:%Y-%m}")
            left = min(most - sums[who, period] for most, period in zip(caps.values(), periods, strict=True))
            answer = world.buy(f"B-{number}", figure, ("external_id", who))
            got = sum(each.points for each in answer.earned)
            assert got == min(left, figure // 100)
            for period in periods:
                sums[who, period] += got
            bills.append((f"B-{number}", who, got, answer.purchase_no))
        elif who <= len(bills):
            bill, owner, got, no = bills[who - 1]
            bought = world.state.purchases[no].event_at
            gone = sum(q for r in world.state.returns.values() if r.purchase_no == no for _, q in r.lines)
            part = c.ReturnLine(line=1, quantity=figure)
            world.do(c.ReturnPurchase, purchase=("number", bill), number=f"R-{number}", lines=(part,))
            now = sum(q for r in world.state.returns.values() if r.purchase_no == no for _, q in r.lines)
            for period in (f"{bought:%Y-%m-%d}", f"{bought:%Y-%m}"):
                sums[owner, period] -= got * now // 1000 - got * gone // 1000
