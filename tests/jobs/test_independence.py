"""No figure depends on when a job ran, how often, or whether it ran at all."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from guerdon.core import commands as c
from guerdon.core.lots import decode_moves
from guerdon.core.outcomes import Accepted, Outcome
from guerdon.core.places import LATE_MAX
from guerdon.core.programs import Rule
from guerdon.jobs import Jobs, schedule
from guerdon.settings import Settings
from guerdon.store.pool import make_pool
from guerdon.writer import Writer
from tests.api.conftest import ADMIN_KEY, Api, served
from tests.api.test_loyalty import bill
from tests.conftest import Database
from tests.core.world import THIRTY_DAYS, World, purchase

MEMBERS = ("ada", "bea")
KINDS = ("buy", "spend", "redeem", "reverse", "return", "award", "hold", "settle", "release", "send")
Step = tuple[str, str, int, int, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.sampled_from(MEMBERS),
        st.integers(1, 60),  # how much
        st.integers(0, 20),  # days that pass before
        st.integers(0, 71),  # how many hours late it is told
    ),
    max_size=25,
)


RULES = (
    Rule(code="base", kind="per_amount", points=1, amount=100),
    Rule(code="soon", kind="per_amount", points=1, amount=200, category="promised", release_days=2),
    Rule(
        code="late", kind="fixed", points=9, category="promised", release_days=40, expires_from="release",
    ),
    Rule(code="lost", kind="fixed", points=3, category="promised", release_days=40),
)  # fmt: skip
"""Regular points, and promised ones that are released before their end, counted from it, or never."""


class Story:
    """The same commands with or without a job that runs after each."""

    def __init__(self, jobs: list[bool], grace: timedelta = LATE_MAX) -> None:
        self.grace = grace
        self.world = World().with_program(expiry=THIRTY_DAYS, rules=RULES)
        self.jobs = iter(jobs)
        self.said: list[Any] = []
        for name in MEMBERS:
            self.world.member(name)
        self.bills: list[str] = []
        self.redemptions: list[str] = []
        self.holds: list[str] = []

    def run(self, steps: list[Step]) -> Story:
        for step in steps:
            self.step(*step)
        self.expire(None)
        return self

    def expire(self, grace: timedelta | None) -> None:
        world = self.world
        accounts = tuple(no for no, account in world.state.accounts.items() if account.tracks_lots)
        ended_by = None if grace is None else world.now - grace
        world.ok(c.ExpireLots, accounts=accounts, ended_by=ended_by)

    def step(self, what: str, name: str, much: int, days: int, late: int) -> None:
        world = self.world
        world.later(days=days)
        if next(self.jobs, False):
            self.expire(self.grace)
        number = f"{what}-{len(self.said)}"
        member = ("external_id", name)
        where = c.Where(event_at=world.now - timedelta(hours=late))
        points = f"{world.state.accounts[world.account(member)].id}"
        outcome: Outcome | None = None
        if what == "buy" or what == "spend":
            spend = much if what == "spend" else 0
            outcome = world.do(c.RecordPurchase, **purchase(number, much * 100, member), where=where, spend=spend)
            if isinstance(outcome, Accepted):
                self.bills.append(number)
        elif what == "redeem":
            outcome = world.do(c.Redeem, member=member, points=much, where=where)
            if isinstance(outcome, Accepted):
                self.redemptions.append(outcome.result.id)
        elif what == "award":
            outcome = world.do(c.Award, member=member, points=much, reason="x", where=where)
        elif what == "reverse" and self.redemptions:
            outcome = world.do(
                c.ReverseRedemption, redemption=self.redemptions[much % len(self.redemptions)], points=much
            )
        elif what == "return" and self.bills:
            bill = self.bills[much % len(self.bills)]
            outcome = world.do(c.ReturnPurchase, purchase=("number", bill), number=f"R-{number}")
        elif what == "hold" or what == "send":
            posting = c.Posting(
                asset="POINTS", amount=much, precision=1, reference=number, source=points, inflight=what == "hold",
                destination="@PointsAdjusted",
            )  # fmt: skip
            outcome = world.do(c.Post, postings=(posting,))
            if isinstance(outcome, Accepted) and what == "hold":
                self.holds.append(world.state.transfers[outcome.result.transfers[0][0]].id)
        elif self.holds:
            kind = c.Settle if what == "settle" else c.Release
            outcome = world.do(kind, target=self.holds[much % len(self.holds)])
        self.said.append(without_numbers(outcome))

    def books(self) -> dict[str, Any]:
        state = self.world.state
        figures = {no: (f.credit, f.debit, f.inflight_debit, f.floor) for no, f in state.figures.items()}
        lots = {
            no: (x.account, x.amount, x.remaining, x.redeemed, x.returned, x.expired, x.held, x.earned_at, x.expires_at)
            for no, x in state.lots.items()
        }
        given_back = sorted((r.no, r.reversed) for r in state.redemptions.values())
        expired: dict[Any, int] = defaultdict(int)  # by member and end, in however many events
        released: dict[Any, int] = defaultdict(int)
        for event in state.events.values():
            if event.name == "PointsExpiry":
                expired[event.member_no, event.event_at] += event.points
            if event.name == "PromisedPointsConversion":
                for move in decode_moves(event.lot_moves):
                    released[event.member_no, event.event_at] += move.amount if move.kind == "convert" else 0
        return {
            "figures": figures,
            "lots": lots,
            "given back": given_back,
            "expired": expired,
            "released": released,
        }


def without_numbers(outcome: Outcome | None) -> Any:
    """An outcome without the sequence numbers and ids in it, which tell in what order things were written."""
    if not isinstance(outcome, Accepted):
        return outcome and (outcome.code, {k: v for k, v in outcome.detail.items() if not k.endswith("_id")})
    skipped = {"event_no", "id", "transfers", "rows", "names", "redemption_id", "purchase_id"}
    return {name: getattr(outcome.result, name) for name in outcome.result.__struct_fields__ if name not in skipped}


@settings(max_examples=60, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(STEPS, st.lists(st.booleans(), max_size=25))
def test_answers_lots_and_figures_are_the_same_with_and_without_jobs(steps: list[Step], jobs: list[bool]) -> None:
    without, with_jobs = Story([]).run(steps), Story(jobs).run(steps)
    assert with_jobs.said == without.said
    assert with_jobs.books() == without.books()


def test_a_job_that_did_not_wait_would_take_what_a_late_fact_may_spend() -> None:
    """The negative control: points end at midnight, and the till tells of yesterday's spending in the morning."""
    steps = [("buy", "ada", 50, 0, 0), ("award", "bea", 1, 20, 0), ("spend", "ada", 10, 11, 20)]
    hasty, patient, without = [Story(jobs, grace).run(steps) for jobs, grace in HASTY_PATIENT_WITHOUT]
    assert patient.said == without.said
    assert hasty.said != without.said


