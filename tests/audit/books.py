"""Books to be audited: one organisation in which everything that can happen has happened."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec
import psycopg
import uuid_utils
from psycopg.rows import tuple_row

from guerdon.core import commands as c
from guerdon.core.catalogue import ListTerms, RewardTerms
from guerdon.core.messages import TYPES
from guerdon.core.outcomes import Accepted, Outcome, Rejected
from guerdon.core.programs import Cap, Expiry, LowPool, Policies, RedemptionRate, ReferralPoints, Rule, TransferLimits
from guerdon.core.promotions.codes import Form, generate
from guerdon.core.promotions.effects import Percent, Points, Voucher
from guerdon.core.promotions.guessing import WINDOW
from guerdon.core.promotions.limits import Budget, Limit
from guerdon.core.promotions.terms import Issuing, Promotion
from guerdon.core.segments import TierIs
from guerdon.core.tiers import Level, TierTerms, Window
from guerdon.settings import Settings
from guerdon.store import backtests, imports, organisations
from guerdon.store.codes import Codes
from guerdon.store.pool import Pool, make_pool
from guerdon.store.webhook_rows import Attempt, Behind
from guerdon.store.webhooks import Desk
from guerdon.writer import Writer

C = TypeVar("C", bound=c.Command)
START = datetime(2027, 1, 1, 12, tzinfo=UTC)


class Books:
    """One organisation, its writer, and a clock that the test moves."""

    def __init__(self, pool: Pool, writer: Writer, org_id: int) -> None:
        self.pool = pool
        self.writer = writer
        self.org_id = org_id
        self.now = START
        self._commands = 0

    def later(self, **delta: float) -> None:
        self.now += timedelta(**delta)

    def make(self, kind: type[C], /, **fields: Any) -> C:
        self._commands += 1
        fields.setdefault("id", f"01900000-0000-7000-8{self.org_id:03x}-{self._commands:06x}000000")
        fields.setdefault("at", self.now)
        fields.setdefault("actor", "tester")
        return kind(**fields)

    async def do(self, kind: type[c.Command], /, **fields: Any) -> Outcome:
        return await self.writer.submit(self.org_id, self.make(kind, **fields))

    async def ok(self, kind: type[c.Command], /, **fields: Any) -> Any:
        """The result of a command that must be accepted."""
        outcome = await self.do(kind, **fields)
        assert isinstance(outcome, Accepted), outcome
        return outcome.result

    async def no(self, kind: type[c.Command], /, **fields: Any) -> Rejected:
        """The refusal of a command that must be refused."""
        outcome = await self.do(kind, **fields)
        assert isinstance(outcome, Rejected), outcome
        return outcome

    # -- shorthands

    async def set_up(self) -> None:
        """USD and POINTS, a program of 1 point per whole 1.00 that sells 10 for 1.00 and expires after 30 days."""
        await self.ok(c.CreateAsset, code="USD", scale=2)
        await self.ok(c.CreateAsset, code="POINTS", scale=0)
        rules = (
            Rule(code="base", kind="per_amount", points=1, amount=100),
            Rule(code="milk", kind="fixed", points=5, skus=("milk",)),
            Rule(code="later", kind="fixed", points=3, category="promised"),
        )
        policies = Policies(
            rules=rules, redemption_rate=RedemptionRate(10, 100), currency="USD", expiry=Expiry(kind="days", count=30),
            caps=(Cap(code="day", points=10**9, per="day"), Cap(code="week", points=10**9, per="rolling", days=7)),
        )  # fmt: skip
        await self.ok(c.CreateProgram, code="club", name="Club", asset="POINTS", policies=policies)
        await self.ok(c.RegisterSource, code="KIOSK")
        await self.ok(c.CreateStore, code="S1", name="Store")
        await self.ok(c.CreateTill, code="T1", store=("code", "S1"), program=("code", "club"))

    async def member(self, name: str) -> tuple[str, str]:
        await self.ok(c.RegisterMember, identifiers=(("external_id", name),), profile='{"name":"Ada"}')
        return ("external_id", name)

    async def buy(self, number: str, member: tuple[str, str] | None, *amounts: int, **fields: Any) -> Any:
        lines = tuple(c.Line(sku="milk" if i else "bread", quantity=1000, amount=a) for i, a in enumerate(amounts))
        where = c.Where(source="INSTORE", till=("code", "T1"))
        fields = {"where": where, **fields}
        return await self.ok(c.RecordPurchase, number=number, currency="USD", member=member, lines=lines, **fields)

    async def post(self, reference: str, source: str, destination: str, amount: int, **fields: Any) -> Any:
        fields = {"asset": "USD", "precision": 100 if fields.get("asset", "USD") == "USD" else 1, **fields}
        posting = c.Posting(
            reference=reference, source=source, destination=destination, amount=amount, **fields
        )  # fmt: skip
        return await self.ok(c.Post, postings=(posting,))

    async def account(self, member: tuple[str, str], category: str = "regular") -> str:
        """The id of a member's points account."""
        return str(
            await self.value(
                "select a.id::text from accounts a join member_identifiers i"
                " on i.org_id = a.org_id and i.member_no = a.member_no where i.value = %s and a.category = %s",
                member[1],
                category,
            )
        )

    async def transfer(self, reference: str) -> str:
        """The id of the transfer with a reference."""
        return str(await self.value("select id::text from transfers where reference = %s", reference))

    async def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """What the application role sees."""
        async with self.pool.connection() as connection:
            await connection.execute("select set_config('guerdon.org', %s, true)", [str(self.org_id)])
            cursor = connection.cursor(row_factory=tuple_row)
            return await (await cursor.execute(query, values)).fetchall()

    async def value(self, query: str, *values: Any) -> Any:
        return (await self.rows(query, *values))[0][0]


