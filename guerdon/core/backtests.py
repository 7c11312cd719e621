"""Backtests: what a promotion or a program's other earning rules would have come to on purchases of the past.

Every purchase is reckoned twice by the checkout's own evaluator: once as promotions and rules are now, and once with
what is tried. Each side keeps counters of its own, so limits and budgets run down as they would have. Nothing is
written, and purchases stay what they were: that people buy otherwise when there is a promotion is not foreseen.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from guerdon.core import caps
from guerdon.core.audiences import NOBODY, Audience, asked
from guerdon.core.carts import cart_of, earned_by, settled
from guerdon.core.commands import Line, Tender
from guerdon.core.earning import Occasion, earnings
from guerdon.core.pasts import cart_lines
from guerdon.core.programs import Config, Program, Rule
from guerdon.core.promotions.carts import Cart, Issue, Presented, Shopper
from guerdon.core.promotions.effects import WHOLE
from guerdon.core.promotions.evaluating import Candidates
from guerdon.core.promotions.limits import CounterKey, Raise, Subjects, as_limit, counter_key
from guerdon.core.promotions.offers import Catalogue
from guerdon.core.promotions.past import Bought, Fact
from guerdon.core.promotions.past import Past as History
from guerdon.core.promotions.shelf import Shelf
from guerdon.core.promotions.terms import Promotion
from guerdon.core.promotions.verdicts import Evaluation, Verdict
from guerdon.core.tallies import Tally

WINNERS = 20
"""So many customers are named, of those who gain most and of those who lose most."""

OUT_OF_REACH = "out_of_reach"
"""The reason of purchases that have nothing of what the promotion cannot do without."""


class Trial(Struct, frozen=True, kw_only=True):
    """What is tried, on which purchases: those of one program (and of guests) in one currency, from `since` up to but
    not at `until`.

    A `promotion` is taken as running all the time, whatever its dates and state; one that is live already is replaced.
    Of a promotion with codes or issues, `take_up_ppm` of the customers have one each, or (`shared_code`) know the same
    word. `rules` replace the program's. With `live`, the promotions that run now take part, also as running all the
    time; their codes and issues are nobody's.
    """

    since: datetime
    until: datetime
    currency: str
    program_no: int
    promotion: Promotion | None = None
    rules: tuple[Rule, ...] | None = None
    live: bool = True
    take_up_ppm: int = WHOLE
    shared_code: bool = False


class Past(Struct, frozen=True, kw_only=True):
    """A purchase as it was booked. `member` is an id, that of the survivor where it was merged, "" for a guest;
    `joined_at` is when that member joined, and `audience` who the buyer was before it.
    """

    no: int
    number: str
    at: datetime
    member: str
    lines: tuple[Line, ...]
    store: str = ""
    channel: str = ""
    tenders: tuple[Tender, ...] = ()
    paid: int = 0
    joined_at: datetime | None = None
    audience: Audience = NOBODY


class Told(Struct, frozen=True, kw_only=True):
    """What became of one purchase: of the promotion tried (`status`, `reason`, what it gave), and by how much all that
    the customer gets has changed. Minor units.
    """

    status: Literal["", "applied", "parked", "not_applied"] = ""
    reason: str = ""
    uses: int = 0
    discount: int = 0
    voucher: int = 0
    points: int = 0
    change_discount: int = 0
    change_voucher: int = 0
    change_points: int = 0

    @property
    def changed(self) -> bool:
        return bool(self.change_discount or self.change_voucher or self.change_points)

    @property
    def touched(self) -> bool:
        return self.changed or self.status == "applied"


class Sums(Struct, frozen=True, kw_only=True):
    """Figures of some purchases, in minor units. `points_money` is what the points would buy at the program's rate, 0
    where it has none; `cost` is that with discount and vouchers.
    """

    purchases: int
    customers: int
    uses: int
    turnover: int
    discount: int
    voucher: int
    points: int
    points_money: int
    cost: int


class Day(Struct, frozen=True, kw_only=True):
    """A day of the organisation's calendar, and what was left of the budget after it (None without one)."""

    day: str
    purchases: int
    discount: int
    voucher: int
    points: int
    budget_left: int | None


