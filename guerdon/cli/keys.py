"""`guerdon key ...`: API keys made, listed, revoked."""

from __future__ import annotations

from typing import Annotated

import typer

from guerdon.cli.options import Organisation, family, read_settings

app = family("Make, list and revoke API keys.")


@app.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="What the key is for")],
    scope: Annotated[list[str] | None, typer.Option(help="resource:action, * for any; may be repeated")] = None,
    organisation: Organisation = "default",
    days: Annotated[int | None, typer.Option(min=1, help="Valid for so many days; for ever when not given")] = None,
) -> None:
    """Make an API key and print it, once.

    \b
    Examples:
      guerdon key create checkout --scope purchases:write --scope members:read
      guerdon key create reports --scope '*:read' --days 90 --organisation grocer
    """
    from guerdon import keyring
    from guerdon.installation import ready

    settings = read_settings()
    with ready(settings) as installation:
        token = keyring.create(
            installation,
            settings,
            organisation=organisation,
            name=name,
            scopes=tuple(scope or ("*:*",)),
            valid_days=days,
        )
    typer.echo(token)


@app.command("list")
def list_keys(organisation: Organisation = "default") -> None:
    """List an organisation's keys, newest first; never their secrets.

    \b
    Examples:
      guerdon key list
      guerdon key list --organisation grocer
    """
    from guerdon import keyring
    from guerdon.installation import ready

    with ready(read_settings()) as installation:
        rows = keyring.listed(installation, organisation=organisation)
    for id, row in rows:
        ends = row.revoked_at or row.expires_at
        state = "revoked" if row.revoked_at else "expires" if row.expires_at else "valid"
        when = f" {ends:%Y-%m-%d}" if ends else ""
        typer.echo(f"{id}  {row.name}  {' '.join(row.scopes)}  {state}{when}")


@app.command("revoke")
def revoke_key(
    key: Annotated[str, typer.Argument(help="The key's id, key_...")], organisation: Organisation = "default"
) -> None:
    """End a key; running servers notice within a second.

    \b
    Examples:
      guerdon key revoke key_0199b1f0-2c3e-7c11-9a52-5b7d3c000000
    """
    from guerdon import keyring
    from guerdon.installation import ready

    settings = read_settings()
    with ready(settings) as installation:
        keyring.revoke(installation, settings, organisation=organisation, key=key)
    typer.echo(f"{key} is revoked")


@app.command("platform")
def show_platform_key(
    *,
    new: Annotated[bool, typer.Option("--new", help="Make another one; servers take it at their next start.")] = False,
) -> None:
    """Show the platform key, which reaches every organisation and makes new ones.

    \b
    Examples:
      guerdon key platform
      guerdon key platform --new
    """
    from guerdon.installation import platform_key

    typer.echo(platform_key(read_settings(), new=new))
