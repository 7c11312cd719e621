"""Redemptions: points that were spent, kept so that they can be given back."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct


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
