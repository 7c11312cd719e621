"""Random carts, promotions, lanes and counters: small figures, so that things meet."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from guerdon.core.promotions.carts import UNIT, Cart, CartLine, Shopper
from guerdon.core.promotions.conditions import All, Any_, CartIs, Condition, Not, ProductsAre
from guerdon.core.promotions.effects import Amount, Effect, FixedPrice, Free, Percent, Points, Shipping
from guerdon.core.promotions.limits import Budget, Limit
from guerdon.core.promotions.products import Criterion
from guerdon.core.promotions.terms import Lane, Promotion

criteria = st.one_of(
    st.builds(
        Criterion,
        entity=st.just("sku"),
        values=st.frozensets(st.sampled_from("abcd"), min_size=1, max_size=3),
        operator=st.sampled_from(["in", "in", "not_in"]),
    ),
    st.builds(
        Criterion,
        entity=st.just("category"),
        values=st.frozensets(st.sampled_from("xyz"), min_size=1, max_size=2),
        operator=st.sampled_from(["in", "in", "not_in"]),
    ),
)
products = st.lists(criteria, max_size=2).map(tuple)
some_products = st.lists(criteria, min_size=1, max_size=2).map(tuple)

lines = st.builds(
    lambda sku, category, quantity, amount, floor, excluded: CartLine(
        sku=sku,
        categories=(category,) if category else (),
        quantity=quantity * UNIT,
        amount=amount,
        floor=floor,
        excluded=excluded,
    ),
    st.sampled_from("abcde"),
    st.sampled_from(["x", "y", ""]),
    st.integers(1, 6),
    st.one_of(st.integers(1, 60), st.integers(-5, 2000)),
    st.sampled_from([0, 0, 0, 5, 40]),
    st.sampled_from([False, False, False, True]),
)
carts = st.builds(
    lambda found, shipping: Cart(currency="USD", lines=tuple(found), shipping=shipping, store="S1"),
    st.lists(lines, min_size=1, max_size=5),
    st.sampled_from([0, 7, 300]),
)

bases: st.SearchStrategy[Any] = st.sampled_from(["original", "running"])
operators = st.sampled_from(["at_least", "at_least", "more_than", "less_than", "at_most", "equals"])
leaves: st.SearchStrategy[Condition] = st.one_of(
    st.builds(CartIs, operator=operators, value=st.integers(0, 200), base=bases),
    st.builds(CartIs, kpi=st.just("item_count"), operator=operators, value=st.integers(0, 4)),
    st.builds(CartIs, kpi=st.just("quantity"), operator=operators, value=st.integers(0, 9).map(lambda n: n * UNIT)),
    st.builds(ProductsAre, products=some_products, operator=operators, value=st.integers(0, 5).map(lambda n: n * UNIT)),
    st.builds(
        ProductsAre,
        products=some_products,
        kpi=st.just("amount"),
        operator=operators,
        value=st.integers(0, 90),
        base=bases,
    ),
)
conditions: st.SearchStrategy[Condition] = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda of: All(of=tuple(of)), st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda of: Any_(of=tuple(of)), st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda of: Not(of=of), inner),
    ),
    max_leaves=4,
)

ppms = st.sampled_from([1, 33_333, 100_000, 150_000, 500_000, 1_000_000])
caps: st.SearchStrategy[Any] = st.one_of(st.none(), st.none(), st.integers(1, 30))
ends: st.SearchStrategy[Any] = st.sampled_from(["cheapest", "dearest"])
few: st.SearchStrategy[Any] = st.one_of(st.none(), st.integers(1, 4))


@st.composite
def frees(draw: st.DrawFn) -> Free:
    buy, get = draw(st.integers(0, 4)), draw(st.integers(1, 3))
    other = draw(st.one_of(st.none(), some_products))
    return Free(
        buy=buy,
        get=get,
        products=draw(products),
        get_products=other,
        skip=draw(st.integers(0, buy)) if other is None else 0,
        ppm=draw(ppms),
        amount=draw(st.one_of(st.none(), st.integers(1, 20))),
        choose=draw(ends),
        strategy=draw(st.sampled_from(["horizontal", "vertical", "optimal"])),
        sets=draw(few),
        cap=draw(caps),
    )


effects: st.SearchStrategy[Effect] = st.one_of(
    st.builds(Percent, ppm=ppms, products=products, units=few, choose=ends, cap=caps),
    st.builds(
        Amount, amount=st.integers(1, 300), products=products, spread=st.sampled_from(["amount", "quantity"]), cap=caps
    ),
    st.builds(Amount, amount=st.integers(1, 30), per=st.just("line"), products=products, cap=caps),
    st.builds(
        Amount, amount=st.integers(1, 30), per=st.just("unit"), products=products, units=few, choose=ends, cap=caps
    ),
    st.builds(FixedPrice, price=st.integers(0, 60), size=few, products=products, choose=ends, sets=few, cap=caps),
    frees(),
    st.builds(Shipping, ppm=ppms, cap=caps),
    st.builds(Points, points=st.integers(1, 50), cap=caps),
)

exceeding = st.sampled_from(["reject", "partial"])
limits = st.builds(
    lambda kpi, limit, per, on_exceed: Limit(code=f"{kpi}-{per}", kpi=kpi, limit=limit, per=per, on_exceed=on_exceed),
    st.sampled_from(["uses", "purchases", "discount", "points"]),
    st.integers(1, 40),
    st.sampled_from(["promotion", "customer", "cart", "store"]),
    exceeding,
)
budgets = st.builds(Budget, code=st.just("shared"), limit=st.integers(1, 60), on_exceed=exceeding)


@st.composite
def promotions(draw: st.DrawFn, count: int = 5) -> list[Promotion]:
    return [
        Promotion(
            id=f"p{n}",
            name=f"p{n}",
            condition=draw(st.one_of(st.none(), conditions)),
            effects=tuple(draw(st.lists(effects, min_size=1, max_size=2))),
            limits=tuple(draw(st.lists(limits, max_size=2, unique_by=lambda limit: limit.code))),
            budget=draw(st.one_of(st.none(), st.none(), budgets)),
            lane=draw(st.integers(0, 2)),
            priority=draw(st.integers(0, 2)),
            repeat=draw(st.integers(1, 4)),
            base=draw(bases),
        )
        for n in range(draw(st.integers(1, count)))
    ]


@st.composite
def lane_sets(draw: st.DrawFn, once: bool = False) -> tuple[Lane, ...]:
    modes = ["stack", "stack", "first", "best", "exclusive"]
    return tuple(Lane(number=n, mode=draw(st.sampled_from(modes)), once=once and draw(st.booleans())) for n in range(3))


shoppers = st.sampled_from([None, Shopper(id="anna")])
used = st.dictionaries(
    st.sampled_from([f"p{n}/{kpi}-promotion" for n in range(5) for kpi in ("uses", "discount")] + ["budget/shared"]),
    st.integers(0, 30),
    max_size=4,
)
