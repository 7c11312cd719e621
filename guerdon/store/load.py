"""Begin a batch: lock the organisation, then read all that the batch's commands touch.

Promises: the lock is a statement before the reads, so that under READ COMMITTED they see what the last batch
committed; lock and reads take one round trip. What can only be named by a row just read (the lots of a purchase's
event, say), or a configuration that has changed, takes a second one under the same lock.
Leaves to others: what a key brings along (`lookups.py`), and the end of the transaction (`save.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from guerdon.core.assets import Asset
from guerdon.core.programs import Config, Store, Till
from guerdon.core.state import Key, State
from guerdon.store import rows
from guerdon.store.lookups import KINDS, Lookup, Take, ask_more
from guerdon.store.wire import wire

ConfigCache = dict[int, Config]
"""The configuration of each organisation, as this process last read it."""

COUNTERS = ("seq", "ledger", "account", "lot", "member", "purchase", "return", "redemption", "config")
"""The counters of a state, in the order of the head's columns."""


class OrganisationNotFound(LookupError):
    """There is no such organisation."""


async def load(
    connection: AsyncConnection[Any], org_id: int, keys: Iterable[Key], now: datetime, configs: ConfigCache
) -> State:
    """Begin a transaction, lock the organisation and read what `keys` name; `core.keys` says what each brings."""
    asked = set(keys)
    by_kind: dict[str, list[Key]] = defaultdict(list)
    for key in asked:
        by_kind[key[0]].append(key)
    async with wire(connection) as sending:
        lookup = Lookup(sending, org_id, now)
        lookup.run("enter")
        head = lookup.run("lock_head")
        takers = [KINDS[kind](lookup, same) for kind, same in by_kind.items()]
        await sending.sync()
        version, state = _open(org_id, head.rows, configs.get(org_id))
        for take in takers:
            take(state)
        stale = state.config.version != version
        if stale or lookup.follows():
            takers = ask_more(lookup)
            if stale:
                takers.append(_ask_config(lookup, version, configs))
            await sending.sync()
            for take in takers:
                take(state)
    lots_of: dict[int, list[int]] = defaultdict(list)
    for lot in state.lots.values():
        lots_of[lot.account].append(lot.no)
    for account_no, nos in lots_of.items():
        state.account_lots[account_no] = tuple(nos)
    state.mark_loaded(asked)
    return state


def _open(org_id: int, heads: list[rows.Row], config: Config | None) -> tuple[int, State]:
    """The version that the configuration should have, and an empty state with the one that we have."""
    if not heads:
        raise OrganisationNotFound(org_id)
    transaction, version, last_recorded_at, last_hash, *numbers = heads[0]
    counters = dict(zip(COUNTERS, numbers, strict=True))
    state = State(config or Config(version=-1), counters, last_recorded_at, last_hash)
    state.transaction = transaction
    return version, state


def _ask_config(lookup: Lookup, version: int, configs: ConfigCache) -> Take:
    assets = lookup.run("config_assets")
    programs = lookup.run("config_programs")
    versions = lookup.run("config_versions")
    stores = lookup.run("config_stores")
    tills = lookup.run("config_tills")
    sources = lookup.run("config_sources")

    def take(state: State) -> None:
        state.config = configs[lookup.org_id] = Config(
            version=version,
            assets={code: Asset(code, scale) for code, scale in assets.rows},
            programs={row[0]: rows.program(row) for row in programs.rows},
            since={program_no: tuple(since) for program_no, since in versions.rows},
            stores={no: Store(no=no, id=id_, code=code, name=name) for no, id_, code, name in stores.rows},
            tills={
                no: Till(no=no, id=id_, code=code, name=name, store_no=store_no, program_no=program_no)
                for no, id_, code, name, store_no, program_no in tills.rows
            },
            sources=frozenset([code for (code,) in sources.rows]),
        )

    return take
