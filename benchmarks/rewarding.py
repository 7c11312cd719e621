"""Claims of one hot reward, through the writer and over HTTP, and a page of 500 rewards for one member."""

from __future__ import annotations

import http.client
from itertools import count
from time import perf_counter
from urllib.parse import urlsplit

from benchmarks import harness
from benchmarks.harness import Row, median, percentile, spread
from benchmarks.over_http import CONNECTIONS, MEMBERS, SECONDS, Server, answers, load, prepare, rate, serving
from benchmarks.posting import CALLERS, callers
from guerdon.core import commands as c
from guerdon.core.catalogue import ListTerms, RewardTerms

REWARDS = 500
ASKED = 200
POINTS = 10**9


def claims() -> list[Row]:
    """64 callers, one hot reward with stock and limits, through the writer."""
    return harness.run(_claims())  # type: ignore[no-any-return]


async def _claims() -> list[Row]:
    rates: list[float] = []
    took: list[float] = []
    with harness.fresh_database("claims") as database:
        async with harness.writing(database) as writer:
            org_id = await harness.new_organisation(database, "claims")
            members = await harness.open_program(writer, org_id, MEMBERS)
            awards = [c.Award(**harness.envelope(), member=("id", id), points=POINTS, reason="x") for id in members]
            await harness.submit_all(writer, org_id, awards)
            things = c.CreateRewardList(**harness.envelope(), terms=ListTerms(name="Things", price=10, limit=10**9))
            (listed,) = await harness.submit_all(writer, org_id, [things])
            mug = c.CreateReward(**harness.envelope(), list=listed.id, terms=RewardTerms(name="Mug"), stock=10**9)
            (reward,) = await harness.submit_all(writer, org_id, [mug])
            numbers = count()

            def claim() -> c.ClaimReward:
                member = ("id", members[next(numbers) % len(members)])
                return c.ClaimReward(**harness.envelope(), member=member, reward=reward.id)

            await callers(writer, org_id, claim, CALLERS, 1.0)
            database.analyse()
            for number in range(3):
                run = await harness.undisturbed_async(lambda: callers(writer, org_id, claim, CALLERS, SECONDS))
                took += run
                rates.append(len(run) / SECONDS)
                harness.say(f"claims {number + 1}/3: {rates[-1]:,.0f}/s")
    p50, p99 = percentile(took, 0.5) * 1000, percentile(took, 0.99) * 1000
    return [
        Row(
            figure="claims of one hot reward, through the writer",
            value=f"{median(rates):,.0f}/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms",
            conditions=f"{CALLERS} callers that wait for their answers, {MEMBERS:,} members, stock and a limit "
            f"per member counted; median of 3 runs of {SECONDS:.0f} s ({spread(rates)})",
            numbers={"per_s": median(rates), "p50_ms": p50, "p99_ms": p99},
        )
    ]


def over_http() -> list[Row]:
    """64 connections that claim one hot reward, and one that reads a page of 500 rewards."""
    with harness.fresh_database("claims-http") as database, serving(database) as server:
        members = prepare(server)
        listed = server.post("/v1/reward-lists", {"name": "Things", "price": "10"})["id"]
        made = [server.post("/v1/rewards", {"list": listed, "name": f"R-{n}", "stock": 10**9}) for n in range(REWARDS)]
        for member in members:
            server.post(f"/v1/members/{member}/awards", {"points": str(POINTS), "reason": "bench"})
        database.analyse()
        reward = made[0]["id"]
        answers(load(server, "claim", members, reward=reward, seconds=2.0))
        runs = []
        for number in range(3):
            runs.append(harness.undisturbed(lambda: answers(load(server, "claim", members, reward=reward))))
            harness.say(f"claims-http {number + 1}/3: {rate(runs[-1]):,.0f}/s")
        pages = harness.undisturbed(lambda: _pages(server, members[0]))
    rates = [rate(run) for run in runs]
    took = [seconds for run in runs for seconds in run["took"]]
    p50, p99 = percentile(took, 0.5) * 1000, percentile(took, 0.99) * 1000
    page50, page95 = percentile(pages, 0.5) * 1000, percentile(pages, 0.95) * 1000
    return [
        Row(
            figure="HTTP, claims of one hot reward, one server process",
            value=f"{median(rates):,.0f}/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms",
            conditions=f"{CONNECTIONS} keep-alive connections, {MEMBERS:,} members, answers without a page of rewards; "
            f"the client is another process on the same cores; median of 3 runs ({spread(rates)})",
            numbers={"per_s": median(rates), "p50_ms": p50, "p99_ms": p99},
        ),
        Row(
            figure=f"HTTP, a page of {REWARDS} rewards for one member",
            value=f"p50 {page50:.1f} ms, p95 {page95:.1f} ms",
            conditions=f"one connection, {ASKED} pages, prices, stock and limits of each looked at",
            numbers={"p50_ms": page50, "p95_ms": page95},
        ),
    ]


def _pages(server: Server, member: str) -> list[float]:
    """Seconds that pages took, one after the other."""
    at = urlsplit(server.url)
    connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=60)
    took = []
    for _ in range(ASKED):
        since = perf_counter()
        path = f"/v1/members/{member}/rewards?limit={REWARDS}"
        connection.request("GET", path, headers={"authorization": f"Bearer {server.key}"})
        answer = connection.getresponse()
        text = answer.read()
        took.append(perf_counter() - since)
        if answer.status != 200 or text.count(b'"affordable_count"') != REWARDS:
            raise RuntimeError(f"{answer.status} {text[:200]!r}")
    connection.close()
    return took
