"""The words of the scenario files for tiers.

    tiers of club: spend in calendar years, silver from 100.00, gold from 500.00, falls by one, 30 days of grace
    amy has tier silver
    amy lacks 412.50 for gold until 2028-01-01
    the tier of amy falls to blue on 2028-02-01
    amy was told silver reached, blue lapsed

`none` is to be without a tier. Days are those in whose first instant, in UTC, it is so.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from guerdon.core.tiers import Level, TierTerms, Window

_NAME = r"[a-z][a-z_]*"
_MONTHS = {"years": 12, "half-years": 6, "quarters": 3, "months": 1}

PATTERNS: tuple[tuple[str, str], ...] = (
    ("tiers", rf"tiers of (?P<name>{_NAME}): (?P<terms>.+?)(?:, starting on (?P<starts_on>[\d-]+))?"),
    ("tier", rf"(?P<member>{_NAME}) has tier (?P<tier>{_NAME})"),
    ("lacks", rf"(?P<member>{_NAME}) lacks (?P<figure>[\d.]+) for (?P<tier>{_NAME})(?: until (?P<day>[\d-]+))?"),
    ("falls", rf"the tier of (?P<member>{_NAME}) (?:falls to (?P<tier>{_NAME}) on (?P<day>[\d-]+)|(?P<never>stays))"),
    ("was_told", rf"(?P<member>{_NAME}) was told (?P<told>.+)"),
)
OBSERVATIONS = frozenset({"tier", "lacks", "falls", "was_told"})


def tier_terms(text: str) -> TierTerms:
    """`spend in calendar quarters`, `visits in 30 days`, `points since joining`, `spend in years since joining`; then
    the tiers, and how they are lost.
    """
    what, *rest = text.split(", ")
    match = re.fullmatch(
        r"(spend|points|visits) (?:in (?:calendar (?P<calendar>[a-z-]+)(?: from month (?P<first>\d+))?"
        r"|(?P<count>\d+) (?P<unit>days|months)|(?P<periods>[a-z-]+) since joining)|since joining)",
        what,
    )
    if match is None:
        raise ValueError(what)
    window = Window(kind="since_join")
    if match["calendar"]:
        window = Window(kind="calendar", months=_MONTHS[match["calendar"]], first_month=int(match["first"] or 1))
    elif match["count"]:
        count = int(match["count"])
        window = Window(kind="rolling", **{match["unit"]: count})
    elif match["periods"]:
        window = Window(kind="since_join", months=_MONTHS[match["periods"]])
    scale = 2 if match[1] == "spend" else 0
    levels: list[Level] = []
    values: dict[str, Any] = {"timezone": "UTC", "currency": "USD" if match[1] == "spend" else ""}
    for term in rest:
        if level := re.fullmatch(rf"({_NAME}) from ([\d.]+)", term):
            whole, _, decimals = level[2].partition(".")
            at_least = int(whole + decimals.ljust(scale, "0"))
            levels.append(Level(code=level[1], name=level[1], at_least=at_least))
        elif term in ("falls by one", "never falls"):
            values["downgrade"] = "one" if term == "falls by one" else "none"
        elif days := re.fullmatch(r"(\d+) days of (grace|notice)", term):
            values[f"{days[2]}_days"] = int(days[1])
        elif zone := re.fullmatch(r"in (\w+/\w+)", term):
            values["timezone"] = zone[1]
        elif term == "keeping what was reached":
            values["keep"] = True
        else:
            raise ValueError(term)
    return TierTerms(figure=match[1], window=window, levels=tuple(levels), **values)  # type: ignore[arg-type]


def start(day: str, at: datetime) -> datetime | None:
    """The first instant of a day, None for now."""
    return datetime.fromisoformat(day).replace(tzinfo=at.tzinfo) if day else None
