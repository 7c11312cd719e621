"""`guerdon serve`, `demo`, `migrate` and `doctor`: the server and the database under it."""

from __future__ import annotations

from typing import Annotated

import typer

from guerdon.cli.options import BlnkPath, Host, Port, read_settings


def serve(host: Host = None, port: Port = None, blnk_path: BlnkPath = None) -> None:
    """Start the server, and the embedded PostgreSQL when no database URL is given.

    The schema is brought up to date first. The platform key is made and printed at the first start unless
    GUERDON_ADMIN_KEY is set. Refuses to start on what `guerdon doctor` calls unsafe.

    \b
    Examples:
      guerdon serve
      guerdon serve --host 0.0.0.0 --port 80
      guerdon serve --port 5001 --blnk-path /        in place of a Blnk server
      GUERDON_DATABASE_URL=postgresql://guerdon_app:...@db/guerdon guerdon serve
    """
    from guerdon.app import serve

    serve(read_settings(host=host, port=port, blnk_path=blnk_path))


def demo(host: Host = None, port: Port = None) -> None:
    """Start the server with a ready organisation: a program, stores, tills, members and their purchases.

    Prints its address, a key and commands to try. With the `data` extra the purchases are a real grocer's.

    \b
    Examples:
      guerdon demo
      guerdon demo --port 9000
    """
    from guerdon.demo import demo

    demo(read_settings(host=host, port=port))


def migrate(
    *,
    check: Annotated[bool, typer.Option("--check", help="Only say whether there is something to do; 1 if so.")] = False,
) -> None:
    """Bring the database's schema to this release, as the role that owns it.

    Uses GUERDON_DATABASE_OWNER_URL when given, else GUERDON_DATABASE_URL, else the embedded database.

    \b
    Examples:
      guerdon migrate
      guerdon migrate --check
      GUERDON_DATABASE_OWNER_URL=postgresql://guerdon_owner:...@db/guerdon guerdon migrate
    """
    from guerdon.installation import opened
    from guerdon.store import migrate
    from guerdon.store.pool import connect

    with opened(read_settings()) as installation:
        if check:
            with connect(installation.owner_dsn) as connection:
                version = migrate.current(connection)
            typer.echo(f"schema {version or 'none'}, this release needs {migrate.head()}")
            raise typer.Exit(version != migrate.head())
        for name in migrate.migrate(installation.owner_dsn):
            typer.echo(f"ran {name}")
        typer.echo(f"schema {migrate.head()}: up to date")


def doctor() -> None:
    """Ask whether this installation is safe; each answer says what to do. 1 when something is unsafe.

    Looks at durability, roles, row level security, history, schema, clock, time zones and secrets, and changes
    nothing. GUERDON_UNSAFE=true makes the server start all the same.

    \b
    Examples:
      guerdon doctor
      GUERDON_DATABASE_URL=postgresql://guerdon_app:...@db/guerdon guerdon doctor
    """
    from guerdon import doctor
    from guerdon.installation import opened

    settings = read_settings()
    with opened(settings) as installation:
        findings = doctor.check(installation.app_dsn, settings, installation.admin_key)
    for finding in findings:
        typer.echo(f"{finding.level:8} {finding.subject}: {finding.text}")
    unsafe = any(finding.level == "unsafe" for finding in findings)
    raise typer.Exit(unsafe and not settings.unsafe)
