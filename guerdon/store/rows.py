"""Rows as `queries/load.sql` selects them, made into core records and put where a `State` keeps them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from guerdon.core import state as core_state
from guerdon.core.access import ApiKey
from guerdon.core.accounts import Account, Figures, Hold, Ledger, Scheduled, Transfer
from guerdon.core.activity import Activity, Back, Bill, Deed, deeds
from guerdon.core.adjustments import Adjustment, Decision
from guerdon.core.cart_returns import CartReturn
from guerdon.core.catalogue import ListTerms, Reward, RewardList, RewardTerms
from guerdon.core.claims import Claim
from guerdon.core.codes import Code, CodeBatch, CodeLink, Switch
from guerdon.core.commands import Line, Tender
from guerdon.core.division import Division
from guerdon.core.events import Event
from guerdon.core.issues import Done, IssueMove, PromotionIssue
from guerdon.core.lots import Lot, by_expiry
from guerdon.core.members import Member
from guerdon.core.persons import Person, profile_of
from guerdon.core.programs import Planned, Policies, Program
from guerdon.core.promises import by_release
from guerdon.core.promotions.terms import Promotion
from guerdon.core.purchases import Purchase, PurchaseReturn
from guerdon.core.redemptions import Redemption
from guerdon.core.referrals import Referral
from guerdon.core.segments import Condition, Segment
from guerdon.core.standings import Standing
from guerdon.core.state import Reach, State
from guerdon.core.tallies import Part, Raised, Tally
from guerdon.core.tiers import Reckoning, Structure, TierTerms
from guerdon.core.uses import CartCommit, Reservation, Use
from guerdon.core.webhooks import Webhook

Row = tuple[Any, ...]
LotInAccount = tuple[
    int, int, int, int, int, int, int, int, int, datetime, datetime | None, str, int, int | None, int,
    datetime | None, str,
]  # fmt: skip

_lots_in_account = msgspec.json.Decoder(list[LotInAccount]).decode
_pins = msgspec.json.Decoder(tuple[tuple[int, int], ...]).decode
lines_of = msgspec.json.Decoder(tuple[Line, ...]).decode
_shares = msgspec.json.Decoder(tuple[int, ...]).decode
_division = msgspec.json.Decoder(Division).decode
_returned_lines = msgspec.json.Decoder(tuple[tuple[int, int], ...]).decode
_parts = msgspec.json.Decoder(tuple[Part, ...]).decode
_raises = msgspec.json.Decoder(tuple[Raised, ...]).decode
_tenders = msgspec.json.Decoder(tuple[Tender, ...]).decode
_segment = msgspec.json.Decoder(Condition).decode
_reckoning = msgspec.json.Decoder(Reckoning).decode
_tiers = msgspec.json.Decoder(TierTerms).decode
promotion = msgspec.json.Decoder(Promotion).decode
policies = msgspec.json.Decoder(Policies).decode
list_terms = msgspec.json.Decoder(ListTerms).decode
reward_terms = msgspec.json.Decoder(RewardTerms).decode


def take_accounts(state: State, rows: Iterable[Row], lots_asked: int = 0) -> None:
    """Accounts with their figures and lots. `lots_asked` is how many were asked for of those that are spent first."""
    accounts, figures, lots = state.accounts, state.figures, state.lots
    for (
        no, id_, ledger_no, asset, indicator, member_no, program_no, category, role, tracks_lots, opened_at, options,
        credit, debit, inflight_credit, inflight_debit, version, floor, in_account, released, first,
    ) in rows:  # fmt: skip
        accounts[no] = Account(
            no, id_, ledger_no, asset, opened_at, indicator, member_no, program_no, category, role, tracks_lots, options
        )
        if version is not None:
            figures[no] = Figures(
                int(credit), int(debit), int(inflight_credit), int(inflight_debit), version,
                None if floor is None else int(floor),
            )  # fmt: skip
        if in_account:
            known = [_lot(lot[0], no, *lot[1:]) for lot in _lots_in_account(in_account)]
            lots.update([(lot.no, lot) for lot in known])
            take_ended(state, no, known, core_state.DUE_LOTS)
        if released:
            known = [_lot(lot[0], no, *lot[1:]) for lot in _lots_in_account(released)]
            lots.update([(lot.no, lot) for lot in known])
            take_released(state, no, known, core_state.DUE_LOTS)
        if tracks_lots and lots_asked:
            known = [_lot(lot[0], no, *lot[1:]) for lot in _lots_in_account(first)] if first else []
            lots.update([(lot.no, lot) for lot in known])
            take_reach(state, no, known, lots_asked)


def take_lots(state: State, rows: Iterable[Row]) -> None:
    for row in rows:
        state.lots[row[0]] = _lot(*row)


def take_first_lots(state: State, rows: Iterable[Row], asked: dict[int, int]) -> None:
    """Lots of accounts of which so many were asked for."""
    for no, lots in _by_account(state, rows, asked).items():
        take_reach(state, no, lots, asked[no])


def take_ended_lots(state: State, rows: Iterable[Row], asked: dict[int, int | None]) -> None:
    """Lots that have ended, of accounts of which so many were asked for, None for all."""
    for no, lots in _by_account(state, rows, asked).items():
        take_ended(state, no, lots, asked[no])


def take_released_lots(state: State, rows: Iterable[Row], asked: dict[int, int | None]) -> None:
    """Lots that were released, of accounts of which so many were asked for, None for all."""
    for no, lots in _by_account(state, rows, asked).items():
        take_released(state, no, lots, asked[no])


def _by_account(state: State, rows: Iterable[Row], asked: Iterable[int]) -> dict[int, list[Lot]]:
    found: dict[int, list[Lot]] = {no: [] for no in asked}
    for row in rows:
        lot = state.lots[row[0]] = _lot(*row)
        found[lot.account].append(lot)
    return found


def take_reach(state: State, account_no: int, first: list[Lot], asked: int) -> None:
    """Remember how far an account's lots are known, by the first ones of those that have not come due."""
    if len(first) < asked:
        state.found[("lots", account_no)] = True
    elif account_no not in state.reach or state.reach[account_no].asked < asked:
        state.reach[account_no] = Reach(max([by_expiry(lot) for lot in first]), asked)


