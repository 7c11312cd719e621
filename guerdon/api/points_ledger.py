"""`/v1/members/{member}/points-ledger`: every event with its entries, the balance after each, the closing balance.

A page is a place in the order of recording, so that it neither skips nor repeats while events arrive. The closing
balance is that of the selected accounts after the view's last event, never the sum of the lines shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from guerdon.api.call import Call
from guerdon.api.members import MemberOut, found, shown
from guerdon.api.problem import Problem
from guerdon.api.refs import (
    Ref,
    find,
    program_ref,
    program_selector,
    store_ref,
    store_selector,
    till_ref,
    till_selector,
)
from guerdon.api.routing import Routes
from guerdon.api.values import Cursor, Limit, Shown, cursor, instant, last_moment, place_no, points, public
from guerdon.core.events import Name, entry_bit, program_bit
from guerdon.core.lots import LotMove, decode_moves
from guerdon.store.read import (
    AccountRow,
    Directory,
    EntryRow,
    EventRow,
    LedgerFilter,
    LotRow,
    MemberRow,
    NamedPurchase,
    PromotionRow,
)

routes = Routes("Points ledger")

EntryType = Literal["credit", "debit", "opening_balance"]
Category = Literal["regular", "promised", "trigger_based"]
_TYPES: tuple[EntryType, ...] = ("credit", "debit", "opening_balance")
_CATEGORIES: tuple[Category, ...] = ("regular", "promised", "trigger_based")


class FilterQuery(Shown, frozen=True, kw_only=True):
    """What may be chosen of a ledger; lists as comma-separated values."""

    source: Annotated[tuple[str, ...], Meta(description="Channels")] = ()
    store: Annotated[tuple[str, ...], Meta(description="Ids, `number:…` or codes")] = ()
    till: Annotated[tuple[str, ...], Meta(description="Ids, `number:…` or codes")] = ()
    since: Annotated[datetime | None, Meta(description="From this moment")] = None
    until: Annotated[datetime | None, Meta(description="Before this moment")] = None
    time: Annotated[
        Literal["recorded", "event"],
        Meta(description="Whether `since` and `until` go by when it was booked or by when it happened"),
    ] = "recorded"
    entry_type: tuple[EntryType, ...] = ()
    category: tuple[Category, ...] = ()
    program: Annotated[str | None, Meta(description="Id, `number:…` or code: only its lines")] = None
    include_till_concept_events: Annotated[
        bool, Meta(description="With `program`: also the redemptions made at its tills")
    ] = False
    event: Annotated[tuple[Name, ...], Meta(description="Event names")] = ()
    asset: Annotated[str | None, Meta(description="Accounts of this asset instead of points")] = None


class LedgerQuery(FilterQuery, frozen=True, kw_only=True):
    order: Literal["newest_first", "oldest_first"] = "newest_first"
    limit: Limit = 10
    cursor: Cursor = None
    include: Annotated[tuple[Literal["member", "total"], ...], Meta(description="More about the whole")] = ()
    expand: Annotated[
        tuple[Literal["lots", "purchase", "promotions"], ...], Meta(description="More about each event")
    ] = ()


class ClosingQuery(FilterQuery, frozen=True, kw_only=True):
    as_of: Annotated[datetime | None, Meta(description="Balances as of a moment; `time` says which time")] = None
    known_at: Annotated[datetime | None, Meta(description="As known at a moment: nothing that was recorded since")] = (
        None
    )


class EntryOut(Shown, frozen=True, kw_only=True):
    """One line. `points` is never negative; `balance_after` is the account's balance right after it."""

    type: EntryType
    points: str
    asset: str
    category: str
    program: Ref | None
    account: str
    balance_after: str


class TransactionOut(Shown, frozen=True, kw_only=True):
    id: str
    number: str


class ReturnOut(Shown, frozen=True, kw_only=True):
    """`purchase` is the one that was taken back."""

    id: str
    number: str
    purchase: TransactionOut


