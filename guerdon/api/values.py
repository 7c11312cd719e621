"""How values look on the wire: ids with a prefix, amounts as exact decimals, selectors, instants.

An amount is sent as a JSON string or number and is read exactly; it is always answered as a string with all decimals of
its asset. Instants are RFC 3339 with an offset.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from guerdon.api.problem import Problem
from guerdon.core.assets import AMOUNT_MAX, decimal_text
from guerdon.core.members import IDENTIFIER_KINDS

Amount = Decimal
"""An amount as it is sent. Only ever taken apart, never calculated with."""

_TEXT_MAX = 80
METADATA_BYTES_MAX = 16_384


def public(prefix: str, identifier: str) -> str:
    return f"{prefix}_{identifier}"


def private(prefix: str, text: str) -> str | None:
    """The uuid text inside a public id, None when it is not one of that kind."""
    head, _, tail = text.partition("_")
    if head != prefix:
        return None
    try:
        return str(UUID(tail))
    except ValueError:
        return None


def minor(value: Decimal, scale: int, field: str) -> int:
    """An amount in minor units, exactly. Refuses more decimals than the asset has, and what is no finite number."""
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise Problem("invalid_value", "The amount is not a finite number.", field=field)
    if value.is_zero():
        return 0
    if value.adjusted() + scale >= 38:
        raise Problem("amount_out_of_range", field=field)
    shift = exponent + scale
    number = int("".join(map(str, digits)))
    if shift < 0:
        if -shift > len(digits) + 38:
            raise _wrong_scale(scale, field)
        number, rest = divmod(number, 10**-shift)
        if rest:
            raise _wrong_scale(scale, field)
    else:
        number *= 10**shift
    if number > AMOUNT_MAX:
        raise Problem("amount_out_of_range", field=field)
    return -number if sign else number


def _wrong_scale(scale: int, field: str) -> Problem:
    return Problem(
        "wrong_scale", f"At most {scale} decimals are allowed here.", field=field, extra={"scale": scale}
    )


text = decimal_text


def member_selector(text: str, field: str = "member") -> tuple[str, str]:
    """`mem_…`, `number:…`, `external_id:…`, `email:…`, `mobile:…` or `card:…`."""
    return _selector("mem", text, ("number", *IDENTIFIER_KINDS), "member_not_found", field)


def thing_selector(prefix: str, text: str, refusal: str, field: str) -> tuple[str, str]:
    """A public id, `number:…`, `code:…`, or the code itself."""
    if ":" not in text and private(prefix, text) is None:
        return ("code", text)
    return _selector(prefix, text, ("number", "code"), refusal, field)


def _selector(prefix: str, text: str, kinds: tuple[str, ...], refusal: str, field: str) -> tuple[str, str]:
    identifier = private(prefix, text)
    if identifier is not None:
        return ("id", identifier)
    kind, colon, value = text.partition(":")
    if not colon or kind not in kinds or not value.strip():
        known = ", ".join(f"`{name}:…`" for name in kinds)
        raise Problem(refusal, f"`{text[:_TEXT_MAX]}` names none: use `{prefix}_…` or {known}.", field=field)
    return (kind, value)


def instant(value: datetime | None, field: str) -> datetime | None:
    """An instant in UTC; refuses one without an offset."""
    if value is None:
        return None
    if value.tzinfo is None:
        raise Problem("invalid_value", "A time needs an offset: 2026-11-21T10:00:00Z.", field=field)
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise Problem("event_time_out_of_range", field=field) from None


def meta_text(metadata: dict[str, Any] | None) -> str:
    """Metadata as the JSON text that is stored, "" for none."""
    if not metadata:
        return ""
    encoded = msgspec.json.encode(metadata)
    if len(encoded) > METADATA_BYTES_MAX:
        raise Problem("invalid_value", f"Metadata has at most {METADATA_BYTES_MAX} bytes.", field="metadata")
    return encoded.decode()


def metadata(text: str | None) -> dict[str, Any]:
    return msgspec.json.decode(text, type=dict[str, Any]) if text else {}
