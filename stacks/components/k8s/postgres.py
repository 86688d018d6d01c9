"""PostgreSQL: one server with a claim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pulumi
from pulumi_kubernetes.apps import v1 as apps
from pulumi_kubernetes.core import v1 as core

from stacks import names, ports, stores
from stacks.components.k8s import mounts
from stacks.components.k8s.namespace import Scope
from stacks.components.k8s.pod import BESIDES, USERS, Often, Program, Volume, run, scratch
from stacks.components.k8s.workload import config_map, service, stateful_set
from stacks.files import File

# initdb looks its user up by name, and the image does not know this one.
_USERS: Final = "users"
# Redo after a crash takes its time; PostgreSQL's own checkpoints come every 5 minutes.
_START_SECONDS: Final = 600
# A fast shutdown ends the sessions and writes a checkpoint.
_GRACE_SECONDS: Final = 60


def postgres(scope: Scope, image: str, files: Sequence[File], salt: pulumi.Input[str]) -> apps.StatefulSet:
    spec = scope.spec
    users = f"{names.DATABASE}:x:{USERS['postgres']}:{USERS['postgres']}::/nonexistent:/usr/sbin/nologin\n"
    service(scope, "postgres", {"postgres": ports.POSTGRES})
    health = stores.postgres_health(spec)
    program = Program(
        role="postgres",
        image=image,
        size=BESIDES.of(spec.size("postgres")),
        ports={"postgres": ports.POSTGRES},
        volumes=[
            Volume(names.CLAIM, stores.POSTGRES_VOLUME, read_only=False),
            *mounts.volumes("postgres", files),
            _users(names.object_name("postgres")),
            scratch("run", "/var/run/postgresql"),
            scratch("tmp", "/tmp"),  # noqa: S108 (the container's own)
        ],
        args=stores.postgres_arguments(spec),
        env=[core.EnvVarArgs(name=key, value=value) for key, value in sorted(stores.postgres_environment().items())],
        started=run(health, Often(2, 2, _START_SECONDS // 2)),
        live=run(health, Often(10, 5, 6)),
        ready=run(health, Often(5, 2, 2)),
        grace_seconds=_GRACE_SECONDS,
    )
    configured = config_map(scope, "postgres", {_USERS: users})
    return stateful_set(configured, program, spec.size("postgres").disk, mounts.sums(files, salt, {_USERS: users}))


def _users(config_map: str) -> Volume:
    items = [core.KeyToPathArgs(key=_USERS, path="passwd")]
    source = core.ConfigMapVolumeSourceArgs(name=config_map, items=items, default_mode=mounts.FILE_MODE)
    return Volume(_USERS, "/etc/passwd", core.VolumeArgs(name=_USERS, config_map=source), sub_path="passwd")
