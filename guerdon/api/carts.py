"""`/v1/promotions/evaluate`, reservations, and commits of carts whose sale is kept elsewhere."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from guerdon.api.call import Call
from guerdon.api.guesses import judged
from guerdon.api.problem import Problem
from guerdon.api.purchases import (
    RETURN_ERRORS,
    BalanceAfter,
    EarnedOut,
    LineIn,
    ReturnLineIn,
    TenderIn,
    balances_shown,
    earned_shown,
    line_in,
    reservation_in,
    return_lines,
    scale_of,
    tenders_in,
)
from guerdon.api.refs import PLACED_ERRORS, Placed, program_of, where
from guerdon.api.routing import Routes
from guerdon.api.values import (
    Code,
    Minor,
    Number,
    Selector,
    Shown,
    Text,
    commit_selector,
    member_selector,
    points,
    public,
)
from guerdon.api.verdicts import EvaluationOut, evaluation_shown
from guerdon.core import commands
from guerdon.core.carts import RESERVE_MAX_S
from guerdon.core.results import CartCommitted, CartReturned
from guerdon.store.read import Directory

routes = Routes("Promotions")

RESERVATION = "rsv"
CODES_MAX = 50

Codes = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=1000)], ...],
    Meta(max_length=CODES_MAX, description="As typed; spaces, hyphens and case do not count"),
]


class CartIn(Placed, frozen=True, kw_only=True):
    """What is to be bought. Without a member it is a guest's. Amounts are before the promotions asked about."""

    currency: Annotated[Code, Meta(description="The asset it is paid in")]
    lines: tuple[LineIn, ...]
    member: Annotated[Selector | None, Meta(description="Id, `number:…`, `external_id:…` …")] = None
    codes: Codes = ()
    program: Annotated[Selector | None, Meta(description="Whose points promotions give")] = None
    tenders: Annotated[tuple[TenderIn, ...], Meta(max_length=50)] = ()
    shipping_minor: Minor = 0


class EvaluateIn(CartIn, frozen=True, kw_only=True):
    """`cart` is your own name for the cart: its next evaluation lets go what this one reserves."""

    cart: Annotated[str, Meta(max_length=100)] = ""
    reserve_seconds: Annotated[int, Meta(ge=0, le=RESERVE_MAX_S, description="Keep the uses for so long")] = 0
    everything: Annotated[bool, Meta(description="Tell of every live promotion, also of those far from applying")] = (
        False
    )


class CommitIn(CartIn, frozen=True, kw_only=True):
    """`number` is the sale's in your own system: the same cart sent again is answered again."""

    number: Number
    reservation: Annotated[str | None, Meta(description="`rsv_…`, of an evaluation of the same cart")] = None


class ReservationOut(Shown, frozen=True, kw_only=True):
    id: str
    expires_at: datetime


class EvaluatedOut(EvaluationOut, frozen=True, kw_only=True):
    """`reservation` is there where uses are kept."""

    reservation: ReservationOut | None


class CommittedOut(EvaluationOut, frozen=True, kw_only=True):
    id: str
    number: str
    event_log_id: int
    earned: tuple[EarnedOut, ...]
    balances: tuple[BalanceAfter, ...]


_CART = {
    "currency": "USD",
    "member": "external_id:C-17",
    "codes": ["ZN34C"],
    "lines": [{"sku": "0001111045089", "quantity": "2", "amount_minor": 10001, "categories": ["shoes"]}],
}
_ERRORS = (
    "member_not_found",
    "member_blocked",
    "member_merged",
    "program_not_found",
    "asset_not_found",
    "purchase_without_lines",
    "amount_out_of_range",
    "wrong_scale",
    *PLACED_ERRORS,
)


@routes.post(
    "/v1/promotions/evaluate",
    scope="promotions:evaluate",
    status=200,
    summary="Evaluate a cart",
    example={**_CART, "cart": "session-77", "reserve_seconds": 600},
    errors=_ERRORS,
)
async def evaluate_cart(call: Call, body: EvaluateIn) -> EvaluatedOut:
    """What promotions and codes make of a cart, and for everything that does not apply, why. Nothing is written, unless
    uses are reserved. To keys that may not read codes all wrong codes are unknown, and only so many can be tried."""
    scale, program, directory = await _program(call, body)
    command = commands.EvaluateCart(
        **_cart(call, body),
        program=program,
        cart=body.cart,
        reserve_seconds=body.reserve_seconds,
        everything=body.everything,
        **call.common(),
    )
    result = await judged(call, len(body.codes), lambda: call.submit(command, scale))
    reservation = None
    if result.reservation and result.expires_at is not None:
        reservation = ReservationOut(id=public(RESERVATION, result.reservation), expires_at=result.expires_at)
    shown = evaluation_shown(result.evaluation, scale, directory.scale(body.currency))
    return EvaluatedOut(**msgspec.structs.asdict(shown), reservation=reservation)


