"""A database in memory, as faithful as it needs to be.

It holds every row, hands out only those that keys name, keeps only what the real save writes, and refuses what the real
constraints refuse.

Its `steps` run under the writer's own `Batches`, so cutting a batch, looking ahead and asking again are the real thing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec

from guerdon.core import commands as c
from guerdon.core import state as core_state
from guerdon.core.accounts import GENERAL_LEDGER, Account, Ledger, Transfer
from guerdon.core.activity import Activity, deeds
from guerdon.core.chain import START, link
from guerdon.core.decide import decide
from guerdon.core.handouts import RUN as CODE_RUN
from guerdon.core.handouts import CodeRun
from guerdon.core.keys import keys, weight
from guerdon.core.lots import by_expiry, decode_moves
from guerdon.core.outcomes import Accepted, Outcome
from guerdon.core.pasts import cart_lines
from guerdon.core.persons import Person, profile_of
from guerdon.core.programs import Config, Planned, Policies
from guerdon.core.promises import by_release, is_due
from guerdon.core.promotions.past import Bought, Fact
from guerdon.core.promotions.shelf import Shelf
from guerdon.core.state import Key, State
from guerdon.core.tiers import Structure
from guerdon.store.rows import take_ended, take_reach, take_released
from guerdon.writer.batch import Batches, Steps
from guerdon.writer.queue import Waiting
from guerdon.writer.stats import Stats

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
GENERAL = Ledger(no=GENERAL_LEDGER, id="general_ledger_id", name="General Ledger", opened_at=EPOCH)
CONFIGURATION = (
    "assets", "programs", "program_versions", "followed", "low_pools", "stores", "tills", "sources", "promotions",
    "promotion_lanes", "tiers", "segments",
)  # fmt: skip

CHANGEABLE: dict[str, tuple[str, ...]] = {
    "ledgers": ("name",),
    "accounts": ("member_no", "program_no", "category", "role", "tracks_lots", "options"),
    "lots": (
        "account",
        "remaining",
        "redeemed",
        "returned",
        "expired",
        "held",
        "written_off",
        "expires_at",
        "releases_at",
        "promise",
    ),
    "holds": ("remaining", "released", "expires_at", "commits_at", "pins"),
    "scheduled": ("done",),
    "members": ("status", "enrolled", "survivor_no", "identifiers", "aliases"),
    "redemptions": ("reversed",),
    "referrals": ("taken_back",),
    "reward_lists": ("version", "terms"),
    "rewards": ("version", "supply", "claimed", "given", "terms"),
    "claims": ("status", "moved_at", "reason"),
    "api_keys": ("expires_at", "revoked_at"),
    "webhooks": (
        "url",
        "description",
        "filters",
        "status",
        "reason",
        "generation",
        "old_until",
        "replays",
        "start_seq",
        "active_since",
    ),
    "reservations": ("status",),
    "code_batches": ("wanted", "made", "next_index"),
}
"""What saving writes of a row that was there before; rows of other record tables never change."""

UNIQUE: dict[str, tuple[Callable[[Any], object], ...]] = {
    "accounts": (lambda r: r.id, lambda r: (r.indicator, r.asset) if r.indicator else None),
    "events": (lambda r: r.id,),
    "transfers": (
        lambda r: r.id,
        lambda r: r.reference,
        lambda r: (r.source, r.source_version) if r.source_version else None,
        lambda r: (r.destination, r.destination_version) if r.destination_version else None,
    ),
    "members": (lambda r: r.id,),
    "purchases": (lambda r: r.id, lambda r: r.number),
    "returns": (lambda r: r.id, lambda r: r.number),
    "redemptions": (lambda r: r.no, lambda r: r.reference or None),
    "referrals": (lambda r: r.referred_no,),
    "programs": (lambda r: r.id, lambda r: r.code),
    "stores": (lambda r: r.id, lambda r: r.code),
    "tills": (lambda r: r.id, lambda r: r.code),
}

IMMUTABLE = (
    "events", "transfers", "purchases", "returns", "imported", "adjustments", "decisions", "outcomes", "assets",
    "stores", "tills", "sources", "catalogue", "promotion_uses", "promotion_commits", "codes", "code_links",
    "issues", "issue_moves", "cart_returns",
)  # fmt: skip


class Refused(BaseException):
    """The database would not have taken this row. No `Exception`, so that the writer does not try its halves."""


class MemoryStore:
    """The rows of one organisation, by table and key."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[Any, Any]] = {"ledgers": {GENERAL.no: GENERAL}}
        self.versions: dict[tuple[str, str], list[tuple[int, str]]] = {}
        self.policies: dict[int, list[tuple[datetime, Policies]]] = {}
        self.made: dict[int, list[datetime]] = {}
        self.counters: dict[str, int] = {"ledger": GENERAL_LEDGER}
        self.last_recorded_at = EPOCH
        self.last_hash = START
        self.config_version = 0
        self._unique: dict[tuple[str, int], dict[object, Any]] = {}

    def rows(self, table: str) -> dict[Any, Any]:
        return self.tables.setdefault(table, {})

    # -- what the writer asks of a store

    @property
    def steps(self) -> Steps:
        return Steps(
            load=self.load,
            decide=decide,
            streaming=lambda connection: self.connection(),
            append=self.append,
            save=self.save,
            committed=self._committed,
            more=self.more,
        )

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[MemoryStore]:
        yield self

    async def check(self) -> None:
        pass

    async def execute(self, statement: str) -> None:
        """What the writer tells a connection about plans is nothing to us."""

    async def _committed(self, connection: Any, org_id: int, transaction: str) -> bool:
        raise AssertionError("no commit is ever in doubt here")

    async def load(self, connection: Any, org_id: int, asked: Iterable[Key], *, now: datetime, memory: Any) -> State:
        """The slice that the keys name, and nothing else (`store/load.py` is what this repeats)."""
        return _Slice(self, now).read(set(asked))

    async def more(self, connection: Any, org_id: int, state: State, asked: Iterable[Key], now: datetime) -> None:
        """What else keys name, into a slice that nothing has changed yet."""
        assert not state.mark(), "rows would be as they were before"
        _Slice(self, now, state).read(set(asked) - state.asked)

    async def append(self, connection: Any, org_id: int, state: State) -> None:
        """Take events and transfers, which are final as soon as their command is decided."""
        for record in state.appended():
            self._write("transfers" if isinstance(record, Transfer) else "events", record.seq, True, record)
            self.last_hash = link(self.last_hash, record)

    async def save(self, connection: Any, org_id: int, state: State) -> None:
        """Take what changed (`store/save.py`)."""
        if not state.mark():
            return
        await self.append(connection, org_id, state)
        changes = state.changes()
        for name, rows in changes.items():
            if name in ("metadata", "removed_members"):
                continue
            for key, (new, value) in rows.items():
                self._write(name, key, new, value)
        for (kind, object_), (version, meta), _, _ in state.history("metadata"):
            known = self.versions.setdefault((kind, object_), [])
            if any(version == earlier for earlier, _ in known):
                raise Refused(f"metadata of {kind} {object_} has a version {version} already")
            known.append((version, meta))
        for (no, _), plan, at, _ in state.history("program_versions"):
            self.policies.setdefault(no, []).append((plan.starts_at, plan.policies))
            self.made.setdefault(no, []).append(at)
        for id_, terms, _, _ in state.history("promotions"):
            self.rows("promotion_versions")[id_, terms.version] = terms
        for no in changes.get("removed_members", {}):
            self.rows("members").pop(no)
        self._identifiers()
        self.counters = dict(state.counters)
        self.last_recorded_at = state.last_recorded_at
        self.config_version += any(name in changes for name in CONFIGURATION)

    def _write(self, name: str, key: Any, new: bool, value: Any) -> None:
        rows = self.rows(name)
        before = rows.get(key)
        loaded_blindly = name in CONFIGURATION or name in ("profiles", "outcomes", "sent", "walks", "segment_entries")
        if not loaded_blindly and new != (before is None):
            raise Refused(f"{name} {key} is {'there already' if new else 'not there'}")
        if before is not None and name in CHANGEABLE:
            fields = {field: getattr(value, field) for field in CHANGEABLE[name]}
            value = msgspec.structs.replace(before, **fields)
        elif before is not None and name in IMMUTABLE and before != value:
            raise Refused(f"{name} {key} cannot change")
        for index, unique in enumerate(UNIQUE.get(name, ())):
            part = unique(value)
            if part is not None and self._unique.setdefault((name, index), {}).setdefault(part, key) != key:
                raise Refused(f"{name}: {part} is taken")
        _check(name, value)
        rows[key] = value

    def _identifiers(self) -> None:
        seen: dict[tuple[str, str], int] = {}
        for member in self.rows("members").values():
            known = (*member.identifiers, *member.aliases)
            for identifier in known:
                if seen.setdefault(identifier, member.no) != member.no:
                    raise Refused(f"identifier {identifier} is taken")
            if len(set(known)) < len(known):
                raise Refused(f"identifiers {member.identifiers} are not unique")

    def config(self) -> Config:
        return Config(
            version=self.config_version,
            assets=dict(self.rows("assets")),
            programs=dict(self.rows("programs")),
            since={
                no: tuple(min(at for at, _ in versions[i:]) for i in range(len(versions)))
                for no, versions in self.policies.items()
            },
            stores=dict(self.rows("stores")),
            tills=dict(self.rows("tills")),
            sources=frozenset(self.rows("sources")),
            **self._follows(),
            low_pools=frozenset(no for no, low in self.rows("low_pools").items() if low),
            promotions=Shelf(dict(self.rows("promotions")), dict(self.rows("promotion_lanes"))),
            tiers=self._tiers(),
            segments=dict(self.rows("segments")),
        )

    def _tiers(self) -> dict[int, tuple[Structure, ...]]:
        found: dict[int, tuple[Structure, ...]] = {}
        for (program_no, _), structure in sorted(self.rows("tiers").items()):
            found[program_no] = (*found.get(program_no, ()), structure)
        return found

    def _follows(self) -> dict[str, Any]:
        """What of a configuration follows from all versions of its programs."""
        done, programs = self.rows("followed"), self.rows("programs")
        found: dict[str, Any] = {"renewing": frozenset(), "follows": {}, "following": {}, "planned": {}}
        for no, versions in self.policies.items():
            made = self.made[no]
            if any(policies.expiry.renews for _, policies in versions):
                found["renewing"] |= {no}
            plans = [
                Planned(version=i + 1, starts_at=at, policies=policies)
                for i, (at, policies) in enumerate(versions)
                if not any(versions[j][0] <= at and made[j] < at for j in range(i + 1, len(versions)))
            ]
            planned = tuple(plan for plan in plans if plan.version > programs[no].version)
            follows = [plan.version for plan in plans if plan.policies.follow and plan not in planned]
            following = tuple(version for version in follows if version > done.get(no, 0))
            found["planned"] |= {no: planned} if planned else {}
            found["follows"] |= {no: follows[-1]} if follows else {}
            found["following"] |= {no: following} if following else {}
        return found


