"""Promotions in their life: drafted, changed, running, paused, ended. Every change is a version that stays, and an
event that has it whole.

What a promotion says was checked by `promotions.authoring` before it got here; this is about what may become of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from guerdon.core.booking import ORGANISATION, tell
from guerdon.core.commands import ChangePromotion, CopyPromotion, CreatePromotion, RunPromotion, SetLane
from guerdon.core.events import Name
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.promotions.shelf import Shelf
from guerdon.core.promotions.terms import Lane, Promotion
from guerdon.core.results import Changed, PromotionMade
from guerdon.core.state import NotLoaded

if TYPE_CHECKING:
    from guerdon.core.state import State

LANE_MAX = 1_000
PROMOTIONS_MAX = 20_000
"""So many may an organisation have that have not ended."""


def shelf(state: State) -> Shelf:
    return state.config.promotions or _EMPTY


_EMPTY = Shelf()


def create(state: State, command: CreatePromotion) -> Outcome:
    """A new promotion. It starts as a draft unless it says that it is active."""
    known = shelf(state).by_id
    if len(known) >= PROMOTIONS_MAX and sum(each.status != "ended" for each in known.values()) >= PROMOTIONS_MAX:
        return Rejected(Rejection.INVALID_VALUE, "", {"maximum": PROMOTIONS_MAX})
    return _put(state, msgspec.structs.replace(command.terms, id=command.id, version=1), command.actor)


def change(state: State, command: ChangePromotion) -> Outcome:
    """The next version of the terms. What was used keeps the version it was used under; the status stays."""
    promotion = _find(state, command.promotion)
    if isinstance(promotion, Rejected):
        return promotion
    if promotion.status == "ended":
        return Rejected(Rejection.PROMOTION_ENDED, "promotion", {"promotion": command.promotion})
    if promotion.kind != command.terms.kind:
        return Rejected(Rejection.INVALID_VALUE, "kind", {"kind": promotion.kind})
    terms = msgspec.structs.replace(
        command.terms, id=promotion.id, version=promotion.version + 1, status=promotion.status
    )
    return _put(state, terms, command.actor)


def run(state: State, command: RunPromotion) -> Outcome:
    """Activate (now, or from `starts_at` on), pause or end. What has ended stays so; saying it twice is no error."""
    promotion = _find(state, command.promotion)
    if isinstance(promotion, Rejected):
        return promotion
    starts_at = command.starts_at or promotion.starts_at
    ends_at = command.ends_at or promotion.ends_at
    changed = msgspec.structs.replace(promotion, status=command.status, starts_at=starts_at, ends_at=ends_at)
    if changed == promotion:
        return Accepted(PromotionMade(terms=promotion))
    if promotion.status == "ended":
        return Rejected(Rejection.PROMOTION_ENDED, "promotion", {"promotion": command.promotion})
    if command.status == "paused" and promotion.status == "draft":
        return Rejected(Rejection.PROMOTION_NOT_ACTIVE, "promotion", {"status": promotion.status})
    if starts_at is not None and ends_at is not None and ends_at <= starts_at:
        return Rejected(Rejection.INVALID_VALUE, "ends_at", {"starts_at": starts_at.isoformat()})
    return _put(state, msgspec.structs.replace(changed, version=promotion.version + 1), command.actor)


def set_lane(state: State, command: SetLane) -> Outcome:
    """How the promotions of a lane go together from now on. A lane that nobody set stacks."""
    if abs(command.number) > LANE_MAX:
        return Rejected(Rejection.INVALID_VALUE, "number", {"minimum": -LANE_MAX, "maximum": LANE_MAX})
    lane = Lane(number=command.number, mode=command.mode, once=command.once)
    if shelf(state).lanes.get(lane.number) != lane:
        state.put(state.promotion_lanes, lane.number, lane)
        state.set_config(msgspec.structs.replace(state.config, promotions=shelf(state).put_lane(lane)))
    return Accepted(Changed(id=str(lane.number)))


def copy(state: State, command: CopyPromotion) -> Outcome:
    """A draft with the same terms under another name. Codes, uses and counters stay with the original."""
    promotion = _find(state, command.promotion)
    if isinstance(promotion, Rejected):
        return promotion
    name = command.name or promotion.name
    draft = msgspec.structs.replace(promotion, id=command.id, version=1, status="draft", name=name)
    return _put(state, draft, command.actor)


def version_of(state: State, id: str, version: int) -> Promotion:
    """A promotion under one of its versions. Raises `NotLoaded`."""
    promotion = shelf(state).by_id[id]
    if promotion.version == version:
        return promotion
    earlier: Promotion | None = state.find(("promotion_version", id, version))
    if earlier is None:
        raise NotLoaded(("promotion_version", id, version))
    return earlier


def _find(state: State, id: str) -> Promotion | Rejected:
    promotion = shelf(state).by_id.get(id)
    return promotion or Rejected(Rejection.PROMOTION_NOT_FOUND, "promotion", {"promotion": id})


def _put(state: State, promotion: Promotion, actor: str) -> Outcome:
    state.put(state.promotions, promotion.id, promotion)
    state.put(state.found, ("promotion_version", promotion.id, promotion.version), promotion)
    state.set_config(msgspec.structs.replace(state.config, promotions=shelf(state).put(promotion)))
    body = {"promotion": promotion.id, "version": promotion.version, "terms": promotion}
    tell(state, Name.PROMOTION_VERSION, ORGANISATION, actor=actor, body=body)
    return Accepted(PromotionMade(terms=promotion))
