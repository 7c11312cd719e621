"""Reads for the API: rows as they stand, without the writer and without locks.

Every read names its organisation twice, in the statement and for row level security: `set_config` and the statement
travel in one pipeline and are one implicit transaction, so a read costs one round trip.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from guerdon.core.catalogue import RewardList, Shelved, Status
from guerdon.core.programs import Planned, Policies
from guerdon.core.promotions.codes import Form
from guerdon.core.segments import Segment
from guerdon.core.tiers import Structure
from guerdon.store import history, reports, tiers
from guerdon.store.statements import statements
from guerdon.store.webhook_rows import DeliveryRow, WebhookRow

NO_ORGANISATION = 0
_SET_ORG = "select set_config('guerdon.org', %s, true)"
_SEQ_MAX = 2**62
_NO = re.compile(r"[1-9][0-9]{0,17}").fullmatch
_Row = TypeVar("_Row")


class KeyRow(Struct, frozen=True, kw_only=True):
    """An API key without its secret."""

    id: str
    org_id: int
    hash: bytes
    name: str
    owner: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class OrganisationRow(Struct, frozen=True, kw_only=True):
    org_id: int
    id: str
    code: str
    name: str
    timezone: str
    created_at: datetime


class AssetRow(Struct, frozen=True, kw_only=True):
    code: str
    scale: int
    created_at: datetime


class ProgramRow(Struct, frozen=True, kw_only=True):
    no: int
    id: str
    code: str
    name: str
    asset: str
    first: bool
    version: int
    policies: Policies
    created_at: datetime
    following: int | None = None
    planned: tuple[Planned, ...] = ()

    def at(self, now: datetime) -> ProgramRow:
        """With the version that is in force at a moment."""
        begun = [plan for plan in self.planned if plan.starts_at <= now]
        if not begun:
            return self
        return msgspec.structs.replace(
            self,
            version=begun[-1].version,
            policies=begun[-1].policies,
            following=max([plan.version for plan in begun if plan.policies.follow], default=self.following),
            planned=self.planned[len(begun) :],
        )


class VersionRow(Struct, frozen=True, kw_only=True):
    """One version of a program's policies, from when on, and who made it when."""

    version: int
    policies: Policies
    starts_at: datetime
    recorded_at: datetime
    actor: str


class _Lots(Struct, frozen=True):
    lots: int


class StandingRow(Struct, frozen=True, kw_only=True):
    """Points that a member (id) has: what remains of one lot."""

    no: int
    account: int
    member: str
    category: str
    amount: int
    remaining: int
    earned_at: datetime
    expires_at: datetime | None
    rule: str
    version: int
    releases_at: datetime | None
    promise: str


class StoreRow(Struct, frozen=True, kw_only=True):
    no: int
    id: str
    code: str
    name: str
    created_at: datetime


class TillRow(Struct, frozen=True, kw_only=True):
    no: int
    id: str
    code: str
    name: str
    store_no: int
    program_no: int
    created_at: datetime


class SourceRow(Struct, frozen=True, kw_only=True):
    code: str
    created_at: datetime


class Directory(Struct, frozen=True, kw_only=True):
    """An organisation's configuration at one version, by number or code."""

    version: int
    assets: dict[str, AssetRow]
    programs: dict[int, ProgramRow]
    stores: dict[int, StoreRow]
    tills: dict[int, TillRow]
    sources: dict[str, SourceRow]

    def at(self, now: datetime) -> Directory:
        """With the versions of programs that begin by a moment, also where nothing has been booked since."""
        begun = {
            no: program.at(now)
            for no, program in self.programs.items()
            if program.planned and program.planned[0].starts_at <= now
        }
        return msgspec.structs.replace(self, programs={**self.programs, **begun}) if begun else self

    def scale(self, asset: str) -> int:
        return self.assets[asset].scale

    def scale_or_zero(self, asset: str) -> int:
        """For accounts of raw calls, whose assets need not be registered: minor units as they are."""
        found = self.assets.get(asset)
        return 0 if found is None else found.scale


class MemberRow(Struct, frozen=True, kw_only=True):
    """`identifiers` are (kind, value) pairs; `profile` and `meta` are JSON text."""

    no: int
    id: str
    status: str
    enrolled: bool
    registered_at: datetime
    survivor_no: int
    identifiers: tuple[tuple[str, str], ...]
    profile: str | None
    meta: str | None