@asynccontextmanager
async def books(dsn: str, code: str = "shop", **settings: Any) -> AsyncIterator[Books]:
    """An organisation that has nothing yet."""
    async with make_pool(dsn, name="books", size_max=4) as pool:
        async with pool.connection() as connection:
            organisation = await organisations.create(connection, code)
        writer = Writer(pool, Settings(**settings))
        await writer.start()
        try:
            yield Books(pool, writer, organisation.org_id)
        finally:
            await writer.stop()


async def everything(b: Books) -> None:
    """All that can happen, once at least: what stays open at the end stays open."""
    await b.set_up()
    ada, bea, cyd = [await b.member(name) for name in ("ada", "bea", "cyd")]
    await _bills(b, ada, bea)
    await _points(b, ada, bea)
    await _postings(b)
    await _holds(b)
    await _points_holds(b, ada, bea)
    await _below_zero(b, cyd)
    await _parts(b, bea)
    await _moves(b, ada, bea)
    b.later(days=31)
    accounts = [row[0] for row in await b.rows("select distinct account from lots where remaining > 0")]
    await b.ok(c.ExpireLots, accounts=tuple(accounts))
    await b.buy("last", ada, 990)
    await _promises(b, bea)
    await _import(b)
    await _rewards(b, await b.member("fay"))
    await _tiers(b)
    await _promotions(b, await b.member("ute"), await b.member("vic"))
    await _issues(b, await b.member("wim"), await b.member("xia"))
    await _backtest(b)
    await _webhooks(b)


async def _bills(b: Books, ada: tuple[str, str], bea: tuple[str, str]) -> None:
    await b.buy("B-1", ada, 10_000, 250)
    await b.buy("B-2", ada, 2_000, 499, spend=30)
    await b.buy("guest", None, 500)
    await b.buy("B-3", bea, 30_050)
    await b.buy("nothing", bea, 0)
    ledger = await b.value("select id::text from ledgers where no = 1")
    holder = await b.value("select m.id::text from members m join member_identifiers i on i.member_no = m.no"
                           " and i.org_id = m.org_id where i.value = %s", bea[1])  # fmt: skip
    wallet = await b.ok(c.OpenAccount, ledger=ledger, asset="USD", member=holder)
    await b.post("load", "@World", wallet.id, 5_000, allow_overdraft=True)
    await b.buy("B-4", bea, 1_200, 300, wallet=wallet.id, meta='{"note":"ä\\"\\\\"}')
    await b.ok(c.ReturnPurchase, purchase=("number", "B-2"), number="R-2", reason="wrong \t size")
    await b.ok(c.ReturnPurchase, purchase=("number", "B-4"), number="R-4")
    await b.ok(c.ReturnPurchase, purchase=("number", "guest"), number="R-guest")


