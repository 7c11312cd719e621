"""Reads transaction requests: Blnk's fields in, `Posting` records out, or Blnk's validation message."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from msgspec import Struct

from guerdon.api.blnk import wire
from guerdon.api.blnk.errors import BlnkError, malformed
from guerdon.api.blnk.wire import Number
from guerdon.core.commands import Leg, Posting

REFERENCE_CHARACTERS_MAX = 500
NAME_CHARACTERS_MAX = 200
PRECISION_MAX = 10**30
LEGS_MAX = 1_000
_SIGNIFICANT_DIGITS_MAX = 15
_PARTS_PER_PERCENT = 10**10
_INDICATOR = re.compile(r"@\S+")
_BAD_DATE = "please format the scheduled date as 'YYYY-MM-DDTHH:MM:SS+00:00' (e.g., 2024-04-22T15:28:03+00:00)"

Faults = dict[str, str]


class LegIn(Struct):
    identifier: str | None = None
    distribution: Number = None
    precise_distribution: Number = None


class TransactionIn(Struct):
    """A transaction as it is sent; every field may be null, and unknown ones are ignored."""

    amount: Number = None
    precise_amount: Number = None
    precision: Number = None
    overdraft_limit: Number = None
    reference: str | None = None
    currency: str | None = None
    description: str | None = None
    source: str | None = None
    destination: str | None = None
    sources: list[LegIn] | None = None
    destinations: list[LegIn] | None = None
    allow_overdraft: bool | None = None
    inflight: bool | None = None
    skip_queue: bool | None = None
    atomic: bool | None = None
    dry_run: bool | None = None
    scheduled_for: str | None = None
    inflight_expiry_date: str | None = None
    inflight_commit_date: str | None = None
    effective_date: str | None = None
    meta_data: dict[str, Any] | None = None


class BulkIn(Struct):
    transactions: list[TransactionIn | None] | None = None
    inflight: bool | None = None
    atomic: bool | None = None
    run_async: bool | None = None
    skip_queue: bool | None = None
    dry_run: bool | None = None


def posting(body: TransactionIn, *, queued: bool, inflight: bool = False) -> Posting:
    """One request as a posting. Raises Blnk's validation error, and 404 for an account that cannot exist."""
    found, faults = _read(body, queued=queued, inflight=inflight)
    if found is None:
        raise BlnkError(_code(faults), _sentence(faults), key="errors")
    return found


def bulk(body: BulkIn, items_max: int) -> Iterator[Posting]:
    """The items of a bulk request; the first one that is not valid is an error that names its index."""
    items = body.transactions or []
    if not items:
        raise BlnkError("TXN_BULK_EMPTY", "transactions cannot be empty")
    if len(items) > items_max:
        raise BlnkError("TXN_BULK_LIMIT_EXCEEDED", f"too many transactions; max is {items_max}")
    for index, item in enumerate(items):
        if item is None:
            raise _item(index, "TXN_VALIDATION_ERROR", f"transactions[{index}] is required")
        queued = not (body.skip_queue or item.skip_queue)
        found, faults = _read(item, queued=queued, inflight=bool(body.inflight))
        if found is None:
            raise _item(index, _code(faults), f"transactions[{index}]: {_sentence(faults)}")
        yield found


def partial(precise_amount: Number, amount: Number, precision: int, *, reject_zero: bool = True) -> int | None:
    """The amount of a partial settlement in minor units; None for all that is left."""
    try:
        exact = wire.whole(precise_amount)
        major = wire.decimal(amount)
    except (ValueError, OverflowError):
        raise malformed() from None
    if precise_amount is not None and precise_amount != "" and (exact or 0) <= 0 and reject_zero:
        raise BlnkError("TXN_INVALID_AMOUNT", "precise_amount must be positive")
    if exact is not None:
        return exact
    if major is None:
        return None
    if major < 0:
        raise BlnkError("TXN_INVALID_AMOUNT", "amount cannot be negative")
    return wire.minor_units(major, precision)


