"""Rewards with their lists, and what members claimed of them."""

from __future__ import annotations

from collections import defaultdict

from guerdon.core.catalogue import Reward
from guerdon.store import rows
from guerdon.store.lookups.lookup import Keys, Lookup, Steps, kind, selectors, uuids

_REWARD = len(Reward.__struct_fields__)


@kind("reward_list")
def reward_lists(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("reward_lists", ids=uuids(keys))
    state = yield
    for row in answer.rows:
        state.found[("reward_list", row[0])] = rows.take_reward_list(state, row).id


@kind("reward")
def rewards(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("rewards", ids=uuids(keys))
    state = yield
    for row in answer.rows:
        reward = rows.take_reward(state, row[:_REWARD])
        state.found[("reward", reward.id)] = reward.id
        rows.take_reward_list(state, row[_REWARD:])
        if reward.terms.codes:
            lookup.code_runs.add((reward.terms.codes, reward.given))


@kind("claim")
def claims(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("claims", ids=uuids(keys))
    state = yield
    for row in answer.rows:
        claim = rows.take_claim(state, row[:-_REWARD])
        rows.take_reward(state, row[-_REWARD:])
        lookup.follow(claim.event_seq, claim.member_no)
        state.found[("claim", claim.id)] = claim.id


@kind("claimed")
def claimed(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("claimed", **selectors(keys))
    state = yield
    counts: dict[tuple[int, str], int] = defaultdict(int)
    for member_no, list_id, reward_id, count in answer.rows:
        state.found[("claimed", member_no)] = True
        if count is not None:
            counts[member_no, list_id] += count
            counts[member_no, reward_id] = count
    state.claimed.update(counts)
