"""Scenarios on the core: one command at a time in memory, or in groups through a store that loads what keys name."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from guerdon.core import catalogue
from guerdon.core import commands as c
from guerdon.core.accounts import Account, Figures
from guerdon.core.decide import decide
from guerdon.core.outcomes import Accepted, Outcome, Rejected
from tests.core.world import empty_state
from tests.model.auditor import audit
from tests.model.store import MemoryStore, run
from tests.scenarios.language import (
    OBSERVATIONS,
    SCALES,
    Scenario,
    Step,
    list_terms,
    minor,
    moment,
    parts,
    reward_terms,
    terms,
)
from tests.scenarios.language import seen as told
from tests.scenarios.promotion_drivers import PromotionCommands, lacks, observe_uses, off, reason
from tests.scenarios.tier_drivers import TierCommands, observe_tiers
from tests.scenarios.tier_words import OBSERVATIONS as TIER_OBSERVATIONS


class Rows(Protocol):
    """Where a finished run's rows can be looked at, by table."""

    def __call__(self, table: str) -> dict[Any, Any]: ...


class Translator(PromotionCommands, TierCommands):
    """Steps as commands. Names in the scenario become ids that are known beforehand, since commands bring their own."""

    def __init__(self) -> None:
        self.scales = dict(SCALES)
        self.ids: dict[str, str] = {}
        self._count = 0
        self._prepared: set[str] = set()

    def commands(self, step: Step) -> list[c.Command]:
        """The commands of one step; those before the last one prepare it and must be accepted."""
        found = self._prepare(step)
        found.append(getattr(self, f"_{step.verb}")(step))
        return found

    def _envelope(self, at: datetime, name: str = "") -> dict[str, Any]:
        self._count += 1
        id = f"01900000-0000-7000-8000-{self._count:06x}000000"
        if name:
            self.ids.setdefault(name, id)
        return {"id": id, "at": at, "actor": "till"}

    def _prepare(self, step: Step) -> list[c.Command]:
        """Assets and the ledger of raw accounts exist from their first use."""
        found: list[c.Command] = []
        if step.verb == "program":
            codes = {"USD": 2, "POINTS": terms(step["terms"]).scale}
            for code, scale in codes.items():
                if code not in self._prepared:
                    found.append(c.CreateAsset(**self._envelope(step.at), code=code, scale=scale))
                    self.scales[code] = scale
                    self._prepared.add(code)
        if step.verb == "codes":
            found += self.batch_for(step)
        if step.verb in ("open", "wallet") and "books" not in self._prepared:
            found.append(c.OpenLedger(**self._envelope(step.at, "books"), name="Books"))
            self._prepared.add("books")
        return found

    def points(self, text: str) -> int:
        return minor(text, self.scales["POINTS"])

    def account(self, name: str) -> str:
        """An account as a posting names it. A member stands for their points, whose id follows from their joining."""
        if name.startswith("@"):
            return name
        return self.ids[f"account {name}"]

    def _program(self, step: Step) -> c.Command:
        return c.CreateProgram(
            **self._envelope(step.at),
            code=step["name"],
            name=step["name"],
            asset="POINTS",
            policies=terms(step["terms"]).policies,
        )

    def _change(self, step: Step) -> c.Command:
        return c.ChangeProgram(
            **self._envelope(step.at),
            program=("code", step["name"]),
            policies=terms(step["terms"]).policies,
            starts_at=moment(step["starts_at"]) if step["starts_at"] else None,
        )

    def _open(self, step: Step) -> c.Command:
        self.scales.setdefault(step["asset"], 0)
        ledger = self.ids["books"]
        return c.OpenAccount(**self._envelope(step.at, f"account {step['name']}"), ledger=ledger, asset=step["asset"])

    def _wallet(self, step: Step) -> c.Command:
        return c.OpenAccount(
            **self._envelope(step.at, f"account {step['name']}"),
            ledger=self.ids["books"],
            asset=step["asset"],
            member=self.ids[f"member {step['member']}"],
        )

    def _join(self, step: Step) -> c.Command:
        name = step["member"]
        envelope = self._envelope(step.at, f"member {name}")
        # The event takes the first ordinal, then one account per program and category: regular of the first program.
        self.ids[f"account {name}"] = f"{envelope['id'][:30]}000002"
        return c.RegisterMember(**envelope, identifiers=(("external_id", name),))

    def _buy(self, step: Step) -> c.Command:
        return c.RecordPurchase(
            **self._envelope(step.at, f"purchase {step['number']}"),
            number=step["number"],
            currency="USD",
            member=None if step["member"] == "a guest" else ("external_id", step["member"]),
            lines=self.cart_lines(step),
            **self.bought_with(step),
            program=("code", step["program"]) if step["program"] else None,
            spend=self.points(step["spend"] or "0"),
            wallet=self.account(step["wallet"]) if step["wallet"] else "",
            where=c.Where(
                event_at=moment(step["event_at"]) if step["event_at"] else None, imported=bool(step["imported"])
            ),
        )

    def _return(self, step: Step) -> c.Command:
        lines = parts(step["lines"])
        return c.ReturnPurchase(
            **self._envelope(step.at),
            purchase=("number", step["purchase"]),
            number=step["number"],
            lines=tuple(c.ReturnLine(quantity=q, line=line, sku=sku) for q, line, sku in lines) if lines else None,
            where=c.Where(event_at=moment(step["event_at"]) if step["event_at"] else None),
        )

    def _redeem(self, step: Step) -> c.Redeem:
        return c.Redeem(
            **self._envelope(step.at, step["reference"]),
            member=("external_id", step["member"]),
            points=self.points(step["points"]),
            program=("code", step["program"]) if step["program"] else None,
            group=bool(step["group"]),
            reference=step["reference"],
        )

    def _preview(self, step: Step) -> c.Command:
        return c.PreviewRedemption(**self._envelope(step.at), of=self._redeem(step))

    def _transfer(self, step: Step) -> c.Command:
        return c.TransferPoints(
            **self._envelope(step.at),
            member=("external_id", step["member"]),
            recipient=("external_id", step["recipient"]),
            points=self.points(step["points"]),
        )

    def _merge(self, step: Step) -> c.Command:
        victim, survivor = ("external_id", step["member"]), ("external_id", step["survivor"])
        return c.MergeMembers(**self._envelope(step.at), victim=victim, survivor=survivor)

    def _refer(self, step: Step) -> c.Command:
        referrer, referred = ("external_id", step["member"]), ("external_id", step["referred"])
        return c.Refer(**self._envelope(step.at, step["reference"]), referrer=referrer, referred=referred)

    def _unrefer(self, step: Step) -> c.Command:
        return c.ReturnReferral(**self._envelope(step.at), referral=self.ids[step["reference"]])

    def _adjust(self, step: Step) -> c.Command:
        return c.AdjustPoints(
            **self._envelope(step.at, step["reference"]),
            member=("external_id", step["member"]),
            points=self.points(step["points"]),
            reason="counted again",
            person=step["person"],
        )

    def _decide(self, step: Step) -> c.Command:
        return c.DecideAdjustment(
            **self._envelope(step.at),
            adjustment=self.ids[step["reference"]],
            approve=step["decision"] == "approves",
            person=step["person"],
        )

    def _bulk(self, step: Step) -> c.Command:
        points = self.points(step["points"])
        members = step["members"].split(" and ")
        rows = tuple(c.Allocation(member=("external_id", name), points=points, reason="week") for name in members)
        return c.AwardMany(**self._envelope(step.at), rows=rows)

    def _reverse(self, step: Step) -> c.Command:
        return c.ReverseRedemption(
            **self._envelope(step.at),
            redemption=self.ids[step["reference"]],
            points=self.points(step["points"]) if step["points"] else None,
        )

    def _list(self, step: Step) -> c.Command:
        terms = list_terms(step["name"], step["terms"], self.scales["POINTS"])
        return c.CreateRewardList(**self._envelope(step.at, f"list {step['name']}"), terms=terms)

    def _relist(self, step: Step) -> c.Command:
        terms = list_terms(step["name"], step["terms"], self.scales["POINTS"])
        return c.ChangeRewardList(**self._envelope(step.at), list=self.ids[f"list {step['name']}"], terms=terms)

    def _reward(self, step: Step) -> c.Command:
        terms, stock = reward_terms(step["name"], step["terms"], self.scales["POINTS"])
        envelope = self._envelope(step.at, f"reward {step['name']}")
        return c.CreateReward(**envelope, list=self.ids[f"list {step['list']}"], terms=terms, stock=stock)

    def _restock(self, step: Step) -> c.Command:
        terms, stock = reward_terms(step["name"], step["terms"], self.scales["POINTS"])
        reward = self.ids[f"reward {step['name']}"]
        return c.ChangeReward(**self._envelope(step.at), reward=reward, terms=terms, restock=True, stock=stock)

    def _claim(self, step: Step) -> c.Command:
        return c.ClaimReward(
            **self._envelope(step.at, step["reference"]),
            member=("external_id", step["member"]),
            reward=self.ids[f"reward {step['reward']}"],
            wallet=self.account(step["wallet"]) if step["wallet"] else "",
        )

    def _fulfil(self, step: Step) -> c.Command:
        status: Any = step["status"]
        return c.MoveClaim(**self._envelope(step.at), claim=self.ids[step["reference"]], status=status)

    def _award(self, step: Step) -> c.Command:
        member = ("external_id", step["member"])
        program = ("code", step["program"]) if step["program"] else None
        points = self.points(step["points"])
        return c.Award(**self._envelope(step.at), member=member, points=points, reason="goodwill", program=program)

    def _expire(self, step: Step) -> c.Command:
        raise AssertionError("expiry names accounts by number; the driver makes this command")

    def _unlock(self, step: Step) -> c.Command:
        return c.UnlockPoints(
            **self._envelope(step.at),
            member=("external_id", step["member"]),
            program=("code", step["program"]) if step["program"] else None,
            purchase=("number", step["purchase"]) if step["purchase"] else None,
            line=int(step["line"]) if step["line"] else None,
            trigger=step["trigger"],
        )

    def _redate(self, step: Step) -> c.Command:
        return c.ChangeExpiry(
            **self._envelope(step.at),
            member=("external_id", step["member"]),
            purchase=("number", step["purchase"]) if step["purchase"] else None,
            last_day=date.fromisoformat(step["last_day"]) if step["last_day"] else None,
            days=int(step["days"]) if step["days"] else None,
            never=bool(step["never"]),
            reference=step["reference"],
        )

    def _import(self, step: Step) -> c.Command:
        return c.ImportPoints(
            **self._envelope(step.at),
            kind=step["kind"],  # type: ignore[arg-type]
            member=("external_id", step["member"]),
            points=self.points(step["points"]),
            reference=step["reference"],
            program=("code", step["program"]) if step["program"] else None,
            category=step["category"] or "regular",  # type: ignore[arg-type]
            last_day=date.fromisoformat(step["last_day"]) if step["last_day"] else None,
            where=c.Where(event_at=moment(step["event_at"]) if step["event_at"] else None, imported=True),
        )

    def _status(self, step: Step) -> c.Command:
        member = ("external_id", step["member"])
        return c.ChangeMember(**self._envelope(step.at), member=member, status=step["status"])  # type: ignore[arg-type]

    def _posting(self, step: Step, **fields: Any) -> c.Posting:
        scale = self.scales.get(step["asset"], 0)
        return c.Posting(
            asset=step["asset"],
            amount=minor(step["amount"], scale),
            precision=10**scale,
            reference=step["reference"],
            source=self.account(step["source"]),
            allow_overdraft=bool(step["overdraft"]),
            queued=bool(step["queued"]),
            **fields,
        )

    def _pay(self, step: Step) -> c.Command:
        posting = self._posting(step, destination=self.account(step["destination"]), inflight=step["kind"] == "pledges")
        return c.Post(**self._envelope(step.at, step["reference"]), postings=(posting,))

    def _split(self, step: Step) -> c.Command:
        legs = []
        for leg in step["legs"].split(", "):
            name, _, share = leg.partition(" ")
            if share == "the rest":
                legs.append(c.Leg(self.account(name), "left"))
            elif share.endswith(" %"):
                legs.append(c.Leg(self.account(name), "percent", minor(share[:-2], 10)))
            else:
                legs.append(c.Leg(self.account(name), "fixed", minor(share, self.scales.get(step["asset"], 0))))
        posting = self._posting(step, destinations=tuple(legs))
        return c.Post(**self._envelope(step.at, step["reference"]), postings=(posting,), atomic=True)

    def _settle(self, step: Step) -> c.Command:
        amount = int(step["amount"]) if step["amount"] else None
        return c.Settle(**self._envelope(step.at), target=self.ids[step["reference"]], amount=amount)

    def _release(self, step: Step) -> c.Command:
        return c.Release(**self._envelope(step.at), target=self.ids[step["reference"]])

    def _refund(self, step: Step) -> c.Command:
        return c.Refund(**self._envelope(step.at), target=self.ids[step["reference"]], queued=bool(step["queued"]))


