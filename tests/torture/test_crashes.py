"""Servers and databases die under load. Nothing acknowledged is missing, nothing is done twice or half."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.torture.load import Load
from tests.torture.site import Site, installed

pytestmark = [pytest.mark.torture, pytest.mark.timeout(1800)]

MEMBERS = 40
SECONDS = float(os.environ.get("GUERDON_TORTURE_S", "60"))
READY_S_MAX = 5.0


def _settle(site: Site, load: Load) -> None:
    """Hold every acknowledged answer against what the server says and stores now."""
    assert load.faults == [], "\n".join(load.faults[:5])
    assert len(load.answers) > 100, "hardly anything was done"
    for operation, first in load.answers.items():
        again = site.call("POST", operation.path, operation.body, key=operation.key)
        assert (again.status, again.body) == (first.status, first.body), operation
    accepted = [operation for operation, answer in load.answers.items() if answer.status < 300]
    bills = {operation.body["number"] for operation in accepted if operation.path == "/v1/purchases"}
    stored = [number for (number,) in site.rows("select number from purchases")]
    assert len(stored) == len(set(stored))
    assert bills <= set(stored)
    redeemed = sum(1 for operation in accepted if operation.path != "/v1/purchases")
    ((booked,),) = site.rows("select count(*) from redemptions where purchase_no = 0")
    assert booked >= redeemed
    unanswered = load.sent - len(load.answers)
    print(
        f"{len(load.answers)} operations answered, {load.sent} requests sent ({unanswered} repeats or lost), "
        f"ready again after {max(site.ready_s, default=0):.2f} s at most"
    )
    site.verify()


def test_a_killed_server_loses_nothing_it_acknowledged(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    with installed(tmp_path) as site:
        site.furnish(MEMBERS)
        with Load(site, seed, MEMBERS) as load:
            until = time.monotonic() + SECONDS
            while time.monotonic() < until:
                time.sleep(chance.uniform(0.3, 2.5))
                site.kill(site.ports[0])
                site.start(site.ports[0])
        _settle(site, load)
        print(f"{len(site.ready_s) - 1} kills")


def test_a_killed_database_loses_nothing_that_was_acknowledged(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    with installed(tmp_path) as site:
        site.furnish(MEMBERS)
        hurts = 0
        with Load(site, seed, MEMBERS) as load:
            until = time.monotonic() + SECONDS
            while time.monotonic() < until:
                time.sleep(chance.uniform(0.5, 3))
                hurts += hurt_database(site, chance)
        _settle(site, load)
        print(f"{hurts} immediate stops and killed backends")


def hurt_database(site: Site, chance: random.Random) -> int:
    """kill -9 one backend (PostgreSQL then restarts all of them), or an immediate stop of the whole server."""
    if chance.random() < 0.7:
        try:
            backends = site.rows("select pid from pg_stat_activity where application_name like 'guerdon%'")
        except Exception:  # noqa: BLE001  # it is still coming back from the last blow
            return 0
        if not backends:
            return 0
        try:
            os.kill(chance.choice(backends)[0], signal.SIGKILL)
        except ProcessLookupError:
            return 0
        return 1
    pid = site.database.postmaster_pid
    if pid is None:
        return 0
    try:
        os.kill(pid, signal.SIGQUIT)
    except ProcessLookupError:
        return 0
    return 1


def test_two_servers_on_one_organisation_agree_while_one_of_them_keeps_dying(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    with installed(tmp_path, servers=2) as site:
        site.furnish(MEMBERS)
        with Load(site, seed, MEMBERS) as load:
            until = time.monotonic() + SECONDS
            while time.monotonic() < until:
                time.sleep(chance.uniform(0.3, 2.5))
                site.kill(site.ports[1])
                site.start(site.ports[1])
        _settle(site, load)


def test_a_server_is_ready_again_within_seconds(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    with installed(tmp_path) as site:
        site.furnish(5)
        site.ready_s.clear()
        with Load(site, seed, 5, clients=2) as load:
            for _ in range(5):
                time.sleep(chance.uniform(0.5, 1))
                site.kill(site.ports[0])
                site.start(site.ports[0])
        print(f"ready again after {sorted(round(s, 2) for s in site.ready_s)} s")
        assert max(site.ready_s) < READY_S_MAX, site.ready_s
        assert load.faults == [], "\n".join(load.faults[:5])
