"""The evaluation: every offer gets its verdict, lane by lane, and the bill gets what applies.

A pure function of its arguments: the order in which offers are handed in changes nothing, since they are decided in
the total order of `Offer.order`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from guerdon.core.assets import Rounding
from guerdon.core.promotions.bills import Bill
from guerdon.core.promotions.carts import Cart, Issue, Presented, Shopper
from guerdon.core.promotions.conditions import Check, Facts, ask
from guerdon.core.promotions.effects import Multiplier, Points
from guerdon.core.promotions.giving import Gift, give, shrink
from guerdon.core.promotions.limits import (
    Counted,
    CounterKey,
    Limit,
    LimitState,
    Periods,
    Raise,
    Subjects,
    Usage,
    counted,
    counted_on,
    free_again,
    until,
)
from guerdon.core.promotions.offers import Catalogue, Offer, Order
from guerdon.core.promotions.products import Basket
from guerdon.core.promotions.terms import Lane, Promotion
from guerdon.core.promotions.verdicts import Evaluation, Part, Reason, Verdict
from guerdon.core.promotions.windows import open_at

UTC_ZONE = ZoneInfo("UTC")
_ORDER = attrgetter("order")


class Candidates:
    """A cart with everything that could apply to it, made ready once: for the counters to load, and for each evaluation
    after that. With `everything`, all live promotions are among them, also those that the index leaves out.
    """

    __slots__ = ("_counted", "basket", "catalogue", "offers", "shopper")

    def __init__(
        self,
        cart: Cart,
        catalogue: Catalogue,
        shopper: Shopper | None = None,
        presented: Iterable[Presented] = (),
        *,
        everything: bool = False,
    ) -> None:
        self.basket = Basket(cart)
        self.catalogue = catalogue
        self.shopper = shopper
        if everything:
            found = catalogue.every_offer(shopper, presented)
        else:
            found = catalogue.offers(self.basket, shopper, presented)
        self.offers = sorted(found, key=_ORDER)
        self._counted: tuple[datetime, ZoneInfo, list[tuple[Counted, ...]]] | None = None

    @property
    def multiply(self) -> bool:
        """Whether any of them looks at the points that lines earn by the earning rules."""
        return any(
            offer.promotion is not None and offer.promotion.id in self.catalogue.multiply for offer in self.offers
        )

    def counters(self, now: datetime, zone: ZoneInfo = UTC_ZONE) -> list[CounterKey]:
        """The counters to load before evaluating."""
        found: dict[CounterKey, None] = {}
        for limits in self._limits(now, zone):
            for each in limits:
                if each.key is not None:
                    found[each.key] = None
                if each.last is not None:
                    found[each.last] = None
        return list(found)

    def _limits(self, now: datetime, zone: ZoneInfo) -> list[tuple[Counted, ...]]:
        """What each offer's limits count on at a moment, in the order of the offers."""
        known = self._counted
        if known is None or known[0] != now or known[1] is not zone:
            others = Subjects("", self.shopper.id if self.shopper else "", self.basket.cart.store)
            periods = Periods(now.astimezone(zone))
            limits = [_counted_by(offer, others, periods) for offer in self.offers]
            known = self._counted = (now, zone, limits)
        return known[2]

    def evaluate(
        self,
        *,
        now: datetime,
        usage: Usage,
        points: tuple[int, ...] = (),
        past: Any = None,
        zone: ZoneInfo = UTC_ZONE,
        rounding: Rounding = Rounding.HALF_UP,
    ) -> Evaluation:
        """What the cart comes to. `usage` has the value of every counter; a missing one raises `NotLoaded`. `points`
        are what each line earns by the earning rules, `past` what the shopper did before; both where anything asks.
        """
        shopper = self.shopper
        if past is not None and shopper is not None:
            shopper = msgspec.structs.replace(shopper, past=past)
        basket = self.basket.earning(points) if points else self.basket
        limits = {id(offer): each for offer, each in zip(self.offers, self._limits(now, zone), strict=True)}
        return _Session(basket, self.catalogue, shopper, limits, usage, now, zone, rounding).run(self.offers)


