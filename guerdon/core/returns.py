"""Purchase returns: what was earned on the goods goes back to the program, what was spent on them to the member.

In whole or by line and quantity, each return one event of either sign. How much a part is worth was frozen when the
bill was booked (`division.py`). Points earned on it that were spent meanwhile are taken from other lots (the spending
moves there); what is nowhere to be found takes the account below zero or is written off, as the program says. Points
that expired meanwhile become returned points without an entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from guerdon.core import caps, lots, members, pasts, standings, uses
from guerdon.core.activity import deeds
from guerdon.core.assets import decimal_text
from guerdon.core.booking import Booking
from guerdon.core.commands import ReturnLine, ReturnPurchase
from guerdon.core.content import encode, fingerprint, replay
from guerdon.core.division import EarnedParts, growth, pieces, worth
from guerdon.core.earning import PROMOTION_RULE, Occasion, earnings
from guerdon.core.events import Name
from guerdon.core.metadata import write_first
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.places import Place, locate
from guerdon.core.points import expire_after, expire_overdue, give_back, internal
from guerdon.core.programs import Program
from guerdon.core.purchases import Purchase, PurchaseReturn
from guerdon.core.results import Returned
from guerdon.core.state import NotLoaded
from guerdon.core.terms import terms_of

if TYPE_CHECKING:
    from guerdon.core.state import State


class Part(Struct, frozen=True, kw_only=True):
    """What one return is about: pieces of lines (position, thousandths), the money they had cost in all and without
    points, the points spent on them, and the points earned on them by each rule of the division.
    """

    lines: tuple[tuple[int, int], ...]
    amount: int
    paid: int
    spent: int
    earned: tuple[int, ...]
    all_back: bool


def take_back(state: State, command: ReturnPurchase) -> Outcome:
    """Return a purchase, some lines of it, or what is left of it. The return's number is natural: the same return
    again replays.
    """
    content = fingerprint(command)
    known = state.find(("return", command.number))
    if known is not None:
        earlier = state.returns[known]
        return replay(earlier.fingerprint, earlier.result, content, Rejection.NUMBER_TAKEN, "number")
    if command.lines == ():
        return Rejected(Rejection.RETURN_WITHOUT_LINES, "lines")
    purchase_no = state.find(("purchase", *command.purchase))
    if purchase_no is None:
        return Rejected(Rejection.PURCHASE_NOT_FOUND, "purchase", {"purchase": command.purchase[1]})
    purchase = state.purchases[purchase_no]
    before = [state.returns[no] for no in state.find(("purchase_return_of", purchase_no)) or ()]
    part = part_of(state, command.lines, purchase, before)
    if isinstance(part, Rejected):
        return part
    place = locate(state, command.where)
    if isinstance(place, Rejected):
        return place
    no = state.next("return")
    sums = Sums()
    if purchase.member_no == 0:
        guest = Booking(state, Name.TRANSACTION_RETURN, 0, place)
        return _keep(state, command, purchase, place, no, content, part, sums, guest)
    family = members.family(state, purchase.member_no)
    accounts = state.member_accounts[family[-1]]
    for account_no in accounts.values():
        expire_overdue(state, account_no, place.judged_at)
    booking = Booking(state, Name.TRANSACTION_RETURN, family[-1], place)
    sums.restored = _restore_spent(state, booking, purchase, part.spent)
    _return_money(state, booking, purchase, part.paid)
    return_earned(state, booking, purchase, family, part.earned, sums)
    outcome = _keep(state, command, purchase, place, no, content, part, sums, booking)
    for account_no in accounts.values():
        expire_after(state, account_no)
    return outcome


# -- what is returned -------------------------------------------------------------------------------------------------


class Earlier(Protocol):
    """What is needed to know of an earlier return."""

    @property
    def lines(self) -> tuple[tuple[int, int], ...]: ...
    @property
    def earned(self) -> tuple[int, ...]: ...


def part_of(
    state: State, lines: tuple[ReturnLine, ...] | None, purchase: Purchase, earlier: Sequence[Earlier]
) -> Part | Rejected:
    """The part of the bill that a return is about, or why there is no such part any more."""
    bought = [pieces(line) for line in purchase.lines]
    before = [0] * len(bought)
    for each in earlier:
        for position, quantity in each.lines:
            before[position] += quantity
    if before == bought:
        return Rejected(Rejection.ALREADY_RETURNED, "purchase", {"purchase": purchase.number})
    after = bought if lines is None else _after(purchase, lines, bought, before)
    if isinstance(after, Rejected):
        return after
    divided = purchase.division
    paid = growth(divided.paid, before, after, bought)
    if divided.returning == "reevaluate":
        earned = _no_longer_earned(state, purchase, earlier, before, after, bought)
    else:
        earned = tuple(growth(each.parts, before, after, bought) for each in divided.earned)
    return Part(
        lines=tuple((i, now - was) for i, (was, now) in enumerate(zip(before, after, strict=True)) if now > was),
        amount=paid + growth(purchase.shares, before, after, bought),
        paid=paid,
        spent=growth(divided.spent, before, after, bought),
        earned=earned,
        all_back=list(after) == bought,
    )


def _after(
    purchase: Purchase, asked: Sequence[ReturnLine], bought: Sequence[int], before: Sequence[int]
) -> list[int] | Rejected:
    """How much of each line will have been returned; the first line asked for that cannot be is refused."""
    after = list(before)
    for i, line in enumerate(asked):
        if line.quantity <= 0:
            return Rejected(Rejection.QUANTITY_NOT_POSITIVE, f"lines[{i}].quantity")
        positions = _positions(purchase, line)
        if not positions:
            named = {"line": line.line} if line.line else {"sku": line.sku}
            return Rejected(Rejection.LINE_NOT_FOUND, f"lines[{i}]", {**named, "lines": len(purchase.lines)})
        rest = line.quantity
        for position in positions:
            part = min(rest, bought[position] - after[position])
            after[position] += part
            rest -= part
        if rest:
            whole, was = sum(bought[p] for p in positions), sum(before[p] for p in positions)
            return Rejected(
                Rejection.ALREADY_RETURNED if whole == was else Rejection.RETURN_EXCEEDS_PURCHASE,
                f"lines[{i}]",
                {
                    "line": positions[0] + 1,
                    "sku": purchase.lines[positions[0]].sku,
                    "bought": decimal_text(whole, 3),
                    "returned": decimal_text(was, 3),
                    "asked": decimal_text(sum(after[p] for p in positions) - was + rest, 3),
                },
            )
    return after


def _positions(purchase: Purchase, asked: ReturnLine) -> list[int]:
    """The lines that a line of a return may mean; with both a number and a sku, the two must agree."""
    return [
        position
        for position, line in enumerate(purchase.lines)
        if (not asked.line or asked.line == position + 1) and (not asked.sku or asked.sku == line.sku)
    ]


def _no_longer_earned(
    state: State,
    purchase: Purchase,
    earlier: Sequence[Earlier],
    before: Sequence[int],
    after: Sequence[int],
    bought: Sequence[int],
) -> tuple[int, ...]:
    """What the rest of the bill would not have earned, under the terms it was earned under; less what earlier returns
    have taken back, and never a credit. What promotions gave goes by its frozen parts.
    """
    off = purchase.division.discounts or (0,) * len(purchase.lines)
    nets = [line.amount - share - less for line, share, less in zip(purchase.lines, purchase.shares, off, strict=True)]
    kept = [net - worth(net, now, whole) for net, now, whole in zip(nets, after, bought, strict=True)]
    still: dict[tuple[int, str], int] = {}
    of_rules = [each for each in purchase.division.earned if not each.rule.startswith(PROMOTION_RULE)]
    occasion = purchase.division.occasion or Occasion(at=purchase.event_at, source=purchase.source)
    for program_no, version in {(each.program_no, each.version) for each in of_rules}:
        program = terms_of(state, state.config.programs[program_no], version)
        still |= {(program_no, each.rule): each.points for each in earnings(program, purchase.lines, kept, occasion)}
    return tuple(
        growth(each.parts, before, after, bought)
        if each.rule.startswith(PROMOTION_RULE)
        else max(0, sum(each.parts) - sum(r.earned[k] for r in earlier) - still.get((each.program_no, each.rule), 0))
        for k, each in enumerate(purchase.division.earned)
    )


# -- what moves -------------------------------------------------------------------------------------------------------


class Sums:
    """What the return has moved so far, in minor units of points."""

    __slots__ = ("expired", "restored", "returned", "written_off")

    def __init__(self) -> None:
        self.restored = self.returned = self.expired = self.written_off = 0


def _restore_spent(state: State, booking: Booking, purchase: Purchase, points: int) -> int:
    """Give back the points spent on the part, as far as they have not been given back otherwise."""
    if purchase.redemption_id is None:
        return 0
    redemption = state.redemptions[purchase.redemption_id]
    points = min(points, redemption.points - redemption.reversed)
    if points:
        give_back(state, booking, redemption, booking.member_no, points)
    return points


def _return_money(state: State, booking: Booking, purchase: Purchase, paid: int) -> None:
    """Wallet money goes back where it came from."""
    event = state.events.get(purchase.event_seq)
    if event is None:
        raise NotLoaded(("event", purchase.event_seq))
    for i in range(1, event.transfers + 1):
        transfer = state.transfers[event.seq + i]
        if paid and not state.accounts[transfer.destination].tracks_lots:
            booking.move(transfer.destination, transfer.source, paid)


class _Claim:
    """What one account has to give: points `free` in the bill's own lots, as many as are `held` there from others, and
    as many as are gone from there, spent by lot or (`moved`) with no trace.
    """

    __slots__ = ("free", "held", "moved", "spent")

    def __init__(self) -> None:
        self.free = self.held = self.moved = 0
        self.spent: list[tuple[int, int]] = []


def return_earned(
    state: State, booking: Booking, purchase: Purchase, family: Sequence[int], earned: Sequence[int], sums: Sums
) -> None:
    """Take back what the part had earned, one debit per account."""
    claims: dict[int, _Claim] = {}
    own = _own_lots(state, purchase, family)
    for each, points in zip(purchase.division.earned, earned, strict=True):
        if points:
            _claim(state, booking, each, points, own.get((each.program_no, each.rule), []), claims, sums)
    for account_no, claim in sorted(claims.items()):
        program = state.config.programs[state.accounts[account_no].program_no]
        _collect(state, booking, program, account_no, claim, sums)


def _own_lots(state: State, purchase: Purchase, family: Sequence[int]) -> dict[tuple[int, str], list[lots.Lot]]:
    """The lots of a bill by program and rule, older first: those it opened and those they became, also at the member
    that the buyer was merged into. They are loaded with the bill, wherever they lie.
    """
    found: dict[tuple[int, str], list[lots.Lot]] = {}
    for member_no in family:
        for (program_no, _), account_no in state.member_accounts[member_no].items():
            for lot in state.lots_of(account_no):
                if _is_of(purchase, lot):
                    found.setdefault((program_no, lot.rule), []).append(lot)
    for same in found.values():
        same.sort(key=lambda lot: lot.no)
    return found


def _is_of(purchase: Purchase, lot: lots.Lot) -> bool:
    """Whether a bill opened a lot, or it became it. A commit without a bill (number 0) knows those it opened alone."""
    return lot.purchase_no == purchase.no if purchase.no else lot.event_seq == purchase.event_seq


def _claim(
    state: State,
    booking: Booking,
    each: EarnedParts,
    points: int,
    own: Sequence[lots.Lot],
    claims: dict[int, _Claim],
    sums: Sums,
) -> None:
    """Take points back from the lots of one rule: what is there first, then what is on hold, spent, and expired.

    What has left a promised or trigger-based account went to the regular one, so that is where it is claimed.
    """
    regular = state.member_accounts[booking.member_no][each.program_no, "regular"]
    for lot in own:
        part = min(points, lot.free)
        if part:
            lots.change(state, booking.moves, lot, "return", part)
            claims.setdefault(lot.account, _Claim()).free += part
            points -= part
    for lot in own:
        part = min(points, lot.held)
        if part:
            claims.setdefault(lot.account, _Claim()).held += part
            points -= part
    for lot in own:
        part = min(points, lot.spent)
        if part:
            claims.setdefault(regular, _Claim()).spent.append((lot.no, part))
            points -= part
    for lot in own:
        part = min(points, lot.expired)
        if part:
            lots.change(state, booking.moves, state.lots[lot.no], "return_expired", part)
            sums.expired += part
            points -= part
    if points:
        claims.setdefault(regular, _Claim()).moved += points


def _collect(state: State, booking: Booking, program: Program, account_no: int, claim: _Claim, sums: Sums) -> None:
    """Debit what an account has to give; where it has not enough, as the program says."""
    spent = sum(points for _, points in claim.spent)
    missing = claim.held + spent + claim.moved
    covered = _cover(state, booking, account_no, claim.held, spent + claim.moved, booking.place.judged_at)
    short = missing - covered
    below = short if program.policies.on_shortfall == "below_zero" else 0
    standing = max(0, covered + below - claim.held)
    _move_spending(state, booking, claim.spent, standing)
    forgiven = min(short - below, max(0, spent - standing))
    lots.write_off(state, booking.moves, [state.lots[no] for no, _ in claim.spent], forgiven)
    debit = claim.free + covered + below
    if debit:
        booking.move(account_no, internal(state, program, "returned"), debit, lower_floor=below > 0)
    sums.returned += debit
    sums.written_off += short - below


def _cover(state: State, booking: Booking, account_no: int, held: int, gone: int, as_of: datetime) -> int:
    """Take what the bill's own lots no longer have from the member's other lots. Returns how much was found."""
    found = 0
    if held:
        found += held - lots.take(state, booking.moves, account_no, held, as_of, "return")
    if gone:
        found += gone - lots.take(state, booking.moves, account_no, gone, as_of)
    return found


def _move_spending(state: State, booking: Booking, spent: Sequence[tuple[int, int]], points: int) -> None:
    """Mark as returned, on the bill's own lots, the spent points that other lots (or a debt) now stand for."""
    for no, most in spent:
        part = min(points, most)
        if part:
            lots.change(state, booking.moves, state.lots[no], "return_redeemed", part)
            points -= part