class LotMoveOut(Shown, frozen=True, kw_only=True):
    """What the event did to one lot. `expires_at` is its last moment; `rule` gave it, in this `version` of the program,
    or of the promotion where that is what gave it.
    """

    lot: int
    move: str
    points: str
    expires_at: datetime | None
    rule: str
    version: int | None


class PromotionGiven(Shown, frozen=True, kw_only=True):
    """What a promotion gave on what was bought with the event, or is returned or paid with it, under the version it
    was used in. `code` is empty where it took none; `issue` where it was not given to the member.
    """

    id: str
    version: int
    name: str
    code: str
    issue: str | None
    discount_minor: int
    voucher_minor: int
    points: str


class PurchaseOutline(Shown, frozen=True, kw_only=True):
    id: str
    number: str
    event_at: datetime
    currency: str
    amount_minor: int
    paid_minor: int


class EventOut(Shown, frozen=True, kw_only=True, omit_defaults=True):
    """`points_on_event` = credits less debits, exact. `program` is the till's. What an event does not have is left
    out: `transaction` is on `TransactionAdd` alone, `purchase_return` on `TransactionReturn`."""

    event_log_id: int
    id: str
    name: str
    event_at: datetime
    recorded_at: datetime
    points_on_event: str
    entries: tuple[EntryOut, ...]
    source: str = ""
    store: Ref | None = None
    till: Ref | None = None
    program: Ref | None = None
    reference: str = ""
    reason: str = ""
    actor: str = ""
    transaction: TransactionOut | None = None
    purchase_return: ReturnOut | None = None
    redemption: str | None = None
    lots: tuple[LotMoveOut, ...] | None = None
    purchase: PurchaseOutline | None = None
    promotions: tuple[PromotionGiven, ...] | None = None


class LedgerPage(Shown, frozen=True, kw_only=True, omit_defaults=True):
    """`member` and `total` where they were asked for. `next_cursor` is null on the last page."""

    events: tuple[EventOut, ...]
    page_size: int
    next_cursor: str | None
    total: int | None = None
    member: MemberOut | None = None


class ClosingLine(Shown, frozen=True, kw_only=True):
    program: Ref | None
    category: str
    asset: str
    account: str
    balance: str


class ClosingBalance(Shown, frozen=True, kw_only=True):
    """`up_to` is the sequence number that the balances stand at: nothing recorded after it is in them."""

    member: str
    up_to: int
    balances: tuple[ClosingLine, ...]


_ENTRY = {
    "type": "credit",
    "points": "120",
    "asset": "POINTS",
    "category": "regular",
    "program": {"id": "prg_0199b1f0-2c3e-7c11-9a52-5b7d3c000000", "number": 1, "code": "classic", "name": "Classic"},
    "account": "bln_0199b1f0-2c3e-7c11-9a52-5b7d3c000001",
    "balance_after": "320",
}
ERRORS = (
    "member_not_found",
    "store_not_found",
    "till_not_found",
    "program_not_found",
    "invalid_cursor",
    "event_time_out_of_range",
)


@routes.get(
    "/v1/members/{member}/points-ledger",
    scope="points:read",
    own=True,
    summary="Points ledger of a member",
    answer={
        "events": [
            {
                "event_log_id": 42,
                "id": "evt_0199b1f0-2c3e-7c11-9a52-5b7d3c000002",
                "name": "TransactionAdd",
                "event_at": "2026-11-21T10:00:00Z",
                "recorded_at": "2026-11-21T10:00:00Z",
                "points_on_event": "120",
                "entries": [_ENTRY],
                "transaction": {"id": "pur_0199b1f0-2c3e-7c11-9a52-5b7d3c000000", "number": "B-1001"},
            }
        ],
        "page_size": 10,
        "next_cursor": None,
    },
    errors=ERRORS,
)
async def get_points_ledger(call: Call, member: str, query: LedgerQuery) -> LedgerPage:
    """Events newest first (or oldest first), each with its entries. Without a filter, the whole history."""
    row = await found(call, member)
    view = await view_of(call, row, query)
    reader, org_id = call.services.reader, call.org_id
    oldest_first = query.order == "oldest_first"
    bound = (row.no, query.order, *_bound(query))
    rows = await reader.events(
        org_id, view.filter, place_no(query.cursor, *bound), query.limit + 1, oldest_first=oldest_first
    )
    more = len(rows) > query.limit
    rows = rows[: query.limit]
    page = await page_of(call, view, row, rows, query.expand)
    return LedgerPage(
        events=tuple(page.event(event) for event in rows),
        page_size=query.limit,
        next_cursor=cursor(rows[-1].seq, *bound) if more else None,
        total=await reader.event_count(org_id, view.filter) if "total" in query.include else None,
        member=shown(row) if "member" in query.include else None,
    )


