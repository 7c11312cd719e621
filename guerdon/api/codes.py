"""`/v1/promotions/{promotion}/codes`, `/v1/codes`: batches of promo codes, in and out, and what became of a code."""

from __future__ import annotations

import asyncio
import io
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from datetime import datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct

from guerdon.api.call import Call
from guerdon.api.printing import LINK_MAX, PLACEHOLDER, Label, PrintingUnavailable, Sheet, pdf
from guerdon.api.problem import Problem
from guerdon.api.promotions import promotion_id
from guerdon.api.routing import Handler, Routes
from guerdon.api.services import new_command_id
from guerdon.api.sheets import Csv, Figure, NotCsv, Pdf, column, lines
from guerdon.api.values import Body, PageQuery, Shown, Text, page, place_id, place_no, place_of_use, private, public
from guerdon.api.verdicts import PROMOTION
from guerdon.core import codes as rules
from guerdon.core import commands
from guerdon.core.promotions import codes as texts
from guerdon.core.promotions.limits import period
from guerdon.core.promotions.terms import Promotion
from guerdon.core.results import CodeBatchMade, CodesAdded, CodesSwitched
from guerdon.core.tallies import Part, Tally
from guerdon.store.codes import BatchRow, CodeRow, CounterRow, UseRow

routes = Routes("Promo codes")

USES_SHOWN = 100
PRINTED_MAX = 240
"""So many labels in one answer: each takes the process some 10 ms."""
_parts = msgspec.json.Decoder(tuple[Part, ...]).decode

Partner = Annotated[str, Meta(max_length=100, description="Who hands the codes out")]
Channel = Annotated[str, Meta(max_length=100, description="How they reach customers: paper, e-mail, an influencer")]
CodeText = Annotated[str, Meta(min_length=1, max_length=texts.TYPED_MAX)]


class FormIn(Body, frozen=True, kw_only=True):
    """How codes look: prefix + pattern + suffix. Spaces and hyphens are for the eye only."""

    pattern: Annotated[str, Meta(max_length=100, description="Every # becomes a character of the charset")] = ""
    length: Annotated[int, Meta(ge=1, le=64, description="In place of a pattern: so many #")] | None = None
    charset: Annotated[str, Meta(max_length=100)] = texts.READABLE
    prefix: Annotated[str, Meta(max_length=40)] = ""
    suffix: Annotated[str, Meta(max_length=40)] = ""
    check: Annotated[bool, Meta(description="The last # is a check character")] = False


class BatchIn(Body, frozen=True, kw_only=True):
    """With a `count`, so many codes are generated; without, the batch is for codes that you upload."""

    name: Annotated[str, Meta(max_length=200)] = ""
    partner: Partner = ""
    channel: Channel = ""
    count: Annotated[int, Meta(ge=1, le=texts.COUNT_MAX)] | None = None
    form: FormIn | None = None


class MoreIn(Body, frozen=True, kw_only=True):
    count: Annotated[int, Meta(ge=1, le=texts.COUNT_MAX)]


class BatchOut(Shown, frozen=True, kw_only=True):
    """`made` of `wanted` codes are there; the rest is made in the background."""

    id: str
    promotion: str
    kind: Literal["generated", "uploaded"]
    name: str
    partner: str
    channel: str
    wanted: int
    made: int
    active: bool
    created_at: datetime


class BatchPage(Shown, frozen=True, kw_only=True):
    data: tuple[BatchOut, ...]
    next_cursor: str | None


class UploadIn(Body, frozen=True, kw_only=True):
    """Codes as a list, or as the text of a CSV file with a column `code`, or with the codes first in each row."""

    codes: tuple[str, ...] = ()
    csv: str = ""


class UploadRow(Shown, frozen=True, kw_only=True):
    """A row that added no code. `there`: it is in this batch already; `taken`: in another one; `twice`: in an earlier
    row; `invalid`: it is no code.
    """

    row: int
    code: str
    status: Literal["there", "taken", "twice", "invalid"]


class UploadOut(Shown, frozen=True, kw_only=True):
    """`rows` tells of those that added no code, counted from 1, the CSV's header among them."""

    batch: BatchOut
    added: int
    not_added: int
    rows: tuple[UploadRow, ...]


