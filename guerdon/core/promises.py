"""Promised points: earned today, spendable from a day on, at a trigger, or when somebody unlocks them.

A lot of promised points lies in the member's promised or trigger-based account; when it is released, the same lot lies
in the regular account, in one event of two lines that leaves the member with as much as before. Everything that says
when it is released and when it ends was written down with the lot when it was earned, so that changing a program
changes nothing of what was promised.

Promises that a lot whose time has come counts as regular whether or not that has been posted: `keep` posts it before
any command on the account is decided, as with points that have ended.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from guerdon.core import lots
from guerdon.core.booking import Booking
from guerdon.core.dates import end_of_day_after, local_midnight
from guerdon.core.events import Name
from guerdon.core.lots import Lot
from guerdon.core.places import Place
from guerdon.core.programs import Expiry, Policies, Rule
from guerdon.core.state import NotLoaded

if TYPE_CHECKING:
    from guerdon.core.state import State

EVENTS = {"promised": Name.PROMISED_POINTS_CONVERSION, "trigger_based": Name.TRIGGER_POINTS_CONVERSION}
"""The categories that wait, and the event by which they become regular."""


class Promise(Struct, frozen=True, array_like=True):
    """What a lot was promised under, frozen when it was earned: the trigger that releases it ("" = none), the expiry
    that counts from its release (None: the lot's own end stands), the time zone of both, and when it was released.

    `follows` is the program's version whose expiry the lot follows: None for the one it was made under, 0 where its end
    was set by hand and follows none (`endings.version_of`). Where an end that counts from the release follows another
    version than it was made under, it is not before `earliest`.
    """

    trigger: str = ""
    expiry: Expiry | None = None
    timezone: str = "UTC"
    released_at: datetime | None = None
    follows: int | None = None
    earliest: datetime | None = None


class Terms(Struct, frozen=True):
    """What a new lot is opened with: `promise` is the JSON text of a `Promise`, "" for regular points, and `expires_at`
    its exclusive end, None = never, or as long after a release as nobody can know yet.
    """

    expires_at: datetime | None
    releases_at: datetime | None = None
    promise: str = ""
    trigger: str = ""


def terms(policies: Policies, rule: Rule, earned_at: datetime) -> Terms:
    """The terms of points that a rule gives at a moment. A day that is past releases them at once."""
    if rule.category == "regular":
        return Terms(policies.expiry.end(earned_at, policies.timezone))
    zone = ZoneInfo(policies.timezone)
    releases_at = None
    if rule.release_days is not None:
        releases_at = end_of_day_after(earned_at, rule.release_days, zone)
    elif rule.release_on is not None:
        releases_at = max(local_midnight(rule.release_on, zone), earned_at)
    expiry = policies.expiry if rule.expires_from == "release" else None
    promise = Promise(trigger=rule.trigger, expiry=expiry, timezone=policies.timezone)
    counts_from = earned_at if expiry is None else releases_at
    expires_at = None if counts_from is None else policies.expiry.end(counts_from, policies.timezone)
    return Terms(expires_at, releases_at, encode(promise), rule.trigger)


def encode(promise: Promise) -> str:
    return msgspec.json.encode(promise).decode()


def decode(text: str) -> Promise:
    """The promise of a lot; one that was never promised anything has no terms."""
    return msgspec.json.decode(text, type=Promise) if text else Promise()


def is_due(lot: Lot, as_of: datetime) -> bool:
    """Whether a waiting lot has become regular by a moment. One that ends before it would be released ends."""
    return (
        lot.releases_at is not None
        and lot.releases_at <= as_of
        and lot.remaining > 0
        and (lot.expires_at is None or lot.expires_at > lot.releases_at)
    )


def keep(state: State, account_no: int, as_of: datetime, at_most: int | None = None) -> int:
    """Post what a moment has released to or from an account, one `PromisedPointsConversion` per instant; at most so
    many lots, those released first. Returns how many.

    The regular account and the promised one of the same member and program are one matter here: whoever asks for
    either sees both as they are. Raises `NotLoaded` where more were released than were loaded and these do not do.
    """
    account = state.accounts[account_no]
    if account.category not in ("regular", "promised"):
        return 0
    siblings = state.member_accounts.get(account.member_no)
    if siblings is None or (account.program_no, "promised") not in siblings:
        raise NotLoaded(("member", "number", str(account.member_no)))
    promised = siblings[account.program_no, "promised"]
    if promised in state.releases and state.releases[promised] > as_of:
        return 0
    due: list[Lot] = []
    next_release = lots.NEVER
    for lot in state.lots_of(promised):
        if is_due(lot, as_of):
            due.append(lot)
        elif lot.releases_at is not None and lot.releases_at > as_of:
            next_release = min(next_release, lot.releases_at)
    due.sort(key=by_release)
    reach = state.released(promised)
    if reach is not None and as_of >= reach.last[1]:
        due = [lot for lot in due if by_release(lot) <= reach.last]
        if at_most is None:
            raise NotLoaded(("released", promised))
        if len(due) < at_most:
            raise NotLoaded(reach.more_released(promised))
    elif not due and reach is None:
        state.releases[promised] = next_release
    due = due[:at_most]
    for instant, group in groupby(due, key=lambda lot: lot.releases_at):
        assert instant is not None
        convert(state, promised, list(group), Place(event_at=instant, judged_at=instant), actor="guerdon")
    return len(due)


def by_release(lot: Lot) -> tuple[bool, datetime, int]:
    """Sort key of lots that are released at a time: soonest first, older first on a tie."""
    return (False, lot.releases_at or lots.NEVER, lot.no)


def convert(
    state: State,
    account_no: int,
    waiting: Iterable[Lot],
    place: Place,
    *,
    actor: str,
    reason: str = "",
    trigger: str = "",
) -> tuple[int, int]:
    """Make waiting lots of one account regular, in one event. What the regular account owes is repaid from them.

    Returns (event number, points).
    """
    account = state.accounts[account_no]
    regular = state.member_accounts[account.member_no][account.program_no, "regular"]
    debt = max(0, -state.figures_of(regular).available)
    booking = Booking(state, EVENTS[account.category], account.member_no, place)
    moved: list[int] = []
    points = 0
    for lot in waiting:
        promise = decode(lot.promise)
        ends = promise.expiry.end(place.event_at, promise.timezone) if promise.expiry else lot.expires_at
        if ends is not None and promise.earliest is not None and promise.expiry is not None:
            ends = max(ends, promise.earliest)
        released = msgspec.structs.replace(promise, released_at=place.event_at)
        changed = msgspec.structs.replace(
            lot, account=regular, expires_at=ends, releases_at=None, promise=encode(released)
        )
        moved.append(lots.place(state, booking.moves, lot, "convert", changed).no)
        points += lot.remaining
    booking.move(account_no, regular, points)
    lots.repay(state, booking.moves, moved, debt)
    body = {"program_no": account.program_no, **({"trigger": trigger} if trigger else {})}
    return booking.close(actor=actor, reason=reason, body=body).seq, points
