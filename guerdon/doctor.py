"""Is this installation safe to keep money's worth in? One finding for each question, each saying what to do.

Promises: asks only, changes nothing, and looks with the eyes of the application role. What is `unsafe` could lose
or leak what was promised, so the server refuses to start on it unless told otherwise (`GUERDON_UNSAFE=true`); a
`warning` is for the operator to judge.
"""

from __future__ import annotations

import ipaddress
import zoneinfo
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import psycopg
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict

from guerdon.settings import Settings
from guerdon.store import migrate
from guerdon.store.pool import connect

Level = Literal["ok", "warning", "unsafe"]

SERVER_VERSION_MIN = 15
CLOCK_DRIFT_MAX_S = 5
DISTINCT_CHARACTERS_MIN = 10
WELL_KNOWN = frozenset(("", "guerdon", "password", "postgres", "secret", "changeme", "admin", "test", "example"))
# Not under row level security: they are read before the organisation is known.
WITHOUT_POLICY = frozenset(("organisations", "api_keys", migrate.VERSION_TABLE))


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer; `text` says what was found and, unless it is ok, what to do."""

    level: Level
    subject: str
    text: str


class Unsafe(RuntimeError):
    """The server refuses to start; the message names every unsafe finding."""


def check(dsn: str, settings: Settings, admin_key: str) -> tuple[Finding, ...]:
    """Every finding about the database at `dsn` and the settings, in a fixed order."""
    found = [*_settings(settings, admin_key), *_time_zones()]
    try:
        with connect(dsn, name="guerdon-doctor", autocommit=True) as connection:
            for question in QUESTIONS:
                found.extend(question(connection))
            found.extend(_connections(connection, settings))
    except psycopg.OperationalError as problem:
        text = f"the database does not answer ({str(problem).strip()}): start it, or correct GUERDON_DATABASE_URL"
        found.append(Finding("unsafe", "database", text))
    return tuple(found)


def refuse_unsafe(findings: tuple[Finding, ...]) -> None:
    """Raise `Unsafe` when there is an unsafe finding."""
    unsafe = [f"{finding.subject}: {finding.text}" for finding in findings if finding.level == "unsafe"]
    if unsafe:
        raise Unsafe("\n".join((*unsafe, "To start all the same, set GUERDON_UNSAFE=true.")))


def _settings(settings: Settings, admin_key: str) -> Iterator[Finding]:
    if len(set(admin_key)) < DISTINCT_CHARACTERS_MIN or admin_key.lower().strip("0123456789") in WELL_KNOWN:
        yield Finding("unsafe", "admin key", "it can be guessed: unset GUERDON_ADMIN_KEY, and one is made and shown")
    else:
        yield Finding("ok", "admin key", "long and mixed")
    if settings.open and not _is_loopback(settings.host):
        text = (
            f"GUERDON_OPEN lets anyone who reaches {settings.host} in without a key: unset it, or use --host 127.0.0.1"
        )
        yield Finding("unsafe", "open", text)
    elif settings.open:
        yield Finding("warning", "open", "every user of this machine comes in without a key: unset GUERDON_OPEN")
    else:
        yield Finding("ok", "open", "every request needs a key")
    if not _is_loopback(settings.host):
        text = f"keys travel in the clear to {settings.host}: let nothing but a TLS proxy reach this port"
        yield Finding("warning", "host", text)
    if settings.database_url is None:
        return
    given = conninfo_to_dict(settings.database_url)
    password = str(given.get("password") or "")
    if password and (password.lower() in WELL_KNOWN or password == given.get("user")):
        yield Finding("unsafe", "database password", "it can be guessed: give the application role a random one")
    if settings.key_pepper is None:
        text = "it is kept in the data directory: servers that share a database must be given one GUERDON_KEY_PEPPER"
        yield Finding("warning", "key pepper", text)


def _time_zones() -> Iterator[Finding]:
    try:
        zoneinfo.ZoneInfo("America/New_York")
    except zoneinfo.ZoneInfoNotFoundError:
        yield Finding("unsafe", "time zones", "expiry dates need the IANA time zones: pip install tzdata")
    else:
        yield Finding("ok", "time zones", f"{len(zoneinfo.available_timezones())} known")


def _version(connection: Connection[Any]) -> Iterator[Finding]:
    version = connection.info.server_version
    shown = f"PostgreSQL {version // 10_000}.{version % 10_000}"
    if version // 10_000 < SERVER_VERSION_MIN:
        yield Finding("unsafe", "server version", f"{shown}: use {SERVER_VERSION_MIN} or newer")
    else:
        yield Finding("ok", "server version", shown)


def _durability(connection: Connection[Any]) -> Iterator[Finding]:
    for name, why in (
        ("fsync", "a crash of the machine can destroy the database"),
        ("full_page_writes", "a crash of the machine can destroy pages"),
        ("synchronous_commit", "a crash can lose what was acknowledged"),
    ):
        value = _one(connection, "select current_setting(%s)", name)
        if value == "off":
            yield Finding("unsafe", name, f"off: {why}; alter system set {name} = on; select pg_reload_conf()")
        else:
            yield Finding("ok", name, value)
    if _one(connection, "select current_setting('data_checksums')") == "on":
        yield Finding("ok", "data_checksums", "on")
    else:
        text = "off: a failing disk is not noticed; stop the server and run pg_checksums --enable"
        yield Finding("warning", "data_checksums", text)


def _role(connection: Connection[Any]) -> Iterator[Finding]:
    role = _one(connection, "select current_user")
    other = "give GUERDON_DATABASE_URL a role of its own, and GUERDON_DATABASE_OWNER_URL the owner's"
    if _one(connection, "select rolsuper from pg_roles where rolname = current_user"):
        yield Finding("unsafe", "role", f"{role} is a superuser, whom no policy binds: {other}")
    elif _one(connection, "select rolbypassrls from pg_roles where rolname = current_user"):
        yield Finding("unsafe", "role", f"{role} may bypass row level security: alter role {role} nobypassrls")
    elif _one(
        connection,
        "select count(*) from pg_class where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p') "
        "and pg_has_role(relowner, 'member')",
    ):
        yield Finding("unsafe", "role", f"{role} owns the tables and could rewrite history: {other}")
    else:
        yield Finding("ok", "role", f"{role} is neither superuser nor owner")


def _schema(connection: Connection[Any]) -> Iterator[Finding]:
    try:
        version = migrate.current(connection)
    except psycopg.errors.InsufficientPrivilege:
        role = _one(connection, "select current_user")
        text = f"{role} may not read it: grant {migrate.APP_ROLE} to {role}"
        yield Finding("unsafe", "schema", text)
        return
    if version == migrate.head():
        yield Finding("ok", "schema", f"version {version}")
    else:
        text = f"version {version or 'none'}, and this release needs {migrate.head()}: run guerdon migrate"
        yield Finding("unsafe", "schema", text)


def _policies(connection: Connection[Any]) -> Iterator[Finding]:
    rows = connection.execute(
        """
        select c.relname from pg_class c
        where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p')
          and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'org_id')
          and not (c.relrowsecurity and c.relforcerowsecurity
                   and exists (select from pg_policy p where p.polrelid = c.oid))
        order by c.relname
        """
    ).fetchall()
    bare = [name for (name,) in rows if name not in WITHOUT_POLICY]
    if bare:
        text = f"not forced on {', '.join(bare)}: alter table ... force row level security, and restore the policies"
        yield Finding("unsafe", "row level security", text)
    else:
        yield Finding("ok", "row level security", "forced on every table of an organisation")


def _history(connection: Connection[Any]) -> Iterator[Finding]:
    """Append-only tables are those with the trigger, and those that the role may insert into but not update."""
    rows = connection.execute(
        """
        select c.relname from pg_class c join pg_trigger t on t.tgrelid = c.oid and t.tgname = 'append_only'
        where c.relnamespace = current_schema()::regnamespace
          and (t.tgenabled = 'D' or has_table_privilege(c.oid, 'update, delete, truncate'))
        order by c.relname
        """
    ).fetchall()
    guarded = _one(connection, "select count(*) from pg_trigger where tgname = 'append_only'")
    if rows or not guarded:
        names = ", ".join(name for (name,) in rows) or "any table"
        text = f"{names} could be rewritten: enable the trigger append_only, revoke update, delete, truncate"
        yield Finding("unsafe", "history", text)
    else:
        yield Finding("ok", "history", f"{guarded} tables can only be added to")


def _clock(connection: Connection[Any]) -> Iterator[Finding]:
    theirs = _one(connection, "select clock_timestamp()")
    drift_s = abs((datetime.now(UTC) - theirs).total_seconds())
    if drift_s > CLOCK_DRIFT_MAX_S:
        text = f"{drift_s:.0f} s apart from the database's: run a time service on both machines"
        yield Finding("warning", "clock", text)
    else:
        yield Finding("ok", "clock", "agrees with the database's")


def _connections(connection: Connection[Any], settings: Settings) -> Iterator[Finding]:
    allowed = int(_one(connection, "select current_setting('max_connections')"))
    needed = settings.reader_connections + settings.writer_connections + 5
    if allowed < needed:
        text = f"{allowed} allowed and one server uses up to {needed}: alter system set max_connections = ..."
        yield Finding("warning", "connections", text)
    else:
        yield Finding("ok", "connections", f"{allowed} allowed, one server uses up to {needed}")


QUESTIONS: tuple[Callable[[Connection[Any]], Iterator[Finding]], ...] = (
    _version,
    _durability,
    _role,
    _schema,
    _policies,
    _history,
    _clock,
)


def _one(connection: Connection[Any], query: str, *values: str) -> Any:
    row = connection.execute(query.encode(), values or None).fetchone()
    return row[0] if row else None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
