"""What members did before: what they bought, paid and were given back, with that of members merged into them."""

from __future__ import annotations

from guerdon.core.pasts import cart_lines
from guerdon.core.promotions.past import Bought, Fact
from guerdon.store import rows
from guerdon.store.lookups.lookup import Keys, Lookup, Steps, by_member, column, kind, selectors


@kind("activity")
def activity(lookup: Lookup, keys: Keys) -> Steps:
    nos = column(keys, 1)
    families = lookup.run("families", nos=nos)
    bought = lookup.run("activity_purchases", nos=nos)
    returned = lookup.run("activity_returns", nos=nos)
    state = yield
    state.activity.update(rows.activities(families.rows, bought.rows, returned.rows))


@kind("past")
def past(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("past", **selectors(keys))
    state = yield
    facts = by_member(answer.rows, lambda at, paid, currency, purchase: Fact(at, int(paid), currency, purchase))
    for member_no, found in facts.items():
        state.found[("past", member_no)] = tuple(found)


@kind("past_lines")
def past_lines(lookup: Lookup, keys: Keys) -> Steps:
    answer = lookup.run("past_lines", **selectors(keys))
    state = yield
    bought = by_member(answer.rows, lambda at, lines: Bought(at, cart_lines(rows.lines_of(lines))))
    for member_no, found in bought.items():
        state.found[("past_lines", member_no)] = tuple(found)