class SwitchIn(Body, frozen=True, kw_only=True):
    reason: Text = ""


class SwitchOut(Shown, frozen=True, kw_only=True):
    active: bool


class CodeOut(Shown, frozen=True, kw_only=True):
    """A code as it is compared, and as it is printed. `uses` are those that were not given back."""

    code: str
    printed: str
    number: int
    batch: str
    promotion: str
    partner: str
    channel: str
    active: bool
    linked_to: str | None
    uses: int


class CodePage(Shown, frozen=True, kw_only=True):
    data: tuple[CodeOut, ...]
    next_cursor: str | None


class CodesQuery(PageQuery, frozen=True, kw_only=True):
    batch: Annotated[str, Meta(description="`cbt_…`")]


class ExportQuery(msgspec.Struct, frozen=True, kw_only=True):
    batch: Annotated[str, Meta(description="`cbt_…`")]


class LimitOut(Shown, frozen=True, kw_only=True):
    """A limit over the code as it stands now; `held` is kept for carts that are not paid yet."""

    code: str
    kpi: str
    limit: int
    used: int
    held: int
    left: int
    period: str


class CodeUse(Shown, frozen=True, kw_only=True):
    """One use; figures below zero gave back an earlier one."""

    event_log_id: int
    used_at: datetime
    promotion_version: int
    member: str | None
    purchase: str | None
    purchase_number: str | None
    reference: str
    times: int
    discount_minor: int
    voucher_minor: int
    points_minor: int
    currency: str
    gives_back: bool


class CodeUsePage(Shown, frozen=True, kw_only=True):
    data: tuple[CodeUse, ...]
    next_cursor: str | None


class CodeStatus(Shown, frozen=True, kw_only=True):
    """Everything about one code. `status` says whether it can be used at all; a cart may still not meet the terms."""

    code: CodeOut
    status: Literal["usable", "used_up", "deactivated", "not_running", "ended"]
    promotion_name: str
    valid_from: datetime | None
    valid_until: datetime | None
    deactivation_reason: str
    linked_at: datetime | None
    limits: tuple[LimitOut, ...]
    uses: tuple[CodeUse, ...]


class BatchUsesOut(Shown, frozen=True, kw_only=True):
    """A batch that was deactivated stays in the report. `codes_used` are those of which a use stands."""

    batch: str
    name: str
    partner: str
    channel: str
    active: bool
    codes: int
    codes_used: int
    currency: str | None
    uses: int
    discount_minor: int
    voucher_minor: int
    points_minor: int


class UsesOut(Shown, frozen=True, kw_only=True):
    """One row for each batch and currency, by which partners and channels are compared."""

    data: tuple[BatchUsesOut, ...]


_ID = "cbt_0199b1f0-2c3e-7c11-9a52-5b7d3c000000"
_BATCH = {
    "id": _ID,
    "promotion": "prm_0199b1f0-2c3e-7c11-9a52-5b7d3c000000",
    "kind": "generated",
    "name": "Flyer, November",
    "partner": "Corner bakery",
    "channel": "paper",
    "wanted": 500,
    "made": 500,
    "active": True,
    "created_at": "2026-11-21T10:00:00Z",
}
_BATCH_ERRORS = ("promotion_not_found", "code_batch_not_found")


# -- batches ----------------------------------------------------------------------------------------------------------


@routes.post(
    "/v1/promotions/{promotion}/codes/batches",
    scope="codes:write",
    summary="Begin a batch of codes",
    example={
        "name": "Flyer, November",
        "partner": "Corner bakery",
        "channel": "paper",
        "count": 500,
        "form": {"pattern": "####-####", "check": True},
    },
    answer=_BATCH,
    errors=("promotion_not_found", "promotion_takes_no_codes", "invalid_value"),
)
async def create_batch(call: Call, promotion: str, body: BatchIn) -> BatchOut:
    """Generated codes are random and none can be told from others; a form with too few possible codes is refused. Up to
    2,000 are there with the answer, more follow within seconds: see `made`."""
    if body.count is None and body.form is not None:
        raise Problem("missing_field", "The field `count` is required.", field="count")
    command = commands.CreateCodeBatch(
        promotion=promotion_id(promotion),
        name=body.name,
        partner=body.partner,
        channel=body.channel,
        form=None if body.count is None else _form(body.form or FormIn()),
        seed=secrets.token_bytes(texts.SEED_MIN),
        count=body.count or 0,
        **call.common(),
    )
    made: CodeBatchMade = await call.submit(command, fields=_FORM_FIELDS)
    await _begin(call, made.id)
    return await _shown(call, made.id)


