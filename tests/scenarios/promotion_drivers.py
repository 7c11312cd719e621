"""Scenarios of promotions and codes: what `core_driver` and `http_driver` have in addition for these words."""

from __future__ import annotations

from typing import Any

import msgspec

from guerdon.core import commands as c
from guerdon.core.promotions.authoring import read
from guerdon.core.promotions.terms import Promotion
from tests.scenarios.language import Step, goods, parts
from tests.scenarios.promotion_words import codes, promotion, seconds


class PromotionCommands:
    """Steps as commands."""

    ids: dict[str, str]

    def _envelope(self, at: Any, name: str = "") -> dict[str, Any]:
        raise NotImplementedError

    def cart_lines(self, step: Step) -> tuple[c.Line, ...]:
        return tuple(
            c.Line(
                sku=line.category or "any",
                quantity=line.quantity,
                amount=line.amount,
                categories=(line.category,) if line.category else (),
            )
            for line in goods(step["lines"])
        )

    def bought_with(self, step: Step) -> dict[str, Any]:
        """What a purchase says of promotions."""
        return {
            "promotions": step["codes"] == "promotions",
            "codes": tuple(codes(step["codes"])),
            "reservation": self.ids[f"cart {step['cart']}"] if step["cart"] else "",
        }

    def _terms(self, step: Step, id: str) -> Promotion:
        found = read({**promotion(step["name"], step["terms"]), "id": id})
        assert isinstance(found, Promotion), found
        return found

    def _promote(self, step: Step) -> c.Command:
        envelope = self._envelope(step.at, f"promotion {step['name']}")
        return c.CreatePromotion(**envelope, terms=self._terms(step, envelope["id"]))

    def _repromote(self, step: Step) -> c.Command:
        id = self.ids[f"promotion {step['name']}"]
        return c.ChangePromotion(**self._envelope(step.at), promotion=id, terms=self._terms(step, id))

    def _run(self, step: Step) -> c.Command:
        id = self.ids[f"promotion {step['name']}"]
        return c.RunPromotion(**self._envelope(step.at), promotion=id, status=step["status"])  # type: ignore[arg-type]

    def batch_for(self, step: Step) -> list[c.Command]:
        """The batch of a promotion into which codes are brought, at the first."""
        name = f"batch {step['name']}"
        if name in self.ids:
            return []
        envelope = self._envelope(step.at, name)
        return [c.CreateCodeBatch(**envelope, promotion=self.ids[f"promotion {step['name']}"])]

    def _codes(self, step: Step) -> c.Command:
        batch = self.ids[f"batch {step['name']}"]
        return c.AddCodes(**self._envelope(step.at), batch=batch, codes=tuple(codes(step["codes"])))

    def _link(self, step: Step) -> c.Command:
        member = ("external_id", step["member"])
        return c.LinkCode(**self._envelope(step.at), member=member, code=step["code"], mode="DISCOUNT")

    def _switch(self, step: Step) -> c.Command:
        return c.SwitchCodes(**self._envelope(step.at), code=step["code"], active=step["status"] == "activated")

    def _cart(self, step: Step) -> dict[str, Any]:
        member = None if step["member"] == "a guest" else ("external_id", step["member"])
        return {
            "currency": "USD",
            "member": member,
            "lines": self.cart_lines(step),
            "codes": tuple(codes(step["codes"])),
        }

    def _evaluate(self, step: Step) -> c.Command:
        name = f"cart {step['cart']}" if step["cart"] else ""
        self.ids.pop(name, None)
        kept = seconds(step["count"], step["unit"])
        return c.EvaluateCart(
            **self._envelope(step.at, name), **self._cart(step), cart=step["cart"], reserve_seconds=kept
        )

    def _let_go(self, step: Step) -> c.Command:
        return c.CancelReservation(**self._envelope(step.at), reservation=self.ids[f"cart {step['cart']}"])

    def _commit(self, step: Step) -> c.Command:
        reservation = self.ids[f"cart {step['cart']}"] if step["cart"] else ""
        envelope = self._envelope(step.at)
        return c.CommitCart(**envelope, **self._cart(step), number=step["number"], reservation=reservation)

    def _uncommit(self, step: Step) -> c.Command:
        lines = parts(step["lines"])
        return c.ReturnCart(
            **self._envelope(step.at),
            commit=("number", step["commit"]),
            number=step["number"],
            lines=tuple(c.ReturnLine(quantity=q, line=line, sku=sku) for q, line, sku in lines) if lines else None,
        )