HASTY_PATIENT_WITHOUT: tuple[tuple[list[bool], timedelta], ...] = (
    ([True] * 3, timedelta(0)),
    ([True] * 3, LATE_MAX),
    ([], LATE_MAX),
)


# -- what is read over HTTP, before anything was posted and after it

PLAN = {
    "code": "classic", "name": "Classic", "asset": "POINTS", "currency": "USD", "timezone": "Asia/Tokyo",
    "expiry": {"kind": "days", "count": 30},
    "earning_rules": [
        {"kind": "per_amount", "code": "base", "points": "1", "amount_minor": 100},
        {"kind": "fixed", "code": "soon", "points": "9", "points_category": "promised", "release_days": 2},
    ],
}  # fmt: skip
PEOPLE = ("ada", "bea", "cyd")


@pytest.mark.parametrize("how", ["by a job", "when asked"])
@pytest.mark.parametrize("days", [7, 40], ids=lambda days: f"{days} days on")
def test_every_figure_is_the_same_before_and_after_what_is_due_was_posted(
    database: Database, days: int, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "LOOK_EVERY_S", 3600)  # the server's own jobs look once, when there is nothing
    now = datetime(2027, 1, 20, 12, tzinfo=UTC)
    with served(database, now=lambda: now, job_interval_s=3600) as url:
        api = Api(url)
        history(api, now)
        now += timedelta(days=days)
        before, waiting = figures(api, now), api.get(LIABILITY)["programs"][0]["expired_unposted"]
        assert (waiting == "0") == (days == 7)
        count = len(posted(api))
        if how == "by a job":
            asyncio.run(run_jobs(database, now))
        else:
            for name in PEOPLE:
                api.post(f"/v1/members/external_id:{name}/expiries", {}, 200)
        assert len(posted(api)) > count
        after = figures(api, now)
        for name, figure in before.items():
            assert after[name] == figure, name
        assert api.get(LIABILITY)["programs"][0]["expired_unposted"] == "0"


