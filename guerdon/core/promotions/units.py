"""Pieces of a cart as (price, count) classes: sets and free pieces without ever making a list of pieces.

A line of n pieces has at most two prices, one minor unit apart, so that its pieces add up to its amount. Whatever the
quantities, the work is that of the number of lines.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from guerdon.core.promotions.effects import End, Strategy


class Pieces(NamedTuple):
    """A number of pieces of one line at one price."""

    price: int
    line: int
    number: int


def pieces_of(line: int, amount: int, units: int) -> list[Pieces]:
    """A line's pieces, dearest first."""
    if units <= 0:
        return []
    price, dearer = divmod(amount, units)
    found = [Pieces(price + 1, line, dearer)] if dearer else []
    return [*found, Pieces(price, line, units - dearer)]


def sorted_from(pool: Iterable[Pieces], end: End) -> list[Pieces]:
    """From one end of the prices; on a tie the first line comes first."""
    if end == "cheapest":
        return sorted(pool)
    return sorted(pool, key=lambda pieces: (-pieces.price, pieces.line))


def count_of(pool: Iterable[Pieces]) -> int:
    return sum([pieces.number for pieces in pool])


def take(ordered: Iterable[Pieces], count: int, skip: int = 0) -> list[Pieces]:
    """`count` pieces in this order, after passing over `skip`."""
    taken = []
    for price, line, there in ordered:
        passed = min(skip, there)
        skip -= passed
        number = min(count, there - passed)
        if number > 0:
            taken.append(Pieces(price, line, number))
            count -= number
    return taken


class Sets(NamedTuple):
    """Pieces that are given, all the pieces that the sets are made of, and how many sets there are."""

    given: list[Pieces]
    used: list[Pieces]
    made: int


def free_of_same(
    pool: list[Pieces], size: int, get: int, skip: int, choose: End, strategy: Strategy, most: int | None
) -> Sets:
    """Sets of `size` pieces of one pool, of which `get` are given."""
    count = count_of(pool) // size
    if most is not None:
        count = min(count, most)
    if count <= 0:
        return Sets([], [], 0)
    if strategy == "optimal":
        found = [_vertical(pool, size, get, skip, choose, count), _horizontal(pool, size, get, skip, choose, count)]
        return max(found, key=lambda sets: sum(price * number for price, _, number in sets.given))
    make = _vertical if strategy == "vertical" else _horizontal
    return make(pool, size, get, skip, choose, count)


def _horizontal(pool: list[Pieces], size: int, get: int, skip: int, choose: End, count: int) -> Sets:
    """The given pieces from one end of all prices; those bought are the next in order."""
    ordered = sorted_from(pool, choose)
    return Sets(take(ordered, get * count, skip * count), take(ordered, size * count), count)


def _vertical(pool: list[Pieces], size: int, get: int, skip: int, choose: End, count: int) -> Sets:
    """Groups from the dearest down; in each the given pieces are counted from its dear or its cheap end."""
    ordered = sorted_from(pool, "dearest")
    first = skip if choose == "dearest" else size - skip - get
    given, passed, end = [], 0, size * count
    for price, line, there in ordered:
        after = min(passed + there, end)
        number = _marked(after, size, first, get) - _marked(passed, size, first, get)
        if number > 0:
            given.append(Pieces(price, line, number))
        passed = after
    return Sets(given, take(ordered, end), count)


def _marked(upto: int, size: int, first: int, get: int) -> int:
    """How many of the first `upto` places are given, where places `first` to `first + get` of every `size` are."""
    whole, rest = divmod(upto, size)
    return whole * get + min(max(rest - first, 0), get)


def free_of_other(
    bought: list[Pieces], offered: list[Pieces], buy: int, get: int, choose: End, most: int | None
) -> Sets:
    """For every `buy` pieces of one pool, `get` of another. A piece in both serves once."""
    both = {pieces.line for pieces in bought} & {pieces.line for pieces in offered}
    buys, gets = count_of(bought), count_of(offered)
    common = count_of(pieces for pieces in bought if pieces.line in both)
    bounds = [(buys + gets - common) // (buy + get), gets // get]
    bounds += [buys // buy] if buy else []
    bounds += [most] if most is not None else []
    count = min(bounds)
    if count <= 0:
        return Sets([], [], 0)
    spare = common - max(0, count * buy - (buys - common))
    given, missing = [], count * get
    for price, line, there in sorted_from(offered, choose):
        number = min(there, missing, spare if line in both else missing)
        if number > 0:
            given.append(Pieces(price, line, number))
            missing -= number
            spare -= number if line in both else 0
    gone = {(pieces.price, pieces.line): pieces.number for pieces in given}
    rest = [Pieces(p, line, there - gone.get((p, line), 0)) for p, line, there in bought]
    rest.sort(key=lambda pieces: (pieces.line in both, -pieces.price, pieces.line))
    return Sets(given, given + take(rest, count * buy), count)


class Priced(NamedTuple):
    """Sets at a fixed price: what they save together, the pieces of those that save, and how many these are."""

    saved: int
    used: list[Pieces]
    made: int


def at_fixed_price(pool: list[Pieces], size: int, price: int, choose: End, most: int | None) -> Priced:
    """Sets of `size` pieces for `price`, made from one end of the prices; runs of equal sets are counted at once."""
    count = count_of(pool) // size
    if most is not None:
        count = min(count, most)
    saved, made, used = 0, 0, []
    part: list[Pieces] = []
    room = size
    for each, line, there in take(sorted_from(pool, choose), size * count):
        while there:
            number = min(room, there) if part or there < size else there // size * size
            sets = number // size if not part and number >= size else 0
            part.append(Pieces(each, line, number))
            there -= number
            room -= 0 if sets else number
            if sets or room == 0:
                worth = sum([p.price * p.number for p in part])
                many = sets or 1
                if worth > price * many:
                    saved += worth - price * many
                    made += many
                    used += part
                part, room = [], size
    return Priced(saved, used, made)
