"""How a kind of keys is looked up: its statements, what they are given of the keys, and who takes the rows."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Generator
from datetime import datetime
from typing import TypeVar

from guerdon.core.state import Key, State
from guerdon.store.arrays import array
from guerdon.store.rows import Row
from guerdon.store.statements import statements
from guerdon.store.wire import Answer, Prepared, Wire

Keys = list[Key]
"""Keys of one kind: the kind comes first in each, what it names behind it."""

Take = Callable[[State], None]
"""Puts the rows of a statement that was sent into the state, once."""

Steps = Generator[None, State, None]
"""A look-up: sends its statements, waits (`state = yield`), and puts their rows into the state it gets."""

SQL = {name: Prepared(text) for name, text in statements("load").items()}

_Made = TypeVar("_Made")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
_NO = re.compile(r"[1-9][0-9]{0,17}").fullmatch
_MEMBER_BY = frozenset({"id", "number"})


class Lookup:
    """The statements of one batch, and what the rows so far say must be read next."""

    def __init__(self, wire: Wire, org_id: int, now: datetime) -> None:
        self._wire = wire
        self.org_id = org_id
        self._always = {"org": str(org_id), "now": now.isoformat()}
        self.transfers: set[int] = set()
        self.accounts: set[int] = set()
        self.events: set[int] = set()
        self.whole_events: set[int] = set()
        self.members: set[int] = set()
        self.purchases: set[int] = set()
        self.codes: set[str] = set()
        self.tiers = False
        """Whether anybody has a tier, as far as this process knows: where it is wrong, the batch is loaded again."""
        self.code_runs: set[tuple[str, int]] = set()

    def follow(self, event_seq: int, member_no: int) -> None:
        """Read on from a row: its event with transfers and lots, and its member if it has one (0 is nobody)."""
        self.whole_events.add(event_seq)
        if member_no:
            self.members.add(member_no)

    def follows(self) -> bool:
        """Whether anything must be read next."""
        return bool(
            self.transfers or self.whole_events or self.members or self.purchases or self.codes or self.code_runs
        )

    def run(self, statement: str, /, **arrays: str) -> Answer:
        """Send a statement; its rows are there after the next sync."""
        return self._wire.send(SQL[statement], {**self._always, **arrays})


_LooksUp = Callable[[Lookup, Keys], Steps]

KINDS: dict[str, Callable[[Lookup, Keys], Take]] = {}
"""Sends the statements of a kind for all keys of it that a batch has, and gives back what takes their rows."""


def kind(name: str) -> Callable[[_LooksUp], _LooksUp]:
    """The look-up below is that of this kind of keys; `core.keys` says what each kind brings along."""

    def register(steps: _LooksUp) -> _LooksUp:
        if name in KINDS:
            raise ValueError(f"two look-ups of one kind of keys: {name}")
        KINDS[name] = lambda lookup, keys: taker(steps(lookup, keys))
        return steps

    return register


def taker(steps: Generator[None, State, object]) -> Take:
    """Have a look-up send its statements; what is given back has it take their rows. One that has nothing to send may
    end before its `yield`.
    """
    next(steps, None)

    def take(state: State) -> None:
        try:
            steps.send(state)
        except StopIteration:
            return
        raise RuntimeError("a look-up waits for its rows once")

    return take


# -- what statements are given of the keys ----------------------------------------------------------------------------


def column(keys: Keys, place: int) -> str:
    """What stands in one place of each key."""
    return array([key[place] for key in keys])


def uuids(keys: Keys) -> str:
    """The ids of keys that have one; what is no uuid names nothing."""
    return array([key[1] for key in keys if _UUID(key[1])])


def by(keys: Keys, name: str) -> str:
    """The values of the keys that name a thing by this, as `("purchase", "number", "B-1001")` does by its number."""
    return array([key[2] for key in keys if key[1] == name])


def by_id(keys: Keys) -> str:
    return array([key[2] for key in keys if key[1] == "id" and _UUID(key[2])])


def by_no(keys: Keys, name: str) -> str:
    """As `by`, where only our own numbers name anything."""
    return array([key[2] for key in keys if key[1] == name and _NO(str(key[2]))])


def selectors(keys: Keys) -> dict[str, str]:
    """The members that keys name, by number alone or as callers do, as the statements take them."""
    keys = [key if len(key) == 3 else (key[0], "number", str(key[1])) for key in keys]
    named = [key for key in keys if key[1] not in _MEMBER_BY]
    return {"ids": by_id(keys), "nos": by_no(keys, "number"), "kinds": column(named, 1), "texts": column(named, 2)}


# -- what their rows have in common -----------------------------------------------------------------------------------


def by_member(found: list[Row], make: Callable[..., _Made]) -> dict[int, list[_Made]]:
    """What is made of each member's rows, which begin with its number; one that has none comes with a row of nulls."""
    made: dict[int, list[_Made]] = defaultdict(list)
    for member_no, *row in found:
        own = made[member_no]
        if row[0] is not None:
            own.append(make(*row))
    return made
