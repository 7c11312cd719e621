"""End a batch: write all that its commands changed, and commit.

Promises: set-based statements, one per table and final rows only; every event and transfer linked to the one before it
(`core.chain`). `append` may be called between commands, inside a pipeline, to have the database at work on what is
final already while the rest is decided. A batch that changed nothing is ended without waiting for the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
import uuid_utils
from msgspec.structs import astuple
from psycopg import AsyncConnection

from guerdon.core.access import ApiKey
from guerdon.core.accounts import Account, Figures, Hold, Ledger, Scheduled, Transfer
from guerdon.core.adjustments import Adjustment, Decision
from guerdon.core.cart_returns import CartReturn
from guerdon.core.catalogue import CatalogueVersion, Reward, RewardList
from guerdon.core.chain import link
from guerdon.core.claims import Claim
from guerdon.core.codes import Code, CodeBatch, CodeLink
from guerdon.core.events import Event
from guerdon.core.imports import ImportedRow
from guerdon.core.issues import IssueMove, PromotionIssue
from guerdon.core.lots import Lot
from guerdon.core.programs import Program, Store, Till
from guerdon.core.purchases import Purchase, PurchaseReturn
from guerdon.core.redemptions import Redemption
from guerdon.core.referrals import Referral
from guerdon.core.standings import Standing
from guerdon.core.state import State
from guerdon.core.uses import CartCommit, Reservation, Use
from guerdon.core.webhooks import Webhook
from guerdon.store.arrays import array, blobs
from guerdon.store.load import COUNTERS
from guerdon.store.statements import statements
from guerdon.store.wire import Answer, Prepared, Wire, wire

APPEND_MIN = 16
"""Fewer rows than this wait: a statement costs more than it would overlap."""

Changed = dict[Any, tuple[bool, Any]]
"""The rows of one table: whether each is new, and what it is now."""

_SQL = {name: Prepared(text) for name, text in statements("save").items()}
COMMIT = Prepared("commit")
_NO_WAIT = Prepared("set local synchronous_commit = off")
_CONFIGURATION = frozenset((
    "assets", "programs", "program_versions", "followed", "low_pools", "stores", "tills", "sources", "promotions",
    "promotion_lanes", "tiers", "segments",
))  # fmt: skip
_MEMBERS = frozenset({"members", "profiles", "removed_members"})
_FACTS = frozenset({"sent", "promotion_counters", "walks", "outcomes", "code_switches", "segment_entries"})


async def append(connection: AsyncConnection[Any], org_id: int, state: State, at_least: int = APPEND_MIN) -> None:
    """Send the events and transfers that are new since the last call, each linked to the one before it."""
    if state.unappended() >= at_least:
        async with wire(connection) as sending:
            _append(_Writing(sending, org_id), state)
            await sending.flush()


def _append(writing: _Writing, state: State) -> None:
    events: list[Event] = []
    transfers: list[Transfer] = []
    event_hashes: list[bytes] = []
    transfer_hashes: list[bytes] = []
    last = state.last_hash
    for row in state.appended():
        last = link(last, row)
        if isinstance(row, Transfer):
            transfers.append(row)
            transfer_hashes.append(last)
        else:
            events.append(row)
            event_hashes.append(last)
    state.last_hash = last
    writing.insert("insert_events", Event, events, hash=blobs(event_hashes))
    writing.insert("insert_transfers", Transfer, transfers, hash=blobs(transfer_hashes))


async def save(connection: AsyncConnection[Any], org_id: int, state: State) -> None:
    """Write the state's changes and commit the transaction that `load` began."""
    if not state.mark():
        await _leave(connection)
        return
    async with wire(connection) as sending:
        append_all(sending, org_id, state)
        hand_over_rest(sending, org_id, state, state.changes())
        sending.send(COMMIT)
        await sending.sync()


def append_all(sending: Wire, org_id: int, state: State) -> None:
    """Send the events and transfers that are new; there will be no more of them, so the head's end is known by now."""
    _append(_Writing(sending, org_id), state)
    # A database that crashes may give the number of a transaction that it lost to another one, so whoever asks what
    # became of this one (`commits.committed`) also says which row it ended with, or where it makes none, its mark.
    number, seq = state.transaction.partition("/")[0], state.counters.get("seq", 0)
    before = mark = state.head[0]
    marks = ""
    if not state.made_rows():
        mark = str(uuid_utils.uuid7())
        marks = f"/{mark}/{before}"
    state.transaction = f"{number}/{seq}/{state.last_hash.hex()}{marks}"
    state.head = (mark, seq, state.last_hash)


