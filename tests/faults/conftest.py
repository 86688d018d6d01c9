"""What a fault test is run with.

VELOZ_FAULT_SEED replays a run, VELOZ_FAULT_KILLS makes it longer, VELOZ_FAULT_FULL=1 asks for the promises' figures.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.embedded import EmbeddedServers
from tests.conftest import new_database
from tests.faults.cluster import Cluster, Shape

SHORT_KILLS = 50
SHORT_CLUSTER_KILLS = 5


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
