"""`guerdon verify`: do the books add up?"""

from __future__ import annotations

from typing import Annotated

import typer

from guerdon.cli.options import read_settings


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

    with opened(read_settings()) as installation:
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
