"""What a fault test is run with, and the table of figures at the end.

VELOZ_FAULT_SEED replays a run, VELOZ_FAULT_KILLS makes it longer, VELOZ_FAULT_FULL=1 asks for the promises' figures.
"""

import os
import random
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.embedded import EmbeddedServers
from tests.conftest import new_database
from tests.faults.cluster import Cluster, Shape
from tests.faults.scale import Figure

SHORT_KILLS = 50
SHORT_CLUSTER_KILLS = 8


def pytest_terminal_summary(terminalreporter: Any) -> None:  # noqa: ANN401 - pytest's own is not public
    """Every test's figures and the seed that replays it."""
    reports = [report for key in ("passed", "failed") for report in terminalreporter.stats.get(key, ())]
    rows = [
        (report.nodeid.rpartition("/")[2], report.outcome, *pair)
        for report in reports
        if report.when == "call"
        for pair in report.user_properties
    ]
    if rows:
        terminalreporter.section("figures")
        for node, outcome, name, value in rows:
            terminalreporter.write_line(f"{outcome:6}  {node}: {name}: {value}")


@pytest.fixture
def figure(record_property: Figure) -> Figure:
    """Note a figure; it is shown when the run ends."""

    def note(name: str, value: object) -> None:
        text = f"{value:.2f}" if isinstance(value, float) else value
        print(f"{name}: {text}")  # noqa: T201
        record_property(name, text)

    return note


@pytest.fixture
def seed(request: pytest.FixtureRequest, record_property: Figure) -> int:
    """The run's seed; pytest shows it with a failure."""
    number = int(os.environ.get("VELOZ_FAULT_SEED") or secrets.randbelow(10**9))
    print(f"VELOZ_FAULT_SEED={number} replays {request.node.name}")  # noqa: T201
    record_property("VELOZ_FAULT_SEED", number)
    return number


@pytest.fixture
def rng(seed: int) -> random.Random:
    return random.Random(seed)


@pytest.fixture
def kills() -> int:
    return int(os.environ.get("VELOZ_FAULT_KILLS") or SHORT_KILLS)


@pytest.fixture
def cluster_kills() -> int:
    return int(os.environ.get("VELOZ_FAULT_KILLS") or SHORT_CLUSTER_KILLS)


@pytest.fixture(scope="module")
def cluster(
    request: pytest.FixtureRequest,
    embedded: EmbeddedServers,
    migrated: str,
    engine_binary: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cluster]:
    """The module's cluster, of the module's SHAPE; `start` it at the beginning of each test."""
    shape = getattr(request.module, "SHAPE", Shape())
    directory = tmp_path_factory.mktemp("cluster")
    with new_database(embedded.postgres_dsn, migrated) as dsn, Cluster(directory, dsn, engine_binary, shape) as made:
        yield made
