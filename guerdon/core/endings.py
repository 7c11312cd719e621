"""Endings: whose terms say when points end, once they are there.

A lot ends as the version of the program says that it was made under. Two things change that, and both are written down
as moves on events: activity of the member, where that version lets activity put off the end; and a later version that
is to count for what is there (`programs.Follow`). What was set by hand follows nobody (`expiry.py`).

A version that is to be followed counts from its instant on, whether or not a job has been there: before any command on
an account is decided, its lots are made to follow (`catch_up`), where there are several such versions one after the
other. Once every lot of the program does, that need not be
looked at any more (`finish`), since no lot can come to follow less: late facts are made to follow as they are booked,
and lots that are filled again as they are filled.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import msgspec

from guerdon.core import lots, promises
from guerdon.core.booking import Booking
from guerdon.core.commands import FinishFollowing, FollowPolicy
from guerdon.core.dates import end_of_day_after
from guerdon.core.earning import PROMOTION_RULE
from guerdon.core.events import Name
from guerdon.core.lots import Lot, LotMove
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.places import LATE_MAX, Place
from guerdon.core.programs import Activity, Policies, Program
from guerdon.core.results import Changed, Followed
from guerdon.core.state import NotLoaded
from guerdon.core.terms import terms_of

if TYPE_CHECKING:
    from guerdon.core.accounts import Account
    from guerdon.core.state import Key, State

ACTIVITIES: dict[Name, Activity] = {
    Name.TRANSACTION_ADD: "purchase",
    Name.POINTS_REDEMPTION: "redemption",
    Name.REWARD_CLAIM: "claim",
    Name.POINTS_TRANSFER: "transfer",
    Name.GOODWILL_AWARD: "award",
    Name.BULK_ALLOCATE_POINTS: "award",
    Name.REFERRAL_AWARD: "referral",
}
"""What a member's events count as, where the expiry policy says that it counts. Sending points is the sender's."""


def version_of(lot: Lot) -> int:
    """The version of its program whose expiry a lot follows; 0 where its end was set by hand."""
    if not lot.promise:
        return lot.version
    follows = promises.decode(lot.promise).follows
    return lot.version if follows is None else follows


# -- new points -------------------------------------------------------------------------------------------------------


def settle(
    state: State,
    booking: Booking,
    program: Program,
    rule: str,
    terms: promises.Terms,
    earned_at: datetime,
) -> promises.Terms:
    """The terms of points that are about to be credited, as the program at the version given says; with what else there
    is to say of their end.
    """
    expiry = program.policies.expiry
    if expiry.kind != "inactivity" and not state.config.follows and not rule.startswith(PROMOTION_RULE):
        return terms
    promise = promises.decode(terms.promise)
    if promise.follows == 0:
        return terms
    ends = terms.expires_at
    if rule.startswith(PROMOTION_RULE):  # the lot's own version is the promotion's
        promise = msgspec.structs.replace(promise, follows=program.version)
    active = ACTIVITIES.get(booking.name) in expiry.activities
    if expiry.kind == "inactivity" and not active and promise.expiry is None:
        ends = _last_end(state, booking, program.no) or ends
    version = state.config.follows.get(program.no, 0)
    if program.version < version:
        after = terms_of(state, state.config.programs[program.no], version).policies
        changed_at = state.config.since[program.no][version - 1]
        counts_from = earned_at if promise.expiry is None else terms.releases_at
        if promise.expiry is not None:
            promise = _promised_anew(promise, after, ends, changed_at)
        ends = _followed_end(program.policies, after, counts_from, ends, changed_at)
        promise = msgspec.structs.replace(promise, follows=version)
    said = promises.encode(promise) if terms.promise or promise != promises.Promise() else ""
    return promises.Terms(ends, terms.releases_at, said, terms.trigger)


def _last_end(state: State, booking: Booking, program_no: int) -> datetime | None:
    """When a member's points of a program end that all end together."""
    alive = _alive_at(state, booking)
    ends = [
        lot.expires_at
        for lot in _lots_of(state, booking, program_no)
        if lot.expires_at is not None and lot.expires_at > alive
        if (version := version_of(lot))
        if terms_of(state, state.config.programs[program_no], version).policies.expiry.kind == "inactivity"
    ]
    return max(ends, default=None)


def _alive_at(state: State, booking: Booking) -> datetime:
    """The moment at which points must be alive to be looked at. What an import brings from long ago finds no more than
    a job has left, which may have been there or not (`places.LATE_MAX`).
    """
    return max(booking.place.judged_at, state.now - LATE_MAX)


