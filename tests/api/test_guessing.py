"""An attack on codes: whoever guesses is stopped within twenty tries, finds nothing, and learns nothing by the answers.

A few thousand guesses run in the normal suite, against two servers in this process and once more after a restart. The
full attack (`-m torture`) is of 100,000 guesses at two server processes, each of which is killed on the way.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any

import pytest

from guerdon.api import guesses
from guerdon.core.promotions.codes import READABLE
from guerdon.core.promotions.guessing import ANSWER_MS
from guerdon.core.promotions.terms import Promotion
from guerdon.store.codes import Codes
from tests.api.conftest import ADMIN_KEY, Api, Shop, served, set_up
from tests.api.test_codes import CHECK, LINK, batches, bill, bring, promotion
from tests.api.test_oversell import Body, Tills, said
from tests.conftest import Database
from tests.torture.site import KEY, Site, installed

GUESSES = int(os.environ.get("GUERDON_TORTURE_GUESSES") or 100_000)
TRIES_MAX = 20
"""So many may be answered before a caller is blocked; the product blocks sooner."""
WORDS = ("SUMMER", "WINTER", "AUTUMN", "WELCOME", "THANKS", "BIRTHDAY", "VIP", "FRIENDS", "SALE", "BLACKFRIDAY")
SUFFIXES = ("", "5", "10", "15", "20", "25", "50", "100", "2025", "2026", "NOW", "OFF")


def hand_out(api: Api, count: int) -> str:
    """Codes to be found: generated ones, and words such as anybody would try. Returns a key for a shop's own page."""
    ten = promotion(api)
    batch = api.post(batches(ten), {"count": count, "form": {"length": 8}})["id"]
    until = time.monotonic() + 120
    while api.get(f"{batches(ten)}/{batch}")["made"] < count:
        assert time.monotonic() < until
        time.sleep(0.1)
    bring(api, ten, *(word + suffix for word in WORDS[1:] for suffix in SUFFIXES[4:8]))
    scopes = ["code-links:write", "promotions:evaluate"]
    return str(api.post("/v1/keys", {"name": "page", "owner": "page", "scopes": scopes})["key"])


def guessed(chance: Random) -> str:
    """As an attacker does who knows how codes look and which words shops like."""
    if chance.random() < 0.5:
        return "".join(chance.choices(READABLE, k=8))
    return chance.choice(WORDS) + chance.choice(SUFFIXES)


