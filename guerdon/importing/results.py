"""The result file of an import, and the bookmark beside it that says how far it got.

One row per purchase (or row of a sheet) in the order in which they were submitted. The bookmark is written after the
rows it counts are on disk, and those after their purchases are committed; so it may be behind, never ahead. What was
committed behind its back is submitted again and answered as `replayed`.
"""

from __future__ import annotations

import csv
import fcntl
import hashlib
import os
from io import TextIOWrapper
from pathlib import Path

import msgspec
from msgspec import Struct

from guerdon.importing.faults import FileRefused

COLUMNS = (
    "row",
    "rows",
    "number",
    "member",
    "at",
    "amount",
    "status",
    "code",
    "detail",
    "points",
    "event_log_id",
)
FORMAT = 1


class Tally(Struct, kw_only=True):
    """What became of the purchases so far: `points` in minor units, of accepted and replayed ones; `last_number`
    of the last one that is booked."""

    purchases: int = 0
    rows: int = 0
    accepted: int = 0
    replayed: int = 0
    rejected: int = 0
    points: int = 0
    last_number: str = ""


class Bookmark(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far an import of one file under one mapping got; `bytes` of the result file are sound."""

    format: int = FORMAT
    source: str
    target: str
    bytes: int
    tally: Tally


class ResultFile:
    """The result file, locked and open: empty, or cut back to where the bookmark says, to be continued."""

    def __init__(self, path: Path, source: str, target: str, columns: tuple[str, ...] = COLUMNS) -> None:
        self.path = path
        self._columns = columns
        self.bookmark_path = path.with_name(path.name + ".bookmark")
        self._source = source
        self._target = target
        try:
            self._raw = path.open("r+b" if path.exists() else "x+b")
            fcntl.flock(self._raw, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FileRefused(f"{path}: another import is writing it") from None
        except OSError as error:
            raise FileRefused(f"{path}: {error.strerror}") from None
        bookmark = self._usable_bookmark()
        self.tally = bookmark.tally if bookmark else Tally()
        self._raw.truncate(bookmark.bytes if bookmark else 0)
        self._raw.seek(0, os.SEEK_END)
        self._text = TextIOWrapper(self._raw, "utf-8", newline="")
        self._rows = csv.writer(self._text)
        if not bookmark:
            self._rows.writerow(self._columns)

    def restart(self) -> None:
        """Forget what an earlier run wrote: begin with an empty file."""
        self._text.flush()
        self._raw.seek(0)
        self._raw.truncate()
        self.tally = Tally()
        self._rows.writerow(self._columns)

    def write(self, cells: tuple[object, ...]) -> None:
        self._rows.writerow(cells)

    def mark(self) -> None:
        """Put on disk what was written, then say so in the bookmark."""
        self._text.flush()
        os.fsync(self._raw.fileno())
        bookmark = Bookmark(source=self._source, target=self._target, bytes=self._raw.tell(), tally=self.tally)
        fresh = self.bookmark_path.with_name(self.bookmark_path.name + ".new")
        with fresh.open("wb") as file:
            file.write(msgspec.json.encode(bookmark))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.bookmark_path)

    def finish(self) -> None:
        """Put everything on disk; the bookmark has done its work."""
        self.mark()
        self.bookmark_path.unlink()
        self._text.close()

    def close(self) -> None:
        """Stop here, with a bookmark to go on from."""
        self.mark()
        self._text.close()

    def _usable_bookmark(self) -> Bookmark | None:
        """The bookmark, if it is of the same file, mapping, organisation and program."""
        try:
            bookmark = msgspec.json.decode(self.bookmark_path.read_bytes(), type=Bookmark)
            size = self.path.stat().st_size
        except (OSError, msgspec.DecodeError):
            return None
        same = (bookmark.format, bookmark.source, bookmark.target) == (FORMAT, self._source, self._target)
        return bookmark if same and size >= bookmark.bytes else None


def content_of(*parts: Path | bytes) -> str:
    """SHA-256 over files and texts, each with its length, as hex."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, bytes):
            digest.update(b"%d:" % len(part) + part)
            continue
        digest.update(b"%d:" % part.stat().st_size)
        with part.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
