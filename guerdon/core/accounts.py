"""Accounts and transfers: the records of the double-entry ledger.

A transfer is one row that carries both sides: each account's next version and its balance after. Entries are a view
over applied transfers, so they sum to zero per asset by construction.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

GENERAL_LEDGER = 1
"""The number of the ledger that holds all internal (`@`) accounts; it exists from the organisation's first day."""


class Account(Struct, frozen=True, gc=False):
    """What never or rarely changes about a holder of one asset.

    `tracks_lots` is true for the accounts that a program opened for a member; `role` names what an internal account
    stands for in a program (`programs.ROLES`). Internal accounts have an `indicator`.
    """

    no: int
    id: str
    ledger_no: int
    asset: str
    opened_at: datetime
    indicator: str = ""
    member_no: int = 0
    program_no: int = 0
    category: str = ""
    role: str = ""
    tracks_lots: bool = False
    options: str = ""


class Figures(Struct, frozen=True, gc=False):
    """What changes: four sums that only the ledger writes, the version that counts the changes, and the floor.

    `floor` is what `available` may not go below, None where overdraft is a matter of each transfer. Points accounts
    stand at 0; a return that a program lets go below zero takes the floor along, and the next credit brings it back.
    """

    credit: int = 0
    debit: int = 0
    inflight_credit: int = 0
    inflight_debit: int = 0
    version: int = 0
    floor: int | None = None

    @property
    def balance(self) -> int:
        return self.credit - self.debit

    @property
    def available(self) -> int:
        """What may be spent: incoming holds never count, outgoing ones are gone."""
        return self.credit - self.debit - self.inflight_debit


NO_FIGURES = Figures()

Action = Literal["apply", "hold", "settle", "release", "reject", "schedule"]

STATUS = {
    "apply": "APPLIED",
    "settle": "APPLIED",
    "hold": "INFLIGHT",
    "release": "VOID",
    "reject": "REJECTED",
    "schedule": "SCHEDULED",
}


class Transfer(Struct, frozen=True, gc=False):
    """One outcome, immutable. `reject` and `schedule` move nothing and have no versions or balances.

    `effective_at` is None where it equals `recorded_at`. `request_id` and `request_reference` are those of a queued
    Blnk request whose outcome this is. `parent` is the hold a settlement or release belongs to, the original of a
    refund, or the batch or split it came with. `detail` (JSON text) holds what only raw transfers have. What a transfer
    did to lots stands on its event (`events.py`), since only events move points.
    """

    seq: int
    id: str
    event_seq: int
    action: Action
    source: int
    destination: int
    asset: str
    amount: int
    source_version: int | None
    destination_version: int | None
    source_balance: int | None
    destination_balance: int | None
    recorded_at: datetime
    effective_at: datetime | None = None
    reference: str | None = None
    request_id: str | None = None
    request_reference: str | None = None
    parent: str | None = None
    detail: str | None = None

    @property
    def status(self) -> str:
        return STATUS[self.action]


class Hold(Struct, frozen=True, kw_only=True, gc=False):
    """What is left of a held transfer. `remaining` 0 is settled or released, as `released` tells.

    `pins` are (lot number, amount still pinned) pairs where the source tracks lots, soonest expiry first.
    """

    seq: int
    transfer_id: str
    remaining: int
    released: bool = False
    expires_at: datetime | None = None
    commits_at: datetime | None = None
    pins: tuple[tuple[int, int], ...] = ()


class Scheduled(Struct, frozen=True, kw_only=True):
    """A posting that waits for its time. `request` is the posting as JSON text."""

    seq: int
    transfer_id: str
    due_at: datetime
    done: bool
    request: str


class Ledger(Struct, frozen=True, kw_only=True):
    no: int
    id: str
    name: str
    opened_at: datetime
