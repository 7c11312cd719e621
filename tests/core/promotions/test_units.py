"""Sets and free pieces by (price, count) classes come to the same as lists of single pieces."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.core.promotions.units import (
    Pieces,
    at_fixed_price,
    count_of,
    free_of_other,
    free_of_same,
    pieces_of,
    sorted_from,
    take,
)

pools = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 7)), max_size=5).map(
    lambda pairs: [Pieces(price, i, number) for i, (price, number) in enumerate(pairs)]
)
ends = st.sampled_from(["cheapest", "dearest"])
few: st.SearchStrategy[Any] = st.one_of(st.none(), st.integers(1, 4))


def single(pool: list[Pieces], end: Any) -> list[tuple[int, int]]:
    return [(price, line) for price, line, number in sorted_from(pool, end) for _ in range(number)]


def listed(pool: list[Pieces]) -> list[tuple[int, int]]:
    return sorted((price, line) for price, line, number in pool for _ in range(number))


@given(amount=st.integers(0, 10**6), units=st.integers(1, 1000))
def test_the_pieces_of_a_line_add_up_and_differ_by_one(amount: int, units: int) -> None:
    pieces = pieces_of(3, amount, units)
    assert sum(price * number for price, _, number in pieces) == amount
    assert count_of(pieces) == units
    assert max(pieces).price - min(pieces).price <= 1


@given(pool=pools, end=ends, count=st.integers(0, 30), skip=st.integers(0, 10))
def test_taking_is_slicing(pool: list[Pieces], end: Any, count: int, skip: int) -> None:
    assert listed(take(sorted_from(pool, end), count, skip)) == sorted(single(pool, end)[skip : skip + count])


@settings(max_examples=300)
@given(pool=pools, buy=st.integers(0, 3), get=st.integers(1, 3), skipped=st.integers(0, 3), end=ends, most=few)
def test_groups_from_the_dearest_down(
    pool: list[Pieces], buy: int, get: int, skipped: int, end: Any, most: int | None
) -> None:
    size, skip = buy + get, min(skipped, buy)
    found = free_of_same(pool, size, get, skip, end, "vertical", most)
    down = single(pool, "dearest")
    groups = [down[n : n + size] for n in range(0, len(down) - size + 1, size)][:most]
    if end == "cheapest":
        groups = [group[::-1] for group in groups]
    assert found.made == len(groups)
    assert listed(found.given) == sorted(piece for group in groups for piece in group[skip : skip + get])
    assert listed(found.used) == sorted(piece for group in groups for piece in group)


@settings(max_examples=300)
@given(pool=pools, buy=st.integers(0, 3), get=st.integers(1, 3), skipped=st.integers(0, 3), end=ends, most=few)
def test_free_pieces_from_one_end_of_all_prices(
    pool: list[Pieces], buy: int, get: int, skipped: int, end: Any, most: int | None
) -> None:
    skip = min(skipped, buy)
    found = free_of_same(pool, buy + get, get, skip, end, "horizontal", most)
    count = count_of(pool) // (buy + get)
    count = count if most is None else min(count, most)
    assert found.made == count
    assert listed(found.given) == sorted(single(pool, end)[skip * count :][: get * count])
    assert count_of(found.used) == count * (buy + get)


@settings(max_examples=300)
@given(pool=pools, size=st.integers(1, 5), price=st.integers(0, 25), end=ends, most=few)
def test_sets_at_a_fixed_price(pool: list[Pieces], size: int, price: int, end: Any, most: int | None) -> None:
    found = at_fixed_price(pool, size, price, end, most)
    ordered = single(pool, end)
    sets = [ordered[n : n + size] for n in range(0, len(ordered) - size + 1, size)][:most]
    cheaper = [each for each in sets if sum(p for p, _ in each) > price]
    assert found.made == len(cheaper)
    assert found.saved == sum(sum(p for p, _ in each) - price for each in cheaper)
    assert listed(found.used) == sorted(piece for each in cheaper for piece in each)


@settings(max_examples=300)
@given(
    pool=pools,
    sides=st.lists(st.sampled_from(["bought", "offered", "both"]), min_size=5, max_size=5),
    buy=st.integers(0, 3),
    get=st.integers(1, 3),
    end=ends,
    most=few,
)
def test_pieces_of_another_product_never_serve_twice(
    pool: list[Pieces], sides: list[str], buy: int, get: int, end: Any, most: int | None
) -> None:
    bought = [p for p in pool if sides[p.line] != "offered"]
    offered = [p for p in pool if sides[p.line] != "bought"]
    found = free_of_other(bought, offered, buy, get, end, most)
    assert count_of(found.given) == found.made * get
    assert count_of(found.used) == found.made * (buy + get)
    there = {p.line: p.number for p in pool}
    for line in there:
        assert sum(p.number for p in found.used if p.line == line) <= there[line]
    if most is None or found.made < most:
        assert not _feasible(bought, offered, buy, get, found.made + 1), "one set more cannot be made"


def _feasible(bought: list[Pieces], offered: list[Pieces], buy: int, get: int, sets: int) -> bool:
    """Try every number of pieces in both that are given."""
    both = {p.line for p in bought} & {p.line for p in offered}
    common = sum(p.number for p in bought if p.line in both)
    only_bought, only_offered = count_of(bought) - common, count_of(offered) - common
    return any(
        only_bought + common - given >= sets * buy and only_offered + given >= sets * get for given in range(common + 1)
    )


def test_the_work_does_not_grow_with_the_number_of_pieces() -> None:
    """A million pieces of one price are one class; a list of them would be felt."""
    million = [Pieces(5, 0, 10**12), Pieces(3, 1, 10**12)]
    assert free_of_same(million, 3, 1, 0, "cheapest", "vertical", None).made == 2 * 10**12 // 3
    assert at_fixed_price(million, 3, 10, "dearest", None).made == 10**12 // 3 + 1, "the last of 5, 3 and 3"
