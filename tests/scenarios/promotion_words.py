"""The words of the scenario files for promotions and codes.

    promotion ten: 10 % off, over 100.00, for codes
    codes ZN34C, ZN34D are for ten
    amy buys B-1 for 100.01 with ZN34C                     -> paid 90.01
    amy asks what 100.00 costs with ZN34C                  -> off 0.00, lacks 0.01
    amy asks what 100.01 costs with ZN34C in cart X, kept for 10 minutes
    amy buys B-2 for 100.01 with ZN34C from cart X

`with promotions` applies what applies by itself. A code's refusal can be told with its reason: `-> code_not_applied
because limit_reached`.
"""

from __future__ import annotations

import re
from typing import Any

_NAME = r"[a-z][a-z_]*"
_REF = r"[A-Z]+-?[\w-]*"
_CODE = r"[A-Za-z0-9][A-Za-z0-9-]*"
_MONEY = r"\d+\.\d\d"
_PART = rf"[\d.]+ of (?:line \d+|{_NAME})"
GOODS = rf"{_MONEY}(?: of {_NAME})?(?: x[\d.]+)?(?: and {_MONEY}(?: of {_NAME})?(?: x[\d.]+)?)*"
WITH = rf"(?: with (?P<codes>promotions|{_CODE}(?:, {_CODE})*))?(?: from cart (?P<cart>{_REF}))?"

PATTERNS: tuple[tuple[str, str], ...] = (
    ("run", rf"promotion (?P<name>{_NAME}) is (?P<status>active|paused|ended)"),
    ("repromote", rf"promotion (?P<name>{_NAME}) becomes: (?P<terms>.+)"),
    ("promote", rf"promotion (?P<name>{_NAME}): (?P<terms>.+)"),
    ("codes", rf"codes? (?P<codes>{_CODE}(?:, {_CODE})*) (?:is|are) for (?P<name>{_NAME})"),
    ("link", rf"code (?P<code>{_CODE}) is linked to (?P<member>{_NAME})"),
    ("switch", rf"code (?P<code>{_CODE}) is (?P<status>activated|deactivated)"),
    (
        "evaluate",
        (
            rf"(?P<member>a guest|{_NAME}) asks what (?P<lines>{GOODS}) costs?"
            rf"(?: with (?P<codes>{_CODE}(?:, {_CODE})*))?(?: in cart (?P<cart>{_REF}))?"
            r"(?:, kept for (?P<count>\d+) (?P<unit>second|minute|hour)s?)?"
        ),
    ),
    ("let_go", rf"cart (?P<cart>{_REF}) is let go"),
    (
        "commit",
        (
            rf"(?P<member>a guest|{_NAME}) takes (?P<number>{_REF}) elsewhere for (?P<lines>{GOODS})"
            rf"(?: with (?P<codes>{_CODE}(?:, {_CODE})*))?(?: from cart (?P<cart>{_REF}))?"
        ),
    ),
    (
        "uncommit",
        (
            rf"(?:(?P<lines>{_PART}(?: and {_PART})*) of )?(?P<commit>{_REF}) is returned elsewhere"
            rf" as (?P<number>{_REF})"
        ),
    ),
    ("used", rf"(?:code (?P<code>{_CODE})|promotion (?P<name>{_NAME})) was used (?P<count>\d+) times?"),
)
OBSERVATIONS = frozenset({"used"})

_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}


def codes(text: str) -> list[str]:
    """The codes of a step; `promotions` is none of them."""
    return [] if text in ("", "promotions") else text.split(", ")


def seconds(count: str, unit: str) -> int:
    return int(count) * _SECONDS[unit] if count else 0


def promotion(name: str, text: str) -> dict[str, Any]:
    """`10 % off, over 100.00, for codes, 1 use per customer a day, budget 25.00 to the last cent, uses come back` as it
    is written for the API; the core reads the same.
    """
    found: dict[str, Any] = {"name": name, "status": "active", "effects": [], "limits": []}
    for term in text.split(", "):
        _take(found, term)
    return found


def _take(found: dict[str, Any], term: str) -> None:
    limits = found["limits"]
    code = f"limit_{len(limits) + 1}"
    partial = {"on_exceed": "partial"} if term.endswith(" to the last cent") else {}
    said = term.removesuffix(" to the last cent")
    if match := re.fullmatch(r"(\d+) % off(?: (\w+))?", said):
        products = [{"entity": "category", "values": [match[2]]}] if match[2] else []
        found["effects"].append({"type": "percent", "ppm": int(match[1]) * 10_000, "products": products})
    elif match := re.fullmatch(rf"({_MONEY}) off", said):
        found["effects"].append({"type": "amount", "amount": _cents(match[1])})
    elif match := re.fullmatch(rf"voucher of ({_MONEY})", said):
        found["effects"].append({"type": "voucher", "value": _cents(match[1])})
    elif match := re.fullmatch(r"(\d+) points", said):
        found["effects"].append({"type": "points", "points": int(match[1])})
    elif match := re.fullmatch(rf"(over|from) ({_MONEY})", said):
        operator = "more_than" if match[1] == "over" else "at_least"
        found["condition"] = {"type": "cart", "kpi": "subtotal", "operator": operator, "value": _cents(match[2])}
    elif said == "for codes":
        found["kind"] = "code"
    elif said == "uses come back":
        found["on_return"] = "give_back"
    elif match := re.fullmatch(r"lane (\d+)", said):
        found["lane"] = int(match[1])
    elif match := re.fullmatch(rf"budget ({_MONEY})", said):
        found["budget"] = {"code": "shared", "limit": _cents(match[1]), **partial}
    elif match := re.fullmatch(r"(\d+) (second|minute|hour|day)s? between uses(?: per (code|customer))?", said):
        between = {"min_seconds_between": seconds(match[1], match[2]), "per": match[3] or "promotion"}
        limits.append({"code": code, **between})
    elif match := re.fullmatch(
        rf"(?:(\d+) (use|purchase|point)s?|({_MONEY}) discount)(?: per (code|customer|store|cart))?"
        r"(?: (?:a (day|week|month)|in (\d+) days))?",
        said,
    ):
        kpi = {"use": "uses", "purchase": "purchases", "point": "points", None: "discount"}[match[2]]
        limit = {"code": code, "kpi": kpi, "limit": _cents(match[3]) if match[3] else int(match[1]), **partial}
        window = {"window": "rolling", "days": int(match[6])} if match[6] else {"window": match[5] or "none"}
        limits.append({**limit, "per": match[4] or "promotion", **window})
    else:
        raise ValueError(f"no term of a promotion: {term}")


def _cents(text: str) -> int:
    return int(text.replace(".", ""))
