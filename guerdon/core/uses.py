"""What promotions gave, row by row; what carts hold for a time; and carts of shops that keep their own sales."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from guerdon.core import tallies
from guerdon.core.commands import Line
from guerdon.core.division import Division
from guerdon.core.promoting import version_of
from guerdon.core.promotions.verdicts import Evaluation
from guerdon.core.tallies import Raised

if TYPE_CHECKING:
    from guerdon.core.booking import Booking
    from guerdon.core.state import State


class Use(Struct, frozen=True, kw_only=True):
    """One promotion used in one event; immutable. Figures in minor units, `points` of the program's asset.

    With `of_seq` it gives back the use of that event and `position`: its figures are below zero.
    """

    event_seq: int
    position: int
    promotion: str
    version: int
    code: str
    member_no: int
    purchase_no: int
    reference: str
    used_at: datetime
    times: int
    discount: int
    voucher: int
    points: int
    currency: str
    raises: tuple[Raised, ...]
    of_seq: int = 0
    issue: str = ""


class Reservation(Struct, frozen=True, kw_only=True):
    """Uses that are kept for a cart until `expires_at`. `digest` tells whether what is bought is what was evaluated."""

    id: str
    cart: str
    member_no: int
    status: str
    expires_at: datetime
    digest: bytes
    raises: tuple[Raised, ...]


class CartCommit(Struct, frozen=True, kw_only=True):
    """A cart that was committed without a purchase; immutable. Returns go by its lines and its frozen `division`."""

    id: str
    number: str
    event_seq: int
    member_no: int
    committed_at: datetime
    lines: tuple[Line, ...]
    division: Division
    fingerprint: bytes
    result: str


_BODY = ("promotion", "version", "code", "issue", "times", "discount", "voucher", "points", "raises")


def book(
    state: State, booking: Booking, evaluation: Evaluation, *, purchase_no: int, reference: str
) -> list[dict[str, Any]]:
    """Write a row for everything that was applied, and raise its counters. Returns what the event says of them."""
    place, said = booking.place, []
    for position, verdict in enumerate(evaluation.applied):
        row = Use(
            event_seq=booking.seq,
            position=position,
            promotion=verdict.promotion,
            version=verdict.version,
            code=verdict.code,
            issue=verdict.issue,
            member_no=booking.member_no,
            purchase_no=purchase_no,
            reference=reference,
            used_at=place.event_at,
            times=verdict.times,
            discount=verdict.discount,
            voucher=verdict.voucher,
            points=verdict.points,
            currency=evaluation.currency,
            raises=tallies.use(state, verdict.raises, place.judged_at, booking.seq),
        )
        said.append(_put(state, row))
    keys = tuple((booking.seq, position) for position in range(len(said)))
    state.put(state.found, ("uses_of", purchase_no) if purchase_no else ("uses_by", booking.seq), keys)
    return said


def give_back(state: State, booking: Booking, used: Iterable[tuple[int, int]]) -> list[dict[str, Any]]:
    """After all that was bought was returned: its uses (event and place) are free again, where the promotion said so in
    the version that they were used under.
    """
    said: list[dict[str, Any]] = []
    for key in used:
        row = state.promotion_uses[key]
        if row.of_seq or version_of(state, row.promotion, row.version).on_return != "give_back":
            continue
        back = msgspec.structs.replace(
            row,
            event_seq=booking.seq,
            member_no=booking.member_no,
            reference=row.reference,
            used_at=booking.place.event_at,
            times=-row.times,
            discount=-row.discount,
            voucher=-row.voucher,
            points=-row.points,
            raises=tallies.give_back(state, row.raises, row.event_seq),
            of_seq=row.event_seq,
        )
        said.append({**_put(state, back), "of_seq": row.event_seq, "position": row.position})
    return said


def told(reservation: str) -> dict[str, Any]:
    """What an event says of the reservation whose uses it took, if there was one."""
    return {"reservation": reservation} if reservation else {}


def let_go(state: State, reservation: Reservation, status: str) -> None:
    """End an open reservation: what it held is free, or about to be used."""
    tallies.release(state, reservation.raises, reservation.id)
    state.put(state.reservations, reservation.id, msgspec.structs.replace(reservation, status=status))
    if reservation.cart:
        state.put(state.found, ("reservation_cart", reservation.cart), None)


def keep(
    state: State, evaluation: Evaluation, *, id: str, cart: str, member_no: int, expires_at: datetime, digest: bytes
) -> Reservation:
    """Hold everything that an evaluation would use."""
    reservation = Reservation(
        id=id,
        cart=cart,
        member_no=member_no,
        status="open",
        expires_at=expires_at,
        digest=digest,
        raises=tallies.hold(state, evaluation.raises, id, expires_at),
    )
    state.put(state.reservations, id, reservation)
    state.put(state.found, ("reservation", id), id)
    if cart:
        state.put(state.found, ("reservation_cart", cart), id)
    return reservation


def _put(state: State, row: Use) -> dict[str, Any]:
    state.put(state.promotion_uses, (row.event_seq, row.position), row)
    return {name: getattr(row, name) for name in _BODY}
