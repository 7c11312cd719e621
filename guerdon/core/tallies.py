"""Counters of promotions, and of caps on earning, as they are kept: what uses have raised, and what carts hold for a
time.

A part counts until its time: a use in a rolling window, or uses that a reservation keeps free. So nothing has to happen
for a reservation to end, and no job can be late.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from guerdon.core.places import LATE_MAX
from guerdon.core.promotions.limits import Counter, CounterKey, Raise
from guerdon.core.state import NotLoaded

if TYPE_CHECKING:
    from guerdon.core.state import State


class Part(Struct, frozen=True, array_like=True):
    """`by` until a time, held by a reservation or ("") used by the event of a number."""

    until: datetime
    by: int
    reservation: str = ""
    seq: int = 0


class Tally(Struct, frozen=True, kw_only=True):
    """One counter: `used` for good, `parts` for a time, and when it was raised last."""

    used: int = 0
    last_at: datetime | None = None
    parts: tuple[Part, ...] = ()

    def at(self, now: datetime, reservation: str = "") -> Counter:
        """What it is worth at a time, to a cart that holds a reservation of its own."""
        alive = sum(
            part.by for part in self.parts if part.until > now and not (reservation and part.reservation == reservation)
        )
        return Counter(self.used + alive, self.last_at)

    def raised(self, each: Raise, at: datetime, seq: int, now: datetime) -> Tally:
        """What it is after a use at a time, by the event of a number, as known `now`."""
        parts = self.alive(now)
        used = self.used
        if each.until is not None:
            parts = (*parts, Part(each.until, each.by, "", seq))
        else:
            used += each.by
        last_at = max(at, self.last_at or at) if each.key[4] == "last" else self.last_at
        return Tally(used=used, last_at=last_at, parts=parts)

    def alive(self, now: datetime) -> tuple[Part, ...]:
        """Without what has ended for everybody: also for facts that are told late and judged at their own time."""
        return tuple(part for part in self.parts if part.until > now - LATE_MAX)


class Raised(Struct, frozen=True, array_like=True):
    """What one use did to one counter, as its row says. `until` for rolling windows."""

    key: CounterKey
    by: int
    until: datetime | None = None


_EMPTY = Tally()


def tally(state: State, key: CounterKey) -> Tally:
    """A counter; one that nobody has raised is zero, one that nobody has looked up raises `NotLoaded`."""
    found = state.promotion_counters.get(key)
    if found is not None:
        return found
    if key in state.asked:
        return _EMPTY
    raise NotLoaded(key)


def usage(
    state: State, keys: Iterable[CounterKey], now: datetime, reservation: str = ""
) -> Mapping[CounterKey, Counter]:
    """The counters' values. All that are not loaded are asked for at once."""
    wanted = list(keys)
    missing = lacking(state, wanted)
    if missing:
        raise NotLoaded(*missing)
    return {key: tally(state, key).at(now, reservation) for key in wanted}


def of_others(keys: Iterable[CounterKey], own: str, others: Iterable[str]) -> list[CounterKey]:
    """The counters over a customer, as they are of others: those merged into it."""
    mine = [key for key in keys if key[3] == own]
    return [(*key[:3], other, key[4]) for other in others for key in mine]


def joined(
    usage: Mapping[CounterKey, Counter], own: str, others: Mapping[CounterKey, Counter]
) -> Mapping[CounterKey, Counter]:
    """What a customer has used of its limits together with those merged into it: all of them are one person."""
    both = dict(usage)
    for key, other in others.items():
        mine = both[*key[:3], own, key[4]]
        last = [at for at in (mine.last_at, other.last_at) if at is not None]
        both[*key[:3], own, key[4]] = Counter(mine.used + other.used, max(last, default=None))
    return both


def lacking(state: State, keys: Iterable[CounterKey]) -> list[CounterKey]:
    """The counters that nobody has looked up."""
    return [key for key in keys if key not in state.promotion_counters and key not in state.asked]


def use(state: State, raises: Iterable[Raise], at: datetime, seq: int) -> tuple[Raised, ...]:
    """Raise counters for good, as the row of the use will say."""
    done = []
    for each in raises:
        new = tally(state, each.key).raised(each, at, seq, state.now)
        state.put(state.promotion_counters, each.key, new)
        done.append(Raised(each.key, each.by, each.until))
    return tuple(done)


def give_back(state: State, raised: Iterable[Raised], seq: int) -> tuple[Raised, ...]:
    """Lower the counters that the use of an event had raised, in the windows in which it fell. The time of the last
    use stays.
    """
    done = []
    keys = [each.key for each in raised if each.key[4] != "last"]
    usage(state, keys, state.now)
    for each in raised:
        if each.key[4] == "last":
            continue
        old = tally(state, each.key)
        if each.until is not None:
            parts = tuple(part for part in old.alive(state.now) if part.seq != seq)
            new = msgspec.structs.replace(old, parts=parts)
        else:
            new = msgspec.structs.replace(old, used=old.used - each.by, parts=old.alive(state.now))
        state.put(state.promotion_counters, each.key, new)
        done.append(Raised(each.key, -each.by, each.until))
    return tuple(done)


def lower(state: State, raised: Iterable[Raised], by: int, seq: int) -> tuple[Raised, ...]:
    """Lower counters that an event had raised by at least so much, each in the window in which that fell."""
    raised = tuple(raised)
    usage(state, [each.key for each in raised], state.now)
    done = []
    for each in raised:
        old = tally(state, each.key)
        if each.until is None:
            new = msgspec.structs.replace(old, used=old.used - by, parts=old.alive(state.now))
        else:
            new = msgspec.structs.replace(old, parts=tuple(_less(old.alive(state.now), each, by, seq)))
        state.put(state.promotion_counters, each.key, new)
        done.append(Raised(each.key, -by, each.until))
    return tuple(done)


def _less(parts: Iterable[Part], raised: Raised, by: int, seq: int) -> Iterator[Part]:
    """The parts, those of the event less so much."""
    for part in parts:
        if part.seq != seq or part.until != raised.until:
            yield part
            continue
        gone = min(by, part.by)
        by -= gone
        if part.by > gone:
            yield msgspec.structs.replace(part, by=part.by - gone)


def hold(state: State, raises: Iterable[Raise], reservation: str, until: datetime) -> tuple[Raised, ...]:
    """Keep uses free for a reservation until a time. When the last use was is not held."""
    done = []
    for each in raises:
        if each.key[4] == "last":
            continue
        old = tally(state, each.key)
        parts = (*old.alive(state.now), Part(until, each.by, reservation))
        state.put(state.promotion_counters, each.key, msgspec.structs.replace(old, parts=parts))
        done.append(Raised(each.key, each.by, until))
    return tuple(done)


def release(state: State, raised: Iterable[Raised], reservation: str) -> None:
    """Let go what a reservation holds."""
    keys = [each.key for each in raised]
    usage(state, keys, state.now)
    for key in dict.fromkeys(keys):
        old = tally(state, key)
        parts = tuple(part for part in old.alive(state.now) if part.reservation != reservation)
        if parts != old.parts:
            state.put(state.promotion_counters, key, msgspec.structs.replace(old, parts=parts))
