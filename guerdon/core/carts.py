"""Carts: what promotions make of them, kept for a time if asked, and committed with or without a purchase of ours.

The evaluation itself is pure (`promotions.evaluating`); here are its arguments, taken from the state: the catalogue,
the shopper, the codes and the counters. All of it is decided under the organisation's lock, so no limit can be passed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import msgspec

from guerdon.core import caps, codes, issues, members, pasts, segments, standings, tallies, uses
from guerdon.core.assets import AMOUNT_MAX, allocate
from guerdon.core.booking import Booking
from guerdon.core.commands import CancelReservation, CommitCart, EvaluateCart, Line, RecordPurchase, Tender
from guerdon.core.content import encode, fingerprint, replay
from guerdon.core.division import division
from guerdon.core.earning import PROMOTION_RULE, Earning, Occasion, earnings
from guerdon.core.events import Name
from guerdon.core.ledger import out_of_range
from guerdon.core.members import Member, account_in, resolve
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.pasts import cart_lines
from guerdon.core.places import Place, locate
from guerdon.core.points import Portion, choose_program, credit, expire_after, expire_overdue, internal
from guerdon.core.points import expires_at as points_end
from guerdon.core.programs import Program
from guerdon.core.promoting import shelf
from guerdon.core.promotions.carts import Cart, Presented, Shopper
from guerdon.core.promotions.evaluating import Candidates
from guerdon.core.promotions.limits import CounterKey
from guerdon.core.promotions.verdicts import Evaluation
from guerdon.core.results import CartCommitted, Earned, Evaluated, ReservationCancelled
from guerdon.core.state import Key, NotLoaded
from guerdon.core.uses import CartCommit, Reservation

if TYPE_CHECKING:
    from guerdon.core.state import State

RESERVE_MAX_S = 24 * 3600
Asked = EvaluateCart | CommitCart | RecordPurchase


def evaluate(state: State, command: EvaluateCart) -> Outcome:
    """Answer what promotions make of a cart. Nothing is written, unless uses are to be kept or let go."""
    found = _who_and_where(state, command)
    if isinstance(found, Rejected):
        return found
    place, member, program = found
    if not 0 <= command.reserve_seconds <= RESERVE_MAX_S:
        return Rejected(Rejection.INVALID_VALUE, "reserve_seconds", {"minimum": 0, "maximum": RESERVE_MAX_S})
    earlier = state.find(("reservation_cart", command.cart)) if command.cart else None
    if earlier is not None:
        uses.let_go(state, state.reservations[earlier], "replaced")
    evaluation = _evaluation(state, command, place, member, program)
    if not (command.reserve_seconds and evaluation.applied):
        return Accepted(Evaluated(evaluation=evaluation))
    reservation = uses.keep(
        state,
        evaluation,
        id=command.id,
        cart=command.cart,
        member_no=member.no if member else 0,
        expires_at=state.now + timedelta(seconds=command.reserve_seconds),
        digest=_digest(command, member, evaluation),
    )
    return Accepted(Evaluated(evaluation=evaluation, reservation=reservation.id, expires_at=reservation.expires_at))


def cancel(state: State, command: CancelReservation) -> Outcome:
    """Let go what a reservation holds. One that has ended by itself or otherwise is no error."""
    reservation = _reservation(state, command.reservation)
    if isinstance(reservation, Rejected):
        return reservation
    if reservation.status == "open":
        uses.let_go(state, reservation, "cancelled")
    return Accepted(ReservationCancelled(id=reservation.id))


def commit(state: State, command: CommitCart) -> Outcome:
    """Use what promotions give a cart whose sale is kept elsewhere: limits and points, in one event. The number is
    natural: the same cart again replays.
    """
    content = fingerprint(command)
    known = state.find(("cart_commit", command.number))
    if known is not None:
        earlier = state.promotion_commits[known]
        return replay(earlier.fingerprint, earlier.result, content, Rejection.NUMBER_TAKEN, "number")
    found = _who_and_where(state, command)
    if isinstance(found, Rejected):
        return found
    place, member, program = found
    evaluation = apply(state, command, place, member, program)
    if isinstance(evaluation, Rejected):
        return evaluation
    nets = [line.amount - off for line, off in zip(command.lines, evaluation.discounts, strict=True)]
    earned = earned_by(evaluation, nets) if program is not None else []
    account_no = 0
    if member is not None and program is not None:
        account_no = account_in(state, member, program)
        expire_overdue(state, account_no, place.judged_at)
        pool = internal(state, program, "pool")
        if out_of_range(state.figures_of(pool), state.figures_of(account_no), sum(e.points for e in earned)):
            return Rejected(Rejection.AMOUNT_OUT_OF_RANGE, "lines", {"maximum": str(AMOUNT_MAX)})
    booking = Booking(state, Name.PROMOTION_USE, member.no if member else 0, place)
    said = uses.book(state, booking, evaluation, purchase_no=0, reference=command.number)
    if program is not None and earned:
        portions = [Portion(points=e.points, rule=e.rule, version=e.version, line=e.line) for e in earned]
        credit(state, booking, account_no, pool, portions, program, earned_at=place.event_at)
    event = booking.close(
        actor=command.actor,
        reference=command.number,
        body={"commit_id": command.id, "promotions": said, **uses.told(command.reservation)},
    )
    if account_no:
        expire_after(state, account_no)
    result = CartCommitted(
        id=command.id,
        number=command.number,
        event_no=event.seq,
        evaluation=told(evaluation),
        earned=shown(earned, program, place),
        balances=((program.no, state.figures_of(account_no).balance),) if program is not None else (),
    )
    kept = CartCommit(
        id=command.id,
        number=command.number,
        event_seq=event.seq,
        member_no=booking.member_no,
        committed_at=place.event_at,
        lines=command.lines,
        division=division(
            command.lines,
            [0] * len(command.lines),
            program=program,
            earned=earned,
            discounts=evaluation.discounts,
            vouchers=evaluation.vouchers,
        ),
        fingerprint=content,
        result=encode(result),
    )
    state.put(state.promotion_commits, kept.id, kept)
    for key in (("cart_commit", kept.number), ("commit", "number", kept.number), ("commit", "id", kept.id)):
        state.put(state.found, key, kept.id)
    state.put(state.found, ("cart_returns_of", kept.id), ())
    return Accepted(result)


# -- for purchases too ------------------------------------------------------------------------------------------------


def apply(
    state: State,
    command: CommitCart | RecordPurchase,
    place: Place,
    member: Member | None,
    program: Program | None,
) -> Evaluation | Rejected:
    """What is to be applied in earnest. Refused where a code that was presented gives nothing, and where a reservation
    is over or was made for something else; what it held is let go.
    """
    reservation = None
    if command.reservation:
        found = _reservation(state, command.reservation)
        if isinstance(found, Rejected):
            return found
        if found.status != "open" or found.expires_at <= state.now:
            over = "expired" if found.status == "open" else found.status
            return Rejected(Rejection.EVALUATION_STALE, "reservation", {"reservation": over})
        reservation = found
    evaluation = _evaluation(state, command, place, member, program, command.reservation)
    refused = _code_refusal(codes.presented(state, command.codes, None), evaluation)
    if refused is not None:
        return refused
    if reservation is not None:
        if reservation.digest != _digest(command, member, evaluation):
            return Rejected(Rejection.EVALUATION_STALE, "reservation", {"reservation": "made for something else"})
        uses.let_go(state, reservation, "used")
    return evaluation


def earned_by(evaluation: Evaluation, nets: Sequence[int]) -> list[Earning]:
    """The points that promotions give, over the lines by what was paid on them."""
    weights = [max(net, 0) for net in nets]
    return [
        Earning(
            rule=PROMOTION_RULE + verdict.promotion,
            version=verdict.version,
            category="regular",
            points=verdict.points,
            basis=sum(nets),
            parts=tuple(allocate(verdict.points, weights)),
        )
        for verdict in evaluation.applied
        if verdict.points
    ]


def shown(earned: Sequence[Earning], program: Program | None, place: Place) -> tuple[Earned, ...]:
    """Earnings as a result tells them."""
    if program is None:
        return ()
    ends = points_end(program.policies, place.event_at)
    return tuple(
        Earned(
            program_no=program.no,
            rule=each.rule,
            version=each.version,
            category=each.category,
            points=each.points,
            basis=each.basis,
            expires_at=ends,
        )
        for each in earned
    )


def told(evaluation: Evaluation) -> Evaluation:
    """What is kept with an answer: all that was applied, and what became of each code."""
    others = tuple(verdict for verdict in evaluation.others if verdict.code)
    return msgspec.structs.replace(evaluation, others=others, read=())


# -- arguments of the evaluation --------------------------------------------------------------------------------------


def _who_and_where(
    state: State, command: EvaluateCart | CommitCart
) -> tuple[Place, Member | None, Program | None] | Rejected:
    if not command.lines:
        return Rejected(Rejection.PURCHASE_WITHOUT_LINES, "lines")
    if any(abs(line.amount) > AMOUNT_MAX for line in command.lines) or not 0 <= command.shipping <= AMOUNT_MAX:
        return Rejected(Rejection.AMOUNT_OUT_OF_RANGE, "lines", {"maximum": str(AMOUNT_MAX)})
    if command.currency not in state.config.assets:
        return Rejected(Rejection.ASSET_NOT_FOUND, "currency", {"asset": command.currency})
    place = locate(state, command.where)
    if isinstance(place, Rejected):
        return place
    if command.member is None:
        return place, None, None
    member = resolve(state, command.member)
    if isinstance(member, Rejected):
        return member
    program = choose_program(state, command.program, place)
    if isinstance(program, Rejected):
        return program
    return place, member, program


def _evaluation(
    state: State, command: Asked, place: Place, member: Member | None, program: Program | None, reservation: str = ""
) -> Evaluation:
    """Evaluate, with everything that is known of who asks, where and when."""
    shopper = None if member is None else _shopper(state, member, program, place)
    presented = codes.presented(state, command.codes, member)
    found = _candidates(state, command, place, shopper, presented)
    now, zone, asked = place.judged_at, ZoneInfo(state.config.timezone), found.catalogue.asks
    keys = found.counters(now, zone)
    capped = caps.counters(program, str(member.no), now) if program is not None and member is not None else []
    past = None
    missing: list[Key] = [*tallies.lacking(state, [*keys, *capped])]
    taken_over: list[CounterKey] = []
    if member is not None and any(key[3] == member.id for key in keys):
        forebears = members.forebears(state, member)
        if forebears is None:
            missing.append(("forebears", member.no))
        else:
            taken_over = tallies.of_others(keys, member.id, [id for _, id in forebears])
            missing += tallies.lacking(state, taken_over)
    if member is not None and asked:
        missing += pasts.lacking(state, member, asked)
    if missing:
        raise NotLoaded(*missing)
    if member is not None and asked:
        past = pasts.past(state, member, asked)
    usage = tallies.usage(state, keys, now, reservation)
    if member is not None and taken_over:
        usage = tallies.joined(usage, member.id, tallies.usage(state, taken_over, now, reservation))

    def answer(points: tuple[int, ...]) -> Evaluation:
        return found.evaluate(now=now, usage=usage, points=points, past=past, zone=zone)

    multiply = found.multiply
    occasion = caps.occasion(state, program, member, place) if multiply and program is not None else None
    return settled(answer, multiply, program, command.lines, occasion)


def _candidates(
    state: State, command: Asked, place: Place, shopper: Shopper | None, presented: tuple[Presented, ...]
) -> Candidates:
    """Made ready once for a command, however often it has to be begun before all that it needs is there."""
    catalogue = shelf(state).catalogue
    store = state.config.stores[place.store_no].code if place.store_no else ""
    on = (store, place.source, shopper, presented)
    known = state.candidates.get(command.id)
    if known is not None and known[0] is command and known[1].catalogue is catalogue and known[2] == on:
        return known[1]
    cart = cart_of(
        command.currency,
        command.lines,
        shipping=0 if isinstance(command, RecordPurchase) else command.shipping,
        tenders=command.tenders,
        store=store,
        channel=place.source,
    )
    everything = isinstance(command, EvaluateCart) and command.everything
    found = Candidates(cart, catalogue, shopper, presented, everything=everything)
    state.candidates[command.id] = (command, found, on)
    return found


def _shopper(state: State, member: Member, program: Program | None, place: Place) -> Shopper:
    """What promotions look at of a member: the tier in the cart's program before this cart, and those segments that
    any of them names.
    """
    on = shelf(state)
    tier = ""
    if program is not None and on.about_tiers:
        tier = standings.tier_of(state, member.no, program.no, place.judged_at)
    there = segments.of(state, member, place.judged_at, on.segments) if on.segments else frozenset()
    return Shopper(id=member.id, tier=tier, segments=there, issues=issues.held(state, member))


def settled(
    answer: Callable[[tuple[int, ...]], Evaluation],
    multiply: bool,
    program: Program | None,
    lines: Sequence[Line],
    occasion: Occasion | None,
) -> Evaluation:
    """The answer to a cart whose lines also earn by a program's rules. Multipliers are of what the lines earn on the
    price that promotions leave, which takes a second look where there are both; without any (`multiply`), nothing looks
    at what they earn.
    """
    if not multiply:
        return answer(())
    nets = [line.amount for line in lines]
    evaluation = answer(_points(program, lines, nets, occasion))
    if evaluation.points and any(evaluation.discounts):
        nets = [line.amount - off for line, off in zip(lines, evaluation.discounts, strict=True)]
        evaluation = answer(_points(program, lines, nets, occasion))
    return evaluation


def cart_of(
    currency: str,
    lines: Sequence[Line],
    *,
    shipping: int = 0,
    tenders: tuple[Tender, ...] = (),
    store: str = "",
    channel: str = "",
) -> Cart:
    """A cart of a purchase's lines."""
    return Cart(
        currency=currency,
        lines=cart_lines(lines),
        shipping=shipping,
        tenders=tenders,
        store=store,
        channel=channel,
    )


