"""Points are earned, spent, given back and end, and an account always equals its lots less what it owes."""

from __future__ import annotations

from datetime import UTC, datetime

from guerdon.core import commands as c
from guerdon.core.outcomes import Accepted, Rejection
from guerdon.core.programs import Expiry
from tests.core.world import THIRTY_DAYS, World, purchase


def test_a_purchase_earns_one_point_per_whole_unit() -> None:
    world = World().with_program()
    amy = world.member("amy")
    bought = world.buy("B-1", 1999, amy)
    assert [earned.points for earned in bought.earned] == [19]
    assert world.balance(amy) == 19
    assert world.internal("@PointsPool").balance == -19


def test_points_at_checkout_are_a_discount_that_is_rounded_down() -> None:
    world = World().with_program()
    amy = world.member("amy")
    world.buy("B-1", 50_000, amy)
    bought = world.buy("B-2", 10_000, amy, spend=200)
    assert (bought.paid, bought.spent_points, bought.spent_money) == (8_000, 200, 2_000)
    assert world.balance(amy) == 500 - 200 + 80
    assert world.internal("@PointsPool").debit == 580
    assert world.internal("@PointsPool").credit == 200


def test_redeem_takes_the_lot_that_expires_first() -> None:
    world = World().with_program(expiry=THIRTY_DAYS)
    amy = world.member("amy")
    world.buy("B-1", 10_000, amy)
    world.later(days=10)
    world.buy("B-2", 10_000, amy)
    redeemed = world.ok(c.Redeem, member=amy, points=130)
    assert [points for _, points in redeemed.taken] == [100, 30]


def test_points_cannot_be_spent_after_their_last_day() -> None:
    world = World().with_program(expiry=THIRTY_DAYS)
    amy = world.member("amy")
    world.buy("B-1", 10_000, amy)
    world.now = datetime(2027, 1, 31, 23, 59, 59, tzinfo=UTC)
    assert world.ok(c.Redeem, member=amy, points=10).balance == 90
    world.now = datetime(2027, 2, 1, tzinfo=UTC)
    assert world.no(c.Redeem, member=amy, points=10).code is Rejection.INSUFFICIENT_POINTS
    assert world.balance(amy) == 90, "a refusal changes nothing, not even the booking of what is overdue"
    world.ok(c.ExpireLots, accounts=(world.account(amy),))
    assert world.balance(amy) == 0
    assert world.internal("@PointsExpired").balance == 90


def test_what_has_ended_is_booked_in_parts_those_that_ended_first_first() -> None:
    world = World().with_program(expiry=THIRTY_DAYS)
    amy = world.member("amy")
    for number in range(5):  # two of a day, so that a part ends within what ended at one instant
        world.buy(f"B-{number}", 1_000 * (number + 1), amy)
        world.later(hours=13)
    world.later(days=60)
    accounts = (world.account(amy),)
    done = [world.ok(c.ExpireLots, accounts=accounts, at_most=2) for _ in range(4)]
    assert [(each.lots, each.points) for each in done] == [(2, 30), (2, 70), (1, 50), (0, 0)]
    assert world.balance(amy) == 0


def test_whoever_meets_much_that_has_ended_books_all_of_it() -> None:
    world = World().with_program(expiry=THIRTY_DAYS)
    amy = world.member("amy")
    for number in range(5):
        world.buy(f"B-{number}", 1_000, amy)
        world.later(hours=13)
    world.later(days=60)
    world.ok(c.ExpireLots, accounts=(world.account(amy),), at_most=2)
    assert world.no(c.Redeem, member=amy, points=1).code is Rejection.INSUFFICIENT_POINTS
    world.buy("B-6", 700, amy)
    assert world.balance(amy) == 7
    assert world.internal("@PointsExpired").balance == 50


