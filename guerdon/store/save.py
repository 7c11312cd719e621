"""End a batch: write all that its commands changed, and commit.

Promises: set-based statements, one per table and final rows only; every event and transfer linked to the one before it
(`core.chain`). `append` may be called between commands, inside a pipeline, to have the database at work on what is
final already while the rest is decided. A batch that changed nothing is ended without waiting for the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any

import msgspec
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
_CONFIGURATION = (
    "assets", "programs", "followed", "stores", "tills", "sources", "promotions", "promotion_lanes", "tiers",
    "segments",
)  # fmt: skip


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
        ended = hand_over(sending, org_id, state)
        sending.send(COMMIT)
        await sending.sync()
    state.head = (ended.rows[0][0], *state.head[1:])


def hand_over(sending: Wire, org_id: int, state: State) -> Answer:
    """Send all that changed, but not the commit; what is answered is the new head's writer."""
    append_all(sending, org_id, state)
    return hand_over_rest(sending, org_id, state, state.changes())


def append_all(sending: Wire, org_id: int, state: State) -> None:
    """Send the events and transfers that are new; there will be no more of them, so the head's end is known by now."""
    _append(_Writing(sending, org_id), state)
    # A database that crashes may give the number of a transaction that it lost to another one, so whoever asks
    # what became of this one (`commits.committed`) also says which row it ended with.
    number, seq = state.transaction.partition("/")[0], state.counters.get("seq", 0)
    state.transaction = f"{number}/{seq}/{state.last_hash.hex()}"
    state.head = ("", seq, state.last_hash)


def hand_over_rest(sending: Wire, org_id: int, state: State, changes: dict[str, Changed]) -> Answer:
    """Send what changed beside events and transfers."""
    writing = _Writing(sending, org_id)
    _save_ledger(writing, changes)
    _save_members(writing, changes)
    _save_facts(writing, state, changes)
    _save_configuration(writing, state, changes)
    return writing.run(
        "update_head",
        **{name: str(state.counters.get(name, 0)) for name in COUNTERS},
        configured="1" if configures(changes) else "0",
        last_recorded_at=state.last_recorded_at.isoformat(),
        last_hash="\\x" + state.last_hash.hex(),
    )


def configures(changes: dict[str, Changed]) -> bool:
    """Whether the configuration is among what changed."""
    return any(name in changes for name in _CONFIGURATION)


async def _leave(connection: AsyncConnection[Any]) -> None:
    """End a transaction in which nothing changed, which need not reach the disk."""
    async with wire(connection) as sending:
        sending.send(_NO_WAIT)
        sending.send(COMMIT)
        await sending.sync()


