"""What every handler works with, put together once in `app.py`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

import uuid_utils

from guerdon.api.auth import Authenticator
from guerdon.api.metrics import Metrics
from guerdon.core.commands import Command
from guerdon.core.outcomes import Outcome
from guerdon.settings import Settings
from guerdon.store.backtests import Backtests
from guerdon.store.codes import Codes
from guerdon.store.issues import Issues
from guerdon.store.promotions import Promotions
from guerdon.store.read import OrganisationRow, Reader


class Submits(Protocol):
    """What the API needs of a writer."""

    async def submit(self, org_id: int, command: Command) -> Outcome: ...


class Organisations(Protocol):
    """How an organisation is made; None when its code is taken."""

    async def create(self, code: str, name: str, timezone: str) -> OrganisationRow | None: ...


class Imports(Protocol):
    """How an import is written down and queued (`store.imports.ask`)."""

    async def ask(
        self,
        org_id: int,
        *,
        id: str,
        kind: str,
        program: str,
        actor: str,
        key: str | None,
        fingerprint: bytes,
        content: str,
        rows: int,
        now: datetime,
    ) -> tuple[str, bytes]: ...


class Services:
    """The parts a request may use: the writer for every change, the reader for everything else."""

    def __init__(
        self,
        *,
        settings: Settings,
        writer: Submits,
        reader: Reader,
        codes: Codes,
        backtests: Backtests,
        issues: Issues,
        promotions: Promotions,
        organisations: Organisations,
        imports: Imports,
        auth: Authenticator,
        metrics: Metrics,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.settings = settings
        self.writer = writer
        self.reader = reader
        self.codes = codes
        self.backtests = backtests
        self.issues = issues
        self.promotions = promotions
        self.organisations = organisations
        self.imports = imports
        self.auth = auth
        self.metrics = metrics
        self.now = now


def new_command_id() -> str:
    """A UUIDv7 whose last six hex digits are zero: they number what the command makes."""
    return f"{str(uuid_utils.uuid7())[:30]}000000"
