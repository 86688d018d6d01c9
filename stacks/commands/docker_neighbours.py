"""What else is on a Docker host: networks that have our addresses or names, and volumes that somebody else made."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stacks import names
from stacks.commands.findings import Finding
from stacks.spec import Deployment, Docker

if TYPE_CHECKING:
    import docker

_LOCAL: Final = "local"  # a swarm's networks have an address space of their own
_ELSEWHERE: Final = ipaddress.IPv4Network("10.0.0.0/8")


class Network(NamedTuple):
    name: str
    deployment: str
    subnets: tuple[str, ...] = ()


class Volume(NamedTuple):
    name: str
    deployment: str


def networks(client: docker.DockerClient, label: str) -> tuple[Network, ...]:
    """`label`: the one that names a deployment. Raises DockerException."""
    every: list[Mapping[str, Any]] = client.api.networks()
    return tuple(
        Network(str(one["Name"]), _deployment(one, label), tuple(_subnets(one)))
        for one in every
        if one.get("Scope") == _LOCAL
    )


def volumes(client: docker.DockerClient, label: str) -> tuple[Volume, ...]:
    """The same of volumes."""
    every: list[Mapping[str, Any]] = client.api.volumes().get("Volumes") or []
    return tuple(Volume(str(one["Name"]), _deployment(one, label)) for one in every)


def _deployment(one: Mapping[str, Any], label: str) -> str:
    return str((one.get("Labels") or {}).get(label, ""))


def _subnets(one: Mapping[str, Any]) -> Iterator[str]:
    for config in (one.get("IPAM") or {}).get("Config") or ():
        if subnet := config.get("Subnet"):
            yield str(subnet)


def findings(spec: Deployment, there: Sequence[Network], held: Sequence[Volume]) -> Iterator[Finding]:
    """Pulumi would fail half way, or take somebody's volume as its own."""
    others = [one for one in there if one.deployment != spec.name]
    ours = {names.network(spec, which) for which in names.networks(spec)}
    taken = [_said(one) for one in others if one.name in ours]
    yield Finding("networks", f"{spec.name}-… free", ", ".join(taken) or "free", "refused" if taken else "ok",
                  "They are not of this deployment: remove them, or give this one another name.")  # fmt: skip
    mine = [ipaddress.IPv4Network(names.subnet(spec, which)) for which in names.networks(spec)]
    across = [f"{_said(one)} has {subnet}" for one in others for subnet in one.subnets if _overlaps(subnet, mine)]
    yield Finding("addresses", f"{', '.join(map(str, mine))} free", "; ".join(across) or "free",
                  "refused" if across else "ok", _other_subnet(others))  # fmt: skip
    strange = [_said(one) for one in held if names.is_volume(spec, one.name) and one.deployment != spec.name]
    yield Finding("volumes", f"{spec.name}-… free", ", ".join(strange) or "free", "refused" if strange else "ok",
                  "They are not of this deployment, and what is in them would become its data. Give this one another name, "
                  "or keep a copy of them and remove them.")  # fmt: skip


def _said(one: Network | Volume) -> str:
    return f"{one.name} of deployment {one.deployment}" if one.deployment else one.name


def _overlaps(subnet: str, mine: Sequence[ipaddress.IPv4Network]) -> bool:
    network = ipaddress.ip_network(subnet, strict=False)
    return isinstance(network, ipaddress.IPv4Network) and any(network.overlaps(one) for one in mine)


def _other_subnet(others: Sequence[Network]) -> str:
    """The remedy, with a place that none of them has."""
    usual = ipaddress.IPv4Network(Docker().subnet)
    taken = [subnet for one in others for subnet in one.subnets]
    places = (place for place in _ELSEWHERE.subnets(new_prefix=usual.prefixlen) if place >= usual)
    free = next((place for place in places if not any(_overlaps(subnet, [place]) for subnet in taken)), None)
    example = f", e.g. {free}, which no network here has" if free else ""
    return f"Choose another docker.subnet{example}."