async def _points(b: Books, ada: tuple[str, str], bea: tuple[str, str]) -> None:
    b.later(hours=1, microseconds=40)
    spent = await b.ok(c.Redeem, member=ada, points=20, reference="gift", key="k-1")
    await b.ok(c.Redeem, member=bea, points=7)
    await b.no(c.Redeem, member=bea, points=100_000, key="k-2")
    await b.ok(c.ReverseRedemption, redemption=spent.id, points=5)
    await b.ok(c.ReverseRedemption, redemption=spent.id, points=4)
    await b.ok(c.Award, member=bea, points=40, reason="sorry \u2028 \x7f", meta='{"ticket":7}')
    early = c.Where(event_at=b.now - timedelta(hours=2))
    await b.ok(c.Award, member=ada, points=6, reason="late", where=early)


async def _postings(b: Books) -> None:
    await b.post("free", "@World", "@Shop", 700, allow_overdraft=True, description="déjà vu")
    await b.post("dated", "@World", "@Shop", 300, allow_overdraft=True, effective_at=b.now - timedelta(days=2))
    await b.post("poor", "@Poor", "@Shop", 10, queued=True)
    await b.post("waits", "@World", "@Shop", 11, allow_overdraft=True, scheduled_for=b.now + timedelta(hours=3))
    await b.post("waits longer", "@Shop", "@World", 12, scheduled_for=b.now + timedelta(days=99))
    legs = (c.Leg("@Shop", "percent", 10**11), c.Leg("@Tax", "fixed", 33), c.Leg("@Rest", "left"))
    split = c.Posting(
        asset="USD", amount=999, precision=100, reference="split", source="@World", destinations=legs,
        allow_overdraft=True,
    )  # fmt: skip
    await b.ok(c.Post, postings=(split,))
    bulk = [
        c.Posting(asset="EUR", amount=i, precision=100, reference=f"bulk {i}", source="@A", destination="@B",
                  allow_overdraft=True)
        for i in (1, 2, 3)
    ]  # fmt: skip
    await b.ok(c.Post, postings=tuple(bulk), batch=True, atomic=True)
    await b.ok(c.Refund, target=await b.transfer("free"))
    b.later(hours=4)
    await b.ok(c.RunScheduled, target=await b.transfer("waits"))
    await b.ok(c.Annotate, kind="txn", object=await b.transfer("dated"), meta='{"a":1}')
    await b.ok(c.Annotate, kind="txn", object=await b.transfer("dated"), meta='{"b":2}')


async def _holds(b: Books) -> None:
    for name in ("settled", "partly", "released", "open"):
        await b.post(name, "@World", "@Shop", 100, allow_overdraft=True, inflight=True)
    await b.ok(c.Settle, target=await b.transfer("settled"))
    await b.ok(c.Settle, target=await b.transfer("partly"), amount=30)
    await b.ok(c.Release, target=await b.transfer("released"))
    again = await b.value("select id::text from transfers where action = 'release'")
    await b.ok(c.Refund, target=again)
    ends = {"expires_at": b.now + timedelta(days=400), "commits_at": b.now + timedelta(days=300)}
    await b.post("dated hold", "@World", "@Shop", 100, allow_overdraft=True, inflight=True, **ends)


