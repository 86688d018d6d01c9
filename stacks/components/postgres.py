"""PostgreSQL: the truth."""

from __future__ import annotations

from typing import Final

import pulumi_docker as docker

from stacks import stores
from stacks.components.container import Part, container
from stacks.components.files import carrier, volume
from stacks.components.network import Ground
from stacks.secrets import Secrets

_USER: Final = "999:999"
# Parallel queries share it; Docker's default is 64 MiB.
_SHARED_MEMORY_MIB: Final = 128
# A fast shutdown writes a checkpoint.
_STOP_SECONDS: Final = 60


def postgres(ground: Ground, secrets: Secrets) -> docker.Container:
    spec = ground.spec
    image = spec.images.postgres
    part = Part(
        name="postgres",
        role="postgres",
        image=image,
        size=spec.size("postgres"),
        user=_USER,
        health=stores.postgres_health(spec),
        command=stores.postgres_arguments(spec),
        environment=stores.postgres_environment(),
        files=carrier(ground, "postgres", "postgres", image, stores.postgres_files(secrets)),
        data={stores.POSTGRES_VOLUME: volume(ground, "postgres-data", "postgres", data=True)},
        scratch=("/tmp", "/var/run/postgresql"),  # noqa: S108 - the container's own
        shared_memory=_SHARED_MEMORY_MIB,
        stop_seconds=_STOP_SECONDS,
        stop_signal="SIGINT",
    )
    return container(ground, part)
