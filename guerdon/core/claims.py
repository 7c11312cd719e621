"""Claims: one member's taking of one piece of a reward, in one commit, and what becomes of it.

The points, the piece and the member's limit are taken together or not at all. A fulfilment moves forward only: pending,
processing, then completed, denied or cancelled. Denied and cancelled give back the points, with the end they had, and
the piece. What is delivered by the claim itself, a wallet credit or a code, is completed at once; a code can still be
taken back while nobody has used it. The claim's row is a projection: `RewardClaim`, `RewardFulfilment` and
`RewardClaimReversal` are the events that rebuild it.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from guerdon.core import endings, handouts, members, segments, standings
from guerdon.core.booking import Booking
from guerdon.core.catalogue import Claimed, Offer, Reward, RewardList, Status, is_for, offer
from guerdon.core.commands import ClaimReward, MoveClaim
from guerdon.core.events import Name
from guerdon.core.ledger import internal_account
from guerdon.core.members import Member
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.places import Place, locate
from guerdon.core.points import expire_overdue, homes, post_due, restore, spend, taken_by
from guerdon.core.results import ClaimMoved, RewardClaimed

if TYPE_CHECKING:
    from guerdon.core.codes import Code, CodeLink
    from guerdon.core.state import State

FORWARD: dict[str, tuple[str, ...]] = {
    "pending": ("processing", "completed", "denied", "cancelled"),
    "processing": ("completed", "denied", "cancelled"),
    "completed": (),
    "denied": (),
    "cancelled": (),
}
"""Where a fulfilment may go from where it is."""

GIVEN_BACK = ("denied", "cancelled")


class Claim(Struct, frozen=True, kw_only=True):
    """A piece of a reward that a member claimed for `points`, under the reward's `version`. `wallet` is the number of
    the account that was credited, 0 for none. `status`, `moved_at` and `reason` are of its last move.
    """

    id: str
    member_no: int
    program_no: int
    list_id: str
    reward_id: str
    version: int
    event_seq: int
    points: int
    wallet: int
    claimed_at: datetime
    status: Status
    moved_at: datetime
    reason: str


def rewards_account(asset: str) -> str:
    """The internal account that pays what rewards put into wallets."""
    return f"@Rewards{asset}"


def claim(state: State, command: ClaimReward) -> Outcome:
    """Take one piece of a reward for its price in regular points of the list's program."""
    member = members.resolve(state, command.member)
    if isinstance(member, Rejected):
        return member
    id = state.find(("reward", command.reward))
    if id is None:
        return Rejected(Rejection.REWARD_NOT_FOUND, "reward", {"reward": command.reward})
    reward = state.rewards[id]
    listed = state.reward_lists[reward.list_id]
    place = locate(state, command.where)
    if isinstance(place, Rejected):
        return place
    wallet = _wallet(state, command, member, reward)
    if isinstance(wallet, Rejected):
        return wallet
    program = state.config.programs[listed.program_no]
    account_no = members.account_in(state, member, program)
    expire_overdue(state, account_no, state.now)
    done = _claimed(state, member.no, reward)
    available = state.figures_of(account_no).available
    is_code = reward.terms.kind == "discount_code"
    if is_code and handouts.is_over(state, reward):
        return Rejected(Rejection.REWARD_NOT_ACTIVE, "reward", {"reason": "the promotion of its codes has ended"})
    code = handouts.next_free(state, reward) if is_code else None
    meant = _is_for(state, member, listed, place)
    over = is_code and code is None
    offered = offer(listed, reward, available, done, state.now, sold_out=over, meant=meant)
    if offered.refusal is not None:
        return _refused(listed, reward, offered, available)
    booking = Booking(state, Name.REWARD_CLAIM, member.no, place)
    if offered.price:
        spend(state, booking, [(program, account_no)], offered.price)
    if wallet:
        source = internal_account(state, rewards_account(reward.terms.asset), reward.terms.asset)
        booking.move(source, wallet, reward.terms.amount)
    endings.renew(state, booking, program.no)
    link = None if code is None else handouts.hand_out(state, code, member.no, command.id, command.actor)
    made = _booked(state, command, booking, member, listed, reward, offered.price, wallet, code, link)
    _take_piece(state, member.no, reward, done, code)
    return Accepted(
        RewardClaimed(
            id=made.id,
            event_no=made.event_seq,
            reward_id=reward.id,
            list_id=listed.id,
            program_no=program.no,
            status=made.status,
            points=made.points,
            balance=state.figures_of(account_no).balance,
            claimed_at=made.claimed_at,
            code="" if code is None else code.code,
        )
    )


