"""Transfers: points that one member sends to another.

The points keep their times: the recipient's lots end when the sender's did. Each side sees its own half, the sender the
event with the transfer, the recipient one that mirrors it. What a member may send is limited per calendar day and month
of the program's time zone, by when it is recorded: a fact that comes late, or says that it did, takes up the allowance
of the day on which it comes. `Sent` rows count it, so that the limits hold exactly however transfers are grouped.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from msgspec import Struct

from guerdon.core import endings, lots, members
from guerdon.core.booking import Booking
from guerdon.core.commands import TransferPoints
from guerdon.core.dates import add_months, local_midnight
from guerdon.core.events import Name
from guerdon.core.members import Member
from guerdon.core.metadata import write_first
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.points import expire_after, expire_overdue, owed, parties, shortage
from guerdon.core.programs import Policies, Program
from guerdon.core.results import Transferred

if TYPE_CHECKING:
    from guerdon.core.state import State


class Sent(Struct, frozen=True):
    """How many points a member has sent in a program in a day ("2027-01-05") or month ("2027-01"), in how many
    transfers. A projection of the `PointsTransfer` events, which name both.
    """

    points: int = 0
    count: int = 0


class Window(Struct, frozen=True):
    """A calendar day or month as its transfers name it, what may be sent in it, and its exclusive end."""

    kind: str
    period: str
    points: int | None
    count: int | None
    end: datetime


def transfer(state: State, command: TransferPoints) -> Outcome:
    """Send points. Both members are active and enrolled, and are not the same."""
    found = parties(state, command)
    if isinstance(found, Rejected):
        return found
    sender, place, program = found
    recipient = members.resolve(state, command.recipient, field="recipient")
    if isinstance(recipient, Rejected):
        return recipient
    if recipient.no == sender.no:
        return Rejected(Rejection.SAME_MEMBER, "recipient", {"recipient": ":".join(command.recipient)})
    for member, field in ((sender, "member"), (recipient, "recipient")):
        if not member.enrolled:
            return Rejected(Rejection.NOT_ENROLLED, field, {"program": program.code})
    windows = windows_at(program.policies, state.now)
    refused = _limit_refusal(state, sender, program, windows, command.points)
    if refused is not None:
        return refused
    source, destination = members.account_in(state, sender, program), members.account_in(state, recipient, program)
    for account_no in (source, destination):
        expire_overdue(state, account_no, place.judged_at)
    refused = shortage(state, source, command.points)
    if refused is not None:
        return refused
    debt = owed(state, destination)
    booking = Booking(state, Name.POINTS_TRANSFER, sender.no, place, id=command.id)
    missing = lots.take(state, booking.moves, source, command.points, place.judged_at)
    assert not missing, "sending was checked against what is available"
    opened = lots.hand_over(state, booking.moves, list(booking.moves), booking.seq, destination)
    booking.move(source, destination, command.points)
    lots.repay(state, booking.moves, opened, debt)
    endings.renew(state, booking, program.no)
    said: dict[str, Any] = {"program_no": program.no, "sender_no": sender.no, "recipient_no": recipient.no}
    event = booking.close(
        actor=command.actor, reason=command.reason, body={**said, "windows": [window.period for window in windows]}
    )
    mirror = Booking(state, Name.POINTS_TRANSFER, recipient.no, place)
    mirror.note("credit", "regular")
    mirror.close(actor=command.actor, reason=command.reason, mirrors=event.seq, points=command.points, body=said)
    for window in windows:
        key = (sender.no, program.no, window.period)
        before = state.sent.get(key, Sent())
        state.put(state.sent, key, Sent(before.points + command.points, before.count + 1))
    write_first(state, "evt", event.id, command.meta)
    for account_no in (source, destination):
        expire_after(state, account_no)
    balance = state.figures_of(source).balance
    return Accepted(
        Transferred(id=event.id, event_no=event.seq, program_no=program.no, points=command.points, balance=balance)
    )


def windows_at(policies: Policies, moment: datetime) -> tuple[Window, Window]:
    """The day and the month that a moment falls into, in the program's time zone."""
    zone, limits = ZoneInfo(policies.timezone), policies.transfers
    day = moment.astimezone(zone).date()
    first = date(day.year, day.month, 1)
    return (
        Window(
            "day",
            day.isoformat(),
            limits.points_per_day,
            limits.count_per_day,
            local_midnight(day + timedelta(days=1), zone),
        ),
        Window(
            "month",
            f"{day:%Y-%m}",
            limits.points_per_month,
            limits.count_per_month,
            local_midnight(add_months(first, 1), zone),
        ),
    )


def join(state: State, victim_no: int, survivor_no: int) -> None:
    """A merge: where it is known in this batch who sends as the survivor, the victim is one of them."""
    key = ("sent", survivor_no)
    if state.knows(key):
        senders = state.find(key) or (survivor_no,)
        more = state.find(("sent", victim_no)) or (victim_no,)
        state.put(state.found, key, tuple(sorted({*senders, *more})))


def _limit_refusal(
    state: State, sender: Member, program: Program, windows: tuple[Window, ...], points: int
) -> Rejected | None:
    minimum = program.policies.transfers.minimum
    if points < minimum:
        return Rejected(Rejection.TRANSFER_BELOW_MINIMUM, "points", {"minimum": minimum, "points": points})
    senders = state.find(("sent", sender.no)) or (sender.no,)
    for window in windows:
        of_each = [state.sent.get((no, program.no, window.period), Sent()) for no in senders]
        sent = Sent(sum([each.points for each in of_each]), sum([each.count for each in of_each]))
        for counted, limit, used, asked in (
            ("points", window.points, sent.points, points),
            ("count", window.count, sent.count, 1),
        ):
            if limit is not None and used + asked > limit:
                return Rejected(
                    Rejection.TRANSFER_LIMIT_EXCEEDED,
                    "points",
                    {
                        "limited": f"{counted} per {window.kind}",
                        "limit": limit,
                        "used": used,
                        "asked": asked,
                        "window_end": window.end.isoformat(),
                    },
                )
    return None
