"""The plans of a batch's statements, with the statistics that autovacuum keeps: each goes by its keys.

One that reads a whole organisation costs nothing in a test, and most of a second per batch soon after.
"""

from __future__ import annotations

import re
from typing import Any

import psycopg
from psycopg import sql

from guerdon.store.statements import statements
from tests.conftest import Database

LOAD = statements("load")
WHOLE = {"accounts_of_programs", "lock_head", *(name for name in LOAD if name.startswith("config_"))}
"""What is meant to read all of a small thing."""
PARTS = {name for name in LOAD if name.endswith("_columns")} | {"enter"}

ROWS = 2000
VALUES = {
    "bigint": "n", "integer": "1", "smallint": "1", "numeric": "1", "text": "'t' || n", "uuid": "gen_random_uuid()",
    "timestamp with time zone": "now()", "boolean": "true", "jsonb": "'{}'", "bytea": "'\\x00'", "ARRAY": "'{}'",
}  # fmt: skip
EXCEPT = {
    "org_id": "1", "destination": "n + 1", "action": "'apply'", "redeemed": "0", "returned": "0", "expired": "0",
    "held": "0", "reversed": "0", "hash": "int8send(n)", "lot_moves": "''", "floor": "null", "kind": "'generated'",
    "status": "'pending'",
}  # fmt: skip


def value(table: str, name: str, kind: str) -> str:
    """What stands in a column of the n-th row."""
    given = {
        ("promotion_lanes", "number"): "n",
        ("reservations", "status"): "'open'",
        ("backtests", "status"): "'waiting'",
        ("promotion_issue_moves", "done"): "'revoked'",
    }.get((table, name))
    if given is not None:
        return given
    return VALUES[kind] if (name, kind) == ("status", "integer") else EXCEPT.get(name) or VALUES[kind]


def fill(connection: psycopg.Connection[Any]) -> None:
    """Rows of one organisation in every table under row level security, all different."""
    tables = connection.execute(
        "select relname from pg_class where relrowsecurity and relname not in ('heads') union values ('api_keys')"
    ).fetchall()
    for (table,) in tables:
        columns = connection.execute(
            "select column_name, data_type from information_schema.columns where table_name = %s", (table,)
        ).fetchall()
        connection.execute(
            sql.SQL("insert into {} ({}) select {} from generate_series(1, {}) n").format(
                sql.Identifier(table),
                sql.SQL(", ").join(sql.Identifier(name) for name, _ in columns),
                sql.SQL(", ").join(sql.SQL(value(table, name, kind)) for name, kind in columns),
                ROWS,
            )
        )


def plan(connection: psycopg.Connection[Any], name: str) -> list[dict[str, Any]]:
    """The nodes of the generic plan."""
    statement = LOAD[name]
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", statement)))
    for number, argument in enumerate(names, 1):
        statement = statement.replace(f"%({argument})s", f"${number}")
    types, values = ",".join("text" for _ in names), ",".join("null" for _ in names)
    connection.execute(f"prepare q_{name} ({types}) as {statement}".encode())
    row = connection.execute(f"explain (format json) execute q_{name} ({values})".encode()).fetchone()
    assert row is not None
    nodes = [row[0][0]["Plan"]]
    for node in nodes:
        nodes.extend(node.get("Plans", ()))
    return nodes


def test_a_batch_reads_only_what_its_keys_name(database: Database) -> None:
    with psycopg.connect(database.superuser_dsn, autocommit=True) as connection:
        fill(connection)
        connection.execute("analyze")
    with psycopg.connect(database.app_dsn, autocommit=True) as connection:
        connection.execute("set plan_cache_mode = force_generic_plan")
        connection.execute("set enable_seqscan = off")
        connection.execute("set guerdon.org = '1'")
        for name in sorted(set(LOAD) - PARTS - WHOLE):
            for node in plan(connection, name):
                assert node["Node Type"] != "Seq Scan", (name, node)
                if "Index Name" in node and node["Index Name"] != "heads_pkey":  # one row each
                    columns = set(re.findall(r"\((?:\w+\.)?(\w+) (?:=|>|<)", node["Index Cond"]))
                    assert not columns <= {"org_id"}, (name, node["Index Name"], node["Index Cond"], node.get("Filter"))


def test_lots_of_an_account_are_read_in_the_order_in_which_they_are_spent_and_no_further(database: Database) -> None:
    """However many an account has: those that are spent first come off the index in order, those that have come due by
    a range of it, and none of them by an index of what is due everywhere."""
    with psycopg.connect(database.superuser_dsn, autocommit=True) as connection:
        fill(connection)
        connection.execute("analyze")
    with psycopg.connect(database.app_dsn, autocommit=True) as connection:
        connection.execute("set plan_cache_mode = force_generic_plan")
        connection.execute("set enable_seqscan = off")
        connection.execute("set guerdon.org = '1'")
        for name in ("accounts_by_no", "accounts_of_members", "lots_first", "lots_ended", "lots_released"):
            nodes = plan(connection, name)
            scans = [node for node in nodes if node.get("Relation Name") == "lots"]
            assert {node["Index Name"] for node in scans} <= {"lots_open", "lots_promised"}, (name, scans)
            assert not [node for node in nodes if "Sort" in node["Node Type"]], name
            due = [node for node in scans if re.search("(expires|releases)_at <=", node["Index Cond"])]
            assert bool(due) == (name != "lots_first"), (name, scans)
