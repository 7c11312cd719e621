"""Issued promotions under any grouping of commands: the same issues, uses and answers."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest

from guerdon.core import commands as c
from guerdon.core import issues
from guerdon.core.outcomes import Accepted, Rejected, Rejection
from guerdon.core.programs import Policies, Rule
from guerdon.core.promotions.effects import Percent
from guerdon.core.promotions.limits import Limit
from guerdon.core.promotions.terms import Issuing, Promotion
from tests.core.world import START
from tests.model.auditor import audit
from tests.model.store import MemoryStore, one_by_one, run
from tests.model.test_grouping import everything, sizes

MEMBERS = ("ada", "bea", "cid", "dee")
ONCE = (Limit(code="once", kpi="purchases", limit=1, per="issue"),)
TERMS = (
    Promotion(id="", name="Ten", kind="member", effects=(Percent(ppm=100_000),), limits=ONCE,
              issuing=Issuing(per_member=2, days=1)),
    Promotion(id="", name="Five", kind="member", effects=(Percent(ppm=50_000),), limits=ONCE,
              issuing=Issuing(per_member=3, activation=True, days=0)),
)  # fmt: skip
SEEDS = range(1, 31)


class Giving:
    """A random history: promotions given, activated, used and taken back, and members merged in between."""

    def __init__(self, seed: int, length: int = 60) -> None:
        self.chance = random.Random(seed)
        self.now = START
        self.commands: list[c.Command] = []
        self.issues: list[str] = []
        self.bills = 0
        self.add(c.CreateAsset, code="USD", scale=2)
        self.add(c.CreateAsset, code="POINTS", scale=0)
        rules = (Rule(code="base", kind="per_amount", points=1, amount=100),)
        self.add(c.CreateProgram, code="club", name="Club", asset="POINTS", policies=Policies(rules=rules))
        for name in MEMBERS:
            self.add(c.RegisterMember, identifiers=(("external_id", name),))
        self.promotions = [self.add(c.CreatePromotion, terms=terms) for terms in TERMS]
        steps = (self.give, self.give, self.give_many, self.activate, self.activate, self.buy, self.buy, self.other)
        for _ in range(length):
            self.now += timedelta(seconds=self.chance.choice((0, 1, 40_000)))
            self.chance.choice(steps)()

    def add(self, kind: type[c.Command], **fields: Any) -> str:
        id = f"01900000-0000-7000-8000-{len(self.commands) + 1:06x}000000"
        self.commands.append(kind(id=id, at=self.now, **fields))
        return id

    def who(self) -> tuple[str, str]:
        return ("external_id", self.chance.choice(MEMBERS))

    def give(self) -> None:
        self.issues.append(self.add(c.IssuePromotion, promotion=self.chance.choice(self.promotions), member=self.who()))

    def give_many(self) -> None:
        many = tuple(self.who() for _ in range(self.chance.randint(1, 4)))
        self.add(c.IssuePromotions, promotion=self.chance.choice(self.promotions), members=many)

    def activate(self) -> None:
        if self.issues:
            self.add(c.ActivateIssue, member=self.who(), issue=self.chance.choice(self.issues))

    def buy(self) -> None:
        self.bills += 1
        line = (c.Line(sku="a", quantity=1_000, amount=1_000),)
        self.add(
            c.RecordPurchase, number=f"B-{self.bills}", currency="USD", lines=line, member=self.who(), promotions=True
        )

    def other(self) -> None:
        what = self.chance.random()
        if what < 0.3:
            self.add(c.MergeMembers, victim=self.who(), survivor=self.who())
        elif what < 0.6 and self.issues:
            self.add(c.RevokeIssue, issue=self.chance.choice(self.issues))
        elif what < 0.75:
            self.add(c.RunPromotion, promotion=self.chance.choice(self.promotions), status="ended")
        else:
            self.add(c.EvaluateCart, currency="USD", member=self.who(), everything=True,
                     lines=(c.Line(sku="a", quantity=1_000, amount=1_000),))  # fmt: skip


def check(store: MemoryStore) -> None:
    """Nobody has more than may be given; no issue is used twice, before it was activated, or by somebody else."""
    given, moves, members = store.rows("issues"), store.rows("issue_moves"), store.rows("members")

    def now_of(no: int) -> int:
        while members[no].survivor_no:
            no = members[no].survivor_no
        return no

    used: dict[str, int] = {}
    for use in store.rows("promotion_uses").values():
        issue = given[use.issue]
        used[use.issue] = used.get(use.issue, 0) + use.times
        assert issue.promotion == use.promotion
        assert now_of(issue.member_no) == now_of(use.member_no)
        activated = moves.get((issue.id, "activated"))
        assert not issue.activation or (activated is not None and activated.moved_at <= use.used_at)
        ends_at = issue.ends_at if activated is None else activated.ends_at
        assert use.used_at < ends_at
        revoked = moves.get((issue.id, "revoked"))
        assert revoked is None or use.used_at <= revoked.moved_at
    assert set(used.values()) <= {1}


@pytest.mark.parametrize("seed", SEEDS)
def test_any_grouping_gives_promotions_alike(seed: int) -> None:
    commands = Giving(seed).commands
    alone = MemoryStore()
    outcomes = one_by_one(alone, commands)
    check(alone)
    audit(alone.rows)
    generator = random.Random(seed)
    for _ in range(3):
        together = MemoryStore()
        assert run(together, commands, sizes(generator, len(commands))) == outcomes
        assert everything(together) == everything(alone)


def test_the_histories_have_all_of_it() -> None:
    refusals: set[Rejection] = set()
    accepted: set[type[c.Command]] = set()
    used = 0
    for seed in SEEDS:
        store, commands = MemoryStore(), Giving(seed).commands
        for command, outcome in zip(commands, one_by_one(store, commands), strict=True):
            if isinstance(outcome, Rejected):
                refusals.add(outcome.code)
            else:
                assert isinstance(outcome, Accepted)
                accepted.add(type(command))
        used += len(store.rows("promotion_uses"))
        merged = {m.no for m in store.rows("members").values() if m.survivor_no}
        assert merged or seed != 1
    assert used > 50
    assert accepted >= {c.IssuePromotion, c.IssuePromotions, c.ActivateIssue, c.RevokeIssue, c.MergeMembers}
    assert refusals >= {
        Rejection.ISSUE_LIMIT_REACHED, Rejection.ISSUE_NOT_FOUND, Rejection.ISSUE_REVOKED, Rejection.ISSUE_EXPIRED,
        Rejection.PROMOTION_ENDED,
    }  # fmt: skip


def test_issues_that_a_merge_forgets_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: where a merge does not join the issues, some grouping answers otherwise."""
    monkeypatch.setattr(issues, "join", lambda state, victim, survivor: None)
    found = 0
    for seed in SEEDS:
        commands = Giving(seed).commands
        outcomes = one_by_one(MemoryStore(), commands)
        found += run(MemoryStore(), commands, [len(commands)]) != outcomes
    assert found
