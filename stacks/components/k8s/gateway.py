"""The gateways: a Deployment whose pods are replaced one by one while the others serve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pulumi
from pulumi_kubernetes.apps import v1 as apps
from pulumi_kubernetes.autoscaling import v2 as autoscaling
from pulumi_kubernetes.core import v1 as core

from stacks import environment, names, ports
from stacks.components.k8s import mounts
from stacks.components.k8s.namespace import Scope
from stacks.components.k8s.pod import Often, Program, http_get
from stacks.components.k8s.workload import config_map, deployment, disruption_budget, service
from stacks.files import File
from stacks.spec import Deployment
from stacks.units import kubernetes_cpu

NAME: Final = names.object_name("gateway")
# Every gateway, ready or not: for who measures them.
EVERY: Final = "veloz-gateway-every"
# By then no proxy of the cluster sends new connections to a pod that is going.
BEFORE_STOP_SECONDS: Final = 5
# Balancers find a new gateway by DNS: its answers are up to 30 s old as kubeadm sets it up (ttl and cache of CoreDNS).
SETTLE_SECONDS: Final = 30
# Of what one gateway can use, however much it is promised: its event loop has one core.
AUTOSCALE_CPU_PERCENT: Final = 70
USABLE_CPU: Final = 1000


def gateway(
    scope: Scope, image: pulumi.Input[str], files: Sequence[File], given: frozenset[str], salt: pulumi.Input[str]
) -> apps.Deployment:
    """`given`: the optional secrets there are; `salt`: for the sum over secrets."""
    spec = scope.spec
    everywhere, by_pod = _variables(spec, given)
    service(scope, "gateway", {"http": ports.GATEWAY})
    service(scope, "gateway", {"http": ports.GATEWAY}, name=EVERY, unready=True)
    if spec.edge.kind == "ingress":
        service(scope, "gateway", {"http": ports.GATEWAY}, name=names.GATEWAY_HTTP, headless=False)
    disruption_budget(scope, "gateway")
    configured = config_map(scope, "gateway", everywhere)
    program = Program(
        role="gateway",
        image=image,
        size=spec.container_size("gateway"),
        ports={"http": ports.GATEWAY},
        volumes=mounts.volumes("gateway", files),
        env=[
            _field(environment.POD_NAME, "metadata.name"),
            _field(environment.POD_IP, "status.podIP"),
            *(core.EnvVarArgs(name=name, value=value) for name, value in sorted(by_pod.items())),
        ],
        env_from=NAME,
        # It proves its accounts before it is ready, not before it is alive.
        started=http_get("/health/live", Often(1, 1, 60)),
        live=http_get("/health/live", Often(5, 2, 3)),
        ready=http_get("/health/ready", Often(1, 1, 2)),
        before_stop=core.LifecycleHandlerArgs(sleep=core.SleepActionArgs(seconds=BEFORE_STOP_SECONDS)),
        grace_seconds=BEFORE_STOP_SECONDS + spec.gateways.stop_grace,
        settle_seconds=SETTLE_SECONDS,
        sysctls=spec.limits.sysctls,
        spread=True,
    )
    scaled = spec.most_gateways > spec.gateways.replicas
    made = deployment(configured, program, spec.gateways.replicas, mounts.sums(files, salt, everywhere), scaled=scaled)
    if scaled:
        _autoscaler(scope)
    return made


def _variables(spec: Deployment, given: frozenset[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Those that are the same in every pod, and those that Kubernetes completes: it does so in `env` alone."""
    every = environment.variables(spec, given=given)
    by_pod = {name: value for name, value in every.items() if "$(" in value}
    return {name: value for name, value in sorted(every.items()) if name not in by_pod}, by_pod


def _field(name: str, path: str) -> core.EnvVarArgs:
    source = core.EnvVarSourceArgs(field_ref=core.ObjectFieldSelectorArgs(field_path=path))
    return core.EnvVarArgs(name=name, value_from=source)


def _autoscaler(scope: Scope) -> None:
    busy = min(scope.spec.container_size("gateway").cpu, USABLE_CPU) * AUTOSCALE_CPU_PERCENT // 100
    target = autoscaling.MetricTargetArgs(type="AverageValue", average_value=kubernetes_cpu(busy))
    cpu = autoscaling.ResourceMetricSourceArgs(name="cpu", target=target)
    autoscaling.HorizontalPodAutoscaler(
        NAME,
        metadata=scope.metadata(NAME, "gateway"),
        spec=autoscaling.HorizontalPodAutoscalerSpecArgs(
            scale_target_ref=autoscaling.CrossVersionObjectReferenceArgs(
                api_version="apps/v1", kind="Deployment", name=NAME
            ),
            min_replicas=scope.spec.gateways.replicas,
            max_replicas=scope.spec.most_gateways,
            metrics=[autoscaling.MetricSpecArgs(type="Resource", resource=cpu)],
        ),
        opts=scope.options,
    )
