"""`guerdon preview`: a change foreseen from the command line is the change that is then made."""

from __future__ import annotations

import asyncio
import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from guerdon import foreseeing
from guerdon.api import previews
from guerdon.core import commands as c
from guerdon.core.programs import Expiry, Follow, Policies, Rule
from guerdon.jobs import Jobs
from guerdon.settings import Settings
from tests.audit.books import books
from tests.conftest import Database
from tests.test_cli import guerdon

POLICIES = Policies(
    currency="USD", rules=(Rule(code="base", kind="per_amount", points=1, amount=100),),
    expiry=Expiry(kind="months", count=12),
)  # fmt: skip
CHANGE = {"expiry": {"kind": "days", "count": 30}, "existing_points": "follow", "grace_days": 3}
MEMBERS = 7


async def test_what_the_command_line_foresees_is_what_then_happens(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "change.json").write_text(json.dumps(CHANGE))
    async with books(database.app_dsn, "default") as shop:
        shop.now = datetime.now(UTC)
        for code, scale in (("USD", 2), ("POINTS", 0)):
            await shop.ok(c.CreateAsset, code=code, scale=scale)
        await shop.ok(c.CreateProgram, code="club", name="Club", asset="POINTS", policies=POLICIES)
        for i in range(MEMBERS):
            await shop.buy(f"B-{i}", await shop.member(f"m{i}"), 1_000, where=c.Where())
        shown = await asyncio.to_thread(
            guerdon, "preview", "change.json", "--rows", "lots.csv", folder=tmp_path, database=database,
            GUERDON_UNSAFE="true",
        )  # fmt: skip
        assert shown.returncode == 0, shown.stderr
        assert f"sooner {MEMBERS:>11} members {MEMBERS:>12} lots {10 * MEMBERS:>16} points" in shown.stdout
        rows = list(csv.DictReader((tmp_path / "lots.csv").open()))
        assert [(row["points"], row["change"]) for row in rows] == [("10", "sooner")] * MEMBERS

        monkeypatch.setattr(previews, "LOTS_AT_ONCE", 2)
        told: list[tuple[int, int]] = []
        order = foreseeing.Order(organisation="default", change=tmp_path / "change.json")
        foreseen = await asyncio.to_thread(
            foreseeing.run, order, Settings(data_dir=tmp_path), database.app_dsn, lambda *each: told.append(each)
        )
        assert (foreseen.all, foreseen.version) == (foreseen.sooner, 2)
        assert told == [(2, 7), (4, 7), (6, 7), (7, 7)]

        changed = msgspec.structs.replace(POLICIES, expiry=Expiry(kind="days", count=30), follow=Follow(grace_days=3))
        await shop.ok(c.ChangeProgram, program=("code", "club"), policies=changed)
        await Jobs(shop.pool, shop.writer, Settings(), now=lambda: shop.now).run_once()
        ends = dict(await shop.rows("select no, expires_at - interval '1 second' from lots"))
        assert {int(row["lot"]): datetime.fromisoformat(row["would_end_at"]) for row in rows} == ends


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"expiry": {"kind": "days"}}, "expiry.count"),
        ({"starts_at": (datetime.now(UTC) - timedelta(days=1)).isoformat()}, "policy_in_the_past"),
        ({"colour": "red"}, "unknown field `colour`"),
        ({"grace_days": 3}, "grace_days: invalid_value"),
    ],
)
async def test_what_the_change_would_be_refused_for_is_told(
    database: Database, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    (tmp_path / "change.json").write_text(json.dumps(change))
    async with books(database.app_dsn, "default") as shop:
        await shop.ok(c.CreateAsset, code="USD", scale=2)
        await shop.ok(c.CreateAsset, code="POINTS", scale=0)
        await shop.ok(c.CreateProgram, code="club", name="Club", asset="POINTS", policies=POLICIES)
    order = foreseeing.Order(organisation="default", change=tmp_path / "change.json")
    with pytest.raises(foreseeing.PreviewRefused, match=said):
        await asyncio.to_thread(
            foreseeing.run, order, Settings(data_dir=tmp_path), database.app_dsn, lambda *each: None
        )