def take_ended(state: State, account_no: int, ended: list[Lot], asked: int | None) -> None:
    """Remember how far the lots of an account are known that have ended, by the first ones of them."""
    if asked is None or len(ended) < asked:
        state.found[("due", account_no)] = True
    elif account_no not in state.due or state.due[account_no].asked < asked:
        state.due[account_no] = Reach(max([by_expiry(lot) for lot in ended]), asked)


def take_released(state: State, account_no: int, released: list[Lot], asked: int | None) -> None:
    """Remember how far the lots of an account are known that were released, by the first ones of them."""
    if asked is None or len(released) < asked:
        state.found[("released", account_no)] = True
    elif account_no not in state.releasing or state.releasing[account_no].asked < asked:
        state.releasing[account_no] = Reach(max([by_release(lot) for lot in released]), asked)


def take_members(state: State, rows: Iterable[Row]) -> None:
    """Members, found by what stands first in the row, and that none of their accounts is known yet."""
    for by, value, no, id_, status, enrolled, registered_at, survivor_no, names in rows:
        state.members[no] = Member(
            no=no, id=id_, status=status, enrolled=enrolled, registered_at=registered_at, survivor_no=survivor_no,
            identifiers=_pairs(names, alias=False), aliases=_pairs(names, alias=True),
        )  # fmt: skip
        state.member_accounts.setdefault(no, {})
        state.found[("member", by, value)] = no


def _pairs(names: list[str], *, alias: bool) -> tuple[tuple[str, str], ...]:
    """Identifiers as they come from the database, `kind:value`, or those behind a ~."""
    wanted = [name.removeprefix("~") for name in names if name.startswith("~") is alias]
    return tuple([(kind, text) for kind, _, text in (each.partition(":") for each in wanted)])


def take_member_accounts(state: State, rows: Iterable[Row], lots_asked: int) -> None:
    rows = list(rows)
    take_accounts(state, rows, lots_asked)
    for row in rows:
        no, member_no, program_no, category = row[0], row[5], row[6], row[7]
        if program_no:
            state.member_accounts.setdefault(member_no, {})[(program_no, category)] = no


