"""Begin a batch: lock the organisation, then read all that the batch's commands touch.

Promises: the lock is a statement before the reads, so that under READ COMMITTED they see what the last batch committed;
lock and reads take one round trip. What can only be named by a row just read (the lots of a purchase's event, say), or
a configuration that has changed, takes a second one under the same lock. Whoever calls ends the transaction, by
`save.save` or a rollback.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection, AsyncCursor

from guerdon.core.assets import Asset
from guerdon.core.programs import Config, Store, Till
from guerdon.core.purchases import Purchase
from guerdon.core.redemptions import Redemption
from guerdon.core.state import Key, State
from guerdon.store import rows
from guerdon.store.arrays import array
from guerdon.store.statements import statements

ConfigCache = dict[int, Config]
"""The configuration of each organisation, as this process last read it."""

COUNTERS = ("seq", "ledger", "account", "lot", "member", "purchase", "return", "redemption", "config")
"""The counters of a state, in the order of the head's columns."""

_SQL = statements("load")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
_NO = re.compile(r"[1-9][0-9]{0,17}").fullmatch
_MEMBER_BY = frozenset({"id", "number"})

_Keys = list[Key]


class OrganisationNotFound(LookupError):
    """There is no such organisation."""


async def load(
    connection: AsyncConnection[Any], org_id: int, keys: Iterable[Key], now: datetime, configs: ConfigCache
) -> State:
    """Begin a transaction, lock the organisation and read what `keys` name; `core.keys` says what each brings."""
    asked = set(keys)
    by_kind: dict[str, _Keys] = defaultdict(list)
    for key in asked:
        by_kind[key[0]].append(key)
    batch = _Batch(connection, org_id, now)
    async with connection.pipeline():
        await batch.run("enter")
        head = await batch.run("lock_head")
        takers = [await _KINDS[kind](batch, same) for kind, same in by_kind.items()]
    version, state = _open(org_id, await head.fetchone(), configs.get(org_id))
    for take in takers:
        await take(state)
    stale = state.config.version != version
    if stale or batch.follows():
        async with connection.pipeline():
            takers = await _ask_more(batch)
            if stale:
                takers.append(await _ask_config(batch, version, configs))
        for take in takers:
            await take(state)
    lots_of: dict[int, list[int]] = defaultdict(list)
    for lot in state.lots.values():
        lots_of[lot.account].append(lot.no)
    for account_no, nos in lots_of.items():
        state.account_lots[account_no] = tuple(nos)
    state.mark_loaded(asked)
    return state


class _Batch:
    """The statements of one batch, and what the rows so far say must be read next."""

    def __init__(self, connection: AsyncConnection[Any], org_id: int, now: datetime) -> None:
        self._connection = connection
        self.org_id = org_id
        self._always = {"org": str(org_id), "now": now.isoformat()}
        self.transfers: set[int] = set()
        self.accounts: set[int] = set()
        self.events: set[int] = set()
        self.whole_events: set[int] = set()
        self.members: set[int] = set()
        self.purchases: set[int] = set()

    def follows(self) -> bool:
        """Whether anything must be read next."""
        return bool(self.transfers or self.whole_events or self.members or self.purchases)

    async def run(self, statement: str, /, **arrays: str) -> AsyncCursor[Any]:
        """Send a statement; its rows are there after the next sync."""
        return await self._connection.execute(_SQL[statement], {**self._always, **arrays}, prepare=True)


def _open(org_id: int, head: rows.Row | None, config: Config | None) -> tuple[int, State]:
    """The version that the configuration should have, and an empty state with the one that we have."""
    if head is None:
        raise OrganisationNotFound(org_id)
    transaction, version, last_recorded_at, last_hash, *numbers = head
    counters = dict(zip(COUNTERS, numbers, strict=True))
    state = State(config or Config(version=-1), counters, last_recorded_at, last_hash)
    state.transaction = transaction
    return version, state


# -- the kinds of keys: send the statement, and say how to take its rows ---------------------------------------------

_Take = Callable[[State], Awaitable[None]]


async def _accounts(batch: _Batch, keys: _Keys) -> _Take:
    cursor = await batch.run("accounts_by_id", ids=_uuids(keys), all_lots="f")

    async def take(state: State) -> None:
        found = await cursor.fetchall()
        rows.take_accounts(state, found)
        for row in found:
            state.found[("account", row[1])] = row[0]

    return take


