"""The balancer: the only thing that is published. It finds the gateways by DNS and takes a new configuration by itself."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Final

import pulumi
from pulumi_kubernetes.apps import v1 as apps
from pulumi_kubernetes.core import v1 as core

from stacks import edge, names, ports, reach
from stacks.components.k8s import mounts
from stacks.components.k8s.namespace import Scope
from stacks.components.k8s.pod import Program, http_get, scratch
from stacks.components.k8s.workload import deployment, disruption_budget
from stacks.files import File
from stacks.images import WATCH
from stacks.secrets import Secrets
from stacks.spec import Deployment

NAME: Final = names.object_name("balancer")
FOLDER: Final = "/etc/veloz/balancer"
SCRATCH: Final = "/run/balancer"
SCRIPT: Final = f"{FOLDER}/watch.sh"
BEFORE_STOP_SECONDS: Final = 5
_MARGIN_SECONDS: Final = 5


def files(spec: Deployment, secrets: Secrets) -> tuple[File, ...]:
    """Of the balancer's one folder, which it watches."""
    name, text = edge.configuration(spec)
    made = [File(f"{FOLDER}/{name}", text), File(SCRIPT, WATCH.read_text(encoding="utf-8"))]
    if spec.encrypted:
        for file, content in (("tls.crt", secrets.tls_certificate), ("tls.key", secrets.tls_key)):
            if content is None:
                raise ValueError(f"the secret of {file} is missing")  # Secrets.from_config refuses that
            made.append(File(f"{FOLDER}/{file}", content, secret=True))
    return tuple(made)


def balancer(scope: Scope, image: str, files: Sequence[File]) -> tuple[apps.Deployment, core.Service]:
    """Its pods are not replaced when configuration or certificate change: they reload."""
    spec = scope.spec
    core.ConfigMap(NAME, metadata=scope.metadata(NAME, "balancer"), data=mounts.config(files), opts=scope.options)
    disruption_budget(scope, "balancer")
    model = edge.balancer(spec)
    if model is None:
        raise ValueError("there is no balancer in this deployment")
    program = Program(
        role="balancer",
        image=image,
        size=spec.container_size("balancer"),
        ports={port.name: port.target for port in reach.published(spec)} | {"health": ports.BALANCER_HEALTH},
        volumes=[*mounts.volumes("balancer", files), scratch("run", SCRATCH)],
        command=["/bin/sh", SCRIPT, spec.edge.kind, FOLDER, SCRATCH],
        live=http_get("/health/live", "health", period_seconds=5, timeout_seconds=2, failure_threshold=3),
        ready=http_get("/health/live", "health", period_seconds=1, timeout_seconds=1, failure_threshold=2),
        before_stop=core.LifecycleHandlerArgs(sleep=core.SleepActionArgs(seconds=BEFORE_STOP_SECONDS)),
        grace_seconds=BEFORE_STOP_SECONDS + ceil(model.shutdown_timeout) + _MARGIN_SECONDS,
        sysctls=spec.limits.sysctls,
        spread=True,
    )
    script = [file for file in files if file.path == SCRIPT]
    made = deployment(scope, program, spec.replicas("balancer"), mounts.sums(script, ""))
    return made, _published(scope)


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
