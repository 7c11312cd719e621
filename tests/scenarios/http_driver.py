"""Scenarios over HTTP: programs, members and purchases at `/v1`, raw transfers at `/blnk`, an organisation for each."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx2
import msgspec

from guerdon.api.blnk.errors import refusal
from guerdon.core.assets import decimal_text
from guerdon.core.outcomes import Rejected, Rejection
from guerdon.core.programs import Rule
from tests.scenarios.language import (
    OBSERVATIONS,
    SCALES,
    Scenario,
    Step,
    goods,
    list_terms,
    minor,
    moment,
    parts,
    reward_terms,
    seen,
    terms,
)
from tests.scenarios.promotion_drivers import PromotionRequests
from tests.scenarios.tier_drivers import TierRequests

_numbers = itertools.count(1)

EARLIER: dict[str, frozenset[str]] = {
    "amount_not_positive": frozenset({"out_of_range"}),
    "amount_out_of_range": frozenset({"out_of_range"}),
}
"""What `/v1` says of a figure that it refuses by its shape, before the core has a look at it."""

LEDGER_SAYS: dict[str, str] = {"amount_not_positive": "TXN_VALIDATION_ERROR"}
"""What `/blnk` says of what it refuses by its shape."""

NEVER_CHANGED = ("kind", "asset", "code_batch")
"""What a reward is from its beginning to its end."""


class Clock:
    """The server's time, as the scenario's lines set it."""

    def __init__(self) -> None:
        self.now = datetime(2027, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@dataclass(frozen=True)
class Answer:
    """A status, a body, and whether it was said before."""

    status: int
    body: Any
    replayed: bool

    @property
    def refused(self) -> bool:
        return self.status >= 400

    @property
    def code(self) -> str:
        if "error_detail" in self.body:
            return str(self.body["error_detail"]["code"])
        return str(self.body.get("code", self.body))


def runs_over_http(scenario: Scenario) -> bool:
    """Whether a scenario needs nothing but what the API offers: imports go another way."""
    return not any(step["imported"] or step.verb == "import" for step in scenario.steps)


class HttpDriver(PromotionRequests, TierRequests):
    """Tells a scenario to a running server that goes by `clock`."""

    def __init__(self, client: httpx2.Client, clock: Clock, key: str) -> None:
        self._client = client
        self._clock = clock
        self._key = key
        self._organisation = f"story-{next(_numbers)}"
        self._scales = dict(SCALES)
        self._ids: dict[str, str] = {}
        self._assets: set[str] = set()
        self._keys: dict[str, str] = {}

    def run(self, scenario: Scenario) -> None:
        made = self._send(
            "POST", "/v1/organisations", {"code": self._organisation, "name": scenario.name}, tenant=False
        )
        assert made.status == 201, made
        for step in scenario.steps:
            self._clock.now = step.at
            if step.verb in OBSERVATIONS:
                getattr(self, f"_see_{step.verb}")(step)
            else:
                self._check(step, getattr(self, f"_{step.verb}")(step))

    # -- speaking

    def _send(self, method: str, path: str, body: Any = None, *, tenant: bool = True) -> Answer:
        headers = {"x-blnk-key": self._key} if path.startswith("/blnk") else {"authorization": f"Bearer {self._key}"}
        if tenant:
            headers["guerdon-organisation"] = self._organisation
        answer = self._client.request(method, path, json=body, headers=headers)
        assert answer.status_code < 500, answer.text
        replayed = answer.headers.get("idempotency-replayed") == "true"
        return Answer(answer.status_code, answer.json() if answer.content else None, replayed)

    def _get(self, path: str) -> Any:
        answer = self._send("GET", path)
        assert not answer.refused, answer
        return answer.body

    def _check(self, step: Step, answer: Answer) -> None:
        """Whether a step came out as its line says."""
        if step.refusal == "rejected":
            outcome = self._get(f"/blnk/transactions/reference/{step['reference']}_q")
            assert outcome["status"] == "REJECTED", f"{step.where}: {outcome}"
        elif step.refusal:
            assert answer.refused, f"{step.where}: {answer}"
            assert answer.code in self._codes_of(step), f"{step.where}: {answer}"
            assert not step.because or answer.body["reason"] == step.because, f"{step.where}: {answer}"
        else:
            assert not answer.refused, f"{step.where}: {answer}"
            assert answer.replayed is step.replayed, f"{step.where}: {answer}"
            for name, value in step.expected:
                assert _FIGURES[name](self, answer.body) == self._figure(name, value), f"{step.where}: {answer}"

    def _codes_of(self, step: Step) -> frozenset[str]:
        """The codes that a refusal may have, by where it was asked."""
        if step.verb in ("pay", "split", "settle", "release", "refund"):
            ours = Rejection(step.refusal)
            blnk = {refusal(Rejected(ours))[0], LEDGER_SAYS.get(step.refusal, "")}
            return frozenset(blnk)
        return EARLIER.get(step.refusal, frozenset()) | {step.refusal}

    def _figure(self, name: str, value: str) -> int:
        return minor(value, {"paid": 2, "off": 2, "lacks": 2, "refused": 0}.get(name, self._scales["POINTS"]))

    def points(self, text: str) -> int:
        """Points as the API tells them, in minor units."""
        scale = self._scales["POINTS"]
        assert len(text.partition(".")[2]) == scale, f"{text} has not the decimals of the asset"
        return minor(text, scale)

    # -- steps

    def _asset(self, code: str, scale: int) -> None:
        if code not in self._assets:
            assert self._send("POST", "/v1/assets", {"code": code, "scale": scale}).status == 201
            self._assets.add(code)
            self._scales[code] = scale

    def _terms(self, step: Step) -> dict[str, Any]:
        given = terms(step["terms"])
        policies, scale = given.policies, given.scale
        rate = policies.redemption_rate
        return {
            "currency": "USD",
            "timezone": policies.timezone,
            "rounding": policies.rounding.value,
            "expiry": {**msgspec.structs.asdict(policies.expiry)},
            "earning_rules": [_rule(rule, scale) for rule in policies.rules],
            "caps": [
                {"code": cap.code, "points": decimal_text(cap.points, scale), "per": cap.per, "days": cap.days}
                for cap in policies.caps
            ],
            "stacking": [{"group": each.group, "mode": each.mode} for each in policies.stacking],
            "redemption_rate": rate and {"points": decimal_text(rate.points, scale), "money_minor": rate.money},
            "minimum_redemption": decimal_text(policies.minimum_redemption, scale),
            "maximum_redemption": decimal_text(policies.maximum_redemption, scale),
            "redemption_multiple": decimal_text(policies.redemption_multiple, scale),
            "minimum_lifetime": decimal_text(policies.minimum_lifetime, scale),
            "transfer_limits": {
                name: value if name.startswith("count") or value is None else decimal_text(value, scale)
                for name, value in msgspec.structs.asdict(policies.transfers).items()
            },
            "adjustment_limit": None
            if policies.adjustment_limit is None
            else decimal_text(policies.adjustment_limit, scale),
            "referral": policies.referral
            and {name: decimal_text(value, scale) for name, value in msgspec.structs.asdict(policies.referral).items()},
            "on_shortfall": policies.on_shortfall,
            "returns": policies.returns,
        }

    def _program(self, step: Step) -> Answer:
        self._asset("USD", 2)
        self._asset("POINTS", terms(step["terms"]).scale)
        body = {"code": step["name"], "name": step["name"], "asset": "POINTS", **self._terms(step)}
        return self._send("POST", "/v1/programs", body)

    def _change(self, step: Step) -> Answer:
        follow = terms(step["terms"]).policies.follow
        existing = {"existing_points": "follow", "grace_days": follow.grace_days} if follow else {}
        if step["starts_at"]:
            existing["starts_at"] = moment(step["starts_at"]).isoformat()
        return self._send("PATCH", f"/v1/programs/{step['name']}", {**self._terms(step), **existing})

    def _open(self, step: Step, **more: str) -> Answer:
        self._scales.setdefault(step["asset"], 0)
        ledger = self._send("POST", "/blnk/ledgers", {"name": "Books"}).body["ledger_id"]
        answer = self._send("POST", "/blnk/balances", {"ledger_id": ledger, "currency": step["asset"], **more})
        self._ids[f"account {step['name']}"] = answer.body["balance_id"]
        return answer

    def _wallet(self, step: Step) -> Answer:
        return self._open(step, identity_id=self._ids[f"identity {step['member']}"])

    def _join(self, step: Step) -> Answer:
        answer = self._send("POST", "/v1/members", {"external_id": step["member"]})
        self._ids[f"identity {step['member']}"] = "idt_" + answer.body["id"].partition("_")[2]
        return answer

    def _member(self, step: Step, path: str = "") -> str:
        return f"/v1/members/external_id:{step['member']}{path}"

    def _buy(self, step: Step) -> Answer:
        lines = [
            {
                "sku": line.category or "any",
                "quantity": decimal_text(line.quantity, 3),
                "amount_minor": line.amount,
                "categories": [line.category] if line.category else [],
            }
            for line in goods(step["lines"])
        ]
        body: dict[str, Any] = {"number": step["number"], "currency": "USD", "lines": lines, **self.bought_with(step)}
        if step["member"] != "a guest":
            body["member"] = f"external_id:{step['member']}"
        if step["spend"]:
            body["spend_points"] = step["spend"]
        if step["program"]:
            body["program"] = step["program"]
        if step["wallet"]:
            body["wallet"] = self._ids[f"account {step['wallet']}"]
        if step["event_at"]:
            body["event_at"] = moment(step["event_at"]).isoformat()
        return self._send("POST", "/v1/purchases", body)

    def _return(self, step: Step) -> Answer:
        body: dict[str, Any] = {"number": step["number"]}
        lines = parts(step["lines"])
        if lines is not None:
            body["lines"] = [
                {"quantity": decimal_text(quantity, 3), **({"line": line} if line else {"sku": sku})}
                for quantity, line, sku in lines
            ]
        if step["event_at"]:
            body["event_at"] = moment(step["event_at"]).isoformat()
        return self._send("POST", f"/v1/purchases/number:{step['purchase']}/returns", body)

    def _redeem(self, step: Step) -> Answer:
        answer = self._send("POST", self._member(step, "/redemptions"), self._redemption(step))
        if not answer.refused:
            self._ids[step["reference"]] = answer.body["id"]
        return answer

    def _redemption(self, step: Step) -> dict[str, Any]:
        body = {"points": step["points"], "reference": step["reference"], "group": bool(step["group"])}
        return {**body, "program": step["program"]} if step["program"] else body

    def _preview(self, step: Step) -> Answer:
        return self._send("POST", self._member(step, "/redemptions/preview"), self._redemption(step))

    def _transfer(self, step: Step) -> Answer:
        body = {"recipient": f"external_id:{step['recipient']}", "points": step["points"]}
        return self._send("POST", self._member(step, "/transfers"), body)

    def _merge(self, step: Step) -> Answer:
        return self._send("POST", self._member(step, "/merges"), {"survivor": f"external_id:{step['survivor']}"})

    def _refer(self, step: Step) -> Answer:
        body = {"referrer": f"external_id:{step['member']}", "referred": f"external_id:{step['referred']}"}
        answer = self._send("POST", "/v1/referrals", body)
        if not answer.refused:
            self._ids[step["reference"]] = answer.body["id"]
        return answer

    def _unrefer(self, step: Step) -> Answer:
        return self._send("POST", f"/v1/referrals/{self._ids[step['reference']]}/returns", {})

    def _of(self, person: str, path: str, body: dict[str, Any]) -> Answer:
        """A request with a key of that person's own, made at the first."""
        if person not in self._keys:
            asked = {"name": person, "owner": person, "scopes": ["points:write"]}
            self._keys[person] = self._send("POST", "/v1/keys", asked).body["key"]
        headers = {"authorization": f"Bearer {self._keys[person]}"}
        answer = self._client.post(path, json=body, headers=headers)
        assert answer.status_code < 500, answer.text
        return Answer(answer.status_code, answer.json(), answer.headers.get("idempotency-replayed") == "true")

    def _adjust(self, step: Step) -> Answer:
        body = {"points": step["points"], "reason": "counted again"}
        answer = self._of(step["person"], self._member(step, "/adjustments"), body)
        if not answer.refused:
            self._ids[step["reference"]] = answer.body["id"]
        return answer

    def _decide(self, step: Step) -> Answer:
        kind = "approvals" if step["decision"] == "approves" else "rejections"
        return self._of(step["person"], f"/v1/adjustments/{self._ids[step['reference']]}/{kind}", {})

    def _bulk(self, step: Step) -> Answer:
        rows = [
            {"member": f"external_id:{name}", "points": step["points"], "reason": "week"}
            for name in step["members"].split(" and ")
        ]
        return self._send("POST", "/v1/bulk-awards", {"rows": rows})

    def _reverse(self, step: Step) -> Answer:
        body = {"points": step["points"]} if step["points"] else {}
        return self._send("POST", f"/v1/redemptions/{self._ids[step['reference']]}/reversals", body)

    def _list_body(self, step: Step) -> dict[str, Any]:
        given = list_terms(step["name"], step["terms"], self._scales["POINTS"])
        body = msgspec.to_builtins(given)
        body["limit_per_member"] = body.pop("limit")
        return {**body, "price": decimal_text(given.price, self._scales["POINTS"])}

    def _list(self, step: Step) -> Answer:
        answer = self._send("POST", "/v1/reward-lists", self._list_body(step))
        if not answer.refused:
            self._ids[f"list {step['name']}"] = answer.body["id"]
        return answer

    def _relist(self, step: Step) -> Answer:
        return self._send("PATCH", f"/v1/reward-lists/{self._ids['list ' + step['name']]}", self._list_body(step))

    def _reward_body(self, step: Step) -> dict[str, Any]:
        given, stock = reward_terms(step["name"], step["terms"], self._scales["POINTS"])
        body = msgspec.to_builtins(given)
        body |= {"stock": stock, "limit_per_member": body.pop("limit"), "amount_minor": body.pop("amount")}
        body["code_batch"] = body.pop("codes")
        price = None if given.price is None else decimal_text(given.price, self._scales["POINTS"])
        return {**body, "price": price}

    def _reward(self, step: Step) -> Answer:
        body = {**self._reward_body(step), "list": self._ids[f"list {step['list']}"]}
        answer = self._send("POST", "/v1/rewards", body)
        if not answer.refused:
            self._ids[f"reward {step['name']}"] = answer.body["id"]
        return answer

    def _restock(self, step: Step) -> Answer:
        body = {name: value for name, value in self._reward_body(step).items() if name not in NEVER_CHANGED}
        return self._send("PATCH", f"/v1/rewards/{self._ids['reward ' + step['name']]}", body)

    def _claim(self, step: Step) -> Answer:
        body = {"reward": self._ids[f"reward {step['reward']}"]}
        if step["wallet"]:
            body["wallet"] = self._ids[f"account {step['wallet']}"]
        answer = self._send("POST", self._member(step, "/claims"), body)
        if not answer.refused:
            self._ids[step["reference"]] = answer.body["id"]
        return answer

    def _fulfil(self, step: Step) -> Answer:
        return self._send("PATCH", f"/v1/claims/{self._ids[step['reference']]}", {"status": step["status"]})

    def _award(self, step: Step) -> Answer:
        body = {"points": step["points"], "reason": "goodwill"}
        more = {"program": step["program"]} if step["program"] else {}
        return self._send("POST", self._member(step, "/awards"), {**body, **more})

    def _expire(self, step: Step) -> Answer:
        return self._send("POST", self._member(step, "/expiries"), {})

    def _unlock(self, step: Step) -> Answer:
        body = {name: step[name] for name in ("program", "trigger") if step[name]}
        if step["purchase"]:
            body["purchase"] = f"number:{step['purchase']}"
        line = {"line": int(step["line"])} if step["line"] else {}
        return self._send("POST", self._member(step, "/unlocks"), {**body, **line})

    def _redate(self, step: Step) -> Answer:
        body: dict[str, Any] = {name: step[name] for name in ("last_day", "reference") if step[name]}
        if step["purchase"]:
            body["purchase"] = f"number:{step['purchase']}"
        if step["days"]:
            body["days"] = int(step["days"])
        if step["never"]:
            body["never"] = True
        return self._send("POST", self._member(step, "/expiry-changes"), body)

    def _status(self, step: Step) -> Answer:
        return self._send("PATCH", self._member(step), {"status": step["status"]})

    def _account(self, name: str) -> str:
        """An account as a posting names it. A member stands for their regular points."""
        if name.startswith("@"):
            return name
        if f"account {name}" not in self._ids:
            balances = self._get(f"/v1/members/external_id:{name}/balances")
            self._ids[f"account {name}"] = balances["programs"][0]["regular"]["account"]
        return self._ids[f"account {name}"]

    def _post(self, step: Step, **more: Any) -> Answer:
        scale = self._scales.get(step["asset"], 0)
        body = {
            "precise_amount": minor(step["amount"], scale),
            "precision": 10**scale,
            "currency": step["asset"],
            "reference": step["reference"],
            "description": step.where,
            "source": self._account(step["source"]),
            "allow_overdraft": bool(step["overdraft"]),
            "skip_queue": not step["queued"],
            **more,
        }
        answer = self._send("POST", "/blnk/transactions", body)
        if not answer.refused:
            self._ids[step["reference"]] = answer.body["transaction_id"]
        return answer

    def _pay(self, step: Step) -> Answer:
        return self._post(step, destination=self._account(step["destination"]), inflight=step["kind"] == "pledges")

    def _split(self, step: Step) -> Answer:
        legs = []
        for leg in step["legs"].split(", "):
            name, _, share = leg.partition(" ")
            words = {"the rest": "left"}.get(share, share.replace(" ", ""))
            if share == "the rest" or share.endswith(" %"):
                legs.append({"identifier": self._account(name), "distribution": words})
            else:
                exact = str(minor(share, self._scales.get(step["asset"], 0)))
                legs.append({"identifier": self._account(name), "precise_distribution": exact})
        return self._post(step, destinations=legs, atomic=True)

    def _end(self, step: Step, **body: Any) -> Answer:
        path = f"/blnk/transactions/inflight/{self._ids[step['reference']]}"
        return self._send("PUT", path, {"skip_queue": True, **body})

    def _settle(self, step: Step) -> Answer:
        part = {"precise_amount": int(step["amount"])} if step["amount"] else {}
        return self._end(step, status="commit", **part)

    def _release(self, step: Step) -> Answer:
        return self._end(step, status="void")

    def _refund(self, step: Step) -> Answer:
        path = f"/blnk/refund-transaction/{self._ids[step['reference']]}"
        return self._send("POST", path, {"skip_queue": not step["queued"]})

    # -- what is there

    def _regular(self, step: Step) -> tuple[int, int]:
        """(balance, on hold) of the member's regular points in the first program."""
        found = self._get(self._member(step, "/balances"))["programs"][0]["regular"]
        return self.points(found["balance"]), self.points(found["on_hold"])

    def _see(self, step: Step, found: int) -> None:
        assert found == minor(step["points"], self._scales["POINTS"]), f"{step.where}: {found}"

    def _see_has(self, step: Step) -> None:
        program = self._get(self._member(step, "/balances"))["programs"][0]
        if step["category"]:
            self._see(step, self.points(program[step["category"]]["balance"]))
        else:
            self._see(step, max(0, self.points(program["regular"]["spendable"])))

    def _see_ends(self, step: Step) -> None:
        program = self._get(self._member(step, "/balances"))["programs"][0]
        assert program["regular"]["expiring_soon"]["next_at"][:10] == step["day"], step.where

    def _see_holds(self, step: Step) -> None:
        self._see(step, self._regular(step)[1])

    def _see_owes(self, step: Step) -> None:
        balance, held = self._regular(step)
        self._see(step, max(0, held - balance))

    def _see_balance(self, step: Step) -> None:
        self._see(step, self._regular(step)[0])

    def _see_sees(self, step: Step) -> None:
        """Page by page, so that the pages are seen to fit together."""
        found: list[str] = []
        path = self._member(step, "/rewards?limit=1")
        cursor = None
        while True:
            page = self._get(path if cursor is None else f"{path}&cursor={cursor}")
            found += [
                seen(
                    each["name"],
                    each["affordable_count"],
                    each["locked"],
                    self.points(each["shortfall"]) if each["shortfall"] else 0,
                )
                for each in page["data"]
            ]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert (", ".join(found) or "nothing") == step["rewards"], f"{step.where}: {found}"

    def _see_stock(self, step: Step) -> None:
        reward = self._get(f"/v1/rewards/{self._ids['reward ' + step['name']]}")
        assert reward["stock"] == int(step["count"]), f"{step.where}: {reward}"

    def _see_ledger(self, step: Step) -> None:
        events = self._get(self._member(step, "/points-ledger?order=oldest_first&limit=100"))["events"]
        seen = ", ".join(f"{event['name']} {self.points(event['points_on_event']):+d}" for event in events)
        assert seen == step["events"], f"{step.where}: {seen}"

    def _see_figures(self, step: Step) -> None:
        name = step["name"] if step["name"].startswith("@") else f"@Points{step['name'].capitalize()}"
        asset = step["asset"] or ("USD" if name.startswith("@Revenue") else "POINTS")
        answer = self._send("GET", f"/blnk/balances/indicator/{name}/currency/{asset}")
        found = (0, 0) if answer.status == 404 else (answer.body["debit_balance"], answer.body["credit_balance"])
        scale = self._scales.get(asset, 0)
        assert found == (minor(step["debit"], scale), minor(step["credit"], scale)), f"{step.where}: {found}"

    def _see_account(self, step: Step) -> None:
        found = self._get(f"/blnk/balances/{self._ids['account ' + step['name']]}")
        assert found["balance"] == minor(step["amount"], self._scales[found["currency"]]), f"{step.where}: {found}"


