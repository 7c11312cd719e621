"""Tiers under any grouping of commands, with reviews at any time or none: the same standings, the same is told, and all
of it is what day-by-day reckoning finds.
"""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from msgspec import json

from guerdon.core import commands as c
from guerdon.core import segments
from guerdon.core.outcomes import Accepted
from guerdon.core.programs import Policies, Rule
from guerdon.core.standings import code_at
from guerdon.core.tiers import Level, TierTerms, Window, tier_at
from tests.core.world import START
from tests.model import naive_tiers, tier_auditor
from tests.model.naive_tiers import Bills, Bought, Started
from tests.model.store import MemoryStore, activity_of, one_by_one, run
from tests.model.test_grouping import everything, sizes

MEMBERS = ("ada", "bea", "cyd")
SEEDS = range(1, 31)
LEVELS = (
    Level(code="blue", name="Blue", at_least=0),
    Level(code="silver", name="Silver", at_least=3_000),
    Level(code="gold", name="Gold", at_least=7_000),
)
HARDER = tuple(msgspec.structs.replace(level, at_least=level.at_least * 3) for level in LEVELS)
EASIER = (*LEVELS[:1], Level(code="gold", name="Gold", at_least=4_000))
TERMS = tuple(
    TierTerms(figure="spend", window=window, levels=levels, timezone=zone, currency="USD", **more)
    for window, levels, zone, more in (
        (Window(kind="calendar", months=1), LEVELS, "UTC", {"notice_days": 3}),
        (Window(kind="rolling", days=10), LEVELS, "Europe/Berlin", {"downgrade": "one", "grace_days": 2}),
        (Window(kind="rolling", months=1), EASIER, "UTC", {"grace_days": 5, "notice_days": 4}),
        (Window(kind="since_join", months=1), LEVELS, "America/New_York", {"downgrade": "one"}),
        (Window(kind="since_join"), EASIER, "UTC", {}),
        (Window(kind="calendar", months=1), LEVELS, "Europe/Berlin", {"downgrade": "none"}),
        (Window(kind="rolling", days=6), LEVELS, "UTC", {"keep": True, "grace_days": 3}),
        (Window(kind="calendar", months=1), HARDER, "America/New_York", {"keep": True, "downgrade": "one"}),
        (Window(kind="rolling", days=20), HARDER, "UTC", {"keep": True, "notice_days": 2}),
    )
)


class Shopping:
    """A random history: bills, late ones too, returned in parts, members merged, new structures, reviews."""

    def __init__(self, seed: int, length: int = 60) -> None:
        self.chance = random.Random(seed)
        self.now = START
        self.commands: list[c.Command] = []
        self.bills: list[str] = []
        self.add(c.CreateAsset, code="USD", scale=2)
        self.add(c.CreateAsset, code="POINTS", scale=0)
        rules = (
            Rule(code="base", kind="per_amount", points=1, amount=100),
            Rule(code="better", kind="multiplier", points=2, tiers=("silver", "gold")),
            Rule(code="known", kind="fixed", points=3, segments=("vip", "busy")),
        )
        self.add(c.CreateProgram, code="club", name="Club", asset="POINTS", policies=Policies(rules=rules))
        for name in MEMBERS:
            self.add(c.RegisterMember, identifiers=(("external_id", name),))
        self.add(c.CreateSegment, code="vip", name="People we know")
        often = segments.ActivityIs(kpi="purchases", value=2, within_days=9)
        self.add(c.CreateSegment, code="busy", name="Often here", condition=often)
        for _ in range(length):
            self.now += timedelta(hours=self.chance.choice((0, 1, 20, 90, 300)))
            rarely = (self.restructure, self.merge, self.list)
            kinds = (self.buy,) * 6 + (self.give_back,) * 2 + (self.review,) * 3 + rarely
            self.chance.choice(kinds)()

    def add(self, kind: type[c.Command], **fields: Any) -> None:
        id = f"01900000-0000-7000-8000-{len(self.commands) + 1:06x}000000"
        self.commands.append(kind(id=id, at=self.now, **fields))

    def member(self) -> tuple[str, str]:
        return ("external_id", self.chance.choice(MEMBERS))

    def buy(self) -> None:
        self.bills.append(f"B-{len(self.bills)}")
        late = self.chance.choice((None, None, timedelta(hours=30), timedelta(days=12)))
        where = c.Where() if late is None else c.Where(event_at=self.now - late, imported=True)
        lines = (c.Line(sku="A", quantity=4000, amount=self.chance.choice((500, 1_999, 3_000, 4_500, 7_000))),)
        self.add(
            c.RecordPurchase, number=self.bills[-1], currency="USD", lines=lines, member=self.member(), where=where
        )

    def give_back(self) -> None:
        if self.bills:
            lines = self.chance.choice((None, (c.ReturnLine(line=1, quantity=1000),)))
            number = f"R-{len(self.commands)}"
            bill = self.chance.choice(self.bills[-6:])
            self.add(c.ReturnPurchase, purchase=("number", bill), number=number, lines=lines)

    def review(self) -> None:
        self.add(c.ReviewTiers, members=(1, 2, 3))

    def restructure(self) -> None:
        starts_at = self.chance.choice((None, self.now + timedelta(days=5)))
        self.add(c.ChangeTiers, program=("code", "club"), terms=self.chance.choice(TERMS), starts_at=starts_at)

    def list(self) -> None:
        members = tuple(self.member() for _ in range(2))
        self.add(c.ListMembers, segment="vip", members=members, present=self.chance.random() < 0.7)

    def merge(self) -> None:
        if self.chance.random() < 0.3:
            self.add(c.MergeMembers, victim=self.member(), survivor=self.member())


