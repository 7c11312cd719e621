"""Who somebody was at a moment of the past: the tier, and the segments they were in, for backtests.

Tiers follow from the structures and deeds up to that moment, and so does what segments ask of activity and tiers; lists
are those of that moment. Conditions, profile and balances are taken as they are now: nothing is kept of what they were.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from guerdon.core.activity import Activity
from guerdon.core.programs import Config, Rule
from guerdon.core.promotions.shelf import Shelf
from guerdon.core.promotions.terms import Promotion
from guerdon.core.segments import Facts, in_segments
from guerdon.core.tiers import tier_at


class Asked(Struct, frozen=True, kw_only=True):
    """What there is to know: whether anything asks for tiers, and the codes of segments."""

    tiers: bool = False
    segments: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return self.tiers or bool(self.segments)


class Known(Struct, frozen=True, kw_only=True):
    """What is known of a member: all they did; the profile; per list when they were put on it (True) or taken off,
    oldest first; and regular points by the code of the program, in minor units.
    """

    activity: Activity
    profile: Mapping[str, str]
    lists: Mapping[str, Sequence[tuple[datetime, bool]]]
    balances: Mapping[str, int]


class Audience(Struct, frozen=True, kw_only=True):
    """The tier ("" for none), and those of the segments asked for."""

    tier: str = ""
    segments: frozenset[str] = frozenset()


NOBODY = Audience()


def asked(promotions: Iterable[Promotion], rules: Iterable[Rule]) -> Asked:
    """What promotions that run, and earning rules, ask for."""
    shelf = Shelf({each.id: each for each in promotions}, {})
    rules = list(rules)
    return Asked(
        tiers=shelf.about_tiers or any(rule.tiers for rule in rules),
        segments=shelf.segments.union(*[rule.segments for rule in rules]),
    )


def audience(config: Config, program_no: int, known: Known, wanted: Asked, at: datetime, before: int) -> Audience:
    """Who a member was to a program at the till, just `before` the purchase of that number."""
    past = [deed for deed in known.activity.deeds if deed.at < at or (deed.at == at and deed.purchase_no < before)]
    done = msgspec.structs.replace(known.activity, deeds=tuple(past))

    def tier(no: int) -> str:
        return tier_at(config.tiers.get(no, ()), done.within(no), at)

    mine = tier(program_no) if wanted.tiers else ""
    if not wanted.segments:
        return Audience(tier=mine)
    facts = Facts(
        at=at,
        profile=known.profile,
        lists=[code for code, entries in known.lists.items() if _listed(entries, at)],
        activity=done,
        tiers={program.code: tier(no) for no, program in config.programs.items() if no in config.tiers},
        balances=known.balances,
        programs={program.code: no for no, program in config.programs.items()},
    )
    return Audience(tier=mine, segments=in_segments(config.segments, wanted.segments, facts))


def _listed(entries: Sequence[tuple[datetime, bool]], at: datetime) -> bool:
    return next((there for when, there in reversed(entries) if when <= at), False)
