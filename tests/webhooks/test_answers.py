"""A receiver that delivers rewards answers `reward.claimed`, and the fulfilment moves; if the answer is signed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook

from guerdon.audit.verify import audit
from guerdon.core import commands as c
from guerdon.core.catalogue import ListTerms, RewardTerms
from tests.audit.books import books
from tests.conftest import Database
from tests.webhooks.receiver import Answer, Got, receiving
from tests.webhooks.site import Site


@pytest.fixture
async def site(database: Database) -> AsyncIterator[Site]:
    async with books(database.app_dsn) as b:
        site = Site(b)
        await b.set_up()
        yield site
        await site.stop()
    assert audit(database.app_dsn, tell=lambda _: None).findings == []


async def reward(site: Site, stock: int | None = None, **terms: Any) -> str:
    listed = await site.books.ok(c.CreateRewardList, terms=ListTerms(name="Things", price=10))
    made = await site.books.ok(
        c.CreateReward, list=listed.id, terms=RewardTerms(name="Mug", kind="external", **terms), stock=stock
    )
    return str(made.id)


async def claimed(site: Site, of: str, member: str = "ada") -> str:
    made = await site.books.ok(c.ClaimReward, member=("external_id", member), reward=of)
    return str(made.id)


async def standing(site: Site, claim: str) -> tuple[str, str]:
    (row,) = await site.books.rows(f"select status, reason from claims where id = '{claim}'")
    return row[0], row[1]


Sign = Callable[[Got, bytes], dict[str, str]]


def signing(secret: str, *, ago: timedelta = timedelta(0), id: str = "") -> Sign:
    """As a receiver signs with the public library."""

    def sign(got: Got, body: bytes) -> dict[str, str]:
        at = datetime.now(UTC) - ago
        message = id or got.id
        return {
            "webhook-id": message,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(secret).sign(message, at, body.decode()),
        }

    return sign


async def deliver(site: Site, *saying: tuple[Any, Sign | None, bytes]) -> tuple[str, list[str]]:
    """A claim, and a receiver that answers its message with these, each (document, how it is signed, what is appended);
    the claim and what the log says. The secret is known only when the endpoint is made."""
    await site.members("ada")
    await site.award("ada", points=100)
    mug = await reward(site)
    secret = ""
    left = list(saying)

    async def behave(got: Got) -> Answer:
        Webhook(secret).verify(got.body, got.headers)
        document, sign, more = left.pop(0)
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        how = signing(secret) if sign is None else sign
        return 200, body + more, how(got, body)

    async with receiving(behave) as receiver:
        webhook = await site.endpoint(receiver.url, "reward.claimed")
        secret = site.secret(webhook)
        claim = await claimed(site, mug)
        for _ in saying:
            await site.relay().run_once()
            if left:
                await site.books.ok(c.ReplayWebhook, target=webhook, after=0)
        told = [got.event["data"] for got in receiver.got]
        assert {one["claim"] for one in told} == {f"clm_{claim}"}
        assert {one["reward"] for one in told} == {f"rwd_{mug}"}
        assert set(await site.deliveries()) == {"delivered"}
    return claim, await site.deliveries("answer")


async def test_a_signed_answer_moves_the_fulfilment(site: Site) -> None:
    claim, log = await deliver(site, ({"status": "completed", "reason": "parcel 17"}, None, b""))
    assert await standing(site, claim) == ("completed", "parcel 17")
    assert log[0].startswith("moved to completed; ")
    actor = await site.books.value("select actor from events where name = 'RewardFulfilment'")
    assert actor.startswith("whk_")


async def test_a_denial_gives_the_points_back(site: Site) -> None:
    claim, _ = await deliver(site, ({"status": "denied", "reason": "sold out there"}, None, b""))
    assert await standing(site, claim) == ("denied", "sold out there")
    assert await site.books.value("select sum(remaining) from lots") == 100


async def test_a_fulfilment_moves_on_but_not_back(site: Site) -> None:
    claim, log = await deliver(
        site, *[({"status": status}, None, b"") for status in ("processing", "completed", "processing", "denied")]
    )
    assert await standing(site, claim) == ("completed", "")
    assert [text.partition(";")[0] for text in log] == [
        "moved to processing",
        "moved to completed",
        "refused: fulfilment_not_forward (completed)",
        "refused: fulfilment_not_forward (completed)",
    ]


COMPLETED = {"status": "completed"}
WRONG = "whsec_" + "A" * 43 + "="


@pytest.mark.parametrize(
    ("document", "sign", "more", "why"),
    [
        (COMPLETED, signing(WRONG), b"", "its signature is wrong"),
        (COMPLETED, None, b" ", "its signature is wrong"),
        (COMPLETED, lambda *_: {"webhook-signature": "v1,x"}, b"", "it is signed for another message"),
        ({"status": "pending"}, None, b"", "it names no status that a fulfilment can be moved to"),
        ({"status": "completed", "claim": "clm_x"}, None, b"", "it names no status that a fulfilment can be moved to"),
        (b"ok", None, b"", "it names no status that a fulfilment can be moved to"),
        (b"[" * 4000, None, b"", "it names no status that a fulfilment can be moved to"),
    ],
)
async def test_what_was_tampered_with_or_says_nothing_moves_nothing(
    site: Site, document: Any, sign: Sign | None, more: bytes, why: str
) -> None:
    claim, log = await deliver(site, (document, sign, more))
    assert await standing(site, claim) == ("pending", "")
    assert log[0].startswith(f"not heard: {why}; ")


@pytest.mark.parametrize(
    ("ago", "id", "why"),
    [
        (timedelta(minutes=6), "", "its timestamp is too old"),
        (timedelta(minutes=-6), "", "its timestamp lies ahead"),
        (timedelta(0), "evt_0199b1f0-2c3e-7c11-9a52-5b7d3c000000", "it is signed for another message"),
    ],
)
async def test_an_old_answer_and_one_to_another_message_move_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch, ago: timedelta, id: str, why: str
) -> None:
    secrets: list[str] = []
    known = site.secret

    def noted(webhook: str) -> str:
        secrets.append(known(webhook))
        return secrets[-1]

    monkeypatch.setattr(site, "secret", noted)
    claim, log = await deliver(site, (COMPLETED, lambda got, body: signing(secrets[0], ago=ago, id=id)(got, body), b""))
    assert await standing(site, claim) == ("pending", "")
    assert log[0].startswith(f"not heard: {why}; ")


async def test_an_answer_that_is_not_signed_is_just_an_answer(site: Site) -> None:
    claim, log = await deliver(site, (COMPLETED, lambda *_: {}, b""))
    assert await standing(site, claim) == ("pending", "")
    assert log == ['{"status": "completed"}']