def _rule(rule: Rule, scale: int) -> dict[str, Any]:
    windows = [{"weekdays": sorted(window.weekdays)} for window in rule.windows]
    shown: dict[str, Any] = {
        "kind": rule.kind,
        "code": rule.code,
        "categories": list(rule.categories),
        "windows": windows,
    }
    if rule.kind == "multiplier":
        return {**shown, "factor": decimal_text(rule.points, 1), "minimum_minor": rule.minimum}
    shown |= {"points": decimal_text(rule.points, scale), "points_category": rule.category}
    shown |= {"release_days": rule.release_days, "release_on": rule.release_on and rule.release_on.isoformat()}
    shown |= {"trigger": rule.trigger, "expires_from": rule.expires_from}
    if rule.kind == "per_amount":
        shown |= {"amount_minor": rule.amount, "mode": rule.mode}
    return shown


_FIGURES: dict[str, Callable[[HttpDriver, Any], int]] = {
    "off": lambda _, body: int(body["discount_minor"]),
    "lacks": lambda _, body: int(body["nearest"][0]["misses"][0]["missing"]),
    "paid": lambda driver, body: int(body["paid_minor"]),
    "earned": lambda driver, body: sum(driver.points(earned["points"]) for earned in body["earned"]),
    "spent": lambda driver, body: driver.points(body["spent"]["points"]) if body["spent"] else 0,
    "returned": lambda driver, body: driver.points(body["points_returned"]),
    "restored": lambda driver, body: driver.points(body["points_restored"]),
    "written off": lambda driver, body: driver.points(
        body["points_written_off"] if "points_written_off" in body else body["written_off"]
    ),
    "refused": lambda driver, body: int(body["refused"]),
    "expired": lambda driver, body: driver.points(body.get("expired") or body["points_expired"]),
    "balance": lambda driver, body: driver.points(body["balance"]),
    "unlocked": lambda driver, body: sum(driver.points(each["points"]) for each in body["conversions"]),
}
