"""Members: known by normalised identifiers, each unique; enrolled or merely known; blocked; removed."""

from __future__ import annotations

import pytest

from guerdon.core import commands as c
from guerdon.core.members import normalise
from guerdon.core.outcomes import Rejection
from tests.core.world import World, purchase

EMAIL = ("email", "amy@example.org")


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("email", " Amy@Example.ORG ", "amy@example.org"),
        ("mobile", "+44 (0)20-7946 0958", "4402079460958"),
        ("mobile", "0044 20 7946 0958", "442079460958"),
        ("card", "ab12-3456 7890", "AB1234567890"),
        ("external_id", " C-17 ", "C-17"),
    ],
)
def test_identifiers_have_one_form(kind: str, given: str, expected: str) -> None:
    assert normalise(kind, given) == expected


def test_joining_opens_three_accounts_per_program_and_books_the_registration() -> None:
    world = World().with_program()
    world.ok(c.CreateProgram, code="second", name="Second", asset="POINTS",
             policies=next(iter(world.state.config.programs.values())).policies)  # fmt: skip
    result = world.ok(c.RegisterMember, identifiers=(EMAIL,), profile='{"name":"Amy"}', meta='{"a":1}')
    accounts = world.state.member_accounts[result.number]
    assert len(accounts) == 6
    assert all(world.state.figures[no].floor == 0 for no in accounts.values())
    event = world.state.events[result.event_no]
    assert (event.name, event.transfers, event.points) == ("CustomerRegistration", 0, 0)
    assert event.seq == 1, "nothing stands before it"
    assert world.state.profiles[result.number] == '{"name":"Amy"}'


def test_a_raw_identity_has_no_accounts_and_no_events() -> None:
    world = World().with_program()
    result = world.ok(c.RegisterMember, identifiers=(EMAIL,), enrol=False)
    assert (result.event_no, world.state.member_accounts[result.number], world.state.events) == (0, {}, {})


def test_an_identifier_is_one_members() -> None:
    world = World().with_program()
    amy = world.ok(c.RegisterMember, identifiers=(EMAIL, ("card", "C1")))
    assert world.no(c.RegisterMember, identifiers=(("card", "C1"),)).code is Rejection.IDENTIFIER_TAKEN
    bob = world.member("bob")
    assert world.no(c.ChangeMember, member=bob, identifiers=(EMAIL,)).code is Rejection.IDENTIFIER_TAKEN
    world.ok(c.ChangeMember, member=("id", amy.id), identifiers=(("card", "C1"), ("email", "a@example.org")))
    world.ok(c.ChangeMember, member=bob, identifiers=(EMAIL,))
    assert world.no(c.ChangeMember, member=bob, status="blocked").code is Rejection.MEMBER_NOT_FOUND
    assert world.state.found["member", *EMAIL] == 2


def test_the_same_identifier_twice_in_one_request_is_one() -> None:
    world = World().with_program()
    result = world.ok(c.RegisterMember, identifiers=(EMAIL, EMAIL))
    assert world.state.members[result.number].identifiers == (EMAIL,)
    world.ok(c.ChangeMember, member=EMAIL, identifiers=(("card", "C1"), ("card", "C1")))
    assert world.state.members[result.number].identifiers == (("card", "C1"),)


def test_who_holds_or_held_points_cannot_be_removed_and_a_raw_identity_can() -> None:
    world = World().with_program()
    amy = world.member("amy")
    assert world.no(c.RemoveMember, member=amy).code is Rejection.MEMBER_IN_USE
    raw = world.ok(c.RegisterMember, identifiers=(EMAIL,), enrol=False)
    world.ok(c.OpenAccount, ledger="general_ledger_id", asset="USD", member=raw.id)
    assert world.no(c.RemoveMember, member=EMAIL).code is Rejection.MEMBER_IN_USE
    other = world.ok(c.RegisterMember, identifiers=(("card", "C1"),), enrol=False)
    world.ok(c.RemoveMember, member=("id", other.id))
    assert world.no(c.RemoveMember, member=("id", other.id)).code is Rejection.MEMBER_NOT_FOUND
    world.ok(c.RegisterMember, identifiers=(("card", "C1"),))


def test_a_blocked_member_neither_buys_nor_spends_but_may_return() -> None:
    world = World().with_program()
    amy = world.member("amy")
    world.buy("B-1", 10_000, amy)
    world.ok(c.ChangeMember, member=amy, status="blocked")
    assert world.no(c.RecordPurchase, **purchase("B-2", 100, amy)).code is Rejection.MEMBER_BLOCKED
    assert world.no(c.Redeem, member=amy, points=1).code is Rejection.MEMBER_BLOCKED
    assert world.no(c.Award, member=amy, points=1, reason="x").code is Rejection.MEMBER_BLOCKED
    assert world.ok(c.ReturnPurchase, purchase=("number", "B-1"), number="R-1").returned_points == 100


def test_a_bill_may_bring_its_member_along() -> None:
    world = World().with_program()
    new = ("external_id", "H-900")
    assert world.no(c.RecordPurchase, **purchase("B-1", 900, new)).code is Rejection.MEMBER_NOT_FOUND
    world.ok(c.RecordPurchase, **purchase("B-1", 900, new), register=True)
    assert [event.name for event in world.state.events.values()] == ["CustomerRegistration", "TransactionAdd"]
    assert world.balance(new) == 9
    assert world.no(
        c.RecordPurchase, **purchase("B-2", 900, ("external_id", "H-901")), register=True, spend=5
    ).code is (Rejection.INSUFFICIENT_POINTS)
    assert ("member", "external_id", "H-901") not in world.state.found, "who came with a refused bill is not there"


def test_a_program_added_later_opens_its_accounts_with_nothing() -> None:
    world = World().with_program()
    amy = world.member("amy")
    policies = next(iter(world.state.config.programs.values())).policies
    world.ok(c.CreateProgram, code="bistro", name="Bistro", asset="POINTS", policies=policies)
    world.ok(c.Award, member=amy, points=5, reason="x", program=("code", "bistro"))
    names = [event.name for event in world.state.events.values()]
    assert names == ["CustomerRegistration", "PointsLedgerBulkJob", "GoodwillAward"]
    assert world.internal("@PointsPool:bistro").debit == 5
    assert world.internal("@PointsPool").debit == 0


def test_a_raw_identity_is_enrolled_when_it_first_earns() -> None:
    world = World().with_program()
    raw = world.ok(c.RegisterMember, identifiers=(EMAIL,), enrol=False)
    assert world.no(c.RecordPurchase, **purchase("B-1", 900, EMAIL), spend=1).code is Rejection.INSUFFICIENT_POINTS
    assert not world.state.members[raw.number].enrolled
    world.later(days=1)
    world.buy("B-1", 900, EMAIL)
    world.buy("B-2", 900, EMAIL)
    assert next(iter(world.state.events.values())).event_at == raw.registered_at
    names = [event.name for event in world.state.events.values()]
    assert names == ["CustomerRegistration", "TransactionAdd", "TransactionAdd"]
    assert world.no(c.RemoveMember, member=EMAIL).code is Rejection.MEMBER_IN_USE
