"""`/v1/promotions/code/link` and `/check`: codes that customers bring, tied to one of them or only looked at.

The link takes and answers camelCase, like the API it is known from; it is the only one of `/v1`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta

from guerdon.api.call import Call
from guerdon.api.codes import CodeText, limits_of
from guerdon.api.guesses import guarded
from guerdon.api.problem import Problem
from guerdon.api.routing import Routes
from guerdon.api.values import Body, Shown, member_selector, public
from guerdon.api.verdicts import PROMOTION
from guerdon.core import commands
from guerdon.core.codes import mode_of
from guerdon.core.promotions import codes as texts
from guerdon.core.promotions.terms import Promotion
from guerdon.core.results import CodeLinked
from guerdon.store.codes import CodeRow

routes = Routes("Promo codes")

Mode = Literal["DISCOUNT", "PAYMENT_VOUCHER"]
_WRONG_CODE = ("code_not_valid", "too_many_tries")


class LinkIn(Body, frozen=True, kw_only=True, rename="camel"):
    customer_id: Annotated[int | str, Meta(description="The member's number, or `mem_…`")]
    code: CodeText
    mode: Mode


class LinkRestriction(Shown, frozen=True, kw_only=True, rename="camel"):
    """One limit over the code: `temp_redemption` is kept for carts that are not paid yet."""

    kpi: str
    max_limit: int
    remaining_redemption: str
    temp_redemption: str


class LinkRestrictions(Shown, frozen=True, kw_only=True, rename="pascal"):
    code: tuple[LinkRestriction, ...]


class LinkData(Shown, frozen=True, kw_only=True, rename="camel"):
    """Instants are milliseconds since 1970, and again as text. Null is no limit."""

    id: str
    promotion_id: str
    promotion_name: str
    code: str
    customer_id: int
    active: bool
    created_on: int
    created_on_iso: Annotated[datetime, Meta(description="ISO 8601")]
    valid_till: int | None
    valid_till_iso: datetime | None
    redeemable_from: int | None
    redeemable_from_iso: datetime | None
    mode: Mode
    restrictions: LinkRestrictions


class LinkOut(Shown, frozen=True, kw_only=True):
    data: LinkData
    errors: tuple[str, ...] = ()


class CheckIn(Body, frozen=True, kw_only=True):
    code: CodeText


class CheckOut(Shown, frozen=True, kw_only=True):
    """A code that can be used now; whether a cart meets its terms is for the cart to say."""

    code: str
    promotion_name: str
    valid_from: datetime | None
    valid_until: datetime | None
    mode: Mode


@routes.post(
    "/v1/promotions/code/link",
    scope="code-links:write",
    summary="Link a code to a customer",
    status=200,
    example={"customerId": 17, "code": "DQCV73", "mode": "DISCOUNT"},
    answer={
        "data": {
            "id": "lnk_0199b1f0-2c3e-7c11-9a52-5b7d3c000000",
            "promotionId": "prm_0199b1f0-2c3e-7c11-9a52-5b7d3c000000",
            "promotionName": "Ten off a hundred",
            "code": "DQCV73",
            "customerId": 17,
            "active": True,
            "createdOn": 1_795_255_200_000,
            "createdOnIso": "2026-11-21T10:00:00Z",
            "validTill": 1_798_761_599_000,
            "validTillIso": "2026-12-31T23:59:59Z",
            "redeemableFrom": None,
            "redeemableFromIso": None,
            "mode": "DISCOUNT",
            "restrictions": {
                "Code": [{"kpi": "uses", "maxLimit": 1, "remainingRedemption": "1", "tempRedemption": "0"}]
            },
        },
        "errors": [],
    },
    errors=(
        "code_not_found",
        "member_not_found",
        "member_blocked",
        "member_merged",
        "code_linked_to_another",
        "code_deactivated",
        "code_expired",
        "code_of_another_mode",
        *_WRONG_CODE,
    ),
)
async def link_code(call: Call, body: LinkIn) -> LinkOut:
    """From then on the code applies by itself whenever this customer's cart is evaluated, and nobody else can use it.
    Linking it again to the same customer changes nothing. Keys that may not read codes get one refusal for all."""
    async with guarded(call):
        code = _read(body.code)
        text = str(body.customer_id)
        member = ("number", text) if text.isdecimal() else member_selector(text, "customerId")
        result: CodeLinked = await call.submit(
            commands.LinkCode(member=member, code=code, mode=body.mode, **call.common())
        )
        row, terms = await _found(call, code)
    limits = await limits_of(call, code, terms)
    return LinkOut(
        data=LinkData(
            id=public("lnk", result.id),
            promotion_id=public(PROMOTION, terms.id),
            promotion_name=terms.name,
            code=code,
            customer_id=result.member_no,
            active=row.active,
            created_on=_milliseconds(result.linked_at),
            created_on_iso=result.linked_at,
            valid_till=_milliseconds(terms.ends_at) if terms.ends_at else None,
            valid_till_iso=terms.ends_at,
            redeemable_from=_milliseconds(terms.starts_at) if terms.starts_at else None,
            redeemable_from_iso=terms.starts_at,
            mode=mode_of(terms),
            restrictions=LinkRestrictions(
                code=tuple(
                    LinkRestriction(
                        kpi=limit.kpi,
                        max_limit=limit.limit,
                        remaining_redemption=str(limit.left),
                        temp_redemption=str(limit.held),
                    )
                    for limit in limits
                )
            ),
        )
    )


@routes.post(
    "/v1/promotions/code/check",
    scope="code-links:write",
    summary="Check a code",
    status=200,
    example={"code": "DQCV73"},
    answer={
        "code": "DQCV73",
        "promotion_name": "Ten off a hundred",
        "valid_from": None,
        "valid_until": "2026-12-31T23:59:59Z",
        "mode": "DISCOUNT",
    },
    errors=("code_not_found", "code_linked_to_another", "code_deactivated", "code_expired", *_WRONG_CODE),
)
async def check_code(call: Call, body: CheckIn) -> CheckOut:
    """Whether a code that somebody typed can be used: for shops' own pages, with a key that may do nothing else."""
    async with guarded(call):
        code = _read(body.code)
        row, terms = await _found(call, code)
        now = call.services.now()
        if row.member is not None:
            raise Problem("code_linked_to_another", field="code")
        if not row.active:
            raise Problem("code_deactivated", field="code")
        started = terms.starts_at is None or terms.starts_at <= now
        if terms.status != "active" or not started or (terms.ends_at is not None and now >= terms.ends_at):
            raise Problem("code_expired", field="code")
        if any(limit.left == 0 for limit in await limits_of(call, code, terms)):
            raise Problem("code_expired", "It has been used as often as it can be.", field="code")
    return CheckOut(
        code=code,
        promotion_name=terms.name,
        valid_from=terms.starts_at,
        valid_until=terms.ends_at,
        mode=mode_of(terms),
    )


def _read(typed: str) -> str:
    code = texts.read(typed)
    if code is None:
        raise Problem("code_not_found", field="code")
    return code


async def _found(call: Call, code: str) -> tuple[CodeRow, Promotion]:
    row = await call.services.codes.code(call.org_id, code)
    terms = None if row is None else await call.services.codes.promotion(call.org_id, row.promotion)
    if row is None or terms is None:
        raise Problem("code_not_found", field="code")
    return row, terms


def _milliseconds(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)
