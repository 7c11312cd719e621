"""Reads for the Blnk-compatible API: pages, filters and single rows, under row level security.

Statements stand in `queries/blnk_*.sql`; `{condition}` and `{order}` in them come from `blnk_filters.py`.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any, LiteralString, TypeVar, cast

import msgspec
from msgspec import Struct
from psycopg import AsyncConnection, sql
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from guerdon.store.blnk_filters import Column, Columns, Filter, FilterError, Given, Sides, condition, indexed, order
from guerdon.store.statements import statements

GENERAL_LEDGER = "00000000-0000-0000-0000-000000000000"
"""Stands for the general ledger in rows and filters; the wire calls it `general_ledger_id`."""

_SET_ORG = "select set_config('guerdon.org', %s, true)"
_SEQ_MAX = 2**62
_Row = TypeVar("_Row")


class TransferRow(Struct, frozen=True, kw_only=True):
    """A transfer, or (`twin` 1) the queued request whose outcome it is. Ids are plain uuids; `meta`, `detail` JSON."""

    seq: int
    twin: int
    transaction_id: str
    parent_transaction: str | None
    reference: str | None
    status: str
    source_id: str
    destination_id: str
    source_indicator: str
    destination_indicator: str
    asset: str
    amount: int
    recorded_at: datetime
    effective_at: datetime | None
    detail: str | None
    request_id: str | None
    parent: str | None
    scale: int | None
    meta: str


class AccountRow(Struct, frozen=True, kw_only=True):
    balance_id: str
    currency: str
    indicator: str
    opened_at: datetime
    options: str
    ledger_id: str
    identity_id: str | None
    credit_balance: int
    debit_balance: int
    balance: int
    inflight_credit_balance: int
    inflight_debit_balance: int
    inflight_balance: int
    version: int
    meta: str


class LedgerRow(Struct, frozen=True, kw_only=True):
    ledger_id: str
    name: str
    opened_at: datetime
    meta: str


class IdentityRow(Struct, frozen=True, kw_only=True):
    identity_id: str
    registered_at: datetime
    profile: str
    meta: str


class KeyRow(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    owner: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class Page(Struct, frozen=True, kw_only=True):
    """What part of a list is wanted. `either` joins the filters by `or`; `count` asks for the total as well."""

    limit: int
    offset: int = 0
    filters: tuple[Filter, ...] = ()
    either: bool = False
    sort_by: str = ""
    ascending: bool = False
    count: bool = False


class BlnkReader:
    """Reads by noun. One connection of the pool and one round trip per read."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]]) -> None:
        self._pool = pool

    # -- transactions

    async def transactions(self, org_id: int, page: Page) -> tuple[list[TransferRow], int | None]:
        """A page, newest first unless asked otherwise, and the total where it was asked for."""
        return await self._page(org_id, _TRANSACTIONS, page, TransferRow, {})

    async def transactions_by_seq(self, org_id: int, seqs: tuple[int, ...]) -> list[TransferRow]:
        """The outcomes with these numbers and the requests they answer, in order, outcome before request."""
        return await self._rows(org_id, _TRANSACTIONS, "by_seqs", {"seqs": list(seqs)}, TransferRow)

    async def transaction(self, org_id: int, transaction_id: str) -> TransferRow | None:
        return await self._one(org_id, _TRANSACTIONS, "by_id", {"id": transaction_id}, TransferRow)

    async def transaction_by_reference(self, org_id: int, reference: str) -> TransferRow | None:
        return await self._one(org_id, _TRANSACTIONS, "by_reference", {"reference": reference}, TransferRow)

    async def legs(self, org_id: int, split_id: str) -> list[TransferRow]:
        """The legs of the split that goes by an id, in order; empty where there is none."""
        return await self._rows(org_id, _TRANSACTIONS, "legs", {"id": split_id}, TransferRow)

    async def legs_by_reference(self, org_id: int, reference: str) -> list[TransferRow]:
        values = {"reference": reference}
        return await self._rows(org_id, _TRANSACTIONS, "legs_by_reference", values, TransferRow)

    async def first_hold(self, org_id: int, target: str) -> TransferRow | None:
        """The first held transfer under an id: itself, its request, its split or its batch."""
        found = await self._rows(org_id, _TRANSACTIONS, "holds_of", {"id": target}, _Seq)
        rows = await self.transactions_by_seq(org_id, tuple(row.seq for row in found)) if found else []
        return rows[0] if rows else None

    async def precision(self, org_id: int, target: str) -> int:
        """The precision that an id's transfers were posted with, 1 where nothing is known."""
        found = await self._rows(org_id, _TRANSACTIONS, "precision_of", {"id": target}, _Precision)
        return found[0].precision if found else 1

    # -- balances

    async def accounts(self, org_id: int, page: Page, now: datetime) -> tuple[list[AccountRow], int | None]:
        return await self._page(org_id, _BALANCES, page, AccountRow, {"now": now})

    async def account(self, org_id: int, account_id: str, now: datetime) -> AccountRow | None:
        return await self._one(org_id, _BALANCES, "by_id", {"id": account_id, "now": now}, AccountRow)

    async def account_by_indicator(
        self, org_id: int, indicator: str, currency: str, now: datetime
    ) -> AccountRow | None:
        values = {"indicator": indicator, "currency": currency, "now": now}
        return await self._one(org_id, _BALANCES, "by_indicator", values, AccountRow)

    async def account_at(
        self, org_id: int, account_id: str, at: datetime, known_at: datetime | None = None
    ) -> tuple[int, int] | None:
        """Credit and debit by effective time, as known at a recorded time; None where nothing was booked by then."""
        values = {"id": account_id, "at": at, "known_at": known_at}
        found = await self._one(org_id, _BALANCES, "at", values, _At)
        if found is None or (found.credit is None and found.debit is None):
            return None
        return found.credit or 0, found.debit or 0

    # -- ledgers, identities, keys

    async def ledgers(self, org_id: int, page: Page) -> tuple[list[LedgerRow], int | None]:
        return await self._page(org_id, _LEDGERS, page, LedgerRow, {})

    async def ledger(self, org_id: int, ledger_id: str) -> LedgerRow | None:
        return await self._one(org_id, _LEDGERS, "by_id", {"id": ledger_id}, LedgerRow)

    async def general_ledger(self, org_id: int) -> str:
        """The stored id of the ledger that holds all internal balances."""
        rows = await self._rows(org_id, _LEDGERS, "general", {}, _LedgerId)
        return rows[0].ledger_id

    async def identities(self, org_id: int, page: Page) -> tuple[list[IdentityRow], int | None]:
        return await self._page(org_id, _IDENTITIES, page, IdentityRow, {})

    async def identity(self, org_id: int, identity_id: str) -> IdentityRow | None:
        return await self._one(org_id, _IDENTITIES, "by_id", {"id": identity_id}, IdentityRow)

    async def keys(self, org_id: int, owner: str) -> list[KeyRow]:
        """The keys of an owner, newest first, revoked ones among them."""
        return await self._rows(org_id, _KEYS, "of_owner", {"owner": owner}, KeyRow)

    async def ping(self) -> None:
        """Raises unless the database answers."""
        async with self._pool.connection(timeout=2) as connection:
            await connection.execute("select 1")

    # -- how

    async def _page(
        self, org_id: int, noun: _Noun, page: Page, type_: type[_Row], values: dict[str, Any]
    ) -> tuple[list[_Row], int | None]:
        given = Given()
        wanted = condition(page.filters, noun.columns, page.either, given)
        values = {**values, **given.values, "limit": page.limit, "offset": page.offset}
        ordered = order(page.sort_by, page.ascending, noun.columns)
        walk = page.either or not indexed(page.filters, noun.columns)
        rows = await self._run(org_id, _composed(noun, "list", wanted, ordered, walk=walk), values, type_)
        if not page.count:
            return rows, None
        total = await self._run(org_id, _composed(noun, "count", wanted, ordered), values, _Total)
        return rows, total[0].total

    async def _one(self, org_id: int, noun: _Noun, name: str, values: dict[str, Any], type_: type[_Row]) -> _Row | None:
        rows = await self._rows(org_id, noun, name, values, type_)
        return rows[0] if rows else None

    async def _rows(self, org_id: int, noun: _Noun, name: str, values: dict[str, Any], type_: type[_Row]) -> list[_Row]:
        return await self._run(org_id, _fixed(noun, name), values, type_)

    async def _run(
        self, org_id: int, statement: sql.Composable, values: dict[str, Any], type_: type[_Row]
    ) -> list[_Row]:
        async with (
            self._pool.connection() as connection,
            connection.pipeline(),
            connection.cursor(row_factory=dict_row) as cursor,
        ):
            await cursor.execute(_SET_ORG, (str(org_id),))
            await cursor.execute(cast("sql.Composed", statement), {"org": org_id, **values})
            rows = await cursor.fetchall()
        return [msgspec.convert(row, type_, strict=False) for row in rows]


