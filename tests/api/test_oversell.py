"""R7: whatever runs at once, a limit is never passed: many connections, retries, two servers on one database."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from random import Random

import httpx2
import pytest

from guerdon.audit.verify import audit
from guerdon.core import tallies
from guerdon.core.promotions import limits
from guerdon.core.promotions.limits import CounterKey
from guerdon.core.state import State
from tests.api.conftest import Api, served, set_up
from tests.conftest import Database

TRIES_MAX = 20
Outcome = tuple[str, int, int]
"""Who tried, the status, and what was off."""


@pytest.fixture
def two(database: Database) -> Iterator[tuple[Api, Api]]:
    """Two servers on one database."""
    with served(database) as one, served(database) as other:
        set_up(Api(one))
        yield Api(one), Api(other)


def shared_code(api: Api, uses: int) -> None:
    """HOLIMAN100: so many customers, each once."""
    effects = [{"type": "percent", "ppm": 100_000}]
    each = [
        {"code": "first", "kpi": "purchases", "limit": uses},
        {"code": "each", "kpi": "purchases", "limit": 1, "per": "customer"},
        {"code": "word", "kpi": "purchases", "limit": uses, "per": "code"},
    ]
    terms = {"name": "Holiman", "kind": "code", "status": "active", "effects": effects, "limits": each}
    promotion = api.post("/v1/promotions", terms)["id"]
    batch = api.post(f"/v1/promotions/{promotion}/codes/batches", {"name": "word"})["id"]
    api.post(f"/v1/promotions/{promotion}/codes/batches/{batch}/uploads", {"codes": ["HOLIMAN100"]}, status=200)


def buy(servers: tuple[Api, Api], turn: int, body: Mapping[str, object]) -> httpx2.Response:
    """As a till does: again, at the other server, where nothing or 503 came back."""
    for again in range(TRIES_MAX):
        try:
            answer = servers[(turn + again) % 2].call("POST", "/v1/purchases", body)
        except httpx2.TransportError:
            continue
        if answer.status_code != 503:
            return answer
    raise AssertionError(f"no answer after {TRIES_MAX} tries")


def storm(servers: tuple[Api, Api], members: int, attempts: int, connections: int) -> list[Outcome]:
    """Everybody tries with the code, by turns at both servers; every third request is sent twice."""
    for number in range(members):
        servers[0].post("/v1/members", {"external_id": f"M-{number}"})
    chance = Random(7)
    tries = [(number, f"M-{number % members}", chance.random() < 0.34) for number in range(attempts)]
    chance.shuffle(tries)

    def attempt(one: tuple[int, str, bool]) -> Outcome:
        number, member, twice = one
        body: dict[str, object] = {
            "number": f"S-{number}",
            "currency": "USD",
            "member": f"external_id:{member}",
            "codes": ["holiman-100"],
            "lines": [{"sku": "A", "amount_minor": 1_000}],
        }
        answers = [buy(servers, number + again, body) for again in range(2 if twice else 1)]
        off = answers[0].json().get("discount_minor", 0)
        if twice and answers[0].status_code == 201:
            assert answers[1].json()["id"] == answers[0].json()["id"]
        return member, answers[0].status_code, off

    with ThreadPoolExecutor(connections) as pool:
        return list(pool.map(attempt, tries))


def faults(outcomes: list[Outcome], uses: int) -> list[str]:
    """What is wrong with what the callers were told."""
    winners = Counter(member for member, status, _ in outcomes if status == 201)
    wrong = [f"{member} got it {times} times" for member, times in winners.items() if times > 1]
    if sum(winners.values()) != uses:
        wrong.append(f"{sum(winners.values())} uses, should be {uses}")
    wrong += [f"status {status}" for _, status, _ in outcomes if status not in (201, 422)]
    wrong += [f"{off} off" for _, status, off in outcomes if status == 201 and off != 100]
    return wrong


def test_a_code_for_the_first_forty_customers_is_used_by_forty(two: tuple[Api, Api], database: Database) -> None:
    shared_code(two[0], 40)
    assert faults(storm(two, members=60, attempts=240, connections=32), 40) == []
    assert audit(database.app_dsn, tell=lambda _: None).findings == []


def test_the_same_storm_oversells_where_counters_are_not_looked_at(
    two: tuple[Api, Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: what the test above looks at does go wrong when it can."""
    blind = type("Blind", (dict,), {"get": lambda _self, _key, _default=None: limits.Counter()})()

    def usage(state: State, keys: Iterable[CounterKey], *_: object) -> object:
        for key in list(keys):
            tallies.tally(state, key)
        return blind

    monkeypatch.setattr(tallies, "usage", usage)
    shared_code(two[0], 10)
    assert faults(storm(two, members=20, attempts=60, connections=16), 10) != []


@pytest.mark.torture
@pytest.mark.timeout(1800)
def test_five_thousand_attempts_at_a_thousand_uses(two: tuple[Api, Api], database: Database) -> None:
    uses = int(os.environ.get("GUERDON_USES") or 1_000)
    shared_code(two[0], uses)
    assert faults(storm(two, members=uses + uses // 4, attempts=5 * uses, connections=256), uses) == []
    assert audit(database.app_dsn, tell=lambda _: None).findings == []
