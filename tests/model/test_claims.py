"""Claims of codes under any grouping of commands: the same codes to the same members, the same notices."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from guerdon.core import commands as c
from guerdon.core.catalogue import ListTerms, RewardTerms
from guerdon.core.outcomes import Accepted, Rejected, Rejection
from tests.model.auditor import claims
from tests.model.store import MemoryStore, one_by_one, run
from tests.model.test_codes import MEMBERS, Campaign
from tests.model.test_grouping import everything, sizes

SEEDS = range(1, 31)


class Handouts(Campaign):
    """The same with rewards that hand those codes out, claims that are taken back, and an endpoint that hears of it."""

    def __init__(self, seed: int) -> None:
        self.rewards: list[str] = []
        self.claims: list[str] = []
        super().__init__(seed, length=30)
        for name in MEMBERS:
            self.add(c.Award, member=("external_id", name), points=40, reason="x")
        self.hook = self.add(c.AddWebhook, url="https://example.com/x")
        self.listed = self.add(c.CreateRewardList, terms=ListTerms(name="Codes", price=25))
        self.offer()
        for _ in range(60):
            self.chance.choice(
                (self.claim, self.claim, self.claim, self.claim, self.take_back, self.offer, self.bring, self.make,
                 self.link, self.switch, self.buy, self.buy, self.other, self.endpoint)
            )()  # fmt: skip

    def offer(self) -> None:
        terms = RewardTerms(
            name="code",
            kind="discount_code",
            codes=self.chance.choice((self.made, self.made, self.brought)),
            low_stock=self.chance.choice((None, 0, 2)),
        )
        stock = self.chance.choice((None, 3, 9))
        if self.rewards and self.chance.random() < 0.5:
            self.add(c.ChangeReward, reward=self.chance.choice(self.rewards), terms=terms, restock=True, stock=stock)
        else:
            self.rewards.append(self.add(c.CreateReward, list=self.listed, terms=terms, stock=stock))

    def claim(self) -> None:
        self.claims.append(self.add(c.ClaimReward, member=self.member(), reward=self.chance.choice(self.rewards)))

    def take_back(self) -> None:
        if self.claims:
            status: Any = self.chance.choice(("denied", "cancelled", "completed"))
            self.add(c.MoveClaim, claim=self.chance.choice(self.claims[-6:]), status=status)

    def endpoint(self) -> None:
        kind, fields = self.chance.choice(
            (
                (c.ChangeWebhook, {"status": "active"}),
                (c.ChangeWebhook, {"filters": ("reward.*",)}),
                (c.PauseWebhook, {"reason": "dead"}),
                (c.NoteFailingWebhook, {"since": self.now, "reason": "500"}),
                (c.ReplayWebhook, {"after": self.chance.randrange(60)}),
            )
        )
        self.add(kind, target=self.hook, **fields)


@pytest.mark.parametrize("seed", SEEDS)
def test_any_grouping_hands_out_the_same_codes_and_says_the_same(seed: int) -> None:
    commands = Handouts(seed).commands
    alone = MemoryStore()
    outcomes = one_by_one(alone, commands)
    claims(alone.rows)
    generator = random.Random(seed)
    for _ in range(2):
        together = MemoryStore()
        assert run(together, commands, sizes(generator, len(commands))) == outcomes
        assert everything(together) == everything(alone)


def test_the_histories_hand_out_take_back_and_run_low() -> None:
    """So that the test above is about something."""
    refused: set[Rejection] = set()
    names: Counter[str] = Counter()
    for seed in SEEDS:
        store = MemoryStore()
        commands = Handouts(seed).commands
        for command, outcome in zip(commands, one_by_one(store, commands), strict=True):
            if isinstance(command, c.ClaimReward | c.MoveClaim) and isinstance(outcome, Rejected):
                refused.add(outcome.code)
            assert isinstance(outcome, Accepted | Rejected)
        names.update(event.name for event in store.rows("events").values())
    assert refused >= {
        Rejection.OUT_OF_STOCK, Rejection.INSUFFICIENT_POINTS, Rejection.CODE_ALREADY_USED,
        Rejection.FULFILMENT_NOT_FORWARD,
    }  # fmt: skip
    for name in ("RewardClaim", "RewardClaimReversal", "RewardCodesLow", "RewardStockLow", "WebhookFailing"):
        assert names[name] > 0, names
