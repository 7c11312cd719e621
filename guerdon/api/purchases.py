"""`/v1/purchases`: the checkout's one call, look-ups, and taking purchases back, in whole or in part."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from guerdon.api.call import Call
from guerdon.api.members import found as found_member
from guerdon.api.problem import Problem
from guerdon.api.refs import (
    PLACED_ERRORS,
    Placed,
    Ref,
    program_of,
    program_ref,
    program_selector,
    store_ref,
    till_ref,
    wallet_in,
    where,
)
from guerdon.api.routing import Routes
from guerdon.api.values import (
    Body,
    Code,
    Metadata,
    Minor,
    Number,
    PageQuery,
    Points,
    Selector,
    Shown,
    Text,
    last_moment,
    member_selector,
    meta_shown,
    meta_text,
    minor,
    named_id,
    page,
    place_no,
    points,
    public,
    purchase_selector,
)
from guerdon.api.verdicts import VerdictOut, verdict_shown
from guerdon.core import commands
from guerdon.core.results import Earned, Purchased, Returned
from guerdon.store.read import Directory, PurchaseRow

routes = Routes("Purchases")

_QUANTITY_DECIMALS = 3
_FIELDS = {"points": "spend_points", "amount": "amount_minor"}


class LineIn(Body, frozen=True, kw_only=True):
    """`amount_minor` as the till has it, after discounts; `quantity` with up to 3 decimals."""

    sku: Annotated[str, Meta(min_length=1, max_length=100)]
    amount_minor: Minor
    quantity: Annotated[Decimal, Meta(description="Up to 3 decimals", examples=["1"])] = Decimal(1)
    unit_price_minor: Minor | None = None
    categories: Annotated[tuple[Annotated[str, Meta(max_length=100)], ...], Meta(max_length=20)] = ()
    brand: Annotated[str, Meta(max_length=100)] = ""
    attributes: Metadata = msgspec.field(default_factory=dict)


class TenderIn(Body, frozen=True, kw_only=True):
    kind: Annotated[str, Meta(min_length=1, max_length=50)]
    amount_minor: Minor
    identifier: Annotated[str, Meta(max_length=100)] = ""


class PurchaseIn(Placed, frozen=True, kw_only=True):
    """Without a member it is a guest's. `number` is the bill's: the same purchase sent again is answered again."""

    number: Number
    currency: Annotated[Code, Meta(description="The asset it is paid in")]
    lines: tuple[LineIn, ...]
    member: Annotated[Selector | None, Meta(description="Id, `number:…`, `external_id:…` …")] = None
    amount_minor: Annotated[Minor | None, Meta(description="Where given, it must be the sum of the lines")] = None
    spend_points: Annotated[Points, Meta(description="Points to pay with, at the program's rate")] = Decimal(0)
    program: Annotated[Selector | None, Meta(description="Whose points are spent")] = None
    wallet: Annotated[str | None, Meta(description="A money account (`bln_…`) that pays the rest")] = None
    tenders: Annotated[tuple[TenderIn, ...], Meta(max_length=50)] = ()
    promotions: Annotated[bool, Meta(description="Apply what promotions give; so do `codes` and `reservation`")] = False
    codes: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=1000)], ...],
        Meta(max_length=50, description="Promo codes, as typed"),
    ] = ()
    reservation: Annotated[str | None, Meta(description="`rsv_…`, of an evaluation of the same cart")] = None
    metadata: Metadata = msgspec.field(default_factory=dict)


class EarnedOut(Shown, frozen=True, kw_only=True):
    """What one rule gave. `basis_minor` is the money it looked at; promised points are regular from `releases_at` on,
    or when their `trigger` is pulled. Caps kept back `points_capped` more.
    """

    program: Ref
    rule: str
    program_version: int
    points_category: str
    points: str
    points_capped: str
    basis_minor: int
    expires_at: datetime | None
    releases_at: datetime | None
    trigger: str


class SpentOut(Shown, frozen=True, kw_only=True):
    """What was paid in points. Points that buy nothing are not taken."""

    redemption: str
    program: Ref
    points: str
    money_minor: int


class BalanceAfter(Shown, frozen=True, kw_only=True):
    """Regular points right after."""

    program: Ref
    points: str


class LineOut(Shown, frozen=True, kw_only=True):
    """`line` is its number, from 1; `returned_quantity` is what of it has been taken back."""

    line: int
    sku: str
    quantity: str
    returned_quantity: str
    amount_minor: int
    unit_price_minor: int | None
    categories: tuple[str, ...]
    brand: str
    attributes: dict[str, Any]


class TenderOut(Shown, frozen=True, kw_only=True):
    kind: str
    amount_minor: int
    identifier: str


class ReturnedLine(Shown, frozen=True, kw_only=True):
    """So much of the purchase's line of that number."""

    line: int
    quantity: str


