"""A grocer's real campaigns as promotions, and the coupons that households really redeemed, as codes at the till.

A promotion for each coupon of each campaign: its products, the campaign's dates, the households that got it. The data
does not say what a coupon was worth, so each takes 1.00 off the bill. A redemption has a day; it is presented with the
household's bills of that day: the first one with a product of the coupon, else the first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from guerdon.core.promotions.conditions import Any_, ProductsAre
from guerdon.core.promotions.effects import Amount
from guerdon.core.promotions.limits import Limit
from guerdon.core.promotions.products import Criterion
from guerdon.core.promotions.terms import Audience, Promotion
from guerdon.importing.mapping import load_mapping, resolve_file
from guerdon.importing.reader import Purchase
from tests.year.feed import NAME, ZONE, purchases

VALUES_MAX = 1_000
"""So many values may a criterion have; coupons of whole departments have more products."""

Coupon = tuple[int, int]
"""The coupon's number on paper, and its campaign."""


class Redemption(NamedTuple):
    household: str
    coupon: Coupon
    day: date


class Campaigns(NamedTuple):
    """The tables: products of each coupon, households and days (first and last) of each campaign, redemptions."""

    products: dict[Coupon, frozenset[str]]
    households: dict[int, frozenset[str]]
    days: dict[int, tuple[date, date]]
    redemptions: list[Redemption]


@cache
def campaigns() -> Campaigns:
    products: dict[Coupon, set[str]] = defaultdict(set)
    for row in _table("coupons"):
        products[row["coupon_upc"], row["campaign_id"]].add(str(row["product_id"]))
    households: dict[int, set[str]] = defaultdict(set)
    for row in _table("campaigns"):
        households[row["campaign_id"]].add(str(row["household_id"]))
    return Campaigns(
        products={coupon: frozenset(skus) for coupon, skus in products.items()},
        households={campaign: frozenset(found) for campaign, found in households.items()},
        days={
            row["campaign_id"]: (row["start_date"].date(), row["end_date"].date())
            for row in _table("campaign_descriptions")
        },
        redemptions=[
            Redemption(str(row["household_id"]), (row["coupon_upc"], row["campaign_id"]), row["redemption_date"].date())
            for row in _table("coupon_redemptions")
        ],
    )


def _table(name: str) -> list[dict[str, Any]]:
    from pyarrow import parquet  # an extra, like the data

    path = resolve_file(NAME, load_mapping(NAME)).with_name(f"{name}.parquet")
    found: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    return found


def word(coupon: Coupon) -> str:
    """The code that is printed on the coupon."""
    return f"{coupon[0]}C{coupon[1]}"


def promotion(coupon: Coupon, ids: dict[str, str]) -> Promotion:
    """The coupon as a promotion; `ids` are the members' by household."""
    tables = campaigns()
    skus = sorted(tables.products[coupon])
    first, last = tables.days[coupon[1]]
    return Promotion(
        id="",
        name=word(coupon),
        kind="code",
        effects=(Amount(amount=100),),
        condition=Any_(
            of=tuple(
                ProductsAre(products=(Criterion(entity="sku", values=frozenset(skus[i : i + VALUES_MAX])),), value=1000)
                for i in range(0, len(skus), VALUES_MAX)
            )
        ),
        starts_at=midnight(first),
        ends_at=midnight(last + timedelta(days=1)),
        audience=Audience(members=frozenset(ids[each] for each in tables.households[coupon[1]] if each in ids)),
        limits=(
            Limit(code="each", kpi="purchases", limit=1, per="customer"),
            Limit(code="word", kpi="purchases", limit=100_000, per="code"),
        ),
    )


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), ZONE).astimezone(UTC)


def bills(place: Path) -> Iterator[tuple[Purchase, list[Coupon]]]:
    """The bills with which coupons were redeemed, by time, each with its coupons in the order of the table."""
    tables = campaigns()
    days: dict[tuple[str, date], list[Purchase]] = defaultdict(list)
    chosen = sorted({int(redemption.household) for redemption in tables.redemptions})
    for purchase in purchases(place, chosen):
        days[purchase.member, purchase.at.astimezone(ZONE).date()].append(purchase)
    presented: dict[str, list[Coupon]] = defaultdict(list)
    by_number: dict[str, Purchase] = {}
    for redemption in tables.redemptions:
        that_day = days[redemption.household, redemption.day]
        wanted = tables.products[redemption.coupon]
        with_it = [each for each in that_day if any(line.sku in wanted for line in each.lines)]
        purchase = (with_it or that_day)[0]
        presented[purchase.number].append(redemption.coupon)
        by_number[purchase.number] = purchase
    for purchase in sorted(by_number.values(), key=lambda each: (each.at, each.number)):
        yield purchase, presented[purchase.number]
