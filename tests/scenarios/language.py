"""The words of the scenario files: one line is one step, an observation, or a change of the clock.

    program club: 1 point per 1.00, 10 points buy 1.00, expires after 30 days
    at 2027-01-05                                  the clock, from here on
    amy joins
    amy buys B-1 for 100.00 spending 200           -> paid 80.00, earned 80
    amy redeems 600 as X-1                         -> insufficient_points
    amy has 500 points
    pool has debit 500 credit 200

What follows `->` is expected of the step: a refusal's code, `rejected`, `replayed`, or figures of its result. Without
it the step must be accepted. A line that nothing understands is an error, so a typing mistake is never a passing test.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from guerdon.core.assets import Rounding
from guerdon.core.catalogue import ListTerms, RewardTerms
from guerdon.core.programs import (
    Cap,
    Expiry,
    Follow,
    Policies,
    RedemptionRate,
    ReferralPoints,
    Rule,
    Stacking,
    TransferLimits,
)
from guerdon.core.promotions.windows import Window
from tests.scenarios.promotion_words import OBSERVATIONS as PROMOTION_OBSERVATIONS
from tests.scenarios.promotion_words import PATTERNS as PROMOTION_PATTERNS
from tests.scenarios.promotion_words import WITH
from tests.scenarios.tier_words import OBSERVATIONS as TIER_OBSERVATIONS
from tests.scenarios.tier_words import PATTERNS as TIER_PATTERNS

SCALES = {"USD": 2, "EUR": 2}


@dataclass(frozen=True)
class Step:
    """One line: `verb` says what, `words` hold the parts by name, `expected` what must come of it, `at` the clock."""

    verb: str
    words: dict[str, str]
    at: datetime
    where: str
    expected: tuple[tuple[str, str], ...] = ()
    refusal: str = ""
    because: str = ""
    replayed: bool = False

    def __getitem__(self, name: str) -> str:
        return self.words.get(name) or ""


@dataclass(frozen=True)
class Scenario:
    name: str
    steps: tuple[Step, ...]
    tags: frozenset[str] = field(default_factory=frozenset)


OBSERVATIONS = PROMOTION_OBSERVATIONS | TIER_OBSERVATIONS | {
    "has", "ends", "holds", "owes", "balance", "figures", "account", "ledger", "sees", "stock",
}  # fmt: skip

_NAME = r"[a-z][a-z_]*"
_REF = r"[A-Z]+-?[\w-]*"
_NUMBER = r"-?[\d]+(?:\.\d+)?"
_LINE = rf"{_NUMBER}(?: of {_NAME})?(?: x{_NUMBER})?"
_PART = rf"{_NUMBER} of (?:line \d+|{_NAME})"
_WHO = rf"(?:@[\w:]+|{_NAME})"

_PATTERNS: tuple[tuple[str, str], ...] = (
    ("program", rf"program (?P<name>{_NAME}): (?P<terms>.+)"),
    ("change", rf"program (?P<name>{_NAME}) becomes(?: from (?P<starts_at>[\d-]+(?: [\d:]+)?))?: (?P<terms>.+)"),
    ("open", rf"account (?P<name>{_NAME}) of (?P<asset>[A-Z]+)"),
    ("wallet", rf"wallet (?P<name>{_NAME}) of (?P<asset>[A-Z]+) for (?P<member>{_NAME})"),
    ("join", rf"(?P<member>{_NAME}) joins"),
    (
        "buy",
        (
            rf"(?P<member>a guest|{_NAME}) buys (?P<number>{_REF}) for (?P<lines>{_LINE}"
            rf"(?: and {_LINE})*)(?: in (?P<program>{_NAME}))?(?: spending (?P<spend>{_NUMBER}))?"
            rf"(?: from (?P<wallet>{_NAME}))?{WITH}(?: on (?P<event_at>[\d-]+(?: [\d:]+)?))?(?P<imported> by import)?"
        ),
    ),
    (
        "return",
        (
            rf"(?:(?P<lines>{_PART}(?: and {_PART})*) of )?(?P<purchase>{_REF}) is returned as (?P<number>{_REF})"
            rf"(?: on (?P<event_at>[\d-]+(?: [\d:]+)?))?"
        ),
    ),
    (
        "redeem",
        (
            rf"(?P<member>{_NAME}) redeems (?P<points>{_NUMBER})(?P<group> over all programs)?"
            rf"(?: in (?P<program>{_NAME}))?(?: as (?P<reference>{_REF}))?"
        ),
    ),
    (
        "preview",
        (
            rf"(?P<member>{_NAME}) asks what redeeming (?P<points>{_NUMBER})(?P<group> over all programs)?"
            rf"(?: in (?P<program>{_NAME}))? would do"
        ),
    ),
    ("transfer", rf"(?P<member>{_NAME}) sends (?P<points>{_NUMBER}) to (?P<recipient>{_NAME})"),
    ("merge", rf"(?P<member>{_NAME}) is merged into (?P<survivor>{_NAME})"),
    ("refer", rf"(?P<member>{_NAME}) refers (?P<referred>{_NAME}) as (?P<reference>{_REF})"),
    ("unrefer", rf"(?P<reference>{_REF}) is taken back as a referral"),
    (
        "adjust",
        rf"(?P<person>{_NAME}) adjusts (?P<member>{_NAME}) by (?P<points>{_NUMBER}) as (?P<reference>{_REF})",
    ),
    ("decide", rf"(?P<person>{_NAME}) (?P<decision>approves|rejects) (?P<reference>{_REF})"),
    ("bulk", rf"each of (?P<members>{_NAME}(?: and {_NAME})*) is given (?P<points>{_NUMBER})"),
    ("reverse", rf"(?P<reference>{_REF}) is reversed(?: by (?P<points>{_NUMBER}))?"),
    ("list", rf"list (?P<name>{_NAME}): (?P<terms>.+)"),
    ("relist", rf"list (?P<name>{_NAME}) becomes: (?P<terms>.+)"),
    ("reward", rf"reward (?P<name>{_NAME}) in (?P<list>{_NAME})(?:: (?P<terms>.+))?"),
    ("restock", rf"reward (?P<name>{_NAME}) becomes: (?P<terms>.+)"),
    (
        "claim",
        rf"(?P<member>{_NAME}) claims (?P<reward>{_NAME})(?: into (?P<wallet>{_NAME}))?(?: as (?P<reference>{_REF}))?",
    ),
    ("fulfil", rf"(?P<reference>{_REF}) is (?P<status>processing|completed|denied|cancelled)"),
    ("sees", rf"(?P<member>{_NAME}) sees (?P<rewards>.+)"),
    ("stock", rf"(?P<name>{_NAME}) has (?P<count>\d+) in stock"),
    ("award", rf"(?P<member>{_NAME}) is given (?P<points>{_NUMBER})(?: in (?P<program>{_NAME}))?"),
    ("expire", rf"what (?P<member>{_NAME}) lost is posted"),
    (
        "unlock",
        (
            rf"what (?P<member>{_NAME}) was promised(?: on (?P<purchase>{_REF})(?: line (?P<line>\d+))?)?"
            rf"(?: in (?P<program>{_NAME}))?(?: for (?P<trigger>{_NAME}))? is unlocked"
        ),
    ),
    (
        "redate",
        (
            rf"points of (?P<member>{_NAME})(?: from (?P<purchase>{_REF}))?(?: end (?:on (?P<last_day>[\d-]+)|"
            rf"(?P<days>-?\d+) days later)| (?P<never>never end))(?: as (?P<reference>{_REF}))?"
        ),
    ),
    (
        "import",
        (
            rf"(?P<member>{_NAME}) brings (?P<points>{_NUMBER})(?: (?P<category>promised|trigger_based))?"
            rf" (?P<kind>balance|points|redemption|expiry) as (?P<reference>{_REF})(?: in (?P<program>{_NAME}))?"
            rf"(?: of (?P<event_at>[\d-]+(?: [\d:]+)?))?(?: until (?P<last_day>[\d-]+))?"
        ),
    ),
    ("status", rf"(?P<member>{_NAME}) is (?P<status>blocked|active)"),
    (
        "pay",
        (
            rf"(?P<source>{_WHO}) (?P<kind>pays|pledges) (?P<destination>{_WHO}) (?P<amount>{_NUMBER})"
            rf" (?P<asset>[A-Z]+) as (?P<reference>{_REF})(?P<overdraft> with overdraft)?(?P<queued> queued)?"
        ),
    ),
    (
        "split",
        (
            rf"(?P<source>{_WHO}) pays (?P<amount>{_NUMBER}) (?P<asset>[A-Z]+) as (?P<reference>{_REF})"
            rf"(?P<overdraft> with overdraft)?(?P<queued> queued)?: (?P<legs>.+)"
        ),
    ),
    ("settle", rf"(?P<reference>{_REF}) is settled(?: for (?P<amount>{_NUMBER}))?"),
    ("release", rf"(?P<reference>{_REF}) is released"),
    ("refund", rf"(?P<reference>{_REF}) is refunded(?P<queued> queued)?"),
    ("has", rf"(?P<member>{_NAME}) has (?P<points>{_NUMBER}) (?:(?P<category>promised|trigger_based) )?points?"),
    ("ends", rf"points of (?P<member>{_NAME}) end next on (?P<day>[\d-]+)"),
    ("holds", rf"(?P<member>{_NAME}) has (?P<points>{_NUMBER}) on hold"),
    ("owes", rf"(?P<member>{_NAME}) owes (?P<points>{_NUMBER})"),
    ("balance", rf"the balance of (?P<member>{_NAME}) is (?P<points>{_NUMBER})"),
    ("ledger", rf"the ledger of (?P<member>{_NAME}) reads (?P<events>.+)"),
    (
        "figures",
        (
            rf"(?P<name>@[\w:]+|pool|returned|reversed|expired|opening|adjusted)(?: in (?P<asset>[A-Z]+))? has debit"
            rf" (?P<debit>{_NUMBER}) credit (?P<credit>{_NUMBER})"
        ),
    ),
    ("account", rf"account (?P<name>{_NAME}) has (?P<amount>{_NUMBER})"),
    *PROMOTION_PATTERNS,
    *TIER_PATTERNS,
)
_COMPILED = tuple((verb, re.compile(pattern)) for verb, pattern in _PATTERNS)

_FIGURE = re.compile(
    rf"(off|lacks|paid|earned|returned|restored|written off|expired|balance|spent|refused|unlocked) ({_NUMBER})"
)


class Misread(Exception):
    """A line that is no word of the language."""


def scenarios(folder: Path) -> list[Scenario]:
    """Every scenario of every file, in order."""
    return [scenario for path in sorted(folder.glob("*.txt")) for scenario in read(path.stem, path.read_text("utf-8"))]


def read(stem: str, text: str) -> Iterator[Scenario]:
    """The scenarios of a text. Each begins with a line `== name [tags]`."""
    name, tags, steps, clock = "", frozenset[str](), list[Step](), datetime(2027, 1, 1, 12, tzinfo=UTC)
    for number, line in enumerate(text.splitlines(), 1):
        line = line.partition("#")[0].strip()
        heading = re.fullmatch(r"== (.+?)(?: \[(.+)\])?", line)
        if heading:
            if steps:
                yield Scenario(f"{stem}: {name}", tuple(steps), tags)
            name, tags, steps = heading[1], frozenset((heading[2] or "").split(", ")) - {""}, []
            clock = datetime(2027, 1, 1, 12, tzinfo=UTC)
        elif line.startswith("at "):
            clock = moment(line[3:])
        elif line:
            clock += timedelta(seconds=1)
            steps.append(_step(line, clock, f"{stem}.txt:{number}"))
    if steps:
        yield Scenario(f"{stem}: {name}", tuple(steps), tags)


def moment(text: str) -> datetime:
    """`2027-01-05` is noon; `2027-01-05 23:59:59` is exact. UTC."""
    return datetime.fromisoformat(text if " " in text else f"{text} 12:00").replace(tzinfo=UTC)


def _step(line: str, clock: datetime, where: str) -> Step:
    said, _, expected = (part.strip() for part in line.partition("->"))
    for verb, pattern in _COMPILED:
        match = pattern.fullmatch(said)
        if match:
            words = {key: value for key, value in match.groupdict().items() if value is not None}
            return Step(verb, words, clock, where, **_expectation(expected, where))
    raise Misread(f"{where}: {line}")


def _expectation(text: str, where: str) -> dict[str, Any]:
    if not text:
        return {}
    if text == "replayed":
        return {"replayed": True}
    figures = _FIGURE.findall(text)
    if figures and ", ".join(f"{name} {value}" for name, value in figures) == text:
        return {"expected": tuple(figures)}
    if match := re.fullmatch(r"([a-z_]+)(?: because ([a-z_]+))?", text):
        return {"refusal": match[1], "because": match[2] or ""}
    raise Misread(f"{where}: -> {text}")


def minor(text: str, scale: int) -> int:
    """`100.00` at scale 2 is 10000; more decimals than the scale has are an error."""
    whole, _, decimals = text.lstrip("-").partition(".")
    assert len(decimals) <= scale, text
    return int(whole + decimals.ljust(scale, "0")) * (-1 if text.startswith("-") else 1)


@dataclass(frozen=True)
class Terms:
    """A program's terms as a scenario gives them, and the scale of its points."""

    policies: Policies
    scale: int


