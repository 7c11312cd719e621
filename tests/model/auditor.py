"""An auditor who trusts no projection: everything is counted again from the immutable rows, with plain sums.

Nothing here is imported from the functions that decide. What is promised is written down once more, in its own words.
"""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import datetime
from typing import Any, Protocol

from tests.model import promotion_auditor, tier_auditor

MOVES_ENTRY = {"apply", "settle"}
NO_FIGURES_CHANGE = {"reject", "schedule"}


class Rows(Protocol):
    def __call__(self, table: str) -> dict[Any, Any]: ...


def audit(rows: Rows) -> None:
    """Everything that must hold between two commands. Raises `AssertionError` with the row that is wrong."""
    _sequence(rows)
    _figures(rows)
    _holds(rows)
    _lots(rows)
    _points_are_lots(rows)
    _promises(rows)
    _redemptions(rows)
    _purchases(rows)
    _returns(rows)
    _sent(rows)
    _merges(rows)
    _adjustments(rows)
    _referrals(rows)
    claims(rows)
    _caps(rows)
    _lists(rows)
    _pools(rows)
    promotion_auditor.audit(rows)
    tier_auditor.audit(rows)


def _sequence(rows: Rows) -> None:
    """Events and transfers share one gapless sequence, and an event's transfers follow it."""
    events, transfers = rows("events"), rows("transfers")
    assert not events.keys() & transfers.keys()
    every = sorted(events.keys() | transfers.keys())
    assert every == list(range(1, len(every) + 1)), "the sequence has gaps"
    for seq, event in events.items():
        own = [transfers[seq + i] for i in range(1, event.transfers + 1)]
        assert all(transfer.event_seq == seq for transfer in own), event
        assert seq + event.transfers + 1 not in transfers or transfers[seq + event.transfers + 1].event_seq != seq
        assert event.points == _points_on(rows, event, own), event
    recorded = [(events.get(seq) or transfers[seq]).recorded_at for seq in every]
    assert recorded == sorted(recorded), "time went back"


def _points_on(rows: Rows, event: Any, own: list[Any]) -> int:
    """Credits less debits of the event's member, on accounts that hold points."""
    if event.mirrors:
        mirrored = rows("events")[event.mirrors]
        own = [rows("transfers")[event.mirrors + i] for i in range(1, mirrored.transfers + 1)]
    points = 0
    for transfer in own:
        if transfer.action in MOVES_ENTRY:
            for no, sign in ((transfer.source, -1), (transfer.destination, 1)):
                account = rows("accounts")[no]
                if account.tracks_lots and account.member_no == event.member_no:
                    points += sign * transfer.amount
    return points


def _figures(rows: Rows) -> None:
    """Figures are sums of transfers; versions count without gaps; the last entry is the balance; assets sum to zero."""
    sums: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0, 0])  # credit, debit, held in, held out
    versions: dict[int, int] = defaultdict(int)
    balances: dict[int, int] = defaultdict(int)
    entries: dict[str, int] = defaultdict(int)
    for _, transfer in sorted(rows("transfers").items()):
        if transfer.action in NO_FIGURES_CHANGE:
            assert transfer.source_version is transfer.destination_version is None, transfer
            continue
        amount, incoming, outgoing = transfer.amount, sums[transfer.destination], sums[transfer.source]
        assert amount > 0, transfer
        if transfer.action in MOVES_ENTRY:
            outgoing[1] += amount
            incoming[0] += amount
            for account in (transfer.source, transfer.destination):
                entries[rows("accounts")[account].asset] += -amount if account == transfer.source else amount
        if transfer.action == "hold":
            outgoing[3] += amount
            incoming[2] += amount
        if transfer.action in ("settle", "release"):
            outgoing[3] -= amount
            incoming[2] -= amount
        for no, version, balance in (
            (transfer.source, transfer.source_version, transfer.source_balance),
            (transfer.destination, transfer.destination_version, transfer.destination_balance),
        ):
            versions[no] += 1
            balances[no] = sums[no][0] - sums[no][1]
            assert version == versions[no], transfer
            assert balance == balances[no], transfer
        assert min(outgoing) >= 0, transfer
        assert min(incoming) >= 0, transfer
    assert not any(entries.values()), entries
    for no, figures in rows("figures").items():
        credit, debit, incoming_held, outgoing_held = sums[no]
        assert (figures.credit, figures.debit) == (credit, debit), (no, figures)
        assert (figures.inflight_credit, figures.inflight_debit) == (incoming_held, outgoing_held), (no, figures)
        assert figures.version == versions[no], (no, figures)
        assert max(figures.credit, figures.debit, incoming_held, outgoing_held) < 10**38, (no, figures)
        if rows("accounts")[no].tracks_lots:
            available = credit - debit - outgoing_held
            assert figures.floor == min(0, available), (no, figures)
        else:
            assert figures.floor is None, (no, figures)