class PurchaseReturnOut(Shown, frozen=True, kw_only=True):
    """`amount_minor` is what the bill had charged for what came back, `paid_minor` what of it was not paid in points:
    the money to give back. `points_returned` is what that had earned, `points_restored` what was spent on it. Of what
    was earned, `points_expired` had ended before, and what the member no longer had is `points_written_off`, where the
    program does not go below zero."""

    id: str
    number: str
    purchase: str
    event_log_id: int
    lines: tuple[ReturnedLine, ...]
    amount_minor: int
    paid_minor: int
    points_returned: str
    points_restored: str
    points_expired: str
    points_written_off: str
    balances: tuple[BalanceAfter, ...]


class PurchaseOut(Shown, frozen=True, kw_only=True):
    """`paid_minor` = `amount_minor` less `discount_minor`, `voucher_minor` and what points bought. `promotions` has
    what was applied, and of every code what became of it."""

    id: str
    number: str
    event_log_id: int
    member: str | None
    event_at: datetime
    recorded_at: datetime
    currency: str
    amount_minor: int
    paid_minor: int
    earned: tuple[EarnedOut, ...]
    spent: SpentOut | None
    balances: tuple[BalanceAfter, ...]
    discount_minor: int
    voucher_minor: int
    promotions: tuple[VerdictOut, ...]


class PurchaseFound(PurchaseOut, frozen=True, kw_only=True):
    source: str
    store: Ref | None
    till: Ref | None
    lines: tuple[LineOut, ...]
    tenders: tuple[TenderOut, ...]
    metadata: dict[str, Any]
    returns: tuple[PurchaseReturnOut, ...]


class PurchasePage(Shown, frozen=True, kw_only=True):
    data: tuple[PurchaseFound, ...]
    next_cursor: str | None


_PURCHASE = {
    "number": "B-1001",
    "member": "external_id:C-17",
    "currency": "USD",
    "till": "berlin-1-2",
    "source": "INSTORE",
    "lines": [
        {"sku": "0001111045089", "quantity": "2", "amount_minor": 598, "categories": ["dairy"]},
        {"sku": "0001111097139", "amount_minor": 1299},
    ],
    "spend_points": "50",
}
_ERRORS = (
    "member_not_found",
    "member_blocked",
    "program_not_found",
    "asset_not_found",
    "purchase_without_lines",
    "amount_mismatch",
    "amount_out_of_range",
    "amount_not_positive",
    "wrong_scale",
    "number_taken",
    "code_not_applied",
    "evaluation_stale",
    "reservation_not_found",
    "insufficient_points",
    "insufficient_funds",
    "redemption_rate_missing",
    "account_not_found",
    "asset_mismatch",
    *PLACED_ERRORS,
)


@routes.post("/v1/purchases", scope="purchases:write", summary="Record a purchase", example=_PURCHASE, errors=_ERRORS)
async def create_purchase(call: Call, body: PurchaseIn) -> PurchaseOut:
    """Points are spent and earned, and the wallet pays, in one commit: all or nothing."""
    program, spend, scale = None, 0, 0
    if body.spend_points:
        program, scale, _ = await program_of(call, body.program, body.till)
        spend = minor(body.spend_points, scale, "spend_points")
    elif body.program is not None:
        program = program_selector(body.program)
    lines_max = call.services.settings.purchase_lines_max
    if len(body.lines) > lines_max:
        raise Problem("invalid_value", f"A purchase has at most {lines_max} lines.", field="lines")
    command = commands.RecordPurchase(
        number=body.number,
        currency=body.currency,
        lines=tuple(line_in(line, position) for position, line in enumerate(body.lines)),
        member=None if body.member is None else member_selector(body.member),
        amount=body.amount_minor,
        program=program,
        spend=spend,
        wallet=wallet_in(body.wallet),
        tenders=tenders_in(body.tenders),
        promotions=body.promotions,
        codes=body.codes,
        reservation=reservation_in(body.reservation),
        where=where(body),
        meta=meta_text(body.metadata, call.services.settings),
        **call.common(),
    )
    result: Purchased = await call.submit(command, scale, _FIELDS)
    return PurchaseOut(**_outline(await _directory_with(call, result), result))


@routes.get(
    "/v1/purchases/{purchase}",
    scope="purchases:read",
    summary="Look up a purchase",
    errors=("purchase_not_found",),
)
async def get_purchase(call: Call, purchase: str) -> PurchaseFound:
    """By our id or the bill's number, with its returns, oldest first."""
    row = await call.services.reader.purchase(call.org_id, purchase_selector(purchase))
    if row is None:
        raise Problem("purchase_not_found", field="purchase")
    return _found(await call.directory(), row)


