"""Terms: a program as it stood at another time, or under another version."""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from guerdon.core.programs import Program
from guerdon.core.state import NotLoaded

if TYPE_CHECKING:
    from guerdon.core.state import State


def terms_at(state: State, program: Program, moment: datetime) -> Program:
    """The program as it stood at a moment. Before it began it had no terms yet, and those of today stand in: what is
    brought along from before is not judged by a first draft.
    """
    since = state.config.since.get(program.no, ())
    return terms_of(state, program, bisect_right(since, moment) or program.version)


def terms_of(state: State, program: Program, version: int) -> Program:
    """The program under one of its versions."""
    if version == program.version:
        return program
    policies = state.find(("policies", program.no, version))
    if policies is None:
        raise NotLoaded(("policies", program.no, version))
    return msgspec.structs.replace(program, version=version, policies=policies)
