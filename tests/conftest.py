"""The real parts tests run against: the release engine, PostgreSQL and Valkey, each started once a test process."""

import asyncio
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
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
