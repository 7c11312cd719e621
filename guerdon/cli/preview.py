"""`guerdon preview`: what would a change of a program do to the points that are there?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from guerdon.cli.options import Organisation, read_settings


def preview(
    change: Annotated[Path, typer.Argument(help="JSON file, as PATCH /v1/programs/{program} takes it")],
    program: Annotated[str, typer.Option(help="Code of the program; the first when not given")] = "",
    organisation: Organisation = "default",
    rows: Annotated[
        Path | None, typer.Option(help="CSV file that gets every lot that would end at another time")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of lines.")] = False,
) -> None:
    """Foresee a change of a program: how many members, lots and points would end sooner, later, and in which month.

    Refuses what the change itself would be refused for, and changes nothing.

    \b
    Examples:
      guerdon preview six-months.json
      guerdon preview six-months.json --program gold --rows lots.csv
      guerdon preview six-months.json --organisation grocer --json
    """
    import msgspec

    from guerdon import foreseeing
    from guerdon.coding import Bar
    from guerdon.installation import ready

    settings = read_settings()
    order = foreseeing.Order(organisation=organisation, program=program, change=change, rows=rows)
    with ready(settings) as installation, Bar("lots") as bar:
        told = foreseeing.run(order, settings, installation.app_dsn, bar.tell)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(told)).decode())
        return
    typer.echo(f"version {told.version}, from {told.starts_at:%Y-%m-%d %H:%M} UTC")
    for name in ("all", "sooner", "later", "same"):
        total = getattr(told, name)
        typer.echo(f"{name:8}{total.members:>10,} members {total.lots:>12,} lots {total.points:>16} points")
    for month in told.months:
        typer.echo(f"{month.month or 'never':8}{month.points_now:>16} points now {month.points_then:>16} then")
    if rows is not None:
        typer.echo(f"see {rows}")
