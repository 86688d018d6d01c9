"""Deployments, StatefulSets and Services: what keeps the pods of a role, and what finds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pulumi
from pulumi_kubernetes.apps import v1 as apps
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.policy import v1 as policy

from stacks import names
from stacks.components.k8s.namespace import Scope
from stacks.components.k8s.pod import Program, service_account, template
from stacks.spec import Role
from stacks.units import kubernetes_memory

Annotations = Mapping[str, pulumi.Input[str]]
_REVISIONS: Final = 5
# What Pulumi waits for: images to arrive, and each pod to start.
_START_SECONDS: Final = 600
_POD_SECONDS: Final = 60


def deployment(
    scope: Scope, program: Program, replicas: int, annotations: Annotations, *, scaled: bool = False
) -> apps.Deployment:
    """Never fewer pods than `replicas` while they are replaced. `scaled`: their number is an autoscaler's to change."""
    name = names.object_name(program.role)
    service_account(scope, program.role)
    # Pods come one after the other.
    seconds = f"{_START_SECONDS + replicas * (_POD_SECONDS + program.settle_seconds)}s"
    options = pulumi.ResourceOptions(
        ignore_changes=["spec.replicas"] if scaled else None,
        custom_timeouts=pulumi.CustomTimeouts(create=seconds, update=seconds),
    )
    one_more = apps.RollingUpdateDeploymentArgs(max_unavailable=0, max_surge=1)
    return apps.Deployment(
        name,
        metadata=scope.metadata(name, program.role),
        spec=apps.DeploymentSpecArgs(
            replicas=replicas,
            min_ready_seconds=program.settle_seconds or None,
            revision_history_limit=_REVISIONS,
            selector=scope.selector(program.role),
            strategy=apps.DeploymentStrategyArgs(type="RollingUpdate", rolling_update=one_more),
            template=template(scope, program, annotations),
        ),
        opts=pulumi.ResourceOptions.merge(scope.options, options),
    )


def stateful_set(scope: Scope, program: Program, disk: int, annotations: Annotations) -> apps.StatefulSet:
    """One pod with a claim of `disk` MiB, which outlives it."""
    name = names.object_name(program.role)
    service_account(scope, program.role)
    kept = apps.StatefulSetPersistentVolumeClaimRetentionPolicyArgs(when_deleted="Retain", when_scaled="Retain")
    claim = core.PersistentVolumeClaimArgs(
        # A claim's template never changes: no version among its labels.
        metadata=ObjectMetaArgs(name=names.CLAIM, labels=names.selector(scope.spec, program.role)),
        spec=core.PersistentVolumeClaimSpecArgs(
            access_modes=["ReadWriteOnce"],
            storage_class_name=scope.spec.kubernetes.storage_class or None,
            resources=core.VolumeResourceRequirementsArgs(requests={"storage": kubernetes_memory(disk)}),
        ),
    )
    return apps.StatefulSet(
        name,
        metadata=scope.metadata(name, program.role),
        spec=apps.StatefulSetSpecArgs(
            replicas=1,
            service_name=name,
            revision_history_limit=_REVISIONS,
            # In order, a pod that never becomes ready would block the one that mends it (kubernetes/kubernetes#67250).
            pod_management_policy="Parallel",
            selector=scope.selector(program.role),
            persistent_volume_claim_retention_policy=kept,
            template=template(scope, program, annotations),
            volume_claim_templates=[claim],
        ),
        opts=scope.options,
    )


def config_map(scope: Scope, role: Role, data: Mapping[str, pulumi.Input[str]]) -> Scope:
    """A role's configuration; its pods come after it, or a new one would start with what was there before."""
    name = names.object_name(role)
    made = core.ConfigMap(name, metadata=scope.metadata(name, role), data={**data}, opts=scope.options)
    return scope.after([made])


def service(
    scope: Scope,
    role: Role,
    ports: Mapping[str, int],
    *,
    name: str = "",
    headless: bool = True,
    unready: bool = False,
) -> core.Service:
    """Inside the cluster. `headless`: its name stands for the pods' own addresses; `unready`: for pods not ready too."""
    name = name or names.object_name(role)
    return core.Service(
        name,
        metadata=scope.metadata(name, role),
        spec=core.ServiceSpecArgs(
            type="ClusterIP",
            cluster_ip="None" if headless else None,
            publish_not_ready_addresses=unready or None,
            selector=names.selector(scope.spec, role),
            ports=[
                core.ServicePortArgs(name=port, port=number, target_port=number, protocol="TCP")
                for port, number in ports.items()
            ],
        ),
        opts=scope.options,
    )


def disruption_budget(scope: Scope, role: Role) -> None:
    """A node that is emptied takes one pod at a time; one that does not serve, as all do while the database is away, at once."""
    name = names.object_name(role)
    policy.PodDisruptionBudget(
        name,
        metadata=scope.metadata(name, role),
        spec=policy.PodDisruptionBudgetSpecArgs(
            max_unavailable=1, unhealthy_pod_eviction_policy="AlwaysAllow", selector=scope.selector(role)
        ),
        opts=scope.options,
    )
