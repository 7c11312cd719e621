"""`guerdon bench`: how fast is it here?"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from guerdon.cli.options import read_settings


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
    read_settings()
    chosen = [word for name in only or () for word in ("--only", name)]
    flags = [flag for flag, given in (("--list", names), ("--no-write", no_write)) if given]
    sys.argv = ["guerdon bench", *chosen, *flags]
    runpy.run_module("benchmarks", run_name="__main__", alter_sys=True)
