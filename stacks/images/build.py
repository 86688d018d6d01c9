"""The image of a deployment as a resource: built from this tree, and pushed when there is a registry."""

from __future__ import annotations

import pulumi
import pulumi_docker as docker

from stacks.images import context
from stacks.images.recipe import recipe
from stacks.secrets import Secrets
from stacks.spec import Deployment


def built(
    spec: Deployment, secrets: Secrets | None = None, opts: pulumi.ResourceOptions | None = None
) -> pulumi.Output[str]:
    """The image's name, known when it is there. The one that the description names is taken as it is."""
    if spec.images.veloz:
        return pulumi.Output.from_input(spec.images.veloz)
    files = context.read()
    how = recipe(spec, files)
    # Relative to the project, as Pulumi's provider wants it: the same on every machine.
    folder = context.stage(files)
    image = docker.Image(
        "image",
        image_name=how.tag,
        build=docker.DockerBuildArgs(
            context=str(folder),
            dockerfile=str(folder / context.DOCKERFILE),
            target=how.target,
            args=how.arguments,
        ),
        registry=_registry(spec, secrets),
        skip_push=not spec.images.registry,
        opts=opts,
    )
    return image.image_name


def _registry(spec: Deployment, secrets: Secrets | None) -> docker.RegistryArgs | None:
    """Without credentials those of the docker command are taken."""
    if not spec.images.registry:
        return None
    return docker.RegistryArgs(
        server=spec.images.registry.split("/")[0],
        username=secrets.registry_username if secrets else None,
        password=secrets.registry_password if secrets else None,
    )
