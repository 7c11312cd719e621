"""Every named statement against the schema: it prepares, it says what it means, and its plan is the one we rely on."""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Iterator
from importlib import resources
from typing import Any

import msgspec
import psycopg
import pytest
from psycopg import sql

from guerdon.core.access import ApiKey
from guerdon.core.accounts import Account, Figures, Hold, Ledger, Scheduled, Transfer
from guerdon.core.events import Event
from guerdon.core.lots import Lot
from guerdon.core.members import Member
from guerdon.core.programs import Program, Store, Till
from guerdon.core.purchases import Purchase, PurchaseReturn
from guerdon.core.redemptions import Redemption
from guerdon.core.webhooks import Webhook
from guerdon.store.embedded import Embedded
from guerdon.store.load import COUNTERS
from guerdon.store.statements import statements
from tests.conftest import Database, addresses, drop_database

NOUNS = sorted(
    path.name.removesuffix(".sql") for path in (resources.files("guerdon.store") / "queries").iterdir()
    if path.name.endswith(".sql")
)  # fmt: skip
_FOLDER = resources.files("guerdon.store") / "queries"
_INCLUDE = re.compile(r"^ *-- include (\w+)$", re.MULTILINE)
INCLUDED = {(noun, name) for noun in NOUNS for name in _INCLUDE.findall((_FOLDER / f"{noun}.sql").read_text())}
"""Parts of statements; each is prepared within those that include it."""
COMPOSED = ("blnk_balances", "blnk_identities", "blnk_ledgers", "blnk_transactions")
"""Filters and orders that callers choose: `read_blnk` puts the parts together, and its own tests run them."""
EVERY = [
    (noun, name) for noun in NOUNS for name in statements(noun) if noun not in COMPOSED and (noun, name) not in INCLUDED
]
_PLACEHOLDER = re.compile(r"%\((\w+)\)s")


def numbered(text: str) -> tuple[str, list[str]]:
    """A statement with `$1`, `$2`..., and their names."""
    names = list(dict.fromkeys(_PLACEHOLDER.findall(text)))
    return _PLACEHOLDER.sub(lambda match: f"${names.index(match[1]) + 1}", text).replace("%%", "%"), names


@pytest.fixture(scope="session")
def large(cluster: Embedded, template: str) -> Iterator[Database]:
    """A database with an organisation of 200,000 accounts."""
    name = f"large_{os.getpid()}"
    cluster.make_database(name, template)
    database = addresses(cluster, name)
    with psycopg.connect(database.superuser_dsn, autocommit=True) as connection:
        connection.execute("set synchronous_commit = off")
        for statement in FILLED:
            connection.execute(statement)
        connection.execute("vacuum analyze")
    yield database
    drop_database(cluster, name)


@pytest.fixture(scope="session")
def batch(large: Database) -> Iterator[psycopg.Connection[Any]]:
    """A connection inside a batch's transaction."""
    with psycopg.connect(large.app_dsn) as connection:
        connection.execute(statements("load")["enter"], {"org": "1"})
        yield connection
        connection.rollback()


def run(connection: psycopg.Connection[Any], text: str) -> list[tuple[Any, ...]]:
    """A text that is no literal."""
    cursor = connection.execute(sql.SQL(text))
    return cursor.fetchall() if cursor.description else []


