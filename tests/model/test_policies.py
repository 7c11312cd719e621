"""Living policies under any grouping of commands, and whenever jobs ran: caps, activity that puts off the end of
points, versions that are followed by what is there.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from guerdon.core import commands as c
from guerdon.core.dates import local_midnight
from guerdon.core.decide import decide
from guerdon.core.endings import version_of
from guerdon.core.lots import decode_moves
from guerdon.core.outcomes import Accepted
from guerdon.core.programs import Cap, Expiry, Follow, Policies, Rule
from guerdon.core.promotions.effects import Points
from guerdon.core.promotions.terms import Promotion
from guerdon.core.state import State
from tests.core.world import START, empty_state
from tests.model.auditor import audit
from tests.model.store import MemoryStore, one_by_one, run
from tests.model.test_grouping import everything, sizes

MEMBERS = ("ada", "bea")
SEEDS = range(1, 25)
RULES = (
    Rule(code="base", kind="per_amount", points=1, amount=100, caps=(Cap(code="day", points=40, per="day"),)),
    Rule(code="soon", kind="fixed", points=5, category="promised", release_days=3, expires_from="release"),
    Rule(code="later", kind="fixed", points=2, category="promised", release_days=9),
)
TOKYO = ZoneInfo("Asia/Tokyo")
MEMBER_ACCOUNTS = range(7, 13)
"""After the program's six of its own."""
EXPIRIES = (
    Expiry(),
    Expiry(kind="days", count=20),
    Expiry(kind="months", count=1, rounding="month"),
    Expiry(kind="yearly", month=2, day=29),
    Expiry(kind="rolling", count=15, unit="days"),
    Expiry(kind="rolling", count=1, activities=("purchase", "award", "transfer")),
    Expiry(kind="inactivity", count=12, unit="days"),
)