@routes.get(
    "/v1/members/{member}/points-ledger/closing-balance",
    scope="points:read",
    own=True,
    summary="Closing balance of a points ledger",
    answer={
        "member": "mem_0199b1f0-2c3e-7c11-9a52-5b7d3c000000",
        "up_to": 43,
        "balances": [
            {
                "program": _ENTRY["program"],
                "category": "regular",
                "asset": "POINTS",
                "account": _ENTRY["account"],
                "balance": "320",
            }
        ],
    },
    errors=ERRORS,
)
async def get_closing_balance(call: Call, member: str, query: ClosingQuery) -> ClosingBalance:
    """The same filters: balances after the view's last event. An empty view gives those before `until`, no filter at
    all the current ones.

    `as_of` ends the view at a moment; with `time=event`, what counts from then on is left out of the balances too,
    whenever it was recorded. `known_at` ends the view at what had been recorded by a moment: together they tell the
    balance of one day as it was known on another.

    The current balances, and those by `time=event`, tell what has ended as expired and what was released as regular,
    whether or not that has been posted. After one event of a filtered view, by recorded time and as known at a moment,
    balances are as they were booked by then.
    """
    row = await found(call, member)
    view = await view_of(call, row, query)
    reader, org_id = call.services.reader, call.org_id
    numbers = [account.no for account in view.accounts.values()]
    as_of, known_at = instant(query.as_of, "as_of"), instant(query.known_at, "known_at")
    effective = query.time == "event"
    now = call.services.now()
    until = instant(query.until, "until")
    passed = [at is not None and (effective or at <= now) for at in (as_of, until, known_at)]
    whole = not any(passed[1:]) and not any(getattr(query, name) for name in _OF_EVENTS)
    chosen = view.filter
    unfiltered = chosen == LedgerFilter(member=row.no)
    if effective:
        chosen = msgspec.structs.replace(chosen, event_to=_earlier(as_of, chosen.event_to))
    else:
        chosen = msgspec.structs.replace(chosen, recorded_to=_earlier(as_of, chosen.recorded_to))
    chosen = msgspec.structs.replace(chosen, recorded_to=_earlier(known_at, chosen.recorded_to))
    last = None if unfiltered else await reader.last_place(org_id, chosen)
    up_to = await reader.place_at(org_id, chosen.recorded_to or _EVER) if last is None else last
    ends_at = chosen.event_to if last is None else as_of
    if whole and not passed[0]:
        balances = {each.no: each.balance for each in await reader.balances(org_id, row.no, now, now)}
    elif whole and effective and as_of is not None:
        balances = await reader.balances_counting(org_id, row.no, numbers, as_of, now)
    elif effective and ends_at is not None:
        balances = await reader.balances_effective(org_id, numbers, ends_at, up_to)
    else:
        balances = await reader.balances_at(org_id, numbers, up_to)
    directory = view.directory
    return ClosingBalance(
        member=public("mem", row.id),
        up_to=up_to,
        balances=tuple(
            ClosingLine(
                program=program_ref(directory, account.program_no) if account.program_no else None,
                category=account.category,
                asset=account.asset,
                account=public("bln", account.id),
                balance=points(balances.get(account.no, 0), directory.scale_or_zero(account.asset)),
            )
            for account in view.accounts.values()
        ),
    )


