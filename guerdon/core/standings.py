"""Standings: how each member stands in the tiers of a program, and what was told of it.

What a tier is, `tiers.py` says, from deeds and the calendar alone. Here it is kept at hand: a standing holds the
reckoning up to the member's last deed, so that another one after it costs no look at the past; whatever else happens
(a late deed, a return, a merge, a new structure), the past is reckoned again. And here it is told: `TierChange` is
booked for every tier that is another than was told last. What time has done is told before what a command does, so
that it is the same whether or not a review came by in between; a review only tells earlier what a read would say.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from guerdon.core.activity import Activity, Deed
from guerdon.core.booking import Booking
from guerdon.core.commands import ReviewTiers
from guerdon.core.dates import local_midnight
from guerdon.core.events import Event, Name
from guerdon.core.outcomes import Accepted, Outcome
from guerdon.core.places import Place
from guerdon.core.programs import Config
from guerdon.core.results import TiersReviewed
from guerdon.core.state import NotLoaded, State
from guerdon.core.tiers import (
    Change,
    Reason,
    Reckoner,
    Reckoning,
    Structure,
    TierTerms,
    first,
    in_force,
    lapse,
    next_fall,
    reckon_under,
    tier_at,
)

WALKED = 2**62
"""How far a walk through all members is that has come to its end."""


class Standing(Struct, frozen=True, kw_only=True):
    """How a member stands in a program. `tier` is the code that was told last, under the `version`; `reckoning` is that
    of the deeds up to `reckoned_at`, and `joined_at` when the member joined.

    At `due_at` there will be something to tell, None if nothing will by itself; `warned_at` is the fall that notice was
    given of.
    """

    member_no: int
    program_no: int
    version: int
    tier: str
    joined_at: datetime
    reckoning: Reckoning
    reckoned_at: datetime
    due_at: datetime | None = None
    warned_at: datetime | None = None


# -- what a member's tier is ------------------------------------------------------------------------------------------


def tier_of(state: State, member_no: int, program_no: int, at: datetime) -> str:
    """The code of a member's tier in a program at a moment, "" for none."""
    structure = in_force(state.config.tiers.get(program_no, ()), at)
    if structure is None:
        return ""
    standing = _standing(state, member_no, program_no)
    if standing is not None and current(standing, structure, at):
        return code_at(standing, structure.terms, at)
    return tier_at(state.config.tiers[program_no], activity(state, member_no).within(program_no), at)


def current(standing: Standing, structure: Structure, at: datetime) -> bool:
    """Whether a standing says how things are at a moment; otherwise the past has to be looked at."""
    return standing.version == structure.version and standing.reckoned_at <= at


def code_at(standing: Standing, terms: TierTerms, at: datetime) -> str:
    return terms.code(lapse(terms, standing.joined_at, standing.reckoning, at)[0].level)


def untold(standing: Standing, terms: TierTerms, at: datetime) -> list[Change]:
    """What time has done to a tier by a moment, and was not told yet: it only ever falls."""
    _, changes = lapse(terms, standing.joined_at, standing.reckoning, at)
    told = terms.index(standing.tier)
    return [change for change in changes if change.after < told]


def next_untold(standing: Standing, terms: TierTerms) -> datetime | None:
    """When there will be a fall to tell, None if there never will."""
    reckoning, told = standing.reckoning, terms.index(standing.tier)
    while (fall := next_fall(terms, standing.joined_at, reckoning)) is not None:
        if fall[0].after < told:
            return fall[0].at
        reckoning = fall[1]
    return None


def activity(state: State, member_no: int) -> Activity:
    """All that a member did. Raises `NotLoaded` where nobody looked."""
    known = state.activity.get(member_no)
    if known is None:
        raise NotLoaded(("activity", member_no))
    return known


def _standing(state: State, member_no: int, program_no: int) -> Standing | None:
    if ("standing", member_no) not in state.found:
        raise NotLoaded(("standing", member_no))
    return state.standings.get((member_no, program_no))


# -- what happens to it -----------------------------------------------------------------------------------------------


def begin(state: State, member_no: int, registered_at: datetime) -> None:
    """Of a new member all is known: nothing."""
    state.put(state.found, ("standing", member_no), True)
    state.put(state.activity, member_no, Activity(joined=((registered_at, registered_at),)))


def counts(state: State, member_no: int, program_no: int) -> bool:
    """Whether anybody counts what a member does in a program."""
    return program_no in state.config.tiers or state.activity.get(member_no) is not None