class _Seq(Struct):
    seq: int


class _LedgerId(Struct):
    ledger_id: str


class _Precision(Struct):
    precision: int


class _Total(Struct):
    total: int


class _At(Struct):
    credit: int | None
    debit: int | None


class _Noun:
    """A statement file, and what its lists may be filtered and sorted by."""

    def __init__(self, name: str, columns: Columns) -> None:
        self.name = name
        self.columns = columns


def _text(noun: str, name: str) -> LiteralString:
    return statements(noun).get(name, "")


@cache
def _fixed(noun: _Noun, name: str) -> sql.Composable:
    return _composed(noun, name, sql.SQL("true"), sql.SQL("1"))


def _composed(
    noun: _Noun, name: str, wanted: sql.Composable, ordered: sql.Composable, *, walk: bool = False
) -> sql.Composable:
    """A statement with its parts put in. `walk` takes the rows in order, where the noun has a way to do so."""
    parts = {part: sql.SQL(_text(noun.name, part)) for part in ("every", "joins", "meta")}
    if walk and _text(noun.name, "in_order"):
        parts["every"] = sql.SQL(_text(noun.name, "in_order"))
    fields = sql.SQL(_text(noun.name, "fields")).format(meta=parts["meta"])
    return sql.SQL(_text(noun.name, name)).format(condition=wanted, order=ordered, fields=fields, **parts)


