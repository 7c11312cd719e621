"""Accounts and figures: who may hold what, how far down and how far up."""

from __future__ import annotations

import pytest

from guerdon.core import commands as c
from guerdon.core.accounts import Figures
from guerdon.core.assets import AMOUNT_MAX
from guerdon.core.ledger import funds_refusal
from guerdon.core.outcomes import Rejection
from tests.core.world import World, purchase

from .test_postings import posting, transfers


def test_a_ledger_opens_and_is_renamed() -> None:
    world = World()
    ledger = world.ok(c.OpenLedger, name="Books", meta='{"a":1}')
    world.ok(c.RenameLedger, ledger=ledger.id, name="Accounts")
    assert world.state.ledgers[ledger.number].name == "Accounts"
    assert world.state.metadata["ldg", ledger.id] == (1, '{"a":1}')
    assert world.no(c.RenameLedger, ledger="none", name="x").code is Rejection.LEDGER_NOT_FOUND


def test_an_account_needs_a_ledger_and_a_member_that_exist() -> None:
    world = World()
    assert world.no(c.OpenAccount, ledger="none", asset="USD").code is Rejection.LEDGER_NOT_FOUND
    general = "general_ledger_id"
    refused = world.no(c.OpenAccount, ledger=general, asset="USD", member="none")
    assert refused.code is Rejection.MEMBER_NOT_FOUND


def test_an_internal_account_is_one_per_name_and_asset() -> None:
    world = World()
    world.ok(c.OpenAccount, ledger="general_ledger_id", asset="USD", indicator="@World")
    world.ok(c.OpenAccount, ledger="general_ledger_id", asset="EUR", indicator="@World")
    again = world.no(c.OpenAccount, ledger="general_ledger_id", asset="USD", indicator="@World")
    assert again.code is Rejection.INDICATOR_TAKEN


def test_a_program_account_stays_with_its_member() -> None:
    world = World().with_program()
    amy, bob = world.member("amy"), world.member("bob")
    points = world.state.accounts[world.account(amy)].id
    ids = {name: world.state.members[world.state.found["member", *name]].id for name in (amy, bob)}
    assert world.no(c.AssignAccount, account=points, member=ids[bob]).code is Rejection.MEMBER_IN_USE
    world.ok(c.AssignAccount, account=points, member=ids[amy])
    wallet = world.ok(c.OpenAccount, ledger="general_ledger_id", asset="USD", member=ids[amy])
    world.ok(c.AssignAccount, account=wallet.id, member=ids[bob])
    assert world.state.accounts[wallet.number].member_no == world.state.found["member", *bob]


@pytest.mark.parametrize(
    ("amount", "allow_overdraft", "limit", "expected"),
    [
        (70, False, None, None),
        (71, False, None, Rejection.INSUFFICIENT_FUNDS),
        (1_000, True, None, None),
        (1_000, True, 0, None),
        (120, False, 50, None),
        (121, False, 50, Rejection.OVERDRAFT_LIMIT_EXCEEDED),
        (121, True, 50, Rejection.OVERDRAFT_LIMIT_EXCEEDED),
    ],
)
def test_funds_are_checked_in_blnks_order(
    amount: int, allow_overdraft: bool, limit: int | None, expected: Rejection | None
) -> None:
    held = Figures(credit=100, debit=10, inflight_credit=500, inflight_debit=20)
    assert funds_refusal(held, amount, allow_overdraft, limit) is expected


@pytest.mark.parametrize(("allow_overdraft", "limit"), [(True, None), (True, 10**9), (False, 10**9)])
def test_a_floor_wins_over_every_flag(allow_overdraft: bool, limit: int | None) -> None:
    figures = Figures(credit=100, debit=30, floor=0)
    assert funds_refusal(figures, 70, allow_overdraft, limit) is None
    assert funds_refusal(figures, 71, allow_overdraft, limit) is Rejection.INSUFFICIENT_FUNDS


def test_incoming_holds_are_not_spendable() -> None:
    world = World()
    hold = posting("h", source="@World", destination="@Shop", allow_overdraft=True, inflight=True, queued=False)
    world.ok(c.Post, postings=(hold,))
    spend = posting("s", source="@Shop", destination="@World", queued=False)
    assert world.no(c.Post, postings=(spend,)).code is Rejection.INSUFFICIENT_FUNDS


