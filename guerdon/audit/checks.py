"""The checks of one organisation's books, in the order in which a reader of the findings wants them.

Most are one statement of `queries/audit.sql` each; what only the core can read is decoded here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice, pairwise
from typing import Any, NamedTuple

import msgspec
from psycopg import Connection

from guerdon.audit.report import SHOWN_MAX, Row
from guerdon.core.activity import Activity
from guerdon.core.commands import Posting
from guerdon.core.decide import replayed
from guerdon.core.lots import EFFECTS
from guerdon.core.promotions.codes import Form, generate
from guerdon.core.standings import Standing, next_untold
from guerdon.core.tiers import Structure, reckon_under
from guerdon.store import rows
from guerdon.store.statements import statements

_SQL = statements("audit")
_TIERS, _LOAD = statements("tiers"), statements("load")
_FETCH = 5_000
_CHUNK = 1_000


class Check(NamedTuple):
    """A name, what it proves, whether it can be made for the rows after a sequence number only, and how it is made."""

    name: str
    proves: str
    recent: bool = False
    find: Callable[[Connection[Any], int], Iterator[Row]] | None = None


def run(check: Check, connection: Connection[Any], org_id: int, since: int) -> Iterator[Row]:
    """What does not hold."""
    if check.find is not None:
        yield from check.find(connection, org_id)
        return
    arguments = {"org": org_id, "since": since, "limit": SHOWN_MAX + 1, **_EFFECTS}
    for row in connection.execute(_SQL[check.name], arguments).fetchall():
        yield Row(*row)


_EFFECTS: dict[str, Any] = {
    "kinds": list(EFFECTS),
    **{
        column: [effect[i] for effect in EFFECTS.values()]
        for i, column in enumerate(("remaining", "redeemed", "returned", "expired", "held", "written_off"))
    },
}


def _outcomes(connection: Connection[Any], org_id: int) -> Iterator[Row]:
    """Every answer that was kept can still be given."""
    with connection.cursor(name="outcomes") as cursor:
        cursor.itersize = _FETCH
        for actor, key, answer in cursor.execute(_SQL["outcomes"], {"org": org_id}):
            try:
                replayed(answer)
            except msgspec.DecodeError as problem:
                yield Row(f"outcome of key {key} of {actor}", f"cannot be decoded: {problem}")


def _requests(connection: Connection[Any], org_id: int) -> Iterator[Row]:
    """Every posting that waits says what its transfer says."""
    with connection.cursor(name="requests") as cursor:
        cursor.itersize = _FETCH
        for seq, request, *said in cursor.execute(_SQL["requests"], {"org": org_id}):
            try:
                posting = msgspec.json.decode(request, type=Posting)
            except msgspec.DecodeError as problem:
                yield Row(f"scheduled {seq}", f"its request cannot be decoded: {problem}")
                continue
            expected = _posting(posting, *said)
            wrong = [name for name in Posting.__struct_fields__ if getattr(posting, name) != getattr(expected, name)]
            if wrong:
                yield Row(f"scheduled {seq}", f"its request is not that of its transfer: {', '.join(wrong)}")


def _generated(connection: Connection[Any], org_id: int) -> Iterator[Row]:
    """Every code of a generated batch is one that its form and seed make, in that order; what is left out of that order
    is another batch's.
    """
    for batch, form, seed, end in connection.execute(_SQL["generated"], {"org": org_id}).fetchall():
        try:
            made = generate(msgspec.json.decode(form, type=Form), seed, 0, end)
            yield from _made(connection, org_id, batch, made)
        except (msgspec.DecodeError, ValueError) as problem:
            yield Row(f"code batch {batch}", f"its codes cannot be made again: {problem}")


def _made(connection: Connection[Any], org_id: int, batch: str, made: Iterator[str]) -> Iterator[Row]:
    last = 0
    while wanted := list(islice(made, _FETCH)):
        rows = connection.execute(_SQL["codes_among"], {"org": org_id, "codes": wanted}).fetchall()
        there = {code: (of, no) for code, of, no in rows}
        for code in wanted:
            if code not in there:
                yield Row(f"code batch {batch}", f"it has made {code}, which is missing")
            elif there[code][0] == batch:
                yield from _foreign(connection, org_id, batch, last, there[code][1])
                last = max(last, there[code][1])
    yield from _foreign(connection, org_id, batch, last, 2**62)


def _foreign(connection: Connection[Any], org_id: int, batch: str, after: int, before: int) -> Iterator[Row]:
    """The codes of a batch between two numbers, where none should be."""
    if before <= after:
        yield Row(f"code batch {batch}", f"number {before} comes after {after}")
    elif before > after + 1:
        values = {"org": org_id, "batch": batch, "after": after, "before": before, "limit": SHOWN_MAX + 1}
        for (code,) in connection.execute(_SQL["codes_without_form"], values).fetchall():
            yield Row(f"code {code}", f"batch {batch} does not make it")


def _standings(connection: Connection[Any], org_id: int) -> Iterator[Row]:
    """Every standing is where the member's purchases and returns lead, and its tier the one that was told last."""
    versions = rows.structures(connection.execute(_TIERS["structures"], {"org": org_id, "program": 0}).fetchall())
    for program_no, structures in versions.items():
        if [structure.version for structure in structures] != list(range(1, len(structures) + 1)):
            yield Row(f"tiers of program {program_no}", "a version is missing")
    for member_no, program_no in connection.execute(_SQL["standings_missing"], {"org": org_id}).fetchall():
        yield Row(f"standing of member {member_no} in program {program_no}", "missing, and there are purchases")
    with connection.cursor(name="standings") as cursor:
        cursor.itersize = _CHUNK
        cursor.execute(_SQL["standings"], {"org": org_id})
        while found := cursor.fetchmany(_CHUNK):
            some = [rows.standing_of(row) for row in found]
            asked = {"org": org_id, "nos": list({standing.member_no for standing in some})}
            families, bought, returned = [
                connection.execute(_LOAD[name], asked).fetchall()
                for name in ("families", "activity_purchases", "activity_returns")
            ]
            done = rows.activities(families, bought, returned)
            told = _told(connection, asked)
            for standing in some:
                place = (standing.member_no, standing.program_no)
                problem = _standing_problem(standing, versions, done[standing.member_no], told.get(place, []))
                if problem:
                    yield Row(f"standing of member {place[0]} in program {place[1]}", problem)