def _meta(noun: str) -> Column:
    return Column("json", _text(noun, "meta"))


def _part(name: str) -> LiteralString:
    return _text("blnk_transactions", name)


_SOURCE = Column("id", _part("source_id"), ("bln",), _part("source_is"))
_DESTINATION = Column("id", _part("destination_id"), ("bln",), _part("destination_is"))
_TRANSACTIONS = _Noun(
    "blnk_transactions",
    {
        "transaction_id": Column("id", "x.transaction_id", ("txn",), "x.transaction_id = any({}::uuid[])"),
        "parent_transaction": Column("id", "x.parent_transaction", ("txn", "bulk"), _part("parent_is")),
        "amount": Column("number", _part("amount")),
        "currency": Column("text", "x.asset"),
        "source": _SOURCE,
        "destination": _DESTINATION,
        "balance_id": Sides(_SOURCE, _DESTINATION),
        "indicator": Sides(
            Column("text", _part("source_indicator"), (), _part("source_named")),
            Column("text", _part("destination_indicator"), (), _part("destination_named")),
        ),
        "reference": Column("text", "x.reference", (), "x.reference = any({})"),
        "status": Column("text", "x.status"),
        "created_at": Column("time", "x.recorded_at"),
        "effective_date": Column("time", "coalesce(x.effective_at, x.recorded_at)"),
        "description": Column("text", "(x.detail::jsonb ->> 'description')"),
        "precision": Column("number", _part("precision")),
        "meta_data": _meta("blnk_transactions"),
    },
)
_BALANCES = _Noun(
    "blnk_balances",
    {
        "balance_id": Column("id", "x.balance_id", ("bln",)),
        "ledger_id": Column("id", "x.ledger_id", ("ldg",)),
        "identity_id": Column("id", "x.identity_id", ("idt",)),
        "indicator": Column("text", "x.indicator"),
        "currency": Column("text", "x.currency"),
        "balance": Column("number", "x.balance"),
        "credit_balance": Column("number", "x.credit_balance"),
        "debit_balance": Column("number", "x.debit_balance"),
        "inflight_balance": Column("number", "x.inflight_balance"),
        "inflight_credit_balance": Column("number", "x.inflight_credit_balance"),
        "inflight_debit_balance": Column("number", "x.inflight_debit_balance"),
        "created_at": Column("time", "x.opened_at"),
        "meta_data": _meta("blnk_balances"),
    },
)
_LEDGERS = _Noun(
    "blnk_ledgers",
    {
        "ledger_id": Column("id", "x.ledger_id", ("ldg",)),
        "name": Column("text", "x.name"),
        "created_at": Column("time", "x.opened_at"),
        "meta_data": _meta("blnk_ledgers"),
    },
)
_IDENTITIES = _Noun(
    "blnk_identities",
    {
        "identity_id": Column("id", "x.identity_id", ("idt",)),
        "identity_type": Column("text", "(x.profile ->> 'identity_type')"),
        "organization_name": Column("text", "(x.profile ->> 'organization_name')"),
        "category": Column("text", "(x.profile ->> 'category')"),
        "first_name": Column("text", "(x.profile ->> 'first_name')"),
        "last_name": Column("text", "(x.profile ->> 'last_name')"),
        "other_names": Column("text", "(x.profile ->> 'other_names')"),
        "gender": Column("text", "(x.profile ->> 'gender')"),
        "dob": Column("text", "(x.profile ->> 'dob')"),
        "email_address": Column("text", "(x.profile ->> 'email_address')"),
        "phone_number": Column("text", "(x.profile ->> 'phone_number')"),
        "nationality": Column("text", "(x.profile ->> 'nationality')"),
        "street": Column("text", "(x.profile ->> 'street')"),
        "country": Column("text", "(x.profile ->> 'country')"),
        "state": Column("text", "(x.profile ->> 'state')"),
        "post_code": Column("text", "(x.profile ->> 'post_code')"),
        "city": Column("text", "(x.profile ->> 'city')"),
        "created_at": Column("time", "x.registered_at"),
        "meta_data": _meta("blnk_identities"),
    },
)
_KEYS = _Noun("blnk_keys", {})

__all__ = ["GENERAL_LEDGER", "BlnkReader", "FilterError", "Page"]
