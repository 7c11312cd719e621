"""Whatever is asked of a points ledger, the answer is that of a naive filter over plain lists of what is stored."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import msgspec
import psycopg
import pytest

from tests.api.conftest import ADMIN_KEY, Api, served, set_up
from tests.api.test_loyalty import bill
from tests.conftest import Database

SEED = int(os.environ.get("GUERDON_SEED") or 3)
STEPS = 70
QUESTIONS = 150
PAGES_OF = (1, 2, 4, 3)
"""How often pages of 1, 3, 10 and 100 are asked for: small ones cost a request for each event, and say the same."""
NAMES = ["CustomerRegistration", "TransactionAdd", "TransactionReturn", "PointsRedemption", "GoodwillAward",
         "PointsRedemptionReversal", "LedgerTransaction", "PointsLedgerBulkJob"]  # fmt: skip
TYPES = ["credit", "debit", "opening_balance"]
CATEGORIES = ["regular", "promised", "trigger_based"]


class Histories:
    """Two members and a random history of theirs in two programs, through the API."""

    def __init__(self, api: Api, random: Random) -> None:
        self.api, self.random = api, random
        rules = [
            {"kind": "per_amount", "code": "base", "points": "1", "amount_minor": 100},
            {"kind": "fixed", "code": "later", "points": "7", "points_category": "promised"},
            {"kind": "fixed", "code": "won", "points": "2", "points_category": "trigger_based"},
        ]
        set_up(api, earning_rules=rules)
        api.post("/v1/members", {"external_id": "C-2"})
        api.post("/v1/sources", {"code": "KIOSK"})
        gold = {"code": "gold", "name": "Gold", "asset": "POINTS", "currency": "USD", "earning_rules": rules[1:]}
        api.post("/v1/programs", gold)
        api.post("/v1/stores", {"code": "north", "name": "North"})
        for code, program in (("north-1", "gold"), ("north-2", "classic")):
            api.post("/v1/tills", {"code": code, "store": "north", "program": program})
        self.bills: list[str] = []
        self.redemptions: list[str] = []
        self.count = 0

    def where(self) -> dict[str, Any]:
        chosen: dict[str, Any] = {}
        if self.random.random() < 0.6:
            chosen["till"] = self.random.choice(["main-1", "north-1", "north-2"])
        elif self.random.random() < 0.5:
            chosen["store"] = self.random.choice(["main", "north"])
        if self.random.random() < 0.6:
            chosen["source"] = self.random.choice(["INSTORE", "KIOSK"])
        if self.random.random() < 0.4:
            ago = timedelta(minutes=self.random.randint(1, 4000))
            chosen["event_at"] = (datetime.now(UTC) - ago).isoformat()
        return chosen

    def step(self) -> None:
        random, api = self.random, self.api
        self.count += 1
        member = f"external_id:C-{random.choice([1, 1, 2])}"
        program = random.choice(["classic", "classic", "gold"])
        kind = random.choice(["buy", "buy", "buy", "redeem", "award", "reverse", "return", "raw", "raw"])
        if kind == "buy":
            body = bill(f"B-{self.count}", random.randint(1, 90) * 100, member=member, **self.where())
            api.post("/v1/purchases", body)
            self.bills.append(f"B-{self.count}")
        elif kind == "award":
            body = {"points": random.randint(1, 20), "reason": "sorry", "program": program, **self.where()}
            api.post(f"/v1/members/{member}/awards", body)
        elif kind == "redeem":
            body = {"points": random.randint(1, 30), "program": program, **self.where()}
            answer = api.call("POST", f"/v1/members/{member}/redemptions", body)
            if answer.status_code == 201:
                self.redemptions.append(answer.json()["id"])
        elif kind == "reverse" and self.redemptions:
            api.call("POST", f"/v1/redemptions/{random.choice(self.redemptions)}/reversals", {"points": 1})
        elif kind == "return" and self.bills:
            number = self.bills.pop(random.randrange(len(self.bills)))
            api.post(f"/v1/purchases/number:{number}/returns", {"number": f"R-{self.count}", **self.where()})
        elif kind == "raw":
            self.raw()

    def raw(self) -> None:
        accounts = [
            program["regular"]["account"]
            for n in (1, 2)
            for program in self.api.get(f"/v1/members/external_id:C-{n}/balances")["programs"]
        ]
        source, destination = self.random.sample([*accounts, *accounts, "@PointsPool"], 2)
        self.api.call(
            "POST",
            "/blnk/transactions",
            {
                "precise_amount": self.random.randint(1, 9), "precision": 1, "currency": "POINTS",
                "reference": f"raw-{self.count}", "description": "raw", "source": source, "destination": destination,
                "allow_overdraft": source.startswith("@"), "skip_queue": True,
                "inflight": self.random.random() < 0.2,
            },
            headers={"x-blnk-key": ADMIN_KEY},
        )  # fmt: skip


@dataclass
class Line:
    type: str
    points: int
    account: int
    balance: int


@dataclass
class Fact:
    """An event of the member with all its lines, and the last sequence number it reaches."""

    row: dict[str, Any]
    lines: list[Line] = field(default_factory=list)
    reaches: int = 0


class Lists:
    """All that is stored of one member, in plain lists."""

    def __init__(self, dsn: str, member: int) -> None:
        with psycopg.connect(dsn, row_factory=psycopg.rows.dict_row) as connection:
            rows = {
                table: connection.execute(f"select * from {table}").fetchall()
                for table in ("events", "transfers", "accounts", "programs", "stores", "tills", "lots")
            }
        self.tables = rows
        self.accounts = {row["no"]: row for row in rows["accounts"] if row["member_no"] == member}
        self.programs = {row["no"]: row["code"] for row in rows["programs"]}
        self.codes = {noun: {row["no"]: row["code"] for row in rows[noun]} for noun in ("stores", "tills")}
        applied = [row for row in rows["transfers"] if row["action"] in ("apply", "settle")]
        self.transfers = sorted(applied, key=lambda row: int(row["seq"]))
        self.recorded = sorted((row["seq"], row["recorded_at"]) for row in (*rows["events"], *rows["transfers"]))
        of_event = defaultdict(list)
        for transfer in self.transfers:
            of_event[transfer["event_seq"]].append(transfer)
        count = {row["seq"]: row["transfers"] for row in rows["events"]}
        self.facts = []
        for row in sorted(rows["events"], key=lambda row: int(row["seq"])):
            if row["member_no"] != member:
                continue
            shown = row["mirrors"] or row["seq"]
            fact = Fact(row, reaches=max(row["seq"], shown + count[shown]))
            for opening in msgspec.json.decode(row["body"] or "{}").get("opening", ()):
                fact.lines.append(Line("opening_balance", 0, opening["account_no"], 0))
            for transfer in of_event[shown]:
                for side, type_ in (("source", "debit"), ("destination", "credit")):
                    if transfer[side] in self.accounts:
                        amount, balance = int(transfer["amount"]), int(transfer[f"{side}_balance"])
                        fact.lines.append(Line(type_, amount, transfer[side], balance))
            self.facts.append(fact)

    def plain(self, line: Line) -> tuple[str, str, str, str]:
        return line.type, str(line.points), f"bln_{self.accounts[line.account]['id']}", str(line.balance)

    def wanted(self, asked: dict[str, Any]) -> set[int]:
        """The accounts that are shown."""
        return {
            no
            for no, account in self.accounts.items()
            if (account["asset"] == asked["asset"] if "asset" in asked else account["tracks_lots"])
            and ("program" not in asked or self.programs.get(account["program_no"]) == asked["program"])
            and ("category" not in asked or account["category"] in asked["category"])
        }

    def view(self, asked: dict[str, Any]) -> list[tuple[Fact, list[Line]]]:
        """Oldest first, with the lines that are shown."""
        return [(fact, lines) for fact in self.facts if (lines := self.seen(fact, asked)) is not None]

    def seen(self, fact: Fact, asked: dict[str, Any]) -> list[Line] | None:
        row = fact.row
        at = row["event_at"] if asked.get("time") == "event" else row["recorded_at"]
        if (
            ("source" in asked and row["source"] not in asked["source"])
            or ("store" in asked and self.codes["stores"].get(row["store_no"]) not in asked["store"])
            or ("till" in asked and self.codes["tills"].get(row["till_no"]) not in asked["till"])
            or ("event" in asked and row["name"] not in asked["event"])
            or ("since" in asked and at < asked["since"])
            or ("until" in asked and at >= asked["until"])
        ):
            return None
        types, accounts = asked.get("entry_type", TYPES), self.wanted(asked)
        at_its_tills = (
            asked.get("include_till_concept_events")
            and row["name"] == "PointsRedemption"
            and self.programs.get(row["program_no"]) == asked["program"]
            and "debit" in types
            and "regular" in asked.get("category", CATEGORIES)
        )
        if at_its_tills:
            return [line for line in fact.lines if line.type in types]
        lines = [line for line in fact.lines if line.type in types and line.account in accounts]
        narrow = {"entry_type", "category", "program", "asset"} & set(asked)
        return lines if lines or not narrow else None

    def place(self, before: datetime | None) -> int:
        return max((seq for seq, at in self.recorded if before is None or at < before), default=0)

    def closing(self, asked: dict[str, Any]) -> dict[str, int]:
        """Balances by account id."""
        bounds = {name: asked.get(name) for name in ("as_of", "known_at")}
        filters = {name: value for name, value in asked.items() if name not in (*bounds, "time")}
        effective = asked.get("time") == "event"
        recorded_ends = [bounds["known_at"], *([] if effective else [bounds["as_of"], filters.get("until")])]
        event_ends = [bounds["as_of"], filters.get("until")] if effective else []
        recorded_end = min((at for at in recorded_ends if at), default=None)
        event_end = min((at for at in event_ends if at), default=None)
        last = None
        if filters:
            for fact, _ in self.view(filters | ({"time": "event"} if effective else {})):
                if recorded_end and fact.row["recorded_at"] >= recorded_end:
                    continue
                if not event_end or fact.row["event_at"] < event_end:
                    last = fact
        up_to = self.place(recorded_end) if last is None else last.reaches
        counts_before = (event_end if last is None else bounds["as_of"]) if effective else None
        return {str(self.accounts[no]["id"]): self.balance(no, up_to, counts_before) for no in self.wanted(filters)}

    def balance(self, no: int, up_to: int, before: datetime | None) -> int:
        balance = 0
        for row in self.transfers:
            counts_at = row["effective_at"] or row["recorded_at"]
            if row["seq"] <= up_to and (before is None or counts_at < before):
                balance += int(row["amount"]) * ((row["destination"] == no) - (row["source"] == no))
        return balance


def questions(random: Random, times: list[datetime]) -> dict[str, Any]:
    """Some filters, each of them now and then."""
    asked: dict[str, Any] = {}

    def some(of: list[str]) -> list[str]:
        return random.sample(of, random.randint(1, min(2, len(of))))

    def now_and_then(name: str, value: Any, chance: float = 0.25) -> None:
        if random.random() < chance:
            asked[name] = value

    now_and_then("source", some(["INSTORE", "KIOSK", "TMALL"]))
    now_and_then("store", some(["main", "north"]))
    now_and_then("till", some(["main-1", "north-1", "north-2"]))
    now_and_then("event", some(NAMES))
    now_and_then("entry_type", some(TYPES), 0.4)
    now_and_then("category", some(CATEGORIES), 0.4)
    now_and_then("program", random.choice(["classic", "gold"]), 0.4)
    if "program" in asked:
        now_and_then("include_till_concept_events", True, 0.5)
    now_and_then("asset", random.choice(["POINTS", "USD"]), 0.1)
    now_and_then("time", "event", 0.4)
    now_and_then("since", random.choice(times), 0.3)
    now_and_then("until", random.choice(times), 0.3)
    return asked


def sent(asked: dict[str, Any]) -> dict[str, str]:
    def text(value: Any) -> str:
        if isinstance(value, datetime):
            return value.isoformat()
        return ",".join(value) if isinstance(value, list) else str(value).lower() if value is True else value

    return {name: text(value) for name, value in asked.items()}


def pages(api: Api, path: str, size: int, asked: dict[str, str]) -> list[Any]:
    found: list[Any] = []
    more: dict[str, str] = {}
    while True:
        page = api.get(path, limit=size, include="total", **asked, **more)
        found += page["events"]
        if page["next_cursor"] is None:
            assert page["total"] == len(found)
            return found
        more = {"cursor": page["next_cursor"]}


@pytest.mark.parametrize("seed", [SEED, SEED + 1])
def test_every_choice_of_filters_agrees_with_a_naive_filter(database: Database, seed: int) -> None:
    random = Random(seed)
    with served(database) as url:
        api = Api(url)
        histories = Histories(api, random)
        for _ in range(STEPS):
            histories.step()
        member = api.get("/v1/members/external_id:C-1")["number"]
        lists = Lists(database.superuser_dsn, member)
        assert len({fact.row["name"] for fact in lists.facts}) >= 7
        assert any(fact.row["mirrors"] for fact in lists.facts)
        path = f"/v1/members/number:{member}/points-ledger"
        times = [fact.row[name] for fact in lists.facts for name in ("recorded_at", "event_at")]
        shown = 0
        for _ in range(QUESTIONS):
            asked = questions(random, times)
            order = random.choice(["oldest_first", "newest_first"])
            (size,) = random.choices([1, 3, 10, 100], PAGES_OF)
            events = pages(api, path, size, sent(asked) | {"order": order})
            expected = lists.view(asked)
            if order == "newest_first":
                expected.reverse()
            assert [event["event_log_id"] for event in events] == [fact.row["seq"] for fact, _ in expected], asked
            for event, (_, lines) in zip(events, expected, strict=True):
                told = [(one["type"], one["points"], one["account"], one["balance_after"]) for one in event["entries"]]
                assert told == [lists.plain(line) for line in lines], (asked, event)
            shown += len(events)
            ends = {name: random.choice(times) for name in ("as_of", "known_at") if random.random() < 0.4}
            closing = api.get(f"{path}/closing-balance", **sent(asked | ends))
            balances = {line["account"].removeprefix("bln_"): int(line["balance"]) for line in closing["balances"]}
            assert balances == lists.closing(asked | ends), (asked, ends)
        assert shown > QUESTIONS