@routes.get(
    "/v1/promotions/{promotion}/codes/batches",
    scope="codes:read",
    summary="List batches of codes",
    errors=("promotion_not_found", "invalid_cursor"),
)
async def list_batches(call: Call, promotion: str, query: PageQuery) -> BatchPage:
    """Newest first."""
    terms = await _terms(call, promotion)
    before = place_id("cbt", query.cursor, "code_batches", terms.id)
    rows = await call.services.codes.batches(call.org_id, terms.id, before, query.limit + 1)
    rows, next_cursor = page(rows, query.limit, lambda row: public("cbt", row.id), "code_batches", terms.id)
    return BatchPage(data=tuple(map(_batch_out, rows)), next_cursor=next_cursor)


@routes.get(
    "/v1/promotions/{promotion}/codes/batches/{batch}",
    scope="codes:read",
    summary="Look up a batch of codes",
    errors=_BATCH_ERRORS,
)
async def get_batch(call: Call, promotion: str, batch: str) -> BatchOut:
    """With how many of its codes are there."""
    return _batch_out(await _batch(call, promotion, batch))


@routes.post(
    "/v1/promotions/{promotion}/codes/batches/{batch}/more",
    scope="codes:write",
    summary="Generate more codes",
    example={"count": 500},
    answer={**_BATCH, "wanted": 1000, "made": 1000},
    errors=(*_BATCH_ERRORS, "code_batch_not_generated", "invalid_value"),
)
async def more_codes(call: Call, promotion: str, batch: str, body: MoreIn) -> BatchOut:
    """Of the same form, to the same batch; none comes twice."""
    row = await _batch(call, promotion, batch)
    await call.submit(commands.MoreCodes(batch=row.id, count=body.count, **call.common()), fields=_FORM_FIELDS)
    await _begin(call, row.id)
    return await _shown(call, row.id)


@routes.post(
    "/v1/promotions/{promotion}/codes/batches/{batch}/uploads",
    scope="codes:write",
    summary="Upload codes",
    status=200,
    example={"codes": ["ZN34C", "zn-34d"]},
    answer={"batch": {**_BATCH, "kind": "uploaded"}, "added": 2, "not_added": 0, "rows": []},
    errors=_BATCH_ERRORS,
)
async def upload_codes(call: Call, promotion: str, batch: str, body: UploadIn) -> UploadOut:
    """Each row on its own: what cannot be added is told and the others stand. Sending the same again adds nothing."""
    row = await _batch(call, promotion, batch)
    added = 0
    told: list[UploadRow] = []
    async for counted, rows in _uploaded(call, row.id, list(_cells(body))):
        added += counted
        told += rows
    told.sort(key=lambda each: each.row)
    return UploadOut(batch=await _shown(call, row.id), added=added, not_added=len(told), rows=tuple(told))


async def _uploaded(call: Call, batch: str, cells: list[tuple[int, str]]) -> AsyncIterator[tuple[int, list[UploadRow]]]:
    """Add cells, some thousands at a time: how many became codes, and what became of the others."""
    seen: set[str] = set()
    for start in range(0, len(cells), rules.AT_ONCE):
        told: list[UploadRow] = []
        fresh: list[tuple[int, str]] = []
        for number, cell in cells[start : start + rules.AT_ONCE]:
            text = texts.read(cell)
            if text is None:
                told.append(UploadRow(row=number, code=cell[: texts.LENGTH_MAX], status="invalid"))
            elif text in seen:
                told.append(UploadRow(row=number, code=text, status="twice"))
            else:
                seen.add(text)
                fresh.append((number, text))
        if fresh:
            codes = tuple(text for _, text in fresh)
            result: CodesAdded = await call.submit(commands.AddCodes(batch=batch, codes=codes, **_unkeyed(call)))
            here = set(result.here)
            for index in result.taken:
                number, text = fresh[index]
                told.append(UploadRow(row=number, code=text, status="there" if index in here else "taken"))
            yield result.added, told
        else:
            yield 0, told


