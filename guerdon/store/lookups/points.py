"""What becomes of members' points: redemptions, adjustments, what was sent, and all that was ever earned."""

from __future__ import annotations

from collections import defaultdict

from guerdon.core.transfers import Sent
from guerdon.store import rows
from guerdon.store.lookups.lookup import Keys, Lookup, Steps, column, kind, selectors, uuids


@kind("redemption")
def redemptions(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("redemptions", ids=uuids(keys), texts="{}")
    state = yield
    for row in answer.rows:
        redemption = rows.take_redemption(state, row)
        lookup.follow(redemption.event_seq, redemption.member_no)
        state.found[("redemption", redemption.id)] = redemption.id


@kind("redemption_reference")
def redemption_references(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("redemptions", ids="{}", texts=column(keys, 1))
    state = yield
    for row in answer.rows:
        redemption = rows.take_redemption(state, row)
        state.found[("redemption_reference", redemption.reference)] = redemption.id


@kind("adjustment")
def adjustments(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("adjustments", ids=uuids(keys))
    state = yield
    for row in answer.rows:
        adjustment = rows.take_adjustment(state, row)
        lookup.members.add(adjustment.member_no)
        state.found[("adjustment", adjustment.id)] = adjustment.id


@kind("sent")
def sent(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("sent", **selectors(keys))
    state = yield
    found: dict[int, set[int]] = defaultdict(set)
    for root, member_no, program_no, period, points, count in answer.rows:
        found[root].add(member_no)
        if period is not None:
            state.sent[member_no, program_no, period] = Sent(int(points), count)
    state.found.update({("sent", root): tuple(sorted(nos)) for root, nos in found.items()})


@kind("lifetime")
def lifetimes(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("lifetimes", nos=column(keys, 1))
    state = yield
    for account_no, earned in answer.rows:
        state.lifetimes[account_no] = int(earned)
