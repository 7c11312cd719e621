"""Kinds of keys: which statement finds what a key names, and what its rows mean to the state.

A look-up is a generator: it sends its statements, waits, and then puts their rows into the state; `load.py` sees to it
that the statements of all kinds travel together. Rows may name what else is needed (a purchase its events, an event its
transfers): that is remembered in the `Lookup`, and `ask_more` asks for it. What the kinds bring along: `core.keys`.

To read: `lookup.py`, then the noun. Importing the nouns below fills `KINDS`.
"""

from __future__ import annotations

from guerdon.store.lookups import (  # noqa: F401
    accounts,
    carts,
    codes,
    events,
    issues,
    lots,
    members,
    others,
    pasts,
    points,
    programs,
    promotions,
    purchases,
    rewards,
    transfers,
)
from guerdon.store.lookups.following import ask_more
from guerdon.store.lookups.lookup import KINDS, Lookup, Take

__all__ = ["KINDS", "Lookup", "Take", "ask_more"]
