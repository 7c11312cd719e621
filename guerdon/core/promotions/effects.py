"""Effects: what a promotion gives. Money in minor units, percent in parts per million of the whole.

Every effect that takes money off looks at the lines of `products` (all, where none are named) and may be capped.
`choose` says from which end of the prices units are taken where not all are.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from guerdon.core.promotions.products import Products

WHOLE = 1_000_000
"""100 %, in parts per million."""

End = Literal["cheapest", "dearest"]
Strategy = Literal["horizontal", "vertical", "optimal"]


class _Effect(Struct, frozen=True, kw_only=True, tag_field="type", forbid_unknown_fields=True):
    """One thing given, told apart by its `type`."""


class Percent(_Effect, frozen=True, kw_only=True, tag="percent"):
    """A percentage off the lines, or off at most `units` pieces of them each time the condition is met."""

    ppm: int
    products: Products = ()
    units: int | None = None
    choose: End = "cheapest"
    cap: int | None = None


class Amount(_Effect, frozen=True, kw_only=True, tag="amount"):
    """A sum off, each time the condition is met: once over all lines (`target`), on each `line`, or on each `unit` of
    at most `units`. Over all lines it is spread by amount or by quantity.
    """

    amount: int
    per: Literal["target", "line", "unit"] = "target"
    spread: Literal["amount", "quantity"] = "amount"
    products: Products = ()
    units: int | None = None
    choose: End = "cheapest"
    cap: int | None = None


class FixedPrice(_Effect, frozen=True, kw_only=True, tag="fixed_price"):
    """`size` pieces for a `price`, as often as they are there but at most `sets` times; without a size, everything for
    that price. A set that is cheaper already stays as it is.
    """

    price: int
    size: int | None = None
    products: Products = ()
    choose: End = "dearest"
    sets: int | None = None
    cap: int | None = None


class Free(_Effect, frozen=True, kw_only=True, tag="free"):
    """Of every `buy` + `get` pieces, `get` are free, or cheaper by `ppm` or by `amount` each; at most `sets` times.

    Pieces that are given may be others than those that are bought (`get_products`). Among the same products,
    `horizontal` takes all free pieces from one end of all prices (the shop's side, and no order of lines can change
    it), `vertical` makes groups from the dearest down and takes them from each, and `optimal` is whichever of both the
    customer gains most by, which is the best there is. `skip` passes over pieces at that end: the second dearest is
    `dearest` with a skip of 1.
    """

    buy: int
    get: int = 1
    products: Products = ()
    get_products: Products | None = None
    ppm: int = WHOLE
    amount: int | None = None
    choose: End = "cheapest"
    skip: int = 0
    strategy: Strategy = "horizontal"
    sets: int | None = None
    cap: int | None = None


class Tendered(_Effect, frozen=True, kw_only=True, tag="tender"):
    """Off what is paid by certain tenders; always after all other effects."""

    kinds: frozenset[str]
    identifiers: frozenset[str] = frozenset()
    ppm: int | None = None
    amount: int | None = None
    cap: int | None = None


class Shipping(_Effect, frozen=True, kw_only=True, tag="shipping"):
    """Off the shipping; all of it by default."""

    ppm: int = WHOLE
    cap: int | None = None


class Points(_Effect, frozen=True, kw_only=True, tag="points"):
    """Bonus points each time the condition is met."""

    points: int
    cap: int | None = None


class Multiplier(_Effect, frozen=True, kw_only=True, tag="points_multiplier"):
    """The points that lines earn, times `ppm`: 2,000,000 doubles them. Only what is added is told."""

    ppm: int
    products: Products = ()
    cap: int | None = None


class Voucher(_Effect, frozen=True, kw_only=True, tag="voucher"):
    """A gift voucher: pays up to `value`. It takes nothing off the price, and comes after all that does."""

    value: int


Effect = Percent | Amount | FixedPrice | Free | Tendered | Shipping | Points | Multiplier | Voucher
