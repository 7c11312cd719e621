"""Rewards and claims of them."""

from __future__ import annotations

from typing import Literal

from guerdon.core.catalogue import ListTerms, RewardTerms
from guerdon.core.commands.command import Command, Selector
from guerdon.core.commands.purchases import Where


class CreateRewardList(Command, frozen=True, kw_only=True):
    """Make a list of rewards in a program (None: the first)."""

    terms: ListTerms
    program: Selector | None = None


class ChangeRewardList(Command, frozen=True, kw_only=True):
    """Give a list the next version of its terms."""

    list: str
    terms: ListTerms


class CreateReward(Command, frozen=True, kw_only=True):
    """Make a reward in a list. `stock` None is without end."""

    list: str
    terms: RewardTerms
    stock: int | None = None


class ChangeReward(Command, frozen=True, kw_only=True):
    """Give a reward the next version of its terms; with `restock` there are `stock` pieces from now on."""

    reward: str
    terms: RewardTerms
    restock: bool = False
    stock: int | None = None


class ClaimReward(Command, frozen=True, kw_only=True):
    """Take one piece of a reward (by id) for points. A wallet credit goes to the account `wallet`."""

    member: Selector
    reward: str
    wallet: str = ""
    where: Where = Where()


class MoveClaim(Command, frozen=True, kw_only=True):
    """Move the fulfilment of a claim forward."""

    claim: str
    status: Literal["processing", "completed", "denied", "cancelled"]
    reason: str = ""