def _cells(body: UploadIn) -> Iterator[tuple[int, str]]:
    """The codes in an upload, each with its row; empty rows are left out."""
    if bool(body.codes) is bool(body.csv):
        raise Problem("invalid_value", "Send either `codes` or `csv`.", field="codes")
    if body.codes:
        yield from enumerate(body.codes, 1)
        return
    try:
        yield from column(io.StringIO(body.csv.removeprefix("\ufeff"), newline=""), "code")
    except NotCsv as error:
        raise Problem("invalid_value", f"This is not CSV: {error}.", field="csv") from None


@routes.post(
    "/v1/promotions/{promotion}/codes/batches/{batch}/cancellations",
    scope="codes:write",
    summary="Stop generating codes",
    status=200,
    answer={**_BATCH, "wanted": 260, "made": 260},
    errors=(*_BATCH_ERRORS, "code_batch_not_generated"),
)
async def stop_codes(call: Call, promotion: str, batch: str) -> BatchOut:
    """No more are made than there are; those can be used, unless the batch is deactivated. More can be asked for."""
    row = await _batch(call, promotion, batch)
    await call.submit(commands.StopCodes(batch=row.id, **call.common()))
    return await _shown(call, row.id)


# -- in force or not --------------------------------------------------------------------------------------------------


def _switching(path: str, summary: str, errors: tuple[str, ...], why: str = "") -> Callable[[Handler], Handler]:
    """A route that takes codes out of force, `why` being the example of a reason, or puts them back."""
    example = {"reason": why} if why else {}
    answer = {"active": path.endswith("/activations")}
    return routes.post(path, scope="codes:write", summary=summary, example=example, answer=answer, errors=errors)


@_switching(
    "/v1/promotions/{promotion}/codes/batches/{batch}/deactivations",
    "Deactivate a batch",
    _BATCH_ERRORS,
    "Printed with a mistake",
)
async def deactivate_batch(call: Call, promotion: str, batch: str, body: SwitchIn) -> SwitchOut:
    """None of its codes can be used from now on."""
    return await _switch(call, body, active=False, batch=(await _batch(call, promotion, batch)).id)


@_switching("/v1/promotions/{promotion}/codes/batches/{batch}/activations", "Activate a batch again", _BATCH_ERRORS)
async def activate_batch(call: Call, promotion: str, batch: str, body: SwitchIn) -> SwitchOut:
    """Codes that were deactivated one by one stay so."""
    return await _switch(call, body, active=True, batch=(await _batch(call, promotion, batch)).id)


@_switching("/v1/codes/{code}/deactivations", "Deactivate a code", ("code_not_found",), "Found on a forum")
async def deactivate_code(call: Call, code: str, body: SwitchIn) -> SwitchOut:
    """It cannot be used from now on; what it was used for stands."""
    return await _switch(call, body, active=False, code=_read(code))


@_switching("/v1/codes/{code}/activations", "Activate a code again", ("code_not_found",))
async def activate_code(call: Call, code: str, body: SwitchIn) -> SwitchOut:
    """Within its batch, which must be active too."""
    return await _switch(call, body, active=True, code=_read(code))


async def _switch(call: Call, body: SwitchIn, *, active: bool, batch: str = "", code: str = "") -> SwitchOut:
    command = commands.SwitchCodes(active=active, batch=batch, code=code, reason=body.reason, **call.common())
    result: CodesSwitched = await call.submit(command)
    return SwitchOut(active=result.active)


# -- out --------------------------------------------------------------------------------------------------------------


@routes.get(
    "/v1/promotions/{promotion}/codes",
    scope="codes:read",
    summary="List codes",
    errors=(*_BATCH_ERRORS, "invalid_cursor"),
)
async def list_codes(call: Call, promotion: str, query: CodesQuery) -> CodePage:
    """Of one batch, in the order in which they were made."""
    row = await _batch(call, promotion, query.batch)
    after = place_no(query.cursor, "codes", row.id) or 0
    rows = await call.services.codes.codes(call.org_id, row.id, after, query.limit + 1)
    rows, next_cursor = page(rows, query.limit, lambda each: each.no, "codes", row.id)
    return CodePage(data=tuple(map(_code_out, rows)), next_cursor=next_cursor)