def evaluate(
    cart: Cart,
    catalogue: Catalogue,
    *,
    now: datetime,
    shopper: Shopper | None = None,
    presented: Iterable[Presented] = (),
    usage: Usage | None = None,
    zone: ZoneInfo = UTC_ZONE,
    rounding: Rounding = Rounding.HALF_UP,
    everything: bool = False,
) -> Evaluation:
    """What a cart comes to, from the start: `Candidates.evaluate`."""
    found = Candidates(cart, catalogue, shopper, presented, everything=everything)
    return found.evaluate(now=now, usage={} if usage is None else usage, zone=zone, rounding=rounding)


def counters(
    cart: Cart,
    catalogue: Catalogue,
    *,
    now: datetime,
    shopper: Shopper | None = None,
    presented: Iterable[Presented] = (),
    zone: ZoneInfo = UTC_ZONE,
    everything: bool = False,
) -> list[CounterKey]:
    """The counters to load before that."""
    return Candidates(cart, catalogue, shopper, presented, everything=everything).counters(now, zone)


def _counted_by(offer: Offer, others: Subjects, periods: Periods) -> tuple[Counted, ...]:
    promotion = offer.promotion
    if promotion is None or not (limits := promotion.all_limits):
        return ()
    subjects = others
    if offer.issue is not None:
        subjects = msgspec.structs.replace(others, issue=offer.issue.id)
    elif offer.presented is not None:
        subjects = msgspec.structs.replace(others, code=offer.presented.code)
    return tuple([counted_on(promotion.id, limit, subjects, periods) for limit in limits])


class _Trial(msgspec.Struct):
    """A verdict, and the bill as it would be with it; no bill where it does not apply."""

    offer: Offer
    verdict: Verdict
    bill: Bill | None = None


class _Room(NamedTuple):
    """What a limit has left for this cart: its figure less what was used before and what the cart holds already."""

    on: Counted
    left: int
    used: int
    held: int