@dataclass(frozen=True)
class Goods:
    """A line of a bill as a scenario gives it: `90.00 of food x3` is three pieces for 90.00 in all."""

    amount: int
    category: str
    quantity: int


def goods(text: str) -> list[Goods]:
    found = []
    for line in text.split(" and "):
        line, _, quantity = line.partition(" x")
        amount, _, category = line.partition(" of ")
        found.append(Goods(minor(amount, 2), category, minor(quantity or "1", 3)))
    return found


def parts(text: str) -> list[tuple[int, int, str]] | None:
    """`0.5 of line 2 and 1 of food` as (quantity in thousandths, line number or 0, sku or ""); None for all of it."""
    found = []
    for part in text.split(" and ") if text else ():
        quantity, _, named = part.partition(" of ")
        by_number = named.startswith("line ")
        found.append((minor(quantity, 3), int(named[5:]) if by_number else 0, "" if by_number else named))
    return found or None


def terms(text: str) -> Terms:
    """`1 point per 1.00, 10 points buy 1.00, expires after 30 days, in Europe/Berlin, shortfalls are written off`."""
    scale = 0
    rules: list[Rule] = []
    values: dict[str, Any] = {"currency": "USD"}
    limits: dict[str, int] = {}
    caps: list[Cap] = []
    for term in text.split(", "):
        code = f"rule_{len(rules) + 1}"
        if match := re.fullmatch(r"points have (\d) decimals", term):
            scale = int(match[1])
        elif match := re.fullmatch(
            rf"({_NUMBER})( promised)? points? (?:per ({_NUMBER})( in proportion)?|(per bill))(?: on ({_NAME}))?"
            rf"(?: for (?:(\d+) days?|until ([\d-]+)|the trigger ({_NAME})))?( counted from release)?",
            term,
        ):
            rules.append(
                Rule(
                    code=code,
                    kind="fixed" if match[5] else "per_amount",
                    points=minor(match[1], scale),
                    amount=minor(match[3], 2) if match[3] else 1,
                    mode="proportional" if match[4] else "step",
                    category="trigger_based" if match[9] else "promised" if match[2] else "regular",
                    categories=(match[6],) if match[6] else (),
                    release_days=int(match[7]) if match[7] else None,
                    release_on=date.fromisoformat(match[8]) if match[8] else None,
                    trigger=match[9] or "",
                    expires_from="release" if match[10] else "earning",
                )
            )
        elif (
            match := re.fullmatch(rf"x({_NUMBER})(?: on ({_NAME}))?(?: from ({_NUMBER}))?", term)
        ) and "weekends" not in term:
            rules.append(
                Rule(
                    code=code,
                    kind="multiplier",
                    points=minor(match[1], 1),
                    amount=10,
                    categories=(match[2],) if match[2] else (),
                    minimum=minor(match[3], 2) if match[3] else 0,
                )
            )
        elif match := re.fullmatch(rf"at most ({_NUMBER}) points? per (purchase|day|week|month|year|member)", term):
            per: Any = match[2]
            caps.append(Cap(code=f"per_{per}", points=minor(match[1], scale), per=per))
        elif match := re.fullmatch(rf"at most ({_NUMBER}) points? in (\d+) days?", term):
            caps.append(Cap(code="rolling", points=minor(match[1], scale), per="rolling", days=int(match[2])))
        elif match := re.fullmatch(rf"x({_NUMBER}) on weekends", term):
            weekend = (Window(weekdays=frozenset({6, 7})),)
            rules.append(Rule(code=code, kind="multiplier", points=minor(match[1], 1), amount=10, windows=weekend))
        elif term in ("the best rule gives", "the first rule gives"):
            values["stacking"] = (Stacking(mode="best" if "best" in term else "first"),)
        elif match := re.fullmatch(rf"({_NUMBER}) points? buy ({_NUMBER})", term):
            values["redemption_rate"] = RedemptionRate(minor(match[1], scale), minor(match[2], 2))
        elif match := re.fullmatch(r"expires after (\d+) (day|month)s?", term):
            values["expiry"] = Expiry(kind="days" if match[2] == "day" else "months", count=int(match[1]))
        elif match := re.fullmatch(r"expires after (\d+) (day|month)s? to the end of the month", term):
            values["expiry"] = Expiry(
                kind="days" if match[2] == "day" else "months", count=int(match[1]), rounding="month"
            )
        elif match := re.fullmatch(r"expires on (\d\d)-(\d\d)(?: after (\d+) years?)?", term):
            month, day, years = int(match[1]), int(match[2]), int(match[3] or 0)
            values["expiry"] = Expiry(kind="yearly", month=month, day=day, count=years)
        elif match := re.fullmatch(
            r"(expires|renewed for) (\d+) (days|months)(?: (to the end of the month))? (?:without|by) ([a-z and]+)",
            term,
        ):
            values["expiry"] = Expiry(
                kind="inactivity" if match[1] == "expires" else "rolling",
                count=int(match[2]),
                unit="days" if match[3] == "days" else "months",
                rounding="month" if match[4] else "exact",
                activities=tuple(cast("Any", match[5].split(" and "))),
            )
        elif match := re.fullmatch(r"counting for what is there(?: after (\d+) days?)?", term):
            values["follow"] = Follow(grace_days=int(match[1] or 0))
        elif match := re.fullmatch(r"in (\w+/\w+)", term):
            values["timezone"] = match[1]
        elif match := re.fullmatch(r"rounded (half_even|half_up|down|up)", term):
            values["rounding"] = Rounding(match[1])
        elif match := re.fullmatch(rf"at least ({_NUMBER}) points? at a time", term):
            values["minimum_redemption"] = minor(match[1], scale)
        elif match := re.fullmatch(rf"at most ({_NUMBER}) points? at a time", term):
            values["maximum_redemption"] = minor(match[1], scale)
        elif match := re.fullmatch(rf"in multiples of ({_NUMBER})", term):
            values["redemption_multiple"] = minor(match[1], scale)
        elif match := re.fullmatch(rf"after ({_NUMBER}) lifetime points?", term):
            values["minimum_lifetime"] = minor(match[1], scale)
        elif match := re.fullmatch(rf"sending at least ({_NUMBER})", term):
            limits["minimum"] = minor(match[1], scale)
        elif match := re.fullmatch(rf"sending ({_NUMBER}) points? per (day|month)", term):
            limits[f"points_per_{match[2]}"] = minor(match[1], scale)
        elif match := re.fullmatch(r"sending (\d+) times? per (day|month)", term):
            limits[f"count_per_{match[2]}"] = int(match[1])
        elif match := re.fullmatch(rf"adjusted by one person up to ({_NUMBER})", term):
            values["adjustment_limit"] = minor(match[1], scale)
        elif match := re.fullmatch(rf"({_NUMBER}) for referring and ({_NUMBER}) for being referred", term):
            values["referral"] = ReferralPoints(minor(match[1], scale), minor(match[2], scale))
        elif term == "shortfalls are written off":
            values["on_shortfall"] = "write_off"
        elif term == "returns are evaluated again":
            values["returns"] = "reevaluate"
        else:
            raise Misread(term)
    return Terms(Policies(rules=tuple(rules), caps=tuple(caps), transfers=TransferLimits(**limits), **values), scale)


