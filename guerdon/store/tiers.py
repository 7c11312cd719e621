"""Reads of tiers: a member's standings as a review would write them now, and how many members each tier has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from guerdon.core.activity import Activity
from guerdon.core.events import Event
from guerdon.core.segments import Facts, Segment, in_segments
from guerdon.core.standings import WALKED, Standing, code_at, foresee
from guerdon.core.tiers import Structure, first, in_force, kept_from_before, tier_at
from guerdon.store import rows
from guerdon.store.statements import statements

_SQL = statements("tiers")
_LOAD = statements("load")
_CHUNK = 1_000


class MemberTier(NamedTuple):
    """How a member stands in a program: under which structure, and what is not told yet."""

    structure: Structure
    standing: Standing
    coming: list[Event]


class ToldRow(NamedTuple):
    """A change as it was told; `body` is JSON text."""

    seq: int
    event_at: datetime
    recorded_at: datetime
    body: str


async def structures(
    connection: AsyncConnection[Any], org_id: int, program_no: int = 0
) -> dict[int, tuple[Structure, ...]]:
    """Every version of tiers by program, of one program or all."""
    return rows.structures(await _rows(connection, _SQL["structures"], {"org": org_id, "program": program_no}))


async def of_member(
    connection: AsyncConnection[Any], org_id: int, member_no: int, registered_at: datetime, now: datetime
) -> list[MemberTier]:
    """How a member stands in every program that has tiers by now."""
    found = await _rows(connection, _SQL["standings_of"], {"org": org_id, "member": member_no})
    standings = {standing.program_no: standing for standing in map(rows.standing_of, found)}
    every = await structures(connection, org_id)
    done: Activity | None = None
    answer = []
    for program_no, versions in every.items():
        structure = in_force(versions, now)
        if structure is None:
            continue
        standing = standings.get(program_no)
        if done is None and (standing is None or standing.version != structure.version):
            done = (await activities(connection, org_id, [member_no]))[member_no]
        settled, coming = foresee(versions, standing, done, member_no, now)
        if settled is None:
            settled = Standing(
                member_no=member_no, program_no=program_no, version=structure.version, tier="",
                joined_at=registered_at, reckoning=first(structure.terms, registered_at), reckoned_at=registered_at,
            )  # fmt: skip
        answer.append(MemberTier(structure, settled, coming))
    return answer


async def changes(
    connection: AsyncConnection[Any], org_id: int, member_no: int, before: int, limit: int
) -> list[ToldRow]:
    """What a member was told, newest first."""
    values = {"org": org_id, "member": member_no, "before": before, "limit": limit}
    return [ToldRow(*row) for row in await _rows(connection, _SQL["changes"], values)]


class ListedRow(NamedTuple):
    """A member on a list, and since when."""

    no: int
    id: str
    listed_at: datetime


async def segments(connection: AsyncConnection[Any], org_id: int) -> dict[str, Segment]:
    """All segments by code, as they now are."""
    return rows.segments(await _rows(connection, _LOAD["config_segments"], {"org": org_id}))


async def listed(
    connection: AsyncConnection[Any], org_id: int, segment: str, after: int, limit: int
) -> list[ListedRow]:
    """Who is on a list, by number."""
    values = {"org": org_id, "segment": segment, "after": after, "limit": limit}
    return [ListedRow(*row) for row in await _rows(connection, _SQL["listed"], values)]


async def audience(
    connection: AsyncConnection[Any],
    org_id: int,
    member_no: int,
    registered_at: datetime,
    balances: dict[int, int],
    wanted: Collection[str],
    now: datetime,
) -> tuple[dict[int, str], frozenset[str]]:
    """A member's tier by program, and those of the wanted segments that the member is in; `balances` by program."""
    found = await of_member(connection, org_id, member_no, registered_at, now)
    by_program = {each.structure.program_no: code_at(each.standing, each.structure.terms, now) for each in found}
    if not wanted:
        return by_program, frozenset()
    codes = dict(await _rows(connection, _SQL["program_codes"], {"org": org_id}))
    person = rows.persons(await _rows(connection, _LOAD["persons"], {"org": org_id, "nos": [member_no]}))[member_no]
    facts = Facts(
        at=now,
        profile=person.profile,
        lists=[code for code, (_, there) in person.lists.items() if there],
        activity=(await activities(connection, org_id, [member_no]))[member_no],
        tiers={codes[no]: tier for no, tier in by_program.items()},
        balances={codes[no]: balance for no, balance in balances.items()},
        programs={code: no for no, code in codes.items()},
    )
    return by_program, in_segments(await segments(connection, org_id), wanted, facts)


