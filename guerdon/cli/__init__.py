"""`guerdon`, the one executable: reads the settings, then hands over to the module that does the work.

Promises: `--help` everywhere with examples to copy; 0 when all is well, 1 when something was found or refused, with
a sentence that says what to do and no traceback for what an operator can mend. Each command imports what it needs
when it runs, so that `--help` is quick. One file for each family of commands.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from guerdon import __version__
from guerdon.cli import backtest, bench, codes, imports, keys, preview, server, verify
from guerdon.cli.faults import explained

app = typer.Typer(
    name="guerdon",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    server.serve,
    server.demo,
    server.migrate,
    server.doctor,
    verify.verify,
    bench.bench,
    backtest.backtest,
    preview.preview,
):
    app.command()(command)
app.add_typer(keys.app, name="key")
app.add_typer(imports.app, name="import")
app.add_typer(codes.app, name="codes")


def main() -> None:
    """Run the command line; what an operator can mend is told in a sentence."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        app()
    except Exception as problem:
        message = explained(problem)
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