def _told(connection: Connection[Any], asked: dict[str, Any]) -> dict[tuple[int, int], list[dict[str, Any]]]:
    found: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for member_no, body in connection.execute(_SQL["tiers_told"], asked).fetchall():
        said = msgspec.json.decode(body)
        found.setdefault((member_no, said["program_no"]), []).append(said)
    return found


def _standing_problem(
    standing: Standing, versions: dict[int, tuple[Structure, ...]], done: Activity, told: list[dict[str, Any]]
) -> str:
    """What is wrong with a standing, "" where nothing is."""
    structure = next((s for s in versions.get(standing.program_no, ()) if s.version == standing.version), None)
    if structure is None:
        return f"there is no version {standing.version} of the program's tiers"
    done = done.within(standing.program_no)
    until = max([standing.reckoned_at, *(deed.at for deed in done.deeds)])
    expected = reckon_under(versions[standing.program_no], structure, done, until)
    if standing.joined_at != done.joined_at(until):
        return f"joined at {standing.joined_at}, should be {done.joined_at(until)}"
    if standing.reckoning != expected:
        return f"it is at {standing.reckoning}, its purchases lead to {expected}"
    due_at = next_untold(standing, structure.terms)
    if due_at is not None and (standing.due_at is None or standing.due_at > due_at):
        return f"it falls at {due_at}, and is not due until {standing.due_at}"
    for before, after in pairwise(told):
        if before["to"] != after["from"]:
            return f"it was told {before['to']!r}, and then a change from {after['from']!r}"
    last = told[-1]["to"] if told else structure.terms.code(structure.terms.level(0))
    return "" if standing.tier == last else f"tier is {standing.tier!r}, {last!r} was told"