async def counts(
    connection: AsyncConnection[Any], org_id: int, program_no: int, now: datetime
) -> dict[str, int] | None:
    """How many members each tier has at this moment, "" for those without one; None where there are no tiers yet."""
    versions = (await structures(connection, org_id, program_no)).get(program_no, ())
    structure = in_force(versions, now)
    if structure is None:
        return None
    asked = {"org": org_id, "program": program_no, "version": structure.version, "now": now}
    ((walked,),) = await _rows(connection, _SQL["walked"], asked)
    found: Counter[str] = Counter(dict.fromkeys(("", *(level.code for level in structure.terms.levels)), 0))
    if walked < WALKED:
        found.update(await _one_by_one(connection, org_id, versions, now))
        return {code: count for code, count in found.items() if code or count}
    for tier, count in await _rows(connection, _SQL["settled"], asked):
        found[tier] += count
    for row in await _rows(connection, _SQL["unsettled"], asked):
        found[code_at(rows.standing_of(row), structure.terms, now)] += 1
    ((enrolled,),) = await _rows(connection, _SQL["enrolled"], asked)
    found[structure.terms.code(structure.terms.level(0))] += enrolled - sum(found.values())
    return {code: count for code, count in found.items() if code or count}


async def _one_by_one(
    connection: AsyncConnection[Any], org_id: int, versions: Sequence[Structure], now: datetime
) -> dict[str, int]:
    """The same from everybody's past, while a new structure is not written down for all."""
    found: Counter[str] = Counter()
    after = 0
    program_no = versions[0].program_no
    while nos := await _members_after(connection, org_id, after):
        after = nos[-1]
        for done in (await activities(connection, org_id, nos)).values():
            found[tier_at(versions, done.within(program_no), now)] += 1
    return found


class Moved(NamedTuple):
    """A member whom a change of the tiers would put from one into another."""

    no: int
    before: str
    after: str


class Left(NamedTuple):
    """A member whom a change of the tiers leaves one for a while, and the tier by the new structure alone."""

    no: int
    tier: str
    otherwise: str
    until: datetime | None


class Preview(NamedTuple):
    """How many members would go from which tier to which, and how many would be left which for what they otherwise had;
    and the first of those who would.
    """

    changes: Counter[tuple[str, str]]
    moved: list[Moved]
    kept: Counter[tuple[str, str]]
    left: list[Left]


async def preview(
    connection: AsyncConnection[Any], org_id: int, structure: Structure, now: datetime, most: int
) -> Preview:
    """What a structure that is not made yet would make of everybody when it begins, by what is known now. Of members at
    most so many are named.
    """
    versions = (await structures(connection, org_id, structure.program_no)).get(structure.program_no, ())
    at = max(now, structure.starts_at)
    then = (*versions, structure)
    alone = msgspec.structs.replace(structure, terms=msgspec.structs.replace(structure.terms, keep=False))
    found = Preview(Counter(), [], Counter(), [])
    after = 0
    while nos := await _members_after(connection, org_id, after):
        after = nos[-1]
        for no, done in (await activities(connection, org_id, nos)).items():
            mine = done.within(structure.program_no)
            change = Moved(no, tier_at(versions, mine, at), tier_at(then, mine, at))
            found.changes[change.before, change.after] += 1
            if change.before != change.after and len(found.moved) < most:
                found.moved.append(change)
            kept = kept_from_before(then, structure, mine, at)
            otherwise = change.after if kept is None else tier_at((*versions, alone), mine, at)
            if kept is not None and otherwise != change.after:
                found.kept[change.after, otherwise] += 1
                if len(found.left) < most:
                    found.left.append(Left(no, change.after, otherwise, kept.until))
    return found


async def _members_after(connection: AsyncConnection[Any], org_id: int, after: int) -> list[int]:
    asked = {"org": org_id, "after": after, "limit": _CHUNK}
    return [no for (no,) in await _rows(connection, _SQL["members_after"], asked)]


async def activities(connection: AsyncConnection[Any], org_id: int, nos: Sequence[int]) -> dict[int, Activity]:
    """What members did, by number."""
    asked = {"org": org_id, "nos": list(nos)}
    families, bought, returned = [
        await _rows(connection, _LOAD[name], asked) for name in ("families", "activity_purchases", "activity_returns")
    ]
    return rows.activities(families, bought, returned)


async def _rows(connection: AsyncConnection[Any], text: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    cursor = connection.cursor(row_factory=tuple_row)
    return await (await cursor.execute(text, values)).fetchall()
