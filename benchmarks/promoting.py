"""Promotions: evaluating a cart against many live promotions, and generating codes; both in process."""

from __future__ import annotations

import gc
import random
import tracemalloc
from datetime import UTC, datetime, timedelta
from time import perf_counter_ns, thread_time_ns

import msgspec

from benchmarks.harness import Clock, Row, percentile, undisturbed
from guerdon.core.promotions.carts import UNIT, Cart, CartLine, Shopper
from guerdon.core.promotions.codes import Form, generate
from guerdon.core.promotions.conditions import All, CartIs, Condition, HistoryIs, ProductsAre
from guerdon.core.promotions.effects import Amount, Effect, FixedPrice, Free, Percent
from guerdon.core.promotions.evaluating import counters, evaluate
from guerdon.core.promotions.limits import Counter, Limit
from guerdon.core.promotions.offers import Catalogue
from guerdon.core.promotions.past import Bought, Fact, Past
from guerdon.core.promotions.products import Criterion, Products
from guerdon.core.promotions.terms import Lane, Promotion

LINES, MATCHING, APPLYING = 20, 100, 20
CARTS = 3_000
PURCHASES = 60
BAR_MS = 5.0
CODES = 1_000_000
BAR_S = 30.0
SEED = bytes(range(32))
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LANES = (Lane(number=1), Lane(number=2, once=True), Lane(number=3))
ANNA = Shopper(id="anna", tier="gold", segments=frozenset({"runners"}))


def evaluations() -> list[Row]:
    """The same carts against 1,000 and 10,000 live promotions, of which the same 100 match and 20 apply."""
    rows = [_row(live) for live in (1_000, 10_000)]
    ratio = rows[1].numbers["cpu_p50_ms"] / rows[0].numbers["cpu_p50_ms"]
    rows.append(
        Row(
            figure="cost of ten times as many live promotions",
            value=f"{ratio:.2f}x CPU time at the median",
            bar="grows with those that could apply",
            met=ratio < 1.5,
            conditions="the same carts; 900 and 9,900 promotions have nothing in them",
            numbers={"ratio": ratio},
        )
    )
    return [*rows, _row(1_000, asking=True)]


def _row(live: int, asking: bool = False) -> Row:
    times, busy = undisturbed(lambda: _measured(live, asking))
    p50, p95, p99 = (percentile(times, share) for share in (0.5, 0.95, 0.99))
    cpu = percentile(busy, 0.95)
    return Row(
        figure=f"evaluate a cart against {live:,} live promotions, in process"
        + (", of which a tenth ask about the past" if asking else ""),
        value=f"p95 {p95:.2f} ms, p50 {p50:.2f} ms, p99 {p99:.2f} ms (p95 of its own CPU time {cpu:.2f} ms)",
        bar=f"p95 < {BAR_MS:g} ms",
        met=p95 < BAR_MS,
        conditions=f"{LINES} lines, {MATCHING} promotions match something in the cart and {APPLYING} apply, each with "
        f"a limit per customer and a verdict; {CARTS:,} carts, one thread"
        + (f"; a member with {PURCHASES} purchases of {LINES // 2} lines, whose past is made ready each time" * asking),
        numbers={"p50_ms": p50, "p95_ms": p95, "p99_ms": p99, "cpu_p50_ms": percentile(busy, 0.5), "cpu_p95_ms": cpu},
    )


def _measured(live: int, asking: bool) -> tuple[list[float], list[float]]:
    """Milliseconds for each of the carts, by the clock and of CPU time. Loading the counters is the caller's."""
    catalogue = Catalogue([_asking(each, asking) for each in _promotions(live)], LANES)
    facts, bought = _past()
    shuffled = random.Random(4)
    times, busy = [], []
    for number in range(CARTS + 100):
        cart = _cart(shuffled)
        usage = {key: Counter(1) for key in counters(cart, catalogue, now=NOW, shopper=ANNA)}
        started, worked = perf_counter_ns(), thread_time_ns()
        anna = msgspec.structs.replace(ANNA, past=Past(NOW, facts, bought)) if asking else ANNA
        found = evaluate(cart, catalogue, now=NOW, shopper=anna, usage=usage)
        spent, used = perf_counter_ns() - started, thread_time_ns() - worked
        if (len(found.applied), len(found.applied) + len(found.others)) != (APPLYING, MATCHING):
            raise RuntimeError(f"{len(found.applied)} applied, {len(found.others)} did not")
        if number >= 100:  # the first ones warm caches up
            times.append(spent / 1e6)
            busy.append(used / 1e6)
    gc.collect()
    return times, busy


