"""What a deployment asks of a host follows from its roles and its description."""

from typing import Literal

import msgspec
import pytest

from hosts import demand, native
from hosts.inventory import Member, members
from stacks import ports, stores
from stacks.spec import Postgres


def test_a_host_of_one_role_is_asked_for_that_alone() -> None:
    [one] = members("192.0.2.7", roles="postgres")
    found = demand.of(one)
    assert (found.gateways, found.connections) == (0, one.spec.postgres.max_connections)
    assert found.ports == (ports.POSTGRES,)


def test_a_host_for_everything_keeps_every_listener_out_of_the_ephemeral_ports() -> None:
    [one] = members("192.0.2.7")
    found = demand.of(one)
    assert set(found.ports) == {
        80, 443, ports.BALANCER_HEALTH, ports.GATEWAY, ports.POSTGRES, ports.REDIS, ports.PROMETHEUS, ports.GRAFANA
    }  # fmt: skip
    assert found.gateways == one.spec.gateways.replicas
    assert found.open_files == one.spec.limits.open_files
    assert found.backlog == 2048


@pytest.mark.parametrize("install", ["native", "docker"])
def test_huge_pages_are_asked_for_with_the_buffers_that_the_server_is_told(
    install: Literal["native", "docker"],
) -> None:
    [one] = members("192.0.2.7")
    spec = msgspec.structs.replace(one.spec, hosts=msgspec.structs.replace(one.spec.hosts, install=install))
    found = demand.of(Member(one.machine, spec))
    assert f"shared_buffers = '{found.shared_buffers_mib}MB'\n" in native.postgres_file(spec)
    assert f"shared_buffers={found.shared_buffers_mib}MB" in stores.postgres_arguments(spec)
    assert found.postgres_connections == spec.postgres.max_connections


def test_a_host_without_a_server_of_ours_asks_for_no_huge_pages() -> None:
    [gateways] = members("192.0.2.7", roles="gateway")
    [one] = members("192.0.2.7")
    elsewhere = msgspec.structs.replace(one.spec, postgres=Postgres(store="external", host="db"))
    assert demand.of(gateways).shared_buffers_mib == demand.of(Member(one.machine, elsewhere)).shared_buffers_mib == 0
