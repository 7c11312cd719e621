"""Promotions under any grouping of commands: the same answers, and counters that are the sums of their uses."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from guerdon.core import commands as c
from guerdon.core import tallies
from guerdon.core.programs import Policies, Rule
from guerdon.core.promotions.effects import Percent, Points
from guerdon.core.promotions.limits import Budget, Limit
from guerdon.core.promotions.terms import Promotion
from guerdon.core.state import State
from tests.core.world import START
from tests.model.auditor import audit
from tests.model.store import MemoryStore, Refused, one_by_one, run
from tests.model.test_grouping import everything, sizes

MEMBERS = ("ada", "bea")
SEEDS = range(1, 31)
BUDGET = Budget(code="year", limit=2_500, on_exceed="partial")
TERMS = (
    Promotion(
        id="", name="Ten off", effects=(Percent(ppm=100_000),), budget=BUDGET, on_return="give_back",
        limits=(Limit(code="all", kpi="purchases", limit=9), Limit(code="each", limit=4, per="customer")),
    ),
    Promotion(
        id="", name="Slow", effects=(Percent(ppm=50_000), Points(points=3)), budget=BUDGET, lane=1,
        limits=(Limit(code="days", limit=3, window="rolling", days=2), Limit(code="slow", min_seconds_between=3600)),
    ),
)  # fmt: skip


class Shopping:
    """A random history: carts bought, returned, committed, reserved, cancelled, and promotions paused in between."""

    def __init__(self, seed: int, length: int = 60) -> None:
        self.chance = random.Random(seed)
        self.now = START
        self.commands: list[c.Command] = []
        self.promotions: list[str] = []
        self.reservations: list[tuple[str, dict[str, Any]]] = []
        self.bills = 0
        self.add(c.CreateAsset, code="USD", scale=2)
        self.add(c.CreateAsset, code="POINTS", scale=0)
        rules = (Rule(code="base", kind="per_amount", points=1, amount=100),)
        self.add(c.CreateProgram, code="club", name="Club", asset="POINTS", policies=Policies(rules=rules))
        for name in MEMBERS:
            self.add(c.RegisterMember, identifiers=(("external_id", name),))
        for terms in TERMS:
            self.promotions.append(self.add(c.CreatePromotion, terms=terms))
        for _ in range(length):
            self.now += timedelta(seconds=self.chance.choice((0, 1, 900, 40_000)))
            self.chance.choice(
                (self.buy, self.buy, self.buy, self.give_back, self.commit, self.uncommit, self.reserve, self.other)
            )()

    def add(self, kind: type[c.Command], **fields: Any) -> str:
        id = f"01900000-0000-7000-8000-{len(self.commands) + 1:06x}000000"
        self.commands.append(kind(id=id, at=self.now, **fields))
        return id

    def cart(self) -> dict[str, Any]:
        name = self.chance.choice((*MEMBERS, ""))
        amount = self.chance.choice((1_000, 2_999))
        lines = tuple(c.Line(sku="a", quantity=2_000, amount=amount) for _ in range(self.chance.randint(1, 2)))
        return {"currency": "USD", "lines": lines, "member": ("external_id", name) if name else None}

    def buy(self) -> None:
        self.bills += 1
        reservation, cart = "", self.cart()
        if self.reservations and self.chance.random() < 0.5:
            reservation, cart = self.chance.choice(self.reservations)
        self.add(c.RecordPurchase, number=f"B-{self.bills}", promotions=True, reservation=reservation, **cart)

    def give_back(self) -> None:
        number = f"B-{self.chance.randint(1, self.bills + 1)}"
        part = (c.ReturnLine(line=1, quantity=1_000),) if self.chance.random() < 0.4 else None
        self.add(c.ReturnPurchase, purchase=("number", number), number=f"R-{len(self.commands)}", lines=part)

    def commit(self) -> None:
        number = f"W-{self.chance.randint(1, 5)}"
        self.add(c.CommitCart, number=number, **self.cart())

    def uncommit(self) -> None:
        number = f"W-{self.chance.randint(1, 5)}"
        part = (c.ReturnLine(line=1, quantity=700),) if self.chance.random() < 0.5 else None
        self.add(c.ReturnCart, commit=("number", number), number=f"V-{self.chance.randint(1, 9)}", lines=part)

    def reserve(self) -> None:
        cart = self.cart()
        name = self.chance.choice(("", "x", "y"))
        id = self.add(c.EvaluateCart, cart=name, reserve_seconds=self.chance.choice((0, 1, 5_000, 80_000)), **cart)
        self.reservations.append((id, cart))

    def other(self) -> None:
        if self.reservations and self.chance.random() < 0.5:
            self.add(c.CancelReservation, reservation=self.chance.choice(self.reservations)[0])
        else:
            status = self.chance.choice(("active", "active", "paused"))
            self.add(c.RunPromotion, promotion=self.chance.choice(self.promotions), status=status)


def check(store: MemoryStore) -> None:
    """Counters are the sums of what the uses say, and of what open reservations keep; no limit was ever passed."""
    rows, now = store.rows, store.last_recorded_at
    used: Counter[Any] = Counter()
    rolling: Counter[Any] = Counter()
    for use in rows("promotion_uses").values():
        for raised in use.raises:
            if raised.until is None:
                used[raised.key] += raised.by
            elif raised.until > now:
                rolling[raised.key] += raised.by
    held: Counter[Any] = Counter()
    for reservation in rows("reservations").values():
        if reservation.status == "open" and reservation.expires_at > now:
            for raised in reservation.raises:
                held[raised.key] += raised.by
    for key, tally in rows("promotion_counters").items():
        assert tally.used == used[key], key
        alive = [part for part in tally.parts if part.until > now]
        assert sum(part.by for part in alive if not part.reservation) == rolling[key], key
        assert sum(part.by for part in alive if part.reservation) == held[key], key
    limits = {"all": 9, "each": 4, "budget:year": 2_500, "days": 3}
    for key in {*used, *rolling, *held}:
        if key[4] != "last":
            assert used[key] + rolling[key] + held[key] <= limits[key[2]], key
    discounts = sum(use.discount for use in rows("promotion_uses").values())
    assert discounts == sum(by for key, by in used.items() if key[2] == "budget:year")


@pytest.mark.parametrize("seed", SEEDS)
def test_any_grouping_uses_promotions_alike(seed: int) -> None:
    commands = Shopping(seed).commands
    alone = MemoryStore()
    outcomes = one_by_one(alone, commands)
    check(alone)
    audit(alone.rows)
    generator = random.Random(seed)
    for _ in range(2):
        together = MemoryStore()
        assert run(together, commands, sizes(generator, len(commands))) == outcomes
        assert everything(together) == everything(alone)


def test_the_histories_use_give_back_and_hold_something() -> None:
    """So that the test above is about something."""
    store = MemoryStore()
    for seed in SEEDS:
        store = MemoryStore()
        one_by_one(store, Shopping(seed).commands)
        if {use.of_seq > 0 for use in store.rows("promotion_uses").values()} == {True, False} and {
            reservation.status for reservation in store.rows("reservations").values()
        } >= {"used", "open", "cancelled"}:
            return
    raise AssertionError("no history gives back, uses, cancels and keeps")


def test_a_counter_that_is_guessed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: where a counter that nobody looked up counts as zero, limits are passed."""
    monkeypatch.setattr(tallies, "tally", lambda state, key: state.promotion_counters.get(key, tallies.Tally()))
    monkeypatch.setattr(State, "asked", property(lambda _: _Everything(), lambda _, __: None), raising=False)
    found = 0
    for seed in SEEDS:
        store = MemoryStore()
        try:
            one_by_one(store, Shopping(seed).commands)
            check(store)
        except (AssertionError, Refused):
            found += 1
    assert found


class _Everything(set[Any]):
    def __contains__(self, key: object) -> bool:
        return True