LIABILITY = "/v1/reports/liability"


def history(api: Api, now: datetime) -> None:
    """Ada has promised and regular points, Bea some on hold, and Cyd owes what promised points will repay."""
    for code, scale in (("POINTS", 0), ("USD", 2)):
        api.post("/v1/assets", {"code": code, "scale": scale})
    api.post("/v1/programs", PLAN)
    for name in PEOPLE:
        api.post("/v1/members", {"external_id": name})
        buys(api, name, f"{name}-1", 2_000)
    buys(api, "ada", "ada-2", 500, event_at=(now - timedelta(hours=60)).isoformat())
    account = api.get("/v1/members/external_id:bea/balances")["programs"][0]["regular"]["account"]
    held = {"amount": 7, "precision": 1, "currency": "POINTS", "reference": "held", "description": "held",
            "source": account, "destination": "@PointsAdjusted", "inflight": True, "skip_queue": True}  # fmt: skip
    made = api.call("POST", "/blnk/transactions", held, headers={"x-blnk-key": ADMIN_KEY})
    assert made.status_code == 201, made.text
    api.post("/v1/members/external_id:cyd/redemptions", {"points": 16})
    buys(api, "cyd", "cyd-2", 100)
    api.post("/v1/purchases/number:cyd-1/returns", {"number": "R-1"})
    balances = api.get("/v1/members/external_id:cyd/balances")["programs"][0]
    assert (balances["regular"]["balance"], balances["promised"]["balance"]) == ("-15", "9")
    api.post("/v1/members/external_id:cyd/awards", {"points": 11, "reason": "so that it owes less than was promised"})


def buys(api: Api, name: str, number: str, cents: int, **more: Any) -> None:
    api.post("/v1/purchases", bill(number, cents, member=f"external_id:{name}", **more))


def posted(api: Api) -> list[Any]:
    events = "PointsExpiry,PromisedPointsConversion"
    return [
        event
        for name in PEOPLE
        for event in api.get(f"/v1/members/external_id:{name}/points-ledger", event=events, limit=100)["events"]
    ]


def figures(api: Api, now: datetime) -> dict[str, Any]:
    """Every figure that is read, but for those that tell what is not posted, and the rows of the ledger themselves."""
    found: dict[str, Any] = {}
    moments = [(now - timedelta(days=some)).isoformat() for some in range(0, 40, 3)]
    for name in PEOPLE:
        path = f"/v1/members/external_id:{name}"
        (balances,) = api.get(f"{path}/balances")["programs"]
        del balances["regular"]["expired_unposted"]
        found[f"balances of {name}"] = balances
        for asked in (
            {}, {"program": "classic"}, {"category": "regular"}, {"category": "promised"}, {"time": "event"},
            {"as_of": (now + timedelta(days=1)).isoformat()},
            *({"time": "event", "as_of": moment} for moment in moments),
        ):  # fmt: skip
            closing = api.get(f"{path}/points-ledger/closing-balance", **asked)["balances"]
            found[f"closing balance of {name} {asked}"] = closing
        v2 = "/v2/pointsLedger/getCustomerLedgerBalance"
        given = {"identifierName": "externalId", "identifierValue": name, "source": "INSTORE"}
        found[f"v2 of {name}"] = api.get(v2, **given)["ledgerDetails"]["ledgerClosingBalance"]
    for time in ("recorded", "event"):
        (program,) = api.get(LIABILITY, time=time)["programs"]
        del program["expired_unposted"]
        found[f"liability by {time}"] = program
        found[f"sheet by {time}"] = api.call("GET", f"{LIABILITY}.csv", params={"time": time}).text
    return found


async def run_jobs(database: Database, now: datetime) -> None:
    async with make_pool(database.app_dsn, name="jobs", size_max=2) as pool:
        writer = Writer(pool, Settings())
        await writer.start()
        await Jobs(pool, writer, Settings(), now=lambda: now).run_once()
        await writer.stop()