def list_terms(name: str, text: str, scale: int) -> ListTerms:
    """`10 points, lock, 3 per member, until 2027-02-01, priority 2, closed`."""
    values: dict[str, Any] = {"price": 0}
    for term in text.split(", "):
        if match := re.fullmatch(rf"({_NUMBER}) points?", term):
            values["price"] = minor(match[1], scale)
        elif term in ("hide", "lock", "show"):
            values["visibility"] = term
        elif match := re.fullmatch(r"priority (\d+)", term):
            values["priority"] = int(match[1])
        else:
            values |= _offered(term)
    return ListTerms(name=name, **values)


def reward_terms(name: str, text: str, scale: int) -> tuple[RewardTerms, int | None]:
    """`20 in stock, 5 points, 1 per member, worth 5.00 in USD, from 2027-02-01, closed`; and how many there are."""
    values: dict[str, Any] = {}
    stock: int | None = None
    for term in text.split(", ") if text else ():
        if match := re.fullmatch(rf"({_NUMBER}) points?", term):
            values["price"] = minor(match[1], scale)
        elif match := re.fullmatch(r"(-?\d+) in stock", term):
            stock = int(match[1])
        elif match := re.fullmatch(rf"worth ({_NUMBER}) in ([A-Z]+)", term):
            asset = match[2]
            values |= {"kind": "wallet_credit", "amount": minor(match[1], SCALES[asset]), "asset": asset}
        else:
            values |= _offered(term)
    return RewardTerms(name=name, **values), stock


def _offered(term: str) -> dict[str, Any]:
    """What lists and rewards have in common."""
    if match := re.fullmatch(r"(\d+) per member", term):
        return {"limit": int(match[1])}
    if match := re.fullmatch(r"(from|until) (\d{4}-\d\d-\d\d)", term):
        return {"starts_at" if match[1] == "from" else "ends_at": moment(match[2])}
    if term == "closed":
        return {"active": False}
    raise Misread(term)


def seen(name: str, affordable: int | None, locked: bool, shortfall: int) -> str:
    """A reward as `sees` tells it: `mug 4`, `mug any`, `bike locked 955`, `bike locked`."""
    if locked:
        return f"{name} locked {shortfall}" if shortfall else f"{name} locked"
    return f"{name} {'any' if affordable is None else affordable}"
