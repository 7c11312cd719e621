"""Setting up an organisation: assets, programs, stores, tills, sources.

All of it is configuration: each change makes a new configuration, which the writer keeps per process by its version.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from guerdon.core import pools
from guerdon.core.accounts import GENERAL_LEDGER, Ledger
from guerdon.core.assets import SCALE_MAX, Asset
from guerdon.core.commands import (
    ChangeProgram,
    CreateAsset,
    CreateProgram,
    CreateStore,
    CreateTill,
    PreviewChange,
    RegisterSource,
)
from guerdon.core.ledger import add_account
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.places import SOURCES
from guerdon.core.programs import (
    ROLES,
    Cap,
    Expiry,
    Planned,
    Policies,
    Program,
    ReferralPoints,
    Rule,
    Store,
    Till,
    internal_name,
)
from guerdon.core.promotions.windows import DAY_MINUTES, overlapping
from guerdon.core.results import Changed, Opened

if TYPE_CHECKING:
    from guerdon.core.state import State

DAYS_MAX = 36_500
MONTHS_MAX = 1_200
YEARS_MAX = 100
NOTICES_MAX = 5
NOTICE_DAYS_MAX = 366
LEAP_YEAR = 2028
RULES_MAX = 200
WINDOWS_MAX = 20
CAPS_MAX = 20
YEAR_MAX = 9000
"""Release dates lie before the end of that year, so that an expiry can still be counted from them."""

_K = TypeVar("_K")
_V = TypeVar("_V")


def create_asset(state: State, command: CreateAsset) -> Outcome:
    """Register what is counted. The scale is fixed for good; the same asset again with the same scale is no error."""
    known = state.config.assets.get(command.code)
    if known is not None:
        if known.scale != command.scale:
            return Rejected(Rejection.ASSET_IN_USE, "scale", {"code": command.code, "scale": known.scale})
        return Accepted(Opened(id=command.code, created_at=state.now))
    if not 0 <= command.scale <= SCALE_MAX:
        return Rejected(Rejection.INVALID_VALUE, "scale", {"minimum": 0, "maximum": SCALE_MAX})
    asset = Asset(command.code, command.scale)
    state.put(state.assets, asset.code, asset)
    state.set_config(msgspec.structs.replace(state.config, assets=_with(state.config.assets, asset.code, asset)))
    return Accepted(Opened(id=asset.code, created_at=state.now))


def create_program(state: State, command: CreateProgram) -> Outcome:
    """A scheme with its ledger and internal accounts. The first program of an asset gets the plain names
    (`@PointsPool`).
    """
    config = state.config
    if config.program(("code", command.code)) is not None:
        return Rejected(Rejection.CODE_TAKEN, "code", {"code": command.code})
    if command.asset not in config.assets:
        return Rejected(Rejection.ASSET_NOT_FOUND, "asset", {"asset": command.asset})
    refused = _policies_refusal(state, command.policies)
    if refused is not None:
        return refused
    if command.policies.follow is not None:
        reason = "there are no points yet that could follow"
        return Rejected(Rejection.INVALID_VALUE, "policies.follow", {"reason": reason})
    first = all(program.asset != command.asset for program in config.programs.values())
    ledger = Ledger(no=state.next("ledger"), id=state.new_id(), name=command.name, opened_at=state.now)
    state.put(state.ledgers, ledger.no, ledger)
    state.put(state.found, ("ledger", ledger.id), ledger.no)
    program = Program(
        no=state.next("config"),
        id=command.id,
        ledger_no=ledger.no,
        code=command.code,
        name=command.name,
        asset=command.asset,
        first=first,
        version=1,
        policies=command.policies,
    )
    for role in ROLES:
        _open_internal(state, program, role)
    state.put(state.programs, program.no, program)
    state.set_config(msgspec.structs.replace(config, programs=_with(config.programs, program.no, program)))
    _plan(state, program.no, Planned(version=1, starts_at=state.now, policies=command.policies), command.actor)
    return Accepted(Opened(id=program.id, number=program.no, created_at=state.now))


def _open_internal(state: State, program: Program, role: str) -> None:
    """One internal account of a program; a raw transfer may have opened it already, then it gets its role now."""
    name = internal_name(role, program.first, program.code)
    no = state.find(("internal", name, program.asset))
    if no is None:
        no = add_account(state, program.asset, GENERAL_LEDGER, indicator=name, program_no=program.no, role=role).no
    else:
        account = msgspec.structs.replace(state.accounts[no], program_no=program.no, role=role)
        state.put(state.accounts, no, account)
    state.put(state.program_accounts, (program.no, role), no)


def change_program(state: State, command: ChangeProgram) -> Outcome:
    """The next version of a program's policies. What was earned before keeps its version."""
    program = state.config.program(command.program)
    if program is None:
        return Rejected(Rejection.PROGRAM_NOT_FOUND, "program", {"program": command.program[1]})
    starts_at = state.now if command.starts_at is None else command.starts_at
    refused = (
        _start_refusal(state, starts_at)
        or _policies_refusal(state, command.policies)
        or _past_refusal(state, program, command.policies)
    )
    if refused is not None:
        return refused
    if command.name:
        if starts_at > state.now:
            return Rejected(Rejection.INVALID_VALUE, "name", {"reason": "a name is changed at once"})
        program = msgspec.structs.replace(program, name=command.name)
        state.put(state.programs, program.no, program)
        programs = _with(state.config.programs, program.no, program)
        state.set_config(msgspec.structs.replace(state.config, programs=programs))
    version = len(state.config.since[program.no]) + 1
    _plan(state, program.no, Planned(version=version, starts_at=starts_at, policies=command.policies), command.actor)
    return Accepted(Changed(id=program.id))


