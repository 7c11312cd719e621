"""R26: messages arrive at least once, in order for each member, under one id, whatever happens to either side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from guerdon.audit.verify import audit
from guerdon.core import commands as c
from guerdon.core.programs import Expiry, LowPool, Policies, Rule
from guerdon.core.promotions.effects import Percent
from guerdon.core.promotions.terms import Issuing, Promotion
from guerdon.jobs import Jobs
from guerdon.settings import Settings
from guerdon.webhooks import Relay, relay
from tests.audit.books import books
from tests.conftest import Database
from tests.webhooks.receiver import Answer, Got, receiving
from tests.webhooks.site import Site

TEN = (Percent(ppm=100_000),)


@pytest.fixture
async def site(database: Database) -> AsyncIterator[Site]:
    async with books(database.app_dsn) as b:
        site = Site(b)
        await b.set_up()
        yield site
        await site.stop()
    assert audit(database.app_dsn, tell=lambda _: None).findings == []


async def test_what_is_recorded_after_an_endpoint_was_made_arrives_once_and_in_order(site: Site) -> None:
    before = await site.members("ada")
    async with receiving() as receiver:
        await site.endpoint(receiver.url)
        await site.award("ada", "ada", "ada")
        await site.relay().run_once()
        assert receiver.numbers == (await site.events())[1:]
        assert {one.member for one in receiver.taken} == set(before.values())
        await site.relay().run_once()
        assert len(receiver.got) == 3


async def test_only_messages_that_were_asked_for_are_sent(site: Site) -> None:
    async with receiving() as receiver:
        await site.endpoint(receiver.url, "member.*", "points.redeemed")
        await site.members("ada")
        await site.award("ada")
        await site.relay().run_once()
        assert [one.event["type"] for one in receiver.taken] == ["member.registered"]
        assert await site.books.value("select c.seq = h.seq from webhook_cursors c, heads h")


async def test_a_message_is_a_cloud_event(site: Site) -> None:
    ada = (await site.members("ada"))["ada"]
    async with receiving() as receiver:
        await site.endpoint(receiver.url, "purchase.*")
        await site.books.buy("B-1", ("external_id", "ada"), 12_345)
        await site.relay().run_once()
        (got,) = receiver.got
        assert got.headers[":line"] == "POST /hook?tenant=1 HTTP/1.1"
        assert got.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
        assert got.headers["host"] == f"127.0.0.1:{receiver.port}"
        event = got.event
        assert (event["specversion"], event["type"], event["source"]) == (
            "1.0",
            "purchase.recorded",
            "/organisations/shop",
        )
        assert (event["id"], event["subject"]) == (got.id, ada)
        data = event["data"]
        assert (data["event"], data["points"], data["asset"]) == ("TransactionAdd", "126", "POINTS")
        assert (data["purchase_number"], data["till"]["code"], data["program"]["code"]) == ("B-1", "T1", "club")
        assert b"Ada" not in got.body, "no personal data"


async def test_a_notice_tells_whose_points_end_when(site: Site) -> None:
    ada = (await site.members("ada"))["ada"]
    await site.books.buy("B-1", ("external_id", "ada"), 10_000)
    policies = Policies(currency="USD", notice_days=(30,), expiry=Expiry(kind="days", count=30))
    await site.books.ok(c.ChangeProgram, program=("code", "club"), policies=policies)
    async with receiving() as receiver:
        await site.endpoint(receiver.url, "points.expiring")
        site.books.later(days=2)
        await Jobs(site.books.pool, site.books.writer, Settings(), now=lambda: site.books.now).run_once()
        await site.relay().run_once()
        told = {one.event["data"]["expiring"]["points_category"]: one.event for one in receiver.taken}
    assert told.keys() == {"regular", "promised"}
    assert {one["subject"] for one in told.values()} == {ada}
    expiring = told["regular"]["data"]["expiring"]
    assert (expiring["points"], expiring["asset"], expiring["days_before"]) == ("100", "POINTS", 30)
    assert "points" not in told["regular"]["data"]


async def test_points_that_are_released_are_told_with_how_many_they_are(site: Site) -> None:
    ada = (await site.members("ada"))["ada"]
    rule = Rule(code="later", kind="per_amount", points=1, amount=100, category="promised", release_days=1)
    policies = Policies(currency="USD", rules=(rule,))
    await site.books.ok(c.ChangeProgram, program=("code", "club"), policies=policies)
    await site.books.buy("B-1", ("external_id", "ada"), 10_000, where=c.Where())
    async with receiving() as receiver:
        await site.endpoint(receiver.url, "points.released")
        site.books.later(days=6)
        await Jobs(site.books.pool, site.books.writer, Settings(), now=lambda: site.books.now).run_once()
        await site.relay().run_once()
        (got,) = receiver.got
    assert got.event["subject"] == ada
    data = got.event["data"]
    assert (data["released"], data["points"], data["asset"]) == ("100", "0", "POINTS")


async def test_what_is_said_of_promotions_issues_and_codes_arrives(site: Site) -> None:
    ada = (await site.members("ada"))["ada"]
    member, books = ("external_id", "ada"), site.books
    async with receiving() as receiver:
        await site.endpoint(receiver.url, "promotion.*", "code.*")
        given = Promotion(id="", name="Given", kind="member", effects=TEN, issuing=Issuing(activation=True))
        given_id = (await books.ok(c.CreatePromotion, terms=given)).terms.id
        issue = await books.ok(c.IssuePromotion, promotion=given_id, member=member, reason="a birthday")
        await books.ok(c.ActivateIssue, member=member, issue=issue.id)
        await books.ok(c.RevokeIssue, issue=issue.id)
        coded = Promotion(id="", name="Coded", kind="code", effects=TEN)
        coded_id = (await books.ok(c.CreatePromotion, terms=coded)).terms.id
        batch = await books.ok(c.CreateCodeBatch, promotion=coded_id)
        await books.ok(c.AddCodes, batch=batch.id, codes=("ZN34C",))
        await books.ok(c.LinkCode, member=member, code="ZN34C", mode="DISCOUNT")
        await books.ok(c.SwitchCodes, code="ZN34C", active=False, reason="lost")
        await site.relay().run_once()
        told = {one.event["type"]: one.event for one in receiver.taken}
    assert [one.event["type"] for one in receiver.taken if one.event.get("subject") == ada] == [
        "promotion.issued", "promotion.issue_activated", "promotion.issue_revoked", "code.linked"
    ]  # fmt: skip
    issued = told["promotion.issued"]["data"]
    assert (issued["promotion"], issued["issue"], issued["reason"]) == (
        f"prm_{given_id}", f"iss_{issue.id}", "a birthday"
    )  # fmt: skip
    assert (told["promotion.changed"]["data"]["promotion"], told["promotion.changed"]["data"]["status"]) == (
        f"prm_{coded_id}", coded.status
    )  # fmt: skip
    assert told["code.linked"]["data"]["code"] == "ZN34C"
    switched = told["code.switched"]["data"]
    assert (switched["code"], switched["code_batch"], switched["status"], switched["reason"]) == (
        "ZN34C", f"cbt_{batch.id}", "deactivated", "lost"
    )  # fmt: skip


async def test_a_low_pool_is_told_to_whoever_listens(site: Site) -> None:
    await site.members("ada")
    policies = Policies(low_pool=LowPool(points=-100))
    await site.books.ok(c.ChangeProgram, program=("code", "club"), policies=policies)
    async with receiving() as receiver:
        await site.endpoint(receiver.url, "points.pool_low")
        for points in (99, 2, 3):
            await site.award("ada", points=points)
        await site.relay().run_once()
    (told,) = receiver.taken
    assert (told.event["data"]["reason"], told.event["data"]["program"]["code"]) == ("-101 left", "club")
    assert "subject" not in told.event


async def test_a_failing_message_holds_back_that_members_later_ones_and_nobody_elses(site: Site) -> None:
    ids = await site.members("ada", "bea")
    refused = True

    async def not_for_ada(got: Got) -> int:
        return 500 if refused and got.member == ids["ada"] else 200

    async with receiving(not_for_ada) as receiver:
        await site.endpoint(receiver.url)
        await site.award("ada", "bea", "ada", "bea")
        await site.relay().run_once()
        await site.award("ada", "bea")
        await site.relay().run_once()
        (first, *_) = adas = (await site.events(ids["ada"]))[1:]
        assert receiver.of(ids["bea"]) == (await site.events(ids["bea"]))[1:]
        assert [one.number for one in receiver.got if one.member == ids["ada"]] == [first]
        refused = False
        site.later(seconds=relay.LATER_S[0] * 2)
        await site.relay().run_once()
        assert receiver.of(ids["ada"]) == adas
        first_tries = {one.id for one in receiver.got if one.number == first}
        assert len(first_tries) == 1, "a message has one id at every attempt"
        assert await site.books.value("select count(*) from webhook_behind") == 0


@pytest.mark.parametrize("status", [301, 307, 400, 404, 429, 500, 503])
async def test_whatever_is_not_a_2xx_is_a_failure_and_no_redirect_is_followed(site: Site, status: int) -> None:
    await site.members("ada")
    async with receiving() as elsewhere:

        async def refuse(got: Got) -> Answer:
            return status, b"no\x00t now", {"location": elsewhere.url, "retry-after": "60"}

        async with receiving(refuse) as receiver:
            await site.endpoint(receiver.url)
            await site.award("ada")
            await site.relay().run_once()
            assert (len(receiver.got), len(elsewhere.got)) == (1, 0)
            site.later(seconds=30)
            await site.relay().run_once()
            assert len(receiver.got) == 1, "Retry-After is kept to"
            site.later(seconds=31)
            await site.relay().run_once()
            assert len(receiver.got) == 2
            assert await site.deliveries("(outcome, status, attempt, answer)::text") == [
                f'(failed,{status},{n},"no t now")' for n in (1, 2)
            ]


async def test_a_receiver_that_is_down_gets_everything_when_it_is_up_again(site: Site) -> None:
    names = [f"m{n}" for n in range(30)]
    ids = await site.members(*names)
    async with receiving() as receiver:
        await site.endpoint(receiver.url)
        await receiver.down()
        for _ in range(3):
            await site.award(*names)
            await site.relay().run_once()
            site.later(seconds=20)
        tried = len(await site.deliveries())
        assert relay.PROBING_FROM <= tried < 30, "it is only probed, once it seems to be down"
        await receiver.up()
        site.later(minutes=11)
        await site.relay().run_once()
        assert sorted(receiver.numbers) == (await site.events())[30:]
        for id in ids.values():
            assert receiver.of(id) == (await site.events(id))[1:]


async def test_a_slow_receiver_is_not_waited_for_and_gets_the_message_again_under_the_same_id(site: Site) -> None:
    await site.members("ada")
    waits = [5.0, 0.0]

    async def slow(got: Got) -> int:
        await asyncio.sleep(waits.pop(0))
        return 200

    async with receiving(slow) as receiver:
        await site.endpoint(receiver.url)
        await site.award("ada")
        async with asyncio.timeout(4):
            await site.relay(webhook_timeout_s=0.3).run_once()
        assert await site.deliveries("answer") == ["no answer within 0.3 s"]
        site.later(minutes=1)
        await site.relay(webhook_timeout_s=0.3).run_once()
        assert len({one.id for one in receiver.got}) == 1
        assert await site.deliveries() == ["failed", "delivered"]


async def test_an_endless_answer_is_read_no_further_than_its_beginning(site: Site) -> None:
    await site.members("ada")

    async def endless(got: Got) -> Answer:
        return 200, b"x" * 200_000, {"content-length": "99999999999"}

    async with receiving(endless) as receiver:
        await site.endpoint(receiver.url)
        await site.award("ada")
        await site.relay().run_once()
        assert await site.deliveries("length(answer)") == [500]
        assert await site.deliveries() == ["delivered"]


async def test_gone_pauses_the_endpoint_at_once_and_an_event_says_so_to_the_others(site: Site) -> None:
    await site.members("ada")

    async def gone(got: Got) -> int:
        return 410

    async with receiving(gone) as dead, receiving() as alive:
        webhook = await site.endpoint(dead.url)
        await site.endpoint(alive.url, "webhook.*")
        await site.award("ada")
        await site.relay().run_once()
        await site.relay().run_once()
        assert len(dead.got) == 1
        (told,) = alive.taken
        assert told.event["type"] == "webhook.paused"
        assert told.event["data"]["reference"] == f"whk_{webhook}"
        assert told.event["data"]["reason"] == "it answered 410 Gone"
        await site.award("ada")
        await site.relay().run_once()
        assert len(dead.got) == 1, "nothing is sent while it is paused"

        async def back(got: Got) -> int:
            return 200

        dead.behave = back
        site.books.now = site.now()
        await site.books.ok(c.ChangeWebhook, target=webhook, status="active")
        await site.relay().run_once()
        awards = [one.number for one in dead.taken if one.event["type"] == "points.awarded"]
        assert awards == (await site.events(dead.taken[0].member))[1:], "it goes on where it stood"


async def test_an_endpoint_at_which_nothing_gets_through_for_days_is_paused_and_loses_nothing(site: Site) -> None:
    ids = await site.members("ada")
    up = False

    async def down(got: Got) -> int:
        return 200 if up else 503

    async with receiving(down) as receiver:
        webhook = await site.endpoint(receiver.url, "points.*")
        await site.award("ada", "ada")
        for _ in range(100):
            await site.relay().run_once()
            site.later(hours=1)
        status = "select status || ': ' || reason from webhooks"
        assert await site.books.value(status) == "paused: nothing got through for too long"
        assert 5 < len(receiver.got) < 15
        assert "given_up" not in await site.deliveries()
        up = True
        site.books.now = site.now()
        await site.books.ok(c.ChangeWebhook, target=webhook, status="active")
        await site.relay().run_once()
        assert receiver.of(ids["ada"]) == (await site.events(ids["ada"]))[1:]


async def test_a_failing_endpoint_is_said_once_for_each_time_that_it_fails(site: Site) -> None:
    await site.members("ada")
    answers = iter((500, 500, 500, 500, 200, 200, 500, 500, 500))

    async def behave(_: Got) -> int:
        return next(answers)

    async def turns(count: int) -> None:
        for _ in range(count):
            await site.relay().run_once()  # each time another process's
            site.later(minutes=20)

    async def said() -> list[tuple[str, str]]:
        return await site.books.rows("select reference, reason from events where name = 'WebhookFailing'")

    async with receiving() as watcher, receiving(behave) as receiver:
        failing = await site.endpoint(receiver.url, "points.*")
        await site.endpoint(watcher.url, "webhook.failing")
        await site.award("ada")
        await turns(1)
        assert await said() == [], "a single failure is none of anybody's business"
        await turns(4)
        told = (f"whk_{failing}", "it answered 500")
        assert await said() == [told]
        await site.award("ada", "ada")
        await turns(4)
        assert await said() == [told, told], "it worked meanwhile"
        assert [one.event["data"]["reference"] for one in watcher.taken] == [told[0]] * 2


async def test_an_endpoint_that_was_activated_again_has_all_its_days_anew(site: Site) -> None:
    await site.members("ada")

    async def down(got: Got) -> int:
        return 503

    async with receiving(down) as receiver:
        webhook = await site.endpoint(receiver.url)
        await site.award("ada")
        await site.relay().run_once()
        site.later(days=6)
        await site.relay().run_once()
        assert await site.books.value("select status from webhooks") == "paused"
        site.books.now = site.now()
        await site.books.ok(c.ChangeWebhook, target=webhook, status="active")
        await site.relay().run_once()
        assert [one.event["type"] for one in receiver.got].count("points.awarded") == 3
        assert await site.books.value("select status from webhooks") == "active"


async def test_a_message_is_given_up_only_where_others_get_through_and_a_replay_brings_it(site: Site) -> None:
    ids = await site.members("ada", "bea")
    poison = True

    async def poisoned(got: Got) -> int:
        return 400 if poison and got.number == first else 200

    async with receiving(poisoned) as receiver:
        webhook = await site.endpoint(receiver.url)
        await site.award("ada", "ada")
        first, second = (await site.events(ids["ada"]))[1:]
        for _ in range(len(relay.LATER_S) + 1):
            await site.award("bea")
            await site.relay().run_once()
            site.later(days=1, hours=6)
        assert [one.number for one in receiver.got].count(first) == len(relay.LATER_S) + 1
        assert receiver.of(ids["ada"]) == [second]
        assert (await site.deliveries()).count("given_up") == 1
        assert await site.books.value("select status from webhooks") == "active"
        poison = False
        await site.books.ok(c.ReplayWebhook, target=webhook, after=first - 1)
        await site.relay().run_once()
        assert receiver.of(ids["ada"]) == [second, first, second]


async def test_a_replay_from_the_beginning_sends_everything_again_under_the_same_ids(site: Site) -> None:
    async with receiving() as receiver:
        webhook = await site.endpoint(receiver.url)
        await site.members("ada", "bea")
        await site.award("ada", "bea", "ada")
        await site.relay().run_once()
        once = {one.id: one.body for one in receiver.taken}
        await site.books.ok(c.ReplayWebhook, target=webhook, after=0)
        await site.relay().run_once()
        assert len(receiver.taken) == 2 * len(once) == 10
        assert {one.id: one.body for one in receiver.taken} == once, "a message is the same whenever it is sent"


async def test_a_process_that_dies_after_sending_has_its_messages_sent_again_by_the_next(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await site.members("ada", "bea")
    async with receiving() as receiver:
        await site.endpoint(receiver.url)
        await site.award("ada", "bea", "ada")
        with monkeypatch.context() as patch:

            async def die(*_: Any, **__: Any) -> bool:
                raise RuntimeError("killed here")

            patch.setattr("guerdon.store.webhooks.Desk.advance", die)
            await site.relay().run_once()
        assert len(receiver.taken) == 3
        await site.relay().run_once()
        assert len(receiver.taken) == 3, "the dead process still has its turn"
        await site.books.rows("update webhook_cursors set held_until = now() returning 1")
        await site.relay().run_once()
        for id in ids.values():
            assert receiver.of(id) == (await site.events(id))[1:] * 2
        assert len({one.id for one in receiver.taken}) == 3


async def test_what_is_saved_after_a_turn_was_lost_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    await site.members("ada")
    async with receiving() as receiver:
        await site.endpoint(receiver.url)
        await site.award("ada")

        async def taken_over(got: Got) -> int:
            await site.books.rows("update webhook_cursors set holder = gen_random_uuid() returning 1")
            return 200

        receiver.behave = taken_over
        await site.relay().run_once()
        assert await site.deliveries() == []
        assert await site.books.value("select c.seq < h.seq from webhook_cursors c, heads h")


async def test_two_processes_relay_thousands_of_events_while_they_are_recorded_and_none_is_lost(
    site: Site, database: Database
) -> None:
    names = [f"m{n}" for n in range(40)]
    ids = await site.members(*names)
    failures = 0

    async def moody(got: Got) -> int:
        nonlocal failures
        if got.number % 97 == 0 and failures < 60:
            failures += 1
            return 500
        return 200

    async with receiving(moody) as receiver, books(database.app_dsn, "shop") as other:
        await site.endpoint(receiver.url)
        second = Site(other)
        pair = [site.relay(), second.relay()]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(relay, "LATER_S", (0.2,) * 10)
            for each in pair:
                await each.start()
            for _ in range(60):
                await site.award(*names)
            wanted = (await site.events())[40:]
            assert len(wanted) == 2400
            await site.until(lambda: set(receiver.numbers) >= set(wanted), 60)
            await second.stop()
            await site.stop()
        for id in ids.values():
            assert first_times(receiver.of(id)) == (await site.events(id))[1:]
        assert failures > 5


def first_times(numbers: list[int]) -> list[int]:
    return list(dict.fromkeys(numbers))


async def test_nothing_is_sent_to_an_endpoint_that_was_removed(site: Site) -> None:
    await site.members("ada")
    async with receiving() as receiver:
        webhook = await site.endpoint(receiver.url)
        await site.award("ada")
        await site.books.ok(c.RemoveWebhook, target=webhook)
        await site.relay().run_once()
        assert receiver.got == []
        assert (await site.books.no(c.ReplayWebhook, target=webhook, after=0)).code == "webhook_not_found"


async def test_old_rows_of_the_log_are_forgotten(site: Site) -> None:
    await site.members("ada")
    async with receiving() as receiver:
        await site.endpoint(receiver.url)
        await site.award("ada")
        running: Relay = site.relay(webhook_log_days=3)
        await running.run_once()
        assert len(await site.deliveries()) == 1
        site.later(days=4)
        await running._purge()
        assert await site.deliveries() == []