def _check(name: str, row: Any) -> None:
    """The CHECK constraints of schema.sql."""
    if name == "figures":
        sums = (row.credit, row.debit, row.inflight_credit, row.inflight_debit)
        good = min(sums) >= 0 and max(sums) < 10**38 and (row.floor is None or row.available >= row.floor)
    elif name == "lots":
        parts = (row.remaining, row.redeemed, row.returned, row.expired)
        good = min(parts) >= 0 and sum(parts) == row.amount > 0 and 0 <= row.held <= row.remaining
        good = good and row.written_off >= 0
    elif name == "transfers":
        good = 0 < row.amount < 10**38 and row.source != row.destination
    elif name == "holds":
        good = row.remaining >= 0
    elif name == "rewards":
        good = row.claimed >= 0 and (row.supply is None or row.claimed <= row.supply)
    elif name == "claims":
        good = row.points >= 0
    elif name == "redemptions":
        good = 0 <= row.reversed <= row.points
    else:
        good = True
    if not good:
        raise Refused(f"{name}: {row}")


def activity_of(rows: Callable[[str], dict[Any, Any]], member_no: int) -> Activity:
    """All that a member bought and took back, with what those did who were merged into it."""
    member = rows("members")[member_no]
    done = [
        deed
        for purchase in rows("purchases").values()
        if purchase.member_no == member_no
        for deed in deeds(purchase, [r for r in rows("returns").values() if r.purchase_no == purchase.no])
    ]
    found = Activity(joined=((member.registered_at, member.registered_at),), deeds=tuple(done))
    for other in rows("members").values():
        if other.survivor_no == member_no:
            merges = [e for e in rows("events").values() if e.member_no == other.no and e.name == "CustomerMerge"]
            found = found.join(activity_of(rows, other.no), max(merge.recorded_at for merge in merges))
    return found


