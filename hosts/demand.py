"""What a deployment asks of one of its hosts: plain numbers for `tuning`. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from hosts.inventory import Member
from stacks import edge, ports
from stacks.balancer import most_connections
from stacks.gateway_settings import gateway_settings
from stacks.stores import postgres_settings
from tuning.demand import Demand


def of(member: Member) -> Demand:
    roles, spec = member.machine.roles, member.spec
    own = bool(spec.replicas("balancer"))  # else the gateways take clients themselves
    clients = edge.balancer(spec).connections if own else most_connections(spec.limits.open_files)
    return Demand(
        gateways=spec.gateways.replicas if "gateway" in roles else 0,
        connections=sum(_connections(member, clients)),
        open_files=spec.limits.open_files,
        ports=tuple(sorted(set(_ports(member)))),
        shared_buffers_mib=_shared_buffers(member),
        postgres_connections=spec.postgres.max_connections if "postgres" in roles else 0,
        backlog=gateway_settings(spec).backlog,
    )


def _connections(member: Member, clients: int) -> Iterator[int]:
    """Of a client there are two on a balancer: its own, and one to a gateway."""
    roles = member.machine.roles
    if "balancer" in roles:
        yield 2 * clients
    if "gateway" in roles:
        yield clients
    if "postgres" in roles:
        yield member.spec.postgres.max_connections


def _ports(member: Member) -> Iterator[int]:
    """Of every listener here: the kernel must not give one to a connection that goes out."""
    roles, spec = member.machine.roles, member.spec
    if "balancer" in roles:
        yield from (spec.edge.http_port, spec.edge.https_port, ports.BALANCER_HEALTH)
    if "gateway" in roles:
        yield ports.GATEWAY
    if "postgres" in roles:
        yield spec.postgres.port
    if "redis" in roles:
        yield spec.redis.port
    if "monitoring" in roles:
        yield from (ports.PROMETHEUS, ports.GRAFANA)


def _shared_buffers(member: Member) -> int:
    """MiB, as the server is told, in a container or by its file in conf.d."""
    if "postgres" not in member.machine.roles or member.spec.postgres.store != "deployed":
        return 0
    return int(postgres_settings(member.spec)["shared_buffers"].removesuffix("MB"))