class BudgetRun(Struct, frozen=True, kw_only=True):
    """How the budget ran down; `used_up_at` is the first purchase that got less, or nothing, for want of it."""

    code: str
    kpi: str
    limit: int
    used: int
    used_up_at: datetime | None


class Overlap(Struct, frozen=True, kw_only=True):
    """How it goes with a live promotion, in purchases: both apply, it keeps the other one out (which would have given
    `lost` in minor units), or the other one wins over it.
    """

    promotion: str
    name: str
    together: int
    displaced: int
    displaced_discount: int
    lost_to: int


class Customer(Struct, frozen=True, kw_only=True):
    """By how much a customer is better or worse off; `money` has discounts, vouchers and what the points would buy."""

    member: str
    purchases: int
    discount: int
    voucher: int
    points: int
    money: int


class Report(Struct, frozen=True, kw_only=True):
    """What a backtest found. `seen` are all purchases looked at, `gives` what the promotion tried gives by itself
    (with other rules, the same as `change`), `change` what customers get more or less in all, `before` and `after` what
    all promotions and rules give without and with it. `refused` counts purchases by reason.
    """

    seen: Sums
    gives: Sums
    change: Sums
    before: Sums
    after: Sums
    refused: dict[str, int]
    days: tuple[Day, ...]
    budget: BudgetRun | None
    overlaps: tuple[Overlap, ...]
    better_off: int
    worse_off: int
    winners: tuple[Customer, ...]
    losers: tuple[Customer, ...]


class _Sum:
    """Figures while they grow."""

    __slots__ = ("customers", "discount", "points", "purchases", "turnover", "uses", "voucher")

    def __init__(self) -> None:
        self.purchases = self.uses = self.turnover = self.discount = self.voucher = self.points = 0
        self.customers: set[str] = set()

    def add(self, past: Past, turnover: int, discount: int, voucher: int, points: int, uses: int = 0) -> None:
        self.purchases += 1
        self.uses += uses
        self.turnover += turnover
        self.discount += discount
        self.voucher += voucher
        self.points += points
        if past.member:
            self.customers.add(past.member)


class _Bought(Struct):
    """What a purchase gets on one side."""

    discount: int
    voucher: int
    points: int
    evaluation: Evaluation | None


class _Side:
    """Promotions and rules as they would have been, with counters of their own."""

    def __init__(self, promotions: list[Promotion], shelf: Shelf, program: Program, zone: ZoneInfo) -> None:
        self.catalogue = Catalogue(promotions, shelf.lanes.values())
        self.counters: dict[CounterKey, Tally] = {}
        self._idle = not promotions
        self._program = program
        self._zone = zone

    def buy(self, past: Past, cart: Cart, shopper: Shopper | None, presented: tuple[Presented, ...]) -> _Bought:
        program = self._program if shopper is not None else None
        nets = [line.amount for line in past.lines]
        occasion = self._occasion(program, past) if program is not None else None
        if self._idle:
            return _Bought(0, 0, self._earned(program, past, nets, occasion), None)
        found = Candidates(cart, self.catalogue, shopper, presented)
        keys = found.counters(past.at, self._zone)
        usage = {key: self.counters.get(key, _ZERO).at(past.at) for key in keys}

        def answer(points: tuple[int, ...]) -> Evaluation:
            return found.evaluate(now=past.at, usage=usage, points=points, zone=self._zone)

        evaluation = settled(answer, found.multiply, program, past.lines, occasion)
        self._raise(evaluation.raises, past)
        if any(evaluation.discounts):
            nets = [net - off for net, off in zip(nets, evaluation.discounts, strict=True)]
        points = self._earned(program, past, nets, occasion)
        if program is not None:
            points += sum(each.points for each in earned_by(evaluation, nets))
        return _Bought(evaluation.discount, evaluation.vouchers, points, evaluation)

    def _occasion(self, program: Program, past: Past) -> Occasion:
        keys = caps.counters(program, past.member, past.at)
        left = caps.still_left(program, [self.counters.get(key, _ZERO).at(past.at).used for key in keys])
        return Occasion(
            at=past.at,
            store=past.store,
            source=past.channel,
            tier=past.audience.tier,
            segments=tuple(sorted(past.audience.segments)),
            left=left,
        )

    def _earned(self, program: Program | None, past: Past, nets: list[int], occasion: Occasion | None) -> int:
        """What the rules give, counted towards their caps."""
        if program is None or occasion is None:
            return 0
        earned = earnings(program, past.lines, nets, occasion)
        for raised in caps.raises(program, past.member, past.at, earned).values():
            self._raise(raised, past)
        return sum(each.points for each in earned)

    def _raise(self, raises: Iterable[Raise], past: Past) -> None:
        for each in raises:
            old = self.counters.get(each.key, _ZERO)
            self.counters[each.key] = old.raised(each, past.at, past.no, past.at)


