"""How values look on the wire: ids with a prefix, points as exact decimals, money in minor units, instants.

Points are sent as a JSON string or number, read exactly, and answered as strings with all decimals of their asset.
Money is a whole number of minor units (`amount_minor`). Instants are RFC 3339 with an offset.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct

from guerdon.api.problem import Problem
from guerdon.core.assets import AMOUNT_MAX, decimal_text
from guerdon.core.members import IDENTIFIER_KINDS, normalise
from guerdon.settings import Settings

_SHOWN_MAX = 80
_Row = TypeVar("_Row")

Code = Annotated[str, Meta(min_length=1, max_length=64, pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Text = Annotated[str, Meta(max_length=500)]
Number = Annotated[str, Meta(min_length=1, max_length=100)]
Selector = Annotated[str, Meta(min_length=1, max_length=300)]
Points = Annotated[Decimal, Meta(description="Points, with at most the decimals of their asset", examples=["200"])]
Minor = Annotated[int, Meta(description="Minor units: 1999 is 19.99 of an asset of scale 2", examples=[1999])]
Metadata = Annotated[dict[str, Any], Meta(description="Free data of your own, up to 16 KiB")]
Cursor = Annotated[str | None, Meta(description="`next_cursor` of the page before")]
Limit = Annotated[int, Meta(ge=1, le=100, description="How many at most")]


class Body(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every request body."""


class Shown(Struct, frozen=True, kw_only=True):
    """Base of everything that is answered."""


class PageQuery(Struct, frozen=True, kw_only=True):
    limit: Limit = 20
    cursor: Cursor = None


def public(prefix: str, identifier: str) -> str:
    return f"{prefix}_{identifier}"


def private(prefix: str, text: str) -> str | None:
    """The uuid text inside a public id, None when it is not one of that kind."""
    head, _, tail = text.partition("_")
    if head != prefix or len(tail) != 36:
        return None
    try:
        return str(UUID(tail))
    except ValueError:
        return None


def named_id(prefix: str, text: str, refusal: str, field: str, detail: str = "") -> str:
    """The uuid text inside a public id; refuses what is not one of that kind."""
    found = private(prefix, text)
    if found is None:
        raise Problem(refusal, detail, field=field)
    return found


def points(minor: int, scale: int) -> str:
    return decimal_text(minor, scale)


def minor(value: Decimal, scale: int, field: str) -> int:
    """Points in minor units, exactly. Refuses more decimals than the asset has, and what is no finite number."""
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise Problem("invalid_value", "This is not a finite number.", field=field)
    if value.is_zero():
        return 0
    if value.adjusted() + scale >= 38:
        raise Problem("amount_out_of_range", field=field)
    if value.adjusted() + scale < 0:
        raise _wrong_scale(scale, field)
    number, shift = int("".join(map(str, digits))), exponent + scale
    if shift < 0:
        number, rest = divmod(number, 10**-shift)
        if rest:
            raise _wrong_scale(scale, field)
    else:
        number *= int(10**shift)
    if number > AMOUNT_MAX:
        raise Problem("amount_out_of_range", field=field)
    return -number if sign else number


def _wrong_scale(scale: int, field: str) -> Problem:
    detail = f"At most {scale} decimals here." if scale else "Whole numbers only here."
    return Problem("wrong_scale", detail, field=field, extra={"scale": scale})


def member_selector(text: str, field: str = "member") -> tuple[str, str]:
    """`mem_…`, `number:…`, `external_id:…`, `email:…`, `mobile:…` or `card:…`; identifiers in their normal form."""
    by, value = _selector("mem", text, ("number", *IDENTIFIER_KINDS), "member_not_found", field)
    return (by, normalise(by, value)) if by in IDENTIFIER_KINDS else (by, value)


