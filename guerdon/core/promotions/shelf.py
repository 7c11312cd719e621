"""All promotions of an organisation, as its configuration keeps them."""

from __future__ import annotations

from collections.abc import Mapping

from guerdon.core.promotions.conditions import All, Any_, Not, SegmentIs, TierIs
from guerdon.core.promotions.limits import Budget
from guerdon.core.promotions.offers import Catalogue
from guerdon.core.promotions.terms import Lane, Promotion


class Shelf:
    """Promotions by id; never changed, only replaced. The index is made when it is first asked for, so that a thousand
    changes in a row cost one.
    """

    __slots__ = ("_audience", "_budgets", "_catalogue", "by_id", "lanes")

    def __init__(self, by_id: Mapping[str, Promotion] | None = None, lanes: Mapping[int, Lane] | None = None) -> None:
        self.by_id: Mapping[str, Promotion] = {} if by_id is None else by_id
        self.lanes: Mapping[int, Lane] = {} if lanes is None else lanes
        self._catalogue: Catalogue | None = None
        self._audience: tuple[bool, frozenset[str]] | None = None
        self._budgets: Mapping[str, Budget] | None = None

    def put(self, promotion: Promotion) -> Shelf:
        """A shelf with one more, or with the next version of one."""
        return Shelf({**self.by_id, promotion.id: promotion}, self.lanes)

    def put_lane(self, lane: Lane) -> Shelf:
        return Shelf(self.by_id, {**self.lanes, lane.number: lane})

    @property
    def budgets(self) -> Mapping[str, Budget]:
        """By their code."""
        if self._budgets is None:
            self._budgets = {each.budget.code: each.budget for each in self.by_id.values() if each.budget is not None}
        return self._budgets

    @property
    def catalogue(self) -> Catalogue:
        if self._catalogue is None:
            self._catalogue = Catalogue(self.by_id.values(), self.lanes.values())
        return self._catalogue

    @property
    def about_tiers(self) -> bool:
        """Whether any promotion that runs asks for a tier."""
        return self._asked()[0]

    @property
    def segments(self) -> frozenset[str]:
        """The codes of all segments that promotions which run ask for."""
        return self._asked()[1]

    def _asked(self) -> tuple[bool, frozenset[str]]:
        if self._audience is None:
            tiers, segments = False, set[str]()
            for promotion in self.by_id.values():
                if promotion.status != "active":
                    continue
                tiers = tiers or bool(promotion.audience.tiers)
                segments |= promotion.audience.segments
                waiting = [] if promotion.condition is None else [promotion.condition]
                for condition in waiting:
                    if isinstance(condition, All | Any_):
                        waiting.extend(condition.of)
                    elif isinstance(condition, Not):
                        waiting.append(condition.of)
                    elif isinstance(condition, SegmentIs):
                        segments |= condition.values
                    tiers = tiers or isinstance(condition, TierIs)
            self._audience = (tiers, frozenset(segments))
        return self._audience
