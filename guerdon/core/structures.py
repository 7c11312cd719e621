"""Giving a program tiers, and changing them: what a structure must be. What it means is in `tiers.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import msgspec

from guerdon.core.assets import AMOUNT_MAX
from guerdon.core.commands import ChangeTiers, PreviewTiers
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.results import TiersChanged
from guerdon.core.tiers import Structure, TierTerms, Window

if TYPE_CHECKING:
    from guerdon.core.state import State

LEVELS_MAX = 20
DAYS_MAX = 3_660
MONTHS_MAX = 120
NOTICE_MAX = 366
YEAR_MAX = 9000
_CALENDAR_MONTHS = (1, 2, 3, 4, 6, 12)


def change(state: State, command: ChangeTiers) -> Outcome:
    """The first or next version of a program's tiers. What was told before stays; from `starts_at` on every member's
    past is looked at under the new terms.
    """
    structure = _made(state, command)
    if isinstance(structure, Rejected):
        return structure
    program_no = structure.program_no
    state.put(state.tiers, (program_no, structure.version), structure)
    state.put(state.walks, (program_no, structure.version), 0)
    tiers = {**state.config.tiers, program_no: (*state.config.tiers.get(program_no, ()), structure)}
    state.set_config(msgspec.structs.replace(state.config, tiers=tiers))
    return _told(structure)


def preview(state: State, command: PreviewTiers) -> Outcome:
    """Say whether a change would be refused, and which version it would be. Nothing is written."""
    structure = _made(state, command.of)
    return structure if isinstance(structure, Rejected) else _told(structure)


def _told(structure: Structure) -> Outcome:
    return Accepted(
        TiersChanged(program_no=structure.program_no, version=structure.version, starts_at=structure.starts_at)
    )


def _made(state: State, command: ChangeTiers) -> Structure | Rejected:
    program = state.config.program(command.program)
    if program is None:
        return Rejected(Rejection.PROGRAM_NOT_FOUND, "program", {"program": command.program[1]})
    refused = _refusal(state, command.terms)
    if refused is not None:
        return refused
    starts_at = state.now if command.starts_at is None else command.starts_at
    if starts_at < state.now:
        return Rejected(Rejection.STARTS_IN_THE_PAST, "starts_at", {"earliest": state.now.isoformat()})
    if starts_at.year > YEAR_MAX:
        return Rejected(Rejection.INVALID_VALUE, "starts_at", {"latest_year": YEAR_MAX})
    before = state.config.tiers.get(program.no, ())
    return Structure(
        program_no=program.no,
        version=len(before) + 1,
        starts_at=starts_at,
        recorded_at=state.now,
        terms=command.terms,
    )


def _refusal(state: State, terms: TierTerms) -> Rejected | None:
    """What is wrong with a structure, naming the place."""
    try:
        ZoneInfo(terms.timezone)
    except (KeyError, ValueError, OSError):
        return Rejected(Rejection.INVALID_VALUE, "timezone", {"timezone": terms.timezone})
    if terms.figure == "spend" and terms.currency not in state.config.assets:
        return Rejected(Rejection.ASSET_NOT_FOUND, "currency", {"asset": terms.currency})
    if terms.figure != "spend" and terms.currency:
        return Rejected(Rejection.INVALID_VALUE, "currency", {"reason": "only spend is counted in a currency"})
    if (terms.figure == "attribute") != bool(terms.attribute):
        return Rejected(Rejection.INVALID_VALUE, "attribute", {"reason": "the attribute that is counted, and no other"})
    refused = _window_refusal(terms.window) or _levels_refusal(terms)
    if refused is not None:
        return refused
    longest = _shortest(terms.window) - 1
    if not 0 <= terms.grace_days <= longest:
        return Rejected(Rejection.INVALID_VALUE, "grace_days", {"minimum": 0, "maximum": longest})
    if not 0 <= terms.notice_days <= NOTICE_MAX:
        return Rejected(Rejection.INVALID_VALUE, "notice_days", {"minimum": 0, "maximum": NOTICE_MAX})
    return None


def _window_refusal(window: Window) -> Rejected | None:
    for name, most in (("days", DAYS_MAX), ("months", MONTHS_MAX)):
        if not 0 <= getattr(window, name) <= most:
            return Rejected(Rejection.INVALID_VALUE, f"window.{name}", {"minimum": 0, "maximum": most})
    if window.kind == "rolling":
        if not window.days and not window.months:
            return Rejected(Rejection.WINDOW_OF_ZERO, "window")
        if window.days and window.months:
            return Rejected(Rejection.INVALID_VALUE, "window.days", {"reason": "say days or months, not both"})
    elif window.days:
        return Rejected(Rejection.INVALID_VALUE, "window.days", {"reason": "only a rolling window has days"})
    if window.kind == "calendar":
        if not window.months:
            return Rejected(Rejection.WINDOW_OF_ZERO, "window")
        if window.months not in _CALENDAR_MONTHS:
            return Rejected(Rejection.INVALID_VALUE, "window.months", {"one_of": list(_CALENDAR_MONTHS)})
    if not 1 <= window.first_month <= 12 or (window.kind != "calendar" and window.first_month != 1):
        reason = "the month of the year, 1 to 12, with which a calendar window's periods begin"
        return Rejected(Rejection.INVALID_VALUE, "window.first_month", {"reason": reason})
    return None


def _levels_refusal(terms: TierTerms) -> Rejected | None:
    """Tiers begin where the one before ends, no two of them at one figure."""
    levels = terms.levels
    if not 1 <= len(levels) <= LEVELS_MAX:
        return Rejected(Rejection.INVALID_VALUE, "levels", {"minimum": 1, "maximum": LEVELS_MAX})
    seen: set[str] = set()
    for i, level in enumerate(levels):
        if not level.code:
            return Rejected(Rejection.INVALID_VALUE, f"levels[{i}].code", {"reason": "a tier has a code"})
        if level.code in seen:
            return Rejected(Rejection.CODE_TAKEN, f"levels[{i}].code", {"code": level.code})
        seen.add(level.code)
        if not 0 <= level.at_least <= AMOUNT_MAX:
            return Rejected(Rejection.AMOUNT_OUT_OF_RANGE, f"levels[{i}].at_least", {"maximum": str(AMOUNT_MAX)})
        if i and level.at_least <= levels[i - 1].at_least:
            return Rejected(Rejection.THRESHOLDS_OVERLAP, f"levels[{i}].at_least", {"tier": levels[i - 1].code})
        above = levels[i + 1].at_least if i + 1 < len(levels) else None
        if level.below is None or level.below == above:
            continue
        overlaps = above is not None and level.below > above
        code = Rejection.THRESHOLDS_OVERLAP if overlaps else Rejection.THRESHOLDS_LEAVE_A_GAP
        return Rejected(code, f"levels[{i}].below", {"tier": level.code})
    return None


def _shortest(window: Window) -> int:
    """The fewest days that a window may have. All of time has no end after which there could be grace."""
    return window.days or window.months * 28 or 1
