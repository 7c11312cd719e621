"""An auditor of promotions and codes: every counter is counted again from the uses and from what each promotion said.

Nothing here goes by what a use says it raised: whose counter it is, in which window and by how much, is written down
once more from the terms of the version that was used.
"""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

LATE = timedelta(hours=72)
Counter = tuple[str, str, str, str]
"""Whose, the limit's code, the subject, the window."""


class Rows(Protocol):
    def __call__(self, table: str) -> dict[Any, Any]: ...


def audit(rows: Rows) -> None:
    """Everything that must hold of promotions and codes. Raises `AssertionError` with the row that is wrong."""
    _told_by_events(rows)
    _given_on_bills(rows)
    _given_on_carts(rows)
    _given_back(rows)
    _counters(rows)
    _codes(rows)
    _said_by_events(rows)


def _told_by_events(rows: Rows) -> None:
    """Each use is what the event of its number says, in the same order, and no event says more."""
    said = {}
    for event in rows("events").values():
        body = json.loads(event.body) if event.body else {}
        for place, each in enumerate(body.get("promotions", ()) if isinstance(body, dict) else ()):
            said[event.seq, each.get("position", place)] = each
    uses = rows("promotion_uses")
    assert said.keys() == uses.keys()
    for key, each in said.items():
        use = uses[key]
        for name in ("promotion", "version", "code", "times", "discount", "voucher", "points"):
            assert getattr(use, name) == each[name], use
        assert use.member_no == rows("events")[use.event_seq].member_no, use


def _given_on_bills(rows: Rows) -> None:
    """What came off a bill, and what vouchers paid of it, is what its uses gave."""
    for purchase in rows("purchases").values():
        uses = [u for u in rows("promotion_uses").values() if u.event_seq == purchase.event_seq]
        assert sum(purchase.division.discounts) == sum(use.discount for use in uses), purchase
        assert sum(purchase.division.vouchers) == sum(use.voucher for use in uses), purchase
        earned = sum(sum(e.parts) for e in purchase.division.earned if e.rule.startswith("promotion:"))
        assert earned == sum(use.points for use in uses), purchase


