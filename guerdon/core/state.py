"""The loaded slice of one organisation that a batch of commands is decided on.

A `State` holds the rows that the commands of a batch touch. Decisions read it through `find` and the tables, and change
it only through `put`, which keeps a journal. The journal is what makes a refusal free (`rollback`), and what is left of
it at the end is exactly what has to be saved (`changes`).

Asking for something that was not loaded raises `NotLoaded`: not a refusal but a request to the writer, which loads that
key too where nothing has changed yet, and otherwise ends the batch before this command and starts the next one with it.
So no decision is made on what nobody looked at, but for what the writer takes to be free and its transaction proves
(`guessed`), and how commands happen to be grouped cannot change what they do.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar

from guerdon.core.accounts import NO_FIGURES
from guerdon.core.ids import id_prefix

if TYPE_CHECKING:
    from guerdon.core.access import ApiKey
    from guerdon.core.accounts import Account, Figures, Hold, Ledger, Scheduled, Transfer
    from guerdon.core.activity import Activity
    from guerdon.core.adjustments import Adjustment, Decision
    from guerdon.core.assets import Asset
    from guerdon.core.cart_returns import CartReturn
    from guerdon.core.catalogue import CatalogueVersion, Reward, RewardList
    from guerdon.core.claims import Claim
    from guerdon.core.codes import Code, CodeBatch, CodeLink, Switch
    from guerdon.core.commands import Command
    from guerdon.core.events import Event
    from guerdon.core.imports import ImportedRow
    from guerdon.core.issues import IssueMove, PromotionIssue
    from guerdon.core.lots import Lot
    from guerdon.core.members import Member
    from guerdon.core.persons import Person
    from guerdon.core.programs import Config, Planned, Program, Store, Till
    from guerdon.core.promotions.evaluating import Candidates
    from guerdon.core.promotions.terms import Lane, Promotion
    from guerdon.core.purchases import Purchase, PurchaseReturn
    from guerdon.core.redemptions import Redemption
    from guerdon.core.referrals import Referral
    from guerdon.core.segments import Segment
    from guerdon.core.standings import Standing
    from guerdon.core.tallies import Tally
    from guerdon.core.tiers import Structure
    from guerdon.core.transfers import Sent
    from guerdon.core.uses import CartCommit, Reservation, Use
    from guerdon.core.webhooks import Webhook

Key = tuple[Any, ...]
CounterKey = tuple[str, str, str, str, str]
"""See `promotions.limits.CounterKey`."""
Head = tuple[str, int, bytes]
"""What tells one state of an organisation from another: the mark of the last batch that made neither event nor
transfer, and the number and hash of the last one that was made.
"""
K = TypeVar("K")
V = TypeVar("V")
_MISSING: Any = object()


FIRST_LOTS = 64
"""So many lots are loaded of an account that is to be spent from: those that are spent first."""
DUE_LOTS = 400
"""So many lots that have ended are loaded with their account, those that ended first, and as many that were released;
and no more than that come due in the commit of one command (`MuchDue`).
"""
PART_IDS, PARTS_MAX = 0x800000, 0x400000
"""What a command books in parts before it is decided takes its ids from here on (`State.begin_part`)."""
MORE_LOTS, MOST_LOTS = 4, 64
"""So many times as many are loaded when they were not enough: by what they were worth, within these bounds."""


class Reach(NamedTuple):
    """How far the lots of an account are loaded, in the order in which they are spent: all up to the sort key `last`
    (`lots.by_expiry`), that of the last of the `asked` that were asked for. Lots beyond that may be known too, but not
    all that come before them. Of lots that have ended the same is told apart (`State.due`), and of those that were
    released, in the order of their release (`State.releasing`).
    """

    last: tuple[bool, datetime, int]
    asked: int

    def more(self, account_no: int, there: int, wanted: int) -> Key:
        """The key of more lots of the account, where so many points were there and so many are wanted."""
        times = min(MOST_LOTS, max(MORE_LOTS, 2 * wanted // max(1, there)))
        return ("lots", account_no, self.asked * times)

    def more_due(self, account_no: int) -> Key:
        """The key of more of its lots that have ended."""
        return ("due", account_no, self.asked * MORE_LOTS)

    def more_released(self, account_no: int) -> Key:
        """The key of more of its lots that were released."""
        return ("released", account_no, self.asked * MORE_LOTS)


class NotLoaded(Exception):
    """The state was asked for something the batch has not loaded. Carries the key, and any others that the command is
    known to ask for next; only the writer acts on it.
    """

    def __init__(self, *keys: Key) -> None:
        super().__init__(*keys)
        self.keys = keys


class MuchDue(Exception):
    """More has come due on an account by a moment than is booked with one command: a part of it is booked first, in a
    commit of its own (`decide`).
    """

    def __init__(self, account_no: int, as_of: datetime) -> None:
        super().__init__(account_no, as_of)
        self.account_no = account_no
        self.as_of = as_of


class Again(Exception):
    """A part of what came due was booked, which stays, and the command itself is still to be decided: the writer ends
    the batch before it and starts the next one with it.
    """


class Table(dict[K, V], Generic[K, V]):
    """A dict with a name, so that the journal can say whose row changed. What is not `kept` is no change to save."""

    __slots__ = ()
    name: ClassVar[str] = ""
    kept: ClassVar[bool] = True


def _table(name: str, kept: bool = True) -> type[Table[Any, Any]]:
    """A kind of table. There are dozens in every batch, most of them empty, so making one must cost nothing."""
    return type(name, (Table,), {"__slots__": (), "name": name, "kept": kept})


_AccountLots = _table("account_lots", kept=False)


class State:
    """Tables of rows by their number, what keys were found to mean, and the journal of changes.

    `counters` hold the organisation's last numbers (`seq`, `account`, `lot`, `member`, `purchase`, `config`, `ledger`);
    `account_lots` says where lots lie, `reach` how far an account's are known where that is not all of them, and `due`
    how far those that have ended, `releasing` how far those that were released; `ends` is a moment before which nothing
    that is known of an account ends, `releases` one before which nothing is released.

    `last_recorded_at` and `last_hash` come from the head row; `transaction` is the database's own name for the batch,
    and `head` what the head row says: as it was read, and once the batch is sent as it will be. `guessed` are the keys
    that were taken to mean nothing, which the batch's transaction has to prove (`store.ahead`).
    """

    counters: Table[str, int]
    ledgers: Table[int, Ledger]
    accounts: Table[int, Account]
    figures: Table[int, Figures]
    lots: Table[int, Lot]
    transfers: Table[int, Transfer]
    events: Table[int, Event]
    holds: Table[int, Hold]
    scheduled: Table[int, Scheduled]
    members: Table[int, Member]
    removed_members: Table[int, bool]
    profiles: Table[int, str]
    member_accounts: Table[int, dict[tuple[int, str], int]]
    program_accounts: Table[tuple[int, str], int]
    purchases: Table[int, Purchase]
    returns: Table[int, PurchaseReturn]
    redemptions: Table[str, Redemption]
    imported: Table[tuple[str, str], ImportedRow]
    sent: Table[tuple[int, int, str], Sent]
    adjustments: Table[str, Adjustment]
    decisions: Table[str, Decision]
    referrals: Table[str, Referral]
    reward_lists: Table[str, RewardList]
    rewards: Table[str, Reward]
    catalogue: Table[tuple[str, int], CatalogueVersion]
    claims: Table[str, Claim]
    claimed: Table[tuple[int, str], int]
    code_batches: Table[str, CodeBatch]
    codes: Table[str, Code]
    code_switches: Table[tuple[str, str], Switch]
    code_links: Table[str, CodeLink]
    issues: Table[str, PromotionIssue]
    issue_moves: Table[tuple[str, str], IssueMove]
    promotions: Table[str, Promotion]
    promotion_lanes: Table[int, Lane]
    promotion_counters: Table[CounterKey, Tally]
    promotion_uses: Table[tuple[int, int], Use]
    promotion_commits: Table[str, CartCommit]
    cart_returns: Table[str, CartReturn]
    reservations: Table[str, Reservation]
    tiers: Table[tuple[int, int], Structure]
    walks: Table[tuple[int, int], int]
    standings: Table[tuple[int, int], Standing]
    activity: Table[int, Activity | None]
    segments: Table[str, Segment]
    segment_entries: Table[tuple[str, int], tuple[int, bool]]
    persons: Table[int, Person]
    lifetimes: Table[int, int]
    programs: Table[int, Program]
    program_versions: Table[tuple[int, int], Planned]
    followed: Table[int, int]
    low_pools: Table[int, bool]
    stores: Table[int, Store]
    tills: Table[int, Till]
    assets: Table[str, Asset]
    sources: Table[str, datetime]
    metadata: Table[tuple[str, str], tuple[int, str]]
    api_keys: Table[str, ApiKey]
    webhooks: Table[str, Webhook]
    outcomes: Table[tuple[str, str], tuple[bytes, str, datetime]]
    found: Table[Key, Any]

    def __init__(self, config: Config, counters: dict[str, int], last_recorded_at: datetime, last_hash: bytes) -> None:
        vars(self).update([(name, kind()) for name, kind in _TABLES])
        self.config = config
        self.last_recorded_at = last_recorded_at
        self.last_hash = last_hash
        self.transaction = ""
        self.head: Head = ("", 0, b"")
        self.guessed: list[Key] = []
        self.counters.update(counters)
        self.account_lots: dict[int, Table[int, bool]] = {}
        self.reach: dict[int, Reach] = {}
        self.due: dict[int, Reach] = {}
        self.releasing: dict[int, Reach] = {}
        self.in_parts = True
        self.ends: dict[int, datetime] = {}
        self.releases: dict[int, datetime] = {}
        self.asked: set[Key] = set()
        self.candidates: dict[str, tuple[Command, Candidates, tuple[Any, ...]]] = {}
        """By command: what `carts` made ready, and of what. It follows from the state and is no part of it."""
        self.links = False
        self._journal: list[tuple[Table[Any, Any], Any, Any]] = []
        self.now = last_recorded_at
        self._id_prefix = ""
        self._ordinal = 0
        self._actor = ""
        self._accepted: list[tuple[int, datetime, str, datetime]] = []
        self._rows: list[Event | Transfer] = []
        self._appended = 0

    # -- reading

    def find(self, key: Key) -> Any:
        """What a key means (usually a number), None if there is no such thing; `NotLoaded` if nobody looked."""
        value = self.found.get(key, _MISSING)
        if value is not _MISSING:
            return value
        if key in self.asked:
            return None
        raise NotLoaded(key)

    def knows(self, key: Key) -> bool:
        """Whether `find` can answer."""
        return key in self.found or key in self.asked

    def figures_of(self, account_no: int) -> Figures:
        return self.figures.get(account_no, NO_FIGURES)

    def lots_of(self, account_no: int) -> list[Lot]:
        """The lots of an account that are known here, in no order. Those that ended first are always among them."""
        lots = self.lots
        return [lots[no] for no, here in self.account_lots.get(account_no, _NO_LOTS).items() if here]

    def open_lots(self, *account_nos: int) -> list[Lot]:
        """Every lot of these accounts with something left. Raises `NotLoaded` unless all were loaded or made here."""
        missing: list[Key] = [("lots", no) for no in account_nos if ("lots", no) not in self.found]
        missing += [("due", no) for no in account_nos if self.ended(no) is not None]
        if missing:
            raise NotLoaded(*missing)
        return [lot for no in account_nos for lot in self.lots_of(no) if lot.remaining]

    def spent_first(self, account_no: int) -> Reach | None:
        """How far the account's lots are known in the order in which they are spent; None when all are. Raises
        `NotLoaded` where nobody looked.
        """
        missing = self.lots_to_spend(account_no)
        if missing:
            raise NotLoaded(*missing)
        return None if ("lots", account_no) in self.found else self.reach[account_no]

    def lots_to_spend(self, account_no: int) -> list[Key]:
        """What is missing before an account can be spent from."""
        known = ("lots", account_no) in self.found or account_no in self.reach
        missing: list[Key] = [] if known else [("lots", account_no, FIRST_LOTS)]
        return missing if self.ended(account_no) is None else [*missing, ("due", account_no)]

    def ended(self, account_no: int) -> Reach | None:
        """How far the account's lots are known that have ended and may not be posted; None when all are."""
        return None if ("due", account_no) in self.found else self.due.get(account_no)

    def released(self, account_no: int) -> Reach | None:
        """How far the account's lots are known that were released and may not be posted; None when all are."""
        if ("released", account_no) in self.found or ("lots", account_no) in self.found:
            return None
        return self.releasing.get(account_no)

    # -- changing

    def put(self, table: Table[K, V], key: K, value: V) -> None:
        """Change or add one row, remembering what was there."""
        self._journal.append((table, key, table.get(key, _MISSING)))
        table[key] = value

    def replace(self, table: Table[K, V], key: K, old: V, value: V) -> None:
        """Change a row that the caller has just read: `put` without looking for what was there."""
        self._journal.append((table, key, old))
        table[key] = value

    def append(self, table: Table[int, Any], row: Event | Transfer) -> None:
        """Add an event or a transfer: a row that is new, never changes, and is written in sequence order."""
        self._journal.append((table, row.seq, _MISSING))
        table[row.seq] = row
        self._rows.append(row)

    def next(self, counter: str) -> int:
        """The organisation's next number of a kind."""
        counters = self.counters
        last = counters.get(counter, _MISSING)
        self._journal.append((counters, counter, last))
        number = counters[counter] = 1 if last is _MISSING else last + 1
        return number

    def new_id(self) -> str:
        """The next id of what the current command makes."""
        ordinal = self._ordinal = self._ordinal + 1
        return f"{self._id_prefix}{ordinal:06x}"

    def link(self, id: str, seq: int) -> None:
        """Let a transfer be found under an id (its own, its request's, its parent's) where this batch asks for that
        id.
        """
        key = ("transfer", id)
        known = self.found.get(key)
        if known:
            self.put(self.found, key, (*known, seq))
        elif key in self.asked:
            self.put(self.found, key, (seq,))

    def lies(self, lot_no: int, account_no: int, here: bool = True) -> None:
        """Note that a lot lies in an account from now on, or no more. One row a lot, so that neither an account with
        very many nor undoing costs more than what changes.
        """
        table = self.account_lots.get(account_no)
        if table is None:
            table = self.account_lots[account_no] = _AccountLots()
        self.put(table, lot_no, here)

    def know_lot(self, lot: Lot) -> None:
        """The same of a lot that was loaded: no change."""
        table = self.account_lots.get(lot.account)
        if table is None:
            table = self.account_lots[lot.account] = _AccountLots()
        table[lot.no] = True

    def set_config(self, config: Config) -> None:
        """Replace the configuration; part of the journal like everything else."""
        self._journal.append((_CONFIG, "config", self.config))
        self.config = config

    # -- one command

    def begin(self, command_id: str, at: datetime, actor: str = "") -> int:
        """Start a command: its time is when it was received, never before what is already recorded. Returns a mark."""
        self.now = max(self.last_recorded_at, at)
        self._id_prefix = id_prefix(command_id)
        self._ordinal = 0
        self._actor = actor
        self.in_parts = True
        return len(self._journal)

    def begin_part(self) -> None:
        """Start to book a part of what came due before the command that was begun. Its ids follow from where in the
        sequence it stands: the command takes its own when it is decided, and there may be many parts.
        """
        self._ordinal = PART_IDS + self.counters.get("seq", 0) % PARTS_MAX

    def mark(self) -> int:
        return len(self._journal)

    def rollback(self, mark: int) -> None:
        """Undo everything since the mark, commands that were accepted included."""
        journal = self._journal
        while self._accepted and self._accepted[-1][0] > mark:
            self.last_recorded_at = self._accepted.pop()[3]
        if len(journal) > mark:
            self.ends.clear()  # lots that were spent are there again
            self.releases.clear()
        while len(journal) > mark:
            table, key, old = journal.pop()
            if table is _CONFIG:
                self.config = old
            elif old is _MISSING:
                del table[key]
                if table is self.transfers or table is self.events:
                    self._rows.pop()
            else:
                table[key] = old

    def changed_since(self, mark: int, table: Table[K, V]) -> dict[K, V | None]:
        """What rows of a table were before they changed since the mark, None for new ones; in the order of change."""
        before: dict[K, V | None] = {}
        for changed, key, old in self._journal[mark:]:
            if changed is table and key not in before:
                before[key] = None if old is _MISSING else old
        return before

    def accept(self) -> None:
        """End an accepted command: time cannot go back behind what it recorded, if it recorded anything."""
        if len(self._journal) == (self._accepted[-1][0] if self._accepted else 0):
            return
        self._accepted.append((len(self._journal), self.now, self._actor, self.last_recorded_at))
        self.last_recorded_at = self.now

    # -- saving

    def changes(self) -> dict[str, dict[Any, tuple[bool, Any]]]:
        """Per table name the rows to save: key -> (whether it is new, its final value), in the order of first
        change. Events and transfers are not among them: see `appended`.
        """
        result: dict[str, dict[Any, tuple[bool, Any]]] = {}
        for table, key, old in self._journal:
            if not table.kept:
                continue
            rows = result.get(table.name)
            if rows is None:
                rows = result[table.name] = {}
            seen = rows.get(key)
            rows[key] = (old is _MISSING if seen is None else seen[0], None)
        for name, rows in result.items():
            source: Table[Any, Any] = getattr(self, name)
            for key, (new, _) in rows.items():
                rows[key] = (new, source[key])
        return result

    def unappended(self) -> int:
        """How many events and transfers `appended` would answer."""
        return len(self._rows) - self._appended

    def made_rows(self) -> bool:
        """Whether there are events or transfers that the batch made."""
        return bool(self._rows)

    def appended(self) -> list[Event | Transfer]:
        """Events and transfers made since this was last asked, by sequence number; final, if asked between commands."""
        made = self._rows[self._appended :]
        self._appended = len(self._rows)
        made.sort(key=_BY_SEQ)
        return made

    def history(self, name: str) -> list[tuple[Any, Any, datetime, str]]:
        """Every value that rows of a table were given, in order: (key, value, when, actor). For what is appended."""
        changes: list[list[Any]] = []
        latest: dict[Any, list[Any]] = {}
        accepted = iter(self._accepted)
        unfinished = (len(self._journal), self.last_recorded_at, self._actor, self.last_recorded_at)
        end, at, actor = 0, self.last_recorded_at, ""
        for index, (table, key, old) in enumerate(self._journal):
            while index >= end:
                end, at, actor, _ = next(accepted, unfinished)
            if table.name != name:
                continue
            if key in latest:
                latest[key][1] = old
            latest[key] = [key, table[key], at, actor]
            changes.append(latest[key])
        return [(key, value, when, who) for key, value, when, who in changes]

    def mark_loaded(self, keys: Iterable[Key]) -> None:
        """Remember that these keys were looked up, found or not."""
        self.asked.update(keys)
        self.ends.clear()  # more lots may be known
        self.releases.clear()
        self.links = any(key[0] == "transfer" for key in self.asked)


_NOT_KEPT = frozenset((
    "counters", "transfers", "events", "member_accounts", "program_accounts", "claimed", "activity",
    "persons", "lifetimes", "found",
))  # fmt: skip
"""What follows from other rows, or is written by itself."""
_TABLES = [
    (name, _table(name, name not in _NOT_KEPT))
    for name, kind in State.__annotations__.items()
    if kind.startswith("Table[")
]
_NO_LOTS: Table[int, bool] = _AccountLots()
_CONFIG: Table[str, Any] = _table("config", kept=False)()
_BY_SEQ = attrgetter("seq")
