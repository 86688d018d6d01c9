"""The balancer: the only thing that is published. It finds the gateways by DNS and takes a new configuration by itself."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Final

from pulumi_kubernetes.core import v1 as core

from stacks import edge, names, ports, reach, watched
from stacks.components.k8s import mounts
from stacks.components.k8s.namespace import Scope
from stacks.components.k8s.pod import Often, Program, http_get, scratch
from stacks.components.k8s.workload import config_map, deployment, disruption_budget
from stacks.files import File

NAME: Final = names.object_name("balancer")
SCRATCH: Final = "/run/balancer"
# A cloud's load balancer asks each node, every 10 s and three times or so, whether a balancer is there: so long must one
# that goes serve on, and so long must a new one have been there before the next one goes.
BEFORE_STOP_SECONDS: Final = 30
SETTLE_SECONDS: Final = 30
_MARGIN_SECONDS: Final = 5


def balancer(scope: Scope, image: str, files: Sequence[File]) -> core.Service:
    """Its pods are not replaced when configuration or certificate change: they reload."""
    spec = scope.spec
    disruption_budget(scope, "balancer")
    size = spec.container_size("balancer")
    program = Program(
        role="balancer",
        image=image,
        size=size,
        ports={port.name: port.target for port in reach.published(spec)} | {"health": ports.BALANCER_HEALTH},
        volumes=[*mounts.volumes("balancer", files), scratch("run", SCRATCH, size.disk // 2)],
        command=["/bin/sh", watched.SCRIPT, spec.edge.kind, watched.FOLDER, SCRATCH],
        live=http_get("/health/live", Often(5, 2, 3), "health"),
        ready=http_get("/health/live", Often(1, 1, 2), "health"),
        before_stop=core.LifecycleHandlerArgs(sleep=core.SleepActionArgs(seconds=BEFORE_STOP_SECONDS)),
        grace_seconds=BEFORE_STOP_SECONDS + ceil(edge.balancer(spec).shutdown_timeout) + _MARGIN_SECONDS,
        settle_seconds=SETTLE_SECONDS,
        sysctls=spec.limits.sysctls,
        spread=True,
    )
    script = [file for file in files if file.path == watched.SCRIPT]
    configured = config_map(scope, "balancer", mounts.config(files))
    deployment(configured, program, spec.replicas("balancer"), mounts.sums(script, ""))
    return _published(scope)


def _published(scope: Scope) -> core.Service:
    spec = scope.spec
    return core.Service(
        NAME,
        metadata=scope.metadata(NAME, "balancer", spec.kubernetes.load_balancer_annotations),
        spec=core.ServiceSpecArgs(
            type="LoadBalancer",
            # The client's address reaches the balancer as it is.
            external_traffic_policy="Local",
            selector=names.selector(spec, "balancer"),
            ports=[
                core.ServicePortArgs(name=port.name, port=port.port, target_port=port.target, protocol="TCP")
                for port in reach.published(spec)
            ],
        ),
        opts=scope.options,
    )
