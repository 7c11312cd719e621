"""Blnk's generic filters as SQL conditions.

The one place where a statement is put together: which columns, operators and order a caller may choose is a closed
table here, every value goes as a parameter, and nothing a caller sends becomes SQL text.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, LiteralString

from msgspec import Struct
from psycopg import sql
from psycopg.types.json import Jsonb

OPERATORS = ("eq", "ne", "gt", "gte", "lt", "lte", "in", "between", "like", "ilike", "isnull", "isnotnull")
_COMPARE: dict[str, LiteralString] = {"eq": "=", "ne": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_JSON_KEY = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*", re.ASCII)

Value = str | int | float | bool | dict[str, Any] | list[Any] | None


class Filter(Struct, frozen=True):
    """One condition: a field of the wire, an operator of `OPERATORS`, and its values (none, one or several)."""

    field: str
    operator: str
    values: tuple[Value, ...] = ()


class Column(Struct, frozen=True):
    """What a field of the wire is in SQL. `id` columns are uuids that carry a prefix outside.

    `equals` is how an index answers `eq` and `in`, with `{}` for the array of values; "" where none does.
    """

    kind: Literal["text", "id", "number", "time", "json"]
    expression: LiteralString
    prefixes: tuple[str, ...] = ()
    equals: LiteralString = ""


class Sides(Struct, frozen=True):
    """A virtual field that matches either side of a transfer: the account's id, or its indicator."""

    column: Column
    other: Column

    @property
    def equals(self) -> LiteralString:
        return self.column.equals


class FilterError(ValueError):
    """A filter that cannot be understood; the text says which and why."""


Columns = dict[str, Column | Sides]


