"""New organisations: the tenant's row, its head and the ledger of its internal accounts.

Leaves to others: everything else, which the writer does once the organisation exists.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from psycopg import AsyncConnection

from guerdon.core.accounts import GENERAL_LEDGER
from guerdon.store.statements import statements

_SQL = statements("organisations")

DEFAULT = "default"
"""The code of the organisation that exists from the start."""


class Organisation(NamedTuple):
    org_id: int
    id: str


async def create(connection: AsyncConnection[Any], code: str, name: str = "", timezone: str = "UTC") -> Organisation:
    """The organisation of this code, made if there is none. An existing one keeps its name and time zone."""
    async with connection.transaction():
        given = {"code": code, "name": name or code, "timezone": timezone}
        await connection.execute(_SQL["create_organisation"], given)
        row = await (await connection.execute(_SQL["organisation_of_code"], {"code": code})).fetchone()
        assert row is not None
        org_id, id_ = row
        await connection.execute(_SQL["enter_organisation"], {"org": str(org_id)})
        await connection.execute(_SQL["create_head"], {"org": org_id, "ledgers": GENERAL_LEDGER})
        await connection.execute(_SQL["create_general_ledger"], {"org": org_id, "no": GENERAL_LEDGER})
    return Organisation(org_id, id_)
