"""Promo codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from guerdon.core.commands.command import Command, Selector

if TYPE_CHECKING:
    from guerdon.core.promotions.codes import Form


class CreateCodeBatch(Command, frozen=True, kw_only=True):
    """Begin a batch of codes for a promotion (by id): `count` generated ones of a form, from at least 32 random bytes,
    or, without a form, one to bring codes into. The codes themselves follow with `AddCodes`.
    """

    promotion: str
    name: str = ""
    partner: str = ""
    channel: str = ""
    form: Form | None = None
    seed: bytes = b""
    count: int = 0


class MoreCodes(Command, frozen=True, kw_only=True):
    """Ask for more codes of a generated batch."""

    batch: str
    count: int


class StopCodes(Command, frozen=True, kw_only=True):
    """Make no more codes of a generated batch than there are."""

    batch: str


class AddCodes(Command, frozen=True, kw_only=True):
    """Store codes of a batch, as they are compared. Generated ones are those from `start` on (`codes.next_codes`);
    None for those that were brought in.
    """

    batch: str
    codes: tuple[str, ...]
    start: int | None = None


class SwitchCodes(Command, frozen=True, kw_only=True):
    """Take a batch out of force, or one `code`, whose batch need not be named; or put it back."""

    active: bool
    batch: str = ""
    code: str = ""
    reason: str = ""


class LinkCode(Command, frozen=True, kw_only=True):
    """Make a code one member's."""

    member: Selector
    code: str
    mode: Literal["DISCOUNT", "PAYMENT_VOUCHER"]
