"""The raw ledger: ledgers, accounts, postings and what becomes of them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from guerdon.core.commands.command import Command


class OpenLedger(Command, frozen=True, kw_only=True):
    """Open a named group of accounts. `meta` is JSON text."""

    name: str
    meta: str = ""


class RenameLedger(Command, frozen=True, kw_only=True):
    ledger: str
    name: str


class OpenAccount(Command, frozen=True, kw_only=True):
    """Open an account of one asset in a ledger, for a member (by id) or none; with an `indicator` in the general
    ledger.
    """

    ledger: str
    asset: str
    member: str = ""
    indicator: str = ""
    options: str = ""
    meta: str = ""


class AssignAccount(Command, frozen=True, kw_only=True):
    """Make a member the holder of an account."""

    account: str
    member: str


class Leg(Struct, frozen=True):
    """One account of a split: `share` is `percent` (`value` in parts per 10^12, so 10 % = 10^11), `fixed` (minor units)
    or `left` (what remains; `value` unused)."""

    account: str
    share: Literal["percent", "fixed", "left"]
    value: int = 0


class Posting(Struct, frozen=True, kw_only=True):
    """One raw transfer as asked for. Accounts are ids or `@Name`; exactly one side may be split into legs.

    `queued` is Blnk's two-step answer: a refusal for lack of funds is then a stored, rejected transfer, and the
    request's own id and reference stand beside the outcome's. `overdraft_limit` is in minor units, None = none given.
    """

    asset: str
    amount: int
    precision: int
    reference: str
    source: str = ""
    destination: str = ""
    sources: tuple[Leg, ...] = ()
    destinations: tuple[Leg, ...] = ()
    description: str = ""
    allow_overdraft: bool = False
    overdraft_limit: int | None = None
    inflight: bool = False
    queued: bool = False
    expires_at: datetime | None = None
    commits_at: datetime | None = None
    scheduled_for: datetime | None = None
    effective_at: datetime | None = None
    meta: str = ""


class Post(Command, frozen=True, kw_only=True):
    """Post raw transfers. With `atomic` they stand or fall together; without, each is decided on its own in order.

    `batch` is true for a bulk request: the command's id is then the batch id and the parent of every transfer.
    """

    postings: tuple[Posting, ...]
    atomic: bool = False
    batch: bool = False


class Settle(Command, frozen=True, kw_only=True):
    """Make a held amount final, in whole (`amount` None) or in part. `target` is a transfer, split parent, request
    or batch id.
    """

    target: str
    amount: int | None = None


class Release(Command, frozen=True, kw_only=True):
    """Let go what is left of a hold. With `due`, only if the hold has expired by then."""

    target: str
    due: bool = False


class Refund(Command, frozen=True, kw_only=True):
    """Reverse an applied transfer, or hold again in reverse what was released; once. Overdraft is allowed, floors
    hold.
    """

    target: str
    queued: bool = False
    description: str = ""
    meta: str = ""


class Preview(Command, frozen=True, kw_only=True):
    """Say what commands of the raw ledger would do, and do nothing. With `cumulative` each sees what those before it
    would have done.
    """

    of: tuple[Post | Settle | Release | Refund, ...]
    cumulative: bool = False


class RunScheduled(Command, frozen=True, kw_only=True):
    """Decide a scheduled posting, or settle a hold that asked to be settled, now that it is due. Running it twice
    does nothing.
    """

    target: str


class Annotate(Command, frozen=True, kw_only=True):
    """Merge `meta` (JSON object text) into an object's metadata, top level keys only. `kind` is its id prefix
    (`txn`, `bln`...).
    """

    kind: str
    object: str
    meta: str
