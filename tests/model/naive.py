"""What points do, told as slowly as possible: every single point is an object of its own that is free, held, spent,
returned or expired, and everything is found by walking through lists.

Written from the design, not from the code. It knows no lots, no figures, no batches and no keys, and shares nothing
with the core but dates.
"""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from guerdon.core.dates import end_of_day_after
from guerdon.core.programs import Expiry, Policies

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
    was earned on, and by which rule. One that waits has the state `promised`, with the moment it is released at, or
    `trigger_based`; `released` says that it waited once, in the purse into which it was earned.
    """

    credit: int
    came: datetime
    ends: datetime | None
    bill: tuple[str, str]
    state: str = "free"
    forgiven: bool = False
    releases: datetime | None = None
    released: bool = False


@dataclass
class Purse:
    """A member's points in a program, and how many they owe. `books` is the suffix of its internal accounts."""

    books: str = ""
    points: list[Point] = field(default_factory=list)
    owed: int = 0
    blocked: bool = False

    def of(self, *states: str) -> list[Point]:
        return [point for point in self.points if point.state in states]

    def free(self, at: datetime) -> list[Point]:
        """What may be spent, in the order in which it is: soonest end first, never last, older first."""
        found = [point for point in self.of("free") if point.ends is None or point.ends > at]
        return sorted(found, key=in_turn)

    def spendable(self, at: datetime) -> int:
        return len(self.free(at)) - self.owed

    @property
    def balance(self) -> int:
        return len(self.of("free", "held")) - self.owed


def in_turn(point: Point) -> tuple[bool, datetime, int]:
    """The order in which points are spent: soonest end first, those that never end last, older first."""
    return (point.ends is None, point.ends or point.came, point.credit)


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
    taken: list[tuple[Purse, Point]]
    given_back: int = 0


@dataclass
class Correction:
    """An adjustment that waits for a second person until a moment, or (None) does not any more."""

    member: str
    count: int
    person: str
    until: datetime | None


@dataclass
class Piece:
    """A claimed piece of the one reward."""

    member: str
    taken: list[tuple[Purse, Point]]
    status: str = "pending"


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


PRICE, STOCK, EACH = 8, 5, 2
"""What the one reward costs, how many pieces there are, and how many a member may claim."""


