"""The core and the naive model are asked the same, and agree on every refusal, every figure and every end of points."""

from __future__ import annotations

import os
import random
from collections import Counter
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from guerdon.core import commands as c
from guerdon.core.catalogue import ListTerms, RewardTerms
from guerdon.core.decide import decide
from guerdon.core.outcomes import Rejected
from guerdon.core.programs import Expiry, Policies, RedemptionRate, Rule
from tests.core.world import World
from tests.model.auditor import audit
from tests.model.naive import EACH, PRICE, STOCK, Again, Naive, No
from tests.model.test_grouping import SEED

POLICIES = Policies(
    rules=(
        Rule(code="base", kind="per_amount", points=1, amount=100),
        Rule(code="more", kind="per_amount", points=1, amount=1000),
        Rule(code="later", kind="fixed", points=3, category="promised", release_days=2),
        Rule(
            code="review",
            kind="fixed",
            points=2,
            category="trigger_based",
            trigger="review",
            expires_from="release",
        ),
    ),
    redemption_rate=RedemptionRate(10, 100),
    currency="USD",
)
members = st.sampled_from(("amy", "amy", "bob", "cat"))
counts = st.sampled_from((1, 2, 7, 10, 25, 40, 0, -1))
cents = st.sampled_from((0, 99, 100, 1_000, 2_550, 5_000))
spends = st.sampled_from((0, 0, 1, 7, 10, 25))
bought = st.lists(st.tuples(cents, st.sampled_from((1000, 1000, 3000, 1500, 0))), min_size=1, max_size=3)
asked = st.tuples(st.sampled_from((1, 1, 2, 3)), st.sampled_from((1000, 1000, 1, 333, 750, 2000, 0)))
small = st.integers(0, 5)
names = st.integers(0, 30)
sides = st.sampled_from(("amy", "bob", "@World", "@Shop"))
persons = st.sampled_from(("eve", "sam"))
statuses = st.sampled_from(("processing", "completed", "denied", "cancelled"))
SINGLE = 20
"""What one person alone may adjust by."""