class _Session:
    """One evaluation while it runs."""

    def __init__(
        self,
        basket: Basket,
        catalogue: Catalogue,
        shopper: Shopper | None,
        limits: dict[int, tuple[Counted, ...]],
        usage: Usage,
        now: datetime,
        zone: ZoneInfo,
        rounding: Rounding,
    ) -> None:
        self.basket = basket
        self.catalogue = catalogue
        self.shopper = shopper
        self.limits = limits
        self.usage = usage
        self.now = now
        self.local = now.astimezone(zone)
        self.rounding = rounding
        self.bill = Bill(basket)
        self.winners: dict[str, str] = {}
        self.applied: list[Verdict] = []
        self.others: list[tuple[Order, Verdict]] = []
        self.read: dict[CounterKey, int] = {}

    def run(self, offers: list[Offer]) -> Evaluation:
        eligible: list[Offer] = []
        seen: set[str] = set()
        for offer in offers:
            verdict = self._refused(offer, seen)
            if verdict is None:
                eligible.append(offer)
            else:
                self.others.append((offer.order, verdict))
        if not self.catalogue.exclusive:
            self._lanes(eligible)
        elif not self._exclusive(eligible):
            self._lanes([offer for offer in eligible if not self._alone(offer)])
        self.others.sort(key=lambda each: each[0])
        return self._evaluation()

    def _evaluation(self) -> Evaluation:
        basket, bill = self.basket, self.bill
        shipping = max(0, basket.cart.shipping)
        return Evaluation(
            currency=basket.cart.currency,
            rounding=self.rounding,
            subtotal=sum([line.amount for line in basket.cart.lines]),
            discounts=tuple([amount - left for amount, left in zip(basket.amounts, bill.left, strict=True)]),
            shipping=shipping,
            shipping_discount=shipping - bill.shipping,
            vouchers=bill.vouchers,
            points=sum([verdict.points for verdict in self.applied]),
            applied=tuple(self.applied),
            others=tuple([verdict for _, verdict in self.others]),
            read=tuple(sorted(self.read.items())),
        )

    # -- lanes ------------------------------------------------------------------------------------------------------

    def _alone(self, offer: Offer) -> bool:
        return offer.order[1] in self.catalogue.exclusive

    def _exclusive(self, offers: list[Offer]) -> bool:
        """Exclusive lanes come before all others: the first of their promotions that applies is the only one."""
        failed: list[_Trial] = []
        for offer in filter(self._alone, offers):
            trial = self._try(offer, self.bill, once=False)
            if trial.bill is None:
                failed.append(trial)
                continue
            for other in offers:
                if other is not offer:
                    self._park(
                        self._try(other, self.bill, once=False), Reason.EXCLUSIVE_APPLIED, trial.verdict.promotion
                    )
            self._apply(trial)
            return True
        self.others += [(trial.offer.order, trial.verdict) for trial in failed]
        return False

    def _lanes(self, offers: list[Offer]) -> None:
        for (_, number), group in groupby(offers, key=lambda offer: offer.order[:2]):
            lane = self.catalogue.lane(number)
            self.bill.clear()
            if lane.mode == "stack":
                for offer in group:
                    self._settle(self._try(offer, self.bill, lane.once))
            elif lane.mode == "best":
                self._best(list(group), lane)
            else:
                self._first(list(group), lane)

    def _first(self, offers: list[Offer], lane: Lane) -> None:
        """Others are tried on the same bill, to tell what they would have given."""
        start, winner = self.bill, ""
        for offer in offers:
            trial = self._try(offer, start, lane.once)
            if winner:
                self._park(trial, Reason.OTHER_CAME_FIRST, winner)
            elif self._settle(trial):
                winner = trial.verdict.promotion

    def _best(self, offers: list[Offer], lane: Lane) -> None:
        """Money counts before points; on a tie the order of the offers decides."""
        trials = [self._try(offer, self.bill, lane.once) for offer in offers]
        able = [trial for trial in trials if trial.bill is not None]
        if not able:
            self.others += [(trial.offer.order, trial.verdict) for trial in trials]
            return
        best = max(able, key=lambda trial: _worth(trial.verdict))
        self._apply(best)
        for trial in trials:
            if trial is not best:
                self._park(trial, Reason.OTHER_WAS_BETTER, best.verdict.promotion)

    def _settle(self, trial: _Trial) -> bool:
        if trial.bill is None:
            self.others.append((trial.offer.order, trial.verdict))
            return False
        return self._apply(trial)

    def _apply(self, trial: _Trial) -> bool:
        """Into the bill, unless the promotion is there already by another code."""
        id = trial.verdict.promotion
        if id in self.winners:
            self._park(trial, Reason.ALREADY_APPLIED, id)
            return False
        assert trial.bill is not None
        self.winners[id] = trial.verdict.code
        self.bill = trial.bill
        self.applied.append(trial.verdict)
        return True

    def _park(self, trial: _Trial, reason: Reason, winner: str) -> None:
        verdict = trial.verdict
        if trial.bill is not None:
            verdict = msgspec.structs.replace(verdict, status="parked", reason=reason, winner=winner, raises=())
        self.others.append((trial.offer.order, verdict))

    # -- who, when, where -------------------------------------------------------------------------------------------

    def _refused(self, offer: Offer, seen: set[str]) -> Verdict | None:
        """The verdict on an offer that cannot apply whatever is in the cart."""
        reason, moment = self._obstacle(offer, seen)
        if offer.presented is not None:
            seen.add(offer.presented.code)
        return None if reason is None else _verdict(offer, reason, moment=moment)

    def _obstacle(self, offer: Offer, seen: set[str]) -> tuple[Reason | None, datetime | None]:
        presented, promotion = offer.presented, offer.promotion
        if presented is not None:
            if promotion is None or promotion.kind != "code":
                return Reason.CODE_UNKNOWN, None
            if presented.code in seen:
                return Reason.CODE_GIVEN_TWICE, None
            if presented.status != "live":
                return Reason.CODE_DEACTIVATED, None
            if presented.linked_to and presented.linked_to != (self.shopper.id if self.shopper else ""):
                return Reason.CODE_LINKED_TO_ANOTHER, None
        assert promotion is not None
        found = self._not_running(promotion)
        if found[0] is not None:
            return found
        return self._not_for(promotion, offer.issue)

    def _not_running(self, promotion: Promotion) -> tuple[Reason | None, datetime | None]:
        if promotion.status == "ended":
            return Reason.ENDED, promotion.ends_at
        if promotion.status != "active":
            return Reason.NOT_ACTIVE, None
        if promotion.starts_at is not None and self.now < promotion.starts_at:
            return Reason.NOT_STARTED, promotion.starts_at
        if promotion.ends_at is not None and self.now >= promotion.ends_at:
            return Reason.ENDED, promotion.ends_at
        if promotion.windows and not open_at(promotion.windows, self.local):
            return Reason.OUTSIDE_HOURS, None
        cart = self.basket.cart
        if promotion.stores and cart.store not in promotion.stores:
            return Reason.STORE_NOT_TAKING_PART, None
        if promotion.channels and cart.channel not in promotion.channels:
            return Reason.CHANNEL_NOT_TAKING_PART, None
        return None, None

    def _not_for(self, promotion: Promotion, issue: Issue | None) -> tuple[Reason | None, datetime | None]:
        audience, shopper = promotion.audience, self.shopper
        if shopper is None:
            asked = promotion.kind in ("member", "points") or audience.narrow or _only_points(promotion)
            return (Reason.MEMBER_REQUIRED if asked else None), None
        if (
            (audience.tiers and shopper.tier not in audience.tiers)
            or (audience.segments and audience.segments.isdisjoint(shopper.segments))
            or (audience.members and shopper.id not in audience.members)
        ):
            return Reason.NOT_IN_AUDIENCE, None
        if promotion.kind != "member":
            return None, None
        if issue is None:
            return Reason.NOT_ISSUED, None
        if not issue.active:
            return Reason.NOT_ACTIVATED, None
        if issue.starts_at is not None and self.now < issue.starts_at:
            return Reason.ISSUE_NOT_STARTED, issue.starts_at
        if issue.ends_at is not None and self.now >= issue.ends_at:
            return Reason.ISSUE_ENDED, issue.ends_at
        return None, None

    # -- one offer --------------------------------------------------------------------------------------------------

    def _try(self, offer: Offer, bill: Bill, once: bool) -> _Trial:
        """What an offer would do to a bill: limits first, since no shopping mends those, then the condition."""
        promotion = offer.promotion
        assert promotion is not None
        limits = self.limits[id(offer)]
        rooms: list[_Room] = []
        if limits:
            found = self._rooms(offer, limits, bill)
            if isinstance(found, Verdict):
                return _Trial(offer, found)
            rooms = found
        checks: list[Check] = []
        times = 1
        if promotion.condition is not None:
            facts = Facts(self.basket, bill.left, self.shopper, self.local)
            answer = ask(promotion.condition, facts, "condition", checks)
            if not answer.met:
                return _Trial(
                    offer,
                    _verdict(offer, Reason.CONDITION_NOT_MET, checks=tuple(checks), misses=answer.misses),
                )
            times = max(1, min(promotion.repeat, answer.times or 1))
        gift = self._gift(promotion, bill, times, None, once)
        if gift.empty:
            return _Trial(offer, _verdict(offer, Reason.NOTHING_TO_GIVE, checks=tuple(checks)))
        if rooms:
            fitted = self._fit(offer, promotion, bill, gift, rooms, once, checks)
            if isinstance(fitted, Verdict):
                return _Trial(offer, fitted)
            gift = fitted
        raises = self._raises(limits, gift, rooms) if limits else ()
        return _Trial(offer, _given(offer, gift, tuple(checks), raises), gift.bill)

    def _gift(self, promotion: Promotion, bill: Bill, times: int, most: int | None, once: bool) -> Gift:
        gift = Gift(
            bill.copy(), promotion, times=times, most=most, once=once, rounding=self.rounding, shopper=self.shopper
        )
        give(promotion, gift)
        return gift

    def _rooms(self, offer: Offer, limits: tuple[Counted, ...], bill: Bill) -> list[_Room] | Verdict:
        """What each limit has left; or the verdict, when one has nothing."""
        rooms: list[_Room] = []
        for on in limits:
            limit = on.limit
            if on.nobody:
                if limit.per in ("code", "issue"):
                    continue
                reason = Reason.STORE_REQUIRED if limit.per == "store" else Reason.MEMBER_REQUIRED
                return _verdict(offer, reason)
            if on.last is not None:
                self.read[on.last] = counted(self.usage, on.last).used
                moment = free_again(limit, self.usage, on.last, self.now)
                if moment is not None:
                    return _verdict(offer, Reason.TOO_SOON, limit=_state(on, 0, 0, free_at=moment), moment=moment)
            if limit.limit is None:
                continue
            used, held = 0, 0
            if on.key is not None:
                used = self.read[on.key] = counted(self.usage, on.key).used
                held = bill.held.get(on.key, 0)
            if used + held >= limit.limit:
                return _verdict(offer, Reason.LIMIT_REACHED, limit=_state(on, used, held))
            rooms.append(_Room(on, limit.limit - used - held, used, held))
        return rooms

    def _fit(
        self,
        offer: Offer,
        promotion: Promotion,
        bill: Bill,
        gift: Gift,
        rooms: list[_Room],
        once: bool,
        checks: list[Check],
    ) -> Gift | Verdict:
        """What fits into all limits: less where a limit gives part of it, nothing where one does not."""
        least: dict[str, int] = {}
        for on, left, _, _ in rooms:
            if on.limit.on_exceed == "partial" and left < least.get(on.limit.kpi, left + 1):
                least[on.limit.kpi] = left
        uses = least.get("uses")
        if uses is not None and gift.uses > uses:
            gift = self._gift(promotion, bill, min(gift.times, uses), uses, once)
        shrink(gift, bill, least.get("discount"), least.get("points"))
        for on, left, used, held in rooms:
            asked = _asked(on.limit, gift)
            if asked > left:
                state = _state(on, used, held, asked)
                return _verdict(offer, Reason.LIMIT_REACHED, limit=state, checks=tuple(checks))
        if gift.empty:
            return _verdict(offer, Reason.NOTHING_TO_GIVE, checks=tuple(checks))
        return gift

    def _raises(self, limits: tuple[Counted, ...], gift: Gift, rooms: list[_Room]) -> tuple[Raise, ...]:
        """What is to be added to which counters; a limit on what was not given adds nothing."""
        raises = []
        for on, _, used, _ in rooms:
            by = _asked(on.limit, gift)
            if on.key is not None and by:
                raises.append(Raise(on.key, by, used, on.limit.limit, until(on.limit, self.now)))
                gift.bill.held[on.key] = gift.bill.held.get(on.key, 0) + by
        raises += [Raise(on.last, 1, self.read[on.last], None) for on in limits if on.last is not None]
        return tuple(raises)


