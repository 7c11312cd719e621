"""The core and the naive model are asked the same, and agree on every refusal, every figure and every end of points."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from guerdon.core import commands as c
from guerdon.core.decide import decide
from guerdon.core.outcomes import Rejected
from guerdon.core.programs import Expiry, Policies, RedemptionRate, Rule
from tests.core.world import World
from tests.model.auditor import audit
from tests.model.naive import Again, Naive, No
from tests.model.test_grouping import SEED

POLICIES = Policies(
    rules=(
        Rule(code="base", kind="per_amount", points=1, amount=100),
        Rule(code="more", kind="per_amount", points=1, amount=1000),
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


class Machine(RuleBasedStateMachine):
    """One program, three members (one of them rarely joins), bills, redemptions and transfers of few names."""

    @initialize(days=st.sampled_from((0, 5, 30)), write_off=st.booleans(), joined=st.booleans())
    def begin(self, days: int, write_off: bool, joined: bool) -> None:
        self.world = World().with_program(
            rules=POLICIES.rules,
            expiry=Expiry(kind="days", count=days) if days else Expiry(),
            on_shortfall="write_off" if write_off else "below_zero",
        )
        self.program = next(iter(self.world.state.config.programs.values()))
        self.naive = Naive(self.program.policies)
        self.ids: dict[str, str] = {}
        for member in ("amy", "bob", "cat")[: 3 if joined else 2]:
            self._ask("join", c.RegisterMember, {"identifiers": (("external_id", member),)}, member)

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

    @rule(member=members, count=counts)
    def give(self, member: str, count: int) -> None:
        fields = {"member": ("external_id", member), "points": count, "reason": "sorry"}
        self._ask("give", c.Award, fields, member, count)

    @rule(member=members, recipient=members, count=counts)
    def send(self, member: str, recipient: str, count: int) -> None:
        fields = {"member": ("external_id", member), "recipient": ("external_id", recipient), "points": count}
        self._ask("send", c.TransferPoints, fields, member, recipient, count)

    @rule(member=members, name=small, count=counts)
    def redeem(self, member: str, name: int, count: int) -> None:
        fields = {"member": ("external_id", member), "points": count}
        self._ask("redeem", c.Redeem, fields, member, f"X-{name}", count, name=f"X-{name}")

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

    def _account(self, side: str) -> str:
        if side.startswith("@"):
            return side
        return self.world.state.accounts[self.world.account(("external_id", side))].id

    @rule(name=small, source=sides, destination=sides, count=counts, held=st.booleans())
    def pay(self, name: int, source: str, destination: str, count: int, held: bool) -> None:
        if source == destination:
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
            audit(lambda table: getattr(self.world.state, table))

    @invariant()
    def both_see_the_same(self) -> None:
        if not hasattr(self, "naive"):
            return
        state = self.world.state
        for member, purse in self.naive.purses.items():
            no = self.world.account(("external_id", member))
            figures = state.figures_of(no)
            assert figures.balance == purse.balance, member
            assert figures.inflight_debit == len(purse.of("held")), member
            assert max(0, -figures.available) == purse.owed, member
            by_end: Counter[Any] = Counter()
            for lot in state.lots_of(no):
                by_end[lot.expires_at] += lot.remaining
            assert +by_end == Counter(point.ends for point in purse.of("free", "held")), member
        for role, name in (("pool", "@PointsPool"), ("expired", "@PointsExpired"), ("returned", "@PointsReturned"),
                           ("reversed", "@PointsReversed")):  # fmt: skip
            figures = self.world.internal(name)
            assert (figures.debit, figures.credit) == (self.naive.debit[role], self.naive.credit[role]), role


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
