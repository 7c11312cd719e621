"""What ran low: an event when the pieces of a reward, its codes, or a promotion's budget fall to where it matters.

Looked for after a command was accepted, in what it changed: a figure that was above its mark before and is not after
has crossed it, once. Figures that rise again can cross again. What is found stands behind the command's own events, so
how commands are grouped changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guerdon.core import commands as c
from guerdon.core.booking import ORGANISATION, tell
from guerdon.core.events import Name
from guerdon.core.promoting import shelf
from guerdon.core.promotions.limits import as_limit

if TYPE_CHECKING:
    from guerdon.core.catalogue import Reward
    from guerdon.core.promotions.limits import Limit
    from guerdon.core.state import CounterKey, State
    from guerdon.core.tallies import Tally

BUDGET_LOW_PERCENT = 10
"""A budget is low when so much of it, or less, is left."""
_WATCHED = frozenset((c.ClaimReward, c.ChangeReward, c.RecordPurchase, c.CommitCart))


def watched(command: c.Command) -> bool:
    """Whether anything can be lower after a command than before."""
    return type(command) in _WATCHED and (not isinstance(command, c.RecordPurchase) or command.promoted)


def book(state: State, mark: int, actor: str) -> None:
    """Book an event for every figure that crossed its mark since `mark` of the journal."""
    for id, before in state.changed_since(mark, state.rewards).items():
        _look_at_reward(state, state.rewards[id], before, actor)
    for key, was in state.changed_since(mark, state.promotion_counters).items():
        _look_at_counter(state, key, was, actor)


def _look_at_reward(state: State, reward: Reward, before: Reward | None, actor: str) -> None:
    low = reward.terms.low_stock
    if low is None or before is None:
        return
    pieces, codes = reward.stock, _codes_left(state, reward)
    if pieces is not None and pieces <= low and (before.stock is None or before.stock > low):
        _say(state, Name.REWARD_STOCK_LOW, f"rwd_{reward.id}", f"{pieces} left", {"left": pieces}, actor)
    if codes is not None and codes <= low < codes + reward.given - before.given:
        _say(state, Name.REWARD_CODES_LOW, f"rwd_{reward.id}", f"{codes} codes left", {"left": codes}, actor)


def _codes_left(state: State, reward: Reward) -> int | None:
    """Codes of the batch after the last one that was claimed; None where it has none, or none is at stake here."""
    batch = state.code_batches.get(reward.terms.codes)
    return None if batch is None else max(0, batch.made - reward.given)


def _look_at_counter(state: State, key: CounterKey, was: Tally | None, actor: str) -> None:
    """What ends a promotion for everybody and for good: a budget, or a limit over all its uses."""
    _, whose, code, subject, period = key
    limit = None if subject or period else _limit(state, whose, code)
    if limit is None or limit.limit is None:
        return
    before, after = 0 if was is None else was.used, state.promotion_counters[key].used
    if before * 100 < limit.limit * (100 - BUDGET_LOW_PERCENT) <= after * 100:
        left = max(0, limit.limit - after)
        reference = whose if whose.startswith("budget:") else f"prm_{whose}"
        body = {"limit": code, "kpi": limit.kpi, "of": limit.limit, "left": left}
        _say(state, Name.PROMOTION_BUDGET_LOW, reference, f"{left} of {limit.limit} left", body, actor)


def _limit(state: State, whose: str, code: str) -> Limit | None:
    """The limit that a counter over everybody counts for; None where its promotion has it no more."""
    if whose.startswith("budget:"):
        budget = shelf(state).budgets.get(whose.removeprefix("budget:"))
        return None if budget is None else as_limit(budget)
    terms = shelf(state).by_id.get(whose)
    return None if terms is None else next((limit for limit in terms.limits if limit.code == code), None)


def _say(state: State, name: Name, reference: str, reason: str, body: dict[str, object], actor: str) -> None:
    tell(state, name, ORGANISATION, actor=actor, reason=reason, reference=reference, body=body)
