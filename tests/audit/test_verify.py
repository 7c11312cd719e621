"""`guerdon verify` on books that hold, and on some that do not."""

from __future__ import annotations

from guerdon.audit.verify import verify
from tests.audit.books import books, everything
from tests.conftest import Database


async def test_verify_finds_nothing_wrong_with_books_in_which_everything_happened(database: Database) -> None:
    async with books(database.app_dsn) as b:
        await everything(b)
    said: list[str] = []
    assert verify(database.app_dsn, tell=said.append), "\n".join(said)
