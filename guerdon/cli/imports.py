"""`guerdon import ...`: what happened elsewhere, brought in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from guerdon.cli.options import Organisation, family, read_settings

app = family("Bring in what happened elsewhere.")

SheetFile = Annotated[Path, typer.Argument(help="CSV or Parquet file")]
SheetProgram = Annotated[str, typer.Option(help="Code of the program of rows that name none; else the first")]
Results = Annotated[Path | None, typer.Option(help="File that gets one row for each row")]
FromStart = Annotated[
    bool, typer.Option("--from-start", help="Do not go on where an earlier run stopped; nothing is booked twice.")
]


@app.command("purchases")
def import_purchases(
    file: Annotated[str, typer.Argument(help="Parquet or CSV file, or the name of a ready mapping's own data")],
    mapping: Annotated[str, typer.Option(help="Ready mapping or TOML file: which column is what")] = "complete-journey",
    organisation: Organisation = "default",
    program: Annotated[str, typer.Option(help="Code of the program; needed when there are several")] = "",
    results: Annotated[Path | None, typer.Option(help="File that gets one row for each purchase")] = None,
    *,
    create_missing: Annotated[
        bool, typer.Option("--create-missing", help="Register unknown members, make unknown stores and the currency.")
    ] = False,
    from_start: FromStart = False,
) -> None:
    """Book purchases from a file. Stopped or killed and started again it goes on; a second run changes nothing.

    \b
    Examples:
      guerdon import purchases bills.csv --mapping bills.toml
      guerdon import purchases complete-journey --create-missing --organisation grocer
      guerdon import purchases bills.parquet --mapping bills.toml --program gold --results out.csv
    """
    from guerdon.core.assets import decimal_text
    from guerdon.importing.progress import ProgressBar
    from guerdon.importing.run import Order, import_purchases
    from guerdon.installation import ready

    settings = read_settings()
    order = Order(
        file=file,
        mapping=mapping,
        organisation=organisation,
        program=program,
        results=results,
        create_missing=create_missing,
        from_start=from_start,
    )
    with ready(settings) as installation, ProgressBar() as watch:
        report = import_purchases(order, settings, installation.app_dsn, watch)
    tally = report.tally
    typer.echo(
        f"{tally.purchases} of {report.purchases} purchases: {tally.accepted} booked, {tally.replayed} already there, "
        f"{tally.rejected} refused; {decimal_text(tally.points, report.points_scale)} points; see {report.results}"
    )
    if not report.finished:
        typer.echo("stopped before the end: the same command goes on from here", err=True)
    raise typer.Exit(not report.finished or tally.rejected > 0)


@app.command("members")
def import_members(
    file: SheetFile, organisation: Organisation = "default", results: Results = None, *, from_start: FromStart = False
) -> None:
    """Register members. Columns: external_id, email, mobile, card (one at least), registered_at, first_name, ...

    \b
    Examples:
      guerdon import members members.csv
      guerdon import members members.parquet --organisation grocer --results out.csv
    """
    _import_sheet("members", file, organisation, "", results, from_start)


@app.command("balances")
def import_balances(
    file: SheetFile,
    organisation: Organisation = "default",
    program: SheetProgram = "",
    results: Results = None,
    *,
    from_start: FromStart = False,
) -> None:
    """Bring along balances from elsewhere. Columns: member, points; program, category, as_of, last_day, reference.

    \b
    Examples:
      guerdon import balances balances.csv --program gold
    """
    _import_sheet("balances", file, organisation, program, results, from_start)


@app.command("points")
def import_points(
    file: SheetFile,
    organisation: Organisation = "default",
    program: SheetProgram = "",
    results: Results = None,
    *,
    from_start: FromStart = False,
) -> None:
    """Bring along points with the day they were earned and their last day. Columns: member, points, earned_at; program,
    category, last_day (or never), release_on, trigger, reference, reason.

    \b
    Examples:
      guerdon import points lots.csv
    """
    _import_sheet("points", file, organisation, program, results, from_start)


@app.command("redemptions")
def import_redemptions(
    file: SheetFile,
    organisation: Organisation = "default",
    program: SheetProgram = "",
    results: Results = None,
    *,
    from_start: FromStart = False,
) -> None:
    """Book points that were spent elsewhere. Columns: member, points, redeemed_at; program, reference, reason.

    \b
    Examples:
      guerdon import redemptions spent.csv
    """
    _import_sheet("redemptions", file, organisation, program, results, from_start)


@app.command("expiry")
def import_expiry(
    file: SheetFile,
    organisation: Organisation = "default",
    program: SheetProgram = "",
    results: Results = None,
    *,
    from_start: FromStart = False,
) -> None:
    """Change when points end, or book points that had ended elsewhere. Columns: member; last_day (or never) or days,
    purchase; or points and expired_at; program, category, reference, reason.

    \b
    Examples:
      guerdon import expiry extended.csv
    """
    _import_sheet("expiry", file, organisation, program, results, from_start)


@app.command("segments")
def import_segments(
    file: SheetFile,
    organisation: Organisation = "default",
    segment: Annotated[str, typer.Option(help="Code of the list of rows that name none")] = "",
    results: Results = None,
    *,
    from_start: FromStart = False,
) -> None:
    """Put members on lists, or take them off. Columns: member; segment, action (add or remove).

    \b
    Examples:
      guerdon import segments regulars.csv --segment regulars
      guerdon import segments lists.csv --organisation grocer --results out.csv
    """
    _import_sheet("segments", file, organisation, "", results, from_start, segment=segment)


def _import_sheet(
    kind: Any,
    file: Path,
    organisation: str,
    program: str,
    results: Path | None,
    from_start: bool,
    segment: str = "",
) -> None:
    from guerdon.importing.progress import ProgressBar
    from guerdon.importing.sheets import SheetOrder, import_sheet
    from guerdon.installation import ready

    settings = read_settings()
    order = SheetOrder(
        kind=kind,
        file=file,
        organisation=organisation,
        program=program,
        segment=segment,
        results=results,
        from_start=from_start,
    )
    with ready(settings) as installation, ProgressBar() as watch:
        report = import_sheet(order, settings, installation.app_dsn, watch)
    tally = report.tally
    typer.echo(
        f"{tally.rows} rows: {tally.accepted} taken, {tally.replayed} already there, {tally.rejected} refused; "
        f"see {report.results}"
    )
    if not report.finished:
        typer.echo("stopped before the end: the same command goes on from here", err=True)
    raise typer.Exit(not report.finished or tally.rejected > 0)
