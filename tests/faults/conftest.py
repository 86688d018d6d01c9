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
SHORT_CLUSTER_KILLS = 5


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


@pytest.fixture(scope="session")
def shared() -> list[Cluster]:
    """The cluster of many tests, once there is one."""
    return []


@pytest.fixture(scope="session")
def cluster(
    embedded: EmbeddedServers,
    migrated: str,
    engine_binary: Path,
    tmp_path_factory: pytest.TempPathFactory,
    shared: list[Cluster],
) -> Iterator[Cluster]:
    """One for many tests, everything in it to be cut: `start` it at the beginning of each, leave it so that it can recover."""
    shape = Shape(peers_proxied=True, valkey_proxied=True, database_proxied=True)
    directory = tmp_path_factory.mktemp("cluster")
    with new_database(embedded.postgres_dsn, migrated) as dsn, Cluster(directory, dsn, engine_binary, shape) as made:
        shared.append(made)
        yield made


@pytest.fixture(params=[Shape()], ids=["own"])
def own_cluster(
    request: pytest.FixtureRequest,
    embedded: EmbeddedServers,
    migrated: str,
    engine_binary: Path,
    tmp_path: Path,
    shared: list[Cluster],
) -> Iterator[Cluster]:
    """A test's own, of the shape that it is parametrised with; the shared one rests meanwhile."""
    for other in shared:
        other.rest()
    directory = tmp_path / "cluster"
    directory.mkdir()
    shape = request.param
    with new_database(embedded.postgres_dsn, migrated) as dsn, Cluster(directory, dsn, engine_binary, shape) as made:
        yield made