class Machine(RuleBasedStateMachine):
    """A club with a bistro beside it, three members (one of them rarely joins), bills, redemptions, transfers,
    adjustments and claims of few names. Merges are rare, since there are few members.
    """

    @initialize(days=st.sampled_from((0, 5, 30)), write_off=st.booleans(), joined=st.booleans(), other=st.booleans())
    def begin(self, days: int, write_off: bool, joined: bool, other: bool) -> None:
        self.world = World().with_program(
            rules=POLICIES.rules,
            expiry=Expiry(kind="days", count=days) if days else Expiry(),
            on_shortfall="write_off" if write_off else "below_zero",
            adjustment_limit=SINGLE,
        )
        self.program = next(iter(self.world.state.config.programs.values()))
        bistro = Policies(expiry=Expiry(kind="days", count=7) if other else Expiry())
        self.world.ok(c.CreateProgram, code="bistro", name="Bistro", asset="POINTS", policies=bistro)
        listed = self.world.ok(c.CreateRewardList, terms=ListTerms(name="list", price=PRICE))
        terms = RewardTerms(name="thing", price=None, limit=EACH)
        self.reward = self.world.ok(c.CreateReward, list=listed.id, terms=terms, stock=STOCK).id
        self.naive = Naive(self.program.policies, bistro.expiry)
        self.ids: dict[str, str] = {}
        self.accepted: Counter[str] = Counter()
        self.numbers: dict[str, int] = {}
        for member in ("amy", "bob", "cat")[: 3 if joined else 2]:
            self.join(member)

    @rule(member=st.just("cat"))
    def join(self, member: str) -> None:
        both = self._ask("join", c.RegisterMember, {"identifiers": (("external_id", member),)}, member)
        if both:
            self.numbers[member] = both[0].number

    def _ask(self, request: str, kind: type[c.Command], fields: dict[str, Any], *args: object, name: str = "") -> Any:
        """Ask both; they must answer alike. Returns both answers where the request was accepted."""
        self.naive.now = self.world.now
        command = self.world.make(kind, **fields)
        outcome = decide(command, self.world.state)
        if isinstance(outcome, Rejected):
            with pytest.raises(No) as refusal:
                self.naive.ask(request, *args)
            assert outcome.code.value == refusal.value.code, (request, args)
            return None
        if outcome.replayed:
            with pytest.raises(Again):
                self.naive.ask(request, *args)
            return None
        expected = self.naive.ask(request, *args)
        if name:
            self.ids[name] = command.id
        self.accepted[request] += 1
        return outcome.result, expected

    # -- requests

    @rule(seconds=st.sampled_from((1, 3_600, 86_400, 3 * 86_400)))
    def later(self, seconds: int) -> None:
        self.world.now += timedelta(seconds=seconds)

    @rule(member=members, blocked=st.booleans())
    def block(self, member: str, blocked: bool) -> None:
        fields = {"member": ("external_id", member), "status": "blocked" if blocked else "active"}
        self._ask("block", c.ChangeMember, fields, member, blocked)

    @rule(member=members, number=small, bought=bought, spend=spends)
    def buy(self, member: str, number: int, bought: list[tuple[int, int]], spend: int) -> None:
        fields = {
            "number": f"B-{number}",
            "currency": "USD",
            "member": ("external_id", member),
            "lines": tuple(c.Line(sku="A", quantity=pieces, amount=cents) for cents, pieces in bought),
            "spend": spend,
        }
        both = self._ask("buy", c.RecordPurchase, fields, member, f"B-{number}", bought, spend)
        if both:
            result, expected = both
            assert (result.paid, result.spent_points, sum(e.points for e in result.earned)) == expected
            if result.redemption_id:
                self.ids[f"spent on B-{number}"] = result.redemption_id

    @rule(member=members, count=counts, bistro=st.sampled_from((False, False, True)))
    def give(self, member: str, count: int, bistro: bool) -> None:
        program = ("code", "bistro") if bistro else None
        fields = {"member": ("external_id", member), "points": count, "reason": "sorry", "program": program}
        self._ask("give", c.Award, fields, member, count, bistro)

    @rule(member=members, recipient=members, count=counts)
    def send(self, member: str, recipient: str, count: int) -> None:
        fields = {"member": ("external_id", member), "recipient": ("external_id", recipient), "points": count}
        self._ask("send", c.TransferPoints, fields, member, recipient, count)

    @rule(member=members, name=small, count=counts, group=st.booleans())
    def redeem(self, member: str, name: int, count: int, group: bool) -> None:
        fields = {"member": ("external_id", member), "points": count, "group": group}
        self._ask("redeem", c.Redeem, fields, member, f"X-{name}", count, group, name=f"X-{name}")

    @rule(name=small, checkout=st.booleans(), count=st.one_of(st.none(), counts))
    def reverse(self, name: int, checkout: bool, count: int | None) -> None:
        called = f"spent on B-{name}" if checkout else f"X-{name}"
        fields = {"redemption": self.ids.get(called, "none"), "points": count}
        both = self._ask("reverse", c.ReverseRedemption, fields, called, count)
        if both:
            assert both[0].expired == both[1]

    @rule(number=small, name=names, asked=st.one_of(st.none(), st.lists(asked, max_size=3)))
    def take_back(self, number: int, name: int, asked: list[tuple[int, int]] | None) -> None:
        lines = None if asked is None else tuple(c.ReturnLine(line=line, quantity=pieces) for line, pieces in asked)
        fields = {"purchase": ("number", f"B-{number}"), "number": f"R-{name}", "lines": lines}
        both = self._ask("take_back", c.ReturnPurchase, fields, f"B-{number}", f"R-{name}", asked)
        if both:
            result, expected = both
            moved = (result.returned_points, result.restored_points, result.written_off)
            assert (result.amount, result.paid, *moved) == expected

    @rule(member=members, name=small, count=st.sampled_from((5, 20, 21, 40, 0)), less=st.booleans(), person=persons)
    def adjust(self, member: str, name: int, count: int, less: bool, person: str) -> None:
        count = -count if less else count
        fields = {"member": ("external_id", member), "points": count, "reason": "count", "person": person}
        both = self._ask("adjust", c.AdjustPoints, fields, member, f"A-{name}", count, person, name=f"A-{name}")
        if both:
            assert (both[0].status == "booked") is both[1]

    @rule(name=small, approve=st.sampled_from((True, True, False)), person=persons)
    def agree(self, name: int, approve: bool, person: str) -> None:
        fields = {"adjustment": self.ids.get(f"A-{name}", "none"), "approve": approve, "person": person}
        self._ask("agree", c.DecideAdjustment, fields, f"A-{name}", approve, person)

    @rule(member=members, number=st.one_of(st.none(), small))
    def unlock(self, member: str, number: int | None) -> None:
        named = "" if number is None else f"B-{number}"
        fields = {"member": ("external_id", member), "purchase": ("number", named) if named else None}
        both = self._ask("unlock", c.UnlockPoints, fields, member, named)
        if both:
            assert both[0].points == both[1]

    @rule(victim=members, survivor=members, chance=st.integers(0, 9))
    def merge(self, victim: str, survivor: str, chance: int) -> None:
        if chance < 2:
            fields = {"victim": ("external_id", victim), "survivor": ("external_id", survivor)}
            self._ask("merge", c.MergeMembers, fields, victim, survivor)

    @rule(member=members, name=small)
    def claim(self, member: str, name: int) -> None:
        fields = {"member": ("external_id", member), "reward": self.reward}
        self._ask("claim", c.ClaimReward, fields, member, f"C-{name}", name=f"C-{name}")

    @rule(name=small, status=statuses)
    def fulfil(self, name: int, status: str) -> None:
        fields = {"claim": self.ids.get(f"C-{name}", "none"), "status": status}
        both = self._ask("fulfil", c.MoveClaim, fields, f"C-{name}", status)
        if both:
            assert both[0].expired == both[1]

    def _account(self, side: str) -> str:
        if side.startswith("@"):
            return side
        return self.world.state.accounts[self.world.account(("external_id", side))].id

    @rule(name=small, source=sides, destination=sides, count=counts, held=st.booleans())
    def pay(self, name: int, source: str, destination: str, count: int, held: bool) -> None:
        if self._account(source) == self._account(destination):
            return
        reference = f"T-{name}-{len(self.world.state.transfers)}"
        posting = c.Posting(
            asset="POINTS",
            amount=count,
            precision=1,
            reference=reference,
            source=self._account(source),
            destination=self._account(destination),
            allow_overdraft=True,
            inflight=held,
        )
        self._ask(
            "pay", c.Post, {"postings": (posting,)}, f"T-{name}", source, destination, count, held, name=f"T-{name}"
        )

    @rule(name=small, count=st.one_of(st.none(), counts))
    def settle(self, name: int, count: int | None) -> None:
        fields = {"target": self.ids.get(f"T-{name}", "none"), "amount": count}
        self._ask("settle", c.Settle, fields, f"T-{name}", count)

    @rule(name=small)
    def release(self, name: int) -> None:
        self._ask("release", c.Release, {"target": self.ids.get(f"T-{name}", "none")}, f"T-{name}")

    @rule(name=small)
    def refund(self, name: int) -> None:
        payment = self.naive.payments.get(f"T-{name}")
        if payment is None or not payment.held:
            self._ask("refund", c.Refund, {"target": self.ids.get(f"T-{name}", "none")}, f"T-{name}")

    @rule(member=st.sampled_from(("amy", "bob")))
    def post_overdue(self, member: str) -> None:
        fields = {"accounts": (self.world.account(("external_id", member)),)}
        self._ask("post_overdue", c.ExpireLots, fields, member)

    # -- what must agree

    @invariant()
    def the_books_are_right(self) -> None:
        if hasattr(self, "world"):
            audit(self.world.rows)

    @invariant()
    def both_see_the_same(self) -> None:
        if not hasattr(self, "naive"):
            return
        state = self.world.state
        for program, purses in enumerate((self.naive.purses, self.naive.bistro), 1):
            for member, purse in purses.items():
                accounts = state.member_accounts[self.numbers[member]]
                figures = state.figures_of(accounts[program, "regular"])
                assert figures.balance == purse.balance, member
                assert figures.inflight_debit == len(purse.of("held")), member
                assert max(0, -figures.available) == purse.owed, member
                for category in ("promised", "trigger_based"):
                    balance = state.figures_of(accounts[program, category]).balance
                    assert balance == len(purse.of(category)), (member, category)
                by_end: Counter[Any] = Counter()
                for category in ("regular", "promised", "trigger_based"):
                    for lot in state.lots_of(accounts[program, category]):
                        by_end[category, lot.expires_at, lot.releases_at] += lot.remaining
                waiting = [(point.state, point.ends, point.releases) for point in purse.of("promised", "trigger_based")]
                free = [("regular", point.ends, None) for point in purse.of("free", "held")]
                assert +by_end == Counter([*waiting, *free]), member
        for role in ("pool", "expired", "returned", "reversed", "adjusted"):
            for suffix in ("", ":bistro"):
                figures = self.world.internal(f"@Points{role.capitalize()}{suffix}")
                said = (self.naive.debit[role + suffix], self.naive.credit[role + suffix])
                assert (figures.debit, figures.credit) == said, role