def _is_for(state: State, member: Member, listed: RewardList, place: Place) -> bool:
    """Whether the list is for the member: the tier in its program, and segments."""
    terms = listed.terms
    tier = standings.tier_of(state, member.no, listed.program_no, place.judged_at) if terms.tiers else ""
    return is_for(terms, tier, segments.of(state, member, place.judged_at, terms.segments))


def _wallet(state: State, command: ClaimReward, member: Member, reward: Reward) -> int | Rejected:
    """The account that a wallet credit goes to, 0 for other kinds."""
    if reward.terms.kind != "wallet_credit":
        if command.wallet:
            return Rejected(Rejection.INVALID_VALUE, "wallet", {"reason": "this reward is no wallet credit"})
        return 0
    if not command.wallet:
        return Rejected(Rejection.ACCOUNT_NOT_FOUND, "wallet", {"reason": "a wallet credit needs a wallet"})
    no: int | None = state.find(("account", command.wallet))
    if no is None:
        return Rejected(Rejection.ACCOUNT_NOT_FOUND, "wallet", {"balance_id": command.wallet})
    account = state.accounts[no]
    if account.member_no != member.no:
        return Rejected(Rejection.WALLET_NOT_OF_MEMBER, "wallet", {"balance_id": command.wallet})
    if account.asset != reward.terms.asset or account.tracks_lots:
        detail = {"currency": reward.terms.asset, "account_currency": account.asset}
        return Rejected(Rejection.ASSET_MISMATCH, "wallet", detail)
    return no


def join(state: State, victim_no: int, survivor_no: int) -> None:
    """A merge: where the survivor's claims are counted in this batch, the victim's count with them."""
    if not state.knows(("claimed", survivor_no)):
        return
    state.find(("claimed", victim_no))
    for (no, of), count in list(state.claimed.items()):
        if no == victim_no:
            state.put(state.claimed, (survivor_no, of), state.claimed.get((survivor_no, of), 0) + count)


def _claimed(state: State, member_no: int, reward: Reward) -> Claimed:
    """What the member, and those merged into it, have claimed so far."""
    state.find(("claimed", member_no))
    counts = state.claimed
    return Claimed(counts.get((member_no, reward.list_id), 0), counts.get((member_no, reward.id), 0))


def _refused(listed: RewardList, reward: Reward, offered: Offer, available: int) -> Rejected:
    assert offered.refusal is not None, "only called for a refusal"
    detail: dict[str, object] = {}
    if offered.refusal is Rejection.INSUFFICIENT_POINTS:
        detail = {"required": offered.price, "available": max(0, available), "shortfall": offered.shortfall}
    elif offered.refusal is Rejection.LIMIT_REACHED:
        detail = {"list_limit": listed.terms.limit, "reward_limit": reward.terms.limit}
    field = "points" if offered.refusal is Rejection.INSUFFICIENT_POINTS else "reward"
    return Rejected(offered.refusal, field, detail)


def _booked(
    state: State,
    command: ClaimReward,
    booking: Booking,
    member: Member,
    listed: RewardList,
    reward: Reward,
    points: int,
    wallet: int,
    code: Code | None,
    link: CodeLink | None,
) -> Claim:
    """Close the event and keep the claim. What is delivered with it is completed at once."""
    status: Status = "completed" if wallet or code else "pending"
    body = {
        "claim_id": command.id,
        "program_no": listed.program_no,
        "list_id": listed.id,
        "reward_id": reward.id,
        "version": reward.version,
        "price": points,
        "wallet": wallet,
        "status": status,
    }
    if code is not None and link is not None:
        body |= {"code": code.code, "code_no": code.no, "mode": link.mode}
    event = booking.close(actor=command.actor, body=body)
    made = Claim(
        id=command.id,
        member_no=member.no,
        program_no=listed.program_no,
        list_id=listed.id,
        reward_id=reward.id,
        version=reward.version,
        event_seq=event.seq,
        points=points,
        wallet=wallet,
        claimed_at=state.now,
        status=status,
        moved_at=state.now,
        reason="",
    )
    state.put(state.claims, made.id, made)
    state.put(state.found, ("claim", made.id), made.id)
    return made