@routes.get("/v1/promotions/{promotion}/codes.csv", scope="codes:read", summary="Codes as CSV", errors=_BATCH_ERRORS)
async def export_codes(call: Call, promotion: str, query: ExportQuery) -> Csv:
    """All codes of a batch, however many, as they are printed and as they are compared, with what became of them."""
    row = await _batch(call, promotion, query.batch)
    return Csv(_lines(call, row), f"codes-{row.id}.csv")


class SheetQuery(Struct, frozen=True, kw_only=True):
    batch: Annotated[str, Meta(description="The batch's id (`cbt_…`)")]
    first: Annotated[int, Meta(ge=1, description="Number of the first code in its batch")] = 1
    count: Annotated[int, Meta(ge=1, le=PRINTED_MAX, description="How many codes")] = 24
    title: Annotated[str, Meta(max_length=60, description="On every label; without it the batch's name")] = ""
    note: Annotated[str, Meta(max_length=60)] = ""
    link: Annotated[str, Meta(max_length=LINK_MAX, description="What the QR holds, with {code} for the code")] = ""


@routes.get(
    "/v1/promotions/{promotion}/codes.pdf",
    scope="codes:read",
    summary="Codes on paper",
    errors=(*_BATCH_ERRORS, "printing_unavailable", "invalid_value"),
)
async def print_codes(call: Call, promotion: str, query: SheetQuery) -> Pdf:
    """A sheet of labels with QR, 24 to a page of A4. `guerdon codes sheet` prints any number."""
    row = await _batch(call, promotion, query.batch)
    if query.link and PLACEHOLDER not in query.link:
        raise Problem("invalid_value", "The link has no {code}.", field="link")
    codes = await call.services.codes.codes(call.org_id, row.id, query.first - 1, query.count)
    labels = [Label(code.code, texts.shown(_forms(code.form), code.code) if code.form else code.code) for code in codes]
    sheet = Sheet(title=query.title or row.name, note=query.note, link=query.link)
    try:
        content = await asyncio.to_thread(pdf, labels, sheet)
    except PrintingUnavailable as problem:
        raise Problem("printing_unavailable", str(problem)) from None
    return Pdf(content, f"codes-{row.id}.pdf")


COLUMNS = ("code", "printed", "number", "partner", "channel", "active", "linked_to", "uses")


async def _lines(call: Call, batch: BatchRow) -> AsyncIterator[bytes]:
    yield lines([COLUMNS])
    async for rows in call.services.codes.all_codes(call.org_id, batch.id):
        yield lines(
            (
                row.code,
                row.printed,
                Figure(row.number),
                row.partner,
                row.channel,
                "true" if row.active else "false",
                row.linked_to or "",
                Figure(row.uses),
            )
            for row in map(_code_out, rows)
        )


@routes.get(
    "/v1/promotions/{promotion}/codes/uses",
    scope="codes:read",
    summary="Uses by partner and channel",
    errors=("promotion_not_found",),
)
async def get_uses(call: Call, promotion: str) -> UsesOut:
    """What each batch was used for, less what was given back."""
    terms = await _terms(call, promotion)
    return UsesOut(
        data=tuple(
            BatchUsesOut(
                batch=public("cbt", row.batch),
                name=row.name,
                partner=row.partner,
                channel=row.channel,
                active=row.active,
                codes=row.made,
                codes_used=row.codes_used,
                currency=row.currency,
                uses=row.uses,
                discount_minor=row.discount,
                voucher_minor=row.voucher,
                points_minor=row.points,
            )
            for row in await call.services.codes.uses_by_batch(call.org_id, terms.id)
        )
    )


