"""Batches that are decided while the one before them commits: nothing is lost, doubled or seen too early."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from itertools import count
from types import SimpleNamespace
from typing import Any

import msgspec
import psycopg
import pytest
from psycopg import errors

from guerdon.core import commands as c
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.programs import Config
from guerdon.core.state import State
from guerdon.settings import Settings
from guerdon.store import ahead
from guerdon.store.ahead import Sent
from guerdon.store.commits import committed
from guerdon.store.lookups import Lookup
from guerdon.store.pool import make_pool
from guerdon.store.wire import wire
from guerdon.writer import Writer, WriterFault
from guerdon.writer.batch import RELAY_MAX, Steps
from guerdon.writer.loop import STEPS
from tests.conftest import Database
from tests.writer.worlds import World, award, envelope, world

AWARDS = "select count(*) from events where name = 'GoodwillAward'"
CALLERS, EACH = 40, 8


async def everybody(w: World, asks: Callable[[int, int], c.Command]) -> list[Any]:
    """Many callers, each with one command after the other: what the n-th asks for at its turn. A command that cannot be
    decided or saved is answered with its fault.
    """

    async def call(number: int) -> list[Any]:
        found: list[Any] = []
        for turn in range(EACH):
            try:
                found.append(await w.writer.submit(w.org_id, asks(number, turn)))
            except WriterFault as fault:
                found.append(fault)
        return found

    return [outcome for outcomes in await asyncio.gather(*map(call, range(CALLERS))) for outcome in outcomes]


async def everybody_awards(w: World) -> list[Any]:
    return await everybody(w, lambda number, _: award(w.members[number % len(w.members)]))


def assert_each_once(w: World, outcomes: list[Outcome]) -> None:
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    numbers = [outcome.result.event_no for outcome in outcomes if isinstance(outcome, Accepted)]
    assert sorted(numbers) == [
        seq for (seq,) in w.rows("select seq from events where name = 'GoodwillAward' order by 1")
    ]
    assert len(set(numbers)) == CALLERS * EACH == w.points()
    w.assert_whole()


def steps(**replaced: Any) -> Steps:
    """The real steps, with some of `store.ahead` replaced."""
    kept = {name: getattr(ahead, name) for name in ("send", "take_over", "overtaken", "mistaken")}
    return STEPS._replace(ahead=SimpleNamespace(**{**kept, **replaced}))


def sending(at: int, happens: Callable[[Sent, Any], Awaitable[None]]) -> Callable[..., Awaitable[Any]]:
    """`ahead.send`, whose `at`-th commit meets with something when it is sent; one that nothing follows is not
    counted.
    """
    flown = 0

    async def send(conn: Any, org_id: int, state: State, *, commit: bool) -> Any:
        sent = await ahead.send(conn, org_id, state, commit=False)
        handed_over, ended = sent._commit, sent.end

        async def alone() -> None:
            sent._commit = handed_over  # type: ignore[method-assign]
            await ended()

        async def observed(answered: int) -> None:
            nonlocal flown
            flown += 1
            await handed_over(answered)
            if flown == at:
                await happens(sent, conn)

        sent._commit, sent.end = observed, alone  # type: ignore[method-assign]
        if commit:
            await sent.commit()
        return sent

    return send


async def test_batches_overlap_while_many_wait(database: Database) -> None:
    async with world(database.app_dsn, database.superuser_dsn) as w:
        outcomes = await everybody_awards(w)
        assert w.writer.stats.overlapped > EACH
        assert w.writer.stats.overtaken == 0
        assert_each_once(w, outcomes)


async def test_rows_that_nobody_could_foresee_are_read_behind_the_batch_in_flight(database: Database) -> None:
    """A raw transfer out of a points account takes its lots, and that it is one is only known once it is read."""
    async with world(database.app_dsn, database.superuser_dsn, members=CALLERS) as w:
        for member in w.members:
            assert isinstance(await w.writer.submit(w.org_id, award(member, EACH)), Accepted)
        accounts = [id for (id,) in w.rows("select id::text from accounts where tracks_lots and category = 'regular'")]

        async def take(number: int) -> list[Outcome]:
            return [
                await w.writer.submit(w.org_id, taken(accounts[number], f"raw-{number}-{turn}")) for turn in range(EACH)
            ]

        outcomes = [outcome for found in await asyncio.gather(*map(take, range(CALLERS))) for outcome in found]
        assert [type(outcome) for outcome in outcomes] == [Accepted] * (CALLERS * EACH)
        assert w.writer.stats.overlapped > 0
        assert w.writer.stats.read_on > 0
        assert w.writer.stats.overtaken == 0
        assert w.points() == w.one("select sum(remaining) from lots") == 0
        w.assert_whole()


def taken(source: str, reference: str) -> c.Post:
    posting = c.Posting(asset="POINTS", amount=1, precision=1, reference=reference, source=source, destination="@Away")
    return c.Post(**envelope(), postings=(posting,))


async def known_accounts(w: World, count: int) -> list[str]:
    """Accounts without lots, opened and posted to once, so that this process knows them."""
    ledger = await w.writer.submit(w.org_id, c.OpenLedger(**envelope(), name="x"))
    assert isinstance(ledger, Accepted)
    opened = [
        await w.writer.submit(w.org_id, c.OpenAccount(**envelope(), ledger=ledger.result.id, asset="POINTS"))
        for _ in range(count)
    ]
    ids = [one.result.id for one in opened if isinstance(one, Accepted)]
    for number, id in enumerate(ids):
        assert isinstance(await w.writer.submit(w.org_id, post(id, f"first-{number}")), Accepted)
    return ids


def post(destination: str, reference: str, key: str = "") -> c.Post:
    posting = c.Posting(
        asset="POINTS", amount=1, precision=1, reference=reference, source="@Hot", destination=destination,
        allow_overdraft=True,
    )  # fmt: skip
    return c.Post(**envelope(key), postings=(posting,))


async def everybody_posts(w: World, ids: list[str], name: Callable[[int], str], keyed: bool) -> list[Any]:
    """`name` gives the reference, or the key, of the n-th posting."""

    def asks(number: int, turn: int) -> c.Command:
        nth, id = number * EACH + turn, ids[turn % len(ids)]
        return post(id, f"{name(nth)}-under-a-key", name(nth)) if keyed else post(id, name(nth))

    return await everybody(w, asks)


async def test_postings_on_known_accounts_are_decided_without_reading_anything(database: Database) -> None:
    async with world(database.app_dsn, database.superuser_dsn) as w:
        ids = await known_accounts(w, 5)
        outcomes = await everybody_posts(w, ids, "bill-{}".format, keyed=False)
        assert all(isinstance(outcome, Accepted) for outcome in outcomes)
        assert w.writer.stats.guessed > EACH / 2
        assert w.writer.stats.mistaken == 0
        assert w.one("select count(distinct reference) from transfers where reference like 'bill-%'") == CALLERS * EACH
        w.assert_whole()


async def test_batches_that_overlap_become_even(database: Database) -> None:
    """However they began: a long and a short one by turns would leave the database and this process waiting for each
    other.
    """
    sizes: list[int] = []

    def noting(conn: Any, org_id: int, state: State) -> Any:
        sizes.append(state.unappended())
        return ahead.take_over(conn, org_id, state)

    async with world(database.app_dsn, database.superuser_dsn, steps=steps(take_over=noting)) as w:
        ids = await known_accounts(w, 5)
        busy = asyncio.create_task(busy_with(w, ids, RELAY_MAX))
        while len(sizes) < 3 * RELAY_MAX:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        busy.cancel()
        even = [size for size in sizes if abs(size - RELAY_MAX / 2) <= RELAY_MAX / 16]
        assert len(even) > len(sizes) * 3 / 4


@pytest.mark.parametrize("keyed", [False, True], ids=["by its reference", "by its key"])
async def test_what_the_batch_before_did_is_not_done_again_behind_it(database: Database, keyed: bool) -> None:
    """Every second posting says what another caller says at about the same time, in this batch or the next."""
    async with world(database.app_dsn, database.superuser_dsn) as w:
        ids = await known_accounts(w, 5)
        half = CALLERS * EACH // 2
        outcomes = await everybody_posts(w, ids, lambda nth: f"bill-{nth % half}", keyed)
        stored = w.one("select count(*) from transfers where reference like 'bill-%'")
        assert stored == half
        if keyed:
            accepted = [one for one in outcomes if isinstance(one, Accepted)]
            assert len([one for one in accepted if one.replayed]) == len(accepted) - half == half
        else:
            assert len([one for one in outcomes if isinstance(one, Accepted)]) == half
        assert w.writer.stats.guessed > 0
        assert w.writer.stats.splits == 0, "otherwise the database had to notice that a key was written twice"
        assert w.writer.stats.faults == w.writer.stats.retries == 0
        w.assert_whole()


async def wrong_guesses(w: World, keyed: bool) -> tuple[list[Outcome], list[Outcome]]:
    """What was answered long ago, and what is answered to the same among many that are new."""
    ids = await known_accounts(w, 5)
    asked = [post(ids[0], f"old-{number}", f"old-{number}" if keyed else "") for number in range(EACH)]
    asked[1::2] = [queued(command) for command in asked[1::2]]
    first = [await w.writer.submit(w.org_id, command) for command in asked]
    for number in range(300):  # so that what was read with them is not in a state any more
        await w.writer.submit(w.org_id, post(ids[1], f"between-{number}"))

    async def again() -> list[Outcome]:
        found = []
        for command in asked:
            await asyncio.sleep(0.05)
            plain = msgspec.structs.replace(command, **envelope(command.key))
            found.append(await w.writer.submit(w.org_id, plain if keyed else at_once(plain)))
        return found

    busy = asyncio.create_task(busy_with(w, ids))
    second = await again()
    busy.cancel()
    return first, second


def queued(command: c.Post) -> c.Post:
    return msgspec.structs.replace(command, postings=(msgspec.structs.replace(command.postings[0], queued=True),))


def at_once(command: c.Post) -> c.Post:
    return msgspec.structs.replace(command, postings=(msgspec.structs.replace(command.postings[0], queued=False),))


async def busy_with(w: World, ids: list[str], callers: int = CALLERS) -> None:
    """Many callers who post without end."""

    async def call(number: int) -> None:
        for turn in count():
            await w.writer.submit(w.org_id, post(ids[2 + number % 3], f"busy-{number}-{turn}"))

    await asyncio.gather(*map(call, range(callers)))


@pytest.mark.parametrize("keyed", [False, True], ids=["by its reference", "by its key"])
async def test_a_wrong_guess_is_noticed_and_the_batch_decided_again(database: Database, keyed: bool) -> None:
    async with world(database.app_dsn, database.superuser_dsn) as w:
        first, second = await wrong_guesses(w, keyed)
        assert all(isinstance(one, Accepted) for one in first)
        if keyed:
            assert [one.replayed for one in second if isinstance(one, Accepted)] == [True] * EACH
        else:
            assert [one.code for one in second if isinstance(one, Rejected)] == [Rejection.REFERENCE_TAKEN] * EACH
        assert w.writer.stats.mistaken > 0
        assert w.writer.stats.splits == w.writer.stats.faults == w.writer.stats.retries == 0
        w.assert_whole()


async def test_without_the_proof_a_wrong_guess_would_be_believed(database: Database) -> None:
    """The negative control: the reference of a queued posting, which no unique index holds, is given away again."""

    def believing(conn: Any, org_id: int, state: State) -> Any:
        state.guessed.clear()
        return ahead.take_over(conn, org_id, state)

    async with world(database.app_dsn, database.superuser_dsn, steps=steps(take_over=believing)) as w:
        _, second = await wrong_guesses(w, keyed=False)
        assert [one for one in second if isinstance(one, Accepted)]


async def test_a_refusal_is_not_answered_on_a_guess(database: Database) -> None:
    """Nothing is written with a batch of refusals, so nothing would prove what was guessed for them."""
    async with world(database.app_dsn, database.superuser_dsn) as w:
        ids = await known_accounts(w, 5)
        assert isinstance(await w.writer.submit(w.org_id, post(ids[0], "poor-7")), Accepted)
        for turn in range(EACH):
            rich = [post(ids[number % 5], f"rich-{turn}-{number}") for number in range(CALLERS)]
            poor = [too_much(post(ids[number % 5], f"poor-{number}")) for number in range(CALLERS)]
            # half of them are taken first, and the others behind them, in a batch of their own
            found = await asyncio.gather(*(w.writer.submit(w.org_id, command) for command in rich + poor))
            assert all(isinstance(one, Accepted) for one in found[:CALLERS])
            codes = [one.code for one in found[CALLERS:] if isinstance(one, Rejected)]
            assert codes.pop(7) == Rejection.REFERENCE_TAKEN
            assert codes == [Rejection.INSUFFICIENT_FUNDS] * (CALLERS - 1)
        assert w.writer.stats.guessed == w.writer.stats.overlapped == EACH


def too_much(command: c.Post) -> c.Post:
    """As much from a known account as it never has."""
    own = command.postings[0]
    posting = msgspec.structs.replace(
        own, source=own.destination, destination=own.source, amount=10**9, allow_overdraft=False
    )
    return msgspec.structs.replace(command, postings=(posting,))


async def test_one_caller_at_a_time_overlaps_with_nobody(database: Database) -> None:
    async with world(database.app_dsn, database.superuser_dsn) as w:
        for _ in range(5):
            await w.writer.submit(w.org_id, award(w.members[0]))
        assert w.writer.stats.overlapped == 0
        assert w.points() == 5


def kill(dsn: str, conn: Any) -> None:
    with psycopg.connect(dsn, autocommit=True) as killer:
        killer.execute("select pg_terminate_backend(%s, 5000)", (conn.info.backend_pid,))


@pytest.mark.parametrize("seen", [True, False], ids=["after the commit", "around the commit"])
async def test_a_backend_killed_while_a_batch_flies_does_nothing_twice(database: Database, seen: bool) -> None:
    async def die(sent: Sent, conn: Any) -> None:
        if seen:
            while not w.rows(f"select from transfers where seq = {sent._state.head[1]}"):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        kill(database.superuser_dsn, conn)

    async with world(database.app_dsn, database.superuser_dsn, steps=steps(send=sending(3, die))) as w:
        outcomes = await everybody_awards(w)
        assert w.writer.stats.retries > 0
        assert w.writer.stats.doubts > 0
        assert_each_once(w, outcomes)


@pytest.mark.parametrize("seen", [True, False], ids=["after both commits", "around them"])
@pytest.mark.parametrize("killed", [True, False], ids=["the backend killed", "the connection cut"])
async def test_a_connection_lost_while_two_batches_fly_does_nothing_twice(
    database: Database, seen: bool, killed: bool
) -> None:
    """Postings that are guessed are sent with their commit before that of the batch before them is known. One that was
    committed would be refused for its own reference if it were decided again.
    """
    both: list[bool] = []

    async def die(sent: Sent, conn: Any) -> None:
        both.append(len(wire(conn)._ended) == 2)
        if seen:
            while not w.rows(f"select from transfers where seq = {sent._state.head[1]}"):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        if killed:
            kill(database.superuser_dsn, conn)
        else:
            wire(conn)._close()

    async with world(database.app_dsn, database.superuser_dsn, steps=steps(send=sending(5, die))) as w:
        ids = await known_accounts(w, 5)
        outcomes = await everybody_posts(w, ids, "bill-{}".format, keyed=False)
        assert both == [True]
        assert all(isinstance(outcome, Accepted) for outcome in outcomes)
        assert w.one("select count(*) from transfers where reference like 'bill-%'") == CALLERS * EACH
        assert w.writer.stats.doubts >= (1 if killed else 2)
        w.assert_whole()


async def test_a_backend_killed_with_the_next_batch_on_its_way_does_nothing_twice(database: Database) -> None:
    """The next batch's first rows are with the database before the answer to the commit before them is here."""

    async def die_later(sent: Sent, conn: Any) -> None:
        committed, seq = sent.committed, sent._state.head[1]

        async def die() -> None:
            while not w.rows(f"select from transfers where seq = {seq}"):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            assert len(wire(conn)._sent) > 3, "more than the look at the head"
            kill(database.superuser_dsn, conn)
            await committed()

        sent.committed = die  # type: ignore[method-assign]

    async with world(database.app_dsn, database.superuser_dsn, steps=steps(send=sending(3, die_later))) as w:
        outcomes = await everybody_awards(w)
        assert w.writer.stats.retries > 0
        assert_each_once(w, outcomes)