def thing_selector(prefix: str, text: str, refusal: str, field: str) -> tuple[str, str]:
    """A public id, `number:…`, or the code itself."""
    if ":" not in text and private(prefix, text) is None:
        return ("code", text)
    return _selector(prefix, text, ("number", "code"), refusal, field)


def purchase_selector(text: str, field: str = "purchase") -> tuple[str, str]:
    return _selector("pur", text, ("number",), "purchase_not_found", field)


def commit_selector(text: str, field: str = "commit") -> tuple[str, str]:
    return _selector("cmt", text, ("number",), "commit_not_found", field)


def _selector(prefix: str, text: str, kinds: tuple[str, ...], refusal: str, field: str) -> tuple[str, str]:
    identifier = private(prefix, text)
    if identifier is not None:
        return ("id", identifier)
    kind, colon, value = text.partition(":")
    if not colon or kind not in kinds or not value.strip():
        known = ", ".join(f"`{name}:…`" for name in kinds)
        raise Problem(refusal, f"`{text[:_SHOWN_MAX]}` names none: use `{prefix}_…` or {known}.", field=field)
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


def last_moment(expires_at: datetime | None, timezone: str) -> datetime | None:
    """An exclusive end as people read it: 23:59:59 of the last day, in the program's time zone."""
    if expires_at is None:
        return None
    return (expires_at - timedelta(seconds=1)).astimezone(ZoneInfo(timezone))


def meta_text(metadata: dict[str, Any], settings: Settings) -> str:
    """Metadata as the JSON text that is stored, "" for none."""
    if not metadata:
        return ""
    encoded = msgspec.json.encode(metadata)
    if len(encoded) > settings.metadata_bytes_max:
        detail = f"Metadata has at most {settings.metadata_bytes_max} bytes."
        raise Problem("invalid_value", detail, field="metadata")
    return encoded.decode()


def meta_shown(text: str | None) -> dict[str, Any]:
    return msgspec.json.decode(text, type=dict[str, Any]) if text else {}


def cursor(place: int | str, *filters: object) -> str:
    """A place in a list, bound to the filters it was made under."""
    return base64.urlsafe_b64encode(f"{_digest(filters)}.{place}".encode()).decode().rstrip("=")


def page(
    rows: list[_Row], limit: int, place_of: Callable[[_Row], int | str], *filters: object
) -> tuple[list[_Row], str | None]:
    """A page of rows, of which one more than `limit` was asked for, and the cursor of the next one if there is one."""
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], cursor(place_of(rows[limit - 1]), *filters)


def place(text: str | None, *filters: object) -> str | None:
    """The place inside a cursor; refuses one of another list or other filters."""
    if text is None:
        return None
    try:
        decoded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        raise Problem("invalid_cursor", field="cursor") from None
    digest, _, found = decoded.partition(".")
    if digest != _digest(filters) or not found:
        raise Problem("invalid_cursor", field="cursor")
    return found


def place_of_use(cursor: str | None, *bound: str | None) -> tuple[int, int] | None:
    """The event and place before which a page of uses begins. Raises `invalid_cursor`."""
    found = place(cursor, *bound)
    if found is None:
        return None
    seq, _, position = found.partition("/")
    if not (seq.isdecimal() and position.isdecimal() and len(found) < 36):
        raise Problem("invalid_cursor", field="cursor")
    return int(seq), int(position)


def place_no(text: str | None, *filters: object) -> int | None:
    """The same for lists that go by number."""
    found = place(text, *filters)
    if found is None:
        return None
    if not found.isdecimal() or len(found) > 18:
        raise Problem("invalid_cursor", field="cursor")
    return int(found)


def place_id(prefix: str, text: str | None, *filters: object) -> str | None:
    """The same for lists that go by id: the uuid text in it."""
    found = place(text, *filters)
    return None if found is None else named_id(prefix, found, "invalid_cursor", "cursor")


def _digest(filters: tuple[object, ...]) -> str:
    return hashlib.sha256(repr(filters).encode()).hexdigest()[:12]
