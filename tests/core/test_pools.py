"""A points pool that runs low is told of once, until it was filled again."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.core import commands as c
from guerdon.core.outcomes import Rejection
from guerdon.core.programs import LowPool, Policies
from tests.core.world import World


class Club(World):
    """A program whose pool was filled to `put_in`, and a member who is given points and spends them."""

    def __init__(self, put_in: int = 0, **mark: Any) -> None:
        super().__init__()
        self.with_program(low_pool=LowPool(**mark) if mark else None)
        self.amy = self.member("amy")
        if put_in:
            self.fill(put_in)

    def fill(self, points: int) -> None:
        self.post("@Treasury", "@PointsPool", points)

    def drain(self, points: int) -> None:
        self.post("@PointsPool", "@Treasury", points)

    def post(self, source: str, destination: str, points: int) -> None:
        posting = c.Posting(
            asset="POINTS", amount=points, precision=1, reference=f"r{self._commands}", source=source,
            destination=destination, allow_overdraft=True,
        )  # fmt: skip
        self.ok(c.Post, postings=(posting,))

    def give(self, points: int) -> None:
        self.ok(c.Award, member=self.amy, points=points, reason="x")

    def spend(self, points: int) -> None:
        self.ok(c.Redeem, member=self.amy, points=points)

    def mark(self, mark: LowPool | None) -> None:
        (program,) = self.state.config.programs.values()
        policies = msgspec.structs.replace(program.policies, low_pool=mark)
        self.ok(c.ChangeProgram, program=("id", program.id), policies=policies)

    def told(self) -> list[int]:
        """How much was left each time that it was told."""
        events = [event for event in self.state.events.values() if event.name == "PointsPoolLow"]
        assert all(event.member_no == 0 and event.program_no and not event.transfers for event in events)
        return [msgspec.json.decode(event.body)["left"] for event in events]


def test_a_low_pool_is_told_when_it_is_reached_and_not_again_before_it_was_filled() -> None:
    club = Club(100, points=20)
    club.give(79)
    assert club.told() == []
    club.give(1)
    assert club.told() == [20]
    club.give(15)
    assert club.told() == [20]
    club.fill(50)
    club.give(40)
    assert club.told() == [20, 15]
    (event, _) = [event for event in club.state.events.values() if event.name == "PointsPoolLow"]
    (program,) = club.state.config.programs.values()
    assert (event.reference, event.reason, event.program_no) == (f"prg_{program.id}", "20 left", program.no)
    before = max(seq for seq in club.state.events if seq < event.seq)
    assert club.state.events[before].name == "GoodwillAward", "it stands behind what caused it"


def test_points_that_come_and_go_around_the_mark_are_not_told_each_time_where_it_says_when_the_pool_is_full() -> None:
    club, jumpy = Club(100, points=20, filled=60), Club(100, points=20)
    for each in (club, jumpy):
        each.give(80)
        for _ in range(3):
            each.spend(5)
            each.give(5)
    assert (club.told(), jumpy.told()) == ([20], [20] * 4)
    club.fill(40)
    club.give(60)
    assert club.told() == [20, 0]


def test_a_pool_that_nobody_fills_is_below_zero_and_so_is_its_mark() -> None:
    club = Club(points=-100)
    club.give(99)
    assert club.told() == []
    club.give(2)
    assert club.told() == [-101]


def test_a_changed_mark_counts_afresh_from_the_next_points_on() -> None:
    club = Club(100, points=20)
    club.give(90)
    club.mark(LowPool(points=5))
    assert club.told() == [10]
    club.give(6)
    assert club.told() == [10, 4]
    club.mark(LowPool(points=5))
    club.give(1)
    assert club.told() == [10, 4], "the same mark is no other one"
    club.mark(None)
    club.give(1)
    assert club.told() == [10, 4]


def test_what_raw_transfers_take_counts_and_what_is_refused_does_not() -> None:
    club = Club(100, points=20)
    club.no(c.Redeem, member=club.amy, points=500)
    club.drain(95)
    assert club.told() == [5]


def test_a_pool_cannot_be_filled_by_no_more_than_its_mark() -> None:
    club = Club()
    (program,) = club.state.config.programs.values()
    policies = Policies(low_pool=LowPool(points=10, filled=10))
    refused = club.no(c.ChangeProgram, program=("id", program.id), policies=policies)
    assert (refused.code, refused.field) == (Rejection.INVALID_VALUE, "policies.low_pool.filled")


@pytest.mark.parametrize("room", [None, 1, 7])
@given(st.lists(st.tuples(st.sampled_from(["give", "spend", "fill", "drain"]), st.integers(1, 12)), max_size=30))
def test_it_is_told_as_often_as_the_pool_falls_after_it_was_filled(
    room: int | None, steps: list[tuple[str, int]]
) -> None:
    club = Club(30, points=10, filled=None if room is None else 10 + room)
    left, held, full, expected = 30, 0, True, []
    for step, points in steps:
        if step == "spend" and points > held:
            continue
        getattr(club, step)(points)
        left += points if step in ("spend", "fill") else -points
        held += {"give": points, "spend": -points}.get(step, 0)
        if full and left <= 10:
            full = False
            expected.append(left)
        elif not full and left >= 10 + (room or 1):
            full = True
    assert club.told() == expected
