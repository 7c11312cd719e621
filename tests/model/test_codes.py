"""Codes under any grouping of commands: the same codes, links and answers."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest

from guerdon.core import commands as c
from guerdon.core import merges
from guerdon.core.outcomes import Accepted, Rejected, Rejection
from guerdon.core.programs import Policies, Rule
from guerdon.core.promotions.codes import DIGITS, Form, generate
from guerdon.core.promotions.effects import Percent
from guerdon.core.promotions.limits import Limit
from guerdon.core.promotions.terms import Promotion
from tests.core.world import START
from tests.model.auditor import audit
from tests.model.store import MemoryStore, one_by_one, run
from tests.model.test_grouping import everything, sizes

FORM = Form(pattern="#####", charset=DIGITS)
SEED = bytes(range(32))
MADE = tuple(generate(FORM, SEED, 0, 60))
MEMBERS = ("ada", "bea", "cid")
TERMS = Promotion(
    id="",
    name="Ten off",
    kind="code",
    effects=(Percent(ppm=100_000),),
    limits=(Limit(code="once", per="code", limit=2),),
)
SEEDS = range(1, 21)


class Campaign:
    """A random history: codes made and brought in, linked, switched, presented, and members merged in between."""

    def __init__(self, seed: int, length: int = 60) -> None:
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
        promotion = self.add(c.CreatePromotion, terms=TERMS)
        self.made = self.add(c.CreateCodeBatch, promotion=promotion, form=FORM, seed=SEED, count=20)
        self.brought = self.add(c.CreateCodeBatch, promotion=promotion)
        for _ in range(length):
            self.now += timedelta(seconds=self.chance.choice((0, 1, 60)))
            self.chance.choice((self.make, self.bring, self.link, self.switch, self.buy, self.buy, self.other))()

    def add(self, kind: type[c.Command], **fields: Any) -> str:
        id = f"01900000-0000-7000-8000-{len(self.commands) + 1:06x}000000"
        self.commands.append(kind(id=id, at=self.now, **fields))
        return id

    def code(self) -> str:
        return self.chance.choice((*MADE[:12], "ZN34C", "NEVER"))

    def member(self) -> tuple[str, str]:
        return ("external_id", self.chance.choice(MEMBERS))

    def make(self) -> None:
        """Sometimes from where the batch is not, as of two that make the same codes."""
        start = self.chance.choice((0, 4, 8, 12))
        self.add(c.AddCodes, batch=self.made, codes=MADE[start : start + 4], start=start)

    def bring(self) -> None:
        self.add(c.AddCodes, batch=self.brought, codes=tuple(self.code() for _ in range(3)))

    def link(self) -> None:
        self.add(c.LinkCode, member=self.member(), code=self.code(), mode="DISCOUNT")

    def switch(self) -> None:
        active = self.chance.random() < 0.6
        batch = self.chance.choice((self.made, self.brought, ""))
        self.add(c.SwitchCodes, batch=batch, code="" if batch else self.code(), active=active)

    def buy(self) -> None:
        self.bills += 1
        codes = (self.code(),) if self.chance.random() < 0.7 else ()
        lines = (c.Line(sku="a", quantity=1_000, amount=1_000),)
        member = self.member() if self.chance.random() < 0.8 else None
        self.add(
            c.RecordPurchase,
            number=f"B-{self.bills}",
            currency="USD",
            lines=lines,
            member=member,
            promotions=True,
            codes=codes,
        )

    def other(self) -> None:
        if self.chance.random() < 0.25:
            victim, survivor = self.chance.sample(MEMBERS, 2)
            self.add(c.MergeMembers, victim=("external_id", victim), survivor=("external_id", survivor))
        elif self.chance.random() < 0.2:
            self.add(c.StopCodes, batch=self.chance.choice((self.made, self.brought)))
        else:
            self.add(c.MoreCodes, batch=self.chance.choice((self.made, self.brought)), count=self.chance.randint(1, 5))


@pytest.mark.parametrize("seed", SEEDS)
def test_any_grouping_treats_codes_alike(seed: int) -> None:
    commands = Campaign(seed).commands
    alone = MemoryStore()
    outcomes = one_by_one(alone, commands)
    audit(alone.rows)
    generator = random.Random(seed)
    for _ in range(2):
        together = MemoryStore()
        assert run(together, commands, sizes(generator, len(commands))) == outcomes
        assert everything(together) == everything(alone)


def test_codes_linked_to_a_merged_member_apply_in_the_batch_of_the_merge_and_after() -> None:
    """Also where the survivor's codes were known before, and where two were linked at the same moment."""
    world = Campaign(0, length=0)
    world.add(c.AddCodes, batch=world.brought, codes=("ZN34C", "ZN34D"))
    for code in ("ZN34D", "ZN34C"):
        world.add(c.LinkCode, member=("external_id", "bea"), code=code, mode="DISCOUNT")
    for name in ("cid", "bea"):
        lines = (c.Line(sku="a", quantity=1_000, amount=1_000),)
        world.add(
            c.RecordPurchase, number=name, currency="USD", lines=lines, member=("external_id", name), promotions=True
        )
    world.add(c.MergeMembers, victim=("external_id", "bea"), survivor=("external_id", "cid"))
    world.add(
        c.RecordPurchase, number="after", currency="USD", lines=lines, member=("external_id", "cid"), promotions=True
    )
    alone, together = MemoryStore(), MemoryStore()
    outcomes = one_by_one(alone, world.commands)
    assert run(together, world.commands, [len(world.commands) - 4, 4]) == outcomes
    last = outcomes[-1]
    assert isinstance(last, Accepted)
    assert last.result.discounts == outcomes[-3].result.discounts != ()  # type: ignore[union-attr]


def test_codes_that_a_merge_forgets_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: where a merge does not join the links, some grouping answers otherwise."""
    monkeypatch.setattr(merges, "merge_links", lambda state, victim, survivor: None)
    found = 0
    for seed in SEEDS:
        commands = Campaign(seed).commands
        outcomes = one_by_one(MemoryStore(), commands)
        found += run(MemoryStore(), commands, [len(commands)]) != outcomes
    assert found


def test_the_histories_use_link_and_refuse_codes() -> None:
    """So that the test above is about something."""
    accepted: set[str] = set()
    refused: set[Rejection] = set()
    for seed in SEEDS:
        store = MemoryStore()
        commands = Campaign(seed).commands
        for command, outcome in zip(commands, one_by_one(store, commands), strict=True):
            if isinstance(outcome, Accepted):
                accepted.add(type(command).__name__)
            elif isinstance(outcome, Rejected):
                refused.add(outcome.code)
        used = {use.code for use in store.rows("promotion_uses").values()}
        accepted |= {"used"} if used & set(store.rows("codes")) else set()
    assert accepted >= {"AddCodes", "LinkCode", "SwitchCodes", "MergeMembers", "used"}
    assert refused >= {
        Rejection.CODE_BATCH_MOVED_ON, Rejection.CODE_NOT_FOUND, Rejection.CODE_LINKED_TO_ANOTHER,
        Rejection.CODE_DEACTIVATED, Rejection.CODE_NOT_APPLIED,
    }  # fmt: skip