class BalanceRow(Struct, frozen=True, kw_only=True):
    """An account of a member. `overdue` has ended but is not posted yet; `ending` ends before the time asked about;
    `released` is what was promised and is regular by now without having been posted: above zero for the regular
    account, below for the one it comes from. All of them, and `balance`, are told as if that had been posted.
    """

    no: int
    id: str
    asset: str
    program_no: int
    category: str
    credit: int
    debit: int
    on_hold: int
    incoming: int
    released: int
    overdue: int
    ending: int
    first_end: datetime | None
    first_release: datetime | None

    @property
    def balance(self) -> int:
        return self.credit - self.debit + self.released - self.overdue

    @property
    def spendable(self) -> int:
        return max(0, self.balance - self.on_hold)


class PurchaseRow(Struct, frozen=True, kw_only=True):
    """A purchase as booked; `lines`, `tenders`, the result and those of its returns are JSON text as the core made
    them.
    """

    no: int
    id: str
    number: str
    member_no: int
    event_seq: int
    event_at: datetime
    recorded_at: datetime
    currency: str
    amount: int
    paid: int
    source: str
    store_no: int
    till_no: int
    lines: str
    tenders: str
    result: str
    meta: str
    returns: list[str]


class RedemptionRow(Struct, frozen=True, kw_only=True):
    id: str
    no: int
    member: str
    program_no: int
    event_seq: int
    purchase: str | None
    points: int
    reversed: int
    reference: str
    event_at: datetime
    result: str


class AdjustmentRow(Struct, frozen=True, kw_only=True):
    """A manual adjustment with what was decided about it, None where nothing was. `member` is an id."""

    id: str
    member: str
    program_no: int
    points: int
    reason: str
    person: str
    recorded_at: datetime
    expires_at: datetime | None
    event_seq: int
    approved: bool | None
    decided_by: str | None
    decided_at: datetime | None
    decision_reason: str | None


class ReferralRow(Struct, frozen=True, kw_only=True):
    """A referral; `referrer` and `referred` are members' ids."""

    id: str
    referrer: str
    referred: str
    program_no: int
    referrer_event: int
    referred_event: int
    taken_back: bool


class ClaimRow(Struct, frozen=True, kw_only=True):
    """A claim; `member` and `wallet` are ids, `reward_name` that of the version that was claimed, `code` "" for other
    kinds; `form` says how it is printed where it was generated."""

    id: str
    member: str
    program_no: int
    list_id: str
    reward_id: str
    reward_name: str
    version: int
    event_seq: int
    points: int
    wallet: str | None
    code: str
    form: Form | None
    claimed_at: datetime
    status: Status
    moved_at: datetime
    reason: str


class EventRow(Struct, frozen=True, kw_only=True):
    """An event of a member; its transfers are the `transfers` rows after sequence number `first`."""

    seq: int
    id: str
    name: str
    event_at: datetime
    recorded_at: datetime
    first: int
    transfers: int
    points: int
    source: str
    store_no: int
    till_no: int
    program_no: int
    purchase_no: int
    reference: str
    actor: str
    reason: str
    body: str
    lot_moves: str

    @property
    def transfer_seqs(self) -> range:
        return range(self.first + 1, self.first + self.transfers + 1)


class EntryRow(Struct, frozen=True, kw_only=True):
    seq: int
    source: int
    destination: int
    amount: int
    source_balance: int
    destination_balance: int
    asset: str


class NamedPurchase(Struct, frozen=True, kw_only=True):
    """What a points ledger says about a purchase."""

    no: int
    id: str
    number: str
    currency: str
    amount: int
    paid: int
    event_at: datetime


class PromotionRow(Struct, frozen=True, kw_only=True):
    """What a promotion gave on what was bought with the event `seq`, under the version it was used in."""

    seq: int
    id: str
    version: int
    name: str
    code: str
    issue: str
    discount: int
    voucher: int
    points: int


class AccountRow(Struct, frozen=True, kw_only=True):
    no: int
    id: str
    asset: str
    program_no: int
    category: str
    tracks_lots: bool


