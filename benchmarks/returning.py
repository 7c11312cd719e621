"""Partial returns of purchases of a hundred lines, through the writer: one at a time, and in bulk."""

from __future__ import annotations

import random
from typing import Any

from benchmarks import harness
from benchmarks.harness import Clock, Row, percentile
from guerdon.audit.verify import audit
from guerdon.core import commands as c
from guerdon.core.programs import Policies, RedemptionRate, Returning, Rule
from guerdon.writer import Writer

LINES = 100
PURCHASES = 20
SPENT = 300
QUANTITY = 1_500
RULES = (
    Rule(code="base", kind="per_amount", points=1, amount=100),
    Rule(code="fresh", kind="per_amount", points=3, amount=200, mode="proportional", categories=("fresh",)),
    Rule(code="double", kind="multiplier", points=2, minimum=20_000),
)
MODES: tuple[Returning, ...] = ("proportional", "reevaluate")


def parts() -> list[Row]:
    """Every purchase is returned line by line; then the books are audited."""
    return harness.run(_parts())  # type: ignore[no-any-return]


async def _parts() -> list[Row]:
    rows: list[Row] = []
    for returns in MODES:
        with harness.fresh_database("partial-return") as database:
            async with harness.writing(database) as writer:
                rows += await _measure(writer, await harness.new_organisation(database, "returns"), returns)
            findings = audit(database.dsn(), tell=lambda _: None).findings
            if findings:
                raise RuntimeError(f"the books do not hold: {findings[0]}")
    return rows


async def _measure(writer: Writer, org_id: int, returns: Returning) -> list[Row]:
    await _set_up(writer, org_id, returns)
    chance = random.Random(1)
    singly, together = PURCHASES // 2, PURCHASES - PURCHASES // 2
    took: list[float] = []
    for number in range(singly):
        for line in chance.sample(range(1, LINES + 1), LINES):
            clock = Clock()
            harness.accepted(await writer.submit(org_id, _return(number, line)))
            took.append(clock.seconds * 1e3)
    first = percentile([ms for i, ms in enumerate(took) if i % LINES < 10], 0.5)
    last = percentile([ms for i, ms in enumerate(took) if i % LINES >= LINES - 10], 0.5)
    pieces = [(number, line) for number in range(singly, PURCHASES) for line in range(1, LINES + 1)]
    chance.shuffle(pieces)
    clock = Clock()
    results: list[Any] = await harness.submit_all(writer, org_id, [_return(*piece) for piece in pieces])
    each_ms = clock.seconds / len(pieces) * 1e3
    if sum(result.restored_points for result in results) != together * SPENT:
        raise RuntimeError("what was spent did not come back")
    p50, p95 = percentile(took, 0.5), percentile(took, 0.95)
    how = {"proportional": "in proportion", "reevaluate": "the rest evaluated again"}[returns]
    about = (
        f"{LINES} lines, {len(RULES)} rules, points spent, {how}; returned line by line in random order; books audited"
    )
    return [
        Row(
            figure=f"partial return of a {LINES}-line purchase, {how}",
            value=f"p50 {p50:.1f} ms, p95 {p95:.1f} ms; {first:.1f} ms for the first ten, {last:.1f} ms for the last",
            bar="told",
            conditions=f"one caller who waits for each answer; {singly} purchases of {about}",
            numbers={"p50_ms": p50, "p95_ms": p95, "first_ms": first, "last_ms": last},
        ),
        Row(
            figure=f"partial returns in bulk, {how}",
            value=f"{each_ms:.2f} ms each",
            bar="told",
            conditions=f"{len(pieces):,} at once in random order, of {together} purchases of {about}",
            numbers={"each_ms": each_ms},
        ),
    ]


async def _set_up(writer: Writer, org_id: int, returns: Returning) -> None:
    """A program and a member per purchase, each with points to spend on it."""
    for code, scale in (("USD", 2), ("POINTS", 0)):
        await harness.submit_all(writer, org_id, [c.CreateAsset(**harness.envelope(), code=code, scale=scale)])
    policies = Policies(rules=RULES, redemption_rate=RedemptionRate(10, 100), currency="USD", returns=returns)
    program = c.CreateProgram(**harness.envelope(), code="club", name="Club", asset="POINTS", policies=policies)
    await harness.submit_all(writer, org_id, [program])
    names = [("external_id", f"C-{n}") for n in range(PURCHASES)]
    await harness.submit_all(
        writer, org_id, [c.RegisterMember(**harness.envelope(), identifiers=(name,)) for name in names]
    )
    awards = [c.Award(**harness.envelope(), member=name, points=SPENT, reason="bench") for name in names]
    await harness.submit_all(writer, org_id, awards)
    chance = random.Random(2)
    for number, name in enumerate(names):
        lines = tuple(
            c.Line(
                sku=f"sku-{i}",
                quantity=QUANTITY,
                amount=chance.randint(50, 2_000),
                categories=("fresh",) if i % 3 else (),
            )
            for i in range(LINES)
        )
        bill = c.RecordPurchase(
            **harness.envelope(), number=f"B-{number}", currency="USD", member=name, lines=lines, spend=SPENT
        )
        await harness.submit_all(writer, org_id, [bill])


def _return(number: int, line: int) -> c.ReturnPurchase:
    """All there is of one line."""
    return c.ReturnPurchase(
        **harness.envelope(),
        purchase=("number", f"B-{number}"),
        number=f"R-{number}-{line}",
        lines=(c.ReturnLine(line=line, quantity=QUANTITY),),
    )
