"""A container as every part of a deployment has it: no privileges, a read-only root, exactly its size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import pulumi
import pulumi_docker as docker

from stacks import names
from stacks.components.files import Carrier
from stacks.components.network import Ground, labels
from stacks.reach import Published
from stacks.sizes import Size
from stacks.spec import Deployment, Role
from stacks.units import DOCKER_CPU_PERIOD, docker_cpu_quota, docker_duration, docker_memory

# The provider takes another of these for a change in place, and then makes none
# (terraform-provider-docker 4.5.0, resourceDockerContainerUpdate).
NOT_IN_PLACE: Final = ("cpuPeriod", "cpuQuota", "healthcheck", "init", "tmpfs")
_CHECK_TIMEOUT: Final = 3
_CHECK_RETRIES: Final = 3
_SCRATCH_MIB: Final = 64


@dataclass(frozen=True, kw_only=True)
class Part:
    """What differs from one container to the next. Seconds and MiB."""

    name: str
    role: Role
    image: pulumi.Input[str]
    size: Size
    # The one that the image's service has, as numbers; it reads its files as a member of group 0.
    user: str
    health: Sequence[str]
    replica: int = 1
    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Carrier | None = None
    # Whether it is replaced with its files, because it reads them when it starts.
    follows_files: bool = True
    # Path → volume.
    data: Mapping[str, docker.Volume] = field(default_factory=dict)
    # Folders that can be written and go with the container.
    scratch: Sequence[str] = ("/tmp",)  # noqa: S108 - the container's own
    published: Sequence[Published] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    shared_memory: int | None = None
    # From one check to the next; so long a new container is waited for at least. Each check costs a process.
    check_seconds: int = 10
    start_seconds: int = 60
    stop_seconds: int = 30
    stop_signal: str = "SIGTERM"


def container(ground: Ground, part: Part, after: Sequence[pulumi.Input[pulumi.Resource]] = ()) -> docker.Container:
    """It is there when it is healthy. `after`: what must be there before."""
    spec = ground.spec
    mounts = [part.files.mount()] if part.files else []
    mounts += [
        docker.ContainerMountArgs(type="volume", source=volume.name, target=path) for path, volume in part.data.items()
    ]
    memory = docker_memory(part.size.memory)
    return docker.Container(
        part.name,
        name=names.container(spec, part.name),
        hostname=part.name,
        image=part.image,
        entrypoints=list(part.entrypoint) or None,
        command=list(part.command) or None,
        envs=[f"{name}={value}" for name, value in sorted(part.environment.items())] or None,
        labels=labels(names.labels(spec, part.role)),
        # What it may
        user=part.user,
        group_adds=["0"] if part.files else None,
        read_only=True,
        tmpfs={path: tmpfs(part.user) for path in part.scratch} or None,
        mounts=mounts or None,
        capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"]),
        security_opts=["no-new-privileges:true"],
        privileged=False,
        # What it gets
        memory=memory,
        memory_swap=memory,
        cpu_period=DOCKER_CPU_PERIOD,
        cpu_quota=docker_cpu_quota(part.size.cpu),
        shm_size=part.shared_memory,
        ulimits=ulimits(spec),
        sysctls=dict(part.sysctls) or None,
        log_driver="json-file",
        log_opts={"max-size": f"{spec.limits.log_size}m", "max-file": str(spec.limits.log_files)},
        # Whom it meets
        networks_advanced=ground.attachments(part.role, part.replica),
        ports=[_port(spec, port) for port in part.published] or None,
        # How it lives
        init=True,
        restart="unless-stopped",
        healthcheck=_healthcheck(part),
        wait=True,
        wait_timeout=part.start_seconds + 2 * part.check_seconds,
        stop_signal=part.stop_signal,
        stop_timeout=part.stop_seconds,
        destroy_grace_seconds=part.stop_seconds,
        opts=_options(ground, part, after),
    )


def _options(ground: Ground, part: Part, after: Sequence[pulumi.Input[pulumi.Resource]]) -> pulumi.ResourceOptions:
    files = [part.files.container] if part.files else []
    return ground.options(
        depends_on=[*after, *files],
        replace_with=files if part.follows_files else [],
        replace_on_changes=list(NOT_IN_PLACE),
    )


def ulimits(spec: Deployment) -> list[docker.ContainerUlimitArgs]:
    """Of open files. The provider knows no limit of a container's processes, and `nproc` counts a user's in all of them."""
    files = spec.limits.open_files
    return [docker.ContainerUlimitArgs(name="nofile", soft=files, hard=files)]


def tmpfs(user: str) -> str:
    """What a folder in memory is mounted with: nobody else's, and nothing in it is run."""
    return f"rw,noexec,nosuid,nodev,size={_SCRATCH_MIB}m,mode=0700,uid={user.partition(':')[0]}"


def _port(spec: Deployment, port: Published) -> docker.ContainerPortArgs:
    return docker.ContainerPortArgs(internal=port.target, external=port.port, ip=spec.edge.address, protocol="tcp")


def _healthcheck(part: Part) -> docker.ContainerHealthcheckArgs:
    return docker.ContainerHealthcheckArgs(
        tests=["CMD", *part.health],
        interval=docker_duration(part.check_seconds),
        timeout=docker_duration(_CHECK_TIMEOUT),
        retries=_CHECK_RETRIES,
        start_period=docker_duration(part.start_seconds),
    )
