"""The writer alone: order, bounds, fairness and what it does when something fails. The database is a fake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest

from guerdon.core.outcomes import Accepted, Outcome, Rejected
from guerdon.writer import QueueFull, Unavailable, Writer, WriterFault
from tests.writer.fakes import LOST, FakeDatabase, Limits, post, register

ORG = 1


@asynccontextmanager
async def writing(database: FakeDatabase, limits: Limits | None = None) -> AsyncIterator[Writer]:
    writer = Writer(database, limits or Limits(), database.steps)  # type: ignore[arg-type]
    await writer.start()
    try:
        yield writer
    finally:
        if database.gate:
            database.gate.set()
        await writer.stop()


async def submit_all(writer: Writer, codes: list[str], org_id: int = ORG) -> list[Outcome | BaseException]:
    return await asyncio.gather(*(writer.submit(org_id, register(code)) for code in codes), return_exceptions=True)


def results(outcomes: list[Outcome | BaseException]) -> list[str]:
    """What each got, in one word: the result, the refusal's code or the exception's name."""
    return [
        o.result if isinstance(o, Accepted) else o.code if isinstance(o, Rejected) else type(o).__name__
        for o in outcomes
    ]


# -- order and batches ---------------------------------------------------------------------------------------


async def test_commands_are_decided_in_the_order_they_came() -> None:
    database = FakeDatabase()
    async with writing(database) as writer:
        outcomes = await submit_all(writer, [f"s{i}" for i in range(100)])
    assert results(outcomes) == [f"s{i}" for i in range(100)]
    assert database.rows[ORG] == [f"s{i}" for i in range(100)]


async def test_what_arrives_during_a_commit_is_the_next_batch() -> None:
    database = FakeDatabase(gate=asyncio.Event())
    assert database.gate
    async with writing(database) as writer:
        first = asyncio.create_task(submit_all(writer, ["a"]))
        await asyncio.sleep(0.01)
        second = asyncio.create_task(submit_all(writer, ["b", "c"]))
        third = asyncio.create_task(submit_all(writer, ["d"]))
        await asyncio.sleep(0.01)
        database.gate.set()
        await asyncio.gather(first, second, third)
    assert database.batches == [(ORG, ["a"]), (ORG, ["b", "c", "d"])]


async def test_nothing_is_answered_before_its_commit() -> None:
    database = FakeDatabase(gate=asyncio.Event())
    assert database.gate
    async with writing(database) as writer:
        waiting = asyncio.create_task(submit_all(writer, ["a", "refused"]))
        await asyncio.sleep(0.02)
        assert not waiting.done()
        database.gate.set()
        assert results(await waiting) == ["a", "code_taken"]


async def test_a_batch_is_bounded_by_weight() -> None:
    database = FakeDatabase()
    async with writing(database, Limits(batch_weight_max=10)) as writer:
        await submit_all(writer, [f"s{i}" for i in range(12)])
    assert [len(codes) for _, codes in database.batches] == [5, 5, 2]


async def test_a_command_heavier_than_any_batch_still_goes() -> None:
    database = FakeDatabase()
    async with writing(database, Limits(batch_weight_max=10, queue_weight_max=20)) as writer:
        assert await writer.submit(ORG, post(500)) == Accepted(result=500)


async def test_a_refusal_leaves_its_neighbours_alone() -> None:
    database = FakeDatabase()
    async with writing(database) as writer:
        outcomes = await submit_all(writer, ["a", "refused", "b"])
    assert results(outcomes) == ["a", "code_taken", "b"]
    assert database.rows[ORG] == ["a", "b"]


async def test_a_batch_of_refusals_saves_nothing_and_tells_nobody() -> None:
    database = FakeDatabase()
    heard: list[int] = []
    async with writing(database) as writer:
        writer.listen(heard.append)
        assert results(await submit_all(writer, ["refused", "refused too"])) == ["code_taken"] * 2
        assert heard == []
        await submit_all(writer, ["a"])
    assert heard == [ORG]
    assert database.batches == [(ORG, ["a"])]


async def test_a_listener_that_fails_does_no_harm() -> None:
    database = FakeDatabase()
    heard: list[int] = []

    def fail(org_id: int) -> None:
        raise RuntimeError

    async with writing(database) as writer:
        writer.listen(fail)
        writer.listen(heard.append)
        assert results(await submit_all(writer, ["a", "b"])) == ["a", "b"]
    assert heard == [ORG]
    assert database.rows[ORG] == ["a", "b"]


# -- rows that were not loaded -------------------------------------------------------------------------------


async def test_a_command_that_asks_for_more_starts_the_next_batch() -> None:
    database = FakeDatabase()
    async with writing(database) as writer:
        outcomes = await submit_all(writer, ["a", "ask:1", "b"])
        assert writer.stats.cuts == 1
    assert results(outcomes) == ["a", "ask:1", "b"]
    assert database.batches == [(ORG, ["a"]), (ORG, ["ask:1", "b"])]


async def test_a_thousand_commands_that_ask_for_more_cost_one_more_batch() -> None:
    database = FakeDatabase()
    codes = ["a"] + [f"ask:{i}" for i in range(500)]
    async with writing(database) as writer:
        assert results(await submit_all(writer, codes)) == codes
        assert writer.stats.cuts == 1
    assert [len(codes) for _, codes in database.batches] == [1, 500]


async def test_rows_that_are_asked_for_before_anything_changed_are_read_in_the_same_batch() -> None:
    database = FakeDatabase(reads_on=True)
    async with writing(database) as writer:
        outcomes = await submit_all(writer, ["refuse", "ask:1", "a", "ask:2"])
        assert (writer.stats.cuts, writer.stats.read_on) == (0, 1)
    assert [type(outcome) for outcome in outcomes] == [Rejected, Accepted, Accepted, Accepted]
    assert database.batches == [(ORG, ["ask:1", "a", "ask:2"])]


async def test_rows_that_are_asked_for_after_something_changed_start_the_next_batch() -> None:
    database = FakeDatabase(reads_on=True)
    async with writing(database) as writer:
        assert results(await submit_all(writer, ["a", "ask:1", "ask:2"])) == ["a", "ask:1", "ask:2"]
        assert (writer.stats.cuts, writer.stats.read_on) == (1, 0)
    assert database.batches == [(ORG, ["a"]), (ORG, ["ask:1", "ask:2"])]


async def test_a_command_that_asks_for_what_was_read_later_on_fails_alone() -> None:
    database = FakeDatabase(reads_on=True)
    async with writing(database) as writer:
        outcomes = await submit_all(writer, ["insatiable", "ask:1", "a"])
    assert isinstance(outcomes[0], WriterFault)
    assert database.rows[ORG] == ["ask:1", "a"]


async def test_a_command_that_came_later_does_not_overtake_one_that_was_given_back() -> None:
    database = FakeDatabase(gate=asyncio.Event())
    assert database.gate
    async with writing(database) as writer:
        first = asyncio.create_task(submit_all(writer, ["a", "ask:1", "b"]))
        await asyncio.sleep(0.01)
        second = asyncio.create_task(submit_all(writer, ["c"]))
        await asyncio.sleep(0.01)
        database.gate.set()
        await asyncio.gather(first, second)
    assert database.rows[ORG] == ["a", "ask:1", "b", "c"]


async def test_a_command_that_asks_for_what_it_has_fails_alone() -> None:
    database = FakeDatabase()
    async with writing(database) as writer:
        assert results(await submit_all(writer, ["a", "insatiable", "b"])) == ["a", "WriterFault", "b"]
    assert database.rows[ORG] == ["a", "b"]


# -- failures ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "problem",
    [
        LOST,
        psycopg.errors.DeadlockDetected(),
        psycopg.errors.SerializationFailure(),
        psycopg.errors.AdminShutdown(),
        psycopg.errors.LockNotAvailable(),
        psycopg.InterfaceError("the connection is closed"),
        ConnectionResetError(),
    ],
    ids=lambda problem: type(problem).__name__,
)
async def test_a_batch_is_tried_again_when_the_database_fails(problem: Exception) -> None:
    database = FakeDatabase(fail_load=[problem, problem], fail_save=[(False, problem)])
    async with writing(database) as writer:
        assert results(await submit_all(writer, ["a", "b"])) == ["a", "b"]
        assert writer.stats.retries == 3
        assert writer.stats.splits == 0
    assert database.rows[ORG] == ["a", "b"]
    assert database.checks == 3


async def test_a_commit_whose_answer_was_lost_is_not_done_twice() -> None:
    database = FakeDatabase(fail_save=[(True, LOST)])
    async with writing(database) as writer:
        assert results(await submit_all(writer, ["a", "refused", "ask:1", "b"])) == [
            "a",
            "code_taken",
            "ask:1",
            "b",
        ]
        assert writer.stats.doubts == 1
    assert database.rows[ORG] == ["a", "ask:1", "b"]


async def test_a_commit_that_did_not_happen_is_done_again() -> None:
    database = FakeDatabase(fail_save=[(False, LOST), (True, LOST)])
    async with writing(database) as writer:
        assert results(await submit_all(writer, ["a", "b"])) == ["a", "b"]
        assert writer.stats.doubts == 2
    assert database.rows[ORG] == ["a", "b"]


async def test_after_a_while_callers_learn_that_the_outcome_is_unknown() -> None:
    database = FakeDatabase(fail_always=LOST)
    async with writing(database, Limits(retry_total_s=0.05)) as writer:
        assert results(await submit_all(writer, ["a", "b"])) == ["Unavailable"] * 2
        database.fail_always = None
        assert results(await submit_all(writer, ["c"])) == ["c"]
        assert writer.stats.unavailable == 2


@pytest.mark.parametrize("problem", [TypeError(), psycopg.DataError("a value that psycopg cannot read")], ids=repr)
@pytest.mark.parametrize("done", [True, False], ids=["committed", "not committed"])
async def test_when_our_own_code_fails_around_a_commit_it_is_asked_after(problem: Exception, done: bool) -> None:
    """Nobody but the database can say that it has not committed."""
    database = FakeDatabase(fail_save=[(done, problem)])
    async with writing(database) as writer:
        assert results(await submit_all(writer, ["a", "b"])) == ["a", "b"]
        assert writer.stats.doubts == 1
    assert database.rows[ORG] == ["a", "b"]


async def test_what_fails_behind_a_commit_takes_no_answer_back() -> None:
    database = FakeDatabase(unlike_any=True)
    async with writing(database) as writer:
        assert results(await submit_all(writer, ["a", "b"])) == ["a", "b"]
    assert database.rows[ORG] == ["a", "b"]


@pytest.mark.parametrize("wrong", ["bad", "broken"])
@pytest.mark.parametrize("place", range(7))
async def test_a_command_that_cannot_be_saved_fails_alone(place: int, wrong: str) -> None:
    codes = [f"s{i}" for i in range(7)]
    codes[place] = wrong
    database = FakeDatabase()
    async with writing(database) as writer:
        outcomes = await submit_all(writer, codes)
    assert results(outcomes) == ["WriterFault" if code == wrong else code for code in codes]
    assert database.rows[ORG] == [code for code in codes if code != wrong]


async def test_halving_keeps_the_order_around_commands_that_ask_for_more() -> None:
    codes = ["a", "bad", "ask:1", "b", "bad too", "ask:2", "c"]
    database = FakeDatabase()
    async with writing(database) as writer:
        await submit_all(writer, codes)
    assert database.rows[ORG] == ["a", "ask:1", "b", "ask:2", "c"]


async def test_a_bug_in_the_core_costs_one_command() -> None:
    database = FakeDatabase()
    async with writing(database) as writer:
        assert results(await submit_all(writer, ["a", "bug", "b"])) == ["a", "WriterFault", "b"]
        assert writer.stats.faults == 1
    assert database.batches == [(ORG, ["a", "b"])]


async def test_a_value_too_long_for_an_index_is_not_tried_again() -> None:
    database = FakeDatabase(fail_load=[psycopg.errors.lookup("54000")("index row too large")])
    async with writing(database) as writer:
        assert results(await submit_all(writer, ["a"])) == ["WriterFault"]
        assert writer.stats.retries == 0


# -- callers -------------------------------------------------------------------------------------------------


async def test_a_caller_that_leaves_does_not_take_the_command_along() -> None:
    database = FakeDatabase(gate=asyncio.Event())
    assert database.gate
    async with writing(database) as writer:
        leaving = asyncio.create_task(writer.submit(ORG, register("a")))
        staying = asyncio.create_task(writer.submit(ORG, register("b")))
        await asyncio.sleep(0.01)
        leaving.cancel()
        await asyncio.sleep(0)
        database.gate.set()
        assert (await staying) == Accepted(result="b")
    assert database.rows[ORG] == ["a", "b"]


async def test_a_full_queue_refuses_with_a_time_to_come_back() -> None:
    database = FakeDatabase(gate=asyncio.Event())
    assert database.gate
    async with writing(database, Limits(queue_weight_max=10, writer_connections=1)) as writer:
        taken = asyncio.create_task(submit_all(writer, ["a"]))
        await asyncio.sleep(0.01)
        waiting = asyncio.create_task(submit_all(writer, [f"s{i}" for i in range(5)]))
        await asyncio.sleep(0.01)
        with pytest.raises(QueueFull) as full:
            await writer.submit(ORG, register("one too many"))
        assert 1 <= full.value.retry_after_s <= 30
        other = asyncio.create_task(writer.submit(ORG + 1, register("another organisation has room")))
        await asyncio.sleep(0.01)
        assert writer.stats.waiting_weight == 12
        assert writer.stats.refused_full == 1
        database.gate.set()
        await asyncio.gather(taken, waiting, other)
        assert writer.stats.waiting_weight == 0


async def test_stopping_finishes_what_was_taken_and_refuses_the_rest() -> None:
    database = FakeDatabase(gate=asyncio.Event())
    assert database.gate
    async with writing(database, Limits(batch_weight_max=4)) as writer:
        waiting = asyncio.create_task(submit_all(writer, ["a", "b", "c", "d"]))
        await asyncio.sleep(0.01)
        stopping = asyncio.create_task(writer.stop())
        await asyncio.sleep(0.01)
        assert not stopping.done()
        with pytest.raises(Unavailable):
            await writer.submit(ORG, register("e"))
        database.gate.set()
        await stopping
        assert results(await waiting) == ["a", "b", "Unavailable", "Unavailable"]
        assert writer.stats.waiting_weight == 0
    assert database.rows[ORG] == ["a", "b"]


async def test_stopping_refuses_what_a_batch_gives_back() -> None:
    database = FakeDatabase(gate=asyncio.Event())
    assert database.gate
    async with writing(database) as writer:
        waiting = asyncio.create_task(submit_all(writer, ["a", "ask:1"]))
        await asyncio.sleep(0.01)
        stopping = asyncio.create_task(writer.stop())
        await asyncio.sleep(0)
        database.gate.set()
        await stopping
        assert results(await waiting) == ["a", "Unavailable"]


# -- fairness ------------------------------------------------------------------------------------------------


async def test_interactive_commands_go_before_bulk() -> None:
    database = FakeDatabase(gate=asyncio.Event())
    assert database.gate
    async with writing(database, Limits(batch_weight_max=8)) as writer:
        tasks = [asyncio.create_task(writer.submit(ORG, register(f"bulk{i}"), "bulk")) for i in range(8)]
        await asyncio.sleep(0.01)
        tasks += [asyncio.create_task(writer.submit(ORG, register(f"now{i}"))) for i in range(2)]
        await asyncio.sleep(0.01)
        database.gate.set()
        await asyncio.gather(*tasks)
    assert [codes for _, codes in database.batches] == [
        ["bulk0", "bulk1", "bulk2", "bulk3"],
        ["now0", "now1", "bulk4"],
        ["bulk5", "bulk6", "bulk7"],
    ]


async def test_bulk_moves_on_under_any_interactive_load() -> None:
    database = FakeDatabase(gate=asyncio.Event())
    assert database.gate
    async with writing(database, Limits(batch_weight_max=8)) as writer:
        tasks = [asyncio.create_task(writer.submit(ORG, register("first")))]
        await asyncio.sleep(0.01)
        tasks += [asyncio.create_task(writer.submit(ORG, register(f"now{i}"))) for i in range(9)]
        tasks += [asyncio.create_task(writer.submit(ORG, register(f"bulk{i}"), "bulk")) for i in range(2)]
        await asyncio.sleep(0.01)
        database.gate.set()
        await asyncio.gather(*tasks)
    assert [codes for _, codes in database.batches][1:4] == [
        ["now0", "now1", "now2", "bulk0"],
        ["now3", "now4", "now5", "bulk1"],
        ["now6", "now7", "now8"],
    ]


async def test_organisations_take_turns_on_the_connections() -> None:
    database = FakeDatabase(pause_s=0.001)
    async with writing(database, Limits(batch_weight_max=2, writer_connections=2)) as writer:
        flood = asyncio.create_task(submit_all(writer, [f"s{i}" for i in range(50)], org_id=1))
        await asyncio.sleep(0)
        others = [asyncio.create_task(submit_all(writer, ["x"], org_id=org)) for org in range(2, 12)]
        await asyncio.gather(flood, *others)
    order = [org for org, _ in database.batches]
    assert max(order.index(org) for org in range(2, 12)) < 25  # everyone was served long before the flood was over
    assert database.most_active == 2


async def test_a_flood_gets_short_batches_while_others_are_about() -> None:
    database = FakeDatabase()
    async with writing(database, Limits(batch_weight_max=1000)) as writer:
        alone = [writer.enqueue(1, register(f"a{i}")) for i in range(400)]
        await asyncio.gather(*alone)
        await asyncio.gather(*(writer.enqueue(org, register("x")) for org in range(2, 12)))
        beside = [writer.enqueue(1, register(f"b{i}")) for i in range(400)]
        await asyncio.gather(*beside)
    sizes = [len(codes) for org, codes in database.batches if org == 1]
    assert sizes == [400] + [45] * 8 + [40]


async def test_a_command_that_comes_just_as_the_last_worker_leaves_is_served() -> None:
    database = FakeDatabase()
    async with writing(database, Limits(writer_connections=1)) as writer:
        for round_ in range(50):
            assert results(await submit_all(writer, [f"s{round_}"])) == [f"s{round_}"]
