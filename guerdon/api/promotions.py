"""`/v1/promotions`: promotions in their life, their versions, and what they gave."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from guerdon.api.call import Call
from guerdon.api.problem import Problem
from guerdon.api.routing import Routes
from guerdon.api.values import Body, PageQuery, Shown, instant, named_id, page, place_id, place_no, place_of_use, public
from guerdon.api.verdicts import ISSUE, PROMOTION
from guerdon.core import commands
from guerdon.core.promoting import LANE_MAX
from guerdon.core.promotions.authoring import Fault, read
from guerdon.core.promotions.conditions import Base, Condition
from guerdon.core.promotions.effects import Effect
from guerdon.core.promotions.limits import Budget, Limit
from guerdon.core.promotions.terms import Audience, Issuing, Kind, Lane, Mode, Promotion, Status
from guerdon.core.promotions.windows import Window
from guerdon.core.results import PromotionMade
from guerdon.store.promotions import PromotionRow, UseRow

routes = Routes("Promotions")

FAULTS_SHOWN = 50


class PromotionIn(Body, frozen=True, kw_only=True):
    """A promotion as it is written: who, when, where; if what, then what; how often; and how it goes with others.

    Money is in minor units, percentages in parts per million (10 % is 100000), minutes and weekdays in the
    organisation's time zone. `status` is `draft` (the default) or `active`.
    """

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    effects: tuple[Effect, ...]
    kind: Kind = "automatic"
    status: Literal["draft", "active"] = "draft"
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


class PromotionOut(Shown, frozen=True, kw_only=True):
    """`terms` are what was written, with everything that was left out filled in."""

    id: str
    name: str
    kind: Kind
    status: Status
    version: int
    created_at: datetime
    changed_at: datetime
    terms: dict[str, Any]


class PromotionTotals(Shown, frozen=True, kw_only=True):
    """What it has given so far, less what was given back: carts it was used in, applications, members, and figures.
    `points` are in minor units of their asset."""

    purchases: int
    uses: int
    members: int
    discount_minor: int
    voucher_minor: int
    points_minor: int


class PromotionFound(PromotionOut, frozen=True, kw_only=True):
    totals: PromotionTotals


class PromotionPage(Shown, frozen=True, kw_only=True):
    data: tuple[PromotionOut, ...]
    next_cursor: str | None


class Difference(Shown, frozen=True, kw_only=True):
    before: Any
    after: Any


class PromotionVersion(PromotionOut, frozen=True, kw_only=True):
    """`changed` has every field of the terms that is not as it was in the version before; nothing for the first."""

    actor: str
    changed: dict[str, Difference]


class VersionPage(Shown, frozen=True, kw_only=True):
    data: tuple[PromotionVersion, ...]
    next_cursor: str | None


class PromotionsQuery(PageQuery, frozen=True, kw_only=True):
    status: Annotated[Status | None, Meta(description="Only those in this state")] = None


class RunIn(Body, frozen=True, kw_only=True):
    """With `starts_at` in the future it is scheduled. What is left out stays as it is."""

    starts_at: datetime | None = None
    ends_at: datetime | None = None


class CopyIn(Body, frozen=True, kw_only=True):
    name: Annotated[str, Meta(max_length=100, description="Without it the name of the original")] = ""


class UseOut(Shown, frozen=True, kw_only=True):
    """One use, or (`gives_back`, an event's number) one that was given back, with figures below zero. `reference` is
    the number of the bill or of the sale kept elsewhere."""

    event_log_id: int
    version: int
    code: str | None
    issue: str | None
    member: str | None
    purchase: str | None
    reference: str
    used_at: datetime
    times: int
    discount_minor: int
    voucher_minor: int
    points_minor: int
    currency: str
    gives_back: int | None


class UsePage(Shown, frozen=True, kw_only=True):
    data: tuple[UseOut, ...]
    next_cursor: str | None


class UsesQuery(PageQuery, frozen=True, kw_only=True):
    code: Annotated[str, Meta(max_length=100, description="Only by this code")] | None = None


_TEN_PERCENT = {
    "name": "Ten percent above 100",
    "kind": "automatic",
    "status": "active",
    "condition": {"type": "cart", "kpi": "subtotal", "operator": "more_than", "value": 10000},
    "effects": [{"type": "percent", "ppm": 100000}],
    "limits": [{"code": "first", "kpi": "purchases", "limit": 1000}],
}
_ID = "prm_0199b1f0-2c3e-7c11-9a52-5b7d3c000000"


@routes.post(
    "/v1/promotions",
    scope="promotions:write",
    summary="Create a promotion",
    example=_TEN_PERCENT,
    shape=PromotionIn,
    errors=("invalid_promotion",),
)
async def create_promotion(call: Call, body: dict[str, Any]) -> PromotionOut:
    """A draft, unless `status` says `active`. What could never work is refused with every place that is wrong."""
    common = call.common()
    terms = terms_in({"status": "draft", **body}, common["id"])
    return await _made(call, await call.submit(commands.CreatePromotion(terms=terms, **common)))


@routes.get("/v1/promotions", scope="promotions:read", summary="List promotions", errors=("invalid_cursor",))
async def list_promotions(call: Call, query: PromotionsQuery) -> PromotionPage:
    """Newest first."""
    bound = ("promotions", query.status)
    before = place_id(PROMOTION, query.cursor, *bound)
    rows = await call.services.promotions.page(call.org_id, query.status, before, query.limit + 1)
    rows, next_cursor = page(rows, query.limit, lambda row: public(PROMOTION, row.id), *bound)
    return PromotionPage(data=tuple(_shown(row) for row in rows), next_cursor=next_cursor)


@routes.get(
    "/v1/promotions/{promotion}",
    scope="promotions:read",
    summary="Look up a promotion",
    errors=("promotion_not_found",),
)
async def get_promotion(call: Call, promotion: str) -> PromotionFound:
    """As it now is, with what it has given so far."""
    row = await _row(call, promotion)
    totals = await call.services.promotions.totals(call.org_id, row.id)
    return PromotionFound(
        **msgspec.structs.asdict(_shown(row)),
        totals=PromotionTotals(
            purchases=totals.purchases,
            uses=totals.times,
            members=totals.members,
            discount_minor=totals.discount,
            voucher_minor=totals.voucher,
            points_minor=totals.points,
        ),
    )


@routes.patch(
    "/v1/promotions/{promotion}",
    scope="promotions:write",
    summary="Change a promotion",
    example={"name": "Ten percent above 100, until Sunday", "ends_at": "2026-11-29T23:00:00Z"},
    shape=PromotionIn,
    errors=("promotion_not_found", "promotion_ended", "invalid_promotion"),
)
async def change_promotion(call: Call, promotion: str, body: dict[str, Any]) -> PromotionOut:
    """The fields given replace those of now, as a new version; earlier uses keep theirs. Kind and status stay."""
    row = await _row(call, promotion)
    if "status" in body:
        raise Problem("invalid_promotion", "The status has calls of its own.", field="status")
    terms = terms_in({**_written(row.terms), **body}, row.id)
    command = commands.ChangePromotion(promotion=row.id, terms=terms, **call.common())
    return await _made(call, await call.submit(command))


@routes.get(
    "/v1/promotions/{promotion}/versions",
    scope="promotions:read",
    summary="Versions of a promotion",
    errors=("promotion_not_found", "invalid_cursor"),
)
async def list_promotion_versions(call: Call, promotion: str, query: PageQuery) -> VersionPage:
    """Every version there was, newest first, with who made it and what is not as it was before. `changed_at` is when it
    began."""
    row = await _row(call, promotion)
    bound = ("promotion versions", row.id)
    before = place_no(query.cursor, *bound)
    rows = await call.services.promotions.versions(call.org_id, row.id, before, query.limit + 1)
    shown, next_cursor = page(rows, query.limit, lambda each: _shown(each).version, *bound)
    older = [*rows[1:], None]
    return VersionPage(
        data=tuple(_version(each, before) for each, before in zip(shown, older, strict=False)), next_cursor=next_cursor
    )


@routes.get(
    "/v1/promotions/{promotion}/uses",
    scope="promotions:read",
    summary="Uses of a promotion",
    errors=("promotion_not_found", "invalid_cursor"),
)
async def list_promotion_uses(call: Call, promotion: str, query: UsesQuery) -> UsePage:
    """Newest first, with purchase, member and code."""
    row = await _row(call, promotion)
    bound = ("promotion uses", row.id, query.code)
    before = place_of_use(query.cursor, *bound)
    rows = await call.services.promotions.uses(call.org_id, row.id, query.code, before, query.limit + 1)
    rows, next_cursor = page(rows, query.limit, lambda each: f"{each.event_seq}/{each.position}", *bound)
    return UsePage(data=tuple(_use(each) for each in rows), next_cursor=next_cursor)


_RUN_ERRORS = ("promotion_not_found", "promotion_ended")


@routes.post(
    "/v1/promotions/{promotion}/activate",
    scope="promotions:write",
    status=200,
    summary="Activate or schedule a promotion",
    example={"starts_at": "2026-11-27T00:00:00Z", "ends_at": "2026-11-30T00:00:00Z"},
    errors=_RUN_ERRORS,
)
async def activate_promotion(call: Call, promotion: str, body: RunIn) -> PromotionOut:
    """It runs from now on, or from `starts_at` up to but not at `ends_at`."""
    return await _run(call, promotion, "active", body)


@routes.post(
    "/v1/promotions/{promotion}/pause",
    scope="promotions:write",
    status=200,
    summary="Pause a promotion",
    errors=(*_RUN_ERRORS, "promotion_not_active"),
)
async def pause_promotion(call: Call, promotion: str) -> PromotionOut:
    """It gives nothing until it is activated again."""
    return await _run(call, promotion, "paused", RunIn())


@routes.post(
    "/v1/promotions/{promotion}/end",
    scope="promotions:write",
    status=200,
    summary="End a promotion",
    errors=_RUN_ERRORS,
)
async def end_promotion(call: Call, promotion: str) -> PromotionOut:
    """For good. What it gave stands."""
    return await _run(call, promotion, "ended", RunIn())


@routes.post(
    "/v1/promotions/{promotion}/copies",
    scope="promotions:write",
    summary="Copy a promotion",
    example={"name": "Ten percent above 100, spring"},
    errors=("promotion_not_found",),
)
async def copy_promotion(call: Call, promotion: str, body: CopyIn) -> PromotionOut:
    """A draft with the same terms. Codes, uses and counters stay with the original."""
    command = commands.CopyPromotion(promotion=promotion_id(promotion), name=body.name, **call.common())
    return await _made(call, await call.submit(command))


class LaneIn(Body, frozen=True, kw_only=True):
    """`stack`: all, one after the other. `first`: the first that applies. `best`: the one that gives this customer
    most. `exclusive`: as `first`, and then nothing else at all. `once`: a piece that one promotion of the lane has used
    is no longer there for the next."""

    number: Annotated[int, Meta(ge=-LANE_MAX, le=LANE_MAX)]
    mode: Mode = "stack"
    once: bool = False


class LanesOut(Shown, frozen=True, kw_only=True):
    data: tuple[Lane, ...]


@routes.post(
    "/v1/promotion-lanes",
    scope="promotions:write",
    status=200,
    summary="Say how the promotions of a lane go together",
    example={"number": 1, "mode": "best"},
)
async def set_promotion_lane(call: Call, body: LaneIn) -> LanesOut:
    """Lanes follow each other by number, exclusive ones first. A lane that nobody set stacks."""
    await call.submit(commands.SetLane(number=body.number, mode=body.mode, once=body.once, **call.common()))
    return LanesOut(data=tuple(await call.services.promotions.lanes(call.org_id)))


@routes.get("/v1/promotion-lanes", scope="promotions:read", summary="List lanes")
async def list_promotion_lanes(call: Call) -> LanesOut:
    """Those that were set."""
    return LanesOut(data=tuple(await call.services.promotions.lanes(call.org_id)))


async def _run(call: Call, promotion: str, status: Literal["active", "paused", "ended"], body: RunIn) -> PromotionOut:
    command = commands.RunPromotion(
        promotion=promotion_id(promotion),
        status=status,
        starts_at=instant(body.starts_at, "starts_at"),
        ends_at=instant(body.ends_at, "ends_at"),
        **call.common(),
    )
    return await _made(call, await call.submit(command))


def promotion_id(promotion: str) -> str:
    """The uuid inside a promotion's public id, or a refusal."""
    return named_id(PROMOTION, promotion, "promotion_not_found", "promotion")


async def _row(call: Call, promotion: str) -> PromotionRow:
    row = await call.services.promotions.find(call.org_id, promotion_id(promotion))
    if row is None:
        raise Problem("promotion_not_found", field="promotion")
    return row


async def promotion_terms(call: Call, promotion: str) -> Promotion:
    """The terms of a stored promotion as they now are."""
    return msgspec.json.decode((await _row(call, promotion)).terms, type=Promotion)


def terms_in(document: dict[str, Any], id: str, at: str = "") -> Promotion:
    """The terms in a body, or in the part of it at a place; or a refusal that names every place that is wrong."""
    for name in ("id", "version"):
        if name in document:
            raise _refusal((Fault(name, "unknown_field"),), at)
    if document.get("status") in ("paused", "ended"):
        raise _refusal((Fault("status", "invalid_value", {"values": ["draft", "active"]}),), at)
    found = read({**document, "id": id})
    if isinstance(found, Promotion):
        return found
    raise _refusal(found, at)


def _refusal(faults: tuple[Fault, ...], at: str = "") -> Problem:
    paths = [".".join(part for part in (at, fault.path) if part) for fault in faults]
    shown = [
        {"field": path, "code": fault.code, **fault.detail}
        for path, fault in zip(paths, faults[:FAULTS_SHOWN], strict=False)
    ]
    detail = f"At `{paths[0]}`: {faults[0].code.replace('_', ' ')}." if paths[0] else ""
    return Problem("invalid_promotion", detail, field=paths[0], extra={"faults": shown})


def _written(terms: str) -> dict[str, Any]:
    """A promotion's terms as they would be written."""
    document: dict[str, Any] = msgspec.json.decode(terms)
    return {name: value for name, value in document.items() if name not in ("id", "version", "status")}


async def _made(call: Call, result: PromotionMade) -> PromotionOut:
    """The promotion as it is stored, in the version that the command made."""
    before = result.terms.version + 1
    (row,) = await call.services.promotions.versions(call.org_id, result.terms.id, before, 1)
    return _shown(row)


def _version(row: PromotionRow, older: PromotionRow | None) -> PromotionVersion:
    """A version beside the one before it, which the first does not have. Sets are compared as sets."""
    now, told = msgspec.json.decode(row.terms, type=Promotion), msgspec.json.decode(row.terms)
    changed = {}
    if older is not None:
        was, told_before = msgspec.json.decode(older.terms, type=Promotion), msgspec.json.decode(older.terms)
        changed = {
            name: Difference(before=told_before.get(name), after=told.get(name))
            for name in Promotion.__struct_fields__
            if name != "version" and getattr(was, name) != getattr(now, name)
        }
    return PromotionVersion(**msgspec.structs.asdict(_shown(row)), actor=row.actor, changed=changed)


def _shown(row: PromotionRow) -> PromotionOut:
    terms = msgspec.json.decode(row.terms, type=Promotion)
    return PromotionOut(
        id=public(PROMOTION, row.id),
        name=terms.name,
        kind=terms.kind,
        status=terms.status,
        version=terms.version,
        created_at=row.created_at,
        changed_at=row.changed_at,
        terms=_written(row.terms),
    )


def _use(row: UseRow) -> UseOut:
    return UseOut(
        event_log_id=row.event_seq,
        version=row.version,
        code=row.code or None,
        issue=public(ISSUE, row.issue) if row.issue else None,
        member=public("mem", row.member) if row.member else None,
        purchase=public("pur", row.purchase) if row.purchase else None,
        reference=row.reference,
        used_at=row.used_at,
        times=row.times,
        discount_minor=row.discount,
        voucher_minor=row.voucher,
        points_minor=row.points,
        currency=row.currency,
        gives_back=row.of_seq or None,
    )