def _save_ledger(writing: _Writing, changes: dict[str, Changed]) -> None:
    new, old = _split(changes, "ledgers")
    writing.insert("insert_ledgers", Ledger, new)
    writing.update("update_ledgers", old, "no", "name")
    new, old = _split(changes, "accounts")
    writing.insert("insert_accounts", Account, new)
    writing.update(
        "update_accounts", old, "no", "member_no", "program_no", "category", "role", "tracks_lots", "options"
    )
    figures = changes.get("figures", {})
    for statement, wanted in (("insert_figures", True), ("update_figures", False)):
        nos = [no for no, (new, _) in figures.items() if new is wanted]
        writing.insert(statement, Figures, [figures[no][1] for no in nos], account_no=array(nos))
    new, old = _split(changes, "lots")
    writing.insert("insert_lots", Lot, new)
    writing.update(
        "update_lots", old, "no", "account", "remaining", "redeemed", "returned", "expired", "held", "written_off",
        "expires_at", "releases_at", "promise",
    )  # fmt: skip
    new, old = _split(changes, "holds")
    writing.insert("insert_holds", Hold, new)
    writing.update("update_holds", old, "seq", "remaining", "released", "expires_at", "commits_at", "pins")
    new, old = _split(changes, "scheduled")
    writing.insert("insert_scheduled", Scheduled, new)
    writing.update("update_scheduled", old, "seq", "done")


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
    new, _ = _split(changes, "purchases")
    writing.insert("insert_purchases", Purchase, new)
    new, _ = _split(changes, "returns")
    writing.insert("insert_purchase_returns", PurchaseReturn, new)
    new, old = _split(changes, "redemptions")
    writing.insert("insert_redemptions", Redemption, new)
    writing.update("update_redemptions", old, "id", "reversed")
    new, _ = _split(changes, "imported")
    writing.insert("insert_imported", ImportedRow, new)
    new, _ = _split(changes, "adjustments")
    writing.insert("insert_adjustments", Adjustment, new)
    new, _ = _split(changes, "decisions")
    writing.insert("insert_adjustment_decisions", Decision, new)
    new, old = _split(changes, "referrals")
    writing.insert("insert_referrals", Referral, new)
    writing.update("update_referrals", old, "id", "taken_back")
    new, old = _split(changes, "reward_lists")
    writing.insert("insert_reward_lists", RewardList, new)
    writing.update("update_reward_lists", old, "id", "version", "terms")
    new, old = _split(changes, "rewards")
    writing.insert("insert_rewards", Reward, new)
    writing.update("update_rewards", old, "id", "version", "supply", "claimed", "given", "terms")
    new, _ = _split(changes, "catalogue")
    writing.insert("insert_catalogue_versions", CatalogueVersion, new)
    new, old = _split(changes, "claims")
    writing.insert("insert_claims", Claim, new)
    writing.update("update_claims", old, "id", "status", "moved_at", "reason")
    sent = [(*key, *astuple(row)) for key, (_, row) in changes.get("sent", {}).items()]
    writing.write("write_sent", ("member_no", "program_no", "period", "points", "count"), sent)
    _save_codes(writing, state, changes)
    _save_promotions(writing, changes)
    if "segment_entries" in changes:
        entries = [(*key, *entry, at, actor) for key, entry, at, actor in state.history("segment_entries")]
        fields = ("segment", "member_no", "version", "present", "recorded_at", "actor")
        writing.write("insert_segment_entries", fields, entries)
    new, old = _split(changes, "standings")
    writing.insert("insert_standings", Standing, new)
    writing.update("update_standings", old, *Standing.__struct_fields__)
    walks = [(*key, walked) for key, (_, walked) in changes.get("walks", {}).items()]
    writing.write("write_tier_walks", ("program_no", "version", "walked"), walks)
    new, old = _split(changes, "api_keys")
    writing.insert("insert_api_keys", ApiKey, new)
    writing.update("update_api_keys", old, "id", "expires_at", "revoked_at")
    new, old = _split(changes, "webhooks")
    writing.insert("insert_webhooks", Webhook, new)
    writing.update("update_webhooks", old, *_WEBHOOK_CHANGES)
    outcomes = [(*key, *outcome) for key, (_, outcome) in changes.get("outcomes", {}).items()]
    writing.write("insert_outcomes", ("actor", "key", "fingerprint", "answer", "recorded_at"), outcomes)


def _save_codes(writing: _Writing, state: State, changes: dict[str, Changed]) -> None:
    new, old = _split(changes, "code_batches")
    writing.insert("insert_code_batches", CodeBatch, new)
    writing.update("update_code_batches", old, "id", "wanted", "made", "next_index")
    new, _ = _split(changes, "codes")
    writing.insert("insert_codes", Code, new)
    new, _ = _split(changes, "code_links")
    writing.insert("insert_code_links", CodeLink, new)
    if "code_switches" in changes:
        switches = [(*key, *astuple(switch), at, actor) for key, switch, at, actor in state.history("code_switches")]
        fields = ("batch", "code", "version", "active", "reason", "recorded_at", "actor")
        writing.write("insert_code_switches", fields, switches)


def _save_promotions(writing: _Writing, changes: dict[str, Changed]) -> None:
    counters = [(*key[1:], *astuple(row)) for key, (_, row) in changes.get("promotion_counters", {}).items()]
    fields = ("owner", "limit_code", "subject", "period", "used", "last_at", "parts")
    writing.write("write_promotion_counters", fields, counters)
    new, _ = _split(changes, "issues")
    writing.insert("insert_issues", PromotionIssue, new)
    new, _ = _split(changes, "issue_moves")
    writing.insert("insert_issue_moves", IssueMove, new)
    new, _ = _split(changes, "promotion_uses")
    writing.insert("insert_promotion_uses", Use, new)
    new, _ = _split(changes, "promotion_commits")
    writing.insert("insert_promotion_commits", CartCommit, new)
    new, _ = _split(changes, "cart_returns")
    writing.insert("insert_cart_returns", CartReturn, new)
    new, old = _split(changes, "reservations")
    writing.update("update_reservations", old, "id", "status")
    writing.insert("insert_reservations", Reservation, new)


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
    if "programs" in changes:
        versions = [
            (no, program.version, program.policies, at, actor) for no, program, at, actor in state.history("programs")
        ]
        fields = ("program_no", "version", "policies", "recorded_at", "actor")
        writing.write("insert_program_versions", fields, versions)
    if "followed" in changes:
        followed = [(no, version) for no, (_, version) in changes["followed"].items()]
        writing.write("write_followed", ("no", "followed"), followed)
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


_WEBHOOK_CHANGES = (
    "id", "url", "description", "filters", "status", "reason", "generation", "old_until", "replays", "start_seq",
    "active_since",
)  # fmt: skip
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