def hand_over_rest(sending: Wire, org_id: int, state: State, changes: dict[str, Changed]) -> None:
    """Send what changed beside events and transfers."""
    writing = _Writing(sending, org_id)
    _save_figures(writing, changes)
    _save_records(writing, changes)
    if not changes.keys().isdisjoint(_MEMBERS):
        _save_members(writing, changes)
    if not changes.keys().isdisjoint(_FACTS):
        _save_facts(writing, state, changes)
    if configures(changes) or "metadata" in changes:
        _save_configuration(writing, state, changes)
    writing.run(
        "update_head",
        **{name: str(state.counters.get(name, 0)) for name in COUNTERS},
        configured="1" if configures(changes) else "0",
        last_recorded_at=state.last_recorded_at.isoformat(),
        last_hash="\\x" + state.last_hash.hex(),
        mark=state.head[0],
    )


def configures(changes: dict[str, Changed]) -> bool:
    """Whether the configuration is among what changed."""
    return not changes.keys().isdisjoint(_CONFIGURATION)


async def _leave(connection: AsyncConnection[Any]) -> None:
    """End a transaction in which nothing changed, which need not reach the disk."""
    async with wire(connection) as sending:
        sending.send(_NO_WAIT)
        sending.send(COMMIT)
        await sending.sync()


def _save_records(writing: _Writing, changes: dict[str, Changed]) -> None:
    """Rows that are saved field by field. What was there makes room first: an open reservation is closed before the
    next one of its cart is opened.
    """
    for name in changes:
        if name not in _RECORDS:
            continue
        table = _RECORDS[name]
        new, old = _split(changes, name)
        if table.update:
            writing.update(table.update, old, *table.fields)
        writing.insert(table.insert, table.kind, new)


def _save_figures(writing: _Writing, changes: dict[str, Changed]) -> None:
    figures = changes.get("figures", {})
    for statement, wanted in (("insert_figures", True), ("update_figures", False)):
        nos = [no for no, (new, _) in figures.items() if new is wanted]
        writing.insert(statement, Figures, [figures[no][1] for no in nos], account_no=array(nos))


def _save_members(writing: _Writing, changes: dict[str, Changed]) -> None:
    new, old = _split(changes, "members")
    writing.update("insert_members", new, "no", "id", "status", "enrolled", "registered_at", "survivor_no")
    writing.update("update_members", old, "no", "status", "enrolled", "survivor_no")
    writing.update("delete_member_identifiers", old, "no")
    identifiers = [
        (kind, value, member.no, alias)
        for member in new + old
        for alias, pairs in ((False, member.identifiers), (True, member.aliases))
        for kind, value in pairs
    ]
    writing.write("insert_member_identifiers", ("kind", "value", "member_no", "alias"), identifiers)
    profiles = [(no, profile) for no, (_, profile) in changes.get("profiles", {}).items()]
    writing.write("write_profiles", ("member_no", "profile"), profiles)
    removed = changes.get("removed_members")
    if removed:
        for statement in ("delete_member_identifiers", "delete_profiles", "delete_members"):
            writing.run(statement, no=array(list(removed)))


def _save_facts(writing: _Writing, state: State, changes: dict[str, Changed]) -> None:
    """Rows whose key is no field of theirs, and histories."""
    sent = [(*key, *astuple(row)) for key, (_, row) in changes.get("sent", {}).items()]
    writing.write("write_sent", ("member_no", "program_no", "period", "points", "count"), sent)
    counters = [(*key[1:], *astuple(row)) for key, (_, row) in changes.get("promotion_counters", {}).items()]
    counted = ("owner", "limit_code", "subject", "period", "used", "last_at", "parts")
    writing.write("write_promotion_counters", counted, counters)
    walks = [(*key, walked) for key, (_, walked) in changes.get("walks", {}).items()]
    writing.write("write_tier_walks", ("program_no", "version", "walked"), walks)
    outcomes = [(*key, *outcome) for key, (_, outcome) in changes.get("outcomes", {}).items()]
    writing.write("insert_outcomes", ("actor", "key", "fingerprint", "answer", "recorded_at"), outcomes)
    if "code_switches" in changes:
        switches = [(*key, *astuple(switch), at, actor) for key, switch, at, actor in state.history("code_switches")]
        switched = ("batch", "code", "version", "active", "reason", "recorded_at", "actor")
        writing.write("insert_code_switches", switched, switches)
    if "segment_entries" in changes:
        entries = [(*key, *entry, at, actor) for key, entry, at, actor in state.history("segment_entries")]
        fields = ("segment", "member_no", "version", "present", "recorded_at", "actor")
        writing.write("insert_segment_entries", fields, entries)


