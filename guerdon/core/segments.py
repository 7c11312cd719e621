"""Segments: named lists of members, and conditions over what members are, did and hold.

Who is in a list was put there; who is in a condition follows at every moment from the facts, as a tier does. Attributes
and balances are taken as they stand when it is asked; activity and tiers as of the moment that is asked about.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import Struct

from guerdon.core import members, standings
from guerdon.core.activity import Activity
from guerdon.core.commands import ChangeSegment, CreateSegment, ListMembers
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.results import MembersListed, SegmentMade
from guerdon.core.state import NotLoaded, State

if TYPE_CHECKING:
    from guerdon.core.members import Member

ATTRIBUTES = (
    "first_name", "last_name", "other_names", "gender", "dob", "nationality", "street", "city", "state", "country",
    "post_code",
)  # fmt: skip
"""What a profile may say of a member."""

DEPTH_MAX = 10
NODES_MAX = 100
SEGMENTS_MAX = 1_000
DAYS_MAX = 36_600
Operator = Literal["at_least", "at_most", "equals"]
Kpi = Literal["purchases", "spent", "days_since_purchase", "days_since_joined"]


class _Node(Struct, frozen=True, kw_only=True, tag_field="type", forbid_unknown_fields=True):
    """One question, told apart by its `type`."""


class Every(_Node, frozen=True, kw_only=True, tag="all"):
    """Every one of them holds."""

    of: tuple[Condition, ...]


class Some(_Node, frozen=True, kw_only=True, tag="any"):
    """At least one of them holds."""

    of: tuple[Condition, ...]


class Not(_Node, frozen=True, kw_only=True, tag="not"):
    """It does not hold."""

    of: Condition


class AttributeIs(_Node, frozen=True, kw_only=True, tag="attribute"):
    """What the profile says under a name (`ATTRIBUTES`) is one of these values, in capitals or not."""

    name: str
    values: tuple[str, ...]


class ActivityIs(_Node, frozen=True, kw_only=True, tag="activity"):
    """A figure of what the member did, in a program or (``""``) anywhere, in the last so many days or (0) ever: the
    number of `purchases`; what was `spent`, in minor units of `currency`; days since the last purchase (who never
    bought anything has none: that is neither at least nor at most anything) or since joining.
    """

    kpi: Kpi
    operator: Operator = "at_least"
    value: int
    currency: str = ""
    program: str = ""
    within_days: int = 0


class TierIs(_Node, frozen=True, kw_only=True, tag="tier"):
    """The member's tier in a program (its code) is one of these."""

    program: str
    values: tuple[str, ...]


class BalanceIs(_Node, frozen=True, kw_only=True, tag="balance"):
    """The member's regular points in a program (its code), in minor units."""

    program: str
    operator: Operator = "at_least"
    value: int


class SegmentIs(_Node, frozen=True, kw_only=True, tag="segment"):
    """The member is in one of these segments."""

    values: tuple[str, ...]


Condition = Every | Some | Not | AttributeIs | ActivityIs | TierIs | BalanceIs | SegmentIs


class Segment(Struct, frozen=True, kw_only=True):
    """A version of a segment: a list, or (with a `condition`) those of whom it holds."""

    code: str
    version: int
    name: str
    condition: Condition | None = None


class Facts(Struct, frozen=True, kw_only=True):
    """What conditions are asked about, at a moment. `tiers` and `balances` by the code of the program."""

    at: datetime
    profile: Mapping[str, str]
    lists: Collection[str]
    activity: Activity
    tiers: Mapping[str, str]
    balances: Mapping[str, int]
    programs: Mapping[str, int]
    """The numbers of programs by code."""


def in_segments(segments: Mapping[str, Segment], wanted: Collection[str], facts: Facts) -> frozenset[str]:
    """Those of the wanted segments that somebody is in. A segment that nobody made has nobody in it."""
    return frozenset(code for code in wanted if _in(segments, code, facts))


