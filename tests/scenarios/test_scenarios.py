"""Every story in `*.txt`, told to the core one command at a time and in random groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.core_driver import CoreDriver, GroupingDriver
from tests.scenarios.language import Misread, Scenario, read, scenarios

EVERY = scenarios(Path(__file__).parent)
NAMES = [scenario.name for scenario in EVERY]


@pytest.mark.parametrize("scenario", EVERY, ids=NAMES)
def test_the_core_tells_the_story(scenario: Scenario) -> None:
    CoreDriver().run(scenario)


@pytest.mark.parametrize("scenario", EVERY, ids=NAMES)
def test_any_grouping_tells_the_same_story(scenario: Scenario) -> None:
    for seed in range(8):
        GroupingDriver(seed).run(scenario)


def test_a_line_that_nothing_understands_is_an_error() -> None:
    with pytest.raises(Misread):
        list(read("story", "== a story\namy buy B-1 for 1.00"))
