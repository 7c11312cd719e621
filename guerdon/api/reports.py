"""`/v1/reports/liability`: the points that programs owe their members, month by month, tied to the ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Literal

from msgspec import Meta

from guerdon.api.call import Call
from guerdon.api.problem import Problem
from guerdon.api.refs import Ref, find, program_ref, program_selector
from guerdon.api.routing import Routes
from guerdon.api.sheets import Csv, Figure, lines
from guerdon.api.values import Shown, points
from guerdon.core.liability import Month, months

routes = Routes("Reports")

MonthText = Annotated[str, Meta(pattern="^[0-9]{4}-(0[1-9]|1[0-2])$")]
COLUMNS = tuple(name for name in Month.__struct_fields__ if name != "month")


class LiabilityQuery(Shown, frozen=True, kw_only=True):
    program: Annotated[str | None, Meta(description="Id, `number:…` or code: only this program")] = None
    first: Annotated[MonthText | None, Meta(description="From this month, `2026-01`")] = None
    last: Annotated[MonthText | None, Meta(description="Through this month")] = None
    time: Annotated[
        Literal["recorded", "event"],
        Meta(description="Months by when it was booked (closed ones never change) or by when it counts"),
    ] = "recorded"


class MonthOut(Shown, frozen=True, kw_only=True):
    """`outstanding` = opening + opened + issued + reversed - redeemed - returned - expired + adjusted + transferred.
    `written_off` is what returns could not take back: it changed nothing that is owed."""

    month: str
    opening: str
    opened: str
    issued: str
    reversed: str
    redeemed: str
    returned: str
    expired: str
    adjusted: str
    transferred: str
    written_off: str
    outstanding: str


class ProgramLiability(Shown, frozen=True, kw_only=True):
    """What stands now: `outstanding` is what members hold, `receivable` what those below zero owe (it is taken off),
    `internal` minus the sum of the program's internal accounts. The two differ by what other accounts than the
    program's members gave or got. Points that have ended are expired in all of it, whether or not that has been posted;
    `expired_unposted` tells how many have ended and are not posted yet."""

    program: Ref
    asset: str
    outstanding: str
    receivable: str
    internal: str
    expired_unposted: str
    months: tuple[MonthOut, ...]


class LiabilityReport(Shown, frozen=True, kw_only=True):
    programs: tuple[ProgramLiability, ...]


_ZERO = dict.fromkeys(COLUMNS, "0")


@routes.get(
    "/v1/reports/liability",
    scope="reports:read",
    summary="Points owed to members, by program and month",
    answer={
        "programs": [
            {
                "program": {
                    "id": "prg_0199b1f0-2c3e-7c11-9a52-5b7d3c000000",
                    "number": 1,
                    "code": "classic",
                    "name": "Classic",
                },
                "asset": "POINTS",
                "outstanding": "300",
                "receivable": "0",
                "internal": "300",
                "expired_unposted": "0",
                "months": [_ZERO | {"month": "2026-11", "issued": "500", "redeemed": "200", "outstanding": "300"}],
            }
        ]
    },
    errors=("program_not_found",),
)
async def get_liability(call: Call, query: LiabilityQuery) -> LiabilityReport:
    """Each month opens with what the one before left; the last one ends with what members hold. Months go by the
    program's time zone. What has ended and is not posted yet is expired in the month of its end (`time=event`), or in
    this one, as if it were posted now."""
    return LiabilityReport(programs=await _programs(call, query))


@routes.get(
    "/v1/reports/liability.csv",
    scope="reports:read",
    summary="Points owed to members, as CSV",
    errors=("program_not_found",),
)
async def get_liability_sheet(call: Call, query: LiabilityQuery) -> Csv:
    """The same, one row per program and month."""
    return Csv(_rows(await _programs(call, query)), "liability.csv")


async def _programs(call: Call, query: LiabilityQuery) -> tuple[ProgramLiability, ...]:
    directory = await call.directory()
    chosen = list(directory.programs.values())
    if query.program is not None:
        program = find(directory.programs, program_selector(query.program))
        if program is None:
            raise Problem("program_not_found", field="program")
        chosen = [program]
    if query.first and query.last and query.first > query.last:
        raise Problem("invalid_value", "`first` is after `last`.", field="first")
    timezones = {program.no: program.policies.timezone for program in chosen}
    now = call.services.now()
    found = await call.services.reader.liability(call.org_id, timezones, now, by_event=query.time == "event")
    shown = []
    for program in chosen:
        scale, owed = directory.scale(program.asset), found[program.no]
        told = months(owed.flows, owed.written_off, query.first or "", query.last or "")
        shown.append(
            ProgramLiability(
                program=program_ref(directory, program.no),
                asset=program.asset,
                outstanding=points(owed.held - owed.receivable, scale),
                receivable=points(owed.receivable, scale),
                internal=points(owed.internal, scale),
                expired_unposted=points(owed.unposted, scale),
                months=tuple(_month(month, scale) for month in told),
            )
        )
    return tuple(shown)


def _month(month: Month, scale: int) -> MonthOut:
    return MonthOut(month=month.month, **{name: points(getattr(month, name), scale) for name in COLUMNS})


async def _rows(programs: tuple[ProgramLiability, ...]) -> AsyncIterator[bytes]:
    yield lines([("program", "asset", "month", *COLUMNS)])
    for one in programs:
        yield lines(
            (one.program.code, one.asset, Figure(month.month), *(Figure(getattr(month, name)) for name in COLUMNS))
            for month in one.months
        )
