"""Purchases and their returns. A purchase brings all that came from it, on the second round trip."""

from __future__ import annotations

from guerdon.store import rows
from guerdon.store.lookups.lookup import Keys, Lookup, Steps, by, by_id, by_no, column, kind


@kind("purchase")
def purchases(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("purchases", ids=by_id(keys), texts=by(keys, "number"), nos=by_no(keys, "no"))
    wanted = set(keys)
    state = yield
    for row in answer.rows:
        purchase = rows.take_purchase(state, row)
        lookup.follow(purchase.event_seq, purchase.member_no)
        lookup.purchases.add(purchase.no)
        if purchase.redemption_id is not None:
            lookup.whole_events.add(state.redemptions[purchase.redemption_id].event_seq)
        for name, value in (("id", purchase.id), ("number", purchase.number), ("no", str(purchase.no))):
            if ("purchase", name, value) in wanted:
                state.found[("purchase", name, value)] = purchase.no


@kind("purchase_number")
def purchase_numbers(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("purchases", ids="{}", nos="{}", texts=column(keys, 1))
    state = yield
    for row in answer.rows:
        state.found[("purchase_number", row[2])] = rows.take_purchase(state, row).no


@kind("purchase_return_of")
def returns_of(lookup: Lookup, keys: Keys) -> Steps:
    lookup.purchases.update(key[1] for key in keys)
    yield  # the second round trip has them


@kind("return")
def returns(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("returns", texts=column(keys, 1))
    state = yield
    for row in answer.rows:
        state.found[("return", row[2])] = rows.take_return(state, row).no