def _holds(rows: Rows) -> None:
    """A hold is what was held, less what became of it."""
    for seq, hold in rows("holds").items():
        transfer = rows("transfers")[seq]
        ended = [t for t in rows("transfers").values() if t.parent == transfer.id and t.action in ("settle", "release")]
        assert transfer.action == "hold"
        assert hold.remaining == transfer.amount - sum(t.amount for t in ended) >= 0, hold
        assert hold.released == any(t.action == "release" for t in ended), hold
        if rows("accounts")[transfer.source].tracks_lots:
            assert sum(amount for _, amount in hold.pins) == hold.remaining, hold


_BUCKETS = {  # remaining, redeemed, returned, expired, held, written off
    "open": (1, 0, 0, 0, 0, 0),
    "take": (-1, 1, 0, 0, 0, 0),
    "repay": (-1, 1, 0, 0, 0, 0),
    "refill": (1, -1, 0, 0, 0, 0),
    "return": (-1, 0, 1, 0, 0, 0),
    "return_redeemed": (0, -1, 1, 0, 0, 0),
    "return_expired": (0, 0, 1, -1, 0, 0),
    "expire": (-1, 0, 0, 1, 0, 0),
    "hold": (0, 0, 0, 0, 1, 0),
    "unhold": (0, 0, 0, 0, -1, 0),
    "write_off": (0, 0, 0, 0, 0, 1),
    "forfeit": (0, -1, 1, 0, 0, -1),
    "merge": (-1, 0, 1, 0, 0, 0),
    "convert": (0, 0, 0, 0, 0, 0),
    "redate": (0, 0, 0, 0, 0, 0),
}


def _lots(rows: Rows) -> None:
    """A lot is what the moves on events made of it, and never holds less than nothing on the way."""
    built: dict[int, list[int]] = {}
    lies: dict[int, tuple[Any, ...]] = {}
    for _, event in sorted(rows("events").items()):
        for no, kind, amount, *terms in json.loads(event.lot_moves or "[]"):
            assert amount > 0, event
            if kind in ("open", "convert", "redate"):
                lies[no] = (terms[0], terms[2], terms[7], terms[8])
            parts = built.setdefault(no, [0, 0, 0, 0, 0, 0])
            for i, effect in enumerate(_BUCKETS[kind]):
                parts[i] += effect * amount
            assert min(parts) >= 0, (no, kind, amount, parts, event)
            assert parts[4] <= parts[0], (no, kind, amount, parts, event)
            assert parts[5] <= parts[1], (no, kind, amount, parts, event)
    for no, lot in rows("lots").items():
        assert [lot.remaining, lot.redeemed, lot.returned, lot.expired, lot.held, lot.written_off] == built[no], lot
        assert lot.amount == lot.remaining + lot.redeemed + lot.returned + lot.expired > 0, lot
        account, ends, released, promise = lies[no]
        assert (lot.account, _instant(lot.expires_at), _instant(lot.releases_at), lot.promise) == (
            account,
            _instant(ends),
            _instant(released),
            promise,
        ), lot
    assert built.keys() == rows("lots").keys()
    pinned: dict[int, int] = defaultdict(int)
    for hold in rows("holds").values():
        for no, amount in hold.pins:
            pinned[no] += amount
    for no, lot in rows("lots").items():
        assert lot.held == pinned[no], lot