def between(database: Database, then: Callable[[Any, int, State], Any]) -> Callable[[Any, int, State], Any]:
    """Another server gets the lock, once, between the commit of a batch and the beginning of the one decided behind
    it. What it writes is in the head row, which every batch writes as well, with a mark as one without rows leaves it.
    """
    times = 0

    def take_over(conn: Any, org_id: int, state: State) -> Any:
        nonlocal times
        times += 1
        if times == 2:
            with psycopg.connect(database.app_dsn) as other:
                other.execute("select set_config('guerdon.org', %s, true)", (str(org_id),))
                other.execute(
                    "update heads set lot_no = lot_no + 100000, mark = gen_random_uuid() where org_id = %s", (org_id,)
                )
        return then(conn, org_id, state)

    return take_over


async def test_another_server_in_between_is_noticed_and_the_batch_decided_again(database: Database) -> None:
    careful = steps(take_over=between(database, ahead.take_over))
    async with world(database.app_dsn, database.superuser_dsn, steps=careful) as w:
        outcomes = await everybody_awards(w)
        assert w.writer.stats.overtaken == 1
        assert w.writer.stats.retries == 0
        assert w.one("select lot_no from heads") > 100000
        assert_each_once(w, outcomes)


async def test_without_the_check_another_servers_write_would_be_lost(database: Database) -> None:
    """The negative control: what the check is there for does happen without it."""

    def blind(conn: Any, org_id: int, state: State) -> Any:
        lookup = Lookup(wire(conn), org_id, state.last_recorded_at)
        lookup.run("enter")
        return lookup.run("lock_head")

    careless = steps(take_over=between(database, blind))
    async with world(database.app_dsn, database.superuser_dsn, steps=careless) as w:
        await everybody_awards(w)
        assert w.one("select lot_no from heads") < 100000


