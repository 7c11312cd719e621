"""`/v1/bulk-awards`: points for many members in one request."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from guerdon.api.call import Call
from guerdon.api.problem import refused
from guerdon.api.refs import PLACED_ERRORS, Placed, Ref, find, program_of, program_ref, where
from guerdon.api.routing import Routes
from guerdon.api.values import Body, Points, Selector, Shown, member_selector, minor, points, public
from guerdon.core import commands
from guerdon.core.awards import ROWS_MAX
from guerdon.core.outcomes import Rejected
from guerdon.core.results import AwardedMany, RowOutcome

routes = Routes("Bulk awards")


class BulkRow(Body, frozen=True, kw_only=True):
    member: Annotated[Selector, Meta(description="`mem_…`, `number:…` or an identifier")]
    points: Points
    reason: Annotated[str, Meta(min_length=1, max_length=500)]


class BulkIn(Placed, frozen=True, kw_only=True):
    rows: Annotated[tuple[BulkRow, ...], Meta(min_length=1, max_length=ROWS_MAX)]
    program: Annotated[Selector | None, Meta(description="Without it the till's, or the first program")] = None


class BulkRowOut(Shown, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one row. A refused one has a `code`, and its figures in `problem`."""

    row: int
    status: Literal["awarded", "refused"]
    id: str = ""
    event_log_id: int | None = None
    points: str = ""
    balance: str = ""
    code: str = ""
    problem: dict[str, Any] = msgspec.field(default_factory=dict)


class BulkOut(Shown, frozen=True, kw_only=True):
    program: Ref
    awarded: int
    refused: int
    rows: tuple[BulkRowOut, ...]


@routes.post(
    "/v1/bulk-awards",
    scope="points:write",
    summary="Give points to many members",
    example={"rows": [{"member": "external_id:C-17", "points": "50", "reason": "Week of apples"}]},
    answer={
        "program": {
            "id": "prg_0199b1f0-2c3e-7c11-9a52-5b7d3c000000",
            "number": 1,
            "code": "classic",
            "name": "Classic",
        },
        "awarded": 1,
        "refused": 0,
        "rows": [
            {
                "row": 0,
                "status": "awarded",
                "id": "evt_0199b1f0-2c3e-7c11-9a52-5b7d3c000001",
                "event_log_id": 54,
                "points": "50",
                "balance": "170",
            }
        ],
    },
    errors=("member_not_found", "program_not_found", "wrong_scale", *PLACED_ERRORS),
)
async def create_bulk_award(call: Call, body: BulkIn) -> BulkOut:
    """One commit for all rows, each decided on its own: a refused row changes nothing, the others stand. Rows that
    cannot even be read refuse the whole request. Books `BulkAllocatePoints` for each."""
    program, scale, directory = await program_of(call, body.program, body.till)
    command = commands.AwardMany(
        rows=tuple(
            commands.Allocation(
                member=member_selector(row.member, f"rows[{i}].member"),
                points=minor(row.points, scale, f"rows[{i}].points"),
                reason=row.reason,
            )
            for i, row in enumerate(body.rows)
        ),
        program=program,
        where=where(body),
        **call.common(),
    )
    result: AwardedMany = await call.submit(command, scale)
    rows = tuple(_row(i, outcome, scale) for i, outcome in enumerate(result.rows))
    refusals = sum(row.status == "refused" for row in rows)
    return BulkOut(
        program=program_ref(directory, find(directory.programs, program).no),
        awarded=len(rows) - refusals,
        refused=refusals,
        rows=rows,
    )


def _row(number: int, outcome: RowOutcome, scale: int) -> BulkRowOut:
    if outcome.awarded is None:
        assert isinstance(outcome.refused, Rejected)
        problem = refused(outcome.refused, scale)
        return BulkRowOut(
            row=number, status="refused", code=problem.code, problem={"field": problem.field, **problem.extra}
        )
    awarded = outcome.awarded
    return BulkRowOut(
        row=number,
        status="awarded",
        id=public("evt", awarded.id),
        event_log_id=awarded.event_no,
        points=points(awarded.points, scale),
        balance=points(awarded.balance, scale),
    )
