"""Random histories of commands: sensible ones, repeated ones, late ones, and nonsense, over a few members, bills and
transfers, so that they keep running into one another.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec

from guerdon.core import commands as c
from guerdon.core.catalogue import ListTerms, RewardTerms
from guerdon.core.ids import sub_id
from guerdon.core.programs import Expiry, Policies, RedemptionRate, ReferralPoints, Rule, TransferLimits
from guerdon.core.tiers import Level, TierTerms, Window
from tests.core.world import START

MEMBERS = ("amy", "bob", "cat")
UNKNOWN = "01900000-0000-7000-8000-ffffff000000"
BASE = Rule(code="base", kind="per_amount", points=1, amount=100)
DOUBLE = Rule(code="double", kind="multiplier", points=2, minimum=4_000)
PROMISE = Rule(code="promise", kind="fixed", points=7, category="promised")
DAYS = Rule(code="days", kind="fixed", points=9, category="promised", release_days=3)
SINCE = Rule(code="since", kind="fixed", points=4, category="promised", release_days=20, expires_from="release")
REVIEW = Rule(code="review", kind="fixed", points=5, category="trigger_based", trigger="review", expires_from="release")
RATE = RedemptionRate(10, 100)

LEVELS = (Level(code="silver", name="Silver", at_least=2_500), Level(code="gold", name="Gold", at_least=9_000))
TIERS = (
    TierTerms(
        figure="spend", window=Window(kind="rolling", days=6), levels=LEVELS, timezone="Europe/Berlin", currency="USD",
        downgrade="one", grace_days=2,
    ),
    TierTerms(
        figure="visits", window=Window(kind="calendar", months=1), timezone="UTC", notice_days=5,
        levels=(Level(code="silver", name="Silver", at_least=1), Level(code="gold", name="Gold", at_least=4)),
    ),
    TierTerms(
        figure="points", window=Window(kind="since_join", months=1), timezone="America/New_York", keep=True,
        levels=(Level(code="none", name="None", at_least=0), Level(code="gold", name="Gold", at_least=100)),
    ),
)  # fmt: skip

POLICIES = (
    Policies(rules=(BASE,), redemption_rate=RATE, currency="USD"),
    Policies(
        rules=(BASE, PROMISE),
        redemption_rate=RATE,
        currency="USD",
        expiry=Expiry(kind="days", count=30),
        adjustment_limit=0,
        referral=ReferralPoints(15, 0),
    ),
    Policies(
        rules=(BASE,),
        redemption_rate=RATE,
        currency="USD",
        on_shortfall="write_off",
        adjustment_limit=30,
        minimum_lifetime=60,
        referral=ReferralPoints(20, 10),
        transfers=TransferLimits(minimum=2, points_per_day=100, count_per_day=2, points_per_month=250),
    ),
    Policies(rules=(BASE,), redemption_rate=RATE, expiry=Expiry(kind="months", count=1), timezone="Europe/Berlin"),
    Policies(
        rules=(BASE, DAYS, SINCE, REVIEW), redemption_rate=RATE, currency="USD", expiry=Expiry(kind="days", count=10)
    ),
    Policies(rules=(BASE, DAYS, REVIEW), redemption_rate=RATE, on_shortfall="write_off"),
    Policies(rules=(BASE, PROMISE, DOUBLE), redemption_rate=RATE, returns="reevaluate"),
)


class History:
    """A history in the making. Everything random comes from one generator, so a seed tells a history again."""

    def __init__(self, seed: int, length: int) -> None:
        self.random = random.Random(seed)
        self.commands: list[c.Command] = []
        self.now = START
        self.names: dict[str, str] = {}
        self.recent: dict[str, list[str]] = {
            kind: [] for kind in ("redemption", "transfer", "bill", "adjustment", "referral", "list", "reward", "claim")
        }
        self._prologue()
        kinds = [kind for kind, often in self._kinds().items() for _ in range(often)]
        while len(self.commands) < length:
            self._later()
            self.random.choice(kinds)()

    def _kinds(self) -> dict[Callable[[], None], int]:
        return {
            self._join: 2, self._buy: 8, self._return: 4, self._redeem: 6, self._reverse: 5, self._award: 4,
            self._pay: 8, self._pay_many: 2, self._end_hold: 6, self._refund: 5, self._run_scheduled: 2,
            self._expire: 2, self._change_member: 2, self._change_program: 1, self._again: 4, self._annotate: 1,
            self._raw_identity: 2, self._preview: 2, self._transfer: 5, self._merge: 1, self._adjust: 4,
            self._claim: 6, self._fulfil: 4, self._offer: 2,
            self._decide: 3, self._refer: 2, self._return_referral: 1, self._award_many: 2, self._would_redeem: 2,
            self._unlock: 3, self._redate: 2, self._import: 3, self._tiers: 2, self._review: 3,
        }  # fmt: skip

    # -- envelopes, time, names

    def _add(self, kind: type[c.Command], called: str = "", /, **fields: Any) -> str:
        """Issue a command. What it is called lets later ones find it: by its name, or among the recent of its kind."""
        id = f"01900000-0000-7000-8000-{len(self.commands) + 1:06x}000000"
        if called in self.recent:
            self.recent[called].append(id)
        elif called:
            self.names.setdefault(called, id)
        key = f"K-{self.random.randrange(6)}" if self.random.random() < 0.08 else ""
        skew = timedelta(seconds=self.random.choice((0, 0, 0, -2, -90)))
        self.commands.append(kind(id=id, at=self.now + skew, actor="till", key=key, **fields))
        return id

    def _later(self) -> None:
        self.now += self.random.choice(
            (timedelta(), timedelta(seconds=1), timedelta(minutes=20), timedelta(hours=9), timedelta(days=4))
        )

    def _prologue(self) -> None:
        self._add(c.CreateAsset, code="USD", scale=2)
        self._add(c.CreateAsset, code="POINTS", scale=0)
        for code in ("club", "bistro"):
            self._add(c.CreateProgram, code=code, name=code, asset="POINTS", policies=self.random.choice(POLICIES))
        self._add(c.ChangeTiers, program=("code", "club"), terms=self.random.choice(TIERS[:2]))
        ledger = self._add(c.OpenLedger, name="Books")
        for name in ("main", "side"):
            self._add(c.OpenAccount, f"account {name}", ledger=ledger, asset="USD")
        for member in MEMBERS[:2]:
            self._join(member)

    def _one_of(self, kind: str) -> str:
        """One of the last few of a kind; rarely something that never was."""
        known = self.recent[kind][-5:]
        return self.random.choice(known) if known and self.random.random() < 0.92 else UNKNOWN

    def _member(self) -> tuple[str, str]:
        name = self.random.choice(MEMBERS[: 2 if self.random.random() < 0.85 else 3])
        if self.random.random() < 0.2:
            return ("id", self.names.get(f"member {name}", UNKNOWN))
        return ("external_id", name)

    def _points(self) -> int:
        return self.random.choice((1, 3, 10, 10, 40, 40, 75, 75, 150, 0 if self.random.random() < 0.5 else -1))

    def _where(self) -> c.Where:
        """Mostly now; sometimes hours ago, or long ago by import."""
        draw = self.random.random()
        if draw < 0.1:
            return c.Where(event_at=self.now - timedelta(hours=self.random.randrange(60)))
        if draw < 0.15:
            return c.Where(event_at=self.now - timedelta(days=45), imported=True)
        return c.Where()

    # -- kinds of commands

    def _join(self, name: str = "") -> None:
        name = name or self.random.choice(MEMBERS)
        id = self._add(c.RegisterMember, f"member {name}", identifiers=(("external_id", name),))
        for ordinal, account in enumerate(("regular", "promised", "trigger_based", "bistro"), 2):
            self.names.setdefault(f"{account} of {name}", sub_id(id, ordinal))

    def _raw_identity(self) -> None:
        member = ("email", "raw@example.org")
        kind = self.random.choice((c.RegisterMember, c.RegisterMember, c.RemoveMember, c.ChangeMember, c.Award))
        if kind is c.RegisterMember:
            self._add(kind, identifiers=(member,), enrol=False)
        elif kind is c.Award:
            self._add(kind, member=member, points=5, reason="hello")
        else:
            self._add(kind, member=member)

    def _buy(self) -> None:
        number = f"B-{len(self.recent['bill']) - self.random.choice((0, 0, 0, 0, 1))}"
        self.recent["bill"].append(number)
        amounts = [
            self.random.choice((0, 99, 1_000, 5_000, 7_550, 9_900, -100)) for _ in range(self.random.randint(1, 3))
        ]
        self._add(
            c.RecordPurchase,
            number=number,
            currency="USD",
            member=self._member() if self.random.random() < 0.95 else None,
            lines=tuple(
                c.Line(sku="A", quantity=self.random.choice((1000, 1000, 3000, 750, 0)), amount=amount)
                for amount in amounts
            ),
            spend=self.random.choice((0, 0, 0, 10, 33, 60)),
            program=self.random.choice((None, None, ("code", "bistro"))),
            wallet=self.names["account main"] if self.random.random() < 0.05 else "",
            where=self._where(),
            register=self.random.random() < 0.2,
        )

    def _return(self) -> None:
        purchase = ("number", self._one_of("bill"))
        number = f"R-{len(self.commands) - self.random.choice((0, 0, 0, 1))}"
        lines = tuple(self._return_line() for _ in range(self.random.choice((1, 1, 2, 3, 0))))
        whole = self.random.random() < 0.4
        self._add(
            c.ReturnPurchase, purchase=purchase, number=number, lines=None if whole else lines, where=self._where()
        )

    def _return_line(self) -> c.ReturnLine:
        quantity = self.random.choice((1, 250, 333, 500, 1_000, 1_000, 2_000, 0))
        if self.random.random() < 0.4:
            return c.ReturnLine(sku=self.random.choice("AAAB"), quantity=quantity)
        return c.ReturnLine(line=self.random.choice((1, 1, 2, 3, 4)), quantity=quantity)

    def _redeem(self) -> None:
        reference = self.random.choice(("", "", f"X-{self.random.randrange(9)}"))
        points = self._points()
        where = self._where()
        group = self.random.random() < 0.3
        self._add(
            c.Redeem,
            "redemption",
            member=self._member(),
            points=points,
            group=group,
            reference=reference,
            where=where,
        )

    def _reverse(self) -> None:
        redemption = self._one_of("redemption")
        points = self.random.choice((None, None, 1, 5, 30, 0 if self.random.random() < 0.2 else 2))
        self._add(c.ReverseRedemption, redemption=redemption, points=points)

    def _award(self) -> None:
        self._add(c.Award, member=self._member(), points=self._points(), reason="sorry", where=self._where())

    def _transfer(self) -> None:
        self._add(
            c.TransferPoints,
            member=self._member(),
            recipient=self._member(),
            points=self._points(),
            program=self.random.choice((None, None, ("code", "bistro"))),
            where=self._where(),
        )

    def _merge(self) -> None:
        """Who was merged may join again under the same name only by chance: names are aliases from then on."""
        member = ("external_id", f"dup-{len(self.commands)}")
        victim = self._member() if self.random.random() < 0.15 else member
        self._add(c.RegisterMember, identifiers=(member,))
        self._add(c.Award, member=member, points=30, reason="hello")
        self.recent["bill"].append(f"B-{len(self.recent['bill'])}-{len(self.commands)}")
        line = c.Line(sku="A", quantity=1000, amount=self.random.choice((2_000, 9_900)))
        self._add(c.RecordPurchase, number=self.recent["bill"][-1], currency="USD", member=member, lines=(line,))
        if self.random.random() < 0.7:
            self._add(c.Redeem, "redemption", member=member, points=self.random.choice((10, 45)))
        if self.random.random() < 0.3:
            self._return()
        self._add(c.MergeMembers, victim=victim, survivor=self._member())

    def _adjust(self) -> None:
        points = self.random.choice((1, -1)) * self._points()
        person = self.random.choice(("eve", "sam"))
        self._add(c.AdjustPoints, "adjustment", member=self._member(), points=points, reason="count", person=person)

    def _decide(self) -> None:
        person, approve = self.random.choice(("eve", "sam")), self.random.random() < 0.7
        self._add(c.DecideAdjustment, adjustment=self._one_of("adjustment"), approve=approve, person=person)

    def _refer(self) -> None:
        self._add(c.Refer, "referral", referrer=self._member(), referred=self._member(), where=self._where())

    def _return_referral(self) -> None:
        self._add(c.ReturnReferral, referral=self._one_of("referral"))

    def _offer(self) -> None:
        """A list or a reward, new or changed: few pieces, so that they run out."""
        limit = self.random.choice((None, None, 1, 3))
        listed = ListTerms(name="list", price=self.random.choice((0, 5, 20)), limit=limit)
        terms = RewardTerms(
            name="thing", price=self.random.choice((None, 3, 0, -1)), limit=self.random.choice((None, 1))
        )
        stock = self.random.choice((None, 0, 1, 2))
        draw = self.random.random()
        if draw < 0.3 or not self.recent["list"]:
            self._add(c.CreateRewardList, "list", terms=listed)
            draw = 0.8
        if draw < 0.4:
            self._add(c.ChangeRewardList, list=self._one_of("list"), terms=listed)
        elif draw < 0.6:
            self._add(c.ChangeReward, reward=self._one_of("reward"), terms=terms, restock=draw < 0.5, stock=stock)
        else:
            self._add(c.CreateReward, "reward", list=self._one_of("list"), terms=terms, stock=stock)

    def _claim(self) -> None:
        if not self.recent["reward"]:
            self._offer()
        reward = self.recent["reward"][-1] if self.recent["reward"] and self.random.random() < 0.6 else ""
        self._add(c.ClaimReward, "claim", member=self._member(), reward=reward or self._one_of("reward"))

    def _fulfil(self) -> None:
        status = self.random.choice(("processing", "completed", "denied", "cancelled"))
        self._add(c.MoveClaim, claim=self._one_of("claim"), status=status)

    def _award_many(self) -> None:
        rows = [
            c.Allocation(member=self._member(), points=self._points(), reason="week")
            for _ in range(self.random.randint(1, 5))
        ]
        self._add(c.AwardMany, rows=tuple(rows), where=self._where())

    def _would_redeem(self) -> None:
        id = f"01900000-0000-7000-9000-{len(self.commands):06x}000000"
        of = c.Redeem(id=id, at=self.now, member=self._member(), points=self._points(), group=True)
        self._add(c.PreviewRedemption, of=of)

    def _account(self) -> tuple[str, str]:
        """An account and its asset."""
        draw = self.random.random()
        if draw < 0.6:
            kind = self.random.choice(("regular",) * 6 + ("bistro", "promised"))
            member = self.random.choice(MEMBERS[: 2 if self.random.random() < 0.9 else 3])
            return self.names.get(f"{kind} of {member}", UNKNOWN), "POINTS"
        if draw < 0.85:
            return self.random.choice(("@World", "@Shop", "@PointsPool")), "POINTS"
        return self.names[f"account {self.random.choice(('main', 'side'))}"], "USD"

    def _posting(self) -> c.Posting:
        source, asset = self._account()
        destination = source
        while destination == source:
            destination = next(name for name, other in iter(self._account, None) if other == asset)
        if self.random.random() < 0.05:
            destination = self._account()[0]
        fields: dict[str, Any] = {"source": source, "destination": destination}
        if self.random.random() < 0.15:
            legs = (c.Leg(destination, "percent", 4 * 10**11), c.Leg(self._account()[0], "left"))
            fields = {"source": source, "destinations": legs}
        return c.Posting(
            asset=asset,
            amount=max(1, self._points()),
            precision=100 if asset == "USD" else 1,
            reference=f"T-{self.random.randrange(10_000)}" if self.random.random() < 0.95 else "T-0",
            allow_overdraft=self.random.random() < 0.6,
            inflight=self.random.random() < 0.35,
            queued=self.random.random() < 0.35,
            expires_at=self.now + timedelta(days=5) if self.random.random() < 0.3 else None,
            scheduled_for=self.now + timedelta(days=3) if self.random.random() < 0.06 else None,
            **fields,
        )

    def _pay(self) -> None:
        self._add(c.Post, "transfer", postings=(self._posting(),))

    def _pay_many(self) -> None:
        postings = tuple(self._posting() for _ in range(self.random.randint(2, 5)))
        self._add(c.Post, "transfer", postings=postings, batch=True, atomic=self.random.random() < 0.5)

    def _preview(self) -> None:
        """What some raw commands would do, of which none is done."""
        envelope: dict[str, Any] = {"id": f"01900000-0000-7000-9000-{len(self.commands):06x}000000", "at": self.now}
        of = (
            c.Post(**envelope, postings=(self._posting(), self._posting()), batch=True),
            c.Settle(**envelope, target=self._one_of("transfer")),
            c.Refund(**envelope, target=self._one_of("transfer")),
        )
        self._add(c.Preview, of=of, cumulative=self.random.random() < 0.5)

    def _end_hold(self) -> None:
        draw = self.random.random()
        if draw < 0.5:
            self._add(c.Settle, target=self._one_of("transfer"), amount=self.random.choice((None, 1, 10, 0)))
        else:
            self._add(c.Release, target=self._one_of("transfer"), due=draw < 0.65)

    def _refund(self) -> None:
        self._add(c.Refund, target=self._one_of("transfer"), queued=self.random.random() < 0.3)

    def _run_scheduled(self) -> None:
        self._add(c.RunScheduled, target=self._one_of("transfer"))

    def _expire(self) -> None:
        ended_by = self.now - timedelta(days=3) if self.random.random() < 0.5 else None
        accounts = tuple(self.random.sample(range(13, 29), 3))
        self._add(c.ExpireLots, accounts=accounts, ended_by=ended_by, at_most=self.random.choice((None, None, 1, 2)))

    def _unlock(self) -> None:
        purchase = ("number", self._one_of("bill")) if self.random.random() < 0.6 else None
        self._add(
            c.UnlockPoints,
            member=self._member(),
            purchase=purchase,
            line=0 if purchase and self.random.random() < 0.2 else None,
            trigger=self.random.choice(("", "", "review")),
            program=self.random.choice((None, None, ("code", "bistro"))),
        )

    def _redate(self) -> None:
        said: dict[str, Any] = self.random.choice(
            ({"days": 5}, {"days": -5}, {"never": True}, {"last_day": (self.now + timedelta(days=6)).date()})
        )
        self._add(
            c.ChangeExpiry,
            member=self._member(),
            purchase=("number", self._one_of("bill")) if self.random.random() < 0.5 else None,
            reference=self.random.choice(("", "", f"E-{self.random.randrange(9)}")),
            **said,
        )

    def _import(self) -> None:
        kind = self.random.choice(("balance", "points", "points", "redemption", "expiry"))
        self._add(
            c.ImportPoints,
            kind=kind,
            member=self._member(),
            points=self._points(),
            reference=f"I-{self.random.randrange(40)}",
            category=self.random.choice(("regular", "regular", "regular", "promised", "trigger_based")),
            program=self.random.choice((None, ("code", "bistro"))),
            release_on=(self.now + timedelta(days=2)).date() if self.random.random() < 0.2 else None,
            last_day=(self.now + timedelta(days=9)).date() if self.random.random() < 0.3 else None,
            where=c.Where(event_at=self.now - timedelta(days=self.random.choice((0, 3, 30))), imported=True),
        )

    def _change_member(self) -> None:
        status = "blocked" if self.random.random() < 0.2 else "active"
        identifiers = self.random.choice((None, None, (("external_id", "bob"), ("email", "bob@example.org"))))
        self._add(c.ChangeMember, member=self._member(), status=status, identifiers=identifiers)

    def _change_program(self) -> None:
        self._add(c.ChangeProgram, program=("code", "club"), policies=self.random.choice(POLICIES))

    def _tiers(self) -> None:
        starts_at = self.random.choice((None, None, self.now + timedelta(days=3), self.now - timedelta(days=3)))
        program = ("code", self.random.choice(("club", "club", "bistro")))
        self._add(c.ChangeTiers, program=program, terms=self.random.choice(TIERS), starts_at=starts_at)

    def _review(self) -> None:
        self._add(c.ReviewTiers, members=(1, 2, 3))

    def _annotate(self) -> None:
        meta = f'{{"n":{self.random.randrange(9)}}}'
        self._add(c.Annotate, kind="txn", object=self._one_of("transfer"), meta=meta)

    def _again(self) -> None:
        """An earlier command word for word, as a caller repeats it who got no answer."""
        earlier = self.random.choice(self.commands[-12:])
        id = f"01900000-0000-7000-8000-{len(self.commands) + 1:06x}000000"
        self.commands.append(msgspec.structs.replace(earlier, id=id, at=self.now))
