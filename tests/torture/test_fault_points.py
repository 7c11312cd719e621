"""The connection dies at every statement of a batch in turn. The batch is done whole, once, whatever the statement."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from guerdon.core import commands as c
from guerdon.core.outcomes import Accepted
from guerdon.core.programs import Policies, RedemptionRate, Rule
from guerdon.store.wire import Wire
from tests.conftest import Database
from tests.writer.worlds import World, envelope, world

pytestmark = [pytest.mark.torture, pytest.mark.timeout(600)]

STATEMENTS_MAX = 60


class FaultPoint:
    """Kills the writer's backend just before its k-th statement from now on."""

    def __init__(self, superuser_dsn: str) -> None:
        self._dsn = superuser_dsn
        self.left = -1
        self.fired = False

    def before(self, connection: psycopg.AsyncConnection[Any]) -> None:
        if self.left < 0:
            return
        if self.left == 0:
            self.fired = True
            with psycopg.connect(self._dsn, autocommit=True) as other:
                other.execute("select pg_terminate_backend(%s)", (connection.info.backend_pid,))
        self.left -= 1


async def test_a_purchase_that_earns_and_spends_survives_a_fault_at_every_statement(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = FaultPoint(database.superuser_dsn)
    send = Wire.send

    def faulty(self: Wire, *given: Any) -> Any:
        fault.before(self._connection)
        return send(self, *given)

    monkeypatch.setattr(Wire, "send", faulty)
    async with world(database.app_dsn, database.superuser_dsn, members=1) as site:
        await _furnish(site)
        swept = 0
        for point in range(STATEMENTS_MAX):
            fault.left, fault.fired = point, False
            outcome = await site.writer.submit(site.org_id, _purchase(site, f"B-{point}"))
            fault.left = -1
            assert isinstance(outcome, Accepted), outcome
            assert outcome.result.spent_points == 10
            site.assert_whole()
            assert site.one("select count(*) from purchases") == point + 2
            assert site.points() == 1_000 + (point + 1) * (99 - 10)
            if not fault.fired:
                break
            swept += 1
        print(f"\n{swept} statements, each of them the last of its connection")
        assert 5 < swept < STATEMENTS_MAX


async def _furnish(site: World) -> None:
    policies = Policies(
        rules=(Rule(code="base", kind="per_amount", points=1, amount=100),), redemption_rate=RedemptionRate(10, 100)
    )
    for command in (
        c.CreateAsset(**envelope(), code="USD", scale=2),
        c.ChangeProgram(**envelope(), program=("code", "club"), policies=policies),
        _purchase(site, "B-first", amount=100_000, spend=0),
    ):
        assert isinstance(await site.writer.submit(site.org_id, command), Accepted)


def _purchase(site: World, number: str, amount: int = 10_000, spend: int = 10) -> c.RecordPurchase:
    return c.RecordPurchase(
        **envelope(),
        number=number,
        currency="USD",
        member=("id", site.members[0]),
        lines=(c.Line(sku="A", quantity=1000, amount=amount),),
        spend=spend,
    )