class LotRow(Struct, frozen=True, kw_only=True):
    no: int
    account: int
    expires_at: datetime | None
    returned: int
    version: int


class PartyRow(Struct, frozen=True, kw_only=True):
    """An account's holder; `profile` is JSON text."""

    account: int
    member: int
    profile: str | None


class ImportRow(Struct, frozen=True, kw_only=True):
    """An import asked for over the API, with the sums of what became of its rows so far."""

    id: str
    kind: str
    program: str
    rows: int
    created_at: datetime
    finished_at: datetime | None
    accepted: int
    replayed: int
    rejected: int


class ImportResultRow(Struct, frozen=True, kw_only=True):
    """What became of a row of an import; `detail` is JSON text, "" for none."""

    row: int
    status: str
    code: str
    field: str
    detail: str
    event_seq: int


class LedgerFilter(Struct, frozen=True, kw_only=True):
    """Which events of a member. Empty and None mean no such filter.

    `mask` and `programs` are bits of `Event.entries` of which an event must have one each. With `exact`, an event must
    credit, debit or open one of these account numbers, or be a redemption made at a till of `till_program` (-1 for
    none).
    """

    member: int
    mask: int = 0
    programs: int = 0
    names: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    stores: tuple[int, ...] = ()
    tills: tuple[int, ...] = ()
    recorded_from: datetime | None = None
    recorded_to: datetime | None = None
    event_from: datetime | None = None
    event_to: datetime | None = None
    exact: bool = False
    credits: tuple[int, ...] = ()
    debits: tuple[int, ...] = ()
    openings: tuple[int, ...] = ()
    till_program: int = -1


