"""Raw transfers of a member's points: lots come along, every one is an event, and nothing goes below zero."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from guerdon.core import commands as c
from guerdon.core.accounts import Transfer
from guerdon.core.lots import decode_moves
from guerdon.core.outcomes import Rejection
from tests.core.world import THIRTY_DAYS, World

from .test_postings import posting, transfers


def program(**policies: Any) -> tuple[World, tuple[str, str]]:
    """A program, and a member who was given 100 points."""
    world = World().with_program(**policies)
    amy = world.member("amy")
    world.ok(c.Award, member=amy, points=100, reason="sorry")
    return world, amy


def account(world: World, member: tuple[str, str], category: str = "regular") -> str:
    return world.state.accounts[world.account(member, category)].id


def points(reference: str, amount: int, source: str, destination: str, **fields: Any) -> c.Posting:
    given: dict[str, Any] = {"asset": "POINTS", "precision": 1, "queued": False, **fields}
    return posting(reference, amount=amount, source=source, destination=destination, **given)


def pay(world: World, item: c.Posting) -> Transfer:
    return transfers(world, world.ok(c.Post, postings=(item,)))[0]


def moves(world: World, transfer: Transfer) -> list[tuple[str, int]]:
    return [(move.kind, move.amount) for move in decode_moves(world.state.events[transfer.event_seq].lot_moves)]


def free(world: World, member: tuple[str, str]) -> list[tuple[int, int]]:
    """(remaining, held) of every lot that has something left, oldest first."""
    lots = sorted(world.state.lots_of(world.account(member)), key=lambda lot: lot.no)
    return [(lot.remaining, lot.held) for lot in lots if lot.remaining]


def test_a_credit_opens_a_lot_under_the_programs_policy() -> None:
    world, amy = program(expiry=THIRTY_DAYS)
    made = pay(world, points("c", 50, "@World", account(world, amy), allow_overdraft=True))
    lot = max(world.state.lots_of(world.account(amy)), key=lambda lot: lot.no)
    assert (lot.amount, lot.rule, lot.expires_at) == (50, "ledger", datetime(2027, 2, 1, tzinfo=UTC))
    event = world.state.events[made.event_seq]
    assert (event.name, event.points, event.member_no) == ("LedgerTransaction", 50, world.state.found["member", *amy])


def test_a_hold_pins_the_lots_that_end_first_and_a_settlement_takes_them() -> None:
    world, amy = program()
    world.ok(c.ChangeProgram, program=("code", "main"), policies=_expiring(world))
    world.ok(c.Award, member=amy, points=40, reason="sorry")
    hold = pay(world, points("h", 60, account(world, amy), "@Shop", inflight=True))
    assert free(world, amy) == [(100, 20), (40, 40)]
    settled = transfers(world, world.ok(c.Settle, target=hold.id, amount=50))[0]
    assert moves(world, settled) == [("unhold", 40), ("take", 40), ("unhold", 10), ("take", 10)]
    assert free(world, amy) == [(90, 10)]
    world.ok(c.Release, target=hold.id)
    assert free(world, amy) == [(90, 0)]
    assert world.balance(amy) == 90


def _expiring(world: World) -> Any:
    from msgspec.structs import replace

    return replace(next(iter(world.state.config.programs.values())).policies, expiry=THIRTY_DAYS)


def test_pinned_points_do_not_end_and_what_is_let_go_too_late_ends_at_once() -> None:
    world, amy = program(expiry=THIRTY_DAYS)
    hold = pay(world, points("h", 60, account(world, amy), "@Shop", inflight=True))
    world.later(days=60)
    world.ok(c.ExpireLots, accounts=(world.account(amy),))
    assert (world.balance(amy), free(world, amy)) == (60, [(60, 60)])
    world.ok(c.Settle, target=hold.id, amount=10)
    assert world.internal("@Shop").balance == 10
    world.ok(c.Release, target=hold.id)
    assert world.balance(amy) == 0
    assert world.internal("@PointsExpired").balance == 90
    last = max(world.state.events.values(), key=lambda event: event.seq)
    assert (last.name, last.event_at) == ("PointsExpiry", datetime(2027, 2, 1, tzinfo=UTC))


def test_a_refund_fills_the_lots_the_original_took_last_first() -> None:
    world, amy = program()
    world.ok(c.Award, member=amy, points=50, reason="sorry")
    paid = pay(world, points("d", 120, account(world, amy), "@Shop"))
    assert free(world, amy) == [(30, 0)]
    back = transfers(world, world.ok(c.Refund, target=paid.id))[0]
    assert moves(world, back) == [("refill", 20), ("refill", 100)]
    assert free(world, amy) == [(100, 0), (50, 0)]


def test_a_refund_of_a_settled_hold_fills_its_lots_too() -> None:
    world, amy = program()
    hold = pay(world, points("h", 60, account(world, amy), "@Shop", inflight=True))
    part = transfers(world, world.ok(c.Settle, target=hold.id))[0]
    world.ok(c.Refund, target=part.id)
    assert free(world, amy) == [(100, 0)]


def test_a_transfer_between_members_shows_in_both_ledgers() -> None:
    world, amy = program()
    bob = world.member("bob")
    made = pay(world, points("t", 30, account(world, amy), account(world, bob)))
    mine = world.state.events[made.event_seq]
    theirs = next(event for event in world.state.events.values() if event.mirrors == mine.seq)
    assert (mine.points, mine.member_no) == (-30, world.state.found["member", *amy])
    assert (theirs.points, theirs.member_no, theirs.transfers) == (30, world.state.found["member", *bob], 0)
    assert (theirs.name, theirs.reference, theirs.event_at) == (mine.name, mine.reference, mine.event_at)


def test_a_hold_between_members_shows_on_the_other_side_only_when_it_is_settled() -> None:
    world, amy = program()
    bob = world.member("bob")
    hold = pay(world, points("t", 30, account(world, amy), account(world, bob), inflight=True))
    assert not [event for event in world.state.events.values() if event.mirrors]
    world.ok(c.Settle, target=hold.id, amount=10)
    assert [event.points for event in world.state.events.values() if event.mirrors] == [10]
    assert world.balance(bob) == 10


@pytest.mark.parametrize("flags", [{}, {"allow_overdraft": True}, {"overdraft_limit": 10**6}])
def test_points_are_never_overdrawn(flags: dict[str, Any]) -> None:
    world, amy = program()
    item = points("d", 101, account(world, amy), "@Shop", **flags)
    assert world.no(c.Post, postings=(item,)).code is Rejection.INSUFFICIENT_FUNDS
    queued = points("q", 101, account(world, amy), "@Shop", **flags, queued=True)
    assert pay(world, queued).status == "REJECTED"


def test_overdue_points_are_nobodys_funds() -> None:
    world, amy = program(expiry=THIRTY_DAYS)
    world.later(days=60)
    item = points("d", 1, account(world, amy), "@Shop")
    assert world.no(c.Post, postings=(item,)).code is Rejection.INSUFFICIENT_FUNDS
    pay(world, points("c", 5, "@World", account(world, amy), allow_overdraft=True))
    names = [event.name for _, event in sorted(world.state.events.items())]
    assert names[-2:] == ["PointsExpiry", "LedgerTransaction"], "what is overdue is posted before anything else"
    assert world.balance(amy) == 5


@pytest.mark.parametrize("category", ["promised", "trigger_based"])
def test_only_regular_points_are_paid_with(category: str) -> None:
    world, amy = program()
    pay(world, points("c", 5, "@World", account(world, amy, category), allow_overdraft=True))
    item = points("d", 1, account(world, amy, category), "@Shop")
    assert world.no(c.Post, postings=(item,)).code is Rejection.CATEGORY_NOT_SPENDABLE


def test_who_is_blocked_cannot_pay() -> None:
    world, amy = program()
    world.ok(c.ChangeMember, member=amy, status="blocked")
    item = points("d", 1, account(world, amy), "@Shop", queued=True)
    assert world.no(c.Post, postings=(item,)).code is Rejection.MEMBER_BLOCKED
    pay(world, points("c", 1, "@World", account(world, amy), allow_overdraft=True))


def test_a_credit_repays_what_is_owed_first() -> None:
    world, amy = program()
    world.buy("B-1", 5_000, amy)
    world.ok(c.Redeem, member=amy, points=150)
    world.ok(c.ReturnPurchase, purchase=("number", "B-1"), number="R-1")
    assert world.balance(amy) == -50
    made = pay(world, points("c", 80, "@World", account(world, amy), allow_overdraft=True))
    assert moves(world, made) == [("open", 80), ("repay", 50)]
    assert world.state.figures_of(world.account(amy)).floor == 0
    assert free(world, amy) == [(30, 0)]


def test_an_asset_that_is_not_the_accounts_is_refused() -> None:
    world, amy = program()
    item = points("d", 1, account(world, amy), "@Shop", asset="USD", precision=100)
    assert world.no(c.Post, postings=(item,)).code is Rejection.ASSET_MISMATCH


@pytest.mark.parametrize("year", [1, 1969, 2028, 9999])
@pytest.mark.parametrize("timezone", ["UTC", "America/New_York", "Pacific/Auckland"])
def test_points_take_effect_neither_before_time_nor_in_the_future(year: int, timezone: str) -> None:
    world, amy = program(expiry=THIRTY_DAYS, timezone=timezone)
    when = datetime(year, 1, 1, tzinfo=UTC)
    item = points("c", 5, "@World", account(world, amy), allow_overdraft=True, effective_at=when)
    assert world.no(c.Post, postings=(item,)).code is Rejection.EVENT_TIME_OUT_OF_RANGE


def test_points_may_take_effect_earlier_and_end_accordingly() -> None:
    world, amy = program(expiry=THIRTY_DAYS)
    when = world.now - timedelta(days=20)
    pay(world, points("c", 5, "@World", account(world, amy), allow_overdraft=True, effective_at=when))
    lot = max(world.state.lots_of(world.account(amy)), key=lambda lot: lot.no)
    assert (lot.earned_at, lot.expires_at) == (when, datetime(2027, 1, 12, tzinfo=UTC))
