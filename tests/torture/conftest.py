"""What all runs have in common: a seed that repeats them."""

from __future__ import annotations

import os
import random

import pytest


@pytest.fixture
def seed() -> int:
    chosen = int(os.environ.get("GUERDON_SEED") or random.SystemRandom().randrange(10**6))
    print(f"\nseed {chosen}: `make torture SEED={chosen}` repeats this run")
    return chosen
