"""Bills, carts, and what comes back of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct

from guerdon.core.commands.command import Command, Selector


class Where(Struct, frozen=True, kw_only=True):
    """Where and when a fact happened: event time (None = when received), source, store, till."""

    event_at: datetime | None = None
    source: str = ""
    store: Selector | None = None
    till: Selector | None = None
    imported: bool = False


class Line(Struct, frozen=True, kw_only=True):
    """One line of a purchase: `quantity` in thousandths, `amount` as the till has it, in minor units of the
    purchase's currency.
    """

    sku: str
    quantity: int
    amount: int
    unit_price: int | None = None
    categories: tuple[str, ...] = ()
    brand: str = ""
    attributes: dict[str, Any] = {}


class Tender(Struct, frozen=True, kw_only=True):
    kind: str
    amount: int
    identifier: str = ""


class RecordPurchase(Command, frozen=True, kw_only=True):
    """The checkout's one call. `spend` points of `program` are taken at the redemption rate, the rest earns.

    `amount`, where given, must equal the sum of the lines. `wallet` is a money account from which what is left to pay
    moves to `@Revenue<asset>`. The number is a natural reference: same content again replays, other content is refused.

    With `promotions`, `codes` or a `reservation` (id), promotions take off what they give before points do.
    """

    number: str
    currency: str
    lines: tuple[Line, ...]
    member: Selector | None = None
    amount: int | None = None
    program: Selector | None = None
    spend: int = 0
    wallet: str = ""
    tenders: tuple[Tender, ...] = ()
    where: Where = Where()
    meta: str = ""
    register: bool = False
    promotions: bool = False
    codes: tuple[str, ...] = ()
    reservation: str = ""

    @property
    def promoted(self) -> bool:
        """Whether promotions are to be applied. A bill that says nothing of them is taken as the till has it."""
        return self.promotions or bool(self.codes or self.reservation)


class EvaluateCart(Command, frozen=True, kw_only=True):
    """Say what promotions make of a cart. With `reserve_seconds` its uses are kept free for so long; an open
    reservation of the same `cart` ("" = none) is let go first. With `everything`, every promotion gets a verdict.
    """

    currency: str
    lines: tuple[Line, ...]
    member: Selector | None = None
    codes: tuple[str, ...] = ()
    program: Selector | None = None
    tenders: tuple[Tender, ...] = ()
    shipping: int = 0
    where: Where = Where()
    cart: str = ""
    reserve_seconds: int = 0
    everything: bool = False


class CommitCart(Command, frozen=True, kw_only=True):
    """Use what promotions give a cart whose sale is kept elsewhere. `number` is the sale's, natural like a bill's."""

    number: str
    currency: str
    lines: tuple[Line, ...]
    member: Selector | None = None
    codes: tuple[str, ...] = ()
    reservation: str = ""
    program: Selector | None = None
    tenders: tuple[Tender, ...] = ()
    shipping: int = 0
    where: Where = Where()


class ReturnLine(Struct, frozen=True, kw_only=True):
    """So much of a line: by its `line` number, counted from 1, or (0) by `sku`, where the first such line gives first.
    `quantity` in thousandths.
    """

    quantity: int
    line: int = 0
    sku: str = ""


class ReturnCart(Command, frozen=True, kw_only=True):
    """Take a committed cart (by number or id) back, in part or (`lines` None) all that is left of it. `number` is the
    return's own.
    """

    commit: Selector
    number: str
    lines: tuple[ReturnLine, ...] | None = None
    where: Where = Where()
    reason: str = ""


class CancelReservation(Command, frozen=True, kw_only=True):
    """Let go what a reservation holds."""

    reservation: str


class ReturnPurchase(Command, frozen=True, kw_only=True):
    """Take a purchase back, in part or (`lines` None) all that is left of it: what that earned is returned, what was
    spent on it restored. `number` is the return's own.
    """

    purchase: Selector
    number: str
    lines: tuple[ReturnLine, ...] | None = None
    where: Where = Where()
    reason: str = ""
    meta: str = ""
