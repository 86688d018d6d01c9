"""Redis: one server with a claim for its append-only file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pulumi
from pulumi_kubernetes.apps import v1 as apps

from stacks import names, ports, stores
from stacks.components.k8s import mounts
from stacks.components.k8s.namespace import Scope
from stacks.components.k8s.pod import BESIDES, Often, Program, Volume, run
from stacks.components.k8s.workload import service, stateful_set
from stacks.files import File

# It answers LOADING while it reads its file.
_START_SECONDS: Final = 120


def redis(scope: Scope, image: str, files: Sequence[File], salt: pulumi.Input[str]) -> apps.StatefulSet:
    spec = scope.spec
    service(scope, "redis", {"redis": ports.REDIS})
    health = stores.redis_health(spec)
    program = Program(
        role="redis",
        image=image,
        size=BESIDES.of(spec.size("redis")),
        ports={"redis": ports.REDIS},
        volumes=[Volume(names.CLAIM, stores.REDIS_VOLUME, read_only=False), *mounts.volumes("redis", files)],
        args=stores.redis_arguments(),
        started=run(health, Often(2, 2, _START_SECONDS // 2)),
        live=run(health, Often(10, 5, 6)),
        ready=run(health, Often(5, 2, 2)),
    )
    return stateful_set(scope, program, spec.size("redis").disk, mounts.sums(files, salt))
