"""Published heads: where a chain stood once, kept where whoever can change the database cannot.

A file of heads is JSON lines, appended to at every publication. Held against it, a rewritten chain has another hash at
that place, and a cut one does not reach it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from psycopg import Connection

from guerdon.audit.chain import hash_at
from guerdon.audit.report import Row, VerifyRefused

_ONE = re.compile(r"(?:(?P<seq>\d+):(?P<hash>[0-9a-f]{64})|(?P<hash2>[0-9a-f]{64}):(?P<seq2>\d+))")


class Head(Struct, frozen=True, kw_only=True):
    """The row `seq` of an organisation had this hash; `id` is empty when it is not said which organisation."""

    id: str = ""
    organisation: str = ""
    seq: int
    hash: str
    published_at: datetime | None = None


def read(anchor: str) -> tuple[Head, ...]:
    """A single head as `SEQ:HEX` or `HEX:SEQ`, or all heads of a file."""
    one = _ONE.fullmatch(anchor.strip().lower())
    if one is not None:
        return (Head(seq=int(one["seq"] or one["seq2"]), hash=one["hash"] or one["hash2"]),)
    path = Path(anchor)
    if not path.is_file():
        raise VerifyRefused(f"{anchor} is neither a head (SEQ:HEX) nor a file of heads")
    decoder = msgspec.json.Decoder(Head)
    heads: list[Head] = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            heads += [decoder.decode(line)] if line.strip() else []
        except msgspec.DecodeError as problem:
            raise VerifyRefused(f"{anchor}, line {number} is not a published head: {problem}") from None
    return tuple(heads)


def publish(path: Path, heads: list[Head]) -> None:
    """Append heads to a file, and do not return before they are on the disk."""
    with path.open("ab") as file:
        now = datetime.now(UTC)
        file.writelines(msgspec.json.encode(msgspec.structs.replace(head, published_at=now)) + b"\n" for head in heads)
        file.flush()
        os.fsync(file.fileno())


def compare(connection: Connection[Any], org_id: int, id: str, heads: tuple[Head, ...], last: int) -> Iterator[Row]:
    """The heads of this organisation that its rows do not lead to."""
    for head in heads:
        if head.id not in ("", id):
            continue
        found = hash_at(connection, org_id, head.seq)
        if head.seq > last:
            yield Row(f"rows {last + 1} to {head.seq}", "cut off: a head was published at the last of them")
        elif found is None:
            yield Row(f"row {head.seq}", "missing, and a head was published at it")
        elif found.hex() != head.hash:
            yield Row(
                f"row {head.seq}", f"rewritten: its hash is {found.hex()}, the head published at it is {head.hash}"
            )