async def _points_holds(b: Books, ada: tuple[str, str], bea: tuple[str, str]) -> None:
    from_ada, to_bea = await b.account(ada), await b.account(bea)
    await b.post("gift points", from_ada, to_bea, 9, asset="POINTS")
    for name in ("settled points", "partly points", "released points"):
        await b.post(name, from_ada, to_bea, 12, asset="POINTS", inflight=True)
    await b.ok(c.Settle, target=await b.transfer("settled points"))
    await b.ok(c.Settle, target=await b.transfer("partly points"), amount=5)
    await b.ok(c.Release, target=await b.transfer("released points"))
    await b.post("raw points", "@PointsOpening", from_ada, 50, asset="POINTS", allow_overdraft=True)
    await b.post("to refund", from_ada, "@PointsAdjusted", 3, asset="POINTS")
    await b.ok(c.Refund, target=await b.transfer("to refund"))


async def _below_zero(b: Books, cyd: tuple[str, str]) -> None:
    await b.buy("C-1", cyd, 5_000)
    await b.ok(c.Redeem, member=cyd, points=45)
    await b.ok(c.ReturnPurchase, purchase=("number", "C-1"), number="R-C-1")
    await b.ok(c.Award, member=cyd, points=8, reason="repays a part")


async def _rewards(b: Books, fay: tuple[str, str]) -> None:
    """Claims wherever a fulfilment can stand, of rewards with and without a price of their own, and a wallet credit."""
    await b.ok(c.Award, member=fay, points=500, reason="to claim with")
    listed = await b.ok(c.CreateRewardList, terms=ListTerms(name="Things", price=10, limit=50))
    mug = await b.ok(c.CreateReward, list=listed.id, terms=RewardTerms(name="Mug", price=7), stock=20)
    pen = await b.ok(c.CreateReward, list=listed.id, terms=RewardTerms(name="Pen"))
    await b.ok(c.CreateReward, list=listed.id, terms=RewardTerms(name="Nobody's"))
    for status in ("", "processing", "completed", "denied", "cancelled"):
        for reward in (mug, pen):
            claimed = await b.ok(c.ClaimReward, member=fay, reward=reward.id)
            if status:
                b.later(seconds=1)
                await b.ok(c.MoveClaim, claim=claimed.id, status=status, reason="so it is")
    await b.no(c.MoveClaim, claim=claimed.id, status="completed")
    credit = RewardTerms(name="Five", kind="wallet_credit", asset="USD", amount=500)
    five = await b.ok(c.CreateReward, list=listed.id, terms=credit, stock=1)
    (member,) = await b.rows("select m.id::text from members m join member_identifiers i on i.org_id = m.org_id"
                             " and i.member_no = m.no where i.value = %s", fay[1])  # fmt: skip
    ledger = await b.ok(c.OpenLedger, name="Purses")
    purse = await b.ok(c.OpenAccount, ledger=ledger.id, asset="USD", member=member[0])
    await b.ok(c.ClaimReward, member=fay, reward=five.id, wallet=purse.id)
    await b.no(c.ClaimReward, member=fay, reward=five.id, wallet=purse.id)
    await b.ok(c.ChangeReward, reward=five.id, terms=credit, restock=True, stock=3)
    await b.ok(c.ChangeRewardList, list=listed.id, terms=ListTerms(name="Things", price=12, visibility="lock"))


