"""What members did before, as the state knows it: loaded where a promotion asks for it, and kept up within a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guerdon.core.promotions.carts import CartLine
from guerdon.core.promotions.past import Bought, Fact, Past
from guerdon.core.state import Key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from guerdon.core.commands import Line
    from guerdon.core.members import Member
    from guerdon.core.purchases import Purchase
    from guerdon.core.state import State


def lacking(state: State, member: Member, asked: Iterable[str]) -> list[Key]:
    """What must be loaded before `past` can answer."""
    return [(what, member.no) for what in sorted(asked) if (what, member.no) not in state.found]


def past(state: State, member: Member, asked: frozenset[str]) -> Past | None:
    """The member's past as far as promotions ask for it (`Catalogue.asks`), None where none does."""
    if not asked:
        return None
    facts = state.find(("past", member.no)) or ()
    bought = state.find(("past_lines", member.no)) or () if "past_lines" in asked else None
    return Past(member.registered_at, facts, bought)


def bought(state: State, purchase: Purchase) -> None:
    """A purchase was recorded: those who ask later in this batch see it."""
    fact = Fact(purchase.event_at, purchase.paid, purchase.currency)
    _add(state, ("past", purchase.member_no), fact)
    if ("past_lines", purchase.member_no) in state.found:
        _add(state, ("past_lines", purchase.member_no), Bought(purchase.event_at, cart_lines(purchase.lines)))


def given_back(state: State, purchase: Purchase, owner_no: int, paid: int, fact_at: datetime) -> None:
    """A part of a purchase came back, which is its owner's by now."""
    _add(state, ("past", owner_no), Fact(fact_at, -paid, purchase.currency, purchase=False))


def join(state: State, victim: Member, survivor: Member) -> None:
    """A merge: the survivor's past has the victim's in it."""
    for what in ("past", "past_lines"):
        if (what, survivor.no) in state.found:
            for each in state.find((what, victim.no)) or ():
                _add(state, (what, survivor.no), each)


def cart_lines(lines: Sequence[Line]) -> tuple[CartLine, ...]:
    """Lines as promotions look at them."""
    return tuple([cart_line(line) for line in lines])


def cart_line(line: Line) -> CartLine:
    return CartLine(
        sku=line.sku,
        quantity=line.quantity,
        amount=line.amount,
        categories=line.categories,
        brand=line.brand,
        attributes={name: value if isinstance(value, str) else str(value) for name, value in line.attributes.items()},
    )


def _add(state: State, key: Key, each: Fact | Bought) -> None:
    if key in state.found:
        state.put(state.found, key, (*state.found[key], each))