class Naive:
    """A club in one world of members, and a bistro beside it, whose points are only given and spent. Every method is
    one request; `No` says that nothing has happened.
    """

    def __init__(self, policies: Policies, bistro: Expiry) -> None:
        self.policies = policies
        self.expiries = {"": policies.expiry, ":bistro": bistro}
        self.purses: dict[str, Purse] = {}
        self.bistro: dict[str, Purse] = {}
        self.heirs: dict[str, str] = {}
        self.corrections: dict[str, Correction] = {}
        self.pieces: dict[str, Piece] = {}
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
        before = pickle.dumps(self.__dict__)  # a deep copy, but quicker
        try:
            return getattr(self, request)(*args)
        except (No, Again):
            self.__dict__.update(pickle.loads(before))
            raise

    # -- the ways points come and go

    def _real(self, member: str) -> str:
        """Who has what a member had: after merges, somebody else."""
        while member in self.heirs:
            member = self.heirs[member]
        return member

    def _purse(self, member: str, active: bool = True) -> Purse:
        member = self._real(member)
        if member not in self.purses:
            raise No("member_not_found")
        if active and self.purses[member].blocked:
            raise No("member_blocked")
        return self.purses[member]

    def _ends(self, purse: Purse) -> datetime | None:
        expiry = self.expiries[purse.books]
        return end_of_day_after(self.now, expiry.count, _UTC) if expiry.kind == "days" else None

    def _expire(self, purse: Purse) -> int:
        """Release what was promised until now, and end what ends."""
        due = [point for point in purse.of("promised") if point.releases is not None and point.releases <= self.now]
        self._release(purse, sorted(due, key=lambda point: (point.releases, point.credit)))
        overdue = [point for point in purse.of("free") if point.ends is not None and point.ends <= self.now]
        for point in overdue:
            point.state = "expired"
        self.credit["expired" + purse.books] += len(overdue)
        return len(overdue)

    def _release(self, purse: Purse, points: list[Point]) -> None:
        for point in points:
            if point.state == "trigger_based":
                point.ends = self._ends(purse)
            together = [other for other in purse.points if other.credit == point.credit]
            for each in together:
                each.released = True
            point.state = "free"
        self._repay(purse, points)

    def _come(
        self,
        purse: Purse,
        count: int,
        bill: tuple[str, str] = ("", ""),
        like: Point | None = None,
        state: str = "free",
    ) -> list[Point]:
        """New points, ending as the program says or, with `like`, as those do."""
        self._credits += 1
        came, ends, releases = self.now, self._ends(purse), None
        if state == "promised":
            releases = end_of_day_after(self.now, 2, _UTC)
        elif state == "trigger_based":
            ends = None  # as long after its release as nobody knows
        if like is not None:
            came, ends, releases, state = like.came, like.ends, like.releases, like.state
        new = [Point(self._credits, came, ends, bill, state, releases=releases) for _ in range(count)]
        purse.points += new
        self._repay(purse, new)
        return new

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

    def _give_back(self, owner: str, taken: list[tuple[Purse, Point]], *, raw: bool = False) -> None:
        """The last taken first. Where a point no longer counts as spent, or was a merged member's, a new one with its
        end stands in; one that was forgiven when its bill was taken back goes to the program, but in the raw ledger,
        which knows no bills.
        """
        for purse in (self.purses.get(owner), self.bistro.get(owner)):
            mine = [(home, point) for home, point in taken if purse is not None and home.books == purse.books]
            if purse is not None and mine:
                self._fill(purse, mine, raw)

    def _fill(self, purse: Purse, rest: list[tuple[Purse, Point]], raw: bool) -> None:
        touched: list[Point] = []
        while rest:
            home, first = rest[0]
            together = [point for _, point in rest if point.credit == first.credit]
            group, rest = rest[: len(together)], rest[len(together) :]
            spent = [point for point in home.points if point.credit == first.credit and point.state == "spent"]
            forgiven = [point for point in spent if point.forgiven]
            count = len(group)
            for point in forgiven[: 0 if raw else count]:
                point.state, point.forgiven = "returned", False
                self.credit["returned" + purse.books] += 1
                count -= 1
            back = [point for point in spent if point not in forgiven][:count] if home is purse else []
            for point in back:
                point.state = "free"
                touched.append(point)
            if count > len(back):
                self._credits += 1
                new = [Point(self._credits, first.came, first.ends, ("", "")) for _ in range(count - len(back))]
                purse.points += new
                touched += new
        self._repay(purse, touched)

    # -- requests

    def join(self, member: str) -> None:
        if member in self.purses or member in self.heirs:
            raise No("identifier_taken")
        self.purses[member], self.bistro[member] = Purse(), Purse(":bistro")

    def block(self, member: str, blocked: bool) -> None:
        self._purse(member, active=False).blocked = blocked

    def buy(self, member: str, number: str, lines: list[tuple[int, int]], spend: int) -> tuple[int, int, int]:
        """(cents paid, points spent, points earned). A line is (cents, thousandths of a piece)."""
        said, cents = (member, lines, spend), sum(cents for cents, _ in lines)
        if number in self.bills:
            if self.bills[number].said == said:
                raise Again
            raise No("number_taken")
        purse, member = self._purse(member), self._real(member)
        self._expire(purse)
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
        taken = [(purse, point) for point in self._go(purse, points)]
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
        waits = {"later": 3, "review": 2} if cents > money else {"later": 0, "review": 0}
        for rule, state in (("later", "promised"), ("review", "trigger_based")):
            if waits[rule]:
                self._come(purse, waits[rule], (number, rule), state=state)
                self.debit["pool"] += waits[rule]
        shares = divided(money, [cents for cents, _ in lines])
        nets = [cents - share for (cents, _), share in zip(lines, shares, strict=True)]
        parts = {"paid": nets, "shares": shares, "base": divided(earned, nets), "more": divided(extra, nets)}
        parts |= {rule: divided(count, nets) for rule, count in waits.items()}
        parts["spent"] = divided(points, shares)
        self.bills[number] = Bill(
            member, said, spending, [pieces if pieces > 0 else 1000 for _, pieces in lines], parts, [0] * len(lines)
        )
        return cents - money, points, earned + extra + sum(waits.values())

    def give(self, member: str, count: int, bistro: bool) -> None:
        if count <= 0:
            raise No("amount_not_positive")
        purse = self._purse(member)
        purse = self.bistro[self._real(member)] if bistro else purse
        self._expire(purse)
        self._come(purse, count)
        self.debit["pool" + purse.books] += count

    def send(self, member: str, recipient: str, count: int) -> None:
        if count <= 0:
            raise No("amount_not_positive")
        purse, other = self._purse(member), self._purse(recipient)
        if purse is other:
            raise No("same_member")
        self._expire(purse)
        self._expire(other)
        if count > purse.spendable(self.now):
            raise No("insufficient_points")
        points = purse.free(self.now)[:count]
        self._hand_over(points, other)
        for point in points:
            point.state = "spent"

    def _hand_over(self, points: list[Point], to: Purse, *, billed: bool = False) -> None:
        """Open for others what points are, those that came together as one credit."""
        rest = list(points)
        while rest:
            together = [point for point in rest if point.credit == rest[0].credit]
            self._come(to, len(together), rest[0].bill if billed else ("", ""), like=rest[0])
            rest = rest[len(together) :]

    def redeem(self, member: str, name: str, count: int, group: bool) -> None:
        if count <= 0:
            raise No("amount_not_positive")
        purses = [self._purse(member)]
        if group:
            purses.append(self.bistro[self._real(member)])
        for purse in purses:
            self._expire(purse)
        if count > sum(max(0, purse.spendable(self.now)) for purse in purses):
            raise No("insufficient_points")
        self.spendings[name] = Spending(self._real(member), self._take(purses, count))

    def _take(self, purses: list[Purse], count: int) -> list[tuple[Purse, Point]]:
        found = [(purse, point) for purse in purses for point in purse.free(self.now)]
        taken = sorted(found, key=lambda each: in_turn(each[1]))[:count]
        for purse, point in taken:
            point.state = "spent"
            self.credit["pool" + purse.books] += 1
        return taken

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
        owner = self._real(spending.member)
        purses = [
            p for p in (self.purses[owner], self.bistro[owner]) if p.books in {h.books for h, _ in spending.taken}
        ]
        for purse in purses:
            self._expire(purse)
        self._undo(owner, spending, count or left)
        return sum(self._expire(purse) for purse in purses)

    def _undo(self, owner: str, spending: Spending, count: int) -> None:
        backwards = spending.taken[::-1]
        back = backwards[spending.given_back : spending.given_back + count]
        self._give_back(owner, back)
        spending.given_back += count
        for purse, _ in back:
            self.debit["reversed" + purse.books] += 1

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
        owner = self._real(bill.member)
        purse = self.purses[owner]
        self._expire(purse)
        self._expire(self.bistro[owner])
        restored = 0
        if bill.spending:
            spending = self.spendings[bill.spending]
            restored = min(worth["spent"], len(spending.taken) - spending.given_back)
            self._undo(owner, spending, restored)
        returned, written_off = self._take_earned(purse, self._family(bill.member), number, worth)
        self._expire(purse)
        return worth["paid"] + worth["shares"], worth["paid"], returned, restored, written_off

    def _family(self, member: str) -> list[Purse]:
        """The purses in which a member's points may lie by now."""
        found = [self.purses[member]]
        while member in self.heirs:
            member = self.heirs[member]
            found.append(self.purses[member])
        return found

    def _take_earned(self, purse: Purse, family: list[Purse], number: str, worth: dict[str, int]) -> tuple[int, int]:
        returned = gone = 0
        held: list[Point] = []
        spent: list[Point] = []
        for rule in ("base", "more", "later", "review"):  # what is there first, then what is on hold, spent and expired
            own = [point for each in family for point in each.points if point.bill == (number, rule)]
            own.sort(key=lambda point: point.credit)
            there = [point for point in own if point.state in ("free", "promised", "trigger_based")]
            order = there + [p for state in ("held", "spent", "expired") for p in own if p.state == state]
            gone += worth[rule] - len(order[: worth[rule]])  # corrected away, or given for another bill
            for point in order[: worth[rule]]:
                if point.state == "held":
                    held.append(point)
                elif point.state == "spent":
                    spent.append(point)
                else:
                    returned += point.state != "expired"
                    point.state = "returned"
        for_held = self._go(purse, len(held), "returned")  # others stand in for what is on hold
        for_spent = self._go(purse, len(spent) + gone, "spent")  # the spending moves to others
        short = len(held) + len(spent) + gone - len(for_held) - len(for_spent)
        moved = min(len(spent), len(for_spent))
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
        source, destination = self._real(source), self._real(destination)
        for side in (source, destination):
            if side in self.purses:
                self._expire(self.purses[side])
        self._able(source, count)
        taken = self._go(self.purses[source], count, "held" if held else "spent") if source in self.purses else []
        if not held and destination in self.purses:
            self._come(self.purses[destination], count)
        if name in self.payments:
            self.payments[f"{name}, {len(self.payments)}"] = self.payments[name]
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
        if payment.destination in self.heirs:
            raise No("member_merged")
        if payment.destination in self.purses and self.purses[payment.destination].blocked:
            raise No("member_blocked")
        if payment.source in self.heirs:
            raise No("member_merged")
        for side in (payment.destination, payment.source):
            if side in self.purses:
                self._expire(self.purses[side])
        self._able(payment.destination, payment.amount)
        payment.refunded = True
        if payment.destination in self.purses:
            self._go(self.purses[payment.destination], payment.amount)
        if payment.source in self.purses:
            purse = self.purses[payment.source]
            self._fill(purse, [(purse, point) for point in payment.taken[::-1]], raw=True)

    def post_overdue(self, member: str) -> None:
        self._expire(self._purse(member, active=False))

    # -- staff, promises, merges, rewards

    def adjust(self, member: str, name: str, count: int, person: str) -> bool:
        """Whether it was booked, or else waits."""
        if not count:
            raise No("amount_out_of_range")
        self._purse(member)
        limit = self.policies.adjustment_limit
        waits = limit is not None and abs(count) > limit
        asked = Correction(self._real(member), count, person, self.now + timedelta(days=7) if waits else None)
        self.corrections[name] = asked
        if not waits:
            self._correct(asked)
        return not waits

    def _correct(self, asked: Correction) -> None:
        purse = self.purses[asked.member]
        self._expire(purse)
        if asked.count > 0:
            self._come(purse, asked.count)
            self.debit["adjusted"] += asked.count
        elif -asked.count > purse.spendable(self.now):
            raise No("insufficient_points")
        else:
            self._go(purse, -asked.count, "returned")
            self.credit["adjusted"] -= asked.count

    def agree(self, name: str, approve: bool, person: str) -> None:
        if name not in self.corrections:
            raise No("adjustment_not_found")
        asked = self.corrections[name]
        if asked.until is None:
            raise No("already_decided")
        if asked.until <= self.now:
            raise No("adjustment_expired")
        if asked.person == person:
            raise No("same_person")
        if approve:
            if asked.member in self.heirs:
                raise No("member_merged")
            self._purse(asked.member)
            self._correct(asked)
        asked.until = None

    def unlock(self, member: str, number: str) -> int:
        """How many points waited, of a bill or ("") in all."""
        purse = self._purse(member)
        if number and (number not in self.bills or self._real(self.bills[number].member) != self._real(member)):
            raise No("purchase_not_found")
        self._expire(purse)
        self._expire(self.bistro[self._real(member)])
        count = 0
        for state in ("promised", "trigger_based"):
            waiting = [point for point in purse.of(state) if not number or point.bill[0] == number]
            count += len(waiting)
            self._release(purse, sorted(waiting, key=lambda point: point.credit))
            self._expire(purse)
        if not count:
            earned = self.purses[self.bills[number].member].points if number else []
            if any(point.released and point.bill[0] == number for point in earned):
                raise No("already_unlocked")
            raise No("nothing_promised")
        return count

    def merge(self, victim: str, survivor: str) -> None:
        old, new = self._purse(victim), self._purse(survivor)
        victim, survivor = self._real(victim), self._real(survivor)
        if victim == survivor:
            raise No("same_member")
        if any(payment.left and victim in (payment.source, payment.destination) for payment in self.payments.values()):
            raise No("member_has_holds")
        pairs = ((old, new), (self.bistro[victim], self.bistro[survivor]))
        for pair in pairs:
            for purse in pair:
                self._expire(purse)
        for source, destination in pairs:
            if source.owed:
                destination.owed += source.owed - len(self._go(destination, source.owed))
                source.owed = 0
            for state in ("free", "promised", "trigger_based"):
                points = sorted(source.of(state), key=in_turn)
                self._hand_over(points, destination, billed=True)
                for point in points:
                    point.state = "returned"
        self.heirs[victim] = survivor

    def claim(self, member: str, name: str) -> None:
        purse = self._purse(member)
        self._expire(purse)
        out = [piece for piece in self.pieces.values() if piece.status not in ("denied", "cancelled")]
        if len(out) >= STOCK:
            raise No("out_of_stock")
        if len([piece for piece in out if self._real(piece.member) == self._real(member)]) >= EACH:
            raise No("limit_reached")
        if purse.spendable(self.now) < PRICE:
            raise No("insufficient_points")
        if name in self.pieces:  # the name is used again, but that piece is out all the same
            self.pieces[f"{name}, {len(self.pieces)}"] = self.pieces[name]
        self.pieces[name] = Piece(self._real(member), self._take([purse], PRICE))

    def fulfil(self, name: str, status: str) -> int:
        """How many of the points given back had ended meanwhile."""
        if name not in self.pieces:
            raise No("claim_not_found")
        piece = self.pieces[name]
        if piece.status in ("completed", "denied", "cancelled") or piece.status == status:
            raise No("fulfilment_not_forward")
        piece.status = status
        if status not in ("denied", "cancelled"):
            return 0
        owner = self._real(piece.member)
        self._expire(self.purses[owner])
        self._give_back(owner, piece.taken[::-1])
        self.debit["reversed"] += len(piece.taken)
        return self._expire(self.purses[owner])