@routes.post(
    "/v1/promotions/commits",
    scope="promotions:commit",
    summary="Commit a cart without a purchase",
    example={**_CART, "number": "WEB-1001"},
    errors=(
        *_ERRORS,
        "number_taken",
        "code_not_applied",
        "evaluation_stale",
        "reservation_not_found",
    ),
)
async def commit_cart(call: Call, body: CommitIn) -> CommittedOut:
    """For shops that keep their own sales: uses, limits and points in one commit. A code that gives nothing is
    refused, and then nothing is used."""
    scale, program, directory = await _program(call, body)
    command = commands.CommitCart(
        **_cart(call, body),
        number=body.number,
        program=program,
        reservation=reservation_in(body.reservation),
        **call.common(),
    )
    result: CartCommitted = await call.submit(command, scale)
    if any(no not in directory.programs for no, _ in result.balances):
        directory = await call.directory()
    shown = evaluation_shown(result.evaluation, scale, directory.scale(body.currency))
    return CommittedOut(
        **msgspec.structs.asdict(shown),
        id=public("cmt", result.id),
        number=result.number,
        event_log_id=result.event_no,
        earned=tuple(earned_shown(directory, each) for each in result.earned),
        balances=balances_shown(directory, result.balances),
    )


class CartReturnIn(Placed, frozen=True, kw_only=True):
    """`number` is the return's own. Without `lines` it is all that has not been returned yet."""

    number: Number
    lines: tuple[ReturnLineIn, ...] | None = None
    reason: Text = ""


class CartReturnOut(Shown, frozen=True, kw_only=True):
    """`paid_minor` is what the goods had cost after `discount_minor` came off. `uses` are free again, which they are
    after all of the cart was returned, where their promotions say so.
    """

    id: str
    number: str
    commit: str
    event_log_id: int
    paid_minor: int
    discount_minor: int
    uses: int
    points_returned: str
    points_expired: str
    points_written_off: str
    balances: tuple[BalanceAfter, ...]


@routes.post(
    "/v1/promotions/commits/{commit}/returns",
    scope="promotions:commit",
    summary="Take a committed cart back",
    example={"number": "R-77", "lines": [{"line": 1, "quantity": "1"}], "reason": "Changed their mind"},
    errors=("commit_not_found", *RETURN_ERRORS),
)
async def return_cart(call: Call, commit: str, body: CartReturnIn) -> CartReturnOut:
    """Some of its lines, or what is left of it: points that promotions gave on them go back, and uses after all of it.
    Any sequence of partial returns adds up to the whole."""
    command = commands.ReturnCart(
        commit=commit_selector(commit),
        number=body.number,
        lines=return_lines(call, body.lines),
        where=where(body),
        reason=body.reason,
        **call.common(),
    )
    result: CartReturned = await call.submit(command)
    directory = await call.directory()
    scale = scale_of(directory, result.balances)
    return CartReturnOut(
        id=public("ret", result.id),
        number=result.number,
        commit=public("cmt", result.commit_id),
        event_log_id=result.event_no,
        paid_minor=result.paid,
        discount_minor=result.discount,
        uses=result.uses,
        points_returned=points(result.returned_points, scale),
        points_expired=points(result.expired, scale),
        points_written_off=points(result.written_off, scale),
        balances=balances_shown(directory, result.balances),
    )


@routes.delete(
    "/v1/promotions/reservations/{reservation}",
    scope="promotions:evaluate",
    summary="Cancel a reservation",
    errors=("reservation_not_found",),
)
async def cancel_reservation(call: Call, reservation: str) -> None:
    """What it held is free at once. One that has ended already is no error."""
    await call.submit(commands.CancelReservation(reservation=reservation_in(reservation), **call.common()))


async def _program(call: Call, body: CartIn) -> tuple[int, tuple[str, str] | None, Directory]:
    """The scale of the points that promotions give, and whose they are; a guest has none."""
    directory = call.known_directory()
    if directory is None or body.currency not in directory.assets:
        directory = await call.directory()
    if body.currency not in directory.assets:
        raise Problem("asset_not_found", field="currency", extra={"asset": body.currency})
    if body.member is None:
        return 0, None, directory
    program, scale, _ = await program_of(call, body.program, body.till)
    return scale, program, directory


def _cart(call: Call, body: CartIn) -> dict[str, Any]:
    lines_max = call.services.settings.purchase_lines_max
    if len(body.lines) > lines_max:
        raise Problem("invalid_value", f"A cart has at most {lines_max} lines.", field="lines")
    return {
        "currency": body.currency,
        "lines": tuple(line_in(line, position) for position, line in enumerate(body.lines)),
        "member": None if body.member is None else member_selector(body.member),
        "codes": body.codes,
        "tenders": tenders_in(body.tenders),
        "shipping": body.shipping_minor,
        "where": where(body),
    }