class PromotionRequests:
    """Steps as requests."""

    _ids: dict[str, str]

    def _send(self, method: str, path: str, body: Any = None, *, tenant: bool = True) -> Any:
        raise NotImplementedError

    def _get(self, path: str) -> Any:
        raise NotImplementedError

    def bought_with(self, step: Step) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if step["codes"]:
            found |= {"promotions": True} if step["codes"] == "promotions" else {"codes": codes(step["codes"])}
        if step["cart"]:
            found["reservation"] = self._ids[f"cart {step['cart']}"]
        return found

    def _promotion_of(self, step: Step) -> str:
        return f"/v1/promotions/{self._ids['promotion ' + step['name']]}"

    def _promote(self, step: Step) -> Any:
        answer = self._send("POST", "/v1/promotions", promotion(step["name"], step["terms"]))
        self._ids[f"promotion {step['name']}"] = answer.body["id"]
        return answer

    def _repromote(self, step: Step) -> Any:
        terms = promotion(step["name"], step["terms"])
        fields = {name: value for name, value in terms.items() if name not in ("kind", "status")}
        return self._send("PATCH", self._promotion_of(step), {"on_return": "keep", **fields})

    def _run(self, step: Step) -> Any:
        way = {"active": "activate", "paused": "pause", "ended": "end"}[step["status"]]
        return self._send("POST", f"{self._promotion_of(step)}/{way}", {} if way == "activate" else None)

    def _codes(self, step: Step) -> Any:
        path = f"{self._promotion_of(step)}/codes/batches"
        name = f"batch {step['name']}"
        if name not in self._ids:
            self._ids[name] = self._send("POST", path, {}).body["id"]
        return self._send("POST", f"{path}/{self._ids[name]}/uploads", {"codes": codes(step["codes"])})

    def _link(self, step: Step) -> Any:
        customer = self._get(f"/v1/members/external_id:{step['member']}")["number"]
        body = {"customerId": customer, "code": step["code"], "mode": "DISCOUNT"}
        return self._send("POST", "/v1/promotions/code/link", body)

    def _switch(self, step: Step) -> Any:
        way = "activations" if step["status"] == "activated" else "deactivations"
        return self._send("POST", f"/v1/codes/{step['code']}/{way}", {})

    def _cart(self, step: Step) -> dict[str, Any]:
        lines = [
            {
                "sku": line.category or "any",
                "quantity": f"{line.quantity // 1000}.{line.quantity % 1000:03}",
                "amount_minor": line.amount,
                "categories": [line.category] if line.category else [],
            }
            for line in goods(step["lines"])
        ]
        member = None if step["member"] == "a guest" else f"external_id:{step['member']}"
        return {"currency": "USD", "member": member, "lines": lines, "codes": codes(step["codes"])}

    def _evaluate(self, step: Step) -> Any:
        body = {"cart": step["cart"], "reserve_seconds": seconds(step["count"], step["unit"])}
        answer = self._send("POST", "/v1/promotions/evaluate", {**self._cart(step), **body})
        held = None if answer.refused else answer.body["reservation"]
        if held is not None and step["cart"]:
            self._ids[f"cart {step['cart']}"] = held["id"]
        return answer

    def _let_go(self, step: Step) -> Any:
        return self._send("DELETE", f"/v1/promotions/reservations/{self._ids['cart ' + step['cart']]}")

    def _commit(self, step: Step) -> Any:
        body = {**self._cart(step), "number": step["number"]}
        if step["cart"]:
            body["reservation"] = self._ids[f"cart {step['cart']}"]
        return self._send("POST", "/v1/promotions/commits", body)

    def _uncommit(self, step: Step) -> Any:
        body: dict[str, Any] = {"number": step["number"]}
        lines = parts(step["lines"])
        if lines is not None:
            body["lines"] = [
                {"quantity": f"{q // 1000}.{q % 1000:03}", **({"line": line} if line else {"sku": sku})}
                for q, line, sku in lines
            ]
        return self._send("POST", f"/v1/promotions/commits/number:{step['commit']}/returns", body)

    def _see_used(self, step: Step) -> None:
        if step["code"]:
            times = self._get(f"/v1/codes/{step['code']}")["code"]["uses"]
        else:
            times = self._get(self._promotion_of(step))["totals"]["uses"]
        assert times == int(step["count"]), f"{step.where}: {times}"


def observe_uses(step: Step, uses: Any, ids: dict[str, str]) -> None:
    """How often a code or promotion was used, less what was given back."""
    wanted = ids.get(f"promotion {step['name']}")
    times = sum(use.times for use in uses if (use.code == step["code"] if step["code"] else use.promotion == wanted))
    assert times == int(step["count"]), f"{step.where}: {times}"


def off(result: Any) -> int:
    """What a core result says is off."""
    if hasattr(result, "evaluation"):
        return int(result.evaluation.discount)
    return sum(result.discounts) if hasattr(result, "discounts") else int(result.discount)


def lacks(result: Any) -> int:
    """What is missing for the nearest promotion that does not apply."""
    return int(result.evaluation.nearest[0].misses[0].missing)


def reason(detail: Any) -> str:
    return str(msgspec.to_builtins(detail)["reason"])
