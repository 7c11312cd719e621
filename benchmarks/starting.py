"""From a fresh clone to a served URL, as a new user has it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from urllib.request import urlopen

from benchmarks import harness
from benchmarks.harness import Clock, Row


def clone() -> list[Row]:
    """`git clone` and `make run` in a directory of its own, until the demo answers."""
    home = Path(tempfile.mkdtemp(prefix="guerdon-clone-"))
    clock = Clock()
    try:
        subprocess.run(["git", "clone", "--quiet", str(harness.ROOT), str(home / "guerdon")], check=True)
        environment = {**os.environ, "GUERDON_DATA_DIR": str(home / "data"), "GUERDON_PORT": "0"}
        environment.pop("VIRTUAL_ENV", None)
        made = subprocess.Popen(
            ["make", "run"],
            cwd=home / "guerdon",
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            url = _url(made)
            with urlopen(f"{url}/health", timeout=30) as answer:
                assert answer.status == 200
            seconds = clock.seconds
        finally:
            os.killpg(made.pid, signal.SIGTERM)
            made.wait(60)
    finally:
        for link in (home / "data").glob("*"):
            if link.is_symlink():  # where the database's user could not enter a directory of ours
                shutil.rmtree(link.resolve(), ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)
    return [
        Row(
            figure="fresh clone to a served URL",
            value=f"{seconds:.0f} s",
            bar="< 3 min",
            met=seconds < 180,
            conditions="git clone and `make run` in an empty directory: virtual environment, every package from the "
            "registry or pip's cache, database, demo organisation with real purchases; until /health answers",
            numbers={"seconds": seconds},
        )
    ]


def _url(made: subprocess.Popen[str]) -> str:
    assert made.stdout is not None
    for line in made.stdout:
        for word in line.replace(",", " ").split():
            if word.startswith("http://"):
                return word.rstrip("/.").split("/docs")[0]
    raise RuntimeError("`make run` ended without a URL")
