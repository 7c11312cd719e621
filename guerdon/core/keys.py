"""What each command touches: the keys of the rows that must be loaded before it can be decided.

Pure and generous: a key too many costs a look-up, a key too few costs a second batch (`state.NotLoaded`), neither costs
correctness. `store/load.py` knows what each kind of key brings along:

    ("account", id)  ("internal", name, asset)  ("ledger", id)     the account with its figures and the lots that ended
                                                                   or were released (the first `state.DUE_LOTS` of each)
    ("lots", account number)                                       all its open lots
    ("lots", account number, count)                                so many of them, those that are spent first
    ("due", account number)  ("due", account number, count)        those that have ended: all, or so many
    ("released", account number)  ("released", account number, count)
                                                                   those that were released: all, or so many
    ("member", by, value)                                          the member, its accounts, figures and overdue lots
    ("spend", by, value)                                           the same, with the first of the open lots
    ("programs",)                                                  the internal accounts of all programs
    ("policies", program number, version)                          what a program's policies were
    ("transfer", id)                                               transfers of that id, request or parent; their holds
    ("lot", number)  ("account_no", number)
    ("event", seq)                                                 the event, its transfers and every lot it names
    ("reference", text)  ("outcome", actor, key)
    ("purchase", by, value)                                        the purchase with its event's transfers, its lots
                                                                   wherever they lie, its returns, redemption, and the
                                                                   member, ready to spend
    ("purchase_number", number)                                    the purchase that has it, alone
    ("purchase_return_of", purchase number)                        its returns, and its lots wherever they lie
    ("return", number)  ("redemption", id)  ("redemption_reference", text)
    ("imported", kind, reference)                                  a row of an import that was taken
    ("heir", member number)                                        whom a merged member was merged into, and so on: each
                                                                   ready to spend
    ("sent", by, value)  ("sent", member number)                   what a member, or one merged into it, has sent lately
    ("lifetime", account number)                                   what it was ever credited with (`points.lifetime`)
    ("adjustment", id)                                             with its decision and the member, ready to spend
    ("referral_of", by, value)  ("referral_of", member number)     that of the member who was referred, or the earliest
                                                                   of those of members merged into it
    ("referral", id)                                               with its events, and both members, ready to spend
    ("reward_list", id)  ("reward", id)                            the reward with its list
    ("claim", id)                                                  with its reward, its event and the member, ready to
                                                                   spend
    ("claimed", by, value)  ("claimed", member number)             how often a member claimed from each list and of each
                                                                   reward
    ("standing", by, value)  ("standing", member number)           how a member stands in the programs that have tiers
    ("person", member number)                                      a member's profile, and the lists it is on
    ("forebears", member number)                                   who was merged into a member, and into those:
                                                                   their numbers and ids
    ("activity", member number)                                    all that a member bought, and those merged into it
    ("code", text)                                                 a code as it is compared, with its batch, switches,
                                                                   link, and the member it is linked to
    ("issue", id)                                                  an issue of a promotion, with what was done to it,
                                                                   and the member
    ("issues_of", by, value)  ("issues_of", member number)         a member's, of promotions that have not ended, with
                                                                   those of members merged into it
    ("code_batch", id)                                             a batch of codes, with its own switch
    ("code_run", batch, number)                                    the first codes after it that are free to hand out
    ("code_uses", text)                                            what a code was used for
    ("codes_of", by, value)  ("codes_of", member number)           the codes linked to a member, each as above, with
                                                                   those of members merged into it
    ("past", member number)  ("past_lines", member number)         what a member paid and was given back, and the lines
                                                                   of its purchases; those of members merged into it too
    ("counter", owner, limit, subject, period)                     how far a promotion's limit is used up
    ("reservation", id)  ("reservation_cart", cart)                a reservation; the open one of a cart
    ("cart_commit", number)  ("uses_of", purchase number)
    ("commit", by, value)                                          a committed cart with its event, uses and returns,
                                                                   and the member
    ("cart_return", number)
    ("event_id", id)                                               whether there is such an event
    ("promotion_version", id, version)                             what a promotion said in one of its versions
    ("metadata", kind, id)  ("key", id)  ("webhook", id)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from guerdon.core import commands as c
from guerdon.core.catalogue import RewardTerms
from guerdon.core.codes import presented_keys
from guerdon.core.programs import ROLES, internal_name
from guerdon.core.state import Key


def keys(command: c.Command) -> list[Key]:
    """The keys of one command, in no order, duplicates allowed."""
    needs = _KEYS.get(type(command))
    found = needs(command) if needs is not None else []
    if command.key:
        found.append(("outcome", command.actor, command.key))
    return found


def weight(command: c.Command) -> int:
    """About how many rows the command writes; at least 1."""
    weighs = _WEIGHTS.get(type(command), 2)
    return weighs if isinstance(weighs, int) else weighs(command)


def _expiring(command: c.ExpireLots) -> int:
    lots = command.lots if command.at_most is None else min(command.lots, command.at_most)
    return 4 * max(1, len(command.accounts), lots)


def account_key(name: str, asset: str) -> Key:
    """An account as a posting names it: `@Name` is internal to its asset, anything else is an id."""
    return ("internal", name, asset) if name[:1] == "@" else ("account", name)


def _post(command: c.Post) -> list[Key]:
    found: list[Key] = []
    for posting in command.postings:
        asset = posting.asset
        if posting.source:
            found.append(account_key(posting.source, asset))
        if posting.destination:
            found.append(account_key(posting.destination, asset))
        legs = posting.sources or posting.destinations
        if legs or posting.queued:
            found += [account_key(leg.account, asset) for leg in legs]
            found += [("reference", reference) for reference in references(posting, len(legs))]
        else:
            found.append(("reference", posting.reference))
    return found


def references(posting: c.Posting, legs: int) -> list[str]:
    """Every reference a posting takes: its own, its legs', and those of the outcomes of a queued one."""
    own = posting.reference
    if not legs and not posting.queued:
        return [own]
    if not legs:
        return [own, own + "_q"]
    if posting.queued:
        return [own] + [f"{own}_{i}" for i in range(1, legs + 1)] + [f"{own}_{i}_q" for i in range(1, legs + 1)]
    return [own] + [f"{own}-{i}" for i in range(1, legs + 1)]