class _Slice:
    """One load: keys in, a state with their rows out."""

    def __init__(self, store: MemoryStore, now: datetime, state: State | None = None) -> None:
        self.store = store
        self.now = max(now, store.last_recorded_at)
        fresh = State(store.config(), dict(store.counters), store.last_recorded_at, store.last_hash)
        self.state = fresh if state is None else state

    def read(self, asked: set[Key]) -> State:
        state = self.state
        for key in asked:
            getattr(self, f"_{key[0]}")(key)
        for lot in state.lots.values():
            state.know_lot(lot)
        state.mark_loaded(asked)
        return state

    # -- rows

    def _take_account(self, account: Account, lots_asked: int) -> None:
        state = self.state
        state.accounts[account.no] = account
        state.figures[account.no] = self.store.rows("figures")[account.no]
        if not account.tracks_lots:
            return
        self._take_lots(account.no, lots_asked)

    def _take_lots(self, account_no: int, lots_asked: int | None) -> None:
        state = self.state
        lots = [lot for lot in self.store.rows("lots").values() if lot.account == account_no and lot.remaining]
        ended = [lot for lot in lots if lot.expires_at is not None and lot.expires_at <= self.now]
        released = sorted([lot for lot in lots if is_due(lot, self.now)], key=by_release)
        first = sorted([lot for lot in lots if lot not in ended], key=by_expiry)
        if lots_asked is not None:
            first = first[:lots_asked]
            ended = sorted(ended, key=by_expiry)[: core_state.DUE_LOTS]
            take_ended(state, account_no, ended, core_state.DUE_LOTS)
            released = released[: core_state.DUE_LOTS]
            take_released(state, account_no, released, core_state.DUE_LOTS)
        state.lots.update({lot.no: lot for lot in (*ended, *released, *first)})
        if lots_asked is None:
            state.found["lots", account_no] = state.found["due", account_no] = True
        elif lots_asked:
            take_reach(state, account_no, first, lots_asked)

    def _accounts_where(self, test: Callable[[Account], bool], lots_asked: int = 0) -> list[Account]:
        accounts = [account for account in self.store.rows("accounts").values() if test(account)]
        for account in accounts:
            self._take_account(account, lots_asked)
        return accounts

    def _take_member(self, member: Any, lots_asked: int) -> None:
        state = self.state
        state.members[member.no] = member
        accounts = state.member_accounts.setdefault(member.no, {})
        for account in self._accounts_where(lambda account: account.member_no == member.no, lots_asked):
            if account.program_no:
                accounts[account.program_no, account.category] = account.no

    def _take_event(self, seq: int, whole: bool) -> None:
        event = self.store.rows("events").get(seq)
        if event is None:
            return
        state = self.state
        state.events[seq] = event
        for move in decode_moves(event.lot_moves):
            state.lots[move.lot] = self.store.rows("lots")[move.lot]
        if whole:
            sides: set[int] = set()
            for i in range(1, event.transfers + 1):
                transfer = state.transfers[seq + i] = self.store.rows("transfers")[seq + i]
                sides |= {transfer.source, transfer.destination}
            self._accounts_where(lambda account: account.no in sides, core_state.FIRST_LOTS)
            state.found["event", seq] = seq

    def _follow(self, event_seq: int, member_no: int) -> None:
        self._take_event(event_seq, whole=True)
        if member_no:
            member = self.store.rows("members")[member_no]
            self._take_member(member, core_state.FIRST_LOTS)
            self.state.found["member", "number", str(member_no)] = member_no

    # -- kinds of keys

    def _account(self, key: Key) -> None:
        for account in self._accounts_where(lambda account: account.id == key[1]):
            self.state.found[key] = account.no

    def _internal(self, key: Key) -> None:
        for account in self._accounts_where(lambda account: (account.indicator, account.asset) == key[1:]):
            self.state.found[key] = account.no

    def _account_no(self, key: Key) -> None:
        for account in self._accounts_where(lambda account: account.no == key[1]):
            self.state.found[key] = account.no

    def _programs(self, key: Key) -> None:
        for account in self._accounts_where(lambda account: account.role != ""):
            self.state.program_accounts[account.program_no, account.role] = account.no
        self.state.found[key] = True

    def _policies(self, key: Key) -> None:
        self.state.found[key] = self.store.policies[key[1]][key[2] - 1][1]

    def _lots(self, key: Key) -> None:
        self._take_lots(key[1], key[2] if len(key) == 3 else None)

    def _standing(self, key: Key) -> None:
        member = self._named(key)
        if member is None or not self.store.rows("tiers"):
            return
        self.state.found["standing", member.no] = True
        for place, standing in self.store.rows("standings").items():
            if place[0] == member.no:
                self.state.standings[place] = standing

    def _person(self, key: Key) -> None:
        entries = self.store.rows("segment_entries")
        self.state.persons[key[1]] = Person(
            profile=profile_of(self.store.rows("profiles").get(key[1])),
            lists={segment: entry for (segment, no), entry in entries.items() if no == key[1]},
        )

    def _forebears(self, key: Key) -> None:
        members = self.store.rows("members")
        nos = sorted(self._merged_into(key[1]) - {key[1]})
        self.state.found[key] = tuple((no, members[no].id) for no in nos)

    def _activity(self, key: Key) -> None:
        self.state.activity[key[1]] = activity_of(self.store.rows, key[1])

    def _due(self, key: Key) -> None:
        lots = [lot for lot in self.store.rows("lots").values() if lot.account == key[1] and lot.remaining]
        ended = [lot for lot in lots if lot.expires_at is not None and lot.expires_at <= self.now]
        size = key[2] if len(key) == 3 else None
        ended = sorted(ended, key=by_expiry)[:size]
        self.state.lots.update({lot.no: lot for lot in ended})
        take_ended(self.state, key[1], ended, size)

    def _released(self, key: Key) -> None:
        lots = [lot for lot in self.store.rows("lots").values() if lot.account == key[1]]
        size = key[2] if len(key) == 3 else None
        released = sorted([lot for lot in lots if is_due(lot, self.now)], key=by_release)[:size]
        self.state.lots.update({lot.no: lot for lot in released})
        take_released(self.state, key[1], released, size)

    def _counter(self, key: Key) -> None:
        counter = self.store.rows("promotion_counters").get(key)
        if counter is not None:
            self.state.promotion_counters[key] = counter

    def _reservation(self, key: Key) -> None:
        reservation = self.store.rows("reservations").get(key[1])
        if reservation is not None:
            self.state.reservations[key[1]] = reservation
            self.state.found[key] = key[1]

    def _reservation_cart(self, key: Key) -> None:
        for reservation in self.store.rows("reservations").values():
            if reservation.cart == key[1] and reservation.status == "open":
                self.state.reservations[reservation.id] = reservation
                self.state.found[key] = reservation.id

    def _cart_commit(self, key: Key) -> None:
        for commit in self.store.rows("promotion_commits").values():
            if commit.number == key[1]:
                self.state.promotion_commits[commit.id] = commit
                self.state.found[key] = commit.id

    def _commit(self, key: Key) -> None:
        for commit in self.store.rows("promotion_commits").values():
            if key[2] == getattr(commit, key[1]):
                self.state.promotion_commits[commit.id] = commit
                for found in (("commit", "id", commit.id), ("commit", "number", commit.number)):
                    self.state.found[found] = commit.id
                uses = {at: use for at, use in self.store.rows("promotion_uses").items() if at[0] == commit.event_seq}
                self.state.promotion_uses.update(uses)
                self.state.found["uses_by", commit.event_seq] = tuple(sorted(uses))
                returns = [r for r in self.store.rows("cart_returns").values() if r.commit_id == commit.id]
                self.state.cart_returns.update({r.id: r for r in returns})
                returned = tuple(r.id for r in sorted(returns, key=lambda r: r.event_seq))
                self.state.found["cart_returns_of", commit.id] = returned
                self._follow(commit.event_seq, commit.member_no)

    def _cart_return(self, key: Key) -> None:
        for returned in self.store.rows("cart_returns").values():
            if returned.number == key[1]:
                self.state.cart_returns[returned.id] = returned
                self.state.found[key] = returned.id

    def _uses_of(self, key: Key) -> None:
        uses = {place: use for place, use in self.store.rows("promotion_uses").items() if use.purchase_no == key[1]}
        self.state.promotion_uses.update(uses)
        self.state.found[key] = tuple(sorted(uses))

    def _promotion_version(self, key: Key) -> None:
        self.state.found[key] = self.store.rows("promotion_versions")[key[1], key[2]]

    def _code_batch(self, key: Key) -> None:
        batch = self.store.rows("code_batches").get(key[1])
        if batch is not None:
            self.state.code_batches[batch.id] = batch
            self.state.found[key] = batch.id
            self._switch(batch.id, "")

    def _code(self, key: Key) -> None:
        code = self.store.rows("codes").get(key[1])
        if code is not None:
            self._code_batch(("code_batch", code.batch))
            self.state.codes[code.code] = code
            self.state.found[key] = code.code
            self._switch(code.batch, code.code)
            link = self.store.rows("code_links").get(code.code)
            if link is not None:
                self.state.code_links[code.code] = link
                self._follow(0, link.member_no)

    def _switch(self, batch: str, code: str) -> None:
        switch = self.store.rows("code_switches").get((batch, code))
        if switch is not None:
            self.state.code_switches[batch, code] = switch

    def _code_run(self, key: Key) -> None:
        _, batch, after = key
        self._code_batch(("code_batch", batch))
        taken = {use.code for use in self.store.rows("promotion_uses").values()} | {*self.store.rows("code_links")}
        switches = self.store.rows("code_switches")
        free = [
            code
            for code in self.store.rows("codes").values()
            if code.batch == batch and code.no > after and code.code not in taken
            and ((batch, code.code) not in switches or switches[batch, code.code].active)
        ]  # fmt: skip
        free = sorted(free, key=lambda code: code.no)[:CODE_RUN]
        whole = len(free) < CODE_RUN
        self.state.codes.update((code.code, code) for code in free)
        run = CodeRun(
            tuple(code.code for code in free), self.state.code_batches[batch].made if whole else free[-1].no, whole
        )
        self.state.found["code_run", batch] = run

    def _code_uses(self, key: Key) -> None:
        for place, use in self.store.rows("promotion_uses").items():
            if use.code == key[1]:
                self.state.promotion_uses[place] = use
        self.state.found[key] = True

    def _codes_of(self, key: Key) -> None:
        member = self._named(key)
        if member is None:
            return
        family = self._family(member.no)
        links = [tied for tied in self.store.rows("code_links").values() if tied.member_no in family]
        links.sort(key=lambda tied: tied.code)
        links.sort(key=lambda tied: tied.linked_at, reverse=True)
        for tied in links:
            self._code(("code", tied.code))
        self.state.found["codes_of", member.no] = tuple(tied.code for tied in links)

    def _past(self, key: Key) -> None:
        bought = [p for p in self.store.rows("purchases").values() if p.member_no in self._family(key[1])]
        nos = {p.no: p.currency for p in bought}
        back = [r for r in self.store.rows("returns").values() if r.purchase_no in nos]
        self.state.found[key] = (
            *(Fact(p.event_at, p.paid, p.currency) for p in bought),
            *(Fact(r.event_at, -r.paid, nos[r.purchase_no], purchase=False) for r in back),
        )

    def _past_lines(self, key: Key) -> None:
        bought = [p for p in self.store.rows("purchases").values() if p.member_no in self._family(key[1])]
        self.state.found[key] = tuple(Bought(p.event_at, cart_lines(p.lines)) for p in bought)

    def _issue(self, key: Key) -> None:
        issue = self.store.rows("issues").get(key[1])
        if issue is not None:
            self._take_issue(issue)
            self._follow(0, issue.member_no)

    def _take_issue(self, issue: Any) -> None:
        self.state.issues[issue.id] = issue
        self.state.found["issue", issue.id] = issue.id
        moves = self.store.rows("issue_moves")
        self.state.issue_moves.update({key: move for key, move in moves.items() if key[0] == issue.id})

    def _issues_of(self, key: Key) -> None:
        member = self._named(key)
        if member is None:
            return
        family = self._family(member.no)
        promotions = self.store.rows("promotions")
        found = [
            issue
            for issue in self.store.rows("issues").values()
            if issue.member_no in family and promotions[issue.promotion].status != "ended"
        ]
        found.sort(key=lambda issue: (issue.issued_at, issue.id))
        for issue in found:
            self._take_issue(issue)
        self.state.found["issues_of", member.no] = tuple(issue.id for issue in found)

    def _family(self, no: int) -> set[int]:
        family = {no}
        while more := {m.no for m in self.store.rows("members").values() if m.survivor_no in family} - family:
            family |= more
        return family

    def _ledger(self, key: Key) -> None:
        for ledger in self.store.rows("ledgers").values():
            if ledger.id == key[1]:
                self.state.ledgers[ledger.no] = ledger
                self.state.found[key] = ledger.no

    def _member(self, key: Key) -> None:
        self._find_member(key, lots_asked=0)

    def _spend(self, key: Key) -> None:
        self._find_member(key, lots_asked=core_state.FIRST_LOTS)

    def _find_member(self, key: Key, lots_asked: int) -> None:
        by, value = key[1:]
        self.state.asked.add(("member", by, value))
        for member in self.store.rows("members").values():
            if (by, value) in (("id", member.id), ("number", str(member.no)), *member.identifiers, *member.aliases):
                self._take_member(member, lots_asked)
                self.state.found["member", by, value] = member.no

    def _named(self, key: Key) -> Any:
        """The member that a key names by its number alone, or as callers do."""
        by, value = key[1:] if len(key) == 3 else ("number", str(key[1]))
        for member in self.store.rows("members").values():
            if (by, value) in (("id", member.id), ("number", str(member.no)), *member.identifiers, *member.aliases):
                return member
        return None

    def _sent(self, key: Key) -> None:
        member = self._named(key)
        if member is not None:
            family = self._merged_into(member.no)
            self.state.found["sent", member.no] = tuple(sorted(family))
            for (member_no, *rest), sent in self.store.rows("sent").items():
                if member_no in family:
                    self.state.sent[member_no, rest[0], rest[1]] = sent

    def _referral_of(self, key: Key) -> None:
        member = self._named(key)
        if member is not None:
            family = self._merged_into(member.no)
            known = [each for each in self.store.rows("referrals").values() if each.referred_no in family]
            self.state.referrals.update({each.id: each for each in known})
            self.state.found["referral_of", member.no] = min([each.id for each in known], default=None)

    def _referral(self, key: Key) -> None:
        referral = self.store.rows("referrals").get(key[1])
        if referral is not None:
            self.state.referrals[referral.id] = referral
            self._follow(referral.referrer_event, referral.referrer_no)
            self._follow(referral.referred_event, referral.referred_no)
            self.state.found[key] = referral.id

    def _adjustment(self, key: Key) -> None:
        adjustment = self.store.rows("adjustments").get(key[1])
        if adjustment is not None:
            self.state.adjustments[adjustment.id] = adjustment
            if adjustment.id in self.store.rows("decisions"):
                self.state.decisions[adjustment.id] = self.store.rows("decisions")[adjustment.id]
            self._follow(0, adjustment.member_no)
            self.state.found[key] = adjustment.id

    def _reward_list(self, key: Key) -> None:
        listed = self.store.rows("reward_lists").get(key[1])
        if listed is not None:
            self.state.reward_lists[listed.id] = listed
            self.state.found["reward_list", listed.id] = listed.id

    def _reward(self, key: Key) -> None:
        reward = self.store.rows("rewards").get(key[1])
        if reward is not None:
            self.state.rewards[reward.id] = reward
            self.state.reward_lists[reward.list_id] = self.store.rows("reward_lists")[reward.list_id]
            self.state.found["reward", reward.id] = reward.id
            if reward.terms.codes:
                self._code_run(("code_run", reward.terms.codes, reward.given))

    def _claim(self, key: Key) -> None:
        claim = self.store.rows("claims").get(key[1])
        if claim is not None:
            self.state.claims[claim.id] = claim
            self.state.rewards[claim.reward_id] = self.store.rows("rewards")[claim.reward_id]
            self._follow(claim.event_seq, claim.member_no)
            self.state.found["claim", claim.id] = claim.id

    def _claimed(self, key: Key) -> None:
        member = self._named(key)
        if member is not None:
            self.state.found["claimed", member.no] = True
            counts: dict[tuple[int, str], int] = {}
            family = self._merged_into(member.no)
            for claim in self.store.rows("claims").values():
                if claim.member_no in family and claim.status not in ("denied", "cancelled"):
                    for of in (claim.list_id, claim.reward_id):
                        counts[member.no, of] = counts.get((member.no, of), 0) + 1
            self.state.claimed.update(counts)

    def _heir(self, key: Key) -> None:
        member = self.store.rows("members")[key[1]]
        while member.survivor_no:
            self._follow(0, member.no)
            self._follow(0, member.survivor_no)
            self.state.found["heir", member.no] = member.survivor_no
            member = self.store.rows("members")[member.survivor_no]

    def _lifetime(self, key: Key) -> None:
        accounts, events = self.store.rows("accounts"), self.store.rows("events")
        holder = accounts[key[1]]
        family = {
            account.no
            for account in accounts.values()
            if (account.program_no, account.category) == (holder.program_no, holder.category)
            and account.tracks_lots
            and account.member_no in self._merged_into(holder.member_no)
        }
        earned = 0
        for transfer in self.store.rows("transfers").values():
            merged = transfer.event_seq and events[transfer.event_seq].name == "CustomerMerge"
            if transfer.action in ("apply", "settle") and not merged:
                if transfer.destination in family and accounts[transfer.source].role != "reversed":
                    earned += transfer.amount
                if transfer.source in family and accounts[transfer.destination].role in ("returned", "adjusted"):
                    earned -= transfer.amount
        self.state.lifetimes[key[1]] = earned

    def _merged_into(self, member_no: int) -> set[int]:
        """A member, and who was merged into it, and into those."""
        members = self.store.rows("members")
        return {member_no}.union(*[self._merged_into(no) for no in members if members[no].survivor_no == member_no])

    def _transfer(self, key: Key) -> None:
        state = self.state
        named = [t for t in self.store.rows("transfers").values() if key[1] in (t.id, t.request_id, t.parent)]
        for transfer in named:
            seq = transfer.seq
            state.transfers[seq] = transfer
            for name, table in (("holds", state.holds), ("scheduled", state.scheduled)):
                if seq in self.store.rows(name):
                    table[seq] = self.store.rows(name)[seq]
            sides = {transfer.source, transfer.destination}
            self._accounts_where(lambda account, sides=sides: account.no in sides, core_state.FIRST_LOTS)  # type: ignore[misc]
            if transfer.event_seq:
                self._take_event(transfer.event_seq, whole=False)
        if named:
            state.found[key] = tuple(sorted(transfer.seq for transfer in named))

    def _reference(self, key: Key) -> None:
        for transfer in self.store.rows("transfers").values():
            if key[1] in (transfer.reference, transfer.request_reference):
                self.state.found.setdefault(key, transfer.seq)

    def _outcome(self, key: Key) -> None:
        stored = self.store.rows("outcomes").get(key[1:])
        if stored is not None:
            self.state.found[key] = stored[:2]

    def _event(self, key: Key) -> None:
        self._take_event(key[1], whole=True)

    def _purchase(self, key: Key) -> None:
        by, value = key[1:]
        for purchase in self.store.rows("purchases").values():
            if value == {"id": purchase.id, "number": purchase.number, "no": str(purchase.no)}.get(by):
                self._take_purchase(purchase)
                self._follow(purchase.event_seq, purchase.member_no)
                billed = [lot for lot in self.store.rows("lots").values() if lot.purchase_no == purchase.no]
                self.state.lots.update({lot.no: lot for lot in billed})
                if purchase.redemption_id is not None:
                    self._take_event(self.state.redemptions[purchase.redemption_id].event_seq, whole=True)
                self._purchase_return_of(("purchase_return_of", purchase.no))
                self.state.found[key] = purchase.no

    def _take_purchase(self, purchase: Any) -> None:
        self.state.purchases[purchase.no] = purchase
        if purchase.redemption_id is not None:
            self.state.redemptions[purchase.redemption_id] = self.store.rows("redemptions")[purchase.redemption_id]

    def _purchase_number(self, key: Key) -> None:
        for purchase in self.store.rows("purchases").values():
            if purchase.number == key[1]:
                self._take_purchase(purchase)
                self.state.found[key] = purchase.no

    def _purchase_return_of(self, key: Key) -> None:
        made = [r for r in self.store.rows("returns").values() if r.purchase_no == key[1]]
        self.state.returns.update({r.no: r for r in made})
        self.state.found[key] = tuple(r.no for r in made)

    def _return(self, key: Key) -> None:
        for returned in self.store.rows("returns").values():
            if returned.number == key[1]:
                self.state.returns[returned.no] = returned
                self.state.found[key] = returned.no

    def _redemption(self, key: Key) -> None:
        redemption = self.store.rows("redemptions").get(key[1])
        if redemption is not None:
            self.state.redemptions[redemption.id] = redemption
            self._follow(redemption.event_seq, redemption.member_no)
            self.state.found[key] = redemption.id

    def _redemption_reference(self, key: Key) -> None:
        for redemption in self.store.rows("redemptions").values():
            if redemption.reference == key[1]:
                self.state.redemptions[redemption.id] = redemption
                self.state.found[key] = redemption.id

    def _imported(self, key: Key) -> None:
        row = self.store.rows("imported").get(key[1:])
        if row is not None:
            self.state.found[key] = row

    def _event_id(self, key: Key) -> None:
        for event in self.store.rows("events").values():
            if event.id == key[1]:
                self.state.found[key] = event.seq

    def _metadata(self, key: Key) -> None:
        versions = self.store.versions.get((key[1], key[2]))
        if versions:
            latest = max(versions)
            self.state.metadata[key[1], key[2]] = latest
            self.state.found[key] = latest

    def _key(self, key: Key) -> None:
        stored = self.store.rows("api_keys").get(key[1])
        if stored is not None:
            self.state.api_keys[key[1]] = stored
            self.state.found[key] = key[1]

    def _webhook(self, key: Key) -> None:
        stored = self.store.rows("webhooks").get(key[1])
        if stored is not None:
            self.state.webhooks[key[1]] = stored
            self.state.found[key] = key[1]


