"""What points do, told as slowly as possible: every single point is an object of its own that is free, held, spent,
returned or expired, and everything is found by walking through lists.

Written from the design, not from the code. It knows no lots, no figures, no batches and no keys, and shares nothing
with the core but dates.
"""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

from guerdon.core.dates import end_of_day_after
from guerdon.core.programs import Policies

_UTC = ZoneInfo("UTC")


class No(Exception):
    """A refusal, by its code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Again(Exception):
    """The same was asked before: nothing happens, and the answer is that of the first time."""


@dataclass(eq=False)
class Point:
    """One point. `credit` numbers the credits, so that points that came together are known to have; `bill` is what it
    was earned on, and by which rule.
    """

    credit: int
    ends: datetime | None
    bill: tuple[str, str]
    state: str = "free"
    forgiven: bool = False


@dataclass
class Purse:
    """A member's points, and how many they owe."""

    points: list[Point] = field(default_factory=list)
    owed: int = 0
    blocked: bool = False

    def of(self, *states: str) -> list[Point]:
        return [point for point in self.points if point.state in states]

    def free(self, at: datetime) -> list[Point]:
        """What may be spent, in the order in which it is: soonest end first, never last, older first."""
        found = [point for point in self.of("free") if point.ends is None or point.ends > at]
        return sorted(found, key=lambda p: (p.ends is None, p.ends or at, p.credit))

    def spendable(self, at: datetime) -> int:
        return len(self.free(at)) - self.owed

    @property
    def balance(self) -> int:
        return len(self.of("free", "held")) - self.owed


@dataclass
class Bill:
    """`parts` has, for each figure of the bill, what of it each line stands for; `gone` what of each line came back."""

    member: str
    said: tuple[object, ...]
    spending: str
    bought: list[int]
    parts: dict[str, list[int]]
    gone: list[int]


def divided(total: int, weights: list[int]) -> list[int]:
    """Each line gets the whole part of what is due to it; who was cut short most gets one more, the first on a tie."""
    if not any(weights):
        return [total] + [0] * (len(weights) - 1)
    due = [Fraction(total * weight, sum(weights)) for weight in weights]
    parts = [int(each) for each in due]
    while sum(parts) < total:
        shortest = max(range(len(due)), key=lambda i: due[i] - parts[i])
        parts[shortest] += 1
    return parts


@dataclass
class Spending:
    """Points that were spent, in the order they were taken, and how many have been given back."""

    member: str
    taken: list[Point]
    given_back: int = 0


@dataclass
class Payment:
    """A raw transfer: what it took from whom, who got how many, and what became of it."""

    source: str
    destination: str
    amount: int
    taken: list[Point]
    held: bool = False
    left: int = 0
    released: bool = False
    refunded: bool = False