async def _promotions(b: Books, gil: tuple[str, str], hal: tuple[str, str]) -> None:
    """Promotions and codes: used with and without a purchase, given back, kept for carts, linked and switched off."""
    limits = (
        Limit(code="all", kpi="discount", limit=100_000),
        Limit(code="each", kpi="purchases", limit=5, per="customer"),
        Limit(code="week", kpi="uses", limit=9, window="rolling", days=7, min_seconds_between=1),
    )
    effects = (Percent(ppm=100_000), Points(points=7))
    terms = Promotion(
        id="", name="Ten off", effects=effects, limits=limits, on_return="give_back",
        budget=Budget(code="spring", limit=50_000, on_exceed="partial"),
    )  # fmt: skip
    ten = await b.ok(c.CreatePromotion, terms=terms)
    b.later(seconds=1)
    await b.ok(c.ChangePromotion, promotion=ten.terms.id, terms=terms)
    await b.ok(c.CopyPromotion, promotion=ten.terms.id, name="Not yet")
    pays = Promotion(id="", name="Pays", effects=(Voucher(value=300),), stores=frozenset({"S1"}))
    await b.ok(c.CreatePromotion, terms=pays)
    await b.ok(c.SetLane, number=3, mode="best", once=True)
    await _codes(b, gil, hal)
    for number, member in (("Q-1", gil), ("Q-2", gil), ("Q-3", None)):
        await b.buy(number, member, 2_001, 999, promotions=True)
        b.later(seconds=2)
    some = (c.ReturnLine(line=2, quantity=500),)
    await b.ok(c.ReturnPurchase, purchase=("number", "Q-1"), number="R-Q-1", lines=some)
    await b.ok(c.ReturnPurchase, purchase=("number", "Q-1"), number="R-Q-2")
    line = (c.Line(sku="bread", quantity=1000, amount=2_000),)
    cart: dict[str, Any] = {"currency": "USD", "lines": line, "member": gil}
    await b.ok(c.CommitCart, number="W-1", codes=("SHARED",), **cart)
    b.later(seconds=2)
    for name, seconds in (("held", 86_400), ("gone", 86_400), ("gone", 0), ("late", 1)):
        await b.ok(c.EvaluateCart, cart=name, reserve_seconds=seconds, **cart)
        b.later(seconds=2)
    await b.ok(c.CommitCart, number="W-2", currency="USD", lines=(*line, *line), member=hal)
    part = (c.ReturnLine(line=2, quantity=300),)
    await b.ok(c.ReturnCart, commit=("number", "W-2"), number="V-1", lines=part, reason="too many")
    await b.ok(c.ReturnCart, commit=("number", "W-2"), number="V-2")
    await b.no(c.ReturnCart, commit=("number", "W-2"), number="V-3")
    b.later(seconds=2)
    let_go = await b.ok(c.EvaluateCart, cart="let go", reserve_seconds=600, **cart)
    await b.ok(c.CancelReservation, reservation=let_go.reservation)
    kept = await b.ok(c.EvaluateCart, cart="bought", reserve_seconds=600, **cart)
    await b.ok(c.RecordPurchase, number="Q-4", reservation=kept.reservation, **cart)
    await b.no(c.RecordPurchase, number="Q-5", reservation=kept.reservation, **cart)
    await Codes(b.pool).count_tries(b.org_id, "somebody", 3, b.now, WINDOW)


async def _codes(b: Books, gil: tuple[str, str], hal: tuple[str, str]) -> None:
    """A batch that is made, of which a code had been brought in before, and one that was brought in."""
    each = (Limit(code="once", per="code", limit=3), Limit(code="slowly", per="customer", min_seconds_between=1))
    terms = Promotion(id="", name="Five off", kind="code", lane=3, effects=(Percent(ppm=50_000),), limits=each)
    promotion = (await b.ok(c.CreatePromotion, terms=terms)).terms.id
    form, seed = Form(pattern="###-###"), bytes(range(32))
    first, second, *_ = generate(form, seed, 0, 9)
    brought = await b.ok(c.CreateCodeBatch, promotion=promotion, name="brought", partner="Bakery", channel="paper")
    await b.ok(c.AddCodes, batch=brought.id, codes=("SHARED", "ZN34C", "ZN34D", second))
    made = await b.ok(c.CreateCodeBatch, promotion=promotion, form=form, seed=seed, count=6, name="made")
    await b.ok(c.AddCodes, batch=made.id, codes=tuple(generate(form, seed, 0, 6)), start=0)
    await b.ok(c.AddCodes, batch=made.id, codes=tuple(generate(form, seed, 6, 1)), start=6)
    await b.no(c.AddCodes, batch=made.id, codes=tuple(generate(form, seed, 6, 1)), start=6)
    await b.ok(c.MoreCodes, batch=made.id, count=2)
    await b.ok(c.LinkCode, member=gil, code="ZN34C", mode="DISCOUNT")
    await b.no(c.LinkCode, member=hal, code="ZN34C", mode="DISCOUNT")
    for active in (False, True, False):
        b.later(seconds=1)
        await b.ok(c.SwitchCodes, code="ZN34D", active=active, reason="who knows")
    for active in (False, True):
        await b.ok(c.SwitchCodes, batch=made.id, active=active)
    for number, member, code in (("K-1", hal, "shared"), ("K-2", hal, first), ("K-3", hal, "SHARED")):
        b.later(seconds=2)
        await b.buy(number, member, 3_000, codes=(code,))
    await b.no(c.RecordPurchase, number="K-4", currency="USD", lines=(c.Line(sku="a", quantity=1000, amount=9),),
               codes=("ZN34D",))  # fmt: skip
    await b.ok(c.Award, member=gil, points=50, reason="to claim with")
    listed = await b.ok(c.CreateRewardList, terms=ListTerms(name="Codes", price=10))
    with_code = RewardTerms(name="Five off", kind="discount_code", codes=made.id, low_stock=5)
    reward = await b.ok(c.CreateReward, list=listed.id, terms=with_code, stock=7)
    for _ in range(2):
        claimed = await b.ok(c.ClaimReward, member=gil, reward=reward.id)
    await b.ok(c.MoveClaim, claim=claimed.id, status="cancelled", reason="by mistake")