def _take_piece(state: State, member_no: int, reward: Reward, done: Claimed, code: Code | None) -> None:
    given = reward.given if code is None else max(reward.given, code.no)
    state.put(state.rewards, reward.id, msgspec.structs.replace(reward, claimed=reward.claimed + 1, given=given))
    state.put(state.claimed, (member_no, reward.list_id), done.of_list + 1)
    state.put(state.claimed, (member_no, reward.id), done.of_reward + 1)


def move(state: State, command: MoveClaim) -> Outcome:
    """Move a fulfilment forward. Where the member was merged, the survivor gets what is given back."""
    id = state.find(("claim", command.claim))
    if id is None:
        return Rejected(Rejection.CLAIM_NOT_FOUND, "claim", {"claim": command.claim})
    found = state.claims[id]
    code = _code_of(state, found)
    if command.status not in (GIVEN_BACK if code and found.status == "completed" else FORWARD[found.status]):
        detail = {"status": found.status, "asked_for": command.status}
        return Rejected(Rejection.FULFILMENT_NOT_FORWARD, "status", detail)
    owner = members.family(state, found.member_no)[-1]
    if command.status in GIVEN_BACK:
        refused = handouts.take_back(state, code, command.reason, command.actor) if code else None
        if refused is not None:
            return refused
        event_no, expired, written_off = _give_back(state, command, found, owner)
    else:
        booking = Booking(state, Name.REWARD_FULFILMENT, 0, _now(state))
        body = {"claim_id": id, "member_no": owner, "status": command.status}
        event_no, expired, written_off = booking.close(actor=command.actor, reason=command.reason, body=body).seq, 0, 0
    moved = msgspec.structs.replace(found, status=command.status, moved_at=state.now, reason=command.reason)
    state.put(state.claims, id, moved)
    program = state.config.programs[found.program_no]
    account_no = state.member_accounts[owner][program.no, "regular"]
    return Accepted(
        ClaimMoved(
            id=id,
            event_no=event_no,
            status=command.status,
            program_no=program.no,
            points=found.points if command.status in GIVEN_BACK else 0,
            expired=expired,
            written_off=written_off,
            balance=state.figures_of(account_no).balance,
        )
    )


def _code_of(state: State, found: Claim) -> str:
    """The code that a claim handed out, "" for other kinds; its event says it."""
    if state.rewards[found.reward_id].terms.kind != "discount_code":
        return ""
    return str(msgspec.json.decode(state.events[found.event_seq].body)["code"])


def _give_back(state: State, command: MoveClaim, found: Claim, owner: int) -> tuple[int, int, int]:
    """Book `RewardClaimReversal`: the points to the lots they came from, the piece to the stock. (The event's number,
    points that had ended meanwhile, points that were written off meanwhile.)
    """
    taken = taken_by(state, found.event_seq)
    accounts = homes(state, owner, taken)
    for account_no in accounts:
        expire_overdue(state, account_no, state.now)
    booking = Booking(state, Name.REWARD_CLAIM_REVERSAL, owner, _now(state))
    written_off = restore(state, booking, owner, taken, 0, found.points)
    body = {"claim_id": found.id, "program_no": found.program_no, "status": command.status}
    event = booking.close(actor=command.actor, reason=command.reason, body=body)
    expired = sum(post_due(state, account_no, state.now).points for account_no in accounts)
    reward = state.rewards[found.reward_id]
    state.put(state.rewards, reward.id, msgspec.structs.replace(reward, claimed=reward.claimed - 1))
    for no in members.family(state, found.member_no):
        for of in (found.list_id, found.reward_id):
            count = state.claimed.get((no, of))
            if count is not None:  # nobody counts those of a member who claims nothing in this batch
                state.put(state.claimed, (no, of), count - 1)
    return event.seq, expired, written_off


def _now(state: State) -> Place:
    return Place(event_at=state.now, judged_at=state.now)