def take_transfers(state: State, rows: Iterable[Row]) -> None:
    for row in rows:
        state.transfers[row[0]] = Transfer(*row)


def take_holds(state: State, rows: Iterable[Row]) -> None:
    for seq, transfer_id, remaining, released, expires_at, commits_at, pins in rows:
        state.holds[seq] = Hold(
            seq=seq, transfer_id=transfer_id, remaining=remaining, released=released, expires_at=expires_at,
            commits_at=commits_at, pins=_pins(pins),
        )  # fmt: skip


def take_scheduled(state: State, rows: Iterable[Row]) -> None:
    for seq, transfer_id, due_at, done, request in rows:
        state.scheduled[seq] = Scheduled(seq=seq, transfer_id=transfer_id, due_at=due_at, done=done, request=request)


def take_events(state: State, rows: Iterable[Row]) -> None:
    for row in rows:
        state.events[row[0]] = Event(**dict(zip(Event.__struct_fields__, row, strict=True)))


def take_ledgers(state: State, rows: Iterable[Row]) -> None:
    for no, id_, name, opened_at in rows:
        state.ledgers[no] = Ledger(no=no, id=id_, name=name, opened_at=opened_at)
        state.found[("ledger", id_)] = no


def take_purchase(state: State, row: Row) -> Purchase:
    """A purchase, and the redemption beside it if there is one."""
    (
        no, id_, number, member_no, event_seq, event_at, recorded_at, currency, amount, paid, spent_points,
        redemption_id, source, store_no, till_no, lines, shares, division, tenders, fingerprint, result, meta,
        program_no, *redemption,
    ) = row  # fmt: skip
    if redemption[0] is not None:
        take_redemption(state, tuple(redemption))
    state.purchases[no] = purchase = Purchase(
        no=no, id=id_, number=number, member_no=member_no, event_seq=event_seq, event_at=event_at,
        recorded_at=recorded_at, currency=currency, amount=amount, paid=paid, spent_points=spent_points,
        redemption_id=redemption_id, source=source, store_no=store_no, till_no=till_no, lines=lines_of(lines),
        shares=_shares(shares), division=_division(division), tenders=_tenders(tenders), fingerprint=fingerprint,
        result=result, meta=meta, program_no=program_no,
    )  # fmt: skip
    return purchase


def take_return(state: State, row: Row) -> PurchaseReturn:
    fields = dict(zip(PurchaseReturn.__struct_fields__, row, strict=True))
    fields |= {"lines": _returned_lines(fields["lines"]), "earned": _shares(fields["earned"])}
    returned = state.returns[fields["no"]] = PurchaseReturn(**fields)
    return returned


def take_redemption(state: State, row: Row) -> Redemption:
    redemption = Redemption(**dict(zip(Redemption.__struct_fields__, row, strict=True)))
    state.redemptions[redemption.id] = redemption
    return redemption


def take_counter(state: State, row: Row) -> None:
    owner, limit, subject, period, used, last_at, parts = row
    state.promotion_counters["counter", owner, limit, subject, period] = Tally(
        used=int(used), last_at=last_at, parts=_parts(parts)
    )


def take_use(state: State, row: Row) -> Use:
    fields = dict(zip(Use.__struct_fields__, row, strict=True))
    fields |= {name: int(fields[name]) for name in ("times", "discount", "voucher", "points")}
    use = Use(**{**fields, "raises": _raises(fields["raises"])})
    state.promotion_uses[use.event_seq, use.position] = use
    return use


def take_commit(state: State, row: Row) -> CartCommit:
    fields = dict(zip(CartCommit.__struct_fields__, row, strict=True))
    commit = CartCommit(**{**fields, "lines": lines_of(fields["lines"]), "division": _division(fields["division"])})
    state.promotion_commits[commit.id] = commit
    return commit


def take_cart_return(state: State, row: Row) -> CartReturn:
    fields = dict(zip(CartReturn.__struct_fields__, row, strict=True))
    fields |= {"lines": _returned_lines(fields["lines"]), "earned": _shares(fields["earned"])}
    fields |= {name: int(fields[name]) for name in ("paid", "discount")}
    returned = state.cart_returns[fields["id"]] = CartReturn(**fields)
    return returned


