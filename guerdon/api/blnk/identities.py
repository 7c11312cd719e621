"""`/identities`: who holds balances. A member of a program is an identity too; here it has only its personal data."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from guerdon.api.blnk import filters, wire
from guerdon.api.blnk.errors import BlnkError
from guerdon.api.blnk.filters import FilterBody
from guerdon.api.blnk.postings import meta_text
from guerdon.api.blnk.routing import Call, Routes
from guerdon.core.commands import Annotate, ChangeMember, RegisterMember, RemoveMember
from guerdon.store.read_blnk import IdentityRow

routes = Routes("identities")

ALL_MAX = 10_000
"""`GET /identities` without filters answers every identity at Blnk; here at most so many, newest first."""


class Profile(Struct, omit_defaults=True):
    """The text fields of an identity, by their names on the wire; stored as JSON beside the member."""

    identity_type: str | None = None
    organization_name: str | None = None
    category: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    other_names: str | None = None
    gender: str | None = None
    email_address: str | None = None
    phone_number: str | None = None
    nationality: str | None = None
    street: str | None = None
    country: str | None = None
    state: str | None = None
    post_code: str | None = None
    city: str | None = None
    dob: str | None = None


class IdentityIn(Profile):
    identity_id: str | None = None
    meta_data: dict[str, Any] | None = None


@routes.post("/identities")
async def create_identity(call: Call, body: IdentityIn) -> dict[str, Any]:
    common = call.common()
    if body.identity_id:
        common["id"] = _own_id(body.identity_id)
    registered = await call.submit(
        RegisterMember(profile=_profile(body), meta=meta_text(body.meta_data), enrol=False, **common)
    )
    return await get_identity(call, f"idt_{registered.id}")


@routes.get("/identities")
async def list_identities(call: Call) -> list[dict[str, Any]]:
    page = filters.from_query(call.query, 20)
    if not page.filters:
        page = msgspec.structs.replace(page, limit=ALL_MAX, offset=0)
    rows, _ = await call.reader.identities(call.org_id, page)
    return [shown(row) for row in rows]


@routes.post("/identities/filter", status=200)
async def filter_identities(call: Call, body: FilterBody) -> Any:
    rows, total = await call.reader.identities(call.org_id, filters.from_body(body))
    return filters.answer([shown(row) for row in rows], total)


@routes.get("/identities/{identity_id}")
async def get_identity(call: Call, identity_id: str) -> dict[str, Any]:
    return shown(await _found(call, identity_id))


@routes.put("/identities/{identity_id}")
async def change_identity(call: Call, identity_id: str, body: IdentityIn) -> dict[str, str]:
    """The fields that are sent replace what was there; the others stay."""
    row = await _found(call, identity_id)
    merged = {**msgspec.json.decode(row.profile, type=dict[str, Any]), **_given(body)}
    command = ChangeMember(member=("id", row.identity_id), profile=wire.encode(merged).decode(), **call.common())
    await call.submit(command, identity_id=identity_id)
    if body.meta_data:
        await call.submit(Annotate(kind="idt", object=row.identity_id, meta=meta_text(body.meta_data), **call.common()))
    return {"message": "Identity updated successfully"}


@routes.delete("/identities/{identity_id}")
async def remove_identity(call: Call, identity_id: str) -> dict[str, str]:
    command = RemoveMember(member=("id", plain_identity(identity_id)), **call.common())
    await call.submit(command, identity_id=identity_id)
    return {"message": "Identity deleted successfully"}


def shown(row: IdentityRow) -> dict[str, Any]:
    profile = msgspec.json.decode(row.profile, type=dict[str, Any])
    answer: dict[str, Any] = {"identity_id": f"idt_{row.identity_id}"}
    for field in Profile.__struct_fields__:
        value = profile.get(field)
        answer[field] = value if isinstance(value, str) else ""
    answer["dob"] = answer["dob"] or wire.ZERO_TIME
    answer["created_at"] = wire.time_text(row.registered_at)
    answer["meta_data"] = wire.raw(row.meta)
    return answer


def plain_identity(identity_id: str) -> str:
    """The uuid of an identity's public id, 404 where it cannot be one."""
    plain = wire.plain_id(identity_id, "idt", "mem")
    if plain is None:
        raise BlnkError("IDT_NOT_FOUND", f"Identity with ID '{identity_id}' not found")
    return plain


async def _found(call: Call, identity_id: str) -> IdentityRow:
    row = await call.reader.identity(call.org_id, plain_identity(identity_id))
    if row is None:
        raise BlnkError("IDT_NOT_FOUND", f"Identity with ID '{identity_id}' not found")
    return row


def _own_id(identity_id: str) -> str:
    if not identity_id.startswith("idt_"):
        raise BlnkError("IDT_VALIDATION_ERROR", "identity_id must start with the 'idt_' prefix")
    plain = wire.plain_id(identity_id, "idt")
    if plain is None:
        raise BlnkError("IDT_VALIDATION_ERROR", "identity_id suffix after 'idt_' must be a valid UUID")
    return plain


def _given(body: IdentityIn) -> dict[str, str]:
    """The text fields that were sent with a value; a date of birth in the form it is answered in."""
    found = {field: value for field in Profile.__struct_fields__ if (value := getattr(body, field))}
    if "dob" in found:
        found["dob"] = wire.time_text(_birth(found["dob"]))
    return found


def _birth(text: str) -> datetime | None:
    try:
        return wire.instant(f"{text}T00:00:00Z" if len(text) == 10 else text)
    except ValueError:
        raise BlnkError("GEN_MALFORMED_REQUEST", "Invalid input: dob is not an RFC 3339 time") from None


def _profile(body: IdentityIn) -> str:
    found = _given(body)
    return wire.encode(found).decode() if found else ""
