"""Redis: what can be rebuilt."""

from __future__ import annotations

from typing import Final

import pulumi_docker as docker

from stacks import stores
from stacks.components.container import Part, container
from stacks.components.files import carrier, volume
from stacks.components.network import Ground
from stacks.secrets import Secrets

_USER: Final = "999:999"


def redis(ground: Ground, secrets: Secrets) -> docker.Container:
    spec = ground.spec
    image = spec.images.redis
    part = Part(
        name="redis",
        role="redis",
        image=image,
        size=spec.size("redis"),
        user=_USER,
        health=stores.redis_health(spec),
        command=stores.redis_arguments(),
        files=carrier(ground, "redis", "redis", image, stores.redis_files(spec, secrets)),
        data={stores.REDIS_VOLUME: volume(ground, "redis-data", "redis", data=True)},
    )
    return container(ground, part)