def _keep(
    state: State,
    command: ReturnPurchase,
    purchase: Purchase,
    place: Place,
    no: int,
    content: bytes,
    part: Part,
    sums: Sums,
    booking: Booking,
) -> Outcome:
    """Close the event, write the return's row and answer. After all of the bill, its promotions may be used again."""
    whole = part.all_back and purchase.promoted
    used = (state.find(("uses_of", purchase.no)) or ()) if whole else ()
    given_back = {"promotions": said} if (said := uses.give_back(state, booking, used)) else {}
    lowered = caps.give_back(state, purchase.division.earned, part.earned, purchase.event_seq)
    event = booking.close(
        actor=command.actor,
        reason=command.reason,
        reference=command.number,
        purchase_no=purchase.no,
        body={
            "return_id": command.id,
            "return_number": command.number,
            "purchase_id": purchase.id,
            "purchase_number": purchase.number,
            "lines": part.lines,
            "earned": part.earned,
            "written_off": sums.written_off,
            **given_back,
            **({"caps": lowered} if lowered else {}),
        },
    )
    balances = tuple(
        (program_no, state.figures_of(account_no).balance)
        for (program_no, category), account_no in state.member_accounts.get(booking.member_no, {}).items()
        if category == "regular"
    )
    result = Returned(
        id=command.id,
        number=command.number,
        purchase_id=purchase.id,
        event_no=event.seq,
        lines=part.lines,
        amount=part.amount,
        paid=part.paid,
        returned_points=sums.returned,
        restored_points=sums.restored,
        expired=sums.expired,
        written_off=sums.written_off,
        balances=balances,
    )
    returned = PurchaseReturn(
        no=no,
        id=command.id,
        number=command.number,
        purchase_no=purchase.no,
        member_no=booking.member_no,
        event_seq=event.seq,
        event_at=place.event_at,
        recorded_at=state.now,
        lines=part.lines,
        amount=part.amount,
        paid=part.paid,
        spent=part.spent,
        earned=part.earned,
        fingerprint=content,
        result=encode(result),
    )
    state.put(state.returns, no, returned)
    pasts.given_back(state, purchase, returned.member_no, returned.paid, returned.event_at)
    state.put(state.found, ("return", command.number), no)
    earlier = state.find(("purchase_return_of", purchase.no)) or ()
    state.put(state.found, ("purchase_return_of", purchase.no), (*earlier, no))
    if purchase.member_no and standings.counts(state, booking.member_no, purchase.program_no):
        deed = deeds(purchase, [*(state.returns[each] for each in earlier), returned])[-1]
        standings.count(state, booking.member_no, purchase.program_no, [deed], "returned")
    write_first(state, "ret", command.id, command.meta)
    return Accepted(result)
