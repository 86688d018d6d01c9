"""PostgreSQL's shared memory is in huge pages whole or not at all."""

import psycopg
import pytest

from tuning.choices import Choices
from tuning.computed import huge_pages
from tuning.demand import Demand

SIZES = [(buffers, connections) for buffers in (64, 256, 512, 2048, 8192) for connections in (20, 200, 2000)]
# `postgres -C shared_memory_size_in_huge_pages` of 15.18 for these.
TOLD = (36, 40, 81, 138, 142, 183, 274, 278, 319, 1059, 1063, 1104, 4198, 4202, 4243)


def planned(buffers: int, connections: int) -> int:
    return huge_pages(Demand(shared_buffers_mib=buffers, postgres_connections=connections), Choices())


@pytest.mark.parametrize(("size", "told"), list(zip(SIZES, TOLD, strict=True)))
def test_there_are_enough_for_all_of_postgres_and_few_to_spare(size: tuple[int, int], told: int) -> None:
    assert told <= planned(*size) <= told * 1.05 + 40


def test_a_server_finds_enough(postgres: str) -> None:
    """As the one of the tests says itself."""
    names = ("shared_buffers", "max_connections", "shared_memory_size_in_huge_pages")
    with psycopg.connect(postgres) as connection:
        found: dict[str, str] = dict(
            connection.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [[*names]])
        )
    if "shared_memory_size_in_huge_pages" not in found:
        pytest.skip("PostgreSQL 14 and older do not say it")
    blocks, connections, told = (int(found[name]) for name in names)
    assert 0 < told <= planned(blocks * 8192 // (1 << 20), connections)