class Living:
    """A random history of a program whose policies change every now and then."""

    def __init__(self, seed: int, length: int = 70, *, jobs: bool = True, merges: bool = True) -> None:
        self.chance = random.Random(seed)
        self.now = START
        self.commands: list[c.Command] = []
        self.bills = self.version = 1
        self.add(c.CreateAsset, code="USD", scale=2)
        self.add(c.CreateAsset, code="POINTS", scale=0)
        self.policies = Policies(
            rules=RULES, expiry=self.chance.choice(EXPIRIES), timezone="Asia/Tokyo",
            caps=(Cap(code="week", points=90, per="rolling", days=7),), notice_days=(5, 2),
        )  # fmt: skip
        self.add(c.CreateProgram, code="club", name="Club", asset="POINTS", policies=self.policies)
        promotion = self.add(c.CreatePromotion, terms=Promotion(id="", name="Three", effects=(Points(points=3),)))
        self.add(c.RunPromotion, promotion=promotion, status="active")
        for name in MEMBERS:
            self.add(c.RegisterMember, identifiers=(("external_id", name),))
        self.add(c.CreateSegment, code="vip", name="VIP")
        merged_after = self.chance.randint(length // 4, length) if merges and self.chance.random() < 0.5 else None
        doings = (
            self.buy, self.buy, self.buy, self.redeem, self.reverse, self.give, self.send, self.back, self.redate,
            self.list,
        )  # fmt: skip
        for step in range(length):
            self.now += timedelta(hours=self.chance.choice((0, 0, 1, 30, 150)))
            self.change() if self.chance.random() < 0.1 else self.chance.choice(doings)()
            if step == merged_after:
                self.merge()
            if jobs and self.chance.random() < 0.3:
                self.job()

    def add(self, kind: type[c.Command], **fields: Any) -> str:
        id = f"01900000-0000-7000-8000-{len(self.commands) + 1:06x}000000"
        self.commands.append(kind(id=id, at=self.now, **fields))
        return id

    def who(self) -> tuple[str, str]:
        return ("external_id", self.chance.choice(MEMBERS))

    def when(self) -> c.Where:
        late = self.chance.choice((0, 0, 0, 5, 60))
        return c.Where(event_at=self.now - timedelta(hours=late) if late else None)

    def buy(self) -> None:
        self.bills += 1
        line = (c.Line(sku="a", quantity=2_000, amount=self.chance.choice((50, 1_000, 5_000))),)
        self.add(
            c.RecordPurchase, number=f"B-{self.bills}", currency="USD", lines=line, member=self.who(),
            where=self.when(), promotions=self.chance.random() < 0.3,
        )  # fmt: skip

    def back(self) -> None:
        number = f"B-{self.chance.randint(2, self.bills + 1)}"
        part = (c.ReturnLine(line=1, quantity=1_000),) if self.chance.random() < 0.6 else None
        self.add(c.ReturnPurchase, purchase=("number", number), number=f"R-{len(self.commands)}", lines=part)

    def redeem(self) -> None:
        self.add(c.Redeem, member=self.who(), points=self.chance.choice((1, 10, 30)), where=self.when())

    def reverse(self) -> None:
        spent = [each.id for each in self.commands if isinstance(each, c.Redeem)]
        if spent:
            self.add(c.ReverseRedemption, redemption=self.chance.choice(spent), points=self.chance.choice((None, 1)))

    def give(self) -> None:
        self.add(c.Award, member=self.who(), points=4, reason="sorry", where=self.when())

    def send(self) -> None:
        one, other = self.chance.sample(MEMBERS, 2)
        self.add(c.TransferPoints, member=("external_id", one), recipient=("external_id", other), points=3)

    def list(self) -> None:
        self.add(c.ListMembers, segment="vip", members=(self.who(),), present=self.chance.random() < 0.7)

    def merge(self) -> None:
        """Once: from then on both names are the same member's."""
        self.add(c.MergeMembers, victim=("external_id", "bea"), survivor=("external_id", "ada"))

    def redate(self) -> None:
        if self.chance.random() < 0.3:
            self.add(c.ChangeExpiry, member=self.who(), days=self.chance.choice((3, 40)))

    def job(self) -> None:
        """What jobs may ask for at any time, of any accounts of members (numbers)."""
        chosen = tuple(self.chance.sample(MEMBER_ACCOUNTS, 2))
        midnight = local_midnight((self.now + timedelta(days=self.chance.randint(0, 6))).date(), TOKYO)
        kind = self.chance.choice((c.FollowPolicy, c.ExpireLots, c.GiveNotice))
        more = {"ends": tuple((no, midnight) for no in chosen)} if kind is c.GiveNotice else {"accounts": chosen}
        self.add(kind, **more)

    def change(self) -> None:
        follow = Follow(grace_days=self.chance.choice((0, 4))) if self.chance.random() < 0.6 else None
        expiry = self.chance.choice(EXPIRIES)
        self.policies = msgspec.structs.replace(self.policies, expiry=expiry, follow=follow)
        starts_at = None
        if self.chance.random() < 0.4:
            starts_at = self.now + timedelta(hours=self.chance.randint(0, 200))
        self.add(c.ChangeProgram, program=("code", "club"), policies=self.policies, starts_at=starts_at)


def accounts(state: State) -> list[int]:
    return [no for no, account in state.accounts.items() if account.tracks_lots]


def finished(state: State) -> bool:
    """Whether no point follows less than it should."""
    return all(
        not 0 < version_of(lot) < state.config.follows.get(state.accounts[lot.account].program_no, 0)
        for lot in state.lots.values()
        if lot.remaining
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_any_grouping_of_a_living_program_is_equal_to_one_by_one(seed: int) -> None:
    commands = Living(seed).commands
    alone = MemoryStore()
    outcomes = one_by_one(alone, commands)
    audit(alone.rows)
    assert_capped(alone)
    generator = random.Random(seed)
    for _ in range(2):
        together = MemoryStore()
        assert run(together, commands, sizes(generator, len(commands))) == outcomes
        assert everything(together) == everything(alone)


def assert_capped(store: MemoryStore) -> None:
    """No bill gives anything beyond the cap of a day, counted over all members who are the same person by then."""
    person: dict[str, str] = {}
    used: dict[tuple[str, str], int] = defaultdict(int)
    for _, event in sorted(store.rows("events").items()):
        body = json.loads(event.body) if event.body else {}
        if event.name == "CustomerMerge":
            person[str(body["victim_no"])] = str(body["survivor_no"])
        for (_, owner, code, member, period), by, _ in body.get("caps", ()):
            if (owner, code) == ("program:1:base", "day"):
                used[member, period] += by
                same = [no for no in "12" if person.get(no, no) == person.get(member, member)]
                assert by < 0 or sum(used[no, period] for no in same) <= 40, event


def told(commands: list[c.Command], jobs: random.Random | None) -> tuple[list[Any], Any]:
    """What the commands answered, and how all points stand in the end: with a job after some of them, or none ever."""
    state = empty_state()
    answers: list[Any] = []
    extra = 0

    def ask(kind: type[c.Command], at: Any, **fields: Any) -> None:
        nonlocal extra
        extra += 1
        done = decide(kind(id=f"01900000-0000-7000-8001-{extra:06x}000000", at=at, **fields), state)
        assert isinstance(done, Accepted), done

    for command in commands:
        answer = decide(command, state)
        if isinstance(answer, Accepted):
            figures = (getattr(answer.result, "balance", 0), getattr(answer.result, "points", 0))
            answers.append((type(command), "", figures))
        else:
            answers.append((type(command), answer.code, ()))
        if jobs is not None and jobs.random() < 0.5:
            chosen = tuple(jobs.sample(accounts(state), len(accounts(state)) // 2))
            if jobs.random() < 0.5:
                ask(c.FollowPolicy, command.at, accounts=chosen)
            else:
                ask(c.ExpireLots, command.at, accounts=chosen, ended_by=command.at - timedelta(hours=72))
            for no, versions in dict(state.config.following).items():
                if finished(state):
                    ask(c.FinishFollowing, command.at, program_no=no, version=versions[-1])
    end = commands[-1].at + timedelta(days=400)
    ask(c.FollowPolicy, end, accounts=tuple(accounts(state)))
    ask(c.ExpireLots, end, accounts=tuple(accounts(state)))
    ended: dict[Any, int] = {}
    for event in state.events.values():
        for move in decode_moves(event.lot_moves):
            if move.kind == "expire":
                key = (event.member_no, event.event_at)
                ended[key] = ended.get(key, 0) + move.amount
    return answers, ended


@pytest.mark.parametrize("seed", SEEDS)
def test_whenever_jobs_ran_the_same_points_ended_at_the_same_instants(seed: int) -> None:
    """Also where several versions are followed at once, and where some begin later than they were made."""
    living = Living(seed, jobs=False)
    assert told(living.commands, random.Random(seed)) == told(living.commands, None)


def test_the_histories_renew_follow_and_end_something() -> None:
    """So that the tests above are about something."""
    seen: set[str] = set()
    for seed in SEEDS[:8]:
        store = MemoryStore()
        one_by_one(store, Living(seed).commands)
        for event in store.rows("events").values():
            kinds = {move.kind for move in decode_moves(event.lot_moves)}
            seen |= {f"{event.name} {kind}" for kind in kinds & {"redate", "expire"}}
            seen |= {event.reason} if event.reason == "policy" else set()
        seen |= {event.name for event in store.rows("events").values()}
    assert {
        "policy",
        "PointsExpiring",
        "TransactionAdd redate",
        "PointsRedemption redate",
        "PointsExpiry expire",
    } <= seen