def test_a_month_from_the_31st_of_january_ends_with_february() -> None:
    world = World().with_program(expiry=Expiry(kind="months", count=1))
    world.now = datetime(2027, 1, 31, 12, tzinfo=UTC)
    amy = world.member("amy")
    bought = world.buy("B-1", 100, amy)
    assert bought.earned[0].expires_at == datetime(2027, 3, 1, tzinfo=UTC)


def test_a_reversal_fills_the_lots_it_came_from_with_their_expiry() -> None:
    world = World().with_program(expiry=THIRTY_DAYS)
    amy = world.member("amy")
    world.buy("B-1", 10_000, amy)
    redeemed = world.ok(c.Redeem, member=amy, points=80)
    reversed_ = world.ok(c.ReverseRedemption, redemption=redeemed.id, points=30)
    assert (reversed_.points, reversed_.balance) == (30, 50)
    assert (
        world.no(c.ReverseRedemption, redemption=redeemed.id, points=51).code is Rejection.REVERSAL_EXCEEDS_REDEMPTION
    )
    world.later(days=60)
    late = world.ok(c.ReverseRedemption, redemption=redeemed.id)
    assert (late.points, late.expired, late.balance) == (50, 50, 0)
    assert world.no(c.ReverseRedemption, redemption=redeemed.id).code is Rejection.ALREADY_REVERSED


def test_a_return_takes_back_what_was_earned_and_restores_what_was_spent() -> None:
    world = World().with_program()
    amy = world.member("amy")
    world.buy("B-1", 50_000, amy)
    world.buy("B-2", 10_000, amy, spend=200)
    returned = world.ok(c.ReturnPurchase, purchase=("number", "B-2"), number="R-1")
    assert (returned.returned_points, returned.restored_points) == (80, 200)
    assert world.balance(amy) == 500
    again = world.no(c.ReturnPurchase, purchase=("number", "B-2"), number="R-2")
    assert again.code is Rejection.ALREADY_RETURNED


def test_a_return_after_spending_goes_below_zero_and_the_next_credit_repays_it() -> None:
    world = World().with_program()
    amy = world.member("amy")
    world.buy("B-1", 10_000, amy)
    world.ok(c.Redeem, member=amy, points=90)
    world.ok(c.ReturnPurchase, purchase=("number", "B-1"), number="R-1")
    assert world.balance(amy) == -90
    assert world.no(c.Redeem, member=amy, points=1).code is Rejection.INSUFFICIENT_POINTS
    world.buy("B-2", 15_000, amy)
    assert world.balance(amy) == 60
    assert world.ok(c.Redeem, member=amy, points=60).balance == 0


def test_a_return_after_spending_is_written_off_where_the_program_says_so() -> None:
    world = World().with_program(on_shortfall="write_off")
    amy = world.member("amy")
    world.buy("B-1", 10_000, amy)
    world.ok(c.Redeem, member=amy, points=90)
    returned = world.ok(c.ReturnPurchase, purchase=("number", "B-1"), number="R-1")
    assert (returned.returned_points, returned.written_off) == (10, 90)
    assert world.balance(amy) == 0


def test_a_return_after_expiry_writes_no_line() -> None:
    world = World().with_program(expiry=THIRTY_DAYS)
    amy = world.member("amy")
    world.buy("B-1", 10_000, amy)
    world.later(days=40)
    returned = world.ok(c.ReturnPurchase, purchase=("number", "B-1"), number="R-1")
    assert returned.returned_points == 0
    assert world.state.events[returned.event_no].transfers == 0
    assert world.internal("@PointsExpired").balance == 100


def test_the_same_bill_again_replays_and_another_under_its_number_is_refused() -> None:
    world = World().with_program()
    amy = world.member("amy")
    first = world.buy("B-1", 10_000, amy)
    again = world.do(c.RecordPurchase, **purchase("B-1", 10_000, amy))
    assert again == Accepted(first, replayed=True)
    assert world.no(c.RecordPurchase, **purchase("B-1", 10_001, amy)).code is Rejection.NUMBER_TAKEN
    assert world.balance(amy) == 100
