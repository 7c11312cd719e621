"""End a batch: write all that its commands changed, and commit.

Promises: one set-based statement per table, final rows only, all of it and the commit in one round trip; every event
and transfer linked to the one before it (`core.chain`). A batch that changed nothing is ended without waiting for the
disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any

import msgspec
from msgspec.structs import astuple
from psycopg import AsyncConnection

from guerdon.core.accounts import Transfer
from guerdon.core.chain import link
from guerdon.core.events import Event
from guerdon.core.state import State
from guerdon.store.arrays import blobs, instants, plain, texts
from guerdon.store.load import COUNTERS
from guerdon.store.statements import statements

_SQL = statements("save")

Form = Callable[[Sequence[Any]], str]
Spec = dict[str, Form]
Changed = dict[Any, tuple[bool, Any]]
"""The rows of one table: whether each is new, and what it is now."""


def jsons(values: Sequence[object]) -> str:
    return texts([msgspec.json.encode(value).decode() for value in values])


# What each record's fields become, in the order of the record and of the statement's arrays.

EVENT: Spec = {
    "seq": plain, "id": plain, "name": texts, "member_no": plain, "event_at": instants, "recorded_at": instants,
    "transfers": plain, "points": plain, "mirrors": plain, "source": texts, "store_no": plain, "till_no": plain,
    "program_no": plain, "purchase_no": plain, "reference": texts, "actor": texts, "reason": texts, "entries": plain,
    "body": texts, "lot_moves": texts,
}  # fmt: skip
TRANSFER: Spec = {
    "seq": plain, "id": plain, "event_seq": plain, "action": plain, "source": plain, "destination": plain,
    "asset": texts, "amount": plain, "source_version": plain, "destination_version": plain, "source_balance": plain,
    "destination_balance": plain, "recorded_at": instants, "effective_at": instants, "reference": texts,
    "request_id": plain, "request_reference": texts, "parent": plain, "detail": texts,
}  # fmt: skip
LEDGER: Spec = {"no": plain, "id": plain, "name": texts, "opened_at": instants}
ACCOUNT: Spec = {
    "no": plain, "id": plain, "ledger_no": plain, "asset": texts, "indicator": texts, "member_no": plain,
    "program_no": plain, "category": texts, "role": texts, "tracks_lots": plain, "opened_at": instants,
    "options": texts,
}  # fmt: skip
FIGURES: Spec = {
    "credit": plain, "debit": plain, "inflight_credit": plain, "inflight_debit": plain, "version": plain,
    "floor": plain,
}  # fmt: skip
LOT: Spec = {
    "no": plain, "account": plain, "event_seq": plain, "amount": plain, "remaining": plain, "redeemed": plain,
    "returned": plain, "expired": plain, "held": plain, "earned_at": instants, "expires_at": instants, "rule": texts,
    "version": plain, "line": plain, "purchase_no": plain,
}  # fmt: skip
HOLD: Spec = {
    "seq": plain, "transfer_id": plain, "remaining": plain, "released": plain, "expires_at": instants,
    "commits_at": instants, "pins": jsons,
}  # fmt: skip
SCHEDULED: Spec = {"seq": plain, "transfer_id": plain, "due_at": instants, "done": plain, "request": texts}
MEMBER: Spec = {
    "no": plain, "id": plain, "status": plain, "enrolled": plain, "registered_at": instants, "survivor_no": plain,
    "identifiers": jsons,
}  # fmt: skip
PURCHASE: Spec = {
    "no": plain, "id": plain, "number": texts, "member_no": plain, "event_seq": plain, "event_at": instants,
    "recorded_at": instants, "currency": texts, "amount": plain, "paid": plain, "spent_points": plain,
    "redemption_id": plain, "source": texts, "store_no": plain, "till_no": plain, "lines": jsons, "shares": jsons,
    "tenders": jsons, "fingerprint": blobs, "result": texts, "meta": texts,
}  # fmt: skip
RETURN: Spec = {
    "no": plain, "id": plain, "number": texts, "purchase_no": plain, "member_no": plain, "event_seq": plain,
    "event_at": instants, "recorded_at": instants, "amount": plain, "fingerprint": blobs, "result": texts,
}  # fmt: skip
REDEMPTION: Spec = {
    "id": plain, "no": plain, "member_no": plain, "program_no": plain, "event_seq": plain, "purchase_no": plain,
    "points": plain, "reversed": plain, "reference": texts, "event_at": instants, "fingerprint": blobs,
    "result": texts,
}  # fmt: skip
PROGRAM: Spec = {
    "no": plain, "id": plain, "ledger_no": plain, "code": texts, "name": texts, "asset": texts, "first": plain,
    "version": plain, "policies": jsons,
}  # fmt: skip
STORE: Spec = {"no": plain, "id": plain, "code": texts, "name": texts}
TILL: Spec = {**STORE, "store_no": plain, "program_no": plain}
API_KEY: Spec = {
    "id": plain, "name": texts, "owner": texts, "scopes": lambda values: texts([texts(each) for each in values]),
    "hash": blobs, "created_at": instants, "expires_at": instants, "revoked_at": instants,
}  # fmt: skip

_CONFIGURATION = ("assets", "programs", "stores", "tills", "sources")


async def save(connection: AsyncConnection[Any], org_id: int, state: State) -> None:
    """Write the state's changes and commit the transaction that `load` began."""
    changes = state.changes()
    if not changes:
        await leave(connection)
        return
    batch = _Batch(org_id)
    _history(batch, state, changes)
    _ledger(batch, changes)
    _members(batch, changes)
    _facts(batch, state, changes)
    _configuration(batch, state, changes)
    counters = state.counters
    batch.add(
        "update_head",
        **{name: str(counters.get(name, 0)) for name in COUNTERS},
        configured="1" if any(name in changes for name in _CONFIGURATION) else "0",
        last_recorded_at=state.last_recorded_at.isoformat(),
        last_hash="\\x" + state.last_hash.hex(),
    )
    async with connection.pipeline():
        for name, arrays in batch.statements:
            await connection.execute(_SQL[name], arrays, prepare=True)
        await connection.execute("commit")


