"""Notices of low pools under any grouping of commands: the same ones, at the same places."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest

from guerdon.core import commands as c
from guerdon.core.programs import LowPool, Policies, RedemptionRate, Rule
from tests.core.world import START
from tests.model.auditor import audit
from tests.model.store import MemoryStore, one_by_one, run
from tests.model.test_grouping import everything, sizes

SEEDS = range(1, 21)
MEMBERS = ("ada", "bea")
PROGRAMS = ("club", "cafe")
MARKS = (None, LowPool(points=20), LowPool(points=20, filled=45), LowPool(points=-60, filled=0))


class Pools:
    """A random history: pools filled and drained, points given and spent in one or several transfers of a command."""

    def __init__(self, seed: int, length: int = 70) -> None:
        self.chance = random.Random(seed)
        self.now = START
        self.commands: list[c.Command] = []
        self.add(c.CreateAsset, code="USD", scale=2)
        self.add(c.CreateAsset, code="POINTS", scale=0)
        for code in PROGRAMS:
            self.add(c.CreateProgram, code=code, name=code, asset="POINTS", policies=self.policies())
        for name in MEMBERS:
            self.add(c.RegisterMember, identifiers=(("external_id", name),))
        for _ in range(length):
            self.now += timedelta(seconds=self.chance.choice((0, 0, 1)))
            self.chance.choice(
                (self.give, self.give, self.many, self.buy, self.spend, self.post, self.post, self.mark)
            )()

    def add(self, kind: type[c.Command], **fields: Any) -> str:
        id = f"01900000-0000-7000-8000-{len(self.commands) + 1:06x}000000"
        self.commands.append(kind(id=id, at=self.now, **fields))
        return id

    def policies(self) -> Policies:
        rules = (Rule(code="base", kind="per_amount", points=1, amount=100),)
        mark = self.chance.choice(MARKS)
        return Policies(rules=rules, currency="USD", redemption_rate=RedemptionRate(1, 100), low_pool=mark)

    def who(self) -> tuple[str, str]:
        return ("external_id", self.chance.choice(MEMBERS))

    def where(self) -> tuple[str, str]:
        return ("code", self.chance.choice(PROGRAMS))

    def points(self) -> int:
        return self.chance.randint(1, 40)

    def give(self) -> None:
        self.add(c.Award, member=self.who(), program=self.where(), points=self.points(), reason="x")

    def many(self) -> None:
        rows = tuple(c.Allocation(member=self.who(), points=self.points(), reason="x") for _ in range(3))
        self.add(c.AwardMany, rows=rows, program=self.where())

    def buy(self) -> None:
        line = c.Line(sku="a", quantity=1_000, amount=100 * self.points())
        number = f"B-{len(self.commands)}"
        self.add(
            c.RecordPurchase, number=number, currency="USD", lines=(line,), member=self.who(), program=self.where(),
            spend=self.chance.choice((0, 0, 5, 20)),
        )  # fmt: skip

    def spend(self) -> None:
        self.add(c.Redeem, member=self.who(), program=self.where(), points=self.points(), group=True)

    def post(self) -> None:
        """Up to three transfers in one command, either way, some of them held only."""
        postings = []
        for number in range(self.chance.randint(1, 3)):
            pool = self.chance.choice(("@PointsPool", "@PointsPool:cafe"))
            source, destination = self.chance.sample((pool, "@Treasury"), 2)
            postings.append(
                c.Posting(
                    asset="POINTS", amount=self.points(), precision=1, reference=f"r{len(self.commands)}-{number}",
                    source=source, destination=destination, allow_overdraft=True,
                    inflight=self.chance.random() < 0.2,
                )
            )  # fmt: skip
        self.add(c.Post, postings=tuple(postings))

    def mark(self) -> None:
        if self.chance.random() < 0.3:
            later = self.chance.choice((None, None, 3, 8))
            starts_at = None if later is None else self.now + timedelta(seconds=later)
            self.add(c.ChangeProgram, program=self.where(), policies=self.policies(), starts_at=starts_at)


@pytest.mark.parametrize("seed", SEEDS)
def test_any_grouping_tells_of_low_pools_alike(seed: int) -> None:
    commands = Pools(seed).commands
    alone = MemoryStore()
    outcomes = one_by_one(alone, commands)
    audit(alone.rows)
    generator = random.Random(seed)
    for _ in range(2):
        together = MemoryStore()
        assert run(together, commands, sizes(generator, len(commands))) == outcomes
        assert everything(together) == everything(alone)


def test_the_histories_run_low_and_are_filled_again() -> None:
    """So that the test above is about something."""
    told = watched = several = 0
    for seed in SEEDS:
        store = MemoryStore()
        one_by_one(store, Pools(seed).commands)
        names = [event.name for event in store.rows("events").values()]
        told += names.count("PointsPoolLow")
        watched += names.count("PointsPoolWatch")
        several += names.count("PointsPoolLow") > 2
    assert told > 40
    assert watched > 40
    assert several > 5