def _plan(state: State, program_no: int, plan: Planned, actor: str) -> None:
    """Note a version. What was to begin at its start or later gives way to it, and where that is now it begins."""
    config = state.config
    state.put(state.program_versions, (program_no, plan.version), plan)
    before = config.since.get(program_no, ())
    planned = [each for each in config.planned.get(program_no, ()) if each.starts_at < plan.starts_at]
    state.set_config(
        msgspec.structs.replace(
            config,
            since=_with(config.since, program_no, (*(min(at, plan.starts_at) for at in before), plan.starts_at)),
            planned=_with(config.planned, program_no, (*planned, plan)),
            renewing=config.renewing | {program_no} if plan.policies.expiry.renews else config.renewing,
        )
    )
    begin_planned(state, actor)


def begin_planned(state: State, actor: str) -> None:
    """Let versions begin whose time has come. Asked before each command, so that a version counts from its own instant
    whoever comes first after it.
    """
    due = [
        (plan.starts_at, program_no, plan)
        for program_no, planned in state.config.planned.items()
        for plan in planned
        if plan.starts_at <= state.now
    ]
    for _, program_no, plan in sorted(due, key=lambda each: (*each[:2], each[2].version)):
        _begin(state, program_no, plan, actor)


def _begin(state: State, program_no: int, plan: Planned, actor: str) -> None:
    """Put a version in force. The policies of before can still be found under their version."""
    config = state.config
    before = program = config.programs[program_no]
    if program.version != plan.version:
        state.put(state.found, ("policies", program_no, program.version), program.policies)
        program = msgspec.structs.replace(program, version=plan.version, policies=plan.policies)
        state.put(state.programs, program_no, program)
    left = tuple(each for each in config.planned[program_no] if each.version > plan.version)
    planned = {no: each for no, each in _with(config.planned, program_no, left).items() if each}
    follows, following = config.follows, config.following
    if plan.policies.follow is not None:
        follows = _with(follows, program_no, plan.version)
        following = _with(following, program_no, (*following.get(program_no, ()), plan.version))
    state.set_config(
        msgspec.structs.replace(
            config,
            programs=_with(config.programs, program_no, program),
            planned=planned,
            follows=follows,
            following=following,
        )
    )
    pools.watch(state, None if plan.version == 1 else before, program, actor)


def preview_change(state: State, command: PreviewChange) -> Outcome:
    """What a change would answer, found out by making it and undoing it."""
    mark = state.mark()
    outcome = change_program(state, command.of)
    state.rollback(mark)
    return outcome


def _start_refusal(state: State, starts_at: datetime) -> Rejected | None:
    """A start in the past, or beyond all calendars."""
    if starts_at < state.now:
        return Rejected(Rejection.POLICY_IN_THE_PAST, "starts_at", {"now": state.now.isoformat()})
    if starts_at.year > YEAR_MAX:
        return Rejected(Rejection.INVALID_VALUE, "starts_at", {"latest_year": YEAR_MAX})
    return None


