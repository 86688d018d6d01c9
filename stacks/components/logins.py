"""The registries that Pulumi's Docker provider logs in to when a container's image is not on the host.

Without being told it asks all of them as nobody, whatever `docker login` was given. Told an address it reads the docker
command's configuration itself, so that no credential comes into the state.
"""

from __future__ import annotations

from typing import Final

import pulumi
import pulumi_docker as docker

from stacks.registry_login import HUB, Login, login, registry
from stacks.spec import Deployment

_IMAGES: Final = ("veloz", "nginx", "haproxy", "postgres", "redis", "prometheus", "grafana")


def logins(spec: Deployment) -> list[docker.ProviderRegistryAuthArgs] | None:
    """One for each registry of the description's images that the docker command has a login for; None: for none."""
    images = [image for name in _IMAGES if (image := getattr(spec.images, name))]
    by_registry = {registry(image): image for image in images}
    found = [_one(place, known) for place, image in sorted(by_registry.items()) if (known := _known(image))]
    return found or None


def _known(image: str) -> Login | None:
    """What cannot be read is none: the image may be on the host, and who needs it is told that it was refused."""
    from docker.errors import DockerException  # noqa: PLC0415 - slow to load

    try:
        return login(image)
    except (DockerException, OSError, ValueError) as error:
        pulumi.warn(f"The docker command's login for {registry(image)} cannot be read: {error}")
        return None


def _one(place: str, known: Login) -> docker.ProviderRegistryAuthArgs:
    # Of Docker Hub it takes what the file itself has, and asks no helper (terraform-provider-docker 4.5.0,
    # getAuthConfigFromConfigFile).
    if place == HUB and known.helped and known.username:
        return docker.ProviderRegistryAuthArgs(
            address=place,
            username=pulumi.Output.secret(known.username),
            password=pulumi.Output.secret(known.password),
        )
    return docker.ProviderRegistryAuthArgs(address=place)
