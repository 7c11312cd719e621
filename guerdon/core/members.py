"""Members: who may hold points, how they are known, and the accounts that a program opens for them.

A member is Blnk's identity. Personal data (`profile`) is stored apart, so that it can be erased without touching
history.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import Struct

from guerdon.core import standings
from guerdon.core.booking import Booking
from guerdon.core.commands import ChangeMember, RegisterMember, RemoveMember, Where
from guerdon.core.events import Name
from guerdon.core.ledger import add_account
from guerdon.core.metadata import write_first
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.persons import Person, profile_of
from guerdon.core.places import Place, locate
from guerdon.core.programs import CATEGORIES, Program
from guerdon.core.results import Changed, Registered
from guerdon.core.state import NotLoaded

if TYPE_CHECKING:
    from guerdon.core.state import State

IDENTIFIER_KINDS = ("external_id", "email", "mobile", "card")


class Member(Struct, frozen=True, kw_only=True):
    """A person. `enrolled` is false for a raw identity, which has no program accounts; `survivor_no` is set by a
    merge, and `aliases` are the identifiers of those who were merged into this member.
    """

    no: int
    id: str
    status: Literal["active", "blocked", "merged"] = "active"
    enrolled: bool = True
    registered_at: datetime
    survivor_no: int = 0
    identifiers: tuple[tuple[str, str], ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()


def normalise(kind: str, value: str) -> str:
    """The form in which an identifier is unique: e-mail in lower case, mobile and card as digits, external id as it
    is.
    """
    text = value.strip()
    if kind == "email":
        return text.casefold()
    if kind == "mobile":
        return "".join(c for c in text if c in "0123456789").lstrip("0")
    if kind == "card":
        return "".join(c for c in text if c.isalnum()).upper()
    return text


# -- commands ---------------------------------------------------------------------------------------------------------


def register(state: State, command: RegisterMember) -> Outcome:
    """Register a person, open three accounts per program and book `CustomerRegistration`; or, raw, just the
    identity, whose id may be the caller's own.
    """
    if not command.enrol and state.find(("member", "id", command.id)) is not None:
        return Rejected(Rejection.IDENTIFIER_TAKEN, "identity_id", {"identity_id": command.id})
    for kind, value in command.identifiers:
        taken = state.find(("member", kind, value))
        if taken is not None:
            return Rejected(Rejection.IDENTIFIER_TAKEN, kind, {"identifier": value})
    place = locate(
        state,
        Where(
            event_at=command.event_at,
            source=command.source,
            store=command.store,
            till=command.till,
            imported=command.imported,
        ),
    )
    if isinstance(place, Rejected):
        return place
    member = add_member(state, command.id, command.identifiers, command.enrol, place.event_at)
    if command.profile:
        state.put(state.profiles, member.no, command.profile)
        state.put(state.persons, member.no, Person(profile=profile_of(command.profile)))
    write_first(state, "idt", member.id, command.meta)
    event_no = enrol(state, member, place, command.actor) if command.enrol else 0
    return Accepted(Registered(id=member.id, number=member.no, event_no=event_no, registered_at=member.registered_at))


def add_member(
    state: State, id: str, identifiers: tuple[tuple[str, str], ...], enrolled: bool, registered_at: datetime
) -> Member:
    """A new active member; identifiers are known to be free."""
    member = Member(
        no=state.next("member"),
        id=id,
        enrolled=enrolled,
        registered_at=registered_at,
        identifiers=_each_once(identifiers),
    )
    state.put(state.members, member.no, member)
    state.put(state.member_accounts, member.no, {})
    state.put(state.found, ("forebears", member.no), ())
    for selector in (("id", id), ("number", str(member.no)), *identifiers):
        state.put(state.found, ("member", *selector), member.no)
    standings.begin(state, member.no, registered_at)
    state.put(state.persons, member.no, Person())
    return member


def _each_once(identifiers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple(dict.fromkeys(identifiers))


def enrol(state: State, member: Member, place: Place, actor: str) -> int:
    """Open the member's accounts in every program and book `CustomerRegistration`. Returns the event's number."""
    booking = Booking(state, Name.CUSTOMER_REGISTRATION, member.no, place)
    opening = [
        line for program in state.config.programs.values() for line in open_accounts(state, booking, member, program)
    ]
    return booking.close(actor=actor, body={"opening": opening}).seq


def account_in(state: State, member: Member, program: Program, category: str = "regular") -> int:
    """The member's account in a program.

    A raw identity is enrolled now, as of its registration (`CustomerRegistration`); for others, a program newer than
    the member opens its accounts now (`PointsLedgerBulkJob`).
    """
    if not state.members[member.no].enrolled:
        state.put(state.members, member.no, msgspec.structs.replace(member, enrolled=True))
        enrol(state, member, Place(event_at=member.registered_at, judged_at=state.now), "guerdon")
    accounts = state.member_accounts.get(member.no, {})
    if (program.no, category) not in accounts:
        place = Place(event_at=state.now, judged_at=state.now)
        booking = Booking(state, Name.POINTS_LEDGER_BULK_JOB, member.no, place)
        opening = open_accounts(state, booking, member, program)
        booking.close(actor="guerdon", body={"opening": opening})
        accounts = state.member_accounts[member.no]
    return accounts[program.no, category]


def open_accounts(state: State, booking: Booking, member: Member, program: Program) -> list[dict[str, int | str]]:
    """One account per category, floor 0, lots tracked. Returns the opening balance lines for the event's body."""
    accounts = dict(state.member_accounts.get(member.no, {}))
    lines: list[dict[str, int | str]] = []
    for category in CATEGORIES:
        account = add_account(
            state,
            program.asset,
            program.ledger_no,
            member_no=member.no,
            program_no=program.no,
            category=category,
            floor=0,
            tracks_lots=True,
        )
        accounts[program.no, category] = account.no
        booking.note("opening_balance", category)
        lines.append({"program_no": program.no, "category": category, "account_no": account.no})
    state.put(state.member_accounts, member.no, accounts)
    return lines