def _past_refusal(state: State, program: Program, policies: Policies) -> Rejected | None:
    """A rule that is new and starts, or has ended, in the past: what was bought then is judged by the rules of then."""
    known = program.policies.rules
    for i, rule in enumerate(policies.rules):
        for name in ("starts_at", "ends_at"):
            moment = getattr(rule, name)
            if (
                moment is not None
                and moment < state.now
                and not any(rule.code == other.code and moment == getattr(other, name) for other in known)
            ):
                return Rejected(
                    Rejection.POLICY_IN_THE_PAST, f"policies.rules[{i}].{name}", {"now": state.now.isoformat()}
                )
    return None


def _policies_refusal(state: State, policies: Policies) -> Rejected | None:
    """What in the policies cannot work, naming the place."""
    try:
        ZoneInfo(policies.timezone)
    except (KeyError, ValueError, OSError):
        return Rejected(Rejection.INVALID_VALUE, "policies.timezone", {"timezone": policies.timezone})
    refused = _expiry_refusal(policies.expiry)
    if refused is not None:
        return refused
    days = policies.notice_days
    if len(days) > NOTICES_MAX or len(set(days)) < len(days) or not all(1 <= each <= NOTICE_DAYS_MAX for each in days):
        detail = {"minimum": 1, "maximum": NOTICE_DAYS_MAX, "at_most": NOTICES_MAX, "reason": "different numbers"}
        return Rejected(Rejection.INVALID_VALUE, "policies.notice_days", detail)
    low = policies.low_pool
    if low is not None and low.filled is not None and low.filled <= low.points:
        return Rejected(Rejection.INVALID_VALUE, "policies.low_pool.filled", {"minimum": low.points + 1})
    if policies.follow is not None and not 0 <= policies.follow.grace_days <= DAYS_MAX:
        return Rejected(Rejection.INVALID_VALUE, "policies.follow.grace_days", {"minimum": 0, "maximum": DAYS_MAX})
    rate = policies.redemption_rate
    if rate is not None and (rate.points <= 0 or rate.money <= 0):
        return Rejected(Rejection.INVALID_VALUE, "policies.redemption_rate", {"minimum": 1})
    for name in ("minimum_redemption", "maximum_redemption", "redemption_multiple", "minimum_lifetime"):
        if getattr(policies, name) < 0:
            return Rejected(Rejection.INVALID_VALUE, f"policies.{name}", {"minimum": 0})
    if policies.adjustment_limit is not None and policies.adjustment_limit < 0:
        return Rejected(Rejection.INVALID_VALUE, "policies.adjustment_limit", {"minimum": 0})
    for name, value in msgspec.structs.asdict(policies.transfers).items():
        if value is not None and value < 0:
            return Rejected(Rejection.INVALID_VALUE, f"policies.transfers.{name}", {"minimum": 0})
    referral = policies.referral
    if referral is not None and (min(referral.referrer, referral.referred) < 0 or referral == ReferralPoints(0, 0)):
        return Rejected(Rejection.INVALID_VALUE, "policies.referral", {"minimum": 0})
    if policies.currency and policies.currency not in state.config.assets:
        return Rejected(Rejection.ASSET_NOT_FOUND, "policies.currency", {"asset": policies.currency})
    return (
        rules_refusal(
            policies.rules,
            "policies.rules",
            stores={store.code for store in state.config.stores.values()},
            sources=state.config.sources,
        )
        or _caps_refusal(policies.caps, "policies.caps")
        or _stacking_refusal(policies)
    )