def count(state: State, member_no: int, program_no: int, deeds: Sequence[Deed], reason: Reason) -> None:
    """Count what a member just did in a program, and tell the tier it leads to."""
    structure = in_force(state.config.tiers.get(program_no, ()), state.now)
    standing = None if structure is None else _settle(state, member_no, program_no)
    known = state.activity.get(member_no)
    if known is not None:
        known = known.add(deeds)
        state.put(state.activity, member_no, known)
    if structure is None or standing is None:
        return
    in_order = standing.reckoned_at <= min(deed.counts_at for deed in deeds) and reason == "reached"
    if in_order:
        reckoner = Reckoner(structure.terms, standing.joined_at, standing.reckoning)
        for deed in deeds:
            if worth := structure.terms.worth(deed):
                reckoner.add(deed.counts_at, worth)
        reckoning = reckoner.reckoning()
    else:
        done = activity(state, member_no).within(program_no)
        reckoning = reckon_under(state.config.tiers[program_no], structure, done, state.now)
    last = max(standing.reckoned_at, *(deed.at for deed in deeds))
    standing = msgspec.structs.replace(standing, reckoning=reckoning, reckoned_at=last)
    _correct(state, standing, structure, max(deed.at for deed in deeds), reason)


def merge(state: State, victim_no: int, survivor_no: int) -> None:
    """What the one did, the other did, from now on. What time has done to either was told before (`settle_all`)."""
    one, other = state.activity.get(survivor_no), state.activity.get(victim_no)
    programs = _programs(state)
    if programs:
        one, other = activity(state, survivor_no), activity(state, victim_no)
    joined = one.join(other, state.now) if one is not None and other is not None else None
    state.put(state.activity, survivor_no, joined)
    for structure in programs:
        program_no = structure.program_no
        left = _standing(state, victim_no, program_no)
        if left is not None:
            ended = msgspec.structs.replace(left, due_at=None)
            state.put(state.standings, (victim_no, program_no), ended)
        standing = _settle(state, survivor_no, program_no)
        if joined is None or standing is None or not joined.within(program_no).deeds:
            continue
        reckoning = reckon_under(state.config.tiers[program_no], structure, joined.within(program_no), state.now)
        standing = msgspec.structs.replace(
            standing, reckoning=reckoning, reckoned_at=state.now, joined_at=joined.joined_at(state.now)
        )
        _correct(state, standing, structure, state.now, "merged")


def settle_all(state: State, *member_nos: int) -> None:
    """Tell what time has done to the tiers of some members, in every program."""
    programs = _programs(state)
    missing: list[tuple[str, int]] = []
    for member_no in member_nos:
        if programs and ("standing", member_no) not in state.found:
            missing.append(("standing", member_no))
        elif state.activity.get(member_no) is None and any(
            (known := state.standings.get((member_no, structure.program_no))) is None
            or known.version != structure.version
            for structure in programs
        ):
            missing.append(("activity", member_no))
    if missing:
        raise NotLoaded(*missing)
    for member_no in member_nos:
        for structure in programs:
            _settle(state, member_no, structure.program_no)


def review(state: State, command: ReviewTiers) -> Outcome:
    """Write down what is so already. Members who were merged have no tier any more."""
    members = [no for no in command.members if (member := state.members.get(no)) and member.status != "merged"]
    before = state.mark()
    settle_all(state, *members)
    told = len(state.changed_since(before, state.events))
    if command.walked:
        done = WALKED if command.walked >= state.counters.get("member", 0) else command.walked
        state.put(state.walks, (command.program_no, command.version), done)
    return Accepted(TiersReviewed(members=len(members), told=told))


def foresee(
    structures: Sequence[Structure], standing: Standing | None, done: Activity | None, member_no: int, now: datetime
) -> tuple[Standing | None, list[Event]]:
    """What a review would write and tell now, for reads: the standing, and the events it would book. `done` is needed
    where the standing is not under the structure in force.
    """
    program_no = structures[0].program_no
    state = State(Config(tiers={program_no: tuple(structures)}), {}, now, b"")
    state.begin("00000000-0000-0000-0000-000000000000", now)
    state.found["standing", member_no] = True
    if standing is not None:
        state.standings[member_no, program_no] = standing
    if done is not None:
        state.activity[member_no] = done
    return _settle(state, member_no, program_no), list(state.events.values())


def _programs(state: State) -> list[Structure]:
    """The structures that are in force now, by program."""
    found = (in_force(structures, state.now) for structures in state.config.tiers.values())
    return [structure for structure in found if structure is not None]


