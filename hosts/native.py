"""A deployment as it is on one bare host: what its programs are told. Pure.

Gateways keep their one port and have a loopback address each, by the same plan as in containers, in 127.0.0.0/8. The stores are
reached by sockets and know their callers by the kernel's word: there is no password anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from hosts import places
from hosts.inventory import Member
from hosts.target import canonical
from stacks import edge, names, ports, reach, stores
from stacks.balancer import TEMPLATES, Balancer, Kind, Version, render
from stacks.commands.failures import Failure
from stacks.commands.findings import Finding
from stacks.environment import SECRETS_DIR, clustered, variables
from stacks.spec import Deployment
from tuning.profile import Role

_LOOPBACK: Final = "127.213.0.0/20"
# What a host is for that has all of an install; monitoring is no part of it.
_ROLES: Final[tuple[Role, ...]] = ("balancer", "gateway", "engine", "postgres", "redis")
_TAKEN: Final = {ports.GATEWAY: "gateways", ports.BALANCER_HEALTH: "the balancer's own health"}
# A certificate of ours is made anew before it has fewer days left.
RENEW_DAYS: Final = 30
# What serves is ready by then, or the release before comes back.
READY_SECONDS: Final = 90
# How the fingerprint of what a gateway was started with is found in its environment.
FINGERPRINT: Final = "RUNS_WITH"


def refuse(members: Sequence[Member]) -> None:
    """Raises Failure for what cannot be installed natively: value, rule, remedy."""
    if len(members) > 1:
        addresses = ", ".join(member.machine.address for member in members)
        raise Failure(
            f"hosts.machines = {addresses}: a native install is one host with all roles; name one (HOST=…), "
            "or set hosts.install: docker and deploy with `make up`"
        )
    for member in members:
        spec = member.spec
        if spec.topology != "compose":
            raise Failure(
                f"topology = {spec.topology}: a native install is made from a compose description; set topology: compose"
            )
        for what, store in (("postgres", spec.postgres.store), ("redis", spec.redis.store)):
            if store != "deployed":
                raise Failure(
                    f"{what}.store = {store}: a native install has the stores on its own host; leave {what}.store out"
                )
        for name, port, _ in reach.published(spec):
            if port in _TAKEN:
                raise Failure(
                    f"edge.{name}_port = {port}: on a host that port is for {_TAKEN[port]}; choose another one"
                )
        if missing := [role for role in _ROLES if role not in member.machine.roles]:
            raise Failure(
                f"roles = {', '.join(member.machine.roles)}: a native install is one host with all roles, and "
                f"{', '.join(missing)} would be on none; leave ROLES and hosts.machines[].roles out, "
                "or set hosts.install: docker and deploy with `make up`"
            )


def findings(spec: Deployment, there: str) -> Iterator[Finding]:
    """`there`: the name of the deployment that the host has; empty for none."""
    if there and there != spec.name:
        yield Finding(
            "deployment", spec.name, there, "refused",
            f"A host serves one deployment: take another one, or write name: {there}. To make this one's what it has, its data "
            f"and keys too, write {spec.name} into {places.DEPLOYMENT} there.",
        )  # fmt: skip


def local(spec: Deployment) -> Deployment:
    """The same with all addresses in 127.0.0.0/8."""
    return msgspec.structs.replace(spec, docker=msgspec.structs.replace(spec.docker, subnet=_LOOPBACK))


def gateway_address(spec: Deployment, replica: int) -> str:
    return names.listen(local(spec), "gateway", replica)


def ready_url(spec: Deployment, replica: int) -> str:
    """Where a gateway says whether it can trade."""
    return f"http://{gateway_address(spec, replica)}:{ports.GATEWAY}/health/ready"


def environment(spec: Deployment, replica: int, engine_cpus: str = "") -> dict[str, str]:
    """The variables of gateway `replica`; secrets by the names of their files."""
    found = {
        name: value
        for name, value in variables(local(spec), replica).items()
        if not value.startswith(f"{SECRETS_DIR}/") and name != "VELOZ_METRICS_ACCESS"
    }
    found |= {
        "VELOZ_API_KEY_FILE": places.API_KEY,
        "VELOZ_ENGINE": f"{places.CURRENT}/bin/veloz_engine",
        "VELOZ_POSTGRES_DSN": f"host={places.POSTGRES_SOCKETS} port={ports.POSTGRES} dbname={names.DATABASE} user={places.USER}",
        "VELOZ_REDIS_URL": f"unix://{places.REDIS_SOCKET}",
        "VELOZ_TRUSTED_PROXIES": "127.0.0.1",  # what the kernel gives a connection to any other loopback address
    }
    if clustered(spec):
        found["VELOZ_CLUSTER_SECRET_FILE"] = places.CLUSTER_SECRET
    if engine_cpus:
        found["VELOZ_ENGINE_CPUS"] = engine_cpus
    return dict(sorted(found.items()))


def environment_file(variables: Mapping[str, str]) -> str:
    """As systemd's EnvironmentFile= reads it back."""
    return "".join(f"{name}={_quoted(value)}\n" for name, value in variables.items())


def _quoted(value: str) -> str:
    if "\n" in value:
        raise ValueError("a variable of one line")
    escaped = "".join(f"\\{letter}" if letter in '"\\`$' else letter for letter in value)
    return f'"{escaped}"'


def balancer(spec: Deployment) -> Balancer:
    """It listens where clients come, on the ports that they know."""
    model = edge.balancer(local(spec))
    tls = model.tls and msgspec.structs.replace(model.tls, port=spec.edge.https_port)
    return msgspec.structs.replace(model, host=spec.edge.address, port=spec.edge.http_port, tls=tls)


def balancer_file(spec: Deployment, version: Version) -> tuple[str, str]:
    """Path and text, for the program of this version; () is the oldest."""
    kind: Kind = edge.kind(spec)
    return f"{places.BALANCER}/{TEMPLATES[kind]}", render(balancer(spec), kind, version)


def certificate_names(member: Member) -> tuple[str, ...]:
    """Whom a generated certificate is for: the name that clients use first."""
    wanted = (member.spec.edge.hostname, member.machine.address, "localhost", "127.0.0.1")
    return tuple(dict.fromkeys(map(canonical, wanted)))


def url(spec: Deployment) -> str:
    """As clients write it."""
    scheme, port, usual = (
        ("https", spec.edge.https_port, ports.HTTPS) if spec.encrypted else ("http", spec.edge.http_port, ports.HTTP)
    )
    return f"{scheme}://{spec.edge.hostname}" + ("" if port == usual else f":{port}")


def postgres_file(spec: Deployment) -> str:
    """The server's conf.d/: no network at all."""
    told = stores.postgres_settings(spec) | {"listen_addresses": "", "unix_socket_directories": places.POSTGRES_SOCKETS}
    del told["password_encryption"]
    return "".join(f"{name} = '{value}'\n" for name, value in told.items())


def redis_file(spec: Deployment) -> str:
    """Included at the end of the distribution's file, so that it counts; where the data are is the distribution's affair."""
    told = stores.redis_values(spec) | {
        "port": "0",
        "unixsocket": places.REDIS_SOCKET,
        "unixsocketperm": "770",
    }
    for name in ("bind", "dir"):
        del told[name]
    return "".join(f"{name} {value}\n" for name, value in told.items())
