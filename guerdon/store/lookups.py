"""Kinds of keys: which statement finds what a key names, and what its rows mean to the state.

Each kind sends its statements and gives back what is to be done with their rows; `load.py` sees to it that all of them
travel together. Rows may name what else is needed (a purchase its events, an event its transfers): that is remembered
in the `Lookup`, and `ask_more` asks for it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime

from guerdon.core import state as core_state
from guerdon.core.catalogue import Reward
from guerdon.core.codes import LINKED_MAX, Code
from guerdon.core.handouts import RUN as CODE_RUN
from guerdon.core.handouts import CodeRun
from guerdon.core.imports import ImportedRow
from guerdon.core.pasts import cart_lines
from guerdon.core.promotions.past import Bought, Fact
from guerdon.core.purchases import Purchase
from guerdon.core.redemptions import Redemption
from guerdon.core.state import Key, State
from guerdon.core.transfers import Sent
from guerdon.store import rows
from guerdon.store.arrays import array
from guerdon.store.statements import statements
from guerdon.store.wire import Answer, Prepared, Wire

Take = Callable[[State], None]
"""Puts the rows of a statement that was sent into the state."""

_SQL = {name: Prepared(text) for name, text in statements("load").items()}
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
_NO = re.compile(r"[1-9][0-9]{0,17}").fullmatch
_REWARD = len(Reward.__struct_fields__)
_MEMBER_BY = frozenset({"id", "number"})

_Keys = list[Key]


class Lookup:
    """The statements of one batch, and what the rows so far say must be read next."""

    def __init__(self, wire: Wire, org_id: int, now: datetime) -> None:
        self._wire = wire
        self.org_id = org_id
        self._always = {"org": str(org_id), "now": now.isoformat()}
        self.transfers: set[int] = set()
        self.accounts: set[int] = set()
        self.events: set[int] = set()
        self.whole_events: set[int] = set()
        self.members: set[int] = set()
        self.purchases: set[int] = set()
        self.codes: set[str] = set()
        self.tiers = False
        """Whether anybody has a tier, as far as this process knows: where it is wrong, the batch is loaded again."""
        self.code_runs: set[tuple[str, int]] = set()

    def follows(self) -> bool:
        """Whether anything must be read next."""
        return bool(
            self.transfers or self.whole_events or self.members or self.purchases or self.codes or self.code_runs
        )

    def run(self, statement: str, /, **arrays: str) -> Answer:
        """Send a statement; its rows are there after the next sync."""
        return self._wire.send(_SQL[statement], {**self._always, **arrays})


def _accounts(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("accounts_by_id", ids=_uuids(keys), **_asking(0))

    def take(state: State) -> None:
        found = cursor.rows
        rows.take_accounts(state, found)
        for row in found:
            state.found[("account", row[1])] = row[0]

    return take


def _internal(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run(
        "accounts_by_indicator", indicators=array([k[1] for k in keys]), assets=array([k[2] for k in keys]),
        **_asking(0),
    )  # fmt: skip

    def take(state: State) -> None:
        found = cursor.rows
        rows.take_accounts(state, found)
        for row in found:
            state.found[("internal", row[4], row[3])] = row[0]

    return take


def _account_nos(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("accounts_by_no", nos=array([key[1] for key in keys]), **_asking(0))

    def take(state: State) -> None:
        found = cursor.rows
        rows.take_accounts(state, found)
        for row in found:
            state.found[("account_no", row[0])] = row[0]

    return take


def _programs(lookup: Lookup, _: _Keys) -> Take:
    cursor = lookup.run("accounts_of_programs", **_asking(0))

    def take(state: State) -> None:
        found = cursor.rows
        rows.take_accounts(state, found)
        for row in found:
            state.program_accounts[(row[6], row[8])] = row[0]
        state.found[("programs",)] = True

    return take


def _policies(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("policies", nos=array([key[1] for key in keys]), versions=array([key[2] for key in keys]))

    def take(state: State) -> None:
        for program_no, version, policies in cursor.rows:
            state.found[("policies", program_no, version)] = rows.policies(policies)

    return take


def _lots(lookup: Lookup, keys: _Keys) -> Take:
    every = [key for key in keys if len(key) == 2]
    asked: dict[int, int] = {}
    for _, no, size in [key for key in keys if len(key) == 3]:
        asked[no] = max(size, asked.get(no, 0))
    cursor = lookup.run("lots_open", nos=array([key[1] for key in every])) if every else None
    first = lookup.run("lots_first", nos=array(list(asked)), sizes=array(list(asked.values()))) if asked else None

    def take(state: State) -> None:
        if first is not None:
            rows.take_first_lots(state, first.rows, asked)
        if cursor is not None:
            rows.take_lots(state, cursor.rows)
        for key in every:
            state.found[key] = state.found[("due", key[1])] = True

    return take


def _ended_lots(lookup: Lookup, keys: _Keys) -> Take:
    asked = _sizes(keys)
    cursor = lookup.run("lots_ended", nos=array(list(asked)), sizes=array(list(asked.values())))

    def take(state: State) -> None:
        rows.take_ended_lots(state, cursor.rows, asked)

    return take


def _released_lots(lookup: Lookup, keys: _Keys) -> Take:
    asked = _sizes(keys)
    cursor = lookup.run("lots_released", nos=array(list(asked)), sizes=array(list(asked.values())))

    def take(state: State) -> None:
        rows.take_released_lots(state, cursor.rows, asked)

    return take


def _sizes(keys: _Keys) -> dict[int, int | None]:
    """How many lots are asked for of each account, None for all."""
    asked: dict[int, int | None] = {}
    for _, no, *size in keys:
        known = asked.get(no, 0)
        asked[no] = max(size[0], known) if size and known is not None else None
    return asked


def _lots_by_no(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("lots_by_no", nos=array([key[1] for key in keys]))

    def take(state: State) -> None:
        rows.take_lots(state, cursor.rows)

    return take


def _ledgers(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("ledgers", ids=_uuids(keys))

    def take(state: State) -> None:
        rows.take_ledgers(state, cursor.rows)

    return take


def _members(lookup: Lookup, keys: _Keys) -> Take:
    return _ask_members(lookup, keys, lots_asked=0)


def _spenders(lookup: Lookup, keys: _Keys) -> Take:
    take_members = _ask_members(lookup, keys, lots_asked=core_state.FIRST_LOTS)

    def take(state: State) -> None:
        take_members(state)
        for key in keys:
            member_key = ("member", *key[1:])
            state.asked.add(member_key)
            if member_key in state.found:
                state.found[key] = state.found[member_key]

    return take


def _asking(lots: int) -> dict[str, str]:
    """How many are asked for of an account's lots that are spent first, and of those that have come due."""
    return {"first": str(lots), "ended": str(core_state.DUE_LOTS)}


