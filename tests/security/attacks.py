"""What somebody may try who holds the application's connection: each answers with what he got away with."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import Connection
from psycopg.sql import SQL, Composable, Composed, Identifier

HISTORY = (
    "transfers", "events", "purchases", "purchase_returns", "imported", "adjustments", "adjustment_decisions",
    "metadata", "outcomes", "program_versions", "promotion_versions", "promotion_uses",
    "promotion_commits", "cart_returns", "codes", "code_switches", "code_links", "catalogue_versions",
    "promotion_issues", "promotion_issue_moves", "tier_versions", "segment_versions", "segment_entries",
)  # fmt: skip
"""What is appended to and never changed."""
NOT_OF_A_TENANT = {"organisations", "api_keys", "schema_version"}
"""Read before the organisation is known, or about the database itself."""

ON_A_TABLE = (
    "update {table} set {column} = {column}",
    "update only {table} set {column} = {column} where false",
    "delete from {table}",
    "delete from only {table} where false",
    "truncate {table}",
    "truncate {table} cascade",
    "merge into {table} t using {table} s on t.{column} = s.{column} when matched then delete",
    (
        "merge into {table} t using {table} s on t.{column} = s.{column}"
        " when matched then update set {column} = t.{column}"
    ),
    "insert into {table} select * from {table} limit 1 on conflict ({key}) do update set {column} = excluded.{column}",
    "with gone as (delete from {table} returning *) select * from gone",
    "select * from {table} for update",
    "copy {table} from stdin",
    "lock table {table} in access exclusive mode",
    "alter table {table} disable trigger all",
    "alter table {table} disable trigger user",
    "alter table {table} disable row level security",
    "alter table {table} no force row level security",
    "alter table {table} drop constraint {pkey}",
    "alter table {table} add column more text",
    "alter table {table} rename to other",
    "alter table {table} owner to current_user",
    "alter table {table} set schema pg_temp",
    "drop trigger append_only on {table}",
    "drop policy own_rows on {table}",
    "create policy everybody on {table} using (true)",
    "create rule nothing as on update to {table} do instead nothing",
    "create trigger mine before insert on {table} for each row execute function refuse_change()",
    "create index on {table} ({column})",
    "drop table {table} cascade",
    "grant update on {table} to current_user; update {table} set {column} = {column}",
    "vacuum full {table}",
)
ON_THE_SESSION = (
    "set session_replication_role = replica",
    "set local session_replication_role = replica",
    "select set_config('session_replication_role', 'replica', false)",
    "set role guerdon_owner",
    "set session authorization guerdon_owner",
    "reset session authorization; set role guerdon_owner",
    "alter role current_user superuser",
    "alter role current_user bypassrls",
    "alter role current_user set session_replication_role = replica",
    "alter system set session_replication_role = replica",
    "create or replace function refuse_change() returns trigger language plpgsql as 'begin return null; end'",
    "alter function refuse_change() owner to current_user",
    "drop function refuse_change() cascade",
    # shadows: names that are found before ours
    "create schema mine",
    "create table public.mine (n int)",
    "create temporary table transfers (like public.transfers)",
    "create temporary table heads as select * from public.heads",
    "create function public.sha256(bytea) returns bytea language sql as 'select $1'",
    "create or replace view entries as select * from transfers",
    "drop view entries",
    "copy (select 1) to program 'true'",
    "select lo_import('/etc/passwd')",
    "select pg_read_file('postgresql.conf')",
    "create extension dblink",
)  # fmt: skip


def changes_let_through(dsn: str, org_id: int) -> list[str]:
    """The statements of somebody who would rewrite history that the database did not refuse. Nothing is kept."""
    through: list[str] = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        for table in HISTORY:
            key = primary_key(connection, table)
            for text in ON_A_TABLE:
                statement = SQL(text).format(
                    table=Identifier(table),
                    pkey=Identifier(f"{table}_pkey"),
                    column=Identifier("org_id"),
                    key=SQL(", ").join(map(Identifier, key)),
                )
                if not is_refused(connection, org_id, statement):
                    through.append(text.format(table=table, pkey="", column="org_id", key=", ".join(key)))
        through += [text for text in ON_THE_SESSION if not is_refused(connection, org_id, SQL(text))]
    return through


def is_refused(connection: Connection[Any], org_id: int, statement: SQL | Composed) -> bool:
    """Whether a statement ends in an error, in the organisation's own context."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute("select set_config('guerdon.org', %s, true)", [str(org_id)])
            connection.execute(statement)
    except psycopg.Error:
        return True
    finally:
        if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            connection.rollback()
    return False


def tenants_tables(connection: Connection[Any]) -> list[str]:
    """Every table and view that holds rows of an organisation."""
    rows = connection.execute(
        "select relname from pg_class where relkind in ('r', 'v', 'm', 'p') and relnamespace = 'public'::regnamespace"
    ).fetchall()
    return sorted({name for (name,) in rows} - NOT_OF_A_TENANT)


def leaks(dsn: str, mine: int, theirs: int) -> list[str]:
    """What one organisation's connection can see of or do to another, and what anybody can without a context."""
    found: list[str] = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        for table in tenants_tables(connection):
            for context, whose in (("", "nobody"), ("0", "nobody"), (str(mine), "mine")):
                with connection.transaction():
                    connection.execute("select set_config('guerdon.org', %s, true)", [context])
                    rows = connection.execute(
                        SQL("select org_id, count(*) from {} group by 1").format(Identifier(table))
                    ).fetchall()
                if {org_id for org_id, _ in rows} - ({mine} if whose == "mine" else set()):
                    found.append(f"{table}: {whose or 'nobody'} sees {rows}")
            if table == "entries":
                continue
            for text in WRITES:
                statement = SQL(text).format(table=Identifier(table), names=names(connection, table), theirs=theirs)
                if not changes_nothing(connection, mine, statement):
                    found.append(f"{table}: {text}")
    return found


WRITES = (
    "insert into {table} select {theirs}, {names} from {table} limit 1",
    "update {table} set org_id = {theirs}",
    "update {table} set org_id = org_id where org_id = {theirs}",
    "delete from {table} where org_id = {theirs}",
)
"""From one's own context, at another's rows."""


def changes_nothing(connection: Connection[Any], org_id: int, statement: SQL | Composed) -> bool:
    """Whether a statement is refused or finds no row."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute("select set_config('guerdon.org', %s, true)", [str(org_id)])
            return connection.execute(statement).rowcount == 0
    except psycopg.Error:
        return True


def names(connection: Connection[Any], table: str) -> Composable:
    """The columns of a table but the organisation's, which is the first."""
    first, *others = (column.name for column in connection.execute(
        SQL("select * from {} limit 0").format(Identifier(table))
    ).description or ())  # fmt: skip
    assert first == "org_id"
    return SQL(", ").join(map(Identifier, others))


def primary_key(connection: Connection[Any], table: str) -> list[str]:
    rows = connection.execute(
        "select a.attname from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)"
        " where i.indrelid = %s::regclass and i.indisprimary",
        [table],
    ).fetchall()
    return [name for (name,) in rows]
