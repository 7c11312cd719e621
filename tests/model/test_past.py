"""Conditions over the past under any grouping of commands, with late facts, returns and merges."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest

from guerdon.core import commands as c
from guerdon.core import pasts
from guerdon.core.programs import Policies, Rule
from guerdon.core.promotions.conditions import Any_, Condition, HistoryIs
from guerdon.core.promotions.effects import Percent
from guerdon.core.promotions.products import Criterion
from guerdon.core.promotions.terms import Promotion
from tests.core.world import START
from tests.model.store import MemoryStore, one_by_one, run
from tests.model.test_grouping import everything, sizes

MEMBERS = ("ada", "bea", "cid", "dee")
SHOES = (Criterion(entity="sku", values=frozenset({"shoes"})),)
CONDITIONS: tuple[Condition, ...] = (
    HistoryIs(kpi="purchases", operator="equals", value=0),
    HistoryIs(kpi="spent", operator="more_than", value=4_000, days=2),
    HistoryIs(kpi="bought", value=2, products=SHOES, days=3),
    Any_(of=(HistoryIs(kpi="days_since_purchase", value=1), HistoryIs(kpi="days_since_joined", value=20))),
)
SEEDS = range(1, 31)


class Shopping:
    """A random history: bills of now and of yesterday, parts brought back, carts asked about, members merged."""

    def __init__(self, seed: int, length: int = 50) -> None:
        self.chance = random.Random(seed)
        self.now = START
        self.commands: list[c.Command] = []
        self.bills = 0
        self.add(c.CreateAsset, code="USD", scale=2)
        self.add(c.CreateAsset, code="POINTS", scale=0)
        rules = (Rule(code="base", kind="per_amount", points=1, amount=100),)
        self.add(c.CreateProgram, code="club", name="Club", asset="POINTS", policies=Policies(rules=rules))
        for name in MEMBERS:
            self.add(c.RegisterMember, identifiers=(("external_id", name),))
        for lane, condition in enumerate(CONDITIONS):
            terms = Promotion(id="", name="x", effects=(Percent(ppm=10_000),), condition=condition, lane=lane)
            self.add(c.CreatePromotion, terms=terms)
        for _ in range(length):
            self.now += timedelta(seconds=self.chance.choice((0, 1, 7_000, 50_000)))
            self.chance.choice((self.buy, self.buy, self.buy, self.give_back, self.ask, self.ask, self.merge))()

    def add(self, kind: type[c.Command], **fields: Any) -> None:
        id = f"01900000-0000-7000-8000-{len(self.commands) + 1:06x}000000"
        self.commands.append(kind(id=id, at=self.now, **fields))

    def who(self) -> tuple[str, str]:
        return ("external_id", self.chance.choice(MEMBERS))

    def cart(self) -> dict[str, Any]:
        skus = self.chance.choices(("shoes", "socks"), k=self.chance.randint(1, 2))
        lines = tuple(c.Line(sku=sku, quantity=2_000, amount=self.chance.choice((900, 2_900))) for sku in skus)
        return {"currency": "USD", "lines": lines, "member": self.who()}

    def buy(self) -> None:
        self.bills += 1
        late = timedelta(seconds=self.chance.choice((0, 0, 90_000)))
        where = c.Where(event_at=self.now - late)
        self.add(c.RecordPurchase, number=f"B-{self.bills}", promotions=True, where=where, **self.cart())

    def give_back(self) -> None:
        number = f"B-{self.chance.randint(1, self.bills + 1)}"
        part = (c.ReturnLine(line=1, quantity=1_000),) if self.chance.random() < 0.5 else None
        self.add(c.ReturnPurchase, purchase=("number", number), number=f"R-{len(self.commands)}", lines=part)

    def ask(self) -> None:
        self.add(c.EvaluateCart, everything=True, **self.cart())

    def merge(self) -> None:
        if self.chance.random() < 0.2:
            self.add(c.MergeMembers, victim=self.who(), survivor=self.who())


@pytest.mark.parametrize("seed", SEEDS)
def test_any_grouping_knows_the_same_past(seed: int) -> None:
    commands = Shopping(seed).commands
    alone = MemoryStore()
    outcomes = one_by_one(alone, commands)
    generator = random.Random(seed)
    for _ in range(3):
        together = MemoryStore()
        assert run(together, commands, sizes(generator, len(commands))) == outcomes
        assert everything(together) == everything(alone)


@pytest.mark.parametrize("forgotten", ["bought", "given_back", "join"])
def test_what_is_forgotten_within_a_batch_is_found(monkeypatch: pytest.MonkeyPatch, forgotten: str) -> None:
    """The negative control: where something is not kept up, some grouping answers otherwise."""
    histories = [Shopping(seed).commands for seed in SEEDS]
    alone = [one_by_one(MemoryStore(), commands) for commands in histories]
    monkeypatch.setattr(pasts, forgotten, lambda *_: None)
    together = [run(MemoryStore(), commands, [len(commands)]) for commands in histories]
    assert together != alone
