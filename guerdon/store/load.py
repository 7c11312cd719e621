"""Begin a batch: lock the organisation, then read all that the batch's commands touch.

Promises: the lock is a statement before the reads, so that under READ COMMITTED they see what the last batch
committed; lock and reads take one round trip. What can only be named by a row just read (the lots of a purchase's
event, say), or a configuration that has changed, takes a second one under the same lock.
Leaves to others: what a key brings along (`lookups/`), and the end of the transaction (`save.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from guerdon.core.assets import Asset
from guerdon.core.programs import Config, Store, Till
from guerdon.core.promotions.shelf import Shelf
from guerdon.core.promotions.terms import Lane
from guerdon.core.state import Key, State
from guerdon.store import rows
from guerdon.store.lookups import KINDS, Lookup, Take, ask_more
from guerdon.store.memory import Memory
from guerdon.store.wire import Prepared, wire

COUNTERS = ("seq", "ledger", "account", "lot", "member", "purchase", "return", "redemption", "config")
"""The counters of a state, in the order of the head's columns."""

_COMMIT = Prepared("commit")


class OrganisationNotFound(LookupError):
    """There is no such organisation."""


async def load(
    connection: AsyncConnection[Any], org_id: int, keys: Iterable[Key], now: datetime, memory: Memory
) -> State:
    """Begin a transaction, lock the organisation and read what `keys` name; `core.keys` says what each brings.

    What the memory has is not asked for, unless the head row shows that another process wrote in between.
    """
    async with wire(connection) as sending:
        lookup = Lookup(sending, org_id, now)
        lookup.run("enter")
        asked = Asked(lookup, keys, memory)
        await sending.sync()
        asked.take()
        if not asked.complete:
            asked.ask_more()
            await sending.sync()
            asked.take_more()
    return asked.finish()


async def more(connection: AsyncConnection[Any], org_id: int, state: State, keys: Iterable[Key], now: datetime) -> None:
    """Read what else `keys` name into a state that nothing has changed yet, in the transaction that `load` began: what
    is there afterwards is what `load` would have read with these keys.
    """
    fresh = set(keys).difference(state.asked)
    async with wire(connection) as sending:
        lookup = Lookup(sending, org_id, now)
        lookup.tiers = bool(state.config.tiers)
        takers = ask(lookup, fresh)
        await sending.sync()
        for take in takers:
            take(state)
        if lookup.follows():
            takers = ask_more(lookup)
            await sending.sync()
            for take in takers:
                take(state)
    for lot in state.lots.values():
        state.know_lot(lot)
    state.mark_loaded(fresh)


class Asked:
    """The rows of a batch, asked for. `take` puts the first answers into `state`; where they are not `complete`,
    `ask_more` and `take_more` follow before `finish`.
    """

    def __init__(self, lookup: Lookup, keys: Iterable[Key], memory: Memory) -> None:
        self._lookup = lookup
        self._memory = memory
        lookup.tiers = bool(memory.config.tiers)
        self._keys = set(keys)
        self._known = memory.knows(self._keys)
        self._head = lookup.run("lock_head")
        self._takers = ask(lookup, self._keys.difference(self._known))

    def take(self) -> None:
        self._version, self.state = _open(self._lookup.org_id, self._head.rows, self._memory.config)
        for take in self._takers:
            take(self.state)
        self._fresh = self._memory.head == self.state.head
        self._configured = self._memory.config.version == self._version
        if self._fresh:
            self._memory.give(self.state, self._known)
        else:
            self._memory.forget()
        self.complete = self._configured and not self._lookup.follows() and (self._fresh or not self._known)

    def ask_more(self) -> None:
        self._takers = ask_more(self._lookup) if self._lookup.follows() else []
        if not self._fresh:
            self._takers += ask(self._lookup, self._known)
        if not self._configured:
            self._takers.append(_ask_config(self._lookup, self._version))

    def take_more(self) -> None:
        for take in self._takers:
            take(self.state)

    def finish(self) -> State:
        state = self.state
        for lot in state.lots.values():
            state.know_lot(lot)
        state.mark_loaded(self._keys)
        return state


async def configuration(connection: AsyncConnection[Any], org_id: int, now: datetime) -> Config:
    """An organisation's configuration as it stands, read without the lock, in a transaction of its own."""
    async with wire(connection) as sending:
        lookup = Lookup(sending, org_id, now)
        lookup.run("enter")
        take = _ask_config(lookup, version=0)
        sending.send(_COMMIT)
        await sending.sync()
    state = State(Config(), {}, now, b"")
    take(state)
    return state.config


def ask(lookup: Lookup, keys: Iterable[Key]) -> list[Take]:
    """Ask for what keys name, with one statement or two for all of a kind."""
    by_kind: dict[str, list[Key]] = defaultdict(list)
    for key in keys:
        by_kind[key[0]].append(key)
    return [KINDS[kind](lookup, same) for kind, same in by_kind.items()]


def _open(org_id: int, heads: list[rows.Row], config: Config) -> tuple[int, State]:
    """The version that the configuration should have, and an empty state with the one that we have."""
    if not heads:
        raise OrganisationNotFound(org_id)
    transaction, mark, version, last_recorded_at, last_hash, *numbers = heads[0]
    counters = dict(zip(COUNTERS, numbers, strict=True))
    state = State(config, counters, last_recorded_at, last_hash)
    state.transaction = transaction
    state.head = (mark, counters["seq"], last_hash)
    return version, state


def _ask_config(lookup: Lookup, version: int) -> Take:
    assets = lookup.run("config_assets")
    programs = lookup.run("config_programs")
    versions = lookup.run("config_versions")
    planned = lookup.run("config_planned")
    stores = lookup.run("config_stores")
    tills = lookup.run("config_tills")
    sources = lookup.run("config_sources")
    timezone = lookup.run("config_timezone")
    promotions = lookup.run("config_promotions")
    lanes = lookup.run("config_promotion_lanes")
    tiers = lookup.run("config_tiers")
    segments = lookup.run("config_segments")

    def take(state: State) -> None:
        state.config = Config(
            version=version,
            assets={code: Asset(code, scale) for code, scale in assets.rows},
            programs={row[0]: rows.program(row) for row in programs.rows},
            since={program_no: tuple(since) for program_no, since, *_ in versions.rows},
            renewing=frozenset([program_no for program_no, _, renews, *_ in versions.rows if renews]),
            follows={program_no: followed[-1] for program_no, _, _, followed, *_ in versions.rows if followed},
            following={
                program_no: tuple([version for version in followed if version > done])
                for program_no, _, _, followed, done, _ in versions.rows
                if followed and followed[-1] > done
            },
            planned=rows.planned(planned.rows),
            low_pools=frozenset([program_no for program_no, *_, low in versions.rows if low]),
            stores={no: Store(no=no, id=id_, code=code, name=name) for no, id_, code, name in stores.rows},
            tills={
                no: Till(no=no, id=id_, code=code, name=name, store_no=store_no, program_no=program_no)
                for no, id_, code, name, store_no, program_no in tills.rows
            },
            sources=frozenset([code for (code,) in sources.rows]),
            timezone=timezone.rows[0][0] if timezone.rows else "UTC",
            promotions=Shelf(
                {terms.id: terms for terms in (rows.promotion(text) for (text,) in promotions.rows)},
                {number: Lane(number=number, mode=mode, once=once) for number, mode, once in lanes.rows},
            ),
            tiers=rows.structures(tiers.rows),
            segments=rows.segments(segments.rows),
        )

    return take
