"""Purchases: what a customer bought, what it earned, what points paid of it, and the frozen division that returns go
by.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from guerdon.core import caps, carts, endings, pasts, promises, standings, uses
from guerdon.core.activity import deeds
from guerdon.core.assets import AMOUNT_MAX, allocate
from guerdon.core.booking import Booking
from guerdon.core.commands import Line, RecordPurchase, Tender
from guerdon.core.content import encode, fingerprint, replay
from guerdon.core.division import Division, division
from guerdon.core.earning import PROMOTION_RULE, Earning, earnings
from guerdon.core.events import Name
from guerdon.core.ledger import internal_account, out_of_range
from guerdon.core.members import Member, account_in, add_member, enrol, resolve
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.places import Place, locate
from guerdon.core.points import (
    Portion,
    amount_refusal,
    book_redemption,
    choose_program,
    condition_refusal,
    credit,
    expire_after,
    expire_overdue,
    internal,
    shortage,
    worth,
)
from guerdon.core.points import expires_at as points_end
from guerdon.core.programs import CATEGORIES, Program
from guerdon.core.promotions.verdicts import Evaluation, Verdict
from guerdon.core.results import Earned, Purchased

if TYPE_CHECKING:
    from guerdon.core.state import State


class Purchase(Struct, frozen=True, kw_only=True):
    """A bill as it was booked; immutable. `paid` is the amount less what promotions gave and the money that points
    bought; `shares` are that money's parts per line, in line order; `division` says the same of all else. `event_seq`
    is its `TransactionAdd`, which for a guest names no member. `fingerprint` tells whether another request of the same
    number says the same. `program_no` is the program it counts in, 0 for a guest's.
    """

    no: int
    id: str
    number: str
    member_no: int
    event_seq: int
    event_at: datetime
    recorded_at: datetime
    currency: str
    amount: int
    paid: int
    spent_points: int
    redemption_id: str | None
    source: str
    store_no: int
    till_no: int
    lines: tuple[Line, ...]
    shares: tuple[int, ...]
    division: Division
    tenders: tuple[Tender, ...]
    fingerprint: bytes
    result: str
    meta: str = ""
    program_no: int = 0

    @property
    def promoted(self) -> bool:
        """Whether promotions gave anything on it."""
        divided = self.division
        return bool(
            divided.discounts
            or divided.vouchers
            or any(each.rule.startswith(PROMOTION_RULE) for each in divided.earned)
        )


class PurchaseReturn(Struct, frozen=True, kw_only=True):
    """A return of a purchase or of a part of it, immutable, with its own number.

    `lines` are (position from 0, quantity in thousandths); `amount`, `paid`, `spent` (points) and `earned` (points per
    rule, in the order of the purchase's division) are their parts of the whole.
    """

    no: int
    id: str
    number: str
    purchase_no: int
    member_no: int
    event_seq: int
    event_at: datetime
    recorded_at: datetime
    lines: tuple[tuple[int, int], ...]
    amount: int
    paid: int
    spent: int
    earned: tuple[int, ...]
    fingerprint: bytes
    result: str


# -- recording --------------------------------------------------------------------------------------------------------


def record(state: State, command: RecordPurchase) -> Outcome:
    """The checkout's one call: points spent, points earned, wallet money, all in one piece.

    The purchase number is a natural reference: same content again replays, other content is refused, and a number that
    was refused may be tried again.
    """
    content = fingerprint(command)
    known = state.find(("purchase_number", command.number))
    if known is not None:
        purchase = state.purchases[known]
        return replay(purchase.fingerprint, purchase.result, content, Rejection.NUMBER_TAKEN, "number")
    amount = _amount(command)
    if isinstance(amount, Rejected):
        return amount
    if command.currency not in state.config.assets:
        return Rejected(Rejection.ASSET_NOT_FOUND, "currency", {"asset": command.currency})
    place = locate(state, command.where)
    if isinstance(place, Rejected):
        return place
    if command.member is None:
        return _record_guest(state, command, place, amount, content)
    member = _member(state, command, place)
    if isinstance(member, Rejected):
        return member
    program = choose_program(state, command.program, place)
    if isinstance(program, Rejected):
        return program
    account_no = account_in(state, member, program)
    expire_overdue(state, account_no, place.judged_at)
    promoted = _promoted(state, command, place, member, program)
    if isinstance(promoted, Rejected):
        return promoted
    prices = promoted.prices
    due = amount - promoted.given
    spending = _spending(state, command, program, account_no, due)
    if isinstance(spending, Rejected):
        return spending
    points, money = spending
    shares = allocate(money, [max(price, 0) for price in prices]) if money else [0] * len(command.lines)
    due -= money
    refused = _wallet_refusal(state, command, member, due)
    if refused is not None:
        return refused
    nets = [price - share for price, share in zip(prices, shares, strict=True)]
    occasion = caps.occasion(state, program, member, place)
    earned = earnings(program, command.lines, nets, occasion)
    if promoted.evaluation is not None:
        earned += carts.earned_by(promoted.evaluation, nets)
    pool = internal(state, program, "pool")
    if out_of_range(state.figures_of(pool), state.figures_of(account_no), sum(earning.points for earning in earned)):
        return Rejected(Rejection.AMOUNT_OUT_OF_RANGE, "lines", {"maximum": str(AMOUNT_MAX)})
    no = state.next("purchase")
    redemption_id = None
    if points:
        redemption_id = state.new_id()
        book_redemption(
            state, member, program, place, points, id=redemption_id, money=money, purchase_no=no, actor=command.actor
        )
    booking = Booking(state, Name.TRANSACTION_ADD, member.no, place)
    _pay(state, booking, command, due)
    ends = _credit(state, booking, member, program, earned, place, no)
    endings.renew(state, booking, program.no)
    raised = caps.use(state, program, member, place, earned, booking.seq)
    event = booking.close(
        actor=command.actor,
        reference=command.number,
        purchase_no=no,
        body={
            "purchase_id": command.id,
            "program_no": program.no,
            "earned": [{"rule": e.rule, "version": e.version, "points": e.points, "basis": e.basis} for e in earned],
            **promoted.book(state, booking, no, command.number),
            **({"caps": [each for raises in raised.values() for each in raises]} if raised else {}),
        },
    )
    credited = {"regular", *(earning.category for earning in earned)}
    for category in CATEGORIES:
        if category in credited:
            expire_after(state, account_in(state, member, program, category))
    result = Purchased(
        id=command.id,
        number=command.number,
        purchase_no=no,
        event_no=event.seq,
        member_id=member.id,
        event_at=place.event_at,
        recorded_at=state.now,
        currency=command.currency,
        amount=amount,
        paid=due,
        spent_points=points,
        spent_money=money,
        redemption_id=redemption_id or "",
        earned=tuple(_earned(program, earning, place.event_at, ends.get(i)) for i, earning in enumerate(earned)),
        balances=((program.no, state.figures_of(account_no).balance),),
        discounts=promoted.discounts,
        vouchers=promoted.vouchers,
        verdicts=promoted.verdicts,
    )
    divided = division(
        command.lines,
        shares,
        spent=points,
        program=program,
        earned=earned,
        discounts=promoted.discounts,
        vouchers=promoted.vouchers,
        caps=raised,
        occasion=occasion,
    )
    return _keep(state, command, result, place, member.no, shares, divided, content, program.no)


def _record_guest(state: State, command: RecordPurchase, place: Place, amount: int, content: bytes) -> Outcome:
    """A purchase of nobody we know: booked, so that it can be returned and counted, and worth no points."""
    if command.spend:
        return Rejected(Rejection.MEMBER_NOT_FOUND, "member", {"reason": "a guest has no points to spend"})
    if command.wallet:
        return Rejected(Rejection.MEMBER_NOT_FOUND, "member", {"reason": "a guest has no wallet"})
    promoted = _promoted(state, command, place, None, None)
    if isinstance(promoted, Rejected):
        return promoted
    no = state.next("purchase")
    booking = Booking(state, Name.TRANSACTION_ADD, 0, place)
    event = booking.close(
        actor=command.actor,
        reference=command.number,
        purchase_no=no,
        body={"purchase_id": command.id, **promoted.book(state, booking, no, command.number)},
    )
    result = Purchased(
        id=command.id,
        number=command.number,
        purchase_no=no,
        event_no=event.seq,
        member_id="",
        event_at=place.event_at,
        recorded_at=state.now,
        currency=command.currency,
        amount=amount,
        paid=amount - promoted.given,
        spent_points=0,
        spent_money=0,
        redemption_id="",
        earned=(),
        balances=(),
        discounts=promoted.discounts,
        vouchers=promoted.vouchers,
        verdicts=promoted.verdicts,
    )
    shares = [0] * len(command.lines)
    divided = division(command.lines, shares, discounts=promoted.discounts, vouchers=promoted.vouchers)
    return _keep(state, command, result, place, 0, shares, divided, content)


class _Promoted(Struct, frozen=True, kw_only=True):
    """What promotions do to a bill: what is off each line (empty for nothing), and the price that is left of it."""

    prices: list[int]
    discounts: tuple[int, ...] = ()
    vouchers: int = 0
    evaluation: Evaluation | None = None
    reservation: str = ""

    @property
    def given(self) -> int:
        return sum(self.discounts) + self.vouchers

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """What the answer tells: all that was applied, and what became of each code."""
        if self.evaluation is None:
            return ()
        told = carts.told(self.evaluation)
        return (*told.applied, *told.others)

    def book(self, state: State, booking: Booking, purchase_no: int, number: str) -> dict[str, Any]:
        """Use it; what the event says of it."""
        if self.evaluation is None or not self.evaluation.applied:
            return {}
        said = uses.book(state, booking, self.evaluation, purchase_no=purchase_no, reference=number)
        return {"promotions": said, **uses.told(self.reservation)}


def _promoted(
    state: State, command: RecordPurchase, place: Place, member: Member | None, program: Program | None
) -> _Promoted | Rejected:
    prices = [line.amount for line in command.lines]
    if not command.promoted:
        return _Promoted(prices=prices)
    evaluation = carts.apply(state, command, place, member, program)
    if isinstance(evaluation, Rejected):
        return evaluation
    return _Promoted(
        prices=[price - off for price, off in zip(prices, evaluation.discounts, strict=True)],
        discounts=evaluation.discounts if any(evaluation.discounts) else (),
        vouchers=evaluation.vouchers,
        evaluation=evaluation,
        reservation=command.reservation,
    )


def _amount(command: RecordPurchase) -> int | Rejected:
    """The purchase's amount: the sum of its lines, which the amount given must equal."""
    if not command.lines:
        return Rejected(Rejection.PURCHASE_WITHOUT_LINES, "lines")
    amount = sum(line.amount for line in command.lines)
    if command.amount is not None and command.amount != amount:
        return Rejected(Rejection.AMOUNT_MISMATCH, "amount", {"amount": command.amount, "sum_of_lines": amount})
    if amount < 0:
        return Rejected(Rejection.AMOUNT_NOT_POSITIVE, "lines", {"sum_of_lines": amount})
    if any(abs(line.amount) > AMOUNT_MAX for line in command.lines) or amount > AMOUNT_MAX:
        return Rejected(Rejection.AMOUNT_OUT_OF_RANGE, "lines", {"maximum": str(AMOUNT_MAX)})
    return amount


def _member(state: State, command: RecordPurchase, place: Place) -> Member | Rejected:
    """Who buys; with `register` an external id nobody has yet is registered at the time of the purchase."""
    assert command.member is not None
    by, value = command.member
    if command.register and by == "external_id" and state.find(("member", by, value)) is None:
        member = add_member(state, state.new_id(), (command.member,), True, place.event_at)
        enrol(state, member, place, command.actor)
        return member
    return resolve(state, command.member)


def _spending(
    state: State, command: RecordPurchase, program: Program, account_no: int, amount: int
) -> tuple[int, int] | Rejected:
    """The points that are really taken and the money they buy: rounded down, and never points that buy nothing."""
    if not command.spend:
        return 0, 0
    refused = amount_refusal(command.spend, "spend_points")
    if refused is not None:
        return refused
    rate = program.policies.redemption_rate
    if rate is None or program.policies.currency not in ("", command.currency):
        return Rejected(
            Rejection.REDEMPTION_RATE_MISSING, "spend_points", {"program": program.code, "currency": command.currency}
        )
    money = min(worth(program, command.spend), amount)
    points = -(-money * rate.points // rate.money)
    refused = condition_refusal(state, program, account_no, command.spend, "spend_points") or shortage(
        state, account_no, max(points, command.spend)
    )
    return refused or (points, money)


def _wallet_refusal(state: State, command: RecordPurchase, member: Member, due: int) -> Rejected | None:
    """Whether the wallet that is to pay exists, is the buyer's, is of the purchase's currency, and holds enough."""
    if not command.wallet:
        return None
    no = state.find(("account", command.wallet))
    if no is None:
        return Rejected(Rejection.ACCOUNT_NOT_FOUND, "wallet", {"balance_id": command.wallet})
    if state.accounts[no].asset != command.currency or state.accounts[no].tracks_lots:
        return Rejected(
            Rejection.ASSET_MISMATCH,
            "wallet",
            {"currency": command.currency, "account_currency": state.accounts[no].asset},
        )
    if state.accounts[no].indicator == f"@Revenue{command.currency}":
        return Rejected(Rejection.SAME_ACCOUNT, "wallet", {"balance_id": command.wallet})
    if state.accounts[no].member_no != member.no:
        return Rejected(Rejection.WALLET_NOT_OF_MEMBER, "wallet", {"balance_id": command.wallet})
    figures = state.figures_of(no)
    if due > figures.available:
        return Rejected(Rejection.INSUFFICIENT_FUNDS, "wallet", {"required": due, "available": figures.available})
    return None


def _pay(state: State, booking: Booking, command: RecordPurchase, due: int) -> None:
    if command.wallet and due:
        wallet = state.find(("account", command.wallet))
        booking.move(wallet, internal_account(state, f"@Revenue{command.currency}", command.currency), due)


def _credit(
    state: State,
    booking: Booking,
    member: Member,
    program: Program,
    earned: list[Earning],
    place: Place,
    purchase_no: int,
) -> dict[int, datetime | None]:
    """One credit per category, one lot per earning. Returns when the points of each earning end, by its place."""
    ends: dict[int, datetime | None] = {}
    for category in CATEGORIES:
        these = {i: e for i, e in enumerate(earned) if e.category == category and e.points > 0}
        portions = [
            Portion(
                points=e.points, rule=e.rule, version=e.version, line=e.line, terms=_terms(program, e, place.event_at)
            )
            for e in these.values()
        ]
        if portions:
            opened = credit(
                state,
                booking,
                account_in(state, member, program, category),
                internal(state, program, "pool"),
                portions,
                program,
                earned_at=place.event_at,
                purchase_no=purchase_no,
            )
            ends.update(zip(these, opened, strict=True))
    return ends


def _terms(program: Program, earning: Earning, earned_at: datetime) -> promises.Terms:
    """What the points of a rule are credited under."""
    if earning.category == "regular":
        return promises.Terms(points_end(program.policies, earned_at))
    rule = next(rule for rule in program.policies.rules if rule.code == earning.rule)
    return promises.terms(program.policies, rule, earned_at)


def _earned(program: Program, earning: Earning, earned_at: datetime, ends: datetime | None) -> Earned:
    """What a rule gave, as it is answered; its points end as their lot does."""
    terms = _terms(program, earning, earned_at)
    return Earned(
        program_no=program.no,
        rule=earning.rule,
        version=earning.version,
        category=earning.category,
        points=earning.points,
        basis=earning.basis,
        expires_at=ends if earning.points > 0 else terms.expires_at,
        releases_at=terms.releases_at,
        trigger=terms.trigger,
        capped=earning.capped,
    )


def _keep(
    state: State,
    command: RecordPurchase,
    result: Purchased,
    place: Place,
    member_no: int,
    shares: list[int],
    divided: Division,
    content: bytes,
    program_no: int = 0,
) -> Outcome:
    """Write the purchase's row, let it count, and answer."""
    purchase = Purchase(
        no=result.purchase_no,
        id=command.id,
        number=command.number,
        member_no=member_no,
        event_seq=result.event_no,
        event_at=place.event_at,
        recorded_at=state.now,
        currency=command.currency,
        amount=result.amount,
        paid=result.paid,
        spent_points=result.spent_points,
        redemption_id=result.redemption_id or None,
        source=place.source,
        store_no=place.store_no,
        till_no=place.till_no,
        lines=command.lines,
        shares=tuple(shares),
        division=divided,
        tenders=command.tenders,
        fingerprint=content,
        result=encode(result),
        meta=command.meta,
        program_no=program_no,
    )
    state.put(state.purchases, purchase.no, purchase)
    pasts.bought(state, purchase)
    state.put(state.found, ("purchase_number", purchase.number), purchase.no)
    for selector in (("number", purchase.number), ("id", purchase.id), ("no", str(purchase.no))):
        state.put(state.found, ("purchase", *selector), purchase.no)
    if member_no and standings.counts(state, member_no, program_no):
        standings.count(state, member_no, program_no, deeds(purchase), "reached")
    return Accepted(result)
