"""The gateways, each with its engine: replaced one after the other, each when the one before it is ready."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pulumi
import pulumi_docker as docker

from stacks import names
from stacks.components.container import Part, container
from stacks.components.files import carrier, volume
from stacks.components.network import Ground
from stacks.environment import variables
from stacks.files import gateway_files, given
from stacks.reach import published
from stacks.secrets import Secrets
from stacks.spec import Role

_ROLE: Final[Role] = "gateway"
# As stacks/images/Dockerfile has them.
_USER: Final = "10001:0"
HEALTH: Final = ("/opt/veloz/venv/bin/python", "-I", "-S", "/opt/veloz/probe.py", "ready")
# They are replaced one after the other.
_CHECK_SECONDS: Final = 5
# Migrations, and proving the log before the first order (R15: 30 s).
_START_SECONDS: Final = 120
# Of single: its stores stop after the gateway.
_STORES_STOP_SECONDS: Final = 30
_SINGLE_DATA: Final = "/var/lib/veloz"


def gateways(
    ground: Ground, secrets: Secrets, image: pulumi.Input[str], after: Sequence[pulumi.Resource]
) -> tuple[docker.Container, ...]:
    """A chain: what changes in all of them happens to one at a time."""
    made: list[docker.Container] = []
    for replica in range(1, ground.spec.gateways.replicas + 1):
        name = names.gateway_id(replica)
        before = [*after, *made[-1:]]
        files = carrier(ground, name, _ROLE, image, gateway_files(ground.spec, secrets), before)
        part = Part(
            name=name,
            role=_ROLE,
            replica=replica,
            image=image,
            size=ground.spec.container_size(_ROLE),
            user=_USER,
            health=HEALTH,
            environment=variables(ground.spec, replica, given(secrets)),
            files=files,
            sysctls=ground.spec.limits.sysctls,
            check_seconds=_CHECK_SECONDS,
            start_seconds=_START_SECONDS,
            stop_seconds=ground.spec.gateways.stop_grace,
        )
        made.append(container(ground, part, before))
    return tuple(made)


def everything(ground: Ground, secrets: Secrets, image: pulumi.Input[str]) -> docker.Container:
    """The one container of single: gateway, engine, PostgreSQL and Valkey."""
    spec = ground.spec
    part = Part(
        name="gateway",
        role=_ROLE,
        image=image,
        size=spec.container_size(_ROLE),
        user=_USER,
        health=HEALTH,
        environment=variables(spec, given=given(secrets)),
        files=carrier(ground, "gateway", _ROLE, image, gateway_files(spec, secrets)),
        data={_SINGLE_DATA: volume(ground, "data", _ROLE, data=True)},
        published=published(spec),
        sysctls=spec.limits.sysctls,
        shared_memory=max(64, spec.size("postgres").memory // 4),
        check_seconds=_CHECK_SECONDS,
        start_seconds=_START_SECONDS,
        stop_seconds=spec.gateways.stop_grace + _STORES_STOP_SECONDS,
    )
    return container(ground, part)