@pytest.mark.parametrize("amount", [AMOUNT_MAX, AMOUNT_MAX // 2 + 1])
def test_no_figure_grows_past_38_digits(amount: int) -> None:
    world = World()
    for reference in ("a", "b"):
        item = posting(
            reference, amount=amount, source="@World", destination="@Shop", allow_overdraft=True, queued=False
        )
        outcome = world.do(c.Post, postings=(item,))
        assert type(outcome).__name__ == ("Accepted" if reference == "a" else "Rejected")
    assert world.internal("@Shop", "EUR").balance == amount


def test_a_held_amount_counts_towards_the_largest_figure() -> None:
    world = World()
    hold = posting("h", amount=AMOUNT_MAX, source="@World", destination="@Shop", allow_overdraft=True, inflight=True)
    world.ok(c.Post, postings=(hold,))
    more = posting("m", amount=1, source="@World", destination="@Else", allow_overdraft=True)
    assert world.no(c.Post, postings=(more,)).code is Rejection.AMOUNT_OUT_OF_RANGE


def test_money_of_a_bill_cannot_overfill_the_revenue() -> None:
    world = World().with_program()
    amy = world.member("amy")
    amy_id = world.state.members[world.state.found["member", *amy]].id
    wallets = [world.ok(c.OpenAccount, ledger="general_ledger_id", asset="USD", member=amy_id).id for _ in "ab"]
    for n, wallet in enumerate(wallets):
        item = posting(f"f{n}", asset="USD", amount=AMOUNT_MAX // 2 + 1, source=f"@W{n}", destination=wallet,
                       allow_overdraft=True)  # fmt: skip
        world.ok(c.Post, postings=(item,))
    world.ok(c.RecordPurchase, **purchase("B-1", AMOUNT_MAX // 2 + 1, amy), wallet=wallets[0])
    refused = world.no(c.RecordPurchase, **purchase("B-2", AMOUNT_MAX // 2 + 1, amy), wallet=wallets[1])
    assert refused.code is Rejection.AMOUNT_OUT_OF_RANGE


def test_a_bill_cannot_be_paid_by_the_revenue_itself() -> None:
    world = World().with_program()
    amy = world.member("amy")
    item = posting("f", asset="USD", amount=500, source="@World", destination="@RevenueUSD", allow_overdraft=True)
    world.ok(c.Post, postings=(item,))
    revenue = world.state.accounts[world.state.found["internal", "@RevenueUSD", "USD"]].id
    assert world.no(c.RecordPurchase, **purchase("B-1", 100, amy), wallet=revenue).code is Rejection.SAME_ACCOUNT


def test_every_entry_has_its_accounts_next_version_and_the_balance_after() -> None:
    world = World()
    for n in range(3):
        world.ok(c.Post, postings=(posting(str(n), source="@World", destination="@Shop", allow_overdraft=True),))
    made = list(world.state.transfers.values())
    assert [(t.source_version, t.source_balance) for t in made] == [(1, -100), (2, -200), (3, -300)]
    assert [(t.destination_version, t.destination_balance) for t in made] == [(1, 100), (2, 200), (3, 300)]


def test_an_asset_is_checked_where_it_is_registered_and_free_text_is_not() -> None:
    world = World()
    world.ok(c.CreateAsset, code="USD", scale=2)
    account = world.ok(c.OpenAccount, ledger="general_ledger_id", asset="USD").id
    other = posting("a", asset="EUR", source="@World", destination=account, allow_overdraft=True)
    assert world.no(c.Post, postings=(other,)).code is Rejection.ASSET_MISMATCH
    coarse = posting("a", asset="USD", precision=1, source="@World", destination=account, allow_overdraft=True)
    assert world.no(c.Post, postings=(coarse,)).code is Rejection.PRECISION_MISMATCH
    free = world.ok(c.OpenAccount, ledger="general_ledger_id", asset="SHELLS").id
    lax = posting("a", asset="PEARLS", precision=7, source="@World", destination=free, allow_overdraft=True)
    assert transfers(world, world.ok(c.Post, postings=(lax,)))[0].asset == "PEARLS"