def _points(
    program: Program | None, lines: Sequence[Line], nets: Sequence[int], occasion: Occasion | None
) -> tuple[int, ...]:
    """What each line earns by the earning rules alone."""
    if program is None or occasion is None:
        return ()
    parts = [0] * len(lines)
    for earning in earnings(program, lines, nets, occasion):
        for i, part in enumerate(earning.parts):
            parts[i] += part
    return tuple(parts)


def _code_refusal(typed: Sequence[Presented], evaluation: Evaluation) -> Rejected | None:
    """The first code that was presented and cannot be used."""
    why = {verdict.code: verdict for verdict in evaluation.others if verdict.status == "not_applied"}
    for i, presented in enumerate(typed):
        verdict = why.get(presented.code)
        if verdict is not None:
            detail = {"reason": verdict.reason, "verdict": msgspec.to_builtins(verdict)}
            return Rejected(Rejection.CODE_NOT_APPLIED, f"codes[{i}]", detail)
    return None


def _reservation(state: State, id: str) -> Reservation | Rejected:
    if state.find(("reservation", id)) is None:
        return Rejected(Rejection.RESERVATION_NOT_FOUND, "reservation", {"reservation": id})
    return state.reservations[id]


def _digest(command: Asked, member: Member | None, evaluation: Evaluation) -> bytes:
    """What a reservation was made for: who, the lines, and what each promotion gives on them."""
    said = [
        command.currency,
        member.id if member else "",
        [(line.sku, line.quantity, line.amount) for line in command.lines],
        [(v.promotion, v.version, v.code, v.times, v.discount, v.voucher, v.points) for v in evaluation.applied],
    ]
    return sha256(msgspec.json.encode(said)).digest()
