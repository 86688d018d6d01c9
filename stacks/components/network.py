"""Docker's networks, one for each group of those that may speak to each other, and what all containers share."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from stacks import names
from stacks.components.logins import logins
from stacks.names import Network
from stacks.spec import Deployment, Role


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What the containers of a deployment stand on."""

    spec: Deployment
    provider: docker.Provider
    networks: Mapping[Network, docker.Network]

    def options(self, **more: object) -> pulumi.ResourceOptions:
        """Names and addresses are fixed: what is replaced goes before its successor comes."""
        return pulumi.ResourceOptions.merge(
            pulumi.ResourceOptions(provider=self.provider, delete_before_replace=True),
            pulumi.ResourceOptions(**more),  # type: ignore[arg-type]
        )

    def attachments(self, role: Role, replica: int) -> list[docker.ContainerNetworksAdvancedArgs]:
        """A container's places in its networks. The networks' outputs are used: with one, all in it are replaced."""
        return [
            docker.ContainerNetworksAdvancedArgs(
                name=self.networks[network].name, ipv4_address=names.address(self.spec, network, role, replica)
            )
            for network in names.networks_of(self.spec, role)
        ]


def ground(spec: Deployment) -> Ground:
    provider = docker.Provider("docker", host=spec.docker.host or None, registry_auth=logins(spec))
    options = pulumi.ResourceOptions(provider=provider, delete_before_replace=True)
    networks = {which: _network(spec, which, options) for which in names.networks(spec)}
    return Ground(spec=spec, provider=provider, networks=networks)


def labels(told: Mapping[str, str]) -> list[docker.ContainerLabelArgs]:
    return [docker.ContainerLabelArgs(label=label, value=value) for label, value in sorted(told.items())]


def _network(spec: Deployment, which: Network, options: pulumi.ResourceOptions) -> docker.Network:
    subnet = names.subnet(spec, which)
    return docker.Network(
        f"network-{which}",
        name=names.network(spec, which),
        driver="bridge",
        internal=names.internal(which),
        # The host's own address, as Docker would choose it: said, so that a refresh finds no difference.
        ipam_configs=[docker.NetworkIpamConfigArgs(subnet=subnet, gateway=str(ipaddress.ip_network(subnet)[1]))],
        labels=[
            docker.NetworkLabelArgs(label=label, value=value)
            for label, value in sorted(names.labels(spec, "network").items())
        ],
        opts=options,
    )