async def leave(connection: AsyncConnection[Any]) -> None:
    """End a transaction that `load` began and nothing changed in.

    A commit, since after a rollback psycopg forgets what it has prepared; and one that need not reach the disk.
    """
    async with connection.pipeline():
        await connection.execute("set local synchronous_commit = off")
        await connection.execute("commit")


class _Batch:
    """The statements to run, in order."""

    def __init__(self, org_id: int) -> None:
        self._org = str(org_id)
        self.statements: list[tuple[str, dict[str, str]]] = []

    def add(self, statement: str, /, **arrays: str) -> None:
        self.statements.append((statement, {"org": self._org, **arrays}))

    def insert(self, statement: str, spec: Spec, records: Sequence[Any], /, **more: str) -> None:
        if records:
            self.add(statement, **_arrays(spec, records), **more)

    def update(self, statement: str, spec: Spec, records: Sequence[Any], *fields: str) -> None:
        """Only these fields of the records."""
        if records:
            rows = map(attrgetter(*fields), records)
            self.add(statement, **_columns({field: spec[field] for field in fields}, rows))


def _history(batch: _Batch, state: State, changes: dict[str, Changed]) -> None:
    """Events and transfers, each linked to the one before it."""
    records: list[Event | Transfer] = [
        record for name in ("events", "transfers") for _, record in changes.get(name, {}).values()
    ]
    records.sort(key=_SEQ)
    events: list[Event] = []
    transfers: list[Transfer] = []
    event_hashes: list[bytes] = []
    transfer_hashes: list[bytes] = []
    last = state.last_hash
    for record in records:
        last = link(last, record)
        if isinstance(record, Transfer):
            transfers.append(record)
            transfer_hashes.append(last)
        else:
            events.append(record)
            event_hashes.append(last)
    state.last_hash = last
    batch.insert("insert_events", EVENT, events, hash=blobs(event_hashes))
    batch.insert("insert_transfers", TRANSFER, transfers, hash=blobs(transfer_hashes))


def _ledger(batch: _Batch, changes: dict[str, Changed]) -> None:
    new, old = _split(changes, "ledgers")
    batch.insert("insert_ledgers", LEDGER, new)
    batch.update("update_ledgers", LEDGER, old, "no", "name")
    new, old = _split(changes, "accounts")
    batch.insert("insert_accounts", ACCOUNT, new)
    batch.update(
        "update_accounts", ACCOUNT, old, "no", "member_no", "program_no", "category", "role", "tracks_lots", "options"
    )  # fmt: skip
    figures = changes.get("figures", {})
    for name, wanted in (("insert_figures", True), ("update_figures", False)):
        nos = [no for no, (is_new, _) in figures.items() if is_new is wanted]
        batch.insert(name, FIGURES, [figures[no][1] for no in nos], account_no=plain(nos))
    new, old = _split(changes, "lots")
    batch.insert("insert_lots", LOT, new)
    batch.update("update_lots", LOT, old, "no", "remaining", "redeemed", "returned", "expired", "held")
    new, old = _split(changes, "holds")
    batch.insert("insert_holds", HOLD, new)
    batch.update("update_holds", HOLD, old, "seq", "remaining", "released", "expires_at", "commits_at", "pins")
    new, old = _split(changes, "scheduled")
    batch.insert("insert_scheduled", SCHEDULED, new)
    batch.update("update_scheduled", SCHEDULED, old, "seq", "done")