def take_reservation(state: State, row: Row) -> Reservation:
    fields = dict(zip(Reservation.__struct_fields__, row, strict=True))
    reservation = Reservation(**{**fields, "raises": _raises(fields["raises"])})
    state.reservations[reservation.id] = reservation
    return reservation


def take_standing(state: State, row: Row) -> None:
    standing = standing_of(row)
    state.standings[standing.member_no, standing.program_no] = standing


def standing_of(row: Row) -> Standing:
    fields = dict(zip(Standing.__struct_fields__, row, strict=True))
    return Standing(**{**fields, "reckoning": _reckoning(fields["reckoning"])})


def structures(rows: Iterable[Row]) -> dict[int, tuple[Structure, ...]]:
    """All versions of tiers by program, as they come."""
    found: dict[int, tuple[Structure, ...]] = {}
    for program_no, version, starts_at, recorded_at, terms in rows:
        structure = Structure(
            program_no=program_no, version=version, starts_at=starts_at, recorded_at=recorded_at, terms=_tiers(terms)
        )
        found[program_no] = (*found.get(program_no, ()), structure)
    return found


def segments(rows: Iterable[Row]) -> dict[str, Segment]:
    """Segments by code."""
    return {
        code: Segment(
            code=code, version=version, name=name, condition=None if condition is None else _segment(condition)
        )
        for code, version, name, condition in rows
    }


def persons(rows: Iterable[Row]) -> dict[int, Person]:
    """What is known of members besides the ledger, one row for each list."""
    found: dict[int, Person] = {}
    for no, profile, segment, version, present in rows:
        person = found.get(no)
        if person is None:
            person = found[no] = Person(profile=profile_of(profile), lists={})
        if segment is not None:
            person.lists[segment] = (version, present)
    return found


def activities(families: Iterable[Row], bought: Iterable[Row], returned: Iterable[Row]) -> dict[int, Activity]:
    """What members did, by number."""
    joined: dict[int, list[tuple[datetime, datetime]]] = {}
    for root, _, since, registered_at in families:
        joined.setdefault(root, []).append((since, registered_at))
    returns: dict[int, list[Back]] = {}
    for purchase_no, no, event_at, lines, paid, earned in returned:
        back = Back(no=no, event_at=event_at, lines=_returned_lines(lines), paid=int(paid), earned=_shares(earned))
        returns.setdefault(purchase_no, []).append(back)
    done: dict[int, list[Deed]] = {root: [] for root in joined}
    for root, since, no, program_no, event_at, currency, paid, lines, division in bought:
        bill = Bill(
            no=no, program_no=program_no, event_at=event_at, currency=currency, paid=int(paid), lines=lines_of(lines),
            division=_division(division),
        )  # fmt: skip
        for deed in deeds(bill, returns.get(no, ())):
            done[root].append(deed if deed.at >= since else msgspec.structs.replace(deed, at=since))
    return {root: Activity(joined=tuple(joined[root]), deeds=tuple(done[root])) for root in joined}


def take_referral(state: State, row: Row) -> Referral:
    referral = Referral(**dict(zip(Referral.__struct_fields__, row, strict=True)))
    state.referrals[referral.id] = referral
    return referral


def take_adjustment(state: State, row: Row) -> Adjustment:
    """An adjustment, and what was decided about it."""
    adjustment = Adjustment(**dict(zip(Adjustment.__struct_fields__, row[:10], strict=True)))
    state.adjustments[adjustment.id] = adjustment
    if row[10] is not None:
        state.decisions[adjustment.id] = Decision(
            **dict(zip(Decision.__struct_fields__, (adjustment.id, *row[10:]), strict=True))
        )
    return adjustment


def take_reward_list(state: State, row: Row) -> RewardList:
    *fields, terms = row
    listed = RewardList(**dict(zip(RewardList.__struct_fields__, (*fields, list_terms(terms)), strict=True)))
    state.reward_lists[listed.id] = listed
    return listed


def take_reward(state: State, row: Row) -> Reward:
    *fields, terms = row
    reward = Reward(**dict(zip(Reward.__struct_fields__, (*fields, reward_terms(terms)), strict=True)))
    state.rewards[reward.id] = reward
    return reward