def _asked(limit: Limit, gift: Gift) -> int:
    if limit.kpi == "uses":
        return gift.uses
    if limit.kpi == "purchases":
        return 1
    return gift.points if limit.kpi == "points" else gift.discount + gift.voucher


def _state(on: Counted, used: int, held: int, asked: int = 0, free_at: datetime | None = None) -> LimitState:
    limit = on.limit
    return LimitState(
        code=limit.code,
        kpi=limit.kpi,
        per=limit.per,
        window=limit.window,
        subject=on.subject,
        limit=limit.limit or 0,
        used=used,
        held=held,
        wanted=asked,
        free_at=free_at,
    )


def _worth(verdict: Verdict) -> tuple[int, int]:
    return verdict.discount + verdict.voucher, verdict.points


def _only_points(promotion: Promotion) -> bool:
    return all(isinstance(effect, Points | Multiplier) for effect in promotion.effects)


def _verdict(offer: Offer, reason: Reason, **fields: Any) -> Verdict:
    promotion, presented = offer.promotion, offer.presented
    return Verdict(
        promotion=promotion.id if promotion else "",
        version=promotion.version if promotion else 0,
        name=promotion.name if promotion else "",
        code=presented.code if presented else "",
        issue=offer.issue.id if offer.issue else "",
        status="not_applied",
        reason=reason,
        **fields,
    )


def _given(offer: Offer, gift: Gift, checks: tuple[Check, ...], raises: tuple[Raise, ...]) -> Verdict:
    promotion, presented = offer.promotion, offer.presented
    assert promotion is not None
    return Verdict(
        promotion=promotion.id,
        version=promotion.version,
        name=promotion.name,
        code=presented.code if presented else "",
        issue=offer.issue.id if offer.issue else "",
        status="applied",
        times=gift.uses,
        discount=gift.discount,
        desired=gift.desired,
        shipping=gift.shipping,
        voucher=gift.voucher,
        points=gift.points,
        parts=tuple([Part(i, part, gift.units[i]) for i, part in enumerate(gift.parts) if part]),
        checks=checks,
        method=gift.method,  # type: ignore[arg-type]
        raises=raises,
    )
