"""What is evaluated: a cart, and who shops. Also what a shopper holds: issued promotions and presented codes."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from guerdon.core.commands import Tender

UNIT = 1000
"""One piece: quantities are in thousandths, so that 1.5 kg is 1500."""


class CartLine(Struct, frozen=True, kw_only=True):
    """One line: `quantity` in thousandths, `amount` for all of it before discounts and `floor`, the least that must
    remain of it, in minor units. `excluded` lines (gift cards) take no part: they are neither counted nor discounted;
    nor are lines of no or negative amount, since a return goes by the frozen shares of its own purchase.
    """

    sku: str
    quantity: int
    amount: int
    floor: int = 0
    categories: tuple[str, ...] = ()
    brand: str = ""
    tags: tuple[str, ...] = ()
    attributes: dict[str, str] = {}
    excluded: bool = False

    @property
    def counts(self) -> bool:
        return self.amount > 0 and self.quantity > 0 and not self.excluded

    @property
    def units(self) -> int:
        """Pieces that sets are made of. What is weighed is one piece, whatever its weight."""
        return 1 if self.quantity % UNIT else self.quantity // UNIT


class Cart(Struct, frozen=True, kw_only=True):
    """What is to be paid: lines, shipping (minor units), and how, as far as known. `store` and `channel` are codes.
    `points` are what each line earns by the earning rules alone, for multipliers; empty where nobody asks.
    """

    currency: str
    lines: tuple[CartLine, ...]
    shipping: int = 0
    tenders: tuple[Tender, ...] = ()
    store: str = ""
    channel: str = ""
    points: tuple[int, ...] = ()


class Issue(Struct, frozen=True, kw_only=True):
    """A promotion given to one member. `active` is false until the member activates it, where that is asked for."""

    promotion: str
    id: str = ""
    active: bool = True
    starts_at: datetime | None = None
    ends_at: datetime | None = None


class Shopper(Struct, frozen=True, kw_only=True):
    """The member whose cart it is; a guest is None. `past` (a `promotions.past.Past`) answers what conditions ask about
    what the member did before; None where none of them asks.
    """

    id: str
    tier: str = ""
    segments: frozenset[str] = frozenset()
    attributes: dict[str, str] = {}
    past: Any = None
    issues: tuple[Issue, ...] = ()


class Presented(Struct, frozen=True, kw_only=True):
    """A code that was presented, or is linked to the shopper, as the look-up found it: `promotion` is "" where it is
    unknown, `linked_to` the member it belongs to, if any.
    """

    code: str
    promotion: str = ""
    status: Literal["live", "deactivated"] = "live"
    linked_to: str = ""
