"""Every story in `*.txt`, told to the core one command at a time, in random groups, over HTTP and through an SDK."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from guerdon.store.embedded import Embedded
from tests.api.conftest import ADMIN_KEY, served
from tests.conftest import addresses, drop_database
from tests.scenarios.core_driver import CoreDriver, GroupingDriver
from tests.scenarios.http_driver import Clock, HttpDriver, runs_over_http
from tests.scenarios.language import Misread, Scenario, read, scenarios
from tests.scenarios.sdk_driver import SdkDriver, runs_through_the_sdk

EVERY = scenarios(Path(__file__).parent)
NAMES = [scenario.name for scenario in EVERY]


@pytest.mark.parametrize("scenario", EVERY, ids=NAMES)
def test_the_core_tells_the_story(scenario: Scenario) -> None:
    CoreDriver().run(scenario)


@pytest.mark.parametrize("scenario", EVERY, ids=NAMES)
def test_any_grouping_tells_the_same_story(scenario: Scenario) -> None:
    for seed in range(8):
        GroupingDriver(seed).run(scenario)


@pytest.fixture(scope="module")
def server(cluster: Embedded, template: str) -> Iterator[tuple[httpx2.Client, Clock]]:
    """One server for all stories, at a clock that they set."""
    name, clock = f"stories_{os.getpid()}", Clock()
    cluster.make_database(name, template)
    fresh = httpx2.Limits(max_keepalive_connections=0)  # on a busy machine the server gives an idle connection up
    with (
        served(addresses(cluster, name), now=clock) as url,
        httpx2.Client(base_url=url, timeout=30, limits=fresh) as client,
    ):
        yield client, clock
    drop_database(cluster, name)


@pytest.mark.parametrize("scenario", [each for each in EVERY if runs_over_http(each)], ids=lambda each: each.name)
def test_the_api_tells_the_story(scenario: Scenario, server: tuple[httpx2.Client, Clock]) -> None:
    HttpDriver(*server, ADMIN_KEY).run(scenario)


@pytest.mark.parametrize("scenario", [each for each in EVERY if runs_through_the_sdk(each)], ids=lambda each: each.name)
def test_the_official_sdk_tells_the_story(scenario: Scenario, server: tuple[httpx2.Client, Clock]) -> None:
    SdkDriver(*server, ADMIN_KEY).run(scenario)


def test_a_line_that_nothing_understands_is_an_error() -> None:
    with pytest.raises(Misread):
        list(read("story", "== a story\namy buy B-1 for 1.00"))
