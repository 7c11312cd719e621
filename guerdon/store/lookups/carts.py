"""Carts: reserved, committed and returned, and what they used of promotions."""

from __future__ import annotations

from collections import defaultdict

from guerdon.store import rows
from guerdon.store.lookups.lookup import Keys, Lookup, Steps, by, by_id, column, kind, uuids


@kind("reservation")
def reservations(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("reservations", ids=uuids(keys), carts="{}")
    state = yield
    for row in answer.rows:
        reservation = rows.take_reservation(state, row)
        state.found[("reservation", reservation.id)] = reservation.id


@kind("reservation_cart")
def reservations_of_carts(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("reservations", ids="{}", carts=column(keys, 1))
    state = yield
    for row in answer.rows:
        reservation = rows.take_reservation(state, row)
        state.found[("reservation_cart", reservation.cart)] = reservation.id


@kind("cart_commit")
def commits_by_number(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("cart_commits", ids="{}", texts=column(keys, 1))
    state = yield
    for row in answer.rows:
        commit = rows.take_commit(state, row)
        state.found[("cart_commit", commit.number)] = commit.id


@kind("commit")
def commits(lookup: Lookup, keys: Keys) -> Steps:
    """Committed carts that are to be returned, with their uses and earlier returns."""
    named = {"ids": by_id(keys), "texts": by(keys, "number")}
    commits = lookup.run("cart_commits", **named)
    uses = lookup.run("uses_of_commits", **named)
    returns = lookup.run("returns_of_commits", **named)
    state = yield
    used: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for row in uses.rows:
        use = rows.take_use(state, row)
        used[use.event_seq].append((use.event_seq, use.position))
    returned: dict[str, list[str]] = defaultdict(list)
    for row in returns.rows:
        each = rows.take_cart_return(state, row)
        returned[each.commit_id].append(each.id)
    for row in commits.rows:
        commit = rows.take_commit(state, row)
        for key in (("commit", "id", commit.id), ("commit", "number", commit.number)):
            state.found[key] = commit.id
        state.found[("uses_by", commit.event_seq)] = tuple(used[commit.event_seq])
        state.found[("cart_returns_of", commit.id)] = tuple(returned[commit.id])
        lookup.follow(commit.event_seq, commit.member_no)


@kind("cart_return")
def cart_returns(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("cart_returns", texts=column(keys, 1))
    state = yield
    for row in answer.rows:
        returned = rows.take_cart_return(state, row)
        state.found[("cart_return", returned.number)] = returned.id


@kind("uses_of")
def uses_of_purchases(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("uses_of_purchases", nos=column(keys, 1))
    state = yield
    found: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for row in answer.rows:
        use = rows.take_use(state, row)
        found[use.purchase_no].append((use.event_seq, use.position))
    for key in keys:
        state.found[key] = tuple(found[key[1]])