@routes.get("/v1/codes/{code}", scope="codes:read", summary="Look up a code", errors=("code_not_found",))
async def get_code(call: Call, code: str) -> CodeStatus:
    """For member care: whose it is, whether and how often it can be used, and its latest uses with their purchase."""
    row = await call.services.codes.code(call.org_id, _read(code))
    if row is None:
        raise Problem("code_not_found", field="code")
    terms = await call.services.codes.promotion(call.org_id, row.promotion)
    assert terms is not None
    limits = await limits_of(call, row.code, terms)
    return CodeStatus(
        code=_code_out(row),
        status=_status(call, row, terms, limits),
        promotion_name=terms.name,
        valid_from=terms.starts_at,
        valid_until=terms.ends_at,
        deactivation_reason="" if row.active else row.reason,
        linked_at=row.linked_at,
        limits=limits,
        uses=tuple(map(_use_out, await call.services.codes.uses(call.org_id, row.code, USES_SHOWN))),
    )


@routes.get(
    "/v1/codes/{code}/uses",
    scope="codes:read",
    summary="Uses of a code",
    errors=("code_not_found", "invalid_cursor"),
)
async def list_code_uses(call: Call, code: str, query: PageQuery) -> CodeUsePage:
    """Every one, the latest first, each with its purchase."""
    row = await call.services.codes.code(call.org_id, _read(code))
    if row is None:
        raise Problem("code_not_found", field="code")
    before = place_of_use(query.cursor, "code uses", row.code)
    rows = await call.services.codes.uses(call.org_id, row.code, query.limit + 1, before)
    rows, next_cursor = page(rows, query.limit, lambda each: f"{each.event_seq}/{each.position}", "code uses", row.code)
    return CodeUsePage(data=tuple(map(_use_out, rows)), next_cursor=next_cursor)


@routes.get(
    "/v1/promotions/{promotion}/codes/uses.csv",
    scope="codes:read",
    summary="Uses of codes as CSV",
    errors=_BATCH_ERRORS,
)
async def export_uses(call: Call, promotion: str, query: ExportQuery) -> Csv:
    """Every use of every code of a batch with its purchase, in the order in which they were booked; figures below zero
    gave back an earlier one."""
    row = await _batch(call, promotion, query.batch)
    return Csv(_use_lines(call, row), f"uses-{row.id}.csv")


USE_COLUMNS = (
    "code", "partner", "channel", "used_at", "purchase_number", "reference", "member", "times", "discount_minor",
    "voucher_minor", "points_minor", "currency", "event_log_id", "gives_back",
)  # fmt: skip


async def _use_lines(call: Call, batch: BatchRow) -> AsyncIterator[bytes]:
    yield lines([USE_COLUMNS])
    async for rows in call.services.codes.all_uses(call.org_id, batch.id):
        yield lines(
            (
                row.code,
                batch.partner,
                batch.channel,
                row.used_at.isoformat(),
                row.purchase_number or "",
                row.reference,
                "" if row.member is None else public("mem", row.member),
                Figure(row.times),
                Figure(row.discount),
                Figure(row.voucher),
                Figure(row.points),
                row.currency,
                Figure(row.event_seq),
                "true" if row.of_seq else "false",
            )
            for row in rows
        )


def _status(
    call: Call, row: CodeRow, terms: Promotion, limits: Iterable[LimitOut]
) -> Literal["usable", "used_up", "deactivated", "not_running", "ended"]:
    now = call.services.now()
    if not row.active:
        return "deactivated"
    if terms.status == "ended" or (terms.ends_at is not None and now >= terms.ends_at):
        return "ended"
    if terms.status != "active" or (terms.starts_at is not None and now < terms.starts_at):
        return "not_running"
    return "used_up" if any(limit.left == 0 for limit in limits) else "usable"


async def limits_of(call: Call, code: str, terms: Promotion) -> tuple[LimitOut, ...]:
    """How the limits over a code stand now."""
    over_code = [limit for limit in terms.limits if limit.per == "code" and limit.limit is not None]
    if not over_code:
        return ()
    now = call.services.now()
    local = now.astimezone(ZoneInfo(await call.services.codes.timezone(call.org_id)))
    counters = {
        (row.limit_code, row.period): row for row in await call.services.codes.counters(call.org_id, terms.id, code)
    }
    found = []
    for limit in over_code:
        assert limit.limit is not None
        when = period(limit, local)
        counted = counters.get((limit.code, when))
        used, held = (0, 0) if counted is None else _counted(counted, now)
        found.append(
            LimitOut(
                code=limit.code,
                kpi=limit.kpi,
                limit=limit.limit,
                used=used,
                held=held,
                left=max(0, limit.limit - used - held),
                period=when,
            )
        )
    return tuple(found)


