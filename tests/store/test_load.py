"""What `load` brings along for each kind of key, from an organisation that `save` has written."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from guerdon.core.accounts import GENERAL_LEDGER, Figures
from guerdon.core.lots import Lot, by_expiry, overdue, usable
from guerdon.core.programs import Config
from guerdon.core.state import Key, NotLoaded
from guerdon.store.load import OrganisationNotFound, load
from tests.store import records as r
from tests.store.conftest import Shop


async def test_an_account_comes_with_its_figures_and_overdue_lots(stocked: Shop) -> None:
    state = await stocked.look(("account", r.REGULAR.id))
    assert state.find(("account", r.REGULAR.id)) == 2
    assert state.accounts == {2: r.REGULAR}
    assert state.figures == {2: Figures(100, 43, 0, 4, 4, floor=0)}
    assert state.lots == {2: r.OVERDUE}
    assert state.account_lots == {2: {2: True}}
    with pytest.raises(NotLoaded):
        state.open_lots(2)


async def test_a_pinned_lot_is_not_overdue(stocked: Shop) -> None:
    state = await stocked.load()
    state.begin(r.uuid(0), r.NOON)
    state.put(
        state.lots,
        9,
        Lot(no=9, account=2, event_seq=1, amount=5, remaining=5, held=5, earned_at=r.NOON, expires_at=r.NOON),
    )
    state.accept()
    await stocked.save(state)
    state = await stocked.look(("account", r.REGULAR.id))
    assert [lot.no for lot in overdue(state, 2, r.NOON)] == [2]
    assert state.lots[9].free == 0, "known all the same, so that what is known of an account can be all there is"


async def test_lots_are_overdue_by_the_heads_time_where_this_clock_runs_behind_it(stocked: Shop) -> None:
    state = await stocked.load()
    state.begin(r.uuid(0), r.NOON + timedelta(hours=2))
    ends = r.NOON + timedelta(hours=1)
    lot = Lot(no=9, account=2, event_seq=1, amount=5, remaining=5, earned_at=r.NOON, expires_at=ends)
    state.put(state.lots, lot.no, lot)
    state.accept()
    await stocked.save(state)
    assert set((await stocked.look(("account", r.REGULAR.id))).lots) == {2, 9}


async def test_an_account_without_figures_has_none(stocked: Shop) -> None:
    state = await stocked.look(("account_no", 3))
    assert state.accounts == {3: r.WALLET}
    assert state.figures == {}
    assert state.find(("account_no", 3)) == 3


async def test_an_internal_account_is_found_by_name_and_asset(stocked: Shop) -> None:
    state = await stocked.look(("internal", "@PointsPool", "POINTS"), ("internal", "@PointsPool", "USD"))
    assert state.find(("internal", "@PointsPool", "POINTS")) == 1
    assert state.find(("internal", "@PointsPool", "USD")) is None
    assert state.accounts == {1: r.POOL}


async def test_lots_are_all_open_lots_of_an_account(stocked: Shop) -> None:
    state = await stocked.look(("lots", 2), ("lots", 99))
    assert state.lots == {2: r.OVERDUE, 3: r.OPEN, 4: r.LASTING}
    assert sorted(lot.no for lot in state.open_lots(2)) == [2, 3, 4]
    assert state.open_lots(99) == []


@pytest.mark.parametrize("selector", [("id", r.MEMBER.id), ("number", "1"), *r.MEMBER.identifiers])
async def test_a_member_is_found_by_every_name(stocked: Shop, selector: tuple[str, str]) -> None:
    state = await stocked.look(("member", *selector))
    assert state.find(("member", *selector)) == 1
    assert state.members == {1: r.MEMBER}
    assert state.accounts == {2: r.REGULAR, 3: r.WALLET}
    assert state.member_accounts == {1: {(1, "regular"): 2}}
    assert state.lots == {2: r.OVERDUE}


async def test_a_lot_comes_by_its_number_whatever_is_left_of_it(stocked: Shop) -> None:
    state = await stocked.look(("lot", 3))
    assert list(state.lots) == [3]


async def test_a_spender_with_few_lots_comes_with_all_of_them(stocked: Shop) -> None:
    state = await stocked.look(("spend", "number", "1"))
    assert state.find(("spend", "number", "1")) == state.find(("member", "number", "1")) == 1
    assert sorted(lot.no for lot in state.open_lots(2)) == [2, 3, 4]


async def test_a_spender_with_many_lots_comes_with_those_that_are_spent_first(stocked: Shop) -> None:
    state = await stocked.load()
    state.begin(r.uuid(0), r.NOON)
    for number in range(100):
        ends = r.NOON + timedelta(days=500 - number)
        lot = Lot(no=100 + number, account=2, event_seq=1, amount=5, remaining=5, earned_at=r.NOON, expires_at=ends)
        state.put(state.lots, lot.no, lot)
    state.accept()
    await stocked.save(state)
    reaches = []
    for keys in ([("spend", "number", "1")], [("account_no", 2), ("lots", 2, 80)]):
        state = await stocked.look(*keys)
        known = {lot.no for lot in usable(state, 2, r.NOON)}
        reach = state.spent_first(2)
        assert reach is not None
        reaches.append((reach.asked, len(known)))
        assert {lot.no for lot in overdue(state, 2, r.NOON)} == {2}
        assert reach.last == max(by_expiry(state.lots[no]) for no in known)
        with pytest.raises(NotLoaded):
            state.open_lots(2)
    assert reaches == [(64, 64), (80, 80)]
    state = await stocked.look(("account_no", 2), ("lots", 2, 80), ("lots", 2, 256), ("spend", "number", "1"))
    assert state.spent_first(2) is None, "there are no more than that"
    assert len(state.open_lots(2)) == 103


@pytest.mark.parametrize(
    "key",
    [
        ("account", r.uuid(99)), ("account", "no uuid"), ("account_no", 99), ("internal", "@Nobody", "USD"),
        ("ledger", r.uuid(99)), ("member", "id", r.uuid(99)), ("member", "id", "x"), ("member", "number", "x"),
        ("member", "number", "9" * 40), ("member", "email", "nobody@example.org"), ("spend", "card", "C-0"),
        ("transfer", r.uuid(99)), ("transfer", "x"), ("reference", "none"), ("outcome", "key", "none"),
        ("event", 99), ("purchase", "id", "x"), ("purchase", "no", "99"), ("purchase", "number", "none"),
        ("purchase_number", "none"), ("return", "none"), ("redemption", r.uuid(99)), ("redemption_reference", "none"),
        ("metadata", "bln", r.uuid(99)), ("key", r.uuid(99)),
    ],
)  # fmt: skip
async def test_what_does_not_exist_is_known_not_to(stocked: Shop, key: Key) -> None:
    state = await stocked.look(key)
    assert state.find(key) is None


async def test_what_nobody_asked_for_is_not_known(stocked: Shop) -> None:
    with pytest.raises(NotLoaded):
        (await stocked.look()).find(("account", r.REGULAR.id))


async def test_programs_bring_their_internal_accounts(stocked: Shop) -> None:
    state = await stocked.look(("programs",))
    assert state.program_accounts == {(1, "pool"): 1}
    assert state.accounts == {1: r.POOL}
    assert state.figures[1].version == 2


async def test_policies_are_found_by_program_and_version(stocked: Shop) -> None:
    state = await stocked.look(("policies", 1, 1), ("policies", 1, 2), ("policies", 9, 1))
    assert state.find(("policies", 1, 1)) == r.PROGRAM.policies
    assert state.find(("policies", 1, 2)) is None
    assert state.find(("policies", 9, 1)) is None


async def test_a_transfer_comes_with_its_children_holds_and_both_accounts(stocked: Shop) -> None:
    state = await stocked.look(("transfer", r.HELD.id))
    assert state.find(("transfer", r.HELD.id)) == (6, 7)
    assert state.transfers == {6: r.HELD, 7: r.SETTLED}
    assert state.holds == {6: r.HOLD}
    assert state.accounts == {2: r.REGULAR, 4: r.LOOSE}
    assert state.events == {5: r.RAW}
    assert len(state.open_lots(2)) == 3


async def test_a_transfer_is_found_by_the_request_it_answers(stocked: Shop) -> None:
    state = await stocked.look(("transfer", r.uuid(26)), ("transfer", r.WAITING.id))
    assert state.find(("transfer", r.uuid(26))) == (6,)
    assert state.find(("transfer", r.WAITING.id)) == (8,)
    assert state.scheduled == {8: r.SCHEDULED}


async def test_a_transfer_that_moved_lots_brings_them_even_when_they_are_empty(stocked: Shop) -> None:
    state = await stocked.look(("transfer", r.REDEEMED.id))
    assert state.lots[1] == r.SPENT
    assert state.events == {3: r.SPENDING}


async def test_a_reference_is_taken_by_a_transfer_or_by_its_request(stocked: Shop) -> None:
    names = ("r,{1}", "child", "asked", "NULL")
    state = await stocked.look(*(("reference", name) for name in names))
    assert [state.find(("reference", name)) for name in names] == [2, 6, 6, 8]


async def test_an_event_comes_with_its_transfers_and_every_lot_it_moved(stocked: Shop) -> None:
    state = await stocked.look(("event", 1))
    assert state.find(("event", 1)) == 1
    assert state.events == {1: r.EARNING}
    assert state.transfers == {2: r.EARNED}
    assert state.lots[1] == r.SPENT


@pytest.mark.parametrize("selector", [("id", r.PURCHASE.id), ("number", "B-1"), ("no", "1")])
async def test_a_purchase_comes_with_all_that_a_return_needs(stocked: Shop, selector: tuple[str, str]) -> None:
    state = await stocked.look(("purchase", *selector))
    assert state.find(("purchase", *selector)) == 1
    assert state.purchases == {1: r.PURCHASE}
    assert state.find(("purchase_return_of", 1)) == (1,)
    assert state.returns == {1: r.RETURN}
    assert state.redemptions == {r.REDEMPTION.id: r.REDEMPTION}
    assert state.events == {1: r.EARNING, 3: r.SPENDING}
    assert state.transfers == {2: r.EARNED, 4: r.REDEEMED}
    assert state.members == {1: r.MEMBER}
    assert state.member_accounts == {1: {(1, "regular"): 2}}
    assert state.lots == {1: r.SPENT, 2: r.OVERDUE, 3: r.OPEN, 4: r.LASTING}
    assert len(state.open_lots(2)) == 3


async def test_a_purchase_number_brings_the_purchase_alone(stocked: Shop) -> None:
    state = await stocked.look(("purchase_number", "B-1"))
    assert state.find(("purchase_number", "B-1")) == 1
    assert state.purchases == {1: r.PURCHASE}
    assert not state.events
    assert not state.members


async def test_a_redemption_comes_with_all_that_a_reversal_needs(stocked: Shop) -> None:
    state = await stocked.look(("redemption", r.REDEMPTION.id))
    assert state.find(("redemption", r.REDEMPTION.id)) == r.REDEMPTION.id
    assert state.redemptions == {r.REDEMPTION.id: r.REDEMPTION}
    assert state.events == {3: r.SPENDING}
    assert state.transfers == {4: r.REDEEMED}
    assert state.lots == {1: r.SPENT, 2: r.OVERDUE, 3: r.OPEN, 4: r.LASTING}
    assert state.members == {1: r.MEMBER}


async def test_facts_are_found_by_the_callers_own_numbers(stocked: Shop) -> None:
    state = await stocked.look(("return", "RET-1"), ("redemption_reference", "R-1"))
    assert state.find(("return", "RET-1")) == 1
    assert state.returns == {1: r.RETURN}
    assert state.find(("redemption_reference", "R-1")) == r.REDEMPTION.id
    assert state.redemptions == {r.REDEMPTION.id: r.REDEMPTION}


async def test_an_answer_is_found_by_actor_and_key(stocked: Shop) -> None:
    state = await stocked.look(("outcome", "key", "k-1"), ("outcome", "other", "k-1"))
    assert state.find(("outcome", "key", "k-1")) == (b"\x07", '{"said":"yes"}')
    assert state.find(("outcome", "other", "k-1")) is None


async def test_metadata_is_the_latest(stocked: Shop) -> None:
    state = await stocked.look(("metadata", "bln", r.WALLET.id))
    assert state.find(("metadata", "bln", r.WALLET.id)) == (2, '{"a":2}')


async def test_ledgers_and_keys_are_found_by_id(stocked: Shop) -> None:
    state = await stocked.look(("ledger", r.LEDGER.id), ("key", stocked.api_key.id))
    assert state.find(("ledger", r.LEDGER.id)) == 2
    assert state.ledgers == {2: r.LEDGER}
    assert state.api_keys == {stocked.api_key.id: stocked.api_key}
    assert state.find(("key", stocked.api_key.id)) == stocked.api_key.id


async def test_the_head_gives_counters_time_and_hash(stocked: Shop) -> None:
    state = await stocked.look()
    assert state.counters == {
        "seq": 8, "account": 4, "lot": 4, "member": 1, "purchase": 1, "return": 1, "redemption": 1, "config": 3,
        "ledger": 2,
    }  # fmt: skip
    assert state.last_recorded_at == r.NOON
    assert len(state.last_hash) == 32
    assert state.transaction.isdigit()


async def test_configuration_is_read_once_for_each_version(stocked: Shop) -> None:
    first = (await stocked.look()).config
    assert msgspec.structs.replace(first, promotions=None) == Config(
        version=1, assets={"POINTS": r.POINTS}, programs={1: r.PROGRAM}, since={1: (r.NOON,)}, stores={2: r.STORE},
        tills={3: r.TILL}, sources=frozenset({"KIOSK"}),
    )  # fmt: skip
    assert (await stocked.look()).config is first
    state = await stocked.load()
    state.begin(r.uuid(0), r.NOON)
    state.put(state.sources, "FAIR", r.NOON)
    state.accept()
    await stocked.save(state)
    assert (await stocked.look()).config.sources == {"KIOSK", "FAIR"}


async def test_the_general_ledger_exists_from_the_first_day(shop: Shop) -> None:
    assert (await shop.look()).counters["ledger"] == GENERAL_LEDGER


async def test_an_organisation_that_does_not_exist_is_an_error(shop: Shop) -> None:
    with pytest.raises(OrganisationNotFound):
        await load(shop.connection, 2**40, (), r.NOON, shop.memory)
