"""Lots: the open ones of an account, those that have ended or were released, and single ones."""

from __future__ import annotations

from guerdon.store import rows
from guerdon.store.arrays import array
from guerdon.store.lookups.lookup import Keys, Lookup, Steps, column, kind


@kind("lots")
def open_lots(lookup: Lookup, keys: Keys) -> Steps:
    every = [key for key in keys if len(key) == 2]
    asked: dict[int, int] = {}
    for _, no, size in [key for key in keys if len(key) == 3]:
        asked[no] = max(size, asked.get(no, 0))
    whole = lookup.run("lots_open", nos=column(every, 1)) if every else None
    first = lookup.run("lots_first", nos=array(list(asked)), sizes=array(list(asked.values()))) if asked else None
    state = yield
    if first is not None:
        rows.take_first_lots(state, first.rows, asked)
    if whole is not None:
        rows.take_lots(state, whole.rows)
    for key in every:
        state.found[key] = state.found[("due", key[1])] = True


@kind("due")
def ended_lots(lookup: Lookup, keys: Keys) -> Steps:
    asked = _sizes(keys)
    answer = lookup.run("lots_ended", nos=array(list(asked)), sizes=array(list(asked.values())))
    state = yield
    rows.take_ended_lots(state, answer.rows, asked)


@kind("released")
def released_lots(lookup: Lookup, keys: Keys) -> Steps:
    asked = _sizes(keys)
    answer = lookup.run("lots_released", nos=array(list(asked)), sizes=array(list(asked.values())))
    state = yield
    rows.take_released_lots(state, answer.rows, asked)


@kind("lot")
def lots_by_no(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("lots_by_no", nos=column(keys, 1))
    state = yield
    rows.take_lots(state, answer.rows)


def _sizes(keys: Keys) -> dict[int, int | None]:
    """How many lots are asked for of each account, None for all."""
    asked: dict[int, int | None] = {}
    for _, no, *size in keys:
        known = asked.get(no, 0)
        asked[no] = max(size[0], known) if size and known is not None else None
    return asked