def _item(index: int, code: str, message: str) -> BlnkError:
    return BlnkError(code, message, key="errors", details={"index": index})


def _code(faults: Faults) -> str:
    if list(faults.values()) == ["precision must be an integer value"]:
        return "TXN_PRECISION_NOT_INTEGER"
    return "TXN_VALIDATION_ERROR"


def _sentence(faults: Faults) -> str:
    return "; ".join(f"{field}: {faults[field]}" for field in sorted(faults)) + "."


def _read(body: TransactionIn, *, queued: bool, inflight: bool) -> tuple[Posting | None, Faults]:
    faults: Faults = {}
    precision = _precision(body.precision, faults)
    amount = _amount(body, precision, faults)
    limit = _overdraft_limit(body.overdraft_limit, precision, faults)
    reference = _text(body.reference, "reference", REFERENCE_CHARACTERS_MAX, faults)
    asset = _text(body.currency, "currency", NAME_CHARACTERS_MAX, faults)
    description = _text(body.description, "description", 10_000, faults)
    sources = _side(body.source, body.sources, "source", precision, faults)
    destinations = _side(body.destination, body.destinations, "destination", precision, faults)
    _not_the_same(body, faults)
    if body.sources and body.destinations:
        faults.setdefault("destination", "either sources or destinations may be split, not both")
    dates = {
        name: _date(getattr(body, name), name, faults)
        for name in ("scheduled_for", "inflight_expiry_date", "inflight_commit_date", "effective_date")
    }
    if faults:
        return None, faults
    return (
        Posting(
            asset=asset,
            amount=amount,
            precision=precision,
            reference=reference,
            source=account(body.source) if body.source else "",
            destination=account(body.destination) if body.destination else "",
            sources=sources,
            destinations=destinations,
            description=description,
            allow_overdraft=bool(body.allow_overdraft),
            overdraft_limit=limit,
            inflight=inflight or bool(body.inflight),
            queued=queued,
            expires_at=dates["inflight_expiry_date"],
            commits_at=dates["inflight_commit_date"],
            scheduled_for=dates["scheduled_for"],
            effective_at=dates["effective_date"],
            meta=meta_text(body.meta_data),
        ),
        faults,
    )


def account(identifier: str) -> str:
    """An account as the core names it: `@Name`, or the uuid of a `bln_` id; 404 for anything else."""
    if identifier.startswith("@"):
        return identifier
    plain = wire.plain_id(identifier, "bln")
    if plain is None:
        raise BlnkError("TXN_NOT_FOUND", f"Balance with ID '{identifier}' not found")
    return plain


def meta_text(meta: dict[str, Any] | None) -> str:
    return wire.encode(meta).decode() if meta else ""


def _text(value: str | None, field: str, characters_max: int, faults: Faults) -> str:
    if not value:
        faults[field] = "cannot be blank"
        return ""
    if len(value) > characters_max:
        faults[field] = f"the length must be no more than {characters_max}"
    return value


def _precision(given: Number, faults: Faults) -> int:
    try:
        precision = wire.whole(given)
    except (ValueError, OverflowError):
        faults["precision"] = "precision must be an integer value"
        return 1
    if precision is None:
        return 1
    if precision < 0:
        faults["precision"] = "precision cannot be negative"
        return 1
    if precision > PRECISION_MAX:
        faults["precision"] = f"precision must be no more than {PRECISION_MAX}"
        return 1
    return precision


def _amount(body: TransactionIn, precision: int, faults: Faults) -> int:
    try:
        major, exact = wire.decimal(body.amount), wire.whole(body.precise_amount)
    except (ValueError, OverflowError):
        raise malformed() from None
    if major is not None and exact is not None:
        faults["amount"] = "either amount or precise_amount should be provided, not both"
    elif major is None and exact is None:
        faults["amount"] = "either amount or precise_amount is required"
    elif (major or 0) < 0:
        faults["amount"] = "amount cannot be negative"
    elif (exact or 0) < 0:
        faults["amount"] = "precise_amount cannot be negative"
    elif isinstance(body.amount, int | float) and _digits(body.amount) > _SIGNIFICANT_DIGITS_MAX:
        faults["amount"] = (
            "amount has more than 15 significant digits which may cause rounding errors; use precise_amount instead"
        )
    if "amount" in faults:
        return 0
    return exact if exact is not None else wire.minor_units(major or Fraction(0), precision)


