"""A database of lists that commits, fails and loses answers as told, so that the writer's promises can be
seen alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg
import uuid_utils

from guerdon.core import commands as c
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.programs import Config
from guerdon.core.state import Key, NotLoaded
from guerdon.writer.batch import Steps

LOST = psycopg.OperationalError("the connection is lost")


@dataclass(frozen=True)
class Limits:
    """Settings of a test's writer."""

    batch_weight_max: int = 2000
    queue_weight_max: int = 20_000
    writer_connections: int = 2
    retry_total_s: float = 5.0


def register(code: str, key: str = "") -> c.RegisterSource:
    """A command of weight 2 that touches nothing."""
    return c.RegisterSource(id=str(uuid_utils.uuid7())[:30] + "000000", at=datetime.now(UTC), code=code, key=key)


def post(count: int) -> c.Post:
    """A command of weight `count`."""
    posting = c.Posting(asset="USD", amount=1, precision=100, reference="r", source="@A", destination="@B")
    return c.Post(id=str(uuid_utils.uuid7())[:30] + "000000", at=datetime.now(UTC), postings=(posting,) * count)


class FakeState:
    """The journal only."""

    def __init__(self, keys: Sequence[Key], transaction: str) -> None:
        self.keys = set(keys)
        self.transaction = transaction
        self.journal: list[str] = []
        self.head = ("", 0, b"")
        self.config = Config()
        self.accounts: dict[int, Any] = {}
        self.found: dict[Key, Any] = {}

    def mark(self) -> int:
        return len(self.journal)

    def made_rows(self) -> bool:
        return bool(self.journal)

    def unappended(self) -> int:
        return 0

    def rollback(self, mark: int) -> None:
        del self.journal[mark:]


@dataclass(eq=False)
class FakeDatabase:
    """What was committed, per organisation, and how each of the batches looked that were saved.

    Codes tell what happens: `refuse...` is refused, `bug...` breaks the core, `bad...` is what the database refuses to
    save, `broken...` breaks our own saving, `ask:K` needs the key K, `insatiable` asks for what it has.
    """

    rows: dict[int, list[str]] = field(default_factory=dict)
    batches: list[tuple[int, list[str]]] = field(default_factory=list)
    loads: int = 0
    checks: int = 0
    fail_load: list[Exception] = field(default_factory=list)
    fail_save: list[tuple[bool, Exception]] = field(default_factory=list)
    """Next failures of saving, with whether the commit happened all the same."""
    fail_always: Exception | None = None
    pause_s: float = 0.0
    gate: asyncio.Event | None = None
    at_save: Callable[[int], None] | None = None
    reads_on: bool = False
    """Whether rows can be read later on, within a batch that nothing has changed."""
    unlike_any: bool = False
    """Whether what a batch leaves is such that remembering it fails."""
    active: set[int] = field(default_factory=set)
    most_active: int = 0
    statuses: dict[str, bool] = field(default_factory=dict)

    # the pool

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[FakeDatabase]:
        yield self

    async def check(self) -> None:
        self.checks += 1

    @asynccontextmanager
    async def streaming(self, conn: Any) -> AsyncIterator[None]:
        yield

    async def execute(self, statement: str) -> None:
        assert statement == "discard plans"

    # the steps

    @property
    def steps(self) -> Steps:
        return Steps(
            load=self.load,  # type: ignore[arg-type]
            decide=self.decide,
            streaming=self.streaming,
            append=self.append,
            save=self.save,
            committed=self.committed,
            more=self.more if self.reads_on else None,
        )

    async def load(self, conn: Any, org_id: int, keys: Sequence[Key], **_: Any) -> FakeState:
        self.loads += 1
        assert org_id not in self.active, "two batches of one organisation at a time"
        if self.fail_always:
            raise self.fail_always
        if self.fail_load:
            raise self.fail_load.pop(0)
        state = FakeState(keys, f"{org_id}-{self.loads}")
        if self.unlike_any:
            del state.accounts
        return state

    async def more(self, conn: Any, org_id: int, state: Any, keys: Sequence[Key], now: datetime) -> None:
        assert not state.journal, "rows are read into a state that nothing has changed"
        state.keys.update(keys)

    def decide(self, command: c.Command, state: Any) -> Outcome:
        if isinstance(command, c.Post):
            state.journal.append(f"post{len(command.postings)}")
            return Accepted(result=len(command.postings))
        assert isinstance(command, c.RegisterSource)
        code = command.code
        state.journal.append(code)  # a decision that fails has to be rolled back by the writer
        if code.startswith("bug"):
            raise KeyError(code)
        if code.startswith("ask:") and ("account", code[4:]) not in state.keys:
            raise NotLoaded(("account", code[4:]))
        if code.startswith("insatiable"):
            raise NotLoaded(("account", "always"))
        if code.startswith("refuse"):
            state.rollback(len(state.journal) - 1)
            return Rejected(Rejection.CODE_TAKEN)
        return Accepted(result=code)

    async def append(self, conn: Any, org_id: int, state: Any) -> None:
        """Nothing early: what counts here is what was committed."""

    async def save(self, conn: Any, org_id: int, state: Any) -> None:
        self.active.add(org_id)
        self.most_active = max(self.most_active, len(self.active))
        try:
            await asyncio.sleep(self.pause_s)
            if self.gate:
                await self.gate.wait()
            if self.at_save:
                self.at_save(org_id)
            committed, failure = self.fail_save.pop(0) if self.fail_save else (True, None)
            if any(code.startswith("bad") for code in state.journal):
                raise psycopg.errors.NumericValueOutOfRange("too large")
            if any(code.startswith("broken") for code in state.journal):
                self.statuses[state.transaction] = False
                raise TypeError("no text")
            self.statuses[state.transaction] = committed
            if committed and state.journal:
                self.rows.setdefault(org_id, []).extend(state.journal)
                self.batches.append((org_id, list(state.journal)))
            if failure:
                raise failure
        finally:
            self.active.discard(org_id)

    async def committed(self, conn: Any, org_id: int, transaction: str) -> bool:
        if self.fail_always:
            raise self.fail_always
        return self.statuses[transaction]
