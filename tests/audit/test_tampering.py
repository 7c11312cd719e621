"""R18: whatever a superuser with the triggers off changes in the books, `verify` finds it and names the row."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random
from typing import Any

import pytest
from psycopg import Connection

from guerdon.audit import anchors
from guerdon.audit.report import Finding
from guerdon.audit.verify import audit, verify
from tests.audit.tampering import columns, rewrite_chain, spoil, tampering, undone
from tests.conftest import Database

# What cannot be told from the immutable rows, and is not in the chain: names that callers chose, and what was said.
NOT_REBUILT: dict[str, set[str]] = {
    "accounts": {"id", "indicator", "role", "options"},
    "redemptions": {"fingerprint"},
    "purchases": {"tenders", "fingerprint", "meta"},
    "purchase_returns": {"fingerprint"},
    # the time of what left no row may be later than that of any row, the last identities may have been removed, and the
    # mark tells of the last commit, not of the books
    "adjustment_decisions": {"reason", "actor"},
    "promotion_commits": {"fingerprint"},
    "cart_returns": {"fingerprint"},
    "reservations": {"cart", "digest", "member_no"},
    "code_batches": {"name", "partner", "channel", "created_at", "actor", "wanted"},
    "heads": {"config_version", "last_recorded_at", "member_no", "mark"},
}
# Of the others no event tells: what waits, or was rejected, is nowhere but in its own row.
WHERE = {
    "accounts": "tracks_lots",
    "adjustments": "event_seq > 0",
    "adjustment_decisions": "approved",
    "reservations": "status = 'open' and cart = 'held'",
    "promotion_counters": "not (owner like 'program:%' and period = 'rolling')",  # long over, and so worth nothing
    "promotion_versions": "version = 1",
    "code_switches": "version = 1 and code <> ''",
}
# How a finding names a row of a table, by the row's columns.
NAMES = {
    "transfers": ("transfer {seq}", "row {seq}", "transfer {id}"),
    "events": ("event {seq}", "row {seq}"),
    "figures": ("figures of account {account_no}", "account {account_no}"),
    "lots": ("lot {no}",),
    "holds": ("hold {seq}",),
    "scheduled": ("scheduled {seq}",),
    "redemptions": ("redemption {id}", "head"),
    "purchases": ("purchase {no}", "head"),
    "purchase_returns": ("return {no}", "return {number}", "head"),
    "sent": ("sent by member {member_no} in program {program_no} in {period}",),
    "adjustments": ("adjustment {id}",),
    "adjustment_decisions": ("adjustment {adjustment_id}",),
    "referrals": ("referral {id}",),
    "claims": ("claim {id}",),
    "rewards": ("reward {id}",),
    "reward_lists": ("list {id}",),
    "promotions": ("promotion {id}",),
    "promotion_versions": ("promotion {promotion}",),
    "promotion_counters": ('counter ["counter", "{owner}", "{limit_code}", "{subject}", "{period}"]',),
    "promotion_uses": ("use {event_seq}/{position}",),
    "promotion_commits": ("commit {number}",),
    "cart_returns": ("commit return {number}",),
    "reservations": ("reservation {id}",),
    "code_batches": ("code batch {id}",),
    "codes": ("code {code}", "code batch {batch}"),
    "code_switches": ("code {code}", "code batch {batch}"),
    "code_links": ("code {code}",),
    "promotion_issues": ("issue {id}",),
    "promotion_issue_moves": ("issue {issue}",),
    "accounts": ("account {no}", "figures of account {no}"),
    "heads": ("head", "row", "chain"),
}
RANDOM = Random(os.environ.get("GUERDON_SEED") or 18)
MUTATIONS = int(os.environ.get("GUERDON_MUTATIONS") or 1000)


def findings(database: Database, **options: Any) -> list[Finding]:
    return audit(database.app_dsn, tell=lambda _: None, **options).findings


def names(table: str, connection: Connection[Any], row: tuple[Any, ...]) -> tuple[str, ...]:
    values = dict(zip(columns(connection, table), row, strict=True))
    return tuple(name.format(**values) for name in NAMES[table])


def is_named(found: list[Finding], wanted: tuple[str, ...]) -> bool:
    return any(f"{finding.row} ".startswith((f"{name} ", f"{name}s")) for finding in found for name in wanted)


@pytest.mark.parametrize("table", list(NAMES))
def test_verify_names_the_row_of_which_any_column_was_changed(copied_books: Database, table: str) -> None:
    missed = []
    with tampering(copied_books.superuser_dsn) as connection:
        left = rebuilt(connection, table)
        together = 4 if table in ("transfers", "events", "lots", "purchases") else 1  # each in a row of its own
        while left:
            now, left = left[:together], left[together:]
            with undone(connection, table):
                spoilt: list[str] = []
                wanted = []
                for column in now:
                    address, row = spoil(connection, table, column, RANDOM, WHERE.get(table, "true"), spoilt)
                    spoilt.append(address)
                    wanted.append((column, names(table, connection, row)))
                found = findings(copied_books)
                missed += [
                    (*each, [(f.check, f.row) for f in found]) for each in wanted if not is_named(found, each[1])
                ]
        assert missed == []
        assert findings(copied_books) == []


@pytest.mark.torture
def test_verify_names_the_row_of_each_of_a_thousand_changes(copied_books: Database) -> None:
    with tampering(copied_books.superuser_dsn) as connection:
        for _ in range(MUTATIONS):
            table = RANDOM.choice(list(NAMES))
            column = RANDOM.choice(rebuilt(connection, table))
            with undone(connection, table):
                _, row = spoil(connection, table, column, RANDOM, WHERE.get(table, "true"))
                found = findings(copied_books)
                assert is_named(found, names(table, connection, row)), (column, row, found)


def rebuilt(connection: Connection[Any], table: str) -> list[str]:
    """The columns of a table that verify answers for."""
    return [column for column in columns(connection, table) if column not in NOT_REBUILT.get(table, ())]


@pytest.mark.parametrize("table", [name for name in NAMES if name != "heads"])
def test_verify_names_the_row_that_was_deleted(copied_books: Database, table: str) -> None:
    with tampering(copied_books.superuser_dsn) as connection:
        told = WHERE.get(table, "true") if table != "accounts" else "true"
        ctid, *row = RANDOM.choice(connection.execute(f"select ctid::text, * from {table} where {told}").fetchall())
        connection.execute(f"delete from {table} where ctid = %s::tid", [ctid])
        connection.commit()
        assert is_named(findings(copied_books), names(table, connection, tuple(row)))


def test_verify_names_a_transfer_that_was_slipped_in(copied_books: Database) -> None:
    with tampering(copied_books.superuser_dsn) as connection:
        (seq,) = connection.execute("select seq from heads").fetchone() or (0,)
        connection.execute(
            "insert into transfers select org_id, %s, gen_random_uuid(), 0, 'apply', source, destination, asset,"
            " amount, 900, 900, source_balance, destination_balance, recorded_at,"
            " null, null, null, null, null, null, hash"
            " from transfers where action = 'apply' order by seq limit 1",
            [seq + 1],
        )
        connection.commit()
    assert is_named(findings(copied_books), (f"transfer {seq + 1}", f"row {seq + 1}"))


def test_verify_names_rows_that_were_put_in_another_order(copied_books: Database) -> None:
    with tampering(copied_books.superuser_dsn) as connection:
        (first,), (second,) = connection.execute(
            "select seq from transfers where action = 'apply' and event_seq = 0 order by seq limit 2"
        ).fetchall()
        for old, new in ((first, -1), (second, first), (-1, second)):
            connection.execute("update transfers set seq = %s where seq = %s", [new, old])
        connection.commit()
    found = findings(copied_books)
    assert is_named(found, (f"transfer {first}",))
    assert is_named(found, (f"transfer {second}",))


def test_verify_names_rows_that_changed_places_with_their_hashes_left_alone(copied_books: Database) -> None:
    with tampering(copied_books.superuser_dsn) as connection:
        (first, a), (second, b) = connection.execute(
            "select seq, amount from transfers where action = 'apply' and asset = 'USD' order by amount limit 2"
        ).fetchall()
        connection.execute("update transfers set amount = %s where seq = %s", [b, first])
        connection.execute("update transfers set amount = %s where seq = %s", [a, second])
        connection.commit()
    found = findings(copied_books)
    assert {f"transfer {first}", f"transfer {second}"} <= {finding.row for finding in found if finding.check == "chain"}


def test_a_chain_rewritten_to_its_end_does_not_match_the_head(copied_books: Database) -> None:
    with tampering(copied_books.superuser_dsn) as connection:
        (head,) = connection.execute("select last_hash from heads").fetchone() or (b"",)
        (org_id, seq) = connection.execute(
            "select org_id, seq from events where name = 'GoodwillAward' order by seq limit 1"
        ).fetchone() or (0, 0)
        connection.execute("update events set reason = 'another' where seq = %s", [seq])
        rewrite_chain(connection, org_id, seq)
        connection.execute("update heads set last_hash = %s", [head])
        connection.commit()
    assert [finding.row for finding in findings(copied_books)] == ["head"]


def test_only_a_published_head_tells_a_chain_rewritten_whole(copied_books: Database, tmp_path: Path) -> None:
    published = tmp_path / "heads.jsonl"
    assert verify(copied_books.app_dsn, publish=str(published), tell=lambda _: None)
    head = anchors.read(str(published))[0]
    with tampering(copied_books.superuser_dsn) as connection:
        (org_id, seq) = connection.execute(
            "select org_id, seq from events where name = 'GoodwillAward' order by seq limit 1"
        ).fetchone() or (0, 0)
        connection.execute("update events set reason = 'another' where seq = %s", [seq])
        rewrite_chain(connection, org_id, seq)
    assert findings(copied_books) == []
    assert [f.row for f in findings(copied_books, heads=anchors.read(str(published)))] == [f"row {head.seq}"]
    for anchor in (f"{head.seq}:{head.hash}", f"{head.hash}:{head.seq}"):
        assert not verify(copied_books.app_dsn, anchor=anchor, tell=lambda _: None)


def test_only_a_published_head_tells_a_tail_that_was_cut_off(copied_books: Database) -> None:
    (book,) = audit(copied_books.app_dsn, tell=lambda _: None).books
    later = anchors.Head(id=book.id, organisation=book.organisation, seq=book.seq + 3, hash="ab" * 32)
    assert findings(copied_books) == []
    assert [f.row for f in findings(copied_books, heads=(later,))] == [f"rows {book.seq + 1} to {book.seq + 3}"]


def test_an_organisation_that_was_removed_whole_is_missed_by_its_published_head(copied_books: Database) -> None:
    gone = anchors.Head(id="01900000-0000-7000-8000-000000000000", organisation="gone", seq=1, hash="ab" * 32)
    assert [f.organisation for f in findings(copied_books, heads=(gone,))] == ["gone"]
