"""PostgreSQL array literals, written as text: the quickest way from columns of Python values to `unnest`.

psycopg's own lists are dumped element by element; these are one join each, and the statement's cast gives the type.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime


def plain(values: Iterable[object]) -> str:
    """Numbers, truth values and uuids; None is null."""
    return "{" + ",".join(map(str, values)).replace("None", "NULL") + "}"


def instants(values: Sequence[datetime | None]) -> str:
    """Timezone-aware instants; None is null."""
    return "{" + ",".join([value.isoformat() if value else "NULL" for value in values]) + "}"


def texts(values: Sequence[str | None]) -> str:
    """Any text; None is null, which the word NULL is not."""
    if not values:
        return "{}"
    if None not in values:
        joined = '","'.join(values)  # type: ignore[arg-type]  # None was looked for
        if "\\" not in joined and joined.count('"') == 2 * (len(values) - 1):
            return '{"' + joined + '"}'
    return "{" + ",".join(["NULL" if value is None else _quoted(value) for value in values]) + "}"


def blobs(values: Sequence[bytes]) -> str:
    """Byte strings; never null."""
    return '{"\\\\x' + '","\\\\x'.join([value.hex() for value in values]) + '"}' if values else "{}"


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
