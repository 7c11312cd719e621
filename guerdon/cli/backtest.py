"""`guerdon backtest`: what would it have cost?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from guerdon.cli.options import Organisation, read_settings


def backtest(
    promotion: Annotated[
        str, typer.Argument(help="Id of a stored promotion (prm_...), or a JSON file of terms as POST /v1/promotions")
    ] = "",
    since: Annotated[str, typer.Option("--from", help="First day, by the organisation's calendar")] = "",
    until: Annotated[str, typer.Option(help="The day after the last one")] = "",
    organisation: Organisation = "default",
    program: Annotated[str, typer.Option(help="Code of the program; the first when not given")] = "",
    currency: Annotated[str, typer.Option(help="Only purchases in it; the program's when not given")] = "",
    rules: Annotated[Path | None, typer.Option(help="JSON file of earning rules to try instead")] = None,
    take_up: Annotated[
        float, typer.Option(min=0, max=100, help="Percent of the customers who have a code or an issue of it")
    ] = 100,
    report: Annotated[Path | None, typer.Option(help="File for the report, as Markdown; shown when not given")] = None,
    rows: Annotated[Path | None, typer.Option(help="CSV file that gets a row for each purchase that changes")] = None,
    *,
    shared_code: Annotated[bool, typer.Option("--shared-code", help="All have the same code, not one each.")] = False,
    alone: Annotated[bool, typer.Option("--alone", help="Without the promotions that run now.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The report as one JSON document.")] = False,
) -> None:
    """Try a promotion, or other earning rules, on the purchases of a period: by the checkout's own evaluation.

    Tells how many purchases and customers it would have reached, what it would have cost, how its budget runs down,
    how it goes with the promotions that run now, and who gains. Writes nothing to the database.

    \b
    Examples:
      guerdon backtest spring.json --from 2026-01-01 --until 2026-07-01
      guerdon backtest prm_0199b1f0-2c3e-7c11-9a52-5b7d3c000000 --from 2026-01-01 --until 2026-07-01 --rows rows.csv
      guerdon backtest --rules rules.json --from 2026-01-01 --until 2026-07-01 --report rules.md
      guerdon backtest word.json --shared-code --take-up 5 --from 2026-10-01 --until 2026-11-01 --json
    """
    import msgspec

    from guerdon import backtest as backtests
    from guerdon.installation import ready

    order = backtests.Order(
        organisation=organisation,
        promotion=promotion,
        rules=rules,
        program=program,
        currency=currency,
        since=since,
        until=until,
        live=not alone,
        take_up_ppm=round(take_up * 10_000),
        shared_code=shared_code,
        rows=rows,
    )
    with ready(read_settings()) as installation:
        done = backtests.run(order, installation.app_dsn)
    text = msgspec.json.format(msgspec.json.encode(done.report)).decode() if as_json else backtests.markdown(done)
    if report is None:
        typer.echo(text)
    else:
        report.write_text(text)
        typer.echo(f"{done.report.gives.purchases:,} of {done.report.seen.purchases:,} purchases; see {report}")
