"""`guerdon codes ...`: promo codes made, brought in, taken out, printed, looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from guerdon.cli.options import Organisation, family, read_settings

app = family("Make, bring in, print and look at codes.")

CodePromotion = Annotated[str, typer.Argument(help="The promotion's id, prm_...; it is of the kind `code`")]
Batch = Annotated[str, typer.Argument(help="The batch's id, cbt_...")]
BatchName = Annotated[str, typer.Option(help="Name of the batch")]
Partner = Annotated[str, typer.Option(help="Who hands the codes out")]
Channel = Annotated[str, typer.Option(help="How they reach customers: paper, e-mail, an influencer")]


@app.command("generate")
def generate_codes(
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


@app.command("upload")
def upload_codes(
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


@app.command("export")
def export_codes(
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


@app.command("sheet")
def sheet_codes(
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


@app.command("show")
def show_code(
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

    settings = read_settings()
    with ready(settings) as installation:
        return coding.run(settings, installation.app_dsn, organisation, act)