# -- activity ---------------------------------------------------------------------------------------------------------


def renew(state: State, booking: Booking, *program_nos: int) -> None:
    """Put off the end of a member's points of some programs, where the event is an activity that does."""
    kind = ACTIVITIES.get(booking.name)
    if kind is None or not state.config.renewing:
        return
    alive = _alive_at(state, booking)
    for program_no in sorted(state.config.renewing.intersection(program_nos)):
        program = state.config.programs[program_no]
        for lot in _lots_of(state, booking, program_no):
            version = version_of(lot)
            if not version or lot.expires_at is None or lot.expires_at <= alive:
                continue
            policies = terms_of(state, program, version).policies
            if not policies.expiry.renews or kind not in policies.expiry.activities or _waits(state, lot):
                continue
            ends = policies.expiry.end(booking.place.event_at, policies.timezone)
            if ends is not None and ends > lot.expires_at:
                lots.place(state, booking.moves, lot, "redate", msgspec.structs.replace(lot, expires_at=ends))


def _lots_of(state: State, booking: Booking, program_no: int) -> list[Lot]:
    """All open lots of the member in a program, older first, each following the version that it should."""
    accounts = _accounts(state, booking.member_no, program_no)
    nos = sorted(lot.no for lot in state.open_lots(*accounts))
    if program_no in state.config.following:
        catch_up_lots(state, booking.moves, nos)
    return [state.lots[no] for no in nos]


def _waits(state: State, lot: Lot) -> bool:
    """Whether a lot's end counts from a release that is still to come."""
    return state.accounts[lot.account].category != "regular" and promises.decode(lot.promise).expiry is not None


def _accounts(state: State, member_no: int, program_no: int) -> list[int]:
    accounts = state.member_accounts.get(member_no)
    if accounts is None:
        raise NotLoaded(("member", "number", str(member_no)))
    return [no for (of, _), no in accounts.items() if of == program_no]


# -- another version --------------------------------------------------------------------------------------------------


def follow(lot: Lot, before: Policies, after: Policies, version: int, changed_at: datetime) -> Lot:
    """The lot as it ends under a later version that counts for what was there."""
    promise = promises.decode(lot.promise)
    counts_from: datetime | None = lot.earned_at
    if promise.expiry is not None:
        counts_from = promise.released_at or lot.releases_at
        promise = _promised_anew(promise, after, lot.expires_at, changed_at)
    ends = _followed_end(before, after, counts_from, lot.expires_at, changed_at)
    text = promises.encode(msgspec.structs.replace(promise, follows=version))
    return msgspec.structs.replace(lot, expires_at=ends, promise=text)


def _followed_end(
    before: Policies, after: Policies, counts_from: datetime | None, ends: datetime | None, changed_at: datetime
) -> datetime | None:
    """When points end that ended otherwise before. What activity renews is renewed by the change itself, though not
    beyond the end it had where activity renewed it before; and nothing ends before the days of grace are over. What had
    ended has ended.
    """
    if ends is not None and ends <= changed_at:
        return ends
    if counts_from is None:
        return None
    expiry, zone = after.expiry, after.timezone
    found = expiry.end(counts_from, zone)
    if expiry.renews:
        anew = expiry.end(changed_at, zone)
        if before.expiry.renews and ends is not None and anew is not None:
            anew = min(anew, ends)
        found = max(found, anew) if found is not None and anew is not None else None
    if found is None:
        return None
    return max(found, _earliest(after, ends, changed_at))


def _earliest(after: Policies, ends: datetime | None, changed_at: datetime) -> datetime:
    """Before that, a version that is followed from a moment on ends nothing that ended otherwise before."""
    grace_days = after.follow.grace_days if after.follow else 0
    earliest = end_of_day_after(changed_at, grace_days, ZoneInfo(after.timezone))
    return earliest if ends is None else min(ends, earliest)


def _promised_anew(
    promise: promises.Promise, after: Policies, ends: datetime | None, changed_at: datetime
) -> promises.Promise:
    """The promise of points whose end counts from their release."""
    earliest = _earliest(after, ends, changed_at)
    return msgspec.structs.replace(promise, expiry=after.expiry, timezone=after.timezone, earliest=earliest)


