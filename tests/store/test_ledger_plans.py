"""The rarest event of a member, and what counts from another time than its own, are found in indexes alone."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import psycopg
import pytest
from psycopg import sql

from guerdon.core.events import entry_bit, program_bit
from guerdon.store.embedded import Embedded
from guerdon.store.read import LedgerFilter
from guerdon.store.statements import statements
from tests.conftest import addresses, drop_database

EVENTS, MEMBERS = 20_000, 5
FILLED = (
    # each member's events lie among those of the others, one in a thousand is rare
    f"""insert into events (org_id, seq, id, name, member_no, event_at, recorded_at, transfers, points, mirrors, source,
            store_no, till_no, program_no, purchase_no, reference, actor, reason, entries, body, lot_moves, hash)
        select 1, 2 * n, gen_random_uuid(), 'TransactionAdd', n % {MEMBERS} + 1, t, t, 1, 1, 0,
               case when n <= {MEMBERS} then 'RARE' else 'INSTORE' end, 0, 0, 1, n, '', '', '',
               case when n <= {MEMBERS} then {entry_bit("credit", "regular") | program_bit(2)}
                    else {entry_bit("credit", "regular") | program_bit(1)} end, '', repeat('x', 400), ''
        from generate_series(1, {EVENTS}) n,
             lateral (select '2027-01-01'::timestamptz + n * interval '1 second' as t) x""",
    f"""insert into transfers (org_id, seq, id, event_seq, action, source, destination, asset, amount, source_version,
            destination_version, recorded_at, effective_at, hash, detail)
        select 1, 2 * n + 1, gen_random_uuid(), 2 * n, 'apply', 99, n % {MEMBERS} + 1, 'P', 1, n,
               (n - 1) / {MEMBERS} + 1, t, t - interval '1 day', '', repeat('x', 400)
        from generate_series(1, {EVENTS}) n,
             lateral (select '2027-01-01'::timestamptz + n * interval '1 second' as t) x""",
    f"""insert into promotion_uses (org_id, event_seq, position, promotion, version, code, member_no, purchase_no,
            reference, used_at, times, discount, voucher, points, currency, raises, of_seq, issue)
        select 1, 2 * n, 0, gen_random_uuid(), 1, '', n % {MEMBERS} + 1, n, '', now(), 1, 1, 0, 0, 'USD', '[]', 0, ''
        from generate_series(1, {EVENTS}) n""",
)  # fmt: skip
TABLES = ("events", "transfers", "promotion_uses")


@pytest.fixture(scope="module")
def members(cluster: Embedded, template: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection of the application, in an organisation whose tables vacuum has visited; the tests only read."""
    name = f"test_{os.getpid()}_members"
    cluster.make_database(name, template)
    database = addresses(cluster, name)
    with psycopg.connect(database.superuser_dsn, autocommit=True) as connection:
        for table in TABLES:  # a look of its own at the same time would keep ours from marking pages
            connection.execute(f"alter table {table} set (autovacuum_enabled = off)".encode())
        for statement in FILLED:
            connection.execute(statement.encode())
        for table in TABLES:
            vacuum(connection, table)
    with psycopg.connect(database.app_dsn, autocommit=True) as connection:
        connection.execute("select set_config('guerdon.org', '1', false)")
        yield connection
    drop_database(cluster, name)


def vacuum(connection: psycopg.Connection[Any], table: str) -> None:
    """Until all pages are marked: a page is passed over while somebody may still see it otherwise."""
    for _ in range(40):
        connection.execute(f"vacuum (analyze) {table}".encode())
        seen = connection.execute(
            "select relallvisible >= relpages from pg_class where oid = %s::regclass", (table,)
        ).fetchone()
        if seen == (True,):
            return
        time.sleep(0.25)
    raise AssertionError(f"vacuum does not get through {table}")


def blocks(connection: psycopg.Connection[Any], noun: str, name: str, values: dict[str, Any], mode: str) -> int:
    """How many blocks a statement reads."""
    text = statements(noun)[name]
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", text)))
    text = re.sub(r"%\((\w+)\)s", lambda match: f"${1 + names.index(match[1])}", text)
    connection.execute(f"set plan_cache_mode = {mode}".encode())
    connection.execute(f"prepare asked as {text}".encode())
    given = ", ".join(sql.Literal(values[each]).as_string(connection) for each in names)
    row = connection.execute(f"explain (analyze, buffers, format json) execute asked ({given})".encode()).fetchone()
    connection.execute("deallocate asked")
    assert row is not None
    plan = row[0][0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def asked(**given: Any) -> dict[str, Any]:
    chosen = msgspec.structs.asdict(LedgerFilter(member=3, **given))
    lists = {name: list(value) if isinstance(value, tuple) else value for name, value in chosen.items()}
    return lists | {"org": 1, "place": 2**62, "limit": 10, "skip": 0}


RARE = (
    asked(sources=("RARE",)),
    asked(programs=program_bit(2), mask=entry_bit("credit", "regular"), exact=True, credits=(3,)),
)


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize("values", RARE, ids=["of a channel", "of a program"])
@pytest.mark.parametrize("name", ["newest_first", "count", "last_place"])
def test_the_rarest_event_is_found_without_the_rows_of_the_others(
    members: psycopg.Connection[Any], name: str, values: dict[str, Any], mode: str
) -> None:
    rows = EVENTS // MEMBERS
    assert blocks(members, "points", name, values, mode) < rows / 15


def test_what_counts_from_another_time_is_added_up_in_an_index(members: psycopg.Connection[Any]) -> None:
    values = {"org": 1, "accounts": [1, 2, 3], "at": "2026-12-31 03:00Z", "place": 0, "known": 2 * EVENTS + 1}
    assert blocks(members, "history", "dated", values, "force_generic_plan") < 3 * EVENTS / MEMBERS / 15


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
def test_what_promotions_gave_is_found_by_the_purchases_of_a_page(members: psycopg.Connection[Any], mode: str) -> None:
    values = {"org": 1, "seqs": [2 * n for n in range(1, 100, 10)]}
    assert blocks(members, "points", "promotions_of_events", values, mode) < 200
