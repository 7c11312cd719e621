"""What somebody can do who is superuser and has switched every trigger and constraint off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any

import psycopg
from psycopg import Connection, sql

from guerdon.core.accounts import Transfer
from guerdon.core.chain import link
from guerdon.core.events import Event
from guerdon.store.pool import adapt
from guerdon.store.statements import statements

_SQL = statements("audit_chain")


@contextmanager
def tampering(superuser_dsn: str) -> Iterator[Connection[Any]]:
    """A connection for which no trigger fires and no check is in the way."""
    with psycopg.connect(superuser_dsn, options="-c timezone=UTC") as connection:
        adapt(connection.adapters)
        connection.execute("set session_replication_role = replica")
        for table, name in connection.execute(
            "select conrelid::regclass::text, conname from pg_constraint"
            " where contype = 'c' and connamespace = current_schema::regnamespace"
        ).fetchall():
            connection.execute(
                sql.SQL("alter table {} drop constraint {}").format(sql.Identifier(table), sql.Identifier(name))
            )
        connection.commit()
        yield connection


@contextmanager
def undone(connection: Connection[Any], *tables: str) -> Iterator[None]:
    """Put these tables back afterwards as they were."""
    for table in tables:
        connection.execute(sql.SQL("create table {} as table {}").format(_kept(table), sql.Identifier(table)))
    connection.commit()
    yield
    for table in tables:
        for statement in ("truncate {0}", "insert into {0} table {1}", "drop table {1}"):
            connection.execute(sql.SQL(statement).format(sql.Identifier(table), _kept(table)))
    connection.commit()


def _kept(table: str) -> sql.Identifier:
    return sql.Identifier(f"kept_{table}")


_OTHER = {
    "bigint": "coalesce({0}, 0) + {1}",
    "integer": "coalesce({0}, 0) + {1}",
    "smallint": "coalesce({0}, 0) + {1}",
    "numeric": "coalesce({0}, 0) + {1}",
    "text": "coalesce({0}, '') || 'x'",
    "timestamp with time zone": "coalesce({0}, '2027-01-01') + {1} * interval '1 microsecond'",
    "uuid": "gen_random_uuid()",
    "bytea": "sha256({0})",
    "boolean": "not {0}",
    "jsonb": """{0} || '[[1, 1]]'""",
}


def columns(connection: Connection[Any], table: str) -> dict[str, str]:
    """The columns of a table with their types."""
    query = (
        "select column_name, data_type from information_schema.columns where table_name = %s order by ordinal_position"
    )
    return dict(connection.execute(query, [table]).fetchall())


def spoil(
    connection: Connection[Any], table: str, column: str, random: Random, where: str = "true", but: Sequence[str] = ()
) -> tuple[str, tuple[Any, ...]]:
    """Change one column of a row chosen at random, but for some; its address, and the row as it was."""
    statement = sql.SQL("update {} set {} = {} where ctid = %s::tid returning ctid::text")
    rows = connection.execute(f"select ctid::text, * from {table} where {where} order by ctid").fetchall()
    rows = [row for row in rows if row[0] not in but]
    type_ = columns(connection, table)[column]
    for step in (1, 1000):  # the next value may be taken
        for ctid, *row in random.sample(rows, len(rows)):
            other = sql.SQL(_OTHER[type_]).format(sql.Identifier(column), step)
            change = statement.format(sql.Identifier(table), sql.Identifier(column), other)
            try:
                with connection.transaction():
                    (address,) = connection.execute(change, [ctid]).fetchone() or ("",)
            except psycopg.errors.UniqueViolation:
                continue
            connection.commit()
            return address, tuple(row)
    raise AssertionError(f"no {column} of {table} can be changed")


def rewrite_chain(connection: Connection[Any], org_id: int, start: int) -> None:
    """Compute every hash anew from a row on, and the head's, as somebody would who knows how."""
    (before,) = connection.execute(
        "select hash from events where org_id = %(org)s and seq = %(seq)s union all"
        " select hash from transfers where org_id = %(org)s and seq = %(seq)s",
        {"org": org_id, "seq": start - 1},
    ).fetchone() or (bytes(32),)
    (last,) = connection.execute("select seq from heads where org_id = %s", [org_id]).fetchone() or (0,)
    for seq in range(start, last + 1):
        for table, name, kind in (("events", "event", Event), ("transfers", "transfer", Transfer)):
            row = connection.execute(_SQL[name], {"org": org_id, "seq": seq}).fetchone()
            if row is None:
                continue
            record: Any = kind(**dict(zip(kind.__struct_fields__, row, strict=True)))
            before = link(before, record)
            statement = sql.SQL("update {} set hash = %s where org_id = %s and seq = %s").format(sql.Identifier(table))
            connection.execute(statement, [before, org_id, seq])
    connection.execute("update heads set last_hash = %s where org_id = %s", [before, org_id])
    connection.commit()