class Given:
    """The values of a statement's parameters, collected while its conditions are put together."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def __call__(self, value: Any) -> sql.Composable:
        name = f"given_{len(self.values)}"
        self.values[name] = value
        return sql.Placeholder(name)


def condition(filters: tuple[Filter, ...], columns: Columns, either: bool, given: Given) -> sql.Composable:
    """The filters as one condition, joined by `and`, or by `or` with `either`; `true` without any."""
    if not filters:
        return sql.SQL("true")
    joint: LiteralString = " or " if either else " and "
    return sql.SQL(joint).join(sql.SQL("({})").format(_one(each, columns, given)) for each in filters)


def indexed(filters: tuple[Filter, ...], columns: Columns) -> bool:
    """Whether an index finds the few rows that one of the filters leaves."""
    named = ((each.operator, columns.get(each.field)) for each in filters)
    return any(operator in ("eq", "in") and column is not None and column.equals for operator, column in named)


def order(sort_by: str, ascending: bool, columns: Columns) -> sql.Composable:
    """What to sort by; newest first, and for rows that are equal in the chosen field as well."""
    column = columns.get(sort_by)
    newest: LiteralString = "x.seq desc, x.twin desc"
    if not isinstance(column, Column) or column.kind == "json":
        return sql.SQL("x.seq asc, x.twin asc" if ascending else newest)
    direction: LiteralString = "asc" if ascending else "desc"
    return sql.SQL("{} {}, {}").format(sql.SQL(column.expression), sql.SQL(direction), sql.SQL(newest))


def _one(each: Filter, columns: Columns, given: Given) -> sql.Composable:
    if each.operator not in OPERATORS:
        raise FilterError(
            f"invalid operator '{each.operator}' for field '{each.field}': must be one of {', '.join(OPERATORS)}"
        )
    _check_arity(each)
    if each.field.startswith("meta_data."):
        return _json_key(each, each.field.removeprefix("meta_data."), columns["meta_data"], given)
    column = columns.get(each.field)
    if column is None:
        raise FilterError(f"invalid field '{each.field}'")
    if isinstance(column, Sides):
        return _sides(each, column, given)
    return _column(each, column, given)


def _check_arity(each: Filter) -> None:
    if each.operator == "in" and not each.values:
        raise FilterError(f"operator 'in' for field '{each.field}' requires at least one value in 'values'")
    if each.operator == "between" and len(each.values) != 2:
        raise FilterError(
            f"operator 'between' for field '{each.field}' requires exactly two values in 'values', "
            f"got {len(each.values)}"
        )
    if each.operator in (*_COMPARE, "like", "ilike") and len(each.values) != 1:
        raise FilterError(f"operator '{each.operator}' for field '{each.field}' requires one value")


def _sides(each: Filter, sides: Sides, given: Given) -> sql.Composable:
    """Either side for what must match, both sides for what must not."""
    if each.operator not in ("eq", "ne", "in", "isnull", "isnotnull"):
        raise FilterError(
            f"operator '{each.operator}' is not supported for field '{each.field}' on transactions: "
            "must be one of eq, ne, in, isnull, isnotnull"
        )
    joint: LiteralString = "({}) and ({})" if each.operator in ("ne", "isnull") else "({}) or ({})"
    return sql.SQL(joint).format(_column(each, sides.column, given), _column(each, sides.other, given))


def _column(each: Filter, column: Column, given: Given) -> sql.Composable:
    expression = sql.SQL(column.expression)
    if each.operator in ("isnull", "isnotnull"):
        empty = sql.SQL("coalesce(({})::text, '') = ''").format(expression)
        return empty if each.operator == "isnull" else sql.SQL("not ({})").format(empty)
    if column.kind == "id":
        return _id(each, column, given)
    if each.operator in ("like", "ilike"):
        return _pattern(each, sql.SQL("({})::text").format(expression), given)
    if column.kind == "time":
        return _time(each, expression, given)
    if column.kind == "json":
        return _contains(each, expression, given)
    values = [_number(each, value) if column.kind == "number" else _text(value) for value in each.values]
    if column.equals and each.operator in ("eq", "in"):
        return sql.SQL(column.equals).format(given(values))
    return _compare(each.operator, expression, values, given)


def _compare(operator: str, expression: sql.Composable, values: list[Any], given: Given) -> sql.Composable:
    if operator == "in":
        return sql.SQL("{} = any({})").format(expression, given(values))
    if operator == "between":
        return sql.SQL("{} between {} and {}").format(expression, given(values[0]), given(values[1]))
    return sql.SQL("{} {} {}").format(expression, sql.SQL(_COMPARE[operator]), given(values[0]))


def _pattern(each: Filter, text: sql.Composable, given: Given) -> sql.Composable:
    word: LiteralString = "{} like {}" if each.operator == "like" else "{} ilike {}"
    return sql.SQL(word).format(text, given(_text(each.values[0])))


def _id(each: Filter, column: Column, given: Given) -> sql.Composable:
    """Equality on the uuid itself, so that its index is used; patterns and order on the text with its prefix."""
    expression = sql.SQL(column.expression)
    if each.operator in ("eq", "ne", "in"):
        plain = [found for value in each.values if (found := _uuid(_text(value), column.prefixes))]
        wanted = sql.SQL(column.equals or f"{column.expression} = any({{}}::uuid[])").format(given(plain))
        return wanted if each.operator != "ne" else sql.SQL("{} is null or not ({})").format(expression, wanted)
    text = sql.SQL("({} || '_' || ({})::text)").format(given(column.prefixes[0]), expression)
    if each.operator in ("like", "ilike"):
        return _pattern(each, text, given)
    return _compare(each.operator, text, [_text(value) for value in each.values], given)


_GENERAL_LEDGER = ("general_ledger_id", "00000000-0000-0000-0000-000000000000")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def _uuid(public: str, prefixes: tuple[str, ...]) -> str | None:
    if public == _GENERAL_LEDGER[0]:
        return _GENERAL_LEDGER[1]
    prefix, _, text = public.rpartition("_")
    return text if prefix in prefixes and _UUID.fullmatch(text) else None


def _time(each: Filter, expression: sql.Composable, given: Given) -> sql.Composable:
    """A date stands for its whole day, a second for the whole second: `eq 2024-01-01` is any time on that day."""
    spans = [_span(each, value) for value in each.values]
    inside = sql.SQL(" or ").join(
        sql.SQL("({} >= {} and {} < {})").format(expression, given(start), expression, given(end))
        for start, end in spans
    )
    if each.operator in ("eq", "in"):
        return inside
    if each.operator == "ne":
        return sql.SQL("not ({})").format(inside)
    start, end = spans[0]
    if each.operator == "between":
        return sql.SQL("{} >= {} and {} < {}").format(expression, given(start), expression, given(spans[1][1]))
    sign: LiteralString = {"gt": "{} >= {}", "gte": "{} >= {}", "lt": "{} < {}", "lte": "{} < {}"}[each.operator]
    return sql.SQL(sign).format(expression, given(end if each.operator in ("gt", "lte") else start))


def _span(each: Filter, value: Value) -> tuple[datetime, datetime]:
    text = _text(value).strip()
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise FilterError(f"invalid value for field '{each.field}': {text[:40]!r} is not a date or time") from None
    if len(text) <= 10:
        step = timedelta(days=1)
    elif "." in text:
        step = timedelta(microseconds=1)
    else:
        step = timedelta(seconds=1)
    try:
        return moment, moment + step
    except OverflowError:
        raise FilterError(f"invalid value for field '{each.field}': {text[:40]!r} is out of range") from None


def _contains(each: Filter, expression: sql.Composable, given: Given) -> sql.Composable:
    value = each.values[0] if each.values else None
    if each.operator not in ("eq", "ne") or not isinstance(value, dict):
        raise FilterError(
            f"operator '{each.operator}' is not supported for field '{each.field}': name a key, or send an object"
        )
    found = sql.SQL("{} @> {}").format(expression, given(Jsonb(value)))
    return found if each.operator == "eq" else sql.SQL("not ({})").format(found)


def _json_key(each: Filter, key: str, column: Column | Sides, given: Given) -> sql.Composable:
    if not _JSON_KEY.fullmatch(key):
        raise FilterError(
            f"invalid JSON key '{key}' in field '{each.field}': must match pattern ^[a-zA-Z][a-zA-Z0-9_]*$"
        )
    assert isinstance(column, Column)
    meta, name = sql.SQL(column.expression), given(key)
    found = sql.SQL("{} ->> {}::text").format(meta, name)
    if each.operator in ("isnull", "isnotnull"):
        missing: LiteralString = "({}) is null" if each.operator == "isnull" else "({}) is not null"
        return sql.SQL(missing).format(found)
    if each.operator in ("like", "ilike"):
        return _pattern(each, sql.SQL("({})").format(found), given)
    if each.operator in ("eq", "ne", "in"):
        return _compare(each.operator, sql.SQL("({})").format(found), [_text(value) for value in each.values], given)
    number = sql.SQL(
        "(case when jsonb_typeof({0} -> {1}::text) = 'number' then ({0} ->> {1}::text)::numeric end)"
    ).format(meta, name)
    return _compare(each.operator, number, [_number(each, value) for value in each.values], given)


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else "" if value is None else str(value)


def _number(each: Filter, value: Value) -> Decimal:
    try:
        number = Decimal(_text(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number.adjusted()) > 60:
        raise FilterError(f"invalid value for field '{each.field}': {_text(value)[:40]!r} is not a number")
    return number