def _in(segments: Mapping[str, Segment], code: str, facts: Facts) -> bool:
    segment = segments.get(code)
    if segment is None:
        return False
    return code in facts.lists if segment.condition is None else _holds(segments, segment.condition, facts)


def _holds(segments: Mapping[str, Segment], condition: Condition, facts: Facts) -> bool:
    if isinstance(condition, Every):
        return all(_holds(segments, each, facts) for each in condition.of)
    if isinstance(condition, Some):
        return any(_holds(segments, each, facts) for each in condition.of)
    if isinstance(condition, Not):
        return not _holds(segments, condition.of, facts)
    if isinstance(condition, AttributeIs):
        return facts.profile.get(condition.name, "").casefold() in {value.casefold() for value in condition.values}
    if isinstance(condition, TierIs):
        return facts.tiers.get(condition.program, "") in condition.values
    if isinstance(condition, BalanceIs):
        return _compared(facts.balances.get(condition.program, 0), condition.operator, condition.value)
    if isinstance(condition, SegmentIs):
        return any(_in(segments, code, facts) for code in condition.values)
    figure = _figure(condition, facts)
    return figure is not None and _compared(figure, condition.operator, condition.value)


def _figure(condition: ActivityIs, facts: Facts) -> int | None:
    activity, at = facts.activity, facts.at
    if condition.kpi == "days_since_joined":
        return max(0, (at - activity.joined_at(at)).days)
    since = at - timedelta(days=condition.within_days) if condition.within_days else None
    program_no = facts.programs.get(condition.program, 0) if condition.program else 0
    deeds = [
        deed
        for deed in activity.deeds
        if deed.at <= at
        and (since is None or deed.counts_at > since)
        and (not condition.program or deed.program_no == program_no)
    ]
    if condition.kpi == "purchases":
        return sum(deed.visits for deed in deeds)
    if condition.kpi == "spent":
        return sum(deed.paid for deed in deeds if deed.currency == condition.currency)
    left: dict[int, int] = {}
    for deed in deeds:
        left[deed.purchase_no] = left.get(deed.purchase_no, 0) + deed.visits
    last = max((deed.counts_at for deed in deeds if left[deed.purchase_no]), default=None)
    return None if last is None else max(0, (at - last).days)


def _compared(actual: int, operator: Operator, value: int) -> bool:
    if operator == "at_least":
        return actual >= value
    return actual <= value if operator == "at_most" else actual == value


# -- of a member, as the state knows it -------------------------------------------------------------------------------


def of(state: State, member: Member, at: datetime, wanted: Collection[str]) -> frozenset[str]:
    """Those of the wanted segments that a member is in at a moment. What is not loaded is asked for at once."""
    segments = state.config.segments
    known = {code: segments[code] for code in wanted if code in segments}
    if not known:
        return frozenset()
    inner = _inner(segments, known.values())
    nodes = [node for segment in inner if segment.condition is not None for node in _nodes(segment.condition)]
    person, activity = state.persons.get(member.no), state.activity.get(member.no)
    missing: list[tuple[str, int]] = [] if person is not None else [("person", member.no)]
    if activity is None and any(isinstance(node, ActivityIs) for node in nodes):
        missing.append(("activity", member.no))
    if missing or person is None:
        raise NotLoaded(*missing)
    programs = {program.code: program.no for program in state.config.programs.values()}
    codes = {node.program for node in nodes if isinstance(node, TierIs)}
    accounts = state.member_accounts.get(member.no, {})
    facts = Facts(
        at=at,
        profile=person.profile,
        lists=[code for code, (_, there) in person.lists.items() if there],
        activity=activity or Activity(joined=((member.registered_at, member.registered_at),)),
        tiers={code: standings.tier_of(state, member.no, programs[code], at) for code in codes},
        balances={
            code: state.figures_of(accounts[no, "regular"]).balance
            for code, no in programs.items()
            if (no, "regular") in accounts
        },
        programs=programs,
    )
    return in_segments(segments, known, facts)


