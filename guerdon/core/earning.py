"""Earning: what a purchase is worth in points, rule by rule, and on which of its lines. Pure arithmetic over lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from guerdon.core.assets import Rounding, allocate, divide
from guerdon.core.commands import Line
from guerdon.core.programs import Cap, Program, Rule
from guerdon.core.promotions.windows import open_at

PROMOTION_RULE = "promotion:"
"""What the rule of an earning begins with where a promotion gave it; the promotion's id follows."""


class Occasion(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What rules look at besides the lines: when and where (codes), the tier and segments of who buys, and what is
    `left` of the caps that count over more than a purchase, as (rule, "" for the program's own; cap; points).
    """

    at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    store: str = ""
    source: str = ""
    tier: str = ""
    segments: tuple[str, ...] = ()
    left: tuple[tuple[str, str, int], ...] = ()


class Earning(Struct, frozen=True, kw_only=True):
    """What one rule gives: `points` in minor units, from a `basis` of money; `line` where it looked at a single
    line. `parts` are the points per line, in line order. Caps kept back `capped` points more.
    """

    rule: str
    version: int
    category: str
    points: int
    basis: int
    parts: tuple[int, ...]
    line: int | None = None
    capped: int = 0


class _Given(NamedTuple):
    """What a rule gives, with the positions of its lines and what it weighs each line by."""

    rule: Rule
    matched: list[int]
    weights: list[int]
    earning: Earning


def earnings(program: Program, lines: Sequence[Line], nets: Sequence[int], on: Occasion) -> list[Earning]:
    """Everything the program's rules give for lines of which `nets` was really paid, in the order of the rules.

    `per_amount` and `fixed` rules first, then multipliers on top of what those gave. A basis of zero or less, or below
    the rule's minimum, earns nothing. Multipliers add up: x2 and x3 together give 1 + 1 + 2 = 4 times the base.

    A rule's own caps are applied before rules are held against each other, those of the program last of all.
    """
    rules = [rule for rule in program.policies.rules if _holds(rule, program, on)]
    base = [
        given
        for rule in rules
        if rule.kind != "multiplier" and (given := _base(program, rule, lines, nets, on)) is not None
    ]
    base = _together(program, base)
    extra = [
        given
        for rule in rules
        if rule.kind == "multiplier" and (given := _multiplied(program, rule, base, lines, nets, on)) is not None
    ]
    found = [*base, *_together(program, extra)]
    if program.policies.caps:
        found = _all_capped(program, found, on)
    return [given.earning for given in found]


def matching(rule: Rule, lines: Sequence[Line]) -> list[int]:
    """The positions of the lines a rule looks at: all, or those of one of its skus, categories or brands."""
    if not rule.narrow:
        return list(range(len(lines)))
    return [
        i
        for i, line in enumerate(lines)
        if line.sku in rule.skus
        or (line.brand and line.brand in rule.brands)
        or any(category in rule.categories for category in line.categories)
    ]


def _holds(rule: Rule, program: Program, on: Occasion) -> bool:
    """Whether the rule holds then and there."""
    if (rule.starts_at is not None and on.at < rule.starts_at) or (rule.ends_at is not None and on.at >= rule.ends_at):
        return False
    if (rule.stores and on.store not in rule.stores) or (rule.sources and on.source not in rule.sources):
        return False
    if (rule.tiers and on.tier not in rule.tiers) or (rule.segments and not set(rule.segments) & set(on.segments)):
        return False
    return not rule.windows or open_at(rule.windows, on.at.astimezone(ZoneInfo(program.policies.timezone)))


def _base(program: Program, rule: Rule, lines: Sequence[Line], nets: Sequence[int], on: Occasion) -> _Given | None:
    matched = matching(rule, lines)
    basis = sum(nets[i] for i in matched)
    if basis <= 0 or basis < rule.minimum:
        return None
    points = _points(rule, basis, rule.rounding or program.policies.rounding)
    weights = [0] * len(lines)
    for i in matched:
        weights[i] = nets[i]
    line = matched[0] if rule.narrow and len(matched) == 1 else None
    return _given(program, rule, matched, weights, points, basis, line, on)


def _points(rule: Rule, basis: int, rounding: Rounding) -> int:
    if rule.kind == "fixed":
        return rule.points
    if rule.mode == "step":
        return basis // rule.amount * rule.points
    return divide(basis * rule.points, rule.amount, rounding)


def _multiplied(
    program: Program, rule: Rule, base: list[_Given], lines: Sequence[Line], nets: Sequence[int], on: Occasion
) -> _Given | None:
    """The extra of a multiplier of `points / amount`: (factor - 1) times the base points, in the share of matched
    money.
    """
    if not base:
        return None
    positions = matching(rule, lines)
    matched = set(positions)
    basis = sum(nets[i] for i in matched)
    if basis <= 0 or basis < rule.minimum:
        return None
    # exact fractions per line over a common denominator, of which the sum is rounded once
    numerators, denominator = [0] * len(lines), 1
    for given in base:
        earning = given.earning
        if earning.category != rule.category:
            continue
        numerators = [numerator * earning.basis for numerator in numerators]
        for i in given.matched:
            if i in matched:
                numerators[i] += earning.points * nets[i] * denominator
        denominator *= earning.basis
    extra = divide(
        sum(numerators) * (rule.points - rule.amount),
        denominator * rule.amount,
        rule.rounding or program.policies.rounding,
    )
    return _given(program, rule, positions, numerators, extra, basis, None, on)


def _given(
    program: Program,
    rule: Rule,
    matched: list[int],
    weights: list[int],
    points: int,
    basis: int,
    line: int | None,
    on: Occasion,
) -> _Given | None:
    """The points, as far as the rule's caps let them, divided over the lines by what these brought; a line that lowers
    the bill brought nothing.
    """
    most = min([points, *(_left(rule.code, cap, on) for cap in rule.caps)]) if rule.caps else points
    if most <= 0:
        return None
    earning = Earning(
        rule=rule.code,
        version=program.version,
        category=rule.category,
        points=most,
        basis=basis,
        parts=_divided(most, weights),
        line=line,
        capped=points - most,
    )
    return _Given(rule, matched, weights, earning)


def _divided(points: int, weights: Iterable[int]) -> tuple[int, ...]:
    return tuple(allocate(points, [max(weight, 0) for weight in weights]))


def _left(rule: str, cap: Cap, on: Occasion) -> int:
    """What a cap lets pass."""
    if cap.per == "purchase":
        return cap.points
    return next(left for of, code, left in on.left if of == rule and code == cap.code)


def _together(program: Program, given: list[_Given]) -> list[_Given]:
    """Those of the rules that could give which do, by group and priority; in the order they came."""
    modes = {stacking.group: stacking.mode for stacking in program.policies.stacking}
    if len(given) < 2 or not (modes or any(each.rule.exclusive for each in given)):
        return given
    alone = [each for each in given if each.rule.exclusive]
    if alone:
        return [max(alone, key=lambda each: each.rule.priority)]
    kept: dict[str, _Given] = {}
    for each in given:
        mode = modes.get(each.rule.group, "all")
        if mode != "all":
            best = kept.setdefault(each.rule.group, each)
            if _rank(each, mode) > _rank(best, mode):
                kept[each.rule.group] = each
    return [each for each in given if kept.get(each.rule.group, each) is each]


def _rank(given: _Given, mode: str) -> tuple[int, int]:
    return (given.earning.points if mode == "best" else 0, given.rule.priority)


def _all_capped(program: Program, given: list[_Given], on: Occasion) -> list[_Given]:
    """What the program's own caps let pass of all of it, the first giving first."""
    left = min(_left("", cap, on) for cap in program.policies.caps)
    found = []
    for each in given:
        earning = each.earning
        most = min(left, earning.points)
        left -= most
        if most == earning.points:
            found.append(each)
        elif most > 0:
            cut = msgspec.structs.replace(
                earning,
                points=most,
                parts=_divided(most, each.weights),
                capped=earning.capped + earning.points - most,
            )
            found.append(each._replace(earning=cut))
    return found
