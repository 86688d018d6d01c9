"""A pod as every role has it: no privileges, no identity in the cluster, a read-only root, and exactly its size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

import pulumi
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from stacks import names
from stacks.components.k8s.namespace import Scope
from stacks.sizes import Change, Size
from stacks.spec import Role
from stacks.units import kubernetes_cpu, kubernetes_memory

# Above 10,000, where no host has users of its own. All but postgres run as any user; see there.
USERS: Final[Mapping[Role, int]] = MappingProxyType(
    {"gateway": 10001, "balancer": 10099, "postgres": 10999, "redis": 10998, "prometheus": 65534, "grafana": 10472}
)
# What containers with a claim may write besides it: logs and scratch folders.
BESIDES: Final = Change(disk=512)
_SCRATCH_MIB: Final = 64
_HOST: Final = "kubernetes.io/hostname"
_ZONE: Final = "topology.kubernetes.io/zone"


class Volume(NamedTuple):
    """Something in a container's file system. Without `source`: a claim of a stateful set that has this name."""

    name: str
    path: str
    source: core.VolumeArgs | None = None
    sub_path: str | None = None
    read_only: bool = True

    @property
    def mount(self) -> core.VolumeMountArgs:
        return core.VolumeMountArgs(
            name=self.name, mount_path=self.path, sub_path=self.sub_path, read_only=self.read_only or None
        )


class Often(NamedTuple):
    """How often is asked, how long is waited for an answer (both seconds), and how many may be missing."""

    period: int
    timeout: int
    failures: int


class Program(NamedTuple):
    """What runs in the pods of a role.

    `size.disk` is what it may write outside of claims; after `settle_seconds` of being ready a new pod is relied upon.
    """

    role: Role
    image: pulumi.Input[str]
    size: Size
    ports: Mapping[str, int]
    volumes: Sequence[Volume]
    ready: core.ProbeArgs
    live: core.ProbeArgs
    started: core.ProbeArgs | None = None
    command: Sequence[str] | None = None
    args: Sequence[pulumi.Input[str]] | None = None
    env: Sequence[core.EnvVarArgs] = ()
    env_from: str | None = None
    sysctls: Mapping[str, str] = MappingProxyType({})
    before_stop: core.LifecycleHandlerArgs | None = None
    grace_seconds: int = 30
    settle_seconds: int = 0
    spread: bool = False


def scratch(name: str, path: str, mib: int = _SCRATCH_MIB) -> Volume:
    """A folder that can be written and goes with the pod."""
    empty = core.EmptyDirVolumeSourceArgs(size_limit=kubernetes_memory(mib))
    return Volume(name, path, core.VolumeArgs(name=name, empty_dir=empty), read_only=False)


def http_get(path: str, often: Often, port: str = "http") -> core.ProbeArgs:
    return core.ProbeArgs(
        http_get=core.HTTPGetActionArgs(path=path, port=port),
        period_seconds=often.period,
        timeout_seconds=often.timeout,
        failure_threshold=often.failures,
    )


def run(command: Sequence[str], often: Often) -> core.ProbeArgs:
    """In the container."""
    return core.ProbeArgs(
        exec_=core.ExecActionArgs(command=[*command]),
        period_seconds=often.period,
        timeout_seconds=often.timeout,
        failure_threshold=often.failures,
    )


def service_account(scope: Scope, role: Role) -> None:
    """An identity of its own, so that none is shared, and no token for it: nothing here asks the cluster anything."""
    core.ServiceAccount(
        names.object_name(role),
        metadata=scope.metadata(names.object_name(role), role),
        automount_service_account_token=False,
        opts=scope.options,
    )


def template(
    scope: Scope, program: Program, annotations: Mapping[str, pulumi.Input[str]] | None = None
) -> core.PodTemplateSpecArgs:
    user = USERS[program.role]
    pull = scope.spec.images.pull_secret
    return core.PodTemplateSpecArgs(
        metadata=ObjectMetaArgs(
            labels=names.pod_labels(scope.spec, program.role),
            annotations=dict(annotations) if annotations else None,
        ),
        spec=core.PodSpecArgs(
            service_account_name=names.object_name(program.role),
            automount_service_account_token=False,
            enable_service_links=False,
            image_pull_secrets=[core.LocalObjectReferenceArgs(name=pull)] if pull else None,
            termination_grace_period_seconds=program.grace_seconds,
            security_context=core.PodSecurityContextArgs(
                run_as_non_root=True,
                run_as_user=user,
                run_as_group=user,
                fs_group=user,
                # Once: PostgreSQL refuses a folder that is made writable for its group at every start.
                fs_group_change_policy="OnRootMismatch",
                seccomp_profile=core.SeccompProfileArgs(type="RuntimeDefault"),
                sysctls=[core.SysctlArgs(name=name, value=value) for name, value in sorted(program.sysctls.items())]
                or None,
            ),
            topology_spread_constraints=_spread(scope, program.role) if program.spread else None,
            containers=[_container(program, scope.spec.kubernetes.cpu_burst)],
            volumes=_sources(program.volumes),
        ),
    )


def _container(program: Program, burst: int) -> core.ContainerArgs:
    promised = {
        "cpu": kubernetes_cpu(program.size.cpu),
        "memory": kubernetes_memory(program.size.memory),
        "ephemeral-storage": kubernetes_memory(program.size.disk),
    }
    return core.ContainerArgs(
        name=program.role,
        image=program.image,
        image_pull_policy="IfNotPresent",
        command=list(program.command) if program.command else None,
        args=list(program.args) if program.args else None,
        env=list(program.env) or None,
        env_from=[core.EnvFromSourceArgs(config_map_ref=core.ConfigMapEnvSourceArgs(name=program.env_from))]
        if program.env_from
        else None,
        ports=[core.ContainerPortArgs(name=name, container_port=port) for name, port in program.ports.items()],
        resources=core.ResourceRequirementsArgs(
            requests=promised, limits=promised | {"cpu": kubernetes_cpu(program.size.cpu * burst)}
        ),
        security_context=core.SecurityContextArgs(
            allow_privilege_escalation=False,
            privileged=False,
            read_only_root_filesystem=True,
            run_as_non_root=True,
            capabilities=core.CapabilitiesArgs(drop=["ALL"]),
            seccomp_profile=core.SeccompProfileArgs(type="RuntimeDefault"),
        ),
        volume_mounts=[volume.mount for volume in program.volumes],
        startup_probe=program.started,
        liveness_probe=program.live,
        readiness_probe=program.ready,
        lifecycle=core.LifecycleArgs(pre_stop=program.before_stop) if program.before_stop else None,
    )


def _sources(volumes: Sequence[Volume]) -> list[core.VolumeArgs] | None:
    """Each once, though it may be mounted twice."""
    return list({volume.name: volume.source for volume in volumes if volume.source is not None}.values()) or None


def _spread(scope: Scope, role: Role) -> list[core.TopologySpreadConstraintArgs]:
    """Over hosts and zones as far as there are any; pods of an earlier revision, which are leaving, do not count."""
    return [
        core.TopologySpreadConstraintArgs(
            max_skew=1,
            topology_key=key,
            when_unsatisfiable="ScheduleAnyway",
            label_selector=scope.selector(role),
            match_label_keys=["pod-template-hash"],
        )
        for key in (_HOST, _ZONE)
    ]
