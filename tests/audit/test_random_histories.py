"""Whatever the core does with random commands, and jobs between them, leaves books that hold."""

from __future__ import annotations

import os
from random import Random

from guerdon.audit.verify import audit
from guerdon.store.load import load
from guerdon.store.memory import Memories
from guerdon.store.save import save
from tests.audit.books import books
from tests.conftest import Database
from tests.jobs.test_independence import KINDS, MEMBERS, Step, Story

STORIES = int(os.environ.get("GUERDON_STORIES") or 12)
STEPS = 60


async def test_books_hold_after_random_commands(database: Database) -> None:
    seed = int(os.environ.get("GUERDON_SEED") or 4)
    for number in range(STORIES):
        random = Random(seed * 1000 + number)
        story = Story([random.random() < 0.5 for _ in range(STEPS)])
        for _ in range(STEPS):
            story.step(*step(random))
        async with books(database.app_dsn, f"story-{number}") as b, b.pool.connection() as connection:
            await load(connection, b.org_id, [], story.world.now, Memories().take(b.org_id))
            await save(connection, b.org_id, story.world.state)
    report = audit(database.app_dsn, tell=lambda _: None)
    assert report.findings == [], seed
    assert sum(book.rows for book in report.books) > STORIES * STEPS


def step(random: Random) -> Step:
    return (
        random.choice(KINDS),
        random.choice(MEMBERS),
        random.randint(1, 60),
        random.randint(0, 20),
        random.randint(0, 71),
    )
