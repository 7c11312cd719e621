"""Filters and pages as Blnk's lists take them: `field_op=value` in a query string, or a JSON body."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from guerdon.api.blnk.errors import BlnkError
from guerdon.store.blnk_filters import OPERATORS, Filter
from guerdon.store.read_blnk import Page

LIMIT_MAX = 1_000
_FILTERS_MAX = 20
_IN_VALUES_MAX = 100
_VALUE_CHARACTERS_MAX = 1_000
_ALIASES = {"neq": "ne", "gteq": "gte", "lteq": "lte"}
_RESERVED = frozenset(
    {"page", "pagesize", "per_page", "limit", "offset", "sort", "order", "order_by", "order_dir", "logical_operator"}
    | {"instance_id", "org_id"}
)


class FilterIn(Struct):
    field: str | None = None
    operator: str | None = None
    value: Any = None
    values: list[Any] | None = None


class FilterBody(Struct):
    filters: list[FilterIn] | None = None
    logical_operator: str | None = None
    limit: int | None = None
    offset: int | None = None
    sort_by: str | None = None
    sort_order: str | None = None
    include_count: bool | None = None


def from_body(body: FilterBody) -> Page:
    """A filter body: at most 100 rows, 20 where more or none are asked for."""
    logical = (body.logical_operator or "").strip().lower()
    if logical not in ("", "and", "or"):
        raise BlnkError("GEN_VALIDATION_ERROR", "invalid logical_operator: must be 'and' or 'or'")
    given = body.filters or []
    if len(given) > _FILTERS_MAX:
        raise BlnkError("GEN_BAD_REQUEST", f"Invalid filter: exceeded maximum number of filters ({_FILTERS_MAX})")
    limit, offset = body.limit or 0, body.offset or 0
    return Page(
        limit=limit if 0 < limit <= 100 else 20,
        offset=max(offset, 0),
        filters=tuple(_filter(each) for each in given),
        either=logical == "or",
        sort_by=(body.sort_by or "").strip().lower(),
        ascending=(body.sort_order or "").strip().lower() == "asc",
        count=bool(body.include_count),
    )


def _filter(given: FilterIn) -> Filter:
    operator = (given.operator or "").lower()
    operator = _ALIASES.get(operator, operator)
    values = given.values if given.values is not None else []
    if operator not in ("in", "between"):
        values = [] if operator in ("isnull", "isnotnull") else [given.value]
    if len(values) > _IN_VALUES_MAX or any(isinstance(v, str) and len(v) > _VALUE_CHARACTERS_MAX for v in values):
        raise BlnkError(
            "GEN_BAD_REQUEST",
            f"Invalid filter: the values for field '{given.field}' are too many or too long",
        )
    return Filter(given.field or "", operator, tuple(values))


def from_query(query: dict[str, list[str]], default: int, strict: str = "") -> Page:
    """A query string. With `strict` (the noun's spelling of the message) a bad limit or offset is an error."""
    filters: list[Filter] = []
    faults: list[dict[str, str]] = []
    logical = query.get("logical_operator", [""])[0].strip().lower()
    if logical not in ("", "and", "or"):
        faults.append(_fault("logical_operator", "invalid logical_operator: must be 'and' or 'or'"))
    for name, values in query.items():
        field, _, operator = name.rpartition("_")
        operator = _ALIASES.get(operator.lower(), operator.lower())
        if name in _RESERVED or not field or operator not in OPERATORS:
            continue
        parsed = _parsed(operator, values[0])
        if len(filters) >= _FILTERS_MAX:
            faults.append(_fault(name, f"exceeded maximum number of filters ({_FILTERS_MAX})"))
        elif len(values[0]) > _VALUE_CHARACTERS_MAX:
            faults.append(_fault(name, f"value exceeds maximum length ({_VALUE_CHARACTERS_MAX} chars)"))
        elif operator == "between" and len(parsed) != 2:
            faults.append(_fault(name, "between operator requires exactly 2 pipe-separated values (value1|value2)"))
        elif len(parsed) > _IN_VALUES_MAX:
            faults.append(_fault(name, f"IN operator exceeds maximum values ({_IN_VALUES_MAX})"))
        else:
            filters.append(Filter(field, operator, parsed))
    if faults:
        raise BlnkError("GEN_VALIDATION_ERROR", "invalid filter parameters", key="errors", value=faults, details=faults)
    return Page(
        limit=min(_count(query, "limit", default, 1, strict), LIMIT_MAX),
        offset=_count(query, "offset", 0, 0, strict),
        filters=tuple(filters),
        either=logical == "or",
    )


def _parsed(operator: str, value: str) -> tuple[str, ...]:
    if operator in ("isnull", "isnotnull"):
        return ()
    if operator == "between":
        return tuple(value.split("|"))
    return tuple(part.strip() for part in value.split(",")) if operator == "in" else (value,)


def _fault(parameter: str, message: str) -> dict[str, str]:
    return {"Param": parameter, "Message": message}


def _count(query: dict[str, list[str]], name: str, default: int, least: int, strict: str) -> int:
    text = query.get(name, [""])[0]
    if not text:
        return default
    if text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= least:
        return int(text)
    if strict:
        raise BlnkError("GEN_VALIDATION_ERROR", f"{strict} {name} value")
    return default


def answer(rows: list[dict[str, Any]], total: int | None) -> Any:
    """A filtered list, wrapped only where its total was asked for."""
    return rows if total is None else {"data": rows, "total_count": total}