class CoreDriver:
    """One command at a time, everything in memory, an audit after each."""

    def __init__(self) -> None:
        self._state = empty_state()
        self._translator = Translator()

    def run(self, scenario: Scenario) -> None:
        for step in scenario.steps:
            if step.verb in OBSERVATIONS:
                observe(step, self._rows, self._translator)
                continue
            *before, command = commands(step, self._translator, self._rows)
            for each in before:
                assert isinstance(decide(each, self._state), Accepted)
            outcome = decide(command, self._state)
            check(step, outcome, self._rows, self._translator)
            audit(self._rows)

    def _rows(self, table: str) -> dict[Any, Any]:
        if table == "promotion_versions":
            return {key[1:]: terms for key, terms in self._state.found.items() if key[0] == table.removesuffix("s")}
        rows: dict[Any, Any] = getattr(self._state, table)
        return rows


class GroupingDriver:
    """The same commands in random groups, each group loading only what its keys name."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._store = MemoryStore()
        self._translator = Translator()
        self._waiting: list[tuple[Step | None, c.Command]] = []

    def run(self, scenario: Scenario) -> None:
        for step in scenario.steps:
            if step.verb in OBSERVATIONS:
                self._flush()
                observe(step, self._store.rows, self._translator)
                continue
            if step.verb == "expire":
                self._flush()
            *before, command = commands(step, self._translator, self._store.rows)
            self._waiting += [(None, each) for each in before]
            self._waiting.append((step, command))
        self._flush()

    def _flush(self) -> None:
        sizes = [self._random.choice((1, 2, 3, 8)) for _ in self._waiting]
        outcomes = run(self._store, [command for _, command in self._waiting], sizes)
        for (step, _), outcome in zip(self._waiting, outcomes, strict=True):
            if step is None:
                assert isinstance(outcome, Accepted), outcome
            else:
                check(step, outcome, self._store.rows, self._translator)
        self._waiting.clear()
        audit(self._store.rows)


def commands(step: Step, translator: Translator, rows: Rows) -> list[c.Command]:
    if step.verb != "expire":
        return translator.commands(step)
    numbers = tuple(no for no, account in rows("accounts").items() if account.member_no == _member(rows, step))
    return [c.ExpireLots(**translator._envelope(step.at), accounts=numbers)]


# -- what is expected, and what is there ---------------------------------------------------------------------


def check(step: Step, outcome: Outcome, rows: Rows, translator: Translator) -> None:
    """Whether a step came out as its line says."""
    if step.refusal == "rejected":
        assert isinstance(outcome, Accepted), f"{step.where}: {outcome}"
        made = [rows("transfers")[seq].status for seqs in outcome.result.transfers for seq in seqs]
        assert made, step.where
        assert set(made) == {"REJECTED"}, f"{step.where}: {made}"
        return
    if step.refusal:
        assert isinstance(outcome, Rejected), f"{step.where}: {outcome}"
        assert outcome.code.value == step.refusal, f"{step.where}: {outcome}"
        assert not step.because or reason(outcome.detail) == step.because, f"{step.where}: {outcome}"
        return
    assert isinstance(outcome, Accepted), f"{step.where}: {outcome}"
    assert outcome.replayed is step.replayed, f"{step.where}: replayed is {outcome.replayed}"
    for name, value in step.expected:
        scale = {"paid": 2, "off": 2, "lacks": 2, "refused": 0}.get(name, translator.scales["POINTS"])
        found = _FIGURES[name](outcome.result)
        assert found == minor(value, scale), f"{step.where}: {name} is {found}, not {value}"
    if step.verb == "pay":
        statuses = [rows("transfers")[seq].status for seqs in outcome.result.transfers for seq in seqs]
        assert statuses == ["INFLIGHT" if step["kind"] == "pledges" else "APPLIED"], f"{step.where}: {statuses}"


_FIGURES: dict[str, Callable[[Any], int]] = {
    "off": off,
    "lacks": lacks,
    "paid": lambda result: result.paid,
    "earned": lambda result: sum(earned.points for earned in result.earned),
    "spent": lambda result: result.spent_points,
    "returned": lambda result: result.returned_points,
    "restored": lambda result: result.restored_points,
    "written off": lambda result: result.written_off,
    "expired": lambda result: result.expired,
    "refused": lambda result: sum(row.refused is not None for row in result.rows),
    "balance": lambda result: result.balance,
    "unlocked": lambda result: result.points,
}


def observe(step: Step, rows: Rows, translator: Translator) -> None:
    """Whether what can be seen now is what the line says."""
    if step.verb == "ledger":
        member_no = _member(rows, step)
        events = [event for _, event in sorted(rows("events").items()) if event.member_no == member_no]
        seen = ", ".join(f"{event.name} {event.points:+d}" for event in events)
        assert seen == step["events"], f"{step.where}: {seen}"
    elif step.verb == "figures":
        asset = step["asset"] or ("USD" if step["name"].startswith("@Revenue") else "POINTS")
        figures = _internal(rows, step["name"], asset)
        scale = translator.scales.get(asset, 0)
        assert (figures.debit, figures.credit) == (minor(step["debit"], scale), minor(step["credit"], scale)), (
            f"{step.where}: {figures}"
        )
    elif step.verb == "account":
        id = translator.ids[f"account {step['name']}"]
        account = next(account for account in rows("accounts").values() if account.id == id)
        balance = rows("figures")[account.no].balance
        assert balance == minor(step["amount"], translator.scales.get(account.asset, 0)), f"{step.where}: {balance}"
    elif step.verb == "stock":
        (reward,) = (each for each in rows("rewards").values() if each.terms.name == step["name"])
        assert reward.stock == int(step["count"]), f"{step.where}: {reward}"
    elif step.verb == "used":
        observe_uses(step, rows("promotion_uses").values(), translator.ids)
    elif step.verb in TIER_OBSERVATIONS:
        observe_tiers(step, rows, _member(rows, step))
    elif step.verb == "sees":
        seen = ", ".join(_seen(step, rows)) or "nothing"
        assert seen == step["rewards"], f"{step.where}: {seen}"
    else:
        _observe_points(step, rows, translator)


def _seen(step: Step, rows: Rows) -> Iterator[str]:
    """What a member sees of every list, by the core's own rule."""
    member_no = _member(rows, step)
    mine = [each for each in rows("claims").values() if each.member_no == member_no]
    mine = [each for each in mine if each.status not in ("denied", "cancelled")]
    order = sorted(rows("reward_lists").values(), key=lambda each: (each.terms.priority, each.id))
    for listed in order:
        spendable = _spendable(step, rows, _account_of(rows, member_no, "regular"))
        for reward in sorted(rows("rewards").values(), key=lambda each: str(each.id)):
            if reward.list_id == listed.id:
                done = catalogue.Claimed(
                    sum(each.list_id == listed.id for each in mine), sum(each.reward_id == reward.id for each in mine)
                )
                made = catalogue.offer(listed, reward, spendable, done, step.at)
                if catalogue.is_shown(listed, made):
                    locked = made.refusal is not None and listed.terms.visibility == "lock"
                    yield told(reward.terms.name, made.affordable, locked, made.shortfall)


