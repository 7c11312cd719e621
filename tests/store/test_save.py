"""What `save` writes, beyond what `test_load` reads back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import msgspec
import psycopg
import pytest

from guerdon.core import state as core_state
from guerdon.core.accounts import Figures, Transfer
from guerdon.core.chain import START, link
from guerdon.core.events import Event
from guerdon.core.members import Member
from guerdon.core.programs import Planned
from guerdon.store import organisations, save
from guerdon.store.load import load
from guerdon.store.memory import Memories
from guerdon.store.save import append
from guerdon.store.wire import wire
from tests.store import records as r
from tests.store.conftest import Shop

ODD = 'ä "quoted" \\ back\nline\ttab {brace},comma NULL \u2028 😀'


async def rows(shop: Shop, query: str) -> list[tuple[Any, ...]]:
    """What a query sees as the application, in a transaction of its own."""
    await shop.look()
    await shop.connection.execute("select set_config('guerdon.org', %s, true)", (str(shop.org_id),))
    found = await (await shop.connection.execute(query)).fetchall()
    await shop.connection.rollback()
    return found


async def test_every_row_is_linked_to_the_one_before_it(stocked: Shop) -> None:
    hashes = dict(await rows(stocked, "select seq, hash from events union all select seq, hash from transfers"))
    state = await stocked.look(("event", 1), ("event", 3), ("event", 5))
    last = START
    history: list[Event | Transfer] = [*state.events.values(), *state.transfers.values()]
    for row in sorted(history, key=lambda row: row.seq):
        last = link(last, row)
        assert hashes[row.seq] == last
    assert state.last_hash == last
    assert len(hashes) == 8


@pytest.mark.parametrize("field", [*Event.__struct_fields__, *Transfer.__struct_fields__])
def test_a_change_in_any_column_changes_the_hash(field: str) -> None:
    for row in (r.EARNING, r.HELD):
        if field in row.__struct_fields__:
            other = "other" if getattr(row, field) != "other" else "another"
            assert link(START, msgspec.structs.replace(row, **{field: other})) != link(START, row)


def test_the_hash_of_a_row_never_changes() -> None:
    assert link(START, r.EARNING).hex() == "322840264a2133cfb4ecc28b992421f064441af3ed69c64da8c0294bb743f5cd"
    assert link(START, r.HELD).hex() == "ab6ed987b45993cdcd351f5cde6e9dbf2f7f9eb112a5615136303b50b25792f3"


async def test_text_of_any_kind_comes_back_as_it_was(shop: Shop) -> None:
    state = await shop.load()
    state.begin(r.uuid(0), r.NOON)
    state.append(state.events, msgspec.structs.replace(r.EARNING, body=ODD, reason=ODD, lot_moves=""))
    state.put(state.outcomes, ("a", ODD), (b"", ODD, r.NOON))
    state.put(state.ledgers, 2, msgspec.structs.replace(r.LEDGER, name=ODD))
    state.accept()
    await shop.save(state)
    state = await shop.look(("event", 1), ("outcome", "a", ODD), ("ledger", r.LEDGER.id))
    assert (state.events[1].body, state.events[1].reason, state.ledgers[2].name) == (ODD, ODD, ODD)
    assert state.find(("outcome", "a", ODD)) == (b"", ODD)


async def test_text_with_a_zero_character_is_refused_and_nothing_is_saved(shop: Shop) -> None:
    state = await shop.load()
    state.begin(r.uuid(0), r.NOON)
    state.put(state.ledgers, 2, msgspec.structs.replace(r.LEDGER, name="a\x00b"))
    state.accept()
    with pytest.raises(psycopg.Error):
        await shop.save(state)
    await shop.connection.rollback()
    assert (await shop.look(("ledger", r.LEDGER.id))).find(("ledger", r.LEDGER.id)) is None


async def test_figures_of_38_digits_are_exact_and_39_are_refused(shop: Shop) -> None:
    state = await shop.load()
    state.begin(r.uuid(0), r.NOON)
    state.put(state.accounts, 1, r.POOL)
    state.put(state.figures, 1, Figures(r.HUGE, r.HUGE - 1, r.HUGE, r.HUGE, 2**62, -r.HUGE))
    state.accept()
    await shop.save(state)
    state = await shop.load(("account_no", 1))
    assert state.figures[1] == Figures(r.HUGE, r.HUGE - 1, r.HUGE, r.HUGE, 2**62, -r.HUGE)
    state.put(state.figures, 1, Figures(r.HUGE + 1))
    with pytest.raises(psycopg.errors.NumericValueOutOfRange):
        await shop.save(state)
    await shop.connection.rollback()


async def test_a_row_that_changed_often_is_written_once_as_it_ended(stocked: Shop) -> None:
    state = await stocked.load(("account_no", 2), ("lots", 2), ("transfer", r.HELD.id), ("transfer", r.WAITING.id))
    state.begin(r.uuid(0), r.NOON)
    for credit in (101, 102, 103):
        state.put(state.figures, 2, Figures(credit, 43, 0, 4, credit, 0))
    state.put(state.lots, 3, msgspec.structs.replace(r.OPEN, remaining=0, held=0, redeemed=20))
    state.put(state.holds, 6, msgspec.structs.replace(r.HOLD, remaining=0, released=True, pins=()))
    state.put(state.scheduled, 8, msgspec.structs.replace(r.SCHEDULED, done=True))
    state.accept()
    await stocked.save(state)
    state = await stocked.look(("account_no", 2), ("lots", 2), ("transfer", r.HELD.id), ("transfer", r.WAITING.id))
    assert state.figures[2] == Figures(103, 43, 0, 4, 103, 0)
    assert sorted(state.lots) == [2, 4]
    assert state.holds[6] == msgspec.structs.replace(r.HOLD, remaining=0, released=True, pins=())
    assert state.scheduled[8].done
    assert await rows(stocked, "select remaining, redeemed, returned, expired, held from lots where no = 3") == [
        (0, 20, 5, 5, 0)
    ]


async def test_what_may_change_changes(stocked: Shop) -> None:
    keys = (
        ("ledger", r.LEDGER.id), ("account", r.WALLET.id), ("redemption", r.REDEMPTION.id), ("key", stocked.api_key.id),
        ("member", "id", r.MEMBER.id),
    )  # fmt: skip
    state = await stocked.load(*keys)
    state.begin(r.uuid(0), r.NOON)
    ledger = msgspec.structs.replace(r.LEDGER, name="New")
    account = msgspec.structs.replace(r.WALLET, member_no=0, program_no=1, role="adjusted", options="x")
    redemption = msgspec.structs.replace(r.REDEMPTION, reversed=15)
    key = msgspec.structs.replace(stocked.api_key, revoked_at=r.LATER)
    member = msgspec.structs.replace(r.MEMBER, status="blocked", identifiers=(("email", "new@example.org"),))
    state.put(state.ledgers, 2, ledger)
    state.put(state.accounts, 3, account)
    state.put(state.redemptions, redemption.id, redemption)
    state.put(state.api_keys, key.id, key)
    state.put(state.members, 1, member)
    state.put(state.profiles, 1, '{"name":"Ada L."}')
    state.accept()
    await stocked.save(state)
    state = await stocked.look(*keys, ("account_no", 3), ("member", "email", "ada@example.org"))
    assert state.ledgers[2] == ledger
    assert state.accounts[3] == account
    assert state.redemptions[redemption.id] == redemption
    assert state.api_keys[key.id] == key
    assert state.members[1] == member
    assert state.find(("member", "email", "ada@example.org")) is None
    assert await rows(stocked, "select profile from member_profiles") == [({"name": "Ada L."},)]


async def test_an_identifier_may_pass_from_one_member_to_another_in_one_batch(stocked: Shop) -> None:
    state = await stocked.load(("member", "number", "1"))
    state.begin(r.uuid(0), r.NOON)
    state.put(state.members, 1, msgspec.structs.replace(r.MEMBER, identifiers=()))
    other = Member(no=2, id=r.uuid(50), registered_at=r.NOON, identifiers=r.MEMBER.identifiers)
    state.put(state.members, 2, other)
    state.accept()
    await stocked.save(state)
    state = await stocked.look(("member", "email", "ada@example.org"))
    assert state.find(("member", "email", "ada@example.org")) == 2
    assert state.members == {2: other}


async def test_a_removed_member_leaves_nothing_behind(stocked: Shop) -> None:
    state = await stocked.load(("member", "number", "1"))
    state.begin(r.uuid(0), r.NOON)
    state.put(state.removed_members, 1, True)
    state.accept()
    await stocked.save(state)
    for table in ("members", "member_identifiers", "member_profiles"):
        assert await rows(stocked, f"select 1 from {table}") == []


async def test_every_version_is_kept_with_its_own_time_and_actor(stocked: Shop) -> None:
    state = await stocked.load()
    later = r.NOON + timedelta(seconds=1)
    for number, at, actor in ((2, r.NOON, "ada"), (3, later, "bob")):
        state.begin(r.uuid(0), at, actor)
        state.put(state.programs, 1, msgspec.structs.replace(r.PROGRAM, version=number, name=actor))
        plan = Planned(version=number, starts_at=at, policies=r.PROGRAM.policies)
        state.put(state.program_versions, (1, number), plan)
        state.put(state.metadata, ("bln", r.WALLET.id), (number + 1, f'{{"a":{number + 1}}}'))
        state.accept()
    await stocked.save(state)
    assert await rows(stocked, "select version, recorded_at, actor from program_versions order by version") == [
        (1, r.NOON, "key"), (2, r.NOON, "ada"), (3, later, "bob"),
    ]  # fmt: skip
    assert await rows(stocked, "select version, meta, recorded_at, actor from metadata order by version") == [
        (1, '{"a":1}', r.NOON, "key"), (2, '{"a":2}', r.NOON, "key"), (3, '{"a":3}', r.NOON, "ada"),
        (4, '{"a":4}', later, "bob"),
    ]  # fmt: skip
    state = await stocked.look()
    assert state.config.programs == {1: msgspec.structs.replace(r.PROGRAM, version=3, name="bob")}
    assert state.last_recorded_at == later


async def test_rows_sent_while_deciding_are_the_same_as_rows_sent_at_the_end(shop: Shop) -> None:
    made = [msgspec.structs.replace(r.EARNED, seq=n, id=r.uuid(100 + n), event_seq=0, source_version=n,
                                    destination_version=n, reference=None) for n in range(1, 7)]  # fmt: skip
    async with wire(shop.connection):
        state = await shop.load()
        for transfer in made:
            state.begin(r.uuid(0), r.NOON)
            state.append(state.transfers, transfer)
            state.put(state.counters, "seq", transfer.seq)
            state.accept()
            await append(shop.connection, shop.org_id, state, at_least=3)
        await shop.save(state)
    last = START
    for transfer in made:
        last = link(last, transfer)
    assert (await shop.look()).last_hash == last
    assert [seq for (seq,) in await rows(shop, "select seq from transfers order by seq")] == [1, 2, 3, 4, 5, 6]


async def overdraw(shop: Shop) -> None:
    """Save a transfer with figures that the database does not accept."""
    state = await shop.load(("account_no", 2))
    state.begin(r.uuid(0), r.NOON)
    made = msgspec.structs.replace(
        r.EARNED, seq=9, id=r.uuid(99), source_version=9, destination_version=9, reference=None
    )
    state.append(state.transfers, made)
    await append(shop.connection, shop.org_id, state, at_least=1)
    state.put(state.figures, 2, Figures(100, 101, 0, 0, 5, 0))
    state.accept()
    await shop.save(state)


async def overdraw_in_a_pipeline(shop: Shop) -> None:
    async with wire(shop.connection):
        await overdraw(shop)


@pytest.mark.parametrize("attempt", [overdraw, overdraw_in_a_pipeline])
async def test_what_the_database_refuses_is_told_as_it_is_and_nothing_is_saved(
    stocked: Shop, attempt: Callable[[Shop], Awaitable[None]]
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="figures_above_floor"):
        await attempt(stocked)
    await stocked.connection.rollback()
    assert (await stocked.look(("transfer", r.uuid(99)))).transfers == {}


async def test_a_sequence_number_is_never_given_twice(stocked: Shop) -> None:
    state = await stocked.load()
    state.begin(r.uuid(0), r.NOON)
    state.append(state.transfers, r.EARNED)
    state.accept()
    with pytest.raises(psycopg.errors.UniqueViolation):
        await stocked.save(state)
    await stocked.connection.rollback()


async def test_a_batch_without_changes_ends_the_transaction_and_keeps_what_is_prepared(stocked: Shop) -> None:
    prepared = "select count(*), min(prepare_time) from pg_prepared_statements"
    await stocked.save(await stocked.load())
    before = await rows(stocked, prepared)
    await stocked.save(await stocked.load())
    assert stocked.connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert await rows(stocked, prepared) == before


async def test_another_organisation_sees_nothing(stocked: Shop) -> None:
    other = await organisations.create(stocked.connection, f"other-{stocked.org_id}")
    keys = (("account", r.REGULAR.id), ("purchase", "number", "B-1"), ("key", stocked.api_key.id), ("programs",))
    state = await load(stocked.connection, other.org_id, keys, r.NOON, Memories().take(other.org_id))
    await stocked.connection.rollback()
    assert [state.accounts, state.purchases, state.api_keys, state.config.programs] == [{}, {}, {}, {}]


async def test_making_an_organisation_again_changes_nothing(stocked: Shop) -> None:
    query = "select code from organisations where org_id = %s"
    (code,) = await (await stocked.connection.execute(query, (stocked.org_id,))).fetchone() or ("",)
    again = await organisations.create(stocked.connection, code, "Another name")
    assert again.org_id == stocked.org_id
    assert (await stocked.look()).counters["seq"] == 8
    assert await rows(stocked, "select count(*) from ledgers where no = 1") == [(1,)]


def test_every_table_of_a_state_has_a_place_where_it_is_saved() -> None:
    kept = {name for name, kind in core_state._TABLES if kind.kept}
    by_themselves = {"figures", "metadata"}
    saved = [set(save._RECORDS), save._MEMBERS, save._FACTS, save._CONFIGURATION, by_themselves]
    assert kept == set().union(*saved)
    assert len(kept) == sum(len(names) for names in saved), "and none has two"