def refund_reference(id: str) -> str:
    """The reference of a transfer's one refund."""
    return f"txn_{id}_refund"


def _purchase(command: c.RecordPurchase) -> list[Key]:
    found: list[Key] = [("purchase_number", command.number), ("programs",)]
    if command.member:
        found += [("spend" if command.spend else "member", *command.member), ("standing", *command.member)]
    if command.promoted:
        found += _carts(command)
    if command.wallet:
        found += [("account", command.wallet), ("internal", f"@Revenue{command.currency}", command.currency)]
    return found


def _carts(command: c.RecordPurchase | c.CommitCart | c.EvaluateCart) -> list[Key]:
    """What promotions need to know of a cart. Which counters is known when its promotions are."""
    found: list[Key] = [("programs",), *presented_keys(command.codes, command.member)]
    if command.member:
        found += [("member", *command.member), ("standing", *command.member), ("issues_of", *command.member)]
    if isinstance(command, c.EvaluateCart):
        return [*found, ("reservation_cart", command.cart)] if command.cart else found
    if command.reservation:
        found.append(("reservation", command.reservation))
    return found


def _annotate(command: c.Annotate) -> list[Key]:
    found: list[Key] = [("metadata", command.kind, command.object)]
    named = {"ldg": ("ledger",), "bln": ("account",), "txn": ("transfer",), "bulk": ("transfer",)}
    if command.kind == "idt":
        found.append(("member", "id", command.object))
    elif command.kind in named:
        found.append((*named[command.kind], command.object))
    return found


def _code_batch(terms: RewardTerms) -> list[Key]:
    return [("code_batch", terms.codes)] if terms.codes else []


def _identifiers(command: c.RegisterMember | c.ChangeMember) -> list[Key]:
    return [("member", kind, value) for kind, value in command.identifiers or ()]