def _digits(amount: float) -> int:
    """How many digits the number has when written out in full, without leading zeros."""
    written = format(Decimal(repr(amount)), "f")
    if "." in written:
        written = written.rstrip("0").rstrip(".")
    return len(written.replace(".", "").replace("-", "").lstrip("0"))


def _overdraft_limit(given: Number, precision: int, faults: Faults) -> int | None:
    try:
        limit = wire.decimal(given)
    except (ValueError, OverflowError):
        raise malformed() from None
    if limit is None:
        return None
    if limit < 0:
        faults["overdraft_limit"] = "overdraft_limit cannot be negative"
    return wire.minor_units(limit, precision)


def _side(single: str | None, legs: list[LegIn] | None, field: str, precision: int, faults: Faults) -> tuple[Leg, ...]:
    if bool(single) == bool(legs):
        faults[field] = f"either {field} or {field}s is required, not both"
        return ()
    if single:
        _name(single, field, faults)
        return ()
    if len(legs or ()) > LEGS_MAX:
        faults[f"{field}s"] = f"the length must be no more than {LEGS_MAX}"
        return ()
    return tuple(_leg(leg, f"{field}s", precision, faults) for leg in legs or ())


def _name(identifier: str, field: str, faults: Faults) -> None:
    if identifier.startswith("@") and not _INDICATOR.fullmatch(identifier):
        faults[field] = "an indicator starts with '@' and contains no whitespace (e.g. '@cash')"
    elif len(identifier) > NAME_CHARACTERS_MAX:
        faults[field] = f"the length must be no more than {NAME_CHARACTERS_MAX}"


def _leg(leg: LegIn, field: str, precision: int, faults: Faults) -> Leg:
    """A leg's share; a missing identifier or a share that cannot be read is a fault of the whole list."""
    if not leg.identifier:
        faults[field] = "each leg needs an identifier"
        return Leg("", "left")
    _name(leg.identifier, field, faults)
    if field in faults:
        return Leg("", "left")
    name = account(leg.identifier)
    exact, share = leg.precise_distribution, leg.distribution
    if "left" in (exact, share):
        return Leg(name, "left")
    try:
        if exact not in (None, ""):
            return Leg(name, "fixed", _not_negative(Fraction(wire.whole(exact) or 0)))
        if isinstance(share, str) and share.endswith("%"):
            return Leg(name, "percent", _not_negative((wire.decimal(share[:-1]) or Fraction(0)) * _PARTS_PER_PERCENT))
        if share not in (None, ""):
            fixed = (wire.decimal(share) or Fraction(0)) * precision
            return Leg(name, "fixed", _not_negative(Fraction(fixed.numerator // fixed.denominator)))
    except (ValueError, OverflowError):
        pass
    raise BlnkError(
        "TXN_INVALID_DISTRIBUTION",
        f'invalid distribution for {leg.identifier}: it is a percentage with at most 10 decimals ("10%"), '
        'an amount ("25.5") or "left"',
        key="errors",
    )


def _not_negative(value: Fraction) -> int:
    if value < 0 or value.denominator != 1:
        raise ValueError("a share is not negative and exact")
    return value.numerator


def _not_the_same(body: TransactionIn, faults: Faults) -> None:
    same = (body.source and body.source == body.destination) or any(
        single and any(leg.identifier == single for leg in legs or ())
        for single, legs in ((body.source, body.destinations), (body.destination, body.sources))
    )
    if same:
        faults.setdefault("destination", "source and destination cannot be the same balance")


def _date(text: str | None, field: str, faults: Faults) -> datetime | None:
    try:
        return wire.instant(text)
    except ValueError:
        faults[field] = _BAD_DATE
        return None
