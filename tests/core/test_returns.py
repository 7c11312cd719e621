"""Returns in parts: however a bill comes back, it comes back whole, and never below what the program allows."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.core import commands as c
from guerdon.core import lots
from guerdon.core.booking import Booking
from guerdon.core.division import division
from guerdon.core.earning import Occasion, earnings
from guerdon.core.events import Name
from guerdon.core.outcomes import Rejection
from guerdon.core.places import Place
from guerdon.core.programs import Policies, Rule
from tests.core.world import THIRTY_DAYS, World
from tests.model.auditor import audit

BASE = Rule(code="base", kind="per_amount", points=1, amount=100)
RULES = (
    BASE,
    Rule(code="promise", kind="fixed", points=9, category="promised"),
    Rule(code="wine", kind="per_amount", points=7, amount=300, mode="proportional", skus=("wine",)),
    Rule(code="double", kind="multiplier", points=2, minimum=4_000),
)
Bought = list[c.Line]

line = st.builds(
    c.Line,
    sku=st.sampled_from(("food", "wine")),
    quantity=st.sampled_from((1_000, 1_000, 2_000, 3_000, 1_500, 333, 0)),
    amount=st.sampled_from((0, 1, 99, 1_000, 3_333, 5_000, 9_999, -100)),
)
bought = st.lists(line, min_size=1, max_size=5).filter(lambda lines: sum(line.amount for line in lines) >= 0)


def goods(*amounts: int, quantity: int = 1_000) -> tuple[c.Line, ...]:
    return tuple(c.Line(sku="A", quantity=quantity, amount=amount) for amount in amounts)


def some(*parts: tuple[int, int]) -> tuple[c.ReturnLine, ...]:
    """(line number, thousandths)."""
    return tuple(c.ReturnLine(line=number, quantity=quantity) for number, quantity in parts)


def sold(lines: tuple[c.Line, ...], spend: int = 0, redeem: int = 0, **policies: Any) -> World:
    """A bill of Amy's, who had 500 points before it and may have spent some since."""
    world = World().with_program(**{"rules": RULES, **policies})
    amy = world.member("amy")
    world.ok(c.Award, member=amy, points=500, reason="hello")
    world.ok(c.RecordPurchase, number="B-1", currency="USD", member=amy, lines=lines, spend=spend)
    if redeem:
        world.ok(c.Redeem, member=amy, points=min(redeem, world.balance(amy)))
    return world


def take_back(world: World, parts: tuple[c.ReturnLine, ...] | None = None) -> Any:
    number = f"R-{len(world.state.returns)}"
    result = world.ok(c.ReturnPurchase, purchase=("number", "B-1"), number=number, lines=parts)
    audit(world.rows)
    return result