FILLED = (
    "insert into organisations (id, code, name) values (gen_random_uuid(), 'large', 'large')",
    "insert into heads (org_id) values (1)",
    """insert into accounts (org_id, no, id, ledger_no, asset, member_no, program_no, category, tracks_lots, opened_at)
       select 1, n, gen_random_uuid(), 2, 'POINTS', n / 3 + 1, 1, 'regular', true, now()
       from generate_series(1, 200000) n""",
    """insert into accounts (org_id, no, id, ledger_no, asset, indicator, role, opened_at)
       select 1, n, gen_random_uuid(), 1, 'POINTS', '@' || n, case when n % 2 = 0 then 'pool' else '' end, now()
       from generate_series(200001, 200100) n""",
    "insert into figures select 1, n, 10, 5, 0, 0, 1, 0 from generate_series(1, 200100) n",
    """insert into members select 1, n, gen_random_uuid(), 'active', true, now(), 0
       from generate_series(1, 66667) n""",
    "insert into member_identifiers select 1, 'external_id', 'C-' || n, n from generate_series(1, 66667) n",
    """insert into transfers (org_id, seq, id, event_seq, action, source, destination, asset, amount, source_version,
           destination_version, recorded_at, reference, request_id, request_reference, parent, hash)
       select 1, n, gen_random_uuid(), n - n % 10, 'apply', 200001, n, 'POINTS', 1, n, 1, now(), 'r-' || n,
              case when n % 10 = 0 then gen_random_uuid() end, case when n % 10 = 0 then 'q-' || n end,
              case when n % 20 = 0 then gen_random_uuid() end, ''
       from generate_series(1, 100000) n""",
    """insert into events (org_id, seq, id, name, member_no, event_at, recorded_at, transfers, points, mirrors, source,
           store_no, till_no, program_no, purchase_no, reference, actor, reason, entries, body, lot_moves, hash)
       select 1, n * 10, gen_random_uuid(), 'TransactionAdd', n, now(), now(), 9, 1, 0, '', 0, 0, 1, n, '', '', '', 0,
              '', '[[1,"take",1]]', ''
       from generate_series(1, 10000) n""",
    """insert into lots (org_id, no, account, event_seq, amount, remaining, redeemed, returned, expired, held,
           earned_at, expires_at, rule, version, purchase_no)
       select 1, n, n % 200000 + 1, 1, 10, 10, 0, 0, 0, 0, now(), now() + n % 400 * interval '1 day', '', 1, 0
       from generate_series(1, 200000) n""",
    """insert into holds select 1, n * 10, gen_random_uuid(), 1, false, null, null, '[]'
       from generate_series(1, 10000) n""",
    """insert into scheduled select 1, n * 10, gen_random_uuid(), now(), false, ''
       from generate_series(1, 10000) n""",
    """insert into redemptions select 1, gen_random_uuid(), n, n, 1, n * 10, n, 1, 0, 'R-' || n, now(), '', ''
       from generate_series(1, 10000) n""",
    """insert into purchases select 1, n, gen_random_uuid(), 'B-' || n, n, n * 10, now(), now(), 'USD', 1, 1, 0, null,
           '', 0, 0, '[]', '[]', '{}', '[]', '', '', '' from generate_series(1, 20000) n""",
    """insert into purchase_returns select 1, n, gen_random_uuid(), 'T-' || n, n, n, n * 10, now(), now(), '[]', 1, 1,
           0, '[]', '', '' from generate_series(1, 5000) n""",
    "insert into outcomes select 1, 'a', 'k-' || n, '', '', now() from generate_series(1, 20000) n",
    "insert into metadata select 1, 'bln', 'm-' || n, 1, '{}', now(), '' from generate_series(1, 20000) n",
)  # fmt: skip


@pytest.mark.parametrize(("noun", "name"), EVERY)
def test_every_statement_prepares(batch: psycopg.Connection[Any], noun: str, name: str) -> None:
    text, _ = numbered(statements(noun)[name])
    with batch.transaction(force_rollback=True):
        run(batch, f"prepare {noun}_{name} as {text}")
        run(batch, f"deallocate {noun}_{name}")


@pytest.mark.parametrize(
    ("statement", "kind", "besides"),
    [
        ("insert_events", Event, {"hash"}), ("insert_transfers", Transfer, {"hash"}), ("insert_ledgers", Ledger, set()),
        ("insert_accounts", Account, set()), ("insert_figures", Figures, {"account_no"}), ("insert_lots", Lot, set()),
        ("insert_holds", Hold, set()), ("insert_scheduled", Scheduled, set()), ("insert_purchases", Purchase, set()),
        ("insert_purchase_returns", PurchaseReturn, set()), ("insert_redemptions", Redemption, set()),
        ("write_programs", Program, {"created_at"}), ("write_stores", Store, {"created_at"}),
        ("write_tills", Till, {"created_at"}), ("insert_api_keys", ApiKey, set()),
        ("insert_webhooks", Webhook, set()),
    ],
)  # fmt: skip
def test_no_field_of_a_record_is_left_out(statement: str, kind: type[msgspec.Struct], besides: set[str]) -> None:
    _, names = numbered(statements("save")[statement])
    assert set(names) == {*kind.__struct_fields__, *besides, "org"}


def test_members_are_saved_without_their_identifiers_which_have_a_table() -> None:
    _, names = numbered(statements("save")["insert_members"])
    assert set(names) == {*Member.__struct_fields__, "org"} - {"identifiers", "aliases"}


def test_the_head_saves_every_counter() -> None:
    _, names = numbered(statements("save")["update_head"])
    assert {*COUNTERS} <= set(names)


# -- plans ------------------------------------------------------------------------------------------------------------

KEYS: dict[str, str] = {
    "ids": "array(select id from accounts limit {count})",
    "nos": "array(select n from generate_series(1, {count}) n)",
    "seqs": "array(select n * 10 from generate_series(1, {count}) n)",
    "texts": "array(select 'r-' || n from generate_series(1, {count}) n)",
    "kinds": "array(select 'external_id' from generate_series(1, {count}))",
    "indicators": "array(select '@' || n from generate_series(200001, 200000 + {count}) n)",
    "assets": "array(select 'POINTS' from generate_series(1, {count}))",
    "actors": "array(select 'a' from generate_series(1, {count}))",
    "keys": "array(select 'k-' || n from generate_series(1, {count}) n)",
}
"""Keys that mostly hit."""
SINGLE = {"org": "1", "now": "now()"}
WRITES = ("update_figures", "update_lots", "update_accounts", "update_holds", "update_scheduled", "update_redemptions",
          "update_head", "update_members", "delete_member_identifiers", "update_ledgers")  # fmt: skip
