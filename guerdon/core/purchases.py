"""Purchases: what a customer bought, and the frozen shares that later returns go by."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from guerdon.core.commands import Line, Tender


class Purchase(Struct, frozen=True, kw_only=True):
    """A bill as it was booked; immutable. `paid` is the amount less the money that points bought, and `shares` are that
    money's parts per line, in line order. `event_seq` is its
    `TransactionAdd`, which for a guest names no member. `fingerprint` tells whether another request of the same number says the same.
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
    tenders: tuple[Tender, ...]
    fingerprint: bytes
    result: str
    meta: str = ""


class PurchaseReturn(Struct, frozen=True, kw_only=True):
    """A return of a purchase, immutable, with its own number. One whole return ends the purchase."""

    no: int
    id: str
    number: str
    purchase_no: int
    member_no: int
    event_seq: int
    event_at: datetime
    recorded_at: datetime
    amount: int
    fingerprint: bytes
    result: str


class Redemption(Struct, frozen=True, kw_only=True):
    """Points that were spent. `reversed` is a projection: what has been given back so far."""

    id: str
    no: int
    member_no: int
    program_no: int
    event_seq: int
    purchase_no: int
    points: int
    reversed: int
    reference: str
    event_at: datetime
    fingerprint: bytes
    result: str