@routes.get(
    "/v1/members/{member}/purchases",
    scope="purchases:read",
    summary="Purchases of a member",
    errors=("member_not_found",),
)
async def list_purchases(call: Call, member: str, query: PageQuery) -> PurchasePage:
    """Newest first."""
    row = await found_member(call, member)
    before = place_no(query.cursor, "purchases", row.no)
    rows = await call.services.reader.purchases(call.org_id, row.no, before, query.limit + 1)
    rows, next_cursor = page(rows, query.limit, lambda each: each.no, "purchases", row.no)
    directory = await call.directory()
    return PurchasePage(data=tuple(_found(directory, each) for each in rows), next_cursor=next_cursor)


class ReturnLineIn(Body, frozen=True, kw_only=True):
    """A line by its number, or by its sku: then the first such line gives first. With both, they must agree."""

    quantity: Annotated[Decimal, Meta(description="Up to 3 decimals", examples=["1"])]
    line: Annotated[int, Meta(ge=1, le=1_000_000, description="From 1")] | None = None
    sku: Annotated[str, Meta(min_length=1, max_length=100)] | None = None


class ReturnIn(Placed, frozen=True, kw_only=True):
    """`number` is the return's own. Without `lines` it is all that has not been returned yet."""

    number: Number
    lines: tuple[ReturnLineIn, ...] | None = None
    reason: Text = ""
    metadata: Metadata = msgspec.field(default_factory=dict)


RETURN_ERRORS = (
    "line_not_found",
    "already_returned",
    "return_exceeds_purchase",
    "return_without_lines",
    "quantity_not_positive",
    "wrong_scale",
    "number_taken",
    *PLACED_ERRORS,
)
"""What can be wrong with a return, whatever is returned."""


@routes.post(
    "/v1/purchases/{purchase}/returns",
    scope="purchases:write",
    summary="Take a purchase back",
    example={"number": "R-77", "lines": [{"line": 1, "quantity": "1"}], "reason": "Changed their mind"},
    errors=("purchase_not_found", *RETURN_ERRORS),
)
async def return_purchase(call: Call, purchase: str, body: ReturnIn) -> PurchaseReturnOut:
    """Some of its lines, or what is left of it: what that earned is returned and what was spent on it restored, in
    one event. Any sequence of partial returns adds up to the whole."""
    command = commands.ReturnPurchase(
        purchase=purchase_selector(purchase),
        number=body.number,
        lines=return_lines(call, body.lines),
        where=where(body),
        reason=body.reason,
        meta=meta_text(body.metadata, call.services.settings),
        **call.common(),
    )
    result: Returned = await call.submit(command)
    return _return(await call.directory(), result)


def line_in(line: LineIn, position: int) -> commands.Line:
    return commands.Line(
        sku=line.sku,
        quantity=minor(line.quantity, _QUANTITY_DECIMALS, f"lines[{position}].quantity"),
        amount=line.amount_minor,
        unit_price=line.unit_price_minor,
        categories=line.categories,
        brand=line.brand,
        attributes=line.attributes,
    )


def return_lines(call: Call, lines: tuple[ReturnLineIn, ...] | None) -> tuple[commands.ReturnLine, ...] | None:
    """The lines of a return, or None for all that is left."""
    if lines is None:
        return None
    lines_max = call.services.settings.purchase_lines_max
    if len(lines) > lines_max:
        raise Problem("invalid_value", f"A return has at most {lines_max} lines.", field="lines")
    return tuple(_return_line(line, i) for i, line in enumerate(lines))


def _return_line(line: ReturnLineIn, position: int) -> commands.ReturnLine:
    field = f"lines[{position}]"
    if line.line is None and line.sku is None:
        raise Problem("missing_field", "A line of a return is named by `line` or by `sku`.", field=f"{field}.line")
    return commands.ReturnLine(
        line=line.line or 0,
        sku=line.sku or "",
        quantity=minor(line.quantity, _QUANTITY_DECIMALS, f"{field}.quantity"),
    )


def tenders_in(tenders: tuple[TenderIn, ...]) -> tuple[commands.Tender, ...]:
    return tuple(commands.Tender(kind=x.kind, amount=x.amount_minor, identifier=x.identifier) for x in tenders)


def reservation_in(text: str | None) -> str:
    return "" if text is None else named_id("rsv", text, "reservation_not_found", "reservation")


async def _directory_with(call: Call, result: Purchased) -> Directory:
    """A configuration that knows every program of the result."""
    directory = call.known_directory()
    if directory is None or any(no not in directory.programs for no, _ in result.balances):
        directory = await call.directory()
    return directory