class View(Struct):
    """A filter made ready: what the store is asked, and the accounts whose lines are shown."""

    filter: LedgerFilter
    accounts: dict[int, AccountRow]
    directory: Directory
    narrow: bool
    types: tuple[EntryType, ...]


async def view_of(call: Call, row: MemberRow, query: FilterQuery) -> View:
    directory = await call.directory()
    every = await call.services.reader.accounts(call.org_id, row.no)
    program = None
    if query.program is not None:
        program = find(directory.programs, program_selector(query.program))
        if program is None:
            raise Problem("program_not_found", field="program")
    elif query.include_till_concept_events:
        detail = "It needs `program`, whose tills are meant."
        raise Problem("invalid_value", detail, field="include_till_concept_events")
    types = query.entry_type or _TYPES
    categories = query.category or _CATEGORIES
    accounts = {
        no: account
        for no, account in every.items()
        if (account.tracks_lots if query.asset is None else account.asset == query.asset)
        and (program is None or account.program_no == program.no)
        and (not query.category or account.category in categories)
    }
    narrow = bool(query.entry_type or query.category or program or query.asset)
    since, until = instant(query.since, "since"), instant(query.until, "until")
    recorded = query.time == "recorded"
    numbers = tuple(accounts)
    mask = programs = 0
    if narrow and all(account.tracks_lots for account in accounts.values()):
        mask = sum(entry_bit(type_, category) for type_ in types for category in categories)
        asked = {account.program_no for account in accounts.values()} | ({program.no} if program else set())
        programs = reduce(or_, map(program_bit, asked), 0)
    concept = query.include_till_concept_events and "debit" in types and "regular" in categories
    return View(
        filter=LedgerFilter(
            member=row.no,
            mask=mask,
            programs=programs,
            names=tuple(name.value for name in query.event),
            sources=query.source,
            stores=tuple(_numbers(directory.stores, query.store, store_selector, "store")),
            tills=tuple(_numbers(directory.tills, query.till, till_selector, "till")),
            recorded_from=since if recorded else None,
            recorded_to=until if recorded else None,
            event_from=None if recorded else since,
            event_to=None if recorded else until,
            exact=narrow,
            credits=numbers if "credit" in types else (),
            debits=numbers if "debit" in types else (),
            openings=numbers if "opening_balance" in types else (),
            till_program=program.no if program is not None and concept else -1,
        ),
        accounts=accounts,
        directory=directory,
        narrow=narrow,
        types=types,
    )


def _numbers(things: dict[int, Any], given: tuple[str, ...], selector: Any, noun: str) -> list[int]:
    numbers = []
    for text in given:
        thing = find(things, selector(text, noun))
        if thing is None:
            raise Problem(f"{noun}_not_found", field=noun)
        numbers.append(thing.no)
    return numbers


def _bound(query: FilterQuery) -> tuple[object, ...]:
    """What a cursor is bound to: every filter, as it was given."""
    return tuple(getattr(query, name) for name in FilterQuery.__struct_fields__)


_OF_EVENTS = ("source", "store", "till", "since", "entry_type", "include_till_concept_events", "event")
"""The filters that choose events; the others choose accounts, or the moment at which the view ends."""


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    """The earlier of two bounds, None for no bound."""
    return min((at for at in (one, other) if at is not None), default=None)


_EVER = datetime.max.replace(tzinfo=UTC)