async def _issues(b: Books, wim: tuple[str, str], xia: tuple[str, str]) -> None:
    """Promotions given to members: one and many, activated, used, taken back, and merged away."""
    once = (Limit(code="once", kpi="purchases", limit=1, per="issue"),)
    terms = Promotion(
        id="", name="For you", kind="member", lane=7, effects=(Percent(ppm=20_000),), limits=once,
        issuing=Issuing(activation=True, days=3, per_member=2),
    )  # fmt: skip
    promotion = (await b.ok(c.CreatePromotion, terms=terms)).terms.id
    many = await b.ok(c.IssuePromotions, promotion=promotion, members=(wim, xia, ("external_id", "nobody")))
    first, second, _ = many.rows
    period = {"starts_at": b.now, "ends_at": b.now + timedelta(days=30)}
    third = await b.ok(c.IssuePromotion, promotion=promotion, member=xia, reason="a birthday", **period)
    await b.no(c.IssuePromotion, promotion=promotion, member=xia)
    b.later(seconds=1)
    for issue in (second.issued, third):
        await b.ok(c.ActivateIssue, member=xia, issue=issue.id)
    await b.buy("I-1", xia, 5_000, promotions=True)
    await b.ok(c.MergeMembers, victim=xia, survivor=wim)
    await b.ok(c.RevokeIssue, issue=third.id)
    await b.ok(c.RevokeIssue, issue=first.issued.id)
    await b.ok(c.RunPromotion, promotion=promotion, status="ended")


async def _backtest(b: Books) -> None:
    """One asked for over the API."""
    async with b.pool.connection() as connection:
        await backtests.ask(
            connection, b.org_id, id=str(uuid_utils.uuid7()), name="Ten off", actor="tester", key="K", fingerprint=b"",
            asked="{}", now=b.now,
        )  # fmt: skip


async def _webhooks(b: Books) -> None:
    """An endpoint that got one message, and a member whose next one failed; another that failed for good."""
    hook = await b.ok(c.AddWebhook, url="https://example.com/hook", filters=("points.*", "reward.*"))
    dead = await b.ok(c.AddWebhook, url="https://example.com/dead")
    await b.ok(c.ReplayWebhook, target=hook.id, after=0)
    await b.ok(c.RotateWebhookSecret, target=hook.id, overlap=timedelta(hours=1))
    await b.ok(c.NoteFailingWebhook, target=dead.id, since=b.now, reason="it answered 500")
    await b.ok(c.PauseWebhook, target=dead.id, reason="it answered 410 Gone")
    async with b.pool.connection() as connection:
        desk = Desk(connection, b.org_id, str(uuid_utils.uuid7()), timedelta(minutes=1))
        turn, _ = await desk.take(hook.id, b.now, most=500, each=5, probing_from=8)
        assert turn is not None
        (member, messages), *_ = turn.messages.items()
        done = [
            Attempt(seq=one.seq, id=one.id, type=TYPES[one.name], attempt=1, outcome=outcome, status=status,
                    sent_at=b.now, duration_ms=3, answer="ok")
            for one, outcome, status in zip(messages, ("delivered", "failed"), (200, 500), strict=False)
        ]  # fmt: skip
        behind = Behind(member_no=member, seq=messages[0].seq, attempts=1, failed_since=b.now, next_at=b.now)
        standing = msgspec.structs.replace(turn.standing, seq=turn.until, last_success_at=b.now)
        assert await desk.advance(hook.id, standing, behind=[behind], caught_up=[], log=done, hurry=None)


