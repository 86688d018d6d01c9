"""The real parts tests run against: the release engine, PostgreSQL and Valkey, each started once a test process."""

import asyncio
import os
import random
import secrets
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import hypothesis
import psycopg
import pytest
import redis
from psycopg import sql
from psycopg.conninfo import make_conninfo

from app.build import build_engine
from app.embedded import EmbeddedServers
from app.migrate import migrate
from tests.faults.scale import Figure

# Helpers' assertions say what differs, as those of tests do.
pytest.register_assert_rewrite("tests.e2e", "tests.hosts", "tests.stacks")
# How long an example takes says what the machine has to do besides.
hypothesis.settings.register_profile("veloz", deadline=None)
hypothesis.settings.load_profile("veloz")

# Several gateways under load, measured in seconds: beside another test a machine of two cores would fail them.
ALONE = frozenset({
    "test_black_hole", "test_cluster_checker", "test_cluster_damage", "test_cluster_duplicates", "test_cluster_kills",
    "test_cluster_limits", "test_cluster_streams", "test_cluster_valkey", "test_dead_man", "test_hung", "test_rolling",
})  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long tests first, so that no worker is left alone with one at the end."""
    items.sort(key=lambda item: "faults" not in item.path.parts)
    for item in items:
        if item.path.parent.name == "faults" and item.path.stem in ALONE:
            item.add_marker("alone")


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


@pytest.fixture(scope="session")
def engine_binary() -> Path:
    """The release engine, built when its sources changed."""
    return build_engine("release", lambda _done, _step: None)


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServers]:
    with EmbeddedServers(tmp_path_factory.mktemp("servers")) as servers:
        yield servers


@pytest.fixture(scope="session")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory that was started once; making one is ten times the work of copying it."""
    path = tmp_path_factory.mktemp("initialised")
    with EmbeddedServers(path):
        return path


@pytest.fixture
def data_dir(initialised: Path, tmp_path: Path) -> Path:
    """A data directory of the test's own, as a second start finds it."""
    subprocess.run(["cp", "--archive", initialised, tmp_path / "data"], check=True)
    return tmp_path / "data"


@pytest.fixture(scope="session")
def postgres(embedded: EmbeddedServers) -> str:
    """A real server's DSN; `database` gives a test one of its own."""
    return embedded.postgres_dsn


@contextmanager
def new_database(postgres: str, template: str) -> Iterator[str]:
    """The DSN of a new database, a copy of `template`."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        create = "CREATE DATABASE {} TEMPLATE {}"
        connection.execute(sql.SQL(create).format(sql.Identifier(name), sql.Identifier(template)))
        yield make_conninfo(postgres, dbname=name)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def migrated(postgres: str) -> str:
    """The name of a database that has the schema and nothing else."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE DATABASE migrated")
    asyncio.run(migrate(make_conninfo(postgres, dbname="migrated")))
    return "migrated"


@pytest.fixture
def database(postgres: str, migrated: str) -> Iterator[str]:
    """The DSN of a new database that has the schema and nothing else."""
    with new_database(postgres, migrated) as dsn:
        yield dsn


@pytest.fixture
def empty_database(postgres: str) -> Iterator[str]:
    """The DSN of a new database without the schema."""
    with new_database(postgres, "template1") as dsn:
        yield dsn


@pytest.fixture
def redis_url(embedded: EmbeddedServers) -> str:
    """The URL of a real, empty server."""
    with redis.Redis.from_url(embedded.redis_url) as client:
        client.flushall()
    return embedded.redis_url


@pytest.fixture
def free_port() -> int:
    """A TCP port on loopback that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
