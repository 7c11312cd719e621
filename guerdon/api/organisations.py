"""`/v1/organisations`: tenants, made and listed with the platform key."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from msgspec import Meta

from guerdon.api.call import Call
from guerdon.api.problem import Problem
from guerdon.api.routing import Routes
from guerdon.api.values import Body, Name, PageQuery, Shown, cursor, place_no, public
from guerdon.store.read import OrganisationRow

routes = Routes("Organisations")

OrganisationCode = Annotated[str, Meta(min_length=1, max_length=64, pattern="^[a-z0-9][a-z0-9-]*$")]


class OrganisationIn(Body, frozen=True, kw_only=True):
    code: OrganisationCode
    name: Name
    timezone: Annotated[str, Meta(max_length=64)] = "UTC"


class OrganisationOut(Shown, frozen=True, kw_only=True):
    """`code` is what the header `Guerdon-Organisation` names."""

    id: str
    code: str
    name: str
    timezone: str
    created_at: datetime


class OrganisationPage(Shown, frozen=True, kw_only=True):
    data: tuple[OrganisationOut, ...]
    next_cursor: str | None


_BODY = {"code": "acme", "name": "Acme Groceries", "timezone": "America/New_York"}


@routes.post(
    "/v1/organisations",
    scope="platform",
    summary="Make an organisation",
    example=_BODY,
    answer={
        **_BODY,
        "id": "org_0199b1f0-2c3e-7c11-9a52-5b7d3c000000",
        "created_at": "2026-11-21T10:00:00Z",
    },
    errors=("code_taken",),
)
async def create_organisation(call: Call, body: OrganisationIn) -> OrganisationOut:
    """A tenant with everything of its own. Sending the same again answers 409 `code_taken`."""
    try:
        ZoneInfo(body.timezone)
    except (KeyError, ValueError, OSError):
        detail = "This is not a time zone of the IANA database."
        raise Problem("invalid_value", detail, field="timezone") from None
    row = await call.services.organisations.create(body.code, body.name, body.timezone)
    if row is None:
        raise Problem("code_taken", field="code")
    return _shown(row)


@routes.get("/v1/organisations", scope="platform", summary="List organisations")
async def list_organisations(call: Call, query: PageQuery) -> OrganisationPage:
    """In the order they were made."""
    after = place_no(query.cursor, "organisations") or 0
    rows = await call.services.reader.organisations(after, query.limit + 1)
    more = len(rows) > query.limit
    rows = rows[: query.limit]
    return OrganisationPage(
        data=tuple(_shown(row) for row in rows),
        next_cursor=cursor(rows[-1].org_id, "organisations") if more else None,
    )


@routes.get(
    "/v1/organisations/{organisation}",
    scope="platform",
    summary="Look up an organisation",
    errors=("organisation_not_found",),
)
async def get_organisation(call: Call, organisation: str) -> OrganisationOut:
    """By its code."""
    row = await call.services.reader.organisation(organisation)
    if row is None:
        raise Problem("organisation_not_found", field="organisation")
    return _shown(row)


def _shown(row: OrganisationRow) -> OrganisationOut:
    return OrganisationOut(
        id=public("org", row.id),
        code=row.code,
        name=row.name,
        timezone=row.timezone,
        created_at=row.created_at,
    )