class Page:
    """What the events of one page are rendered from."""

    def __init__(
        self,
        view: View,
        every: dict[int, AccountRow],
        entries: list[EntryRow],
        purchases: dict[int, NamedPurchase],
        lots: dict[int, LotRow],
        promotions: dict[int, list[PromotionRow]],
        expand: tuple[str, ...],
    ) -> None:
        self._view = view
        self._directory = view.directory
        self._every = every
        self._entries = {entry.seq: entry for entry in entries}
        self.purchases = purchases
        self._lots = lots
        self._promotions = promotions
        self._expand = expand

    def event(self, row: EventRow) -> EventOut:
        directory = self._directory
        body: dict[str, Any] = msgspec.json.decode(row.body) if row.body else {}
        entries = tuple(self._lines(row, body))
        purchase = self.purchases.get(row.purchase_no)
        redemption = body.get("redemption_id")
        return EventOut(
            event_log_id=row.seq,
            id=public("evt", row.id),
            name=row.name,
            event_at=row.event_at,
            recorded_at=row.recorded_at,
            points_on_event=points(row.points, self._scale(row, body)),
            entries=entries,
            source=row.source,
            store=store_ref(directory, row.store_no),
            till=till_ref(directory, row.till_no),
            program=program_ref(directory, row.program_no) if row.program_no else None,
            reference=row.reference,
            reason=row.reason,
            actor=row.actor,
            transaction=_transaction(purchase) if row.name == Name.TRANSACTION_ADD else None,
            purchase_return=_return(purchase, body) if row.name == Name.TRANSACTION_RETURN else None,
            redemption=None if redemption is None else public("rdm", redemption),
            lots=tuple(self._moves(row)) if "lots" in self._expand else None,
            purchase=_purchase(purchase) if "purchase" in self._expand else None,
            promotions=tuple(self._given(row, body)) if "promotions" in self._expand else None,
        )

    def _given(self, row: EventRow, body: dict[str, Any]) -> Iterator[PromotionGiven]:
        scale = self._scale(row, body)
        for each in self._promotions.get(row.seq, ()):
            yield PromotionGiven(
                id=public("prm", each.id),
                version=each.version,
                name=each.name,
                code=each.code,
                issue=public("iss", each.issue) if each.issue else None,
                discount_minor=each.discount,
                voucher_minor=each.voucher,
                points=points(each.points, scale),
            )

    def _lines(self, row: EventRow, body: dict[str, Any]) -> list[EntryOut]:
        """The event's entries that the view shows, in order."""
        chosen = self._view.filter
        concept = chosen.till_program > 0 and row.name == Name.POINTS_REDEMPTION
        concept = concept and row.program_no == chosen.till_program
        shown_accounts = self._every if concept else self._accounts()
        lines: list[EntryOut] = []
        entries = self._entries_of(row)
        credit: EntryType = "opening_balance" if row.name == Name.POINTS_LEDGER_BULK_JOB else "credit"
        if "opening_balance" in self._view.types:
            brought = {entry.destination for entry in entries}
            for opening in body.get("opening", ()):
                account = shown_accounts.get(opening["account_no"])
                if account is not None and account.no not in brought:
                    lines.append(self._line("opening_balance", account, 0, 0))
        for entry in entries:
            debited, credited = shown_accounts.get(entry.source), shown_accounts.get(entry.destination)
            if debited is not None and "debit" in self._view.types:
                lines.append(self._line("debit", debited, entry.amount, entry.source_balance))
            if credited is not None and credit in self._view.types:
                lines.append(self._line(credit, credited, entry.amount, entry.destination_balance))
        return lines

    def _entries_of(self, row: EventRow) -> list[EntryRow]:
        return [self._entries[seq] for seq in row.transfer_seqs if seq in self._entries]

    def _accounts(self) -> dict[int, AccountRow]:
        """The accounts whose lines are shown; without a filter all points accounts, also those opened just now."""
        if self._view.narrow:
            return self._view.accounts
        return {no: account for no, account in self._every.items() if account.tracks_lots}

    def _line(self, type_: EntryType, account: AccountRow, amount: int, balance: int) -> EntryOut:
        scale = self._directory.scale_or_zero(account.asset)
        return EntryOut(
            type=type_,
            points=points(amount, scale),
            asset=account.asset,
            category=account.category,
            program=program_ref(self._directory, account.program_no) if account.program_no else None,
            account=public("bln", account.id),
            balance_after=points(balance, scale),
        )

    def _scale(self, row: EventRow, body: dict[str, Any]) -> int:
        """The scale of the event's points: that of an account it touched, else of the program it names."""
        for entry in self._entries_of(row):
            for no in (entry.source, entry.destination):
                account = self._every.get(no)
                if account is not None and account.tracks_lots:
                    return self._directory.scale_or_zero(account.asset)
        program = self._directory.programs.get(body.get("program_no", 0))
        return 0 if program is None else self._directory.scale_or_zero(program.asset)

    def opened(self, row: EventRow) -> list[tuple[LotRow, AccountRow, LotMove]]:
        """The lots that an event opened for the member; they have to be asked for with `lots`."""
        found = []
        for move in decode_moves(row.lot_moves):
            lot = self._lots.get(move.lot)
            account = None if lot is None else self._every.get(lot.account)
            if move.kind == "open" and lot is not None and account is not None:
                found.append((lot, account, move))
        return found

    def across(self, row: EventRow, *, credited: bool) -> list[tuple[int, AccountRow, int]]:
        """The entries that credit (or debit) the member's points: the account on the other side, the member's, and the
        amount."""
        found = []
        for entry in self._entries_of(row):
            mine, other = (entry.destination, entry.source) if credited else (entry.source, entry.destination)
            account = self._every.get(mine)
            if account is not None and account.tracks_lots and other not in self._every:
                found.append((other, account, entry.amount))
        return found

    def _moves(self, row: EventRow) -> list[LotMoveOut]:
        return [self._move(move) for move in decode_moves(row.lot_moves)]

    def _move(self, move: LotMove) -> LotMoveOut:
        lot = self._lots.get(move.lot)
        account = None if lot is None else self._every.get(lot.account)
        if lot is None or account is None:
            return LotMoveOut(
                lot=move.lot,
                move=move.kind,
                points=points(move.amount, 0),
                expires_at=None,
                rule=move.rule,
                version=None,
            )
        program = self._directory.programs[account.program_no]
        return LotMoveOut(
            lot=move.lot,
            move=move.kind,
            points=points(move.amount, self._directory.scale_or_zero(account.asset)),
            expires_at=last_moment(lot.expires_at, program.policies.timezone),
            rule=move.rule,
            version=lot.version,
        )


