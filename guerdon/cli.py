"""`guerdon`, the one executable: reads the settings, then hands over to the module that does the work.

Promises: `--help` everywhere with examples to copy; 0 when all is well, 1 when something was found or refused, with
a sentence that says what to do and no traceback for what an operator can mend. Each command imports what it needs
when it runs, so that `--help` is quick.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guerdon import __version__

if TYPE_CHECKING:
    from guerdon.settings import Settings

app = typer.Typer(
    name="guerdon",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
key_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Make, list and revoke API keys.")
import_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Bring in what happened elsewhere.")
app.add_typer(key_app, name="key")
app.add_typer(import_app, name="import")
codes_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Make, bring in, print and look at codes.")
app.add_typer(codes_app, name="codes")

Host = Annotated[str | None, typer.Option(help="Address to listen on. GUERDON_HOST, default 127.0.0.1")]
Port = Annotated[int | None, typer.Option(help="Port to listen on. GUERDON_PORT, default 8080")]
BlnkPath = Annotated[str | None, typer.Option(help="Where the ledger API is mounted. GUERDON_BLNK_PATH, default /blnk")]
Organisation = Annotated[str, typer.Option(help="Code or id of the organisation")]


def main() -> None:
    """Run the command line; what an operator can mend is told in a sentence."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        app()
    except Exception as problem:
        message = _explained(problem)
        if message is None or logging.getLogger().isEnabledFor(logging.DEBUG):
            raise
        typer.echo(f"guerdon: {message}", err=True)
        sys.exit(1)


@app.callback(invoke_without_command=True)
def root(
    *,
    config: Annotated[Path | None, typer.Option(help="TOML file with settings. GUERDON_CONFIG")] = None,
    version: Annotated[bool, typer.Option("--version", help="Show the version and leave.")] = False,
) -> None:
    """Self-hosted loyalty: a ledger, points programs, promotions and rewards on PostgreSQL.

    Settings come from the environment (GUERDON_...), then from guerdon.toml, then from defaults. Without
    GUERDON_DATABASE_URL an embedded PostgreSQL keeps its files in GUERDON_DATA_DIR.

    \b
    Examples:
      guerdon demo                       a server with a grocer's members and purchases
      guerdon serve --port 9000          a server of your own
      guerdon doctor                     is this installation safe?
      guerdon verify                     do the books add up?
    """
    if version:
        typer.echo(f"guerdon {__version__}")
        raise typer.Exit
    if config:
        os.environ["GUERDON_CONFIG"] = str(config)


@app.command()
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

    serve(_settings(host=host, port=port, blnk_path=blnk_path))


@app.command()
def demo(host: Host = None, port: Port = None) -> None:
    """Start the server with a ready organisation: a program, stores, tills, members and their purchases.

    Prints its address, a key and commands to try. With the `data` extra the purchases are a real grocer's.

    \b
    Examples:
      guerdon demo
      guerdon demo --port 9000
    """
    from guerdon.demo import demo

    demo(_settings(host=host, port=port))


@app.command()
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

    with opened(_settings()) as installation:
        if check:
            with connect(installation.owner_dsn) as connection:
                version = migrate.current(connection)
            typer.echo(f"schema {version or 'none'}, this release needs {migrate.head()}")
            raise typer.Exit(version != migrate.head())
        for name in migrate.migrate(installation.owner_dsn):
            typer.echo(f"ran {name}")
        typer.echo(f"schema {migrate.head()}: up to date")


@app.command()
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

    settings = _settings()
    with opened(settings) as installation:
        findings = doctor.check(installation.app_dsn, settings, installation.admin_key)
    for finding in findings:
        typer.echo(f"{finding.level:8} {finding.subject}: {finding.text}")
    unsafe = any(finding.level == "unsafe" for finding in findings)
    raise typer.Exit(unsafe and not settings.unsafe)


