"""Which lines of a cart are meant: criteria over sku, category, brand, tag and attribute, matched as bit masks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

from msgspec import Struct

from guerdon.core.promotions.carts import Cart, CartLine

Entity = Literal["sku", "category", "brand", "tag", "attribute"]


class Criterion(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lines whose `entity` is one of `values`, or is none of them. An attribute is named by `name`."""

    entity: Entity
    values: frozenset[str]
    operator: Literal["in", "not_in"] = "in"
    name: str = ""


Products = tuple[Criterion, ...]
"""Lines that meet every criterion; with none, all lines."""


class Basket:
    """A cart made ready for matching: sets of lines are integers with one bit a line."""

    __slots__ = ("all", "amounts", "cart", "floors", "masks", "points", "quantities", "selected", "units")

    def __init__(self, cart: Cart) -> None:
        self.cart = cart
        self.points = cart.points
        self.amounts: list[int] = []
        self.floors: list[int] = []
        self.quantities: list[int] = []
        self.units: list[int] = []
        self.selected: dict[Products, int] = {}
        self.masks: dict[tuple[str, str], dict[str, int]] = {}
        self.all = 0
        for position, line in enumerate(cart.lines):
            counts = line.counts
            self.amounts.append(line.amount if counts else 0)
            self.floors.append(max(0, line.floor))
            self.quantities.append(line.quantity if counts else 0)
            self.units.append(line.units if counts else 0)
            if counts:
                self._mark(line, 1 << position)

    def _mark(self, line: CartLine, bit: int) -> None:
        self.all |= bit
        masks = self.masks
        for entity, name, value in facets(line.sku, line.categories, line.brand, line.tags, line.attributes):
            table = masks.get((entity, name))
            if table is None:
                table = masks[entity, name] = {}
            table[value] = table.get(value, 0) | bit

    def earning(self, points: tuple[int, ...]) -> Basket:
        """The same with what each line earns by the earning rules."""
        other = object.__new__(Basket)
        for name in Basket.__slots__:
            setattr(other, name, getattr(self, name))
        other.points = points
        return other

    def select(self, products: Products) -> int:
        """The lines that meet every criterion."""
        known = self.selected.get(products)
        if known is not None:
            return known
        mask = self.all
        for criterion in products:
            table = self.masks.get((criterion.entity, criterion.name), {})
            found = 0
            for value in table.keys() & criterion.values:
                found |= table[value]
            mask &= found if criterion.operator == "in" else ~found
        self.selected[products] = mask
        return mask


def facets(
    sku: str, categories: tuple[str, ...], brand: str, tags: tuple[str, ...], attributes: dict[str, str]
) -> Iterator[tuple[str, str, str]]:
    """Everything a criterion may ask of a line, as (entity, attribute's name, value)."""
    yield "sku", "", sku
    for category in categories:
        yield "category", "", category
    if brand:
        yield "brand", "", brand
    for tag in tags:
        yield "tag", "", tag
    for name, value in attributes.items():
        yield "attribute", name, value


def positions(mask: int) -> Iterator[int]:
    """The lines of a mask, lowest first."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


@lru_cache(maxsize=10_000)
def words(products: Products) -> str:
    """Criteria as people say them: "category shoes or boots, not brand Acme"."""
    return ", ".join(
        ("not " if each.operator == "not_in" else "") + f"{each.name or each.entity} {_some(sorted(each.values))}"
        for each in products
    )


def _some(values: list[str]) -> str:
    shown = " or ".join(values[:3])
    return shown if len(values) <= 3 else f"{shown} or {len(values) - 3} more"