def attack(tills: Tills, count: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Guess on every route that takes a code, at all servers at once: what came of it, and which codes were found.

    The first ones are nonsense, so that what is found is found by whoever should have been stopped.
    """

    def attempt(number: int) -> tuple[str, str]:
        chance = Random(f"{seed}/{number}")
        code = guessed(chance) if number >= TRIES_MAX else f"NOTHING{number}"
        path, body = CHECK, Body(code=code)
        way = chance.random()
        if way < 0.2:
            path, body = LINK, Body(code=code, customerId="1", mode="DISCOUNT")
        elif way < 0.4:
            line = {"sku": "A", "amount_minor": 5_000}
            path, body = "/v1/promotions/evaluate", Body(currency="USD", codes=[code], lines=[line])
        answer = tills.send(number, "POST", path, body)
        if answer.status_code == 429:
            return "blocked", ""
        told = said(answer)
        refused = told.get("code") == "code_not_valid" or told.get("others", [{}])[0].get("reason") == "code_unknown"
        return ("refused", "") if refused else ("found", code)

    outcomes = tills.each(attempt, range(TRIES_MAX)) + tills.each(attempt, range(TRIES_MAX, count))
    return Counter(what for what, _ in outcomes), [code for what, code in outcomes if what == "found"]


def test_an_attack_on_two_servers_is_stopped_and_stays_so_after_a_restart(database: Database) -> None:
    with served(database) as one, served(database) as other:
        key = hand_out(set_up(Api(one)).api, 2_000)
        tills = Tills([one, other], key, 16)
        came, found = attack(tills, 2_000, 1)
        tills.close()
    assert found == []
    assert 1 <= came["refused"] <= TRIES_MAX
    assert came["blocked"] == 2_000 - came["refused"]
    with served(database) as one:
        tills = Tills([one], key, 16)
        assert attack(tills, 500, 2) == (Counter(blocked=500), [])
        tills.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with installed(tmp_path, servers=2) as made:
        made.furnish(0)
        yield made


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_a_hundred_thousand_guesses_find_nothing(site: Site) -> None:
    urls = [f"http://127.0.0.1:{port}" for port in site.ports]
    key = hand_out(Api(urls[0], KEY), 10_000)
    tills = Tills(urls, key, 64)
    total: Counter[str] = Counter()
    for part in range(4):
        came, found = attack(tills, GUESSES // 4, part)
        assert found == []
        total += came
        site.kill(site.ports[part % 2])
        site.start(site.ports[part % 2])
    tills.close()
    assert 1 <= total["refused"] <= TRIES_MAX
    assert total["blocked"] == GUESSES // 4 * 4 - total["refused"]
    site.verify()


# -- what an answer gives away by its time ----------------------------------------------------------------------------

EACH = 30
SURE = 5.0
"""A difference of ranks that chance makes once in a million times."""


def seconds_by_kind(shop: Shop) -> dict[str, list[float]]:
    """How long each kind of wrong code takes to be refused, in a random order, each to a caller of its own."""
    bring(shop.api, promotion(shop.api, ends_at="2026-01-01T00:00:00Z"), "EXPIRED1")
    bring(shop.api, promotion(shop.api), "FOREIGN1", "OFF1", "USED1")
    shop.api.post(LINK, {"customerId": shop.member, "code": "FOREIGN1", "mode": "DISCOUNT"}, 200)
    shop.api.post("/v1/codes/OFF1/deactivations", {})
    shop.api.post("/v1/purchases", bill("B-9", 5000, "USED1", None))
    order = ["UNKNOWN1", "EXPIRED1", "FOREIGN1", "OFF1", "USED1"] * EACH
    Random(3).shuffle(order)
    tills = Tills([shop.api.url], ADMIN_KEY, 4)

    def attempt(place: int) -> tuple[str, float]:
        answer_to = {"guerdon-caller": f"session {place}"}
        began = time.perf_counter()
        answer = tills.client.post(shop.api.url + CHECK, json={"code": order[place]}, headers=answer_to)
        seconds = time.perf_counter() - began
        assert (answer.status_code, said(answer)["code"]) == (422, "code_not_valid")
        return order[place], seconds

    found: dict[str, list[float]] = defaultdict(list)
    for code, seconds in tills.each(attempt, range(len(order))):
        found[code].append(seconds)
    tills.close()
    return found


def told_apart(one: list[float], other: list[float]) -> float:
    """How sure one can be that two kinds take different times (Mann and Whitney's U, in standard deviations)."""
    wins = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a in one for b in other)
    n, m = len(one), len(other)
    return float(abs(wins - n * m / 2) / (n * m * (n + m + 1) / 12) ** 0.5)


def test_time_does_not_tell_why_a_code_is_wrong(shop: Shop) -> None:
    found = seconds_by_kind(shop)
    apart = {(a, b): told_apart(found[a], found[b]) for a, b in combinations(sorted(found), 2)}
    assert {pair: sure for pair, sure in apart.items() if sure > SURE} == {}
    assert min(min(seconds) for seconds in found.values()) >= ANSWER_MS / 1000


def test_time_would_tell_if_answers_did_not_wait(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: codes that exist are looked up for 60 ms longer, which the wait would hide."""
    looked_up = Codes.promotion

    async def slowly(self: Codes, *given: Any) -> Promotion | None:
        await asyncio.sleep(0.06)
        return await looked_up(self, *given)

    async def at_once(_started: float) -> None:
        pass

    monkeypatch.setattr(Codes, "promotion", slowly)
    monkeypatch.setattr(guesses, "same_time", at_once)
    found = seconds_by_kind(shop)
    assert told_apart(found["UNKNOWN1"], found["FOREIGN1"]) > SURE