def told(store: MemoryStore) -> dict[int, list[Any]]:
    """What was told of tiers: without when it was recorded, and without notices, which only ever look ahead."""
    found: dict[int, list[Any]] = defaultdict(list)
    for event in store.rows("events").values():
        if event.name == "TierChange":
            found[event.member_no].append((event.event_at, json.decode(event.body)))
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_any_grouping_is_equal_to_one_by_one(seed: int) -> None:
    commands = Shopping(seed).commands
    alone = MemoryStore()
    outcomes = one_by_one(alone, commands)
    generator = random.Random(seed)
    for _ in range(3):
        together = MemoryStore()
        assert run(together, commands, sizes(generator, len(commands))) == outcomes
        assert everything(together) == everything(alone)


@pytest.mark.parametrize("seed", SEEDS[:10])
def test_what_members_were_told_is_what_plain_lists_say_at_any_time(seed: int) -> None:
    generator, store = random.Random(seed), MemoryStore()
    commands = Shopping(seed).commands
    while commands:
        some, commands = commands[:4], commands[4:]
        run(store, some, sizes(generator, len(some)))
        tier_auditor.audit(store.rows)


@pytest.mark.parametrize("seed", SEEDS)
def test_reviews_change_nothing_but_when_it_is_written_down(seed: int) -> None:
    shopping = Shopping(seed)
    never = MemoryStore()
    one_by_one(never, [each for each in shopping.commands if not isinstance(each, c.ReviewTiers)])
    often = MemoryStore()
    one_by_one(often, shopping.commands)
    for store in (never, often):  # and at the end all is told
        last = c.ReviewTiers(id="01900000-0000-7000-8000-ffffff000000", at=shopping.now, members=(1, 2, 3))
        one_by_one(store, [last])
    assert told(often) == told(never)
    assert standings(often) == standings(never)


def standings(store: MemoryStore) -> dict[Any, Any]:
    """Every standing, but for which fall was warned of."""
    return {
        place: (each.version, each.tier, each.joined_at, each.reckoning)
        for place, each in store.rows("standings").items()
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_standings_are_what_is_reckoned_from_the_beginning_and_what_is_found_day_by_day(seed: int) -> None:
    shopping = Shopping(seed, 40)
    store = MemoryStore()
    outcomes = one_by_one(store, shopping.commands)
    last = c.ReviewTiers(id="01900000-0000-7000-8000-ffffff000000", at=shopping.now, members=(1, 2, 3))
    one_by_one(store, [last])
    assert all(isinstance(o, Accepted) for o, each in zip(outcomes, shopping.commands, strict=True)
               if isinstance(each, c.ChangeTiers))  # fmt: skip
    structures = store.config().tiers.get(1, ())
    for (member_no, _), standing in store.rows("standings").items():
        if store.rows("members")[member_no].status == "merged":
            continue
        terms = next(each.terms for each in structures if each.version == standing.version)
        activity = activity_of(store.rows, member_no)
        assert standing.tier == tier_at(structures, activity, shopping.now)
        assert standing.tier == code_at(standing, terms, shopping.now)
        joined = activity.joined_at(shopping.now)
        started = [Started(each.starts_at, each.terms) for each in structures]
        assert standing.tier == naive_tiers.tier_under(started, joined, paid(store, member_no), shopping.now)
        assert told(store)[member_no][-1][1]["to"] == standing.tier if told(store)[member_no] else True


def paid(store: MemoryStore, member_no: int) -> Bills:
    """What was paid on bills, and what came back of it, of a member and of those merged into it."""
    family = {member_no}
    while more := {m.no for m in store.rows("members").values() if m.survivor_no in family} - family:
        family |= more
    bought = [
        Bought(bill.event_at, bill.paid, tuple(
            (back.event_at, back.paid) for back in store.rows("returns").values() if back.purchase_no == bill.no))
        for bill in store.rows("purchases").values() if bill.member_no in family
    ]  # fmt: skip
    return lambda _: bought