class Reader:
    """Reads by noun. One connection of the pool per read."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]]) -> None:
        self._pool = pool
        self._directories: dict[int, Directory] = {}

    async def _rows(self, org_id: int, noun: str, name: str, values: dict[str, Any], type_: type[_Row]) -> list[_Row]:
        async with self._pool.connection() as connection:
            return await _read(connection, org_id, noun, name, values, type_)

    async def _one(self, org_id: int, noun: str, name: str, values: dict[str, Any], type_: type[_Row]) -> _Row | None:
        rows = await self._rows(org_id, noun, name, values, type_)
        return rows[0] if rows else None

    async def ping(self) -> None:
        """Return when the database has answered."""
        async with self._pool.connection() as connection:
            await connection.execute("select 1")

    # -- organisations and keys

    async def organisation(self, name: str) -> OrganisationRow | None:
        """By code or id."""
        return await self._one(NO_ORGANISATION, "organisations", "find_organisation", {"name": name}, OrganisationRow)

    async def organisations(self, after: int, limit: int) -> list[OrganisationRow]:
        values = {"after": after, "limit": limit}
        return await self._rows(NO_ORGANISATION, "organisations", "list_organisations", values, OrganisationRow)

    async def key(self, key_id: str) -> KeyRow | None:
        return await self._one(NO_ORGANISATION, "keys", "find_key", {"id": key_id}, KeyRow)

    async def keys(self, org_id: int, before: str | None, limit: int) -> list[KeyRow]:
        values = {"before": before, "limit": limit}
        return await self._rows(org_id, "keys", "list_keys", values, KeyRow)

    # -- configuration

    async def directory(self, org_id: int) -> Directory:
        """The organisation's configuration as it stands; read again only when its version has moved."""
        async with self._pool.connection() as connection:
            (head,) = await _read(connection, org_id, "configuration", "config_version", {}, _Version)
            known = self._directories.get(org_id)
            if known is not None and known.version == head.config_version:
                return known
            found = Directory(
                version=head.config_version,
                assets={x.code: x for x in await _read(connection, org_id, *_LISTS["assets"], AssetRow)},
                programs={x.no: x for x in await _read(connection, org_id, *_LISTS["programs"], ProgramRow)},
                stores={x.no: x for x in await _read(connection, org_id, *_LISTS["stores"], StoreRow)},
                tills={x.no: x for x in await _read(connection, org_id, *_LISTS["tills"], TillRow)},
                sources={x.code: x for x in await _read(connection, org_id, *_LISTS["sources"], SourceRow)},
            )
        self._directories[org_id] = found
        return found

    def known_directory(self, org_id: int) -> Directory | None:
        """The configuration as last read in this process. Enough for what never changes, such as an asset's scale."""
        return self._directories.get(org_id)

    async def program_versions(self, org_id: int, program_no: int) -> list[VersionRow]:
        return await self._rows(org_id, "configuration", "program_versions", {"program_no": program_no}, VersionRow)

    async def standing(self, org_id: int, program_no: int, now: datetime, after: int, limit: int) -> list[StandingRow]:
        """Points of a program that have not ended, by the number of their lot."""
        values = {"program_no": program_no, "now": now, "after": after, "limit": limit}
        return await self._rows(org_id, "configuration", "standing", values, StandingRow)

    async def standing_count(self, org_id: int, program_no: int, now: datetime) -> int:
        """How many lots of a program have not ended."""
        values = {"program_no": program_no, "now": now}
        (row,) = await self._rows(org_id, "configuration", "standing_count", values, _Lots)
        return row.lots

    # -- members

    async def member(self, org_id: int, selector: tuple[str, str]) -> MemberRow | None:
        by, value = selector
        values = {
            "by": by,
            "value": value,
            "uuid": value if by == "id" else None,
            "number": int(value) if by == "number" and _NO(value) else None,
        }
        return await self._one(org_id, "members", "find_member", values, MemberRow)

    async def members(self, org_id: int, after: int, limit: int) -> list[MemberRow]:
        return await self._rows(org_id, "members", "list_members", {"after": after, "limit": limit}, MemberRow)

    async def balances(self, org_id: int, member: int, now: datetime, until: datetime) -> list[BalanceRow]:
        values = {"member": member, "now": now, "until": until}
        return await self._rows(org_id, "members", "balances", values, BalanceRow)

    # -- tiers

    async def structures(self, org_id: int, program: int = 0) -> dict[int, tuple[Structure, ...]]:
        """Every version of tiers by program, of one program or all."""
        async with self._of(org_id) as connection:
            return await tiers.structures(connection, org_id, program)

    async def tiers_of(
        self, org_id: int, member: int, registered_at: datetime, now: datetime
    ) -> list[tiers.MemberTier]:
        """How a member stands, with what a review would tell now."""
        async with self._of(org_id) as connection:
            return await tiers.of_member(connection, org_id, member, registered_at, now)

    async def tier_changes(self, org_id: int, member: int, before: int, limit: int) -> list[tiers.ToldRow]:
        """What a member was told, newest first."""
        async with self._of(org_id) as connection:
            return await tiers.changes(connection, org_id, member, before, limit)

    async def tier_counts(self, org_id: int, program: int, now: datetime) -> dict[str, int] | None:
        """How many members each tier has; None where there are none."""
        async with self._of(org_id) as connection:
            return await tiers.counts(connection, org_id, program, now)

    async def preview_tiers(self, org_id: int, structure: Structure, now: datetime, most: int) -> tiers.Preview:
        """What a structure would make of everybody: how many from which tier to which, and some of them."""
        async with self._of(org_id) as connection:
            return await tiers.preview(connection, org_id, structure, now, most)

    async def audience(
        self, org_id: int, member: MemberRow, wanted: Collection[str], now: datetime
    ) -> tuple[dict[int, str], frozenset[str]]:
        """A member's tier by program, and those of the wanted segments that the member is in."""
        balances = await self.balances(org_id, member.no, now, now)
        regular = {row.program_no: row.balance for row in balances if row.category == "regular" and row.program_no}
        async with self._of(org_id) as connection:
            return await tiers.audience(connection, org_id, member.no, member.registered_at, regular, wanted, now)

    async def segments(self, org_id: int) -> dict[str, Segment]:
        """All segments by code, as they now are."""
        async with self._of(org_id) as connection:
            return await tiers.segments(connection, org_id)

    async def listed(self, org_id: int, segment: str, after: int, limit: int) -> list[tiers.ListedRow]:
        """Who is on a list, by number."""
        async with self._of(org_id) as connection:
            return await tiers.listed(connection, org_id, segment, after, limit)

    @asynccontextmanager
    async def _of(self, org_id: int) -> AsyncIterator[AsyncConnection[Any]]:
        """A connection to one state of an organisation's rows, for several statements."""
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute("set transaction isolation level repeatable read, read only")
            await connection.execute(_SET_ORG, [str(org_id)])
            yield connection

    # -- purchases and redemptions

    async def import_(self, org_id: int, import_id: str) -> ImportRow | None:
        return await self._one(org_id, "imports", "get_import", {"id": import_id}, ImportRow)

    async def import_results(
        self, org_id: int, import_id: str, status: str, after: int, limit: int
    ) -> list[ImportResultRow]:
        values = {"id": import_id, "status": status, "after": after, "limit": limit}
        return await self._rows(org_id, "imports", "list_results", values, ImportResultRow)

    async def purchase(self, org_id: int, selector: tuple[str, str]) -> PurchaseRow | None:
        by, value = selector
        values = {"by": by, "value": value, "uuid": value if by == "id" else None}
        return await self._one(org_id, "purchases", "find_purchase", values, PurchaseRow)

    async def purchases(self, org_id: int, member: int, before: int | None, limit: int) -> list[PurchaseRow]:
        values = {"member": member, "before": before or _SEQ_MAX, "limit": limit}
        return await self._rows(org_id, "purchases", "list_purchases", values, PurchaseRow)

    async def redemption(self, org_id: int, redemption_id: str) -> RedemptionRow | None:
        return await self._one(org_id, "purchases", "find_redemption", {"id": redemption_id}, RedemptionRow)

    async def redemptions(self, org_id: int, member: int, before: int | None, limit: int) -> list[RedemptionRow]:
        values = {"member": member, "before": before or _SEQ_MAX, "limit": limit}
        return await self._rows(org_id, "purchases", "list_redemptions", values, RedemptionRow)

    # -- what staff and members move

    async def adjustment(self, org_id: int, adjustment_id: str) -> AdjustmentRow | None:
        return await self._one(org_id, "staff", "find_adjustment", {"id": adjustment_id}, AdjustmentRow)

    async def adjustments(
        self, org_id: int, member: int | None, pending_at: datetime | None, before: str | None, limit: int
    ) -> list[AdjustmentRow]:
        """Newest first; of one member or all, all or those that wait at a moment."""
        values = {"member": member, "pending_at": pending_at, "before": before, "limit": limit}
        return await self._rows(org_id, "staff", "list_adjustments", values, AdjustmentRow)

    async def referral(self, org_id: int, referral_id: str) -> ReferralRow | None:
        return await self._one(org_id, "staff", "find_referral", {"id": referral_id}, ReferralRow)

    # -- rewards

    async def reward_lists(self, org_id: int) -> list[RewardList]:
        return await self._rows(org_id, "rewards", "every_list", {}, RewardList)

    async def reward(self, org_id: int, reward_id: str) -> Shelved | None:
        return await self._one(org_id, "rewards", "find_reward", {"id": reward_id}, Shelved)

    async def program_of_reward(self, org_id: int, reward_id: str) -> int | None:
        """The number of the program whose points a reward costs, which never changes."""
        found = await self._one(org_id, "rewards", "program_of_reward", {"id": reward_id}, _Number)
        return None if found is None else found.no

    async def rewards(self, org_id: int, list_id: str | None, before: str | None, limit: int) -> list[Shelved]:
        """Newest first, of one list or all."""
        values = {"list": list_id, "before": before, "limit": limit}
        return await self._rows(org_id, "rewards", "list_rewards", values, Shelved)

    async def rewards_of_lists(self, org_id: int, lists: list[str], after: str | None, limit: int) -> list[Shelved]:
        """List by list, from after a reward in the first of them."""
        values = {"lists": lists, "after": after, "limit": limit}
        return await self._rows(org_id, "rewards", "rewards_of_lists", values, Shelved)

    async def claimed(self, org_id: int, member: int) -> dict[str, int]:
        """How often a member claimed of each reward and from each list, by their ids."""
        counts: dict[str, int] = {}
        for row in await self._rows(org_id, "rewards", "claimed", {"member": member}, _ClaimedOf):
            counts[row.reward_id] = row.count
            counts[row.list_id] = counts.get(row.list_id, 0) + row.count
        return counts

    async def claim(self, org_id: int, claim_id: str) -> ClaimRow | None:
        return await self._one(org_id, "rewards", "find_claim", {"id": claim_id}, ClaimRow)

    async def claims(
        self, org_id: int, member: int | None, status: str | None, before: str | None, limit: int
    ) -> list[ClaimRow]:
        """Newest first, of one member or all."""
        values = {"status": status, "before": before, "limit": limit}
        if member is None:
            return await self._rows(org_id, "rewards", "list_claims", values, ClaimRow)
        return await self._rows(org_id, "rewards", "claims_of_member", values | {"member": member}, ClaimRow)

    # -- events out

    async def webhook(self, org_id: int, webhook_id: str) -> WebhookRow | None:
        return await self._one(org_id, "webhooks", "find", {"id": webhook_id}, WebhookRow)

    async def webhooks(self, org_id: int, limit: int) -> list[WebhookRow]:
        """Endpoints with how they are doing, oldest first; none that were removed."""
        return await self._rows(org_id, "webhooks", "list", {"limit": limit}, WebhookRow)

    async def deliveries(
        self, org_id: int, webhook_id: str, message: str | None, outcome: str, before: int | None, limit: int
    ) -> list[DeliveryRow]:
        """Attempts at an endpoint, newest first; of all messages or one, with any outcome ("") or one."""
        values = {"webhook": webhook_id, "message": message, "outcome": outcome, "before": before, "limit": limit}
        return await self._rows(org_id, "webhooks", "deliveries", values, DeliveryRow)

    # -- the points ledger

    async def events(
        self, org_id: int, chosen: LedgerFilter, place: int | None, limit: int, *, oldest_first: bool, skip: int = 0
    ) -> list[EventRow]:
        """A page of events after `place`, and `skip` more, in the order asked for."""
        values = _arrays(chosen) | {"limit": limit, "skip": skip}
        if oldest_first:
            values["place"] = place or 0
            return await self._rows(org_id, "points", "oldest_first", values, EventRow)
        values["place"] = _SEQ_MAX if place is None else place
        return await self._rows(org_id, "points", "newest_first", values, EventRow)

    async def events_named(
        self,
        org_id: int,
        member: int,
        seqs: list[int],
        name: str = "",
        purchases: list[int] | None = None,
        references: list[str] | None = None,
    ) -> list[EventRow]:
        """A member's events by number, or by name with the numbers of their purchases or their references."""
        values = {"member": member, "seqs": seqs, "name": name}
        values |= {"purchases": purchases or [], "references": references or []}
        return await self._rows(org_id, "points", "named", values, EventRow)

    async def parties(self, org_id: int, accounts: list[int]) -> dict[int, PartyRow]:
        """The members who hold accounts, by account number."""
        rows = await self._rows(org_id, "points", "parties", {"accounts": accounts}, PartyRow)
        return {row.account: row for row in rows}

    async def event_count(self, org_id: int, chosen: LedgerFilter) -> int:
        (row,) = await self._rows(org_id, "points", "count", _arrays(chosen), _Total)
        return row.total

    async def last_place(self, org_id: int, chosen: LedgerFilter) -> int | None:
        """The sequence number up to which the view's last event reaches, None for an empty view."""
        row = await self._one(org_id, "points", "last_place", _arrays(chosen), _Place)
        return None if row is None else row.seq

    async def entries(self, org_id: int, events: list[EventRow]) -> list[EntryRow]:
        seqs = [seq for event in events for seq in event.transfer_seqs]
        return await self._rows(org_id, "points", "entries", {"seqs": seqs}, EntryRow)

    async def purchases_named(self, org_id: int, purchases: set[int]) -> dict[int, NamedPurchase]:
        values = {"purchases": sorted(purchases)}
        rows = await self._rows(org_id, "points", "purchases_named", values, NamedPurchase)
        return {row.no: row for row in rows}

    async def promotions_of(self, org_id: int, events: list[int]) -> dict[int, list[PromotionRow]]:
        """What promotions gave, by the events' numbers."""
        found: dict[int, list[PromotionRow]] = {}
        for row in await self._rows(org_id, "points", "promotions_of_events", {"seqs": events}, PromotionRow):
            found.setdefault(row.seq, []).append(row)
        return found

    async def return_numbers(self, org_id: int, purchases: set[int]) -> dict[str, int]:
        """The numbers of the returns of purchases, by id."""
        rows = await self._rows(org_id, "points", "returns_named", {"purchases": sorted(purchases)}, _Named)
        return {row.id: row.no for row in rows}

    async def accounts(self, org_id: int, member: int) -> dict[int, AccountRow]:
        rows = await self._rows(org_id, "points", "accounts", {"member": member}, AccountRow)
        return {row.no: row for row in rows}

    async def lots_named(self, org_id: int, lots: set[int]) -> dict[int, LotRow]:
        rows = await self._rows(org_id, "points", "lots_named", {"lots": sorted(lots)}, LotRow)
        return {row.no: row for row in rows}

    async def balances_effective(
        self, org_id: int, accounts: list[int], at: datetime, known: int | None = None
    ) -> dict[int, int]:
        """Balances by account number of everything that counts before an instant, as known after a sequence number."""
        async with self._pool.connection() as connection:
            return await history.balances_at_effective(connection, org_id, accounts, at, known)

    async def balances_counting(
        self, org_id: int, member: int, accounts: list[int], at: datetime, now: datetime
    ) -> dict[int, int]:
        """Balances of a member's accounts of everything that counts before an instant, with what ended or was released
        before it, and by now, as if that were posted. Both from one snapshot, so that nothing is in neither or twice.
        """
        by = min(now, at - timedelta(microseconds=1))
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute("set transaction isolation level repeatable read, read only")
            balances = await history.balances_at_effective(connection, org_id, accounts, at)
            for row in await _read(
                connection, org_id, "members", "balances", {"member": member, "now": by, "until": by}, BalanceRow
            ):
                if row.no in balances:
                    balances[row.no] += row.released - row.overdue
        return balances

    async def place_at(self, org_id: int, at: datetime) -> int:
        """The last sequence number recorded before an instant, 0 if nothing was."""
        async with self._pool.connection() as connection:
            return await history.seq_at(connection, org_id, at)

    async def liability(
        self, org_id: int, timezones: dict[int, str], now: datetime, *, by_event: bool
    ) -> dict[int, reports.Liability]:
        """What programs owe their members, by program number; `timezones` names the programs and their months."""
        async with self._pool.connection() as connection:
            return await reports.liability(connection, org_id, timezones, now, by_event=by_event)

    async def balances_at(self, org_id: int, accounts: list[int], seq: int) -> dict[int, int]:
        """Balances by account number after everything up to a sequence number."""
        async with self._pool.connection() as connection:
            return await history.balances_at_seq(connection, org_id, accounts, seq)