def _save_configuration(writing: _Writing, state: State, changes: dict[str, Changed]) -> None:
    """What is not part of a state's tables when it is loaded, so that every change looks like a new row."""
    for name, statement, fields in (
        ("assets", "insert_assets", ("code", "scale")),
        ("programs", "write_programs", Program.__struct_fields__),
        ("stores", "write_stores", Store.__struct_fields__),
        ("tills", "write_tills", Till.__struct_fields__),
    ):
        if name in changes:
            records = {key: record for key, record, _, _ in state.history(name)}
            first: dict[Any, datetime] = {key: at for key, _, at, _ in reversed(state.history(name))}
            rows = [(*astuple(record), first[key]) for key, record in records.items()]
            writing.write(statement, (*fields, "created_at"), rows)
    if "program_versions" in changes:
        plans = [
            (no, plan.version, plan.policies, plan.starts_at, at, actor)
            for (no, _), plan, at, actor in state.history("program_versions")
        ]
        fields = ("program_no", "version", "policies", "starts_at", "recorded_at", "actor")
        writing.write("insert_program_versions", fields, plans)
    if "followed" in changes:
        followed = [(no, version) for no, (_, version) in changes["followed"].items()]
        writing.write("write_followed", ("no", "followed"), followed)
    if "low_pools" in changes:
        low = [(no, is_low) for no, (_, is_low) in changes["low_pools"].items()]
        writing.write("write_low_pools", ("no", "pool_low"), low)
    if "promotion_lanes" in changes:
        lanes = [astuple(lane) for _, lane in changes["promotion_lanes"].values()]
        writing.write("write_promotion_lanes", ("number", "mode", "once"), lanes)
    if "promotions" in changes:
        history = state.history("promotions")
        first = {id_: at for id_, _, at, _ in reversed(history)}
        latest = {id_: terms for id_, terms, _, _ in history}
        rows = [(id_, t.version, t.status, t.name, t, first[id_]) for id_, t in latest.items()]
        writing.write("write_promotions", ("id", "version", "status", "name", "terms", "created_at"), rows)
        versions = [(id_, terms.version, terms, at, actor) for id_, terms, at, actor in history]
        writing.write("insert_promotion_versions", ("promotion", "version", "terms", "recorded_at", "actor"), versions)
    if "segments" in changes:
        segments = [(s.code, s.version, s.name, s.condition, at, who) for _, s, at, who in state.history("segments")]
        fields = ("code", "version", "name", "condition", "recorded_at", "actor")
        writing.write("insert_segment_versions", fields, segments)
    if "tiers" in changes:
        tiers = [(*key, s.starts_at, s.terms, at, actor) for key, s, at, actor in state.history("tiers")]
        fields = ("program_no", "version", "starts_at", "terms", "recorded_at", "actor")
        writing.write("insert_tier_versions", fields, tiers)
    if "sources" in changes:
        sources = [(code, at) for code, (_, at) in changes["sources"].items()]
        writing.write("insert_sources", ("code", "created_at"), sources)
    if "metadata" in changes:
        metadata = [(*key, *value, at, actor) for key, value, at, actor in state.history("metadata")]
        fields = ("kind", "object", "version", "meta", "recorded_at", "actor")
        writing.write("insert_metadata", fields, metadata)


def _split(changes: dict[str, Changed], name: str) -> tuple[list[Any], list[Any]]:
    """The new records of a table, and the others."""
    new: list[Any] = []
    old: list[Any] = []
    for is_new, record in changes.get(name, {}).values():
        (new if is_new else old).append(record)
    return new, old


class _Writing:
    """Sends statements, with rows turned into one array per column. No rows, no statement."""

    def __init__(self, sending: Wire, org_id: int) -> None:
        self._sending = sending
        self._org = str(org_id)

    def run(self, statement: str, /, **given: str) -> Answer:
        return self._sending.send(_SQL[statement], {**given, "org": self._org})

    def insert(self, statement: str, kind: type[msgspec.Struct], records: Sequence[Any], /, **more: str) -> None:
        """All fields of records of a kind."""
        self.write(statement, kind.__struct_fields__, map(astuple, records) if records else (), **more)

    def update(self, statement: str, records: Sequence[Any], /, *fields: str) -> None:
        """Some fields of records."""
        if len(fields) == 1:
            self.write(statement, fields, [(getattr(record, fields[0]),) for record in records])
        else:
            self.write(statement, fields, map(attrgetter(*fields), records))

    def write(self, statement: str, fields: Sequence[str], rows: Iterable[Any], /, **more: str) -> None:
        """Rows with a value per field."""
        columns = list(zip(*rows, strict=True))
        if columns:
            arrays = {name: _FORMS.get(name, array)(column) for name, column in zip(fields, columns, strict=True)}
            self.run(statement, **arrays, **more)