def _counted(row: CounterRow, now: datetime) -> tuple[int, int]:
    """What was used of a counter, and what carts hold."""
    parts = _parts(row.parts)
    value = Tally(used=row.used, last_at=row.last_at, parts=parts).at(now).used
    held = sum(part.by for part in parts if part.reservation and part.until > now)
    return value - held, held


# -- shapes -----------------------------------------------------------------------------------------------------------


async def _terms(call: Call, promotion: str) -> Promotion:
    terms = await call.services.codes.promotion(call.org_id, promotion_id(promotion))
    if terms is None:
        raise Problem("promotion_not_found", field="promotion")
    return terms


async def _batch(call: Call, promotion: str, batch: str) -> BatchRow:
    """The batch a path names, which is one of the promotion it names."""
    id = private("cbt", batch)
    row = None if id is None else await call.services.codes.batch(call.org_id, id)
    if row is None or row.promotion != promotion_id(promotion):
        await _terms(call, promotion)
        raise Problem("code_batch_not_found", field="batch")
    return row


async def _shown(call: Call, batch: str) -> BatchOut:
    row = await call.services.codes.batch(call.org_id, batch)
    assert row is not None
    return _batch_out(row)


async def _begin(call: Call, batch: str) -> None:
    """Make the first codes at once, so that a small batch is whole when it is answered; jobs make the rest."""
    found = await call.services.codes.batch_to_continue(call.org_id, batch)
    assert found is not None
    codes = await asyncio.to_thread(rules.next_codes, found)
    if codes:
        try:
            await call.submit(commands.AddCodes(batch=batch, codes=codes, start=found.next_index, **_unkeyed(call)))
        except Problem as problem:
            if problem.code != "code_batch_moved_on":
                raise


def _unkeyed(call: Call) -> dict[str, Any]:
    """What a further command of a request carries: the idempotency key is the first one's."""
    return {"id": new_command_id(), "at": call.services.now(), "actor": call.common()["actor"]}


_FORM_FIELDS = {"charset": "form.charset", "prefix": "form.prefix", "suffix": "form.suffix", "pattern": "form.pattern"}


def _form(form: FormIn) -> texts.Form:
    if form.pattern and form.length is not None:
        raise Problem("invalid_value", "Send either `pattern` or `length`.", field="form.length")
    pattern = form.pattern or "#" * (form.length or 8)
    return texts.Form(pattern=pattern, charset=form.charset, prefix=form.prefix, suffix=form.suffix, check=form.check)


def _read(code: str) -> str:
    text = texts.read(code)
    if text is None:
        raise Problem("code_not_found", field="code")
    return text


def _batch_out(row: BatchRow) -> BatchOut:
    return BatchOut(
        id=public("cbt", row.id),
        promotion=public(PROMOTION, row.promotion),
        kind="generated" if row.kind == "generated" else "uploaded",
        name=row.name,
        partner=row.partner,
        channel=row.channel,
        wanted=row.wanted,
        made=row.made,
        active=row.active,
        created_at=row.created_at,
    )


def _code_out(row: CodeRow) -> CodeOut:
    return CodeOut(
        code=row.code,
        printed=texts.shown(_forms(row.form), row.code) if row.form else row.code,
        number=row.no,
        batch=public("cbt", row.batch),
        promotion=public(PROMOTION, row.promotion),
        partner=row.partner,
        channel=row.channel,
        active=row.active,
        linked_to=None if row.member is None else public("mem", row.member),
        uses=row.uses,
    )


_forms = msgspec.json.Decoder(texts.Form).decode


def _use_out(row: UseRow) -> CodeUse:
    return CodeUse(
        event_log_id=row.event_seq,
        used_at=row.used_at,
        promotion_version=row.version,
        member=None if row.member is None else public("mem", row.member),
        purchase=None if row.purchase is None else public("pur", row.purchase),
        purchase_number=row.purchase_number,
        reference=row.reference,
        times=row.times,
        discount_minor=row.discount,
        voucher_minor=row.voucher,
        points_minor=row.points,
        currency=row.currency,
        gives_back=row.of_seq > 0,
    )
