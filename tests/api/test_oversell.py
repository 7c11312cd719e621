"""R7: whatever runs at once, a limit is never passed: many connections, retries, two servers on one database, kills.

Small storms run in the normal suite, against two servers in this process. The full ones (`-m torture`) are against two
server processes, one of which is killed and started again meanwhile; GUERDON_TORTURE_USES makes them smaller.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import httpx2
import psycopg
import pytest

from guerdon.audit.verify import audit
from guerdon.core import tallies
from guerdon.core.promotions import limits
from guerdon.core.promotions.limits import CounterKey
from guerdon.core.state import State
from guerdon.store.embedded import SUPERUSER
from tests.api.conftest import ADMIN_KEY, Api, served, set_up
from tests.conftest import Database
from tests.torture.site import KEY, Site, installed

GIVE_UP_S = 600
"""A till tries for so long to get an answer: what is asserted is exactness, not how fast a busy machine is."""
USES = int(os.environ.get("GUERDON_TORTURE_USES") or 1_000)
CONNECTIONS = 256
HELD_S = 3
PRICE = 1_000
OFF = 100
"""Ten percent of it."""

Body = dict[str, Any]


class Tills:
    """Many connections to some servers. A till sends the same request, under the same idempotency key, by turns to each
    server until it is answered, as one does whose line is cut."""

    def __init__(self, urls: list[str], key: str, connections: int) -> None:
        self.urls = urls
        self.again = 0
        self._connections = connections
        self.client = httpx2.Client(
            headers={"authorization": f"Bearer {key}", "guerdon-organisation": "default"},
            limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections),
            timeout=httpx2.Timeout(60, pool=GIVE_UP_S),
        )

    def send(self, turn: int, method: str, path: str, body: Body | None = None, key: str = "") -> httpx2.Response:
        until = time.monotonic() + GIVE_UP_S
        headers = {"idempotency-key": key} if key else {}
        while time.monotonic() < until:
            url = self.urls[turn % len(self.urls)] + path
            try:
                answer = self.client.request(method, url, json=body, headers=headers)
            except httpx2.TransportError:
                answer = None
            if answer is not None and answer.status_code != 503:
                return answer
            turn, self.again = turn + 1, self.again + 1
            time.sleep(0.02)
        raise AssertionError(f"no answer to {method} {path} within {GIVE_UP_S} s")

    def ok(self, path: str, body: Body, status: int = 201) -> Any:
        answer = self.send(0, "POST", path, body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def each(self, work: Callable[[Any], Any], over: Iterable[Any]) -> list[Any]:
        """Do work on all connections at once."""
        with ThreadPoolExecutor(self._connections) as pool:
            return list(pool.map(work, over))

    def close(self) -> None:
        self.client.close()


class Outcome(NamedTuple):
    """Who tried, the status, and what was off."""

    member: str
    status: int
    off: int


def bill(number: str, member: str, **more: Any) -> Body:
    return {
        "number": number,
        "currency": "USD",
        "member": f"external_id:{member}",
        "lines": [{"sku": "A", "amount_minor": PRICE}],
        **more,
    }


def promotion(tills: Tills, **terms: Any) -> str:
    effects = [{"type": "percent", "ppm": 100_000}]
    made = tills.ok("/v1/promotions", {"name": "Holiman", "status": "active", "effects": effects, **terms})
    return str(made["id"])


def shared_code(tills: Tills, uses: int) -> None:
    """HOLIMAN100: so many customers, each once."""
    each = [
        {"code": "first", "kpi": "purchases", "limit": uses},
        {"code": "each", "kpi": "purchases", "limit": 1, "per": "customer"},
        {"code": "word", "kpi": "purchases", "limit": uses, "per": "code"},
    ]
    path = f"/v1/promotions/{promotion(tills, kind='code', limits=each)}/codes/batches"
    batch = tills.ok(path, {"name": "word"})["id"]
    tills.ok(f"{path}/{batch}/uploads", {"codes": ["HOLIMAN100"]}, 200)


def join(tills: Tills, members: int) -> None:
    def one(number: int) -> None:
        answer = tills.send(number, "POST", "/v1/members", {"external_id": f"M-{number}"}, f"join-{number}")
        assert answer.status_code == 201, answer.text

    tills.each(one, range(members))


def storm(tills: Tills, members: int, attempts: int, **more: Any) -> list[Outcome]:
    """Everybody tries, by turns at each server; every third request is sent twice, and both must be answered alike."""
    join(tills, members)
    chance = Random(7)
    tries = [(number, f"M-{number % members}", chance.random() < 0.34) for number in range(attempts)]
    chance.shuffle(tries)

    def attempt(one: tuple[int, str, bool]) -> Outcome:
        number, member, twice = one
        body, key = bill(f"S-{number}", member, **more), f"try-{number}"
        answers = [tills.send(number + again, "POST", "/v1/purchases", body, key) for again in range(1 + twice)]
        first, *others = [(answer.status_code, said(answer)) for answer in answers]
        assert [other for other in others if other != first] == []
        return Outcome(member, first[0], first[1].get("discount_minor", 0))

    outcomes: list[Outcome] = tills.each(attempt, tries)
    return outcomes


def said(answer: httpx2.Response) -> Body:
    body: Body = answer.json()
    body.pop("request_id", None)  # every request has its own
    return body


def faults(outcomes: list[Outcome], uses: int) -> list[str]:
    """What is wrong with what the callers were told of a code."""
    winners = Counter(each.member for each in outcomes if each.status == 201)
    wrong = [f"{member} got it {times} times" for member, times in winners.items() if times > 1]
    if sum(winners.values()) != uses:
        wrong.append(f"{sum(winners.values())} uses, should be {uses}")
    wrong += [f"status {each.status}" for each in outcomes if each.status not in (201, 422)]
    wrong += [f"{each.off} off" for each in outcomes if each.status == 201 and each.off != OFF]
    return wrong


def stored_faults(dsn: str, uses: int) -> list[str]:
    """What is wrong with what is stored of a code: every bill has it, and so many have."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("select member_no, purchase_no, times, discount from promotion_uses").fetchall()
        ((bills,),) = connection.execute("select count(*) from purchases").fetchall()
    wrong = [f"use {row}" for row in rows if (int(row[2]), int(row[3])) != (1, OFF)]
    for count, what in ((len(rows), "uses"), (bills, "bills"), (len({row[0] for row in rows}), "customers")):
        if count != uses:
            wrong.append(f"{count} {what}, should be {uses}")
    return wrong


