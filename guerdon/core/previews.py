"""Dry runs: what commands of the raw ledger would do, found out by doing it and undoing it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from guerdon.core.accounts import NO_FIGURES
from guerdon.core.assets import AMOUNT_MAX
from guerdon.core.commands import Command, Post, Preview, Refund, Release, Settle
from guerdon.core.holds import release, settle
from guerdon.core.ledger import AmountOutOfRange
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.postings import post
from guerdon.core.refunds import refund
from guerdon.core.results import Previewed, Projection, Side

if TYPE_CHECKING:
    from guerdon.core.state import State

_DECISIONS: dict[type[Command], Callable[[State, Any], Outcome]] = {
    Post: post,
    Settle: settle,
    Release: release,
    Refund: refund,
}


def preview(state: State, command: Preview) -> Outcome:
    """Always accepted, and changes nothing: no reference is taken and no internal account opened."""
    start = state.mark()
    items: list[Projection] = []
    for each in command.of:
        mark = state.mark()
        items.append(_project(state, each))
        if items[-1].refused is not None:
            state.rollback(mark)
        elif not command.cumulative:
            state.rollback(start)
    state.rollback(start)
    return Accepted(Previewed(items=tuple(items)))


def _project(state: State, command: Command) -> Projection:
    """Decide one command, and leave what it did for the caller to undo."""
    mark = state.mark()
    try:
        outcome = _DECISIONS[type(command)](state, command)
    except AmountOutOfRange:
        outcome = Rejected(Rejection.AMOUNT_OUT_OF_RANGE, "amount", {"maximum": str(AMOUNT_MAX)})
    if isinstance(outcome, Rejected):
        return Projection(refused=outcome)
    made = tuple(state.transfers[seq] for seqs in outcome.result.transfers for seq in seqs)
    opened = state.changed_since(mark, state.accounts)
    sources = {transfer.source for transfer in made}
    sides = tuple(
        Side(
            account_id=state.accounts[no].id,
            asset=state.accounts[no].asset,
            role="source" if no in sources else "destination",
            virtual=no in opened,
            before=before or NO_FIGURES,
            after=state.figures_of(no),
        )
        for no, before in state.changed_since(mark, state.figures).items()
    )
    return Projection(transfers=made, sides=tuple(sorted(sides, key=lambda side: side.role != "source")))
