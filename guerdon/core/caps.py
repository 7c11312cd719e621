"""Caps on what members earn: what is left of them, what purchases use up, and what returns give back.

They count on the same counters as the limits of promotions (`tallies`): `owner` is the program, or the program and the
rule, and the subject is the member. A cap that counts per purchase needs none. What a purchase used up stands with what
each rule gave (`division.EarnedParts`), so a return gives back in the period in which the purchase fell. A member who
was merged keeps its counters, and what they say counts for who took it over as well: both are one person.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import msgspec

from guerdon.core import members, segments, standings, tallies
from guerdon.core.earning import Earning, Occasion
from guerdon.core.members import Member
from guerdon.core.places import Place
from guerdon.core.programs import Cap, Program
from guerdon.core.promotions.limits import CounterKey, Raise
from guerdon.core.state import NotLoaded
from guerdon.core.tallies import Raised

if TYPE_CHECKING:
    from guerdon.core.division import EarnedParts
    from guerdon.core.state import State


def occasion(state: State, program: Program, member: Member | None, place: Place) -> Occasion:
    """What the program's rules look at. Counters that are not loaded are asked for, all at once."""
    store = state.config.stores[place.store_no].code if place.store_no else ""
    left = still_left(program, _used(state, program, member, place.judged_at) if member is not None else ())
    found = Occasion(at=place.judged_at, store=store, source=place.source, left=left)
    return found if member is None else _about(state, found, program, member, place.judged_at)


def _about(state: State, found: Occasion, program: Program, member: Member, at: datetime) -> Occasion:
    """With what the rules ask of the buyer: the tier before this purchase, and segments."""
    rules = program.policies.rules
    wanted = {code for rule in rules for code in rule.segments}
    if any(rule.tiers for rule in rules):
        found = msgspec.structs.replace(found, tier=standings.tier_of(state, member.no, program.no, at))
    if wanted:
        found = msgspec.structs.replace(found, segments=tuple(sorted(segments.of(state, member, at, wanted))))
    return found


def _used(state: State, program: Program, member: Member, at: datetime) -> list[int]:
    """What a member has used of each cap that counts over more than one purchase, with those merged into it."""
    own = counters(program, str(member.no), at)
    if not own:
        return []
    forebears = members.forebears(state, member)
    if forebears is None:
        raise NotLoaded(("forebears", member.no), *tallies.lacking(state, own))
    family = [own, *(counters(program, str(no), at) for no, _ in forebears)]
    usage = tallies.usage(state, [key for keys in family for key in keys], at)
    return [sum(usage[key].used for key in same) for same in zip(*family, strict=True)]


def counters(program: Program, subject: str, at: datetime) -> list[CounterKey]:
    """What counts towards the program's caps for a member at a time; nothing for nobody."""
    local = at.astimezone(ZoneInfo(program.policies.timezone))
    return [_key(program, rule, cap, subject, local) for rule, cap in _counted(program)] if subject else []


def still_left(program: Program, used: Sequence[int]) -> tuple[tuple[str, str, int], ...]:
    """What is left of each cap, where so much is used of them; all of it where nobody is counted."""
    counted = _counted(program)
    return tuple(
        (rule, cap.code, max(0, cap.points - points))
        for (rule, cap), points in zip(counted, used or [0] * len(counted), strict=True)
    )


def raises(program: Program, subject: str, at: datetime, earned: Sequence[Earning]) -> dict[str, list[Raise]]:
    """What each rule that gave something raises."""
    counted = _counted(program)
    local = at.astimezone(ZoneInfo(program.policies.timezone))
    return {
        earning.rule: [
            Raise(_key(program, rule, cap, subject, local), earning.points, 0, None, _until(cap, at))
            for rule, cap in counted
            if rule in ("", earning.rule)
        ]
        for earning in earned
    }


def use(
    state: State, program: Program, member: Member, place: Place, earned: Sequence[Earning], seq: int
) -> dict[str, tuple[Raised, ...]]:
    """Count what a purchase earned. Returns what each rule has raised."""
    at = place.judged_at
    raised = raises(program, str(member.no), at, earned)
    return {rule: tallies.use(state, each, at, seq) for rule, each in raised.items() if each}


def give_back(state: State, earned: Iterable[EarnedParts], points: Iterable[int], seq: int) -> list[Raised]:
    """Lower what a purchase (event `seq`) has raised, by the points of each rule that were taken back."""
    lowered: list[Raised] = []
    for each, back in zip(earned, points, strict=True):
        if back and each.caps:
            lowered += tallies.lower(state, each.caps, back, seq)
    return lowered


def _counted(program: Program) -> list[tuple[str, Cap]]:
    """The caps that count over more than one purchase, each with its rule, "" for the program's own."""
    policies = program.policies
    found = [("", cap) for cap in policies.caps if cap.per != "purchase"]
    return found + [(rule.code, cap) for rule in policies.rules for cap in rule.caps if cap.per != "purchase"]


def _key(program: Program, rule: str, cap: Cap, subject: str, local: datetime) -> CounterKey:
    owner = f"program:{program.no}:{rule}" if rule else f"program:{program.no}"
    return ("counter", owner, cap.code, subject, _period(cap, local))


def _period(cap: Cap, local: datetime) -> str:
    """The calendar period a local time falls in: "2026-11-21", "2026-W47" (ISO), "2026-11", "2026", "rolling", ""."""
    if cap.per == "week":
        year, week, _ = local.isocalendar()
        return f"{year}-W{week:02}"
    form = {"day": "%Y-%m-%d", "month": "%Y-%m", "year": "%Y"}.get(cap.per)
    return local.strftime(form) if form else "rolling" if cap.per == "rolling" else ""


def _until(cap: Cap, at: datetime) -> datetime | None:
    return at + timedelta(days=cap.days) if cap.per == "rolling" else None