def _points_are_lots(rows: Rows) -> None:
    """A points account holds what its lots have left, less what it owes."""
    remaining: dict[int, int] = defaultdict(int)
    held: dict[int, int] = defaultdict(int)
    for lot in rows("lots").values():
        remaining[lot.account] += lot.remaining
        held[lot.account] += lot.held
    for no, account in rows("accounts").items():
        if account.tracks_lots:
            figures = rows("figures")[no]
            available = figures.credit - figures.debit - figures.inflight_debit
            owed = max(0, -available)
            assert figures.credit - figures.debit == remaining[no] - owed, (account, figures)
            assert held[no] == figures.inflight_debit, (account, figures)
    by_asset: dict[str, int] = defaultdict(int)
    for no, account in rows("accounts").items():
        by_asset[account.asset] += rows("figures")[no].credit - rows("figures")[no].debit
    assert not any(by_asset.values()), by_asset


def _instant(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def _promises(rows: Rows) -> None:
    """A conversion takes from one waiting account what it brings to the regular one beside it; net 0. What waits for a
    day lies in a promised account, and what was released does not.
    """
    for event in rows("events").values():
        if event.name in ("PromisedPointsConversion", "TriggerPointsConversion"):
            (transfer,) = [rows("transfers")[event.seq + i] for i in range(1, event.transfers + 1)]
            source, destination = rows("accounts")[transfer.source], rows("accounts")[transfer.destination]
            waits = "promised" if event.name == "PromisedPointsConversion" else "trigger_based"
            assert (source.category, destination.category) == (waits, "regular"), event
            assert (source.member_no, source.program_no) == (destination.member_no, destination.program_no), event
            assert event.points == 0, event
            moved = [amount for _, kind, amount, *_ in json.loads(event.lot_moves) if kind == "convert"]
            assert sum(moved) == transfer.amount, event
    for lot in rows("lots").values():
        if lot.releases_at is not None:
            assert rows("accounts")[lot.account].category == "promised", lot


def _redemptions(rows: Rows) -> None:
    for redemption in rows("redemptions").values():
        assert 0 <= redemption.reversed <= redemption.points, redemption
        event = rows("events")[redemption.event_seq]
        taken = sum(amount for _, kind, amount, *_ in json.loads(event.lot_moves) if kind == "take")
        assert taken == redemption.points == -event.points, redemption


def _purchases(rows: Rows) -> None:
    """A bill is its lines; what was paid, spent and earned is shared out over them to the cent and to the point."""
    for purchase in rows("purchases").values():
        assert purchase.amount == sum(line.amount for line in purchase.lines), purchase
        divided = purchase.division
        given = sum(divided.discounts) + sum(divided.vouchers)
        assert purchase.amount - purchase.paid == sum(purchase.shares) + given, purchase
        off = divided.discounts or (0,) * len(purchase.lines)
        for share, less, line in zip(purchase.shares, off, purchase.lines, strict=True):
            assert 0 <= share + less <= max(0, line.amount), purchase
        assert sum(divided.paid) == purchase.paid, purchase
        assert sum(divided.spent) == purchase.spent_points, purchase
        opened = [
            move for move in json.loads(rows("events")[purchase.event_seq].lot_moves or "[]") if move[1] == "open"
        ]
        assert sorted(sum(each.parts) for each in divided.earned) == sorted(move[2] for move in opened), purchase
        for parts in (divided.paid, divided.spent, *(each.parts for each in divided.earned)):
            assert len(parts) in (0, len(purchase.lines)), purchase
            assert min(parts, default=0) >= 0, purchase


def _returns(rows: Rows) -> None:
    """No line is returned beyond what was bought; after any number of returns, what went back of each figure is the
    whole times what was returned of each line, rounded down; and what the event moved is what the row says.
    """
    for purchase in rows("purchases").values():
        returns = sorted((r for r in rows("returns").values() if r.purchase_no == purchase.no), key=lambda r: r.no)
        bought = [line.quantity if line.quantity > 0 else 1000 for line in purchase.lines]
        gone = [0] * len(bought)
        sums = {"paid": 0, "amount": 0, "spent": 0}
        taken = [0] * len(purchase.division.earned)
        for each in returns:
            assert each.lines, each
            for position, quantity in each.lines:
                assert quantity > 0, each
                gone[position] += quantity
            for name in ("paid", "amount", "spent"):
                sums[name] += getattr(each, name)
            taken = [a + b for a, b in zip(taken, each.earned, strict=True)]
            assert all(g <= b for g, b in zip(gone, bought, strict=True)), each
            divided = purchase.division
            paid, shares, spent = (
                sum(x * g // b for x, g, b in zip(parts, gone, bought, strict=False))
                for parts in (divided.paid, purchase.shares, divided.spent)
            )
            assert (sums["paid"], sums["amount"], sums["spent"]) == (paid, paid + shares, spent), each
            earned = [sum(x * g // b for x, g, b in zip(e.parts, gone, bought, strict=True)) for e in divided.earned]
            if divided.returning == "proportional" or gone == bought:
                assert taken == earned, each
            _return_moved(rows, each)


def _return_moved(rows: Rows, each: Any) -> None:
    """What came to @PointsReturned, what had expired and what was written off is what the part had earned."""
    event = rows("events")[each.event_seq]
    body, moved = json.loads(event.body), {"returned": 0, "reversed": 0, "": 0}
    for seq in range(event.seq + 1, event.seq + event.transfers + 1):
        transfer = rows("transfers")[seq]
        moved[rows("accounts")[transfer.destination].role] += transfer.amount
        if rows("accounts")[transfer.source].role == "reversed":
            moved["reversed"] += transfer.amount
    expired = sum(move[2] for move in json.loads(event.lot_moves or "[]") if move[1] == "return_expired")
    assert moved["returned"] + expired + body["written_off"] == sum(each.earned), each
    assert moved["reversed"] <= each.spent, each
    assert (body["lines"], body["earned"]) == ([list(line) for line in each.lines], list(each.earned)), each


def _bodies(rows: Rows, name: str) -> list[tuple[Any, Any]]:
    """The events of a name that are no mirrors, with what their bodies say."""
    events = [event for _, event in sorted(rows("events").items()) if event.name == name and not event.mirrors]
    return [(event, json.loads(event.body)) for event in events]


def _sent(rows: Rows) -> None:
    """What a member has sent in a day or month is the sum of the transfers that name it."""
    sums: dict[tuple[int, int, str], list[int]] = defaultdict(lambda: [0, 0])
    for event, body in _bodies(rows, "PointsTransfer"):
        assert event.points < 0, event
        assert event.transfers == 1, event
        mirrors = [each for each in rows("events").values() if each.mirrors == event.seq]
        assert [(each.member_no, each.points) for each in mirrors] == [(body["recipient_no"], -event.points)], event
        for period in body["windows"]:
            sums[event.member_no, body["program_no"], period][0] -= event.points
            sums[event.member_no, body["program_no"], period][1] += 1
    assert {key: [sent.points, sent.count] for key, sent in rows("sent").items()} == dict(sums)


def _merges(rows: Rows) -> None:
    """A merged member has nothing, owes nothing, has no name of its own, and its merge was the last of its events."""
    merged = {body["victim_no"]: (event, body) for event, body in _bodies(rows, "CustomerMerge")}
    assert {no for no, member in rows("members").items() if member.status == "merged"} == merged.keys()
    for no, (event, body) in merged.items():
        member = rows("members")[no]
        assert member.survivor_no == body["survivor_no"] != no, member
        assert not member.identifiers, member
        assert event.seq == max(seq for seq, each in rows("events").items() if each.member_no == no), event
        for account in rows("accounts").values():
            if account.member_no == no and account.tracks_lots:
                figures = rows("figures")[account.no]
                assert figures.credit == figures.debit, (account, figures)
                assert not figures.inflight_debit, (account, figures)


def _adjustments(rows: Rows) -> None:
    """Every adjustment that was booked was asked for, and where it needed two persons, there were two."""
    asked_for = {body["adjustment_id"]: (event, body) for event, body in _bodies(rows, "AdjustmentRequest")}
    assert asked_for.keys() == {id for id, asked in rows("adjustments").items() if asked.expires_at is not None}
    for id, (event, body) in asked_for.items():
        asked = rows("adjustments")[id]
        assert (body["member_no"], body["points"], body["person"]) == (asked.member_no, asked.points, asked.person)
        assert (event.member_no, event.transfers, event.reason) == (0, 0, asked.reason), event
    rejected = {body["adjustment_id"]: body["person"] for _, body in _bodies(rows, "AdjustmentRejection")}
    decisions = rows("decisions")
    assert rejected == {id: decisions[id].person for id in decisions if not decisions[id].approved}
    booked = {body["adjustment_id"]: event for event, body in _bodies(rows, "ManualAdjustment")}
    for id, asked in rows("adjustments").items():
        decision = rows("decisions").get(id)
        seq = asked.event_seq or (decision.event_seq if decision else 0)
        assert (booked.pop(id).seq if id in booked else 0) == seq, asked
        assert (asked.expires_at is None) == bool(asked.event_seq), asked
        if decision is not None:
            assert decision.person != asked.person, decision
            assert asked.expires_at is not None, asked
            assert decision.recorded_at < asked.expires_at, decision
            assert decision.approved == bool(decision.event_seq), decision
        if seq:
            said = json.loads(rows("events")[seq].body)
            assert rows("events")[seq].points == asked.points, asked
            assert (said["person"], said["approved_by"]) == (asked.person, decision.person if decision else ""), asked
    assert not booked, booked


def _referrals(rows: Rows) -> None:
    """A referral is its awards; it was taken back if events say so."""
    awards: dict[str, set[int]] = defaultdict(set)
    for event, body in _bodies(rows, "ReferralAward"):
        awards[body["referral_id"]].add(event.seq)
    returned = {body["referral_id"] for _, body in _bodies(rows, "ReferralReturn")}
    for id, referral in rows("referrals").items():
        assert {referral.referrer_event, referral.referred_event} - {0} == awards.pop(id), referral
        assert referral.taken_back == (id in returned), referral
    assert not awards, awards


def claims(rows: Rows) -> None:
    """A claim took what its event says, went where its later events say and only forward; the pieces that are out are
    the claims that were not given back, never more than there are; and a version of everything is kept.
    """
    made_claims, rewards, catalogue = rows("claims"), rows("rewards"), rows("catalogue")
    made = {body["claim_id"]: (event, body) for event, body in _bodies(rows, "RewardClaim")}
    assert made.keys() == made_claims.keys()
    moves: dict[str, list[tuple[Any, str]]] = defaultdict(list)
    for name in ("RewardFulfilment", "RewardClaimReversal"):
        for event, body in _bodies(rows, name):
            moves[body["claim_id"]].append((event, body["status"]))
            assert (body["status"] in ("denied", "cancelled")) is (name == "RewardClaimReversal"), event
    out: dict[str, int] = defaultdict(int)
    given: dict[str, int] = defaultdict(int)
    for id, claim in made_claims.items():
        event, body = made[id]
        assert (claim.event_seq, claim.member_no, claim.points) == (event.seq, event.member_no, -event.points), claim
        assert (claim.reward_id, claim.version) == (body["reward_id"], body["version"]), claim
        terms = catalogue[claim.reward_id, claim.version].terms
        own = [catalogue[key].terms.price for key in catalogue if key[0] == claim.list_id]
        assert claim.points == body["price"], claim
        assert claim.points == terms.price if terms.price is not None else claim.points in own, claim
        path = [status for _, status in sorted(moves.pop(id, []), key=lambda move: move[0].seq)]
        first = "completed" if terms.kind in ("wallet_credit", "discount_code") else "pending"
        assert claim.status == ([body["status"], *path])[-1], claim
        assert body["status"] == first, claim
        longest = {"wallet_credit": 0, "discount_code": 1}.get(terms.kind, 1 + (path[:1] == ["processing"]))
        assert len(path) <= longest, path
        if terms.kind == "discount_code":
            _code_of_claim(rows, claim, body, terms.codes)
            given[claim.reward_id] = max(given[claim.reward_id], body["code_no"])
        out[claim.reward_id] += claim.status not in ("denied", "cancelled")
    assert not moves
    for id, reward in rewards.items():
        assert (reward.claimed, reward.given) == (out[id], given[id]), reward
        assert reward.supply is None or 0 <= reward.claimed <= reward.supply, reward
        assert catalogue[id, reward.version].terms == reward.terms, reward
        assert catalogue[id, reward.version].supply == reward.supply, reward
    for id, row in (*rewards.items(), *rows("reward_lists").items()):
        versions = sorted(version for of, version in catalogue if of == id)
        assert versions == list(range(1, row.version + 1)), row


def _code_of_claim(rows: Rows, claim: Any, body: dict[str, Any], batch: str) -> None:
    """The code of its reward's batch, the member's own by this very claim, and switched off if that was taken back."""
    code, link = rows("codes")[body["code"]], rows("code_links")[body["code"]]
    assert (code.batch, code.no) == (batch, body["code_no"]), claim
    assert (link.id, link.member_no) == (claim.id, claim.member_no), claim
    if claim.status in ("denied", "cancelled"):
        switch = rows("code_switches").get((batch, code.code))
        assert switch is not None, claim


def _lists(rows: Rows) -> None:
    """Who was merged into another is on no list."""
    merged = {no for no, member in rows("members").items() if member.status == "merged"}
    assert not [place for place, (_, there) in rows("segment_entries").items() if there and place[1] in merged]


def _caps(rows: Rows) -> None:
    """A cap is used up by what the purchases of its period raised it by, less what came back of them."""
    sums: dict[tuple[str, ...], int] = defaultdict(int)
    for event in rows("events").values():
        if event.name in ("TransactionAdd", "TransactionReturn"):
            for key, by, until in json.loads(event.body).get("caps", ()):
                sums[tuple(key)] += by if until is None else 0
    counted = {key: row.used for key, row in rows("promotion_counters").items() if key[1].startswith("program:")}
    assert counted == {key: sums[key] for key in counted}
    assert {key for key, used in sums.items() if used} <= counted.keys()
    for purchase in rows("purchases").values():
        for each in purchase.division.earned:
            assert all(raised.by == sum(each.parts) for raised in each.caps), purchase


def _pools(rows: Rows) -> None:
    """A pool that fell to its mark was told of, at the transfer that left it so, and again only after it was filled."""
    marks: dict[int, Any] = {}
    low: dict[int, bool] = {}
    expected, told = [], []
    for seq, row in sorted({**rows("events"), **rows("transfers")}.items()):
        if seq in rows("events"):
            body = json.loads(row.body) if row.name in ("PointsPoolWatch", "PointsPoolLow") else {}
            if row.name == "PointsPoolWatch":
                marks[body["program_no"]], low[body["program_no"]] = body["mark"], False
            elif row.name == "PointsPoolLow":
                told.append((body["program_no"], body["row"], body["left"]))
            continue
        if row.action not in MOVES_ENTRY:
            continue
        for no, left in ((row.source, row.source_balance), (row.destination, row.destination_balance)):
            account = rows("accounts")[no]
            mark = marks.get(account.program_no) if account.role == "pool" else None
            if mark is None:
                continue
            filled = mark["points"] + 1 if mark["filled"] is None else mark["filled"]
            if left <= mark["points"] and not low[account.program_no]:
                low[account.program_no] = True
                expected.append((account.program_no, seq, left))
            elif left >= filled:
                low[account.program_no] = False
    assert told == expected
    for no, program in rows("programs").items():
        mark, said = marks.get(no), program.policies.low_pool
        assert (None if said is None else {"points": said.points, "filled": said.filled}) == mark, program
