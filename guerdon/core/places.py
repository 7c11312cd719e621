"""Where and when a fact happened, resolved: time, source, store, till, and the program the till is mapped to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct

from guerdon.core.commands import Where
from guerdon.core.outcomes import Rejected, Rejection
from guerdon.core.programs import Program

if TYPE_CHECKING:
    from guerdon.core.state import State

LATE_MAX = timedelta(hours=72)
"""A fact at most this old is judged at its event time; an older one, unless imported, at the time it is received."""

CLOCK_SKEW_MAX = timedelta(minutes=5)
"""How far a till's clock may run ahead. Event times within it count as now."""

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)

SOURCES = frozenset(
    ("INSTORE", "ECOMMERCE", "WEBSITE", "MARTJACK", "WECHAT", "FACEBOOK", "WEB_ENGAGE", "TMALL", "TAOBAO", "JD", "LINE")
)
"""Channels every organisation knows from the start; it may register more."""


class Place(Struct, frozen=True, kw_only=True):
    """`judged_at` is the moment at which validity is judged; `program` is the till's."""

    event_at: datetime
    judged_at: datetime
    source: str = ""
    store_no: int = 0
    till_no: int = 0
    program: Program | None = None


def locate(state: State, where: Where) -> Place | Rejected:
    """Resolve a `Where`, or refuse it naming the part that is wrong."""
    config = state.config
    if where.source and where.source not in SOURCES and where.source not in config.sources:
        return Rejected(Rejection.SOURCE_NOT_FOUND, "source", {"source": where.source})
    store_no = till_no = 0
    program = None
    if where.store is not None:
        store = config.store(where.store)
        if store is None:
            return Rejected(Rejection.STORE_NOT_FOUND, "store", {"store": where.store[1]})
        store_no = store.no
    if where.till is not None:
        till = config.till(where.till)
        if till is None:
            return Rejected(Rejection.TILL_NOT_FOUND, "till", {"till": where.till[1]})
        if store_no not in (0, till.store_no):
            return Rejected(Rejection.INVALID_VALUE, "till", {"reason": "the till belongs to another store"})
        store_no, till_no, program = till.store_no, till.no, config.programs.get(till.program_no)
    event_at = where.event_at or state.now
    refused = time_refusal(state, event_at, "event_at")
    if refused is not None:
        return refused
    event_at = min(event_at, state.now)
    fresh = where.imported or state.now - event_at <= LATE_MAX
    return Place(
        event_at=event_at,
        judged_at=event_at if fresh else state.now,
        source=where.source,
        store_no=store_no,
        till_no=till_no,
        program=program,
    )


def time_refusal(state: State, moment: datetime, field: str) -> Rejected | None:
    """Whether a moment is before all time that counts, or further in the future than clocks differ."""
    latest = state.now + CLOCK_SKEW_MAX
    if EARLIEST <= moment <= latest:
        return None
    return Rejected(
        Rejection.EVENT_TIME_OUT_OF_RANGE, field, {"earliest": EARLIEST.isoformat(), "latest": latest.isoformat()}
    )