def _members(batch: _Batch, changes: dict[str, Changed]) -> None:
    new, old = _split(changes, "members")
    if new:
        fields = [field for field in MEMBER if field != "identifiers"]
        batch.update("insert_members", MEMBER, new, *fields)
    batch.update("update_members", MEMBER, old, "no", "status", "enrolled", "survivor_no")
    batch.update("delete_member_identifiers", MEMBER, old, "no")
    identifiers = [(kind, value, member.no) for member in new + old for kind, value in member.identifiers]
    if identifiers:
        spec = {"kind": texts, "value": texts, "member_no": plain}
        batch.add("insert_member_identifiers", **_columns(spec, identifiers))
    profiles = [(no, profile) for no, (_, profile) in changes.get("profiles", {}).items()]
    if profiles:
        batch.add("write_profiles", **_columns({"member_no": plain, "profile": texts}, profiles))
    removed = changes.get("removed_members")
    if removed:
        for name in ("delete_member_identifiers", "delete_profiles", "delete_members"):
            batch.add(name, no=plain(removed))


def _facts(batch: _Batch, state: State, changes: dict[str, Changed]) -> None:
    new, _ = _split(changes, "purchases")
    batch.insert("insert_purchases", PURCHASE, new)
    new, _ = _split(changes, "returns")
    batch.insert("insert_purchase_returns", RETURN, new)
    new, old = _split(changes, "redemptions")
    batch.insert("insert_redemptions", REDEMPTION, new)
    batch.update("update_redemptions", REDEMPTION, old, "id", "reversed")
    new, old = _split(changes, "api_keys")
    batch.insert("insert_api_keys", API_KEY, new)
    batch.update("update_api_keys", API_KEY, old, "id", "expires_at", "revoked_at")
    if "metadata" in changes:
        versions = [
            (kind, object_, version, meta, at, actor)
            for (kind, object_), (version, meta), at, actor in state.history("metadata")
        ]
        spec = {
            "kind": texts, "object": texts, "version": plain, "meta": texts, "recorded_at": instants, "actor": texts,
        }  # fmt: skip
        batch.add("insert_metadata", **_columns(spec, versions))
    outcomes = [(*key, *outcome) for key, (_, outcome) in changes.get("outcomes", {}).items()]
    if outcomes:
        spec = {"actor": texts, "key": texts, "fingerprint": blobs, "answer": texts, "recorded_at": instants}
        batch.add("insert_outcomes", **_columns(spec, outcomes))


def _configuration(batch: _Batch, state: State, changes: dict[str, Changed]) -> None:
    """Configuration is not part of the state's tables when it is loaded, so every change looks like a new row."""
    for name, statement, spec in (
        ("assets", "insert_assets", {"code": texts, "scale": plain}),
        ("programs", "write_programs", PROGRAM),
        ("stores", "write_stores", STORE),
        ("tills", "write_tills", TILL),
    ):
        if name in changes:
            first = {key: at for key, _, at, _ in reversed(state.history(name))}
            records = [record for _, record in changes[name].values()]
            batch.insert(statement, spec, records, created_at=instants([first[key] for key in changes[name]]))
    if "programs" in changes:
        versions = [
            (no, program.version, program.policies, at, actor) for no, program, at, actor in state.history("programs")
        ]
        spec = {
            "program_no": plain, "version": plain, "policies": jsons, "recorded_at": instants, "actor": texts,
        }  # fmt: skip
        batch.add("insert_program_versions", **_columns(spec, versions))
    if "sources" in changes:
        sources = [(code, at) for code, (_, at) in changes["sources"].items()]
        batch.add("insert_sources", **_columns({"code": texts, "created_at": instants}, sources))


_SEQ = attrgetter("seq")


def _split(changes: dict[str, Changed], name: str) -> tuple[list[Any], list[Any]]:
    """The new records of a table, and the others."""
    new: list[Any] = []
    old: list[Any] = []
    for is_new, record in changes.get(name, {}).values():
        (new if is_new else old).append(record)
    return new, old


def _arrays(spec: Spec, records: Iterable[Any]) -> dict[str, str]:
    return _columns(spec, map(astuple, records))


def _columns(spec: Spec, rows: Iterable[Any]) -> dict[str, str]:
    """Rows as array literals by column. The rows have as many columns as the spec; a single one may stand alone."""
    columns: Iterable[Sequence[Any]] = [list(rows)] if len(spec) == 1 else zip(*rows, strict=True)
    return {name: form(column) for (name, form), column in zip(spec.items(), columns, strict=True)}