async def _internal(batch: _Batch, keys: _Keys) -> _Take:
    cursor = await batch.run(
        "accounts_by_indicator", indicators=array([k[1] for k in keys]), assets=array([k[2] for k in keys]),
        all_lots="f",
    )  # fmt: skip

    async def take(state: State) -> None:
        found = await cursor.fetchall()
        rows.take_accounts(state, found)
        for row in found:
            state.found[("internal", row[4], row[3])] = row[0]

    return take


async def _account_nos(batch: _Batch, keys: _Keys) -> _Take:
    cursor = await batch.run("accounts_by_no", nos=array([key[1] for key in keys]), all_lots="f")

    async def take(state: State) -> None:
        found = await cursor.fetchall()
        rows.take_accounts(state, found)
        for row in found:
            state.found[("account_no", row[0])] = row[0]

    return take


async def _programs(batch: _Batch, _: _Keys) -> _Take:
    cursor = await batch.run("accounts_of_programs", all_lots="f")

    async def take(state: State) -> None:
        found = await cursor.fetchall()
        rows.take_accounts(state, found)
        for row in found:
            state.program_accounts[(row[6], row[8])] = row[0]
        state.found[("programs",)] = True

    return take


async def _lots(batch: _Batch, keys: _Keys) -> _Take:
    cursor = await batch.run("lots_open", nos=array([key[1] for key in keys]))

    async def take(state: State) -> None:
        rows.take_lots(state, await cursor.fetchall())
        for key in keys:
            state.found[key] = True

    return take


async def _ledgers(batch: _Batch, keys: _Keys) -> _Take:
    cursor = await batch.run("ledgers", ids=_uuids(keys))

    async def take(state: State) -> None:
        rows.take_ledgers(state, await cursor.fetchall())

    return take


async def _members(batch: _Batch, keys: _Keys) -> _Take:
    return await _ask_members(batch, keys, all_lots=False)


async def _spenders(batch: _Batch, keys: _Keys) -> _Take:
    take_members = await _ask_members(batch, keys, all_lots=True)

    async def take(state: State) -> None:
        await take_members(state)
        for key in keys:
            member_key = ("member", *key[1:])
            state.asked.add(member_key)
            if member_key in state.found:
                state.found[key] = state.found[member_key]

    return take


async def _ask_members(batch: _Batch, keys: _Keys, all_lots: bool) -> _Take:
    named = [key for key in keys if key[1] not in _MEMBER_BY]
    asked = {
        "ids": array([key[2] for key in keys if key[1] == "id" and _UUID(key[2])]),
        "nos": array([key[2] for key in keys if key[1] == "number" and _NO(str(key[2]))]),
        "kinds": array([key[1] for key in named]),
        "texts": array([key[2] for key in named]),
    }
    members = await batch.run("members", **asked)
    accounts = await batch.run("accounts_of_members", **asked, all_lots="t" if all_lots else "f")

    async def take(state: State) -> None:
        rows.take_members(state, await members.fetchall())
        rows.take_member_accounts(state, await accounts.fetchall(), all_lots)

    return take


async def _transfers(batch: _Batch, keys: _Keys) -> _Take:
    cursor = await batch.run("transfers", ids=_uuids(keys))

    async def take(state: State) -> None:
        found = await cursor.fetchall()
        rows.take_transfers(state, found)
        seqs: dict[str, list[int]] = defaultdict(list)
        for row in found:
            seq, id_, request_id, parent = row[0], row[1], row[15], row[17]
            for name in {id_, request_id, parent}:
                seqs[name].append(seq)
            batch.transfers.add(seq)
            batch.accounts.update((row[4], row[5]))
            batch.events.add(row[2])
        for key in keys:
            if key[1] in seqs:
                state.found[key] = tuple(seqs[key[1]])

    return take


async def _references(batch: _Batch, keys: _Keys) -> _Take:
    cursor = await batch.run("references", texts=array([key[1] for key in keys]))

    async def take(state: State) -> None:
        for reference, seq in await cursor.fetchall():
            state.found[("reference", reference)] = seq

    return take