def _expiry_refusal(expiry: Expiry) -> Rejected | None:
    """What in an expiry policy cannot be reckoned with."""
    unit = expiry.unit if expiry.renews else expiry.kind
    least, most = {"never": (0, 0), "days": (1, DAYS_MAX), "months": (1, MONTHS_MAX), "yearly": (0, YEARS_MAX)}[unit]
    if not least <= expiry.count <= most:
        return Rejected(Rejection.INVALID_VALUE, "policies.expiry.count", {"minimum": least, "maximum": most})
    if not 1 <= expiry.month <= 12:
        return Rejected(Rejection.INVALID_VALUE, "policies.expiry.month", {"minimum": 1, "maximum": 12})
    longest = monthrange(LEAP_YEAR, expiry.month)[1]
    if not 1 <= expiry.day <= longest:
        return Rejected(Rejection.INVALID_VALUE, "policies.expiry.day", {"minimum": 1, "maximum": longest})
    if expiry.renews and not expiry.activities:
        reason = "say which activities put off the end"
        return Rejected(Rejection.INVALID_VALUE, "policies.expiry.activities", {"reason": reason})
    return None


def rules_refusal(
    rules: Sequence[Rule], where: str, *, stores: Collection[str], sources: Collection[str]
) -> Rejected | None:
    """What in earning rules cannot work, by the place of the rule in `where`. Stores and sources are those there are,
    by code.
    """
    if len(rules) > RULES_MAX:
        return Rejected(Rejection.INVALID_VALUE, where, {"maximum": RULES_MAX})
    seen: set[str] = set()
    for i, rule in enumerate(rules):
        field = f"{where}[{i}]"
        if rule.code in seen:
            return Rejected(Rejection.CODE_TAKEN, f"{field}.code", {"code": rule.code})
        seen.add(rule.code)
        if rule.points <= 0 or rule.amount <= 0:
            return Rejected(Rejection.INVALID_VALUE, field, {"minimum": 1})
        refused = (
            _release_refusal(rule, field)
            or _bonus_refusal(rule, field, stores, sources)
            or _caps_refusal(rule.caps, f"{field}.caps")
        )
        if refused is not None:
            return refused
    return None


def _bonus_refusal(rule: Rule, field: str, stores: Collection[str], sources: Collection[str]) -> Rejected | None:
    """What says when and where the rule holds, and leaves it no time or no place."""
    if rule.starts_at is not None and rule.ends_at is not None and rule.ends_at <= rule.starts_at:
        return Rejected(Rejection.WINDOW_NEVER_OPEN, f"{field}.ends_at", {"starts_at": rule.starts_at.isoformat()})
    for i, window in enumerate(rule.windows):
        where = f"{field}.windows[{i}]"
        if window.start == window.end:
            return Rejected(Rejection.WINDOW_NEVER_OPEN, f"{where}.end", {"start": window.start})
        if not 0 <= window.start < DAY_MINUTES or not 0 <= window.end <= DAY_MINUTES:
            return Rejected(Rejection.INVALID_VALUE, where, {"minimum": 0, "maximum": DAY_MINUTES})
        if not all(1 <= day <= 7 for day in window.weekdays):
            return Rejected(Rejection.INVALID_VALUE, f"{where}.weekdays", {"minimum": 1, "maximum": 7})
        if not all(1 <= day <= 31 or day == -1 for day in window.days):
            return Rejected(Rejection.INVALID_VALUE, f"{where}.days", {"minimum": 1, "maximum": 31})
    if len(rule.windows) > WINDOWS_MAX:
        return Rejected(Rejection.INVALID_VALUE, f"{field}.windows", {"maximum": WINDOWS_MAX})
    pair = overlapping(rule.windows)
    if pair is not None:
        return Rejected(Rejection.WINDOWS_OVERLAP, f"{field}.windows[{pair[1]}]", {"overlaps": pair[0]})
    for i, code in enumerate(rule.stores):
        if code not in stores:
            return Rejected(Rejection.STORE_NOT_FOUND, f"{field}.stores[{i}]", {"store": code})
    for i, code in enumerate(rule.sources):
        if code not in SOURCES and code not in sources:
            return Rejected(Rejection.SOURCE_NOT_FOUND, f"{field}.sources[{i}]", {"source": code})
    return None


def _caps_refusal(caps: tuple[Cap, ...], field: str) -> Rejected | None:
    """What in caps cannot be counted."""
    if len(caps) > CAPS_MAX:
        return Rejected(Rejection.INVALID_VALUE, field, {"maximum": CAPS_MAX})
    for i, cap in enumerate(caps):
        if cap.points <= 0:
            return Rejected(Rejection.INVALID_VALUE, f"{field}[{i}].points", {"minimum": 1})
        least, most = (1, DAYS_MAX) if cap.per == "rolling" else (0, 0)
        if not least <= cap.days <= most:
            return Rejected(Rejection.INVALID_VALUE, f"{field}[{i}].days", {"minimum": least, "maximum": most})
        if any(cap.code == other.code for other in caps[:i]):
            return Rejected(Rejection.CODE_TAKEN, f"{field}[{i}].code", {"code": cap.code})
    return None