# -- running commands ----------------------------------------------------------------------------------------


class Limits:
    """Settings of the writer, as far as a batch reads them."""

    batch_weight_max = queue_weight_max = 10**9
    writer_connections = 1
    retry_total_s = 1.0


def run(store: MemoryStore, commands: Sequence[c.Command], sizes: Iterable[int]) -> list[Outcome]:
    """The outcomes of commands that arrive in groups of these sizes (the last one takes what is left).

    What a batch gives back goes to the front of the next one, as in the writer's queue. A batch that the store refuses,
    or a command that cannot be decided, is an error here.
    """
    return asyncio.run(_run(store, commands, sizes))


async def _run(store: MemoryStore, commands: Sequence[c.Command], sizes: Iterable[int]) -> list[Outcome]:
    stats = Stats()
    batches = Batches(store, Limits(), stats, store.steps, lambda org_id: None)  # type: ignore[arg-type]
    loop = asyncio.get_running_loop()
    waiting = [Waiting(command, keys(command), weight(command), loop.create_future()) for command in commands]
    left: list[Waiting] = []
    rest = list(waiting)
    for size in sizes:
        batch, rest = left + rest[:size], rest[size:]
        left = await batches.run(1, batch) if batch else []
    left += rest
    while left:
        left = await batches.run(1, left)
    outcomes = await asyncio.gather(*(each.future for each in waiting))
    assert stats.splits == stats.faults == 0, stats
    return outcomes


def one_by_one(store: MemoryStore, commands: Sequence[c.Command]) -> list[Outcome]:
    return run(store, commands, [1] * len(commands))


def result(outcome: Outcome) -> Any:
    """The result of a command that must have been accepted."""
    assert isinstance(outcome, Accepted), outcome
    return outcome.result