class Naive:
    """One program in one world of members. Every method is one request; `No` says that nothing has happened."""

    def __init__(self, policies: Policies) -> None:
        self.policies = policies
        self.purses: dict[str, Purse] = {}
        self.bills: dict[str, Bill] = {}
        self.returns: dict[str, tuple[object, ...]] = {}
        self.spendings: dict[str, Spending] = {}
        self.payments: dict[str, Payment] = {}
        self.debit: Counter[str] = Counter()
        self.credit: Counter[str] = Counter()
        self._credits = 0
        self.now = datetime(1970, 1, 1, tzinfo=_UTC)

    def ask(self, request: str, *args: object) -> object:
        """Make a request. A refused one leaves everything as it was."""
        before = copy.deepcopy(self.__dict__)
        try:
            return getattr(self, request)(*args)
        except (No, Again):
            self.__dict__.update(before)
            raise

    # -- the ways points come and go

    def _purse(self, member: str, active: bool = True) -> Purse:
        if member not in self.purses:
            raise No("member_not_found")
        if active and self.purses[member].blocked:
            raise No("member_blocked")
        return self.purses[member]

    def _expire(self, purse: Purse) -> int:
        overdue = [point for point in purse.of("free") if point.ends is not None and point.ends <= self.now]
        for point in overdue:
            point.state = "expired"
        self.credit["expired"] += len(overdue)
        return len(overdue)

    def _come(
        self,
        purse: Purse,
        count: int,
        bill: tuple[str, str] = ("", ""),
        ends: datetime | None = None,
        own_end: bool = False,
    ) -> None:
        self._credits += 1
        if not own_end and self.policies.expiry.kind == "days":
            ends = end_of_day_after(self.now, self.policies.expiry.count, _UTC)
        new = [Point(self._credits, ends, bill) for _ in range(count)]
        purse.points += new
        self._repay(purse, new)

    def _repay(self, purse: Purse, points: list[Point]) -> None:
        for point in points:
            if purse.owed and point.state == "free":
                point.state = "spent"
                purse.owed -= 1

    def _go(self, purse: Purse, count: int, state: str = "spent") -> list[Point]:
        taken = purse.free(self.now)[:count]
        for point in taken:
            point.state = state
        return taken

    def _give_back(self, purse: Purse, taken: list[Point], *, raw: bool = False) -> None:
        """The last taken first. Where a point no longer counts as spent, a new one with its end stands in; one that was
        forgiven when its bill was taken back goes to the program, but in the raw ledger, which knows no bills.
        """
        touched: list[Point] = []
        rest = list(taken)
        while rest:
            credit = rest[0].credit
            together = 0
            while together < len(rest) and rest[together].credit == credit:
                together += 1
            group, rest = rest[:together], rest[together:]
            spent = [point for point in purse.points if point.credit == credit and point.state == "spent"]
            forgiven = [point for point in spent if point.forgiven]
            for point in forgiven[: 0 if raw else len(group)]:
                point.state, point.forgiven = "returned", False
                self.credit["returned"] += 1
                group = group[1:]
            spent = [point for point in spent if point not in forgiven]
            for point in spent[: len(group)]:
                point.state = "free"
                touched.append(point)
            missing = len(group) - len(spent)
            if missing > 0:
                self._credits += 1
                new = [Point(self._credits, group[0].ends, ("", "")) for _ in range(missing)]
                purse.points += new
                touched += new
        self._repay(purse, touched)

    # -- requests

    def join(self, member: str) -> None:
        if member in self.purses:
            raise No("identifier_taken")
        self.purses[member] = Purse()

    def block(self, member: str, blocked: bool) -> None:
        self._purse(member, active=False).blocked = blocked

    def buy(self, member: str, number: str, lines: list[tuple[int, int]], spend: int) -> tuple[int, int, int]:
        """(cents paid, points spent, points earned). A line is (cents, thousandths of a piece)."""
        said, cents = (member, lines, spend), sum(cents for cents, _ in lines)
        if number in self.bills:
            if self.bills[number].said == said:
                raise Again
            raise No("number_taken")
        purse = self._purse(member)
        money = points = 0
        if spend:
            if spend < 0:
                raise No("amount_not_positive")
            while money < cents and (money + 1) * 10 <= spend * 100:  # 10 points buy 1.00
                money += 1
            while points * 100 < money * 10:
                points += 1
            if spend > purse.spendable(self.now):
                raise No("insufficient_points")
        self._expire(purse)
        taken = self._go(purse, points)
        self.credit["pool"] += points
        spending = f"spent on {number}" if points else ""
        if points:
            self.spendings[spending] = Spending(member, taken)
        earned = (cents - money) // 100
        if earned:
            self._come(purse, earned, (number, "base"))
            self.debit["pool"] += earned
        extra = (cents - money) // 1000
        if extra:
            self._come(purse, extra, (number, "more"))
            self.debit["pool"] += extra
        shares = divided(money, [cents for cents, _ in lines])
        nets = [cents - share for (cents, _), share in zip(lines, shares, strict=True)]
        parts = {"paid": nets, "shares": shares, "base": divided(earned, nets), "more": divided(extra, nets)}
        parts["spent"] = divided(points, shares)
        self.bills[number] = Bill(
            member, said, spending, [pieces if pieces > 0 else 1000 for _, pieces in lines], parts, [0] * len(lines)
        )
        return cents - money, points, earned + extra

    def give(self, member: str, count: int) -> None:
        if count <= 0:
            raise No("amount_not_positive")
        purse = self._purse(member)
        self._expire(purse)
        self._come(purse, count)
        self.debit["pool"] += count

    def send(self, member: str, recipient: str, count: int) -> None:
        if count <= 0:
            raise No("amount_not_positive")
        purse, other = self._purse(member), self._purse(recipient)
        if purse is other:
            raise No("same_member")
        if count > purse.spendable(self.now):
            raise No("insufficient_points")
        self._expire(purse)
        self._expire(other)
        rest = self._go(purse, count)
        while rest:
            together = [point for point in rest if point.credit == rest[0].credit]
            self._come(other, len(together), ends=rest[0].ends, own_end=True)
            rest = rest[len(together) :]

    def redeem(self, member: str, name: str, count: int) -> None:
        if count <= 0:
            raise No("amount_not_positive")
        purse = self._purse(member)
        if count > purse.spendable(self.now):
            raise No("insufficient_points")
        self._expire(purse)
        self.spendings[name] = Spending(member, self._go(purse, count))
        self.credit["pool"] += count

    def reverse(self, name: str, count: int | None) -> int:
        """How many of the points given back had ended meanwhile."""
        if name not in self.spendings:
            raise No("redemption_not_found")
        spending = self.spendings[name]
        left = len(spending.taken) - spending.given_back
        if count is not None and count <= 0:
            raise No("amount_not_positive")
        if not left:
            raise No("already_reversed")
        if (count or left) > left:
            raise No("reversal_exceeds_redemption")
        purse = self._purse(spending.member, active=False)
        self._expire(purse)
        self._undo(purse, spending, count or left)
        return self._expire(purse)

    def _undo(self, purse: Purse, spending: Spending, count: int) -> None:
        backwards = spending.taken[::-1]
        self._give_back(purse, backwards[spending.given_back : spending.given_back + count])
        spending.given_back += count
        self.debit["reversed"] += count

    def take_back(self, number: str, name: str, asked: list[tuple[int, int]] | None) -> tuple[int, ...]:
        """(cents the goods had cost, of these paid in money, points returned to the program, restored to the member,
        written off). `asked` are (number of a line, thousandths), None is all that is left.
        """
        if name in self.returns:
            if self.returns[name] == (number, asked):
                raise Again
            raise No("number_taken")
        if asked == []:
            raise No("return_without_lines")
        if number not in self.bills:
            raise No("purchase_not_found")
        bill = self.bills[number]
        if bill.gone == bill.bought:
            raise No("already_returned")
        before = list(bill.gone)
        for line, pieces in asked or ():
            if pieces <= 0:
                raise No("quantity_not_positive")
            if line > len(before):
                raise No("line_not_found")
            bill.gone[line - 1] += pieces
            if bill.gone[line - 1] > bill.bought[line - 1]:
                raise No("already_returned" if before[line - 1] == bill.bought[line - 1] else "return_exceeds_purchase")
        if asked is None:
            bill.gone = list(bill.bought)
        self.returns[name] = (number, asked)
        worth = {
            figure: sum(
                int(Fraction(part * now, whole)) - int(Fraction(part * was, whole))
                for part, was, now, whole in zip(parts, before, bill.gone, bill.bought, strict=True)
            )
            for figure, parts in bill.parts.items()
        }
        purse = self._purse(bill.member, active=False)
        self._expire(purse)
        restored = 0
        if bill.spending:
            spending = self.spendings[bill.spending]
            restored = min(worth["spent"], len(spending.taken) - spending.given_back)
            self._undo(purse, spending, restored)
        returned, written_off = self._take_earned(purse, number, worth)
        self._expire(purse)
        return worth["paid"] + worth["shares"], worth["paid"], returned, restored, written_off

    def _take_earned(self, purse: Purse, number: str, worth: dict[str, int]) -> tuple[int, int]:
        returned = 0
        held: list[Point] = []
        spent: list[Point] = []
        for rule in ("base", "more"):  # what is there first, then what is on hold, spent and expired
            own = [point for point in purse.points if point.bill == (number, rule)]
            order = [point for state in ("free", "held", "spent", "expired") for point in own if point.state == state]
            for point in order[: worth[rule]]:
                if point.state == "held":
                    held.append(point)
                elif point.state == "spent":
                    spent.append(point)
                else:
                    returned += point.state == "free"
                    point.state = "returned"
        for_held = self._go(purse, len(held), "returned")  # others stand in for what is on hold
        for_spent = self._go(purse, len(spent), "spent")  # the spending moves to others
        short = len(held) + len(spent) - len(for_held) - len(for_spent)
        moved = len(for_spent)
        returned += len(for_held) + len(for_spent)
        if self.policies.on_shortfall == "below_zero":
            purse.owed += short
            returned += short
            moved, short = len(spent), 0
        for point in spent[:moved]:
            point.state = "returned"
        for point in spent[moved:]:
            point.forgiven = True
        self.credit["returned"] += returned
        return returned, short

    # -- the raw ledger: whoever is no member is an account that may owe

    def _able(self, name: str, count: int) -> None:
        purse = self.purses.get(name)
        if purse is not None:
            if purse.blocked:
                raise No("member_blocked")
            if count > purse.spendable(self.now):
                raise No("insufficient_funds")

    def pay(self, name: str, source: str, destination: str, count: int, held: bool) -> None:
        if count <= 0:
            raise No("amount_not_positive")
        self._able(source, count)
        for side in (source, destination):
            if side in self.purses:
                self._expire(self.purses[side])
        taken = self._go(self.purses[source], count, "held" if held else "spent") if source in self.purses else []
        if not held and destination in self.purses:
            self._come(self.purses[destination], count)
        self.payments[name] = Payment(source, destination, count, taken, held, count if held else 0)

    def _open(self, name: str) -> Payment:
        payment = self.payments.get(name)
        if payment is None:
            raise No("transfer_not_found")
        if not payment.held:
            raise No("not_inflight")
        if not payment.left:
            raise No("already_released" if payment.released else "already_settled")
        return payment

    def settle(self, name: str, count: int | None) -> None:
        payment = self._open(name)
        if count is not None and count <= 0:
            raise No("amount_not_positive")
        if (count or payment.left) > payment.left:
            raise No("settle_exceeds_hold")
        count = count or payment.left
        payment.left -= count
        for point in [point for point in payment.taken if point.state == "held"][:count]:
            point.state = "spent"
        if payment.destination in self.purses:
            self._come(self.purses[payment.destination], count)
        self._after(payment)

    def release(self, name: str) -> None:
        payment = self._open(name)
        payment.left, payment.released = 0, True
        freed = [point for point in payment.taken if point.state == "held"]
        for point in freed:
            point.state = "free"
        if payment.source in self.purses:
            self._repay(self.purses[payment.source], freed)
        self._after(payment)

    def _after(self, payment: Payment) -> None:
        for side in (payment.source, payment.destination):
            if side in self.purses:
                self._expire(self.purses[side])

    def refund(self, name: str) -> None:
        payment = self.payments.get(name)
        if payment is None:
            raise No("transfer_not_found")
        if payment.refunded:
            raise No("already_refunded")
        self._able(payment.destination, payment.amount)
        for side in (payment.destination, payment.source):
            if side in self.purses:
                self._expire(self.purses[side])
        payment.refunded = True
        if payment.destination in self.purses:
            self._go(self.purses[payment.destination], payment.amount)
        if payment.source in self.purses:
            self._give_back(self.purses[payment.source], payment.taken[::-1], raw=True)

    def post_overdue(self, member: str) -> None:
        self._expire(self._purse(member, active=False))
