"""Merges: two members who turn out to be one person.

All points of the victim go to the survivor, per program and category, with their times; where the victim owes, the
survivor takes the debt over. The two ledgers stay apart, and the merge is the last event of the victim's. What the
victim had earned counts as the survivor's (`points.lifetime`), also towards caps (`caps`), and so does what it had used
of limits over customers: of promotions (`carts`), of rewards (`claims`) and of what may be sent (`transfers`). The
survivor is on the lists that the victim was on, and who was referred stays so. From then on the victim's identifiers
name the survivor, its other accounts (a wallet) are the survivor's, and what becomes of its purchases and redemptions
is booked on the survivor (`members.family`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from guerdon.core import claims, issues, lots, members, pasts, segments, standings, transfers
from guerdon.core.booking import Booking
from guerdon.core.codes import merge_links
from guerdon.core.commands import MergeMembers
from guerdon.core.events import Name
from guerdon.core.members import Member
from guerdon.core.metadata import write_first
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.places import Place
from guerdon.core.points import expire_overdue, lifetime, owed
from guerdon.core.results import Merged

if TYPE_CHECKING:
    from guerdon.core.state import State


def merge(state: State, command: MergeMembers) -> Outcome:
    """Merge the victim into the survivor. Both are active and enrolled, and the victim has nothing on hold."""
    victim = members.resolve(state, command.victim)
    if isinstance(victim, Rejected):
        return victim
    survivor = members.resolve(state, command.survivor, field="survivor")
    if isinstance(survivor, Rejected):
        return survivor
    if survivor.no == victim.no:
        return Rejected(Rejection.SAME_MEMBER, "survivor", {"survivor": ":".join(command.survivor)})
    for member, field in ((victim, "member"), (survivor, "survivor")):
        if not member.enrolled:
            return Rejected(Rejection.NOT_ENROLLED, field)
    accounts = state.member_accounts[victim.no]
    for no in accounts.values():
        figures = state.figures_of(no)
        if figures.inflight_debit or figures.inflight_credit:
            detail = {"account": state.accounts[no].id, "on_hold": figures.inflight_debit or figures.inflight_credit}
            return Rejected(Rejection.MEMBER_HAS_HOLDS, "member", detail)
    pairs = {}
    for (program_no, category), no in accounts.items():
        program = state.config.programs[program_no]
        pairs[program_no, category] = (no, members.account_in(state, survivor, program, category))
    for pair in pairs.values():
        for no in pair:
            expire_overdue(state, no, state.now)
    standings.settle_all(state, victim.no, survivor.no)
    place = Place(event_at=state.now, judged_at=state.now)
    booking = Booking(state, Name.CUSTOMER_MERGE, victim.no, place, id=command.id)
    moved = []
    for (program_no, category), (source, destination) in pairs.items():
        if destination in state.lifetimes:
            both = lifetime(state, destination) + lifetime(state, source)
            state.put(state.lifetimes, destination, both)
        points = _move_all(state, booking, source, destination)
        if points:
            moved.append((program_no, category, points))
    body = {"victim_no": victim.no, "survivor_no": survivor.no}
    event = booking.close(actor=command.actor, reason=command.reason, body=body)
    mirror = Booking(state, Name.CUSTOMER_MERGE, survivor.no, place)
    for _, category, points in moved:
        mirror.note("credit" if points > 0 else "debit", category)
    total = sum(points for _, _, points in moved)
    mirror.close(actor=command.actor, reason=command.reason, mirrors=event.seq, points=total, body=body)
    issues.join(state, victim, survivor)
    pasts.join(state, victim, survivor)
    segments.join(state, victim, survivor)
    _join(state, victim, survivor)
    standings.merge(state, victim.no, survivor.no)
    write_first(state, "evt", event.id, command.meta)
    return Accepted(Merged(id=event.id, event_no=event.seq, survivor_id=survivor.id, moved=tuple(moved)))


def _move_all(state: State, booking: Booking, source: int, destination: int) -> int:
    """Move what one account of the victim holds, or owes, to that of the survivor. Returns the points moved."""
    points = state.figures_of(source).balance
    before = len(booking.moves)
    if points > 0:
        debt = owed(state, destination)
        missing = lots.take(state, booking.moves, source, points, state.now, "merge")
        assert not missing, "what is overdue was posted, and nothing is on hold"
        opened = lots.hand_over(state, booking.moves, booking.moves[before:], booking.seq, destination, billed=True)
        booking.move(source, destination, points)
        lots.repay(state, booking.moves, opened, debt)
    elif points < 0:
        lots.take(state, booking.moves, destination, -points, state.now)
        booking.move(destination, source, -points, lower_floor=True)
    return points


def _join(state: State, victim: Member, survivor: Member) -> None:
    """Let the survivor have the victim's names and its other accounts."""
    known = (*victim.identifiers, *victim.aliases)
    state.put(
        state.members,
        victim.no,
        msgspec.structs.replace(victim, status="merged", survivor_no=survivor.no, identifiers=(), aliases=()),
    )
    state.put(state.members, survivor.no, msgspec.structs.replace(survivor, aliases=(*survivor.aliases, *known)))
    for selector in known:
        state.put(state.found, ("member", *selector), survivor.no)
    state.put(state.found, ("heir", victim.no), survivor.no)
    members.join(state, victim, survivor)
    claims.join(state, victim.no, survivor.no)
    transfers.join(state, victim.no, survivor.no)
    referrals = [state.find(("referral_of", member.no)) for member in (victim, survivor)]
    state.put(state.found, ("referral_of", survivor.no), min(filter(None, referrals), default=None))
    merge_links(state, victim.no, survivor.no)
    for account in list(state.accounts.values()):
        if account.member_no == victim.no and not account.tracks_lots:
            state.put(state.accounts, account.no, msgspec.structs.replace(account, member_no=survivor.no))