@app.command()
def verify(
    organisation: Annotated[
        str, typer.Option("--organisation", "--org", help="Only this organisation, by code or id; all when empty")
    ] = "",
    anchor: Annotated[
        str, typer.Option(help="A published head, SEQ:HEX, or a file of them: finds a full rewrite or a cut tail")
    ] = "",
    publish: Annotated[str, typer.Option(help="File that today's heads are added to when all holds")] = "",
    since: Annotated[
        int, typer.Option(min=0, help="Only what was recorded after this sequence number; rebuilds no projection")
    ] = 0,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of lines.")] = False,
) -> None:
    """Prove the books: walk the hash chain, rebuild every projection from the immutable rows, name what is wrong.

    Ends with 1 when anything does not hold. Reads only; the server may go on running.

    \b
    Examples:
      guerdon verify
      guerdon verify --organisation default --since 1000000
      guerdon verify --publish /mnt/elsewhere/heads.jsonl     every night, say
      guerdon verify --anchor /mnt/elsewhere/heads.jsonl      were they rewritten since?
      guerdon verify --organisation default --anchor 1042:9f2c...
    """
    from guerdon.audit import verify
    from guerdon.installation import opened

    with opened(_settings()) as installation:
        holds = verify(
            installation.app_dsn,
            organisation=organisation,
            anchor=anchor,
            publish=publish,
            since=since,
            as_json=as_json,
            tell=typer.echo,
        )
    raise typer.Exit(not holds)


@app.command()
def bench(
    only: Annotated[list[str] | None, typer.Option(help="Run this figure; may be repeated")] = None,
    *,
    names: Annotated[bool, typer.Option("--list", help="Say which figures there are.")] = False,
    no_write: Annotated[bool, typer.Option("--no-write", help="Leave the results as they are.")] = False,
) -> None:
    """Measure on an embedded database with fsync on, and write benchmarks/RESULTS.md and .json.

    Ends with 1 when a bar is missed. The benchmarks come with Guerdon's source, not with the package.

    \b
    Examples:
      guerdon bench
      guerdon bench --list
      guerdon bench --only bulk --only singles --no-write
    """
    import importlib.util
    import runpy

    if importlib.util.find_spec("benchmarks") is None:
        raise FileNotFoundError("there is no benchmarks folder here: run this in a checkout of Guerdon's source")
    _settings()
    chosen = [word for name in only or () for word in ("--only", name)]
    flags = [flag for flag, given in (("--list", names), ("--no-write", no_write)) if given]
    sys.argv = ["guerdon bench", *chosen, *flags]
    runpy.run_module("benchmarks", run_name="__main__", alter_sys=True)


@app.command()
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
    with ready(_settings()) as installation:
        done = backtests.run(order, installation.app_dsn)
    text = msgspec.json.format(msgspec.json.encode(done.report)).decode() if as_json else backtests.markdown(done)
    if report is None:
        typer.echo(text)
    else:
        report.write_text(text)
        typer.echo(f"{done.report.gives.purchases:,} of {done.report.seen.purchases:,} purchases; see {report}")


@import_app.command("purchases")
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
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Do not go on where an earlier run stopped; nothing is booked twice.")
    ] = False,
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

    settings = _settings()
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


SheetFile = Annotated[Path, typer.Argument(help="CSV or Parquet file")]
SheetProgram = Annotated[str, typer.Option(help="Code of the program of rows that name none; else the first")]
Results = Annotated[Path | None, typer.Option(help="File that gets one row for each row")]
FromStart = Annotated[
    bool, typer.Option("--from-start", help="Do not go on where an earlier run stopped; nothing is booked twice.")
]


@import_app.command("members")
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


@import_app.command("balances")
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


@import_app.command("points")
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


@import_app.command("redemptions")
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


@import_app.command("expiry")
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


@import_app.command("segments")
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

    settings = _settings()
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


CodePromotion = Annotated[str, typer.Argument(help="The promotion's id, prm_...; it is of the kind `code`")]
Batch = Annotated[str, typer.Argument(help="The batch's id, cbt_...")]
BatchName = Annotated[str, typer.Option(help="Name of the batch")]
Partner = Annotated[str, typer.Option(help="Who hands the codes out")]
Channel = Annotated[str, typer.Option(help="How they reach customers: paper, e-mail, an influencer")]


