"""Kinds of keys: all that the core describes are looked up, each by one look-up, which waits once."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from guerdon.core import keys as core_keys
from guerdon.core.programs import Config
from guerdon.core.state import State
from guerdon.store.lookups import KINDS
from guerdon.store.lookups.lookup import Keys, Lookup, Steps, kind, taker


def test_the_kinds_that_the_core_describes_are_looked_up_and_no_others() -> None:
    described = set(re.findall(r'\("([a-z_]+)"', core_keys.__doc__ or ""))
    assert described == set(KINDS)


def test_a_kind_has_one_look_up() -> None:
    def other(lookup: Lookup, keys: Keys) -> Steps:
        yield

    known = KINDS["lot"]
    with pytest.raises(ValueError, match="two look-ups of one kind of keys: lot"):
        kind("lot")(other)
    assert KINDS["lot"] is known


def test_a_look_up_that_waits_for_rows_twice_is_told_so() -> None:
    def twice() -> Steps:
        yield
        yield

    take = taker(twice())
    with pytest.raises(RuntimeError, match="waits for its rows once"):
        take(State(Config(), {}, datetime(2026, 1, 1, tzinfo=UTC), b""))