def resolve(state: State, selector: tuple[str, str], active: bool = True, field: str = "member") -> Member | Rejected:
    """The member a caller names; refused when unknown and, with `active`, when blocked or merged.

    Identifiers of a merged member name the survivor; its id and number name itself.
    """
    no = state.find(("member", *selector))
    if no is None:
        return Rejected(Rejection.MEMBER_NOT_FOUND, field, {"member": ":".join(selector)})
    member = state.members[no]
    if active and member.status == "blocked":
        return Rejected(Rejection.MEMBER_BLOCKED, field, {"member": ":".join(selector)})
    if active and member.status == "merged":
        survivor = f"number:{member.survivor_no}"
        return Rejected(Rejection.MEMBER_MERGED, field, {"member": ":".join(selector), "survivor": survivor})
    return member


def family(state: State, member_no: int) -> list[int]:
    """The member and, where it was merged, whom it was merged into and so on: the last one has what it had.

    Each of them is loaded by ("heir", number) of the first.
    """
    found = [member_no]
    while survivor_no := state.members[found[-1]].survivor_no:
        if ("heir", found[-1]) not in state.found:
            raise NotLoaded(("heir", member_no))
        found.append(survivor_no)
    return found


def forebears(state: State, member: Member) -> tuple[tuple[int, str], ...] | None:
    """Who was merged into a member, and into those, by number and id. None where nobody looked: they are loaded by
    ("forebears", number).
    """
    key = ("forebears", member.no)
    return state.find(key) or () if state.knows(key) else None


def join(state: State, victim: Member, survivor: Member) -> None:
    """A merge: who asks in this batch for the survivor's forebears finds the victim, and the victim's, among them."""
    known = forebears(state, survivor)
    if known is not None:
        more = state.find(("forebears", victim.no)) or ()
        state.put(state.found, ("forebears", survivor.no), tuple(sorted((*known, (victim.no, victim.id), *more))))


def change(state: State, command: ChangeMember) -> Outcome:
    """Change profile, identifiers or status; what is None stays."""
    member = resolve(state, command.member, active=False)
    if isinstance(member, Rejected):
        return member
    if member.status == "merged":
        return Rejected(Rejection.MEMBER_MERGED, "member")
    changed = member
    if command.identifiers is not None:
        for kind, value in command.identifiers:
            taken = state.find(("member", kind, value))
            if taken not in (None, member.no):
                return Rejected(Rejection.IDENTIFIER_TAKEN, kind, {"identifier": value})
        for kind, value in member.identifiers:
            if (kind, value) not in command.identifiers:
                state.put(state.found, ("member", kind, value), None)
        for kind, value in command.identifiers:
            state.put(state.found, ("member", kind, value), member.no)
        changed = msgspec.structs.replace(
            changed,
            identifiers=_each_once(command.identifiers),
            aliases=tuple(alias for alias in member.aliases if alias not in command.identifiers),
        )
    if command.status is not None:
        changed = msgspec.structs.replace(changed, status=command.status)
    if changed != member:
        state.put(state.members, member.no, changed)
    if command.profile is not None:
        state.put(state.profiles, member.no, command.profile)
        known = state.persons.get(member.no)
        if known is not None:
            changed_profile = msgspec.structs.replace(known, profile=profile_of(command.profile))
            state.put(state.persons, member.no, changed_profile)
    return Accepted(Changed(id=member.id))


def remove(state: State, command: RemoveMember) -> Outcome:
    """Remove a raw identity. Whoever holds or held an account stays: history names them."""
    member = resolve(state, command.member, active=False)
    if isinstance(member, Rejected):
        return member
    held = any(account.member_no == member.no for account in state.accounts.values())
    if member.enrolled or held:
        return Rejected(Rejection.MEMBER_IN_USE, "identity_id", {"identity_id": member.id})
    state.put(state.removed_members, member.no, True)
    for selector in (("id", member.id), ("number", str(member.no)), *member.identifiers):
        state.put(state.found, ("member", *selector), None)
    return Accepted(Changed(id=member.id))