class _Version(Struct):
    config_version: int


class _Number(Struct):
    no: int


class _ClaimedOf(Struct):
    list_id: str
    reward_id: str
    count: int


class _Total(Struct):
    total: int


class _Place(Struct):
    seq: int


class _Named(Struct):
    no: int
    id: str


_LISTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    noun: ("configuration", f"list_{noun}", {}) for noun in ("assets", "programs", "stores", "tills", "sources")
}


def _arrays(chosen: LedgerFilter) -> dict[str, Any]:
    """The filter's values by name, tuples as the lists that arrays are sent as."""
    values = msgspec.structs.asdict(chosen)
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


async def fetch(
    pool: AsyncConnectionPool[AsyncConnection[Any]],
    org_id: int,
    noun: str,
    name: str,
    values: dict[str, Any],
    type_: type[_Row],
) -> list[_Row]:
    """The rows of one statement, on a connection of its own."""
    async with pool.connection() as connection:
        return await _read(connection, org_id, noun, name, values, type_)


async def _read(
    connection: AsyncConnection[Any],
    org_id: int,
    noun: str,
    name: str,
    values: dict[str, Any],
    type_: type[_Row],
) -> list[_Row]:
    """One statement under an organisation's row level security, in one round trip."""
    async with connection.pipeline(), connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SET_ORG, (str(org_id) if org_id else "",))
        await cursor.execute(statements(noun)[name].encode(), {"org": org_id, **values})
        rows = await cursor.fetchall()
    return [msgspec.convert(row, type_, strict=False) for row in rows]