def _outline(directory: Directory, result: Purchased) -> dict[str, Any]:
    return {
        "id": public("pur", result.id),
        "number": result.number,
        "event_log_id": result.event_no,
        "member": public("mem", result.member_id) if result.member_id else None,
        "event_at": result.event_at,
        "recorded_at": result.recorded_at,
        "currency": result.currency,
        "amount_minor": result.amount,
        "paid_minor": result.paid,
        "earned": tuple(earned_shown(directory, earned) for earned in result.earned),
        "spent": _spent(directory, result),
        "balances": balances_shown(directory, result.balances),
        "discount_minor": sum(result.discounts),
        "voucher_minor": result.vouchers,
        "promotions": _verdicts(directory, result),
    }


def _verdicts(directory: Directory, result: Purchased) -> tuple[VerdictOut, ...]:
    if not result.verdicts:
        return ()
    scale = scale_of(directory, result.balances)
    return tuple(verdict_shown(each, scale, directory.scale(result.currency)) for each in result.verdicts)


def earned_shown(directory: Directory, earned: Earned) -> EarnedOut:
    program = directory.programs[earned.program_no]
    return EarnedOut(
        program=program_ref(directory, earned.program_no),
        rule=earned.rule,
        program_version=earned.version,
        points_category=earned.category,
        points=points(earned.points, directory.scale(program.asset)),
        points_capped=points(earned.capped, directory.scale(program.asset)),
        basis_minor=earned.basis,
        expires_at=last_moment(earned.expires_at, program.policies.timezone),
        releases_at=earned.releases_at,
        trigger=earned.trigger,
    )


def _spent(directory: Directory, result: Purchased) -> SpentOut | None:
    if not result.redemption_id:
        return None
    no, _ = result.balances[0]
    return SpentOut(
        redemption=public("rdm", result.redemption_id),
        program=program_ref(directory, no),
        points=points(result.spent_points, directory.scale(directory.programs[no].asset)),
        money_minor=result.spent_money,
    )


def balances_shown(directory: Directory, balances: tuple[tuple[int, int], ...]) -> tuple[BalanceAfter, ...]:
    return tuple(
        BalanceAfter(
            program=program_ref(directory, no),
            points=points(balance, directory.scale(directory.programs[no].asset)),
        )
        for no, balance in balances
    )


def _return(directory: Directory, result: Returned) -> PurchaseReturnOut:
    scale = scale_of(directory, result.balances)
    return PurchaseReturnOut(
        id=public("ret", result.id),
        number=result.number,
        purchase=public("pur", result.purchase_id),
        event_log_id=result.event_no,
        lines=tuple(
            ReturnedLine(line=position + 1, quantity=points(quantity, _QUANTITY_DECIMALS))
            for position, quantity in result.lines
        ),
        amount_minor=result.amount,
        paid_minor=result.paid,
        points_returned=points(result.returned_points, scale),
        points_restored=points(result.restored_points, scale),
        points_expired=points(result.expired, scale),
        points_written_off=points(result.written_off, scale),
        balances=balances_shown(directory, result.balances),
    )


def scale_of(directory: Directory, balances: tuple[tuple[int, int], ...]) -> int:
    """The scale that a sum over programs is shown in: one event's programs share an asset."""
    return max((directory.scale(directory.programs[no].asset) for no, _ in balances), default=0)


def _found(directory: Directory, row: PurchaseRow) -> PurchaseFound:
    result = msgspec.json.decode(row.result, type=Purchased)
    returns = [msgspec.json.decode(text, type=Returned) for text in row.returns]
    returned = Counter[int]()
    for each in returns:
        returned.update(dict(each.lines))
    lines = msgspec.json.decode(row.lines, type=tuple[commands.Line, ...])
    return PurchaseFound(
        **_outline(directory, result),
        source=row.source,
        store=store_ref(directory, row.store_no),
        till=till_ref(directory, row.till_no),
        lines=tuple(_line_shown(position, line, returned[position]) for position, line in enumerate(lines)),
        tenders=tuple(
            TenderOut(kind=x.kind, amount_minor=x.amount, identifier=x.identifier)
            for x in msgspec.json.decode(row.tenders, type=tuple[commands.Tender, ...])
        ),
        metadata=meta_shown(row.meta),
        returns=tuple(_return(directory, each) for each in returns),
    )


def _line_shown(position: int, line: commands.Line, returned: int) -> LineOut:
    return LineOut(
        line=position + 1,
        sku=line.sku,
        quantity=points(line.quantity, _QUANTITY_DECIMALS),
        returned_quantity=points(returned, _QUANTITY_DECIMALS),
        amount_minor=line.amount,
        unit_price_minor=line.unit_price,
        categories=line.categories,
        brand=line.brand,
        attributes=line.attributes,
    )
