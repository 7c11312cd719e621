"""Carts, promotions and evaluations in few words, for the tests of promotions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from guerdon.core.commands import Tender
from guerdon.core.promotions.carts import UNIT, Cart, CartLine, Presented, Shopper
from guerdon.core.promotions.conditions import CartIs, Condition, ProductsAre
from guerdon.core.promotions.effects import WHOLE, Amount, Effect, Percent
from guerdon.core.promotions.evaluating import evaluate
from guerdon.core.promotions.limits import Counter, CounterKey, Usage
from guerdon.core.promotions.offers import Catalogue
from guerdon.core.promotions.products import Criterion, Products
from guerdon.core.promotions.terms import Lane, Promotion
from guerdon.core.promotions.verdicts import Evaluation, Verdict

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ANNA = Shopper(id="anna", tier="gold", segments=frozenset({"runners"}))


class Unused(dict[CounterKey, Counter]):
    """Counters that nobody has raised, but for those that are put in."""

    def get(self, key: CounterKey, default: Any = None) -> Counter:
        return super().get(key, Counter())


def line(price: int, quantity: int = 1, sku: str = "", category: str = "", **fields: Any) -> CartLine:
    """`quantity` pieces at a price in minor units."""
    return CartLine(
        sku=sku or f"sku-{price}",
        quantity=quantity * UNIT,
        amount=price * quantity,
        categories=(category,) if category else (),
        **fields,
    )


def cart(*lines: CartLine, **fields: Any) -> Cart:
    return Cart(currency="USD", lines=lines, **fields)


def paid(kind: str, amount: int, identifier: str = "") -> Tender:
    return Tender(kind=kind, amount=amount, identifier=identifier)


def of(entity: Any, *values: str, **fields: Any) -> Products:
    return (Criterion(entity=entity, values=frozenset(values), **fields),)


def promotion(id: str, *effects: Effect, **fields: Any) -> Promotion:
    return Promotion(id=id, name=fields.pop("name", id), effects=effects, **fields)


def percent(share: int, **fields: Any) -> Percent:
    return Percent(ppm=share * WHOLE // 100, **fields)


def off(amount: int, **fields: Any) -> Amount:
    return Amount(amount=amount, **fields)


def spend(least: int, **fields: Any) -> Condition:
    return CartIs(value=least, **fields)


def pieces(least: int, products: Products) -> Condition:
    return ProductsAre(products=products, value=least * UNIT)


def evaluated(
    of_cart: Cart,
    *promotions: Promotion,
    lanes: tuple[Lane, ...] = (),
    codes: dict[str, str] | None = None,
    usage: Usage | None = None,
    **options: Any,
) -> Evaluation:
    """`codes` maps each presented code to its promotion."""
    presented = [Presented(code=code, promotion=of) for code, of in (codes or {}).items()]
    return evaluate(
        of_cart,
        Catalogue(promotions, lanes),
        now=options.pop("now", NOW),
        presented=options.pop("presented", presented),
        usage=Unused() if usage is None else usage,
        **options,
    )


def verdict(evaluation: Evaluation, promotion: str) -> Verdict:
    (found,) = [v for v in (*evaluation.applied, *evaluation.others) if v.promotion == promotion]
    return found