def _jsons(values: Sequence[object]) -> str:
    """Values that are stored as JSON texts."""
    return array([msgspec.json.encode(value).decode() for value in values])


def _jsons_or_none(values: Sequence[object]) -> str:
    return array([None if value is None else msgspec.json.encode(value).decode() for value in values])


def _arrays(values: Sequence[Sequence[str]]) -> str:
    """Texts of arrays, since `unnest` would flatten arrays of arrays."""
    return array([array(value) for value in values])


class _Records(NamedTuple):
    """How the rows of a table are saved: new ones with all fields of their kind, others with those that may change."""

    kind: type[msgspec.Struct]
    insert: str
    update: str = ""
    fields: tuple[str, ...] = ()


_RECORDS: dict[str, _Records] = {
    "ledgers": _Records(Ledger, "insert_ledgers", "update_ledgers", ("no", "name")),
    "accounts": _Records(
        Account, "insert_accounts", "update_accounts",
        ("no", "member_no", "program_no", "category", "role", "tracks_lots", "options"),
    ),
    "lots": _Records(
        Lot, "insert_lots", "update_lots",
        ("no", "account", "remaining", "redeemed", "returned", "expired", "held", "written_off", "expires_at",
         "releases_at", "promise"),
    ),
    "holds": _Records(
        Hold, "insert_holds", "update_holds", ("seq", "remaining", "released", "expires_at", "commits_at", "pins")
    ),
    "scheduled": _Records(Scheduled, "insert_scheduled", "update_scheduled", ("seq", "done")),
    "purchases": _Records(Purchase, "insert_purchases"),
    "returns": _Records(PurchaseReturn, "insert_purchase_returns"),
    "redemptions": _Records(Redemption, "insert_redemptions", "update_redemptions", ("id", "reversed")),
    "imported": _Records(ImportedRow, "insert_imported"),
    "adjustments": _Records(Adjustment, "insert_adjustments"),
    "decisions": _Records(Decision, "insert_adjustment_decisions"),
    "referrals": _Records(Referral, "insert_referrals", "update_referrals", ("id", "taken_back")),
    "reward_lists": _Records(RewardList, "insert_reward_lists", "update_reward_lists", ("id", "version", "terms")),
    "rewards": _Records(
        Reward, "insert_rewards", "update_rewards", ("id", "version", "supply", "claimed", "given", "terms")
    ),
    "catalogue": _Records(CatalogueVersion, "insert_catalogue_versions"),
    "claims": _Records(Claim, "insert_claims", "update_claims", ("id", "status", "moved_at", "reason")),
    "code_batches": _Records(
        CodeBatch, "insert_code_batches", "update_code_batches", ("id", "wanted", "made", "next_index")
    ),
    "codes": _Records(Code, "insert_codes"),
    "code_links": _Records(CodeLink, "insert_code_links"),
    "issues": _Records(PromotionIssue, "insert_issues"),
    "issue_moves": _Records(IssueMove, "insert_issue_moves"),
    "promotion_uses": _Records(Use, "insert_promotion_uses"),
    "promotion_commits": _Records(CartCommit, "insert_promotion_commits"),
    "cart_returns": _Records(CartReturn, "insert_cart_returns"),
    "reservations": _Records(Reservation, "insert_reservations", "update_reservations", ("id", "status")),
    "standings": _Records(Standing, "insert_standings", "update_standings", Standing.__struct_fields__),
    "api_keys": _Records(ApiKey, "insert_api_keys", "update_api_keys", ("id", "expires_at", "revoked_at")),
    "webhooks": _Records(
        Webhook, "insert_webhooks", "update_webhooks",
        ("id", "url", "description", "filters", "status", "reason", "generation", "old_until", "replays", "start_seq",
         "active_since"),
    ),
}  # fmt: skip
_FORMS: dict[str, Callable[[Sequence[Any]], str]] = {
    "digest": blobs,
    "fingerprint": blobs,
    "hash": blobs,
    "seed": blobs,
    "lines": _jsons,
    "shares": _jsons,
    "division": _jsons,
    "earned": _jsons,
    "tenders": _jsons,
    "parts": _jsons,
    "pins": _jsons,
    "raises": _jsons,
    "reckoning": _jsons,
    "condition": _jsons_or_none,
    "terms": _jsons,
    "policies": _jsons,
    "scopes": _arrays,
    "filters": _arrays,
}
"""How a column becomes an array where it is not numbers, texts, truth values or instants."""