def unreadable(connection: Connection[Any], org_id: int, problem: str) -> Iterator[Row]:
    """The rows whose texts are not JSON, after the database stumbled over one."""
    named = False
    with connection.cursor(name="texts") as cursor:
        cursor.itersize = _FETCH
        for row, texts in cursor.execute(_SQL["texts"], {"org": org_id}):
            for text in filter(None, texts):
                try:
                    msgspec.json.decode(text)
                except msgspec.DecodeError as stumbled:
                    named = True
                    yield Row(row, f"cannot be read: {stumbled}")
    if named:
        yield Row("other rows", "not looked at by this check, since these cannot be read")
    else:
        yield Row("some row", f"cannot be read: {problem}")


def _posting(
    found: Posting, asset: str, amount: int, reference: str, effective: Any, recorded: Any, text: str, source: str,
    destination: str,
) -> Posting:  # fmt: skip
    """The posting as the transfer's row tells it. No effective time means the recorded one, or none."""
    detail = msgspec.json.decode(text)
    limit = detail.get("overdraft_limit")
    same = effective is None and found.effective_at in (None, recorded)
    return Posting(
        asset=asset,
        amount=amount,
        precision=detail["precision"],
        reference=reference,
        source=source,
        destination=destination,
        description=detail.get("description", ""),
        allow_overdraft=detail.get("allow_overdraft", False),
        overdraft_limit=None if limit is None else int(limit),
        inflight=detail.get("inflight", False),
        queued=True,
        expires_at=_instant(detail.get("inflight_expiry_date")),
        commits_at=_instant(detail.get("inflight_commit_date")),
        effective_at=found.effective_at if same else effective,
    )


def _instant(text: str | None) -> datetime | None:
    return None if text is None else msgspec.convert(text, datetime)


CHECKS = (
    Check("recorded", "time never goes back", recent=True),
    Check("entries", "versions are contiguous, each balance follows from the one before", recent=True),
    Check("outcomes_without_effect", "what was rejected moved nothing", recent=True),
    Check("events", "each event's transfers, points and lines are what it says", recent=True),
    Check("mirrors", "what a member sees of another's event is what it is", recent=True),
    Check("assets", "assets are not mixed", recent=True),
    Check("figures", "each account's figures are the sums of its rows"),
    Check("floors", "each floor is what history makes it"),
    Check("balances", "balances of an asset add up to zero"),
    Check("holds", "each hold is what its settlements and releases left"),
    Check("scheduled", "what waits was scheduled, and what was decided does not wait"),
    Check("requests", "what waits is what was asked", find=_requests),
    Check("lots", "each lot is what its moves made it"),
    Check("points", "each points account is its lots less what it owes"),
    Check("pools", "each pool that ran low was said to, once until it was filled again"),
    Check("redemptions", "each redemption is what its event says, less what was given back"),
    Check("purchases", "each bill adds up and is what its event says"),
    Check("returns", "each return is what its event says"),
    Check("imported", "each row of an import is what its event says"),
    Check(
        "promotions",
        "each use of a promotion is what its event says, and each counter the sum of what was counted on it",
    ),
    Check("cart_returns", "each return of a committed cart is what its event says"),
    Check("sent", "what each member has sent is the sum of the transfers"),
    Check("merges", "each merged member ended with the event that says so"),
    Check("adjustments", "each adjustment was booked as asked, by two persons where it took two"),
    Check("referrals", "each referral is what its events say"),
    Check("claims", "each claim is what its event says, and stands where its last move left it"),
    Check("catalogue", "each reward is its last version, with as many pieces out as were claimed"),
    Check("standings", "each standing is where purchases and returns lead, and what was told", find=_standings),
    Check("codes", "each batch has its codes, and each code that was linked, switched or used is one"),
    Check("generated", "each generated code is one that its batch makes", find=_generated),
    Check("accounts", "each account that is named exists, opened as an event says"),
    Check("members", "each member that is named exists"),
    Check("configuration", "each program has all its versions and accounts"),
    Check("metadata", "metadata has all its versions"),
    Check("numbers", "no number is missing"),
    Check("outcomes", "each answer that was kept can be given again", find=_outcomes),
)