def ready(state: State, accounts: Iterable[int], *, renews: bool = False) -> None:
    """Ask at once for all the lots that `catch_up` (and with `renews` also `renew`) will look at: a command about many
    accounts would ask for them one after the other.
    """
    programs = state.config.renewing.union(state.config.following) if renews else state.config.following.keys()
    if not programs:
        return
    wanted: set[int] = set()
    missing: list[Key] = []
    for no in accounts:
        account = state.accounts[no]
        if account.program_no not in programs or not account.tracks_lots:
            continue
        siblings = state.member_accounts.get(account.member_no)
        if siblings is None:
            missing.append(("member", "number", str(account.member_no)))
        else:
            wanted.update(each for (of, _), each in siblings.items() if of == account.program_no)
    missing += [("lots", no) for no in sorted(wanted) if ("lots", no) not in state.found]
    if missing:
        raise NotLoaded(*missing)


def catch_up(state: State, account_no: int) -> None:
    """Let an account's points follow the versions of their program that are still being followed, one after the other.
    As with what is released (`promises.keep`), the regular account and the promised one of a member are one matter.
    """
    following = state.config.following
    if not following:
        return
    account = state.accounts[account_no]
    versions = following.get(account.program_no, ())
    if not versions or not account.tracks_lots:
        return
    accounts = [account_no]
    if account.category in ("regular", "promised"):
        siblings = state.member_accounts.get(account.member_no)
        if siblings is None:
            raise NotLoaded(("member", "number", str(account.member_no)))
        accounts = [siblings[account.program_no, category] for category in ("regular", "promised")]
    for version in versions:
        if _behind(state, accounts, version):
            _follow_one(state, account, accounts, version)


def _follow_one(state: State, account: Account, accounts: Sequence[int], version: int) -> None:
    instant = state.config.since[account.program_no][version - 1]
    promises.keep(state, account.no, instant)  # what was released before is released under the terms of before
    behind = _behind(state, accounts, version)
    if not behind:
        return
    place = Place(event_at=instant, judged_at=instant)
    booking = Booking(state, Name.POINTS_EXPIRY_CHANGE, account.member_no, place)
    for lot in behind:
        _follow(state, booking.moves, lot, account.program_no, version)
    booking.close(
        actor="guerdon",
        reason="policy",
        body={
            "program_no": account.program_no,
            "version": version,
            "ended": [[lot.no, lot.expires_at] for lot in behind],
        },
    )


def _behind(state: State, accounts: Sequence[int], version: int) -> list[Lot]:
    """The lots of accounts that follow an older version, older lots first."""
    behind = [lot for lot in state.open_lots(*accounts) if 0 < version_of(lot) < version]
    return sorted(behind, key=lots.by_number)


def catch_up_lots(state: State, moves: list[LotMove], nos: Iterable[int]) -> None:
    """Let lots that were filled again follow the last version of their program that all are to follow."""
    if not state.config.follows:
        return
    for no in nos:
        lot = state.lots[no]
        program_no = state.accounts[lot.account].program_no
        version = state.config.follows.get(program_no, 0)
        if lot.remaining and 0 < version_of(lot) < version:
            _follow(state, moves, lot, program_no, version)


def _follow(state: State, moves: list[LotMove], lot: Lot, program_no: int, version: int) -> None:
    program = state.config.programs[program_no]
    before, after = (terms_of(state, program, no).policies for no in (version_of(lot), version))
    changed = follow(lot, before, after, version, state.config.since[program_no][version - 1])
    lots.place(state, moves, lot, "redate", changed)


# -- commands ---------------------------------------------------------------------------------------------------------


def follow_all(state: State, command: FollowPolicy) -> Outcome:
    """Let the points of these accounts follow. Asked for late, twice or never, it changes nothing that may be spent."""
    before = state.counters.get("seq", 0)
    for account_no in command.accounts:
        if account_no not in state.accounts and state.find(("account_no", account_no)) is None:
            return Rejected(Rejection.ACCOUNT_NOT_FOUND, "accounts", {"account_no": account_no})
    ready(state, command.accounts)
    for account_no in command.accounts:
        catch_up(state, account_no)
    return Accepted(Followed(events=state.counters.get("seq", 0) - before))


def finish(state: State, command: FinishFollowing) -> Outcome:
    """Note that no point of a program follows less than a version; the caller has looked. Said late, it is no error."""
    program = state.config.programs.get(command.program_no)
    if program is None:
        return Rejected(Rejection.PROGRAM_NOT_FOUND, "program", {"program": command.program_no})
    versions = state.config.following.get(program.no, ())
    if command.version in versions:
        left = tuple(version for version in versions if version > command.version)
        following = {no: each for no, each in {**state.config.following, program.no: left}.items() if each}
        state.put(state.followed, program.no, command.version)
        state.set_config(msgspec.structs.replace(state.config, following=following))
    return Accepted(Changed(id=program.id))
