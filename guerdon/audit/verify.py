"""The audit as a whole: every organisation, every check, one answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec
from psycopg import Connection, errors

from guerdon.audit import anchors, chain
from guerdon.audit.checks import CHECKS, run, unreadable
from guerdon.audit.report import SHOWN_MAX, Book, Finding, Progress, Report, Row, Tell, VerifyRefused
from guerdon.store.pool import connect
from guerdon.store.statements import statements

_SQL = statements("audit")


def verify(
    dsn: str,
    *,
    organisation: str = "",
    anchor: str = "",
    publish: str = "",
    since: int = 0,
    as_json: bool = False,
    tell: Tell = print,
) -> bool:
    """Whether the books at `dsn` hold; tells what was looked at and, row by row, what is wrong.

    `anchor` is a published head or a file of them; `publish` is a file that gets today's heads when all holds. With
    `since`, only what was recorded after that sequence number is looked at, and no projection is rebuilt.
    """
    heads = anchors.read(anchor) if anchor else ()
    report = audit(dsn, organisation=organisation, heads=heads, since=since, tell=_silent if as_json else tell)
    if publish and report.holds:
        books = [anchors.Head(id=b.id, organisation=b.organisation, seq=b.seq, hash=b.hash) for b in report.books]
        anchors.publish(Path(publish), books)
    if as_json:
        tell(
            msgspec.json.format(msgspec.json.encode({"holds": report.holds, **msgspec.structs.asdict(report)})).decode()
        )
    else:
        _tell_end(report, publish, tell)
    return report.holds


def audit(
    dsn: str, *, organisation: str = "", heads: tuple[anchors.Head, ...] = (), since: int = 0, tell: Tell = print
) -> Report:
    """Look at every organisation, or at one by its code or id."""
    report = Report()
    with connect(dsn, name="guerdon-verify") as connection:
        try:
            found = connection.execute(_SQL["organisations"], {"organisation": organisation}).fetchall()
        except errors.UndefinedTable:
            raise VerifyRefused("the database has no schema yet: run guerdon migrate") from None
        connection.rollback()
        if organisation and not found:
            raise VerifyRefused(f"there is no organisation {organisation}")
        if len(found) > 1 and any(not head.id for head in heads):
            raise VerifyRefused("there are several organisations: say whose head this is with --organisation")
        for org_id, code, id_ in found:
            connection.execute("set transaction isolation level repeatable read, read only")
            connection.execute(_SQL["enter"], {"org": org_id})
            _audit_one(connection, org_id, code, id_, heads, since, report, tell)
            connection.rollback()
        report.findings += _orphans(heads, {id_ for _, _, id_ in found}) if not organisation else []
    return report


def _audit_one(
    connection: Connection[Any],
    org_id: int,
    code: str,
    id_: str,
    heads: tuple[anchors.Head, ...],
    since: int,
    report: Report,
    tell: Tell,
) -> None:
    started = monotonic()
    before = len(report.findings)
    progress = Progress(tell)
    head = connection.execute(_SQL["head"], {"org": org_id}).fetchone()
    if head is None:
        report.findings.append(Finding(code, "chain", "head", "missing"))
        return
    seq, last_hash, last_recorded_at, last = head
    report.findings += _found(code, "chain", chain.walk(connection, org_id, since, (seq, last_hash), last, progress))
    report.findings += _found(code, "anchor", anchors.compare(connection, org_id, id_, heads, last))
    for check in CHECKS:
        if since and not check.recent:
            continue
        progress.step(check.proves)
        try:
            with connection.transaction():
                report.findings += _found(code, check.name, run(check, connection, org_id, since))
        except (errors.DataError, msgspec.DecodeError) as problem:
            # what cannot even be read as what it is was not written by us
            said = problem.diag.message_primary if isinstance(problem, errors.DataError) else problem
            rows = unreadable(connection, org_id, str(said))
            report.findings += _found(code, check.name, rows)
    seconds = monotonic() - started
    rows = max(0, last - since)
    report.books.append(Book(organisation=code, id=id_, rows=rows, seq=seq, hash=last_hash.hex(), seconds=seconds))
    wrong = len(report.findings) - before
    when = f"last recorded {last_recorded_at:%Y-%m-%d %H:%M:%S}" if seq else "nothing recorded yet"
    tell(
        f"{code}: {rows:,} rows up to {seq:,}, {when}, in {seconds:.1f} s "
        f"({rows / max(seconds, 1e-9):,.0f} rows/s): {f'{wrong} findings' if wrong else 'all holds'}"
    )


def _found(code: str, check: str, rows: Iterator[Row]) -> Iterable[Finding]:
    named = [Finding(code, check, row.name, row.problem) for row in islice(rows, SHOWN_MAX)]
    if next(rows, None) is not None:
        named.append(Finding(code, check, "other rows", f"more than the {SHOWN_MAX} that are named are wrong"))
    return named


def _orphans(heads: tuple[anchors.Head, ...], known: set[str]) -> list[Finding]:
    """Organisations that a head was published of and that are gone."""
    gone = {head.id: head.organisation for head in heads if head.id and head.id not in known}
    return [
        Finding(code, "anchor", f"organisation {id_}", "a head of it was published, and it is gone")
        for id_, code in gone.items()
    ]


def _tell_end(report: Report, publish: str, tell: Tell) -> None:
    for finding in report.findings:
        tell(f"{finding.organisation}: {finding.check}: {finding.row}: {finding.problem}")
    if report.findings:
        tell(f"The books do not hold: {len(report.findings)} findings.")
        return
    count = len(report.books)
    organisations = "1 organisation" if count == 1 else f"{count} organisations"
    tell(f"The books hold: {sum(book.rows for book in report.books):,} rows in {organisations}.")
    if publish:
        tell(f"Heads were added to {publish}; keep it where nobody who can change the database can change it.")


def _silent(_: str) -> None:
    pass
