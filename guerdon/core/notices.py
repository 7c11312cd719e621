"""Notices: points of a member that are about to end, told as events so that webhooks carry them.

Promises that each is told once for a member, an end and a number of days before it, however often and whenever a job
asks: the event's id follows from these, and the database takes an id once. What it tells is what there is when it is
told. One that a later one has overtaken is not told any more, nor is one whose points have ended.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import md5
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from guerdon.core import endings
from guerdon.core.booking import Booking
from guerdon.core.commands import GiveNotice
from guerdon.core.dates import local_midnight
from guerdon.core.events import Name
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.places import Place
from guerdon.core.points import program_of
from guerdon.core.programs import Policies
from guerdon.core.results import Noticed

if TYPE_CHECKING:
    from guerdon.core.state import State


def notice_id(program_id: str, account_no: int, ends_at: datetime, days: int) -> str:
    """The id of the event that tells of it; `queries/jobs.sql` says the same."""
    named = f"expiring:{program_id}:{account_no}:{int(ends_at.timestamp())}:{days}"
    text = md5(named.encode(), usedforsecurity=False).hexdigest()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def due(policies: Policies, ends_at: datetime, now: datetime) -> int | None:
    """The number of days before an end that is told at a moment: the last of them that has come."""
    zone = ZoneInfo(policies.timezone)
    day = ends_at.astimezone(zone).date()
    come = [days for days in policies.notice_days if local_midnight(day - timedelta(days=days), zone) <= now < ends_at]
    return min(come, default=None)


def give(state: State, command: GiveNotice) -> Outcome:
    """Tell of the points on these accounts that end at these times, as far as that is due and was not told yet."""
    told = 0
    for account_no, _ in command.ends:
        if account_no not in state.accounts and state.find(("account_no", account_no)) is None:
            return Rejected(Rejection.ACCOUNT_NOT_FOUND, "ends", {"account_no": account_no})
    endings.ready(state, [account_no for account_no, _ in command.ends])
    for account_no, ends_at in command.ends:
        endings.catch_up(state, account_no)
        told += _tell(state, account_no, ends_at)
    return Accepted(Noticed(events=told))


def _tell(state: State, account_no: int, ends_at: datetime) -> bool:
    account, program = state.accounts[account_no], program_of(state, account_no)
    days = due(program.policies, ends_at, state.now)
    if days is None:
        return False
    id = notice_id(program.id, account_no, ends_at, days)
    if state.find(("event_id", id)) is not None:
        return False
    ending = [lot for lot in state.open_lots(account_no) if lot.expires_at == ends_at and lot.free]
    if not ending:
        return False
    here = Place(event_at=state.now, judged_at=state.now, program=program)
    event = Booking(state, Name.POINTS_EXPIRING, 0, here, id=id).close(
        actor="guerdon",
        body={
            "member_no": account.member_no,
            "program_no": program.no,
            "asset": account.asset,
            "category": account.category,
            "points": sum(lot.free for lot in ending),
            "ends_at": ends_at,
            "days": days,
        },
    )
    state.put(state.found, ("event_id", id), event.seq)
    return True
