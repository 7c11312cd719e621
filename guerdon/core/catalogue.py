"""The catalogue: rewards in lists, and what of it a member can afford.

Terms of a list and of a reward may change; every version of them stays (`CatalogueVersion`). How many pieces of a
reward are out is a projection: the claims of it that were neither denied nor cancelled. `rewards.py` makes and changes
the catalogue, `claims.py` takes from it.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Literal

from msgspec import Struct

from guerdon.core.outcomes import Rejection

Visibility = Literal["hide", "lock", "show"]
Kind = Literal["product", "discount_code", "wallet_credit", "external"]
Status = Literal["pending", "processing", "completed", "denied", "cancelled"]
"""Where the fulfilment of a claim stands."""

PIECES_MAX = 10**12
"""The largest stock, priority or limit."""


class ListTerms(Struct, frozen=True, kw_only=True):
    """A list's terms. `price` is in minor units of its program's asset, for every reward that has none of its own.

    `limit` is how many of its rewards, all taken together, one member may claim; None is no limit. Claims are open from
    `starts_at` until before `ends_at`. What a member cannot claim now is left out (`hide`), told with what is missing
    (`lock`), or told like everything else (`show`). A lower `priority` comes first.
    With `tiers` of its program or `segments` (codes) it is for members of one of each that is said.
    """

    name: str
    price: int
    priority: int = 0
    visibility: Visibility = "hide"
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    limit: int | None = None
    active: bool = True
    tiers: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()


class RewardTerms(Struct, frozen=True, kw_only=True):
    """A reward's terms. `price` None is the list's, 0 is free. `pictures` are addresses.

    `wallet_credit` puts `amount` (minor units) of `asset` into a wallet of the member; `discount_code` is the next free
    code of the batch `codes`; `external` is delivered by another system, `product` by people. An event says when no
    more than `low_stock` pieces or codes are left.
    """

    name: str
    kind: Kind = "product"
    description: str = ""
    pictures: tuple[str, ...] = ()
    price: int | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    limit: int | None = None
    asset: str = ""
    amount: int = 0
    codes: str = ""
    low_stock: int | None = None
    active: bool = True


class RewardList(Struct, frozen=True, kw_only=True):
    id: str
    program_no: int
    version: int
    created_at: datetime
    terms: ListTerms


class Reward(Struct, frozen=True, kw_only=True):
    """`supply` is how many pieces there ever were, None without end. Projections: `claimed` is how many of them are
    out, `given` the number in its batch of the last code that was claimed, of those that are codes.
    """

    id: str
    list_id: str
    version: int
    created_at: datetime
    supply: int | None
    claimed: int
    given: int
    terms: RewardTerms

    @property
    def stock(self) -> int | None:
        return None if self.supply is None else self.supply - self.claimed


class Shelved(Reward, frozen=True, kw_only=True):
    """A reward as it is looked at: `made` is how many codes its batch has, None where it is no code.

    Its stock is an upper bound where codes of the batch go elsewhere too: linked by hand, or claimed as another reward.
    """

    made: int | None = None

    @property
    def stock(self) -> int | None:
        pieces = None if self.supply is None else self.supply - self.claimed
        codes = None if self.made is None else max(0, self.made - self.given)
        return min([bound for bound in (pieces, codes) if bound is not None], default=None)


class CatalogueVersion(Struct, frozen=True, kw_only=True):
    """A version of a list or a reward, immutable. `belongs_to` is the number of the list's program, or the id of the
    reward's list; it never changes.
    """

    kind: Literal["list", "reward"]
    id: str
    belongs_to: str
    version: int
    supply: int | None
    terms: ListTerms | RewardTerms
    recorded_at: datetime
    actor: str


class Claimed(Struct, frozen=True):
    """How often a member has claimed from a list, and of it the one reward; what was given back does not count."""

    of_list: int = 0
    of_reward: int = 0


class Offer(Struct, frozen=True, kw_only=True):
    """What a reward is to one member now. `affordable` is how many they could claim one after the other, None without
    end (free, with neither stock nor limit); where it is 0, `refusal` says why not one.
    """

    price: int
    affordable: int | None
    shortfall: int = 0
    refusal: Rejection | None = None


def is_open(terms: ListTerms | RewardTerms, now: datetime) -> bool:
    """Whether claims are open. Whom a list is for is asked beside this (`is_for`)."""
    started = terms.starts_at is None or terms.starts_at <= now
    return terms.active and started and (terms.ends_at is None or now < terms.ends_at)


def is_for(terms: ListTerms, tier: str, segments: Collection[str]) -> bool:
    """Whether a list is for a member of a tier who is in these segments."""
    return (not terms.tiers or tier in terms.tiers) and (not terms.segments or bool({*terms.segments} & {*segments}))


def price_of(listed: RewardList, reward: Reward) -> int:
    return listed.terms.price if reward.terms.price is None else reward.terms.price


def offer(
    listed: RewardList,
    reward: Reward,
    spendable: int,
    claimed: Claimed,
    now: datetime,
    *,
    sold_out: bool = False,
    meant: bool = True,
) -> Offer:
    """What a member with so many spendable points, who has claimed so much, could claim of a reward. `sold_out` says
    that there is no code left for it, and `meant` whether its list is for the member.

    Refusals in their order: `list_not_active`, `reward_not_active`, `not_in_audience` (it is not `meant` for the
    member), `out_of_stock`, `limit_reached`,
    `insufficient_points`.
    """
    price = price_of(listed, reward)
    if not is_open(listed.terms, now):
        return Offer(price=price, affordable=0, refusal=Rejection.LIST_NOT_ACTIVE)
    if not is_open(reward.terms, now):
        return Offer(price=price, affordable=0, refusal=Rejection.REWARD_NOT_ACTIVE)
    if not meant:
        return Offer(price=price, affordable=0, refusal=Rejection.NOT_IN_AUDIENCE)
    if sold_out or reward.stock == 0:
        return Offer(price=price, affordable=0, refusal=Rejection.OUT_OF_STOCK)
    left = limit_left(listed, reward, claimed)
    if left == 0:
        return Offer(price=price, affordable=0, refusal=Rejection.LIMIT_REACHED)
    spendable = max(0, spendable)
    if price > spendable:
        return Offer(price=price, affordable=0, shortfall=price - spendable, refusal=Rejection.INSUFFICIENT_POINTS)
    bounds = [bound for bound in (reward.stock, left, spendable // price if price else None) if bound is not None]
    return Offer(price=price, affordable=min(bounds, default=None))


def limit_left(listed: RewardList, reward: Reward, claimed: Claimed) -> int | None:
    """How many more a member may claim, None without end."""
    limits = ((listed.terms.limit, claimed.of_list), (reward.terms.limit, claimed.of_reward))
    left = [max(0, limit - done) for limit, done in limits if limit is not None]
    return min(left, default=None)


def is_shown(listed: RewardList, made: Offer) -> bool:
    """Whether the member gets to see it: what is not open never, what cannot be claimed unless the list shows it."""
    if made.refusal in (Rejection.LIST_NOT_ACTIVE, Rejection.REWARD_NOT_ACTIVE):
        return False
    return made.refusal is None or listed.terms.visibility != "hide"