def _inner(segments: Mapping[str, Segment], some: Collection[Segment]) -> list[Segment]:
    """Segments with all that their conditions name, and so on."""
    found = {segment.code: segment for segment in some}
    waiting = list(some)
    while waiting:
        condition = waiting.pop().condition
        for node in _nodes(condition) if condition is not None else ():
            if isinstance(node, SegmentIs):
                more = [segments[code] for code in node.values if code in segments and code not in found]
                found |= {segment.code: segment for segment in more}
                waiting += more
    return list(found.values())


def _nodes(condition: Condition) -> list[Condition]:
    found: list[Condition] = [condition]
    for node in found:
        if isinstance(node, Every | Some):
            found.extend(node.of)
        elif isinstance(node, Not):
            found.append(node.of)
    return found


# -- making and filling them ------------------------------------------------------------------------------------------


def create(state: State, command: CreateSegment) -> Outcome:
    """A new list or condition."""
    if command.code in state.config.segments:
        return Rejected(Rejection.CODE_TAKEN, "code", {"code": command.code})
    if len(state.config.segments) >= SEGMENTS_MAX:
        return Rejected(Rejection.INVALID_VALUE, "", {"maximum": SEGMENTS_MAX})
    return _put(state, Segment(code=command.code, version=1, name=command.name, condition=command.condition))


def change(state: State, command: ChangeSegment) -> Outcome:
    """The next version of a segment. A list stays a list, a condition a condition."""
    segment = state.config.segments.get(command.segment)
    if segment is None:
        return Rejected(Rejection.SEGMENT_NOT_FOUND, "segment", {"segment": command.segment})
    condition = segment.condition if command.condition is None else command.condition
    if (condition is None) != (segment.condition is None):
        return Rejected(Rejection.INVALID_VALUE, "condition", {"reason": "a list has no condition"})
    changed = Segment(
        code=segment.code, version=segment.version + 1, name=command.name or segment.name, condition=condition
    )
    return _put(state, changed)


def _put(state: State, segment: Segment) -> Outcome:
    segments = {**state.config.segments, segment.code: segment}
    if segment.condition is not None:
        refused = _refusal(state, segment, segments)
        if refused is not None:
            return refused
    state.put(state.segments, segment.code, segment)
    state.set_config(msgspec.structs.replace(state.config, segments=segments))
    return Accepted(SegmentMade(code=segment.code, version=segment.version))


def _refusal(state: State, segment: Segment, segments: Mapping[str, Segment]) -> Rejected | None:
    """What a condition names that is not there, or that leads back to it."""
    waiting: list[tuple[Condition, str, int]] = []
    if segment.condition is not None:
        waiting.append((segment.condition, "condition", 1))
    count = 0
    while waiting:
        node, path, depth = waiting.pop()
        count += 1
        if depth > DEPTH_MAX or count > NODES_MAX:
            return Rejected(Rejection.INVALID_VALUE, path, {"depth": DEPTH_MAX, "conditions": NODES_MAX})
        if isinstance(node, Every | Some):
            if not node.of:
                return Rejected(Rejection.INVALID_VALUE, f"{path}.of", {"minimum": 1})
            waiting += [(each, f"{path}.of[{i}]", depth + 1) for i, each in enumerate(node.of)]
        elif isinstance(node, Not):
            waiting.append((node.of, f"{path}.of", depth + 1))
        else:
            refused = _leaf_refusal(state, node, path, segments)
            if refused is not None:
                return refused
    seen: set[str] = set()
    around = [segment]
    while around:
        condition = around.pop().condition
        for node in _nodes(condition) if condition is not None else ():
            for code in node.values if isinstance(node, SegmentIs) else ():
                if code == segment.code:
                    return Rejected(Rejection.SEGMENTS_IN_A_CIRCLE, "condition", {"segment": code})
                if code not in seen:
                    seen.add(code)
                    around.append(segments[code])
    return None