async def _promises(b: Books, bea: tuple[str, str]) -> None:
    """Points brought along, released, unlocked, and made to end at another time."""
    where = c.Where(event_at=b.now - timedelta(days=10), imported=True)
    waits = {"category": "promised", "release_on": (b.now + timedelta(days=2)).date()}
    for number, more in enumerate[dict[str, Any]](({}, waits, {"category": "trigger_based", "trigger": "review"})):
        fields: dict[str, Any] = {"kind": "points", "points": 20, "reference": f"lot {number}", **more}
        await b.ok(c.ImportPoints, member=bea, where=where, **fields)
    await b.ok(c.ImportPoints, kind="redemption", member=bea, points=4, reference="spent")
    await b.ok(c.UnlockPoints, member=bea, trigger="review")
    await b.ok(c.ChangeExpiry, member=bea, days=3, reference="longer")
    b.later(days=3)
    await b.ok(c.Award, member=bea, points=1, reason="posts what was released")


async def _tiers(b: Books) -> None:
    """Tiers reached, lapsed, returned and merged away; a second structure; lists and conditions."""
    levels = (Level(code="blue", name="Blue", at_least=0), Level(code="gold", name="Gold", at_least=5_000))
    terms = TierTerms(
        figure="spend", window=Window(kind="rolling", days=30), levels=levels, timezone="UTC", currency="USD",
        notice_days=3,
    )  # fmt: skip
    program = ("code", str(await b.value("select code from programs where no = (select min(no) from programs)")))
    await b.ok(c.ChangeTiers, program=program, terms=terms)
    tia, uma = await b.member("tia"), await b.member("uma")
    nos = [row[0] for row in await b.rows("select no from members where status <> 'merged' order by no")]
    await b.ok(c.ReviewTiers, members=tuple(nos), program_no=1, version=1, walked=nos[-1])
    await b.buy("tier bill 1", tia, 6_000)
    await b.buy("tier bill 2", uma, 6_000)
    await b.ok(
        c.ReturnPurchase,
        purchase=("number", "tier bill 2"),
        number="tier return 2",
        lines=(c.ReturnLine(line=1, quantity=500),),
    )
    b.later(days=29)
    await b.ok(c.ReviewTiers, members=tuple(nos))
    await b.buy("tier bill 3", uma, 100, where=c.Where(event_at=b.now - timedelta(days=2), imported=True))
    await b.ok(c.MergeMembers, victim=uma, survivor=tia)
    easier = (levels[0], Level(code="gold", name="Gold", at_least=50))
    await b.ok(c.ChangeTiers, program=program, terms=msgspec.structs.replace(terms, levels=easier))
    await b.ok(c.ReviewTiers, members=tuple(nos))
    condition = TierIs(program=program[1], values=("gold",))
    await b.ok(c.CreateSegment, code="golden", name="Golden", condition=condition)
    await b.ok(c.CreateSegment, code="vip", name="People we know")
    await b.ok(c.ChangeSegment, segment="vip", name="People we like")
    await b.ok(c.ListMembers, segment="vip", members=(tia,))
    await b.ok(c.ListMembers, segment="vip", members=(tia,), present=False)


