"""Making and changing the catalogue: lists of rewards, and rewards. What they are is in `catalogue.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from guerdon.core.assets import AMOUNT_MAX
from guerdon.core.catalogue import PIECES_MAX, CatalogueVersion, ListTerms, Reward, RewardList, RewardTerms
from guerdon.core.commands import ChangeReward, ChangeRewardList, CreateReward, CreateRewardList
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.results import Changed, Opened

if TYPE_CHECKING:
    from guerdon.core.state import State

AUDIENCE_MAX = 100
"""So many tiers and segments may a list be for."""


def create_list(state: State, command: CreateRewardList) -> Outcome:
    """Make a list in a program, the first one where none is named."""
    if command.program is not None:
        program = state.config.program(command.program)
    else:
        program = state.config.programs.get(min(state.config.programs, default=0))
    if program is None:
        named = "" if command.program is None else command.program[1]
        return Rejected(Rejection.PROGRAM_NOT_FOUND, "program", {"program": named})
    refused = _common_refusal(command.terms)
    if refused is not None:
        return refused
    made = RewardList(id=command.id, program_no=program.no, version=1, created_at=state.now, terms=command.terms)
    _keep_list(state, made, command.actor)
    state.put(state.found, ("reward_list", made.id), made.id)
    return Accepted(Opened(id=made.id, created_at=state.now))


def change_list(state: State, command: ChangeRewardList) -> Outcome:
    """Give a list new terms. Claims keep what they cost."""
    id = state.find(("reward_list", command.list))
    if id is None:
        return Rejected(Rejection.REWARD_LIST_NOT_FOUND, "reward_list", {"reward_list": command.list})
    refused = _common_refusal(command.terms)
    if refused is not None:
        return refused
    listed = state.reward_lists[id]
    _keep_list(state, msgspec.structs.replace(listed, version=listed.version + 1, terms=command.terms), command.actor)
    return Accepted(Changed(id=id))


def create(state: State, command: CreateReward) -> Outcome:
    """Make a reward in a list, with so many pieces or (None) without end."""
    id = state.find(("reward_list", command.list))
    if id is None:
        return Rejected(Rejection.REWARD_LIST_NOT_FOUND, "reward_list", {"reward_list": command.list})
    refused = _refusal(state, command.terms, command.stock)
    if refused is not None:
        return refused
    reward = Reward(
        id=command.id,
        list_id=id,
        version=1,
        created_at=state.now,
        supply=command.stock,
        claimed=0,
        given=0,
        terms=command.terms,
    )
    _keep(state, reward, command.actor)
    state.put(state.found, ("reward", reward.id), reward.id)
    return Accepted(Opened(id=reward.id, created_at=state.now))


def change(state: State, command: ChangeReward) -> Outcome:
    """Give a reward new terms and, with `restock`, so many pieces from now on, whatever is out."""
    id = state.find(("reward", command.reward))
    if id is None:
        return Rejected(Rejection.REWARD_NOT_FOUND, "reward", {"reward": command.reward})
    refused = _refusal(state, command.terms, command.stock)
    if refused is not None:
        return refused
    reward = state.rewards[id]
    if (command.terms.kind, command.terms.codes) != (reward.terms.kind, reward.terms.codes):
        field = "code_batch" if command.terms.kind == reward.terms.kind else "kind"
        return Rejected(Rejection.INVALID_VALUE, field, {"reason": "a reward keeps it; make another one"})
    supply = reward.supply
    if command.restock:
        supply = None if command.stock is None else reward.claimed + command.stock
    _keep(
        state,
        msgspec.structs.replace(reward, version=reward.version + 1, supply=supply, terms=command.terms),
        command.actor,
    )
    return Accepted(Changed(id=id))


def _keep_list(state: State, listed: RewardList, actor: str) -> None:
    state.put(state.reward_lists, listed.id, listed)
    version = CatalogueVersion(
        kind="list",
        id=listed.id,
        belongs_to=str(listed.program_no),
        version=listed.version,
        supply=None,
        terms=listed.terms,
        recorded_at=state.now,
        actor=actor,
    )
    state.put(state.catalogue, (listed.id, listed.version), version)


def _keep(state: State, reward: Reward, actor: str) -> None:
    state.put(state.rewards, reward.id, reward)
    version = CatalogueVersion(
        kind="reward",
        id=reward.id,
        belongs_to=reward.list_id,
        version=reward.version,
        supply=reward.supply,
        terms=reward.terms,
        recorded_at=state.now,
        actor=actor,
    )
    state.put(state.catalogue, (reward.id, reward.version), version)


def _refusal(state: State, terms: RewardTerms, stock: int | None) -> Rejected | None:
    """What is wrong with a reward's terms."""
    refused = _common_refusal(terms)
    if refused is not None:
        return refused
    if stock is not None and not 0 <= stock <= PIECES_MAX:
        return Rejected(Rejection.INVALID_VALUE, "stock", {"minimum": 0, "maximum": PIECES_MAX})
    if terms.low_stock is not None and not 0 <= terms.low_stock <= PIECES_MAX:
        return Rejected(Rejection.INVALID_VALUE, "low_stock", {"minimum": 0, "maximum": PIECES_MAX})
    if terms.kind == "wallet_credit":
        if terms.asset not in state.config.assets:
            return Rejected(Rejection.ASSET_NOT_FOUND, "asset", {"asset": terms.asset})
        if terms.amount <= 0:
            return Rejected(Rejection.AMOUNT_NOT_POSITIVE, "amount_minor")
        if terms.amount > AMOUNT_MAX:
            return Rejected(Rejection.AMOUNT_OUT_OF_RANGE, "amount_minor", {"maximum": str(AMOUNT_MAX)})
    elif terms.asset or terms.amount:
        field = "asset" if terms.asset else "amount_minor"
        return Rejected(Rejection.INVALID_VALUE, field, {"reason": "only a wallet credit has one"})
    if terms.kind == "discount_code":
        if state.find(("code_batch", terms.codes)) is None:
            return Rejected(Rejection.CODE_BATCH_NOT_FOUND, "code_batch", {"batch": terms.codes})
    elif terms.codes:
        return Rejected(Rejection.INVALID_VALUE, "code_batch", {"reason": "only a discount code has one"})
    return None


def _common_refusal(terms: ListTerms | RewardTerms) -> Rejected | None:
    if terms.price is not None and terms.price < 0:
        return Rejected(Rejection.INVALID_VALUE, "price", {"minimum": 0})
    if terms.price is not None and terms.price > AMOUNT_MAX:
        return Rejected(Rejection.AMOUNT_OUT_OF_RANGE, "price", {"maximum": str(AMOUNT_MAX)})
    if terms.starts_at is not None and terms.ends_at is not None and terms.ends_at <= terms.starts_at:
        return Rejected(Rejection.INVALID_VALUE, "ends_at", {"reason": "it ends before it starts"})
    if terms.limit is not None and not 1 <= terms.limit <= PIECES_MAX:
        return Rejected(Rejection.INVALID_VALUE, "limit_per_member", {"minimum": 1, "maximum": PIECES_MAX})
    if isinstance(terms, ListTerms) and len(terms.tiers) + len(terms.segments) > AUDIENCE_MAX:
        return Rejected(Rejection.INVALID_VALUE, "tiers", {"maximum": AUDIENCE_MAX})
    if isinstance(terms, ListTerms) and abs(terms.priority) > PIECES_MAX:
        return Rejected(Rejection.INVALID_VALUE, "priority", {"maximum": PIECES_MAX})
    return None