def _settle(state: State, member_no: int, program_no: int) -> Standing | None:
    """Tell what has become of a member's tier by itself: what lapsed, and what new structures made of it.

    A member who never did anything in the program has no row, and nothing to tell.
    """
    structures = state.config.tiers[program_no]
    standing = _standing(state, member_no, program_no)
    began = _began(structures, 0 if standing is None else standing.version, state.now)
    deeds: Activity | None = None
    if began:
        deeds = activity(state, member_no).within(program_no)
    if standing is not None:
        before = next(each for each in structures if each.version == standing.version)
        until = min([state.now, *(each.starts_at for each in began)])
        standing = _lapsed(state, standing, before, until)
    stops = [*(each.starts_at for each in began), state.now][1:]
    for structure, stop in zip(began, stops, strict=True):
        assert deeds is not None
        starts_at = max(structure.starts_at, deeds.joined_at(state.now))
        terms = structure.terms
        told = terms.code(first(terms, starts_at).level) if standing is None else standing.tier
        standing = Standing(
            member_no=member_no,
            program_no=program_no,
            version=structure.version,
            tier=told,
            joined_at=deeds.joined_at(stop),
            reckoning=reckon_under(structures, structure, deeds, stop),
            reckoned_at=max([starts_at, *(deed.at for deed in deeds.deeds)]),
        )
        at_start = reckon_under(structures, structure, deeds, structure.starts_at)
        there, _ = lapse(terms, standing.joined_at, at_start, structure.starts_at)
        standing = _tell(state, standing, structure, terms.code(there.level), structure.starts_at, "structure")
        standing = _lapsed(state, standing, structure, stop)
    if standing is not None:
        structure = next(each for each in structures if each.version == standing.version)
        if deeds is None or deeds.deeds or (member_no, program_no) in state.standings:
            _keep(state, standing, structure)
    return standing


def _began(structures: Sequence[Structure], version: int, now: datetime) -> list[Structure]:
    """The structures that have come into force since a version, in the order in which they did."""
    found: list[Structure] = []
    for structure in sorted(structures, key=lambda each: (each.starts_at, each.version)):
        if structure.starts_at <= now and structure.version > version:
            found.append(structure)
            version = structure.version
    return found


def _lapsed(state: State, standing: Standing, structure: Structure, until: datetime) -> Standing:
    for change in untold(standing, structure.terms, until):
        standing = _tell(state, standing, structure, structure.terms.code(change.after), change.at, "lapsed")
    return standing


def _correct(state: State, standing: Standing, structure: Structure, at: datetime, reason: Reason) -> None:
    """Tell the tier as it is, where it is another than was told."""
    terms = structure.terms
    now, _ = lapse(terms, standing.joined_at, standing.reckoning, state.now)
    if reason == "reached" and (now.since != at or now.reason != "reached"):
        reason = "late"
    standing = _tell(state, standing, structure, terms.code(now.level), at, reason)
    _keep(state, standing, structure)


def _tell(state: State, standing: Standing, structure: Structure, code: str, at: datetime, reason: Reason) -> Standing:
    """Book that the tier is another one from a moment on, if it is."""
    if code == standing.tier:
        return standing
    body = {
        "program_no": standing.program_no,
        "version": structure.version,
        "from": standing.tier,
        "to": code,
        "reason": reason,
    }
    _book(state, Name.TIER_CHANGE, standing, at, reason, body)
    return msgspec.structs.replace(standing, tier=code)


def _keep(state: State, standing: Standing, structure: Structure) -> None:
    """Give notice of a fall that is near, and write the row with when there will be more to tell."""
    terms, now = structure.terms, state.now
    fall = next_fall(terms, standing.joined_at, lapse(terms, standing.joined_at, standing.reckoning, now)[0])
    due_at = None if fall is None else fall[0].at
    if fall is not None and terms.notice_days and standing.warned_at != fall[0].at:
        at = notice_at(terms, fall[0].at)
        if at > now:
            due_at = at
        else:
            body = {
                "program_no": standing.program_no,
                "version": structure.version,
                "from": standing.tier,
                "to": terms.code(fall[0].after),
                "falls_at": fall[0].at,
            }
            _book(state, Name.TIER_ABOUT_TO_FALL, standing, now, "lapsed", body)
            standing = msgspec.structs.replace(standing, warned_at=fall[0].at)
    kept = msgspec.structs.replace(standing, due_at=due_at)
    if kept != state.standings.get((standing.member_no, standing.program_no)):
        state.put(state.standings, (standing.member_no, standing.program_no), kept)


def notice_at(terms: TierTerms, falls_at: datetime) -> datetime:
    """From when on a fall is near."""
    zone = ZoneInfo(terms.timezone)
    return local_midnight(falls_at.astimezone(zone).date() - timedelta(days=terms.notice_days), zone)


def _book(state: State, name: Name, standing: Standing, at: datetime, reason: str, body: dict[str, object]) -> None:
    place = Place(event_at=min(at, state.now), judged_at=state.now)
    Booking(state, name, standing.member_no, place).close(actor="guerdon", reason=reason, body=body)


def known_by(structures: Iterable[Structure]) -> list[str]:
    """Every code that a tier of a program ever had."""
    return sorted({level.code for structure in structures for level in structure.terms.levels})