def _past() -> tuple[list[Fact], list[Bought]]:
    """A year of a member who buys half of the products about once a week."""
    chance = random.Random(5)
    times = [NOW - timedelta(days=6 * n + 1) for n in range(PURCHASES)]
    carts = [_cart(chance).lines[: LINES // 2] for _ in times]
    return (
        [Fact(at, sum(line.amount for line in lines), "USD") for at, lines in zip(times, carts, strict=True)],
        [Bought(at, lines) for at, lines in zip(times, carts, strict=True)],
    )


def _asking(promotion: Promotion, asking: bool) -> Promotion:
    """Every tenth one asks about the past as well; what it asks holds."""
    number = int(promotion.id.rpartition("-")[2])
    if not asking or number % 10:
        return promotion
    days = 30 + number % 20
    skus: Products = (Criterion(entity="sku", values=frozenset({f"sku-{n}" for n in range(days)})),)
    question = (
        HistoryIs(kpi="purchases", value=2, days=days),
        HistoryIs(kpi="spent", value=100, days=days),
        HistoryIs(kpi="bought", products=skus, value=1, days=days),
        HistoryIs(kpi="days_since_purchase", value=1),
    )[number // 10 % 4]
    assert promotion.condition is not None, "each has one"
    return msgspec.structs.replace(promotion, condition=All(of=(promotion.condition, question)))


def _cart(chance: random.Random) -> Cart:
    """The same twenty products in another order, at other prices."""
    lines = [
        CartLine(
            sku=f"sku-{n}",
            quantity=chance.randint(3, 8) * UNIT,
            amount=chance.randint(3_000, 9_000),
            categories=(f"category-{n % 10}", f"department-{n % 3}"),
            brand=f"brand-{n % 7}",
        )
        for n in range(LINES)
    ]
    chance.shuffle(lines)
    return Cart(currency="USD", lines=tuple(lines), store="S1", channel="INSTORE")


def _promotions(live: int) -> list[Promotion]:
    applying = [_promotion(n, f"sku-{n}", f"category-{n % 10}", 1_000) for n in range(APPLYING)]
    failing = [_promotion(n, f"sku-{n % LINES}", f"category-{n % 10}", 10_000_000) for n in range(APPLYING, MATCHING)]
    others = [_promotion(n, f"sku-{n}", f"category-{n}", 1_000) for n in range(MATCHING, live)]
    return applying + failing + others


def _promotion(number: int, sku: str, category: str, least: int) -> Promotion:
    """One of four usual kinds, on products of a sku or a category."""
    by_sku: Products = (Criterion(entity="sku", values=frozenset({sku, f"{sku}-xl", f"{sku}-xs"})),)
    by_category: Products = (Criterion(entity="category", values=frozenset({category})),)
    condition: Condition = ProductsAre(products=by_category, kpi="amount", value=least)
    effect: Effect = (
        Percent(ppm=50_000, products=by_category),
        Amount(amount=150, products=by_sku),
        Free(buy=2, products=by_sku),
        FixedPrice(price=100, size=3, products=by_sku, sets=1),
    )[number % 4]
    if number % 2:
        condition = All(of=(condition, ProductsAre(products=by_sku), CartIs(value=2_000)))
    return Promotion(
        id=f"promotion-{number:05}",
        name=f"Promotion {number}",
        condition=condition,
        effects=(effect,),
        limits=(Limit(code="mine", kpi="purchases", limit=5, per="customer", window="week"),),
        lane=1 if number % 4 < 2 else 3,
        priority=number % 5,
    )


# -- codes ------------------------------------------------------------------------------------------------------------


def codes() -> list[Row]:
    """A million codes with a check character, as a stream; and what a tenth and all of it take of memory at most."""
    form = Form(pattern="#####-#####", check=True)
    seconds = undisturbed(lambda: _generated(form))
    tenth, whole = _memory(form, CODES // 100), _memory(form, CODES // 10)
    return [
        Row(
            figure=f"generate {CODES:,} codes",
            value=f"{seconds:.1f} s; at most {whole / 1e6:.1f} MB for {CODES // 10:,}, "
            f"{tenth / 1e6:.1f} MB for {CODES // 100:,}",
            bar=f"< {BAR_S:g} s, memory flat",
            met=seconds < BAR_S and whole < 1.1 * tenth,
            conditions="ten characters of 32, the last a check character; texts only, nothing is stored",
            numbers={"seconds": seconds, "bytes": whole, "bytes_for_a_tenth": tenth},
        )
    ]


def _generated(form: Form) -> float:
    clock = Clock()
    made = sum(1 for _ in generate(form, SEED, 0, CODES))
    if made != CODES:
        raise RuntimeError(f"{made} codes were made")
    return clock.seconds


def _memory(form: Form, count: int) -> int:
    """The most that generating so many takes at once, in bytes."""
    tracemalloc.start()
    for _ in generate(form, SEED, 0, count):
        pass
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most