@asynccontextmanager
async def another_server(w: World) -> AsyncIterator[World]:
    async with make_pool(w.dsn, name="other", size_max=2) as pool:
        writer = Writer(pool, Settings())
        await writer.start()
        yield World(w.dsn, w.superuser_dsn, pool, writer, w.org_id, w.members)
        await writer.stop()


async def test_two_servers_of_one_organisation_overlap_and_stay_exact(database: Database) -> None:
    async with world(database.app_dsn, database.superuser_dsn) as w, another_server(w) as other:
        results = await asyncio.gather(everybody_awards(w), everybody_awards(other))
        assert all(isinstance(outcome, Accepted) for each in results for outcome in each)
        assert w.one(AWARDS) == w.points() == 2 * CALLERS * EACH
        w.assert_whole()


async def test_a_batch_without_rows_is_not_committed_behind_another(database: Database) -> None:
    """Nothing would tell whether its commit happened, so it goes in a turn of its own."""
    async with world(database.app_dsn, database.superuser_dsn) as w:
        ledger = await w.writer.submit(w.org_id, c.OpenLedger(**envelope(), name="x"))
        assert isinstance(ledger, Accepted)

        def note(number: int) -> c.Annotate:
            return c.Annotate(**envelope(), kind="ldg", object=ledger.result.id, meta=f'{{"n{number}":1}}')

        async def call(number: int) -> None:
            for turn in range(EACH):
                one = await w.writer.submit(w.org_id, award(w.members[0]) if number % 2 else note(number * EACH + turn))
                assert isinstance(one, Accepted)

        await asyncio.gather(*map(call, range(CALLERS)))
        many = 240  # more than are decided before the first rows would be sent
        outcomes = await asyncio.gather(*(w.writer.submit(w.org_id, note(1000 + n)) for n in range(many)))
        assert all(isinstance(outcome, Accepted) for outcome in outcomes)
        assert w.points() == CALLERS * EACH // 2
        assert w.one("select max(version) from metadata") == CALLERS * EACH // 2 + many