@codes_app.command("generate")
def codes_generate(
    promotion: Annotated[str, typer.Argument(help="The promotion's id (prm_...), or a batch (cbt_...) to go on with")],
    count: Annotated[int, typer.Option(min=1, help="How many")],
    pattern: Annotated[str, typer.Option(help="Every # becomes a character: ####-####")] = "########",
    charset: Annotated[str, typer.Option(help="Characters; without look-alikes when not given")] = "",
    prefix: Annotated[str, typer.Option(help="Before the pattern")] = "",
    suffix: Annotated[str, typer.Option(help="After the pattern")] = "",
    name: BatchName = "",
    partner: Partner = "",
    channel: Channel = "",
    organisation: Organisation = "default",
    *,
    check: Annotated[bool, typer.Option("--check", help="The last # is a check character.")] = False,
) -> None:
    """Generate random codes; prints the batch's id. Stopped half-way, a running server makes the rest.

    \b
    Examples:
      guerdon codes generate prm_0199b1f0-2c3e-7c11-9a52-5b7d3c000000 --count 500 --pattern '####-####' --check
      guerdon codes generate prm_0199b1f0-2c3e-7c11-9a52-5b7d3c000000 --count 1000000 --partner Bakery --channel paper
      guerdon codes generate cbt_0199b1f0-2c3e-7c11-9a52-5b7d3c000000 --count 500
    """
    from guerdon import coding
    from guerdon.core.promotions.codes import READABLE, Form

    form = Form(pattern=pattern, charset=charset or READABLE, prefix=prefix, suffix=suffix, check=check)

    async def generate(desk: coding.Desk) -> str:
        if promotion.startswith("cbt_"):
            batch = await desk.more(promotion, count)
        else:
            batch = await desk.begin(promotion, name=name, partner=partner, channel=channel, form=form, count=count)
        with coding.Bar("codes") as bar:
            await desk.make(batch, bar.tell)
        return batch

    typer.echo(f"cbt_{_at_the_desk(organisation, generate)}")


@codes_app.command("upload")
def codes_upload(
    promotion: Annotated[str, typer.Argument(help="The promotion's id (prm_...), or a batch (cbt_...) to add to")],
    file: Annotated[Path, typer.Argument(help="CSV file; the column `code`, else the first one")],
    name: BatchName = "",
    partner: Partner = "",
    channel: Channel = "",
    organisation: Organisation = "default",
) -> None:
    """Bring codes in; every row that is not added is told. Ends with 1 when there are any. The same file twice adds
    nothing twice.

    \b
    Examples:
      guerdon codes upload prm_0199b1f0-2c3e-7c11-9a52-5b7d3c000000 printed.csv --name 'Flyer, November'
      guerdon codes upload cbt_0199b1f0-2c3e-7c11-9a52-5b7d3c000000 more.csv
    """
    from guerdon import coding

    async def upload(desk: coding.Desk) -> coding.Uploaded:
        if promotion.startswith("cbt_"):
            batch = (await desk.batch(promotion)).id
        else:
            batch = await desk.begin(promotion, name=name or file.name, partner=partner, channel=channel)
        with coding.Bar("rows") as bar:
            return await desk.upload(batch, file, bar.tell)

    done = _at_the_desk(organisation, upload)
    for row, code, why in done.told:
        typer.echo(f"row {row}: {code}: {why}", err=True)
    typer.echo(f"cbt_{done.batch}  {done.added} added, {len(done.told)} not")
    raise typer.Exit(bool(done.told))


@codes_app.command("export")
def codes_export(
    batch: Batch,
    file: Annotated[Path, typer.Argument(help="CSV file to write")],
    organisation: Organisation = "default",
) -> None:
    """Write all codes of a batch to a file, as they are printed and as they are compared, with their uses.

    \b
    Examples:
      guerdon codes export cbt_0199b1f0-2c3e-7c11-9a52-5b7d3c000000 codes.csv
    """
    from guerdon import coding

    async def export(desk: coding.Desk) -> int:
        with coding.Bar("codes") as bar:
            return await coding.export(desk, await desk.batch(batch), file, bar.tell)

    typer.echo(f"{_at_the_desk(organisation, export)} codes; see {file}")


@codes_app.command("sheet")
def codes_sheet(
    batch: Batch,
    file: Annotated[Path, typer.Argument(help="PDF file to write")],
    first: Annotated[int, typer.Option(min=1, help="Number of the first code")] = 1,
    count: Annotated[int, typer.Option(min=1, help="How many")] = 24,
    title: Annotated[str, typer.Option(help="On every label; the batch's name when not given")] = "",
    note: Annotated[str, typer.Option(help="Below the code, say until when it is good")] = "",
    link: Annotated[str, typer.Option(help="What the QR holds, with {code} in it; else the code")] = "",
    organisation: Organisation = "default",
) -> None:
    """Print codes with QR on sheets of A4, 24 to a page.

    \b
    Examples:
      guerdon codes sheet cbt_0199b1f0-2c3e-7c11-9a52-5b7d3c000000 flyer.pdf --count 240 --note 'until 24 December'
      guerdon codes sheet cbt_0199b1f0-2c3e-7c11-9a52-5b7d3c000000 flyer.pdf --link 'https://shop.example/c/{code}'
    """
    from guerdon import coding
    from guerdon.api.printing import PLACEHOLDER, Sheet

    if link and PLACEHOLDER not in link:
        raise coding.CodesRefused("the link has no {code}")

    async def sheet(desk: coding.Desk) -> tuple[int, bytes]:
        row = await desk.batch(batch)
        said = Sheet(title=title or row.name, note=note, link=link)
        with coding.Bar("labels") as bar:
            return await coding.sheet(desk, row, said, first, count, bar.tell)

    printed, content = _at_the_desk(organisation, sheet)
    file.write_bytes(content)
    typer.echo(f"{printed} codes; see {file}")


