"""What the layers promise, held by the build: one-way imports, and a core without I/O, clock, randomness or floats."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = sorted((ROOT / "guerdon" / "core").rglob("*.py"))

# What has no I/O, clock or randomness; `msgspec` makes records. Anything else must be argued for here.
PURE = frozenset((
    "__future__", "abc", "base64", "bisect", "calendar", "collections", "collections.abc", "dataclasses", "datetime",
    "enum", "fractions", "functools", "hashlib", "heapq", "hmac", "ipaddress", "itertools", "math", "operator", "re",
    "typing", "types", "unicodedata", "zoneinfo", "msgspec",
))  # fmt: skip
CLOCKS = frozenset(("now", "utcnow", "today"))


def impurities(source: str) -> list[str]:
    """What in this source the core may not have, with its line."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [f"{node.lineno}: imports {name.name}" for name in node.names if not allowed(name.name)]
        elif isinstance(node, ast.ImportFrom) and not allowed(node.module or ""):
            found.append(f"{node.lineno}: imports {node.module}")
        elif isinstance(node, ast.Constant) and isinstance(node.value, float):
            found.append(f"{node.lineno}: the float {node.value}")
        elif isinstance(node, ast.Name) and node.id in ("float", "open", "print", "input", "__import__"):
            found.append(f"{node.lineno}: uses {node.id}")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCKS:
            if isinstance(node.func.value, ast.Name) and node.func.value.id in ("datetime", "date"):
                found.append(f"{node.lineno}: reads the clock")
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            found.append(f"{node.lineno}: divides without naming its rounding")
    return found


def allowed(module: str) -> bool:
    return module in PURE or module == "guerdon.core" or module.startswith("guerdon.core.")


def test_imports_go_one_way() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    checked = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.name)
def test_the_core_is_pure(path: Path) -> None:
    assert impurities(path.read_text()) == []


@pytest.mark.parametrize(
    "line",
    [
        "import os",
        "import msgspec, random",
        "from time import monotonic",
        "from guerdon.store import pool",
        "from datetime import datetime\nat = datetime.now()",
        "rate = 0.5",
        "rate = float(1)",
        "half = 1 / 2",
        "open('x')",
    ],
)
def test_an_impure_core_would_be_found(line: str) -> None:
    assert impurities(line)


@pytest.mark.parametrize("path", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda path: path.name)
def test_requirements_are_exact_hashed_and_name_no_registry(path: Path) -> None:
    text = path.read_text()
    assert "://" not in text
    pinned = text.count("==")
    assert pinned >= 2
    assert text.count(" \\\n    --hash=sha256:") >= pinned
    assert all("==" in line or line.startswith("    --hash=sha256:") for line in text.splitlines())