def _stacking_refusal(policies: Policies) -> Rejected | None:
    """Groups that are named twice, or that no rule is in."""
    groups = {rule.group for rule in policies.rules}
    for i, stacking in enumerate(policies.stacking):
        field = f"policies.stacking[{i}].group"
        if any(stacking.group == other.group for other in policies.stacking[:i]):
            return Rejected(Rejection.CODE_TAKEN, field, {"code": stacking.group})
        if stacking.group not in groups:
            return Rejected(Rejection.INVALID_VALUE, field, {"reason": "no rule is in this group"})
    return None


def _release_refusal(rule: Rule, field: str) -> Rejected | None:
    """What in the terms of promised points does not go together."""
    if rule.release_days is not None:
        if rule.category != "promised" or rule.release_on is not None:
            reason = "only promised points are released by days, and by days or on a date, not both"
            return Rejected(Rejection.INVALID_VALUE, f"{field}.release_days", {"reason": reason})
        if not 0 <= rule.release_days <= DAYS_MAX:
            return Rejected(Rejection.INVALID_VALUE, f"{field}.release_days", {"minimum": 0, "maximum": DAYS_MAX})
    if rule.release_on is not None and (rule.category != "promised" or not 1970 <= rule.release_on.year <= YEAR_MAX):
        reason = "only promised points are released on a date"
        return Rejected(Rejection.INVALID_VALUE, f"{field}.release_on", {"reason": reason, "latest_year": YEAR_MAX})
    if rule.trigger and rule.category != "trigger_based":
        reason = "only trigger-based points wait for a trigger"
        return Rejected(Rejection.INVALID_VALUE, f"{field}.trigger", {"reason": reason})
    if rule.expires_from == "release" and rule.category == "regular":
        reason = "regular points are never released"
        return Rejected(Rejection.INVALID_VALUE, f"{field}.expires_from", {"reason": reason})
    return None


def create_store(state: State, command: CreateStore) -> Outcome:
    if state.config.store(("code", command.code)) is not None:
        return Rejected(Rejection.CODE_TAKEN, "code", {"code": command.code})
    store = Store(no=state.next("config"), id=command.id, code=command.code, name=command.name)
    state.put(state.stores, store.no, store)
    state.set_config(msgspec.structs.replace(state.config, stores=_with(state.config.stores, store.no, store)))
    return Accepted(Opened(id=store.id, number=store.no, created_at=state.now))


def create_till(state: State, command: CreateTill) -> Outcome:
    if state.config.till(("code", command.code)) is not None:
        return Rejected(Rejection.CODE_TAKEN, "code", {"code": command.code})
    store = state.config.store(command.store)
    if store is None:
        return Rejected(Rejection.STORE_NOT_FOUND, "store", {"store": command.store[1]})
    program = state.config.program(command.program)
    if program is None:
        return Rejected(Rejection.PROGRAM_NOT_FOUND, "program", {"program": command.program[1]})
    till = Till(
        no=state.next("config"),
        id=command.id,
        code=command.code,
        name=command.name or command.code,
        store_no=store.no,
        program_no=program.no,
    )
    state.put(state.tills, till.no, till)
    state.set_config(msgspec.structs.replace(state.config, tills=_with(state.config.tills, till.no, till)))
    return Accepted(Opened(id=till.id, number=till.no, created_at=state.now))


def register_source(state: State, command: RegisterSource) -> Outcome:
    """Add a channel. One that is known already is no error."""
    if command.code not in SOURCES and command.code not in state.config.sources:
        state.put(state.sources, command.code, state.now)
        state.set_config(msgspec.structs.replace(state.config, sources=state.config.sources | {command.code}))
    return Accepted(Opened(id=command.code, created_at=state.now))


def _with(mapping: dict[_K, _V], key: _K, value: _V) -> dict[_K, _V]:
    return {**mapping, key: value}