# Commands that are not here touch nothing but the configuration, which is always there.
_KEYS: dict[type[c.Command], Callable[[Any], list[Key]]] = {
    c.RenameLedger: lambda x: [("ledger", x.ledger)],
    c.OpenAccount: lambda x: (
        [("ledger", x.ledger)]
        + ([("member", "id", x.member)] if x.member else [])
        + ([("internal", x.indicator, x.asset)] if x.indicator else [])
    ),
    c.AssignAccount: lambda x: [("account", x.account), ("member", "id", x.member)],
    c.Post: _post,
    c.Settle: lambda x: [("transfer", x.target)],
    c.Release: lambda x: [("transfer", x.target)],
    c.Refund: lambda x: [("transfer", x.target), ("reference", refund_reference(x.target))],
    c.Preview: lambda x: [key for each in x.of for key in keys(each)],
    c.RunScheduled: lambda x: [("transfer", x.target)],
    c.Annotate: _annotate,
    c.RevokeKey: lambda x: [("key", x.target)],
    c.ChangeWebhook: lambda x: [("webhook", x.target)],
    c.RotateWebhookSecret: lambda x: [("webhook", x.target)],
    c.ReplayWebhook: lambda x: [("webhook", x.target)],
    c.PauseWebhook: lambda x: [("webhook", x.target)],
    c.NoteFailingWebhook: lambda x: [("webhook", x.target)],
    c.RemoveWebhook: lambda x: [("webhook", x.target)],
    c.CreateProgram: lambda x: [
        ("programs",),
        *(("internal", internal_name(role, first, x.code), x.asset) for role in ROLES for first in (True, False)),
    ],
    c.RegisterMember: lambda x: [("programs",) if x.enrol else ("member", "id", x.id), *_identifiers(x)],
    c.ChangeMember: lambda x: [("member", *x.member), *_identifiers(x)],
    c.RemoveMember: lambda x: [("member", *x.member)],
    c.RecordPurchase: _purchase,
    c.ReturnPurchase: lambda x: [("purchase", *x.purchase), ("return", x.number), ("programs",)],
    c.EvaluateCart: _carts,
    c.CommitCart: lambda x: [("cart_commit", x.number), *_carts(x)],
    c.ReturnCart: lambda x: [("commit", *x.commit), ("cart_return", x.number), ("programs",)],
    c.CancelReservation: lambda x: [("reservation", x.reservation)],
    c.Redeem: lambda x: (
        [("spend", *x.member), ("programs",)] + ([("redemption_reference", x.reference)] if x.reference else [])
    ),
    c.ReverseRedemption: lambda x: [("redemption", x.redemption), ("programs",)],
    c.PreviewRedemption: lambda x: keys(x.of),
    c.Award: lambda x: [("member", *x.member), ("programs",)],
    c.ExpireLots: lambda x: [
        ("programs",),
        *(("member", "number", str(no)) for no in x.members),
        *(("account_no", no) for no in (() if x.members else x.accounts)),
    ],
    c.GiveNotice: lambda x: [
        *(("member", "number", str(no)) for no in x.members),
        *(key for no, _ in x.ends for key in (("lots", no), *(() if x.members else (("account_no", no),)))),
    ],
    c.FollowPolicy: lambda x: [
        ("programs",),
        *(("member", "number", str(no)) for no in x.members),
        *(key for no in x.accounts for key in (("lots", no), *(() if x.members else (("account_no", no),)))),
    ],
    c.UnlockPoints: lambda x: (
        [("spend", *x.member), ("programs",)] + ([("purchase", *x.purchase)] if x.purchase else [])
    ),
    c.ChangeExpiry: lambda x: (
        [("spend", *x.member), ("programs",)]
        + ([("purchase", *x.purchase)] if x.purchase else [])
        + ([("imported", "expiry_change", x.reference)] if x.reference else [])
    ),
    c.ImportPoints: lambda x: [
        ("member" if x.kind in ("balance", "points") else "spend", *x.member),
        ("programs",),
        ("imported", x.kind, x.reference),
    ],
    c.ListMembers: lambda x: [("member", *selector) for selector in x.members],
    c.ReviewTiers: lambda x: [
        *(("member", "number", str(no)) for no in x.members),
        *(("standing", "number", str(no)) for no in x.members),
    ],
    c.AwardMany: lambda x: [("programs",), *(("member", *row.member) for row in x.rows)],
    c.AdjustPoints: lambda x: [("spend" if x.points < 0 else "member", *x.member), ("programs",)],
    c.DecideAdjustment: lambda x: [("adjustment", x.adjustment), ("programs",)],
    c.TransferPoints: lambda x: [
        ("spend", *x.member),
        ("sent", *x.member),
        ("member", *x.recipient),
        ("programs",),
    ],
    c.MergeMembers: lambda x: [
        ("spend", *x.victim),
        ("spend", *x.survivor),
        ("standing", *x.victim),
        ("standing", *x.survivor),
        ("referral_of", *x.victim),
        ("referral_of", *x.survivor),
        ("programs",),
    ],
    c.Refer: lambda x: [
        ("member", *x.referrer),
        ("member", *x.referred),
        ("referral_of", *x.referred),
        ("programs",),
    ],
    c.ReturnReferral: lambda x: [("referral", x.referral), ("programs",)],
    c.ChangeRewardList: lambda x: [("reward_list", x.list)],
    c.CreateReward: lambda x: [("reward_list", x.list), *_code_batch(x.terms)],
    c.ChangeReward: lambda x: [("reward", x.reward), *_code_batch(x.terms)],
    c.ClaimReward: lambda x: [
        ("spend", *x.member),
        ("claimed", *x.member),
        ("standing", *x.member),
        ("reward", x.reward),
        ("programs",),
        *([("account", x.wallet)] if x.wallet else []),
    ],
    c.MoveClaim: lambda x: [("claim", x.claim), ("programs",)],
    c.MoreCodes: lambda x: [("code_batch", x.batch)],
    c.StopCodes: lambda x: [("code_batch", x.batch)],
    c.AddCodes: lambda x: [("code_batch", x.batch), *(("code", text) for text in x.codes)],
    c.SwitchCodes: lambda x: [("code", x.code) if x.code else ("code_batch", x.batch)],
    c.IssuePromotion: lambda x: [("member", *x.member), ("issues_of", *x.member)],
    c.IssuePromotions: lambda x: [(kind, *member) for member in x.members for kind in ("member", "issues_of")],
    c.ActivateIssue: lambda x: [("member", *x.member), ("issue", x.issue)],
    c.RevokeIssue: lambda x: [("issue", x.issue)],
    c.LinkCode: lambda x: [("code", x.code), ("member", *x.member)],
}