def take_claim(state: State, row: Row) -> Claim:
    claim = Claim(**dict(zip(Claim.__struct_fields__, row, strict=True)))
    state.claims[claim.id] = claim
    return claim


_BATCH = len(CodeBatch.__struct_fields__)


def take_code_batch(state: State, row: Row) -> CodeBatch:
    """A batch of codes and its own switch."""
    batch = CodeBatch(**dict(zip(CodeBatch.__struct_fields__, row[:_BATCH], strict=True)))
    state.code_batches[batch.id] = batch
    state.found[("code_batch", batch.id)] = batch.id
    version, active, reason = row[_BATCH : _BATCH + 3]
    if version is not None:
        state.code_switches[batch.id, ""] = Switch(version, active, reason)
    return batch


def take_code(state: State, row: Row) -> int:
    """A code, its batch, their switches and its link. Returns the number of the member it is linked to, 0 for none."""
    batch = take_code_batch(state, row)
    text, no, version, active, reason, link_id, member_no, mode, linked_at, actor = row[_BATCH + 3 :]
    state.codes[text] = Code(text, batch.id, no)
    state.found[("code", text)] = text
    if version is not None:
        state.code_switches[batch.id, text] = Switch(version, active, reason)
    if link_id is None:
        return 0
    state.code_links[text] = CodeLink(
        code=text, id=link_id, member_no=member_no, mode=mode, linked_at=linked_at, actor=actor
    )
    return int(member_no)


_ISSUE = len(PromotionIssue.__struct_fields__)


def take_issue(state: State, row: Row) -> PromotionIssue:
    """An issue with what was done to it."""
    issue = PromotionIssue(**dict(zip(PromotionIssue.__struct_fields__, row[:_ISSUE], strict=True)))
    state.issues[issue.id] = issue
    state.found[("issue", issue.id)] = issue.id
    moves = row[_ISSUE:]
    done: Done
    for done, (moved_at, ends_at, actor) in (("activated", moves[:3]), ("revoked", moves[3:])):
        if moved_at is not None:
            state.issue_moves[issue.id, done] = IssueMove(
                issue=issue.id, done=done, moved_at=moved_at, ends_at=ends_at, actor=actor
            )
    return issue


def api_key(row: Row) -> ApiKey:
    id_, name, owner, scopes, hash_, created_at, expires_at, revoked_at = row
    return ApiKey(
        id=id_, name=name, owner=owner, scopes=tuple(scopes), hash=hash_, created_at=created_at,
        expires_at=expires_at, revoked_at=revoked_at,
    )  # fmt: skip


def webhook(row: Row) -> Webhook:
    id_, url, description, filters, status, reason, generation, old_until, replays, start_seq, created_at, since = row
    return Webhook(
        id=id_, url=url, description=description, filters=tuple(filters), status=status, reason=reason,
        generation=generation, old_until=old_until, replays=replays, start_seq=start_seq, created_at=created_at,
        active_since=since,
    )  # fmt: skip


def program(row: Row) -> Program:
    no, id_, ledger_no, code, name, asset, first, version, text = row
    return Program(
        no=no, id=id_, ledger_no=ledger_no, code=code, name=name, asset=asset, first=first, version=version,
        policies=policies(text),
    )  # fmt: skip


def planned(found: list[Row]) -> dict[int, tuple[Planned, ...]]:
    """Versions that are to begin, by program."""
    programs: dict[int, tuple[Planned, ...]] = {}
    for no, version, starts_at, text in found:
        plan = Planned(version=version, starts_at=starts_at, policies=policies(text))
        programs[no] = (*programs.get(no, ()), plan)
    return programs


def _lot(
    no: int, account: int, event_seq: int, amount: int, remaining: int, redeemed: int, returned: int, expired: int,
    held: int, written_off: int, earned_at: datetime, expires_at: datetime | None, rule: str, version: int,
    line: int | None, purchase_no: int, releases_at: datetime | None, promise: str,
) -> Lot:  # fmt: skip
    return Lot(
        no, account, event_seq, amount, remaining, earned_at, expires_at, redeemed, returned, expired, held,
        written_off, rule, version, line, purchase_no, releases_at, promise,
    )  # fmt: skip