HOT = [
    *(("load", name) for name in statements("load") if ("load", name) not in INCLUDED and name != "enter"),
    *(("save", name) for name in WRITES),
]


def plan(connection: psycopg.Connection[Any], noun: str, name: str, count: int) -> Iterator[dict[str, Any]]:
    """The nodes of a statement's plan as a batch of so many keys gets it."""
    text, names = numbered(statements(noun)[name])
    types = [match[1] for each in names if (match := re.search(rf"%\({each}\)s::([\w\[\]]+)", statements(noun)[name]))]
    assert len(types) == len(names), "every placeholder has a type"
    values = []
    for each, kind in zip(names, types, strict=True):
        if kind.endswith("[]"):
            given = KEYS.get(each, "array_fill(null::text, array[{count}])").format(count=count)
        else:
            given = SINGLE.get(each, "null")
        values.append(f"({given})::{kind}")
    with connection.transaction(force_rollback=True):
        (literals,) = run(connection, "select " + ", ".join(f"quote_nullable(({value})::text)" for value in values))
        run(connection, f"prepare plan_{name}_{count} as {text}")
        ((explained,),) = run(connection, f"explain (format json) execute plan_{name}_{count}({', '.join(literals)})")
        run(connection, f"deallocate plan_{name}_{count}")
    todo = [explained[0]["Plan"]]
    while todo:
        node = todo.pop()
        yield node
        todo += node.get("Plans", [])


@pytest.mark.parametrize("count", [1, 100, 1000])
@pytest.mark.parametrize(("noun", "name"), HOT)
def test_a_batch_reads_by_index_and_organisation(
    batch: psycopg.Connection[Any], noun: str, name: str, count: int
) -> None:
    for node in plan(batch, noun, name, count):
        assert node["Node Type"] != "Seq Scan", json.dumps(node, indent=1)
        if "Index Cond" in node:
            assert "org_id = " in node["Index Cond"], json.dumps(node, indent=1)
        elif "Index Name" in node:
            pytest.fail(f"the whole of {node['Index Name']} is read")


def test_overdue_lots_of_an_account_are_found_by_account(batch: psycopg.Connection[Any]) -> None:
    used = {node.get("Index Name") for node in plan(batch, "load", "accounts_by_id", 100)}
    assert "lots_open" in used
    assert "lots_due" not in used


# -- the catalogue ----------------------------------------------------------------------------------------------------

APART = {
    "organisations": "it is what the others belong to",
    "api_keys": "looked up before the organisation is known; holds hashes only",
    "schema_version": "the migrations' own",
}
"""The tables that are not under row level security, and why."""


def catalogue(database: Database, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database.superuser_dsn) as connection:
        return connection.execute(query).fetchall()


def test_every_key_and_index_is_led_by_the_organisation(large: Database) -> None:
    led = catalogue(
        large,
        """select c.relname, i.indexrelid::regclass::text, a.attname
           from pg_index i join pg_class c on c.oid = i.indrelid
           left join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
           where c.relnamespace = 'public'::regnamespace""",
    )
    assert led
    assert [(table, index) for table, index, first in led if first != "org_id" and table not in APART] == []


def test_every_table_has_a_primary_key(large: Database) -> None:
    without = catalogue(
        large,
        """select relname from pg_class c where relkind = 'r' and relnamespace = 'public'::regnamespace
           and not exists (select from pg_index where indrelid = c.oid and indisprimary)""",
    )
    assert without == []


def test_row_level_security_is_forced_on_every_table_but_the_named_ones(large: Database) -> None:
    tables = catalogue(
        large,
        """select relname, relrowsecurity and relforcerowsecurity
                  and exists (select from pg_policy where polrelid = c.oid and polcmd = '*')
           from pg_class c where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace""",
    )
    assert {table for table, forced in tables if not forced} == set(APART)


def test_views_obey_the_security_of_whoever_asks(large: Database) -> None:
    views = catalogue(
        large,
        """select relname, coalesce(reloptions @> array['security_invoker=true'], false)
           from pg_class where relkind = 'v' and relnamespace = 'public'::regnamespace""",
    )
    assert [view for view, invoker in views if not invoker] == []


def test_the_application_owns_nothing(large: Database) -> None:
    owned = catalogue(
        large, "select relname from pg_class where relowner = (select oid from pg_roles where rolname = 'guerdon_app')"
    )
    assert owned == []


@pytest.mark.parametrize(
    ("table", "verb"),
    list(
        itertools.product(
            ("transfers", "events", "purchases", "purchase_returns", "metadata", "outcomes", "program_versions"),
            ("update {} set org_id = org_id", "delete from {}", "truncate {}"),
        )
    ),
)
def test_history_is_never_rewritten_not_even_by_the_owner(large: Database, table: str, verb: str) -> None:
    statement = verb.format(table)
    for dsn in (large.app_dsn, large.owner_dsn):
        with psycopg.connect(dsn) as connection, pytest.raises(psycopg.Error) as refused:
            connection.execute(statement)
        assert refused.value.sqlstate in ("42501", "23000")
