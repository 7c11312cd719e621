"""Raw postings by many callers at once, on a database that dies, beside another server: each is booked once or not at
all, and every answer stays true. They are what the writer decides on guesses and commits one behind the other.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from guerdon.core import commands as c
from guerdon.core.outcomes import Accepted, Rejected, Rejection
from guerdon.settings import Settings
from guerdon.store.embedded import APP_ROLE
from guerdon.store.pool import make_pool
from guerdon.writer import Unavailable, Writer
from tests.torture.site import Site, installed
from tests.torture.test_crashes import SECONDS, hurt_database
from tests.writer.worlds import envelope

pytestmark = [pytest.mark.torture, pytest.mark.timeout(1800)]

CALLERS, ACCOUNTS = 64, 20


@dataclass
class Callers:
    """What they were answered: by reference the id of its transfer, and those whose booking nobody could tell."""

    accounts: list[str]
    ids: dict[str, str] = field(default_factory=dict)
    keyed: dict[str, c.Post] = field(default_factory=dict)
    unsure: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)

    async def post(self, writer: Writer, org_id: int, name: str, chance: random.Random, until: float) -> None:
        """One posting after the other; now and then one that was made before, by its reference or under its key."""
        number = 0
        while time.monotonic() < until:
            number += 1
            luck = chance.random()
            if luck < 0.003 and self.ids:
                await self._again(writer, org_id, chance.choice(list(self.ids)))
            elif luck < 0.006 and self.keyed:
                await self._replay(writer, org_id, chance.choice(list(self.keyed)))
            else:
                await self._new(writer, org_id, f"T-{name}-{number}", chance)

    async def _new(self, writer: Writer, org_id: int, reference: str, chance: random.Random) -> None:
        key = f"key-{reference}" if chance.random() < 0.2 else ""
        posting = c.Posting(
            asset="USD",
            amount=chance.randint(1, 1000),
            precision=100,
            reference=reference,
            source="@Hot",
            destination=chance.choice(self.accounts),
            allow_overdraft=True,
        )
        command = c.Post(**envelope(key), postings=(posting,))
        if key:
            self.keyed[reference] = command
        while True:
            try:
                outcome = await writer.submit(org_id, msgspec.structs.replace(command, **envelope(key)))
            except Unavailable:
                self.unsure.add(reference)
                continue
            if isinstance(outcome, Accepted):
                self.ids[reference] = outcome.result.rows[0].id
            elif reference not in self.unsure or outcome.code is not Rejection.REFERENCE_TAKEN:
                self.faults.append(f"{reference}: {outcome}")
            return

    async def _again(self, writer: Writer, org_id: int, reference: str) -> None:
        posting = c.Posting(
            asset="USD", amount=1, precision=100, reference=reference, source="@Hot", destination=self.accounts[0],
            allow_overdraft=True,
        )  # fmt: skip
        try:
            outcome = await writer.submit(org_id, c.Post(**envelope(), postings=(posting,)))
        except Unavailable:
            return
        if not isinstance(outcome, Rejected) or outcome.code is not Rejection.REFERENCE_TAKEN:
            self.faults.append(f"{reference} was given away twice: {outcome}")

    async def _replay(self, writer: Writer, org_id: int, reference: str) -> None:
        if reference not in self.ids:
            return
        command = self.keyed[reference]
        try:
            outcome = await writer.submit(org_id, msgspec.structs.replace(command, **envelope(command.key)))
        except Unavailable:
            return
        if not isinstance(outcome, Accepted) or outcome.result.rows[0].id != self.ids[reference]:
            self.faults.append(f"{reference}: {self.ids[reference]} and then {outcome}")


@asynccontextmanager
async def writing(site: Site, name: str) -> AsyncIterator[Writer]:
    async with make_pool(site.database.dsn(APP_ROLE), name=f"guerdon-{name}", size_max=4) as pool:
        writer = Writer(pool, Settings(retry_total_s=20.0))
        await writer.start()
        yield writer
        await writer.stop()


async def test_a_killed_database_books_no_posting_twice_and_loses_none(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    with installed(tmp_path) as site:
        site.furnish(1)
        ((org_id,),) = site.rows("select org_id from organisations where code = 'default'")
        async with writing(site, "torture") as writer, writing(site, "other") as other:
            callers = Callers([await _account(writer, org_id) for _ in range(ACCOUNTS)])
            until, hurts = time.monotonic() + SECONDS, 0
            work = [
                asyncio.create_task(callers.post(writer, org_id, str(n), random.Random(f"{seed}/{n}"), until))
                for n in range(CALLERS)
            ]
            while time.monotonic() < until:
                await asyncio.sleep(chance.uniform(0.5, 3))
                if chance.random() < 0.7:
                    hurts += await asyncio.to_thread(hurt_database, site, chance)
                else:
                    name = f"other-{hurts}-{chance.random()}"
                    await callers.post(other, org_id, name, chance, time.monotonic() + 0.1)
            await asyncio.gather(*work)
            assert isinstance(await other.submit(org_id, c.OpenLedger(**envelope(), name="x")), Accepted)
        assert callers.faults == [], "\n".join(callers.faults[:5])
        stored = dict(site.rows("select reference, id::text from transfers where reference like 'T-%'"))
        assert {reference: stored.get(reference) for reference in callers.ids} == callers.ids
        assert stored.keys() - callers.ids.keys() <= callers.unsure
        print(f"{len(callers.ids)} postings, {hurts} immediate stops and killed backends, {writer.stats}")
        assert writer.stats.guessed > 100
        assert writer.stats.mistaken > 0
        assert writer.stats.doubts > 0
        site.verify()


async def _account(writer: Writer, org_id: int) -> str:
    ledger = await writer.submit(org_id, c.OpenLedger(**envelope(), name="x"))
    assert isinstance(ledger, Accepted)
    account = await writer.submit(org_id, c.OpenAccount(**envelope(), ledger=ledger.result.id, asset="USD"))
    assert isinstance(account, Accepted)
    return str(account.result.id)
