"""Batches of codes, whose a code is, and what a presented code stands for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from guerdon.core import codes
from guerdon.core import commands as c
from guerdon.core.outcomes import Rejection
from guerdon.core.promotions.carts import Presented
from guerdon.core.promotions.codes import DIGITS, Form, holds_together
from guerdon.core.promotions.effects import Percent, Voucher
from guerdon.core.promotions.limits import Limit
from guerdon.core.promotions.terms import Promotion
from tests.core.world import World

SEED = bytes(range(32))
ONCE = Limit(code="once", per="code", limit=1)


class Campaign(World):
    """An organisation with one promotion that takes codes."""

    def __init__(self, **terms: Any) -> None:
        super().__init__()
        self.with_program()
        self.promotion = self.promote(**terms)

    def promote(self, **terms: Any) -> str:
        given: dict[str, Any] = {
            "id": "",
            "name": "Ten off",
            "kind": "code",
            "effects": (Percent(ppm=100_000),),
            "limits": (ONCE,),
        }
        made = self.ok(c.CreatePromotion, terms=Promotion(**{**given, **terms}))
        return str(made.terms.id)

    def batch(self, count: int = 0, form: Form | None = None, promotion: str = "") -> str:
        """A batch of so many generated codes, or an empty one to bring codes into."""
        form = form or Form() if count else None
        made = self.ok(
            c.CreateCodeBatch, promotion=promotion or self.promotion, form=form, seed=SEED if form else b"", count=count
        )
        while self.step(made.id):
            pass
        return str(made.id)

    def step(self, batch: str, at_most: int = codes.AT_ONCE) -> int:
        """Make the next codes of a batch."""
        kept = self.state.code_batches[batch]
        made = codes.next_codes(kept, at_most)
        return self.ok(c.AddCodes, batch=batch, codes=made, start=kept.next_index).made if made else 0

    def bring(self, batch: str, *texts: str) -> Any:
        return self.ok(c.AddCodes, batch=batch, codes=texts)

    def codes_of(self, batch: str) -> list[str]:
        kept = sorted((code.no, code.code) for code in self.state.codes.values() if code.batch == batch)
        assert [no for no, _ in kept] == list(range(1, len(kept) + 1))
        return [code for _, code in kept]

    def shown(self, *typed: str, member: tuple[str, str] | None = None) -> tuple[Presented, ...]:
        who = None if member is None else self.state.members[self.state.find(("member", *member))]
        return codes.presented(self.state, typed, who)


# -- made -------------------------------------------------------------------------------------------------------------


def test_a_batch_has_as_many_codes_as_were_asked_for_all_of_its_form() -> None:
    world = Campaign()
    form = Form(pattern="####-####", prefix="AB-", check=True)
    batch = world.batch(25, form)
    made = world.codes_of(batch)
    assert len(set(made)) == 25
    assert all(holds_together(form, code) for code in made)


def test_more_codes_go_on_where_the_batch_ended() -> None:
    world, other = Campaign(), Campaign()
    batch = world.batch(10)
    world.ok(c.MoreCodes, batch=batch, count=5)
    world.step(batch)
    assert world.codes_of(batch) == other.codes_of(other.batch(15))


@given(steps=st.lists(st.integers(1, 7), min_size=1, max_size=8))
def test_in_however_many_steps_a_batch_is_made_its_codes_are_the_same(steps: list[int]) -> None:
    world, whole = Campaign(), Campaign()
    made = world.ok(c.CreateCodeBatch, promotion=world.promotion, form=Form(), seed=SEED, count=20)
    for at_most in (*steps, 20):
        world.step(made.id, at_most)
    assert world.codes_of(made.id) == whole.codes_of(whole.batch(20))


def test_a_code_that_there_is_already_is_replaced_by_the_next_one() -> None:
    world, other = Campaign(), Campaign()
    would_be = other.codes_of(other.batch(6))
    world.bring(world.batch(), would_be[1], would_be[3])
    batch = world.batch(4)
    assert world.codes_of(batch) == [would_be[0], would_be[2], would_be[4], would_be[5]]


def test_of_two_that_make_the_same_codes_at_once_one_is_told_to_look_again() -> None:
    world = Campaign()
    made = world.ok(c.CreateCodeBatch, promotion=world.promotion, form=Form(), seed=SEED, count=20)
    kept = world.state.code_batches[made.id]
    first = codes.next_codes(kept, 5)
    world.ok(c.AddCodes, batch=made.id, codes=first, start=0)
    refused = world.no(c.AddCodes, batch=made.id, codes=first, start=0)
    assert (refused.code, refused.detail) == (Rejection.CODE_BATCH_MOVED_ON, {"next_index": 5})
    assert len(world.codes_of(made.id)) == 5


def test_a_batch_that_is_stopped_has_the_codes_it_has_and_can_be_asked_for_more() -> None:
    world, other = Campaign(), Campaign()
    made = world.ok(c.CreateCodeBatch, promotion=world.promotion, form=Form(), seed=SEED, count=20)
    world.step(made.id, 7)
    on_its_way = codes.next_codes(world.state.code_batches[made.id], 5)
    assert (world.ok(c.StopCodes, batch=made.id).wanted, world.step(made.id)) == (7, 0)
    late = world.no(c.AddCodes, batch=made.id, codes=on_its_way, start=7)
    assert (late.code, late.field) == (Rejection.CODE_BATCH_MOVED_ON, "codes")
    assert world.ok(c.StopCodes, batch=made.id).wanted == 7
    world.ok(c.MoreCodes, batch=made.id, count=3)
    world.step(made.id)
    assert world.codes_of(made.id) == other.codes_of(other.batch(10))
    assert world.no(c.StopCodes, batch=world.batch()).code == Rejection.CODE_BATCH_NOT_GENERATED


def test_a_form_with_too_few_codes_is_refused_also_when_more_are_asked_for() -> None:
    world = Campaign()
    form = Form(pattern="####", charset=DIGITS)
    refused = world.no(c.CreateCodeBatch, promotion=world.promotion, form=form, seed=SEED, count=101)
    assert (refused.code, refused.field, refused.detail["reason"]) == (
        Rejection.INVALID_VALUE, "pattern", "keyspace_too_small",
    )  # fmt: skip
    batch = world.batch(100, form)
    assert world.no(c.MoreCodes, batch=batch, count=1).detail["reason"] == "keyspace_too_small"
    assert len(world.codes_of(batch)) == 100


def test_only_promotions_of_codes_take_codes() -> None:
    world = Campaign()
    automatic = world.promote(kind="automatic", limits=())
    refused = world.no(c.CreateCodeBatch, promotion=automatic)
    assert (refused.code, refused.detail) == (Rejection.PROMOTION_TAKES_NO_CODES, {"kind": "automatic"})
    assert world.no(c.CreateCodeBatch, promotion=world.member("C-1")[1]).code == Rejection.PROMOTION_NOT_FOUND


def test_brought_codes_are_told_by_place_where_there_are_such_already() -> None:
    world = Campaign()
    first, second = world.batch(), world.batch()
    assert world.bring(first, "ZN34C", "ZN34D").taken == ()
    again = world.bring(second, "NEW1", "ZN34C", "NEW2", "NEW1")
    assert (again.added, again.taken, again.here) == (2, (1, 3), (3,))
    assert world.bring(first, "ZN34C", "ZN34D").here == (0, 1)
    assert world.codes_of(second) == ["NEW1", "NEW2"]
    assert world.no(c.MoreCodes, batch=second, count=5).code == Rejection.CODE_BATCH_NOT_GENERATED


# -- in force or not --------------------------------------------------------------------------------------------------


def test_a_code_counts_only_while_neither_it_nor_its_batch_is_deactivated() -> None:
    world = Campaign()
    batch = world.batch()
    world.bring(batch, "ZN34C", "ZN34D")

    def live() -> list[bool]:
        return [each.status == "live" for each in world.shown("zn34c", "zn-34d")]

    assert live() == [True, True]
    world.ok(c.SwitchCodes, code="ZN34C", active=False, reason="on a forum")
    assert live() == [False, True]
    world.ok(c.SwitchCodes, batch=batch, active=False)
    world.ok(c.SwitchCodes, batch=batch, active=False)
    assert live() == [False, False]
    world.ok(c.SwitchCodes, code="ZN34C", active=True)
    world.ok(c.SwitchCodes, batch=batch, active=True)
    assert live() == [True, True]
    assert world.no(c.SwitchCodes, code="NEVER", active=False).code == Rejection.CODE_NOT_FOUND
    assert world.state.code_switches[batch, ""].version == 2


# -- links ------------------------------------------------------------------------------------------------------------


def test_a_linked_code_comes_along_by_itself_and_is_nobody_elses() -> None:
    world = Campaign()
    world.bring(world.batch(), "ZN34C", "OTHER1")
    amy, ben = world.member("amy"), world.member("ben")
    link = world.ok(c.LinkCode, member=amy, code="ZN34C", mode="DISCOUNT")
    assert world.ok(c.LinkCode, member=amy, code="ZN34C", mode="DISCOUNT").id == link.id
    refused = world.no(c.LinkCode, member=ben, code="ZN34C", mode="DISCOUNT")
    assert refused.code == Rejection.CODE_LINKED_TO_ANOTHER
    assert [each.code for each in world.shown(member=amy)] == ["ZN34C"]
    assert [each.code for each in world.shown("other1", "zn34c", member=amy)] == ["OTHER1", "ZN34C"]
    assert world.shown(member=ben) == ()
    amy_id = world.state.members[world.state.find(("member", *amy))].id
    assert [each.linked_to for each in world.shown("ZN34C", member=ben)] == [amy_id]


def test_what_cannot_be_used_cannot_be_linked() -> None:
    world = Campaign()
    ended = world.promote(ends_at=world.now + timedelta(days=1))
    world.bring(world.batch(), "ZN34C")
    world.bring(world.batch(promotion=ended), "LATE1")
    amy = world.member("amy")

    def refusal(code: str, mode: str = "DISCOUNT", member: tuple[str, str] = amy) -> Rejection:
        return world.no(c.LinkCode, member=member, code=code, mode=mode).code

    assert refusal("NEVER") == Rejection.CODE_NOT_FOUND
    assert refusal("ZN34C", member=("external_id", "nobody")) == Rejection.MEMBER_NOT_FOUND
    assert refusal("ZN34C", "PAYMENT_VOUCHER") == Rejection.CODE_OF_ANOTHER_MODE
    world.ok(c.SwitchCodes, code="ZN34C", active=False)
    assert refusal("ZN34C") == Rejection.CODE_DEACTIVATED
    world.later(days=1)
    assert refusal("LATE1") == Rejection.CODE_EXPIRED
    assert world.state.code_links == {}


def test_a_gift_voucher_is_linked_as_one() -> None:
    world = Campaign(effects=(Voucher(value=1000),))
    world.bring(world.batch(), "GIFT1")
    amy = world.member("amy")
    assert world.no(c.LinkCode, member=amy, code="GIFT1", mode="DISCOUNT").detail == {"mode": "PAYMENT_VOUCHER"}
    world.ok(c.LinkCode, member=amy, code="GIFT1", mode="PAYMENT_VOUCHER")


def test_a_merge_takes_the_link_along() -> None:
    world = Campaign()
    world.bring(world.batch(), "ZN34C")
    amy, ben = world.member("amy"), world.member("ben")
    world.ok(c.LinkCode, member=amy, code="ZN34C", mode="DISCOUNT")
    world.ok(c.MergeMembers, victim=amy, survivor=ben)
    ben_id = world.state.members[world.state.find(("member", *ben))].id
    assert [each.linked_to for each in world.shown("ZN34C", member=ben)] == [ben_id]
    world.ok(c.LinkCode, member=ben, code="ZN34C", mode="DISCOUNT")


# -- presented --------------------------------------------------------------------------------------------------------


def test_what_is_no_code_is_unknown_and_keeps_what_was_typed() -> None:
    world = Campaign()
    world.bring(world.batch(), "ZN34C")
    known, unknown, none, long = world.shown(" zn 34-c ", "NEVER", "<b>", "A" * 10_000)
    assert (known.code, known.promotion, known.status) == ("ZN34C", world.promotion, "live")
    assert (unknown.code, unknown.promotion) == ("NEVER", "")
    assert (none.code, none.promotion) == ("<b>", "")
    assert (len(long.code), long.promotion) == (64, "")