async def test_a_batch_that_the_database_refuses_takes_nobody_behind_it_along(database: Database) -> None:
    async with world(database.app_dsn, database.superuser_dsn) as w:
        too_long = c.RegisterSource(**envelope(), code="".join(chr(0x4E00 + n % 20000) for n in range(9000)))

        found = await everybody(
            w, lambda number, turn: too_long if (number, turn) == (7, 3) else award(w.members[number % 3])
        )
        assert [type(one) for one in found if not isinstance(one, Accepted)] == [WriterFault]
        assert w.points() == CALLERS * EACH - 1
        w.assert_whole()


async def test_a_posting_that_cannot_be_sent_takes_nobody_before_or_behind_it_along(database: Database) -> None:
    """Half a character is no text that could be stored. The batch before it flies when that is noticed."""
    async with world(database.app_dsn, database.superuser_dsn) as w:
        ids = await known_accounts(w, 5)

        def asks(number: int, turn: int) -> c.Command:
            if (number, turn) == (8, 6):
                return c.RegisterSource(**envelope(), code="\ud800")
            return post(ids[turn % 5], f"bill-{number}-{turn}" + "\ud800" * ((number, turn) == (7, 3)))

        found = await everybody(w, asks)
        assert [type(one) for one in found if not isinstance(one, Accepted)] == [WriterFault] * 2
        assert w.one("select count(*) from transfers where reference like 'bill-%'") == CALLERS * EACH - 2
        assert w.writer.stats.guessed > 0
        assert w.writer.stats.retries <= w.writer.stats.doubts
        w.assert_whole()