_ZERO = Tally()


class Backtest:
    """A backtest under way: `take` purchases in the order in which they happened, then `report`. Where it `asks` about
    members' past, it is told to `remember` the purchases from before; where it is `about` tiers or segments, purchases
    bring them along.
    """

    def __init__(self, trial: Trial, config: Config, now: datetime) -> None:
        self._trial = trial
        self._zone = ZoneInfo(config.timezone)
        self._program = program = config.programs[trial.program_no]
        shelf = config.promotions or Shelf()
        live = [_running(each) for each in shelf.by_id.values() if trial.live and _is_live(each, now)]
        tried = [] if trial.promotion is None else [_running(trial.promotion)]
        others = [each for each in live if all(each.id != one.id for one in tried)]
        self._names = {each.id: each.name for each in live}
        self._without = _Side(live, shelf, program, self._zone)
        if trial.rules is not None:
            policies = msgspec.structs.replace(program.policies, rules=trial.rules)
            program = msgspec.structs.replace(program, policies=policies)
        self._with = _Side(others + tried, shelf, program, self._zone)
        self._tried = tried[0] if tried else None
        self.about = asked([*live, *tried], (*self._program.policies.rules, *program.policies.rules))
        self._sums: dict[str, _Sum] = {name: _Sum() for name in ("seen", "gives", "change", "before", "after")}
        self._refused: Counter[str] = Counter()
        self._days: dict[str, list[int | None]] = {}
        self._used_up_at: datetime | None = None
        self._overlaps: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        self.asks = self._without.catalogue.asks | self._with.catalogue.asks
        self._past: dict[str, tuple[list[Fact], list[Bought]]] = defaultdict(lambda: ([], []))
        self._customers: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])

    def take(self, past: Past) -> Told:
        """Reckon one purchase, none of which happened before those taken already."""
        shopper, presented = self._who(past)
        trial = self._trial
        cart = cart_of(trial.currency, past.lines, tenders=past.tenders, store=past.store, channel=past.channel)
        before = self._without.buy(past, cart, shopper, presented)
        after = self._with.buy(past, cart, shopper, presented)
        verdict = self._verdict(after.evaluation)
        told = _told(verdict, before, after, self._tried is not None)
        self._count(past, told, before, after, verdict)
        self.remember(past)
        return told

    def remember(self, past: Past) -> None:
        """Let conditions over a member's past know of a purchase; those taken are known already."""
        if self.asks and past.member:
            facts, bought = self._past[past.member]
            facts.append(Fact(past.at, past.paid, self._trial.currency))
            if "past_lines" in self.asks:
                bought.append(Bought(past.at, cart_lines(past.lines)))

    def _who(self, past: Past) -> tuple[Shopper | None, tuple[Presented, ...]]:
        """The shopper, and the code or issue it has of the promotion tried."""
        tried = self._tried
        shopper = None
        if past.member:
            known = None
            if self.asks:
                known = History(past.joined_at or past.at, *self._past[past.member])
            told = past.audience
            shopper = Shopper(id=past.member, past=known, tier=told.tier, segments=told.segments)
        if tried is None or tried.kind not in ("code", "member"):
            return shopper, ()
        who = past.member or past.number
        lot = int.from_bytes(sha256(f"{tried.id}:{who}".encode()).digest()[:8]) % WHOLE
        if lot >= self._trial.take_up_ppm:
            return shopper, ()
        if tried.kind == "code":
            return shopper, (Presented(code="SHARED" if self._trial.shared_code else who, promotion=tried.id),)
        issues = (Issue(promotion=tried.id, id=who),)
        return (None if shopper is None else msgspec.structs.replace(shopper, issues=issues)), ()

    def _verdict(self, evaluation: Evaluation | None) -> Verdict | None:
        if self._tried is None or evaluation is None:
            return None
        told = (*evaluation.applied, *evaluation.others)
        return next((each for each in told if each.promotion == self._tried.id), None)

    def _count(self, past: Past, told: Told, before: _Bought, after: _Bought, verdict: Verdict | None) -> None:
        turnover = sum(line.amount for line in past.lines)
        sums = self._sums
        sums["seen"].add(past, turnover, 0, 0, 0)
        for name, bought in (("before", before), ("after", after)):
            if bought.discount or bought.voucher or bought.points:
                sums[name].add(past, turnover, bought.discount, bought.voucher, bought.points)
        changes = told.change_discount, told.change_voucher, told.change_points
        if told.changed:
            sums["change"].add(past, turnover, *changes, uses=told.uses)
        if told.status == "applied":
            sums["gives"].add(past, turnover, told.discount, told.voucher, told.points, told.uses)
        elif told.status:
            self._refused[told.reason] += 1
        if told.touched and past.member:
            for i, figure in enumerate((1, *changes)):
                self._customers[past.member][i] += figure
        self._overlap(before, after, verdict)
        self._burn(past, told, verdict)

    def _overlap(self, before: _Bought, after: _Bought, verdict: Verdict | None) -> None:
        if verdict is None or after.evaluation is None:
            return
        if verdict.status == "parked" and verdict.winner != verdict.promotion:
            self._overlaps[verdict.winner][3] += 1
        if verdict.status != "applied":
            return
        stay = {each.promotion for each in after.evaluation.applied} - {verdict.promotion}
        for each in stay:
            self._overlaps[each][0] += 1
        for gone in before.evaluation.applied if before.evaluation is not None else ():
            if gone.promotion not in stay and gone.promotion != verdict.promotion:
                self._overlaps[gone.promotion][1] += 1
                self._overlaps[gone.promotion][2] += gone.discount + gone.voucher

    def _burn(self, past: Past, told: Told, verdict: Verdict | None) -> None:
        """The day's figures, and the budget's."""
        day = self._days.setdefault(f"{past.at.astimezone(self._zone):%Y-%m-%d}", [0, 0, 0, 0, None])
        figures = (told.discount, told.voucher, told.points)
        if self._tried is None:
            figures = told.change_discount, told.change_voucher, told.change_points
        if told.status == "applied" or (self._tried is None and told.changed):
            for i, figure in enumerate((1, *figures)):
                day[i] = (day[i] or 0) + figure
        budget = None if self._tried is None else self._tried.budget
        if budget is not None:
            left = day[4] = budget.limit - self._spent()
            short = verdict is not None and verdict.limit is not None and verdict.limit.code == as_limit(budget).code
            if self._used_up_at is None and (short or left <= 0):
                self._used_up_at = past.at

    def _spent(self) -> int:
        assert self._tried is not None, "a budget is a promotion's"
        assert self._tried.budget is not None, "only asked where there is one"
        key = counter_key(self._tried.id, as_limit(self._tried.budget), Subjects("", "", ""), "")
        return self._with.counters.get(key, _ZERO).used

    # -- what came of it

    def report(self) -> Report:
        """Everything so far."""
        sums = {name: self._summed(found) for name, found in self._sums.items()}
        if self._tried is None:
            sums["gives"] = sums["change"]
        customers = [
            Customer(
                member=member,
                purchases=purchases,
                discount=discount,
                voucher=voucher,
                points=points,
                money=discount + voucher + self._money(points),
            )
            for member, (purchases, discount, voucher, points) in self._customers.items()
        ]
        customers.sort(key=lambda each: (-each.money, -each.points, each.member))
        better = [each for each in customers if (each.money, each.points) > (0, 0)]
        worse = [each for each in customers if (each.money, each.points) < (0, 0)]
        return Report(
            **sums,
            refused=dict(sorted(self._refused.items(), key=lambda each: (-each[1], each[0]))),
            days=tuple(
                Day(day=day, purchases=n or 0, discount=d or 0, voucher=v or 0, points=p or 0, budget_left=left)
                for day, (n, d, v, p, left) in sorted(self._days.items())
            ),
            budget=self._budget(),
            overlaps=tuple(
                Overlap(
                    promotion=id,
                    name=self._names.get(id, ""),
                    together=together,
                    displaced=displaced,
                    displaced_discount=discount,
                    lost_to=lost,
                )
                for id, (together, displaced, discount, lost) in sorted(
                    self._overlaps.items(), key=lambda each: (-sum(each[1]), each[0])
                )
            ),
            better_off=len(better),
            worse_off=len(worse),
            winners=tuple(better[:WINNERS]),
            losers=tuple(worse[: -WINNERS - 1 : -1]),
        )

    def _budget(self) -> BudgetRun | None:
        budget = None if self._tried is None else self._tried.budget
        if budget is None:
            return None
        return BudgetRun(
            code=budget.code, kpi=budget.kpi, limit=budget.limit, used=self._spent(), used_up_at=self._used_up_at
        )

    def _summed(self, found: _Sum) -> Sums:
        money = self._money(found.points)
        return Sums(
            purchases=found.purchases,
            customers=len(found.customers),
            uses=found.uses,
            turnover=found.turnover,
            discount=found.discount,
            voucher=found.voucher,
            points=found.points,
            points_money=money,
            cost=found.discount + found.voucher + money,
        )

    def _money(self, points: int) -> int:
        """What points would buy if all of them were redeemed, rounded toward zero."""
        rate = self._program.policies.redemption_rate
        if rate is None:
            return 0
        money = abs(points) * rate.money // rate.points
        return money if points >= 0 else -money


def _told(verdict: Verdict | None, before: _Bought, after: _Bought, tried: bool) -> Told:
    told = Told()
    if verdict is None and tried:
        told = Told(status="not_applied", reason=OUT_OF_REACH)
    elif verdict is not None and verdict.status != "applied":
        told = Told(status=verdict.status, reason=verdict.reason or "")
    elif verdict is not None:
        told = Told(
            status="applied",
            uses=verdict.times,
            discount=verdict.discount,
            voucher=verdict.voucher,
            points=verdict.points,
        )
    return msgspec.structs.replace(
        told,
        change_discount=after.discount - before.discount,
        change_voucher=after.voucher - before.voucher,
        change_points=after.points - before.points,
    )


def _is_live(promotion: Promotion, now: datetime) -> bool:
    """Whether it runs, or will by its dates alone."""
    return promotion.status == "active" and (promotion.ends_at is None or now < promotion.ends_at)


def _running(promotion: Promotion) -> Promotion:
    """The promotion as if it had run all the time; its hours, stores and limits hold."""
    return msgspec.structs.replace(promotion, status="active", starts_at=None, ends_at=None)
