"""An organisation in memory: the whole core without a database. Everything is loaded, because nothing is stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from guerdon.core import commands as c
from guerdon.core.accounts import GENERAL_LEDGER, Ledger
from guerdon.core.decide import decide
from guerdon.core.outcomes import Accepted, Outcome, Rejected
from guerdon.core.programs import Config, Expiry, Policies, RedemptionRate, Rule
from guerdon.core.state import Again, Key, State, Table

C = TypeVar("C", bound=c.Command)

START = datetime(2027, 1, 1, 12, tzinfo=UTC)


class _Everything(set[Key]):
    """The set of keys that were looked up, when there is nothing to look up."""

    def __contains__(self, key: object) -> bool:
        return True


class _Lifetimes(Table[int, int]):
    """Lifetime points, counted again from all transfers whenever they are asked for."""

    name = "lifetimes"
    kept = False

    def __init__(self, state: State) -> None:
        super().__init__()
        self._state = state

    def __missing__(self, account_no: int) -> int:
        state = self._state
        merges = {event.seq for event in state.events.values() if event.name == "CustomerMerge"}
        applied = [t for t in state.transfers.values() if t.action in ("apply", "settle") and t.event_seq not in merges]
        credits = [t for t in applied if t.destination == account_no and state.accounts[t.source].role != "reversed"]
        takers = ("returned", "adjusted")
        debits = [t for t in applied if t.source == account_no and state.accounts[t.destination].role in takers]
        return sum(t.amount for t in credits) - sum(t.amount for t in debits) + self._of_merged(account_no)

    def _of_merged(self, account_no: int) -> int:
        state, account = self._state, self._state.accounts[account_no]
        merged = [no for no, member in state.members.items() if account.member_no == member.survivor_no > 0]
        return sum(self[state.member_accounts[no][account.program_no, account.category]] for no in merged)


def empty_state() -> State:
    state = State(Config(), {"ledger": GENERAL_LEDGER}, datetime(1970, 1, 1, tzinfo=UTC), bytes(32))
    state.asked = _Everything()
    state.links = True
    state.lifetimes = _Lifetimes(state)
    state.ledgers[GENERAL_LEDGER] = Ledger(no=1, id="general_ledger_id", name="General Ledger", opened_at=START)
    state.found["ledger", "general_ledger_id"] = GENERAL_LEDGER
    return state


def whole(command: c.Command, state: State) -> Outcome:
    """The answer to a command, asked for as often as it takes: parts of what came due may be posted before."""
    while True:
        try:
            return decide(command, state)
        except Again:
            continue


class World:
    """Drives the core the way a caller would: one command at a time, at a clock that the test moves."""

    def __init__(self) -> None:
        self.state = empty_state()
        self.now = START
        self._commands = 0

    def later(self, **delta: float) -> None:
        self.now += timedelta(**delta)

    def make(self, kind: type[C], **fields: Any) -> C:
        self._commands += 1
        fields.setdefault("id", f"01900000-0000-7000-8000-{self._commands:06x}000000")
        fields.setdefault("at", self.now)
        return kind(**fields)

    def run(self, command: c.Command) -> Outcome:
        return whole(command, self.state)

    def do(self, kind: type[c.Command], **fields: Any) -> Outcome:
        return self.run(self.make(kind, **fields))

    def ok(self, kind: type[c.Command], **fields: Any) -> Any:
        """The result of a command that must be accepted."""
        outcome = self.do(kind, **fields)
        assert isinstance(outcome, Accepted), outcome
        return outcome.result

    def no(self, kind: type[c.Command], **fields: Any) -> Rejected:
        """The refusal of a command that must be refused."""
        outcome = self.do(kind, **fields)
        assert isinstance(outcome, Rejected), outcome
        return outcome

    def rows(self, table: str) -> dict[Any, Any]:
        """A table as the auditor reads it; the versions of promotions lie among what was found."""
        if table == "promotion_versions":
            return {key[1:]: terms for key, terms in self.state.found.items() if key[0] == table.removesuffix("s")}
        rows: dict[Any, Any] = getattr(self.state, table)
        return rows

    # -- an organisation to work with

    def with_program(self, code: str = "main", **policies: Any) -> World:
        """USD and POINTS, and a program that gives 1 point per whole 1.00 and sells 10 points for 1.00."""
        self.ok(c.CreateAsset, code="USD", scale=2)
        self.ok(c.CreateAsset, code="POINTS", scale=0)
        values: dict[str, Any] = {
            "rules": (Rule(code="base", kind="per_amount", points=1, amount=100),),
            "redemption_rate": RedemptionRate(10, 100),
            "currency": "USD",
            **policies,
        }
        self.ok(c.CreateProgram, code=code, name=code, asset="POINTS", policies=Policies(**values))
        return self

    def member(self, name: str) -> tuple[str, str]:
        self.ok(c.RegisterMember, identifiers=(("external_id", name),))
        return ("external_id", name)

    def buy(self, number: str, amount: int, member: tuple[str, str] | None, **fields: Any) -> Any:
        return self.ok(c.RecordPurchase, **purchase(number, amount, member), **fields)

    def account(self, member: tuple[str, str], category: str = "regular") -> int:
        no = self.state.found["member", *member]
        program = min(self.state.config.programs)
        return self.state.member_accounts[no][program, category]

    def balance(self, member: tuple[str, str], category: str = "regular") -> int:
        return self.state.figures_of(self.account(member, category)).balance

    def internal(self, name: str, asset: str = "POINTS") -> Any:
        return self.state.figures_of(self.state.found["internal", name, asset])


def purchase(number: str, amount: int, member: tuple[str, str] | None) -> dict[str, Any]:
    return {
        "number": number,
        "currency": "USD",
        "member": member,
        "lines": (c.Line(sku="A", quantity=1000, amount=amount),),
    }


NEVER = Expiry()
THIRTY_DAYS = Expiry(kind="days", count=30)