async def test_a_row_that_cannot_be_read_behind_a_batch_takes_nobody_along(database: Database) -> None:
    """It is psycopg who says so, when the commit was sent: it refuses instants behind the year 9999."""
    async with world(database.app_dsn, database.superuser_dsn) as w:
        ids = await known_accounts(w, 1)
        late = datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-5)))
        posting = msgspec.structs.replace(post(ids[0], "late").postings[0], effective_at=late)
        posted = await w.writer.submit(w.org_id, c.Post(**envelope(), postings=(posting,)))
        assert isinstance(posted, Accepted)
        unreadable = posted.result.rows[0].id

        def asks(number: int, turn: int) -> c.Command:
            wrong = (number, turn) == (7, 3)
            return c.Refund(**envelope(), target=unreadable) if wrong else award(w.members[number % 3])

        found = await everybody(w, asks)
        assert [type(one) for one in found if not isinstance(one, Accepted)] == [WriterFault]
        assert w.one(AWARDS) == w.points() == CALLERS * EACH - 1


async def test_a_commit_without_a_number_is_known_by_its_row(database: Database) -> None:
    async with world(database.app_dsn, database.superuser_dsn) as w:
        seq, hash_ = w.rows("select seq, encode(last_hash, 'hex') from heads where seq > 0")[0]
        async with w.pool.connection() as asking:
            assert await committed(asking, w.org_id, f"/{seq}/{hash_}") is True
            assert await committed(asking, w.org_id, f"/{seq}/{'ab' * 32}") is False
            assert await committed(asking, w.org_id, f"/{seq + 1}/{hash_}") is False
            assert await committed(asking, w.org_id, "") is False, "nothing had been sent that could be"


async def test_a_batch_that_was_found_not_to_be_committed_never_will_be(database: Database) -> None:
    """A server that still reads what was sent before the connection was lost may come to it after somebody asked."""
    async with world(database.app_dsn, database.superuser_dsn) as w:
        (head,) = w.rows("select coalesce(mark::text, ''), seq, last_hash from heads where seq > 0")
        state = State(Config(), {}, datetime.now(UTC), b"")
        state.head = head
        for asked, possible in ((False, True), (True, False)):
            if asked:
                async with w.pool.connection() as asking:
                    assert await committed(asking, w.org_id, f"/{head[1] + 1}/{'ab' * 32}") is False
            async with w.pool.connection() as late:
                try:
                    async with wire(late):
                        ahead.take_over(late, w.org_id, state)
                except errors.DivisionByZero:
                    assert not possible
                else:
                    assert possible
                await late.rollback()