async def _import(b: Books) -> None:
    """One asked for over the API, and what became of its row."""
    id = str(uuid_utils.uuid7())
    async with b.pool.connection() as connection:
        await imports.ask(
            connection, b.org_id, id=id, kind="members", program="", actor="tester", key="K", fingerprint=b"",
            content="[{}]", rows=1, now=b.now,
        )  # fmt: skip
        await imports.write(connection, b.org_id, id, [imports.Result(1, "rejected", "invalid_value", "external_id")])


async def _parts(b: Books, bea: tuple[str, str]) -> None:
    await b.buy("P-1", bea, 1_000, 499, 4_333, spend=20)
    part = (c.ReturnLine(line=2, quantity=333), c.ReturnLine(line=1, quantity=500))
    await b.ok(c.ReturnPurchase, purchase=("number", "P-1"), number="R-P-1", lines=part)
    await b.ok(c.ReturnPurchase, purchase=("number", "P-1"), number="R-P-2", lines=part)
    await b.ok(c.ReturnPurchase, purchase=("number", "P-1"), number="R-P-3")


async def _moves(b: Books, fay: tuple[str, str], bea: tuple[str, str]) -> None:
    """What members and staff move, and a merge with what becomes of the victim's facts."""
    policies = Policies(
        rules=(Rule(code="base", kind="per_amount", points=1, amount=100),), redemption_rate=RedemptionRate(10, 100),
        currency="USD", on_shortfall="write_off", adjustment_limit=10, minimum_lifetime=5,
        referral=ReferralPoints(20, 10), transfers=TransferLimits(points_per_day=50),
        low_pool=LowPool(points=-100, filled=-50),
    )  # fmt: skip
    await b.ok(c.CreateProgram, code="cafe", name="Cafe", asset="POINTS", policies=policies)
    cafe = ("code", "cafe")
    dan, eli = await b.member("dan"), await b.member("eli")
    await b.buy("D-1", dan, 10_000, program=cafe)
    await b.ok(c.TransferPoints, member=dan, recipient=bea, points=30, program=cafe, reason="a present")
    await b.no(c.TransferPoints, member=dan, recipient=bea, points=21, program=cafe)
    referral = await b.ok(c.Refer, referrer=dan, referred=bea, program=cafe)
    await b.ok(c.Refer, referrer=fay, referred=eli, program=cafe)
    await b.ok(c.AdjustPoints, member=dan, points=-4, reason="counted twice", person="eve", program=cafe)
    waits = await b.ok(c.AdjustPoints, member=dan, points=40, reason="promised", person="eve", program=cafe)
    await b.no(c.DecideAdjustment, adjustment=waits.id, approve=True, person="eve")
    await b.ok(c.DecideAdjustment, adjustment=waits.id, approve=True, person="sam", reason="seen")
    for approve in (False, None):
        asked = await b.ok(c.AdjustPoints, member=bea, points=-11, reason="who knows", person="eve", program=cafe)
        if approve is not None:
            await b.ok(c.DecideAdjustment, adjustment=asked.id, approve=approve, person="sam")
    rows = tuple(c.Allocation(member=each, points=points, reason="week") for each, points in ((fay, 3), (dan, 0)))
    await b.ok(c.AwardMany, rows=rows, program=cafe)
    spent = await b.ok(c.Redeem, member=dan, points=110, program=cafe, group=True)
    await b.ok(c.ReturnPurchase, purchase=("number", "D-1"), number="R-D-1")
    await b.buy("E-1", eli, 3_000, program=cafe)
    await b.ok(c.MergeMembers, victim=dan, survivor=eli, reason="one person")
    await b.ok(c.ReverseRedemption, redemption=spent.id, points=60)
    await b.ok(c.ReturnReferral, referral=referral.id, reason="it was the same person")


def change(superuser_dsn: str, *statements: str) -> None:
    """Do to the database what only a superuser with the triggers off can do."""
    with psycopg.connect(superuser_dsn) as connection:
        connection.execute("set session_replication_role = replica")
        for statement in statements:
            connection.execute(statement)