async def _outcomes(batch: _Batch, keys: _Keys) -> _Take:
    cursor = await batch.run("outcomes", actors=array([key[1] for key in keys]), keys=array([key[2] for key in keys]))

    async def take(state: State) -> None:
        for actor, key, fingerprint, answer in await cursor.fetchall():
            state.found[("outcome", actor, key)] = (fingerprint, answer)

    return take


async def _events(batch: _Batch, keys: _Keys) -> _Take:
    batch.whole_events.update(key[1] for key in keys)

    async def take(state: State) -> None:
        pass  # the second round trip has them

    return take


async def _purchases(batch: _Batch, keys: _Keys) -> _Take:
    by = {name: [key[2] for key in keys if key[1] == name] for name in ("id", "number", "no")}
    cursor = await batch.run(
        "purchases", ids=array([id_ for id_ in by["id"] if _UUID(id_)]), texts=array(by["number"]),
        nos=array([no for no in by["no"] if _NO(str(no))]),
    )  # fmt: skip

    async def take(state: State) -> None:
        for row in await cursor.fetchall():
            purchase = rows.take_purchase(state, row)
            _follow(batch, state, purchase)
            for name, value in (("id", purchase.id), ("number", purchase.number), ("no", str(purchase.no))):
                if ("purchase", name, value) in wanted:
                    state.found[("purchase", name, value)] = purchase.no

    wanted = set(keys)
    return take


async def _purchase_numbers(batch: _Batch, keys: _Keys) -> _Take:
    cursor = await batch.run("purchases", ids="{}", nos="{}", texts=array([key[1] for key in keys]))

    async def take(state: State) -> None:
        for row in await cursor.fetchall():
            state.found[("purchase_number", row[2])] = rows.take_purchase(state, row).no

    return take


async def _returns(batch: _Batch, keys: _Keys) -> _Take:
    cursor = await batch.run("returns", texts=array([key[1] for key in keys]))

    async def take(state: State) -> None:
        for row in await cursor.fetchall():
            state.found[("return", row[2])] = rows.take_return(state, row).no

    return take


async def _returns_of(batch: _Batch, keys: _Keys) -> _Take:
    batch.purchases.update(key[1] for key in keys)

    async def take(state: State) -> None:
        pass  # the second round trip has them

    return take


async def _redemptions(batch: _Batch, keys: _Keys) -> _Take:
    cursor = await batch.run("redemptions", ids=_uuids(keys), texts="{}")

    async def take(state: State) -> None:
        for row in await cursor.fetchall():
            redemption = rows.take_redemption(state, row)
            _follow(batch, state, redemption)
            state.found[("redemption", redemption.id)] = redemption.id

    return take


async def _redemption_references(batch: _Batch, keys: _Keys) -> _Take:
    cursor = await batch.run("redemptions", ids="{}", texts=array([key[1] for key in keys]))

    async def take(state: State) -> None:
        for row in await cursor.fetchall():
            redemption = rows.take_redemption(state, row)
            state.found[("redemption_reference", redemption.reference)] = redemption.id

    return take


async def _metadata(batch: _Batch, keys: _Keys) -> _Take:
    cursor = await batch.run("metadata", kinds=array([key[1] for key in keys]), texts=array([key[2] for key in keys]))

    async def take(state: State) -> None:
        for kind, object_, version, meta in await cursor.fetchall():
            state.metadata[(kind, object_)] = (version, meta)
            state.found[("metadata", kind, object_)] = (version, meta)

    return take


async def _api_keys(batch: _Batch, keys: _Keys) -> _Take:
    cursor = await batch.run("api_keys", ids=_uuids(keys))

    async def take(state: State) -> None:
        for row in await cursor.fetchall():
            state.api_keys[row[0]] = rows.api_key(row)
            state.found[("key", row[0])] = row[0]

    return take


_KINDS: dict[str, Callable[[_Batch, _Keys], Awaitable[_Take]]] = {
    "account": _accounts,
    "internal": _internal,
    "account_no": _account_nos,
    "programs": _programs,
    "lots": _lots,
    "ledger": _ledgers,
    "member": _members,
    "spend": _spenders,
    "transfer": _transfers,
    "reference": _references,
    "outcome": _outcomes,
    "event": _events,
    "purchase": _purchases,
    "purchase_number": _purchase_numbers,
    "purchase_return_of": _returns_of,
    "return": _returns,
    "redemption": _redemptions,
    "redemption_reference": _redemption_references,
    "metadata": _metadata,
    "key": _api_keys,
}