_WEIGHTS: dict[type[c.Command], int | Callable[[Any], int]] = {
    c.Post: lambda x: sum([len(p.sources) + len(p.destinations) or 1 for p in x.postings]),
    c.Preview: lambda x: sum([weight(each) for each in x.of]),
    c.GiveNotice: lambda x: max(1, len(x.ends)),
    c.FollowPolicy: lambda x: 2 * max(1, len(x.accounts), x.lots),
    c.ExpireLots: _expiring,
    c.AwardMany: lambda x: 3 * max(1, len(x.rows)),
    c.ListMembers: lambda x: max(1, len(x.members)),
    c.ReviewTiers: lambda x: 2 * max(1, len(x.members)),
    c.IssuePromotions: lambda x: 2 * max(1, len(x.members)),
    c.AddCodes: lambda x: max(1, len(x.codes)),
    c.RecordPurchase: 6,
    c.ReturnPurchase: 10,
    c.ReturnCart: 8,
    c.RegisterMember: 12,
    c.Redeem: 5,
    c.ReverseRedemption: 5,
    c.UnlockPoints: 8,
    c.ChangeExpiry: 8,
    c.ImportPoints: 5,
    c.TransferPoints: 7,
    c.MergeMembers: 12,
    c.Refer: 6,
    c.ReturnReferral: 6,
    c.ClaimReward: 6,
    c.MoveClaim: 6,
}
