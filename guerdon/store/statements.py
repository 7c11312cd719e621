"""SQL by name: `queries/<noun>.sql` holds statements under `-- name --` headings.

A line `-- include other_name` stands for the text of another statement of the same file, so that a filter that several
statements share is written once; what is included may include in turn.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

_HEADING = re.compile(r"^-- ([a-z][a-z0-9_]*) --\s*$", re.MULTILINE)
_INCLUDE = re.compile(r"^ *-- include ([a-z][a-z0-9_]*)$", re.MULTILINE)


@cache
def statements(noun: str) -> dict[str, str]:
    """All statements of a noun by name. Comments after a heading stay, and can be read in the server's log."""
    text = (resources.files("guerdon.store") / "queries" / f"{noun}.sql").read_text(encoding="utf-8")
    parts = _HEADING.split(text)
    if len(set(parts[1::2])) < len(parts[1::2]):
        raise ValueError(f"two statements of {noun}.sql have one name")
    found = {name: body.strip() for name, body in zip(parts[1::2], parts[2::2], strict=True)}
    return {name: _whole(body, found) for name, body in found.items()}


def _whole(body: str, found: dict[str, str]) -> str:
    return _INCLUDE.sub(lambda match: _whole(found[match[1]], found), body)
