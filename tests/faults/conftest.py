"""What a fault test is run with. VELOZ_FAULT_SEED replays a run, VELOZ_FAULT_KILLS makes it longer."""

import os
import random
import secrets

import pytest

SHORT_KILLS = 50


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """The run's seed; pytest shows it with a failure."""
    number = int(os.environ.get("VELOZ_FAULT_SEED") or secrets.randbelow(10**9))
    print(f"VELOZ_FAULT_SEED={number} replays {request.node.name}")  # noqa: T201
    return number


@pytest.fixture
def rng(seed: int) -> random.Random:
    return random.Random(seed)


@pytest.fixture
def kills() -> int:
    return int(os.environ.get("VELOZ_FAULT_KILLS") or SHORT_KILLS)
