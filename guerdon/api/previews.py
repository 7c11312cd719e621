"""`/v1/programs/{program}/preview`: what a change would do to the points that are there, and `/versions`: what was."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from msgspec import Struct

from guerdon.api.call import Call
from guerdon.api.programs import FIELDS, ExpiryPolicy, ProgramChange, change_of, expiry_shown, found_program
from guerdon.api.routing import Routes
from guerdon.api.sheets import Csv, Figure, lines
from guerdon.api.values import PageQuery, Shown, last_moment, page, place_no, points, public
from guerdon.core import commands
from guerdon.core.forecasts import Forecast, Foreseen, Foresight, Sum
from guerdon.core.lots import Lot
from guerdon.core.programs import Planned
from guerdon.store.read import ProgramRow, Reader, StandingRow, VersionRow

routes = Routes("Programs")

LOTS_AT_ONCE = 5_000
_ERRORS = ("program_not_found", "asset_not_found", "wrong_scale", "amount_out_of_range", "policy_in_the_past")
_EXAMPLE = {"expiry": {"kind": "months", "count": 6}, "existing_points": "follow", "grace_days": 30}


class SumOut(Shown, frozen=True, kw_only=True):
    members: int
    lots: int
    points: str


class MonthOfEnds(Shown, frozen=True, kw_only=True):
    """Points whose last day lies in a month, "" for those that never end: as it stands, and after the change."""

    month: str
    points_now: str
    points_then: str


class ForecastOut(Shown, frozen=True, kw_only=True):
    """What the change would do if it were made now, and nothing else happened until it begins. `all` is what there is
    then; of that ends some `sooner`, some `later`, and the rest when it does without the change (`same`). A member may
    be among several.
    """

    version: int
    as_of: datetime
    starts_at: datetime
    all: SumOut
    sooner: SumOut
    later: SumOut
    same: SumOut
    months: tuple[MonthOfEnds, ...]


class ForeseenOut(Shown, frozen=True, kw_only=True):
    """Points of one lot. Null is never, or not known before they are released."""

    lot: int
    member: str
    points_category: str
    points: str
    ends_at: datetime | None
    would_end_at: datetime | None
    change: str


class ForeseenPage(Shown, frozen=True, kw_only=True):
    data: tuple[ForeseenOut, ...]
    next_cursor: str | None


class VersionOut(Shown, frozen=True, kw_only=True):
    """One version of a program: since when, made when and with which key, what it says of expiry, and whether points
    that were there follow it. `replaced` are versions that never began, since a later one did in their place.
    """

    version: int
    status: Literal["planned", "in_force", "past", "replaced"]
    since: datetime
    made_at: datetime
    made_by: str
    expiry: ExpiryPolicy
    rules: tuple[str, ...]
    existing_points: str
    grace_days: int


class VersionList(Shown, frozen=True, kw_only=True):
    data: tuple[VersionOut, ...]


class Asked(Struct, frozen=True, kw_only=True):
    """What a preview is about: a change of a program that would be accepted."""

    row: ProgramRow
    version: int
    scale: int
    now: datetime
    starts_at: datetime
    zone: ZoneInfo
    timezone: str
    foresight: Foresight


@routes.post(
    "/v1/programs/{program}/preview",
    scope="programs:read",
    summary="Foresee a change of a program",
    example=_EXAMPLE,
    status=200,
    errors=_ERRORS,
)
async def preview(call: Call, program: str, body: ProgramChange) -> ForecastOut:
    """Takes what the change itself takes, refuses what it would refuse, and does nothing. The figures are those of the
    change if it is made at the same moment.
    """
    asked = await _asked(call, program, body)
    forecast = Forecast(asked.zone)
    async for some in foreseen(call.services.reader, call.org_id, asked):
        forecast.add(some)
    return forecast_out(asked, forecast)


def forecast_out(asked: Asked, forecast: Forecast) -> ForecastOut:
    """The sums as they are told."""
    return ForecastOut(
        version=asked.version,
        as_of=asked.now,
        starts_at=asked.starts_at,
        months=tuple(
            MonthOfEnds(month=month, points_now=points(now, asked.scale), points_then=points(then, asked.scale))
            for month, (now, then) in sorted(forecast.months.items(), key=lambda each: (not each[0], each[0]))
        ),
        **{name: _sum(total, asked.scale) for name, total in forecast.sums.items()},
    )


@routes.post(
    "/v1/programs/{program}/preview/points",
    scope="programs:read",
    summary="Foresee a change, lot by lot",
    example=_EXAMPLE,
    status=200,
    errors=(*_ERRORS, "invalid_cursor"),
)
async def preview_points(call: Call, program: str, body: ProgramChange, query: PageQuery) -> ForeseenPage:
    """Whose points would end at another time, and when; lots whose end would not change are left out."""
    asked = await _asked(call, program, body)
    after = place_no(query.cursor, "preview", asked.row.id) or 0
    found: list[Foreseen] = []
    async for some in foreseen(call.services.reader, call.org_id, asked, after):
        found += [each for each in some if each.direction != "same"]
        if len(found) > query.limit:
            break
    found, next_cursor = page(found[: query.limit + 1], query.limit, lambda each: each.lot, "preview", asked.row.id)
    return ForeseenPage(data=tuple(_foreseen_out(each, asked) for each in found), next_cursor=next_cursor)


@routes.post(
    "/v1/programs/{program}/preview/points.csv",
    scope="programs:read",
    summary="Foresee a change, lot by lot, as CSV",
    example=_EXAMPLE,
    status=200,
    errors=_ERRORS,
)
async def preview_sheet(call: Call, program: str, body: ProgramChange) -> Csv:
    """All lots whose end would change, however many."""
    return Csv(_sheet(call, await _asked(call, program, body)), "preview.csv")


COLUMNS = ("lot", "member", "points_category", "points", "ends_at", "would_end_at", "change")


async def _sheet(call: Call, asked: Asked) -> AsyncIterator[bytes]:
    yield lines([COLUMNS])
    async for some in foreseen(call.services.reader, call.org_id, asked):
        yield sheet_lines(asked, some)


def sheet_lines(asked: Asked, some: Iterable[Foreseen]) -> bytes:
    """Lots that would end at another time, as rows of CSV."""
    shown = [_foreseen_out(each, asked) for each in some if each.direction != "same"]
    return lines(
        (
            Figure(str(each.lot)),
            each.member,
            each.points_category,
            Figure(each.points),
            each.ends_at.isoformat() if each.ends_at else "",
            each.would_end_at.isoformat() if each.would_end_at else "",
            each.change,
        )
        for each in shown
    )


@routes.get(
    "/v1/programs/{program}/versions",
    scope="programs:read",
    summary="List the versions of a program",
    errors=("program_not_found",),
)
async def list_versions(call: Call, program: str) -> VersionList:
    """The last one first. Points and earnings name the version they were made under."""
    row = found_program(await call.directory(), program)
    versions = await call.services.reader.program_versions(call.org_id, row.no)
    return VersionList(
        data=tuple(
            VersionOut(
                version=each.version,
                status=_status(each, versions, row),
                since=each.starts_at,
                made_at=each.recorded_at,
                made_by=each.actor,
                expiry=expiry_shown(each.policies.expiry),
                rules=tuple(rule.code for rule in each.policies.rules),
                existing_points="follow" if each.policies.follow else "keep",
                grace_days=each.policies.follow.grace_days if each.policies.follow else 0,
            )
            for each in versions
        )
    )


def _status(
    version: VersionRow, versions: Sequence[VersionRow], row: ProgramRow
) -> Literal["planned", "in_force", "past", "replaced"]:
    if _replaced(version, versions):
        return "replaced"
    if version.version == row.version:
        return "in_force"
    return "past" if version.version < row.version else "planned"


def _replaced(version: VersionRow, versions: Sequence[VersionRow]) -> bool:
    return any(
        later.version > version.version
        and later.starts_at <= version.starts_at
        and later.recorded_at < version.starts_at
        for later in versions
    )


async def _asked(call: Call, program: str, body: ProgramChange) -> Asked:
    """The change, which must be one that would be accepted."""
    directory = await call.directory()
    row = found_program(directory, program)
    scale = directory.scale(row.asset)
    change = change_of(row, body, scale, call.common())
    await call.submit(commands.PreviewChange(of=change, **call.common()), scale, FIELDS)
    return await about(call.services.reader, call.org_id, row, change, scale)


async def about(reader: Reader, org_id: int, row: ProgramRow, change: commands.ChangeProgram, scale: int) -> Asked:
    """What a preview of a change is about: with all versions so far."""
    versions = await reader.program_versions(org_id, row.no)
    starts_at = change.starts_at or change.at
    followed = [
        Planned(version=each.version, starts_at=each.starts_at, policies=each.policies)
        for each in reversed(versions)
        if each.policies.follow is not None and not _replaced(each, versions) and each.starts_at < starts_at
    ]
    planned = Planned(version=versions[0].version + 1, starts_at=starts_at, policies=change.policies)
    return Asked(
        row=row,
        version=planned.version,
        scale=scale,
        now=change.at,
        starts_at=starts_at,
        zone=ZoneInfo(change.policies.timezone),
        timezone=change.policies.timezone,
        foresight=Foresight({each.version: each.policies for each in versions}, followed, planned),
    )


async def foreseen(reader: Reader, org_id: int, asked: Asked, after: int = 0) -> AsyncIterator[list[Foreseen]]:
    """All that will be there, some at a time, by the number of the lot."""
    while True:
        rows = await reader.standing(org_id, asked.row.no, asked.starts_at, after, LOTS_AT_ONCE)
        found = [foresee(row, asked.foresight) for row in rows]
        yield [each for each in found if each.ends_at is None or each.ends_at > asked.starts_at]
        if len(rows) < LOTS_AT_ONCE:
            return
        after = rows[-1].no


def foresee(row: StandingRow, foresight: Foresight) -> Foreseen:
    """One lot as it ends without the change and with it."""
    lot = Lot(
        no=row.no,
        account=row.account,
        event_seq=0,
        amount=row.amount,
        remaining=row.remaining,
        earned_at=row.earned_at,
        expires_at=row.expires_at,
        rule=row.rule,
        version=row.version,
        releases_at=row.releases_at,
        promise=row.promise,
    )
    return Foreseen(row.no, row.member, row.category, row.remaining, *foresight.ends(lot))


def _foreseen_out(each: Foreseen, asked: Asked) -> ForeseenOut:
    return ForeseenOut(
        lot=each.lot,
        member=public("mem", each.member),
        points_category=each.category,
        points=points(each.points, asked.scale),
        ends_at=last_moment(each.ends_at, asked.timezone),
        would_end_at=last_moment(each.would_end_at, asked.timezone),
        change=each.direction,
    )


def _sum(total: Sum, scale: int) -> SumOut:
    return SumOut(members=total.members, lots=total.lots, points=points(total.points, scale))
