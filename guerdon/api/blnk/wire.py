"""Blnk's JSON: reads leniently what the SDKs send, writes exactly what they expect.

Reading: `0`, `null` and `""` mean absent; whole numbers may come as `8000`, `8000.0` or `"8000"`, of any size; unknown
fields are ignored. Writing: integers of any size as JSON integers, whole numbers without `.0`, times as RFC 3339 in
UTC with as many decimals as needed, the zero time `0001-01-01T00:00:00Z` where there is none.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from typing import Any, TypeVar

import msgspec

from guerdon.api.blnk.errors import BlnkError, malformed
from guerdon.core.assets import Rounding, decimal_text, rounded

DEPTH_MAX = 64
ZERO_TIME = "0001-01-01T00:00:00Z"
GENERAL_LEDGER_ID = "general_ledger_id"

Number = int | float | str | None
_Body = TypeVar("_Body")


# -- reading --------------------------------------------------------------------------------------------------------


def decode(body: bytes, decoder: msgspec.json.Decoder[_Body], key: str = "error") -> _Body:
    """The body as the decoder's type, else 400 "Invalid input"."""
    try:
        value = decoder.decode(body)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
        raise malformed(
            f"Invalid input: {error}" if body.strip() else "Invalid input: the body is empty", key
        ) from None
    if body.count(b"{") + body.count(b"[") > DEPTH_MAX and _depth(msgspec.json.decode(body)) > DEPTH_MAX:
        raise malformed(f"Invalid input: nested more than {DEPTH_MAX} deep", key)
    if b"\\u0000" in body and _holds_nul(msgspec.json.decode(body)):
        raise malformed("Invalid input: NUL characters are not allowed in text", key)
    return value


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_holds_nul(name) or _holds_nul(child) for name, child in value.items())
    return isinstance(value, list) and any(_holds_nul(child) for child in value)


def _depth(value: Any) -> int:
    deepest, waiting = 0, [(value, 1)]
    while waiting:
        item, level = waiting.pop()
        children = item.values() if isinstance(item, dict) else item if isinstance(item, list) else None
        if children is not None:
            deepest = max(deepest, level)
            waiting.extend((child, level + 1) for child in children)
    return deepest


_INTEGER = re.compile(r"-?[0-9]{1,400}")
_DECIMAL = re.compile(r"-?[0-9]{1,60}(\.[0-9]{1,60})?")


def whole(value: Number) -> int | None:
    """An integer however it is written, None where it is absent; ValueError for what is no whole number."""
    if value is None or isinstance(value, bool) or value == "":
        return None
    if isinstance(value, str):
        text = value.strip()
        if not _INTEGER.fullmatch(text):
            raise ValueError(f"{value!r} is not a whole number")
        return int(text) or None
    if value != int(value):
        raise ValueError(f"{value!r} is not a whole number")
    return int(value) or None


def decimal(value: Number) -> Fraction | None:
    """A number exactly as written (a float by its shortest text), None where it is absent."""
    if value is None or isinstance(value, bool) or value in ("", 0):
        return None
    if isinstance(value, str):
        text = value.strip()
        if not _DECIMAL.fullmatch(text):
            raise ValueError(f"{value!r} is not a number")
        return Fraction(text)
    return Fraction(repr(value))


def minor_units(amount: Fraction, precision: int) -> int:
    """Major units into minor units, half away from zero: 1.005 at precision 100 is 101."""
    return rounded(amount * precision, Rounding.HALF_UP)


_TIME = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})[Tt](?P<clock>\d{2}:\d{2}:\d{2})(?:\.(?P<fraction>\d{1,12}))?"
    r"(?:(?P<z>[Zz])|(?P<sign>[+\- ])(?P<hours>\d{2}):?(?P<minutes>\d{2}))",
    re.ASCII,
)


def instant(text: str | None) -> datetime | None:
    """An RFC 3339 time in UTC; None for none, `""` or the zero time; ValueError for anything else.

    A space before the offset is a `+` that a client did not escape. Decimals beyond microseconds are cut off.
    """
    if not text or text == ZERO_TIME:
        return None
    found = _TIME.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is not an RFC 3339 time")
    zone = UTC
    if not found["z"]:
        offset = timedelta(hours=int(found["hours"]), minutes=int(found["minutes"]))
        if int(found["minutes"]) > 59 or offset >= timedelta(hours=24):
            raise ValueError(f"{text!r} has no valid offset")
        zone = timezone(-offset if found["sign"] == "-" else offset)
    micros = (found["fraction"] or "")[:6].ljust(6, "0")
    try:
        moment = datetime.fromisoformat(f"{found['date']}T{found['clock']}.{micros}").replace(tzinfo=zone)
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text!r} is out of range") from None


_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def plain_id(public: str, *prefixes: str) -> str | None:
    """The uuid inside a public id such as `txn_0193...`; None where it cannot be one."""
    for prefix in prefixes:
        if public.startswith(f"{prefix}_"):
            text = public[len(prefix) + 1 :].lower()
            return text if _UUID.fullmatch(text) else None
    return None


# -- writing --------------------------------------------------------------------------------------------------------


def encode(value: Any) -> bytes:
    return msgspec.json.encode(value)


def time_text(moment: datetime | None) -> str:
    """RFC 3339 in UTC, as many decimals as it has; the zero time for none."""
    if moment is None:
        return ZERO_TIME
    text = moment.astimezone(UTC).isoformat()[: -len("+00:00")]
    return f"{text.rstrip('0')}Z" if moment.microsecond else f"{text}Z"


def major_units(amount: int, precision: int) -> int | float:
    """Minor units as the JSON number Blnk calls `amount`: exact where it can be, never `100.0` for `100`."""
    if precision <= 1 or amount % precision == 0:
        return amount // max(precision, 1)
    return amount / precision


def amount_text(amount: int, precision: int) -> str:
    """Minor units as decimal text in major units: exact for powers of ten, else rounded to 16 decimals."""
    places = len(str(precision)) - 1
    if precision != 10**places:
        amount, places = rounded(Fraction(amount * 10**16, max(precision, 1)), Rounding.HALF_UP), 16
    text = decimal_text(amount, places)
    return text.rstrip("0").rstrip(".") if "." in text else text


def bad_request(message: str) -> BlnkError:
    return BlnkError("GEN_BAD_REQUEST", message)


def raw(text: str) -> msgspec.Raw:
    """JSON text as it stands in an answer."""
    return msgspec.Raw(text.encode())