def _observe_points(step: Step, rows: Rows, translator: Translator) -> None:
    account = _account_of(rows, _member(rows, step), step["category"] or "regular")
    figures = rows("figures")[account.no]
    if step.verb == "ends":
        beside = _beside(rows, account)
        left = [lot for lot in rows("lots").values() if lot.account in beside and lot.remaining and lot.expires_at]
        ends = min(lot.expires_at for lot in left)
        zone = ZoneInfo(next(iter(rows("programs").values())).policies.timezone)
        day = (ends - timedelta(seconds=1)).astimezone(zone).date().isoformat()
        assert day == step["day"], f"{step.where}: {day}"
        return
    has = _held(step, rows, account)
    found: int = {
        "has": max(0, has),
        "holds": figures.inflight_debit,
        "owes": max(0, -figures.available),
        "balance": has + figures.inflight_debit,  # as if all that has come due were posted
    }[step.verb]
    assert found == translator.points(step["points"]), f"{step.where}: {found}"


def _account_of(rows: Rows, member_no: int, category: str) -> Account:
    """The member's account in the first program."""
    accounts = (a for a in rows("accounts").values() if (a.member_no, a.category) == (member_no, category))
    first: Account = min(accounts, key=lambda account: account.no)
    return first


def _beside(rows: Rows, account: Account) -> set[int]:
    """The accounts of the same member in the same program."""
    whose = (account.member_no, account.program_no)
    return {each.no for each in rows("accounts").values() if (each.member_no, each.program_no) == whose}


def _spendable(step: Step, rows: Rows, account: Account) -> int:
    return max(0, _held(step, rows, account))


def _held(step: Step, rows: Rows, account: Account) -> int:
    """What lies in an account now, whether or not what ended or was released has been posted; less what it owes."""
    beside = _beside(rows, account)
    has: int = -max(0, -rows("figures")[account.no].available)
    for lot in rows("lots").values():
        if lot.account in beside and (lot.expires_at is None or lot.expires_at > step.at):
            released = lot.releases_at is not None and lot.releases_at <= step.at
            lies = "regular" if released else rows("accounts")[lot.account].category
            has += lot.free if lies == account.category else 0
    return has


def _member(rows: Rows, step: Step) -> int:
    identifier = ("external_id", step["member"])
    members = rows("members").values()
    no: int = next(each.no for each in members if identifier in (*each.identifiers, *each.aliases))
    return no


def _internal(rows: Rows, name: str, asset: str) -> Figures:
    indicator = name if name.startswith("@") else f"@Points{name.capitalize()}"
    accounts = rows("accounts").values()
    no = next((a.no for a in accounts if (a.indicator, a.asset) == (indicator, asset)), 0)
    figures: Figures = rows("figures").get(no, Figures())
    return figures
