"""Members, ready to be told of or to spend; who was merged into whom, where they stand, and who referred them."""

from __future__ import annotations

from collections.abc import Generator

from guerdon.core import state as core_state
from guerdon.core.state import State
from guerdon.store import rows
from guerdon.store.lookups.accounts import asking
from guerdon.store.lookups.lookup import Keys, Lookup, Steps, column, kind, selectors, uuids


@kind("member")
def members(lookup: Lookup, keys: Keys) -> Steps:
    yield from members_with_lots(lookup, keys, 0)


@kind("spend")
def spenders(lookup: Lookup, keys: Keys) -> Steps:
    state = yield from members_with_lots(lookup, keys, core_state.FIRST_LOTS)
    for key in keys:
        member_key = ("member", *key[1:])
        state.asked.add(member_key)
        if member_key in state.found:
            state.found[key] = state.found[member_key]


def members_with_lots(lookup: Lookup, keys: Keys, lots_asked: int) -> Generator[None, State, State]:
    """Members with their accounts, and so many of the lots of each that are spent first."""
    asked = selectors(keys)
    members = lookup.run("members", **asked)
    accounts = lookup.run("accounts_of_members", **asked, **asking(lots_asked))
    state = yield
    rows.take_members(state, members.rows)
    rows.take_member_accounts(state, accounts.rows, lots_asked)
    return state


@kind("heir")
def heirs(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("heirs", nos=column(keys, 1))
    state = yield
    for no, survivor_no in answer.rows:
        lookup.members.update((no, survivor_no))
        state.found[("heir", no)] = survivor_no


@kind("forebears")
def forebears(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("forebears", nos=column(keys, 1))
    state = yield
    found: dict[int, tuple[tuple[int, str], ...]] = {key[1]: () for key in keys}
    for root, no, id in answer.rows:
        found[root] = (*found[root], (no, id))
    state.found.update({("forebears", root): them for root, them in found.items()})


@kind("person")
def persons(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("persons", nos=column(keys, 1))
    state = yield
    state.persons.update(rows.persons(answer.rows))


@kind("standing")
def standings(lookup: Lookup, keys: Keys) -> Steps:
    if not lookup.tiers:
        return  # what is not asked for is not there
    answer = lookup.run("standings", **selectors(keys))
    state = yield
    for row in answer.rows:
        state.found[("standing", row[0])] = True
        if row[1] is not None:
            rows.take_standing(state, row)


@kind("referral")
def referrals(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("referrals", ids=uuids(keys))
    state = yield
    for row in answer.rows:
        referral = rows.take_referral(state, row)
        lookup.members.update((referral.referrer_no, referral.referred_no))
        lookup.whole_events.update(seq for seq in (referral.referrer_event, referral.referred_event) if seq)
        state.found[("referral", referral.id)] = referral.id


@kind("referral_of")
def referrals_of(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("referrals_of", **selectors(keys))
    state = yield
    for member_no, *row in answer.rows:
        state.found[("referral_of", member_no)] = row[0]
        if row[0] is not None:
            rows.take_referral(state, tuple(row))