class Life:
    """A long random history told to both, of which most is accepted: what is named was mostly there a while ago."""

    OFTEN: ClassVar = {
        "later": 6, "buy": 8, "give": 4, "take_back": 5, "redeem": 6, "reverse": 4, "send": 3, "pay": 4, "settle": 2,
        "release": 2, "refund": 2, "adjust": 3, "agree": 2, "unlock": 2, "claim": 3, "fulfil": 3, "merge": 1, "join": 1,
        "block": 1, "post_overdue": 1,
    }  # fmt: skip

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.machine = Machine()
        self.machine.begin(self._one_of(0, 5, 30), self._chance(0.5), self._chance(0.5), self._chance(0.5))
        self.made = 0

    def go_on(self, steps: int) -> None:
        kinds, weights = list(self.OFTEN), list(self.OFTEN.values())
        for self.made in range(steps):
            what = self.random.choices(kinds, weights)[0]
            getattr(self.machine, what)(**getattr(self, f"_{what}")())
            self.machine.both_see_the_same()
            if self.made % 20 == 0:
                self.machine.the_books_are_right()

    def _one_of(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def _chance(self, share: float) -> bool:
        return self.random.random() < share

    def _known(self, table: str) -> int:
        """The number in one of the last names of a table of the naive model; rarely one that never was."""
        names = [name for name in getattr(self.machine.naive, table) if name[1] == "-" and "," not in name][-4:]
        return int(self.random.choice(names)[2:]) if names and self._chance(0.95) else 999

    def _member(self) -> str:
        return str(self._one_of("amy", "amy", "bob", "bob", "cat"))

    def _count(self) -> int:
        return int(self._one_of(1, 2, 7, 10, 10, 25, 40, 0 if self._chance(0.3) else 3))

    def _later(self) -> dict[str, Any]:
        return {"seconds": self._one_of(1, 3_600, 3_600, 86_400, 86_400, 3 * 86_400)}

    def _buy(self) -> dict[str, Any]:
        lines = [
            (self._one_of(0, 99, 1_000, 2_550, 5_000), self._one_of(1000, 1000, 3000, 1500, 0))
            for _ in range(self._one_of(1, 1, 2, 3))
        ]
        return {
            "member": self._member(), "number": self.made, "bought": lines, "spend": self._one_of(0, 0, 7, 10, 25)
        }  # fmt: skip

    def _give(self) -> dict[str, Any]:
        return {"member": self._member(), "count": self._count(), "bistro": self._chance(0.4)}

    def _take_back(self) -> dict[str, Any]:
        parts = [
            (self._one_of(1, 1, 2, 3), self._one_of(1000, 1000, 1, 333, 750)) for _ in range(self._one_of(1, 1, 2))
        ]
        return {"number": self._known("bills"), "name": self.made, "asked": None if self._chance(0.4) else parts}

    def _redeem(self) -> dict[str, Any]:
        return {"member": self._member(), "name": self.made, "count": self._count(), "group": self._chance(0.5)}

    def _reverse(self) -> dict[str, Any]:
        checkout = self._chance(0.3)
        count = None if self._chance(0.5) else self._count()
        return {"name": self._known("bills" if checkout else "spendings"), "checkout": checkout, "count": count}

    def _send(self) -> dict[str, Any]:
        return {"member": self._member(), "recipient": self._member(), "count": self._count()}

    def _pay(self) -> dict[str, Any]:
        sides = ("amy", "bob", "@World", "@Shop")
        return {
            "name": self.made, "source": self._one_of(*sides), "destination": self._one_of(*sides),
            "count": self._count(), "held": self._chance(0.5),
        }  # fmt: skip

    def _settle(self) -> dict[str, Any]:
        return {"name": self._known("payments"), "count": None if self._chance(0.5) else self._count()}

    def _release(self) -> dict[str, Any]:
        return {"name": self._known("payments")}

    _refund = _release

    def _adjust(self) -> dict[str, Any]:
        count = self._one_of(5, 20, 21, 40, 0)
        return {
            "member": self._member(), "name": self.made, "count": count, "less": self._chance(0.5),
            "person": self._one_of("eve", "sam"),
        }  # fmt: skip

    def _agree(self) -> dict[str, Any]:
        return {"name": self._known("corrections"), "approve": self._chance(0.7), "person": self._one_of("eve", "sam")}

    def _unlock(self) -> dict[str, Any]:
        return {"member": self._member(), "number": None if self._chance(0.3) else self._known("bills")}

    def _claim(self) -> dict[str, Any]:
        return {"member": self._member(), "name": self.made}

    def _fulfil(self) -> dict[str, Any]:
        return {"name": self._known("pieces"), "status": self._one_of("processing", "completed", "denied", "cancelled")}

    def _merge(self) -> dict[str, Any]:
        return {"victim": self._member(), "survivor": self._member(), "chance": 0 if self._chance(0.6) else 9}

    def _join(self) -> dict[str, Any]:
        return {"member": "cat"}

    def _block(self) -> dict[str, Any]:
        return {"member": self._member(), "blocked": self._chance(0.25)}

    def _post_overdue(self) -> dict[str, Any]:
        return {"member": self._one_of("amy", "bob")}


LIVES = int(os.environ.get("GUERDON_LIVES") or 12)
"""How many histories; a thousand of them take ten minutes of processor time."""


@pytest.mark.timeout(60 + 20 * LIVES)
def test_over_long_histories_of_all_commands_both_see_the_same_points() -> None:
    accepted: Counter[str] = Counter()
    for number in range(LIVES):
        life = Life(SEED + number)
        try:
            life.go_on(200)
        except BaseException:
            print(f"seed {SEED + number}, step {life.made}")
            raise
        accepted += life.machine.accepted
    assert {*Life.OFTEN, "later"} - accepted.keys() <= {"later"}, accepted  # nothing is never done


QUICK = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def test_the_core_agrees_with_the_naive_model() -> None:
    run_state_machine_as_test(Machine, settings=QUICK)


@pytest.mark.torture
@pytest.mark.timeout(1800)
def test_the_core_agrees_with_the_naive_model_at_length() -> None:
    at_length = settings(QUICK, max_examples=1_500, stateful_step_count=80, print_blob=True)
    run_state_machine_as_test(seed(SEED)(Machine), settings=at_length)