@codes_app.command("show")
def codes_show(
    code: Annotated[str, typer.Argument(help="As it is printed or typed")], organisation: Organisation = "default"
) -> None:
    """Tell what a code is, whose it is, and each use of it.

    \b
    Examples:
      guerdon codes show ZN34C
      guerdon codes show zn34-c --organisation grocer
    """
    from guerdon import coding

    async def show(desk: coding.Desk) -> coding.Shown:
        return await desk.show(code)

    found = _at_the_desk(organisation, show)
    row, batch = found.code, found.batch
    state = "in force" if row.batch_active and row.code_active else f"out of force {row.reason}".rstrip()
    typer.echo(f"{coding.printed(row)}  {state}, used {row.uses} times")
    typer.echo(f"promotion  prm_{row.promotion}  {found.promotion}")
    typer.echo(
        f"batch      cbt_{batch.id}  {' / '.join(each for each in (batch.name, row.partner, row.channel) if each)}"
    )
    if row.member:
        typer.echo(f"linked to  mem_{row.member}")
    for use in found.uses:
        given = "given back" if use.of_seq else "used"
        typer.echo(f"{use.used_at:%Y-%m-%d %H:%M}  {given} {use.times}x  {use.reference}")


def _at_the_desk(organisation: str, act: Any) -> Any:
    from guerdon import coding
    from guerdon.installation import ready

    settings = _settings()
    with ready(settings) as installation:
        return coding.run(settings, installation.app_dsn, organisation, act)


@key_app.command("create")
def key_create(
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

    settings = _settings()
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


@key_app.command("list")
def key_list(organisation: Organisation = "default") -> None:
    """List an organisation's keys, newest first; never their secrets.

    \b
    Examples:
      guerdon key list
      guerdon key list --organisation grocer
    """
    from guerdon import keyring
    from guerdon.installation import ready

    with ready(_settings()) as installation:
        rows = keyring.listed(installation, organisation=organisation)
    for id, row in rows:
        ends = row.revoked_at or row.expires_at
        state = "revoked" if row.revoked_at else "expires" if row.expires_at else "valid"
        when = f" {ends:%Y-%m-%d}" if ends else ""
        typer.echo(f"{id}  {row.name}  {' '.join(row.scopes)}  {state}{when}")


@key_app.command("revoke")
def key_revoke(
    key: Annotated[str, typer.Argument(help="The key's id, key_...")], organisation: Organisation = "default"
) -> None:
    """End a key; running servers notice within a second.

    \b
    Examples:
      guerdon key revoke key_0199b1f0-2c3e-7c11-9a52-5b7d3c000000
    """
    from guerdon import keyring
    from guerdon.installation import ready

    settings = _settings()
    with ready(settings) as installation:
        keyring.revoke(installation, settings, organisation=organisation, key=key)
    typer.echo(f"{key} is revoked")


@key_app.command("platform")
def key_platform(
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

    typer.echo(platform_key(_settings(), new=new))


def _settings(**given: Any) -> Settings:
    """The settings, with what the command line gave before the environment."""
    from guerdon import logs
    from guerdon.settings import Settings

    settings = Settings(**{name: value for name, value in given.items() if value is not None})
    logs.configure(settings.log_level, as_json=settings.log_json)
    return settings


def _explained(problem: Exception) -> str | None:
    """What to tell an operator, or None when it is a bug."""
    import psycopg
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    if isinstance(problem, ValidationError):
        faults = (f"{'.'.join(map(str, fault['loc'])) or 'settings'}: {fault['msg']}" for fault in problem.errors())
        return "; ".join(faults)
    if isinstance(problem, psycopg.OperationalError):
        return f"the database does not answer: {str(problem).strip()}"
    told = (
        *("PostgresUnavailable", "MigrationRefused", "Unsafe", "FileRefused", "KeyRefused", "VerifyRefused"),
        *("BacktestRefused", "CodesRefused", "PrintingUnavailable"),
    )
    if isinstance(problem, OSError | SettingsError) or type(problem).__name__ in told:
        return str(problem)
    return None
