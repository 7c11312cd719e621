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
from guerdon.store.memory import Memory
from guerdon.store.wire import wire

COUNTERS = ("seq", "ledger", "account", "lot", "member", "purchase", "return", "redemption", "config")
"""The counters of a state, in the order of the head's columns."""


class OrganisationNotFound(LookupError):
    """There is no such organisation."""


async def load(
    connection: AsyncConnection[Any], org_id: int, keys: Iterable[Key], now: datetime, memory: Memory
) -> State:
    """Begin a transaction, lock the organisation and read what `keys` name; `core.keys` says what each brings.

    What the memory has is not asked for, unless the head row shows that another process wrote in between.
    """
    asked = set(keys)
    known = memory.knows(asked)
    async with wire(connection) as sending:
        lookup = Lookup(sending, org_id, now)
        lookup.run("enter")
        head = lookup.run("lock_head")
        takers = _ask(lookup, asked.difference(known))
        await sending.sync()
        version, state = _open(org_id, head.rows, memory.config)
        for take in takers:
            take(state)
        fresh = memory.head == state.head
        configured = memory.config.version == version
        if fresh:
            memory.give(state, known)
        else:
            memory.forget()
        if not configured or lookup.follows() or (known and not fresh):
            takers = ask_more(lookup) if lookup.follows() else []
            if not fresh:
                takers += _ask(lookup, known)
            if not configured:
                takers.append(_ask_config(lookup, version))
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


def _ask(lookup: Lookup, keys: Iterable[Key]) -> list[Take]:
    """Ask for what keys name, with one statement or two for all of a kind."""
    by_kind: dict[str, list[Key]] = defaultdict(list)
    for key in keys:
        by_kind[key[0]].append(key)
    return [KINDS[kind](lookup, same) for kind, same in by_kind.items()]


def _open(org_id: int, heads: list[rows.Row], config: Config) -> tuple[int, State]:
    """The version that the configuration should have, and an empty state with the one that we have."""
    if not heads:
        raise OrganisationNotFound(org_id)
    transaction, writer, version, last_recorded_at, last_hash, *numbers = heads[0]
    counters = dict(zip(COUNTERS, numbers, strict=True))
    state = State(config, counters, last_recorded_at, last_hash)
    state.transaction = transaction
    state.head = (writer, counters["seq"], last_hash)
    return version, state


def _ask_config(lookup: Lookup, version: int) -> Take:
    assets = lookup.run("config_assets")
    programs = lookup.run("config_programs")
    stores = lookup.run("config_stores")
    tills = lookup.run("config_tills")
    sources = lookup.run("config_sources")

    def take(state: State) -> None:
        state.config = Config(
            version=version,
            assets={code: Asset(code, scale) for code, scale in assets.rows},
            programs={row[0]: rows.program(row) for row in programs.rows},
            stores={no: Store(no=no, id=id_, code=code, name=name) for no, id_, code, name in stores.rows},
            tills={
                no: Till(no=no, id=id_, code=code, name=name, store_no=store_no, program_no=program_no)
                for no, id_, code, name, store_no, program_no in tills.rows
            },
            sources=frozenset([code for (code,) in sources.rows]),
        )

    return take
