"""`/v1/backtests`: what a promotion or other earning rules would have come to on purchases of the past."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from guerdon.api.call import Call
from guerdon.api.problem import Problem, refused
from guerdon.api.programs import Rules, rules_in
from guerdon.api.promotions import PromotionIn, promotion_terms, terms_in
from guerdon.api.refs import program_of
from guerdon.api.routing import Routes
from guerdon.api.services import new_command_id
from guerdon.api.values import Body, Code, PageQuery, Selector, Shown, instant, page, place_id, private, public
from guerdon.api.verdicts import PROMOTION
from guerdon.core.backtests import BudgetRun, Day, Report, Sums, Trial
from guerdon.core.outcomes import Rejected
from guerdon.core.promotions.effects import WHOLE
from guerdon.core.promotions.terms import Promotion
from guerdon.core.setup import rules_refusal
from guerdon.store.backtests import BacktestRow

routes = Routes("Backtests")

BACKTEST = "bkt"
Status = Literal["waiting", "running", "finished", "cancelled", "failed"]


class BacktestIn(Body, frozen=True, kw_only=True):
    """A backtest as it is asked for; terms of a promotion are read by `core.promotions.authoring`."""

    since: datetime
    until: datetime
    name: Annotated[str, Meta(max_length=100, description="Yours, for lists")] = ""
    promotion: Selector | dict[str, Any] | None = None
    earning_rules: Rules | None = None
    program: Annotated[Selector | None, Meta(description="Without it the first")] = None
    currency: Annotated[Code | None, Meta(description="Without it the program's")] = None
    live: bool = True
    take_up_ppm: Annotated[int, Meta(ge=0, le=WHOLE)] = WHOLE
    shared_code: bool = False


class BacktestShape(BacktestIn, frozen=True, kw_only=True):
    """What is tried (`promotion`: terms, or the id of one that is stored; or `earning_rules` in place of the
    program's) on the purchases from `since` up to but not at `until`, of one program and of guests, in one currency.

    A promotion is taken as running all that time, whatever its dates and state. With `live`, those that run now take
    part in the same way. Where it needs codes or issues, `take_up_ppm` of the customers have one each, or
    (`shared_code`) all know the same word.
    """

    promotion: Selector | PromotionIn | None = None  # type: ignore[assignment]


class OverlapOut(Shown, frozen=True, kw_only=True):
    """How it goes with a live promotion, in purchases: both apply; it keeps the other one out, which would have given
    `displaced_discount`; the other one wins over it."""

    promotion: str
    name: str
    together: int
    displaced: int
    displaced_discount: int
    lost_to: int


class CustomerOut(Shown, frozen=True, kw_only=True):
    """By how much a member is better or worse off; `money` has discounts, vouchers and what the points would buy."""

    member: str
    purchases: int
    discount: int
    voucher: int
    points: int
    money: int


class ReportOut(Shown, frozen=True, kw_only=True):
    """Money and points are in minor units. `seen` are all purchases of the period; `gives` is what is tried by itself,
    `change` what customers get more or less in all, `before` and `after` what all promotions and rules give.
    `refused` counts the purchases that got nothing of it, by reason; `out_of_reach` are those with nothing in them that
    it cannot do without."""

    seen: Sums
    gives: Sums
    change: Sums
    before: Sums
    after: Sums
    refused: dict[str, int]
    days: tuple[Day, ...]
    budget: BudgetRun | None
    overlaps: tuple[OverlapOut, ...]
    better_off: int
    worse_off: int
    winners: tuple[CustomerOut, ...]
    losers: tuple[CustomerOut, ...]


class BacktestOut(Shown, frozen=True, kw_only=True):
    """`purchases_done` of `purchases` are reckoned; the total is known once it runs."""

    id: str
    name: str
    status: Status
    purchases_done: int
    purchases: int
    created_at: datetime
    finished_at: datetime | None


class BacktestFound(BacktestOut, frozen=True, kw_only=True):
    """`asked` is what was tried, with everything filled in; the report is there once it is finished."""

    asked: dict[str, Any]
    report: ReportOut | None


class BacktestPage(Shown, frozen=True, kw_only=True):
    data: tuple[BacktestOut, ...]
    next_cursor: str | None


@routes.post(
    "/v1/backtests",
    scope="promotions:write",
    status=202,
    summary="Try a promotion or earning rules on past purchases",
    shape=BacktestShape,
    example={
        "since": "2026-01-01T00:00:00Z",
        "until": "2026-07-01T00:00:00Z",
        "promotion": {
            "name": "Ten percent above 100",
            "condition": {"type": "cart", "kpi": "subtotal", "operator": "more_than", "value": 10000},
            "effects": [{"type": "percent", "ppm": 100000}],
        },
    },
    errors=(
        "promotion_not_found",
        "invalid_promotion",
        "program_not_found",
        "asset_not_found",
        "idempotency_key_reused",
    ),
)
async def create_backtest(call: Call, body: BacktestIn) -> BacktestFound:
    """It runs in the background, by the same evaluation that checkouts get, and writes nothing but its report."""
    common = call.common()
    trial = await _trial(call, body)
    fingerprint = hashlib.sha256(call.body).digest()
    made, known = await call.services.backtests.ask(
        call.org_id,
        id=new_command_id(),
        name=body.name or (trial.promotion.name if trial.promotion is not None else "earning rules"),
        actor=common["actor"],
        key=common.get("key"),
        fingerprint=fingerprint,
        asked=msgspec.json.encode(trial).decode(),
        now=common["at"],
    )
    if known != fingerprint:
        raise Problem("idempotency_key_reused", field="Idempotency-Key")
    return _found(await _row(call, public(BACKTEST, made)))


@routes.get("/v1/backtests", scope="promotions:read", summary="List backtests", errors=("invalid_cursor",))
async def list_backtests(call: Call, query: PageQuery) -> BacktestPage:
    """Newest first."""
    before = place_id(BACKTEST, query.cursor, "backtests")
    rows = await call.services.backtests.page(call.org_id, before, query.limit + 1)
    rows, next_cursor = page(rows, query.limit, lambda row: public(BACKTEST, row.id), "backtests")
    return BacktestPage(data=tuple(BacktestOut(**_shown(row)) for row in rows), next_cursor=next_cursor)


@routes.get(
    "/v1/backtests/{backtest}", scope="promotions:read", summary="Look up a backtest", errors=("backtest_not_found",)
)
async def get_backtest(call: Call, backtest: str) -> BacktestFound:
    """How far it is, and what it found."""
    return _found(await _row(call, backtest))


@routes.post(
    "/v1/backtests/{backtest}/cancel",
    scope="promotions:write",
    status=200,
    summary="Cancel a backtest",
    errors=("backtest_not_found",),
)
async def cancel_backtest(call: Call, backtest: str) -> BacktestFound:
    """It stops within seconds. One that is over stays as it is."""
    row = await _row(call, backtest)
    await call.services.backtests.cancel(call.org_id, row.id, call.services.now())
    return _found(await _row(call, backtest))


async def _trial(call: Call, body: BacktestIn) -> Trial:
    since, until = instant(body.since, "since"), instant(body.until, "until")
    assert since is not None, "a field that must be given"
    assert until is not None, "a field that must be given"
    if until <= since:
        raise Problem("invalid_value", "`until` must be after `since`.", field="until")
    if (body.promotion is None) == (body.earning_rules is None):
        raise Problem("invalid_value", "Try either a promotion or earning rules.", field="promotion")
    (_, number), scale, directory = await program_of(call, body.program, None)
    program = directory.programs[int(number)]
    currency = body.currency or program.policies.currency
    if currency not in directory.assets:
        raise Problem("asset_not_found", field="currency", extra={"asset": currency})
    rules = None
    if body.earning_rules is not None:
        rules = rules_in(body.earning_rules, scale)
        refusal = rules_refusal(
            rules,
            "earning_rules",
            stores={store.code for store in directory.stores.values()},
            sources=directory.sources,
        )
        if isinstance(refusal, Rejected):
            raise refused(refusal, scale)
    return Trial(
        since=since,
        until=until,
        currency=currency,
        program_no=program.no,
        promotion=await _promotion(call, body),
        rules=rules,
        live=body.live,
        take_up_ppm=body.take_up_ppm,
        shared_code=body.shared_code,
    )


async def _promotion(call: Call, body: BacktestIn) -> Promotion | None:
    """The terms of a stored promotion, or those in the body."""
    if body.promotion is None:
        return None
    if isinstance(body.promotion, str):
        return await promotion_terms(call, body.promotion)
    return terms_in({"status": "draft", **body.promotion}, new_command_id(), "promotion")


async def _row(call: Call, backtest: str) -> BacktestRow:
    identifier = private(BACKTEST, backtest)
    row = None if identifier is None else await call.services.backtests.find(call.org_id, identifier)
    if row is None:
        raise Problem("backtest_not_found", field="backtest")
    return row


def _shown(row: BacktestRow) -> dict[str, Any]:
    return {
        "id": public(BACKTEST, row.id),
        "name": row.name,
        "status": row.status,
        "purchases_done": row.done,
        "purchases": row.total,
        "created_at": row.created_at,
        "finished_at": row.finished_at,
    }


def _found(row: BacktestRow) -> BacktestFound:
    report = msgspec.json.decode(row.report, type=Report) if row.report else None
    asked = msgspec.json.decode(row.asked)
    return BacktestFound(**_shown(row), asked=asked, report=None if report is None else report_shown(report))


def report_shown(report: Report) -> ReportOut:
    """A report with public ids."""
    fields = {name: getattr(report, name) for name in Report.__struct_fields__}
    for name, prefix, key, type_ in (
        ("overlaps", PROMOTION, "promotion", OverlapOut),
        ("winners", "mem", "member", CustomerOut),
        ("losers", "mem", "member", CustomerOut),
    ):
        fields[name] = tuple(
            type_(**{**msgspec.structs.asdict(each), key: public(prefix, getattr(each, key))}) for each in fields[name]
        )
    return ReportOut(**fields)