def _given_on_carts(rows: Rows) -> None:
    """What came off a committed cart is what its uses gave; what was returned of each line is that part of it, rounded
    down, whatever it was returned in.
    """
    for commit in rows("promotion_commits").values():
        uses = [u for u in rows("promotion_uses").values() if u.event_seq == commit.event_seq]
        divided = commit.division
        amount = sum(line.amount for line in commit.lines)
        off, vouchers = sum(divided.discounts), sum(divided.vouchers)
        assert (vouchers, sum(divided.paid)) == (sum(use.voucher for use in uses), amount - off - vouchers), commit
        assert sum(sum(each.parts) for each in divided.earned) == sum(use.points for use in uses), commit
        bought = [line.quantity if line.quantity > 0 else 1000 for line in commit.lines]
        gone = [0] * len(bought)
        paid = discount = 0
        returns = [each for each in rows("cart_returns").values() if each.commit_id == commit.id]
        for each in sorted(returns, key=lambda each: each.event_seq):
            for position, quantity in each.lines:
                gone[position] += quantity
            paid, discount = paid + each.paid, discount + each.discount
            assert all(part <= whole for part, whole in zip(gone, bought, strict=True)), each
            for sum_, parts in ((paid, divided.paid), (discount, divided.discounts)):
                assert sum_ == sum(x * g // b for x, g, b in zip(parts, gone, bought, strict=False)), each


def _given_back(rows: Rows) -> None:
    """A use is given back once at most, whole, after all of its bill was returned, where its terms say so; and then it
    must be.
    """
    uses = rows("promotion_uses")
    versions = rows("promotion_versions") if uses else {}
    back = {(use.of_seq, use.position): use for use in uses.values() if use.of_seq}
    assert len(back) == sum(use.of_seq > 0 for use in uses.values())
    for key, use in back.items():
        first = uses[key]
        for name in ("times", "discount", "voucher", "points"):
            assert getattr(first, name) == -getattr(use, name), use
        assert (first.promotion, first.code, first.of_seq) == (use.promotion, use.code, 0), use
    for use in uses.values():
        if not use.of_seq:
            if use.purchase_no:
                bought = rows("purchases")[use.purchase_no].lines
                returns = [r for r in rows("returns").values() if r.purchase_no == use.purchase_no]
            else:
                commit = next(c for c in rows("promotion_commits").values() if c.event_seq == use.event_seq)
                bought = commit.lines
                returns = [r for r in rows("cart_returns").values() if r.commit_id == commit.id]
            whole = sum(line.quantity if line.quantity > 0 else 1000 for line in bought)
            gone = sum(quantity for each in returns for _, quantity in each.lines)
            keeps = versions[use.promotion, use.version].on_return == "keep"
            assert ((use.event_seq, use.position) in back) == (gone == whole and not keeps), use


def _counters(rows: Rows) -> None:
    """Counters are the sums of the uses by the terms they were used under; no limit was ever passed."""
    if not rows("promotion_counters"):
        return
    versions = rows("promotion_versions")
    now = max((event.recorded_at for event in rows("events").values()), default=datetime.min.replace(tzinfo=UTC))
    used: defaultdict[Counter, int] = defaultdict(int)
    rolling: defaultdict[Counter, int] = defaultdict(int)
    for use in rows("promotion_uses").values():
        first = rows("promotion_uses")[use.of_seq, use.position] if use.of_seq else use
        at = _judged(rows, first)
        for owner, limit in _limits(versions[use.promotion, use.version]):
            subject = _subject(rows, first, limit)
            if limit.limit is None or limit.per == "cart" or subject is None:
                continue
            key = (owner, limit.code, subject, _window(limit, at))
            if limit.window != "rolling":
                used[key] += _amount(use, limit)
            elif at + timedelta(days=limit.days) > now:
                rolling[key] += _amount(use, limit)
    held: defaultdict[Counter, int] = defaultdict(int)
    for reservation in rows("reservations").values():
        if reservation.status == "open" and reservation.expires_at > now:
            for each in reservation.raises:
                held[each.key[1:]] += each.by
    counters = {
        key[1:]: tally
        for key, tally in rows("promotion_counters").items()
        if key[4] != "last" and not key[1].startswith("program:")  # caps on earning: `auditor`
    }
    for key in {*used, *rolling, *held, *counters}:
        tally = counters.get(key)
        alive = [part for part in tally.parts if part.until > now] if tally else []
        assert (tally.used if tally else 0) == used[key], key
        assert sum(part.by for part in alive if not part.reservation) == rolling[key], key
        assert sum(part.by for part in alive if part.reservation) == held[key], key
        said = [x.limit for terms in versions.values() for owner, x in _limits(terms) if (owner, x.code) == key[:2]]
        assert None in said or used[key] + rolling[key] <= max(said), key  # what is held may be of a later moment


def _limits(terms: Any) -> list[tuple[str, Any]]:
    found = [(terms.id, limit) for limit in terms.limits]
    if terms.budget is not None:
        found.append((f"budget:{terms.budget.code}", _Budget(terms.budget)))
    return found


class _Budget:
    """A budget as a limit: over everything, for ever."""

    per, window, days = "promotion", "none", 0

    def __init__(self, budget: Any) -> None:
        self.code, self.kpi, self.limit = f"budget:{budget.code}", budget.kpi, budget.limit


def _judged(rows: Rows, use: Any) -> datetime:
    """The moment that a use counts at: its own, unless it was told too late."""
    recorded: datetime = rows("events")[use.event_seq].recorded_at
    at: datetime = use.used_at
    return at if recorded - at <= LATE else recorded


def _subject(rows: Rows, use: Any, limit: Any) -> str | None:
    """Over whom a use counts; None where it counts over nobody."""
    if limit.per == "customer":
        return str(rows("members")[use.member_no].id) if use.member_no else None
    if limit.per == "code":
        return use.code or None
    if limit.per == "issue":
        return use.issue or None
    if limit.per == "store":
        no = rows("events")[use.event_seq].store_no
        return str(next(store.code for store in rows("stores").values() if store.no == no)) if no else None
    return ""


def _window(limit: Any, at: datetime) -> str:
    if limit.window == "week":
        year, week, _ = at.isocalendar()
        return f"{year}-W{week:02}"
    return {"day": f"{at:%Y-%m-%d}", "month": f"{at:%Y-%m}", "rolling": "rolling", "none": ""}[limit.window]


def _amount(use: Any, limit: Any) -> int:
    sign = -1 if use.of_seq else 1
    amounts = {"uses": use.times, "purchases": sign, "points": use.points, "discount": use.discount + use.voucher}
    return int(amounts[limit.kpi])


def _codes(rows: Rows) -> None:
    """Codes are numbered within their batch without a gap; each used one is of the promotion that it was used for, and
    a linked one was used by whoever it was linked to, or by the member that took that one's place.
    """
    batches, codes, members = rows("code_batches"), rows("codes"), rows("members")
    numbers: defaultdict[str, set[int]] = defaultdict(set)
    for code in codes.values():
        numbers[code.batch].add(code.no)
    for batch in batches.values():
        assert numbers[batch.id] == set(range(1, batch.made + 1)), batch
        assert batch.made <= batch.wanted, batch
        assert batch.kind == "uploaded" or batch.made <= batch.next_index, batch
    for use in rows("promotion_uses").values():
        if use.code:
            assert batches[codes[use.code].batch].promotion == use.promotion, use
            link = rows("code_links").get(use.code)
            if link is not None and link.linked_at < rows("events")[use.event_seq].recorded_at:
                assert _last(members, link.member_no) == _last(members, use.member_no), use


def _said_by_events(rows: Rows) -> None:
    """Versions, links, switches and issues are what events say, each one's own, and no event says more."""
    versions: dict[Any, Any] = {}
    links: dict[Any, Any] = {}
    switches: dict[Any, tuple[int, bool]] = {}
    issues: dict[Any, Any] = {}
    moves: dict[Any, Any] = {}
    last = {"PromotionIssueActivation": "activated", "PromotionIssueRevocation": "revoked"}
    for _, event in sorted(rows("events").items()):
        body = json.loads(event.body) if event.body else {}
        at = event.recorded_at
        if event.name == "PromotionVersion":
            assert (body["promotion"], body["version"]) not in versions, event
            versions[body["promotion"], body["version"]] = (body["terms"]["name"], body["terms"]["status"])
        elif event.name == "CodeLink" or (event.name == "RewardClaim" and "code" in body):
            assert body["code"] not in links, event
            id = body["link_id"] if event.name == "CodeLink" else body["claim_id"]
            links[body["code"]] = (id, event.member_no, body["mode"], at, event.actor)
        elif event.name == "CodeSwitch":
            before, _ = switches.get((body["batch"], body["code"]), (0, True))
            assert (body["version"], body["active"]) == (before + 1, before % 2 == 1), event
            switches[body["batch"], body["code"]] = (body["version"], body["active"])
        elif event.name == "PromotionIssue":
            assert body["issue_id"] not in issues, event
            issues[body["issue_id"]] = (event.member_no, body["promotion"], at, event.reason, body["activation"])
        elif event.name in last:
            assert (body["issue_id"], last[event.name]) not in moves, event
            owner = _last(rows("members"), issues[body["issue_id"]][0])
            assert _last(rows("members"), event.member_no) == owner, event
            moves[body["issue_id"], last[event.name]] = (at, event.actor)
    kept = rows("promotion_versions") if versions else {}
    assert {key: (x.name, x.status) for key, x in kept.items()} == versions
    assert {key: (x.id, x.member_no, x.mode, x.linked_at, x.actor) for key, x in rows("code_links").items()} == links
    assert {key: (x.version, x.active) for key, x in rows("code_switches").items()} == switches
    assert {
        key: (x.member_no, x.promotion, x.issued_at, x.reason, x.activation) for key, x in rows("issues").items()
    } == issues
    assert {key: (x.moved_at, x.actor) for key, x in rows("issue_moves").items()} == moves


def _last(members: dict[int, Any], no: int) -> int:
    while no and members[no].survivor_no:
        no = members[no].survivor_no
    return no
