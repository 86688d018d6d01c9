"""One gateway for the tests of a file that leave it as it was."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from app.embedded import EmbeddedServers
from tests.conftest import new_database
from tests.e2e.api import Api
from tests.faults.gateway import Gateway, environment, serving


@pytest.fixture(scope="module")
def gateway(
    embedded: EmbeddedServers, migrated: str, engine_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    with new_database(embedded.postgres_dsn, migrated) as dsn:
        quick = {"VELOZ_STREAM_HEARTBEAT": "0.5", "VELOZ_HEADER_TIMEOUT": "2"}
        environ = environment(dsn, embedded.redis_url, engine_binary, **quick)
        with serving(tmp_path_factory.mktemp("gateway"), environ) as gateway:
            yield gateway


@pytest.fixture
async def api(gateway: Gateway) -> AsyncIterator[Api]:
    async with Api(gateway) as api:
        yield api
