"""Earning: what a purchase is worth in points, rule by rule, and on which of its lines. Pure arithmetic over lines."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from guerdon.core.assets import Rounding, allocate, divide
from guerdon.core.commands import Line
from guerdon.core.programs import Program, Rule

PROMOTION_RULE = "promotion:"
"""What the rule of an earning begins with where a promotion gave it; the promotion's id follows."""


class Earning(Struct, frozen=True, kw_only=True):
    """What one rule gives: `points` in minor units, from a `basis` of money; `line` where it looked at a single
    line. `parts` are the points per line, in line order.
    """

    rule: str
    version: int
    category: str
    points: int
    basis: int
    parts: tuple[int, ...]
    line: int | None = None


def earnings(program: Program, lines: Sequence[Line], nets: Sequence[int]) -> list[Earning]:
    """Everything the program's rules give for lines of which `nets` was really paid, in the order of the rules.

    `per_amount` and `fixed` rules first, then multipliers on top of what those gave. A basis of zero or less, or below
    the rule's minimum, earns nothing. Multipliers add up: x2 and x3 together give 1 + 1 + 2 = 4 times the base.
    """
    base: list[tuple[Rule, list[int], Earning]] = []
    for rule in program.policies.rules:
        if rule.kind == "multiplier":
            continue
        matched = matching(rule, lines)
        basis = sum(nets[i] for i in matched)
        if basis <= 0 or basis < rule.minimum:
            continue
        points = _points(rule, basis, rule.rounding or program.policies.rounding)
        if points > 0:
            line = matched[0] if rule.narrow and len(matched) == 1 else None
            weights = [0] * len(lines)
            for i in matched:
                weights[i] = nets[i]
            base.append((rule, matched, _earning(program, rule, points, basis, weights, line)))
    found = [earning for _, _, earning in base]
    for rule in program.policies.rules:
        if rule.kind == "multiplier":
            extra = _multiplied(program, rule, base, lines, nets)
            if extra is not None:
                found.append(extra)
    return found


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


def _points(rule: Rule, basis: int, rounding: Rounding) -> int:
    if rule.kind == "fixed":
        return rule.points
    if rule.mode == "step":
        return basis // rule.amount * rule.points
    return divide(basis * rule.points, rule.amount, rounding)


def _multiplied(
    program: Program,
    rule: Rule,
    base: list[tuple[Rule, list[int], Earning]],
    lines: Sequence[Line],
    nets: Sequence[int],
) -> Earning | None:
    """The extra of a multiplier of `points / amount`: (factor - 1) times the base points, in the share of matched
    money.
    """
    if not base:
        return None
    matched = set(matching(rule, lines))
    basis = sum(nets[i] for i in matched)
    if basis <= 0 or basis < rule.minimum:
        return None
    # exact fractions per line over a common denominator, of which the sum is rounded once
    numerators, denominator = [0] * len(lines), 1
    for _, positions, earning in base:
        if earning.category != rule.category:
            continue
        numerators = [numerator * earning.basis for numerator in numerators]
        for i in positions:
            if i in matched:
                numerators[i] += earning.points * nets[i] * denominator
        denominator *= earning.basis
    extra = divide(
        sum(numerators) * (rule.points - rule.amount),
        denominator * rule.amount,
        rule.rounding or program.policies.rounding,
    )
    return _earning(program, rule, extra, basis, numerators, None) if extra > 0 else None


def _earning(
    program: Program, rule: Rule, points: int, basis: int, weights: Sequence[int], line: int | None
) -> Earning:
    """The points are divided over the lines by what these brought; a line that lowers the bill brought nothing."""
    return Earning(
        rule=rule.code,
        version=program.version,
        category=rule.category,
        points=points,
        basis=basis,
        parts=tuple(allocate(points, [max(weight, 0) for weight in weights])),
        line=line,
    )