def _uuids(keys: _Keys) -> str:
    """The ids of keys that have one; what is no uuid names nothing."""
    return array([key[1] for key in keys if _UUID(key[1])])


# -- the second round trip --------------------------------------------------------------------------------------------


def _follow(batch: _Batch, state: State, fact: Purchase | Redemption) -> None:
    """Read on from a purchase or redemption: its events with their transfers and lots, its member, its returns."""
    batch.whole_events.add(fact.event_seq)
    if fact.member_no:
        batch.members.add(fact.member_no)
    if isinstance(fact, Purchase):
        batch.purchases.add(fact.no)
        if fact.redemption_id is not None:
            batch.whole_events.add(state.redemptions[fact.redemption_id].event_seq)


async def _ask_more(batch: _Batch) -> list[_Take]:
    takers: list[_Take] = []
    if batch.whole_events or batch.events:
        takers.append(await _ask_events(batch))
    if batch.transfers:
        takers.append(await _ask_transfers(batch))
    if batch.members:
        keys: _Keys = [("spend", "number", str(no)) for no in batch.members]
        takers.append(await _ask_members(batch, keys, all_lots=True))
    if batch.purchases:
        takers.append(await _ask_returns(batch))
    return takers


async def _ask_events(batch: _Batch) -> _Take:
    seqs, whole = array(batch.events | batch.whole_events), array(batch.whole_events)
    events = await batch.run("events", seqs=seqs)
    lots = await batch.run("lots_of_events", seqs=seqs)
    transfers = await batch.run("transfers_of_events", seqs=whole)
    accounts = await batch.run("accounts_of_events", seqs=whole, all_lots="t")

    async def take(state: State) -> None:
        rows.take_events(state, await events.fetchall())
        rows.take_lots(state, await lots.fetchall())
        rows.take_transfers(state, await transfers.fetchall())
        rows.take_accounts(state, await accounts.fetchall(), all_lots=True)
        for seq in batch.whole_events & state.events.keys():
            state.found[("event", seq)] = seq

    return take


async def _ask_transfers(batch: _Batch) -> _Take:
    seqs = array(batch.transfers)
    holds = await batch.run("holds", seqs=seqs)
    scheduled = await batch.run("scheduled", seqs=seqs)
    accounts = await batch.run("accounts_by_no", nos=array(batch.accounts), all_lots="t")

    async def take(state: State) -> None:
        rows.take_holds(state, await holds.fetchall())
        rows.take_scheduled(state, await scheduled.fetchall())
        rows.take_accounts(state, await accounts.fetchall(), all_lots=True)

    return take


async def _ask_returns(batch: _Batch) -> _Take:
    cursor = await batch.run("returns_of_purchases", nos=array(batch.purchases))

    async def take(state: State) -> None:
        returns_of: dict[int, list[int]] = {no: [] for no in batch.purchases}
        for row in await cursor.fetchall():
            returned = rows.take_return(state, row)
            returns_of[returned.purchase_no].append(returned.no)
        for purchase_no, nos in returns_of.items():
            state.found[("purchase_return_of", purchase_no)] = tuple(nos)

    return take


async def _ask_config(batch: _Batch, version: int, configs: ConfigCache) -> _Take:
    assets = await batch.run("config_assets")
    programs = await batch.run("config_programs")
    stores = await batch.run("config_stores")
    tills = await batch.run("config_tills")
    sources = await batch.run("config_sources")

    async def take(state: State) -> None:
        state.config = configs[batch.org_id] = Config(
            version=version,
            assets={code: Asset(code, scale) for code, scale in await assets.fetchall()},
            programs={row[0]: rows.program(row) for row in await programs.fetchall()},
            stores={no: Store(no=no, id=id_, code=code, name=name) for no, id_, code, name in await stores.fetchall()},
            tills={
                no: Till(no=no, id=id_, code=code, name=name, store_no=store_no, program_no=program_no)
                for no, id_, code, name, store_no, program_no in await tills.fetchall()
            },
            sources=frozenset([code for (code,) in await sources.fetchall()]),
        )

    return take
