"""Books in which everything happened, made once and copied for each test that spoils them."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Iterator

import pytest

from guerdon.store.embedded import Embedded
from tests.audit.books import books, everything
from tests.conftest import Database, addresses, drop_database

_numbers = itertools.count(1)


_made: dict[str, Database] = {}


@pytest.fixture(scope="session")
def full_books(cluster: Embedded, template: str) -> Iterator[Database]:
    """Nobody writes to these. Made once, whichever directory's tests ask first."""
    name = f"books_{os.getpid()}"
    if name in _made:
        yield _made[name]
        return
    cluster.make_database(name, template)
    _made[name] = database = addresses(cluster, name)

    async def fill() -> None:
        async with books(database.app_dsn) as b:
            await everything(b)

    asyncio.run(fill())
    yield database
    drop_database(cluster, name)


@pytest.fixture
def copied_books(cluster: Embedded, full_books: Database) -> Iterator[Database]:
    """These may be spoilt."""
    name = f"copy_{os.getpid()}_{next(_numbers)}"
    cluster.make_database(name, full_books.name)
    yield addresses(cluster, name)
    drop_database(cluster, name)