def _leaf_refusal(state: State, node: Condition, path: str, segments: Mapping[str, Segment]) -> Rejected | None:
    if isinstance(node, AttributeIs) and node.name not in ATTRIBUTES:
        return Rejected(Rejection.UNKNOWN_ATTRIBUTE, f"{path}.name", {"name": node.name, "known": list(ATTRIBUTES)})
    if isinstance(node, TierIs | BalanceIs | ActivityIs) and (node.program or not isinstance(node, ActivityIs)):
        program = state.config.program(("code", node.program))
        if program is None:
            return Rejected(Rejection.PROGRAM_NOT_FOUND, f"{path}.program", {"program": node.program})
        if isinstance(node, TierIs):
            known = standings.known_by(state.config.tiers.get(program.no, ()))
            for i, value in enumerate(node.values):
                if value and value not in known:
                    return Rejected(Rejection.UNKNOWN_ATTRIBUTE, f"{path}.values[{i}]", {"name": value, "known": known})
    if isinstance(node, SegmentIs):
        for i, code in enumerate(node.values):
            if code not in segments:
                return Rejected(Rejection.SEGMENT_NOT_FOUND, f"{path}.values[{i}]", {"segment": code})
    if isinstance(node, ActivityIs):
        if (node.kpi == "spent") != bool(node.currency):
            return Rejected(Rejection.INVALID_VALUE, f"{path}.currency", {"reason": "what is spent has one"})
        if node.currency and node.currency not in state.config.assets:
            return Rejected(Rejection.ASSET_NOT_FOUND, f"{path}.currency", {"asset": node.currency})
        if not 0 <= node.within_days <= DAYS_MAX:
            return Rejected(Rejection.INVALID_VALUE, f"{path}.within_days", {"minimum": 0, "maximum": DAYS_MAX})
    return None


def put_members(state: State, command: ListMembers) -> Outcome:
    """Put members on a list, or take them off. Who is there, or gone, already, is no error; one who is not known,
    or was merged into another, refuses the whole.
    """
    segment = state.config.segments.get(command.segment)
    if segment is None:
        return Rejected(Rejection.SEGMENT_NOT_FOUND, "segment", {"segment": command.segment})
    if segment.condition is not None:
        return Rejected(Rejection.SEGMENT_IS_NO_LIST, "segment", {"segment": command.segment})
    nos = []
    for i, selector in enumerate(command.members):
        member = members.resolve(state, selector, active=False, field=f"members[{i}]")
        if isinstance(member, Rejected):
            return member
        if member.status == "merged":
            survivor = f"number:{member.survivor_no}"
            return Rejected(Rejection.MEMBER_MERGED, f"members[{i}]", {"survivor": survivor})
        nos.append(member.no)
    missing = [("person", no) for no in dict.fromkeys(nos) if state.persons.get(no) is None]
    if missing:
        raise NotLoaded(*missing)
    changed = sum(_enter(state, segment.code, no, present=command.present) for no in dict.fromkeys(nos))
    return Accepted(MembersListed(code=segment.code, changed=changed, members=len(nos)))


def _enter(state: State, code: str, member_no: int, *, present: bool) -> bool:
    """Put somebody on a list or take them off; whether that changed anything."""
    person = state.persons[member_no]
    version, there = person.lists.get(code, (0, False))
    if there == present:
        return False
    entry = (version + 1, present)
    state.put(state.persons, member_no, msgspec.structs.replace(person, lists={**person.lists, code: entry}))
    state.put(state.segment_entries, (code, member_no), entry)
    return True


def join(state: State, victim: Member, survivor: Member) -> None:
    """A merge: the survivor is on the lists that the victim was on, and the victim on none."""
    if all(segment.condition is not None for segment in state.config.segments.values()):
        return
    missing = [("person", member.no) for member in (victim, survivor) if state.persons.get(member.no) is None]
    if missing:
        raise NotLoaded(*missing)
    for code, (_, there) in sorted(state.persons[victim.no].lists.items()):
        if there:
            _enter(state, code, survivor.no, present=True)
            _enter(state, code, victim.no, present=False)
