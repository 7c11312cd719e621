"""Returns of carts that were committed without a purchase, in whole or by line: for shops that keep their own sales.

The division frozen with the commit says what a part had cost and what promotions gave on it. Points that promotions
gave go back as those of a returned bill do (`returns.py`); after all of it, its uses are free again where the promotion
said so. What the shop's own rules earned or paid is the shop's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from guerdon.core import members, uses
from guerdon.core.booking import Booking
from guerdon.core.commands import ReturnCart
from guerdon.core.content import encode, fingerprint, replay
from guerdon.core.division import growth, pieces
from guerdon.core.events import Name
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.places import locate
from guerdon.core.points import expire_after, expire_overdue
from guerdon.core.purchases import Purchase
from guerdon.core.results import CartReturned
from guerdon.core.returns import Sums, part_of, return_earned
from guerdon.core.uses import CartCommit

if TYPE_CHECKING:
    from guerdon.core.state import State


class CartReturn(Struct, frozen=True, kw_only=True):
    """A return of a committed cart or of a part of it, immutable, with its own number; `lines` and `earned` as in
    `purchases.PurchaseReturn`, `discount` what promotions had taken off that part.
    """

    id: str
    number: str
    commit_id: str
    event_seq: int
    member_no: int
    lines: tuple[tuple[int, int], ...]
    paid: int
    discount: int
    earned: tuple[int, ...]
    fingerprint: bytes
    result: str


def take_back(state: State, command: ReturnCart) -> Outcome:
    """Return a committed cart, some lines of it, or what is left of it. The return's number is natural: the same return
    again replays.
    """
    content = fingerprint(command)
    known = state.find(("cart_return", command.number))
    if known is not None:
        earlier = state.cart_returns[known]
        return replay(earlier.fingerprint, earlier.result, content, Rejection.NUMBER_TAKEN, "number")
    if command.lines == ():
        return Rejected(Rejection.RETURN_WITHOUT_LINES, "lines")
    commit_id = state.find(("commit", *command.commit))
    if commit_id is None:
        return Rejected(Rejection.COMMIT_NOT_FOUND, "commit", {"commit": command.commit[1]})
    commit = state.promotion_commits[commit_id]
    sale = _as_purchase(commit)
    before = [state.cart_returns[id] for id in state.find(("cart_returns_of", commit.id)) or ()]
    part = part_of(state, command.lines, sale, before)
    if isinstance(part, Rejected):
        return part
    place = locate(state, command.where)
    if isinstance(place, Rejected):
        return place
    family = members.family(state, commit.member_no) if commit.member_no else ()
    accounts = state.member_accounts[family[-1]] if family else {}
    for account_no in accounts.values():
        expire_overdue(state, account_no, place.judged_at)
    booking = Booking(state, Name.PROMOTION_RETURN, family[-1] if family else 0, place)
    sums = Sums()
    if family:
        return_earned(state, booking, sale, family, part.earned, sums)
    used = state.find(("uses_by", commit.event_seq)) or ()
    said = uses.give_back(state, booking, used) if part.all_back else []
    event = booking.close(
        actor=command.actor,
        reason=command.reason,
        reference=command.number,
        body={
            "return_id": command.id,
            "commit_id": commit.id,
            "commit_number": commit.number,
            "lines": part.lines,
            "earned": part.earned,
            "written_off": sums.written_off,
            **({"promotions": said} if said else {}),
        },
    )
    for account_no in accounts.values():
        expire_after(state, account_no)
    result = CartReturned(
        id=command.id,
        number=command.number,
        commit_id=commit.id,
        event_no=event.seq,
        lines=part.lines,
        paid=part.paid,
        discount=_discount(sale, before, part.lines),
        uses=sum(-each["times"] for each in said),
        returned_points=sums.returned,
        expired=sums.expired,
        written_off=sums.written_off,
        balances=tuple(
            (program_no, state.figures_of(account_no).balance)
            for (program_no, category), account_no in accounts.items()
            if category == "regular"
        ),
    )
    returned = CartReturn(
        id=command.id,
        number=command.number,
        commit_id=commit.id,
        event_seq=event.seq,
        member_no=booking.member_no,
        lines=part.lines,
        paid=part.paid,
        discount=result.discount,
        earned=part.earned,
        fingerprint=content,
        result=encode(result),
    )
    state.put(state.cart_returns, returned.id, returned)
    state.put(state.found, ("cart_return", returned.number), returned.id)
    state.put(state.found, ("cart_returns_of", commit.id), (*[each.id for each in before], returned.id))
    return Accepted(result)


def _as_purchase(commit: CartCommit) -> Purchase:
    """A commit as the bill it stands for: the rules of returns go by its lines and its division."""
    return Purchase(
        no=0,
        id=commit.id,
        number=commit.number,
        member_no=commit.member_no,
        event_seq=commit.event_seq,
        event_at=commit.committed_at,
        recorded_at=commit.committed_at,
        currency="",
        amount=sum(line.amount for line in commit.lines),
        paid=sum(commit.division.paid),
        spent_points=0,
        redemption_id=None,
        source="",
        store_no=0,
        till_no=0,
        lines=commit.lines,
        shares=(0,) * len(commit.lines),
        division=commit.division,
        tenders=(),
        fingerprint=commit.fingerprint,
        result="",
    )


def _discount(sale: Purchase, earlier: list[CartReturn], lines: tuple[tuple[int, int], ...]) -> int:
    """What promotions had taken off the lines that are returned now."""
    bought = [pieces(line) for line in sale.lines]
    before = [0] * len(bought)
    for each in earlier:
        for position, quantity in each.lines:
            before[position] += quantity
    after = list(before)
    for position, quantity in lines:
        after[position] += quantity
    return growth(sale.division.discounts, before, after, bought)
