"""Promotions: the terms. Who, when, where; if what, then what; how often; and how they go together."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from guerdon.core.promotions.conditions import Base, Condition
from guerdon.core.promotions.effects import Effect, Tendered, Voucher
from guerdon.core.promotions.limits import Budget, Limit, as_limit
from guerdon.core.promotions.windows import Window

Kind = Literal["automatic", "member", "code", "points"]
Status = Literal["draft", "active", "paused", "ended"]
Mode = Literal["stack", "first", "best", "exclusive"]


class Audience(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For whom: everybody, or members, who must meet each set that is not empty."""

    members_only: bool = False
    tiers: frozenset[str] = frozenset()
    segments: frozenset[str] = frozenset()
    members: frozenset[str] = frozenset()

    @property
    def narrow(self) -> bool:
        return bool(self.members_only or self.tiers or self.segments or self.members)


class Issuing(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a promotion of kind `member` is given: how often to one member; whether the member has to activate it; and
    for how many days it goes on, from the day it was given or, where that is asked for, activated (None: no end).
    """

    per_member: int = 1
    activation: bool = False
    days: int | None = None


class Promotion(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version of a promotion. `starts_at` is included, `ends_at` is not.

    `automatic` is for everybody, `member` for those to whom it was issued, `code` for whoever holds a code, `points`
    gives points only. `repeat` is how many times over one purchase may meet the condition. `base` is what percentages
    are taken of: prices before all discounts, or as earlier promotions left them. Lower `priority` comes first.
    `on_return` says what becomes of a use when all of its purchase was returned.
    """

    id: str
    name: str
    effects: tuple[Effect, ...]
    kind: Kind = "automatic"
    status: Status = "active"
    version: int = 1
    condition: Condition | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    windows: tuple[Window, ...] = ()
    audience: Audience = Audience()
    stores: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    limits: tuple[Limit, ...] = ()
    budget: Budget | None = None
    lane: int = 0
    priority: int = 0
    repeat: int = 1
    base: Base = "running"
    on_return: Literal["keep", "give_back"] = "keep"
    issuing: Issuing = Issuing()

    @property
    def all_limits(self) -> tuple[Limit, ...]:
        return self.limits if self.budget is None else (*self.limits, as_limit(self.budget))

    @property
    def phase(self) -> int:
        """What comes after the price is known: tender discounts, then vouchers."""
        if any(type(effect) is Voucher for effect in self.effects):
            return 2
        return 1 if any(type(effect) is Tendered for effect in self.effects) else 0


class Lane(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the promotions of one lane go together; lanes follow each other by number.

    `stack`: all, one after the other. `first`: the first that applies. `best`: the one that gives this customer most.
    `exclusive`: as `first`, and then nothing else at all. `once`: a piece that one promotion of this lane has used, as
    bought or as given, is no longer there for the next.
    """

    number: int
    mode: Mode = "stack"
    once: bool = False