@st.composite
def splits(draw: st.DrawFn, lines: Bought) -> list[tuple[c.ReturnLine, ...]]:
    """A bill taken apart: pieces of lines in some order, some of them together, and what is left at the end or not."""
    pieces = []
    for number, line in enumerate(lines, 1):
        left = line.quantity or 1_000
        while left:
            part = draw(st.sampled_from((left, left, max(1, left // 2), min(left, 1_000), min(left, 333))))
            pieces.append(c.ReturnLine(line=number, quantity=part))
            left -= part
    pieces = draw(st.permutations(pieces))
    found = []
    while pieces:
        size = draw(st.integers(1, len(pieces)))
        found.append(tuple(pieces[:size]))
        pieces = pieces[size:]
    return found


@st.composite
def bills(draw: st.DrawFn) -> tuple[tuple[c.Line, ...], list[tuple[c.ReturnLine, ...]]]:
    lines = draw(bought)
    return tuple(lines), draw(splits(lines))


spends = st.sampled_from((0, 0, 10, 33, 200))
redeems = st.sampled_from((0, 0, 5, 100, 10_000))


@settings(deadline=None)
@given(bill=bills(), spend=spends, redeem=redeems, returns=st.sampled_from(("proportional", "reevaluate")))
def test_any_sequence_of_parts_gives_the_sums_of_the_whole(bill: Any, spend: int, redeem: int, returns: str) -> None:
    bill_lines, parts = bill
    at_once, by_parts = (
        sold(bill_lines, spend, redeem, returns=returns),
        sold(bill_lines, spend, redeem, returns=returns),
    )
    whole = take_back(at_once)
    results = [take_back(by_parts, part) for part in parts]
    for figure in ("amount", "paid", "returned_points", "restored_points", "expired", "written_off"):
        assert sum(getattr(result, figure) for result in results) == getattr(whole, figure), figure
    for category in ("regular", "promised"):
        amy = ("external_id", "amy")
        assert by_parts.balance(amy, category) == at_once.balance(amy, category)
    assert whole.amount == sum(line.amount for line in bill_lines)
    again = by_parts.no(c.ReturnPurchase, purchase=("number", "B-1"), number="R-99")
    assert again.code is Rejection.ALREADY_RETURNED


@settings(deadline=None)
@given(bill=bills(), spend=spends, redeem=redeems)
def test_where_shortfalls_are_written_off_no_sequence_leads_below_zero(bill: Any, spend: int, redeem: int) -> None:
    bill_lines, parts = bill
    world = sold(bill_lines, spend, redeem, on_shortfall="write_off")
    earned = sum(lot.amount for lot in world.state.lots.values() if lot.purchase_no)
    gone = 0
    for part in parts:
        result = take_back(world, part)
        gone += result.returned_points + result.written_off
        assert world.balance(("external_id", "amy")) >= 0
        assert world.balance(("external_id", "amy"), "promised") >= 0
    assert gone == earned


@settings(deadline=None)
@given(bill=bills(), spend=spends)
def test_evaluated_again_what_is_left_is_what_the_rest_would_have_earned(bill: Any, spend: int) -> None:
    """As long as no line lowers the bill; with one that does, a return never becomes a credit."""
    bill_lines, parts = bill
    bill_lines = tuple(c.Line(sku=each.sku, quantity=each.quantity, amount=abs(each.amount)) for each in bill_lines)
    world = sold(bill_lines, spend, returns="reevaluate")
    program = next(iter(world.state.config.programs.values()))
    purchase = world.state.purchases[1]
    left = [each.amount - share for each, share in zip(bill_lines, purchase.shares, strict=True)]
    gone = [0] * len(bill_lines)
    for part in parts:
        take_back(world, part)
        for each in part:
            gone[each.line - 1] += each.quantity
        kept = [net - net * g // (of.quantity or 1_000) for net, g, of in zip(left, gone, bill_lines, strict=True)]
        own = [lot for lot in world.state.lots.values() if lot.purchase_no]
        expected = {each.rule: each.points for each in earnings(program, bill_lines, kept, Occasion())}
        assert {lot.rule: lot.remaining for lot in own if lot.remaining} == expected


@given(lines=bought, spent=st.integers(0, 5_000), rules=st.sets(st.sampled_from(RULES)))
def test_a_division_adds_up_and_gives_no_line_less_than_nothing(lines: Bought, spent: int, rules: set[Rule]) -> None:
    world = World().with_program(rules=tuple(sorted(rules, key=lambda rule: rule.code)))
    program = next(iter(world.state.config.programs.values()))
    positive = [max(each.amount, 0) for each in lines]
    money = min(spent, sum(each.amount for each in lines))
    shares = [0] * len(lines) if not money else [money] + [0] * (len(lines) - 1)
    if money > positive[0]:
        return
    nets = [each.amount - share for each, share in zip(lines, shares, strict=True)]
    earned = earnings(program, lines, nets, Occasion())
    divided = division(lines, shares, spent=spent if money else 0, program=program, earned=earned)
    assert sum(divided.paid) == sum(nets)
    assert sum(divided.spent) == (spent if money else 0)
    assert [sum(each.parts) for each in divided.earned] == [each.points for each in earned]
    for parts in (divided.paid, divided.spent, *(each.parts for each in divided.earned)):
        assert min(parts, default=0) >= 0
        assert all(not part for part, each in zip(parts, lines, strict=False) if each.amount <= 0)


def test_a_refusal_says_what_was_bought_returned_and_asked_for() -> None:
    world = sold(goods(6_000, 4_000, quantity=3_000))
    take_back(world, some((2, 1_500)))
    refused = world.no(
        c.ReturnPurchase, purchase=("number", "B-1"), number="R-9", lines=some((1, 1_000), (2, 1_000), (2, 501))
    )
    assert (refused.code, refused.field) == (Rejection.RETURN_EXCEEDS_PURCHASE, "lines[2]")
    assert refused.detail == {"line": 2, "sku": "A", "bought": "3.000", "returned": "1.500", "asked": "1.501"}


@pytest.mark.parametrize(
    ("parts", "code", "field"),
    [
        ((), Rejection.RETURN_WITHOUT_LINES, "lines"),
        (some((1, 0)), Rejection.QUANTITY_NOT_POSITIVE, "lines[0].quantity"),
        (some((1, 500), (2, -1)), Rejection.QUANTITY_NOT_POSITIVE, "lines[1].quantity"),
        (some((3, 1_000)), Rejection.LINE_NOT_FOUND, "lines[0]"),
        ((c.ReturnLine(sku="B", quantity=1_000),), Rejection.LINE_NOT_FOUND, "lines[0]"),
        ((c.ReturnLine(line=1, sku="B", quantity=1_000),), Rejection.LINE_NOT_FOUND, "lines[0]"),
        (some((1, 3_001)), Rejection.RETURN_EXCEEDS_PURCHASE, "lines[0]"),
        ((c.ReturnLine(sku="A", quantity=6_001),), Rejection.RETURN_EXCEEDS_PURCHASE, "lines[0]"),
    ],
)
def test_what_cannot_be_returned_has_a_code_of_its_own_and_changes_nothing(
    parts: tuple[c.ReturnLine, ...], code: Rejection, field: str
) -> None:
    world = sold(goods(6_000, 4_000, quantity=3_000))
    before = len(world.state.events), dict(world.state.lots), dict(world.state.figures)
    refused = world.no(c.ReturnPurchase, purchase=("number", "B-1"), number="R-1", lines=parts)
    assert (refused.code, refused.field) == (code, field)
    assert (len(world.state.events), world.state.lots, world.state.figures) == before


def test_one_event_carries_both_numbers_and_what_came_back() -> None:
    world = sold(goods(6_000, 4_000), spend=100)
    result = take_back(world, some((2, 1_000)))
    event = world.state.events[result.event_no]
    assert (event.name, event.reference, event.purchase_no) == ("TransactionReturn", "R-0", 1)
    assert '"purchase_number":"B-1"' in event.body
    assert '"lines":[[1,1000]]' in event.body
    assert event.points == result.restored_points - result.returned_points


def test_what_promised_points_became_is_claimed_where_it_lies() -> None:
    """A conversion moves promised points to a regular lot of the same bill and rule; a return finds them there."""
    world = sold(goods(6_000, 4_000), rules=(BASE, RULES[1]))
    amy = ("external_id", "amy")
    promised, regular = world.account(amy, "promised"), world.account(amy)
    converted(world, promised, regular)
    result = take_back(world, some((1, 1_000)))
    assert result.returned_points == 60 + 5
    assert world.balance(amy, "promised") == 0
    assert world.balance(amy) == 500 + 40 + 4
    assert take_back(world).returned_points == 40 + 4
    assert world.balance(amy) == 500


def converted(world: World, promised: int, regular: int) -> None:
    """All that is promised becomes regular: the promised lot is spent, a regular one opened."""
    state = world.state
    state.begin("01900000-0000-7000-8000-0000ff000000", world.now)
    booking = Booking(state, Name.LEDGER_TRANSACTION, 1, Place(event_at=world.now, judged_at=world.now))
    for lot in state.lots_of(promised):
        lots.change(state, booking.moves, lot, "take", lot.remaining)
        lots.open_lot(
            state, booking.moves, regular, booking.seq, lot.amount,
            earned_at=lot.earned_at, expires_at=lot.expires_at, rule=lot.rule, purchase_no=lot.purchase_no,
        )  # fmt: skip
        booking.move(promised, regular, lot.amount)
    booking.close()
    state.accept()


def test_expired_points_are_told_apart_and_make_no_line() -> None:
    world = sold(goods(6_000, 4_000), rules=(BASE,), expiry=THIRTY_DAYS)
    world.later(days=40)
    result = take_back(world, some((2, 1_000)))
    assert (result.returned_points, result.expired, result.written_off) == (0, 40, 0)
    assert world.state.events[result.event_no].transfers == 0


def test_the_terms_of_the_sale_say_how_it_is_taken_back() -> None:
    world = sold(goods(3_000, 2_000), rules=(BASE, RULES[3]), returns="reevaluate")
    world.ok(c.ChangeProgram, program=("code", "main"), policies=Policies(rules=(BASE,), currency="USD"))
    assert take_back(world, some((2, 1_000))).returned_points == 100 - 30
    assert take_back(world).returned_points == 30