def spent(tills: Tills, limit: int, attempts: int) -> list[str]:
    """What is wrong when everybody draws on one budget, of which the last gets what is left."""
    budget = {"code": "autumn", "limit": limit, "on_exceed": "partial"}
    promotion(tills, name="Autumn", budget=budget)
    outcomes = storm(tills, max(1, attempts // 4), attempts, promotions=True)
    given = Counter(each.off for each in outcomes)
    wanted = Counter({OFF: limit // OFF, limit % OFF: 1, 0: attempts - limit // OFF - 1})
    return [f"status {each.status}" for each in outcomes if each.status != 201] + (
        [] if given == wanted else [f"given {given}, should be {wanted}"]
    )


def reserved(tills: Tills, uses: int, attempts: int) -> list[str]:
    """What is wrong when carts keep uses for a time: some buy, some let go, some never come back, some come too
    late. Afterwards exactly what is left can be had.
    """
    shared_code(tills, uses)
    join(tills, attempts)

    def shop(number: int) -> tuple[str, int]:
        chance, member = Random(number), f"M-{number}"
        cart = {"cart": f"cart-{number}", "reserve_seconds": HELD_S, **bill("", member, codes=["HOLIMAN100"])}
        del cart["number"]
        answer = tills.send(number, "POST", "/v1/promotions/evaluate", cart, f"cart-{number}")
        assert answer.status_code == 200, answer.text
        held = answer.json()["reservation"]
        if held is None:
            return "none left", 0
        then = chance.choice(("buys", "buys", "buys", "lets go", "forgets", "comes late"))
        if then == "lets go":
            gone = tills.send(number, "DELETE", f"/v1/promotions/reservations/{held['id']}")
            return then, gone.status_code
        if then == "forgets":
            return then, 0
        if then == "comes late":
            time.sleep(HELD_S + 0.5)
        body = bill(f"S-{number}", member, codes=["HOLIMAN100"], reservation=held["id"])
        answers = [tills.send(number + i, "POST", "/v1/purchases", body, f"try-{number}") for i in range(2)]
        assert said(answers[0]) == said(answers[1])
        return then, answers[0].status_code

    outcomes: list[tuple[str, int]] = tills.each(shop, range(attempts))
    time.sleep(HELD_S + 1)
    sold = sum(status == 201 for _, status in outcomes)
    wrong = [f"{then}: {status}" for then, status in outcomes if (then, status) not in _EXPECTED]
    if sold > uses:
        wrong.append(f"{sold} were sold, of {uses}")
    for number in range(attempts, attempts + uses + 5):  # all that is left is to be had again, and no more
        tills.ok("/v1/members", {"external_id": f"M-{number}"})
        last = tills.send(number, "POST", "/v1/purchases", bill(f"S-{number}", f"M-{number}", codes=["HOLIMAN100"]))
        if last.status_code != 201:
            break
        sold += 1
    return wrong if sold == uses else [*wrong, f"{sold} were sold at the end, of {uses}"]


_EXPECTED = {
    ("none left", 0), ("forgets", 0), ("lets go", 204), ("buys", 201), ("buys", 409), ("comes late", 409),
}  # fmt: skip
"""On a busy machine somebody who buys may come too late as well."""


# -- in the normal suite ----------------------------------------------------------------------------------------------


@pytest.fixture
def two(database: Database) -> Iterator[Tills]:
    """Two servers on one database."""
    with served(database) as one, served(database) as other:
        set_up(Api(one))
        tills = Tills([one, other], ADMIN_KEY, 32)
        yield tills
        tills.close()


def test_a_code_for_the_first_forty_customers_is_used_by_forty(two: Tills, database: Database) -> None:
    shared_code(two, 40)
    assert faults(storm(two, members=60, attempts=240, codes=["holiman-100"]), 40) == []
    assert stored_faults(database.superuser_dsn, 40) == []
    assert audit(database.app_dsn, tell=lambda _: None).findings == []


def test_a_budget_is_given_to_the_last_cent_and_no_further(two: Tills, database: Database) -> None:
    assert spent(two, 2_550, 80) == []
    assert audit(database.app_dsn, tell=lambda _: None).findings == []


def test_what_reservations_let_go_can_be_had_and_nothing_beyond(two: Tills, database: Database) -> None:
    assert reserved(two, 25, 60) == []
    assert stored_faults(database.superuser_dsn, 25) == []
    assert audit(database.app_dsn, tell=lambda _: None).findings == []


def test_the_same_storm_oversells_where_counters_are_not_looked_at(two: Tills, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: what the tests above look at does go wrong when it can."""
    blind = type("Blind", (dict,), {"get": lambda _self, _key, _default=None: limits.Counter()})()

    def usage(state: State, keys: Iterable[CounterKey], *_: object) -> Mapping[CounterKey, object]:
        for key in list(keys):
            tallies.tally(state, key)
        found: Mapping[CounterKey, object] = blind
        return found

    monkeypatch.setattr(tallies, "usage", usage)
    shared_code(two, 10)
    assert faults(storm(two, members=20, attempts=60, codes=["holiman-100"]), 10) != []


# -- at full size, with kills -----------------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Two server processes on a database that is on the disk."""
    with installed(tmp_path, servers=2) as made:
        made.furnish(0)
        yield made


@contextmanager
def dying(site: Site) -> Iterator[Tills]:
    """Tills at both servers, of which one after the other is killed and started again, for as long as it takes."""
    tills = Tills([f"http://127.0.0.1:{port}" for port in site.ports], KEY, CONNECTIONS)
    over, kills = threading.Event(), [0]

    def hurt() -> None:
        chance = Random(11)
        while not over.wait(chance.uniform(2, 6)):
            port = site.ports[kills[0] % 2]
            site.kill(port)
            site.start(port)
            kills[0] += 1

    thread = threading.Thread(target=hurt)
    thread.start()
    try:
        yield tills
    finally:
        over.set()
        thread.join()
        tills.close()
    print(f"{kills[0]} kills, {tills.again} requests had to be sent again")
    assert kills[0], "nobody was killed"


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_five_thousand_attempts_at_a_thousand_uses(site: Site) -> None:
    with dying(site) as tills:
        shared_code(tills, USES)
        outcomes = storm(tills, USES + USES // 4, 5 * USES, codes=["holiman-100"])
    assert faults(outcomes, USES) == []
    assert stored_faults(site.database.dsn(SUPERUSER), USES) == []
    site.verify()


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_five_thousand_attempts_at_a_budget(site: Site) -> None:
    with dying(site) as tills:
        assert spent(tills, USES * OFF - OFF // 2, 5 * USES) == []
    site.verify()


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_five_thousand_carts_that_reserve_and_some_that_are_never_heard_of_again(site: Site) -> None:
    with dying(site) as tills:
        assert reserved(tills, USES, 5 * USES) == []
    assert stored_faults(site.database.dsn(SUPERUSER), USES) == []
    site.verify()
