"""The profiles are the source document's two tables; the sums are what containers get."""

from __future__ import annotations

import pytest
from hypothesis import given

from stacks.sizes import PROFILES, Change, Profile, Size
from stacks.spec import Deployment
from tests.stacks.strategies import deployments

# As the document has them: cores, memory, disk.
MINIMUM = """
| Gateway | 0.5 core | 512 MB | 100 MB |
| Engine | 1 core | 1 GB | 500 MB |
| Redis | 0.5 core | 256 MB | 1 GB |
| PostgreSQL | 1 core | 1 GB | 10 GB |
| Prometheus | 0.5 core | 512 MB | 10 GB |
"""
RECOMMENDED = """
| Gateway | 2 cores | 2 GB | 500 MB |
| Engine | 4 cores | 4 GB | 2 GB |
| Redis | 2 cores | 2 GB | 10 GB |
| PostgreSQL | 4 cores | 8 GB | 100 GB |
| Prometheus | 2 cores | 4 GB | 100 GB |
"""
UNITS = {"MB": 1, "GB": 1024}


def rows(table: str) -> dict[str, Size]:
    found = {}
    for line in table.strip().splitlines():
        name, cores, *amounts = (cell.strip() for cell in line.strip("|").split("|"))
        memory, disk = (int(amount.split()[0]) * UNITS[amount.split()[1]] for amount in amounts)
        found["postgres" if name == "PostgreSQL" else name.lower()] = Size(
            int(float(cores.split()[0]) * 1000), memory, disk
        )
    return found


@pytest.mark.parametrize(("profile", "table"), [("minimum", MINIMUM), ("recommended", RECOMMENDED)])
def test_a_profile_is_its_table(profile: Profile, table: str) -> None:
    in_table = rows(table)
    assert len(in_table) == 5
    assert {name: size for name, size in PROFILES[profile].items() if name in in_table} == in_table
    assert set(PROFILES[profile]) - set(in_table) == {"balancer", "grafana"}


def test_a_gateways_container_has_the_engines_share_too() -> None:
    assert Deployment(topology="compose").container_size("gateway") == Size(1500, 1536, 600)
    assert Deployment(topology="kubernetes", profile="recommended").container_size("gateway") == Size(6000, 6144, 2548)


def test_singles_one_container_has_the_stores_share_too() -> None:
    assert Deployment(topology="single").container_size("gateway") == Size(3000, 2816, 11_864)


def test_what_differs_from_the_profile_is_changed_and_the_rest_is_not() -> None:
    spec = Deployment(topology="compose", sizes={"redis": Change(memory=1000)})
    assert spec.size("redis") == Size(500, 1000, 1024)
    assert spec.size("postgres") == PROFILES["minimum"]["postgres"]


@given(deployments())
def test_every_container_has_a_size(spec: Deployment) -> None:
    for role in spec.roles:
        size = spec.container_size(role)
        assert min(size.cpu, size.memory, size.disk) > 0
