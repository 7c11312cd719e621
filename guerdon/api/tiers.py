"""`/v1/programs/{program}/tiers` and `/v1/members/{member}/tiers`: structures, standings, progress and history."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from guerdon.api.call import Call
from guerdon.api.members import found as found_member
from guerdon.api.problem import Problem
from guerdon.api.refs import Ref, program_of, program_ref
from guerdon.api.routing import Routes
from guerdon.api.values import Body, Name, PageQuery, Points, Shown, instant, minor, page, place_no, points, public
from guerdon.core import commands
from guerdon.core.tiers import Downgrade, Figure, Level, Structure, TierTerms, Window, in_force, progress
from guerdon.store.read import Directory
from guerdon.store.tiers import MemberTier

routes = Routes("Tiers")

THOUSANDTHS = 3
_LAST = 2**62
MOVED_MAX = 1_000
Code = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Threshold = Annotated[Points, Meta(description="In the units of the figure: money, points, visits or the number")]
Days = Annotated[int, Meta(ge=0, le=3660)]


Existing = Annotated[
    Literal["change", "keep"],
    Meta(description="With keep, members have what they reached before until the structure before would have ended it"),
]


class WindowIn(Body, frozen=True, kw_only=True):
    """`calendar`: periods of `months` of the year, from `first_month` on. `rolling`: the last `days` or `months`.
    `since_join`: periods of `months` since the day of joining, or without them all of time.
    """

    kind: Literal["calendar", "rolling", "since_join"]
    months: Annotated[int, Meta(ge=0, le=120)] = 0
    days: Days = 0
    first_month: Annotated[int, Meta(ge=1, le=12)] = 1


class LevelIn(Body, frozen=True, kw_only=True):
    """A tier, from `at_least` on. `below`, where it is given, must be where the next tier begins."""

    code: Code
    name: Name
    at_least: Threshold
    below: Threshold | None = None


class TiersIn(Body, frozen=True, kw_only=True):
    """`figure` is what is counted: `spend` (what was really paid, in `currency`), `points` (earned on purchases),
    `visits` (purchases), or `attribute`: a number that the lines of purchases say of themselves.
    """

    figure: Figure
    window: WindowIn
    levels: Annotated[tuple[LevelIn, ...], Meta(max_length=20)]
    currency: Annotated[str, Meta(max_length=64, description="Of spend; without it the program's")] = ""
    attribute: Annotated[str, Meta(max_length=64)] = ""
    downgrade: Downgrade = "fitting"
    grace_days: Days = 0
    notice_days: Annotated[int, Meta(ge=0, le=366)] = 0
    timezone: Annotated[str, Meta(max_length=64, description="Without it the program's")] = ""
    starts_at: Annotated[datetime | None, Meta(description="Without it now; never in the past")] = None
    existing_tiers: Existing = "change"


class WindowOut(Shown, frozen=True, kw_only=True):
    kind: str
    months: int
    days: int
    first_month: int


class LevelOut(Shown, frozen=True, kw_only=True):
    code: str
    name: str
    at_least: str
    below: str | None


class TiersOut(Shown, frozen=True, kw_only=True):
    program: Ref
    version: int
    in_force: bool
    starts_at: datetime
    created_at: datetime
    figure: str
    currency: str
    attribute: str
    window: WindowOut
    levels: tuple[LevelOut, ...]
    downgrade: str
    grace_days: int
    notice_days: int
    timezone: str
    existing_tiers: str


class TiersList(Shown, frozen=True, kw_only=True):
    data: tuple[TiersOut, ...]


class Next(Shown, frozen=True, kw_only=True):
    """`missing` more by (before) `by` reaches the tier; `by` is null where the figure does not end by itself."""

    tier: str
    missing: str
    by: datetime | None


class Fall(Shown, frozen=True, kw_only=True):
    """What becomes of the tier without another purchase. `to_keep` more would keep it, null where nothing that is
    bought now would.
    """

    at: datetime
    tier: str
    to_keep: str | None


class TierOut(Shown, frozen=True, kw_only=True):
    """`tier` is "" below the first threshold. `figure` counts towards the next tier."""

    program: Ref
    version: int
    tier: str
    name: str
    since: datetime
    figure: str
    next: Next | None
    falls: Fall | None


class MemberTiers(Shown, frozen=True, kw_only=True):
    member: str
    as_of: datetime
    programs: tuple[TierOut, ...]


class ChangeOut(Shown, frozen=True, kw_only=True):
    """`recorded_at` and `event_log_id` are null for what time has done and nobody has written down yet."""

    program: Ref
    version: int
    tier_before: str
    tier: str
    reason: str
    at: datetime
    recorded_at: datetime | None
    event_log_id: int | None


class ChangePage(Shown, frozen=True, kw_only=True):
    data: tuple[ChangeOut, ...]
    next_cursor: str | None


class TierCount(Shown, frozen=True, kw_only=True):
    tier: str
    members: int


class TierCounts(Shown, frozen=True, kw_only=True):
    """`tier` is "" for members without one."""

    program: Ref
    as_of: datetime
    tiers: tuple[TierCount, ...]


class TierMoves(Shown, frozen=True, kw_only=True):
    """How many members would go from one tier to another, or stay."""

    tier_before: str
    tier: str
    members: int


class MovedOut(Shown, frozen=True, kw_only=True):
    number: int
    tier_before: str
    tier: str


class KeptOut(Shown, frozen=True, kw_only=True):
    """A member who would be left a `tier`, `until` the structure before would have ended it (null: never)."""

    number: int
    tier: str
    tier_otherwise: str
    until: datetime | None


class TierKept(Shown, frozen=True, kw_only=True):
    """How many members would be left a tier, and which they would have by the new structure alone."""

    tier: str
    tier_otherwise: str
    members: int


class TiersPreview(Shown, frozen=True, kw_only=True):
    """`members` are the first of those who would change, `kept_members` of those who would be left what they have, by
    number.
    """

    program: Ref
    version: int
    at: datetime
    changes: tuple[TierMoves, ...]
    members: tuple[MovedOut, ...]
    kept: tuple[TierKept, ...]
    kept_members: tuple[KeptOut, ...]


_LEVELS = [
    {"code": "blue", "name": "Blue", "at_least": "0"},
    {"code": "silver", "name": "Silver", "at_least": "500.00"},
    {"code": "gold", "name": "Gold", "at_least": "2000.00"},
]
_TIERS = {
    "figure": "spend",
    "window": {"kind": "calendar", "months": 12},
    "levels": _LEVELS,
    "downgrade": "one",
    "grace_days": 30,
    "notice_days": 60,
}


_STRUCTURE_ERRORS = (
    "program_not_found",
    "asset_not_found",
    "code_taken",
    "window_of_zero",
    "thresholds_overlap",
    "thresholds_leave_a_gap",
    "starts_in_the_past",
    "wrong_scale",
    "amount_out_of_range",
)


@routes.post(
    "/v1/programs/{program}/tiers",
    scope="programs:write",
    summary="Give a program tiers, or change them",
    example=_TIERS,
    errors=_STRUCTURE_ERRORS,
)
async def change_tiers(call: Call, program: str, body: TiersIn) -> TiersOut:
    """The next version of the tiers. From `starts_at` on every member's past is looked at under it; what was told
    before stays.
    """
    command, scale, directory = await _asked(call, program, body)
    result = await call.submit(command, scale)
    versions = (await call.services.reader.structures(call.org_id, result.program_no))[result.program_no]
    return _shown(directory, versions[result.version - 1], versions, call.services.now())


@routes.post(
    "/v1/programs/{program}/tiers/preview",
    scope="programs:read",
    status=200,
    summary="Say what a change of the tiers would do",
    example=_TIERS,
    errors=_STRUCTURE_ERRORS,
)
async def preview_tiers(call: Call, program: str, body: TiersIn) -> TiersPreview:
    """Who would stand in another tier when the structure begins, by what is known now. Looks at everybody; changes
    nothing.
    """
    change, scale, directory = await _asked(call, program, body)
    result = await call.submit(commands.PreviewTiers(of=change, **call.common()), scale)
    now = call.services.now()
    structure = Structure(
        program_no=result.program_no,
        version=result.version,
        starts_at=result.starts_at,
        recorded_at=now,
        terms=change.terms,
    )
    found = await call.services.reader.preview_tiers(call.org_id, structure, now, MOVED_MAX)
    return TiersPreview(
        program=program_ref(directory, result.program_no),
        version=result.version,
        at=max(now, result.starts_at),
        changes=tuple(
            TierMoves(tier_before=before, tier=after, members=count)
            for (before, after), count in sorted(found.changes.items())
        ),
        members=tuple(MovedOut(number=each.no, tier_before=each.before, tier=each.after) for each in found.moved),
        kept=tuple(
            TierKept(tier=tier, tier_otherwise=otherwise, members=count)
            for (tier, otherwise), count in sorted(found.kept.items())
        ),
        kept_members=tuple(
            KeptOut(number=each.no, tier=each.tier, tier_otherwise=each.otherwise, until=each.until)
            for each in found.left
        ),
    )


@routes.get(
    "/v1/programs/{program}/tiers",
    scope="programs:read",
    summary="List the versions of a program's tiers",
    errors=("program_not_found",),
)
async def list_tiers(call: Call, program: str) -> TiersList:
    """First to last; of those that have started the last is in force."""
    named, _, directory = await program_of(call, program, None)
    versions = (await call.services.reader.structures(call.org_id, int(named[1]))).get(int(named[1]), ())
    now = call.services.now()
    return TiersList(data=tuple(_shown(directory, each, versions, now) for each in versions))


@routes.get(
    "/v1/programs/{program}/tiers/members",
    scope="programs:read",
    summary="Count the members of each tier",
    errors=("program_not_found", "tiers_not_found"),
)
async def count_tiers(call: Call, program: str) -> TierCounts:
    """As it is now, whatever has been written down of it."""
    named, _, directory = await program_of(call, program, None)
    now = call.services.now()
    found = await call.services.reader.tier_counts(call.org_id, int(named[1]), now)
    if found is None:
        raise Problem("tiers_not_found", field="program")
    return TierCounts(
        program=program_ref(directory, int(named[1])),
        as_of=now,
        tiers=tuple(TierCount(tier=tier, members=count) for tier, count in found.items()),
    )


@routes.get(
    "/v1/members/{member}/tiers",
    scope="members:read",
    own=True,
    summary="Tiers of a member",
    errors=("member_not_found", "member_merged"),
)
async def get_member_tiers(call: Call, member: str) -> MemberTiers:
    """Per program: the tier, what is missing to the next one, and when it falls."""
    row = await found_member(call, member)
    if row.survivor_no:
        raise Problem("member_merged", field="member", extra={"survivor": f"number:{row.survivor_no}"})
    now = call.services.now()
    directory = await call.directory()
    found = await call.services.reader.tiers_of(call.org_id, row.no, row.registered_at, now)
    return MemberTiers(
        member=public("mem", row.id), as_of=now, programs=tuple(_standing(directory, each, now) for each in found)
    )


@routes.get(
    "/v1/members/{member}/tiers/history",
    scope="members:read",
    own=True,
    summary="Every change of a member's tiers",
    errors=("member_not_found", "invalid_cursor"),
)
async def get_tier_history(call: Call, member: str, query: PageQuery) -> ChangePage:
    """What was told, newest first; before it what time has done since, which a review will write down."""
    row = await found_member(call, member)
    now = call.services.now()
    directory = await call.directory()
    before = place_no(query.cursor, "tiers", row.no)
    coming: list[ChangeOut] = []
    if before is None and not row.survivor_no:
        for each in await call.services.reader.tiers_of(call.org_id, row.no, row.registered_at, now):
            coming += [
                _change(directory, event.body, event.event_at) for event in each.coming if event.name == "TierChange"
            ]
    told = await call.services.reader.tier_changes(call.org_id, row.no, before or _LAST, query.limit + 1)
    told, next_cursor = page(told, query.limit, lambda each: each.seq, "tiers", row.no)
    shown = [_change(directory, each.body, each.event_at, each.recorded_at, each.seq) for each in told]
    return ChangePage(data=(*reversed(coming), *shown), next_cursor=next_cursor)


async def _asked(call: Call, program: str, body: TiersIn) -> tuple[commands.ChangeTiers, int, Directory]:
    """What is asked for, with the scale of the figure."""
    named, _, directory = await program_of(call, program, None)
    row = directory.programs[int(named[1])]
    currency = body.currency or row.policies.currency if body.figure == "spend" else body.currency
    if body.figure == "spend" and currency not in directory.assets:
        raise Problem("asset_not_found", field="currency")
    scale = _scale(directory, row.asset, body.figure, currency)
    window = Window(
        kind=body.window.kind, months=body.window.months, days=body.window.days, first_month=body.window.first_month
    )
    terms = TierTerms(
        figure=body.figure,
        window=window,
        levels=tuple(
            Level(
                code=level.code,
                name=level.name,
                at_least=minor(level.at_least, scale, f"levels[{i}].at_least"),
                below=None if level.below is None else minor(level.below, scale, f"levels[{i}].below"),
            )
            for i, level in enumerate(body.levels)
        ),
        timezone=body.timezone or row.policies.timezone,
        downgrade=body.downgrade,
        grace_days=body.grace_days,
        notice_days=body.notice_days,
        currency=currency,
        attribute=body.attribute,
        keep=body.existing_tiers == "keep",
    )
    command = commands.ChangeTiers(
        program=named, terms=terms, starts_at=instant(body.starts_at, "starts_at"), **call.common()
    )
    return command, scale, directory


class _Body(msgspec.Struct, rename={"before": "from", "after": "to"}):
    program_no: int
    version: int
    before: str
    after: str
    reason: str


def _change(
    directory: Directory, body: str, at: datetime, recorded_at: datetime | None = None, seq: int | None = None
) -> ChangeOut:
    said = msgspec.json.decode(body, type=_Body)
    return ChangeOut(
        program=program_ref(directory, said.program_no),
        version=said.version,
        tier_before=said.before,
        tier=said.after,
        reason=said.reason,
        at=at,
        recorded_at=recorded_at,
        event_log_id=seq,
    )


def _standing(directory: Directory, found: MemberTier, now: datetime) -> TierOut:
    terms = found.structure.terms
    scale = _scale(directory, directory.programs[found.structure.program_no].asset, terms.figure, terms.currency)
    told = progress(terms, found.standing.joined_at, found.standing.reckoning, now)
    return TierOut(
        program=program_ref(directory, found.structure.program_no),
        version=found.structure.version,
        tier=told.code,
        name=next((level.name for level in terms.levels if level.code == told.code), ""),
        since=max(told.since, found.structure.starts_at),
        figure=points(told.figure, scale),
        next=None if not told.next_code else Next(tier=told.next_code, missing=points(told.missing, scale), by=told.by),
        falls=None
        if told.falls_at is None
        else Fall(
            at=told.falls_at,
            tier=told.falls_to,
            to_keep=None if told.to_keep is None else points(told.to_keep, scale),
        ),
    )


def _scale(directory: Directory, asset: str, figure: Figure, currency: str) -> int:
    """How many decimals a figure has."""
    if figure == "spend":
        return directory.scale(currency)
    if figure == "points":
        return directory.scale(asset)
    return THOUSANDTHS if figure == "attribute" else 0


def _shown(directory: Directory, structure: Structure, versions: tuple[Structure, ...], now: datetime) -> TiersOut:
    terms = structure.terms
    scale = _scale(directory, directory.programs[structure.program_no].asset, terms.figure, terms.currency)
    return TiersOut(
        program=program_ref(directory, structure.program_no),
        version=structure.version,
        in_force=in_force(versions, now) == structure,
        starts_at=structure.starts_at,
        created_at=structure.recorded_at,
        figure=terms.figure,
        currency=terms.currency,
        attribute=terms.attribute,
        window=WindowOut(**msgspec.structs.asdict(terms.window)),
        levels=tuple(
            LevelOut(
                code=level.code,
                name=level.name,
                at_least=points(level.at_least, scale),
                below=None if level.below is None else points(level.below, scale),
            )
            for level in terms.levels
        ),
        downgrade=terms.downgrade,
        grace_days=terms.grace_days,
        notice_days=terms.notice_days,
        timezone=terms.timezone,
        existing_tiers="keep" if terms.keep else "change",
    )
