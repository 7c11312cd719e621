"""Pools: what is left in a program's points pool, and the event when that runs low.

A pool's balance is what was put into it (by raw transfers, and by points that are spent) less what was given out; where
nobody puts anything in, it is below zero, and so may its mark be. A mark stands on an event (`PointsPoolWatch`), and
the notice (`PointsPoolLow`) follows from it and from the transfers alone: told at the first one that leaves no more
than the mark, and again only after the pool was filled. So neither the grouping of commands nor a restart changes it,
and `verify` finds the same places again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from guerdon.core.assets import decimal_text
from guerdon.core.booking import ORGANISATION, tell
from guerdon.core.events import Name

if TYPE_CHECKING:
    from guerdon.core.programs import LowPool, Program
    from guerdon.core.state import State


def watch(state: State, before: Program | None, program: Program, actor: str) -> None:
    """Book the mark of a program's pool where it is another than before. It counts afresh, from the next points on."""
    known, mark = None if before is None else before.policies.low_pool, program.policies.low_pool
    if mark == known:
        return
    _note(state, program.no, low=False)
    body = {"program_no": program.no, "version": program.version, "mark": mark}
    tell(state, Name.POINTS_POOL_WATCH, ORGANISATION, actor=actor, program=program, body=body)


def watched(state: State) -> bool:
    """Whether the pool of any program has a mark."""
    return any(program.policies.low_pool is not None for program in state.config.programs.values())


def book(state: State, mark: int, actor: str) -> None:
    """Book an event for every transfer since `mark` of the journal that left a pool low which was not."""
    for seq in sorted(state.changed_since(mark, state.transfers)):
        made = state.transfers[seq]
        if made.action in ("apply", "settle"):
            _look(state, made.source, made.source_balance or 0, seq, actor)
            _look(state, made.destination, made.destination_balance or 0, seq, actor)


def _look(state: State, account_no: int, left: int, seq: int, actor: str) -> None:
    account = state.accounts[account_no]
    if account.role != "pool":
        return
    program = state.config.programs[account.program_no]
    mark = program.policies.low_pool
    if mark is None:
        return
    low = program.no in state.config.low_pools
    if not low and left <= mark.points:
        _note(state, program.no, low=True)
        scale = state.config.assets[program.asset].scale
        tell(
            state,
            Name.POINTS_POOL_LOW,
            ORGANISATION,
            actor=actor,
            program=program,
            reason=f"{decimal_text(left, scale)} left",
            reference=f"prg_{program.id}",
            body={"program_no": program.no, "row": seq, "left": left},
        )
    elif low and left >= filled_at(mark):
        _note(state, program.no, low=False)


def filled_at(mark: LowPool) -> int:
    """The balance from which on a pool is filled again."""
    return mark.points + 1 if mark.filled is None else mark.filled


def _note(state: State, program_no: int, *, low: bool) -> None:
    known = state.config.low_pools
    if (program_no in known) is low:
        return
    state.put(state.low_pools, program_no, low)
    changed = known | {program_no} if low else known - {program_no}
    state.set_config(msgspec.structs.replace(state.config, low_pools=changed))