async def page_of(call: Call, view: View, row: MemberRow, rows: list[EventRow], expand: tuple[str, ...]) -> Page:
    """Read what the events of a page need, in one statement per kind."""
    reader, org_id = call.services.reader, call.org_id
    if not rows:
        return Page(view, {}, [], {}, {}, {}, expand)
    wanted = {event.purchase_no for event in rows if event.purchase_no}
    purchases = await reader.purchases_named(org_id, wanted) if wanted else {}
    lots: dict[int, LotRow] = {}
    if "lots" in expand:
        moved = {move.lot for event in rows for move in decode_moves(event.lot_moves)}
        lots = await reader.lots_named(org_id, moved)
    entries = await reader.entries(org_id, rows)
    every = await reader.accounts(org_id, row.no)
    promotions: dict[int, list[PromotionRow]] = {}
    if "promotions" in expand:
        promotions = await reader.promotions_of(org_id, [event.seq for event in rows])
    return Page(view, every, entries, purchases, lots, promotions, expand)


def _transaction(purchase: NamedPurchase | None) -> TransactionOut | None:
    return None if purchase is None else TransactionOut(id=public("pur", purchase.id), number=purchase.number)


def _return(purchase: NamedPurchase | None, body: dict[str, Any]) -> ReturnOut | None:
    original = _transaction(purchase)
    if original is None:
        return None
    return ReturnOut(id=public("ret", body["return_id"]), number=body["return_number"], purchase=original)


def _purchase(purchase: NamedPurchase | None) -> PurchaseOutline | None:
    if purchase is None:
        return None
    return PurchaseOutline(
        id=public("pur", purchase.id),
        number=purchase.number,
        event_at=purchase.event_at,
        currency=purchase.currency,
        amount_minor=purchase.amount,
        paid_minor=purchase.paid,
    )
