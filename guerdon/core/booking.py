"""Booking one event: its transfers, what it does to lots, and the figures the points ledger filters by.

An event takes its number first and its transfers the following ones, so whoever books must `close` it before starting
the next.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from guerdon.core.accounts import Action, Transfer
from guerdon.core.events import ANY_PROGRAM, Event, Name, entry_bit, program_bit
from guerdon.core.ledger import Naming, book
from guerdon.core.lots import LotMove, encode_moves
from guerdon.core.places import Place

if TYPE_CHECKING:
    from guerdon.core.programs import Program
    from guerdon.core.state import State


ORGANISATION = 0
"""The member of an event that is about the organisation."""


class Booking:
    """An event in the making. `moves` is handed to the lot functions, which write down what they do."""

    __slots__ = ("_entries", "_points", "_state", "_transfers", "id", "member_no", "moves", "name", "place", "seq")

    def __init__(self, state: State, name: Name, member_no: int, place: Place, id: str = "") -> None:
        self._state = state
        self.name = name
        self.member_no = member_no
        self.place = place
        self.id = id or state.new_id()
        self.seq = state.next("seq")
        self.moves: list[LotMove] = []
        self._transfers = 0
        self._points = 0
        self._entries = 0

    def move(
        self,
        source: int,
        destination: int,
        amount: int,
        *,
        action: Action = "apply",
        effective_at: datetime | None = None,
        naming: Naming | None = None,
        parent: str | None = None,
        detail: str | None = None,
        lower_floor: bool = False,
    ) -> Transfer:
        """One transfer of this event. Funds and range were checked before."""
        state = self._state
        transfer = book(
            state,
            action,
            source,
            destination,
            amount,
            state.accounts[source].asset,
            id=naming.id if naming else "",
            event_seq=self.seq,
            effective_at=effective_at or self.place.event_at,
            reference=naming.reference if naming else None,
            request_id=naming.request_id if naming else None,
            request_reference=naming.request_reference if naming else None,
            parent=parent,
            detail=detail,
            lower_floor=lower_floor,
        )
        self._transfers += 1
        if action in ("apply", "settle"):
            self._note(source, "debit", -amount)
            self._note(destination, "credit", amount)
            if state.lifetimes and self.name is not Name.CUSTOMER_MERGE:  # it counts what was earned: see `merges`
                self._count_lifetime(source, destination, amount)
        return transfer

    def _count_lifetime(self, source: int, destination: int, amount: int) -> None:
        """Keep the lifetime points that this batch has loaded (`points.lifetime`)."""
        state = self._state
        if destination in state.lifetimes and state.accounts[source].role != "reversed":
            state.put(state.lifetimes, destination, state.lifetimes[destination] + amount)
        if source in state.lifetimes and state.accounts[destination].role in ("returned", "adjusted"):
            state.put(state.lifetimes, source, state.lifetimes[source] - amount)

    def _note(self, account_no: int, entry_type: str, points: int) -> None:
        account = self._state.accounts[account_no]
        if account.member_no == self.member_no and account.tracks_lots:
            self._points += points
            opens = self.name is Name.POINTS_LEDGER_BULK_JOB  # what it credits is the balance that it opens with
            self._entries |= entry_bit("opening_balance" if opens else entry_type, account.category)
            self._entries |= program_bit(account.program_no)

    def note(self, entry_type: str, category: str) -> None:
        """Note a line that has no transfer here: an opening balance of zero, or one on the event that is mirrored."""
        self._entries |= entry_bit(entry_type, category) | ANY_PROGRAM

    def close(
        self,
        *,
        actor: str = "",
        reason: str = "",
        reference: str = "",
        purchase_no: int = 0,
        mirrors: int = 0,
        points: int | None = None,
        body: dict[str, Any] | None = None,
    ) -> Event:
        """Write the event's row."""
        place = self.place
        event = Event(  # by position: there are as many of these as there are facts
            self.seq,
            self.id,
            self.name.value,
            self.member_no,
            place.event_at,
            self._state.now,
            self._transfers,
            self._points if points is None else points,
            mirrors,
            place.source,
            place.store_no,
            place.till_no,
            place.program.no if place.program else 0,
            purchase_no,
            reference,
            actor,
            reason,
            self._entries,
            msgspec.json.encode(body).decode() if body else "",
            encode_moves(self.moves),
        )
        self._state.append(self._state.events, event)
        return event


def tell(
    state: State,
    name: Name,
    member_no: int,
    *,
    actor: str,
    reason: str = "",
    reference: str = "",
    program: Program | None = None,
    body: dict[str, Any] | None = None,
) -> Event:
    """Book an event that moves nothing: what was done, or is to be known, now."""
    here = Place(event_at=state.now, judged_at=state.now, program=program)
    return Booking(state, name, member_no, here).close(actor=actor, reason=reason, reference=reference, body=body)