def _ask_members(lookup: Lookup, keys: _Keys, lots_asked: int) -> Take:
    asked = _selectors(keys)
    members = lookup.run("members", **asked)
    accounts = lookup.run("accounts_of_members", **asked, **_asking(lots_asked))

    def take(state: State) -> None:
        rows.take_members(state, members.rows)
        rows.take_member_accounts(state, accounts.rows, lots_asked)

    return take


def _selectors(keys: _Keys) -> dict[str, str]:
    """The members that keys name, by number alone or as callers do, as the statements take them."""
    keys = [key if len(key) == 3 else (key[0], "number", str(key[1])) for key in keys]
    named = [key for key in keys if key[1] not in _MEMBER_BY]
    return {
        "ids": array([key[2] for key in keys if key[1] == "id" and _UUID(key[2])]),
        "nos": array([key[2] for key in keys if key[1] == "number" and _NO(str(key[2]))]),
        "kinds": array([key[1] for key in named]),
        "texts": array([key[2] for key in named]),
    }


def _sent(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("sent", **_selectors(keys))

    def take(state: State) -> None:
        found: dict[int, set[int]] = defaultdict(set)
        for root, member_no, program_no, period, sent, count in cursor.rows:
            found[root].add(member_no)
            if period is not None:
                state.sent[member_no, program_no, period] = Sent(int(sent), count)
        state.found.update({("sent", root): tuple(sorted(nos)) for root, nos in found.items()})

    return take


def _standings(lookup: Lookup, keys: _Keys) -> Take:
    if not lookup.tiers:
        return _nothing
    cursor = lookup.run("standings", **_selectors(keys))

    def take(state: State) -> None:
        for row in cursor.rows:
            state.found[("standing", row[0])] = True
            if row[1] is not None:
                rows.take_standing(state, row)

    return take


def _nothing(state: State) -> None:
    """What is not asked for is not there."""


def _activity(lookup: Lookup, keys: _Keys) -> Take:
    nos = array([key[1] for key in keys])
    families = lookup.run("families", nos=nos)
    bought = lookup.run("activity_purchases", nos=nos)
    returned = lookup.run("activity_returns", nos=nos)

    def take(state: State) -> None:
        state.activity.update(rows.activities(families.rows, bought.rows, returned.rows))

    return take


def _persons(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("persons", nos=array([key[1] for key in keys]))

    def take(state: State) -> None:
        state.persons.update(rows.persons(cursor.rows))

    return take


def _referrals_of(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("referrals_of", **_selectors(keys))

    def take(state: State) -> None:
        for member_no, *row in cursor.rows:
            state.found[("referral_of", member_no)] = row[0]
            if row[0] is not None:
                rows.take_referral(state, tuple(row))

    return take


def _referrals(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("referrals", ids=_uuids(keys))

    def take(state: State) -> None:
        for row in cursor.rows:
            referral = rows.take_referral(state, row)
            lookup.members.update((referral.referrer_no, referral.referred_no))
            lookup.whole_events.update(seq for seq in (referral.referrer_event, referral.referred_event) if seq)
            state.found[("referral", referral.id)] = referral.id

    return take


def _adjustments(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("adjustments", ids=_uuids(keys))

    def take(state: State) -> None:
        for row in cursor.rows:
            adjustment = rows.take_adjustment(state, row)
            lookup.members.add(adjustment.member_no)
            state.found[("adjustment", adjustment.id)] = adjustment.id

    return take


def _reward_lists(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("reward_lists", ids=_uuids(keys))

    def take(state: State) -> None:
        for row in cursor.rows:
            state.found[("reward_list", row[0])] = rows.take_reward_list(state, row).id

    return take


def _rewards(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("rewards", ids=_uuids(keys))

    def take(state: State) -> None:
        for row in cursor.rows:
            reward = rows.take_reward(state, row[:_REWARD])
            state.found[("reward", reward.id)] = reward.id
            rows.take_reward_list(state, row[_REWARD:])
            if reward.terms.codes:
                lookup.code_runs.add((reward.terms.codes, reward.given))

    return take


def _claims(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("claims", ids=_uuids(keys))

    def take(state: State) -> None:
        for row in cursor.rows:
            claim = rows.take_claim(state, row[:-_REWARD])
            rows.take_reward(state, row[-_REWARD:])
            lookup.members.add(claim.member_no)
            lookup.whole_events.add(claim.event_seq)
            state.found[("claim", claim.id)] = claim.id

    return take


def _claimed(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("claimed", **_selectors(keys))

    def take(state: State) -> None:
        counts: dict[tuple[int, str], int] = defaultdict(int)
        for member_no, list_id, reward_id, count in cursor.rows:
            state.found[("claimed", member_no)] = True
            if count is not None:
                counts[member_no, list_id] += count
                counts[member_no, reward_id] = count
        state.claimed.update(counts)

    return take


def _heirs(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("heirs", nos=array([key[1] for key in keys]))

    def take(state: State) -> None:
        for no, survivor_no in cursor.rows:
            lookup.members.update((no, survivor_no))
            state.found[("heir", no)] = survivor_no

    return take


def _lifetimes(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("lifetimes", nos=array([key[1] for key in keys]))

    def take(state: State) -> None:
        for account_no, earned in cursor.rows:
            state.lifetimes[account_no] = int(earned)

    return take


def _transfers(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("transfers", ids=_uuids(keys))

    def take(state: State) -> None:
        found = cursor.rows
        rows.take_transfers(state, found)
        seqs: dict[str, list[int]] = defaultdict(list)
        for row in found:
            seq, id_, request_id, parent = row[0], row[1], row[15], row[17]
            for name in {id_, request_id, parent}:
                seqs[name].append(seq)
            lookup.transfers.add(seq)
            lookup.accounts.update((row[4], row[5]))
            lookup.events.add(row[2])
        for key in keys:
            if key[1] in seqs:
                state.found[key] = tuple(seqs[key[1]])

    return take


def _references(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("references", texts=array([key[1] for key in keys]))

    def take(state: State) -> None:
        for reference, seq in cursor.rows:
            state.found[("reference", reference)] = seq

    return take


def _outcomes(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("outcomes", actors=array([key[1] for key in keys]), keys=array([key[2] for key in keys]))

    def take(state: State) -> None:
        for actor, key, fingerprint, answer in cursor.rows:
            state.found[("outcome", actor, key)] = (fingerprint, answer)

    return take


def _events(lookup: Lookup, keys: _Keys) -> Take:
    lookup.whole_events.update(key[1] for key in keys)

    def take(state: State) -> None:
        pass  # the second round trip has them

    return take


def _purchases(lookup: Lookup, keys: _Keys) -> Take:
    by = {name: [key[2] for key in keys if key[1] == name] for name in ("id", "number", "no")}
    cursor = lookup.run(
        "purchases", ids=array([id_ for id_ in by["id"] if _UUID(id_)]), texts=array(by["number"]),
        nos=array([no for no in by["no"] if _NO(str(no))]),
    )  # fmt: skip

    def take(state: State) -> None:
        for row in cursor.rows:
            purchase = rows.take_purchase(state, row)
            _follow(lookup, state, purchase)
            for name, value in (("id", purchase.id), ("number", purchase.number), ("no", str(purchase.no))):
                if ("purchase", name, value) in wanted:
                    state.found[("purchase", name, value)] = purchase.no

    wanted = set(keys)
    return take


def _purchase_numbers(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("purchases", ids="{}", nos="{}", texts=array([key[1] for key in keys]))

    def take(state: State) -> None:
        for row in cursor.rows:
            state.found[("purchase_number", row[2])] = rows.take_purchase(state, row).no

    return take


def _returns(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("returns", texts=array([key[1] for key in keys]))

    def take(state: State) -> None:
        for row in cursor.rows:
            state.found[("return", row[2])] = rows.take_return(state, row).no

    return take


def _returns_of(lookup: Lookup, keys: _Keys) -> Take:
    lookup.purchases.update(key[1] for key in keys)

    def take(state: State) -> None:
        pass  # the second round trip has them

    return take


def _redemptions(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("redemptions", ids=_uuids(keys), texts="{}")

    def take(state: State) -> None:
        for row in cursor.rows:
            redemption = rows.take_redemption(state, row)
            _follow(lookup, state, redemption)
            state.found[("redemption", redemption.id)] = redemption.id

    return take


def _redemption_references(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("redemptions", ids="{}", texts=array([key[1] for key in keys]))

    def take(state: State) -> None:
        for row in cursor.rows:
            redemption = rows.take_redemption(state, row)
            state.found[("redemption_reference", redemption.reference)] = redemption.id

    return take


def _code_batches(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("code_batches", ids=_uuids(keys))

    def take(state: State) -> None:
        for row in cursor.rows:
            rows.take_code_batch(state, row)

    return take


def _codes(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("codes", texts=array([key[1] for key in keys]))

    def take(state: State) -> None:
        for row in cursor.rows:
            member_no = rows.take_code(state, row)
            if member_no:
                lookup.members.add(member_no)

    return take


def _code_runs(lookup: Lookup, keys: _Keys) -> Take:
    after: dict[str, int] = {}
    for _, batch, given in keys:
        after[batch] = min(given, after.get(batch, given))
    cursor = lookup.run("code_runs", batches=array(list(after)), after=array(list(after.values())), limit=str(CODE_RUN))

    def take(state: State) -> None:
        found: dict[str, list[Code]] = defaultdict(list)
        for row in cursor.rows:
            *batch, code, no = row
            id = rows.take_code_batch(state, tuple(batch)).id
            found[id] += [] if code is None else [Code(code, id, no)]
        for id, codes in found.items():
            whole = len(codes) < CODE_RUN
            upto = state.code_batches[id].made if whole else codes[-1].no
            state.codes.update((code.code, code) for code in codes)
            state.found[("code_run", id)] = CodeRun(tuple(code.code for code in codes), upto, whole)

    return take


def _uses_of_codes(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("uses_of_codes", texts=array([key[1] for key in keys]))

    def take(state: State) -> None:
        for row in cursor.rows:
            rows.take_use(state, row)
        for key in keys:
            state.found[key] = True

    return take


def _codes_of(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("codes_of", **_selectors(keys), linked=str(LINKED_MAX))

    def take(state: State) -> None:
        linked: dict[int, list[str]] = defaultdict(list)
        for member_no, code in cursor.rows:
            linked[member_no] += [] if code is None else [code]
        for member_no, codes in linked.items():
            state.found[("codes_of", member_no)] = tuple(codes)
            lookup.codes.update(codes)

    return take


def _issues(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("issues", ids=_uuids(keys))

    def take(state: State) -> None:
        for row in cursor.rows:
            lookup.members.add(rows.take_issue(state, row).member_no)

    return take


def _issues_of(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("issues_of", **_selectors(keys))

    def take(state: State) -> None:
        given: dict[int, list[str]] = defaultdict(list)
        for member_no, *row in cursor.rows:
            given[member_no] += [] if row[0] is None else [rows.take_issue(state, tuple(row)).id]
        for member_no, issues in given.items():
            state.found[("issues_of", member_no)] = tuple(issues)

    return take


def _past(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("past", **_selectors(keys))

    def take(state: State) -> None:
        facts: dict[int, list[Fact]] = defaultdict(list)
        for member_no, at, paid, currency, purchase in cursor.rows:
            facts[member_no] += [] if at is None else [Fact(at, int(paid), currency, purchase)]
        for member_no, found in facts.items():
            state.found[("past", member_no)] = tuple(found)

    return take


def _past_lines(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("past_lines", **_selectors(keys))

    def take(state: State) -> None:
        bought: dict[int, list[Bought]] = defaultdict(list)
        for member_no, at, lines in cursor.rows:
            bought[member_no] += [] if at is None else [Bought(at, cart_lines(rows.lines_of(lines)))]
        for member_no, found in bought.items():
            state.found[("past_lines", member_no)] = tuple(found)

    return take


def _forebears(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("forebears", nos=array([key[1] for key in keys]))

    def take(state: State) -> None:
        found: dict[int, tuple[tuple[int, str], ...]] = {key[1]: () for key in keys}
        for root, no, id in cursor.rows:
            found[root] = (*found[root], (no, id))
        state.found.update({("forebears", root): them for root, them in found.items()})

    return take


def _counters(lookup: Lookup, keys: _Keys) -> Take:
    names = ("owners", "limits", "subjects", "periods")
    cursor = lookup.run("counters", **{name: array([key[i] for key in keys]) for i, name in enumerate(names, 1)})

    def take(state: State) -> None:
        for row in cursor.rows:
            rows.take_counter(state, row)

    return take


def _reservations(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("reservations", ids=_uuids(keys), carts="{}")

    def take(state: State) -> None:
        for row in cursor.rows:
            reservation = rows.take_reservation(state, row)
            state.found[("reservation", reservation.id)] = reservation.id

    return take


def _reservations_of_carts(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("reservations", ids="{}", carts=array([key[1] for key in keys]))

    def take(state: State) -> None:
        for row in cursor.rows:
            reservation = rows.take_reservation(state, row)
            state.found[("reservation_cart", reservation.cart)] = reservation.id

    return take


def _cart_commits(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("cart_commits", ids="{}", texts=array([key[1] for key in keys]))

    def take(state: State) -> None:
        for row in cursor.rows:
            commit = rows.take_commit(state, row)
            state.found[("cart_commit", commit.number)] = commit.id

    return take


def _commits(lookup: Lookup, keys: _Keys) -> Take:
    """Committed carts that are to be returned, with their uses and earlier returns."""
    by = {name: [key[2] for key in keys if key[1] == name] for name in ("id", "number")}
    named = {"ids": array([id_ for id_ in by["id"] if _UUID(id_)]), "texts": array(by["number"])}
    commits = lookup.run("cart_commits", **named)
    uses = lookup.run("uses_of_commits", **named)
    returns = lookup.run("returns_of_commits", **named)

    def take(state: State) -> None:
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
            lookup.whole_events.add(commit.event_seq)
            if commit.member_no:
                lookup.members.add(commit.member_no)

    return take


def _cart_returns(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("cart_returns", texts=array([key[1] for key in keys]))

    def take(state: State) -> None:
        for row in cursor.rows:
            returned = rows.take_cart_return(state, row)
            state.found[("cart_return", returned.number)] = returned.id

    return take


def _uses_of(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("uses_of_purchases", nos=array([key[1] for key in keys]))

    def take(state: State) -> None:
        found: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for row in cursor.rows:
            use = rows.take_use(state, row)
            found[use.purchase_no].append((use.event_seq, use.position))
        for key in keys:
            state.found[key] = tuple(found[key[1]])

    return take


def _promotion_versions(lookup: Lookup, keys: _Keys) -> Take:
    ids, versions = array([key[1] for key in keys]), array([key[2] for key in keys])
    cursor = lookup.run("promotion_versions", ids=ids, versions=versions)

    def take(state: State) -> None:
        for (text,) in cursor.rows:
            terms = rows.promotion(text)
            state.found[("promotion_version", terms.id, terms.version)] = terms

    return take


def _imported(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("imported", kinds=array([key[1] for key in keys]), texts=array([key[2] for key in keys]))

    def take(state: State) -> None:
        for row in cursor.rows:
            imported = ImportedRow(**dict(zip(ImportedRow.__struct_fields__, row, strict=True)))
            state.found[("imported", imported.kind, imported.reference)] = imported

    return take


def _metadata(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("metadata", kinds=array([key[1] for key in keys]), texts=array([key[2] for key in keys]))

    def take(state: State) -> None:
        for kind, object_, version, meta in cursor.rows:
            state.metadata[(kind, object_)] = (version, meta)
            state.found[("metadata", kind, object_)] = (version, meta)

    return take


def _api_keys(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("api_keys", ids=_uuids(keys))

    def take(state: State) -> None:
        for row in cursor.rows:
            state.api_keys[row[0]] = rows.api_key(row)
            state.found[("key", row[0])] = row[0]

    return take


def _webhooks(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("webhooks", ids=_uuids(keys))

    def take(state: State) -> None:
        for row in cursor.rows:
            state.webhooks[row[0]] = rows.webhook(row)
            state.found[("webhook", row[0])] = row[0]

    return take


def _event_ids(lookup: Lookup, keys: _Keys) -> Take:
    cursor = lookup.run("event_ids", ids=_uuids(keys))

    def take(state: State) -> None:
        for id_, seq in cursor.rows:
            state.found[("event_id", id_)] = seq

    return take


KINDS: dict[str, Callable[[Lookup, _Keys], Take]] = {
    "account": _accounts,
    "internal": _internal,
    "account_no": _account_nos,
    "programs": _programs,
    "policies": _policies,
    "lots": _lots,
    "due": _ended_lots,
    "released": _released_lots,
    "lot": _lots_by_no,
    "ledger": _ledgers,
    "member": _members,
    "spend": _spenders,
    "heir": _heirs,
    "sent": _sent,
    "lifetime": _lifetimes,
    "standing": _standings,
    "activity": _activity,
    "person": _persons,
    "adjustment": _adjustments,
    "referral": _referrals,
    "referral_of": _referrals_of,
    "reward_list": _reward_lists,
    "reward": _rewards,
    "claim": _claims,
    "claimed": _claimed,
    "transfer": _transfers,
    "reference": _references,
    "outcome": _outcomes,
    "event": _events,
    "purchase": _purchases,
    "purchase_number": _purchase_numbers,
    "purchase_return_of": _returns_of,
    "return": _returns,
    "redemption": _redemptions,
    "redemption_reference": _redemption_references,
    "code": _codes,
    "code_batch": _code_batches,
    "code_run": _code_runs,
    "code_uses": _uses_of_codes,
    "codes_of": _codes_of,
    "issue": _issues,
    "issues_of": _issues_of,
    "past": _past,
    "past_lines": _past_lines,
    "counter": _counters,
    "forebears": _forebears,
    "reservation": _reservations,
    "reservation_cart": _reservations_of_carts,
    "cart_commit": _cart_commits,
    "commit": _commits,
    "cart_return": _cart_returns,
    "uses_of": _uses_of,
    "promotion_version": _promotion_versions,
    "imported": _imported,
    "event_id": _event_ids,
    "metadata": _metadata,
    "key": _api_keys,
    "webhook": _webhooks,
}


def _uuids(keys: _Keys) -> str:
    """The ids of keys that have one; what is no uuid names nothing."""
    return array([key[1] for key in keys if _UUID(key[1])])


# -- the second round trip --------------------------------------------------------------------------------------------


def _follow(lookup: Lookup, state: State, fact: Purchase | Redemption) -> None:
    """Read on from a purchase or redemption: its events with their transfers and lots, its member; a purchase's returns
    and every lot that came from it.
    """
    lookup.whole_events.add(fact.event_seq)
    if fact.member_no:
        lookup.members.add(fact.member_no)
    if isinstance(fact, Purchase):
        lookup.purchases.add(fact.no)
        if fact.redemption_id is not None:
            lookup.whole_events.add(state.redemptions[fact.redemption_id].event_seq)


def ask_more(lookup: Lookup) -> list[Take]:
    takers: list[Take] = []
    if lookup.whole_events or lookup.events:
        takers.append(_ask_events(lookup))
    if lookup.transfers:
        takers.append(_ask_transfers(lookup))
    if lookup.members:
        members = [("spend", "number", str(no)) for no in lookup.members]
        takers.append(_ask_members(lookup, members, core_state.FIRST_LOTS))
    if lookup.purchases:
        takers.append(_ask_returns(lookup))
    if lookup.codes:
        takers.append(_codes(lookup, [("code", code) for code in lookup.codes]))
    if lookup.code_runs:
        takers.append(_code_runs(lookup, [("code_run", batch, given) for batch, given in lookup.code_runs]))
    return takers


def _ask_events(lookup: Lookup) -> Take:
    seqs, whole = array(lookup.events | lookup.whole_events), array(lookup.whole_events)
    events = lookup.run("events", seqs=seqs)
    lots = lookup.run("lots_of_events", seqs=seqs)
    transfers = lookup.run("transfers_of_events", seqs=whole)
    accounts = lookup.run("accounts_of_events", seqs=whole, **_asking(core_state.FIRST_LOTS))

    def take(state: State) -> None:
        rows.take_events(state, events.rows)
        rows.take_lots(state, lots.rows)
        rows.take_transfers(state, transfers.rows)
        rows.take_accounts(state, accounts.rows, core_state.FIRST_LOTS)
        for seq in lookup.whole_events & state.events.keys():
            state.found[("event", seq)] = seq

    return take


def _ask_transfers(lookup: Lookup) -> Take:
    seqs = array(lookup.transfers)
    holds = lookup.run("holds", seqs=seqs)
    scheduled = lookup.run("scheduled", seqs=seqs)
    accounts = lookup.run("accounts_by_no", nos=array(lookup.accounts), **_asking(core_state.FIRST_LOTS))

    def take(state: State) -> None:
        rows.take_holds(state, holds.rows)
        rows.take_scheduled(state, scheduled.rows)
        rows.take_accounts(state, accounts.rows, core_state.FIRST_LOTS)

    return take


def _ask_returns(lookup: Lookup) -> Take:
    nos = array(lookup.purchases)
    cursor = lookup.run("returns_of_purchases", nos=nos)
    lots = lookup.run("lots_of_purchases", nos=nos)

    def take(state: State) -> None:
        rows.take_lots(state, lots.rows)
        returns_of: dict[int, list[int]] = {no: [] for no in lookup.purchases}
        for row in cursor.rows:
            returned = rows.take_return(state, row)
            returns_of[returned.purchase_no].append(returned.no)
        for purchase_no, nos in returns_of.items():
            state.found[("purchase_return_of", purchase_no)] = tuple(nos)

    return take
