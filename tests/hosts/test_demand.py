"""What a deployment asks of a host follows from its roles and its description."""

from hosts import demand
from hosts.inventory import members
from stacks import ports


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


def test_only_a_server_that_is_told_its_buffers_asks_for_huge_pages() -> None:
    [one] = members("192.0.2.7")
    assert demand.of(one).shared_buffers_mib == 0
