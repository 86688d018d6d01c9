"""Prometheus with a claim, and Grafana, whose data source is given to it and which keeps nothing."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
from pulumi_kubernetes.apps import v1 as apps
from pulumi_kubernetes.core import v1 as core

from stacks import names, ports
from stacks.components.k8s import mounts
from stacks.components.k8s.namespace import Scope
from stacks.components.k8s.pod import BESIDES, Often, Program, Volume, http_get, scratch
from stacks.components.k8s.workload import config_map, deployment, service, stateful_set
from stacks.files import File
from stacks.monitoring import grafana as panels
from stacks.monitoring import prometheus as scrape


def prometheus(scope: Scope, image: str, files: Sequence[File], salt: pulumi.Input[str]) -> apps.StatefulSet:
    spec = scope.spec
    service(scope, "prometheus", {"http": ports.PROMETHEUS})
    program = Program(
        role="prometheus",
        image=image,
        size=BESIDES.of(spec.size("prometheus")),
        ports={"http": ports.PROMETHEUS},
        volumes=[Volume(names.CLAIM, scrape.VOLUME, read_only=False), *mounts.volumes("prometheus", files)],
        args=scrape.arguments(spec),
        # Not ready while it reads its write-ahead log, which may be long.
        started=http_get("/-/healthy", Often(2, 2, 60)),
        live=http_get("/-/healthy", Often(10, 5, 6)),
        ready=http_get("/-/ready", Often(5, 2, 2)),
        grace_seconds=60,
    )
    configured = config_map(scope, "prometheus", mounts.config(files))
    return stateful_set(configured, program, spec.size("prometheus").disk, mounts.sums(files, salt))


def grafana(scope: Scope, image: str, files: Sequence[File], salt: pulumi.Input[str]) -> apps.Deployment:
    spec = scope.spec
    service(scope, "grafana", {"http": ports.GRAFANA})
    size = spec.size("grafana")
    variables = sorted(panels.environment(spec).items())
    program = Program(
        role="grafana",
        image=image,
        size=size,
        ports={"http": ports.GRAFANA},
        volumes=[
            *mounts.volumes("grafana", files),
            scratch("data", panels.VOLUME, size.disk // 2),
            scratch("tmp", "/tmp", size.disk // 4),  # noqa: S108 (the container's own)
        ],
        env=[core.EnvVarArgs(name=key, value=value) for key, value in variables],
        started=http_get("/api/health", Often(2, 2, 60)),
        live=http_get("/api/health", Often(10, 5, 6)),
        ready=http_get("/api/health", Often(5, 2, 2)),
    )
    configured = config_map(scope, "grafana", mounts.config(files))
    return deployment(configured, program, 1, mounts.sums(files, salt))
